//! Clients without manners: whatever they do, a good client is answered and no server faults.
//!
//! The scripts run in bash in domain 0, which opens connections by `/dev/tcp`.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::fault::{Outcome, Step, contains, ensure};
use super::machine::Machine;
use super::packet::{FRAME, Ghost, MAC_TEXT, mac};
use crate::place::mac_of;

/// For one script.
const LIMIT: Duration = Duration::from_secs(60);

/// Opens `$1` connections to `$2`, their numbers in `fds`.
const OPEN: &str = "open() { fds=(); for i in $(seq $1); do exec {fd}<>/dev/tcp/$2/80 || return 1; fds+=($fd); done; }; ";

/// Heads that come a field at a time, on more connections than the server has places for.
pub fn slowloris(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    let (step, address) = ("a page while 100 heads come slowly", web.address()?);
    let script = format!(
        "{OPEN} trap '' PIPE; open 100 {address}; \
         for fd in ${{fds[@]}}; do printf 'GET / HTTP/1.1\\r\\nHost: x\\r\\n' >&$fd; done; \
         for round in 1 2 3 4; do \
           for fd in ${{fds[@]}}; do printf 'X-%d: 1\\r\\n' $round >&$fd; done 2>/dev/null; \
           curl -sS -o /dev/null -m 8 -w '%{{http_code}} ' http://{address}/ 2>&1; sleep 0.5; \
         done"
    );
    let codes = machine.run(step, &script, LIMIT)?;
    ensure(codes.trim() == "200 200 200 200", step, || format!("codes: {}", codes.trim()))?;
    web.is_unhurt("slow heads")
}

/// Connections on which nothing is ever said, more than there are places.
pub fn silent(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    let (step, address) = ("a page while 120 clients say nothing", web.address()?);
    let script = format!(
        "{OPEN} open 120 {address}; for i in 1 2 3; do \
           curl -sS -o /dev/null -m 8 -w '%{{http_code}} ' http://{address}/ 2>&1; done"
    );
    let codes = machine.run(step, &script, LIMIT)?;
    ensure(codes.trim() == "200 200 200", step, || format!("codes: {}", codes.trim()))?;
    web.is_unhurt("silent clients")
}

/// Connections that are begun and never finished, by clients that are not there, more than can be open.
pub fn half_open(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    let step = "a page after 600 half-open connections";
    let host = web.address()?.parse().step(step)?;
    let host_mac = mac(&mac_of(web.name())).unwrap_or_default();
    let mut frames = Vec::new();
    for last in 200..206 {
        let ghost = Ghost { address: Ipv4Addr::new(10, 0, 3, last), host_mac, host };
        frames.extend(ghost.hello());
        (0..100).for_each(|port| frames.extend(ghost.syn(1024 + port)));
    }
    machine.dom0().write(&mut frames.as_slice(), frames.len() as u64, "/tmp/frames").step(step)?;
    // The answers must not reach QEMU's gateway, which would break the connections off in the clients' name.
    let send = format!(
        "bridge fdb replace {MAC_TEXT} dev vif{}.0 master static && \
         socat -u -b {FRAME} OPEN:/tmp/frames INTERFACE:xenbr0 2>&1",
        web.id()?
    );
    machine.run("send them", &send, LIMIT)?;
    // A client that finds no place tries again after 1, 3 and 7 seconds.
    let get = format!("curl -sS -o /dev/null -m 15 -w '%{{http_code}} ' {} 2>&1", web.url("/")?);
    let codes = machine.run(step, &format!("{get}; {get}; {get}"), LIMIT)?;
    ensure(codes.trim() == "200 200 200", step, || format!("codes: {}", codes.trim()))?;
    web.is_unhurt("half-open connections")
}

/// A target, a field, and a number of fields that are too long or too many.
pub fn oversized(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    let url = web.url("/")?;
    let long = "$(printf '%*s' 9000 '' | tr ' ' x)";
    for (what, words, codes) in [
        ("a target of 9000 bytes", format!("{url}{long}"), "414"),
        ("a target of 3000 bytes", format!("{url}$(printf '%*s' 3000 '' | tr ' ' x)"), "414"),
        ("a field of 9000 bytes", format!("-H \"X: {long}\" {url}"), "431"),
        ("100 fields", format!("$(for i in $(seq 100); do echo -H X-$i:1; done) {url}"), "431"),
        ("a body", format!("-X GET -d {long} {url}"), "413"),
        ("a method that is none of its own", format!("-X BREW {url}"), "405"),
    ] {
        let curl = format!("curl -s -o /dev/null -m 8 -w '%{{http_code}}' {words}");
        let code = machine.exec(what, &curl, LIMIT)?.text;
        ensure(code.trim() == codes, what, || format!("the code is {code}, not {codes}"))?;
        web.is_unhurt(what)?;
    }
    Ok(())
}

/// Twenty requests in one go: all are answered, in order.
pub fn pipelined(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    let (step, address) = ("20 requests in one go", web.address()?);
    let script = format!(
        "for i in $(seq 10); do printf 'GET /status.json HTTP/1.1\\r\\nHost: x\\r\\n\\r\\nGET /no-%d HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' $i; done \
         >/tmp/requests; printf 'HEAD / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' >>/tmp/requests; \
         socat -t 10 - TCP:{address}:80 </tmp/requests | grep -a -o '^HTTP/1.1 [0-9]*' | cut -d' ' -f2 | tr '\\n' ' '"
    );
    let codes = machine.run(step, &script, LIMIT)?;
    let wanted = format!("{}200", "200 404 ".repeat(10));
    ensure(codes.trim() == wanted, step, || format!("codes: {}", codes.trim()))?;
    web.is_unhurt(step)
}

/// Bytes that are no request.
pub fn garbage(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    let address = web.address()?;
    for (what, bytes) in [
        ("noise", "head -c 20000 /dev/urandom"),
        ("zeros", "head -c 20000 /dev/zero"),
        ("a line end", "printf '\\r\\n\\r\\n\\r\\n'"),
        ("half a request", "printf 'GET / HT'"),
        ("a TLS greeting", "printf '\\x16\\x03\\x01\\x02\\x00\\x01\\x00\\x01\\xfc\\x03\\x03'"),
        ("HTTP/2", "printf 'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n'"),
    ] {
        let script =
            format!("{bytes} | socat -t 1 - TCP:{address}:80 2>/dev/null | head -c 12; true");
        let said = machine.run(what, &script, LIMIT)?;
        let is_refused =
            said.is_empty() || said.starts_with("HTTP/1.1 4") || said.starts_with("HTTP/1.1 5");
        ensure(is_refused, what, || format!("answered with {said:?}"))?;
        web.is_unhurt(what)?;
    }
    let reset = "for i in $(seq 50); do exec 3<>/dev/tcp/ADDRESS/80; printf 'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' >&3; exec 3>&-; done";
    machine.run("50 clients hang up", &reset.replace("ADDRESS", &address), LIMIT)?;
    contains(&web.get("after 50 that hung up", "/")?, "</html>", "the page")?;
    web.is_unhurt("clients that hang up")
}
