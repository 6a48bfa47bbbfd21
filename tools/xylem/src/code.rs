//! The kernel's code, as it was built: which instructions there are, and what the instructions of a path do.
//!
//! Invariant: all bytes of all sections with code are decoded one after the other, so nothing is passed over. It judges
//! nothing.

use std::fmt;
use std::path::Path;

use iced_x86::{
    CpuidFeature, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory,
    Mnemonic, OpAccess,
};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags};

use crate::failure::{Context, Failure, Result};

/// ELF: a section with code.
const EXECUTABLE: u64 = 4;

/// All code of a program, in the order of its addresses.
pub struct Code {
    instructions: Vec<Instruction>,
    functions: Vec<(u64, String)>,
}

impl Code {
    /// Reads and decodes an ELF file.
    ///
    /// # Errors
    /// It cannot be read or decoded.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).context("read", path)?;
        Self::decode(&bytes).ok_or_else(|| Failure::Strange {
            who: "the kernel",
            what: "code".into(),
            text: path.display().to_string(),
        })
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let file = object::File::parse(bytes).ok()?;
        let mut code = Self { instructions: Vec::new(), functions: Vec::new() };
        for section in file.sections() {
            let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
            if sh_flags & EXECUTABLE != 0 {
                let bytes = section.data().ok()?;
                let decoder = Decoder::with_ip(64, bytes, section.address(), DecoderOptions::NONE);
                code.instructions.extend(decoder);
            }
        }
        code.instructions.sort_by_key(Instruction::ip);
        for symbol in file.symbols().filter(|symbol| symbol.section_index().is_some()) {
            if let Ok(name) = symbol.name()
                && !name.is_empty()
                && code.at(symbol.address()).is_some()
            {
                code.functions.push((symbol.address(), name.to_owned()));
            }
        }
        code.functions.sort();
        let whole = !code.instructions.is_empty() && !code.functions.is_empty();
        whole.then_some(code)
    }

    /// The instruction at an address.
    pub fn at(&self, address: u64) -> Option<&Instruction> {
        let at = self.instructions.binary_search_by_key(&address, Instruction::ip).ok()?;
        self.instructions.get(at)
    }

    /// Where a function begins, if there is one of that name.
    pub fn address(&self, name: &str) -> Option<u64> {
        self.functions.iter().find(|(_, known)| known == name).map(|(address, _)| *address)
    }

    /// First address of the code and first address behind it.
    pub fn extent(&self, from: &str) -> Option<(u64, u64)> {
        Some((self.address(from)?, self.instructions.last()?.next_ip()))
    }

    /// The function that an address belongs to.
    pub fn function(&self, address: u64) -> &str {
        let behind = self.functions.partition_point(|(start, _)| *start <= address);
        behind.checked_sub(1).and_then(|at| self.functions.get(at)).map_or("?", |(_, name)| name)
    }

    /// All instructions that use the vector unit or the floating-point unit, with their functions.
    pub fn vectors(&self) -> impl Iterator<Item = (&str, &Instruction)> {
        let found = self.instructions.iter().filter(|instruction| uses_vectors(instruction));
        found.map(|instruction| (self.function(instruction.ip()), instruction))
    }

    /// The instructions from a function on up to the return to user mode. Conditional jumps are not taken, but for those whose
    /// numbers (in the order in which they are met, from 0) are in `taken`.
    pub fn path(&self, from: &str, taken: &[usize]) -> Option<Vec<u64>> {
        let mut at = self.address(from)?;
        let mut path = Vec::new();
        let mut met = 0;
        while path.len() < LONGEST {
            let instruction = self.at(at)?;
            path.push(at);
            if is_return(instruction) {
                return Some(path);
            }
            at = match instruction.flow_control() {
                FlowControl::UnconditionalBranch => instruction.near_branch_target(),
                FlowControl::ConditionalBranch => {
                    met += 1;
                    let jumps = taken.contains(&(met - 1));
                    if jumps { instruction.near_branch_target() } else { instruction.next_ip() }
                }
                _ => instruction.next_ip(),
            };
        }
        None
    }

    /// What the instructions of a path do.
    pub fn costs(&self, path: &[u64]) -> Costs {
        let mut factory = InstructionInfoFactory::new();
        let mut costs = Costs::default();
        for instruction in path.iter().filter_map(|at| self.at(*at)) {
            costs.add(instruction, &mut factory);
        }
        costs
    }
}

