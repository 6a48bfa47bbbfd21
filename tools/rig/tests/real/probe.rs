//! The smallest PVH kernel: it says its command line and eight bytes of its module on port 0xE9, and shuts down.
//!
//! Invariant: it depends on nothing of the project, so a failure with it is a failure of the rig.

/// Where it is loaded.
const BASE: u32 = 0x10_0000;
/// Bytes before the code: ELF header, two program headers, the note.
const HEAD: u32 = 52 + 2 * 32 + 20;

/// What the probe does when it has spoken.
#[derive(Clone, Copy)]
pub enum Last {
    /// SCHEDOP_shutdown with this reason (Xen public/sched.h: 0 poweroff, 1 reboot, 3 crash).
    Shutdown(u8),
    /// Nothing, for ever.
    Hang,
}

/// 32-bit code; `ebx` points to hvm_start_info (Xen public/arch-x86/hvm/start_info.h).
fn code(last: Last) -> Vec<u8> {
    let mut code = vec![
        0x8b, 0x73, 0x18, // mov esi, [ebx + cmdline_paddr]
        0xac, 0x84, 0xc0, // lodsb; test al, al
        0x74, 0x04, 0xe6, 0xe9, 0xeb, 0xf7, // until it is 0: out 0xe9, al
        0xb0, 0x0a, 0xe6, 0xe9, // out 0xe9, '\n'
        0x83, 0x7b, 0x0c, 0x00, 0x74, 0x13, // without a module go on after it
        0x8b, 0x43, 0x10, 0x8b, 0x30, // mov eax, [ebx + modlist_paddr]; mov esi, [eax]
        0xb9, 0x08, 0x00, 0x00, 0x00, // mov ecx, 8
        0xac, 0xe6, 0xe9, 0xe2, 0xfb, // eight times: lodsb; out 0xe9, al
        0xb0, 0x0a, 0xe6, 0xe9, // out 0xe9, '\n'
    ];
    if let Last::Shutdown(reason) = last {
        code.extend([0xb8, 0x1d, 0x00, 0x00, 0x00]); // mov eax, __HYPERVISOR_sched_op
        code.extend([0xbb, 0x02, 0x00, 0x00, 0x00]); // mov ebx, SCHEDOP_shutdown
        let at = BASE + HEAD + code.len() as u32 + 10;
        code.push(0xb9); // mov ecx, the address of the reason
        code.extend(at.to_le_bytes());
        code.extend([0x0f, 0x01, 0xd9, 0xeb, 0xfe]); // vmmcall; stay here
        code.extend([reason, 0, 0, 0]);
    }
    code.extend([0xeb, 0xfe]);
    code
}

/// The kernel as an ELF file.
pub fn elf(last: Last) -> Vec<u8> {
    let code = code(last);
    let size = HEAD + code.len() as u32;
    let entry = BASE + HEAD;
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    let half = |file: &mut Vec<u8>, values: &[u16]| {
        values.iter().for_each(|value| file.extend(value.to_le_bytes()))
    };
    let word = |file: &mut Vec<u8>, values: &[u32]| {
        values.iter().for_each(|value| file.extend(value.to_le_bytes()))
    };
    half(&mut file, &[2, 3]); // ET_EXEC, EM_386
    word(&mut file, &[1, entry, 52, 0, 0]); // version, entry, program headers, sections, flags
    half(&mut file, &[52, 32, 2, 0, 0, 0]);
    word(&mut file, &[1, 0, BASE, BASE, size, size, 7, 0x1000]); // PT_LOAD
    word(&mut file, &[4, HEAD - 20, BASE + HEAD - 20, BASE + HEAD - 20, 20, 20, 4, 4]); // PT_NOTE
    word(&mut file, &[4, 4, 18]); // XEN_ELFNOTE_PHYS32_ENTRY
    file.extend(b"Xen\0");
    word(&mut file, &[entry]);
    file.extend(code);
    file
}
