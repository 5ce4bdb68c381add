//! Kinds of messages by falling priority.

use lian_types::limits;

/// What a message is for. Classes are sent, received and limited apart, a higher one always first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Votes, proposals, view changes, heartbeats: whatever consensus waits for.
    Consensus = 0,
    /// Bodies of transactions: gossip, and answers to nodes that lack some.
    Body = 1,
    /// Blocks for nodes that catch up.
    Sync = 2,
}

impl Class {
    /// All classes by falling priority.
    pub const ALL: [Self; 3] = [Self::Consensus, Self::Body, Self::Sync];

    /// The largest message of this class, in bytes.
    #[must_use]
    pub const fn bytes_max(self) -> usize {
        match self {
            Self::Consensus => limits::CONSENSUS_MESSAGE_BYTES_MAX,
            Self::Body => limits::BODY_MESSAGE_BYTES_MAX,
            Self::Sync => limits::SYNC_MESSAGE_BYTES_MAX,
        }
    }

    /// The name in metrics and messages to people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Consensus => "consensus",
            Self::Body => "body",
            Self::Sync => "sync",
        }
    }

    /// Received bytes that may wait for the consumer.
    pub(crate) const fn window_bytes(self) -> usize {
        match self {
            Self::Consensus => limits::CONSENSUS_WINDOW_BYTES,
            Self::Body => limits::BODY_WINDOW_BYTES,
            Self::Sync => limits::SYNC_WINDOW_BYTES,
        }
    }

    /// Bytes that may be queued to one peer.
    pub(crate) const fn queue_bytes_max(self) -> usize {
        match self {
            Self::Consensus => limits::CONSENSUS_QUEUE_BYTES_MAX,
            Self::Body => limits::BODY_QUEUE_BYTES_MAX,
            Self::Sync => limits::SYNC_QUEUE_BYTES_MAX,
        }
    }

    /// Messages that may be queued to one peer.
    pub(crate) const fn queue_messages_max(self) -> usize {
        match self {
            Self::Consensus => limits::CONSENSUS_QUEUE_MESSAGES_MAX,
            Self::Body => limits::BODY_QUEUE_MESSAGES_MAX,
            Self::Sync => limits::SYNC_QUEUE_MESSAGES_MAX,
        }
    }

    /// The class of a number on the wire.
    pub(crate) const fn from_wire(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Consensus),
            1 => Some(Self::Body),
            2 => Some(Self::Sync),
            _ => None,
        }
    }
}

/// One value per class.
#[derive(Clone, Debug, Default)]
pub(crate) struct PerClass<T> {
    consensus: T,
    body: T,
    sync: T,
}

impl<T> PerClass<T> {
    pub(crate) fn new(make: impl Fn(Class) -> T) -> Self {
        Self { consensus: make(Class::Consensus), body: make(Class::Body), sync: make(Class::Sync) }
    }

    pub(crate) const fn get(&self, class: Class) -> &T {
        match class {
            Class::Consensus => &self.consensus,
            Class::Body => &self.body,
            Class::Sync => &self.sync,
        }
    }

    pub(crate) const fn get_mut(&mut self, class: Class) -> &mut T {
        match class {
            Class::Consensus => &mut self.consensus,
            Class::Body => &mut self.body,
            Class::Sync => &mut self.sync,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Credit flows back in quarters of a window, and a message is consumed only whole: a window must hold the largest
    /// message and an unreturned quarter, or a sender could wait for ever.
    #[test]
    fn windows_cannot_lock_up() {
        for class in Class::ALL {
            let message = class.bytes_max() + limits::MESSAGE_OVERHEAD_BYTES;
            assert!(4 * message <= 3 * class.window_bytes(), "{class:?}");
            assert!(message <= class.queue_bytes_max(), "{class:?}");
            assert!(class.bytes_max() <= limits::FRAME_BYTES_MAX, "{class:?}");
            assert_eq!(Class::from_wire(class as u8), Some(class));
        }
        assert_eq!(Class::from_wire(3), None);
    }
}
