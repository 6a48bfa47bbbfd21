//! [`Mender`]: right checksums for ICMP messages that are sent in fragments.
//!
//! smoltcp 0.14 makes a message that must be fragmented in a buffer of fixed size, and sums up all of the buffer, old bytes
//! behind the message included. So the first fragment, which has the checksum, is kept here until the last one leaves;
//! by then every byte of the message has passed, and the sum is known. Receivers take fragments in any order.
//!
//! Invariant: one message at a time, as smoltcp makes them; a message whose last fragment never comes is lost.

use alloc::vec::Vec;

use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, Icmpv4Packet, IpProtocol, Ipv4Packet, checksum,
};

use crate::frame::ETHERNET;

/// What is to be done with a frame that leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It goes.
    Send,
    /// It is kept.
    Keep,
    /// It goes, and then the kept one.
    SendBoth,
}

/// Keeps a first fragment, and the sum of the fragments that passed.
#[derive(Debug, Default)]
pub struct Mender {
    first: Vec<u8>,
    ident: u16,
    sum: u16,
}

impl Mender {
    /// Looks at a frame that is about to leave.
    pub fn pass(&mut self, frame: &[u8]) -> Step {
        self.look(frame).unwrap_or(Step::Send)
    }

    /// The fragment that was kept.
    pub fn first(&self) -> &[u8] {
        &self.first
    }

    /// `None` if the frame is no fragment of an ICMP message.
    fn look(&mut self, frame: &[u8]) -> Option<Step> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        if ethernet.ethertype() != EthernetProtocol::Ipv4 {
            return None;
        }
        let packet = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
        if packet.next_header() != IpProtocol::Icmp {
            return None;
        }
        match (packet.frag_offset(), packet.more_frags()) {
            (0, false) => None,
            (0, true) => self.begin(frame, &packet),
            _ if packet.ident() != self.ident => None,
            (_, has_more) => {
                self.sum = checksum::combine(&[self.sum, checksum::data(packet.payload())]);
                if has_more { Some(Step::Send) } else { self.finish() }
            }
        }
    }

    fn begin(&mut self, frame: &[u8], packet: &Ipv4Packet<&[u8]>) -> Option<Step> {
        self.ident = packet.ident();
        self.first = frame.to_vec();
        self.message()?.set_checksum(0);
        let message = self.first.get(ETHERNET + usize::from(packet.header_len())..)?;
        self.sum = checksum::data(message);
        Some(Step::Keep)
    }

    fn finish(&mut self) -> Option<Step> {
        let sum = self.sum;
        self.message()?.set_checksum(!sum);
        Some(Step::SendBoth)
    }

    /// The ICMP message in the kept fragment.
    fn message(&mut self) -> Option<Icmpv4Packet<&mut [u8]>> {
        let packet = self.first.get_mut(ETHERNET..)?;
        let header = usize::from(Ipv4Packet::new_checked(&*packet).ok()?.header_len());
        Icmpv4Packet::new_checked(packet.get_mut(header..)?).ok()
    }
}
