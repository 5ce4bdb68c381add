//! Messages from fragments.

use crate::{
    Class,
    class::PerClass,
    frame::{FrameError, check_chunk},
};
use bytes::{Bytes, BytesMut};
use lian_types::{GroupId, limits};

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) class: Class,
    pub(crate) group: GroupId,
    pub(crate) bytes: Bytes,
}

/// Puts a peer's fragments together: at most one unfinished message per class, whose memory grows with what has
/// arrived and not with what was announced.
#[derive(Debug, Default)]
pub(crate) struct Assembly(PerClass<Option<Partial>>);

#[derive(Debug)]
struct Partial {
    group: GroupId,
    total: usize,
    bytes: BytesMut,
}

impl Assembly {
    /// Takes the first fragment of a message, gives the message if that is all of it.
    ///
    /// # Errors
    /// [`FrameError::StartInside`] while another message of the class is unfinished.
    pub(crate) fn start(
        &mut self,
        class: Class,
        group: GroupId,
        total: usize,
        chunk: &[u8],
    ) -> Result<Option<Message>, FrameError> {
        let slot = self.0.get_mut(class);
        if slot.is_some() {
            return Err(FrameError::StartInside { class });
        }
        // Copied, so that a small message that is kept does not keep the whole buffer it arrived in.
        let mut bytes = BytesMut::with_capacity(total.min(limits::FRAGMENT_BYTES_MAX));
        bytes.extend_from_slice(chunk);
        if bytes.len() < total {
            *slot = Some(Partial { group, total, bytes });
            return Ok(None);
        }
        Ok(Some(Message { class, group, bytes: bytes.freeze() }))
    }

    /// Takes a further fragment, gives the message if it is the last.
    ///
    /// # Errors
    /// [`FrameError`] where it continues nothing or exceeds the announced length.
    pub(crate) fn next(&mut self, class: Class, chunk: &[u8]) -> Result<Option<Message>, FrameError> {
        let slot = self.0.get_mut(class);
        let Some(mut partial) = slot.take() else { return Err(FrameError::NextOutside { class }) };
        check_chunk(class, chunk.len(), partial.total.saturating_sub(partial.bytes.len()))?;
        partial.bytes.extend_from_slice(chunk);
        if partial.bytes.len() < partial.total {
            *slot = Some(partial);
            return Ok(None);
        }
        Ok(Some(Message { class, group: partial.group, bytes: partial.bytes.freeze() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(7);

    #[test]
    fn assembles_interleaved_classes() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.start(Class::Body, GROUP, 5, b"abc"), Ok(None));
        let vote = Message { class: Class::Consensus, group: GROUP, bytes: Bytes::from_static(b"v") };
        assert_eq!(assembly.start(Class::Consensus, GROUP, 1, b"v"), Ok(Some(vote)));
        let body = Message { class: Class::Body, group: GROUP, bytes: Bytes::from_static(b"abcde") };
        assert_eq!(assembly.next(Class::Body, b"de"), Ok(Some(body)));
        let empty = Message { class: Class::Sync, group: GROUP, bytes: Bytes::new() };
        assert_eq!(assembly.start(Class::Sync, GROUP, 0, b""), Ok(Some(empty)));
    }

    #[test]
    fn refuses_broken_sequences() {
        let class = Class::Sync;
        let mut assembly = Assembly::default();
        assert_eq!(assembly.next(class, b"x"), Err(FrameError::NextOutside { class }));
        assert_eq!(assembly.start(class, GROUP, 9, b"x"), Ok(None));
        assert_eq!(assembly.start(class, GROUP, 9, b"x"), Err(FrameError::StartInside { class }));
        let error = FrameError::FragmentLength { class, length: 9, limit: 8 };
        assert_eq!(assembly.next(class, b"123456789"), Err(error));
    }

    #[test]
    fn memory_follows_what_arrived() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.start(Class::Sync, GROUP, Class::Sync.bytes_max(), b"x"), Ok(None));
        let partial = assembly.0.get(Class::Sync).as_ref().unwrap();
        assert!(partial.bytes.capacity() <= limits::FRAGMENT_BYTES_MAX);
    }
}
