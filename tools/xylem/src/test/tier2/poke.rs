//! Writes to the memory of the whole machine, behind everybody's back: what a lying back end could do.
//!
//! QEMU's debugger port is opened for one write and closed again; the machine stands still meanwhile. The protocol is that
//! of GDB's remote serial protocol, with QEMU's addition that makes addresses physical ones.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::fault::{Fault, Outcome, Step, ensure};
use super::machine::{ASK, Machine};

/// For one answer of the debugger's port.
const LIMIT: Duration = Duration::from_secs(10);

/// Writes bytes at an offset of the page that a domain has granted to domain 0 under this reference.
///
/// # Errors
/// When the page is not in use, or QEMU refuses.
pub fn granted(
    machine: &Machine<'_>,
    domain: u32,
    reference: u32,
    offset: u64,
    bytes: &[u8],
) -> Outcome {
    let step = format!("find the page of reference {reference}");
    let log = machine.run(&step, "xl debug-keys g; sleep 0.5; xl dmesg", ASK)?;
    let frame = frame_of(&log, domain, reference)
        .ok_or_else(|| Fault::new(step, "no such grant is in use"))?;
    physical(machine, (frame << 12) + offset, bytes)
}

/// The machine frame of an active grant, from the last table that Xen printed.
fn frame_of(log: &str, domain: u32, reference: u32) -> Option<u64> {
    let (_, table) = log.rsplit_once(&format!("grant-table for remote d{domain} "))?;
    let mark = format!("[{reference:#05x}]");
    let line = table.lines().find(|line| line.contains(&mark))?;
    let frame = line.split_once(&mark)?.1.split_whitespace().nth(1)?;
    u64::from_str_radix(frame.strip_prefix("0x")?, 16).ok()
}

fn physical(machine: &Machine<'_>, address: u64, bytes: &[u8]) -> Outcome {
    let step = "write to the machine's memory";
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let place = format!("127.0.0.1:{}", port.step(step)?.port());
    let mut monitor = machine.instance().monitor().step(step)?;
    monitor.human(&format!("gdbserver tcp:{place}")).step(step)?;
    let written = debug(&place, address, bytes);
    monitor.human("gdbserver none").step(step)?;
    written
}

fn debug(place: &str, address: u64, bytes: &[u8]) -> Outcome {
    let step = "talk to QEMU's debugger port";
    let mut stream = TcpStream::connect(place).step(step)?;
    stream.set_read_timeout(Some(LIMIT)).step(step)?;
    let hex = bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    for command in [
        "Qqemu.PhyMemMode:1".to_owned(),
        format!("M{address:x},{:x}:{hex}", bytes.len()),
        "D".to_owned(),
    ] {
        let sum = command.bytes().fold(0_u8, u8::wrapping_add);
        stream.write_all(format!("${command}#{sum:02x}").as_bytes()).step(step)?;
        let answer = answer(&mut stream).step(step)?;
        ensure(answer == "OK", step, || format!("`{command}` was answered with `{answer}`"))?;
        stream.write_all(b"+").step(step)?;
    }
    Ok(())
}

/// The text of the next packet, `$text#sum`.
fn answer(stream: &mut TcpStream) -> std::io::Result<String> {
    let (mut text, mut byte) = (String::new(), [0]);
    let mut next = || stream.read_exact(&mut byte).map(|()| char::from(byte[0]));
    while next()? != '$' {}
    loop {
        match next()? {
            '#' => break,
            other => text.push(other),
        }
    }
    next()?;
    next()?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::frame_of;

    #[test]
    fn the_last_table_of_the_domain_counts() {
        let log = "(XEN) grant-table for remote d1 (v1)\n(XEN) [0x188]      0 0x11111 0x00000001\n\
                   (XEN) grant-table for remote d0 (v1)\n(XEN) no active grant table entries\n\
                   (XEN) grant-table for remote d1 (v1)\n(XEN) [0x001]      0 0x58952 0x00000002\n\
                   (XEN) [0x188]      0 0x58540 0x00000001          0 0x000d40 0x19\n";
        assert_eq!(frame_of(log, 1, 0x188), Some(0x58540));
        assert_eq!(frame_of(log, 1, 0x189), None);
        assert_eq!(frame_of(log, 10, 1), None);
    }
}
