//! What waits to be sent to one peer: pure, no I/O.

use crate::{
    Class, RefusalCode,
    class::PerClass,
    frame::{Frame, cost, put_next, put_start},
};
use bytes::{Bytes, BytesMut};
use lian_types::{GroupId, limits};
use std::collections::VecDeque;

/// Small frames are written together up to this many bytes, so that votes share a TLS record; a fragment of a larger
/// message ends the batch, so that the next one is chosen anew.
const BATCH_BYTES: usize = 16 * 1024;

/// What became of a message to one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum SendOutcome {
    /// It will be sent after everything queued before it in its class.
    Queued,
    /// It will be sent, and the queue being full, this many older messages of its class will not be. Only
    /// [`Class::Consensus`] drops: consensus repeats what still matters, and the newest matters most.
    QueuedAfterDropping {
        /// How many were dropped.
        messages: usize,
    },
    /// The queue of its class is full; nothing was queued. Try later or another peer.
    Full,
    /// There is no session with the peer; nothing was queued.
    NotConnected,
    /// The message exceeds [`Class::bytes_max`]; nothing was queued.
    TooLarge {
        /// The largest message of the class, in bytes.
        limit: usize,
    },
}

impl SendOutcome {
    /// Whether the message will be sent if the session lasts.
    #[must_use]
    pub const fn is_queued(self) -> bool {
        matches!(self, Self::Queued | Self::QueuedAfterDropping { .. })
    }
}

/// What became of a message to all peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct BroadcastOutcome {
    /// Peers to which it will be sent.
    pub queued: usize,
    /// Connected peers whose queue was full.
    pub full: usize,
    /// Peers without a session.
    pub not_connected: usize,
    /// The message exceeds [`Class::bytes_max`] and goes to nobody.
    pub too_large: bool,
}

/// The three queues to one peer, the credit it gave, and small control frames, which go first.
#[derive(Debug)]
pub(crate) struct Outbox {
    lanes: PerClass<Lane>,
    ping: Option<u64>,
    pong: Option<u64>,
    credit: PerClass<Option<u64>>,
    farewell: Farewell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    NotYet,
    Due(Option<RefusalCode>),
    Said,
}

#[derive(Debug, Default)]
struct Lane {
    messages: VecDeque<(GroupId, Bytes)>,
    /// Cost of what `messages` holds, in bytes.
    bytes: usize,
    current: Option<Current>,
    /// Cost of what was sent since the session's start, in bytes.
    sent: u64,
    /// What the peer lets this node send since the session's start, in bytes.
    allowed: u64,
}

/// A message of which a part was sent.
#[derive(Debug)]
struct Current {
    bytes: Bytes,
    offset: usize,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        let lane =
            |class: Class| Lane { allowed: u64::try_from(class.window_bytes()).unwrap_or(u64::MAX), ..Lane::default() };
        Self {
            lanes: PerClass::new(lane),
            ping: None,
            pong: None,
            credit: PerClass::default(),
            farewell: Farewell::NotYet,
        }
    }

    /// Queues a message.
    pub(crate) fn push(&mut self, class: Class, group: GroupId, bytes: Bytes) -> SendOutcome {
        if bytes.len() > class.bytes_max() {
            return SendOutcome::TooLarge { limit: class.bytes_max() };
        }
        if self.farewell != Farewell::NotYet {
            return SendOutcome::NotConnected;
        }
        self.lanes.get_mut(class).push(class, group, bytes)
    }

    /// Asks for a ping; an unsent older one is replaced.
    pub(crate) const fn ping(&mut self, number: u64) {
        self.ping = Some(number);
    }

    /// Answers a ping; an unsent older answer is replaced, so that pings cannot pile up answers.
    pub(crate) const fn pong(&mut self, number: u64) {
        self.pong = Some(number);
    }

    /// Tells the peer how much it may send in all.
    pub(crate) const fn give_credit(&mut self, class: Class, allowed: u64) {
        *self.credit.get_mut(class) = Some(allowed);
    }

    /// The peer lets this node send more; credit is never taken back.
    pub(crate) fn receive_credit(&mut self, class: Class, allowed: u64) {
        let lane = self.lanes.get_mut(class);
        lane.allowed = lane.allowed.max(allowed);
    }

    /// Ends the session after the frame that is being written: says why, drops what is queued and takes nothing more.
    pub(crate) fn say_goodbye(&mut self, code: Option<RefusalCode>) {
        if self.farewell == Farewell::NotYet {
            self.farewell = Farewell::Due(code);
        }
    }

    /// Whether nothing will ever be sent again.
    pub(crate) fn is_over(&self) -> bool {
        self.farewell == Farewell::Said
    }

    /// Bytes that wait, all classes together.
    pub(crate) fn queued_bytes(&self) -> usize {
        Class::ALL.iter().map(|class| self.lanes.get(*class).waiting()).sum()
    }

    /// Appends the next frames to `out`: control first, then the highest class that has something to send and credit
    /// to send it. At most about one fragment, so that what comes next is chosen as late as possible.
    pub(crate) fn fill(&mut self, out: &mut BytesMut) {
        match self.farewell {
            Farewell::NotYet => {}
            Farewell::Said => return,
            Farewell::Due(code) => {
                self.farewell = Farewell::Said;
                if let Some(code) = code {
                    Frame::Goodbye(code).put(out);
                }
                return;
            }
        }
        if let Some(number) = self.pong.take() {
            Frame::Pong(number).put(out);
        }
        if let Some(number) = self.ping.take() {
            Frame::Ping(number).put(out);
        }
        for class in Class::ALL {
            if let Some(allowed) = self.credit.get_mut(class).take() {
                Frame::Credit { class, allowed }.put(out);
            }
        }
        while out.len() < BATCH_BYTES && Class::ALL.iter().any(|class| self.lanes.get_mut(*class).fill(*class, out)) {}
    }
}

