//! Packets of a client that is not there, for a socket that sends whole Ethernet frames.
//!
//! Invariant: each frame has [`FRAME`] bytes, so that a file of them can be sent piece by piece.

use std::net::Ipv4Addr;

/// Bytes of each frame: the least that Ethernet has.
pub const FRAME: usize = 60;
/// The client's hardware address: one that nobody was given.
const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x42];
/// The same as text.
pub const MAC_TEXT: &str = "02:00:00:00:00:42";

/// A host that is asked, and a client that is not there.
#[derive(Debug, Clone, Copy)]
pub struct Ghost {
    /// The client's address.
    pub address: Ipv4Addr,
    /// The host's hardware address.
    pub host_mac: [u8; 6],
    /// The host's address.
    pub host: Ipv4Addr,
}

impl Ghost {
    /// Asks for the host's hardware address, which tells it the client's.
    pub fn hello(&self) -> Vec<u8> {
        let mut frame = self.ethernet(0x0806);
        frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
        frame.extend(MAC);
        frame.extend(self.address.octets());
        frame.extend([0; 6]);
        frame.extend(self.host.octets());
        padded(frame)
    }

    /// The first packet of a TCP connection from this port to port 80.
    pub fn syn(&self, port: u16) -> Vec<u8> {
        let mut frame = self.ethernet(0x0800);
        let mut ip = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
        ip.extend(self.address.octets());
        ip.extend(self.host.octets());
        let sum = checksum(&[&ip]);
        put(&mut ip, 10, sum);
        frame.extend(&ip);
        let mut tcp = port.to_be_bytes().to_vec();
        tcp.extend([0, 80, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, 0x50, 0x02, 0x20, 0, 0, 0, 0, 0]);
        let (from, to) = (self.address.octets(), self.host.octets());
        let sum = checksum(&[&from, &to, &[0, 6, 0, 20], &tcp]);
        put(&mut tcp, 16, sum);
        frame.extend(tcp);
        padded(frame)
    }

    fn ethernet(&self, kind: u16) -> Vec<u8> {
        let mut frame = self.host_mac.to_vec();
        frame.extend(MAC);
        frame.extend(kind.to_be_bytes());
        frame
    }
}

/// The six bytes of a hardware address.
pub fn mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Vec<u8> =
        text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect::<Option<_>>()?;
    bytes.try_into().ok()
}

fn padded(mut frame: Vec<u8>) -> Vec<u8> {
    frame.resize(FRAME, 0);
    frame
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

/// The Internet checksum (RFC 1071) of parts of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.as_chunks::<2>().0);
    let sum: u32 = words.map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) as u16 + (folded >> 16) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GHOST: Ghost = Ghost {
        address: Ipv4Addr::new(10, 0, 3, 200),
        host_mac: [0, 0x16, 0x3e, 1, 2, 3],
        host: Ipv4Addr::new(10, 0, 3, 15),
    };

    #[test]
    fn checksums_are_right() {
        let frame = GHOST.syn(1024);
        let ip = frame.get(14..34).unwrap();
        assert_eq!(checksum(&[ip]), 0);
        let pseudo = [ip.get(12..20).unwrap(), &[0, 6, 0, 20], frame.get(34..54).unwrap()];
        assert_eq!(checksum(&pseudo), 0);
    }

    #[test]
    fn frames_have_one_size() {
        assert_eq!((GHOST.hello().len(), GHOST.syn(1).len()), (FRAME, FRAME));
    }

    #[test]
    fn hardware_addresses_are_read() {
        assert_eq!(mac("00:16:3e:01:02:0a"), Some([0, 0x16, 0x3e, 1, 2, 10]));
        assert_eq!(mac("00:16:3e:01:02"), None);
        assert_eq!(mac(MAC_TEXT), Some(MAC));
    }
}
