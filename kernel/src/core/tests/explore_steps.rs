//! The steps of the exploration, all of which are tried in every situation.

use std::vec::Vec;

use abi::kernel::control::SlotState;

/// What can happen. Slots are numbers from 0 to 2, the lowest priority first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Whoever runs calls.
    Call(u8),
    /// It answers the latest call or fault of a slot's server, which may have been answered or taken by another, and waits.
    Answer(u8),
    /// It answers and goes on.
    AnswerOnly(u8),
    /// It answers with the token of the call before that, and waits.
    AnswerLate(u8),
    Wait,
    Notify(u8),
    Pause,
    /// It breaks a rule by a trap, and the supervisor hears of it.
    BadTrap,
    /// It breaks a rule by an instruction, and the supervisor hears of it.
    Exception,
    /// The supervisor lets a server that broke a rule go on, or ends it.
    Verdict(u8, bool),
    Raise(u8),
    Stop(u8),
    Start(u8),
    Cancel(u8),
    Set(u8, SlotState),
    Destroy(u8),
    Create(u8),
    /// Down, taken apart, made again and up.
    Restart(u8),
}

/// All steps.
pub fn steps() -> Vec<Step> {
    let mut all = std::vec![Step::Wait, Step::Pause, Step::BadTrap, Step::Exception];
    for slot in 0..3 {
        all.extend([Step::Call(slot), Step::Notify(slot), Step::Raise(slot)]);
        all.extend([Step::Answer(slot), Step::AnswerOnly(slot), Step::AnswerLate(slot)]);
        all.extend([Step::Verdict(slot, true), Step::Verdict(slot, false)]);
        all.extend([Step::Stop(slot), Step::Start(slot), Step::Cancel(slot)]);
        all.extend([Step::Destroy(slot), Step::Create(slot), Step::Restart(slot)]);
    }
    for state in [SlotState::Up, SlotState::Down, SlotState::Off] {
        all.extend([Step::Set(1, state), Step::Set(2, state)]);
    }
    all
}
