//! Loading a snapshot's state into an empty view, with its trie computed anew.

use super::{Manifest, SnapshotEntry, SnapshotError, SnapshotFolder};
use crate::block_record::StoredBlock;
use crate::key::Key;
use crate::ledger::trie_hasher;
use crate::verify::check_roots;
use crate::view::{View, ViewNodes, Write};
use alloy_primitives::{Address, B256, U256};
use lian_crypto::Suite;
use lian_executor::AccountState;
use lian_trie::{AccountLeaf, AccountUpdate, StateTrie};
use lian_types::{Block, BlockNumber, Receipt, Transaction, limits};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Entries that are written to the view together.
const BATCH_ENTRIES: usize = 20_000;
/// Most memory for the transactions and receipts of the block, in bytes: what a block's gas pays for in logs.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What a snapshot has beside the state.
pub(crate) struct Contents {
    /// The block after which the state is.
    pub(crate) block: StoredBlock,
    /// Accounts in the state.
    pub(crate) accounts: u64,
}

/// Checks every chunk of a snapshot whose manifest was verified, writes its state with the trie's nodes to a view that has
/// none, and checks the state root. The view says nothing about itself yet.
pub(crate) fn load(
    folder: &SnapshotFolder,
    manifest: &Manifest,
    suite: Suite,
    view: &dyn View,
    progress: &mut dyn FnMut(u32),
) -> Result<Contents, SnapshotError> {
    let height = manifest.height();
    let mut loader = Loader::new(suite, height, view);
    for (index, info) in (0u32..).zip(&manifest.chunks) {
        let bytes = folder.checked_chunk(suite, height, index, info)?;
        for entry in SnapshotEntry::read_all(&bytes) {
            let fail = |reason: String| SnapshotError::Chunk { height, index, reason };
            let entry = entry.map_err(|error| fail(error.to_string()))?;
            loader.take(entry, bytes.len()).map_err(|error| match error {
                Refused::Entry(reason) => fail(reason),
                Refused::Failed(error) => error,
            })?;
        }
        progress(index.saturating_add(1));
    }
    loader.finish(manifest)
}

/// Why an entry was not taken.
enum Refused {
    /// It is not what comes next.
    Entry(String),
    /// It could not be stored.
    Failed(SnapshotError),
}

impl<E: Into<SnapshotError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Where in the order of entries a snapshot is: the kind, and the last key of it.
type Position = (u8, B256, U256);

struct Loader<'a> {
    suite: Suite,
    height: BlockNumber,
    view: &'a dyn View,
    transactions: Vec<Arc<Transaction>>,
    receipts: Vec<Receipt>,
    body_bytes: usize,
    last: Option<Position>,
    accounts: u64,
    /// The account whose slots come now.
    owner: Option<(Address, AccountState)>,
    /// Codes that accounts have and that are still to come.
    codes: BTreeSet<B256>,
    trie: StateTrie,
    /// Counts batches, so that the trie's nodes of earlier ones, which the view has, may leave memory.
    generation: u64,
    writes: Vec<Write>,
    updates: Vec<AccountUpdate>,
    entries: usize,
}

impl<'a> Loader<'a> {
    fn new(suite: Suite, height: BlockNumber, view: &'a dyn View) -> Self {
        Self {
            suite,
            height,
            view,
            transactions: Vec::new(),
            receipts: Vec::new(),
            body_bytes: 0,
            last: None,
            accounts: 0,
            owner: None,
            codes: BTreeSet::new(),
            trie: StateTrie::empty(trie_hasher(suite)),
            generation: 1,
            writes: Vec::new(),
            updates: Vec::new(),
            entries: 0,
        }
    }

    fn take(&mut self, entry: SnapshotEntry, chunk: usize) -> Result<(), Refused> {
        self.keep_order(&entry)?;
        match entry {
            SnapshotEntry::Transaction(transaction) => {
                self.count_body(transaction.encoded().len(), chunk)?;
                self.transactions.push(Arc::from(transaction));
            }
            SnapshotEntry::Receipt(receipt) => {
                let logs = receipt.logs.iter().map(|log| log.data.data.len().saturating_add(256));
                self.count_body(logs.fold(256, usize::saturating_add), chunk)?;
                self.receipts.push(receipt);
            }
            SnapshotEntry::Account { address, state } => self.account(address, state),
            SnapshotEntry::Slot { address, slot, value } => self.slot(address, slot, value)?,
            SnapshotEntry::Code { code } => {
                let hash = self.suite.hash(&code);
                if !self.codes.remove(&hash) {
                    return Err(Refused::Entry(format!("no account has the code {hash}")));
                }
                self.writes.push((Key::code(hash), Some(code.into())));
            }
        }
        self.entries = self.entries.saturating_add(1);
        if self.entries >= BATCH_ENTRIES {
            self.write_batch()?;
        }
        Ok(())
    }

