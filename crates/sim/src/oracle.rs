//! Who watches the whole network and knows what must always hold.

mod blocks;
mod model;
mod reads;
mod votes;

pub(crate) use blocks::Blocks;
pub(crate) use model::Model;
pub(crate) use reads::Reads;
pub(crate) use votes::Votes;

use crate::{chain::Chain, event::NodeId, sim::Sim};
use alloy_primitives::B256;
use lian_ledger::{FinalBlock, Ledger, StoredBlock};
use lian_types::{Block, Certificate};
use std::sync::Arc;

/// What is known of all nodes together.
pub(crate) struct Oracle {
    pub(crate) votes: Votes,
    pub(crate) blocks: Blocks,
    pub(crate) reads: Reads,
}

/// How a block came to be final on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// By consensus.
    Consensus,
    /// From a peer.
    CaughtUp,
    /// It was on the disk at a start, and nobody had been told.
    Found,
}

/// A block that is final and durable on a node.
pub(crate) struct Seen {
    pub(crate) block: Arc<Block>,
    pub(crate) hash: B256,
    pub(crate) certificate: Arc<Certificate>,
    pub(crate) origin: Origin,
}

impl Seen {
    pub(crate) fn new(block: &FinalBlock, origin: Origin) -> Self {
        let (executed, certificate) = (&block.executed, Arc::clone(&block.certificate));
        Self { block: Arc::clone(&executed.block), hash: executed.hash, certificate, origin }
    }

    pub(crate) fn found(stored: &StoredBlock) -> Self {
        let certificate = Arc::clone(&stored.certificate);
        Self { block: Arc::clone(&stored.block), hash: stored.hash, certificate, origin: Origin::Found }
    }

    pub(crate) fn height(&self) -> u64 {
        self.block.header.number
    }
}

impl Oracle {
    pub(crate) fn new(chain: &Chain) -> Self {
        Self { votes: Votes::default(), blocks: Blocks::new(chain), reads: Reads::default() }
    }
}

impl Sim {
    /// A block is final and durable on a node, and its clients are told.
    pub(crate) fn observe_block(&mut self, node: NodeId, seen: &Seen, ledger: &Ledger) {
        let height = seen.height();
        self.trace.add(height);
        self.trace.add_bytes(seen.hash.as_slice());
        let is_first = height > self.oracle.blocks.height();
        if is_first || seen.origin != Origin::Consensus {
            let how = match seen.origin {
                Origin::Consensus => "makes final",
                Origin::CaughtUp => "catches up with",
                Origin::Found => "finds on its disk",
            };
            let count = seen.block.transactions.len();
            self.tell(|| format!("n{node} {how} block {height} {} of {count} transactions", seen.hash));
        }
        if let Err(what) = self.oracle.blocks.stored(node, seen) {
            return self.fail("one block per height", || format!("n{node}, block {height}: {what}"));
        }
        let chain = Arc::clone(&self.chain);
        match self.oracle.votes.certificate(&chain, &seen.certificate) {
            Ok(kind) => self.count(kind),
            Err(what) => return self.fail("certificates", || format!("n{node}, block {height}: {what}")),
        }
        if is_first {
            self.observe_new(seen, ledger);
        }
    }

    /// A block is final for the first time anywhere.
    fn observe_new(&mut self, seen: &Seen, ledger: &Ledger) {
        let height = seen.height();
        self.count("blocks");
        self.pauses.ended(self.now, self.clients.waiting_since(), self.scenario.heal_ms);
        match self.oracle.reads.advance(seen, ledger) {
            Ok(skipped) => (0..skipped).for_each(|_| self.count("transactions skipped")),
            Err(what) => return self.fail("transactions", || format!("block {height}: {what}")),
        }
        for transaction in &seen.block.transactions {
            let at = self.now;
            if let Err(what) = self.clients.included(at, transaction.hash(), height) {
                return self.fail("transactions", || format!("block {height}: {what}"));
            }
        }
        if height.is_multiple_of(256) {
            self.oracle.votes.forget_below(height.saturating_sub(512));
        }
    }
}
