//! The order in which transactions wait.

use alloy_primitives::TxHash;
use lian_crypto::VerifiedTransaction;
use lian_types::Millis;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Where a transaction came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client of this node.
    Local,
    /// Another member.
    Peer,
}

/// How a pooled transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It can be proposed next: it continues its account's nonces.
    Ready,
    /// It waits for a gap between its account's nonces to close.
    Queued,
    /// An open proposal holds it, or another transaction with its nonce.
    Proposed,
}

/// A pooled transaction.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) hash: TxHash,
    pub(crate) transaction: Arc<VerifiedTransaction>,
    pub(crate) origin: Origin,
    pub(crate) standing: Standing,
    /// Its place in line; rises with the nonce among the ready transactions of one account.
    pub(crate) sequence: u64,
    /// When it was given that place. Rises with the sequence over all transactions.
    pub(crate) since: Millis,
    /// When it became ready last, or came back from a discarded proposal.
    pub(crate) waiting_since: Millis,
    pub(crate) bytes: usize,
    pub(crate) gas: u64,
}

/// A transaction in a line, with all that selection, eviction, expiry and relaying need to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) hash: TxHash,
    pub(crate) since: Millis,
    pub(crate) bytes: usize,
    pub(crate) gas: u64,
}

/// The lines in which transactions wait, one for each standing, each by rising sequence.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    next_sequence: u64,
    ready: BTreeMap<u64, Candidate>,
    /// The ready ones by the time since which they were not proposed.
    waiting: BTreeSet<(Millis, u64)>,
    queued_local: BTreeMap<u64, Candidate>,
    queued_peer: BTreeMap<u64, Candidate>,
    proposed: BTreeMap<u64, Candidate>,
}

impl Queues {
    /// A place at the end of the line.
    pub(crate) fn next(&mut self) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence = sequence.saturating_add(1);
        sequence
    }

    /// Adds a transaction to the line of its standing.
    pub(crate) fn enter(&mut self, pending: &Pending) {
        let Pending { hash, since, bytes, gas, .. } = *pending;
        let candidate = Candidate { hash, since, bytes, gas };
        match (pending.standing, pending.origin) {
            (Standing::Ready, _) => {
                self.ready.insert(pending.sequence, candidate);
                self.waiting.insert((pending.waiting_since, pending.sequence));
            }
            (Standing::Queued, Origin::Local) => {
                self.queued_local.insert(pending.sequence, candidate);
            }
            (Standing::Queued, Origin::Peer) => {
                self.queued_peer.insert(pending.sequence, candidate);
            }
            (Standing::Proposed, _) => {
                self.proposed.insert(pending.sequence, candidate);
            }
        }
    }

    /// Takes a transaction out of the line of its standing.
    pub(crate) fn leave(&mut self, pending: &Pending) {
        match (pending.standing, pending.origin) {
            (Standing::Ready, _) => {
                self.ready.remove(&pending.sequence);
                self.waiting.remove(&(pending.waiting_since, pending.sequence));
            }
            (Standing::Queued, Origin::Local) => {
                self.queued_local.remove(&pending.sequence);
            }
            (Standing::Queued, Origin::Peer) => {
                self.queued_peer.remove(&pending.sequence);
            }
            (Standing::Proposed, _) => {
                self.proposed.remove(&pending.sequence);
            }
        }
    }

    /// The ready transactions in order.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &Candidate> {
        self.ready.values()
    }

    /// How many are ready.
    pub(crate) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// How many wait for a gap to close.
    pub(crate) fn queued_len(&self) -> usize {
        self.queued_local.len().saturating_add(self.queued_peer.len())
    }

    /// The ready transaction that stands first.
    pub(crate) fn oldest_ready(&self) -> Option<&Candidate> {
        self.ready.first_key_value().map(|(_, candidate)| candidate)
    }

    /// The time since which some ready transaction has not been proposed.
    pub(crate) fn waiting_since(&self) -> Option<Millis> {
        self.waiting.first().map(|(since, _)| *since)
    }

    /// The proposed transactions in order, and after them the ready ones.
    pub(crate) fn proposed_and_ready(&self) -> [&BTreeMap<u64, Candidate>; 2] {
        [&self.proposed, &self.ready]
    }

    /// The queued transactions of an origin, the oldest first.
    pub(crate) fn queued(&self, origin: Origin) -> impl Iterator<Item = &Candidate> {
        match origin {
            Origin::Local => self.queued_local.values(),
            Origin::Peer => self.queued_peer.values(),
        }
    }
}
