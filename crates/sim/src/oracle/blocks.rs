//! One block and one root for each height, on all nodes and over all crashes.

use super::Seen;
use crate::{chain::Chain, event::NodeId};
use alloy_primitives::B256;
use lian_ledger::Head;
use std::{collections::BTreeMap, ops::RangeInclusive};

/// The chain that all nodes must have.
pub(crate) struct Blocks {
    /// Hash and state root by height, from height 1 on.
    chain: Vec<(B256, B256)>,
    genesis: B256,
    /// The greatest height that each node has told its clients.
    told: BTreeMap<NodeId, u64>,
    /// How many nodes there are.
    nodes: usize,
}

impl Blocks {
    pub(crate) fn new(chain: &Chain) -> Self {
        Self { chain: Vec::new(), genesis: chain.info.genesis_hash, told: BTreeMap::new(), nodes: chain.nodes.len() }
    }

    /// The greatest height that is final anywhere.
    pub(crate) fn height(&self) -> u64 {
        self.chain.len() as u64
    }

    /// The greatest height that every node has told its clients.
    pub(crate) fn height_of_all(&self) -> u64 {
        if self.told.len() < self.nodes { 0 } else { self.told.values().copied().min().unwrap_or(0) }
    }

    /// The hash of a height.
    pub(crate) fn hash(&self, height: u64) -> Option<B256> {
        match height.checked_sub(1) {
            None => Some(self.genesis),
            Some(position) => self.chain.get(usize::try_from(position).ok()?).map(|(hash, _)| *hash),
        }
    }

    /// The greatest height that a node has told its clients.
    pub(crate) fn told(&self, node: NodeId) -> u64 {
        self.told.get(&node).copied().unwrap_or(0)
    }

    /// A node tells its clients of a block.
    pub(crate) fn stored(&mut self, node: NodeId, seen: &Seen) -> Result<(), String> {
        let header = &seen.block.header;
        let (height, found) = (header.number, (seen.hash, header.state_root));
        let told = self.told.entry(node).or_default();
        if height != *told + 1 && height > *told {
            return Err(format!("it follows block {told}"));
        }
        *told = height.max(*told);
        let Some(position) = height.checked_sub(1).and_then(|position| usize::try_from(position).ok()) else {
            return Err("it stands in the place of the genesis block".to_owned());
        };
        match self.chain.get(position) {
            Some(known) if *known == found => Ok(()),
            Some(known) => Err(format!("hash and root are {found:?}, another node has {known:?}")),
            None if position == self.chain.len() => {
                if self.hash(height - 1) != Some(header.parent_hash) {
                    return Err(format!("its parent is {}", header.parent_hash));
                }
                self.chain.push(found);
                Ok(())
            }
            None => Err(format!("nobody has block {}", height - 1)),
        }
    }

    /// A node's disk has lost what came after a height.
    pub(crate) fn cut(&mut self, node: NodeId, height: u64) {
        self.told.entry(node).and_modify(|told| *told = height.min(*told));
    }

    /// A node's disk was emptied: it begins anew.
    pub(crate) fn emptied(&mut self, node: NodeId) {
        self.told.remove(&node);
    }

    /// A node starts from what its disk holds. Returns the heights that were written and that nobody was told of.
    pub(crate) fn restarted(&self, node: NodeId, head: &Head) -> Result<RangeInclusive<u64>, String> {
        let told = self.told(node);
        if head.number.0 < told {
            return Err(format!("starts at height {}, but its clients were told of {told}", head.number));
        }
        match self.hash(head.number.0) {
            Some(hash) if hash != head.hash => {
                Err(format!("starts with block {} {}, others have {hash}", head.number, head.hash))
            }
            _ => Ok(told + 1..=head.number.0),
        }
    }
}