/// Most instructions of a path that is followed.
const LONGEST: usize = 1000;

/// Whether an instruction goes to user mode, or waits for an event.
pub fn is_return(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Sysret | Mnemonic::Sysretq | Mnemonic::Iretq)
}

/// What a path does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// Instructions.
    pub instructions: usize,
    /// Operands read from memory.
    pub loads: usize,
    /// Operands written to memory.
    pub stores: usize,
    /// Instructions that lock the bus.
    pub locked: usize,
    /// Instructions that wait for all before them: writes of control and model-specific registers, `iret`, `lfence`.
    pub serialising: usize,
    /// Instructions that a hypervisor may intercept, the write of CR3 not counted: hypercalls, model-specific registers,
    /// ports, `hlt`.
    pub exiting: usize,
}

impl Costs {
    fn add(&mut self, instruction: &Instruction, factory: &mut InstructionInfoFactory) {
        self.instructions += 1;
        for memory in factory.info(instruction).used_memory() {
            let access = memory.access();
            self.loads += usize::from(matches!(
                access,
                OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite
            ));
            self.stores += usize::from(matches!(
                access,
                OpAccess::Write
                    | OpAccess::CondWrite
                    | OpAccess::ReadWrite
                    | OpAccess::ReadCondWrite
            ));
        }
        let mnemonic = instruction.mnemonic();
        let swaps = mnemonic == Mnemonic::Xchg && instruction.memory_size().size() != 0;
        self.locked += usize::from(instruction.has_lock_prefix() || swaps);
        let control = instruction.op0_register().is_cr() || instruction.op1_register().is_cr();
        let model = matches!(mnemonic, Mnemonic::Wrmsr | Mnemonic::Rdmsr);
        self.serialising +=
            usize::from(control || model || matches!(mnemonic, Mnemonic::Iretq | Mnemonic::Lfence));
        self.exiting += usize::from(
            model
                || matches!(
                    mnemonic,
                    Mnemonic::Vmcall
                        | Mnemonic::Vmmcall
                        | Mnemonic::Hlt
                        | Mnemonic::In
                        | Mnemonic::Out
                ),
        );
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instructions, loads, stores, locked, serialising, exiting } = self;
        write!(
            f,
            "{instructions} instructions: {loads} loads, {stores} stores, {locked} locked, {serialising} serialising, {exiting} exiting"
        )
    }
}

/// Whether an instruction uses the vector unit or the floating-point unit. Fences and hints belong to the same extensions of
/// the instruction set, and do not.
fn uses_vectors(instruction: &Instruction) -> bool {
    if matches!(
        instruction.mnemonic(),
        Mnemonic::Lfence | Mnemonic::Mfence | Mnemonic::Sfence | Mnemonic::Pause
    ) {
        return false;
    }
    let registers = (0..instruction.op_count()).any(|operand| {
        let register = instruction.op_register(operand);
        register.is_vector_register() || register.is_st() || register.is_mm()
    });
    registers || instruction.cpuid_features().iter().any(|feature| FEATURES.contains(feature))
}

const FEATURES: [CpuidFeature; 12] = [
    CpuidFeature::FPU,
    CpuidFeature::MMX,
    CpuidFeature::FXSR,
    CpuidFeature::SSE,
    CpuidFeature::SSE2,
    CpuidFeature::SSE3,
    CpuidFeature::SSSE3,
    CpuidFeature::SSE4_1,
    CpuidFeature::SSE4_2,
    CpuidFeature::AVX,
    CpuidFeature::AVX2,
    CpuidFeature::XSAVE,
];
