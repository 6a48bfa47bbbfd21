//! Between the core and the processor: hands the core what happened, and does what it says is next.
//!
//! The core and the machine's memory are under one lock. It is taken once on every way in and dropped before the way out; no
//! user code runs and no interrupt is taken while it is held.
//!
//! The quick path switches threads without telling the core, on any vCPU, so whoever enters tells it of all of them first.
//! And it does not ask whether the thread that traps may still run. So while a thread runs on that another vCPU has stopped,
//! the lock is left closed to the quick path, and the trap of that thread comes to the core.

use abi::image::Header;
use abi::layout::PAGE;
use boot::memory::FreeMemory;

use super::frame::ThreadFrame;
use super::hardware::{Facts, Machine};
use super::lock::{Contention, Free, Lock};
use super::paging;
use super::pool::Objects;
use super::space::Space;
use super::start::{self, Boot};
use super::vcpu::Vcpu;
use super::xen::channels::{self, Event};
use super::xen::grants::Grants;
use super::xen::{self, Parameter};
use super::{audit, command, descriptors, entry, others, panic, space, timer};
use crate::core::hardware::{Choice, Exception, Frame};
use crate::core::{self, Core, Tables};

/// Where user code is sent that would go on at a non-canonical address: the page there is never mapped, so it faults in
/// user mode, where an exception belongs, and not in the kernel on the way out.
pub const NEVER_MAPPED: u64 = abi::layout::USER_END;

/// The core and what it works with.
pub struct Kernel {
    core: Core<'static>,
    machine: Machine,
    /// Check all page tables on every way out.
    audit: bool,
    /// Traps go through the quick path where they can.
    quick: bool,
    /// More than one vCPU runs.
    several: bool,
}

/// All of it, once it is made.
pub static KERNEL: Lock<Option<Kernel>> = Lock::new(None);

/// Stacks and the page shared with Xen, for each vCPU.
const VCPU: u64 = 12 + 1;
/// The kernel's upper tables: top, pointers, and two more for each of image, pool, stacks and special pages.
const TABLES: u64 = 2 + 4 * 2;

/// Pages of the pool for an image: the kernel's own tables and stacks, what the core and the machine keep for each
/// object and each page of memory, and the image's pages for page tables.
pub fn pool_pages(header: &Header, free: &FreeMemory, vcpus: u16) -> u64 {
    let kept = object_bytes(header, span(free).1, vcpus).div_ceil(PAGE)
        + u64::from(header.counts.tables)
        + VCPU * u64::from(vcpus)
        + TABLES;
    // One more table for each 512 pages that the kernel maps, and one for what is left over.
    kept + (kept + start::grant_frames(header)).div_ceil(512) + 1
}

fn object_bytes(header: &Header, frames: usize, vcpus: u16) -> u64 {
    let servers = header.counts.servers as usize;
    let core = core::bytes(&header.counts, usize::from(vcpus), frames) as u64;
    core + Objects::bytes::<ThreadFrame>(servers) + Objects::bytes::<Option<Space>>(servers)
}

/// The first page of memory that is or becomes free (the entry's code does), and the number of pages from there to the last.
fn span(free: &FreeMemory) -> (u32, usize) {
    let ranges = free.ranges();
    let entry = paging::whole_image().start / PAGE;
    let first = ranges.first().map_or(entry, |range| range.start.min(entry));
    let end = ranges.last().map_or(0, |range| range.end).min(u64::from(u32::MAX));
    (first as u32, end.saturating_sub(first) as usize)
}

