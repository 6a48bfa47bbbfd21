//! Back ends that lie or go away: the device is closed and, where the backend is sane again, connected again. The domain
//! lives all the time.

use std::time::Duration;

use super::fault::{Outcome, Step, contains};
use super::files::Files;
use super::guest::Guest;
use super::machine::{ASK, Machine, Order};
use super::poke;

/// For the front end to see and to act.
const SEEN: Duration = Duration::from_secs(20);
/// For a broken device to be tried again, which is after 30 seconds, and to answer.
const BACK: Duration = Duration::from_secs(90);
/// Where the backend's index of responses is in a ring's page (Xen public/io/ring.h).
const RESPONSES: u64 = 8;

/// A backend whose state is none, or closing out of the blue: the link goes down, and comes back with the backend.
pub fn states(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    for (state, is_number) in [("99", true), ("''", false), ("four", false), ("5", true)] {
        web.mark()?;
        let step = format!("the backend's state is {state}");
        machine.run(&step, &write(&web, "state", state)?, ASK)?;
        web.sees("the link is down", SEEN)?;
        lives(&web)?;
        if !is_number {
            // Linux's backend does not replace a text that is no number, so somebody must.
            machine.run(&step, &write(&web, "state", "6")?, ASK)?;
        }
        web.sees("the link is up", SEEN)?;
        web.page()?;
        web.is_unhurt(&step)?;
    }
    Ok(())
}

/// A backend that tells nonsense about the device: it is given up with a reason, and tried again later.
pub fn facts(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    web.mark()?;
    let (id, mac) = (web.id()?, crate::place::mac_of("web"));
    let own = format!("xenstore-write /local/domain/{id}/device/vif/0/mac");
    let nonsense =
        format!("{own} zz && {} && {}", write(&web, "mac", "zz")?, write(&web, "state", "5")?);
    machine.run("a hardware address that is none", &nonsense, ASK)?;
    gives_up(&web, "vif/0")?;
    lives(&web)?;
    let sense = format!("{own} {mac} && {}", write(&web, "mac", &mac)?);
    machine.run("the right hardware address", &sense, ASK)?;
    comes_back(&web, "/")
}

/// Back ends of network and disk that count more responses than there were requests.
pub fn rings(machine: &Machine<'_>) -> Outcome {
    let files = Files::make(machine, 1 << 20)?;
    let order = Order { name: "web-files", disks: vec![files.disk()], ..Order::of("web") };
    let web = machine.create(order)?;
    web.page()?;
    web.get("a file", "/files/noise.bin").map(drop).or_else(|_| web.page().map(drop))?;
    for (device, node) in [("vbd/51712", "ring-ref"), ("vif/0", "tx-ring-ref")] {
        web.mark()?;
        let step = format!("{node} of {device}");
        let read = format!("xenstore-read /local/domain/{}/device/{device}/{node}", web.id()?);
        let reference = machine.run(&step, &read, ASK)?.trim().parse().step(&step)?;
        poke::granted(machine, web.id()?, reference, RESPONSES, &0x7fff_0000_u32.to_le_bytes())?;
        // Only a turn at the ring shows it.
        let url = web.url("/files/noise.bin?again")?;
        machine.exec(
            &step,
            &format!("curl -s -o /dev/null -m 3 -H 'Range: bytes=9999-' {url}"),
            ASK,
        )?;
        gives_up(&web, device)?;
        lives(&web)?;
    }
    comes_back(&web, "/")?;
    comes_back(&web, "/files/inside/A%20long%20name.txt")
}

/// A backend that dies without a word, and another one in its place.
pub fn replaced(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    web.mark()?;
    let id = web.id()?;
    let driver = "/sys/bus/xen-backend/drivers/vif";
    machine.run("unbind the backend", &format!("echo vif-{id}-0 >{driver}/unbind"), ASK)?;
    lives(&web)?;
    let bind = format!(
        "echo vif-{id}-0 >{driver}/bind; ip link set vif{id}.0 master xenbr0 up && {}",
        write(&web, "hotplug-status", "connected")?
    );
    machine.run("bind another backend", &bind, ASK)?;
    web.sees("the link is up", BACK)?;
    web.page()?;
    web.is_unhurt("another backend")
}

/// The command that writes a node of the network device's backend.
fn write(web: &Guest<'_>, node: &str, text: &str) -> Outcome<String> {
    Ok(format!("xenstore-write /local/domain/0/backend/vif/{}/0/{node} {text}", web.id()?))
}

/// The device is closed, and both the log and domain 0 are told why.
fn gives_up(web: &Guest<'_>, device: &str) -> Outcome {
    web.sees(&format!("device/{device}: the backend broke the rules"), SEEN)?;
    let step = format!("domain 0 is told of {device}");
    let read = format!("xenstore-read /local/domain/{}/error/device/{device}/error", web.id()?);
    let told = web.machine().until(&step, &read, SEEN)?;
    contains(&told, "the backend broke the rules", &step)
}

/// The domain's console answers, and no server has faulted.
fn lives(web: &Guest<'_>) -> Outcome {
    web.types("uptime")?;
    contains(&web.sees("web: up ", SEEN)?, "on Xen", "the console answers")?;
    web.is_healthy("the domain lives")
}

/// After the pause for a broken device a page answers again.
fn comes_back(web: &Guest<'_>, path: &str) -> Outcome {
    let url = web.url(path)?;
    let step = format!("{url} comes back");
    web.machine().until(&step, &format!("curl -sSf -o /dev/null -m 3 {url} 2>&1"), BACK)?;
    web.is_healthy(&step)
}
