//! Building a server: address space, memory, handles, thread. The same steps at boot and after a death.
//!
//! Code and constants are mapped in place from the sealed boot image. Everything private to the server (its data, stack, heap
//! and start record) is one region, made for this incarnation and freed with it. Nothing is left behind by a step that
//! fails.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use abi::kernel::control::{
    Access, HandleKind, MAY_PRINT, REGION_CLOCK, REGION_CONSOLE, REGION_IMAGE, REGION_STORE,
};
use abi::layout::{
    CLOCK, DEVICE, HEAP, PAGE, SCRATCH, SCRATCH_PAGES, STACK_END, START, STATE, STATE_PAGES,
};
use abi::{Badge, Traps, Word, start};
use ipc::system::{DevicePage, Handle, Rights, Segment, Slot, System, Target};

use crate::check::part;
use crate::host::Host;
use crate::kernel::{Kernel, Refused};

/// The supervisor's own server.
pub(crate) const SUPERVISOR: u16 = abi::kernel::control::SUPERVISOR_SERVER;

/// A server that was built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// Its number.
    pub server: u16,
    /// Its private region.
    pub private: u16,
    /// The page of that region where its heap begins.
    pub heap: u32,
    /// The page of that region where its start record begins.
    pub record: u32,
}

/// What a server is built from.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The boot image.
    pub image: &'a [u8],
    /// The system.
    pub system: &'a System,
    /// The kernel's numbers of the system's regions.
    pub regions: &'a [u16],
    /// Number of the slot.
    pub number: u16,
    /// The slot.
    pub slot: &'a Slot,
    /// Number of the image.
    pub program: u16,
    /// Whether it is to take the place of the slot's server, instead of filling an empty slot.
    pub succeeds: bool,
    /// How often it was started before.
    pub incarnation: u32,
    /// Whether the slot keeps what its server before left.
    pub is_kept: bool,
    /// Its whole configuration.
    pub config: &'a str,
}

/// Where the parts of the private region begin, in pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Private {
    stack: u32,
    heap: u32,
    record: u32,
    pages: u32,
}

impl<'a> Plan<'a> {
    /// Where the stack begins in the private region, in pages.
    pub(crate) fn stack_page(&self) -> u32 {
        self.private(&[]).stack
    }

    fn segments(&self) -> &'a [Segment] {
        let image = self.system.images.get(usize::from(self.program));
        image.map_or(&[], |image| image.segments.as_slice())
    }

    fn entry(&self) -> u64 {
        self.system.images.get(usize::from(self.program)).map_or(0, |image| image.entry)
    }

    fn private(&self, record: &[u8]) -> Private {
        let written = self.segments().iter().filter(|segment| segment.rights == Rights::Write);
        let stack = written.map(|segment| segment.pages as u32).sum();
        let heap = stack + self.slot.stack_pages;
        let record_at = heap + self.slot.heap_pages;
        let record_pages = record.len().div_ceil(PAGE as usize) as u32;
        Private { stack, heap, record: record_at, pages: record_at + record_pages }
    }

    /// The start record; empty if it is longer than a start record may be.
    fn record(&self) -> Vec<u8> {
        let header = start::Header {
            slot: self.number,
            needs: self.slot.needs,
            clients: self.slot.clients,
            incarnation: self.incarnation,
            heap_pages: self.slot.heap_pages,
            stack_pages: self.slot.stack_pages,
            keep_pages: self.system.kept(self.slot).map_or(0, |kept| kept.pages),
            is_kept: self.is_kept,
            state: 0,
            state_bytes: 0,
        };
        let mut bytes = vec![0; start::MAX];
        let wires = self.slot.wires.iter().map(|wire| wire.start());
        let length = start::write(&mut bytes, &header, wires, &self.slot.name, self.config);
        bytes.truncate(length.unwrap_or(0));
        bytes
    }
}

/// Builds the server of a slot; its thread is not started.
///
/// # Errors
/// The kernel refused a step; nothing is left of the server.
pub fn load<T: Traps>(
    kernel: &Kernel<T>,
    host: &impl Host,
    plan: &Plan<'_>,
) -> Result<Loaded, Refused> {
    let record = plan.record();
    let parts = plan.private(&record);
    let private = kernel.region(plan.number, parts.pages, 0)?;
    let (number, handles) = (plan.number, plan.slot.handles);
    let made = if plan.succeeds {
        kernel.control.server_candidate(number, handles)
    } else {
        kernel.control.server_create(number, handles)
    };
    let server = match made {
        Ok(server) => server,
        Err(refused) => {
            kernel.free(private);
            return Err(refused);
        }
    };
    let loaded = Loaded { server, private, heap: parts.heap, record: parts.record };
    match build(kernel, host, plan, loaded, (&record, parts)) {
        Ok(()) => Ok(loaded),
        Err(refused) => {
            unload(kernel, loaded);
            Err(refused)
        }
    }
}

