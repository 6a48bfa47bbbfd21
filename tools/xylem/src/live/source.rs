//! Addresses of a server's code, as functions and lines of its sources: from the program that was packed.
//!
//! Invariant: only the very program is used that the domain runs, by the digest of its image.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use abi::kernel::control::Access;
use addr2line::Loader;
use pack::elf::Segment;

use crate::failure::{Failure, Result};
use crate::system;

/// A place in the sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The function.
    pub function: String,
    /// File and line, where they are known.
    pub line: Option<(String, u32)>,
    /// Whether the next spot of the list has it inlined.
    pub is_inlined: bool,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.function)?;
        match &self.line {
            Some((file, line)) => write!(f, " at {file}:{line}"),
            None => Ok(()),
        }
    }
}

/// A program with its lines.
pub struct Program {
    loader: Loader,
    /// Where its code lies.
    code: Vec<Range<u64>>,
}

impl Program {
    /// The program of an image with this digest.
    ///
    /// # Errors
    /// [`Failure::Nothing`] when it was not packed here, or is not what it is called.
    pub fn find(image: &str, digest: &[u8; 32]) -> Result<Self> {
        let path = system::programs().join(system::program(image, digest));
        let bytes = std::fs::read(&path).map_err(|_| missing(image, &path))?;
        let elf = pack::elf::Elf::parse(image, &bytes)
            .map_err(|reason| wrong(image, &path, &reason.what))?;
        if pack::image::digest(&elf) != *digest {
            return Err(wrong(image, &path, "is not the program that the domain runs"));
        }
        let loader = Loader::new(&path).map_err(|error| wrong(image, &path, &error.to_string()))?;
        let is_code = |segment: &&Segment| segment.access == Access::Execute;
        let range =
            |segment: &Segment| segment.address..segment.address + segment.bytes.len() as u64;
        Ok(Self { loader, code: elf.segments.iter().filter(is_code).map(range).collect() })
    }

    /// The spots of an address, the innermost first.
    pub fn spots(&self, address: u64) -> Vec<Spot> {
        let mut spots = Vec::new();
        if !self.code.iter().any(|range| range.contains(&address)) {
            return spots;
        }
        if let Ok(mut frames) = self.loader.find_frames(address) {
            while let Ok(Some(frame)) = frames.next() {
                let name = frame.function.as_ref().and_then(|name| name.demangle().ok());
                let line = frame.location.and_then(|at| Some((short(at.file?), at.line?)));
                let function = name.map_or_else(String::new, |name| plain(&name));
                spots.push(Spot { function, line, is_inlined: true });
            }
        }
        if spots.iter().all(|spot| spot.function.is_empty())
            && let Some(symbol) = self.loader.find_symbol(address)
        {
            let function = addr2line::demangle_auto(symbol.into(), None).into_owned();
            spots = vec![Spot { function: plain(&function), line: None, is_inlined: true }];
        }
        if let Some(last) = spots.last_mut() {
            last.is_inlined = false;
        }
        spots
    }
}

/// A name without the hash behind it.
fn plain(name: &str) -> String {
    match name.rsplit_once("::h") {
        Some((plain, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
            plain.into()
        }
        _ => name.into(),
    }
}

/// A file without the folders that are the same for all.
fn short(file: &str) -> String {
    let root = system::root();
    let own = Path::new(file).strip_prefix(&root).ok().map(|path| path.display().to_string());
    own.or_else(|| file.split_once("/library/").map(|(_, rest)| format!("library/{rest}")))
        .or_else(|| {
            file.split_once("/registry/src/")
                .and_then(|(_, rest)| rest.split_once('/').map(|(_, rest)| rest.to_owned()))
        })
        .unwrap_or_else(|| file.to_owned())
}

fn missing(image: &str, path: &Path) -> Failure {
    let what = format!(
        "the program of `{image}` that the domain runs was not packed here ({} is not there): addresses cannot be told as lines",
        path.display()
    );
    Failure::Nothing { what }
}

fn wrong(image: &str, path: &Path, why: &str) -> Failure {
    let what =
        format!("{} {why}: the addresses of `{image}` cannot be told as lines", path.display());
    Failure::Nothing { what }
}

#[cfg(test)]
mod tests {
    use super::{Program, plain, short};
    use crate::system::root;

    #[test]
    fn names_lose_their_hash_and_files_their_folders() {
        assert_eq!(plain("rogue::acts::read::h0123456789abcdef"), "rogue::acts::read");
        assert_eq!(plain("core::hint::spin"), "core::hint::spin");
        let own = root().join("servers/net/src/main.rs");
        assert_eq!(short(&own.display().to_string()), "servers/net/src/main.rs");
        assert_eq!(short("/rustc/59807616/library/core/src/ptr.rs"), "library/core/src/ptr.rs");
    }

    #[test]
    fn a_program_that_was_not_packed_here_is_told() {
        let error = Program::find("httpd", &[7; 32]).err().unwrap().to_string();
        assert!(error.contains("httpd-0707070707070707.elf"), "{error}");
    }
}
