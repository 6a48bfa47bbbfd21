//! The back end of a network device.

use shared::Memory;
use std::vec;
use std::vec::Vec;

use super::{Back, Grants};
use crate::netif::{
    DROPPED, ERROR, LEAST, OKAY, PAGE, RX_CSUM_BLANK, RX_DATA_VALIDATED, RX_MORE, RxRequest,
    RxResponse, TX_CSUM_BLANK, TX_EXTRA, TX_MORE, TxRequest, TxResponse,
};

/// A packet on its way.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frame {
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
    /// Whether its transport checksum is blank.
    pub is_blank: bool,
}

/// The back end of a network device of one queue.
#[derive(Debug)]
pub struct Netback {
    transmit: Back<TxRequest, TxResponse>,
    receive: Back<RxRequest, RxResponse>,
    grants: Grants,
    /// Pages that are to be filled.
    posted: Vec<RxRequest>,
    /// The status that packets get which the front end sends.
    pub status: i16,
}

impl Netback {
    /// Attaches to the rings of a front end.
    #[must_use]
    pub fn attach(transmit: Memory, receive: Memory, grants: Grants) -> Self {
        let (transmit, receive) = (Back::attach(transmit), Back::attach(receive));
        Self { transmit, receive, grants, posted: Vec::new(), status: OKAY }
    }

    /// Takes all packets that the front end sends, and answers them. Says with them whether to ring it.
    ///
    /// # Panics
    /// When a request is not as the protocol wants it.
    pub fn collect(&mut self) -> (Vec<Frame>, bool) {
        assert!([OKAY, ERROR, DROPPED].contains(&self.status));
        let mut frames = Vec::new();
        while let Some(request) = self.transmit.take() {
            frames.push(self.frame(&request));
            self.transmit.answer(&TxResponse { id: request.id, status: self.status });
        }
        (frames, self.transmit.publish() | self.transmit.arm())
    }

    /// Delivers a packet, with at most `chunk` bytes in each page and `offset` bytes free before them. Says whether to
    /// ring the front end; `None` when it has not posted enough pages, and nothing is delivered.
    pub fn deliver(&mut self, frame: &Frame, chunk: usize, offset: u16) -> Option<bool> {
        self.refill();
        let pieces: Vec<&[u8]> = frame.bytes.chunks(chunk).collect();
        if self.posted.len() < pieces.len() {
            return None;
        }
        for (number, piece) in pieces.iter().enumerate() {
            let mut flags = if frame.is_blank { RX_CSUM_BLANK | RX_DATA_VALIDATED } else { 0 };
            if number > 0 {
                flags = 0;
            }
            if number + 1 < pieces.len() {
                flags |= RX_MORE;
            }
            let request = self.posted.remove(0);
            self.grants.page(request.grant).copy_to(usize::from(offset), piece);
            let status = i16::try_from(piece.len()).expect("a piece fits a page");
            self.receive.answer(&RxResponse { id: request.id, offset, flags, status });
        }
        Some(self.receive.publish())
    }

    /// Answers the next posted page with `response`, whose id it sets unless that is given. Says whether to ring.
    pub fn answer(&mut self, response: RxResponse, id: Option<u16>) -> Option<bool> {
        self.refill();
        let request = (!self.posted.is_empty()).then(|| self.posted.remove(0))?;
        self.receive.answer(&RxResponse { id: id.unwrap_or(request.id), ..response });
        Some(self.receive.publish())
    }

    /// How many pages are posted.
    pub fn posted(&mut self) -> usize {
        self.refill();
        self.posted.len()
    }

    fn refill(&mut self) {
        while let Some(request) = self.receive.take() {
            self.posted.push(request);
        }
        self.receive.arm();
    }

    fn frame(&self, request: &TxRequest) -> Frame {
        assert!(request.size >= LEAST && u32::from(request.offset + request.size) <= PAGE);
        assert_eq!(request.flags & (TX_MORE | TX_EXTRA), 0, "packets have one piece");
        let mut bytes = vec![0; usize::from(request.size)];
        self.grants.page(request.grant).copy_from(usize::from(request.offset), &mut bytes);
        Frame { bytes, is_blank: request.flags & TX_CSUM_BLANK != 0 }
    }
}