/// Takes a server apart and frees its memory.
pub fn unload<T: Traps>(kernel: &Kernel<T>, loaded: Loaded) {
    kernel.destroy(loaded.server);
    kernel.free(loaded.private);
}

fn build<T: Traps>(
    kernel: &Kernel<T>,
    host: &impl Host,
    plan: &Plan<'_>,
    loaded: Loaded,
    (record, parts): (&[u8], Private),
) -> Result<(), Refused> {
    let Loaded { server, private, .. } = loaded;
    map_segments(kernel, host, plan, loaded)?;
    let Slot { stack_pages, heap_pages, .. } = *plan.slot;
    let stack = STACK_END - u64::from(stack_pages) * PAGE;
    kernel.map(server, private, stack, (parts.stack, stack_pages), Access::Write)?;
    kernel.map(server, private, HEAP, (parts.heap, heap_pages), Access::Write)?;
    fill(kernel, host, private, parts.record, record)?;
    let record_pages = parts.pages - parts.record;
    kernel.map(server, private, START, (parts.record, record_pages), Access::Read)?;
    kernel.map(server, REGION_CLOCK, CLOCK, (0, 1), Access::Read)?;
    map_device(kernel, server, plan.slot.device_page)?;
    map_shared(kernel, server, plan.system, plan.regions, plan.slot)?;
    if plan.slot.debug {
        let own = HandleKind::Own.to_word();
        kernel.control.handle_install(server, 0, own, MAY_PRINT)?;
    }
    install(kernel, (plan.number, server), &plan.slot.table, plan.incarnation)?;
    if plan.succeeds { present(kernel, plan, loaded, false) } else { Ok(()) }
}

/// Bit of the incarnation in the badge by which the supervisor knows a candidate.
pub const CANDIDATE: u8 = 0x80;

/// Gives the successor of a slot's server its wire to the supervisor: as the candidate that it is, or as the slot's server.
///
/// # Errors
/// As the kernel says.
pub fn present<T: Traps>(
    kernel: &Kernel<T>,
    plan: &Plan<'_>,
    loaded: Loaded,
    has_taken_over: bool,
) -> Result<(), Refused> {
    let wire = plan.slot.table.iter().find(|handle| handle.index == abi::Handle::SUPERVISOR.0);
    let other = if has_taken_over { 0 } else { u32::from(CANDIDATE) };
    let wire = wire.map_or(&[][..], core::slice::from_ref);
    install(kernel, (plan.number, loaded.server), wire, plan.incarnation ^ other)
}

/// Shows a candidate `bytes` bytes of its predecessor's state, which lie at `address` of its heap, and lets it run.
///
/// # Errors
/// As the kernel says.
pub fn show<T: Traps>(
    kernel: &Kernel<T>,
    host: &impl Host,
    plan: &Plan<'_>,
    (old, new): (Loaded, Loaded),
    (address, bytes): (u64, u64),
) -> Result<(), Refused> {
    let (first, pages) = state_pages(address, bytes);
    kernel.map(new.server, old.private, STATE, (old.heap + first, pages), Access::Read)?;
    let mut header = plan.record();
    header.truncate(start::HEADER);
    let at = STATE + address % PAGE;
    start::adopt(&mut header, at, bytes);
    fill(kernel, host, new.private, new.record, &header)?;
    run(kernel, plan, new)
}

/// Takes the predecessor's state away from a candidate.
///
/// # Errors
/// As the kernel says.
pub fn hide<T: Traps>(
    kernel: &Kernel<T>,
    new: Loaded,
    (address, bytes): (u64, u64),
) -> Result<(), Refused> {
    kernel.unmap(new.server, STATE, state_pages(address, bytes).1)
}

/// The first page of the heap that holds state, and how many do.
const fn state_pages(address: u64, bytes: u64) -> (u32, u32) {
    let (first, end) = ((address - HEAP) / PAGE, (address - HEAP + bytes).div_ceil(PAGE));
    (first as u32, if bytes == 0 { 0 } else { (end - first) as u32 })
}

/// Whether a state lies in the heap of a slot's server, and a successor can be shown it.
pub const fn is_state(slot: &Slot, address: u64, bytes: u64) -> bool {
    let heap = slot.heap_pages as u64 * PAGE;
    let most = (STATE_PAGES - 1) * PAGE;
    address >= HEAP && address - HEAP <= heap && bytes <= heap - (address - HEAP) && bytes < most
}

