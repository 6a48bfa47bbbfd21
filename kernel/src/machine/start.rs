//! From the entry to the first server, in three steps: what the loader says, while memory is where it physically is; the
//! kernel's own address space; what is shared with Xen. Then the core takes over.
//!
//! Whatever is missing or wrong here ends the domain with one line that says so.

use abi::image::Header;
use abi::layout::{BootPage, PAGE};
use boot::entry::IDENTITY_END;
use boot::memory::{self, FreeMemory};
use boot::start_info::{self, Module, StartInfo};

use super::paging::{KernelAccess, KernelTables, NotMapped};
use super::pool::Pool;
use super::vcpu::Vcpu;
use super::xen::memory::Source;
use super::xen::{self, Parameter, channels, clock};
use super::{
    command, cpu, descriptors, hardware, layout, local_apic, others, paging, panic, processors,
};
use crate::core::hardware::Frame;
use crate::say;

/// Ends the domain because it cannot start.
macro_rules! refuse {
    ($($part:tt)*) => { panic::refuse(format_args!($($part)*)) };
}

/// Where the assembly arrives: long mode, first tables, a stack of 32 KiB; `start_info` is a physical address.
#[unsafe(no_mangle)]
extern "C" fn kernel_main(start_info: u64) -> ! {
    Vcpu::enter(0);
    descriptors::load_gates(false);
    if !xen::find() {
        say!("this is no domain of Xen, and there is nothing else that this kernel runs on");
        x86_64::instructions::hlt();
    }
    // Where Xen refuses, a triple fault reboots: still not a power-off.
    let _ = xen::set_parameter(Parameter::TripleFault, panic::SHUTDOWN_CRASH.into());
    let (console, channel) = ring(Parameter::ConsolePage, Parameter::ConsoleChannel);
    if console * PAGE < IDENTITY_END {
        panic::use_console(console * PAGE, channel);
    }
    if !cpu::enable() {
        refuse!("the processor has no NX bit");
    }
    let info = read_start_info(start_info);
    let (module, header) = read_image(&info);
    Boot::new(&info, module, header).finish()
}

/// Memory by its physical address, while the first tables are in use.
fn identity(address: u64, size: u64) -> Option<&'static [u8]> {
    let end = address.checked_add(size)?;
    (address != 0 && end <= IDENTITY_END).then(|| {
        // SAFETY: the first tables map everything below `IDENTITY_END`, and the loader's records and modules are not
        // written to before those tables are left.
        unsafe { ::core::slice::from_raw_parts(address as *const u8, size as usize) }
    })
}

fn read_start_info(address: u64) -> StartInfo {
    let read = |from: u64, into: &mut [u8]| {
        identity(from, into.len() as u64).map(|bytes| into.copy_from_slice(bytes)).is_some()
    };
    let mut info = match start_info::read(address, read) {
        Ok(info) => info,
        Err(error) => refuse!("{}", error.text()),
    };
    if info.memory.is_empty() {
        info.memory = match xen::memory::map() {
            Ok(map) => map,
            Err(error) => refuse!("Xen does not tell the memory map: error {}", error.0),
        };
    }
    info
}

fn read_image(info: &StartInfo) -> (Module, Header) {
    let Some(&module) = info.modules.first() else {
        refuse!("there is no boot image: give one as the kernel's ramdisk");
    };
    let bytes =
        identity(module.address, module.size).filter(|_| module.address.is_multiple_of(PAGE));
    let Some(bytes) = bytes else { refuse!("the boot image lies where it cannot be used") };
    match Header::decode(bytes) {
        Ok(header) => (module, header),
        Err(error) => refuse!("{}", error.text()),
    }
}

/// What the boot finds out and sets up.
pub struct Boot<'a> {
    /// What the loader said.
    pub info: &'a StartInfo,
    /// Where the boot image is.
    pub module: Module,
    /// What it says.
    pub header: Header,
    /// Memory that nobody has yet.
    pub free: FreeMemory,
    /// The kernel's own memory.
    pub pool: Pool,
    /// The kernel's half of every space.
    pub tables: KernelTables,
    /// The clock page: physical address.
    pub clock: u64,
    /// The page that tells the supervisor about the boot: physical address.
    pub page: u64,
    /// vCPUs of the domain.
    pub vcpus: u64,
    /// Those that are used: the first ones.
    pub used: u16,
    /// System time when the clock was read first; 0 before.
    pub started: u64,
}

