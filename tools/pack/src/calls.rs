//! Who may call whom, and what: calls go up in priority and never in a circle, both sides know the same methods and the same
//! memory, and a server that is called never waits in a call of its own.

use std::collections::BTreeSet;

use crate::elf::Method;
use crate::manifest::Manifest;
use crate::plan::Filled;
use crate::report::Report;
use crate::wires::Wire;

/// What wires break of these rules.
pub fn check(manifest: &Manifest, slots: &[Filled<'_>], wires: &[Wire<'_>]) -> Vec<Report> {
    let mut told = BTreeSet::new();
    let mut reports = Vec::new();
    for wire in wires {
        let (Some(&client), Some(&server)) = (slots.get(wire.client), slots.get(wire.server))
        else {
            continue;
        };
        let pair = Pair { manifest, wire, client, server };
        if let Some(circle) = pair.circle(slots, wires) {
            // Each circle once, at the first of its wires that does not go up.
            if told.insert(circle.iter().copied().collect::<BTreeSet<usize>>()) {
                reports.push(pair.in_a_circle(slots, &circle));
            }
        } else {
            reports.extend(pair.priority());
        }
        for used in &wire.need.methods {
            reports.extend(pair.method(used));
            reports.extend(pair.wait(used));
        }
        reports.extend(pair.memory());
    }
    reports
}

/// A wire and its two ends.
struct Pair<'p, 'a> {
    manifest: &'p Manifest,
    wire: &'p Wire<'a>,
    client: Filled<'a>,
    server: Filled<'a>,
}

/// What to do when two images do not fit.
const SAME: &str = "build both from the same interfaces";

impl Pair<'_, '_> {
    fn report(&self, what: &str, help: &str) -> Report {
        self.manifest.at(self.wire.span.clone(), what, help)
    }

    fn goes_up(&self) -> bool {
        !self.wire.calls() || self.client.priority() < self.server.priority()
    }

    fn priority(&self) -> Option<Report> {
        let (client, server) = (self.client.name, self.server.name);
        let (low, high) = (self.client.priority(), self.server.priority());
        if self.wire.calls() && client == "supervisor" {
            let what = format!("the supervisor may not call `{server}`");
            return Some(self.report(&what, "the supervisor calls nobody: leave the wire out"));
        }
        if self.goes_up() {
            return None;
        }
        let what = format!(
            "`{client}` (priority {low}) calls `{server}` (priority {high}): calls go up only"
        );
        let help =
            format!("give `{server}` a priority above {low}, or `{client}` one below {high}");
        Some(self.report(&what, &help))
    }

    /// The circle that a wire which does not go up is a part of: numbers of slots, from the client on.
    fn circle(&self, slots: &[Filled<'_>], wires: &[Wire<'_>]) -> Option<Vec<usize>> {
        if self.goes_up() {
            return None;
        }
        let back = way(slots.len(), wires, self.wire.server, self.wire.client)?;
        Some(std::iter::once(self.wire.client).chain(back).collect())
    }

    fn in_a_circle(&self, slots: &[Filled<'_>], circle: &[usize]) -> Report {
        let names: Vec<String> = circle
            .iter()
            .filter_map(|number| slots.get(*number))
            .map(|slot| format!("`{}`", slot.name))
            .collect();
        let what = format!("calls go in a circle: {}", names.join(" calls "));
        self.report(&what, "no priorities can mend that: leave one of these wires out")
    }

    fn method(&self, used: &Method) -> Option<Report> {
        let (client, server) = (self.client.name, self.server.name);
        let (interface, name) = (&self.wire.need.interface, &used.name);
        let mut methods = self.wire.channel.methods.iter();
        let what = match methods.find(|method| method.number == used.number) {
            None => {
                format!("`{client}` uses `{interface}.{name}`, which `{server}` does not serve")
            }
            Some(served) if served.hash != used.hash => {
                format!("`{client}` and `{server}` disagree about `{interface}.{name}`")
            }
            Some(_) => return None,
        };
        Some(self.report(&what, SAME))
    }

    fn wait(&self, used: &Method) -> Option<Report> {
        let is_called = self.client.elf.serves.iter().any(|end| !end.methods.is_empty());
        if !used.waits || !is_called {
            return None;
        }
        let what = format!(
            "`{}` serves others and calls `{}.{}`, which may wait",
            self.client.name, self.wire.need.interface, used.name
        );
        let help = "a server may call only `now` methods: use the interface's queue";
        Some(self.report(&what, help))
    }

    fn memory(&self) -> Option<Report> {
        if self.wire.need.shape == self.wire.channel.shape {
            return None;
        }
        let what = format!(
            "`{}` and `{}` disagree about the memory of `{}`",
            self.client.name, self.server.name, self.wire.need.interface
        );
        Some(self.report(&what, SAME))
    }
}

/// A shortest way of calls from one slot to another, both included; one slot if they are the same.
fn way(slots: usize, wires: &[Wire<'_>], from: usize, to: usize) -> Option<Vec<usize>> {
    let mut before: Vec<Option<usize>> = vec![None; slots];
    let mut seen = vec![from];
    let mut at = 0;
    while let Some(&slot) = seen.get(at).filter(|slot| **slot != to) {
        for wire in wires.iter().filter(|wire| wire.client == slot && wire.calls()) {
            if !seen.contains(&wire.server) {
                seen.push(wire.server);
                *before.get_mut(wire.server)? = Some(slot);
            }
        }
        at += 1;
    }
    let last = seen.get(at)?;
    let mut way: Vec<usize> =
        std::iter::successors(Some(*last), |slot| before.get(*slot).copied().flatten()).collect();
    way.reverse();
    Some(way)
}
