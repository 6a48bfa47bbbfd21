//! The boot image that `pack` writes and the kernel receives as a boot module: one header page, the system table for the
//! supervisor, then the segments of all servers, each from a page boundary on.
//!
//! The kernel reads the header alone, and checks it before anything of the image runs: magic, version, ABI hash, sizes,
//! counts, the supervisor's segments, and the digest (SHA-256 over the header with its digest field zero, and over the
//! `root_bytes` that follow it: the system table and the supervisor). All other bytes are covered by digests in the table,
//! which the supervisor checks before it starts a server from them.

use sha2::{Digest, Sha256};

use crate::Word;
use crate::kernel::control::Access;
use crate::layout::{BOOT_IMAGE, IMAGE, IMAGE_END, PAGE, STACK_PAGES};

/// First eight bytes.
pub const MAGIC: u64 = u64::from_le_bytes(*b"XylemImg");
/// Version of this format.
pub const VERSION: u32 = 1;
/// Bytes of the header.
pub const HEADER: usize = PAGE as usize;
/// Most segments of a server.
pub const SEGMENTS: usize = 4;
/// Most bytes of an image.
pub const MAX: u64 = 1 << 30;

const DIGEST_AT: usize = 32;
const COUNTS_AT: usize = 80;
const ROOT_AT: usize = 128;
const SEGMENTS_AT: usize = 160;
const SEGMENT: usize = 40;

/// How many objects of each kind the kernel makes; it makes no others later.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Slots, the supervisor's included.
    pub slots: u32,
    /// Servers that may exist at a time.
    pub servers: u32,
    /// Regions, the kernel's own included.
    pub regions: u32,
    /// Handle-table entries of all servers together.
    pub handles: u32,
    /// Ports.
    pub ports: u32,
    /// Windows.
    pub windows: u32,
    /// Grant references of all windows together.
    pub grants: u32,
    /// Pages for page tables and the index pages of regions.
    pub tables: u32,
}

impl Counts {
    /// The most of each that the kernel accepts.
    pub const LIMITS: Self = Self {
        slots: 256,
        servers: 256,
        regions: 2048,
        handles: 16_384,
        ports: 256,
        windows: 64,
        grants: 16_384,
        tables: 65_536,
    };

    fn to_array(self) -> [u32; 8] {
        [
            self.slots,
            self.servers,
            self.regions,
            self.handles,
            self.ports,
            self.windows,
            self.grants,
            self.tables,
        ]
    }

    fn from_array(
        [slots, servers, regions, handles, ports, windows, grants, tables]: [u32; 8],
    ) -> Self {
        Self { slots, servers, regions, handles, ports, windows, grants, tables }
    }

    fn fit(&self) -> bool {
        self.to_array()
            .into_iter()
            .zip(Self::LIMITS.to_array())
            .all(|(count, limit)| count <= limit)
            && self.slots >= 1
            && self.servers >= 1
    }
}

/// One segment of a server. Readable and executable ones are mapped in place; of writable ones `bytes` are copied and the
/// rest of their pages is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// How it is mapped.
    pub access: Access,
    /// Where its bytes are in the image; page aligned.
    pub offset: u64,
    /// How many bytes the image holds of it.
    pub bytes: u64,
    /// Where it is mapped; page aligned.
    pub address: u64,
    /// Pages that it takes there.
    pub pages: u64,
}

impl Segment {
    /// Whether the segment lies inside an image of `image_bytes` and inside the room for images.
    pub fn is_sound(&self, image_bytes: u64) -> bool {
        let aligned = self.offset.is_multiple_of(PAGE) && self.address.is_multiple_of(PAGE);
        let held = self.offset.checked_add(self.bytes).is_some_and(|end| end <= image_bytes);
        let placed = self.address >= IMAGE
            && self.pages <= (IMAGE_END - IMAGE) / PAGE
            && self.address.checked_add(self.pages * PAGE).is_some_and(|end| end <= IMAGE_END);
        let filled = self.pages >= 1 && self.bytes.div_ceil(PAGE) <= self.pages;
        let whole = self.access == Access::Write || self.bytes.div_ceil(PAGE) == self.pages;
        aligned && held && placed && filled && whole
    }

    fn end(&self) -> u64 {
        self.address.saturating_add(self.pages.saturating_mul(PAGE))
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.address < other.end() && other.address < self.end()
    }
}

/// The header, decoded and checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Bytes of the whole image; a multiple of the page size.
    pub image_bytes: u64,
    /// Bytes after the header that the header's digest covers; a multiple of the page size.
    pub root_bytes: u64,
    /// Bytes of the system table, which follows the header page.
    pub table_bytes: u64,
    /// How many objects there are.
    pub counts: Counts,
    /// Where the supervisor starts.
    pub entry: u64,
    /// Pages of its stack.
    pub stack_pages: u32,
    /// Pages of its heap.
    pub heap_pages: u32,
    /// Entries of its handle table.
    pub handles: u32,
    /// Its segments.
    pub segments: [Option<Segment>; SEGMENTS],
}

