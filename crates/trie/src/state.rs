//! The state of a chain: the trie of accounts, with a storage trie under each account that has storage.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rlp::Decodable;
use rayon::prelude::*;

use crate::node::{self, DecodeError, LeafData};
use crate::trie::PlainEdit;
use crate::update::{Edit, Effects, Keyed, PARALLEL_WEIGHT_MIN, Walker};
use crate::{Hasher, Nibbles, NodeChange, NodeChanges, NodeSource, Owner, Trie, TrieError};

/// An account without its storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountLeaf {
    /// The number of transactions sent, or of contracts created by a contract.
    pub nonce: u64,
    /// In the smallest unit of the chain's coin.
    pub balance: U256,
    /// The hash of the code; that of no bytes if there is none.
    pub code_hash: B256,
}

impl AccountLeaf {
    /// What the trie of accounts holds: the RLP of `[nonce, balance, storage root, code hash]` (yellow paper, section
    /// 4.1).
    #[must_use]
    pub fn rlp(&self, storage_root: B256) -> Vec<u8> {
        node::encode_account(self.nonce, self.balance, storage_root, self.code_hash)
    }
}

/// An account as the trie has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Everything but the storage.
    pub leaf: AccountLeaf,
    /// The root of the account's storage trie.
    pub storage_root: B256,
}

impl Account {
    /// The account in the value of a leaf of the trie of accounts.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no account.
    pub fn decode(rlp: &[u8]) -> Result<Self, DecodeError> {
        let (nonce, balance, storage_root, code_hash) = node::decode_account(rlp)?;
        Ok(Self { leaf: AccountLeaf { nonce, balance, code_hash }, storage_root })
    }
}

/// What a block changes in one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountUpdate {
    /// Whose account.
    pub address: Address,
    /// The account after the block; `None` if it no longer exists, and then its storage goes too.
    pub account: Option<AccountLeaf>,
    /// Whether all of the old storage is gone before `storage` applies.
    pub storage_cleared: bool,
    /// Slots with their new values, in any order, each at most once; zero deletes.
    pub storage: Vec<(U256, U256)>,
}

/// What an update changes in the store: the nodes of the trie of accounts, and those of storage tries by hashed address,
/// each owner at most once, in increasing order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateNodeChanges {
    /// The trie of accounts.
    pub accounts: NodeChanges,
    /// The storage tries that changed, by the hashed address of the account.
    pub storage: Vec<(B256, NodeChanges)>,
}

impl StateNodeChanges {
    /// All changes with their owners.
    pub fn iter(&self) -> impl Iterator<Item = (Owner, &NodeChange)> {
        let storage = self.storage.iter().map(|(owner, changes)| (Some(*owner), changes));
        std::iter::once((None, &self.accounts))
            .chain(storage)
            .flat_map(|(owner, changes)| changes.iter().map(move |change| (owner, change)))
    }

    /// The number of changed paths.
    #[must_use]
    pub fn len(&self) -> usize {
        self.accounts.len() + self.storage.iter().map(|(_, changes)| changes.len()).sum::<usize>()
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An account or its absence with the proof of it, and of some of its storage: the content of `eth_getProof`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// The account; `None` if the proof shows that there is none.
    pub account: Option<Account>,
    /// The nodes from the state root towards the account.
    pub proof: Vec<Bytes>,
    /// The slots that were asked for, in that order.
    pub storage: Vec<StorageProof>,
}

/// A slot with the proof of its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageProof {
    /// Which slot.
    pub slot: U256,
    /// Its value; zero if the proof shows that there is none.
    pub value: U256,
    /// The nodes from the storage root towards the slot; none if the account has no storage.
    pub proof: Vec<Bytes>,
}

/// The authenticated state after a block. Like [`Trie`] it never changes and is cheap to clone.
#[derive(Clone, Debug)]
pub struct StateTrie {
    accounts: Trie,
}

impl StateTrie {
    /// The state without accounts.
    #[must_use]
    pub const fn empty(hasher: Hasher) -> Self {
        Self { accounts: Trie::empty(hasher, None) }
    }

    /// The state with this root, none of it in memory.
    #[must_use]
    pub fn at_root(hasher: Hasher, root: B256) -> Self {
        Self { accounts: Trie::at_root(hasher, None, root) }
    }

    /// The state root.
    #[must_use]
    pub fn root(&self) -> B256 {
        self.accounts.root()
    }

    /// The number of nodes in memory, those of storage tries included.
    #[must_use]
    pub const fn loaded_nodes(&self) -> usize {
        self.accounts.loaded_nodes()
    }

