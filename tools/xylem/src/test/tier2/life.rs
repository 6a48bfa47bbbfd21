//! A domain's life in the hands of `xl`: left alone, paused, shut down, started again, destroyed, interrupted, and crashed by its own
//! kernel.

use std::time::Duration;

use rig::Restart;
use rig::domain::Reason;

use super::fault::{Outcome, Step, ensure};
use super::guest::{END, Guest};
use super::machine::{ASK, Machine, Order};

/// For a storm of NMIs: xl is a process for each.
const STORM: Duration = Duration::from_secs(50);

/// A paused domain says nothing, and goes on where it was.
pub fn pause(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    web.mark()?;
    let url = web.url("/")?;
    machine.run("xl pause", "xl pause web", ASK)?;
    expect_state(&web, "p")?;
    let asked = machine.exec("a paused domain", &format!("curl -s -m 2 {url}"), ASK)?;
    ensure(!asked.is_ok(), "a paused domain", || "its page answered".into())?;
    machine.run("xl unpause", "xl unpause web", ASK)?;
    web.page()?;
    web.is_unhurt("a pause")
}

/// Seconds for which a domain is left alone.
const LULL: u64 = 10;
/// Of a thousand seconds, how many a domain that nobody asks for anything may use.
const LAZY: u64 = 20;

/// A domain that nobody asks for anything uses next to no time, as `xl list` counts it.
pub fn idle(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    web.page()?;
    machine.run("a lull", "sleep 3", ASK)?;
    let before = milliseconds(machine)?;
    machine.run("a lull", &format!("sleep {LULL}"), ASK)?;
    let used = milliseconds(machine)? - before;
    println!("idle: {used} ms of CPU time in {LULL} s");
    ensure(used <= LAZY * LULL, "a domain with nothing to do", || format!("used {used} ms"))?;
    web.is_unhurt("a lull")
}

/// CPU time that `web` used, in steps of 100 ms.
fn milliseconds(machine: &Machine<'_>) -> Outcome<u64> {
    let step = "xl list";
    let text = machine.run(step, "xl list web | awk 'END { print $6 }'", ASK)?;
    let seconds: f64 = text.trim().parse().step(step)?;
    Ok((seconds * 1_000.0).round() as u64)
}

/// `xl shutdown` ends it, as a poweroff.
pub fn shutdown(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    machine.run("xl shutdown", "xl shutdown web", ASK)?;
    web.is_gone()?;
    expect_reason(&web, Reason::Poweroff)
}

/// What the operator types at the console ends it too.
pub fn typed_shutdown(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    web.types("shutdown")?;
    web.is_gone()?;
    expect_reason(&web, Reason::Poweroff)
}

/// `xl reboot` makes another domain of the same name, whose page answers.
pub fn reboot(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    let before = web.id()?;
    machine.run("xl reboot", "xl reboot web", ASK)?;
    let step = "another domain after xl reboot";
    let other = format!("id=$(xl domid web 2>/dev/null) && [ $id != {before} ] && echo $id");
    machine.until(step, &other, END)?;
    expect_reason(&web, Reason::Reboot)?;
    let web = machine.web()?;
    web.is_unhurt("a reboot")
}

/// Destroyed and created again at once, twice.
pub fn again(machine: &Machine<'_>) -> Outcome {
    for _ in 0..2 {
        machine.web()?.destroy()?;
    }
    let web = machine.web()?;
    web.is_unhurt("having been created again")
}

/// A panic of the kernel is a crash, with its screen on the console.
pub fn panic(machine: &Machine<'_>) -> Outcome {
    for (word, line) in [("test-panic", "a test asked for it"), ("test-fault", "vector 14")] {
        let order = Order { name: word, extra: word, restart: Restart::Keep, ..Order::of("hello") };
        let domain = machine.create(order)?;
        domain.sees("KERNEL PANIC", END)?;
        domain.sees(line, END)?;
        expect_state(&domain, "c")?;
        expect_reason(&domain, Reason::Crash)?;
        domain.destroy()?;
    }
    Ok(())
}

/// A storm of NMIs while pages are fetched: they come in user mode, in traps, and on the ways in and out of the kernel.
pub fn nmis(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    let url = web.url("/")?;
    let storm = format!(
        "ab -l -k -q -n 2000 -c 8 {url} >/tmp/ab.txt & \
         for i in $(seq 100); do xl trigger web nmi 0 || exit 1; done; wait; \
         grep -q 'Failed requests: *0$' /tmp/ab.txt"
    );
    machine.run("100 NMIs and 2000 requests", &storm, STORM)?;
    machine.run("the kernel tells the first NMI", "xl dmesg | grep -q 'NMI at'", ASK)?;
    web.is_unhurt("a storm of NMIs")
}

/// Waits until xl shows this letter.
fn expect_state(guest: &Guest<'_>, letter: &str) -> Outcome {
    let step = format!("xl list shows `{letter}` for {}", guest.name());
    let look = format!(
        "state=$(xl list {} | awk 'NR == 2 {{ print $(NF - 1) }}'); echo $state; case $state in *{letter}*) ;; *) false ;; esac",
        guest.name()
    );
    guest.machine().until(&step, &look, END).map(drop)
}

/// Waits until the toolstack's log has this reason.
fn expect_reason(guest: &Guest<'_>, wanted: Reason) -> Outcome {
    let step = format!("xl's log of {}", guest.name());
    let written =
        format!("grep -c 'has shut down' /var/log/xen/xl-{}.log | grep -v '^0'", guest.name());
    guest.machine().until(&step, &written, END)?;
    let found = guest.domain().last_shutdown().step(&step)?;
    ensure(found == Some(wanted), &step, || format!("the reason is {found:?}, not {wanted:?}"))
}
