//! What the supervisor tells a server when it starts it: the start page(s), read only, at [`crate::layout::START`].
//!
//! Little endian. A header of 64 bytes, then one entry of [`ENTRY`] bytes for each need and each client, then the slot's
//! name, then the configuration: lines `key=value`.

use crate::layout::{PAGE, START_PAGES};

/// First eight bytes.
pub const MAGIC: u64 = u64::from_le_bytes(*b"XylemSta");
/// Bytes of the header.
pub const HEADER: usize = 64;
/// Bytes of an entry.
pub const ENTRY: usize = 24;
/// Most bytes of the whole.
pub const MAX: usize = (PAGE * START_PAGES) as usize;

/// Where the pages of one wire lie in this server's address space; addresses are 0 where there are no pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WireMemory {
    /// Address of the part that the client writes.
    pub up: u64,
    /// Address of the part that the server writes.
    pub down: u64,
    /// Pages of the former.
    pub up_pages: u32,
    /// Pages of the latter.
    pub down_pages: u32,
}

/// The fixed part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Number of the slot.
    pub slot: u16,
    /// Number of needs.
    pub needs: u16,
    /// Number of places for clients.
    pub clients: u16,
    /// How often the slot was started before.
    pub incarnation: u32,
    /// Pages of heap at [`crate::layout::HEAP`].
    pub heap_pages: u32,
    /// Pages of stack below [`crate::layout::STACK_END`].
    pub stack_pages: u32,
    /// Pages at [`crate::layout::KEEP`].
    pub keep_pages: u32,
    /// Whether those pages, and the slot's devices, are as the server before left them.
    pub is_kept: bool,
    /// Where the state to adopt lies: in [`crate::layout::STATE`]'s pages; 0 for a server that begins afresh.
    pub state: u64,
    /// Bytes of it.
    pub state_bytes: u64,
}

/// Writes a start record; returns its length, or `None` if `out` is too small.
pub fn write(
    out: &mut [u8],
    header: &Header,
    wires: impl Iterator<Item = WireMemory>,
    name: &str,
    config: &str,
) -> Option<usize> {
    out.get_mut(..HEADER)?.fill(0);
    put(out, 0, &MAGIC.to_le_bytes())?;
    put(out, 8, &header.slot.to_le_bytes())?;
    put(out, 10, &header.needs.to_le_bytes())?;
    put(out, 12, &header.clients.to_le_bytes())?;
    put(out, 14, &[u8::from(header.is_kept), 0])?;
    put(out, 16, &header.incarnation.to_le_bytes())?;
    put(out, 20, &header.heap_pages.to_le_bytes())?;
    put(out, 24, &header.stack_pages.to_le_bytes())?;
    put(out, 28, &u32::try_from(name.len()).ok()?.to_le_bytes())?;
    put(out, 32, &u32::try_from(config.len()).ok()?.to_le_bytes())?;
    put(out, 36, &header.keep_pages.to_le_bytes())?;
    adopt(out, header.state, header.state_bytes)?;
    let mut at = HEADER;
    for wire in wires {
        put(out, at, &wire.up.to_le_bytes())?;
        put(out, at + 8, &wire.down.to_le_bytes())?;
        put(out, at + 16, &wire.up_pages.to_le_bytes())?;
        put(out, at + 20, &wire.down_pages.to_le_bytes())?;
        at += ENTRY;
    }
    put(out, at, name.as_bytes())?;
    put(out, at + name.len(), config.as_bytes())?;
    Some(at + name.len() + config.len())
}

/// Writes into a record, or into the [`HEADER`] bytes that it begins with, which state is to be adopted. `None` if `out` is
/// too small.
pub fn adopt(out: &mut [u8], state: u64, bytes: u64) -> Option<()> {
    put(out, 40, &state.to_le_bytes())?;
    put(out, 48, &bytes.to_le_bytes())
}

/// Bytes of a whole start record, from the [`HEADER`] bytes that it begins with; `None` if they are none.
pub fn length(header: &[u8]) -> Option<usize> {
    if u64::from_le_bytes(array(header, 0)?) != MAGIC {
        return None;
    }
    let needs = usize::from(u16::from_le_bytes(array(header, 10)?));
    let clients = usize::from(u16::from_le_bytes(array(header, 12)?));
    let name = u32::from_le_bytes(array(header, 28)?) as usize;
    let config = u32::from_le_bytes(array(header, 32)?) as usize;
    (HEADER + (needs + clients) * ENTRY).checked_add(name)?.checked_add(config)
}

/// A start record as the server reads it.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    bytes: &'a [u8],
    /// The fixed part.
    pub header: Header,
    /// Name of the slot.
    pub name: &'a str,
    config: &'a str,
}

