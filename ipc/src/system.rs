//! The system table: what `pack` tells the supervisor about the system, in the boot image after its header (postcard).
//!
//! `pack` has decided everything: which handles a server has, which pages it shares and where they lie. The supervisor checks
//! the table ([`System::check`]) and carries it out; it looks nothing up by name.

mod keep;
pub mod symbols;
pub mod wiring;

use alloc::string::String;
use alloc::vec::Vec;

use abi::kernel::control::{Access, HandleKind, OBJECT_KINDS, PortKind, is_limit};
use serde::{Deserialize, Serialize};

pub use keep::Kept;
pub use symbols::Symbols;
pub use wiring::Wiring;

/// The whole system.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct System {
    /// Its name.
    pub name: String,
    /// The servers' images.
    pub images: Vec<Image>,
    /// The slots; number 0 is the supervisor.
    pub slots: Vec<Slot>,
    /// Regions shared over wires, made once at boot.
    pub regions: Vec<Region>,
    /// Ports.
    pub ports: Vec<Port>,
    /// Windows.
    pub windows: Vec<Window>,
}

/// The image of a server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// Where its bytes begin in the boot image; page aligned.
    pub offset: u64,
    /// How many they are.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
    /// What it was built from, as its packer calls it.
    pub version: String,
    /// Where it starts.
    pub entry: u64,
    /// Its segments; offsets count from the beginning of the boot image, and lie inside the image's bytes.
    pub segments: Vec<Segment>,
    /// Where its symbols lie in the boot image, inside the image's bytes (see [`Symbols`]); length 0 if there are none.
    pub symbols: (u64, u64),
    /// What it is built for, by which a swap is checked.
    pub wiring: Wiring,
}

/// How pages may be used, as the table has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Rights {
    /// Read.
    Read,
    /// Read and write.
    Write,
    /// Read and execute.
    Execute,
}

impl Rights {
    /// The kernel's word for it.
    pub const fn access(self) -> Access {
        match self {
            Self::Read => Access::Read,
            Self::Write => Access::Write,
            Self::Execute => Access::Execute,
        }
    }
}

/// A segment; as [`abi::image::Segment`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Segment {
    /// How it is mapped.
    pub rights: Rights,
    /// Where its bytes are in the boot image.
    pub offset: u64,
    /// How many they are.
    pub bytes: u64,
    /// Where it is mapped.
    pub address: u64,
    /// Pages that it takes there.
    pub pages: u64,
}

/// What happens when a server dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Restart {
    /// It is started again, after a pause that grows.
    Always,
    /// Its slot is switched off.
    Never,
    /// The domain ends as crashed.
    Crash,
}

/// A slot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// Number of its image.
    pub image: u16,
    /// Priority; higher runs first.
    pub priority: u8,
    /// The vCPU it lives on.
    pub vcpu: u16,
    /// What happens when it dies.
    pub restart: Restart,
    /// The most CPU time that it may use between two waits, in nanoseconds; 0: no limit. (Manifest: `longest_ms`, 1000 unless
    /// it says otherwise.)
    pub longest: u64,
    /// CPU time that it gets in each period, in nanoseconds; 0: no limit. (Manifest: `budget`.)
    pub budget: u64,
    /// That period, in nanoseconds; 0 if there is no limit. (Manifest: `period`.)
    pub period: u64,
    /// The slot that decides about its faults and its memory; none: the supervisor. (Manifest: `manager`.)
    pub manager: Option<u16>,
    /// The most that it may hold of each kind of object, by [`abi::kernel::control::ObjectKind`].
    pub quota: [u32; OBJECT_KINDS.len()],
    /// Pages of stack.
    pub stack_pages: u32,
    /// Pages of heap.
    pub heap_pages: u32,
    /// Size of its handle table.
    pub handles: u16,
    /// Number of needs, for its start record.
    pub needs: u16,
    /// Places for clients, for its start record.
    pub clients: u16,
    /// What its handle table holds beyond the kernel's own handle.
    pub table: Vec<Handle>,
    /// Shared memory to map.
    pub maps: Vec<Map>,
    /// Memory of needs, then of clients, in order, for its start record.
    pub wires: Vec<WireMemory>,
    /// Whether it may print on the hypervisor's debug console.
    pub debug: bool,
    /// Whether XenStore's or the console's ring page is mapped for it at [`abi::layout::DEVICE`].
    pub device_page: Option<DevicePage>,
    /// Configuration lines, `key=value`.
    pub config: String,
}

/// A ring page that the toolstack made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum DevicePage {
    /// XenStore's.
    Store,
    /// The console's.
    Console,
}

/// An entry of a handle table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Handle {
    /// Its place in the table.
    pub index: u16,
    /// What it leads to.
    pub target: Target,
}

