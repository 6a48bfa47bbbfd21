//! What it does wrong.

use core::arch::asm;
use core::ptr::{read_volatile, write_volatile};

use abi::Traps;
use abi::layout::{CLOCK, IMAGE, STACK_END};

use crate::fuzz::{Random, allowed, anything};
use crate::raw::{Registers, trap};

/// Executes an instruction that a server may not.
macro_rules! forbidden {
    ($($assembly:tt)*) => {{
        // SAFETY: none; the instruction is forbidden, and that is the test.
        unsafe { asm!($($assembly)*) }
    }};
}

/// A name and what it does.
pub type Act = (&'static str, fn());

/// All acts.
pub const ACTS: &[Act] = &[
    ("read-kernel", || read(0xffff_ffff_8020_0000)),
    ("write-kernel", || write(0xffff_ffff_8020_0000)),
    ("read-unmapped", || read(0x7000_0000)),
    ("read-null", || read(0)),
    ("write-text", || write(IMAGE)),
    ("write-clock", || write(CLOCK)),
    ("write-non-canonical", || write(0x8000_0000_0000_0000)),
    ("execute-data", execute_data),
    ("execute-stack", execute_stack),
    ("hlt", || forbidden!("hlt")),
    ("cli", || forbidden!("cli")),
    ("load-cr3", || forbidden!("mov cr3, {}", in(reg) 0u64)),
    ("read-cr0", || forbidden!("mov {}, cr0", out(reg) _)),
    ("wrmsr", || forbidden!("wrmsr", in("ecx") 0xc000_0080u32, in("eax") 0, in("edx") 0)),
    ("in", || forbidden!("in al, dx", in("dx") 0x60u16, out("al") _)),
    ("out", || forbidden!("out dx, al", in("dx") 0xe9u16, in("al") b'!')),
    ("swapgs", || forbidden!("swapgs")),
    ("sysretq", || forbidden!("sysretq", in("rcx") 0u64)),
    ("iretq", || forbidden!("push 0", "push 0", "push 0", "push 0", "push -0x8000", "iretq")),
    ("sgdt", || forbidden!("sgdt [{}]", in(reg) &mut [0u8; 16])),
    ("int3", || forbidden!("int3")),
    ("int-80", || forbidden!("int 0x80")),
    ("int-upcall", || forbidden!("int 0xf3")),
    ("int-timer", || forbidden!("int 0x20")),
    (
        "divide-by-zero",
        || forbidden!("xor edx, edx", "xor ecx, ecx", "div ecx", out("eax") _, out("ecx") _, out("edx") _),
    ),
    ("undefined", || forbidden!("ud2")),
    ("vmmcall", vmmcall),
    ("sysenter", || forbidden!("sysenter")),
    ("overflow", || {
        overflow(0);
    }),
    ("wild-stack-trap", wild_stack_trap),
    ("kernel-stack-trap", kernel_stack_trap),
    ("wild-stack-interrupt", wild_stack_interrupt),
    ("bad-trap", || {
        trap(&with(200, 0));
    }),
    ("bad-handle", || {
        trap(&with(0, 0xffff));
    }),
    ("huge-handle", || {
        trap(&with(0, 0x00ff_ffff_ffff_ffff));
    }),
    ("wrong-right", || {
        trap(&with(3, 0));
    }),
    ("non-canonical-registers", non_canonical_registers),
    ("flags", flags),
    ("trap-flag", trap_flag),
    ("alignment-check", alignment_check),
    ("loop", || {
        loop {
            core::hint::spin_loop();
        }
    }),
    ("flood-call", flood_call),
    ("flood-notify", flood_notify),
    ("flood-log", flood_log),
    ("fuzz", fuzz),
    ("exit", || rt::exit(7)),
    ("panic", || panic!("as asked")),
];

fn read(address: u64) {
    // SAFETY: none; the address is forbidden, and that is the test.
    unsafe { read_volatile(address as *const u8) };
}

fn write(address: u64) {
    // SAFETY: none; the address is forbidden, and that is the test.
    unsafe { write_volatile(address as *mut u8, 1) };
}

static RETURN: [u8; 16] = [0xc3; 16];

fn execute_data() {
    // SAFETY: none; data is not executable, and that is the test.
    unsafe { asm!("call {}", in(reg) RETURN.as_ptr(), clobber_abi("C")) };
}

fn execute_stack() {
    let code = [0xc3u8; 16];
    // SAFETY: none; the stack is not executable, and that is the test.
    unsafe { asm!("call {}", in(reg) code.as_ptr(), clobber_abi("C")) };
}

/// The hypervisor answers ring 3 with an error; nothing else may happen.
fn vmmcall() {
    let mut rax = 29u64;
    // SAFETY: the hypervisor refuses hypercalls of ring 3 (EPERM) or the processor raises #UD.
    unsafe { asm!("vmmcall", inout("rax") rax, in("rdi") 2u64, in("rsi") 0u64, clobber_abi("C")) };
    rt::log!("rogue: vmmcall said {}", rax as i64);
}

fn overflow(depth: u64) -> u64 {
    let mut room = [depth; 64];
    core::hint::black_box(&mut room);
    if core::hint::black_box(depth) == u64::MAX {
        return room[3];
    }
    overflow(depth + 1) + room[3]
}

fn wild_stack_trap() {
    // SAFETY: none; after the trap the pop faults, and that is the test.
    unsafe {
        asm!("mov rsp, {}", "mov eax, 2", "syscall", "pop rax", in(reg) 0x0000_dead_beef_0000u64, options(noreturn))
    }
}

fn kernel_stack_trap() {
    // SAFETY: none; after the trap the pop faults, and that is the test.
    unsafe {
        asm!("mov rsp, {}", "mov eax, 2", "syscall", "pop rax", in(reg) 0xffff_ffff_8020_0000u64, options(noreturn))
    }
}

/// Spins with a stack pointer into the kernel for long enough to be interrupted, then uses it.
fn wild_stack_interrupt() {
    // SAFETY: none; the pop at the end faults, and that is the test.
    unsafe {
        asm!("mov rsp, {}", "mov ecx, 20000000", "2:", "dec ecx", "jnz 2b", "pop rax",
             in(reg) 0xffff_ffff_8020_0000u64, options(noreturn))
    }
}

fn with(number: u64, handle: u64) -> Registers {
    let mut registers = Registers::default();
    registers.values[0] = handle << 8 | number;
    registers
}

/// A non-canonical address in every register of every trap that ends well.
fn non_canonical_registers() {
    for number in [2u64, 3, 0] {
        for at in 1..11 {
            for wild in [0x8000_0000_0000_0000u64, 0x0000_8000_0000_0000, u64::MAX] {
                let mut registers = with(number, 1);
                if number == 2 {
                    registers.values[0] = wild << 8 | number;
                }
                registers.values[at] = wild;
                trap(&registers);
            }
        }
    }
}

/// `syscall` with DF, NT and IOPL-independent flags set; the kernel masks them.
fn flags() {
    for flag in [1u64 << 10, 1 << 14, 1 << 11, 1 << 18] {
        // SAFETY: all that a trap changes is declared or restored; the flags are at their defaults again after it.
        unsafe {
            asm!("push rbx", "push rbp", "pushfq", "or [rsp], {}", "popfq", "mov eax, 2", "syscall", "pop rbp", "pop rbx",
                 in(reg) flag, out("rax") _, out("rcx") _, out("rdx") _, out("rsi") _, out("rdi") _, out("r8") _,
                 out("r9") _, out("r10") _, out("r11") _, out("r12") _, out("r13") _, out("r14") _, out("r15") _,
                 out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
                 out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                 out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _);
        }
    }
}

/// Single-steps into `syscall`.
fn trap_flag() {
    // SAFETY: none; the debug exception ends the server, and that is the test.
    unsafe {
        asm!(
            "pushfq",
            "or qword ptr [rsp], 0x100",
            "popfq",
            "mov eax, 2",
            "syscall",
            "nop",
            clobber_abi("C")
        );
    }
}

/// An unaligned access with AC set.
fn alignment_check() {
    let bytes = [0u64; 2];
    // SAFETY: the access is inside `bytes`; with AC set it may fault, and that is the test.
    unsafe {
        asm!("pushfq", "or qword ptr [rsp], 0x40000", "popfq", "mov rax, [{} + 1]",
             "pushfq", "and qword ptr [rsp], -0x40001", "popfq", in(reg) bytes.as_ptr(), out("rax") _);
    }
}

fn flood_call() {
    let status = ipc::status::Client::new(rt::Trap, crate::wiring::status.handle);
    for _ in 0..500 {
        let _ = status.snapshot();
    }
}

fn flood_notify() {
    for _ in 0..1_000 {
        rt::Trap.notify(crate::wiring::status.handle);
        rt::Trap.notify(crate::wiring::log.handle);
    }
}

fn flood_log() {
    for i in 0..500u32 {
        rt::log!("flood {i} {STACK_END}");
    }
    // The line that says how it went shall find room.
    rt::timer(rt::clock::now() + 200_000_000);
    rt::Trap.reply_wait(None);
}

/// 2,600 allowed traps, then 50 with everything random or until the kernel has had enough.
fn fuzz() {
    let seed = rt::start().config("seed").and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = Random(seed);
    allowed(&mut random, 2_600);
    rt::log!("fuzz: 2600 allowed traps");
    for _ in 0..50 {
        anything(&mut random);
    }
}
