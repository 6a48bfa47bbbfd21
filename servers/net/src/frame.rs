//! Frames: what is judged before the stack sees them, and what is done to those it sends.
//!
//! Checksums of TCP are judged here and not by the stack, because only the frame's flags say whether there is one to
//! judge. The stack's own TCP segments leave with the pseudo-header's sum alone; the device completes it.
//!
//! Invariant: whatever the bytes are, nothing here panics, and a frame that is accepted is one that the stack's parsers
//! accept or drop. TCP segments in fragments are dropped: their checksum cannot be judged piece by piece, and peers that
//! look for the path's MTU send none.

use ipc::nic::{CHECKSUM_BLANK, CHECKSUM_VALID};
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpAddress, IpProtocol, Ipv4Address, Ipv4Packet, TcpPacket,
    UdpPacket, checksum,
};

/// Bytes of an Ethernet header.
pub const ETHERNET: usize = 14;
/// Most bytes of a datagram that is put together from fragments: as much as the stack can answer.
const LARGEST: usize = 16_384;

/// A connection that somebody wants to open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opening {
    /// The peer's address and port.
    pub peer: (Ipv4Address, u16),
    /// The address and port that it wants.
    pub local: (Ipv4Address, u16),
}

/// What becomes of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The stack gets it.
    Accept,
    /// The stack gets it if there is room for another connection.
    Open(Opening),
    /// Nobody gets it.
    Drop,
}

/// Judges a frame that was received with `flags`, and completes a blank checksum of UDP.
pub fn judge(frame: &mut [u8], flags: u16) -> Verdict {
    let is_ip = EthernetFrame::new_checked(&*frame)
        .is_ok_and(|frame| frame.ethertype() == EthernetProtocol::Ipv4);
    if !is_ip {
        return Verdict::Accept;
    }
    let payload = frame.get_mut(ETHERNET..).unwrap_or_default();
    let Ok(mut packet) = Ipv4Packet::new_checked(payload) else { return Verdict::Drop };
    let (source, target, protocol) = (packet.src_addr(), packet.dst_addr(), packet.next_header());
    if packet.more_frags() || packet.frag_offset() != 0 {
        let length = usize::from(packet.total_len()) - usize::from(packet.header_len());
        let is_small = usize::from(packet.frag_offset()) + length <= LARGEST;
        return if is_small && protocol != IpProtocol::Tcp {
            Verdict::Accept
        } else {
            Verdict::Drop
        };
    }
    match protocol {
        IpProtocol::Tcp => tcp(packet.payload_mut(), source, target, flags),
        IpProtocol::Udp => udp(packet.payload_mut(), source, target, flags),
        _ => Verdict::Accept,
    }
}

fn tcp(segment: &[u8], source: Ipv4Address, target: Ipv4Address, flags: u16) -> Verdict {
    let Ok(segment) = TcpPacket::new_checked(segment) else { return Verdict::Drop };
    let is_trusted = flags & (CHECKSUM_BLANK | CHECKSUM_VALID) != 0;
    if !is_trusted && !segment.verify_checksum(&source.into(), &target.into()) {
        return Verdict::Drop;
    }
    if segment.syn() && !segment.ack() && !segment.rst() {
        let (peer, local) = ((source, segment.src_port()), (target, segment.dst_port()));
        return Verdict::Open(Opening { peer, local });
    }
    Verdict::Accept
}

fn udp(datagram: &mut [u8], source: Ipv4Address, target: Ipv4Address, flags: u16) -> Verdict {
    let Ok(mut datagram) = UdpPacket::new_checked(datagram) else { return Verdict::Drop };
    if flags & CHECKSUM_BLANK != 0 {
        datagram.fill_checksum(&IpAddress::Ipv4(source), &IpAddress::Ipv4(target));
    }
    Verdict::Accept
}

/// Prepares a frame that the stack sends, and gives the flags to submit it with.
pub fn prepare(frame: &mut [u8]) -> u16 {
    blank(frame).map_or(0, |()| CHECKSUM_BLANK)
}

