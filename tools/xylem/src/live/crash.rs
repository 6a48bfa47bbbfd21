//! `crash`: why servers died, and where.

use std::fmt::Write as _;
use std::process::ExitCode;

use ipc::history::Death;
use ipc::manage::{Answer, Request};
use serde_json::{Value, json};

use crate::args::Crash;
use crate::failure::{Failure, Result};
use crate::link::Link;
use crate::live::ps::{hex, strange};
use crate::live::source::{Program, Spot};
use crate::live::{duration, entry, moment, open};

/// The names of the registers, as a report has them.
const REGISTERS: [&str; 20] = [
    "rip", "rsp", "rflags", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10",
    "r11", "r12", "r13", "r14", "r15", "cr2", "error",
];

/// Tells the deaths that are kept, or one of them.
///
/// # Errors
/// [`Failure::Nothing`] when there is none like that, and those of the link.
pub fn crash(args: &Crash) -> Result<ExitCode> {
    let mut link = open(&args.place)?;
    let entry = entry(&mut link)?;
    let mut deaths = fetch(&mut link, args.number.unwrap_or(0))?;
    if let Some(number) = args.number {
        deaths.retain(|death| death.number == number);
    }
    if deaths.is_empty() {
        let what = match args.number {
            Some(number) => format!("{} keeps no death with the number {number}", link.domain()),
            None => format!("no server of {} has died", link.domain()),
        };
        return Err(Failure::Nothing { what });
    }
    for death in &deaths {
        let places = places(death);
        if args.json {
            println!("{}", data(death, entry, &places));
        } else {
            println!("{}", text(death, entry, &places));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn fetch(link: &mut Link, mut from: u64) -> Result<Vec<Death>> {
    let mut found: Vec<Death> = Vec::new();
    loop {
        let more = match link.ask(&Request::Deaths(from))? {
            Answer::Deaths(deaths) => deaths,
            other => return Err(strange(&other)),
        };
        let Some(last) = more.last() else { return Ok(found) };
        from = last.number + 1;
        found.extend(more);
    }
}

/// Where each address of a trace lies; empty if the program is not there, which is told.
fn places(death: &Death) -> Vec<Vec<Spot>> {
    match Program::find(&death.image, &death.build) {
        Ok(program) => {
            let called = |(at, address): (usize, &u64)| {
                // A return address is that of the next instruction.
                program.spots(if at == 0 { *address } else { address.wrapping_sub(1) })
            };
            death.trace.iter().enumerate().map(called).collect()
        }
        Err(error) => {
            eprintln!("{error}");
            Vec::new()
        }
    }
}

fn text(death: &Death, entry: u64, places: &[Vec<Spot>]) -> String {
    let Death { number, at, server, incarnation, age, image, version, build, reason, .. } = death;
    let mut text = format!(
        "death {number}: {server} {reason}\n  at {} after {}, incarnation {incarnation}; image {image} {version} {}\n",
        moment(*at, entry).trim(),
        duration(*age),
        hex(build.get(..4).unwrap_or_default()),
    );
    for (at, address) in death.trace.iter().enumerate() {
        let spots = places.get(at).map_or(&[][..], Vec::as_slice);
        // Writing to a string does not fail.
        let _ = match spots {
            [] => writeln!(text, "  {at:>2} {address:#x}"),
            [first, outer @ ..] => {
                let _ = writeln!(text, "  {at:>2} {address:#x} {first}");
                outer.iter().try_for_each(|spot| writeln!(text, "     inlined into {spot}"))
            }
        };
    }
    for row in REGISTERS.iter().zip(&death.registers).collect::<Vec<_>>().chunks(4) {
        for (name, value) in row {
            let _ = write!(text, "  {name:>6} {value:016x}");
        }
        text.push('\n');
    }
    for line in &death.lines {
        let _ = writeln!(text, "  [{server}] {line}");
    }
    text
}

fn data(death: &Death, entry: u64, places: &[Vec<Spot>]) -> Value {
    let spot = |spot: &Spot| {
        let (file, line) = spot.line.clone().map_or((None, None), |(f, l)| (Some(f), Some(l)));
        json!({ "function": spot.function, "file": file, "line": line })
    };
    let frame = |(at, address): (usize, &u64)| {
        let spots = places.get(at).map_or(&[][..], Vec::as_slice);
        json!({ "address": address, "spots": spots.iter().map(spot).collect::<Vec<_>>() })
    };
    let registers: serde_json::Map<String, Value> = REGISTERS
        .iter()
        .zip(death.registers)
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    json!({
        "number": death.number, "at_ns": death.at.saturating_sub(entry), "server": death.server,
        "incarnation": death.incarnation, "age_ns": death.age, "image": death.image,
        "version": death.version, "build": hex(&death.build), "reason": death.reason,
        "registers": registers,
        "trace": death.trace.iter().enumerate().map(frame).collect::<Vec<_>>(),
        "lines": death.lines,
    })
}

#[cfg(test)]
mod tests {
    use super::{data, text};
    use crate::live::source::Spot;
    use ipc::history::{Death, REGISTERS};

    fn death() -> Death {
        let mut registers = [0; REGISTERS];
        registers[0] = 0x40_1000;
        Death {
            number: 3,
            at: 5_000_000_000,
            server: "lamp".into(),
            incarnation: 2,
            age: 4_000_000_000,
            image: "rogue".into(),
            version: "v1".into(),
            build: [9; 32],
            reason: "read of an unmapped page".into(),
            registers,
            trace: vec![0x40_1000, 0x40_2000],
            lines: vec!["last".into()],
        }
    }

    fn places() -> Vec<Vec<Spot>> {
        let spot = |function: &str, line| Spot {
            function: function.into(),
            line: Some(("src/main.rs".into(), line)),
            is_inlined: false,
        };
        vec![vec![spot("read", 3), spot("act", 9)], vec![spot("main", 20)]]
    }

    #[test]
    fn a_report_tells_why_and_where() {
        let text = text(&death(), 1_000_000_000, &places());
        assert!(text.starts_with("death 3: lamp read of an unmapped page\n"), "{text}");
        assert!(
            text.contains(
                " 0 0x401000 read at src/main.rs:3\n     inlined into act at src/main.rs:9\n"
            ),
            "{text}"
        );
        assert!(text.contains(" 1 0x402000 main at src/main.rs:20\n"), "{text}");
        assert!(text.contains("rip 0000000000401000") && text.ends_with("[lamp] last\n"), "{text}");
    }

    #[test]
    fn a_report_without_the_program_has_addresses() {
        assert!(text(&death(), 1_000_000_000, &[]).contains("  0 0x401000\n"));
        assert_eq!(data(&death(), 0, &[])["trace"][1]["address"], 0x40_2000);
        assert_eq!(data(&death(), 0, &places())["trace"][0]["spots"][1]["line"], 9);
    }
}
