//! The exchange of a running server for another.
//!
//! check, build a candidate, ask the old server for its state, show it to the candidate, compare what that makes of it, commit.
//! Invariant: before the commit a swap can be given up at any step, and the old server has lost nothing but time; after it the
//! new one is the slot's server like any other, but for the image that it goes back to when it dies twice on probation. One
//! swap is under way at a time, and there is one server more than there are slots.
//!
//! What it does not do: exchange what has no state (that is a restart with another image), or several servers at once.

mod record;
mod rules;

use abi::kernel::control::ObjectKind;
use abi::{Answer, Badge, Caller, Traps};
use ipc::operator::{self, Outcome, Reason};
use ipc::supervisor::Error;

use crate::fault::Fault;
use crate::host::Host;
use crate::kernel::text;
use crate::load::{CANDIDATE, Plan, hide, is_state, load, present, show, unload};
use crate::supervisor::{Place, State, Supervisor};

use record::{Offer, Step};
pub(crate) use record::{Probation, Record, Retired, Swap};

/// How long an old server may take to write its state, in milliseconds, unless the configuration says `quiesce_ms`.
const QUIESCE: u64 = 1000;
/// How long a candidate may take to adopt it; `adopt_ms`.
const ADOPT: u64 = 1000;
/// How long a new server is on probation; `probation_ms`.
const PROBATION: u64 = 10_000;
/// When an old server is taken apart, in nanoseconds after the commit: not while its successor has work waiting.
const REST: u64 = 20_000_000;

/// What a second server in a slot takes as much of again.
const DOUBLED: [ObjectKind; 5] = [
    ObjectKind::Frame,
    ObjectKind::Table,
    ObjectKind::Region,
    ObjectKind::Handle,
    ObjectKind::Server,
];

