//! The state of the system, as a table for people.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Write;

use abi::kernel::control::{NO_LIMIT, OBJECT_KINDS};
use ipc::status::{Contention, SlotStatus, Snapshot, State};

/// One line for each server.
pub fn servers(snapshot: &Snapshot, out: &mut String) {
    let _ = writeln!(
        out,
        "{:<16} {:<9} {:>4} {:>4} {:>8} {:>10} {:>16} {:>10} {:>10} {:>8} {:>9}  VERSION",
        "NAME",
        "STATE",
        "PRIO",
        "VCPU",
        "MEMORY",
        "CPU ms",
        "PAID/GRANTED ms",
        "CALLS",
        "SERVED",
        "RESTARTS",
        "UPTIME s"
    );
    for server in &snapshot.servers {
        let _ = writeln!(
            out,
            "{:<16} {:<9} {:>4} {:>4} {:>6} K {:>10} {:>16} {:>10} {:>10} {:>8} {:>9}  {}",
            server.name,
            state(server.state),
            server.priority,
            server.vcpu,
            server.pages * 4,
            server.cpu / 1_000_000,
            account(server),
            server.calls,
            server.served,
            server.restarts,
            server.age / 1_000_000_000,
            server.version
        );
    }
    let _ = writeln!(
        out,
        "memory: {} K, of which {} K free and {} K kernel",
        snapshot.memory * 4,
        snapshot.free * 4,
        snapshot.kernel * 4
    );
    let Contention { at_once, waited, yields } = snapshot.lock;
    let _ = writeln!(
        out,
        "kernel lock: {at_once} times at once, {waited} times after a wait, {yields} yields; {} flushes",
        snapshot.flushes
    );
}

/// What each slot holds of the kernel's objects, and how much it may hold.
pub fn objects(snapshot: &Snapshot, out: &mut String) {
    const KINDS: [&str; OBJECT_KINDS.len()] =
        ["FRAMES", "TABLES", "REGIONS", "HANDLES", "SERVERS", "PORTS", "WINDOWS", "GRANTS"];
    let _ = write!(out, "{:<16}", "NAME");
    KINDS.iter().for_each(|kind| _ = write!(out, " {kind:>11}"));
    out.push('\n');
    for server in &snapshot.servers {
        let _ = write!(out, "{:<16}", server.name);
        for (used, limit) in server.held {
            let limit = if limit == NO_LIMIT { String::from("-") } else { limit.to_string() };
            let _ = write!(out, " {:>11}", format!("{used}/{limit}"));
        }
        out.push('\n');
    }
}

/// How long the domain runs, and on what.
pub fn uptime(snapshot: &Snapshot, out: &mut String) {
    let seconds = snapshot.uptime / 1_000_000_000;
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    let _ = writeln!(
        out,
        "{}: up {days} d {hours:02}:{minutes:02}:{rest:02}, domain {} on Xen {}.{}, {} vCPUs",
        snapshot.system, snapshot.domain, snapshot.xen.0, snapshot.xen.1, snapshot.vcpus
    );
}

/// CPU time charged and given, in milliseconds; nothing was given where there is no limit.
fn account(server: &SlotStatus) -> String {
    let granted = match server.granted {
        0 => String::from("-"),
        granted => (granted / 1_000_000).to_string(),
    };
    format!("{}/{granted}", server.paid / 1_000_000)
}

const fn state(state: State) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Running => "running",
        State::Waiting => "waiting",
        State::Calling => "calling",
        State::Down => "down",
        State::Off => "off",
    }
}
