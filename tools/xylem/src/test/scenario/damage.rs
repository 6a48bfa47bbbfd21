//! What a scenario does to a packed image before it is booted: bytes cut off, added or flipped, or a record of the table
//! made wrong. `sealed` makes the digest anew, so that what is wrong gets past it and has to be found behind it.
//!
//! Invariant: a damage that does not apply to an image is an error, so that no scenario boots a sound image unawares.

use abi::image::{HEADER, Header, sha256};
use abi::layout::{IMAGE, PAGE};
use ipc::system::{DevicePage, Handle, Region, Slot, System, Target};
use serde::Deserialize;

/// One or several damages.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Damage {
    /// A record of the system's table that is made wrong; the image is as well packed as before.
    record: Option<Record>,
    /// Where a bit is flipped.
    flip: Option<Place>,
    /// Whether the digest over header, table and supervisor is made anew after the flip.
    #[serde(default)]
    sealed: bool,
    /// Bytes that are left.
    truncate: Option<usize>,
    /// Bytes that are added.
    grow: Option<usize>,
}

/// Where a bit is flipped: an offset, or a part by its name.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Place {
    Offset(usize),
    Part(Part),
}

/// A part of the image. Of a field in the header it is the byte whose change shows best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Part {
    Magic,
    Version,
    Abi,
    ImageBytes,
    Digest,
    TableBytes,
    Counts,
    Entry,
    Segment,
    /// The middle of the table.
    Table,
    /// The middle of the supervisor's code.
    Supervisor,
    /// The middle of the last server's image.
    Server,
}

/// A record of the table that is made wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Record {
    /// The table is no table.
    Garbage,
    /// Two slots write one region.
    TwoWriters,
    /// A slot calls one that is not above it.
    CallsLevel,
    /// The supervisor has a manager.
    Managed,
    /// Two handles have one place.
    HandleTwice,
    /// A handle leads to a slot that does not exist.
    NoSuchSlot,
    /// Shared memory lies over a server's code.
    MapsCode,
    /// A segment lies in the kernel's half.
    SegmentOfKernel,
    /// A server starts outside its code.
    EntryOutside,
    /// Two slots have the console's page.
    DeviceTwice,
    /// The header counts one slot too few.
    TooManySlots,
    /// A wire's memory is larger than the domain's.
    RegionTooLarge,
}

/// What cannot be damaged in this way.
type Result<T> = std::result::Result<T, String>;

impl Damage {
    /// The image after it.
    ///
    /// # Errors
    /// What there is not in this image.
    pub fn apply(&self, mut image: Vec<u8>) -> Result<Vec<u8>> {
        if let Some(record) = self.record {
            image = record.spoil(&image)?;
        }
        if let Some(place) = self.flip {
            let at = place.offset(&image)?;
            *image.get_mut(at).ok_or_else(|| format!("there is no byte {at}"))? ^= 0x40;
        }
        if self.sealed {
            seal(&mut image)?;
        }
        if let Some(length) = self.truncate {
            if length >= image.len() {
                return Err(format!("the image has no more than {} bytes", image.len()));
            }
            image.truncate(length);
        }
        image.resize(image.len() + self.grow.unwrap_or(0), 0);
        Ok(image)
    }
}

impl Place {
    fn offset(self, image: &[u8]) -> Result<usize> {
        let part = match self {
            Self::Offset(offset) => return Ok(offset),
            Self::Part(part) => part,
        };
        let (header, system) = read(image)?;
        let middle = |offset: u64, bytes: u64| (offset + bytes / 2) as usize;
        Ok(match part {
            Part::Magic => 0,
            Part::Version => 8,
            Part::Abi => 16,
            Part::ImageBytes => 26,
            Part::Digest => 32,
            Part::TableBytes => 79,
            Part::Counts => 82,
            Part::Entry => 133,
            Part::Segment => 189,
            Part::Table => middle(HEADER as u64, header.table_bytes),
            Part::Supervisor => {
                let first = header.segments.iter().flatten().next().ok_or("no supervisor")?;
                middle(first.offset, first.bytes)
            }
            Part::Server => {
                let last = system.images.iter().max_by_key(|image| image.offset);
                let last = last.ok_or("no server")?;
                middle(last.offset, last.bytes)
            }
        })
    }
}

