//! From the entry to the first server.

use boot::entry::IDENTITY_END;
use boot::memory::{self, FreeMemory};
use boot::start_info::{self, StartInfo};

use super::paging::{KernelAccess, KernelTables};
use super::pool::Pool;
use super::vcpu::Vcpu;
use super::xen::memory::Source;
use super::xen::{self, Parameter, channels, clock};
use super::{cpu, descriptors, exceptions, layout, local_apic, paging, panic};
use crate::say;
use abi::layout::PAGE;

/// Ends the domain because it cannot start.
macro_rules! refuse {
    ($($part:tt)*) => { panic::stop(format_args!($($part)*), None) };
}

/// Where the assembly arrives: long mode, first tables, a stack of 32 KiB; `start_info` is a physical address.
#[unsafe(no_mangle)]
extern "C" fn kernel_main(start_info: u64) -> ! {
    Vcpu::enter(0);
    descriptors::load_gates(false);
    if !xen::find() {
        say!("no Xen here");
        x86_64::instructions::hlt();
    }
    // Where Xen refuses, a triple fault reboots: still not a power-off.
    let _ = xen::set_parameter(Parameter::TripleFault, panic::SHUTDOWN_CRASH.into());
    if !cpu::enable() {
        refuse!("the processor has no NX bit");
    }
    let info = read_start_info(start_info);
    boot(&info)
}

fn read_start_info(address: u64) -> StartInfo {
    let read = |from: u64, into: &mut [u8]| {
        let fits =
            from != 0 && from.checked_add(into.len() as u64).is_some_and(|end| end <= IDENTITY_END);
        if fits {
            // SAFETY: the first tables map everything below `IDENTITY_END`, and nothing else writes to memory yet.
            let bytes = unsafe { ::core::slice::from_raw_parts(from as *const u8, into.len()) };
            into.copy_from_slice(bytes);
        }
        fits
    };
    let mut info = match start_info::read(address, read) {
        Ok(info) => info,
        Err(error) => refuse!("{}", error.text()),
    };
    if info.memory.is_empty() {
        info.memory = match xen::memory::map() {
            Ok(map) => map,
            Err(error) => refuse!("no memory map: {error:?}"),
        };
    }
    info
}

/// What the boot finds out, one after the other.
struct Boot<'a> {
    info: &'a StartInfo,
    free: FreeMemory,
    pool: Pool,
    tables: KernelTables,
}

fn boot(info: &StartInfo) -> ! {
    let processors = super::processors::count(info.rsdp).unwrap_or(1);
    let mut free = free_memory(info);
    let memory = info.memory.iter().filter(|entry| entry.kind == start_info::KIND_RAM);
    let kib: u64 = memory.map(|entry| entry.size / 1024).sum();
    let mut pool = make_pool(&mut free);
    let tables = match KernelTables::build(&mut pool, VCPUS_USED) {
        Ok(tables) => tables,
        Err(error) => refuse!("the kernel's tables: {error:?}"),
    };
    let clock = take_clock(&mut free);
    // SAFETY: nothing below uses an address of the first tables; the stack in use is in the image.
    let tables = unsafe { tables.enter(&pool) };
    descriptors::know_stacks(VCPUS_USED);
    descriptors::load_segments(Vcpu::current());
    descriptors::load_gates(true);
    descriptors::load_syscall();
    let mut boot = Boot { info, free, pool, tables };
    boot.share_with_xen(clock);
    boot.use_console();
    let version = xen::version();
    say!(
        "Xen {}.{}, domid {}, {processors} vCPUs, {} MiB",
        version >> 16,
        version & 0xffff,
        xen::domain().unwrap_or(0),
        kib.div_ceil(1024),
    );
    milestone(&boot)
}

/// vCPUs that are used.
const VCPUS_USED: u16 = 1;

