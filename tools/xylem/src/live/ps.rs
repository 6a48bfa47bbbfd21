//! `ps`: the servers of a running domain, once.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use ipc::manage::{Answer, Request};
use ipc::status::{SlotStatus, Snapshot, State};
use serde_json::{Value, json};

use crate::args::Ps;
use crate::failure::{Failure, Result};
use crate::link::Link;
use crate::live::rates::{Rate, rates};
use crate::live::{duration, open};

/// Between the two looks that rates are made of.
const BETWEEN: Duration = Duration::from_millis(300);

/// Tells the servers.
///
/// # Errors
/// Those of the link.
pub fn ps(args: &Ps) -> Result<ExitCode> {
    let mut link = open(&args.place)?;
    let before = snapshot(&mut link)?;
    std::thread::sleep(BETWEEN);
    let after = snapshot(&mut link)?;
    let rates = rates(&before, &after);
    if args.json {
        println!("{}", data(link.domain(), &after, &rates));
    } else {
        print!("{}", table(&after, &rates));
    }
    Ok(ExitCode::SUCCESS)
}

/// The state of the system.
///
/// # Errors
/// Those of the link.
pub fn snapshot(link: &mut Link) -> Result<Snapshot> {
    match link.ask(&Request::Status)? {
        Answer::Status(snapshot) => Ok(snapshot),
        other => Err(strange(&other)),
    }
}

/// An answer to something that was not asked.
pub fn strange(answer: &Answer) -> Failure {
    let text: String = format!("{answer:?}").chars().take(200).collect();
    Failure::Nothing { what: format!("the server `manage` answers what was not asked: {text}") }
}

/// The names of the columns of [`cells`].
pub const HEAD: [&str; 12] = [
    "SLOT", "STATE", "UPTIME", "RESTARTS", "PRIO", "VCPU", "MEMORY", "CPU %", "CPU ms", "CALLS/s",
    "SERVED/s", "VERSION",
];
/// Their widths; the first and the last are to the left.
pub const WIDTHS: [usize; 12] = [16, 8, 8, 8, 4, 4, 8, 6, 9, 9, 9, 24];

/// A server, by columns.
pub fn cells(server: &SlotStatus, rate: &Rate) -> [String; 12] {
    [
        server.name.clone(),
        state(server.state).into(),
        duration(server.age),
        server.restarts.to_string(),
        server.priority.to_string(),
        server.vcpu.to_string(),
        format!("{} K", server.pages * 4),
        format!("{:.1}", rate.cpu),
        (server.cpu / 1_000_000).to_string(),
        format!("{:.0}", rate.calls),
        format!("{:.0}", rate.served),
        version(server),
    ]
}

/// The version and the first digits of the image's digest, and the image's name if it is not the slot's.
fn version(server: &SlotStatus) -> String {
    let image = if server.image == server.name { "" } else { &server.image };
    let text = format!("{image} {} {}", server.version, hex(&server.build));
    text.trim().to_owned()
}

/// The system, in a line.
pub fn summary(snapshot: &Snapshot) -> String {
    format!(
        "{}: up {}, domain {} on Xen {}.{}, {} vCPUs; memory: {} K, of which {} K free and {} K kernel",
        snapshot.system,
        duration(snapshot.uptime),
        snapshot.domain,
        snapshot.xen.0,
        snapshot.xen.1,
        snapshot.vcpus,
        snapshot.memory * 4,
        snapshot.free * 4,
        snapshot.kernel * 4
    )
}

fn table(snapshot: &Snapshot, rates: &[Rate]) -> String {
    let mut text = row(&HEAD.map(String::from));
    for (server, rate) in snapshot.servers.iter().zip(rates) {
        text.push_str(&row(&cells(server, rate)));
    }
    text + &summary(snapshot) + "\n"
}

fn row(cells: &[String; 12]) -> String {
    let mut line = String::new();
    for (at, (cell, width)) in cells.iter().zip(WIDTHS).enumerate() {
        // Writing to a string does not fail.
        let _ = match at {
            0 | 1 | 11 => write!(line, "{cell:<width$} "),
            _ => write!(line, "{cell:>width$} "),
        };
    }
    line.truncate(line.trim_end().len());
    line + "\n"
}

fn data(domain: &str, snapshot: &Snapshot, rates: &[Rate]) -> Value {
    let server = |(server, rate): (&SlotStatus, &Rate)| {
        json!({
            "slot": server.name, "image": server.image, "version": server.version,
            "build": hex(&server.build), "state": state(server.state),
            "uptime_ns": server.age, "restarts": server.restarts, "priority": server.priority,
            "vcpu": server.vcpu, "memory_bytes": server.pages * 4096, "cpu_ns": server.cpu,
            "cpu_percent": rate.cpu, "calls": server.calls, "served": server.served,
            "calls_per_second": rate.calls, "served_per_second": rate.served,
            "paid_ns": server.paid, "granted_ns": server.granted,
        })
    };
    json!({
        "domain": domain, "system": snapshot.system, "id": snapshot.domain,
        "uptime_ns": snapshot.uptime, "xen": format!("{}.{}", snapshot.xen.0, snapshot.xen.1),
        "vcpus": snapshot.vcpus, "memory_bytes": snapshot.memory * 4096,
        "free_bytes": snapshot.free * 4096, "kernel_bytes": snapshot.kernel * 4096,
        "servers": snapshot.servers.iter().zip(rates).map(server).collect::<Vec<_>>(),
    })
}

/// A state, for people.
pub const fn state(state: State) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Running => "running",
        State::Waiting => "waiting",
        State::Calling => "calling",
        State::Down => "down",
        State::Off => "off",
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{data, table};
    use crate::live::rates::rates;
    use crate::live::rates::tests::{server, snapshot};

    #[test]
    fn columns_stand_below_one_another() {
        let one = snapshot(9, vec![server("httpd", 7_000_000, 3), server("net", 0, 0)]);
        let text = table(&one, &rates(&one, &one));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("SLOT") && lines[1].starts_with("httpd "));
        let at = lines[0].find("VERSION").unwrap();
        assert_eq!(lines[1].get(at..), Some("v1 010203ff"));
        assert!(lines[3].starts_with("web: up 0s, domain 7 on Xen 4.20"));
    }

    #[test]
    fn data_has_numbers_without_units() {
        let one = snapshot(9, vec![server("httpd", 7, 3)]);
        let value = data("web", &one, &rates(&one, &one));
        assert_eq!(value["servers"][0]["memory_bytes"], 256 * 4096);
        assert_eq!(value["domain"], "web");
    }
}
