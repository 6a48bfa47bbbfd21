//! Packs a system from servers that were built before, without the command line's comforts.

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: pack MANIFEST --elf-dir DIR --kernel ELF -o OUT";

struct Arguments {
    manifest: PathBuf,
    servers: PathBuf,
    kernel: PathBuf,
    out: PathBuf,
}

fn arguments() -> Option<Arguments> {
    let (mut manifest, mut servers, mut kernel, mut out) = (None, None, None, None);
    let mut given = std::env::args_os().skip(1);
    while let Some(argument) = given.next() {
        let place = match argument.to_str() {
            Some("--elf-dir") => &mut servers,
            Some("--kernel") => &mut kernel,
            Some("-o") => &mut out,
            _ => {
                manifest = Some(argument.into());
                continue;
            }
        };
        *place = Some(given.next()?.into());
    }
    Some(Arguments { manifest: manifest?, servers: servers?, kernel: kernel?, out: out? })
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let packed = match pack::pack(&arguments.manifest, &arguments.servers, &arguments.kernel, "") {
        Ok(packed) => packed,
        Err(report) => {
            eprintln!("{report}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}: {} bytes, {} KiB to boot", packed.name, packed.image.len(), packed.pages * 4);
    match std::fs::write(&arguments.out, packed.image) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot write {}: {error}", arguments.out.display());
            ExitCode::FAILURE
        }
    }
}