/// Makes the core and starts the first server.
pub fn start(mut boot: Boot<'_>) -> ! {
    let audit = command::has(&boot.info.command_line, "audit");
    let slow = command::has(&boot.info.command_line, "slow-path");
    let twice = command::has(&boot.info.command_line, "upcall-twice");
    entry::UPCALL_MODE.twice.store(twice.into(), ::core::sync::atomic::Ordering::Relaxed);
    let (header, facts) = (boot.header, facts(&boot));
    let (page, clock) = (frame(boot.page), frame(boot.clock));
    let (image, free) = (frame(boot.module.address), boot.free.clone());
    let Some((core, machine)) = make(&mut boot, facts) else {
        panic::refuse(format_args!("the kernel's pool is too small"));
    };
    let several = boot.used > 1;
    let mut kernel = Kernel { core, machine, audit, quick: !slow, several };
    let told = core::boot::Boot {
        header: &header,
        image,
        free: free.ranges(),
        clock,
        boot_page: page,
        store: toolstack_page(Parameter::StorePage, Parameter::StoreChannel),
        console: toolstack_page(Parameter::ConsolePage, Parameter::ConsoleChannel),
    };
    if let Err(error) = kernel.core.boot(&mut kernel.machine, &told) {
        panic::refuse(format_args!("{}", error.text()));
    }
    if audit {
        kernel.core.look_always();
    }
    for vcpu in Vcpu::first(boot.used) {
        kernel.quick &= kernel.prepare_quick(vcpu);
    }
    let tables = kernel.machine.kernel;
    let (place, _) = KERNEL.take();
    *place = Some(kernel);
    // SAFETY: taken above.
    unsafe { KERNEL.free(Free::Open) };
    others::start(boot.used, &tables);
    join()
}

/// The current vCPU is ready to run threads.
pub fn join() -> ! {
    let kernel = take();
    if kernel.quick {
        descriptors::load_quick_syscall();
    }
    go_on(kernel)
}

fn frame(physical: u64) -> Frame {
    Frame((physical / PAGE) as u32)
}

fn toolstack_page(page: Parameter, channel: Parameter) -> Option<Frame> {
    let (page, channel) = start::ring(page, channel);
    (channel != 0).then_some(Frame(page as u32))
}

fn make(boot: &mut Boot<'_>, facts: Facts) -> Option<(Core<'static>, Machine)> {
    let (first_frame, frames) = span(&boot.free);
    let mut objects = boot.pool.objects(object_bytes(&boot.header, frames, boot.used))?;
    let tables = tables(&mut objects, boot, Frame(first_frame), frames)?;
    let servers = boot.header.counts.servers as usize;
    let machine = Machine {
        kernel: boot.tables,
        pool: boot.pool.range(),
        frames: objects.array(servers, ThreadFrame::start(0, 0, 0))?,
        spaces: objects.array(servers, None)?,
        grants: Grants::new(start::grant_frames(&boot.header) as u32),
        facts,
        stale: false,
        flushes: 0,
        contention: Contention::default(),
        tables: ::core::mem::replace(&mut boot.pool, super::pool::Pool::new(0, 0)).into_tables(),
    };
    Some((Core::new(tables), machine))
}

fn tables(
    objects: &mut Objects,
    boot: &Boot<'_>,
    first_frame: Frame,
    frames: usize,
) -> Option<Tables<'static>> {
    fn array<T: Copy + Default>(objects: &mut Objects, count: usize) -> Option<&'static mut [T]> {
        objects.array(count, T::default())
    }
    let counts = &boot.header.counts;
    Some(Tables {
        slots: array(objects, counts.slots as usize)?,
        holdings: array(objects, counts.slots as usize)?,
        threads: array(objects, counts.servers as usize)?,
        handles: array(objects, counts.handles as usize)?,
        regions: array(objects, counts.regions as usize)?,
        ports: array(objects, counts.ports as usize)?,
        windows: array(objects, counts.windows as usize)?,
        grants: array(objects, counts.grants as usize)?,
        vcpus: array(objects, usize::from(boot.used))?,
        frames: array(objects, frames)?,
        first_frame,
        channels: array(objects, core::CHANNELS)?,
    })
}

