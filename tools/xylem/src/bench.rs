//! `bench`: measures, and tells the figures beside their goals and those of a rival.
//!
//! Invariant: standard output has figures alone, as a table for each bench or as JSON, one object a line. A goal that is
//! missed is told and is no error. Each bench is a module that gives [`Figure`]s; this one chooses and prints.

mod ab;
mod boot;
mod counted;
mod figure;
mod ground;
mod http;
pub mod ipc;
mod moments;
mod ping;
mod samples;
mod smp;
mod status;
mod trace;
mod vectors;

use std::process::ExitCode;

use clap::ValueEnum;

use crate::args::{Bench, BenchName};
use crate::failure::Result;
use crate::ui::Screen;

pub use figure::Figure;

/// Runs what was asked for: one bench, or all.
///
/// # Errors
/// When a bench could not be run to its end.
pub fn bench(args: &Bench) -> Result<ExitCode> {
    let screen = Screen::default();
    let chosen = args.name.as_ref().map_or(BenchName::value_variants(), std::slice::from_ref);
    for name in chosen {
        let figures = match name {
            BenchName::Boot => boot::figures(args, &screen)?,
            BenchName::Http => http::figures(args, &screen)?,
            BenchName::Ipc => ipc::figures(args, &screen)?,
            BenchName::Vectors => vectors::figures(args, &screen)?,
            BenchName::Smp => smp::figures(args, &screen)?,
        };
        tell(&figures, args.json);
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(figures: &[Figure], is_json: bool) {
    if is_json {
        figures.iter().for_each(|figure| println!("{}", figure.json()));
    } else {
        println!("{}", figure::table(figures));
    }
}