impl Record {
    /// The image with the record made wrong and everything else packed as before.
    fn spoil(self, image: &[u8]) -> Result<Vec<u8>> {
        let (mut header, mut system) = read(image)?;
        let table = if self == Self::Garbage {
            vec![0xff; header.table_bytes as usize]
        } else {
            self.change(&mut header, &mut system).ok_or("the image has no such record")?;
            system.encode()
        };
        let room = (header.table_bytes.next_multiple_of(PAGE)) as usize;
        let place = image.get(..HEADER + room).map(|_| HEADER..HEADER + room);
        let place = place.filter(|_| table.len() <= room).ok_or("the table has no room")?;
        let mut image = image.to_vec();
        for (at, byte) in image.iter_mut().skip(place.start).take(room).enumerate() {
            *byte = table.get(at).copied().unwrap_or(0);
        }
        header.table_bytes = table.len() as u64;
        let end = HEADER + header.root_bytes as usize;
        let fresh = header.encode(image.get(HEADER..end).ok_or("the image is too short")?);
        image.splice(..HEADER, fresh);
        Ok(image)
    }

    fn change(self, header: &mut Header, system: &mut System) -> Option<()> {
        match self {
            Self::Garbage => {}
            Self::TwoWriters => {
                let maps = system.slots.iter_mut().flat_map(|slot| &mut slot.maps);
                maps.filter(|map| map.region == 0).for_each(|map| map.writable = true);
            }
            Self::CallsLevel => caller(system)?.priority = u8::MAX,
            Self::Managed => system.slots.first_mut()?.manager = Some(1),
            Self::HandleTwice => {
                let table = &mut caller(system)?.table;
                table.push(*table.first()?);
            }
            Self::NoSuchSlot => {
                let target = Target::Bell { slot: 999, bits: 1 };
                caller(system)?.table.first_mut()?.target = target;
            }
            Self::MapsCode => {
                system.slots.iter_mut().find_map(|slot| slot.maps.first_mut())?.address = IMAGE
            }
            Self::SegmentOfKernel => {
                system.images.last_mut()?.segments.first_mut()?.address = !0xfff
            }
            Self::EntryOutside => system.images.last_mut()?.entry = 0,
            Self::DeviceTwice => {
                system
                    .slots
                    .iter_mut()
                    .for_each(|slot| slot.device_page = Some(DevicePage::Console));
            }
            Self::TooManySlots => header.counts.slots -= 1,
            Self::RegionTooLarge => {
                system.regions.push(Region { pages: 1 << 20, grantable: false, keep: false })
            }
        }
        Some(())
    }
}

/// The last slot that calls another.
fn caller(system: &mut System) -> Option<&mut Slot> {
    let calls = |handle: &Handle| matches!(handle.target, Target::Wire { .. });
    system.slots.iter_mut().rev().find(|slot| slot.table.iter().any(calls))
}

fn read(image: &[u8]) -> Result<(Header, System)> {
    let header = Header::decode(image).map_err(|error| error.text().to_owned())?;
    let table = image.get(HEADER..HEADER + header.table_bytes as usize).unwrap_or_default();
    let system = System::decode(table, header.image_bytes).map_err(|fault| format!("{fault:?}"))?;
    Ok((header, system))
}

/// Makes the digest anew over whatever the image is now: SHA-256 over the header without it, and over the root behind it.
fn seal(image: &mut [u8]) -> Result<()> {
    let bytes = image.get(ROOT_BYTES..ROOT_BYTES + 8).and_then(|bytes| bytes.try_into().ok());
    let root = u64::from_le_bytes(bytes.ok_or("the image is too short")?);
    let mut covered = image.get(..HEADER + root as usize).ok_or("the image is too short")?.to_vec();
    covered.iter_mut().skip(DIGEST).take(32).for_each(|byte| *byte = 0);
    let digest = sha256(&covered);
    image.iter_mut().skip(DIGEST).zip(digest).for_each(|(byte, new)| *byte = new);
    Ok(())
}

