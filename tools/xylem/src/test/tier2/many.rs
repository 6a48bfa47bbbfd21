//! Several domains at the same time.

use std::collections::BTreeSet;

use super::fault::{Outcome, contains, ensure};
use super::machine::{ASK, Machine, Order};

/// How many.
const COUNT: usize = 5;

/// Five domains, each with an address of its own, all of whose pages answer while the others run; and all of them together.
pub fn five(machine: &Machine<'_>) -> Outcome {
    let names: Vec<String> = (1..=COUNT).map(|number| format!("web-{number}")).collect();
    let mut guests = Vec::new();
    for name in &names {
        guests.push(machine.create(Order { name, ..Order::of("web") })?);
    }
    let mut addresses = BTreeSet::new();
    for guest in &guests {
        let id = guest.id()?;
        let status = guest.status()?;
        contains(&status, &format!("\"domain\":{id},"), "the page is the domain's own")?;
        addresses.insert(guest.address()?);
    }
    let step = "each has an address of its own";
    ensure(addresses.len() == COUNT, step, || format!("{addresses:?}"))?;
    let urls: Vec<String> = addresses.iter().map(|address| format!("http://{address}/")).collect();
    together(machine, &urls)?;
    guests.iter().try_for_each(|guest| guest.is_unhurt("having neighbours"))
}

/// All are asked at once, ten times each.
fn together(machine: &Machine<'_>, urls: &[String]) -> Outcome {
    let step = "all pages at once";
    let each: Vec<String> = urls
        .iter()
        .map(|url| format!("ab -l -q -c 1 -n 10 {url} | grep -E '^(Complete|Failed) requests' &"))
        .collect();
    let report = machine.run(step, &format!("{} wait", each.join(" ")), 3 * ASK)?;
    let lines = |title: &str, number: &str| {
        let is_it = |line: &&str| line.starts_with(title) && line.ends_with(&format!(" {number}"));
        report.lines().filter(is_it).count()
    };
    let is_good = lines("Complete", "10") == COUNT && lines("Failed", "0") == COUNT;
    ensure(is_good, step, || report.clone())
}
