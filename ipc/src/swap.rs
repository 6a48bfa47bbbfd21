//! Both sides of a swap, as a server sees them: handing its state over, and taking over from a predecessor.
//!
//! Invariant: until its predecessor has gone, a successor uses nothing but the kernel and the supervisor, and it takes over only
//! what it can write down again byte for byte, in a layout that both write. A predecessor whose successor fails has lost nothing but time.
//!
//! What it does not do: say what state is. That is [`Serve::save`], the records of [`crate::state!`], and what a server makes
//! of a [`Reader`].

use abi::layout::{PAGE, STATE_PAGES};
use abi::trap::{BIT_CONTROL, BIT_WORLD};
use abi::{Event, Handle, Traps};

use crate::serve::{self, Serve};
use crate::state::{Damaged, Full, Reader, Writer, digest, digest_again};
use crate::supervisor;

/// Most bytes of state; what is not whole pages may cost one at either end.
const LIMIT: usize = (STATE_PAGES as usize - 2) * PAGE as usize;

/// Writes the state and offers it to the successor. Returns if there will be none.
pub(crate) fn hand_over<T: Traps>(traps: &T, server: &impl Serve) {
    let supervisor = supervisor::Client::new(*traps, Handle::SUPERVISOR);
    match saved(server) {
        Ok(state) => {
            let bytes = state.bytes();
            let address = bytes.as_ptr().addr() as u64;
            let _ = supervisor.quiesced(address, bytes.len() as u64, digest(bytes));
        }
        Err(Full { needed }) => {
            let _ = supervisor.cannot_quiesce(needed as u64);
        }
    }
}

fn saved(server: &impl Serve) -> Result<Writer, Full> {
    let mut to = Writer::new(LIMIT);
    server.save(&mut to).map(|()| to)
}

/// A successor that has adopted a state, and has not taken over.
#[derive(Debug)]
pub struct Successor<S> {
    server: S,
    digest: u64,
}

impl<S: Serve> Successor<S> {
    /// Adopts a predecessor's state, and writes it down again.
    ///
    /// # Errors
    /// The state is not what it should be, or cannot be written again.
    pub fn adopt(
        state: &[u8],
        adopt: impl FnOnce(Reader<'_>) -> Result<S, Damaged>,
    ) -> Result<Self, Damaged> {
        let server = adopt(Reader::new(state)?)?;
        let again = saved(&server).map_err(|_| Damaged)?;
        let digest = digest_again(state, again.bytes()).ok_or(Damaged)?;
        Ok(Self { server, digest })
    }

    /// The server, in a test that has no supervisor.
    #[cfg(not(xylem_user))]
    pub(crate) fn into_server(self) -> S {
        self.server
    }

    /// Waits until the predecessor has gone.
    ///
    /// # Errors
    /// The supervisor refused: there will be no successor.
    pub fn take_over(self, traps: impl Traps) -> Result<S, Damaged> {
        let supervisor = supervisor::Client::new(traps, Handle::SUPERVISOR);
        supervisor.adopted(self.digest).map_err(|_| Damaged)?;
        Ok(self.server)
    }
}

/// Serves for ever from where the predecessor stopped. What rang meanwhile may have been told to either, so it looks
/// everywhere first.
pub fn go_on<T: Traps>(traps: T, server: &mut impl Serve) -> ! {
    let bits = !(BIT_CONTROL | BIT_WORLD);
    let answer = serve::handle(&traps, server, Event { bits, ..Event::default() });
    serve::go_on(traps, server, answer)
}

#[cfg(test)]
mod tests;