/// What a handle leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Target {
    /// A channel of a slot.
    Wire {
        /// The serving slot.
        slot: u16,
        /// Its channel.
        channel: u8,
        /// Which of its clients the owner is.
        client: u16,
        /// The bits of the serving slot's inbox that a notification sets.
        bits: u64,
    },
    /// A client's inbox.
    Bell {
        /// The client's slot.
        slot: u16,
        /// The bits that a notification sets there.
        bits: u64,
    },
    /// A port of the system.
    Port(u16),
    /// A window of the system.
    Window(u16),
    /// The slots that the owner manages.
    Control,
}

impl Target {
    /// The kernel's word for it.
    pub const fn kind(self) -> HandleKind {
        match self {
            Self::Wire { .. } => HandleKind::Wire,
            Self::Bell { .. } => HandleKind::Bell,
            Self::Port(_) => HandleKind::Port,
            Self::Window(_) => HandleKind::Window,
            Self::Control => HandleKind::Control,
        }
    }
}

/// A shared region to map.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Map {
    /// Number in [`System::regions`].
    pub region: u16,
    /// Where; page aligned, inside the shared part of the layout.
    pub address: u64,
    /// Whether the server writes it. Exactly one server does.
    pub writable: bool,
}

/// As [`abi::start::WireMemory`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
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

impl WireMemory {
    /// The start record's word for it.
    pub const fn start(self) -> abi::start::WireMemory {
        let Self { up, down, up_pages, down_pages } = self;
        abi::start::WireMemory { up, down, up_pages, down_pages }
    }
}

/// A region shared over a wire, or kept by a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Region {
    /// Its size.
    pub pages: u32,
    /// Whether its pages can be granted.
    pub grantable: bool,
    /// Whether it is what a slot keeps over a crash.
    pub keep: bool,
}

/// What a port is bound to, as the table has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum PortTarget {
    /// A channel that the peer domain may bind.
    Peer,
    /// XenStore's.
    Store,
    /// The console's.
    Console,
    /// A channel that domain 0 may bind. A slot with such a port grants to domain 0.
    Domain0,
}

impl PortTarget {
    /// Whether another domain binds it, so that it can be closed and opened again.
    #[must_use]
    pub const fn is_bound_by_peer(self) -> bool {
        matches!(self, Self::Peer | Self::Domain0)
    }

    /// The kernel's word for it.
    pub const fn kind(self) -> PortKind {
        match self {
            Self::Peer | Self::Domain0 => PortKind::Peer,
            Self::Store => PortKind::Store,
            Self::Console => PortKind::Console,
        }
    }
}

/// A port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Port {
    /// The slot whose inbox its events go to.
    pub slot: u16,
    /// The bits that they set.
    pub bits: u64,
    /// What it is bound to.
    pub target: PortTarget,
}

/// A window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Window {
    /// The slot that owns it.
    pub slot: u16,
    /// Its references.
    pub references: u32,
}

/// Why a table was refused: the first rule that it breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The bytes are no table.
    Malformed,
    /// A number of an image, slot, region, port or window that does not exist.
    Number(&'static str),
    /// An image or a segment outside the boot image.
    Outside,
    /// An address outside the layout or not page aligned, or two mappings over each other.
    Address,
    /// A region that two slots may write.
    Writers,
    /// A wire whose caller is not below the serving slot's priority.
    Priority,
    /// A slot that is not below its manager's priority.
    Manager,
    /// A handle outside the table or two in one place.
    Handle,
}

