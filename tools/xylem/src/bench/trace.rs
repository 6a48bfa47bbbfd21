//! What cannot be counted inside the domain: an event interrupts whoever runs, and Xen's own instructions come before it.
//! QEMU writes down each instruction of the kernel that is executed, and those from the first of the upcall to the return to
//! user mode are counted; Xen's and the servers' are not among them. And what all paths do, from their instructions.
//!
//! Invariant: a trace is read only as far as the servers of `meter` say that they have done what is to be counted.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rig::direct::{Boot, Direct};
use rig::{Cache, Machine, Progress};

use super::ipc::Measured;
use crate::code::{Code, Costs, is_return};
use crate::failure::{Failure, Result};
use crate::system;

/// What the run may take: each instruction is a step of its own.
const LIMIT: Duration = Duration::from_secs(300);
/// What the servers say behind the events.
const DONE: &str = "meter: events done";
/// Of the domain, so that the kernel has few pages to make a list of.
const MEMORY: &str = "dom0_mem=48M";

/// A path from an event to user mode.
type Steps = Vec<u64>;

/// Counts of what events cost, and the costs of all paths by name.
///
/// # Errors
/// Those of the rig; the kernel was built without what is looked for.
pub fn measure(
    cache: &Cache,
    kernel: &Path,
    image: &Path,
    progress: &dyn Progress,
) -> Result<Measured> {
    let code = Code::read(kernel)?;
    let paths = system::quiet_phase(progress, "trace", || trace(cache, kernel, image, &code))?;
    let mut counts = BTreeMap::new();
    let mut costs = known_paths(&code);
    for (name, leaves) in [("event", "leave_trap"), ("preemption", "leave_frame")] {
        let ended = |path: &&Steps| path.iter().any(|at| code.address(leaves) == Some(*at));
        let mut found: Vec<&Steps> = paths.iter().filter(ended).collect();
        found.sort_by_key(|path| path.len());
        let length = |at: usize| found.get(at).map_or(0, |path| path.len() as u32);
        let middle = found.len() / 2;
        counts.insert(name.into(), [length(middle), length(0), length(found.len().max(1) - 1)]);
        costs.push((
            name.into(),
            found.get(middle).map_or(Costs::default(), |path| code.costs(path)),
        ));
    }
    Ok((counts, costs))
}

/// The paths of the assembly, by where they begin and which conditional jumps they take.
fn known_paths(code: &Code) -> Vec<(String, Costs)> {
    let known: [(&str, &[usize]); 6] = [
        ("call", &[]),
        ("reply_wait", &[0]),
        ("reply", &[1]),
        ("notify_busy", &[1, 2]),
        ("notify_lower", &[1, 2, 9]),
        ("notify_higher", &[1, 2, 9, 12]),
    ];
    let costs = |(name, taken): (&str, &[usize])| {
        let path = code.path("syscall_quick", taken)?;
        Some((name.to_owned(), code.costs(&path)))
    };
    known.into_iter().filter_map(costs).collect()
}

/// All paths from an upcall to user mode until the events are done.
fn trace(cache: &Cache, kernel: &Path, image: &Path, code: &Code) -> Result<Vec<Steps>> {
    let missing = || Failure::Strange {
        who: "the kernel",
        what: "code".into(),
        text: "no upcall_entry".into(),
    };
    let (start, end) = code.extent("exception_stubs").ok_or_else(missing)?;
    let upcall = code.address("upcall_entry").ok_or_else(missing)?;
    let mut boot = Boot::of(kernel);
    (boot.image, boot.xen) = (Some(image), MEMORY);
    boot.machine = Machine::direct().counting().tracing(start..end);
    let mut direct = Direct::start(cache, &boot, LIMIT)?;
    direct.follow(|line| !line.contains(DONE));
    let mut paths = Vec::new();
    let mut path: Option<Steps> = None;
    direct.trace(|at| {
        if at == upcall {
            path = Some(Vec::new());
        }
        if let Some(steps) = path.as_mut() {
            steps.push(at);
        }
        if code.at(at).is_some_and(is_return) {
            paths.extend(path.take());
        }
    })?;
    Ok(paths)
}