    /// The trie of accounts by hashed address.
    #[must_use]
    pub const fn accounts(&self) -> &Trie {
        &self.accounts
    }

    /// Applies what a block changes: each address at most once, in any order. `generation` is the block's number (see
    /// [`Trie::update`]). Returns the new state and what to change in the store.
    ///
    /// # Errors
    /// [`TrieError`] if an address or slot occurs twice or a node cannot be read; this state stays as it is.
    pub fn apply(
        &self,
        source: &dyn NodeSource,
        generation: u64,
        updates: &[AccountUpdate],
    ) -> Result<(Self, StateNodeChanges), TrieError> {
        let hasher = self.accounts.hasher;
        let edit = |update| AccountEdit::new(hasher, update);
        let mut edits: Vec<_> = if updates.len() < PARALLEL_WEIGHT_MIN {
            updates.iter().map(edit).collect()
        } else {
            updates.par_iter().map(edit).collect()
        };
        edits.sort_unstable_by_key(|edit| edit.key);
        if let Some(address) = edits.windows(2).find_map(|pair| match pair {
            [a, b] if a.key == b.key => Some(a.update.address),
            _ => None,
        }) {
            return Err(TrieError::Duplicate { address });
        }
        let mut effects = Effects::default();
        let accounts = self.accounts.edit(source, generation, &mut edits, &mut effects)?;
        let mut storage = std::mem::take(&mut effects.storage);
        storage.sort_unstable_by_key(|(owner, _)| *owner);
        Ok((Self { accounts }, StateNodeChanges { accounts: NodeChanges::new(effects.into_nodes()), storage }))
    }

    /// The same state with less of it in memory; see [`Trie::evict`].
    #[must_use]
    pub fn evict(&self, max_loaded_nodes: usize, flushed: u64) -> Self {
        Self { accounts: self.accounts.evict(max_loaded_nodes, flushed) }
    }

    /// The account at `address`.
    ///
    /// # Errors
    /// [`TrieError`] if a node cannot be read or the leaf is no account.
    pub fn account(&self, source: &dyn NodeSource, address: Address) -> Result<Option<Account>, TrieError> {
        Ok(self.prove(source, address, &[])?.account)
    }

    /// The account at `address` and the values of `slots` with their proofs, which show absence as well.
    ///
    /// # Errors
    /// [`TrieError`] if a node cannot be read or a leaf holds no account or no number.
    pub fn prove(&self, source: &dyn NodeSource, address: Address, slots: &[U256]) -> Result<AccountProof, TrieError> {
        let hasher = self.accounts.hasher;
        let owner = hasher.hash(address.as_slice());
        let key = Nibbles::from(owner);
        let (data, proof) = self.accounts.find_with_proof(source, &key)?;
        let walker = self.accounts.walker(source, 0);
        let (account, trie) = match &data {
            Some(data) => {
                let account = Account::decode(&data.value).map_err(|error| walker.malformed(&key, error))?;
                (Some(account), storage_trie(data, &account, hasher, owner))
            }
            None => (None, Trie::empty(hasher, Some(owner))),
        };
        let prove_slot = |slot: &U256| {
            let key = slot_key(hasher, *slot);
            let (data, proof) = trie.find_with_proof(source, &key)?;
            let value = data.map_or(Ok(U256::ZERO), |data| decode_slot(&data.value));
            let value = value.map_err(|error| trie.walker(source, 0).malformed(&key, error))?;
            Ok(StorageProof { slot: *slot, value, proof })
        };
        let storage = slots.iter().map(prove_slot).collect::<Result<_, TrieError>>()?;
        Ok(AccountProof { account, proof, storage })
    }
}

/// The storage trie of an account: the one in memory, which may be ahead of the store, or the one with its root.
fn storage_trie(data: &LeafData, account: &Account, hasher: Hasher, owner: B256) -> Trie {
    match &data.storage {
        Some(storage) => Trie::clone(storage),
        None => Trie::at_root(hasher, Some(owner), account.storage_root),
    }
}

/// The key of a storage slot: the hash of its 32 bytes.
fn slot_key(hasher: Hasher, slot: U256) -> Nibbles {
    hasher.hash(&slot.to_be_bytes::<32>()).into()
}

fn decode_slot(mut rlp: &[u8]) -> Result<U256, DecodeError> {
    let value = U256::decode(&mut rlp)?;
    if rlp.is_empty() { Ok(value) } else { Err(DecodeError::Trailing(rlp.len())) }
}

