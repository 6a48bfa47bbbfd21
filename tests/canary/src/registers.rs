//! All registers at once.

use core::arch::asm;

/// Registers that a trap must leave zero, as they were after it: rdi rsi rdx r10 r8 r9 r12 r13 r14 r15 rbx rbp, rax, then
/// the halves of xmm0 to xmm15.
pub type Left = [u64; 13 + 32];

/// Traps with `rax` and stains in all other registers; returns what is left in them.
pub fn trap(rax: u64) -> Left {
    let mut left = [0; 45];
    // SAFETY: all that changes is declared or restored (rbx, rbp); the buffer's address waits on the stack.
    unsafe {
        asm!(
            "push rbx", "push rbp", "push r11",
            "mov rbx, 0x1111", "mov rbp, 0x2222", "mov r14, 0x3333", "mov r15, 0x4444", "mov r12, 0x5555",
            "movq xmm0, rbx", "movq xmm7, rbp", "movq xmm15, r14",
            "syscall",
            "mov r11, [rsp]",
            "mov [r11], rdi", "mov [r11 + 8], rsi", "mov [r11 + 16], rdx", "mov [r11 + 24], r10",
            "mov [r11 + 32], r8", "mov [r11 + 40], r9", "mov [r11 + 48], r12", "mov [r11 + 56], r13",
            "mov [r11 + 64], r14", "mov [r11 + 72], r15", "mov [r11 + 80], rbx", "mov [r11 + 88], rbp",
            "mov [r11 + 96], rax",
            "movups [r11 + 104], xmm0", "movups [r11 + 120], xmm1", "movups [r11 + 136], xmm2",
            "movups [r11 + 152], xmm3", "movups [r11 + 168], xmm4", "movups [r11 + 184], xmm5",
            "movups [r11 + 200], xmm6", "movups [r11 + 216], xmm7", "movups [r11 + 232], xmm8",
            "movups [r11 + 248], xmm9", "movups [r11 + 264], xmm10", "movups [r11 + 280], xmm11",
            "movups [r11 + 296], xmm12", "movups [r11 + 312], xmm13", "movups [r11 + 328], xmm14",
            "movups [r11 + 344], xmm15",
            "pop r11", "pop rbp", "pop rbx",
            inout("rax") rax => _,
            inout("r11") left.as_mut_ptr() => _,
            out("rcx") _, out("rdx") _, out("rsi") _, out("rdi") _, out("r8") _, out("r9") _, out("r10") _,
            out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
            out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
        );
    }
    left
}

/// Stains every register, vector registers included, and traps.
pub fn stain(rax: u64) {
    trap(rax);
}

/// Keeps `pattern` in the vector registers while it spins; false if one was lost meanwhile.
pub fn survive(pattern: u64, rounds: u64) -> bool {
    let mut after = [0u64; 4];
    // SAFETY: only declared registers change, and `after` is written through its own pointer.
    unsafe {
        asm!(
            "movq xmm0, {pattern}", "movq xmm5, {pattern}", "movq xmm10, {pattern}", "movq xmm15, {pattern}",
            "2:", "dec {rounds}", "jnz 2b",
            "movq [{after}], xmm0", "movq [{after} + 8], xmm5", "movq [{after} + 16], xmm10", "movq [{after} + 24], xmm15",
            pattern = in(reg) pattern,
            rounds = inout(reg) rounds => _,
            after = in(reg) after.as_mut_ptr(),
            out("xmm0") _, out("xmm5") _, out("xmm10") _, out("xmm15") _,
        );
    }
    after == [pattern; 4]
}