fn milestone(boot: &Boot<'_>) -> ! {
    let vcpu = Vcpu::current();
    let line = &boot.info.command_line;
    say!("command line: {:?}", ::core::str::from_utf8(line).unwrap_or("?"));
    say!(
        "clock {} ns, stolen {} ns, free {} pages",
        clock::now(),
        clock::stolen(),
        boot.free.pages()
    );
    let has = |word: &[u8]| line.split(|&byte| byte == b' ').any(|part| part == word);
    if has(b"test-panic") {
        #[allow(clippy::panic)]
        {
            panic!("asked for");
        }
    }
    if has(b"test-fault") {
        // SAFETY: a test: it faults.
        unsafe { ::core::ptr::dangling::<u64>().read_volatile() };
    }
    if has(b"test-poweroff") {
        xen::shutdown(0);
    }
    clock::set_timer(vcpu, clock::now() + 10_000_000);
    exceptions::run()
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

fn make_pool(free: &mut FreeMemory) -> Pool {
    let pages = 256;
    match free.take(pages, IDENTITY_END / PAGE) {
        Some(first) => Pool::new(first * PAGE, pages),
        None => refuse!("no {pages} pages of memory in a row for the kernel"),
    }
}

/// A page for the clock: not the pool's, since servers see it.
fn take_clock(free: &mut FreeMemory) -> u64 {
    let Some(page) = free.take(1, IDENTITY_END / PAGE) else { refuse!("no memory for the clock") };
    zero_identity(page * PAGE);
    page * PAGE
}

/// Zeroes a page while memory is where it physically is.
fn zero_identity(page: u64) {
    // SAFETY: the page was just taken out of free memory; the first tables map it.
    unsafe { (page as *mut u8).write_bytes(0, PAGE as usize) };
}

impl Boot<'_> {
    fn map(&mut self, address: u64, page: u64, access: KernelAccess) {
        if self.tables.map(address, page, access, &mut self.pool).is_err() {
            refuse!("the pool is too small");
        }
    }

    /// Sets up all that Xen and the boot vCPU share: events, time, the grant table.
    fn share_with_xen(&mut self, clock: u64) {
        let above = self.above_memory();
        self.put(Source::SharedInfo, above, layout::SHARED_INFO);
        channels::mask_all();
        for frame in 0..2 {
            let page = above + PAGE * (1 + frame);
            self.put(Source::GrantFrame(frame), page, layout::GRANTS + frame * PAGE);
        }
        if !cpu::has_x2apic() {
            self.map(layout::LOCAL_APIC, local_apic::PHYSICAL, KernelAccess::Device);
        }
        let vcpu = Vcpu::current();
        let Some(shared) = self.pool.take(1) else { refuse!("the pool is too small") };
        vcpu.shared.set(self.pool.view().address(shared));
        // SAFETY: the page was just taken from the pool.
        unsafe { (vcpu.shared.get() as *mut u8).write_bytes(0, PAGE as usize) };
        vcpu.clock.set(layout::CLOCKS + u64::from(vcpu.index()) * PAGE);
        self.map(vcpu.clock.get(), clock, KernelAccess::Write);
        if let Err(error) = clock::start(vcpu, clock, shared) {
            refuse!("the clock: {error:?}");
        }
        if let Err(channels::NoEvents(step, error)) = channels::start(vcpu, shared) {
            refuse!("events: {step}: {error:?}");
        }
    }

    fn put(&mut self, source: Source, page: u64, address: u64) {
        if let Err(error) = xen::memory::put(source, page / PAGE) {
            refuse!("add_to_physmap: {error:?}");
        }
        self.map(address, page, KernelAccess::Write);
    }

    /// Where there is no memory: room for the pages that Xen puts there.
    fn above_memory(&self) -> u64 {
        const ROOM: u64 = 2 << 20;
        let limit = 1 << cpu::physical_bits().min(46);
        match memory::gap(&self.info.memory, ROOM, ROOM, IDENTITY_END, limit) {
            Some(address) => address,
            None => refuse!("no room beside the memory map"),
        }
    }

    fn use_console(&mut self) {
        let page = xen::parameter(Parameter::ConsolePage).unwrap_or(0);
        let channel = xen::parameter(Parameter::ConsoleChannel).unwrap_or(0);
        if page != 0 && channel != 0 {
            self.map(layout::CONSOLE, page * PAGE, KernelAccess::Write);
            panic::use_console(channel as u32);
        }
    }
}
