//! Back ends that lie or go away: the device is given up or connected again, and the domain lives.

use std::time::Duration;

use super::fault::{Outcome, contains};
use super::guest::Guest;
use super::machine::{ASK, Machine};

/// For the front end to see and to act.
const SEEN: Duration = Duration::from_secs(15);
/// For a device to be connected again.
const BACK: Duration = Duration::from_secs(60);

/// A backend whose state is no state: the front end closes, and the domain lives without a network.
pub fn nonsense(machine: &Machine<'_>) -> Outcome {
    for state in ["99", "", "four", "'4 4'"] {
        let web = machine.web()?;
        web.mark()?;
        machine.run("a state that is none", &write(&web, "state", state)?, ASK)?;
        front_is(&web, "[56]")?;
        lives(&web)?;
        web.destroy()?;
    }
    Ok(())
}

/// A backend that closes: the front end closes too.
pub fn closing(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    web.mark()?;
    machine.run("the backend closes", &write(&web, "state", "5")?, ASK)?;
    front_is(&web, "[56]")?;
    lives(&web)?;
    web.destroy()
}

/// A backend that dies without a word, and another one in its place.
pub fn replaced(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    web.mark()?;
    let device = format!("vif-{}-0", web.id()?);
    let driver = "/sys/bus/xen-backend/drivers/vif";
    machine.run("unbind the backend", &format!("echo {device} >{driver}/unbind"), ASK)?;
    lives(&web)?;
    let bind = format!(
        "echo {device} >{driver}/bind; ip link set vif{}.0 master xenbr0 up && {}",
        web.id()?,
        write(&web, "hotplug-status", "connected")?
    );
    machine.run("bind another backend", &bind, ASK)?;
    front_is(&web, "4")?;
    web.page()?;
    web.is_unhurt("another backend")
}

/// The command that writes a node of the network device's backend.
fn write(web: &Guest<'_>, node: &str, text: &str) -> Outcome<String> {
    let text = if text.is_empty() { "''" } else { text };
    Ok(format!("xenstore-write /local/domain/0/backend/vif/{}/0/{node} {text}", web.id()?))
}

/// Waits until the front end's state is one of these.
fn front_is(web: &Guest<'_>, states: &str) -> Outcome {
    let step = format!("the front end's state becomes {states}");
    let look = format!(
        "state=$(xenstore-read /local/domain/{}/device/vif/0/state); echo $state; case $state in {states}) ;; *) false ;; esac",
        web.id()?
    );
    let limit = if states == "4" { BACK } else { SEEN };
    web.machine().until(&step, &look, limit).map(drop)
}

/// The domain's console answers, and no server has faulted.
fn lives(web: &Guest<'_>) -> Outcome {
    web.types("uptime")?;
    let line = web.sees("web: up ", SEEN)?;
    contains(&line, "on Xen", "the console answers")?;
    web.is_healthy("the domain lives")
}
