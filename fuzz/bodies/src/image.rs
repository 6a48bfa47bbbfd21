//! A boot image with bytes changed: without a fresh digest none is accepted; with one, whatever is accepted is sound.

#[path = "../../../servers/supervisor/tests/common/image.rs"]
#[allow(dead_code)]
mod image;

use std::sync::OnceLock;

use abi::image::{HEADER, Header, sha256};
use arbitrary::{Arbitrary, Unstructured};

#[derive(Arbitrary, Debug)]
struct Damage {
    changes: Vec<(u16, u8)>,
    length: Option<u16>,
    is_sealed: bool,
}

/// Where the header has its digest.
const DIGEST: std::ops::Range<usize> = 32..64;

fn sound() -> &'static [u8] {
    static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
    SOUND.get_or_init(|| image::pack(|_| {}))
}

fn damaged(damage: &Damage) -> Vec<u8> {
    let mut image = sound().to_vec();
    for (at, value) in &damage.changes {
        // The header and the table, where every byte means something, are hit most.
        let at = usize::from(*at) % if value % 2 == 0 { HEADER + 2048 } else { image.len() };
        image[at] = *value;
    }
    image.truncate(damage.length.map_or(usize::MAX, usize::from));
    image
}

fn seal(image: &mut [u8]) {
    let Some(root) = image.get(64..72).and_then(|bytes| bytes.try_into().ok()) else { return };
    let end =
        usize::try_from(u64::from_le_bytes(root)).unwrap_or(usize::MAX).saturating_add(HEADER);
    let Some(covered) = image.get(..end) else { return };
    let mut covered = covered.to_vec();
    covered[DIGEST].fill(0);
    image[DIGEST].copy_from_slice(&sha256(&covered));
}

/// Does it with these bytes.
pub fn body(bytes: &[u8]) {
    let Ok(damage) = Damage::arbitrary(&mut Unstructured::new(bytes)) else { return };
    let mut image = damaged(&damage);
    if damage.is_sealed {
        seal(&mut image);
    }
    let Ok(header) = Header::decode(&image) else { return };
    let covered = HEADER + header.root_bytes as usize;
    if !damage.is_sealed {
        assert_eq!(image[..covered], sound()[..covered], "a damaged image was accepted");
    }
    for segment in header.segments.iter().flatten() {
        assert!(segment.offset + segment.bytes <= covered as u64);
    }
    let Ok((_, system)) = supervisor::check::decode(&image) else { return };
    if supervisor::check::images(&image, &system).is_ok() {
        for image in &system.images {
            assert!(image.segments.iter().all(|segment| segment.offset >= image.offset));
            assert!(image.offset + image.bytes <= header.image_bytes);
        }
        if !damage.is_sealed {
            let used = header.image_bytes as usize;
            assert_eq!(image[..used], sound()[..used], "a damaged server was accepted");
        }
    }
}