/// Why an image was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImageError {
    /// Shorter than its header, or than the header says.
    Truncated,
    /// Longer than the header says by a page or more.
    Oversized,
    /// Not an image.
    Magic,
    /// An image of another format version.
    Version,
    /// Packed for another kernel.
    Abi,
    /// Sizes that contradict each other.
    Size,
    /// A count of objects beyond the kernel's limits.
    Counts,
    /// A segment of the supervisor outside the image or its room, or overlapping another.
    Segment,
    /// The bytes are not those that were packed.
    Digest,
}

impl ImageError {
    /// One line for the console.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Truncated => "the boot image is truncated",
            Self::Oversized => "the boot image is longer than its header says",
            Self::Magic => "the boot module is not a Xylem image",
            Self::Version => "the boot image has another format version than this kernel",
            Self::Abi => "the boot image was packed for another kernel: pack it again",
            Self::Size => "the boot image's sizes contradict each other",
            Self::Counts => "the boot image asks for more objects than the kernel allows",
            Self::Segment => "a segment of the supervisor lies outside its place",
            Self::Digest => "the boot image's digest is wrong: it was changed after packing",
        }
    }
}

impl Header {
    /// The header page, with the digest over it and `root` (the `root_bytes` after it).
    pub fn encode(&self, root: &[u8]) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(place) = out.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        };
        put(0, &MAGIC.to_le_bytes());
        put(8, &VERSION.to_le_bytes());
        put(16, &crate::ABI_HASH.to_le_bytes());
        put(24, &self.image_bytes.to_le_bytes());
        put(64, &self.root_bytes.to_le_bytes());
        put(72, &self.table_bytes.to_le_bytes());
        for (i, count) in self.counts.to_array().into_iter().enumerate() {
            put(COUNTS_AT + i * 4, &count.to_le_bytes());
        }
        put(ROOT_AT, &self.entry.to_le_bytes());
        put(ROOT_AT + 8, &self.stack_pages.to_le_bytes());
        put(ROOT_AT + 12, &self.heap_pages.to_le_bytes());
        put(ROOT_AT + 16, &self.handles.to_le_bytes());
        for (i, segment) in self.segments.iter().enumerate() {
            let Some(segment) = segment else { continue };
            let words = [
                segment.access.to_word(),
                segment.offset,
                segment.bytes,
                segment.address,
                segment.pages,
            ];
            for (j, word) in words.into_iter().enumerate() {
                put(SEGMENTS_AT + i * SEGMENT + j * 8, &word.to_le_bytes());
            }
        }
        let digest = digest(&out, root);
        if let Some(place) = out.get_mut(DIGEST_AT..DIGEST_AT + 32) {
            place.copy_from_slice(&digest);
        }
        out
    }

    /// Decodes and checks the header of an image.
    ///
    /// # Errors
    /// Everything that [`ImageError`] names.
    pub fn decode(image: &[u8]) -> Result<Self, ImageError> {
        let header = image.get(..HEADER).ok_or(ImageError::Truncated)?;
        let decoded = Self::fields(header)?;
        decoded.check_sizes(image.len() as u64)?;
        decoded.check_root()?;
        let root =
            image.get(HEADER..HEADER + decoded.root_bytes as usize).ok_or(ImageError::Truncated)?;
        if header.get(DIGEST_AT..DIGEST_AT + 32) != Some(digest(header, root).as_slice()) {
            return Err(ImageError::Digest);
        }
        Ok(decoded)
    }

    /// Decodes the fields of a header and checks no more than that each can be decoded: for the supervisor, whose image
    /// the kernel has checked.
    ///
    /// # Errors
    /// Bytes that are no header of this format and this ABI.
    pub fn fields(header: &[u8]) -> Result<Self, ImageError> {
        let long = |at| array(header, at).map(u64::from_le_bytes).ok_or(ImageError::Truncated);
        let short = |at| array(header, at).map(u32::from_le_bytes).ok_or(ImageError::Truncated);
        if long(0)? != MAGIC {
            return Err(ImageError::Magic);
        }
        if short(8)? != VERSION {
            return Err(ImageError::Version);
        }
        if long(16)? != crate::ABI_HASH {
            return Err(ImageError::Abi);
        }
        let mut counts = [0; 8];
        for (i, count) in counts.iter_mut().enumerate() {
            *count = short(COUNTS_AT + i * 4)?;
        }
        let mut segments = [None; SEGMENTS];
        for (i, segment) in segments.iter_mut().enumerate() {
            *segment = decode_segment(header, SEGMENTS_AT + i * SEGMENT)?;
        }
        Ok(Self {
            image_bytes: long(24)?,
            root_bytes: long(64)?,
            table_bytes: long(72)?,
            counts: Counts::from_array(counts),
            entry: long(ROOT_AT)?,
            stack_pages: short(ROOT_AT + 8)?,
            heap_pages: short(ROOT_AT + 12)?,
            handles: short(ROOT_AT + 16)?,
            segments,
        })
    }

    fn check_sizes(&self, length: u64) -> Result<(), ImageError> {
        let header = HEADER as u64;
        if self.image_bytes > MAX
            || !self.image_bytes.is_multiple_of(PAGE)
            || !self.root_bytes.is_multiple_of(PAGE)
        {
            return Err(ImageError::Size);
        }
        if length < self.image_bytes {
            return Err(ImageError::Truncated);
        }
        if length - self.image_bytes >= PAGE {
            return Err(ImageError::Oversized);
        }
        if self.image_bytes < header
            || self.root_bytes > self.image_bytes - header
            || self.table_bytes > self.root_bytes
        {
            return Err(ImageError::Size);
        }
        if self.counts.fit() { Ok(()) } else { Err(ImageError::Counts) }
    }

    fn check_root(&self) -> Result<(), ImageError> {
        let covered = HEADER as u64 + self.root_bytes;
        let mut segments = self.segments.iter().flatten();
        let mut entered = false;
        while let Some(segment) = segments.next() {
            if !segment.is_sound(covered) || segments.clone().any(|other| segment.overlaps(other)) {
                return Err(ImageError::Segment);
            }
            let inside = self.entry.wrapping_sub(segment.address) < segment.pages * PAGE;
            entered |= segment.access == Access::Execute && inside;
        }
        let memory = u64::from(self.stack_pages) <= STACK_PAGES
            && self.stack_pages >= 1
            && self.heap_pages < 1 << 17;
        let handles = self.handles >= 2 && self.handles <= self.counts.handles;
        if entered && memory && handles { Ok(()) } else { Err(ImageError::Segment) }
    }

    /// Where the supervisor finds the system table.
    pub const fn table_address() -> u64 {
        BOOT_IMAGE + HEADER as u64
    }
}

