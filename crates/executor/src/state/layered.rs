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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccountChange, MemoryState};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const ACCOUNTS: u8 = 3;
    const SLOTS: u64 = 4;

    fn change() -> impl Strategy<Value = AccountChange> {
        let storage =
            prop::collection::btree_map((0..SLOTS).prop_map(U256::from), (0..3u64).prop_map(U256::from), 0..4);
        let account = (0..4u64, 0..2u8).prop_map(|(nonce, code)| AccountState {
            nonce,
            code_hash: B256::with_last_byte(code),
            ..AccountState::default()
        });
        prop_oneof![
            Just(AccountChange { account: None, storage_cleared: true, storage: BTreeMap::new() }),
            (account, any::<bool>(), storage).prop_map(|(account, storage_cleared, storage)| AccountChange {
                account: Some(account),
                storage_cleared,
                storage,
            }),
        ]
    }

    fn changes() -> impl Strategy<Value = StateChanges> {
        let accounts = prop::collection::btree_map((0..ACCOUNTS).prop_map(Address::repeat_byte), change(), 0..4);
        let codes = prop::collection::btree_map((0..2u8).prop_map(B256::with_last_byte), Just(Bytes::new()), 0..2);
        (accounts, codes).prop_map(|(accounts, codes)| StateChanges { accounts, codes })
    }

    proptest! {
        /// Whatever was cleared, deleted and written again, layers read as if they had been applied one by one.
        #[test]
        fn layers_read_as_if_applied(base in changes(), blocks in prop::collection::vec(changes(), 0..6)) {
            let mut flat = MemoryState::default();
            flat.apply(&base);
            flat.block_hashes.insert(0, B256::repeat_byte(0xff));
            let mut layered = LayeredState::new(Arc::new(flat.clone()));
            for (number, changes) in (1..).zip(blocks) {
                flat.apply(&changes);
                flat.block_hashes.insert(number, B256::from(U256::from(number)));
                layered = layered.with_block(number, B256::from(U256::from(number)), Arc::new(changes));
            }
            for address in (0..ACCOUNTS).map(Address::repeat_byte) {
                prop_assert_eq!(layered.account(address).unwrap(), flat.account(address).unwrap());
                for slot in (0..SLOTS).map(U256::from) {
                    prop_assert_eq!(layered.storage(address, slot).unwrap(), flat.storage(address, slot).unwrap());
                }
            }
            for hash in (0..2).map(B256::with_last_byte) {
                prop_assert_eq!(layered.code(hash).ok(), flat.code(hash).ok());
            }
            for number in 0..=flat.block_hashes.len() as u64 {
                prop_assert_eq!(layered.block_hash(number).ok(), flat.block_hash(number).ok());
            }
        }
    }
}
