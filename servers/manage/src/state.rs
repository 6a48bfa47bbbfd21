//! What the operator's link hands to its successor: who is at it, what was asked and how far it was answered, and the last lines
//! of the log.
//!
//! Invariant: what was read of it is written again to the last byte. What lies in the vchan's rings stays there; the own
//! indices are part of the state, as they are never read from the page.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use ipc::manage::{self, Action};
use ipc::state::{Damaged, Full, Reader, Writer};
use vchan::Indices;

use crate::door::Offer;
use crate::keeper::Keeper;
use crate::serve::Later;

ipc::state! {
    /// All but what is long.
    pub struct Link: "manage.link" {
        /// The vchan's own indices, if it is offered.
        pub indices: Option<(u32, u32)>,
        /// When to offer it again.
        pub retry: Option<u64>,
        /// What is told of it in XenStore.
        pub notice: Notice,
        /// Who is at it.
        pub client: Client,
        /// What is done when its answer was read: the slot, and the number of the action.
        pub later: Option<(u16, u8)>,
        /// The number of the next line.
        pub next: u64,
    }
    /// What the other domain finds in XenStore.
    pub struct Notice {
        /// Whether a session with xenstore was begun.
        pub is_open: bool,
        /// The number of the request that is open.
        pub asked: Option<u32>,
        /// What is to be written: names and texts.
        pub due: VecDeque<(String, String)>,
        /// What is offered.
        pub offer: Option<Offer>,
        /// When to try again.
        pub retry: Option<u64>,
        /// When to wake who waits.
        pub wakes: VecDeque<u64>,
    }
    /// Who is at the link.
    pub enum Client {
        /// Nobody.
        Free,
        /// One.
        Taken(Session),
        /// One that is told to leave.
        HungUp,
    }
    /// A client's session, without the answer.
    pub struct Session {
        /// What came and is no whole frame.
        pub bytes: Vec<u8>,
        /// Whether it has said hello.
        pub is_met: bool,
        /// The lines that are waited for.
        pub wait: Option<Wait>,
    }
    /// Lines that are waited for.
    pub struct Wait {
        /// The number of the first one.
        pub from: u64,
        /// Of this server alone.
        pub server: Option<String>,
        /// Until when.
        pub until: u64,
    }
    /// A part of the answer that waits to be taken.
    pub struct Answer: "manage.answer" {
        /// Its bytes.
        pub bytes: Vec<u8>,
    }
    /// A line that is kept.
    pub struct Line: "manage.line" {
        /// Its number.
        pub number: u64,
        /// When it was read.
        pub at: u64,
        /// Who wrote it.
        pub server: String,
        /// Its text.
        pub text: String,
    }
}

/// Most bytes in a part: the state is written with no more than that beside it.
const PART: usize = 2048;

const ACTIONS: [Action; 5] =
    [Action::Restart, Action::Stop, Action::Start, Action::Kill, Action::KillWithNull];

pub(crate) fn later(later: Later) -> (u16, u8) {
    (later.slot, later.action as u8)
}

pub(crate) fn restored_later((slot, number): (u16, u8)) -> Result<Later, Damaged> {
    let action = ACTIONS.into_iter().find(|action| *action as u8 == number).ok_or(Damaged)?;
    Ok(Later { slot, action })
}

pub(crate) const fn indices(indices: Indices) -> (u32, u32) {
    (indices.consumed, indices.produced)
}

/// Writes the answer that waits, and the lines.
pub(crate) fn save(answer: &[u8], keeper: &Keeper, to: &mut Writer) -> Result<(), Full> {
    answer.chunks(PART).try_for_each(|part| to.put(&Answer { bytes: part.to_vec() }))?;
    keeper.kept().try_for_each(|line| {
        let manage::Line { number, at, server, text } = line.clone();
        to.put(&Line { number, at, server, text })
    })
}

/// Reads the answer again.
pub(crate) fn answer(state: Reader<'_>) -> Result<Vec<u8>, Damaged> {
    let mut answer = Vec::new();
    for part in state.all::<Answer>() {
        answer.extend(part?.bytes);
    }
    Ok(answer)
}

/// Reads the lines again.
pub(crate) fn keeper(state: Reader<'_>, next: u64) -> Result<Keeper, Damaged> {
    let mut keeper = Keeper::from_number(next);
    for line in state.all::<Line>() {
        let Line { number, at, server, text } = line?;
        keeper.put(manage::Line { number, at, server, text });
    }
    Ok(keeper)
}
