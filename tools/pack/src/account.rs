//! Budgets: how much CPU time a slot gets in each period, as the manifest writes it, and what of it cannot be.
//!
//! Invariant: what passes [`check`] the kernel accepts.

use std::fmt;
use std::ops::RangeInclusive;

use abi::kernel::control::{MAX_PERIOD, MIN_BUDGET};
use ipc::system::{Slot, Target};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use toml::Spanned;

use crate::manifest::{Manifest, Server};
use crate::plan::{Filled, Plan};
use crate::report::Report;

/// A time in nanoseconds, written with its unit: `"100us"`, `"2ms"`, `"1s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Time {
    fn read(text: &str) -> Option<Self> {
        let units = [("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];
        let find = |(unit, factor)| {
            let number = text.trim().strip_suffix(unit)?.trim().parse::<u64>().ok()?;
            number.checked_mul(factor).map(Self)
        };
        units.into_iter().find_map(find)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            time if time.is_multiple_of(1_000_000_000) => write!(f, "{}s", time / 1_000_000_000),
            time if time.is_multiple_of(1_000_000) => write!(f, "{}ms", time / 1_000_000),
            time => write!(f, "{}us", time / 1_000),
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

struct Written;

impl Visitor<'_> for Written {
    type Value = Time;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time like \"2ms\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
        Time::read(text).ok_or_else(|| E::custom(format!("`{text}` is not a time")))
    }
}

/// Budget and period of a slot, in nanoseconds; 0 and 0 if it has no limit.
pub fn of(server: &Server) -> (u64, u64) {
    match (&server.budget, &server.period) {
        (Some(budget), Some(period)) => (budget.get_ref().0, period.get_ref().0),
        _ => (0, 0),
    }
}

/// What is wrong with a slot's budget.
pub fn check(manifest: &Manifest, slot: &Filled<'_>) -> Option<Report> {
    const BOTH: &str = "write both, like `budget = \"2ms\"` and `period = \"10ms\"`";
    let (budget, period) = match (&slot.server.budget, &slot.server.period) {
        (None, None) => return None,
        (Some(given), None) => {
            return Some(manifest.at(given.span(), "there is no `period`", BOTH));
        }
        (None, Some(given)) => {
            return Some(manifest.at(given.span(), "there is no `budget`", BOTH));
        }
        (Some(budget), Some(period)) => (budget, period),
    };
    if slot.name == "supervisor" {
        let help = "leave `budget` and `period` out: without it nothing goes on";
        return Some(manifest.at(budget.span(), "the supervisor has no limit", help));
    }
    let longest = Time(MAX_PERIOD);
    within(manifest, "period", period, Time(0)..=longest)
        .or_else(|| within(manifest, "budget", budget, Time(MIN_BUDGET)..=*period.get_ref()))
}

fn within(
    manifest: &Manifest,
    key: &str,
    given: &Spanned<Time>,
    range: RangeInclusive<Time>,
) -> Option<Report> {
    let (value, least, most) = (*given.get_ref(), *range.start(), *range.end());
    let (what, help) = if value > most {
        (format!("`{key}` is above {most}"), "lower it; a budget is at most its period")
    } else if value < least {
        (format!("`{key}` is below {least}"), "raise it, and the period with it")
    } else {
        return None;
    };
    Some(manifest.at(given.span(), &what, help))
}

/// What may be a mistake: budgets that cannot be had, and turns that cost a client more than it has.
pub fn warn(manifest: &Manifest, plan: &Plan<'_>) -> Vec<Report> {
    let limited = plan.slots.iter().filter(|slot| slot.budget != 0);
    limited
        .clone()
        .filter_map(|slot| starved(manifest, plan, slot))
        .chain(limited.flat_map(|slot| dear(manifest, plan, slot)))
        .collect()
}

/// Thousandths of all time.
fn share(slot: &Slot) -> u64 {
    (slot.budget * 1000).checked_div(slot.period).unwrap_or(0)
}

/// The budgets of those that come before a slot on its vCPU leave less than its own.
fn starved(manifest: &Manifest, plan: &Plan<'_>, slot: &Slot) -> Option<Report> {
    let before = plan.slots.iter().filter(|other| {
        other.budget != 0
            && other.vcpu == slot.vcpu
            && other.priority >= slot.priority
            && other.name != slot.name
    });
    let taken: u64 = before.clone().map(share).sum();
    if taken + share(slot) <= 1000 {
        return None;
    }
    let names: Vec<String> = before.map(|other| format!("`{}`", other.name)).collect();
    let what = format!("`{}` cannot have its budget beside {}", slot.name, names.join(", "));
    let help = "lower budgets until they are 100 % of the time together";
    Some(manifest.at_slot(&slot.name, &what, help).into_warning())
}

/// Servers whose turns are known to take longer than the budget of a client.
fn dear(manifest: &Manifest, plan: &Plan<'_>, slot: &Slot) -> Vec<Report> {
    let wired = slot.table.iter().filter_map(|handle| match handle.target {
        Target::Wire { slot, .. } => plan.slots.get(usize::from(slot)),
        _ => None,
    });
    let told = |name: &str| {
        let server = manifest.servers.iter().find(|(other, _)| other.as_str() == name);
        server.is_some_and(|(_, server)| server.longest_ms.is_some())
    };
    let dear = wired.filter(|server| told(&server.name) && server.longest > slot.budget);
    let report = |server: &Slot| {
        let what = format!(
            "a turn of `{}` can take {}, and the budget of its client `{}` is {}",
            server.name,
            Time(server.longest),
            slot.name,
            Time(slot.budget)
        );
        let help = "the client rests until it has paid; lower `longest_ms`, or raise `budget`";
        manifest.at_slot(&slot.name, &what, help).into_warning()
    };
    dear.map(report).collect()
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn times_have_units() {
        assert_eq!(Time::read("100us"), Some(Time(100_000)));
        assert_eq!(Time::read(" 2 ms"), Some(Time(2_000_000)));
        assert_eq!(Time::read("60s"), Some(Time(60_000_000_000)));
        for wrong in ["", "ms", "2", "2m", "-1ms", "1.5ms", "99999999999999s", "2ns"] {
            assert_eq!(Time::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_are_told_as_they_are_written() {
        for text in ["100us", "2ms", "60s", "1500us"] {
            assert_eq!(Time::read(text).map(|time| time.to_string()).as_deref(), Some(text));
        }
    }
}
