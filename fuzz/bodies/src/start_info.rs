//! What the loader left in memory, of any bytes.

use boot::start_info::read;

/// Where the record begins.
const BASE: u64 = 0x1000;

/// Does it with these bytes.
pub fn body(bytes: &[u8]) {
    let memory = |address: u64, to: &mut [u8]| {
        let from = address.checked_sub(BASE).and_then(|at| usize::try_from(at).ok());
        let part = from.and_then(|at| bytes.get(at..at.checked_add(to.len())?));
        part.map(|part| to.copy_from_slice(part)).is_some()
    };
    let _ = read(BASE, memory);
}