impl<'a> Boot<'a> {
    fn new(info: &'a StartInfo, module: Module, header: Header) -> Self {
        let vcpus = processors::count(info.rsdp).unwrap_or(1) as u64;
        let used = others::used(vcpus);
        let mut free = free_memory(info);
        let mut pool = make_pool(&mut free, &header, used);
        let tables = match build_tables(&mut pool, used) {
            Ok(tables) => tables,
            Err(NotMapped) => refuse!("the kernel's pool is too small"),
        };
        let (clock, page) = (take_page(&mut free), take_page(&mut free));
        // SAFETY: nothing uses an address of the first tables any more; the stack in use is in the kernel's image.
        let tables = unsafe { tables.enter(&pool) };
        panic::use_console(
            layout::CONSOLE,
            ring(Parameter::ConsolePage, Parameter::ConsoleChannel).1,
        );
        // What only the entry needed, the first tables among it.
        free.add(paging::whole_image().start / PAGE..paging::image().start / PAGE);
        Self { info, module, header, free, pool, tables, clock, page, vcpus, used, started: 0 }
    }

    fn finish(mut self) -> ! {
        descriptors::know_stacks(self.used);
        descriptors::load_segments(Vcpu::current());
        descriptors::load_gates(true);
        descriptors::load_syscall();
        self.share_with_xen();
        self.started = clock::now();
        self.map_windows();
        self.fill_page();
        self.tell();
        self.test();
        super::run::start(self)
    }

    fn fill_page(&self) {
        let page = boot_page(&self.info.command_line, self.header.image_bytes);
        hardware::window(Frame((self.page / PAGE) as u32), |place| {
            // SAFETY: the window is mapped writable to one page, which nobody else uses yet.
            unsafe { place.cast::<[u8; PAGE as usize]>().write(page) };
        });
    }

    fn tell(&self) {
        let version = xen::version();
        say!(
            "Xen {}.{}, domid {}, {} vCPUs, {} MiB",
            version >> 16,
            version & 0xffff,
            xen::domain().unwrap_or(0),
            self.vcpus,
            (self.pages() * PAGE) >> 20,
        );
    }

    /// Pages of memory of the domain.
    pub fn pages(&self) -> u64 {
        let memory = self.info.memory.iter().filter(|entry| entry.kind == start_info::KIND_RAM);
        memory.map(|entry| entry.size / PAGE).sum()
    }

    fn test(&self) {
        let line = &self.info.command_line;
        if command::has(line, "test-panic") {
            panic::stop(format_args!("a test asked for it"), None);
        }
        if command::has(line, "test-fault") {
            // SAFETY: it faults, which is the test's purpose.
            unsafe { ::core::ptr::dangling::<u64>().read_volatile() };
        }
    }

    fn map(&mut self, address: u64, page: u64, access: KernelAccess) {
        if self.tables.map(address, page, access, &mut self.pool).is_err() {
            refuse!("the kernel's pool is too small");
        }
    }

    /// Sets up all that Xen and the boot vCPU share: events, time, the grant table.
    fn share_with_xen(&mut self) {
        let above = self.beside_memory();
        self.put(Source::SharedInfo, above, layout::SHARED_INFO);
        channels::mask_all();
        for frame in 0..grant_frames(&self.header) {
            let page = above + PAGE * (1 + frame);
            self.put(Source::GrantFrame(frame), page, layout::GRANTS + frame * PAGE);
        }
        if !cpu::has_x2apic() {
            self.map(layout::LOCAL_APIC, local_apic::PHYSICAL, KernelAccess::Device);
        }
        Vcpu::first(self.used).for_each(|vcpu| self.give_shared_page(vcpu));
        let vcpu = Vcpu::current();
        vcpu.clock.set(layout::CLOCK_PAGE);
        self.map(layout::CLOCK_PAGE, self.clock, KernelAccess::Write);
        if let Err(error) = clock::start_page(vcpu, self.clock).and_then(|()| clock::start(vcpu)) {
            refuse!("Xen gives no clock: error {}", error.0);
        }
        if let Err(channels::NoEvents(step, error)) = channels::start(vcpu) {
            refuse!("Xen gives no events: {step}: error {}", error.0);
        }
    }

    /// Gives a vCPU its page of structures shared with Xen.
    fn give_shared_page(&mut self, vcpu: &Vcpu) {
        let Some(page) = self.pool.take(1) else { refuse!("the kernel's pool is too small") };
        let address = self.pool.view().address(page);
        // SAFETY: the page was just taken from the pool.
        unsafe { (address as *mut u8).write_bytes(0, PAGE as usize) };
        vcpu.shared_page.set(page);
        vcpu.shared.set(address);
        vcpu.clock.set(address + clock::IN_VCPU_INFO);
    }

