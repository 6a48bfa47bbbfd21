//! The end: one screen on the debug console and on the operator's console, then the domain has crashed.
//!
//! It waits for nobody, allocates nothing and takes no lock. Addresses are resolved to names on the host. A second panic
//! on the way goes straight to the end; one on another vCPU leaves it to the first.

use ::core::fmt::{self, Write};
use ::core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use x86_64::registers::control::{Cr2, Cr3};

use super::debug::Debug;
use super::descriptors::is_on_stack;
use super::frame::Registers;
use super::layout::KERNEL_BASE;
use super::paging;
use super::vcpu::Vcpu;
use super::xen;
use crate::core::hardware::Exception;

/// Reason of a shutdown that xl shows as a crash (Xen public/sched.h).
pub const SHUTDOWN_CRASH: u32 = 3;
/// Words of the stack that are shown.
const STACK_WORDS: u64 = 24;
/// Callers that are shown.
const CALLERS: usize = 16;

/// The vCPU that ends the domain, counted from 1; 0 while none does.
static PANICKING: AtomicU32 = AtomicU32::new(0);
/// The console's event channel, 0 while there is no console.
static CONSOLE_CHANNEL: AtomicU32 = AtomicU32::new(0);
/// Where the console's ring is.
static CONSOLE_RING: AtomicU64 = AtomicU64::new(0);

/// Tells where the operator's console is: the address of its ring's page, which is mapped from now on, and its channel.
pub fn use_console(ring: u64, channel: u32) {
    CONSOLE_RING.store(ring, Ordering::Relaxed);
    CONSOLE_CHANNEL.store(channel, Ordering::Relaxed);
}

/// Both consoles.
struct Screen;

impl Write for Screen {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        Debug::write(text.as_bytes());
        if CONSOLE_CHANNEL.load(Ordering::Relaxed) != 0 {
            for byte in text.bytes() {
                if byte == b'\n' {
                    console_put(b'\r');
                }
                console_put(byte);
            }
        }
        Ok(())
    }
}

/// Puts a byte into the console's ring (Xen public/io/console.h: output of 2048 bytes at 1024, its consumer and producer
/// indexes at 3080 and 3084). What does not fit is dropped.
fn console_put(byte: u8) {
    const SIZE: u32 = 2048;
    let ring = CONSOLE_RING.load(Ordering::Relaxed);
    let index = |offset: u64| {
        // SAFETY: the ring's page is mapped there; its indexes are aligned words that the peer changes, too.
        unsafe { &*((ring + offset) as *const AtomicU32) }
    };
    let (consumer, producer) = (index(3080), index(3084));
    let at = producer.load(Ordering::Relaxed);
    if at.wrapping_sub(consumer.load(Ordering::Acquire)) < SIZE {
        let place = (ring + 1024 + u64::from(at % SIZE)) as *mut u8;
        // SAFETY: inside the ring's page.
        unsafe { place.write_volatile(byte) };
        fence(Ordering::Release);
        producer.store(at.wrapping_add(1), Ordering::Release);
    }
}

/// Ends the domain because the kernel is wrong: a reason and, where there are any, the registers of what went wrong.
pub fn stop(reason: fmt::Arguments<'_>, registers: Option<&Registers>) -> ! {
    crash(|out| screen(out, reason, registers))
}

/// Ends the domain because what it was given is wrong, and the kernel is not: one line.
pub fn refuse(reason: fmt::Arguments<'_>) -> ! {
    crash(|out| writeln!(out, "\nxylem: cannot start: {reason}"))
}

/// Ends the domain because the supervisor broke a rule, and nobody is above it.
pub fn supervisor(fault: Option<Exception>) -> ! {
    let Some(Exception { kind, address, rip, error, rsp }) = fault else {
        stop(format_args!("a fault without a reason"), None)
    };
    crash(|out| {
        writeln!(out, "\nxylem: the supervisor was stopped: {kind:?}")?;
        writeln!(out, "address {address:#x} rip {rip:#x} error {error:#x} rsp {rsp:#x}")
    })
}