impl System {
    /// Decodes and checks the table of a boot image of `image_bytes`.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn decode(bytes: &[u8], image_bytes: u64) -> Result<Self, Fault> {
        let (system, rest) =
            postcard::take_from_bytes::<Self>(bytes).map_err(|_| Fault::Malformed)?;
        if !rest.is_empty() {
            return Err(Fault::Malformed);
        }
        system.check(image_bytes)?;
        Ok(system)
    }

    /// Encodes it.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Checks every number and every address.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn check(&self, image_bytes: u64) -> Result<(), Fault> {
        self.images.iter().try_for_each(|image| image.check(image_bytes))?;
        self.slots.iter().try_for_each(|slot| self.check_slot(slot))?;
        self.check_writers()?;
        self.check_keeps()?;
        let owner = |slot: u16| usize::from(slot) < self.slots.len();
        if !self.ports.iter().all(|port| owner(port.slot)) {
            return Err(Fault::Number("port"));
        }
        if !self.windows.iter().all(|window| owner(window.slot)) {
            return Err(Fault::Number("window"));
        }
        Ok(())
    }

    fn check_slot(&self, slot: &Slot) -> Result<(), Fault> {
        if usize::from(slot.image) >= self.images.len() {
            return Err(Fault::Number("image"));
        }
        if slot.wires.len() != usize::from(slot.needs) + usize::from(slot.clients) {
            return Err(Fault::Number("wire"));
        }
        if let Some(manager) = slot.manager {
            let manager = self.slots.get(usize::from(manager)).ok_or(Fault::Number("manager"))?;
            if manager.priority <= slot.priority {
                return Err(Fault::Manager);
            }
        }
        if !is_limit(slot.budget, slot.period) {
            return Err(Fault::Number("budget"));
        }
        let memory = u64::from(slot.stack_pages) <= abi::layout::STACK_PAGES
            && u64::from(slot.heap_pages)
                <= (abi::layout::HEAP_END - abi::layout::HEAP) / abi::layout::PAGE;
        if !memory {
            return Err(Fault::Address);
        }
        for (at, handle) in slot.table.iter().enumerate() {
            let twice = slot.table.iter().skip(at + 1).any(|other| other.index == handle.index);
            if twice || handle.index == 0 || handle.index >= slot.handles {
                return Err(Fault::Handle);
            }
            self.check_target(slot, handle.target)?;
        }
        self.check_maps(slot)
    }

    fn check_target(&self, owner: &Slot, target: Target) -> Result<(), Fault> {
        match target {
            Target::Wire { slot, .. } => {
                let server = self.slots.get(usize::from(slot)).ok_or(Fault::Number("slot"))?;
                if owner.priority < server.priority { Ok(()) } else { Err(Fault::Priority) }
            }
            Target::Bell { slot, .. } => {
                self.slots.get(usize::from(slot)).map(|_| ()).ok_or(Fault::Number("slot"))
            }
            Target::Port(port) => {
                self.ports.get(usize::from(port)).map(|_| ()).ok_or(Fault::Number("port"))
            }
            Target::Window(window) => {
                self.windows.get(usize::from(window)).map(|_| ()).ok_or(Fault::Number("window"))
            }
            Target::Control => Ok(()),
        }
    }

    fn check_maps(&self, slot: &Slot) -> Result<(), Fault> {
        use abi::layout::{PAGE, SHARED_END, WIRES};
        let mut spans = Vec::new();
        for map in &slot.maps {
            let region =
                self.regions.get(usize::from(map.region)).ok_or(Fault::Number("region"))?;
            let end =
                map.address.checked_add(u64::from(region.pages) * PAGE).ok_or(Fault::Address)?;
            if !map.address.is_multiple_of(PAGE) || map.address < WIRES || end > SHARED_END {
                return Err(Fault::Address);
            }
            spans.push((map.address, end));
        }
        spans.sort_unstable();
        let apart = spans.windows(2).all(|pair| matches!(pair, [a, b] if a.1 <= b.0));
        if apart { Ok(()) } else { Err(Fault::Address) }
    }

    fn check_writers(&self) -> Result<(), Fault> {
        let mut written: Vec<u16> = self
            .slots
            .iter()
            .flat_map(|slot| &slot.maps)
            .filter(|map| map.writable)
            .map(|map| map.region)
            .collect();
        written.sort_unstable();
        let once = written.windows(2).all(|pair| matches!(pair, [a, b] if a != b));
        if once { Ok(()) } else { Err(Fault::Writers) }
    }
}

impl Image {
    /// Checks that the image and its segments lie where they may.
    fn check(&self, image_bytes: u64) -> Result<(), Fault> {
        let end = self.offset.checked_add(self.bytes).ok_or(Fault::Outside)?;
        let (symbols, length) = self.symbols;
        let symbols_end = symbols.checked_add(length).ok_or(Fault::Outside)?;
        let symbols_inside = length == 0 || (symbols >= self.offset && symbols_end <= end);
        if end > image_bytes || !self.offset.is_multiple_of(abi::layout::PAGE) || !symbols_inside {
            return Err(Fault::Outside);
        }
        for (at, segment) in self.segments.iter().enumerate() {
            let sound = segment.offset >= self.offset && segment.image().is_sound(end);
            let apart = self.segments.iter().skip(at + 1).all(|other| {
                segment.address + segment.pages * abi::layout::PAGE <= other.address
                    || other.address.saturating_add(other.pages.saturating_mul(abi::layout::PAGE))
                        <= segment.address
            });
            if !sound || !apart {
                return Err(Fault::Outside);
            }
        }
        Ok(())
    }
}

impl Segment {
    /// As the image header has it.
    pub const fn image(&self) -> abi::image::Segment {
        abi::image::Segment {
            access: self.rights.access(),
            offset: self.offset,
            bytes: self.bytes,
            address: self.address,
            pages: self.pages,
        }
    }
}
