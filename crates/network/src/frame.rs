//! Frames on an established session: `length: u32, kind: u8, body`, numbers big-endian.
//!
//! Messages travel as fragments of at most [`limits::FRAGMENT_BYTES_MAX`] bytes. Fragments of different classes may
//! interleave, those of one class follow each other, so that a class has at most one message in parts.

use crate::{Class, RefusalCode};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use lian_types::{GroupId, limits};

const KIND_PING: u8 = 1;
const KIND_PONG: u8 = 2;
const KIND_CREDIT: u8 = 3;
const KIND_GOODBYE: u8 = 4;
/// Plus the class.
const KIND_START: u8 = 0x10;
/// Plus the class.
const KIND_NEXT: u8 = 0x20;

/// Bytes of a length prefix.
const PREFIX_BYTES: usize = 4;
/// Group and total length at the start of a message.
const START_BYTES: usize = 8;
/// The largest length prefix: kind, start of a message, one whole fragment.
const LENGTH_MAX: usize = 1 + START_BYTES + limits::FRAGMENT_BYTES_MAX;

/// Why a peer's bytes were refused; always the end of its session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length prefix exceeds every frame's limit.
    #[error("frame of {length} bytes exceeds {LENGTH_MAX}")]
    TooLong {
        /// The announced length in bytes.
        length: usize,
    },
    /// The length prefix is zero.
    #[error("empty frame")]
    Empty,
    /// The kind is not known.
    #[error("unknown frame kind {kind:#04x}")]
    UnknownKind {
        /// The kind.
        kind: u8,
    },
    /// The body does not have its kind's length.
    #[error("frame of kind {kind:#04x} has a body of {length} bytes")]
    BodyLength {
        /// The kind.
        kind: u8,
        /// The body's length in bytes.
        length: usize,
    },
    /// A number has no meaning.
    #[error("unknown {what} {value}")]
    UnknownValue {
        /// What the number stands for.
        what: &'static str,
        /// The number.
        value: u8,
    },
    /// The announced message exceeds its class's limit.
    #[error("{class:?} message of {length} bytes exceeds {}", class.bytes_max())]
    MessageTooLong {
        /// The class.
        class: Class,
        /// The announced length in bytes.
        length: usize,
    },
    /// A fragment longer than a fragment may be, or longer than what its message still lacks, or empty.
    #[error("{class:?} fragment of {length} bytes where 1 to {limit} were due")]
    FragmentLength {
        /// The class.
        class: Class,
        /// The fragment's length in bytes.
        length: usize,
        /// The most that was due, in bytes.
        limit: usize,
    },
    /// A message began before the one before it had ended.
    #[error("{class:?} message began inside another")]
    StartInside {
        /// The class.
        class: Class,
    },
    /// A fragment continues nothing.
    #[error("{class:?} fragment continues no message")]
    NextOutside {
        /// The class.
        class: Class,
    },
    /// More was sent than this node gave credit for.
    #[error("{class:?} bytes sent beyond the credit given")]
    BeyondCredit {
        /// The class.
        class: Class,
    },
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Asks for a [`Frame::Pong`] with the same number.
    Ping(u64),
    /// Answers a [`Frame::Ping`].
    Pong(u64),
    /// Lets the receiver of this frame send up to `allowed` bytes of a class, counted from the session's start.
    Credit { class: Class, allowed: u64 },
    /// The last frame of a session that ends on purpose.
    Goodbye(RefusalCode),
    /// The first fragment of a message.
    Start { class: Class, group: GroupId, total: usize, chunk: Bytes },
    /// A further fragment of a class's current message.
    Next { class: Class, chunk: Bytes },
}

/// What a fragment costs of its class's credit, in bytes.
pub(crate) fn cost(chunk: usize, first: bool) -> u64 {
    let overhead = if first { limits::MESSAGE_OVERHEAD_BYTES } else { 0 };
    u64::try_from(chunk.saturating_add(overhead)).unwrap_or(u64::MAX)
}

impl Frame {
    /// Appends the frame's bytes.
    pub(crate) fn put(&self, out: &mut BytesMut) {
        match self {
            Self::Ping(number) => put_number(out, KIND_PING, *number),
            Self::Pong(number) => put_number(out, KIND_PONG, *number),
            Self::Credit { class, allowed } => {
                put_head(out, 10, KIND_CREDIT);
                out.put_u8(*class as u8);
                out.put_u64(*allowed);
            }
            Self::Goodbye(code) => {
                put_head(out, 2, KIND_GOODBYE);
                out.put_u8(*code as u8);
            }
            Self::Start { class, group, total, chunk } => put_start(out, *class, *group, *total, chunk),
            Self::Next { class, chunk } => put_next(out, *class, chunk),
        }
    }