impl<'a> Start<'a> {
    /// Decodes; `None` if it is no start record.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        if u64::from_le_bytes(array(bytes, 0)?) != MAGIC {
            return None;
        }
        let header = Header {
            slot: u16::from_le_bytes(array(bytes, 8)?),
            needs: u16::from_le_bytes(array(bytes, 10)?),
            clients: u16::from_le_bytes(array(bytes, 12)?),
            incarnation: u32::from_le_bytes(array(bytes, 16)?),
            heap_pages: u32::from_le_bytes(array(bytes, 20)?),
            stack_pages: u32::from_le_bytes(array(bytes, 24)?),
            keep_pages: u32::from_le_bytes(array(bytes, 36)?),
            is_kept: *bytes.get(14)? != 0,
            state: u64::from_le_bytes(array(bytes, 40)?),
            state_bytes: u64::from_le_bytes(array(bytes, 48)?),
        };
        let name_at = HEADER + (usize::from(header.needs) + usize::from(header.clients)) * ENTRY;
        let config_at = name_at.checked_add(u32::from_le_bytes(array(bytes, 28)?) as usize)?;
        let end = config_at.checked_add(u32::from_le_bytes(array(bytes, 32)?) as usize)?;
        let text = |from, to| core::str::from_utf8(bytes.get(from..to)?).ok();
        Some(Self { bytes, header, name: text(name_at, config_at)?, config: text(config_at, end)? })
    }

    /// The memory of a need.
    pub fn need(&self, index: u16) -> Option<WireMemory> {
        (index < self.header.needs).then(|| self.entry(usize::from(index)))?
    }

    /// The memory of a client.
    pub fn client(&self, index: u16) -> Option<WireMemory> {
        let at = usize::from(self.header.needs) + usize::from(index);
        (index < self.header.clients).then(|| self.entry(at))?
    }

    /// The value of a configuration key; the last line that sets it wins.
    pub fn config(&self, key: &str) -> Option<&'a str> {
        self.lines().filter(|(name, _)| *name == key).map(|(_, value)| value).last()
    }

    /// All configuration lines, in order.
    pub fn lines(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.config.lines().filter_map(|line| line.split_once('='))
    }

    fn entry(&self, index: usize) -> Option<WireMemory> {
        let at = HEADER + index * ENTRY;
        Some(WireMemory {
            up: u64::from_le_bytes(array(self.bytes, at)?),
            down: u64::from_le_bytes(array(self.bytes, at + 8)?),
            up_pages: u32::from_le_bytes(array(self.bytes, at + 16)?),
            down_pages: u32::from_le_bytes(array(self.bytes, at + 20)?),
        })
    }
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) -> Option<()> {
    out.get_mut(at..at.checked_add(bytes.len())?)?.copy_from_slice(bytes);
    Some(())
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::{Header, Start, WireMemory, adopt, length, write};

    const HEADER: Header = Header {
        slot: 4,
        needs: 1,
        clients: 2,
        incarnation: 3,
        heap_pages: 9,
        stack_pages: 8,
        keep_pages: 5,
        is_kept: true,
        state: 0,
        state_bytes: 0,
    };

    fn wire(n: u64) -> WireMemory {
        WireMemory { up: n << 12, down: n << 13, up_pages: n as u32, down_pages: n as u32 + 1 }
    }

    fn sample(out: &mut [u8]) -> Option<usize> {
        write(out, &HEADER, (1..4).map(wire), "httpd", "port=80\nname=x\nport=81\n")
    }

    #[test]
    fn a_server_reads_what_the_supervisor_wrote() {
        let mut out = [0; 400];
        let length = sample(&mut out).unwrap();
        let start = Start::read(&out[..length]).unwrap();
        assert_eq!((start.header, start.name), (HEADER, "httpd"));
        assert_eq!((start.need(0), start.need(1)), (Some(wire(1)), None));
        assert_eq!((start.client(1), start.client(2)), (Some(wire(3)), None));
        assert_eq!((start.config("port"), start.config("nothing")), (Some("81"), None));
    }

    #[test]
    fn the_header_tells_the_length() {
        let mut out = [0; 400];
        let written = sample(&mut out).unwrap();
        assert_eq!(length(&out[..super::HEADER]), Some(written));
        assert_eq!(length(&out[..super::HEADER / 2]), None);
        assert_eq!(length(&[0; super::HEADER]), None);
    }

    #[test]
    fn a_record_is_told_afterwards_what_to_adopt() {
        let mut out = [0; 400];
        let length = sample(&mut out).unwrap();
        adopt(&mut out[..super::HEADER], 0x1040_0010, 99).unwrap();
        let header = Start::read(&out[..length]).unwrap().header;
        assert_eq!(header, Header { state: 0x1040_0010, state_bytes: 99, ..HEADER });
        assert_eq!(adopt(&mut out[..super::HEADER / 2], 1, 1), None);
    }

    #[test]
    fn too_little_room_is_no_record() {
        let mut out = [0; 400];
        let length = sample(&mut out).unwrap();
        for short in 0..length {
            assert_eq!(sample(&mut out[..short]), None);
        }
    }

    #[test]
    fn truncated_records_are_refused() {
        let mut out = [0; 400];
        let length = sample(&mut out).unwrap();
        for short in 0..length {
            assert!(Start::read(&out[..short]).is_none());
        }
    }
}
