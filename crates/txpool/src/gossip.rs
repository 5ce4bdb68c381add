//! Who needs to be sent which transaction.

use alloy_primitives::{TxHash, map::B256Map};
use lian_crypto::VerifiedTransaction;
use lian_types::{ConsensusKey, limits};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// What happened to a transaction between this node and a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// It is in the line to that peer.
    Waiting,
    /// It was taken out of the line, to be sent or because others needed the room.
    Sent,
    /// The peer sent it.
    Received,
}

/// The line to one peer.
#[derive(Debug, Default)]
struct Peer {
    known: B256Map<Known>,
    /// The hashes in `known`, the oldest first.
    order: VecDeque<TxHash>,
    waiting: VecDeque<Arc<VerifiedTransaction>>,
}

/// Spreads transactions among members, each body to each peer once, and again if it waits for long.
///
/// Members are connected to each other all, so a node sends what its own clients gave it, and relays only what others seem
/// not to have: what was never sent to them, what their pools had no place for, what they forgot. What another peer misses
/// (a full line, a session that broke) it fetches by hash when it is proposed.
#[derive(Debug, Default)]
pub struct Gossip {
    peers: BTreeMap<ConsensusKey, Peer>,
}

impl Gossip {
    /// Gossip without peers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A session to a peer begins: it is sent `pending` ([`crate::Pool::local`]) again, since it may have restarted.
    pub fn connected(&mut self, peer: ConsensusKey, pending: &[Arc<VerifiedTransaction>]) {
        let mut line = Peer::default();
        for transaction in pending {
            line.enqueue(transaction);
        }
        self.peers.insert(peer, line);
    }

    /// The session to a peer ended.
    pub fn disconnected(&mut self, peer: &ConsensusKey) {
        self.peers.remove(peer);
    }

    /// Notes that a peer has transactions, since it sent them.
    pub fn note_received(&mut self, peer: &ConsensusKey, hashes: impl IntoIterator<Item = TxHash>) {
        let Some(line) = self.peers.get_mut(peer) else { return };
        for hash in hashes {
            line.note(hash, Known::Received);
        }
    }

    /// Puts a transaction from a client of this node into the line to every peer that does not have it.
    pub fn enqueue(&mut self, transaction: &Arc<VerifiedTransaction>) {
        for line in self.peers.values_mut() {
            line.enqueue(transaction);
        }
    }

    /// Puts a transaction into the line to one peer, unless it stands there, whether or not the peer had it once: its
    /// pool may have refused or dropped it.
    pub fn relay(&mut self, peer: &ConsensusKey, transaction: &Arc<VerifiedTransaction>) {
        if let Some(line) = self.peers.get_mut(peer)
            && line.known.get(&transaction.hash()) != Some(&Known::Waiting)
        {
            line.push(transaction);
        }
    }

    /// The peers to whom something can be sent, in a fixed order.
    pub fn peers_waiting(&self) -> impl Iterator<Item = ConsensusKey> {
        self.peers.iter().filter(|(_, line)| !line.waiting.is_empty()).map(|(peer, _)| *peer)
    }

    /// Takes the next transactions for a peer out of its line: at most `count_max` and `bytes_max` encoded bytes, but at
    /// least one if there is one. Empty when nothing waits.
    pub fn next_batch(
        &mut self,
        peer: &ConsensusKey,
        bytes_max: usize,
        count_max: usize,
    ) -> Vec<Arc<VerifiedTransaction>> {
        let Some(line) = self.peers.get_mut(peer) else { return Vec::new() };
        let (mut batch, mut bytes) = (Vec::new(), 0usize);
        while batch.len() < count_max {
            let Some(next) = line.waiting.front() else { break };
            if line.known.get(&next.hash()) == Some(&Known::Received) {
                line.waiting.pop_front();
                continue;
            }
            bytes = bytes.saturating_add(next.transaction().encoded().len());
            if bytes > bytes_max && !batch.is_empty() {
                break;
            }
            let Some(next) = line.pop() else { break };
            batch.push(next);
        }
        batch
    }
}

impl Peer {
    fn enqueue(&mut self, transaction: &Arc<VerifiedTransaction>) {
        if !self.known.contains_key(&transaction.hash()) {
            self.push(transaction);
        }
    }

    fn push(&mut self, transaction: &Arc<VerifiedTransaction>) {
        if self.waiting.len() >= limits::GOSSIP_QUEUE_MAX {
            // The peer is slower than the clients. The oldest will be proposed soonest and fetched then.
            self.pop();
        }
        self.note(transaction.hash(), Known::Waiting);
        self.waiting.push_back(Arc::clone(transaction));
    }

    fn pop(&mut self) -> Option<Arc<VerifiedTransaction>> {
        let next = self.waiting.pop_front()?;
        if let Some(known) = self.known.get_mut(&next.hash()).filter(|known| **known == Known::Waiting) {
            *known = Known::Sent;
        }
        Some(next)
    }

    fn note(&mut self, hash: TxHash, how: Known) {
        if self.known.insert(hash, how).is_none() {
            self.order.push_back(hash);
        }
        while self.order.len() > limits::GOSSIP_KNOWN_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }
}
