//! Disks of the host that are plugged into the rig while it runs.
//!
//! Invariant: pure; a disk is known by its serial number, which dom0 and QEMU both see, and never by the order in
//! which disks appear.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::dom0::quoted;
use crate::hash;

/// A serial number of its own for an image (20 bytes at most: all that virtio-blk has).
pub fn serial(image: &Path) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let hash = hash::of_parts([image.as_os_str().as_encoded_bytes(), &now.to_le_bytes()]);
    format!("xylem-{}", hash.get(..12).unwrap_or(&hash))
}

/// The command that waits for the disk with this serial number and prints its device.
pub fn find(serial: &str) -> String {
    format!(
        "while :; do for d in /sys/block/vd*; do \
         if [ \"$(cat $d/serial 2>/dev/null)\" = {serial} ] && [ -b /dev/${{d##*/}} ]; \
         then echo /dev/${{d##*/}}; exit 0; fi; done; sleep 0.05; done"
    )
}

/// The command that prints the serial number of a device, or nothing when it is none of ours.
pub fn serial_of(device: &str) -> String {
    let name = device.rsplit('/').next().unwrap_or_default();
    format!("grep -s ^xylem- /sys/block/{}/serial || true", quoted(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_fit_and_differ() {
        let (one, two) = (serial(Path::new("/a")), serial(Path::new("/a")));
        assert!(one.len() <= 20 && one != two);
    }
}
