//! The main loop of a server that can be swapped.
//!
//! Invariant: the state of a predecessor is looked at only until this server has taken over; then it is not there any more.
//! What adopts it cannot keep a reference to it.

use ipc::serve::{Need, Serve};
use ipc::state::{Damaged, Reader};
use ipc::swap::{self, Successor};

use crate::{Trap, exit};

/// Exit code of a successor that could not adopt what it found.
const NOT_ADOPTED: u64 = 103;

/// Serves for ever, as a server that begins afresh or as the successor of another.
///
/// `adopt` may use nothing but the heap, the clock and the start record: no handle leads anywhere yet, shared memory cannot
/// be written, and what it holds is void by the time that this server takes over. All bits are set then.
pub fn serve<S: Serve>(
    fresh: impl FnOnce() -> S,
    adopt: impl FnOnce(Reader<'_>) -> Result<S, Damaged>,
) -> ! {
    let Some(state) = crate::start::state() else {
        ipc::serve::serve(Trap, &mut fresh());
    };
    let Ok(successor) = Successor::adopt(state, adopt) else { exit(NOT_ADOPTED) };
    let Ok(mut server) = successor.take_over(Trap) else { exit(NOT_ADOPTED) };
    open_log();
    swap::go_on(Trap, &mut server)
}

#[cfg(xylem_user)]
static LOG: crate::single::Single<Option<Need>> = crate::single::Single::new(None);

/// Keeps the log of a successor for later.
#[cfg(xylem_user)]
pub(crate) fn put_off(log: Option<Need>) {
    LOG.with(|kept| *kept = log);
}

#[cfg(not(xylem_user))]
pub(crate) fn put_off(_: Option<Need>) {}

#[cfg(xylem_user)]
fn open_log() {
    if let Some(Some(need)) = LOG.with(Option::take) {
        crate::log::open(&crate::need(need));
    }
}

#[cfg(not(xylem_user))]
fn open_log() {}
