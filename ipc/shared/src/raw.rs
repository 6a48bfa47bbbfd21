//! The accesses themselves: volatile moves and atomic words at an address.
//!
//! Invariant: each access names its bytes once; the compiler can neither repeat it nor leave it out. Nothing here
//! checks bounds: [`crate::Memory`] does, and is the only caller.

use core::arch::x86_64::__m128i;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

pub(crate) use core::sync::atomic::fence;

/// The address of memory that others may write.
#[derive(Clone, Copy)]
pub(crate) struct Raw(*mut u8);

// SAFETY: a `Raw` is an address; what it points at is shared by definition, and is only accessed by volatile and
// atomic operations, on whichever thread.
unsafe impl Send for Raw {}
// SAFETY: as above; the type has no state of its own.
unsafe impl Sync for Raw {}

impl Raw {
    pub(crate) const DANGLING: Self = Self(ptr::dangling_mut());

    pub(crate) const fn new(base: *mut u8) -> Self {
        Self(base)
    }

    /// The address `offset` bytes further on.
    pub(crate) const fn offset(self, offset: usize) -> Self {
        Self(self.0.wrapping_add(offset))
    }

    /// Whether the byte at `offset` lies on a multiple of `unit`, a power of two.
    pub(crate) fn is_aligned(self, offset: usize, unit: usize) -> bool {
        self.0.addr().wrapping_add(offset) & (unit - 1) == 0
    }

    /// # Safety
    /// The four bytes at `offset` must be mapped and aligned.
    pub(crate) unsafe fn load_u32(self, offset: usize, order: Ordering) -> u32 {
        let word = self.0.wrapping_add(offset).cast();
        // SAFETY: mapped and aligned (the caller); atomics may change under a shared reference, which ends here.
        unsafe { AtomicU32::from_ptr(word) }.load(order)
    }

    /// # Safety
    /// The four bytes at `offset` must be mapped for writing and aligned.
    pub(crate) unsafe fn store_u32(self, offset: usize, value: u32, order: Ordering) {
        let word = self.0.wrapping_add(offset).cast();
        // SAFETY: as in `load_u32`, and writable (the caller).
        unsafe { AtomicU32::from_ptr(word) }.store(value, order);
    }

    /// # Safety
    /// The eight bytes at `offset` must be mapped and aligned.
    pub(crate) unsafe fn load_u64(self, offset: usize, order: Ordering) -> u64 {
        let word = self.0.wrapping_add(offset).cast();
        // SAFETY: as in `load_u32`.
        unsafe { AtomicU64::from_ptr(word) }.load(order)
    }

    /// # Safety
    /// The eight bytes at `offset` must be mapped for writing and aligned.
    pub(crate) unsafe fn store_u64(self, offset: usize, value: u64, order: Ordering) {
        let word = self.0.wrapping_add(offset).cast();
        // SAFETY: as in `load_u32`, and writable (the caller).
        unsafe { AtomicU64::from_ptr(word) }.store(value, order);
    }

    /// Copies from the memory at `offset` into all of `to`.
    ///
    /// # Safety
    /// The bytes must be mapped.
    pub(crate) unsafe fn copy_out(self, offset: usize, to: &mut [u8]) {
        // SAFETY: mapped (the caller); `to` is private and as long as said.
        unsafe { bulk::<Out>(self.0.wrapping_add(offset), to.as_mut_ptr(), to.len()) };
    }

    /// Copies all of `from` into the memory at `offset`.
    ///
    /// # Safety
    /// The bytes must be mapped for writing.
    pub(crate) unsafe fn copy_in(self, offset: usize, from: &[u8]) {
        // SAFETY: mapped (the caller); `In` only reads through the private pointer.
        unsafe { bulk::<In>(self.0.wrapping_add(offset), from.as_ptr().cast_mut(), from.len()) };
    }

    /// As [`Raw::copy_out`], for a length that the compiler knows.
    ///
    /// # Safety
    /// The bytes must be mapped.
    #[inline(always)]
    pub(crate) unsafe fn read_out(self, offset: usize, to: &mut [u8]) {
        // SAFETY: mapped (the caller); `to` is private and as long as said.
        unsafe { few::<Out>(self.0.wrapping_add(offset), to.as_mut_ptr(), to.len()) };
    }

    /// As [`Raw::copy_in`], for a length that the compiler knows.
    ///
    /// # Safety
    /// The bytes must be mapped for writing.
    #[inline(always)]
    pub(crate) unsafe fn write_in(self, offset: usize, from: &[u8]) {
        // SAFETY: mapped (the caller); `In` only reads through the private pointer.
        unsafe { few::<In>(self.0.wrapping_add(offset), from.as_ptr().cast_mut(), from.len()) };
    }
}