impl<T: Traps, H: Host> Supervisor<'_, T, H> {
    /// A time of the supervisor's own configuration, in nanoseconds.
    fn limit(&self, key: &str, default: u64) -> u64 {
        let lines = self.place(0).map_or("", |own| own.config.as_str()).lines();
        let set = |line: &str| {
            let (name, value) = line.split_once('=')?;
            if name == key { value.parse().ok() } else { None }
        };
        let given: Option<u64> = lines.rev().find_map(set);
        given.unwrap_or(default).saturating_mul(1_000_000)
    }

    /// Begins the exchange of a slot's server for one of the image with this hash; 0: the same image.
    pub(crate) fn begin_swap(&mut self, slot: u16, image: u64) -> Result<(), operator::Error> {
        if slot == 0 {
            return Err(operator::Error::Supervisor);
        }
        let place = self.place(slot).ok_or(operator::Error::NoSuchSlot)?;
        place.loaded().ok_or(operator::Error::NotRunning)?;
        let program = self.program(place.program, image).ok_or(operator::Error::NoSuchImage)?;
        self.give_up(Reason::Operator);
        self.bury();
        let began = self.host.now();
        self.note(slot, |last| *last = Record::new(Outcome::Going, began));
        if let Err(reason) = self.check_swap(slot, program) {
            return Err(self.refuse(slot, reason));
        }
        if !self.has_state(slot) {
            self.swap_cold(slot, program, began);
            return Ok(());
        }
        self.ask(slot, program)
    }

    /// The number of an image by the hash of its name.
    fn program(&self, own: u16, image: u64) -> Option<u16> {
        let mut images = (0u16..).zip(&self.system.images);
        match image {
            0 => Some(own),
            _ => images.find(|(_, it)| abi::hash::text(&it.name) == image).map(|(at, _)| at),
        }
    }

    fn refuse(&mut self, slot: u16, reason: Reason) -> operator::Error {
        self.note(slot, |last| (last.outcome, last.reason) = (Outcome::Refused, reason));
        self.tell(slot, format_args!("is not swapped: {}", reason.text()));
        operator::Error::Refused
    }

    /// Restarts a slot with another image: its server has no state to hand over.
    fn swap_cold(&mut self, slot: u16, program: u16, now: u64) {
        self.tell(slot, format_args!("is swapped cold: it has no state to hand over"));
        self.note(slot, |last| last.outcome = Outcome::Cold);
        self.stop(slot);
        self.on_probation(slot, program, now);
        self.start_again(slot, now);
    }

    /// Builds a candidate, and asks the old server for its state.
    fn ask(&mut self, slot: u16, program: u16) -> Result<(), operator::Error> {
        self.double(slot);
        let Some(plan) = self.plan(slot) else { return Err(operator::Error::NoSuchSlot) };
        let plan = Plan { program, succeeds: true, ..plan };
        let candidate = match load(&self.kernel, &self.host, &plan) {
            Ok(candidate) => candidate,
            Err(refused) => {
                self.single(slot);
                self.tell(slot, format_args!("no candidate: {}", text(refused)));
                return Err(self.refuse(slot, Reason::Memory));
            }
        };
        let now = self.host.now();
        let until = now.saturating_add(self.limit("quiesce_ms", QUIESCE));
        self.swap = Some(Swap { slot, program, candidate, until, offer: None });
        self.note(slot, |last| last.done(Step::Built, now));
        self.push(slot, |events| events.quiesce());
        Ok(())
    }

    /// The old server offers its state.
    pub(crate) fn offered(
        &mut self,
        slot: u16,
        caller: Caller<(), Error>,
        (address, bytes, digest): (u64, u64, u64),
    ) -> Option<Answer> {
        let now = self.host.now();
        let until = now.saturating_add(self.limit("adopt_ms", ADOPT));
        let Some((candidate, program)) = self.asked(slot) else {
            return Some(caller.answer(Err(Error::NoSwap)));
        };
        let state = (address, bytes);
        if let Some(swap) = &mut self.swap {
            swap.until = until;
            swap.offer = Some(Offer { caller, state, digest });
        }
        self.note(slot, |last| {
            last.done(Step::Quiesced, now);
            last.bytes = bytes;
        });
        let (Some(plan), Some(old)) = (self.plan(slot), self.place(slot).and_then(Place::loaded))
        else {
            return None;
        };
        if !is_state(plan.slot, address, bytes) {
            self.give_up(Reason::Offer);
            return None;
        }
        let plan = Plan { program, succeeds: true, ..plan };
        if let Err(refused) = show(&self.kernel, &self.host, &plan, (old, candidate), state) {
            self.tell(slot, format_args!("candidate cannot be shown it: {}", text(refused)));
            self.give_up(Reason::Memory);
        }
        None
    }

    /// The candidate and image of a slot whose server was asked and has not offered.
    fn asked(&self, slot: u16) -> Option<(crate::load::Loaded, u16)> {
        let swap = self.swap.as_ref().filter(|swap| swap.slot == slot && swap.offer.is_none())?;
        Some((swap.candidate, swap.program))
    }

    /// The old server cannot write its state.
    pub(crate) fn not_written(&mut self, slot: u16, needed: u64) -> Result<(), Error> {
        self.asked(slot).ok_or(Error::NoSwap)?;
        self.note(slot, |last| last.bytes = needed);
        self.give_up(Reason::Write);
        Ok(())
    }

    /// Whether a badge is that of the candidate.
    pub(crate) fn is_candidate(&self, badge: Badge) -> bool {
        let Some(swap) = self.swap.as_ref().filter(|swap| swap.offer.is_some()) else {
            return false;
        };
        let incarnation = self.place(swap.slot).map(|place| place.incarnation() ^ CANDIDATE);
        self.client_slot(badge) == Some(swap.slot) && incarnation == Some(badge.incarnation())
    }

    /// The candidate says what it has adopted: if that is all, it takes over.
    pub(crate) fn adopt(&mut self, caller: Caller<(), Error>, digest: u64) -> Option<Answer> {
        let now = self.host.now();
        let Some(Swap { slot, candidate, offer: Some(offer), .. }) = &self.swap else {
            return Some(caller.answer(Err(Error::NoSwap)));
        };
        let (slot, candidate, is_all) = (*slot, *candidate, offer.digest == digest);
        let state = offer.state;
        self.note(slot, |last| last.done(Step::Adopted, now));
        if !is_all {
            self.give_up(Reason::Digest);
            return None;
        }
        let committed = hide(&self.kernel, candidate, state)
            .and_then(|()| self.kernel.control.server_commit(candidate.server));
        if committed.is_err() {
            self.give_up(Reason::Commit);
            return None;
        }
        self.taken_over(slot);
        Some(caller.answer(Ok(())))
    }

    /// The candidate is the slot's server.
    fn taken_over(&mut self, slot: u16) {
        let Some(Swap { candidate, program, .. }) = self.swap.take() else { return };
        if let Some(plan) = self.plan(slot) {
            let _ = present(&self.kernel, &plan, candidate, true);
        }
        let now = self.host.now();
        let Some(place) = self.place_mut(slot) else { return };
        if let State::Up { loaded, .. } = &mut place.state {
            let old = core::mem::replace(loaded, candidate);
            let until = now.saturating_add(REST);
            self.retired = Some(Retired { slot, loaded: old, until });
        }
        self.on_probation(slot, program, now);
        self.note(slot, |last| {
            last.done(Step::Committed, now);
            last.outcome = Outcome::Committed;
            let [_, quiesced, _, committed, _] = last.steps;
            last.stopped = committed.saturating_sub(quiesced);
        });
    }

    /// A slot's server is of a new image from now on.
    fn on_probation(&mut self, slot: u16, program: u16, now: u64) {
        let until = now.saturating_add(self.limit("probation_ms", PROBATION));
        if let Some(place) = self.place_mut(slot) {
            let before = core::mem::replace(&mut place.program, program);
            // What has not proved itself is nothing to go back to.
            let before = place.probation.map_or(before, |probation| probation.program);
            place.probation = Some(Probation { until, program: before, has_died: false });
        }
    }

    /// Gives up the swap that is under way, if there is one: the old server goes on.
    pub(crate) fn give_up(&mut self, reason: Reason) {
        let Some(Swap { slot, candidate, offer, .. }) = self.swap.take() else { return };
        unload(&self.kernel, candidate);
        self.single(slot);
        if let Some(place) = self.place_mut(slot) {
            place.events.go_on();
        }
        if let Some(offer) = offer {
            self.traps.reply(offer.caller.answer(Ok(())));
        }
        self.note(slot, |last| (last.outcome, last.reason) = (Outcome::GivenUp, reason));
        self.tell(slot, format_args!("goes on, the swap is given up: {}", reason.text()));
    }

    /// The same, if it is the swap of this slot.
    pub(crate) fn give_up_for(&mut self, slot: u16, reason: Reason) {
        if self.swap.as_ref().is_some_and(|swap| swap.slot == slot) {
            self.give_up(reason);
        }
    }

    /// Whether a fault was that of the candidate: then the swap is given up.
    pub(crate) fn candidate_died(&mut self, fault: &Fault) -> bool {
        let candidate = self.swap.as_ref().filter(|swap| swap.candidate.server == fault.server);
        let Some(Swap { slot, program, .. }) = candidate else { return false };
        let slot = *slot;
        let image = self.system.images.get(usize::from(*program)).cloned();
        let told = fault.within(self.image, image.as_ref());
        self.tell(slot, format_args!("candidate faulted: {told}"));
        self.give_up(Reason::Died);
        true
    }

    /// The server of a slot died; if it was on probation, it is started again here: the first time of its own image, the
    /// second time of the one before.
    pub(crate) fn died_on_probation(&mut self, slot: u16, now: u64) -> bool {
        let Some(place) = self.place_mut(slot) else { return false };
        let Some(probation) = &mut place.probation else { return false };
        if probation.has_died {
            place.program = probation.program;
            place.probation = None;
            self.note(slot, |last| (last.outcome, last.reason) = (Outcome::Reverted, Reason::Died));
            self.tell(slot, format_args!("reverted: the image before is started again"));
        } else {
            probation.has_died = true;
            self.tell(slot, format_args!("died on probation: it is started again"));
        }
        self.put_off(slot, now);
        true
    }

    /// Does what is due.
    pub(crate) fn swap_if_due(&mut self, now: u64) {
        if let Some(swap) = self.swap.as_ref().filter(|swap| swap.until <= now) {
            let reason = if swap.offer.is_some() { Reason::Adopt } else { Reason::Quiesce };
            self.give_up(reason);
        }
        if self.retired.is_some_and(|retired| retired.until <= now) {
            self.bury();
        }
        for slot in self.numbers() {
            let place = self.place(slot);
            let probation = place.and_then(|place| place.probation);
            if probation.is_some_and(|probation| probation.until <= now) {
                self.proved(slot, now);
            }
        }
    }

    /// When something is due next.
    pub(crate) fn next_of_swaps(&self) -> Option<u64> {
        let probations = self.places.iter().filter_map(|place| Some(place.probation?.until));
        let swap = self.swap.as_ref().map(|swap| swap.until);
        probations.chain(swap).chain(self.retired.map(|retired| retired.until)).min()
    }

    /// A new server has proved itself.
    fn proved(&mut self, slot: u16, now: u64) {
        let Some(place) = self.place_mut(slot) else { return };
        place.probation = None;
        if matches!(place.last_swap.outcome, Outcome::Committed) {
            place.last_swap.outcome = Outcome::Done;
        }
        place.last_swap.done(Step::Proved, now);
        self.tell(slot, format_args!("has proved itself"));
    }

    /// Takes the old server of the last swap apart, and tells how that swap went.
    fn bury(&mut self) {
        let Some(Retired { slot, loaded, .. }) = self.retired.take() else { return };
        unload(&self.kernel, loaded);
        self.single(slot);
        let Some(place) = self.place(slot) else { return };
        let last = place.last_swap;
        let program = self.system.images.get(usize::from(place.program));
        let program = program.map_or_else(Default::default, |image| image.name.clone());
        // It runs, so even the log can be told of itself.
        let name = self.system.slots.get(usize::from(slot)).map(|slot| slot.name.clone());
        let name = name.unwrap_or_default();
        self.tell_all(format_args!("{name} is swapped to {program}: {}", Told(&last)));
    }

    fn note(&mut self, slot: u16, change: impl FnOnce(&mut Record)) {
        if let Some(place) = self.place_mut(slot) {
            change(&mut place.last_swap);
        }
    }

    /// Lets a slot hold two servers.
    fn double(&self, slot: u16) {
        self.set_quota(slot, |limit| limit.saturating_mul(2));
    }

    /// Lets a slot hold one server.
    fn single(&self, slot: u16) {
        self.set_quota(slot, |limit| limit);
    }

    fn set_quota(&self, slot: u16, limit: impl Fn(u32) -> u32) {
        let Some(description) = self.system.slots.get(usize::from(slot)) else { return };
        for kind in DOUBLED {
            if let Some(quota) = description.quota.get(kind as usize) {
                let _ = self.kernel.control.quota_set(slot, kind, limit(*quota));
            }
        }
    }
}

/// The steps of a swap, told.
struct Told<'a>(&'a Record);

impl core::fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self(last) = self;
        let [built, quiesced, adopted, committed] =
            [Step::Built, Step::Quiesced, Step::Adopted, Step::Committed].map(|at| last.micros(at));
        let (bytes, stopped) = (last.bytes, last.stopped / 1000);
        write!(
            f,
            "built after {built} us, quiesced {quiesced}, adopted {adopted}, committed {committed}; \
             {bytes} bytes of state, stopped for {stopped} us"
        )
    }
}
