//! What the machine tells the core at boot, and what the core builds of it: the fixed regions and the supervisor.
//!
//! The supervisor is built of the same operations that it later builds the others of. Its code stays in the sealed image;
//! only its writable pages are copied.

use core::ops::Range;

use abi::Handle as HandleIndex;
use abi::image::{Header, Segment};
use abi::kernel::control::{
    Access, Error, HandleKind, ObjectKind, REGION_BOOT, REGION_CLOCK, REGION_CONSOLE, REGION_IMAGE,
    REGION_STORE, SEALED, SUPERVISOR_SERVER, SlotState,
};
use abi::layout::{BOOT_IMAGE, CLOCK, HEAP, PAGE, STACK_END, START};

use super::Core;
use super::handle::{CALL, DEBUG, Handle};
use super::hardware::{Frame, Hardware};
use super::region::{DEVICE, Region, WATCHED};
use super::slot::SUPERVISOR;
use super::space::Mapping;
use super::table::{RegionId, ThreadId};

/// What the machine found.
#[derive(Clone, Copy, Debug)]
pub struct Boot<'b> {
    /// The image's header, checked.
    pub header: &'b Header,
    /// First page of the image, which lies in one piece.
    pub image: Frame,
    /// Pages that nobody uses: neither the kernel, nor the image, nor any page named here.
    pub free: &'b [Range<u64>],
    /// Xen's time page.
    pub clock: Frame,
    /// The filled `abi::layout::BootPage`.
    pub boot_page: Frame,
    /// XenStore's ring page.
    pub store: Option<Frame>,
    /// The console's ring page.
    pub console: Option<Frame>,
}

/// Why the supervisor could not be built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BootError {
    /// Not enough memory, or not enough pages for tables.
    Memory,
    /// The image counts fewer objects than the supervisor needs.
    Counts,
    /// A segment is not where it may be.
    Segment,
}

impl BootError {
    /// One line for the console.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Memory => "not enough memory for the supervisor",
            Self::Counts => "the image counts fewer objects than the supervisor needs",
            Self::Segment => "a segment of the supervisor cannot be mapped",
        }
    }
}

impl From<Error> for BootError {
    fn from(error: Error) -> Self {
        match error {
            Error::Memory => Self::Memory,
            Error::Exhausted => Self::Counts,
            _ => Self::Segment,
        }
    }
}

/// Pages in a number of bytes, rounded up.
fn pages(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PAGE)).unwrap_or(u32::MAX)
}

