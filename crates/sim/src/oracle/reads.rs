//! What clients may read, and that no node's answers go back.

use super::{Model, Seen};
use crate::{event::NodeId, node::Reading, wallet};
use lian_ledger::Ledger;
use lian_types::BlockNumber;
use std::collections::{BTreeMap, VecDeque};

/// Models of past blocks that are kept, for reads of nodes that are behind.
const MODELS_MAX: usize = 512;

/// What clients read.
pub(crate) struct Reads {
    /// The accounts after each of the newest blocks.
    models: VecDeque<(u64, Model)>,
    /// The height of the last answer of each node.
    seen: BTreeMap<NodeId, u64>,
}

impl Default for Reads {
    fn default() -> Self {
        Self { models: VecDeque::from([(0, Model::default())]), seen: BTreeMap::new() }
    }
}

impl Reads {
    /// The accounts after the newest block.
    pub(crate) fn newest(&self) -> Model {
        self.models.back().map(|(_, model)| model.clone()).unwrap_or_default()
    }

    /// The accounts after a block.
    pub(crate) fn at(&self, height: u64) -> Option<&Model> {
        let (first, _) = self.models.front()?;
        self.models.get(usize::try_from(height.checked_sub(*first)?).ok()?).map(|(_, model)| model)
    }

    /// A new block: its transactions follow from what the accounts own, nothing is made or lost, and the ledger says the
    /// same. Returns how many transactions of its proposal it skips.
    pub(crate) fn advance(&mut self, seen: &Seen, ledger: &Ledger) -> Result<usize, String> {
        let height = seen.height();
        let mut model = self.newest();
        let state = ledger.state_at(BlockNumber(height)).map_err(|error| error.to_string())?;
        let mut touched = Vec::new();
        for transaction in &seen.block.transactions {
            let name = wallet::name_of(transaction.hash()).ok_or("a transaction that no client made")?;
            model.apply(name)?;
            touched.extend(Model::touched(name));
        }
        if !model.is_conserved() {
            return Err("value was made or lost".to_owned());
        }
        for account in touched {
            let (found, expected) = (Reading::of(state.as_ref(), account)?, model.reading(account));
            if found != expected {
                return Err(format!("account {account} has {found:?} after it, must have {expected:?}"));
            }
        }
        self.models.push_back((height, model));
        if self.models.len() > MODELS_MAX {
            self.models.pop_front();
        }
        Ok(seen.block.extension.skipped.len())
    }

    /// A node's disk has lost what came after a height.
    pub(crate) fn cut(&mut self, node: NodeId, height: u64) {
        self.seen.entry(node).and_modify(|seen| *seen = height.min(*seen));
    }

    /// A node's disk was emptied: it begins anew.
    pub(crate) fn emptied(&mut self, node: NodeId) {
        self.seen.remove(&node);
    }

    /// A node answers a read.
    pub(crate) fn answered(
        &mut self,
        node: NodeId,
        height: BlockNumber,
        account: usize,
        found: Reading,
    ) -> Result<(), String> {
        let seen = self.seen.entry(node).or_default();
        if height.0 < *seen {
            return Err(format!("answers at height {height}, before it answered at {seen}"));
        }
        *seen = height.0;
        match self.at(height.0) {
            Some(model) if model.reading(account) != found => {
                Err(format!("account {account} has {found:?} at {height}, must have {:?}", model.reading(account)))
            }
            _ => Ok(()),
        }
    }
}
