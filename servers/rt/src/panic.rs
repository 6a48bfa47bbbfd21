//! A panic: one line in the log and on the debug console, then the server ends with code 101, so that the supervisor
//! starts it again.

use core::panic::PanicInfo;

use crate::log::{self, Line};

/// Exit code of a server that panicked.
const PANICKED: u64 = 101;

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    let line = match info.location() {
        Some(at) => Line::new(format_args!(
            "panicked at {}:{}:{}: {}",
            at.file(),
            at.line(),
            at.column(),
            info.message()
        )),
        None => Line::new(format_args!("panicked: {}", info.message())),
    };
    log::write(&line);
    crate::debug(line.bytes());
    crate::exit(PANICKED)
}

/// `core` and `alloc` come compiled for unwinding and name these two; no panic unwinds here, so nobody calls them.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// See [`rust_eh_personality`].
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    crate::exit(PANICKED)
}
