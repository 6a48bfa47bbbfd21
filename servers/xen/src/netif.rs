//! The network device: entries of its two rings, limits, and what the two sides tell each other (Xen public/io/netif.h).
//!
//! Invariant: none of its own; the checks are in [`Transmit`] and [`Receive`]. One queue, one page a ring, buffers in
//! pages that are granted for good. Segmentation offload is not offered, so a backend that uses it is refused.

mod receive;
mod transmit;

pub use receive::{PIECES, Packet, Piece, Receive, ReceiveState};
pub use transmit::{Sent, Transmit, TransmitState};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::number;

/// Bytes of a page, which no buffer crosses.
pub const PAGE: u32 = 4096;
/// Bytes of an Ethernet header: the least that a packet's first piece holds.
pub const LEAST: u16 = 14;

/// The transport checksum holds the sum of the pseudo-header only, to be completed by whoever puts the packet on a wire.
pub const TX_CSUM_BLANK: u16 = 1;
/// The transport checksum was checked.
pub const TX_DATA_VALIDATED: u16 = 2;
/// The packet goes on in the next request.
pub const TX_MORE: u16 = 4;
/// Extra information follows in the next request's entry.
pub const TX_EXTRA: u16 = 8;

/// The transport checksum was checked (or is blank).
pub const RX_DATA_VALIDATED: u16 = 1;
/// The transport checksum holds the sum of the pseudo-header only.
pub const RX_CSUM_BLANK: u16 = 2;
/// The packet goes on in the next response.
pub const RX_MORE: u16 = 4;
/// Extra information follows in the next response's entry.
pub const RX_EXTRA: u16 = 8;

/// Status of a transmitted packet: sent.
pub const OKAY: i16 = 0;
/// Status of a transmitted packet: the backend could not.
pub const ERROR: i16 = -1;
/// Status of a transmitted packet: the backend dropped it.
pub const DROPPED: i16 = -2;

/// Extra information of this flag is followed by more.
pub const EXTRA_MORE: u8 = 1;
/// Kinds of extra information are 1 up to this.
pub const EXTRA_KINDS: u8 = 4;

macro_rules! entry {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
        )]
        #[repr(C)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
    };
}

entry! {
    /// A packet to be sent, or a piece of one.
    TxRequest {
        /// Grant reference of the page.
        grant: u32,
        /// Where in the page it begins.
        offset: u16,
        /// `TX_*`.
        flags: u16,
        /// Comes back in the response.
        id: u16,
        /// Bytes: of the whole packet in its first piece, of the piece in the others.
        size: u16,
    }
}

entry! {
    /// What became of it.
    TxResponse {
        /// Of the request.
        id: u16,
        /// [`OKAY`] or below.
        status: i16,
    }
}

entry! {
    /// A page to be filled.
    RxRequest {
        /// Comes back in the response.
        id: u16,
        /// Zero.
        pad: u16,
        /// Grant reference of the page.
        grant: u32,
    }
}

entry! {
    /// A page that was filled; or extra information, whose first bytes are kind and flags.
    RxResponse {
        /// Of the request in the same entry.
        id: u16,
        /// Where in the page the bytes begin.
        offset: u16,
        /// `RX_*`.
        flags: u16,
        /// How many bytes; below zero: none, an error.
        status: i16,
    }
}

impl RxResponse {
    /// Kind and flags, when the entry is extra information.
    #[must_use]
    pub const fn extra(self) -> (u8, u8) {
        let [kind, flags] = self.id.to_le_bytes();
        (kind, flags)
    }
}

/// What a front end of this crate writes beside its references and port, for the backend to read: packets are copied
/// into our pages, may have several pieces, and may come with blank checksums of TCP and UDP.
///
/// `feature-rx-notify` is not among them, although the backend is notified of every page. With it Linux's backend (seen in
/// 6.12) watches for front ends that give it no pages, and then an event that comes while it binds the event channel can
/// be acknowledged before it knows the interrupt's number: the channel stays masked and nothing is ever sent. One start
/// in 35 was lost that way. Without it, packets that find no page wait 30 ms and not 10 s.
pub const OFFERED: [(&str, &str); 3] =
    [("request-rx-copy", "1"), ("feature-sg", "1"), ("feature-ipv6-csum-offload", "1")];

/// The most bytes of an IP packet, from the text in xenstore: what Ethernet has if there is none or it makes no sense.
#[must_use]
pub fn mtu(text: Option<&[u8]>) -> u16 {
    const ETHERNET: u16 = 1500;
    const LEAST_OF_IPV4: u64 = 68;
    let value = text.and_then(|text| number::decimal(text, u64::from(u16::MAX - LEAST)));
    let value = value.filter(|value| *value >= LEAST_OF_IPV4);
    value.and_then(|value| u16::try_from(value).ok()).unwrap_or(ETHERNET)
}

/// Whether the backend can copy packets into our pages: without it there is no device.
#[must_use]
pub fn is_usable(rx_copy: Option<&[u8]>) -> bool {
    number::flag(rx_copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_mtu_that_makes_no_sense_is_that_of_ethernet() {
        assert_eq!(mtu(Some(b"9000")), 9000);
        assert_eq!(mtu(Some(b"68")), 68);
        assert_eq!(mtu(Some(b"65521")), 65521);
        for text in [None, Some("67"), Some("65522"), Some("-1"), Some("0"), Some("")] {
            assert_eq!(mtu(text.map(str::as_bytes)), 1500, "{text:?}");
        }
    }
}
