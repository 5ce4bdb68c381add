//! Checking the view against what the log gives.

use crate::block_record::StoredBlock;
use crate::index::{self, TransactionPlace, ViewState};
use crate::key::{Key, Table};
use crate::ledger::{LedgerError, trie_hasher};
use crate::log::Location;
use crate::view::{View, ViewNodes};
use alloy_primitives::{Address, B256, U256};
use lian_crypto::Suite;
use lian_executor::{AccountState, MemoryState};
use lian_trie::{Account, Direction, Nibbles, StateTrie, Trie, TrieError};
use std::ops::ControlFlow;
use std::sync::Arc;

/// A view and how far it is.
pub(super) struct ViewCheck {
    view: Arc<dyn View>,
    state: ViewState,
}

impl ViewCheck {
    /// The check of a view; `None` if it is empty.
    pub(super) fn new(view: Arc<dyn View>) -> Result<Option<Self>, LedgerError> {
        Ok(ViewState::read(&*view)?.map(|state| Self { view, state }))
    }

    /// The height that the view is at.
    pub(super) const fn height(&self) -> u64 {
        self.state.height
    }

    /// Checks the indexes of a block.
    pub(super) fn block(
        &self,
        location: Location,
        stored: &StoredBlock,
        problems: &mut Vec<String>,
    ) -> Result<(), LedgerError> {
        let number = stored.number();
        if number > self.state.height {
            return Ok(());
        }
        let block = self.view.get(&Key::block(number))?.and_then(|bytes| index::decode_block(&bytes));
        if block != Some((location, stored.hash)) {
            problems.push("the view does not have its place and hash".to_owned());
        }
        let by_hash = self.view.get(&Key::hash(stored.hash))?.and_then(|bytes| index::decode_number(&bytes));
        if by_hash != Some(number) {
            problems.push("the view does not find it by its hash".to_owned());
        }
        for (index, transaction) in (0u32..).zip(&stored.block.transactions) {
            let hash = transaction.hash();
            let place = self.view.get(&Key::transaction(hash))?.and_then(|bytes| index::decode_place(&bytes));
            if place != Some(TransactionPlace { block: number, index }) {
                problems.push(format!("the view does not have the place of transaction {hash}"));
            }
        }
        if number == self.state.height && stored.hash != self.state.hash {
            problems.push(format!("the view says that it is at {}, the log has {}", self.state.hash, stored.hash));
        }
        Ok(())
    }

    /// Checks accounts, storage, code and trie at the block that the view is at.
    pub(super) fn state(
        &self,
        suite: Suite,
        model: &MemoryState,
        stored: &StoredBlock,
        problems: &mut Vec<String>,
    ) -> Result<(), LedgerError> {
        self.accounts(model, problems)?;
        self.slots(model, problems)?;
        for hash in model.accounts.values().map(|account| account.state).filter(AccountState::has_code) {
            let hash = hash.code_hash;
            let code = self.view.get(&Key::code(hash))?;
            if code.map(|code| suite.hash(&code)) != Some(hash) {
                problems.push(format!("the view does not have the code {hash}"));
            }
        }
        if let Err(error) = self.trie(suite, stored.block.header.state_root) {
            problems.push(format!("the view's trie: {error}"));
        }
        Ok(())
    }

    fn accounts(&self, model: &MemoryState, problems: &mut Vec<String>) -> Result<(), LedgerError> {
        let mut count = 0;
        self.view.scan(Table::Accounts, &[], &mut |key, value| {
            count += 1;
            let address = Address::try_from(key).unwrap_or_default();
            let expected = model.accounts.get(&address).map(|account| account.state);
            if expected.is_none() || borsh::from_slice::<AccountState>(value).ok() != expected {
                problems.push(format!("the view has another account {address} than the log gives"));
            }
            ControlFlow::Continue(())
        })?;
        if count != model.accounts.len() {
            problems.push(format!("the view has {count} accounts, the log gives {}", model.accounts.len()));
        }
        Ok(())
    }

    fn slots(&self, model: &MemoryState, problems: &mut Vec<String>) -> Result<(), LedgerError> {
        let mut count = 0;
        self.view.scan(Table::Storage, &[], &mut |key, value| {
            count += 1;
            let (address, slot) = key.split_at_checked(Address::len_bytes()).unwrap_or_default();
            let address = Address::try_from(address).unwrap_or_default();
            let slot = U256::try_from_be_slice(slot).unwrap_or_default();
            let expected = model.accounts.get(&address).and_then(|account| account.storage.get(&slot)).copied();
            if expected.is_none() || U256::try_from_be_slice(value) != expected {
                problems.push(format!("the view has another value of {address}'s slot {slot} than the log gives"));
            }
            ControlFlow::Continue(())
        })?;
        let expected: usize = model.accounts.values().map(|account| account.storage.len()).sum();
        if count != expected {
            problems.push(format!("the view has {count} storage slots, the log gives {expected}"));
        }
        Ok(())
    }

    /// Walks over every node that the state root leads to.
    fn trie(&self, suite: Suite, root: B256) -> Result<(), TrieError> {
        let hasher = trie_hasher(suite);
        let source = ViewNodes(&*self.view);
        let mut storage = Vec::new();
        let accounts = StateTrie::at_root(hasher, root);
        accounts.accounts().visit(&source, &Nibbles::EMPTY, Direction::Up, &mut |key, value| {
            if let Ok(account) = Account::decode(value)
                && account.storage_root != hasher.empty_root()
            {
                storage.push((key, account.storage_root));
            }
            ControlFlow::Continue(())
        })?;
        for (owner, root) in storage {
            let owner = owner.to_bytes().map(B256::from_slice);
            let trie = Trie::at_root(hasher, owner, root);
            trie.visit(&source, &Nibbles::EMPTY, Direction::Up, &mut |_, _| ControlFlow::Continue(()))?;
        }
        Ok(())
    }
}