fn facts(boot: &Boot<'_>) -> Facts {
    let (pool, image) = (boot.pool.range(), paging::image());
    Facts {
        version: xen::version(),
        domain: xen::domain().unwrap_or(0),
        vcpus: boot.vcpus,
        vcpus_used: boot.used,
        pages: boot.pages(),
        kernel_pages: (pool.end - pool.start + image.end - image.start) / PAGE,
        started: boot.started,
        store_channel: start::ring(Parameter::StorePage, Parameter::StoreChannel).1,
        console_channel: start::ring(Parameter::ConsolePage, Parameter::ConsoleChannel).1,
    }
}

/// Enters the kernel: takes its lock, which [`go_on`] gives back.
#[inline(always)]
fn take() -> &'static mut Kernel {
    match KERNEL.take() {
        (Some(kernel), contention) => {
            if kernel.several {
                kernel.look_around(contention);
            }
            kernel
        }
        _ => panic::stop(format_args!("an event before the first server"), None),
    }
}

/// A thread trapped.
#[inline(always)]
pub fn trap() -> ! {
    let vcpu = Vcpu::current();
    let kernel = take();
    kernel.enter(vcpu);
    kernel.core.trapped(&mut kernel.machine, vcpu.number());
    if !kernel.is_settled(vcpu) {
        go_on(kernel)
    }
    let free = kernel.left();
    // SAFETY: taken above, and the kernel is not used below.
    unsafe { KERNEL.free(free) };
    // SAFETY: the thread that trapped goes on, so its space is loaded, and its registers are those of a trap.
    unsafe { entry::leave_trap(vcpu.quick.registers()) }
}

/// A thread ran into an exception.
pub fn exception(exception: &Exception) -> ! {
    let vcpu = Vcpu::current();
    let kernel = take();
    kernel.enter(vcpu);
    if let Some(frame) = vcpu.quick.thread().and_then(|thread| kernel.machine.frame(thread)) {
        frame.address = exception.address;
    }
    kernel.core.exception(&mut kernel.machine, vcpu.number(), *exception);
    go_on(kernel)
}

/// An event came; a thread may have been interrupted by it.
pub fn upcall() -> ! {
    let vcpu = Vcpu::current();
    let kernel = take();
    vcpu.upcalls.set(vcpu.upcalls.get().wrapping_add(1));
    kernel.enter(vcpu);
    kernel.core.preempted(vcpu.number());
    go_on(kernel)
}

impl Kernel {
    /// Tells the vCPU where the quick path finds everything; false if it cannot be used.
    fn prepare_quick(&mut self, vcpu: &Vcpu) -> bool {
        let first = self.machine.frames.as_mut_ptr().expose_provenance() as u64;
        let places = self.core.places(vcpu.number());
        vcpu.quick.fill(&places, first)
    }

    /// Tells the core who runs: the quick path may have switched.
    #[inline(always)]
    fn enter(&mut self, vcpu: &Vcpu) {
        if vcpu.quick.current == vcpu.entered {
            return;
        }
        vcpu.entered.set(vcpu.quick.current.get());
        if let Some(thread) = vcpu.quick.thread() {
            self.core.switched(vcpu.number(), thread);
            vcpu.space.set(self.machine.space(thread).map_or(0, |space| space.top().as_u64()));
        }
    }

    /// Tells the core who runs on all vCPUs. On the current one as well: another vCPU may have told of somebody who ran here
    /// for a moment, since whoever runs here again came in last.
    #[cold]
    #[inline(never)]
    fn look_around(&mut self, contention: &Contention) {
        self.machine.contention = *contention;
        for vcpu in Vcpu::first(self.machine.facts.vcpus_used) {
            if let Some(thread) = vcpu.quick.thread() {
                self.core.switched(vcpu.number(), thread);
            }
        }
    }

    /// How the lock is left.
    fn left(&self) -> Free {
        if self.several && self.core.has_stopped_runner() { Free::Closed } else { Free::Open }
    }

    /// The thread that trapped goes on, and nothing else is to be done.
    #[inline(always)]
    fn is_settled(&self, vcpu: &Vcpu) -> bool {
        self.core.is_settled() && !channels::any_pending(vcpu)
    }

