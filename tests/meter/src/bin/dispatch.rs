//! It links, and that is the test: what `interface!` makes of a server's side has no path to a panic and none to an allocation.
//!
//! A panic would call a function that is nowhere, and there is no allocator. The methods are opaque, their arguments and
//! results of every kind that a word can be. Nothing runs this program.
#![cfg_attr(xylem_user, no_std, no_main)]

abi::word_enum! {
    /// A word of few values.
    pub enum Colour {
        /// As it says.
        Red = 1,
        /// As it says.
        Green = 2,
    }
}

abi::interface! {
    /// Methods of each form.
    interface "forms";
    /// Why not.
    error Error {
        /// It will not.
        No = 1,
    }
    /// Two words in, one out.
    1 now fn add(a: u64, b: u64) -> u64;
    /// Narrow words, and two results.
    2 now fn narrow(a: u8, b: bool, c: Colour) -> (u16, Colour);
    /// All five words, both ways.
    3 now fn five(a: u64, b: u32, c: u16, d: u8, e: u64) -> (u64, u64, u64, u64, u64);
    /// Nothing in, nothing out.
    4 now fn nothing() -> ();
    /// Answered later.
    5 wait fn later(a: u32) -> u32;
}

#[cfg(not(xylem_user))]
fn main() {}

#[cfg(xylem_user)]
mod domain {
    use super::{Colour, Error, Server, dispatch};
    use abi::{Answer, Badge, Call, Caller};
    use core::hint::black_box;

    struct Opaque;

    impl Server for Opaque {
        fn add(&mut self, _: Badge, a: u64, b: u64) -> Result<u64, Error> {
            black_box(Ok(a ^ b))
        }
        fn narrow(&mut self, _: Badge, a: u8, _: bool, c: Colour) -> Result<(u16, Colour), Error> {
            black_box(Ok((a.into(), c)))
        }
        fn five(
            &mut self,
            _: Badge,
            a: u64,
            b: u32,
            c: u16,
            d: u8,
            e: u64,
        ) -> Result<(u64, u64, u64, u64, u64), Error> {
            black_box(Ok((a, b.into(), c.into(), d.into(), e)))
        }
        fn nothing(&mut self, _: Badge) -> Result<(), Error> {
            black_box(Err(Error::No))
        }
        fn later(&mut self, caller: Caller<u32, Error>, a: u32) -> Option<Answer> {
            black_box(true).then(|| caller.answer(Ok(a)))
        }
    }

    #[unsafe(no_mangle)]
    extern "C" fn _start() -> ! {
        loop {
            let call = black_box(Call {
                token: abi::Token::NONE,
                badge: Badge::from_bits(0),
                message: abi::Message::default(),
            });
            black_box(dispatch(&mut Opaque, &call));
        }
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        unsafe extern "C" {
            safe fn dispatch_can_panic() -> !;
        }
        dispatch_can_panic()
    }
}
