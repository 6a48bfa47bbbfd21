//! Whether the kernel, as it was built, leaves the vector registers of servers alone.
//!
//! Invariant: only the entry code saves, restores or zeroes them, by the instructions named here; every other instruction of
//! the vector unit or the floating-point unit anywhere in the kernel is named and fails.

use iced_x86::Mnemonic;
use rig::Silent;

use super::{Tally, check};
use crate::code::Code;
use crate::failure::Result;
use crate::system;

/// What a function may do: how its name begins (in Rust the last part of its path), and the instructions.
const ALLOWED: [(&str, &[Mnemonic]); 6] = [
    // Zeroes them, and uses one of them, which is zero, to clear the registers of a trap.
    ("syscall_quick", &[Mnemonic::Pxor, Mnemonic::Movaps, Mnemonic::Ldmxcsr]),
    ("quick_", &[Mnemonic::Pxor, Mnemonic::Movaps, Mnemonic::Ldmxcsr]),
    ("leave_", &[Mnemonic::Fxrstor64]),
    // Keep a thread's frame; the register that copies is kept before.
    ("exception", &[Mnemonic::Fxsave64, Mnemonic::Movaps]),
    ("upcall_entry", &[Mnemonic::Fxsave64, Mnemonic::Movaps]),
    ("debug_exception", &[Mnemonic::Fxsave64]),
];

/// Builds the kernel and looks at all of its code.
pub fn run(filter: Option<&str>) -> Tally {
    const NAME: &str = "vectors";
    if filter.is_some_and(|filter| !NAME.contains(filter)) {
        return Tally::default();
    }
    check(NAME, || match look() {
        Ok(wrong) => {
            wrong.iter().for_each(|line| println!("{NAME}: {line}"));
            Tally::one(wrong.is_empty())
        }
        Err(error) => {
            println!("{NAME}: {error}");
            Tally::one(false)
        }
    })
}

fn look() -> Result<Vec<String>> {
    let code = Code::read(&system::build_kernel(&Silent)?)?;
    let mut wrong: Vec<String> = code
        .vectors()
        .filter(|(function, instruction)| !is_allowed(function, instruction.mnemonic()))
        .map(|(function, instruction)| {
            format!("{function}: {:#x}: {instruction}", instruction.ip())
        })
        .collect();
    if code.vectors().count() < 20 {
        wrong.push("the entry code that zeroes vector registers was not found".into());
    }
    Ok(wrong)
}

fn is_allowed(function: &str, mnemonic: Mnemonic) -> bool {
    let last = last_part(function).unwrap_or(function);
    ALLOWED
        .iter()
        .any(|(name, instructions)| last.starts_with(name) && instructions.contains(&mnemonic))
}

/// The last part of a mangled path: `_ZN6kernel7machine10exceptions15debug_exception17h0123456789abcdefE`.
fn last_part(mangled: &str) -> Option<&str> {
    let mut rest = mangled.strip_prefix("_ZN")?;
    let mut last = None;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let Ok(length) = rest.get(..digits)?.parse::<usize>() else { return last };
        let part = rest.get(digits..digits + length)?;
        // The hash comes last.
        if length == 17 && part.starts_with('h') {
            return last;
        }
        last = Some(part);
        rest = rest.get(digits + length..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::is_allowed;
    use iced_x86::Mnemonic;

    #[test]
    fn only_entry_code_may_touch_vector_registers() {
        assert!(is_allowed("quick_reply_wait", Mnemonic::Pxor));
        assert!(is_allowed("leave_trap", Mnemonic::Fxrstor64));
        assert!(!is_allowed("leave_trap", Mnemonic::Addsd));
        assert!(!is_allowed("_ZN6kernel4core4Core4next17h0123456789abcdefE", Mnemonic::Pxor));
        let debug = "_ZN6kernel7machine10exceptions15debug_exception17he30c6abe508f5018E";
        assert!(is_allowed(debug, Mnemonic::Fxsave64) && !is_allowed(debug, Mnemonic::Movaps));
    }
}