/// Sets a TCP segment's checksum to the sum of its pseudo-header; `None` if the frame is another.
fn blank(frame: &mut [u8]) -> Option<()> {
    let ethernet = EthernetFrame::new_checked(&*frame).ok()?;
    if ethernet.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let mut packet = Ipv4Packet::new_checked(frame.get_mut(ETHERNET..)?).ok()?;
    if packet.next_header() != IpProtocol::Tcp || packet.more_frags() || packet.frag_offset() != 0 {
        return None;
    }
    let (source, target) = (packet.src_addr(), packet.dst_addr());
    let payload = packet.payload_mut();
    let length = u32::try_from(payload.len()).ok()?;
    let sum = checksum::pseudo_header_v4(&source, &target, IpProtocol::Tcp, length);
    TcpPacket::new_checked(payload).ok()?.set_checksum(sum);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::{Opening, Verdict, judge, prepare};
    use ipc::nic::{CHECKSUM_BLANK, CHECKSUM_VALID};
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::*;
    use std::{vec, vec::Vec};

    const PEER: Ipv4Address = Ipv4Address::new(10, 0, 0, 1);
    const OWN: Ipv4Address = Ipv4Address::new(10, 0, 0, 2);

    fn ip(protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
        let ip = Ipv4Repr {
            src_addr: PEER,
            dst_addr: OWN,
            next_header: protocol,
            payload_len: payload.len(),
            hop_limit: 64,
        };
        let mut frame = vec![0; 14 + 20];
        let mut ethernet = EthernetFrame::new_unchecked(&mut frame);
        ethernet.set_ethertype(EthernetProtocol::Ipv4);
        frame.extend(payload);
        let mut packet = Ipv4Packet::new_unchecked(&mut frame[14..]);
        ip.emit(&mut packet, &ChecksumCapabilities::default());
        frame
    }

    fn tcp(control: TcpControl, payload: &[u8]) -> Vec<u8> {
        let segment = TcpRepr {
            src_port: 5000,
            dst_port: 80,
            control,
            seq_number: TcpSeqNumber(7),
            ack_number: None,
            window_len: 100,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload,
        };
        let mut bytes = vec![0; segment.buffer_len()];
        let mut packet = TcpPacket::new_unchecked(&mut bytes);
        let checksums = ChecksumCapabilities::default();
        segment.emit(&mut packet, &PEER.into(), &OWN.into(), &checksums);
        ip(IpProtocol::Tcp, &bytes)
    }

    #[test]
    fn a_wrong_checksum_is_dropped_unless_the_device_vouches() {
        let mut frame = tcp(TcpControl::Psh, b"hello");
        assert_eq!(judge(&mut frame, 0), Verdict::Accept);
        *frame.last_mut().unwrap() ^= 1;
        assert_eq!(judge(&mut frame, 0), Verdict::Drop);
        assert_eq!(judge(&mut frame, CHECKSUM_VALID), Verdict::Accept);
        assert_eq!(judge(&mut frame, CHECKSUM_BLANK), Verdict::Accept);
    }

    #[test]
    fn openings_are_seen() {
        let expected = Opening { peer: (PEER, 5000), local: (OWN, 80) };
        assert_eq!(judge(&mut tcp(TcpControl::Syn, b""), 0), Verdict::Open(expected));
        assert_eq!(judge(&mut tcp(TcpControl::Rst, b""), 0), Verdict::Accept);
    }

    #[test]
    fn a_blank_checksum_of_udp_is_completed() {
        let udp = UdpRepr { src_port: 53, dst_port: 99 };
        let mut bytes = vec![0; 8 + 3];
        let mut packet = UdpPacket::new_unchecked(&mut bytes);
        let checksums = ChecksumCapabilities::ignored();
        udp.emit(&mut packet, &PEER.into(), &OWN.into(), 3, |to| to.fill(5), &checksums);
        packet.set_checksum(0x1234);
        let mut frame = ip(IpProtocol::Udp, &bytes);
        let is_right = |frame: &[u8]| {
            UdpPacket::new_checked(&frame[34..]).unwrap().verify_checksum(&PEER.into(), &OWN.into())
        };
        assert!(!is_right(&frame));
        assert_eq!(judge(&mut frame, CHECKSUM_BLANK), Verdict::Accept);
        assert!(is_right(&frame));
    }

    #[test]
    fn segments_that_are_sent_hold_the_partial_sum() {
        let mut frame = tcp(TcpControl::Psh, b"hello");
        assert_eq!(prepare(&mut frame), CHECKSUM_BLANK);
        let segment = TcpPacket::new_checked(&frame[34..]).unwrap();
        assert!(segment.verify_partial_checksum(&PEER.into(), &OWN.into()));
        assert_eq!(prepare(&mut ip(IpProtocol::Udp, b"12345678")), 0);
        assert_eq!(prepare(&mut [0; 10]), 0);
    }

    #[test]
    fn fragments_of_tcp_and_of_giants_are_dropped() {
        let fragment = |protocol, offset: u16| {
            let mut frame = ip(protocol, &[0; 64]);
            Ipv4Packet::new_unchecked(&mut frame[14..]).set_frag_offset(offset);
            judge(&mut frame, 0)
        };
        assert_eq!(fragment(IpProtocol::Icmp, 1480), Verdict::Accept);
        assert_eq!(fragment(IpProtocol::Icmp, 16_384), Verdict::Drop);
        assert_eq!(fragment(IpProtocol::Tcp, 1480), Verdict::Drop);
    }

    #[test]
    fn truncated_and_flipped_frames_never_panic() {
        let whole = tcp(TcpControl::Syn, b"hello");
        for length in 0..whole.len() {
            let mut short = whole[..length].to_vec();
            judge(&mut short, 0);
            prepare(&mut short);
        }
        for at in 0..whole.len() {
            for flip in 0..=255 {
                let mut frame = whole.clone();
                frame[at] ^= flip;
                judge(&mut frame, CHECKSUM_BLANK);
                prepare(&mut frame);
            }
        }
    }
}