impl Lane {
    fn push(&mut self, class: Class, group: GroupId, bytes: Bytes) -> SendOutcome {
        let cost = bytes.len().saturating_add(limits::MESSAGE_OVERHEAD_BYTES);
        let mut dropped = 0usize;
        while self.messages.len() >= class.queue_messages_max()
            || self.bytes.saturating_add(cost) > class.queue_bytes_max()
        {
            // A message always fits into an empty queue, so this ends.
            match self.messages.front() {
                Some(_) if class != Class::Consensus => return SendOutcome::Full,
                Some((_, oldest)) => {
                    let oldest = oldest.len().saturating_add(limits::MESSAGE_OVERHEAD_BYTES);
                    self.bytes = self.bytes.saturating_sub(oldest);
                    self.messages.pop_front();
                    dropped = dropped.saturating_add(1);
                }
                None => break,
            }
        }
        self.bytes = self.bytes.saturating_add(cost);
        self.messages.push_back((group, bytes));
        if dropped == 0 { SendOutcome::Queued } else { SendOutcome::QueuedAfterDropping { messages: dropped } }
    }

    fn waiting(&self) -> usize {
        let current = self.current.as_ref().map_or(0, |current| current.bytes.len().saturating_sub(current.offset));
        self.bytes.saturating_add(current)
    }