/// A direction of copying.
trait Way {
    /// Moves one unit.
    ///
    /// # Safety
    /// `shared` must be mapped and aligned for `T`; `private` must hold a `T`, at any alignment.
    unsafe fn one<T: Copy>(shared: *mut u8, private: *mut u8);
}

/// From shared memory to private memory.
struct Out;
/// From private memory to shared memory.
struct In;

impl Way for Out {
    #[inline(always)]
    unsafe fn one<T: Copy>(shared: *mut u8, private: *mut u8) {
        // SAFETY: mapped and aligned (the caller); the types used here have no invalid values.
        let unit = unsafe { shared.cast::<T>().read_volatile() };
        // SAFETY: private memory of that size (the caller).
        unsafe { private.cast::<T>().write_unaligned(unit) };
    }
}

impl Way for In {
    #[inline(always)]
    unsafe fn one<T: Copy>(shared: *mut u8, private: *mut u8) {
        // SAFETY: private memory of that size (the caller).
        let unit = unsafe { private.cast::<T>().read_unaligned() };
        // SAFETY: mapped for writing and aligned (the caller).
        unsafe { shared.cast::<T>().write_volatile(unit) };
    }
}

/// The unit of the body of a copy: the widest move that every x86-64 has.
const WIDE: usize = size_of::<__m128i>();

/// Copies `len` bytes; what is a word, or up to eight words, and aligned as such is moved without a search for the widest
/// unit. Inlined where `len` is known, only one of the ways is left.
///
/// # Safety
/// As for [`bulk`].
#[inline(always)]
unsafe fn few<W: Way>(shared: *mut u8, private: *mut u8, len: usize) {
    let aligned = |unit: usize| shared.addr() & (unit - 1) == 0;
    match len {
        // SAFETY: the byte is inside.
        1 => unsafe { W::one::<u8>(shared, private) },
        // SAFETY: inside, and aligned as just asked.
        2 if aligned(2) => unsafe { W::one::<u16>(shared, private) },
        // SAFETY: as above.
        4 if aligned(4) => unsafe { W::one::<u32>(shared, private) },
        8 | 16 | 24 | 32 | 40 | 48 | 56 | 64 if aligned(8) => {
            for done in (0..len).step_by(8) {
                // SAFETY: as above; each step is a multiple of eight.
                unsafe { W::one::<u64>(shared.wrapping_add(done), private.wrapping_add(done)) };
            }
        }
        // SAFETY: the caller's.
        _ => unsafe { bulk::<W>(shared, private, len) },
    }
}

/// Copies `len` bytes: small units up to alignment, wide ones, small ones for the rest.
///
/// # Safety
/// `len` bytes must be mapped at `shared` and lie at `private`.
#[inline]
unsafe fn bulk<W: Way>(shared: *mut u8, private: *mut u8, len: usize) {
    let mut done = len.min(shared.addr().wrapping_neg() & (WIDE - 1));
    // SAFETY: `done <= len`.
    unsafe { small::<W>(shared, private, done) };
    while len - done >= WIDE {
        // SAFETY: `WIDE` more bytes are inside; `shared + done` is aligned since the first step.
        unsafe { W::one::<__m128i>(shared.wrapping_add(done), private.wrapping_add(done)) };
        done += WIDE;
    }
    // SAFETY: the rest is inside.
    unsafe { small::<W>(shared.wrapping_add(done), private.wrapping_add(done), len - done) };
}

/// Copies fewer than [`WIDE`] bytes, each step the widest that alignment and length allow.
///
/// # Safety
/// As for [`bulk`].
#[inline]
unsafe fn small<W: Way>(shared: *mut u8, private: *mut u8, len: usize) {
    let mut done = 0;
    while done < len {
        let (to, from) = (shared.wrapping_add(done), private.wrapping_add(done));
        let unit = widest(to.addr(), len - done);
        match unit {
            // SAFETY: `unit` bytes are inside and `to` is aligned to them.
            8 => unsafe { W::one::<u64>(to, from) },
            // SAFETY: as above.
            4 => unsafe { W::one::<u32>(to, from) },
            // SAFETY: as above.
            2 => unsafe { W::one::<u16>(to, from) },
            // SAFETY: as above.
            _ => unsafe { W::one::<u8>(to, from) },
        }
        done += unit;
    }
}

/// The largest of 8, 4, 2, 1 that divides `address` and is at most `len`.
fn widest(address: usize, len: usize) -> usize {
    let aligned = 1 << address.trailing_zeros().min(3);
    let fitting = 1 << len.ilog2().min(3);
    if aligned < fitting { aligned } else { fitting }
}