    /// Everything comes in one order, and no key twice: then nothing overwrites anything, and the view has what the trie
    /// has.
    fn keep_order(&mut self, entry: &SnapshotEntry) -> Result<(), Refused> {
        let position = match entry {
            SnapshotEntry::Transaction(_) => (0, B256::ZERO, U256::from(self.transactions.len())),
            SnapshotEntry::Receipt(_) => (1, B256::ZERO, U256::from(self.receipts.len())),
            SnapshotEntry::Account { address, .. } => (2, address.into_word(), U256::ZERO),
            SnapshotEntry::Slot { address, slot, .. } => (3, address.into_word(), *slot),
            SnapshotEntry::Code { code } => (4, self.suite.hash(code), U256::ZERO),
        };
        if self.last.is_some_and(|last| last >= position) {
            return Err(Refused::Entry("its entries are out of order".to_owned()));
        }
        let begins = self.last.is_none_or(|last| last.0 != position.0);
        if begins && position.0 == 3 {
            // Slots are added to accounts that the view has.
            self.write_batch()?;
        }
        self.last = Some(position);
        Ok(())
    }

    fn count_body(&mut self, bytes: usize, chunk: usize) -> Result<(), Refused> {
        self.body_bytes = self.body_bytes.saturating_add(bytes).saturating_add(64);
        let count = self.transactions.len().max(self.receipts.len());
        if self.body_bytes > BODY_BYTES_MAX || count >= limits::PROPOSAL_TRANSACTIONS_MAX || bytes > chunk {
            return Err(Refused::Entry("no block has so many transactions and receipts".to_owned()));
        }
        Ok(())
    }

    fn account(&mut self, address: Address, state: AccountState) {
        if state.has_code() {
            self.codes.insert(state.code_hash);
        }
        self.accounts = self.accounts.saturating_add(1);
        let value = borsh::to_vec(&state).unwrap_or_default();
        self.writes.push((Key::account(address), Some(value.into())));
        self.updates.push(update(address, &state));
    }

    fn slot(&mut self, address: Address, slot: U256, value: U256) -> Result<(), Refused> {
        if value.is_zero() {
            return Err(Refused::Entry(format!("slot {slot} of {address} is zero")));
        }
        let state = match self.owner {
            Some((owner, state)) if owner == address => state,
            _ => {
                let bytes = self.view.get(&Key::account(address))?;
                let state = bytes.and_then(|bytes| borsh::from_slice(&bytes).ok());
                let state = state.ok_or_else(|| Refused::Entry(format!("{address} has storage but is no account")))?;
                self.owner = Some((address, state));
                state
            }
        };
        self.writes.push((Key::storage(address, slot), Some(value.to_be_bytes_trimmed_vec().into())));
        if self.updates.last().is_none_or(|last| last.address != address) {
            self.updates.push(update(address, &state));
        }
        if let Some(last) = self.updates.last_mut() {
            last.storage.push((slot, value));
        }
        Ok(())
    }

    fn write_batch(&mut self) -> Result<(), SnapshotError> {
        self.entries = 0;
        let updates = std::mem::take(&mut self.updates);
        let (trie, nodes) = self.trie.apply(&ViewNodes(self.view), self.generation, &updates)?;
        let nodes = nodes.iter().map(|(owner, change)| (Key::node(owner, &change.path), change.node.clone()));
        let mut batch: Vec<_> = std::mem::take(&mut self.writes).into_iter().chain(nodes).collect();
        // The view takes sorted keys faster.
        batch.sort_unstable_by_key(|(key, _)| *key);
        self.view.commit(batch)?;
        self.trie = trie.evict(limits::TRIE_NODES_MAX, self.generation);
        self.generation = self.generation.saturating_add(1);
        Ok(())
    }

    fn finish(mut self, manifest: &Manifest) -> Result<Contents, SnapshotError> {
        self.write_batch()?;
        let height = self.height;
        let (computed, header) = (self.trie.root(), manifest.head.header.state_root);
        if computed != header {
            return Err(SnapshotError::StateRoot { height, header, computed });
        }
        let fail = |reason: String| SnapshotError::Content { height, reason };
        if let Some(hash) = self.codes.first() {
            return Err(fail(format!("the code {hash}, which an account has, is missing")));
        }
        let recover = |transaction: &Arc<Transaction>| {
            let sender = self.suite.recover_sender(Arc::clone(transaction));
            sender.map(|verified| verified.sender()).map_err(|error| fail(error.to_string()))
        };
        let senders = self.transactions.iter().map(recover).collect::<Result<Vec<_>, _>>()?;
        let certificate = &manifest.head.certificate;
        let block = StoredBlock {
            block: Arc::new(Block {
                header: manifest.head.header.clone(),
                extension: manifest.head.extension.clone(),
                transactions: self.transactions,
            }),
            hash: certificate.block_hash,
            digest: certificate.digest,
            certificate: Arc::new(certificate.clone()),
            senders: Arc::new(senders),
            receipts: Arc::new(self.receipts),
        };
        if block.receipts.len() != block.block.transactions.len() {
            return Err(fail("transactions and receipts differ in number".to_owned()));
        }
        let mut problems = Vec::new();
        check_roots(self.suite, &block, &mut problems);
        match problems.into_iter().next() {
            Some(problem) => Err(fail(problem)),
            None => Ok(Contents { block, accounts: self.accounts }),
        }
    }
}

fn update(address: Address, state: &AccountState) -> AccountUpdate {
    let AccountState { nonce, balance, code_hash } = *state;
    let account = Some(AccountLeaf { nonce, balance, code_hash });
    AccountUpdate { address, account, storage_cleared: false, storage: Vec::new() }
}