/// Where the header has its digest, and the number of bytes behind it that the digest covers.
const DIGEST: usize = 32;
const ROOT_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use abi::image::{Counts, HEADER, Header, ImageError, Segment};
    use abi::kernel::control::Access;
    use abi::layout::{IMAGE, WIRES};
    use ipc::system::{Fault, Handle, Image, Map, Region, Restart, Slot, System, Target};

    use super::{Damage, read};

    fn slot(name: &str, priority: u8, table: Vec<Handle>, writable: bool) -> Slot {
        Slot {
            name: name.into(),
            image: 0,
            priority,
            vcpu: 0,
            restart: Restart::Always,
            longest: 0,
            budget: 0,
            period: 0,
            manager: None,
            quota: Default::default(),
            stack_pages: 4,
            heap_pages: 4,
            handles: 8,
            needs: 0,
            clients: 0,
            table,
            maps: vec![Map { region: 0, address: WIRES, writable }],
            wires: vec![],
            debug: false,
            device_page: None,
            config: String::new(),
        }
    }

    fn system() -> System {
        let wire = |slot| Handle {
            index: 1,
            target: Target::Wire { slot, channel: 0, client: 0, bits: 1 },
        };
        let segment = ipc::system::Segment {
            rights: ipc::system::Rights::Execute,
            offset: 0x2000,
            bytes: 4096,
            address: IMAGE,
            pages: 1,
        };
        let image = Image {
            name: "server".into(),
            offset: 0x2000,
            bytes: 4096,
            sha256: [0; 32],
            version: String::new(),
            entry: IMAGE,
            segments: vec![segment],
            symbols: (0, 0),
            wiring: Default::default(),
        };
        System {
            name: "sample".into(),
            images: vec![image],
            slots: vec![
                slot("supervisor", 255, vec![], true),
                slot("server", 100, vec![wire(0)], false),
                slot("client", 50, vec![wire(1)], false),
            ],
            regions: vec![Region { pages: 1, grantable: false, keep: false }],
            ports: vec![],
            windows: vec![],
        }
    }

    fn image() -> Vec<u8> {
        let table = system().encode();
        let mut root = table.clone();
        root.resize(2 * HEADER, 0x90);
        let (access, offset, bytes) = (Access::Execute, 0x2000, 4096);
        let header = Header {
            image_bytes: 3 * HEADER as u64,
            root_bytes: root.len() as u64,
            table_bytes: table.len() as u64,
            counts: Counts { slots: 3, servers: 3, handles: 99, ..Counts::default() },
            entry: IMAGE,
            stack_pages: 4,
            heap_pages: 4,
            handles: 8,
            segments: [
                Some(Segment { access, offset, bytes, address: IMAGE, pages: 1 }),
                None,
                None,
                None,
            ],
        };
        [header.encode(&root).to_vec(), root].concat()
    }

    fn damaged(text: &str) -> Vec<u8> {
        let damage: Damage = toml::from_str(text).unwrap();
        damage.apply(image()).unwrap()
    }

    #[test]
    fn what_is_done_to_the_bytes_is_found_by_the_kernel() {
        let cases = [
            ("truncate = 4000", ImageError::Truncated),
            ("truncate = 8192", ImageError::Truncated),
            ("grow = 4096", ImageError::Oversized),
            ("flip = 5000", ImageError::Digest),
            ("flip = 'table'", ImageError::Digest),
            ("flip = 'supervisor'", ImageError::Digest),
            ("flip = 'digest'", ImageError::Digest),
            ("flip = 'magic'\nsealed = true", ImageError::Magic),
            ("flip = 'version'\nsealed = true", ImageError::Version),
            ("flip = 'abi'\nsealed = true", ImageError::Abi),
            ("flip = 'image-bytes'\nsealed = true", ImageError::Truncated),
            ("flip = 'table-bytes'\nsealed = true", ImageError::Size),
            ("flip = 'counts'\nsealed = true", ImageError::Counts),
            ("flip = 'entry'\nsealed = true", ImageError::Segment),
            ("flip = 'segment'\nsealed = true", ImageError::Segment),
        ];
        for (text, error) in cases {
            assert_eq!(Header::decode(&damaged(text)), Err(error), "{text}");
        }
    }

    #[test]
    fn a_wrong_record_gets_past_the_kernel_and_not_past_the_supervisor() {
        let cases = [
            ("garbage", Fault::Malformed),
            ("two-writers", Fault::Writers),
            ("calls-level", Fault::Priority),
            ("managed", Fault::Manager),
            ("handle-twice", Fault::Handle),
            ("no-such-slot", Fault::Number("slot")),
            ("maps-code", Fault::Address),
            ("segment-of-kernel", Fault::Outside),
        ];
        for (name, fault) in cases {
            let image = damaged(&format!("record = '{name}'"));
            let header = Header::decode(&image).unwrap();
            let table = &image[HEADER..HEADER + header.table_bytes as usize];
            assert_eq!(System::decode(table, header.image_bytes), Err(fault), "{name}");
        }
    }

    #[test]
    fn what_does_not_apply_is_an_error() {
        let refused = |text: &str| toml::from_str::<Damage>(text).unwrap().apply(image()).is_err();
        assert!(refused("truncate = 1000000"));
        assert!(refused("flip = 1000000"));
        assert!(toml::from_str::<Damage>("record = 'no-such'").is_err());
        assert!(read(&[0; 10]).is_err());
    }
}
