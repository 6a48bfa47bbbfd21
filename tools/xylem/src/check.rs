//! `check` and `pack`: what a system is made of, before it runs.
//!
//! Invariant: the report goes to standard output, warnings to standard error. It boots nothing.

use std::fmt::Write;
use std::process::ExitCode;

use pack::Packed;

use crate::args;
use crate::failure::Result;
use crate::system;
use crate::ui::Screen;

/// KiB in a page.
const PAGE: u64 = 4;

/// Builds and checks a system, and tells what it is made of.
///
/// # Errors
/// Those of building and packing.
pub fn check(args: &args::Check) -> Result<ExitCode> {
    let packed = packed(&args.system, args.verbose)?;
    print!("{}", report(&packed));
    Ok(ExitCode::SUCCESS)
}

/// Builds and checks a system, and writes its image.
///
/// # Errors
/// Those of building and packing, and of writing the file.
pub fn pack(args: &args::Pack) -> Result<ExitCode> {
    let packed = packed(&args.system, args.verbose)?;
    system::replace(&args.output, &packed.image)?;
    println!("{}", args.output.display());
    Ok(ExitCode::SUCCESS)
}

fn packed(name: &str, is_verbose: bool) -> Result<Packed> {
    let manifest = system::find(name)?;
    let packed = system::check(&manifest, is_verbose, &Screen::default())?;
    packed.warnings.iter().for_each(|warning| eprintln!("{warning}"));
    Ok(packed)
}

/// A line for the system, and one for each slot; sizes in KiB.
fn report(packed: &Packed) -> String {
    let mut text = format!(
        "{}: {} servers; an image of {} KiB; {} of {} KiB to boot, {} to swap its largest; {} vCPUs\n\n",
        packed.name,
        packed.system.slots.len(),
        packed.image.len().div_ceil(1024),
        packed.pages * PAGE,
        packed.memory * 1024,
        packed.swap_pages * PAGE,
        packed.vcpus,
    );
    let head = ["slot", "image", "vcpu", "priority", "code", "stack", "heap", "shared", "handles"];
    text.push_str(&row(&head.map(String::from)));
    for slot in &packed.system.slots {
        let image = packed.system.images.get(usize::from(slot.image));
        let region = |map: &u16| packed.system.regions.get(usize::from(*map));
        let maps = slot.maps.iter().filter_map(|map| region(&map.region));
        let shared: u64 = maps.map(|region| u64::from(region.pages)).sum();
        text.push_str(&row(&[
            slot.name.clone(),
            image.map_or_else(String::new, |image| image.name.clone()),
            slot.vcpu.to_string(),
            slot.priority.to_string(),
            image.map_or(0, |image| image.bytes.div_ceil(1024)).to_string(),
            (u64::from(slot.stack_pages) * PAGE).to_string(),
            (u64::from(slot.heap_pages) * PAGE).to_string(),
            (shared * PAGE).to_string(),
            slot.handles.to_string(),
        ]));
    }
    text
}

fn row([slot, image, numbers @ ..]: &[String; 9]) -> String {
    let mut line = format!("{slot:<16} {image:<16}");
    for number in numbers {
        // Writing to a string does not fail.
        let _ = write!(line, " {number:>8}");
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use super::row;

    #[test]
    fn columns_stand_below_one_another() {
        let line = |slot: &str, number: &str| {
            let numbers = [number; 7].map(String::from);
            let [a, b, c, d, e, f, g] = numbers;
            row(&[slot.into(), slot.into(), a, b, c, d, e, f, g])
        };
        assert_eq!(line("log", "1").len(), line("supervisor", "65536").len());
    }
}
