//! The systems that the cases boot: each is built and packed once.
//!
//! Invariant: two workers never build at the same time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rig::Silent;

use super::fault::{Outcome, Step};
use crate::system::{self, Packed};

/// Packed systems by name.
#[derive(Default)]
pub struct Systems(Mutex<BTreeMap<String, Packed>>);

/// What most cases boot.
const USUAL: [&str; 7] = ["web", "hello", "web-alt", "web-static", "web-swap", "disk", "paged"];

impl Systems {
    /// Packs the usual ones ahead, so that no case's time has the compiler in it. What cannot be packed fails the cases
    /// that want it.
    pub fn prepare(&self) {
        USUAL.iter().for_each(|name| drop(self.packed(name)));
    }

    /// The system of this name, as `run` takes it.
    ///
    /// # Errors
    /// When it cannot be built or packed.
    pub fn packed(&self, name: &str) -> Outcome<Packed> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(packed) = known.get(name) {
            return Ok(packed.clone());
        }
        let step = format!("pack {name}");
        let manifest = system::find(name).step(&step)?;
        let packed = system::build_and_pack(&manifest, false, &Silent).step(&step)?;
        known.insert(name.to_owned(), packed.clone());
        Ok(packed)
    }
}
