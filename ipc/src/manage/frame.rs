//! Frames: a length (u32, little endian), then so many bytes.
//!
//! Invariant: [`Frames`] never holds more than one frame of the length that its maker allowed, and what was pushed beyond its
//! end; a length above that is an error for good, and nothing is allocated for it.

use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of a length.
const LENGTH: usize = 4;

/// The other side does not speak this protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken;

/// A stream, parted into frames.
#[derive(Clone, Debug)]
pub struct Frames {
    bytes: Vec<u8>,
    most: usize,
}

impl Frames {
    /// Frames of at most `most` bytes.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), most }
    }

    /// Takes what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What came and was not taken.
    #[must_use]
    pub fn waiting(&self) -> &[u8] {
        &self.bytes
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// [`Broken`] when it would be longer than allowed, and ever after.
    pub fn take(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        let Some(length) = self.bytes.first_chunk::<LENGTH>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > self.most {
            return Err(Broken);
        }
        let end = LENGTH + length;
        let Some(frame) = self.bytes.get(LENGTH..end) else { return Ok(None) };
        let frame = Vec::from(frame);
        self.bytes.drain(..end);
        Ok(Some(frame))
    }
}

/// A value as a frame; `None` if it is longer than `most` bytes.
pub fn frame(value: &impl Serialize, most: usize) -> Option<Vec<u8>> {
    let bytes = postcard::to_allocvec(value).ok().filter(|bytes| bytes.len() <= most)?;
    let mut frame = Vec::with_capacity(LENGTH + bytes.len());
    frame.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    frame.extend_from_slice(&bytes);
    Some(frame)
}

/// The value in a frame; `None` if it is none, or more than one.
pub fn value<T: DeserializeOwned>(frame: &[u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(frame).ok()?;
    rest.is_empty().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::{Broken, Frames, frame, value};
    use crate::manage::{From, REQUEST, Request};
    use std::vec::Vec;

    fn requests() -> Vec<Request> {
        let log = Request::Log { from: From::Last(3), server: Some("httpd".into()), wait: 9 };
        Vec::from([Request::Hello { protocol: 1, number: u64::MAX }, Request::Status, log])
    }

    #[test]
    fn frames_survive_any_cut() {
        let stream: Vec<u8> =
            requests().iter().flat_map(|request| frame(request, REQUEST).unwrap()).collect();
        for size in 1..stream.len() {
            let mut frames = Frames::new(REQUEST);
            let mut taken = Vec::new();
            for piece in stream.chunks(size) {
                frames.push(piece);
                while let Some(frame) = frames.take().unwrap() {
                    taken.push(value::<Request>(&frame).unwrap());
                }
            }
            assert_eq!(taken, requests());
        }
    }

    #[test]
    fn a_frame_that_is_too_long_breaks_the_stream() {
        let mut frames = Frames::new(8);
        frames.push(&[8, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0]);
        assert_eq!(frames.take(), Ok(Some(Vec::from([1, 2, 3, 4, 5, 6, 7, 8]))));
        assert_eq!(frames.take(), Err(Broken));
        frames.push(&[0; 100]);
        assert_eq!(frames.take(), Err(Broken));
        assert_eq!(frame(&Request::Status, 0), None);
    }

    #[test]
    fn what_is_left_over_in_a_frame_makes_it_wrong() {
        assert_eq!(value::<Request>(&[1]), Some(Request::Status));
        assert_eq!(value::<Request>(&[1, 0]), None);
        assert_eq!(value::<Request>(&[]), None);
        assert_eq!(value::<Request>(&[0x7f]), None);
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic() {
        let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            let bytes: Vec<u8> =
                (0..dice % 40).map(|at| (dice.rotate_left(at as u32 * 7) & 15) as u8).collect();
            let _ = value::<Request>(&bytes);
            let mut frames = Frames::new(REQUEST);
            frames.push(&bytes);
            while let Ok(Some(_)) = frames.take() {}
        }
    }
}