/// One account's update as an edit of the trie of accounts: its storage trie is updated when the walk comes to its
/// leaf, so that many storage tries are worked on in parallel and each is found without a search of its own.
struct AccountEdit<'a> {
    key: Nibbles,
    update: &'a AccountUpdate,
}

impl Keyed for AccountEdit<'_> {
    fn key(&self) -> &Nibbles {
        &self.key
    }

    fn weight(&self) -> usize {
        1 + self.update.storage.len()
    }
}

impl Edit for AccountEdit<'_> {
    fn deletes(&self) -> bool {
        self.update.account.is_none()
    }

    fn put(
        &mut self,
        walker: &Walker<'_>,
        old: Option<&LeafData>,
        effects: &mut Effects,
    ) -> Result<Option<LeafData>, TrieError> {
        let Some(account) = &self.update.account else { return Ok(None) };
        let before = self.old_storage(walker, old)?;
        let (after, changes) = self.update_storage(walker, &before)?;
        let value = account.rlp(after.root());
        if old.is_some_and(|old| *old.value == *value) {
            return Ok(None);
        }
        self.report(&before, after.loaded, changes, effects);
        let storage = (!after.is_empty()).then(|| Arc::new(after));
        Ok(Some(LeafData { value: value.as_slice().into(), storage }))
    }

    fn removed(&mut self, walker: &Walker<'_>, old: &LeafData, effects: &mut Effects) -> Result<(), TrieError> {
        let before = self.old_storage(walker, Some(old))?;
        let changes = before.stored_paths(walker.source)?.into_iter().map(NodeChange::deletion).collect();
        self.report(&before, 0, changes, effects);
        Ok(())
    }
}

impl<'a> AccountEdit<'a> {
    fn new(hasher: Hasher, update: &'a AccountUpdate) -> Self {
        Self { key: hasher.hash(update.address.as_slice()).into(), update }
    }

    /// The hashed address.
    fn owner(&self) -> B256 {
        B256::left_padding_from(self.key.packed())
    }

    fn old_storage(&self, walker: &Walker<'_>, old: Option<&LeafData>) -> Result<Trie, TrieError> {
        let Some(old) = old else { return Ok(Trie::empty(walker.hasher, Some(self.owner()))) };
        let account = Account::decode(&old.value).map_err(|error| walker.malformed(&self.key, error))?;
        Ok(storage_trie(old, &account, walker.hasher, self.owner()))
    }

    /// The storage after the update, and the changes to its nodes.
    fn update_storage(&self, walker: &Walker<'_>, before: &Trie) -> Result<(Trie, Vec<NodeChange>), TrieError> {
        let mut effects = Effects::default();
        let mut edits = self.slot_edits(walker.hasher)?;
        if !self.update.storage_cleared || before.is_empty() {
            let after = before.edit(walker.source, walker.generation, &mut edits, &mut effects)?;
            return Ok((after, effects.into_nodes()));
        }
        let empty = Trie::empty(walker.hasher, before.owner);
        let after = empty.edit(walker.source, walker.generation, &mut edits, &mut effects)?;
        let cleared = before.stored_paths(walker.source)?.into_iter().map(NodeChange::deletion);
        // What stood there before is not known of what is built anew: the trie that built it was empty.
        let changes: BTreeMap<_, _> = cleared.chain(effects.into_nodes()).map(|change| (change.path, change)).collect();
        Ok((after, changes.into_values().collect()))
    }

    fn slot_edits(&self, hasher: Hasher) -> Result<Vec<PlainEdit>, TrieError> {
        let slots = &self.update.storage;
        let edit = |(slot, value): &(U256, U256)| {
            let rlp = alloy_rlp::encode_fixed_size(value);
            PlainEdit::new(slot_key(hasher, *slot), if value.is_zero() { &[] } else { &rlp })
        };
        let mut edits: Vec<_> = if slots.len() < PARALLEL_WEIGHT_MIN {
            slots.iter().map(edit).collect()
        } else {
            slots.par_iter().map(edit).collect()
        };
        edits.sort_unstable_by_key(|edit| *edit.key());
        let is_double = |pair: &[PlainEdit]| matches!(pair, [a, b] if a.key() == b.key());
        if edits.windows(2).any(is_double) {
            return Err(TrieError::Duplicate { address: self.update.address });
        }
        Ok(edits)
    }

    fn report(&self, before: &Trie, loaded: usize, changes: Vec<NodeChange>, effects: &mut Effects) {
        let held = |nodes| isize::try_from(nodes).unwrap_or(isize::MAX);
        effects.loaded += held(loaded) - held(before.loaded);
        if !changes.is_empty() {
            effects.storage.push((self.owner(), NodeChanges::new(changes)));
        }
    }
}
