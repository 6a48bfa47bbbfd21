//! A system table of any bytes: it is refused, or it is sound and says the same when it is written again.

use abi::layout::PAGE;
use ipc::system::{System, Target};

const IMAGE: u64 = 1 << 20;

/// Does it with these bytes.
pub fn body(bytes: &[u8]) {
    let Ok(system) = System::decode(bytes, IMAGE) else { return };
    assert_eq!(System::decode(&system.encode(), IMAGE).as_ref(), Ok(&system));
    for slot in &system.slots {
        assert!(usize::from(slot.image) < system.images.len());
        for handle in &slot.table {
            if let Target::Wire { slot: server, .. } = handle.target {
                assert!(slot.priority < system.slots[usize::from(server)].priority);
            }
        }
        assert!(slot.maps.iter().all(|map| map.address.is_multiple_of(PAGE)));
    }
}
