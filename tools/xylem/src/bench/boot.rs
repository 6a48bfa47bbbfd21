//! `bench boot`: what it takes until the web system answers.
//!
//! Invariant: sizes are those of the files that are booted.

use std::path::Path;

use super::Figure;
use crate::args::Bench;
use crate::failure::{Context, Result};
use crate::system;
use crate::ui::Screen;

/// At most this many bytes of kernel, without what only a debugger reads.
const KERNEL_GOAL: f64 = 131_072.0;
/// At most this many bytes of packed image.
const IMAGE_GOAL: f64 = 1_500_000.0;

/// The figures.
///
/// # Errors
/// Those of building and of the rig.
pub fn figures(args: &Bench, screen: &Screen) -> Result<Vec<Figure>> {
    let packed = system::build_and_pack(&system::find("web")?, args.verbose, screen)?;
    Ok(vec![
        size("image_size", &packed.image)?.goal(IMAGE_GOAL),
        size("kernel_size", &packed.kernel)?.goal(KERNEL_GOAL),
    ])
}

#[allow(clippy::cast_precision_loss)]
fn size(name: &str, file: &Path) -> Result<Figure> {
    let bytes = std::fs::metadata(file).context("look at", file)?.len();
    Ok(Figure::new("boot", name, "bytes", bytes as f64))
}