    /// Appends one fragment; false where there is nothing to send or no credit.
    fn fill(&mut self, class: Class, out: &mut BytesMut) -> bool {
        if self.sent >= self.allowed {
            return false;
        }
        if let Some(current) = &mut self.current {
            let rest = current.bytes.get(current.offset..).unwrap_or_default();
            let chunk = rest.get(..limits::FRAGMENT_BYTES_MAX).unwrap_or(rest);
            put_next(out, class, chunk);
            self.sent = self.sent.saturating_add(cost(chunk.len(), false));
            current.offset = current.offset.saturating_add(chunk.len());
            if current.offset >= current.bytes.len() {
                self.current = None;
            }
            return true;
        }
        let Some((group, bytes)) = self.messages.pop_front() else { return false };
        self.bytes = self.bytes.saturating_sub(bytes.len().saturating_add(limits::MESSAGE_OVERHEAD_BYTES));
        let chunk = bytes.get(..limits::FRAGMENT_BYTES_MAX).unwrap_or(&bytes);
        put_start(out, class, group, bytes.len(), chunk);
        self.sent = self.sent.saturating_add(cost(chunk.len(), true));
        let offset = chunk.len();
        if offset < bytes.len() {
            self.current = Some(Current { bytes, offset });
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(1);

    /// The frames of one batch.
    fn batch(outbox: &mut Outbox) -> Vec<Frame> {
        let mut bytes = BytesMut::new();
        outbox.fill(&mut bytes);
        let mut frames = Vec::new();
        while let Some(frame) = Frame::take(&mut bytes).unwrap() {
            frames.push(frame);
        }
        frames
    }

    fn class_of(frame: &Frame) -> Option<Class> {
        match frame {
            Frame::Start { class, .. } | Frame::Next { class, .. } => Some(*class),
            _ => None,
        }
    }

    #[test]
    fn a_vote_waits_for_one_fragment_of_a_body() {
        let mut outbox = Outbox::new();
        let body = Bytes::from(vec![1; 1024 * 1024]);
        assert_eq!(outbox.push(Class::Body, GROUP, body), SendOutcome::Queued);
        assert_eq!(batch(&mut outbox).iter().filter_map(class_of).collect::<Vec<_>>(), [Class::Body]);
        for _ in 0..3 {
            assert_eq!(outbox.push(Class::Consensus, GROUP, Bytes::from_static(b"vote")), SendOutcome::Queued);
        }
        outbox.ping(5);
        let frames = batch(&mut outbox);
        assert_eq!(frames.first(), Some(&Frame::Ping(5)));
        let classes: Vec<_> = frames.iter().filter_map(class_of).collect();
        assert_eq!(classes, [Class::Consensus, Class::Consensus, Class::Consensus, Class::Body]);
    }

    #[test]
    fn full_queues_drop_votes_and_refuse_bodies() {
        let mut outbox = Outbox::new();
        let max = Class::Body.bytes_max();
        assert_eq!(
            outbox.push(Class::Body, GROUP, Bytes::from(vec![0; max + 1])),
            SendOutcome::TooLarge { limit: max }
        );
        let largest = Bytes::from(vec![0; max]);
        assert_eq!(outbox.push(Class::Body, GROUP, largest.clone()), SendOutcome::Queued);
        assert_eq!(outbox.push(Class::Body, GROUP, largest.clone()), SendOutcome::Queued);
        assert_eq!(outbox.push(Class::Body, GROUP, largest), SendOutcome::Full);
        for i in 0..Class::Consensus.queue_messages_max() {
            let bytes = Bytes::from(i.to_be_bytes().to_vec());
            assert_eq!(outbox.push(Class::Consensus, GROUP, bytes), SendOutcome::Queued);
        }
        let outcome = outbox.push(Class::Consensus, GROUP, Bytes::new());
        assert_eq!(outcome, SendOutcome::QueuedAfterDropping { messages: 1 });
        let Some(Frame::Start { chunk, .. }) = batch(&mut outbox).into_iter().next() else { panic!("no message") };
        assert_eq!(chunk, 1usize.to_be_bytes().to_vec(), "the oldest was dropped");
    }

    #[test]
    fn a_class_without_credit_waits_alone() {
        let mut outbox = Outbox::new();
        let window = u64::try_from(Class::Body.window_bytes()).unwrap();
        let mut sent = 0u64;
        let body = Bytes::from(vec![0; 1024 * 1024]);
        loop {
            if outbox.queued_bytes() == 0 {
                assert_eq!(outbox.push(Class::Body, GROUP, body.clone()), SendOutcome::Queued);
            }
            let frames = batch(&mut outbox);
            if frames.is_empty() {
                break;
            }
            for frame in frames {
                sent += match frame {
                    Frame::Start { chunk, .. } => cost(chunk.len(), true),
                    Frame::Next { chunk, .. } => cost(chunk.len(), false),
                    _ => 0,
                };
            }
        }
        assert!(sent >= window && sent < window + cost(limits::FRAGMENT_BYTES_MAX, true), "{sent}");
        assert_eq!(outbox.push(Class::Consensus, GROUP, Bytes::from_static(b"v")), SendOutcome::Queued);
        assert_eq!(batch(&mut outbox).iter().filter_map(class_of).collect::<Vec<_>>(), [Class::Consensus]);
        outbox.receive_credit(Class::Body, sent + 1);
        assert_eq!(batch(&mut outbox).iter().filter_map(class_of).collect::<Vec<_>>(), [Class::Body]);
        outbox.receive_credit(Class::Body, 0);
        assert!(batch(&mut outbox).is_empty(), "credit is not taken back, and not given twice");
    }

    #[test]
    fn goodbye_is_the_last_frame() {
        let mut outbox = Outbox::new();
        assert_eq!(outbox.push(Class::Sync, GROUP, Bytes::from_static(b"x")), SendOutcome::Queued);
        outbox.say_goodbye(Some(RefusalCode::Stopping));
        assert_eq!(batch(&mut outbox), [Frame::Goodbye(RefusalCode::Stopping)]);
        assert!(outbox.is_over());
        assert!(batch(&mut outbox).is_empty());
        assert_eq!(outbox.push(Class::Sync, GROUP, Bytes::new()), SendOutcome::NotConnected);
    }
}
