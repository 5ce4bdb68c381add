//! What the nodes of a Raft group have promised, durably, and what they say of it.

use super::Epochs;
use crate::event::NodeId;
use lian_raft::{Body, Envelope, HardState, Message, Record};
use lian_types::{BlockNumber, SignedVote, Vote};
use std::collections::{BTreeMap, BTreeSet};

/// Logs, terms and header signatures of all nodes.
#[derive(Default)]
pub(crate) struct Replicas {
    durable: BTreeMap<NodeId, Durable>,
    /// The one header that a key signs for a height, over all crashes.
    signed: BTreeMap<(BlockNumber, NodeId), Vote>,
    /// The one candidate that a node elects in a term, over all crashes.
    elected: BTreeMap<(NodeId, u64), u64>,
}

/// What is on a node's disk.
#[derive(Default)]
struct Durable {
    hard: HardState,
    /// The index up to which the log is not kept any more.
    base: u64,
    /// The terms of the entries above.
    entries: BTreeMap<u64, u64>,
    votes: BTreeSet<Vote>,
}

impl Durable {
    fn take(&mut self, record: &Record) {
        match record {
            Record::Base(base) => {
                if self.entries.get(&base.index) == Some(&base.term) {
                    self.entries = self.entries.split_off(&base.index.saturating_add(1));
                } else {
                    self.entries.retain(|index, _| *index > base.index && self.base == base.index);
                }
                self.base = base.index;
            }
            Record::Entry(entry) if self.entries.get(&entry.index) != Some(&entry.term) => {
                self.entries.split_off(&entry.index);
                self.entries.insert(entry.index, entry.term);
            }
            Record::HardState(hard) => self.hard = *hard,
            Record::Vote(signed) => {
                self.votes.insert(signed.vote);
            }
            Record::Entry(_) | Record::Cleared { .. } | Record::Abstains => {}
        }
    }

    fn last(&self) -> u64 {
        self.entries.last_key_value().map_or(self.base.max(1), |(index, _)| *index)
    }
}

impl Replicas {
    /// A record was found on a node's disk at a start.
    pub(crate) fn recovered(&mut self, node: NodeId, record: &Record) {
        self.durable.entry(node).or_default().take(record);
    }

    /// A record is durable on a node's disk. A node elects one candidate in a term.
    pub(crate) fn durable(&mut self, node: NodeId, record: &Record) -> Result<(), String> {
        self.durable.entry(node).or_default().take(record);
        if let Record::HardState(hard) = record
            && hard.vote != 0
        {
            let first = *self.elected.entry((node, hard.term)).or_insert(hard.vote);
            if first != hard.vote {
                return Err(format!("elects {} in term {}, before {first}", hard.vote, hard.term));
            }
        }
        Ok(())
    }

    /// A node has crashed: what it made durable will be found again, or is gone.
    pub(crate) fn crashed(&mut self, node: NodeId) {
        self.durable.remove(&node);
    }

    /// A message leaves a node. Whatever it says of the node's log, term and signatures is durable (raft §3).
    pub(crate) fn sent(&mut self, node: NodeId, epochs: &Epochs, message: &Message) -> Result<(), String> {
        match message {
            Message::Vote(signed) | Message::Question(signed) => self.signature(node, epochs, signed),
            Message::Raft(envelope) => self.envelope(node, envelope),
            Message::Certificate(_) => Ok(()),
        }
    }

    fn signature(&mut self, node: NodeId, epochs: &Epochs, signed: &SignedVote) -> Result<(), String> {
        let vote = signed.vote;
        if epochs.node(vote.epoch, signed.signer) != Some(node) {
            return Ok(());
        }
        let first = *self.signed.entry((vote.height, node)).or_insert(vote);
        if first != vote {
            return Err(format!("sends {vote:?}, before it sent {first:?}"));
        }
        let durable = self.durable.get(&node);
        if durable.is_some_and(|durable| durable.votes.contains(&vote)) {
            Ok(())
        } else {
            Err(format!("sends {vote:?}, which is not durable"))
        }
    }

    fn envelope(&self, node: NodeId, envelope: &Envelope) -> Result<(), String> {
        let nothing = Durable::default();
        let durable = self.durable.get(&node).unwrap_or(&nothing);
        // One fsync may have made later promises durable, too, which replace entries of earlier terms.
        let term = durable.hard.term.max(1);
        let has = |index: u64| envelope.term < term || (envelope.term == term && index <= durable.last());
        let (claims, holds) = match &envelope.body {
            Body::Append { entries, .. } => {
                let last = entries.last().map_or(0, |entry| entry.index);
                (format!("entries up to {last}"), has(last))
            }
            Body::Appended { index, refused: false, .. } => (format!("that it has entries up to {index}"), has(*index)),
            Body::Voted { pre: false, refused: false, .. } => {
                ("its vote".to_owned(), self.elected.contains_key(&(node, envelope.term)))
            }
            Body::AskVote { pre: false, .. } => ("its candidacy".to_owned(), envelope.term <= term),
            Body::Appended { .. }
            | Body::Voted { .. }
            | Body::AskVote { .. }
            | Body::Heartbeat { .. }
            | Body::Alive { .. }
            | Body::Base(_)
            | Body::TakeOver => return Ok(()),
        };
        if holds {
            return Ok(());
        }
        let (hard, last) = (durable.hard, durable.last());
        Err(format!("tells {claims} in term {}, which is not durable: {hard:?}, log up to {last}", envelope.term))
    }

    /// Forgets what concerns heights that all nodes have left far behind.
    pub(crate) fn forget_below(&mut self, height: u64) {
        self.signed.retain(|(at, _), _| at.0 >= height);
        for durable in self.durable.values_mut() {
            durable.votes.retain(|vote| vote.height.0 >= height);
        }
    }
}
