//! What a slot keeps over a crash of its server.
//!
//! Invariant: a region that is kept is one slot's alone, at [`KEEP`].

use abi::layout::KEEP;

use super::{Fault, Map, Slot, System};

/// The region that a slot keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Number in [`System::regions`].
    pub region: u16,
    /// Its size.
    pub pages: u32,
}

impl System {
    /// What a slot keeps; `None` if its server begins afresh after a crash.
    #[must_use]
    pub fn kept(&self, slot: &Slot) -> Option<Kept> {
        let map = slot.maps.iter().find(|map| self.is_kept(map))?;
        let region = self.regions.get(usize::from(map.region))?;
        Some(Kept { region: map.region, pages: region.pages })
    }

    fn is_kept(&self, map: &Map) -> bool {
        self.regions.get(usize::from(map.region)).is_some_and(|region| region.keep)
    }

    /// Checks that what is kept lies where its server looks for it, and that nobody else sees it.
    pub(super) fn check_keeps(&self) -> Result<(), Fault> {
        let maps = || self.slots.iter().flat_map(|slot| &slot.maps);
        for map in maps().filter(|map| self.is_kept(map)) {
            if map.address != KEEP || !map.writable {
                return Err(Fault::Address);
            }
            if maps().filter(|other| other.region == map.region).count() != 1 {
                return Err(Fault::Writers);
            }
        }
        Ok(())
    }
}
