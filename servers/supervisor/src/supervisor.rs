//! The state of the system, and what happens to it: servers start, die, and start again.
//!
//! Invariant: a slot is `Off`, `Down` until a time, or `Up` with a server; the kernel's state of the slot is the same. A wire's
//! badge has the incarnation of its client, and the server of that wire is told of each incarnation's beginning and end.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Arguments;

use abi::kernel::control::{Shutdown, SlotState};
use abi::kernel::own;
use abi::token::Kind;
use abi::trap::{BIT_CONTROL, BIT_TIMER};
use abi::{Answer, Badge, Call, Event, Handle, Message, Traps};
use ipc::operator::Reason;
use ipc::system::{Restart, System};

use crate::backoff::{Backoff, LIMIT, WINDOW};
use crate::chronicle::Chronicle;
use crate::ending::Ending;
use crate::events::Events;
use crate::fault::Fault;
use crate::host::Host;
use crate::kernel::{Kernel, Refused, text};
use crate::links::{self, Link};
use crate::load::{Loaded, Plan, load, run, unload};
use crate::swap::{Probation, Record, Retired, Swap};

/// What a slot does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Nobody serves.
    Off,
    /// Its server is started at this time; `u64::MAX`: with its manager.
    Down { until: u64 },
    /// Its server runs.
    Up { loaded: Loaded, is_ready: bool },
}

/// A slot at run time.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) state: State,
    /// How often it was started.
    pub(crate) starts: u32,
    /// Whether it has what its last server left: what the slot keeps over a crash, and its devices.
    pub(crate) is_kept: bool,
    /// When it was started last.
    pub(crate) since: u64,
    pub(crate) events: Events,
    pub(crate) backoff: Backoff,
    /// The peer domain of its ports and windows.
    pub(crate) peer: Option<u16>,
    /// Its whole configuration.
    pub(crate) config: String,
    /// Number of the image that it is started from.
    pub(crate) program: u16,
    /// What became of its last swap.
    pub(crate) last_swap: Record,
    /// Its server is new, and has not proved itself.
    pub(crate) probation: Option<Probation>,
}

impl Place {
    pub(crate) const fn loaded(&self) -> Option<Loaded> {
        match self.state {
            State::Up { loaded, .. } => Some(loaded),
            State::Off | State::Down { .. } => None,
        }
    }

    /// The incarnation that badges of its wires have.
    pub(crate) const fn incarnation(&self) -> u8 {
        self.starts as u8
    }
}

/// The supervisor.
#[derive(Debug)]
pub struct Supervisor<'a, T, H> {
    pub(crate) traps: T,
    pub(crate) kernel: Kernel<T>,
    pub(crate) host: H,
    pub(crate) image: &'a [u8],
    pub(crate) system: System,
    pub(crate) regions: Vec<u16>,
    /// Number of regions that the kernel can have.
    pub(crate) region_count: u16,
    pub(crate) places: Vec<Place>,
    /// The slots by their number as the supervisor's client.
    pub(crate) clients: Vec<Option<u16>>,
    /// The slot that reads the supervisor's log, if there is one.
    pub(crate) log: Option<u16>,
    pub(crate) armed: Option<u64>,
    pub(crate) ending: Option<Ending>,
    pub(crate) all_ready: bool,
    /// The swap that is under way.
    pub(crate) swap: Option<Swap>,
    /// The old server of the last one.
    pub(crate) retired: Option<Retired>,
    pub(crate) chronicle: Chronicle,
}