    /// Hands every pending event to the core.
    fn take_events(&mut self, vcpu: &Vcpu) {
        channels::take(vcpu, |event| match event {
            Event::Timer if timer::fired(vcpu) => self.core.timer(&mut self.machine, vcpu.number()),
            Event::Timer => {}
            Event::Channel(channel) => {
                self.core.event(&mut self.machine, vcpu.number(), channel);
            }
        });
    }

    /// Says what is next, with every event taken that came until then.
    fn next(&mut self, vcpu: &Vcpu) -> Choice {
        loop {
            if channels::any_pending(vcpu) {
                self.take_events(vcpu);
            }
            let next = self.core.choose(&mut self.machine, vcpu.number());
            if !channels::any_pending(vcpu) {
                return next;
            }
        }
    }

    fn check(&self) {
        let machine = &self.machine;
        let spaces = machine.spaces.iter().flatten().copied();
        let checked = audit::check(&machine.kernel, machine.tables.view(), &machine.pool, spaces);
        if let Err(audit::Violation { address, wrong }) = checked {
            panic::stop(format_args!("page tables: {address:#x}: {wrong}"), None);
        }
    }

    /// Prepares the way to a thread: its space, its frame.
    fn prepare(&mut self, vcpu: &Vcpu, thread: u16) -> *mut ThreadFrame {
        let (Some(space), Some(frame)) = (self.machine.space(thread), self.machine.frame(thread))
        else {
            panic::stop(format_args!("thread {thread} has no space"), None);
        };
        space.enter();
        if frame.registers.rip > NEVER_MAPPED {
            frame.registers.rip = NEVER_MAPPED;
        }
        let frame: *mut ThreadFrame = frame;
        vcpu.quick.set_thread(thread);
        vcpu.entered.set(vcpu.quick.current.get());
        frame
    }
}

/// How a vCPU leaves the kernel.
enum Way {
    /// To nobody.
    Idle,
    /// To a thread, by its frame.
    Frame(*const ThreadFrame),
    /// To a thread, by the registers of its trap.
    Trap,
}

impl Kernel {
    /// Decides who is next, and prepares the way there.
    #[inline(always)]
    fn settle(&mut self, vcpu: &Vcpu) -> Way {
        let next = self.next(vcpu);
        if self.audit {
            self.check();
        }
        match next {
            Choice::Fatal => panic::supervisor(self.core.fatal()),
            Choice::Idle => {
                vcpu.quick.current.set(0);
                vcpu.entered.set(0);
                if self.several {
                    // Another vCPU may take apart what was loaded here.
                    space::leave_any(&self.machine.kernel);
                }
                Way::Idle
            }
            Choice::Frame(thread) => Way::Frame(self.prepare(vcpu, thread)),
            Choice::Trap(thread) => {
                self.prepare(vcpu, thread);
                Way::Trap
            }
        }
    }
}

/// Leaves the kernel to whoever is next.
fn go_on(kernel: &'static mut Kernel) -> ! {
    let vcpu = Vcpu::current();
    let (way, free) = (kernel.settle(vcpu), kernel.left());
    // SAFETY: whoever comes here took it, and the kernel is not used below.
    unsafe { KERNEL.free(free) };
    match way {
        // SAFETY: the stack holds nothing that is needed again; events are set up.
        Way::Idle => unsafe { entry::idle() },
        // SAFETY: `prepare` saw to the space and to the frame's `rip`; a frame's selectors, flags and vectors are as they
        // were saved or made. Nobody else touches the frame of a thread that runs.
        Way::Frame(frame) => unsafe { entry::leave_frame(frame) },
        // SAFETY: `prepare` saw to the space. The registers of a thread are kept in it, and it was made the one that runs.
        Way::Trap => unsafe { entry::leave_trap(vcpu.quick.registers()) },
    }
}
