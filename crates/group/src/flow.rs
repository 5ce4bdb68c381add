//! Flow records: where the time of every block and transaction went on this node.

use alloy_primitives::TxHash;
use alloy_primitives::map::{B256Map, Entry};
use lian_types::{BlockNumber, Millis};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// Blocks whose flow is kept: at ten blocks a second, the last hundred seconds.
pub const BLOCK_FLOWS_MAX: usize = 1_024;
/// Transactions whose flow is kept at most: at two thousand a second, the last half minute.
pub const TRANSACTION_FLOWS_MAX: usize = 65_536;
/// How many of the oldest give way at once.
const TRANSACTION_FLOWS_DROPPED: usize = 1_024;

/// When a block passed each step on this node, in milliseconds since 1970; `None` where it did not (yet).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockFlow {
    /// The proposal was made or arrived here.
    pub proposed: Option<Millis>,
    /// All bodies were held, the proposal was valid, and the prepare vote was signed.
    pub verified: Option<Millis>,
    /// Execution was done.
    pub executed: Option<Millis>,
    /// A quorum had prepared, and the commit vote was signed.
    pub prepared: Option<Millis>,
    /// The certificate was complete.
    pub committed: Option<Millis>,
    /// The checkpoint vote was signed, where one was needed.
    pub checkpointed: Option<Millis>,
    /// The block was durable in the log.
    pub stored: Option<Millis>,
}

/// When a transaction passed each step on this node, in milliseconds since 1970; `None` where it did not (yet).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TransactionFlow {
    /// Its bytes arrived, from a client or another node.
    pub received: Option<Millis>,
    /// Its sender was recovered.
    pub verified: Option<Millis>,
    /// The pool admitted it.
    pub pooled: Option<Millis>,
    /// A proposal named it.
    pub proposed: Option<Millis>,
    /// Its block was executed.
    pub executed: Option<Millis>,
    /// Its block was final.
    #[serde(rename = "final")]
    pub final_at: Option<Millis>,
}

/// The newest flow records, bounded by [`BLOCK_FLOWS_MAX`] and [`TRANSACTION_FLOWS_MAX`].
#[derive(Debug, Default)]
pub struct FlowRecorder {
    blocks: BTreeMap<BlockNumber, BlockFlow>,
    transactions: B256Map<TransactionFlow>,
    order: VecDeque<TxHash>,
}

impl FlowRecorder {
    /// The record of a block, for reading.
    #[must_use]
    pub fn block(&self, height: BlockNumber) -> Option<BlockFlow> {
        self.blocks.get(&height).copied()
    }

    /// The record of a transaction, for reading.
    #[must_use]
    pub fn transaction(&self, hash: TxHash) -> Option<TransactionFlow> {
        self.transactions.get(&hash).copied()
    }

    /// The record of a block, made where absent; the oldest one gives way.
    pub fn block_mut(&mut self, height: BlockNumber) -> &mut BlockFlow {
        if self.blocks.len() >= BLOCK_FLOWS_MAX && !self.blocks.contains_key(&height) {
            self.blocks.pop_first();
        }
        self.blocks.entry(height).or_default()
    }

    /// The record of a transaction, made where absent; the oldest ones give way.
    pub fn transaction_mut(&mut self, hash: TxHash) -> &mut TransactionFlow {
        // Many at once, so that nearly every call looks up once.
        if self.order.len() >= TRANSACTION_FLOWS_MAX {
            for oldest in self.order.drain(..TRANSACTION_FLOWS_DROPPED) {
                self.transactions.remove(&oldest);
            }
        }
        match self.transactions.entry(hash) {
            Entry::Occupied(flow) => flow.into_mut(),
            Entry::Vacant(place) => {
                self.order.push_back(hash);
                place.insert(TransactionFlow::default())
            }
        }
    }
}

/// Notes a moment the first time only: a repeated step does not move it.
pub(crate) fn note(moment: &mut Option<Millis>, now: Millis) {
    moment.get_or_insert(now);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;

    #[test]
    fn records_are_bounded_and_the_oldest_give_way() {
        let mut flows = FlowRecorder::default();
        for height in 0..=BLOCK_FLOWS_MAX as u64 {
            note(&mut flows.block_mut(BlockNumber(height)).proposed, Millis(height));
        }
        assert_eq!(flows.block(BlockNumber(0)), None);
        assert_eq!(flows.block(BlockNumber(1)).unwrap().proposed, Some(Millis(1)));
        for number in 0..=TRANSACTION_FLOWS_MAX as u64 {
            flows.transaction_mut(B256::from(alloy_primitives::U256::from(number)));
        }
        let flow = |number| flows.transaction(B256::from(alloy_primitives::U256::from(number)));
        assert_eq!(flow(TRANSACTION_FLOWS_DROPPED - 1), None);
        assert!(flow(TRANSACTION_FLOWS_DROPPED).is_some());
        assert_eq!(flows.transactions.len(), TRANSACTION_FLOWS_MAX + 1 - TRANSACTION_FLOWS_DROPPED);
        assert_eq!(flows.order.len(), flows.transactions.len());
    }
}
