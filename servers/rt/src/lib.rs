//! What is below a server's main: start-up, the four traps, heap, clock, log and panic.
//!
//! A server is a binary that declares its wiring and names its main function, which never returns:
//!
//! ```ignore
//! #![cfg_attr(xylem_user, no_std, no_main)]
//! ipc::wiring! { needs { log: ipc::log } }
//! fn run() -> ! { rt::log!("hello"); ipc::serve::serve(rt::Trap, &mut Hello) }
//! rt::main!(run);
//! ```
//!
//! Invariant: this crate and `shared` hold all the unsafe code of user space; what they export is safe to call in any order.
//! A server has one thread, and everything here relies on it.
//!
//! On the host, where servers are only compiled and their libraries tested, a trap panics and a log line goes to the
//! standard error. It does not serve: that is `ipc::serve`.

#![cfg_attr(xylem_user, no_std)]

pub mod clock;
#[cfg(xylem_user)]
mod heap;
pub mod log;
#[cfg(any(xylem_user, test))]
mod memory;
mod own;
#[cfg(xylem_user)]
mod panic;
mod serve;
#[cfg(xylem_user)]
mod single;
mod start;
mod trap;

pub use own::{debug, exit, own, timer};
pub use serve::serve;
pub use start::{
    Beginning, Boot, begin, begin_root, beginning, boot, client, device_page, filled, keep, need,
    scratch, shared, start,
};
pub use trap::Trap;

/// Makes `$function` (a `fn() -> !`) the server's main, with log lines going to the need `log` of its wiring. A server without
/// such a need says `rt::main!(run; no log)`.
///
/// On the host it makes an empty `main`, so that `cargo test` and `cargo clippy` see the binary.
#[macro_export]
macro_rules! main {
    ($function:ident) => {
        $crate::main! { @start $function, $crate::begin(Some(wiring::log)) }
    };
    ($function:ident; no log) => {
        $crate::main! { @start $function, $crate::begin(None) }
    };
    ($function:ident; root) => {
        $crate::main! { @start $function, $crate::begin_root() }
    };
    (@start $function:ident, $begin:expr) => {
        /// Where the start-up code goes on.
        #[cfg(xylem_user)]
        #[unsafe(no_mangle)]
        extern "C" fn xylem_main() -> ! {
            $begin;
            let main: fn() -> ! = $function;
            main()
        }
        $crate::main! { @host $function }
    };
    (@host main) => {
        #[cfg(not(xylem_user))]
        fn main() {}
    };
    (@host $function:ident) => {
        #[cfg(not(xylem_user))]
        fn main() {
            let _: fn() -> ! = $function;
        }
    };
}
