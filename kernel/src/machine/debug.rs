//! Xen's debug console: port 0xE9, there for every HVM and PVH domain, shown in `xl dmesg` and on the serial line.
//!
//! Writing cannot fail and never waits. Lines longer than Xen's buffer are broken by Xen.

use core::fmt;

use x86_64::instructions::port::PortWriteOnly;

/// The debug console.
pub struct Debug;

impl Debug {
    /// Writes bytes as they are.
    pub fn write(bytes: &[u8]) {
        let mut port = PortWriteOnly::<u8>::new(0xe9);
        for &byte in bytes {
            // SAFETY: writing the debug port has no effect on this domain's memory or devices.
            unsafe { port.write(byte) };
        }
    }
}

impl fmt::Write for Debug {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        Self::write(text.as_bytes());
        Ok(())
    }
}

/// Prints one line, prefixed `xylem: `, on the debug console.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => {{
        use ::core::fmt::Write as _;
        // The debug console takes everything.
        let _ = ::core::writeln!($crate::machine::debug::Debug, "xylem: {}", ::core::format_args!($($part)*));
    }};
}
