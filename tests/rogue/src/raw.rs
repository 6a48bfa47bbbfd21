//! Traps with any register contents, and what they leave behind.

use core::arch::asm;

/// The registers handed to a trap.
#[derive(Clone, Copy, Default)]
pub struct Registers {
    /// `rax rdi rsi rdx r10 r8 r9 r12 r13 r14 r15`.
    pub values: [u64; 11],
}

/// Traps with these registers; returns `rax`.
pub fn trap(registers: &Registers) -> u64 {
    let mut rax = registers.values[0];
    // SAFETY: everything a trap may change is declared; rbx and rbp are saved around it.
    unsafe {
        asm!(
            "push rbx", "push rbp",
            "mov rdi, [r11 + 8]", "mov rsi, [r11 + 16]", "mov rdx, [r11 + 24]", "mov r10, [r11 + 32]",
            "mov r8, [r11 + 40]", "mov r9, [r11 + 48]", "mov r12, [r11 + 56]", "mov r13, [r11 + 64]",
            "mov r14, [r11 + 72]", "mov r15, [r11 + 80]",
            "syscall",
            "pop rbp", "pop rbx",
            inout("rax") rax,
            inout("r11") registers.values.as_ptr() => _,
            out("rcx") _, out("rdx") _, out("rsi") _, out("rdi") _, out("r8") _, out("r9") _, out("r10") _,
            out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
            out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
        );
    }
    rax
}