impl Core<'_> {
    /// Builds the fixed regions and the supervisor, and makes its thread ready. Once, before anything else.
    ///
    /// # Errors
    /// See [`BootError`]; the domain cannot go on then.
    pub fn boot(&mut self, hardware: &mut impl Hardware, boot: &Boot<'_>) -> Result<(), BootError> {
        for page in boot.free.iter().cloned().flatten() {
            self.frame_give(Frame(u32::try_from(page).unwrap_or(u32::MAX)));
        }
        let image_pages = pages(boot.header.image_bytes);
        self.fix(REGION_IMAGE, Some(boot.image), image_pages, SEALED)?;
        self.fix(REGION_CLOCK, Some(boot.clock), 1, WATCHED)?;
        self.fix(REGION_BOOT, Some(boot.boot_page), 1, WATCHED)?;
        self.fix(REGION_STORE, boot.store, 1, DEVICE)?;
        self.fix(REGION_CONSOLE, boot.console, 1, DEVICE)?;
        let server = self.make_supervisor(hardware, boot.header)?;
        self.load_supervisor(hardware, server, boot.header)?;
        self.thread_start(hardware, server, (boot.header.entry, STACK_END, 0))?;
        Ok(())
    }

    /// Makes a fixed region; one without pages if there are none.
    fn fix(
        &mut self,
        raw: u16,
        first: Option<Frame>,
        pages: u32,
        flags: u32,
    ) -> Result<(), BootError> {
        let id = self.regions.check(raw).ok_or(BootError::Counts)?;
        let count = if first.is_some() { pages } else { 0 };
        let first = first.unwrap_or(Frame(0));
        self.regions[id] = Region::fixed(first, count, flags);
        self.hold(SUPERVISOR, ObjectKind::Region, 1)?;
        self.hold(SUPERVISOR, ObjectKind::Frame, count)?;
        for page in 0..count {
            self.frame_own(Frame(first.0.saturating_add(page)), id);
        }
        Ok(())
    }

    fn make_supervisor(
        &mut self,
        hardware: &mut impl Hardware,
        header: &Header,
    ) -> Result<ThreadId, BootError> {
        self.slots.check(SUPERVISOR.0).ok_or(BootError::Counts)?;
        let slot = &mut self.slots[SUPERVISOR];
        (slot.priority, slot.vcpu, slot.configured) = (u8::MAX, 0, true);
        self.set_state(SUPERVISOR, SlotState::Up);
        let handles = u16::try_from(header.handles).map_err(|_| BootError::Counts)?;
        let server = self.server_create(hardware, SUPERVISOR, handles)?;
        debug_assert_eq!(server.0, SUPERVISOR_SERVER);
        let fixed = [
            (HandleIndex::OWN, Handle::new(HandleKind::Own, CALL | DEBUG, 0)),
            (HandleIndex::CONTROL, Handle::new(HandleKind::Control, CALL, 0)),
        ];
        for (index, handle) in fixed {
            *self.handle_mut(server, u64::from(index.0)).ok_or(BootError::Counts)? = handle;
        }
        Ok(server)
    }

    fn load_supervisor(
        &mut self,
        hardware: &mut impl Hardware,
        server: ThreadId,
        header: &Header,
    ) -> Result<(), BootError> {
        let image = RegionId(REGION_IMAGE);
        for segment in header.segments.iter().flatten() {
            if segment.access == Access::Write {
                self.copy_segment(hardware, server, segment)?;
            } else {
                let (first, count) = (pages(segment.offset), pages(segment.pages * PAGE));
                let access = segment.access;
                self.map_all(
                    hardware,
                    server,
                    Mapping { region: image, first, count, address: segment.address, access },
                )?;
            }
        }
        let stack = STACK_END.saturating_sub(u64::from(header.stack_pages) * PAGE);
        self.map_new(hardware, server, stack, header.stack_pages)?;
        self.map_new(hardware, server, HEAP, header.heap_pages)?;
        let read = Access::Read;
        let whole = pages(header.image_bytes);
        let fixed =
            [(REGION_IMAGE, BOOT_IMAGE, whole), (REGION_CLOCK, CLOCK, 1), (REGION_BOOT, START, 1)];
        for (region, address, count) in fixed {
            let mapping =
                Mapping { region: RegionId(region), first: 0, count, address, access: read };
            self.map_all(hardware, server, mapping)?;
        }
        Ok(())
    }

    fn copy_segment(
        &mut self,
        hardware: &mut impl Hardware,
        server: ThreadId,
        segment: &Segment,
    ) -> Result<(), BootError> {
        let count = u32::try_from(segment.pages).map_err(|_| BootError::Segment)?;
        let Some(region) = self.map_new(hardware, server, segment.address, count)? else {
            return Ok(());
        };
        for page in 0..pages(segment.bytes) {
            let from =
                self.region_frame(hardware, RegionId(REGION_IMAGE), pages(segment.offset) + page);
            let to = self.region_frame(hardware, region, page);
            let (Some(from), Some(to)) = (from, to) else { return Err(BootError::Segment) };
            let left = segment.bytes - u64::from(page) * PAGE;
            hardware.copy(from, to, u16::try_from(left.min(PAGE)).map_err(|_| BootError::Segment)?);
        }
        Ok(())
    }

    /// Maps new memory.
    fn map_new(
        &mut self,
        hardware: &mut impl Hardware,
        server: ThreadId,
        address: u64,
        count: u32,
    ) -> Result<Option<RegionId>, BootError> {
        if count == 0 {
            return Ok(None);
        }
        let region = self.region_create(hardware, SUPERVISOR, count, 0)?;
        while self.region_extend(hardware, region)? != 0 {}
        let mapping = Mapping { region, first: 0, count, address, access: Access::Write };
        self.map_all(hardware, server, mapping)?;
        Ok(Some(region))
    }

    fn map_all(
        &mut self,
        hardware: &mut impl Hardware,
        server: ThreadId,
        mut mapping: Mapping,
    ) -> Result<(), BootError> {
        while mapping.count != 0 {
            let done = self.map(hardware, server, &mapping)?;
            mapping.first += done;
            mapping.count -= done;
            mapping.address += u64::from(done) * PAGE;
        }
        Ok(())
    }
}