    /// Takes the first frame from the front of `buffer`, if it is there whole.
    ///
    /// # Errors
    /// [`FrameError`] as soon as the bytes present cannot become a valid frame.
    pub(crate) fn take(buffer: &mut BytesMut) -> Result<Option<Self>, FrameError> {
        let Some(prefix) = buffer.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
        if length == 0 {
            return Err(FrameError::Empty);
        }
        if length > LENGTH_MAX {
            return Err(FrameError::TooLong { length });
        }
        if buffer.len() < PREFIX_BYTES.saturating_add(length) {
            return Ok(None);
        }
        buffer.advance(PREFIX_BYTES);
        let mut body = buffer.split_to(length).freeze();
        let kind = body.get_u8();
        Self::parse(kind, body).map(Some)
    }

    fn parse(kind: u8, mut body: Bytes) -> Result<Self, FrameError> {
        let length = body.len();
        let expect = |expected: usize| {
            if length == expected { Ok(()) } else { Err(FrameError::BodyLength { kind, length }) }
        };
        match kind {
            KIND_PING => expect(8).map(|()| Self::Ping(body.get_u64())),
            KIND_PONG => expect(8).map(|()| Self::Pong(body.get_u64())),
            KIND_CREDIT => {
                expect(9)?;
                let class = class(body.get_u8())?;
                Ok(Self::Credit { class, allowed: body.get_u64() })
            }
            KIND_GOODBYE => {
                expect(1)?;
                let value = body.get_u8();
                let code = RefusalCode::from_wire(value);
                code.map(Self::Goodbye).ok_or(FrameError::UnknownValue { what: "reason", value })
            }
            0x10..=0x1f => parse_start(kind, class(kind & 0x0f)?, body),
            0x20..=0x2f => {
                let class = class(kind & 0x0f)?;
                check_chunk(class, length, limits::FRAGMENT_BYTES_MAX)?;
                Ok(Self::Next { class, chunk: body })
            }
            _ => Err(FrameError::UnknownKind { kind }),
        }
    }
}

/// Reads the whole frames at the front of `bytes`, and writes them anew: for fuzzing.
///
/// # Errors
/// [`FrameError`] at the first frame that is refused.
#[doc(hidden)]
pub fn rewrite_frames(bytes: &[u8]) -> Result<Vec<u8>, FrameError> {
    let mut buffer = BytesMut::from(bytes);
    let mut written = BytesMut::new();
    while let Some(frame) = Frame::take(&mut buffer)? {
        frame.put(&mut written);
    }
    Ok(written.to_vec())
}

fn parse_start(kind: u8, class: Class, mut body: Bytes) -> Result<Frame, FrameError> {
    if body.len() < START_BYTES {
        return Err(FrameError::BodyLength { kind, length: body.len() });
    }
    let group = GroupId(body.get_u32());
    let total = usize::try_from(body.get_u32()).unwrap_or(usize::MAX);
    if total > class.bytes_max() {
        return Err(FrameError::MessageTooLong { class, length: total });
    }
    if total > 0 || !body.is_empty() {
        check_chunk(class, body.len(), limits::FRAGMENT_BYTES_MAX.min(total))?;
    }
    Ok(Frame::Start { class, group, total, chunk: body })
}

/// Fragments are never empty, so that every frame makes progress.
pub(crate) fn check_chunk(class: Class, length: usize, limit: usize) -> Result<(), FrameError> {
    if (1..=limit).contains(&length) { Ok(()) } else { Err(FrameError::FragmentLength { class, length, limit }) }
}

fn class(value: u8) -> Result<Class, FrameError> {
    Class::from_wire(value).ok_or(FrameError::UnknownValue { what: "class", value })
}

/// Appends the first fragment of a message; the caller keeps to the limits.
pub(crate) fn put_start(out: &mut BytesMut, class: Class, group: GroupId, total: usize, chunk: &[u8]) {
    put_head(out, chunk.len().saturating_add(1 + START_BYTES), KIND_START | class as u8);
    out.put_u32(group.0);
    out.put_u32(u32::try_from(total).unwrap_or(u32::MAX));
    out.put_slice(chunk);
}

/// Appends a further fragment; the caller keeps to the limits.
pub(crate) fn put_next(out: &mut BytesMut, class: Class, chunk: &[u8]) {
    put_head(out, chunk.len().saturating_add(1), KIND_NEXT | class as u8);
    out.put_slice(chunk);
}

fn put_number(out: &mut BytesMut, kind: u8, number: u64) {
    put_head(out, 9, kind);
    out.put_u64(number);
}

