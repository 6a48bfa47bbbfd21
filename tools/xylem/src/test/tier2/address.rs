//! Where a domain's network address comes from: the manifest, a DHCP server, or the words at its creation.

use super::fault::{Outcome, ensure};
use super::machine::{Machine, Order};

/// A manifest with an address: it is used, and nobody is asked for another.
pub fn of_manifest(machine: &Machine<'_>) -> Outcome {
    expect(machine, Order::of("web-static"), "10.0.3.77")
}

/// Words at creation come before the manifest, both ways; nothing is packed again.
pub fn of_words(machine: &Machine<'_>) -> Outcome {
    let before = machine.packed("web-static")?;
    let extra = "net.address=10.0.3.78/24 net.gateway=10.0.3.2";
    expect(machine, Order { name: "moved", extra, ..Order::of("web-static") }, "10.0.3.78")?;
    let extra = "net.dhcp=true";
    expect(machine, Order { name: "leased", extra, ..Order::of("web-static") }, "10.0.3.15")?;
    ensure(before == machine.packed("web-static")?, "the image", || "it is another one".into())
}

fn expect(machine: &Machine<'_>, order: Order<'_>, wanted: &str) -> Outcome {
    let step = format!("the address of {}", order.name);
    let guest = machine.create(order)?;
    let address = guest.address()?;
    ensure(address == wanted, &step, || format!("it is {address}, not {wanted}"))?;
    guest.page()?;
    guest.is_unhurt("its start")?;
    guest.destroy()
}
