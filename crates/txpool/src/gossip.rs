//! Who needs to be sent which transaction.

use alloy_primitives::{TxHash, map::B256Map};
use lian_crypto::VerifiedTransaction;
use lian_types::{ConsensusKey, limits};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Why nothing more needs to be done for a transaction and a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// It is in the line to that peer, or was.
    Enqueued,
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

/// Spreads transactions among members, each body to each peer once.
///
/// Members are connected to each other all, so a node sends what its own clients gave it, and relays only what the leader
/// seems not to have. What another peer misses (a full line, a session that broke) it fetches by hash when it is proposed.
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

    /// Puts a transaction into the line to one peer, if that one does not have it.
    pub fn relay(&mut self, peer: &ConsensusKey, transaction: &Arc<VerifiedTransaction>) {
        if let Some(line) = self.peers.get_mut(peer) {
            line.enqueue(transaction);
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
            let Some(next) = line.waiting.pop_front() else { break };
            batch.push(next);
        }
        batch
    }
}

impl Peer {
    fn enqueue(&mut self, transaction: &Arc<VerifiedTransaction>) {
        let hash = transaction.hash();
        if self.known.contains_key(&hash) {
            return;
        }
        if self.waiting.len() >= limits::GOSSIP_QUEUE_MAX {
            // The peer is slower than the clients. The oldest will be proposed soonest and fetched then.
            self.waiting.pop_front();
        }
        self.note(hash, Known::Enqueued);
        self.waiting.push_back(Arc::clone(transaction));
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
