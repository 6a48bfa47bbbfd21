//! The declaration of what a server is built for.

/// Declares a server's wiring, in this order; every part may be left out.
///
/// ```
/// ipc::wiring! {
///     serves { 0 => ipc::block }
///     clients 4;
///     needs { log: ipc::log, store: ipc::xenstore, status: ipc::status optional }
///     ports { ring: Peer }
///     windows { pool: 512 }
///     control kernel;
///     device "vbd";
///     stack 16;
///     heap 64;
///     keep 2 pages;
/// }
/// assert_eq!(wiring::store.index, 1);
/// ```
///
/// It makes a module `wiring` in which each need, port and window is a constant by its own name, `NUMBERS` tells the rest, and
/// whose note in the ELF is read by `pack` alone. A need that is `optional` may be left out by a manifest; then its handle is
/// empty (calls answer `Gone`) and its memory has no pages. `control` is the handle of a server that manages others. `clients` is the most clients of all channels together; `stack` and `heap`
/// are in pages (defaults 16 and 64; a manifest may say otherwise). `keep` pages survive a crash of the server, and its ports and
/// windows stay open with them: the server says when they are to be closed. `state { A, B } accepts { OldA }` at the end names the
/// records ([`crate::state!`]) that the server writes for a successor, and others that it can adopt beside those; without it,
/// a server is swapped cold.
#[macro_export]
macro_rules! wiring {
    (
        $(serves { $($channel:literal => $($served:ident)::+),+ $(,)? })?
        $(clients $clients:literal;)?
        $(needs { $($need:ident: $($needed:ident)::+ $($optional:ident)?),* $(,)? })?
        $(ports { $($port:ident: $port_kind:ident),+ $(,)? })?
        $(windows { $($window:ident: $references:literal),+ $(,)? })?
        $(control $control:ident;)?
        $(device $device:literal;)?
        $(stack $stack:literal;)?
        $(heap $heap:literal;)?
        $(keep $keep:literal pages;)?
        $(state { $($($written:ident)::+),+ $(,)? } $(accepts { $($($accepted:ident)::+),+ $(,)? })?)?
    ) => {
        /// What this server serves and needs, by the numbers that the image's handle table has.
        #[allow(non_upper_case_globals, non_camel_case_types, dead_code, missing_docs, unused_imports)]
        pub mod wiring {
            use super::*;
            use $crate::abi::wiring::{Numbers, Record, RecordKind, abi_record, method_records};

            enum Needs { $($($need,)*)? }
            enum Ports { $($($port,)+)? }
            enum Windows { $($($window,)+)? }

            /// How handles and bits are numbered.
            pub const NUMBERS: Numbers = Numbers {
                needs: 0 $($(+ $crate::wiring!(@one $need))*)?,
                ports: 0 $($(+ $crate::wiring!(@one $port))+)?,
                windows: 0 $($(+ $crate::wiring!(@one $window))+)?,
                control: 0 $(+ $crate::wiring!(@one $control))?,
                clients: 0 $(+ $clients)?,
            };

            $($(pub const $need: $crate::serve::Need = $crate::serve::Need {
                index: Needs::$need as u16,
                handle: NUMBERS.need(Needs::$need as u16),
                bits: NUMBERS.need_bits(Needs::$need as u16),
            };)*)?
            $($(pub const $port: $crate::serve::Port = $crate::serve::Port {
                handle: NUMBERS.port(Ports::$port as u16),
                bits: NUMBERS.port_bits(Ports::$port as u16),
            };)+)?
            $($(pub const $window: $crate::abi::Handle = NUMBERS.window(Windows::$window as u16);)+)?
            $(pub const $control: $crate::abi::Handle = NUMBERS.control();)?

            const _: () = {
                #[unsafe(link_section = ".wiring")]
                #[used]
                static ABI: [u8; $crate::abi::wiring::RECORD] = abi_record();
                #[unsafe(link_section = ".wiring")]
                #[used]
                static MEMORY: [u8; $crate::abi::wiring::RECORD] = Record {
                    a: $crate::wiring!(@or 16 $($stack)?),
                    b: $crate::wiring!(@or 64 $($heap)?),
                    ..Record::new(RecordKind::Memory)
                }.encode();
            };
            $($(const _: () = {
                const SHAPE: $crate::abi::wiring::WireShape = $($served)::+::WIRE;
                const COUNT: usize = $($served)::+::METHODS.len();
                #[unsafe(link_section = ".wiring")]
                #[used]
                static SERVES: [u8; $crate::abi::wiring::RECORD] = Record {
                    index: $channel,
                    a: NUMBERS.clients as u32,
                    interface: $($served)::+::NAME,
                    ..Record::wire(RecordKind::Serves, SHAPE)
                }.encode();
                #[unsafe(link_section = ".wiring")]
                #[used]
                static METHODS: [[u8; $crate::abi::wiring::RECORD]; COUNT] =
                    method_records($($served)::+::METHODS, $($served)::+::NAME, $channel, false);
            };)+)?
            $($(const _: () = {
                const SHAPE: $crate::abi::wiring::WireShape = $($needed)::+::WIRE;
                const COUNT: usize = $($needed)::+::METHODS.len();
                #[unsafe(link_section = ".wiring")]
                #[used]
                static NEEDS: [u8; $crate::abi::wiring::RECORD] = Record {
                    index: $need.index,
                    name: stringify!($need),
                    interface: $($needed)::+::NAME,
                    flags: Record::wire(RecordKind::Needs, SHAPE).flags $(| $crate::wiring!(@flag $optional))?,
                    ..Record::wire(RecordKind::Needs, SHAPE)
                }.encode();
                #[unsafe(link_section = ".wiring")]
                #[used]
                static METHODS: [[u8; $crate::abi::wiring::RECORD]; COUNT] =
                    method_records($($needed)::+::METHODS, $($needed)::+::NAME, $need.index, true);
            };)*)?
            $($(const _: () = {
                #[unsafe(link_section = ".wiring")]
                #[used]
                static PORT: [u8; $crate::abi::wiring::RECORD] = Record {
                    index: Ports::$port as u16,
                    a: $crate::abi::kernel::control::PortKind::$port_kind as u32,
                    name: stringify!($port),
                    ..Record::new(RecordKind::Port)
                }.encode();
            };)+)?
            $($(const _: () = {
                #[unsafe(link_section = ".wiring")]
                #[used]
                static WINDOW: [u8; $crate::abi::wiring::RECORD] = Record {
                    index: Windows::$window as u16,
                    a: $references,
                    name: stringify!($window),
                    ..Record::new(RecordKind::Window)
                }.encode();
            };)+)?
            $(const _: () = {
                #[unsafe(link_section = ".wiring")]
                #[used]
                static CONTROL: [u8; $crate::abi::wiring::RECORD] =
                    Record { name: stringify!($control), ..Record::new(RecordKind::Control) }.encode();
            };)?
            $(const _: () = {
                #[unsafe(link_section = ".wiring")]
                #[used]
                static DEVICE: [u8; $crate::abi::wiring::RECORD] =
                    Record { name: $device, ..Record::new(RecordKind::Device) }.encode();
            };)?
            $(const _: () = {
                #[unsafe(link_section = ".wiring")]
                #[used]
                static KEEP: [u8; $crate::abi::wiring::RECORD] =
                    Record { a: $keep, ..Record::new(RecordKind::Keep) }.encode();
            };)?
            $(
                $($crate::wiring!(@record Writes $($written)::+);)+
                $($($crate::wiring!(@record Accepts $($accepted)::+);)+)?
            )?
        }
    };
    (@record $kind:ident $($record:ident)::+) => {
        const _: () = {
            #[unsafe(link_section = ".wiring")]
            #[used]
            static STATE: [u8; $crate::abi::wiring::RECORD] = Record {
                name: <$($record)::+ as $crate::state::Record>::NAME,
                hash: <$($record)::+ as $crate::state::Schema>::HASH,
                ..Record::new(RecordKind::$kind)
            }.encode();
        };
    };
    (@one $name:ident) => { 1 };
    (@flag optional) => { $crate::abi::wiring::OPTIONAL };
    (@or $default:literal) => { $default };
    (@or $default:literal $given:literal) => { $given };
}