    fn put(&mut self, source: Source, page: u64, address: u64) {
        if let Err(error) = xen::memory::put(source, page / PAGE) {
            refuse!("Xen does not share a page: error {}", error.0);
        }
        self.map(address, page, KernelAccess::Write);
    }

    /// Where there is no memory: room for the pages that Xen puts there.
    fn beside_memory(&self) -> u64 {
        const ROOM: u64 = 2 << 20;
        let limit = 1 << cpu::physical_bits().min(46);
        match memory::gap(&self.info.memory, ROOM, ROOM, IDENTITY_END, limit) {
            Some(address) => address,
            None => refuse!("there is no room beside the memory map"),
        }
    }

    /// Makes the table of the vCPUs' windows; nothing is mapped in it yet.
    fn map_windows(&mut self) {
        for (vcpu, address) in
            Vcpu::first(self.used).zip((layout::WINDOWS..).step_by(PAGE as usize))
        {
            self.map(address, self.clock, KernelAccess::Read);
            let Some(entry) = self.tables.entry_of(address) else {
                refuse!("a window has no table")
            };
            vcpu.window.set(entry);
            // SAFETY: the entry of a page that nobody has used.
            unsafe { entry.write_volatile(0) };
            x86_64::instructions::tlb::flush(x86_64::VirtAddr::new_truncate(address));
        }
    }
}

/// What the boot page says.
fn boot_page(command_line: &[u8], image_bytes: u64) -> [u8; PAGE as usize] {
    let mut page = [0; PAGE as usize];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = page.get_mut(at..at.saturating_add(bytes.len())) {
            place.copy_from_slice(bytes);
        }
    };
    put(0, &BootPage::MAGIC.to_le_bytes());
    put(BootPage::COMMAND_LINE_LENGTH, &(command_line.len() as u32).to_le_bytes());
    put(BootPage::IMAGE_BYTES, &(image_bytes as u32).to_le_bytes());
    put(BootPage::COMMAND_LINE, command_line);
    page
}

/// The kernel's own half of the address space, the console's page in it, while the first tables are in use.
fn build_tables(pool: &mut Pool, vcpus: u16) -> Result<KernelTables, NotMapped> {
    let tables = KernelTables::build(pool, vcpus)?;
    let (page, channel) = ring(Parameter::ConsolePage, Parameter::ConsoleChannel);
    if channel != 0 {
        tables.map(layout::CONSOLE, page * PAGE, KernelAccess::Write, pool)?;
    }
    Ok(tables)
}

/// A ring of the toolstack's: its page and its event channel, both 0 if there is none.
pub fn ring(page: Parameter, channel: Parameter) -> (u64, u32) {
    let page = xen::parameter(page).unwrap_or(0);
    let channel = xen::parameter(channel).ok().and_then(|channel| u32::try_from(channel).ok());
    match channel {
        Some(channel) if channel != 0 && page != 0 && page <= u64::from(u32::MAX) => {
            (page, channel)
        }
        _ => (0, 0),
    }
}

/// All RAM but for the kernel's image and the modules.
fn free_memory(info: &StartInfo) -> FreeMemory {
    let mut free = FreeMemory::from_map(&info.memory);
    let image = paging::whole_image();
    free.remove_bytes(image.start, image.end - image.start);
    for module in &info.modules {
        free.remove_bytes(module.address, module.size);
    }
    free
}

fn make_pool(free: &mut FreeMemory, header: &Header, vcpus: u16) -> Pool {
    let pages = super::run::pool_pages(header, free, vcpus);
    let first = (pages * PAGE <= layout::POOL_MAX).then(|| free.take(pages, IDENTITY_END / PAGE));
    match first.flatten() {
        Some(first) => Pool::new(first * PAGE, pages),
        None => refuse!("the kernel needs {} KiB of memory in one piece", pages * PAGE / 1024),
    }
}

/// Takes a page that servers will see, and zeroes it, while the first tables are in use.
fn take_page(free: &mut FreeMemory) -> u64 {
    let Some(page) = free.take(1, IDENTITY_END / PAGE) else { refuse!("there is no memory left") };
    // SAFETY: the page was just taken out of free memory; the first tables map it.
    unsafe { ((page * PAGE) as *mut u8).write_bytes(0, PAGE as usize) };
    page * PAGE
}

/// Frames of the grant table that hold the image's references and the toolstack's.
pub fn grant_frames(header: &Header) -> u64 {
    let references = u64::from(header.counts.grants) + u64::from(xen::grants::RESERVED);
    references.div_ceil(xen::grants::PER_FRAME.into()).min(layout::GRANT_FRAMES)
}
