//! Who watches the whole network and knows what must always hold.

mod blocks;
mod epochs;
mod model;
mod raft;
mod reads;
mod votes;

pub(crate) use blocks::Blocks;
pub(crate) use epochs::Epochs;
pub(crate) use model::Model;
pub(crate) use raft::Replicas;
pub(crate) use reads::Reads;
pub(crate) use votes::Votes;

use crate::{
    chain::Chain,
    event::NodeId,
    sim::Sim,
    wallet::{self, Name, OPERATOR},
};
use alloy_primitives::B256;
use lian_group::core::{DurableRecord, VoteRecord};
use lian_ledger::{FinalBlock, Ledger, StoredBlock};
use lian_types::{Block, BlockNumber, Certificate};
use std::sync::Arc;

/// What is known of all nodes together.
pub(crate) struct Oracle {
    pub(crate) votes: Votes,
    pub(crate) replicas: Replicas,
    pub(crate) blocks: Blocks,
    pub(crate) reads: Reads,
    pub(crate) epochs: Epochs,
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
        Self {
            votes: Votes::default(),
            replicas: Replicas::default(),
            blocks: Blocks::new(chain),
            reads: Reads::default(),
            epochs: Epochs::new(chain.info.consensus, chain.members, chain.rules.window),
        }
    }
}

impl Oracle {
    /// Records were found on a node's disk at a start.
    pub(crate) fn found(&mut self, node: NodeId, records: &[DurableRecord]) {
        self.votes.recovered(node, records.iter().filter_map(pbft_record));
        for record in records.iter().filter_map(raft_record) {
            self.replicas.recovered(node, record);
        }
    }

    /// Records are durable on a node's disk, in this order.
    pub(crate) fn written(&mut self, node: NodeId, records: &[DurableRecord]) -> Result<(), String> {
        self.votes.durable(node, &self.epochs, records.iter().filter_map(pbft_record))?;
        for durable in records {
            let Some(record) = raft_record(durable) else { continue };
            self.replicas.durable(node, record)?;
            // Where a height is final somewhere its block can be caught up with.
            if let Some(proposal) = record.bodies_of()
                && proposal.height.0 > self.blocks.height()
                && durable.bodies.len() < proposal.transactions.len()
            {
                let (found, all) = (durable.bodies.len(), proposal.transactions.len());
                return Err(format!("writes down {found} of {all} bodies of height {}", proposal.height));
            }
        }
        Ok(())
    }

    /// A node has crashed: what it made durable will be found again, or is gone.
    pub(crate) fn crashed(&mut self, node: NodeId) {
        self.votes.crashed(node);
        self.replicas.crashed(node);
    }
}

const fn pbft_record(durable: &DurableRecord) -> Option<&lian_pbft::Record> {
    if let VoteRecord::Pbft(record) = &durable.record { Some(record) } else { None }
}

const fn raft_record(durable: &DurableRecord) -> Option<&lian_raft::Record> {
    if let VoteRecord::Raft { record, .. } = &durable.record { Some(record) } else { None }
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
        match self.oracle.votes.certificate(&chain, &self.oracle.epochs, &seen.certificate) {
            Ok(kind) => self.count(kind),
            Err(what) => return self.fail("certificates", || format!("n{node}, block {height}: {what}")),
        }
        if is_first {
            self.observe_new(seen, ledger);
        }
    }

    /// A transaction of the operator is final.
    fn govern(&mut self, name: Name, height: u64) -> Result<(), String> {
        // The parameters of blocks may be changed anew in every block: the operator waits for each.
        let succeeded = name.variant == 0 || self.oracle.epochs.apply(height, wallet::nodes_of(name.variant));
        self.count(match (name.variant, succeeded) {
            (0, _) => "changes of parameters",
            (_, true) => "changes of members",
            (_, false) => "changes of members refused",
        });
        let (now, newest) = (self.now, self.oracle.epochs.newest());
        self.tell(|| format!("{name} succeeds: {succeeded}; the latest epoch is {newest}"));
        self.operator.included(now, name, succeeded)
    }

    /// The contract's members after a block must be those that follow from the operator's transactions.
    fn compare_members(&self, height: u64, ledger: &Ledger) -> Result<(), String> {
        let state = ledger.state_at(BlockNumber(height)).map_err(|error| error.to_string())?;
        let found = lian_executor::schedule(state.as_ref()).map_err(|error| error.to_string())?.next;
        let epochs = &self.oracle.epochs;
        let (first, sealers) = epochs.latest();
        let keys: Vec<_> = sealers.iter().filter_map(|node| self.chain.publics.get(*node).copied()).collect();
        if (found.epoch, found.first.0, &found.keys) == (epochs.newest(), first, &keys) {
            return Ok(());
        }
        Err(format!(
            "the contract has {found:?}, it must be epoch {} from {first} on with {sealers:?}",
            epochs.newest()
        ))
    }

    /// A block is final for the first time anywhere.
    fn observe_new(&mut self, seen: &Seen, ledger: &Ledger) {
        let height = seen.height();
        self.count("blocks");
        let [epoch, before] = [height, height - 1].map(|height| self.oracle.epochs.at(BlockNumber(height)));
        if epoch != before {
            self.count("epochs begun");
            let sealers = self.oracle.epochs.of(epoch).to_vec();
            self.tell(|| format!("epoch {epoch} begins: {sealers:?}"));
        }
        self.pauses.ended(self.now, self.clients.waiting_since(), self.scenario.heal_ms);
        match self.oracle.reads.advance(seen, ledger) {
            Ok(skipped) => (0..skipped).for_each(|_| self.count("transactions skipped")),
            Err(what) => return self.fail("transactions", || format!("block {height}: {what}")),
        }
        let mut governs = false;
        for transaction in &seen.block.transactions {
            let at = self.now;
            if let Some(name) = wallet::name_of(transaction.hash()).filter(|name| name.account == OPERATOR) {
                governs = true;
                if let Err(what) = self.govern(name, height) {
                    return self.fail("members", || format!("block {height}: {what}"));
                }
                continue;
            }
            if let Err(what) = self.clients.included(at, transaction.hash(), height) {
                return self.fail("transactions", || format!("block {height}: {what}"));
            }
        }
        if governs && let Err(what) = self.compare_members(height, ledger) {
            return self.fail("members", || format!("block {height}: {what}"));
        }
        if height.is_multiple_of(256) {
            // Who hears nothing repeats what it said long ago.
            let below = self.oracle.blocks.height_of_all().saturating_sub(512);
            self.oracle.votes.forget_below(below);
            self.oracle.replicas.forget_below(below);
        }
    }
}