fn crash(show: impl FnOnce(&mut Screen) -> fmt::Result) -> ! {
    let own = u32::from(Vcpu::current().index()) + 1;
    let panicking = PANICKING.compare_exchange(0, own, Ordering::SeqCst, Ordering::SeqCst);
    while panicking.is_err_and(|other| other != own) {
        // Another vCPU ends the domain.
        ::core::hint::spin_loop();
    }
    if panicking.is_ok() {
        // Both consoles take everything.
        let _ = show(&mut Screen);
        let channel = CONSOLE_CHANNEL.load(Ordering::Relaxed);
        if channel != 0 {
            xen::channels::send(channel);
        }
    }
    xen::shutdown(SHUTDOWN_CRASH)
}

fn screen(
    out: &mut Screen,
    reason: fmt::Arguments<'_>,
    registers: Option<&Registers>,
) -> fmt::Result {
    writeln!(out, "\nxylem: KERNEL PANIC: {reason}")?;
    let (rbp, rsp) = match registers {
        Some(registers) => {
            show_registers(out, registers)?;
            (registers.rbp, registers.rsp)
        }
        None => here(),
    };
    let cr2 = Cr2::read_raw();
    writeln!(out, "cr2 {cr2:016x}  cr3 {:016x}", Cr3::read().0.start_address())?;
    show_callers(out, rbp)?;
    show_stack(out, rsp)
}

/// The frame pointer and the stack pointer.
fn here() -> (u64, u64) {
    let (rbp, rsp): (u64, u64);
    // SAFETY: only reads registers.
    unsafe {
        ::core::arch::asm!("mov {}, rbp", "mov {}, rsp", out(reg) rbp, out(reg) rsp, options(nomem, nostack));
    }
    (rbp, rsp)
}

fn show_registers(out: &mut Screen, r: &Registers) -> fmt::Result {
    writeln!(
        out,
        "vector {} error {:x} cs {:x} ss {:x} flags {:x}",
        r.vector, r.error, r.cs, r.ss, r.rflags
    )?;
    writeln!(out, "rip {:016x}  rsp {:016x}  rbp {:016x}", r.rip, r.rsp, r.rbp)?;
    writeln!(out, "rax {:016x}  rbx {:016x}  rcx {:016x}", r.rax, r.rbx, r.rcx)?;
    writeln!(out, "rdx {:016x}  rsi {:016x}  rdi {:016x}", r.rdx, r.rsi, r.rdi)?;
    writeln!(out, "r8  {:016x}  r9  {:016x}  r10 {:016x}", r.r8, r.r9, r.r10)?;
    writeln!(out, "r11 {:016x}  r12 {:016x}  r13 {:016x}", r.r11, r.r12, r.r13)?;
    writeln!(out, "r14 {:016x}  r15 {:016x}", r.r14, r.r15)
}

fn show_callers(out: &mut Screen, mut rbp: u64) -> fmt::Result {
    write!(out, "calls")?;
    for _ in 0..CALLERS {
        let Some((next, caller)) = read(rbp).zip(read(rbp.wrapping_add(8))) else { break };
        if caller == 0 {
            break;
        }
        write!(out, " {caller:016x}")?;
        rbp = next;
    }
    writeln!(out)
}

fn show_stack(out: &mut Screen, rsp: u64) -> fmt::Result {
    for i in 0..STACK_WORDS {
        let Some(word) = read(rsp.wrapping_add(i * 8)) else { break };
        let space = if i % 4 == 3 { '\n' } else { ' ' };
        write!(out, "{word:016x}{space}")?;
    }
    writeln!(out)
}

/// Reads a word of a kernel stack; `None` where no stack is.
fn read(address: u64) -> Option<u64> {
    let image = paging::image();
    let in_image = (image.start..image.end).contains(&address.wrapping_sub(KERNEL_BASE));
    let readable = address.is_multiple_of(8) && (in_image || is_on_stack(address));
    // SAFETY: the kernel's image and the stacks of the vCPUs in use are mapped.
    readable.then(|| unsafe { (address as *const u64).read_volatile() })
}

#[panic_handler]
fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
    match info.location() {
        Some(place) => {
            stop(format_args!("{} at {}:{}", info.message(), place.file(), place.line()), None)
        }
        None => stop(format_args!("{}", info.message()), None),
    }
}
