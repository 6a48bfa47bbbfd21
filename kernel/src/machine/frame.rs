//! The full frame of a thread, and the registers on a kernel stack after an exception: one layout for both, known to the
//! assembly in `entry`.

/// All general registers, as the entry stubs push them.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
#[allow(missing_docs, reason = "registers explain themselves")]
pub struct Registers {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    pub vector: u64,
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

impl Registers {
    /// Whether they were saved in user mode.
    pub const fn from_user(&self) -> bool {
        self.cs & 3 == 3
    }
}

/// The state of a vector unit, as FXSAVE writes it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct VectorState([u8; 512]);

impl VectorState {
    /// Every register zero, exceptions masked: control word 0x37f, MXCSR 0x1f80.
    pub const DEFAULT: Self = {
        let mut state = [0; 512];
        state[0] = 0x7f;
        state[1] = 0x03;
        state[24] = 0x80;
        state[25] = 0x1f;
        Self(state)
    };
}

/// Everything a thread needs to go on after an interrupt or a fault.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(256))]
pub struct ThreadFrame {
    /// General registers.
    pub registers: Registers,
    /// Vector registers.
    pub vectors: VectorState,
    /// What CR2 was at the last exception.
    pub address: u64,
}

// A frame is found by the address of its thread: three times as far from the first.
const _: () = assert!(size_of::<ThreadFrame>() == 3 * size_of::<crate::core::thread::Thread>());
const _: () = assert!(::core::mem::offset_of!(ThreadFrame, vectors).is_multiple_of(16));

impl ThreadFrame {
    /// A frame that starts at `rip` with nothing but `rsp` and `rdi` set.
    pub fn start(rip: u64, rsp: u64, argument: u64) -> Self {
        let registers = Registers {
            rdi: argument,
            rip,
            rsp,
            cs: u64::from(super::descriptors::USER_CODE),
            ss: u64::from(super::descriptors::USER_DATA),
            rflags: super::cpu::USER_FLAGS,
            ..Registers::default()
        };
        Self { registers, vectors: VectorState::DEFAULT, address: 0 }
    }
}
