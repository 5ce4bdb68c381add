//! What happens when.

use crate::{message::Envelope, time::Moment, wallet::Name};
use lian_sync::BatchId;
use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    rc::Rc,
};

/// The number of a node.
pub(crate) type NodeId = usize;

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message arrives and was checked.
    Deliver { from: NodeId, to: NodeId, session: u64, envelope: Rc<Envelope> },
    /// A Byzantine machine sends a message that it has held back.
    Late { from: NodeId, to: NodeId, envelope: Rc<Envelope> },
    /// Something within one run of a node's program.
    Node { node: NodeId, life: u64, what: NodeEvent },
    /// Two nodes try to open a session.
    Connect { one: NodeId, two: NodeId },
    /// A node notices that a session is broken.
    SessionLost { node: NodeId, peer: NodeId, session: u64 },
    /// A fault has lasted long enough to be noticed by silence, if it lasts still.
    Noticed { index: usize },
    /// A node starts.
    Start { node: NodeId },
    /// An operator looks at a node whose disk is damaged.
    Inspect { node: NodeId },
    /// A fault begins or ends.
    Fault { index: usize, begins: bool },
    /// A client's transaction reaches a node.
    Submit { name: Name, node: NodeId },
    /// Clients make new transactions.
    Load,
    /// Clients look at what they wait for.
    Patience,
    /// A client reads.
    Read,
    /// Somebody looks whether the whole makes progress.
    Watch,
}

/// Something within one run of a node's program.
#[derive(Debug)]
pub(crate) enum NodeEvent {
    /// The core's timer.
    Tick,
    /// The vote log's fsync is done.
    VotesSynced,
    /// The execution thread has done its work.
    Worked,
    /// Blocks of a peer were checked.
    Checked { batch: BatchId, parent: lian_sync::Anchor, blocks: std::sync::Arc<Vec<lian_sync::BlockWithCertificate>> },
    /// The block log's fsync is done.
    BlocksSynced,
    /// The background thread of the ledger moves blocks to the view.
    Flush,
}

/// The queue of what will happen, in order of time and, within a moment, of insertion.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    events: BinaryHeap<Reverse<Queued>>,
    sequence: u64,
}

#[derive(Debug)]
struct Queued {
    at: Moment,
    sequence: u64,
    event: Event,
}

impl Queue {
    /// Adds an event.
    pub(crate) fn push(&mut self, at: Moment, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse(Queued { at, sequence: self.sequence, event }));
    }

    /// Takes the next event out.
    pub(crate) fn pop(&mut self) -> Option<(Moment, Event)> {
        self.events.pop().map(|Reverse(queued)| (queued.at, queued.event))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Queued {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_order() {
        let mut queue = Queue::default();
        for (at, node) in [(5, 0), (3, 1), (5, 2), (3, 3)] {
            queue.push(Moment(at), Event::Start { node });
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop())
            .map(|(at, event)| match event {
                Event::Start { node } => (at.0, node),
                _ => unreachable!(),
            })
            .collect();
        assert_eq!(order, [(3, 1), (3, 3), (5, 0), (5, 2)]);
    }
}