/// Lets a server run.
///
/// # Errors
/// As the kernel says.
pub fn run<T: Traps>(kernel: &Kernel<T>, plan: &Plan<'_>, loaded: Loaded) -> Result<(), Refused> {
    kernel.control.thread_start(loaded.server, plan.entry(), STACK_END, 0)
}

/// Maps code and constants in place; copies the data.
fn map_segments<T: Traps>(
    kernel: &Kernel<T>,
    host: &impl Host,
    plan: &Plan<'_>,
    Loaded { server, private, .. }: Loaded,
) -> Result<(), Refused> {
    let mut next = 0;
    for segment in plan.segments() {
        let (address, pages) = (segment.address, segment.pages as u32);
        if segment.rights == Rights::Write {
            let bytes = part(plan.image, segment.offset, segment.bytes).unwrap_or_default();
            fill(kernel, host, private, next, bytes)?;
            kernel.map(server, private, address, (next, pages), Access::Write)?;
            next += pages;
        } else {
            let first = (segment.offset / PAGE) as u32;
            kernel.map(server, REGION_IMAGE, address, (first, pages), segment.rights.access())?;
        }
    }
    Ok(())
}

/// Copies `bytes` to the pages of a region from `first` on, through the supervisor's own space.
fn fill<T: Traps>(
    kernel: &Kernel<T>,
    host: &impl Host,
    region: u16,
    first: u32,
    bytes: &[u8],
) -> Result<(), Refused> {
    let step = SCRATCH_PAGES as usize * PAGE as usize;
    for (at, chunk) in (0u32..).zip(bytes.chunks(step)) {
        let pages = chunk.len().div_ceil(PAGE as usize) as u32;
        let from = first + at * SCRATCH_PAGES;
        kernel.map(SUPERVISOR, region, SCRATCH, (from, pages), Access::Write)?;
        host.scratch().copy_to(0, chunk);
        kernel.unmap(SUPERVISOR, SCRATCH, pages)?;
    }
    Ok(())
}

/// Maps the toolstack's ring page, where there is one.
fn map_device<T: Traps>(
    kernel: &Kernel<T>,
    server: u16,
    page: Option<DevicePage>,
) -> Result<(), Refused> {
    let Some(page) = page else { return Ok(()) };
    if !has_page(kernel, page) {
        return Ok(());
    }
    kernel.map(server, device_region(page), DEVICE, (0, 1), Access::Write)
}

const fn device_region(page: DevicePage) -> u16 {
    match page {
        DevicePage::Store => REGION_STORE,
        DevicePage::Console => REGION_CONSOLE,
    }
}

/// Whether the toolstack made this page.
pub fn has_page<T: Traps>(kernel: &Kernel<T>, page: DevicePage) -> bool {
    kernel.control.region_info(device_region(page)).is_ok_and(|(pages, ..)| pages > 0)
}

/// Maps a slot's shared memory.
///
/// # Errors
/// As the kernel says.
pub fn map_shared<T: Traps>(
    kernel: &Kernel<T>,
    server: u16,
    system: &System,
    regions: &[u16],
    slot: &Slot,
) -> Result<(), Refused> {
    for map in &slot.maps {
        let number = usize::from(map.region);
        let (Some(region), Some(kernels)) = (system.regions.get(number), regions.get(number))
        else {
            continue;
        };
        let access = if map.writable { Access::Write } else { Access::Read };
        kernel.map(server, *kernels, map.address, (0, region.pages), access)?;
    }
    Ok(())
}

/// Fills the handle table of a slot's server; wires get the badge of this incarnation.
///
/// # Errors
/// As the kernel says.
pub fn install<T: Traps>(
    kernel: &Kernel<T>,
    (slot, server): (u16, u16),
    table: &[Handle],
    incarnation: u32,
) -> Result<(), Refused> {
    for handle in table {
        let (object, badge, bits) = match handle.target {
            Target::Wire { slot, channel, client, bits } => {
                (slot, Badge::new(channel, client, incarnation as u8), bits)
            }
            Target::Bell { slot, bits } => (slot, Badge::default(), bits),
            Target::Port(object) | Target::Window(object) => (object, Badge::default(), 0),
            Target::Control => (slot, Badge::default(), 0),
        };
        let target = handle.target.kind().to_word()
            | u64::from(object) << 16
            | u64::from(badge.bits()) << 32;
        kernel.control.handle_install(server, handle.index, target, bits)?;
    }
    Ok(())
}

/// Facts of the domain that every server may know, as configuration lines: which pages of the toolstack are missing.
pub fn facts<T: Traps>(kernel: &Kernel<T>) -> String {
    let mut facts = String::new();
    if !has_page(kernel, DevicePage::Console) {
        facts.push_str("console=absent\n");
    }
    if !has_page(kernel, DevicePage::Store) {
        facts.push_str("xenstore=absent\n");
    }
    facts
}
