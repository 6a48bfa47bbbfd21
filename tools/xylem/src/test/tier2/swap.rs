//! A server is exchanged by packing again; the kernel stays the same file.

use std::fs;
use std::path::Path;
use std::time::{Instant, SystemTime};

use super::fault::{Outcome, Step, contains, ensure};
use super::machine::{Machine, Order};
use crate::system;

/// The domain of one system and then the one of the other have different pages and the same kernel.
pub fn page(machine: &Machine<'_>) -> Outcome {
    let one = machine.packed("web")?;
    let before = look(&one.kernel)?;
    let web = machine.create(Order::of("web"))?;
    let page = web.page()?;
    web.destroy()?;
    let start = Instant::now();
    let manifest = system::find("web-alt").step("find web-alt")?;
    let other = system::build_and_pack(&manifest, false, &rig::Silent).step("pack web-alt")?;
    println!("swap: packed again in {:.2} s", start.elapsed().as_secs_f32());
    let step = "the kernel is the same file";
    ensure(other.kernel == one.kernel, step, || other.kernel.display().to_string())?;
    ensure(look(&other.kernel)? == before, step, || "it was written again".into())?;
    let alt = machine.create(Order { name: "web", ..Order::of("web-alt") })?;
    let other_page = alt.page()?;
    contains(&page, "<th>Priority", "the page of web")?;
    contains(&other_page, "web-alt", "the page of web-alt")?;
    ensure(!other_page.contains("<th>Priority"), "the page of web-alt", || {
        "it is that of web".into()
    })?;
    alt.is_healthy("web-alt")
}

/// Content and time of a file.
fn look(file: &Path) -> Outcome<(Vec<u8>, SystemTime)> {
    let step = format!("read {}", file.display());
    let time = fs::metadata(file).and_then(|data| data.modified()).step(&step)?;
    Ok((fs::read(file).step(&step)?, time))
}
