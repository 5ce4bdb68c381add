//! A state with the changes of some blocks on top.

use super::{AccountState, StateChanges, StateError, StateReader};
use alloy_primitives::{Address, B256, Bytes, U256};
use std::sync::Arc;

/// The changes of one block, with its place in the chain.
#[derive(Clone)]
struct Layer {
    number: u64,
    hash: B256,
    changes: Arc<StateChanges>,
}

/// A base state and the changes of the blocks after it, newest first. Cheap to clone: everything is shared.
#[derive(Clone)]
pub struct LayeredState {
    base: Arc<dyn StateReader>,
    layers: Vec<Layer>,
}

impl LayeredState {
    /// A state without layers yet.
    #[must_use]
    pub const fn new(base: Arc<dyn StateReader>) -> Self {
        Self { base, layers: Vec::new() }
    }

    /// This state with the changes of one more block, the newest.
    #[must_use]
    pub fn with_block(&self, number: u64, hash: B256, changes: Arc<StateChanges>) -> Self {
        let mut layers = Vec::with_capacity(self.layers.len().saturating_add(1));
        layers.push(Layer { number, hash, changes });
        layers.extend(self.layers.iter().cloned());
        Self { base: Arc::clone(&self.base), layers }
    }

    /// How many blocks lie on top of the base.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.layers.len()
    }

    /// The changes of the blocks on top of the base, newest first.
    pub fn layers(&self) -> impl Iterator<Item = &Arc<StateChanges>> {
        self.layers.iter().map(|layer| &layer.changes)
    }
}

impl StateReader for LayeredState {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        match self.layers().find_map(|changes| changes.accounts.get(&address)) {
            Some(change) => Ok(change.account),
            None => self.base.account(address),
        }
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        for change in self.layers().filter_map(|changes| changes.accounts.get(&address)) {
            if let Some(value) = change.storage.get(&slot) {
                return Ok(*value);
            }
            if change.storage_cleared || change.account.is_none() {
                return Ok(U256::ZERO);
            }
        }
        self.base.storage(address, slot)
    }

    fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        match self.layers().find_map(|changes| changes.codes.get(&hash)) {
            Some(code) => Ok(code.clone()),
            None => self.base.code(hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        match self.layers.iter().find(|layer| layer.number == number) {
            Some(layer) => Ok(layer.hash),
            None => self.base.block_hash(number),
        }
    }
}
