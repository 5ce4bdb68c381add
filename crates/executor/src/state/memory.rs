//! A whole state in memory.

use super::{AccountState, StateChanges, StateError, StateReader};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use std::collections::BTreeMap;

/// An account with its storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryAccount {
    /// Nonce, balance and code hash.
    pub state: AccountState,
    /// The slots that are not zero.
    pub storage: BTreeMap<U256, U256>,
}

/// A whole state in memory, for tests, simulations and measurements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryState {
    /// All accounts.
    pub accounts: BTreeMap<Address, MemoryAccount>,
    /// All code, by its hash.
    pub codes: BTreeMap<B256, Bytes>,
    /// The hashes of blocks that `BLOCKHASH` may ask for, by height.
    pub block_hashes: BTreeMap<u64, B256>,
}

impl MemoryState {
    /// Stores code and returns its hash.
    pub fn insert_code(&mut self, code: Bytes) -> B256 {
        if code.is_empty() {
            return KECCAK256_EMPTY;
        }
        let hash = keccak256(&code);
        self.codes.insert(hash, code);
        hash
    }

    /// Puts an account with code into the state, in place of what was there.
    pub fn insert(
        &mut self,
        address: Address,
        nonce: u64,
        balance: U256,
        code: Bytes,
        storage: impl IntoIterator<Item = (U256, U256)>,
    ) {
        let code_hash = self.insert_code(code);
        let storage = storage.into_iter().filter(|(_, value)| !value.is_zero()).collect();
        let state = AccountState { nonce, balance, code_hash };
        self.accounts.insert(address, MemoryAccount { state, storage });
    }

    /// Applies what a block changed.
    pub fn apply(&mut self, changes: &StateChanges) {
        for (address, change) in &changes.accounts {
            let Some(state) = change.account else {
                self.accounts.remove(address);
                continue;
            };
            let account = self.accounts.entry(*address).or_default();
            account.state = state;
            if change.storage_cleared {
                account.storage.clear();
            }
            for (slot, value) in &change.storage {
                if value.is_zero() {
                    account.storage.remove(slot);
                } else {
                    account.storage.insert(*slot, *value);
                }
            }
        }
        self.codes.extend(changes.codes.iter().map(|(hash, code)| (*hash, code.clone())));
    }

    /// The changes that make this state out of an empty one: what a trie of it is built from.
    #[must_use]
    pub fn as_changes(&self) -> StateChanges {
        let change = |account: &MemoryAccount| super::AccountChange {
            account: Some(account.state),
            storage_cleared: false,
            storage: account.storage.clone(),
        };
        let accounts = self.accounts.iter().map(|(address, account)| (*address, change(account))).collect();
        StateChanges { accounts, codes: self.codes.clone() }
    }
}

impl StateReader for MemoryState {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        Ok(self.accounts.get(&address).map(|account| account.state))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        let value = self.accounts.get(&address).and_then(|account| account.storage.get(&slot));
        Ok(value.copied().unwrap_or_default())
    }

    fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        if hash == KECCAK256_EMPTY {
            return Ok(Bytes::new());
        }
        self.codes.get(&hash).cloned().ok_or_else(|| StateError::new(format!("no code with hash {hash}")))
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.block_hashes.get(&number).copied().ok_or_else(|| StateError::new(format!("no block {number}")))
    }
}