fn put_head(out: &mut BytesMut, length: usize, kind: u8) {
    out.reserve(PREFIX_BYTES.saturating_add(length));
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    out.put_u8(kind);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_class() -> impl Strategy<Value = Class> {
        prop_oneof![Just(Class::Consensus), Just(Class::Body), Just(Class::Sync)]
    }

    fn any_frame() -> impl Strategy<Value = Frame> {
        let chunk = || proptest::collection::vec(any::<u8>(), 1..400).prop_map(Bytes::from);
        prop_oneof![
            any::<u64>().prop_map(Frame::Ping),
            any::<u64>().prop_map(Frame::Pong),
            (any_class(), any::<u64>()).prop_map(|(class, allowed)| Frame::Credit { class, allowed }),
            (1u8..=9).prop_map(|code| Frame::Goodbye(RefusalCode::from_wire(code).unwrap())),
            (any_class(), any::<u32>(), 0usize..100_000, chunk()).prop_map(|(class, group, more, chunk)| {
                Frame::Start { class, group: GroupId(group), total: chunk.len() + more, chunk }
            }),
            (any_class(), any::<u32>()).prop_map(|(class, group)| Frame::Start {
                class,
                group: GroupId(group),
                total: 0,
                chunk: Bytes::new()
            }),
            (any_class(), chunk()).prop_map(|(class, chunk)| Frame::Next { class, chunk }),
        ]
    }

    proptest! {
        /// What is put can be taken, however the bytes are cut on their way.
        #[test]
        fn round_trips(frames in proptest::collection::vec(any_frame(), 0..12), cut in 1usize..600) {
            let mut bytes = BytesMut::new();
            frames.iter().for_each(|frame| frame.put(&mut bytes));
            let (mut buffer, mut taken) = (BytesMut::new(), Vec::new());
            for part in bytes.chunks(cut) {
                buffer.extend_from_slice(part);
                while let Some(frame) = Frame::take(&mut buffer).unwrap() {
                    taken.push(frame);
                }
            }
            prop_assert_eq!(taken, frames);
            prop_assert!(buffer.is_empty());
        }

        /// Any bytes end in a frame, an error or a wish for more; a wish for more never exceeds one frame.
        #[test]
        fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), small in any::<bool>()) {
            let mut buffer = BytesMut::from(bytes.as_slice());
            if small && buffer.len() >= 4 {
                buffer[..3].fill(0);
            }
            loop {
                let before = buffer.len();
                match Frame::take(&mut buffer) {
                    Ok(Some(_)) => prop_assert!(buffer.len() < before),
                    Ok(None) => {
                        let wanted = buffer.first_chunk::<4>().map_or(0, |prefix| u32::from_be_bytes(*prefix) as usize);
                        prop_assert!(wanted <= LENGTH_MAX);
                        break;
                    }
                    Err(_) => break,
                }
            }
        }
    }

    #[test]
    fn refuses_what_no_honest_peer_sends() {
        let frame = |body: &[u8]| {
            let mut bytes = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
            bytes.extend_from_slice(body);
            bytes
        };
        let start = |class: u8, total: u32, chunk: usize| {
            let mut body = vec![KIND_START | class, 0, 0, 0, 0];
            body.extend_from_slice(&total.to_be_bytes());
            body.resize(body.len() + chunk, 7);
            frame(&body)
        };
        let body_max = u32::try_from(Class::Body.bytes_max()).unwrap();
        let table: [(Vec<u8>, FrameError); 11] = [
            (vec![0; 4], FrameError::Empty),
            (vec![0xff; 4], FrameError::TooLong { length: 0xffff_ffff }),
            (vec![0, 1, 0, 10], FrameError::TooLong { length: 65_546 }),
            (frame(&[0]), FrameError::UnknownKind { kind: 0 }),
            (frame(&[KIND_PING, 1]), FrameError::BodyLength { kind: KIND_PING, length: 1 }),
            (frame(&[KIND_GOODBYE, 99]), FrameError::UnknownValue { what: "reason", value: 99 }),
            (frame(&[KIND_START | 3, 0]), FrameError::UnknownValue { what: "class", value: 3 }),
            (frame(&[KIND_START, 0]), FrameError::BodyLength { kind: KIND_START, length: 1 }),
            (
                start(1, body_max + 1, 1),
                FrameError::MessageTooLong { class: Class::Body, length: Class::Body.bytes_max() + 1 },
            ),
            (start(0, 5, 6), FrameError::FragmentLength { class: Class::Consensus, length: 6, limit: 5 }),
            (
                frame(&[KIND_NEXT | 2]),
                FrameError::FragmentLength { class: Class::Sync, length: 0, limit: limits::FRAGMENT_BYTES_MAX },
            ),
        ];
        for (bytes, error) in table {
            assert_eq!(Frame::take(&mut BytesMut::from(bytes.as_slice())), Err(error));
        }
    }
}
