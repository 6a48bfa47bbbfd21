//! From the PVH entry point (Xen docs/misc/pvh.pandoc: 32-bit, flat, no paging) to 64-bit Rust.
//!
//! The code runs at its load address. It builds tables that map the first 4 GiB where they are, and the first GiB again
//! at [`KERNEL_BASE`], with 2 MiB pages, switches to long mode, and calls `kernel_main(start_info)` on a stack of the
//! kernel's own. These first tables are writable and executable; the kernel replaces them before it runs anything else.
//!
//! It does not look at the start_info record, and it does not clear `.bss`: the loader did.

use core::arch::global_asm;

/// Where the kernel's image is linked: its load address plus this.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;

/// End of what the first tables map one to one.
pub const IDENTITY_END: u64 = 1 << 32;

/// Selector of the kernel's 64-bit code segment, in the first GDT and in every later one.
pub const KERNEL_CODE: u16 = 0x08;
/// Selector of the kernel's data segment.
pub const KERNEL_DATA: u16 = 0x10;

// SAFETY argument for the whole: nothing else runs yet; every address used is a symbol of this section, at its load address.
global_asm!(
    r#"
    // The one note that PVH needs: XEN_ELFNOTE_PHYS32_ENTRY (Xen public/elfnote.h).
    .section .note.xen, "a", @note
    .balign 4
    .long 4, 4, 18
    .asciz "Xen"
    .long pvh_entry

    .section .boot.text, "ax", @progbits
    .code32
    .global pvh_entry
    .type pvh_entry, @function
pvh_entry:
    cli
    cld
    mov edi, ebx                                // start_info, kept for kernel_main

    // Four tables of 2 MiB pages: 2048 entries, present, writable, large.
    mov eax, 0x83
    mov ecx, offset boot_directories
2:  mov [ecx], eax
    mov dword ptr [ecx + 4], 0
    add eax, 0x200000
    add ecx, 8
    cmp ecx, offset boot_directories_end
    jne 2b

    // The first 4 GiB one to one, and the first GiB at the kernel's base (entries 511 and 510).
    mov eax, offset boot_directories + 3
    mov dword ptr [boot_pointers_high + 510 * 8], eax
    mov ecx, offset boot_pointers_low
2:  mov [ecx], eax
    add eax, 0x1000
    add ecx, 8
    cmp ecx, offset boot_pointers_low + 4 * 8
    jne 2b
    mov dword ptr [boot_top], offset boot_pointers_low + 3
    mov dword ptr [boot_top + 511 * 8], offset boot_pointers_high + 3

    mov eax, 0x20                               // CR4.PAE
    mov cr4, eax
    mov eax, offset boot_top
    mov cr3, eax
    mov ecx, 0xc0000080                         // EFER.LME
    rdmsr
    or eax, 0x100
    wrmsr
    mov eax, cr0
    or eax, 0x80000001                          // CR0.PG, PE
    mov cr0, eax

    lgdt [boot_gdt_pointer]
    mov esp, offset boot_jump_end               // there is no far jump with an address in this syntax
    push {code}
    mov eax, offset boot_long
    push eax
    retf

    .code64
boot_long:
    mov eax, {data}
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    lldt ax
    mov edi, edi                                // the upper half was undefined
    movabs rsp, offset boot_stack_end
    xor ebp, ebp
    movabs rax, offset kernel_main
    call rax
    ud2
    .size pvh_entry, . - pvh_entry

    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff                    // 64-bit code, ring 0, accessed
    .quad 0x00cf93000000ffff                    // data, ring 0, accessed
boot_gdt_pointer:
    .word . - boot_gdt - 1
    .long boot_gdt

    .section .boot.bss, "aw", @nobits
    .balign 4096
boot_top:           .skip 4096
boot_jump:          .skip 64
boot_jump_end:
    .balign 4096
boot_pointers_low:  .skip 4096
boot_pointers_high: .skip 4096
boot_directories:   .skip 4 * 4096
boot_directories_end:

    // Used until a vCPU's own stack is, and never again.
    .section .bss.boot_stack, "aw", @nobits
    .balign 16
    .skip 32768
boot_stack_end:
"#,
    code = const KERNEL_CODE,
    data = const KERNEL_DATA,
);
