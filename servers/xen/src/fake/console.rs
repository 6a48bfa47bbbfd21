//! The terminal at the other end of a console.

use shared::Memory;
use std::vec::Vec;

/// Reads what a console writes, and types.
#[derive(Debug)]
pub struct Terminal(pub Memory);

impl Terminal {
    /// All that was written since the last call.
    pub fn read(&self) -> Vec<u8> {
        let (mut cons, prod) = (self.0.load_u32_acquire(3080), self.0.load_u32_acquire(3084));
        let mut text = Vec::new();
        while cons != prod {
            text.push(self.0.read::<u8>(1024 + cons as usize % 2048));
            cons = cons.wrapping_add(1);
        }
        self.0.store_u32_release(3080, cons);
        text
    }

    /// Types `keys`, as many as there is room for; gives how many.
    pub fn write(&self, keys: &[u8]) -> usize {
        let (cons, mut prod) = (self.0.load_u32_acquire(3072), self.0.load_u32_acquire(3076));
        let room = 1024 - prod.wrapping_sub(cons) as usize;
        for key in keys.iter().take(room) {
            self.0.write(prod as usize % 1024, key);
            prod = prod.wrapping_add(1);
        }
        self.0.store_u32_release(3076, prod);
        keys.len().min(room)
    }

    /// Goes away, or comes back.
    pub fn connect(&self, is_connected: bool) {
        self.0.write(3088, &u8::from(!is_connected));
    }
}
