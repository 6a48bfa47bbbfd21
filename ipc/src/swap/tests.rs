use std::vec;
use std::vec::Vec;

use abi::{Answer, Badge, Call, Caller, Event, Handle, Token};

use super::{Successor, hand_over};
use crate::loopback::{End, Loopback};
use crate::serve::{Serve, handle};
use crate::state::{Damaged, Full, Reader, Writer, digest};
use crate::supervisor::{self, EventKind};

crate::state! {
    /// A lamp, as it was.
    pub struct Lamp: "lamp.lamp" {
        /// Whether it is on.
        pub is_on: bool,
    }
    /// A lamp, as it is.
    pub struct Dimmed: "lamp.lamp" {
        /// How bright it is.
        pub bright: u32,
    }
    /// A caller that waits.
    pub struct Waits: "lamp.waits" {
        /// Its token.
        pub token: u64,
    }
}

/// A lamp; `old` ones know no brightness.
#[derive(Debug, PartialEq, Eq)]
struct Server {
    is_old: bool,
    bright: u32,
    waiting: Vec<u64>,
    loses: bool,
}

impl Serve for Server {
    fn bits(&mut self, _: u64) {}

    fn call(&mut self, call: &Call) -> Option<Answer> {
        self.bright += 1;
        Some(Answer { token: call.token, message: call.message })
    }

    fn save(&self, to: &mut Writer) -> Result<(), Full> {
        to.put(&Lamp { is_on: self.bright > 0 })?;
        if !self.is_old {
            to.put(&Dimmed { bright: self.bright })?;
        }
        let lost = usize::from(self.loses);
        self.waiting.iter().skip(lost).try_for_each(|token| to.put(&Waits { token: *token }))
    }
}

fn adopt(reader: Reader<'_>, is_old: bool) -> Result<Server, Damaged> {
    let dimmed = if is_old { None } else { reader.one::<Dimmed>()? };
    let bright = match dimmed {
        Some(dimmed) => dimmed.bright,
        None => reader.one::<Lamp>()?.ok_or(Damaged)?.is_on.into(),
    };
    let waiting = reader.all::<Waits>().map(|one| one.map(|one| one.token));
    Ok(Server { is_old, bright, waiting: waiting.collect::<Result<_, _>>()?, loses: false })
}

fn lamp(is_old: bool) -> Server {
    Server { is_old, bright: 1, waiting: vec![5, 6, 7], loses: false }
}

fn state(server: &Server) -> Vec<u8> {
    let mut to = Writer::new(1000);
    server.save(&mut to).unwrap();
    to.bytes().to_vec()
}

#[test]
fn what_is_adopted_can_be_written_again() {
    for (from, to) in [(true, true), (true, false), (false, true), (false, false)] {
        let state = state(&lamp(from));
        let successor = Successor::adopt(&state, |reader| adopt(reader, to)).unwrap();
        assert_eq!(successor.digest, digest(&state), "{from} to {to}");
        assert_eq!(successor.server, lamp(to));
    }
}

#[test]
fn what_is_lost_is_seen() {
    let state = state(&lamp(true));
    let loses = |reader: Reader<'_>| Ok(Server { loses: true, ..adopt(reader, true)? });
    assert_eq!(Successor::adopt(&state, loses).err(), Some(Damaged));
    let darker = |reader: Reader<'_>| Ok(Server { bright: 0, ..adopt(reader, false)? });
    assert_ne!(Successor::adopt(&state, darker).unwrap().digest, digest(&state));
    let more =
        |reader: Reader<'_>| Ok(Server { waiting: vec![5, 6, 7, 8], ..adopt(reader, true)? });
    assert_eq!(Successor::adopt(&state, more).err(), Some(Damaged));
}

#[test]
fn damaged_state_is_no_state() {
    let state = state(&lamp(true));
    for length in 0..state.len() {
        let damaged = Successor::adopt(&state[..length], |reader| adopt(reader, true));
        assert!(damaged.is_err() || length > 20, "{length}");
    }
}

/// A supervisor that asks once for the state, and gives the swap up.
#[derive(Default)]
struct Root {
    asked: bool,
    offered: Option<u64>,
    successor: Option<u64>,
}

impl supervisor::Server for Root {
    fn ready(&mut self, _: Badge) -> Result<(), supervisor::Error> {
        Ok(())
    }
    fn next_event(&mut self, _: Badge) -> Result<(EventKind, u32), supervisor::Error> {
        let first = !core::mem::replace(&mut self.asked, true);
        Ok((if first { EventKind::Quiesce } else { EventKind::None }, 0))
    }
    fn peer(&mut self, _: Badge, _: u16, _: u16) -> Result<(), supervisor::Error> {
        Ok(())
    }
    fn quiesced(
        &mut self,
        caller: Caller<(), supervisor::Error>,
        _: u64,
        _: u64,
        digest: u64,
    ) -> Option<Answer> {
        self.offered = Some(digest);
        Some(caller.answer(Ok(())))
    }
    fn cannot_quiesce(&mut self, _: Badge, _: u64) -> Result<(), supervisor::Error> {
        Ok(())
    }
    fn adopted(&mut self, caller: Caller<(), supervisor::Error>, digest: u64) -> Option<Answer> {
        self.successor = Some(digest);
        Some(caller.answer(Ok(())))
    }
}

fn world(root: &'static std::sync::Mutex<Root>) -> End {
    let loopback = Loopback::new();
    let end = loopback.end();
    loopback.kernel(&end, Handle::SUPERVISOR, move |message| {
        let call = Call { token: Token::NONE, badge: Badge::default(), message };
        let mut root = root.lock().unwrap();
        supervisor::dispatch(&mut *root, &call).map(|answer| answer.message).unwrap_or_default()
    });
    end
}

#[test]
fn a_server_is_asked_behind_the_call_of_the_same_turn() {
    let root: &std::sync::Mutex<Root> = std::boxed::Box::leak(std::boxed::Box::default());
    let end = world(root);
    let mut server = lamp(false);
    let token = Token::new(abi::token::Kind::Call, 1, 1);
    let event = Event { bits: abi::trap::BIT_CONTROL, token, ..Event::default() };
    assert_eq!(handle(&end, &mut server, event), None, "the call was answered before");
    assert_eq!(server.bright, 2);
    assert_eq!(root.lock().unwrap().offered, Some(digest(&state(&server))));
}

#[test]
fn a_successor_says_what_it_adopted() {
    let root: &std::sync::Mutex<Root> = std::boxed::Box::leak(std::boxed::Box::default());
    let end = world(root);
    hand_over(&end, &lamp(true));
    let state = state(&lamp(true));
    let successor = Successor::adopt(&state, |reader| adopt(reader, false)).unwrap();
    assert_eq!(successor.take_over(end).unwrap(), lamp(false));
    let root = root.lock().unwrap();
    assert_eq!((root.successor, root.successor), (root.offered, Some(digest(&state))));
}
