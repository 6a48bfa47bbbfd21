//! `bench vectors`: what servers compute with the vector unit and with what they find by CPUID, in instructions.
//!
//! Counted by QEMU (see [`counted`]) in the system `abacus`: SHA-256, AES-128-GCM, the Internet checksum, copies in private
//! memory and out of shared memory. An instruction for a round of a cipher counts as one, as long as it may take on hardware:
//! these are lengths of code, not times. The rig's processor has no SHA instructions (see its README), so SHA-256 is software
//! there; AES has its instructions; GHASH is software everywhere, since `polyval` asks for AVX too, which the kernel
//! leaves off.

use std::collections::BTreeMap;

use rig::{Cache, Progress};

use super::Figure;
use super::counted::{self, Counts};
use crate::args::Bench;
use crate::failure::Result;
use crate::system;

/// What is done, and how many figures there are of it: one for each size that fits.
const KINDS: [&str; 5] = ["sha256", "aes_gcm", "checksum", "copy", "copy_shared"];
/// Bytes that are worked on.
const SIZES: [u32; 3] = [64, 1460, 65_536];

/// The figures.
///
/// # Errors
/// Those of building and of the rig.
pub fn figures(args: &Bench, progress: &dyn Progress) -> Result<Vec<Figure>> {
    let packed = system::build_and_pack(&system::find("abacus")?, args.verbose, progress)?;
    let cache = Cache::open()?;
    rig::setup(&cache, progress)?;
    let counts = counted::measure("abacus", &packed, &cache, args.verbose, is_complete)?;
    let named = names().filter_map(|name| Some((name.clone(), *counts.get(&name)?)));
    let figure = |(name, counts): (String, Counts)| {
        let [median, least, most] = counts.map(f64::from);
        Figure::new("vectors", name, "instructions", median).spread(least, most)
    };
    Ok(named.map(figure).collect())
}

fn names() -> impl Iterator<Item = String> {
    KINDS.into_iter().flat_map(|kind| SIZES.map(|size| format!("{kind}_{size}")))
}

/// What is shared is too small for the largest size.
fn is_complete(counts: &BTreeMap<String, Counts>) -> bool {
    names().filter(|name| name != "copy_shared_65536").all(|name| counts.contains_key(&name))
}
