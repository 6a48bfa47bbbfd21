//! A fault, told to people: who, why, where.

use core::fmt;

use abi::fault::FaultKind;
use abi::{Message, Word};
use ipc::system::{Image, Rights, Segment, Symbols};

use crate::check::part;

/// Bits of a page fault's error code (Intel SDM vol. 3, 4.7).
const PRESENT: u64 = 1;
const WRITE: u64 = 2;
const FETCH: u64 = 16;

/// Exit codes of the run-time.
const PANIC: u64 = 101;
const NO_RECORD: u64 = 102;

/// A fault as the kernel tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Number of the server.
    pub server: u16,
    kind: Option<FaultKind>,
    address: u64,
    rip: u64,
    error: u64,
}

impl Fault {
    /// Decodes the message.
    #[must_use]
    pub fn from_message(message: &Message) -> Self {
        let [server, address, rip, error, _] = message.words;
        let kind = FaultKind::from_word(message.label);
        Self { server: server as u16, kind, address, rip, error }
    }

    /// The fault with the function that it happened in, if it happened in the code of `image` and that has its name.
    #[must_use]
    pub fn within<'a>(&self, boot_image: &'a [u8], image: Option<&Image>) -> Told<'a> {
        let image = image.filter(|image| image.segments.iter().any(|segment| self.is_in(segment)));
        let symbols = image.and_then(|image| part(boot_image, image.symbols.0, image.symbols.1));
        Told { fault: *self, place: symbols.and_then(|bytes| Symbols::new(bytes).find(self.rip)) }
    }

    fn is_in(&self, segment: &Segment) -> bool {
        segment.rights == Rights::Execute && self.rip.wrapping_sub(segment.address) < segment.bytes
    }

    fn reason(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, error, .. } = *self;
        let text = match self.kind {
            Some(FaultKind::Exit) => return exit(f, address),
            Some(FaultKind::BadTrap) => return write!(f, "no such trap ({:#x})", address & 0xff),
            Some(FaultKind::BadHandle) => return write!(f, "bad handle ({address})"),
            Some(FaultKind::NoInbox) => "wait without an inbox",
            Some(FaultKind::Page) => return page(f, error),
            Some(FaultKind::Protection) => "privileged instruction or non-canonical address",
            Some(FaultKind::Instruction) => "no such instruction",
            Some(FaultKind::Division) => "division error",
            Some(FaultKind::Debug) => "debug trap",
            Some(FaultKind::Exception) => return write!(f, "exception {}", error >> 32),
            Some(FaultKind::Overrun) => "too much CPU time between two waits",
            Some(FaultKind::BadCall) => return write!(f, "bad kernel call ({address:#x})"),
            None => "unknown fault",
        };
        f.write_str(text)
    }
}

fn exit(f: &mut fmt::Formatter<'_>, code: u64) -> fmt::Result {
    match code {
        PANIC => f.write_str("panic"),
        NO_RECORD => f.write_str("no start record"),
        code => write!(f, "exit with code {code}"),
    }
}

fn page(f: &mut fmt::Formatter<'_>, error: u64) -> fmt::Result {
    let access = match error & (FETCH | WRITE) {
        0 => "read of",
        WRITE => "write to",
        _ => "execution of",
    };
    let page = if error & PRESENT == 0 { "an unmapped page" } else { "a protected page" };
    write!(f, "{access} {page}")
}

/// A fault and the function that it happened in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told<'a> {
    fault: Fault,
    place: Option<(&'a str, u64)>,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.reason(f)?;
        write!(f, " at {:#x}", self.fault.rip)?;
        if let Some((name, offset)) = self.place {
            write!(f, " in {name}+{offset:#x}")?;
        }
        if self.fault.kind == Some(FaultKind::Page) {
            write!(f, " (accessed {:#x})", self.fault.address)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Fault;
    use abi::fault::FaultKind;
    use abi::{Message, Word};
    use ipc::system::{Image, Rights, Segment, Symbols};
    use std::format;
    use std::string::String;
    use std::vec;

    fn told(kind: u64, words: [u64; 5]) -> String {
        let symbols = Symbols::encode(&[(0x40_1000, "httpd::parse"), (0x40_2000, "httpd::send")]);
        let image = Image {
            name: String::from("httpd"),
            offset: 0,
            bytes: symbols.len() as u64,
            sha256: [0; 32],
            version: String::new(),
            entry: 0,
            segments: vec![Segment {
                rights: Rights::Execute,
                offset: 0,
                bytes: 0x3000,
                address: 0x40_0000,
                pages: 3,
            }],
            symbols: (0, symbols.len() as u64),
            wiring: Default::default(),
        };
        let fault = Fault::from_message(&Message::new(kind, words));
        format!("{}", fault.within(&symbols, Some(&image)))
    }

    #[test]
    fn page_faults_say_what_was_accessed_and_how() {
        let page = FaultKind::Page.to_word();
        assert_eq!(
            told(page, [3, 0xdead_b000, 0x40_101c, 6, 0]),
            "write to an unmapped page at 0x40101c in httpd::parse+0x1c (accessed 0xdeadb000)"
        );
        assert!(told(page, [3, 0, 0x40_2000, 5, 0]).starts_with("read of a protected page"));
        assert!(told(page, [3, 0, 0x40_2000, 0x15, 0]).starts_with("execution of a protected"));
    }

    #[test]
    fn an_address_without_a_symbol_is_told_alone() {
        let kind = FaultKind::Instruction.to_word();
        assert_eq!(told(kind, [3, 0, 0x30_0000, 0, 0]), "no such instruction at 0x300000");
        assert_eq!(told(kind, [3, 0, 0x40_0010, 0, 0]), "no such instruction at 0x400010");
    }

    #[test]
    fn an_address_beyond_the_code_has_no_symbol() {
        let kind = FaultKind::Instruction.to_word();
        assert_eq!(told(kind, [3, 0, 0x1fff_fb00, 0, 0]), "no such instruction at 0x1ffffb00");
        assert!(told(kind, [3, 0, 0x40_2fff, 0, 0]).ends_with("in httpd::send+0xfff"));
    }

    #[test]
    fn panics_and_exits_are_told_apart() {
        let kind = FaultKind::Exit.to_word();
        assert_eq!(told(kind, [3, 101, 0x40_2004, 0, 0]), "panic at 0x402004 in httpd::send+0x4");
        assert_eq!(
            told(kind, [3, 7, 0x40_2004, 0, 0]),
            "exit with code 7 at 0x402004 in httpd::send+0x4"
        );
    }

    #[test]
    fn every_kind_has_a_text() {
        for kind in 1..=12 {
            assert!(!told(kind, [0; 5]).starts_with("unknown"), "{kind}");
        }
        assert!(told(99, [u64::MAX; 5]).starts_with("unknown fault"));
    }
}