fn decode_segment(header: &[u8], at: usize) -> Result<Option<Segment>, ImageError> {
    let word =
        |i: usize| array(header, at + i * 8).map(u64::from_le_bytes).ok_or(ImageError::Truncated);
    if word(0)? == 0 {
        return Ok(None);
    }
    let access = Access::from_word(word(0)?).ok_or(ImageError::Segment)?;
    Ok(Some(Segment {
        access,
        offset: word(1)?,
        bytes: word(2)?,
        address: word(3)?,
        pages: word(4)?,
    }))
}

/// SHA-256 over a header whose digest field counts as zero, and over `root`.
fn digest(header: &[u8], root: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(header.get(..DIGEST_AT).unwrap_or_default());
    hash.update([0; 32]);
    hash.update(header.get(DIGEST_AT + 32..).unwrap_or_default());
    hash.update(root);
    hash.finalize().into()
}

/// SHA-256 of some bytes, as the system table has it for each server's image.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::{Access, Counts, HEADER, Header, ImageError, Segment};
    use std::vec::Vec;

    fn sample() -> Vec<u8> {
        let root: Vec<u8> = (0..3 * HEADER).map(|i| (i * 7) as u8).collect();
        let text = Segment {
            access: Access::Execute,
            offset: 0x2000,
            bytes: 4000,
            address: 0x40_0000,
            pages: 1,
        };
        let data = Segment {
            access: Access::Write,
            offset: 0x3000,
            bytes: 100,
            address: 0x40_1000,
            pages: 3,
        };
        let header = Header {
            image_bytes: 5 * HEADER as u64,
            root_bytes: root.len() as u64,
            table_bytes: 4000,
            counts: Counts {
                slots: 2,
                servers: 2,
                regions: 20,
                handles: 64,
                ports: 0,
                windows: 0,
                grants: 0,
                tables: 40,
            },
            entry: 0x40_0010,
            stack_pages: 4,
            heap_pages: 4,
            handles: 8,
            segments: [Some(text), Some(data), None, None],
        };
        let mut image = header.encode(&root).to_vec();
        image.extend_from_slice(&root);
        image.resize(5 * HEADER, 0);
        image
    }

    #[test]
    fn a_packed_image_is_accepted() {
        let header = Header::decode(&sample()).unwrap();
        assert_eq!(header.counts.slots, 2);
        assert_eq!(header.segments.iter().flatten().count(), 2);
    }

    #[test]
    fn every_flipped_bit_of_the_root_is_noticed() {
        let image = sample();
        for at in 0..4 * HEADER {
            let mut flipped = image.clone();
            flipped[at] ^= 1 << (at % 8);
            // Bytes 12..16 and the like are padding of the header: covered by the digest as well.
            assert!(Header::decode(&flipped).is_err(), "byte {at}");
        }
    }

    #[test]
    fn every_truncation_is_noticed() {
        let image = sample();
        for length in (0..image.len()).step_by(97) {
            assert_eq!(Header::decode(&image[..length]), Err(ImageError::Truncated));
        }
    }

    #[test]
    fn a_page_too_many_is_noticed() {
        let mut image = sample();
        image.resize(6 * HEADER, 0);
        assert_eq!(Header::decode(&image), Err(ImageError::Oversized));
    }
}