impl<T: Traps, H: Host> Supervisor<'_, T, H> {
    /// One turn: answers the last call, waits, and handles what came; returns the answer to the new call.
    pub fn turn(&mut self, answer: Option<Answer>) -> Option<Answer> {
        self.arm();
        let event = self.traps.reply_wait(answer);
        self.handle(&event)
    }

    /// Handles what a wait returned.
    pub fn handle(&mut self, event: &Event) -> Option<Answer> {
        let now = self.host.now();
        if event.bits & BIT_TIMER != 0 {
            self.armed = None;
        }
        self.due(now);
        match event.token.kind() {
            Kind::None => None,
            Kind::Call => {
                self.call(&Call { token: event.token, badge: event.badge, message: event.message })
            }
            Kind::Fault => {
                self.fault(&event.message, now);
                None
            }
        }
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        match call.badge.channel() {
            ipc::supervisor::CHANNEL => ipc::supervisor::dispatch(self, call),
            ipc::status::CHANNEL => ipc::status::dispatch(self, call),
            ipc::operator::CHANNEL => ipc::operator::dispatch(self, call),
            ipc::history::CHANNEL => ipc::history::dispatch(self, call),
            _ => Some(Answer::protocol_error(call.token, abi::interface::UNKNOWN_METHOD)),
        }
    }

    /// Does what is due.
    fn due(&mut self, now: u64) {
        self.end_if_due(now);
        self.swap_if_due(now);
        for slot in self.numbers() {
            if matches!(self.place(slot), Some(Place { state: State::Down { until }, .. }) if *until <= now)
            {
                self.start_again(slot, now);
            }
        }
    }

    /// Sets the timer for what is due next.
    fn arm(&mut self) {
        let starts = self.places.iter().filter_map(|place| match place.state {
            State::Down { until } if until != u64::MAX => Some(until),
            State::Down { .. } | State::Off | State::Up { .. } => None,
        });
        let next = starts.chain(self.ending.map(Ending::next)).chain(self.next_of_swaps()).min();
        if next != self.armed {
            self.armed = next;
            let _ = own::Client::new(self.traps, Handle::OWN).timer(next.unwrap_or(0));
        }
    }

    fn fault(&mut self, message: &Message, now: u64) {
        let fault = Fault::from_message(message);
        if self.candidate_died(&fault) {
            return;
        }
        let faulted = |place: &Place| place.loaded().is_some_and(|l| l.server == fault.server);
        let Some(slot) = self.places.iter().position(faulted) else { return };
        let slot = slot as u16;
        let number = self.place(slot).map_or(0, |place| usize::from(place.program));
        let image = self.system.images.get(number);
        let told = fault.within(self.image, image);
        let reason = told.to_string();
        self.remember(slot, reason.clone(), now);
        self.tell(slot, format_args!("faulted: {reason}"));
        self.died(slot, now);
    }

    /// The server of a slot died: takes it apart and does what the manifest says.
    pub(crate) fn died(&mut self, slot: u16, now: u64) {
        self.give_up_for(slot, Reason::OldDied);
        self.stop(slot);
        if self.died_on_probation(slot, now) {
            return;
        }
        let restart = self.system.slots.get(usize::from(slot)).map(|slot| slot.restart);
        match restart {
            Some(Restart::Always) => self.put_off(slot, now),
            Some(Restart::Crash) => {
                self.shout(slot, format_args!("died: the domain ends, as its manifest says"));
                let _ = self.kernel.control.domain_shutdown(Shutdown::Crash);
            }
            Some(Restart::Never) | None => {
                self.tell(slot, format_args!("stays off, as its manifest says"));
                self.switch_off(slot);
            }
        }
    }

    /// Decides when a slot is started again, if at all.
    pub(crate) fn put_off(&mut self, slot: u16, now: u64) {
        let next = self.place_mut(slot).and_then(|place| place.backoff.died(now));
        self.forget_in_time(slot);
        match next {
            Some(until) if until <= now => self.start_again(slot, now),
            Some(until) => {
                if let Some(place) = self.place_mut(slot) {
                    place.state = State::Down { until };
                }
                let pause = (until - now) / 1_000_000;
                self.tell(slot, format_args!("starts again in {pause} ms"));
            }
            None => {
                let seconds = WINDOW / 1_000_000_000;
                self.tell(slot, format_args!("died {LIMIT} times in {seconds} s: it stays off"));
                self.switch_off(slot);
            }
        }
    }

    /// Starts a slot's server; a start that fails counts as a death. A slot whose manager does not run waits for that one.
    pub(crate) fn start_again(&mut self, slot: u16, now: u64) {
        if self.lacks_manager(slot) {
            return self.wait_for_manager(slot);
        }
        if let Err(refused) = self.start(slot) {
            self.tell(slot, format_args!("cannot be started: {}", text(refused)));
            self.put_off(slot, now);
            return;
        }
        for child in self.managed_by(slot) {
            if matches!(
                self.place(child),
                Some(Place { state: State::Down { until: u64::MAX }, .. })
            ) {
                self.start_again(child, now);
            }
        }
    }

    /// Starts a slot's server, and tells those whom it concerns.
    pub(crate) fn start(&mut self, slot: u16) -> Result<(), Refused> {
        self.wipe_forgotten(slot)?;
        let Some(plan) = self.plan(slot) else { return Ok(()) };
        let loaded = load(&self.kernel, &self.host, &plan)?;
        let running = self
            .kernel
            .control
            .slot_state(slot, SlotState::Up)
            .and_then(|()| run(&self.kernel, &plan, loaded));
        if let Err(refused) = running {
            unload(&self.kernel, loaded);
            let _ = self.kernel.control.slot_state(slot, SlotState::Down);
            return Err(refused);
        }
        let since = self.host.now();
        if let Some(place) = self.place_mut(slot) {
            place.state = State::Up { loaded, is_ready: false };
            place.since = since;
            place.is_kept = true;
        }
        self.announce(slot);
        Ok(())
    }

    /// What a slot's server is built from.
    pub(crate) fn plan(&self, slot: u16) -> Option<Plan<'_>> {
        let place = self.place(slot)?;
        Some(Plan {
            image: self.image,
            system: &self.system,
            regions: &self.regions,
            number: slot,
            slot: self.system.slots.get(usize::from(slot))?,
            program: place.program,
            succeeds: false,
            incarnation: place.starts,
            is_kept: place.is_kept,
            config: &place.config,
        })
    }

    /// Tells the servers of a new client, and the new server of its clients.
    fn announce(&mut self, slot: u16) {
        for (link, badge) in self.live_links(slot) {
            self.push(link.server_slot, |events| events.opened(badge));
        }
        if let Some((manager, badge)) = self.of_manager(slot) {
            self.push(manager, |events| events.opened(badge));
        }
    }

    /// The wires from and to a slot whose both ends run, but for those to the supervisor.
    fn live_links(&self, slot: u16) -> Vec<(Link, Badge)> {
        let runs = |slot: u16| self.place(slot).filter(|place| place.loaded().is_some());
        links::all(&self.system)
            .filter(|link| link.client_slot == slot || link.server_slot == slot)
            .filter(|link| runs(link.server_slot).is_some())
            .filter_map(|link| {
                let client = runs(link.client_slot)?;
                Some((link, Badge::new(link.channel, link.client, client.incarnation())))
            })
            .collect()
    }

    pub(crate) fn push(&mut self, slot: u16, event: impl FnOnce(&mut Events)) {
        if let Some(place) = self.place_mut(slot) {
            event(&mut place.events);
            let _ = self.kernel.control.slot_notify(slot, BIT_CONTROL);
        }
    }

    /// Stops the server of a slot: its callers and its servers learn of it, its memory is freed, its devices are reset unless
    /// the slot keeps them. Those that it manages go with it: what they had in memory was its to fill.
    pub(crate) fn stop(&mut self, slot: u16) {
        let Some(loaded) = self.place(slot).and_then(Place::loaded) else { return };
        self.give_up_for(slot, Reason::Operator);
        let children = self.managed_by(slot);
        children.iter().for_each(|child| self.stop(*child));
        let _ = self.kernel.control.slot_state(slot, SlotState::Down);
        unload(&self.kernel, loaded);
        if !children.is_empty() {
            self.kernel.free_made(slot, self.region_count);
        }
        if self.kept(slot).is_none() {
            self.forget(slot);
        }
        if let Some((manager, badge)) = self.of_manager(slot) {
            self.push(manager, |events| events.closed(badge));
        }
        for (link, badge) in self.live_links(slot) {
            if link.client_slot == slot {
                self.push(link.server_slot, |events| events.closed(badge));
            }
        }
        if let Some(place) = self.place_mut(slot) {
            place.state = State::Down { until: u64::MAX };
            place.events.clear();
            place.starts = place.starts.wrapping_add(1);
        }
    }

    /// Closes a slot's ports to peer domains and takes back its grants. The toolstack's own channels stay as they are: once
    /// closed, nobody could open them again.
    pub(crate) fn reset_devices(&self, slot: u16) {
        for (number, port) in (0u16..).zip(&self.system.ports) {
            if port.slot == slot && port.target.is_bound_by_peer() {
                let _ = self.kernel.control.port_reset(number);
            }
        }
        for (number, window) in (0u16..).zip(&self.system.windows) {
            if window.slot == slot {
                self.kernel.reset_window(number);
            }
        }
    }

    pub(crate) fn switch_off(&mut self, slot: u16) {
        self.forget(slot);
        let _ = self.kernel.control.slot_state(slot, SlotState::Off);
        if let Some(place) = self.place_mut(slot) {
            place.state = State::Off;
        }
        for child in self.managed_by(slot) {
            self.tell(child, format_args!("stays off without its manager"));
            self.switch_off(child);
        }
    }

    /// A line about a slot: to the log if its reader runs, else to the debug console.
    pub(crate) fn tell(&mut self, slot: u16, line: Arguments<'_>) {
        let is_read = self.log != Some(slot) && self.log_is_read();
        let name = self.system.slots.get(usize::from(slot)).map_or("", |slot| &slot.name);
        self.chronicle.note(self.host.now(), name, line);
        say(&mut self.host, is_read, format_args!("{name} {line}"));
    }

    /// A line about no slot.
    pub(crate) fn tell_all(&mut self, line: Arguments<'_>) {
        let is_read = self.log_is_read();
        self.chronicle.note(self.host.now(), "", line);
        say(&mut self.host, is_read, line);
    }

    fn log_is_read(&self) -> bool {
        self.log.and_then(|log| self.place(log)).and_then(Place::loaded).is_some()
    }

    /// A line about a slot that nobody may miss: to the debug console.
    pub(crate) fn shout(&mut self, slot: u16, line: Arguments<'_>) {
        let name = self.system.slots.get(usize::from(slot)).map_or("", |slot| &slot.name);
        self.host.debug(format_args!("{name} {line}"));
    }

    /// The slots that it starts: all but its own.
    pub(crate) fn numbers(&self) -> core::ops::Range<u16> {
        1..self.places.len() as u16
    }

    pub(crate) fn place(&self, slot: u16) -> Option<&Place> {
        self.places.get(usize::from(slot))
    }

    pub(crate) fn place_mut(&mut self, slot: u16) -> Option<&mut Place> {
        self.places.get_mut(usize::from(slot))
    }
}

fn say(host: &mut impl Host, is_read: bool, line: Arguments<'_>) {
    if is_read {
        host.log(line);
    } else {
        host.debug(line);
    }
}
