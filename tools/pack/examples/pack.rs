//! `pack MANIFEST SERVER-FOLDER KERNEL OUT`: packs without the command line's comforts.

use std::path::Path;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [manifest, servers, kernel, out] = &arguments[..] else {
        eprintln!("usage: pack MANIFEST SERVER-FOLDER KERNEL OUT");
        std::process::exit(2);
    };
    match pack::pack(Path::new(manifest), Path::new(servers), Path::new(kernel)) {
        Ok(packed) => {
            println!(
                "{}: {} bytes, {} pages to boot",
                packed.name,
                packed.image.len(),
                packed.pages
            );
            if let Err(error) = std::fs::write(out, packed.image) {
                eprintln!("error: cannot write {out}: {error}");
                std::process::exit(1);
            }
        }
        Err(report) => {
            eprintln!("{report}");
            std::process::exit(1);
        }
    }
}
