//! Random steps for the test of the IPC state machine.

use std::vec;

use abi::kernel::control::SlotState;
use proptest::prelude::*;

/// One step.
#[derive(Clone, Debug)]
pub enum Step {
    /// Whoever runs: traps with this number and handle.
    Trap {
        number: u8,
        above: u64,
        label: u64,
    },
    /// Answers the `back`th token, counted from the latest; waits then, if `wait`.
    Answer {
        back: usize,
        label: u64,
        wait: bool,
    },
    /// Hands the fault of the `back`th token on.
    HandOn {
        back: usize,
    },
    Wait,
    Call {
        to: u16,
        label: u64,
    },
    Notify {
        to: u16,
    },
    Kernel {
        label: u64,
    },
    Exception,
    Interrupt,
    /// Time passes, which whoever runs uses but for what is stolen; then the timer fires, due or not.
    Pass {
        time: u64,
        stolen: u64,
    },
    /// Limits a slot.
    Limit {
        slot: u16,
        budget: u64,
        period: u64,
    },
    Raise {
        slot: u16,
        bits: u64,
    },
    Stop {
        thread: u16,
    },
    Start {
        thread: u16,
    },
    Resume {
        thread: u16,
    },
    Cancel {
        thread: u16,
    },
    Set {
        slot: u16,
        state: SlotState,
    },
    /// Destroys the server of a slot.
    Destroy {
        slot: u16,
    },
    /// Fills a slot, and starts the server.
    Create {
        slot: u16,
    },
    /// Fills a slot whose server died, as the supervisor does.
    Restart {
        slot: u16,
    },
}

pub fn step() -> impl Strategy<Value = Step> {
    let slot = 0..7_u16;
    let state = prop_oneof![4 => Just(SlotState::Up), 2 => Just(SlotState::Down), 1 => Just(SlotState::Off)];
    prop_oneof![
        1 => (0..6_u8, prop_oneof![0..16_u64, any::<u64>()], 0..5_u64)
            .prop_map(|(number, above, label)| Step::Trap { number, above, label }),
        14 => (0..6_usize, 0..5_u64, any::<bool>()).prop_map(|(back, label, wait)| Step::Answer { back, label, wait }),
        1 => (0..6_usize).prop_map(|back| Step::HandOn { back }),
        12 => Just(Step::Wait),
        20 => (slot.clone(), 0..5_u64).prop_map(|(to, label)| Step::Call { to, label }),
        4 => slot.clone().prop_map(|to| Step::Notify { to }),
        2 => prop_oneof![1 => Just(1_u64), 8 => Just(5_u64), 2 => 2..5_u64, 1 => Just(77_u64)].prop_map(|label| Step::Kernel { label }),
        1 => Just(Step::Exception),
        2 => Just(Step::Interrupt),
        12 => (0..700_000_u64, 0..8_u64).prop_map(|(time, eighths)| Step::Pass { time, stolen: time * eighths / 8 }),
        1 => (0..40_000_000_u64).prop_map(|time| Step::Pass { time, stolen: 0 }),
        2 => (1..7_u16, 0..8_u64, 1..6_u64).prop_map(|(slot, budget, times)| {
            let budget = budget * 100_000;
            Step::Limit { slot, budget, period: budget * times }
        }),
        2 => (slot.clone(), 0..4_u64).prop_map(|(slot, bits)| Step::Raise { slot, bits }),
        1 => (1..8_u16).prop_map(|thread| Step::Stop { thread }),
        3 => (1..8_u16).prop_map(|thread| Step::Start { thread }),
        2 => (1..8_u16).prop_map(|thread| Step::Resume { thread }),
        2 => (1..8_u16).prop_map(|thread| Step::Cancel { thread }),
        1 => (1..7_u16, state).prop_map(|(slot, state)| Step::Set { slot, state }),
        1 => (1..7_u16).prop_map(|slot| Step::Destroy { slot }),
        2 => (1..7_u16).prop_map(|slot| Step::Create { slot }),
        2 => (1..7_u16).prop_map(|slot| Step::Restart { slot }),
    ]
}
