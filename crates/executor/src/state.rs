//! The door to state, and what a block changes in it.

mod layered;
mod memory;

pub use layered::LayeredState;
pub use memory::{MemoryAccount, MemoryState};

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use borsh::{BorshDeserialize, BorshSerialize};
use lian_trie::{AccountLeaf, AccountUpdate};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// An account without its storage and code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AccountState {
    /// How many transactions it has sent; of a contract, how many contracts it has created plus one.
    pub nonce: u64,
    /// Its balance, in wei.
    pub balance: U256,
    /// The hash of its code; of an account without code, the hash of nothing.
    pub code_hash: B256,
}

impl Default for AccountState {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY }
    }
}

impl AccountState {
    /// Whether EIP-161 counts it as empty: nonce and balance zero and no code.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && !self.has_code()
    }

    /// Whether it has code.
    #[must_use]
    pub fn has_code(&self) -> bool {
        self.code_hash != KECCAK256_EMPTY && !self.code_hash.is_zero()
    }
}

/// A failure to read state. It says nothing about the transaction that was running: whoever sees it must stop.
#[derive(Debug, thiserror::Error)]
#[error("state cannot be read: {0}")]
pub struct StateError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl StateError {
    /// Wraps the store's own error.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

impl revm::database_interface::DBErrorMarker for StateError {}

/// The state of a chain after one of its blocks.
pub trait StateReader: Send + Sync {
    /// The account at an address, or `None` where there is none.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot tell.
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError>;

    /// The value of a storage slot, zero where nothing was stored.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot tell.
    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError>;

    /// The code with this hash; the hash of nothing gives no bytes.
    ///
    /// # Errors
    /// [`StateError`] when the store fails or has no such code.
    fn code(&self, hash: B256) -> Result<Bytes, StateError>;

    /// The hash of the block at a height, for the opcode `BLOCKHASH`. Asked for the last 256 heights only.
    ///
    /// # Errors
    /// [`StateError`] when the store fails or has no such block.
    fn block_hash(&self, number: u64) -> Result<B256, StateError>;
}

/// What became of one account.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AccountChange {
    /// The account afterwards; `None` if it is gone, and its storage with it.
    pub account: Option<AccountState>,
    /// Whether all storage from before is gone. What `storage` lists stands on top of that.
    pub storage_cleared: bool,
    /// The new values of changed slots; zero means that the slot is gone.
    pub storage: BTreeMap<U256, U256>,
}

/// Everything that a block changed: only what differs afterwards, in the order of addresses and slots.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StateChanges {
    /// The accounts that differ.
    pub accounts: BTreeMap<Address, AccountChange>,
    /// The code that these accounts received, by its hash.
    pub codes: BTreeMap<B256, Bytes>,
}

impl StateChanges {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.codes.is_empty()
    }

    /// Adds the changes of transactions that read nothing that these have changed, and forgot no storage.
    pub(crate) fn add_independent(&mut self, others: Self) {
        let accounts = std::mem::take(&mut self.accounts);
        self.accounts = merge(accounts, others.accounts, |change, other| AccountChange {
            account: other.account,
            storage_cleared: change.storage_cleared,
            storage: merge(change.storage, other.storage, |_, other| other),
        });
        self.codes.extend(others.codes);
    }

    /// The changes as the trie takes them.
    #[must_use]
    pub fn trie_updates(&self) -> Vec<AccountUpdate> {
        let leaf = |state: AccountState| AccountLeaf {
            nonce: state.nonce,
            balance: state.balance,
            code_hash: state.code_hash,
        };
        let update = |(address, change): (&Address, &AccountChange)| AccountUpdate {
            address: *address,
            account: change.account.map(leaf),
            storage_cleared: change.storage_cleared,
            storage: change.storage.iter().map(|(slot, value)| (*slot, *value)).collect(),
        };
        self.accounts.iter().map(update).collect()
    }
}

/// Both maps, in time that grows with their sum; `both` makes one value of two.
fn merge<K: Ord, V>(one: BTreeMap<K, V>, other: BTreeMap<K, V>, both: impl Fn(V, V) -> V) -> BTreeMap<K, V> {
    let (mut one, mut other) = (one.into_iter().peekable(), other.into_iter().peekable());
    let next = || match (one.peek(), other.peek()) {
        (Some((left, _)), Some((right, _))) => match left.cmp(right) {
            Ordering::Less => one.next(),
            Ordering::Greater => other.next(),
            Ordering::Equal => one.next().zip(other.next()).map(|((key, left), (_, right))| (key, both(left, right))),
        },
        (Some(_), None) => one.next(),
        (None, _) => other.next(),
    };
    std::iter::from_fn(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decoding_changes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = borsh::from_slice::<StateChanges>(&bytes);
        }
    }
}
