//! Reading: states, proofs, blocks and transactions.

use super::open::trie_hasher;
use super::{Ledger, LedgerError, Pending};
use crate::block_record::{self, BlockHead, BlockRecord, StoredBlock};
use crate::history::HistoryError;
use crate::index::{self, TransactionPlace};
use crate::key::Key;
use crate::log::Location;
use crate::store::{ReadError, StateAt};
use alloy_primitives::{Address, B256, TxHash, U256};
use lian_executor::{StateChanges, StateReader};
use lian_trie::{AccountProof, NodeSource, StateTrie};
use lian_types::{BlockNumber, Certificate};
use quick_cache::Weighter;
use std::sync::Arc;

/// Bytes of memory that a cached block takes beside its transactions and logs, for each of its transactions.
const TRANSACTION_WEIGHT: usize = 800;

/// Weighs cached blocks by an estimate of their memory in bytes.
#[derive(Clone)]
pub(super) struct BlockBytes;

impl Weighter<u64, Arc<StoredBlock>> for BlockBytes {
    fn weight(&self, _number: &u64, block: &Arc<StoredBlock>) -> u64 {
        let bodies: usize = block.block.transactions.iter().map(|transaction| transaction.encoded().len()).sum();
        let logs: usize =
            block.receipts.iter().flat_map(|receipt| &receipt.logs).map(|log| 200 + log.data.data.len()).sum();
        (4_096 + block.block.transactions.len() * TRANSACTION_WEIGHT + bodies + logs) as u64
    }
}

impl Ledger {
    /// The oldest block that can be read with its transactions, beside block 0.
    #[must_use]
    pub fn oldest_block(&self) -> BlockNumber {
        BlockNumber(self.log.first_sequence())
    }

    /// The oldest block whose state can be read.
    #[must_use]
    pub fn oldest_state(&self) -> BlockNumber {
        let wanted = self.oldest_wanted(self.head().number.0);
        BlockNumber(wanted.max(self.store.history.oldest()))
    }

    /// The state after a block. It stays right while the chain grows; once the block leaves the kept history, reading
    /// it gives an error.
    ///
    /// # Errors
    /// [`HistoryError`] for blocks that do not exist or whose state is not kept.
    pub fn state_at(&self, number: BlockNumber) -> Result<Arc<dyn StateReader>, HistoryError> {
        Ok(Arc::new(self.kept_state(number)?))
    }

    /// The nodes of the trie after a block.
    ///
    /// # Errors
    /// As [`Self::state_at`].
    pub fn nodes_at(&self, number: BlockNumber) -> Result<Arc<dyn NodeSource + Send + Sync>, HistoryError> {
        Ok(Arc::new(self.kept_state(number)?))
    }

    fn kept_state(&self, number: BlockNumber) -> Result<StateAt, HistoryError> {
        let newest = self.head().number;
        if number > newest {
            return Err(HistoryError::Future { asked: number, newest });
        }
        let oldest = self.oldest_state();
        if number < oldest {
            return Err(HistoryError::TooOld { asked: number, oldest });
        }
        Ok(StateAt { store: Arc::clone(&self.store), height: number.0 })
    }

    /// An account and some of its slots after a block, with the proofs against the block's state root: the content of
    /// `eth_getProof`.
    ///
    /// # Errors
    /// [`LedgerError::History`] for a state that is not kept; others if the view or the log fails.
    pub fn prove_at(&self, number: BlockNumber, address: Address, slots: &[U256]) -> Result<AccountProof, LedgerError> {
        let source = self.kept_state(number)?;
        let missing = || ReadError::Missing { key: Box::new(Key::block(number.0)) };
        let head = self.head_by_number(number)?.ok_or_else(missing)?;
        let trie = StateTrie::at_root(trie_hasher(self.suite), head.header.state_root);
        Ok(trie.prove(&source, address, slots)?)
    }

    /// A block with senders, receipts and certificate; `None` where it does not exist, or was pruned
    /// ([`Self::oldest_block`]).
    ///
    /// # Errors
    /// [`ReadError`] if the view or the log fails.
    pub fn block_by_number(&self, number: BlockNumber) -> Result<Option<Arc<StoredBlock>>, ReadError> {
        if let Some(pending) = self.pending(number) {
            return Ok(Some(Arc::clone(&pending.stored)));
        }
        let cached = self.blocks.lock().get(&number.0).cloned();
        if let Some(block) = cached.filter(|_| number >= self.oldest_block()) {
            return Ok(Some(block));
        }
        if number == BlockNumber::ZERO {
            return Ok(Some(Arc::clone(&self.genesis)));
        }
        let Some(location) = self.location(number)? else { return Ok(None) };
        let record = self.log.read(location)?;
        let fail = |error: block_record::BlockRecordError| self.log.damaged(location, error.to_string());
        let block = BlockRecord::new(record.payload()).and_then(|record| record.block()).map_err(fail)?;
        let block = Arc::new(block);
        self.blocks.lock().insert(number.0, Arc::clone(&block));
        Ok(Some(block))
    }

    /// The block with this hash.
    ///
    /// # Errors
    /// As [`Self::block_by_number`].
    pub fn block_by_hash(&self, hash: B256) -> Result<Option<Arc<StoredBlock>>, ReadError> {
        match self.number_of(hash)? {
            Some(number) => self.block_by_number(number),
            None => Ok(None),
        }
    }

    /// A block's header, hash and certificate, without reading the whole block; also of pruned blocks.
    ///
    /// # Errors
    /// As [`Self::block_by_number`].
    pub fn head_by_number(&self, number: BlockNumber) -> Result<Option<BlockHead>, ReadError> {
        if let Some(block) = self.pending(number).map(|pending| Arc::clone(&pending.stored)) {
            return Ok(Some(head_of(&block)));
        }
        if let Some(block) = self.blocks.lock().get(&number.0).cloned() {
            return Ok(Some(head_of(&block)));
        }
        if number == BlockNumber::ZERO {
            return Ok(Some(head_of(&self.genesis)));
        }
        match self.location(number)? {
            Some(location) => Ok(Some(block_record::read_head(&self.log, location)?)),
            None => Ok(self.pruned_head(number)?.map(|head| head.head())),
        }
    }

    /// The proof that a block is final.
    ///
    /// # Errors
    /// As [`Self::block_by_number`].
    pub fn certificate(&self, number: BlockNumber) -> Result<Option<Arc<Certificate>>, ReadError> {
        Ok(self.head_by_number(number)?.map(|head| head.certificate))
    }

    /// What a block changed; nothing is known of the block of the snapshot that the ledger began with.
    ///
    /// # Errors
    /// As [`Self::block_by_number`].
    pub fn changes(&self, number: BlockNumber) -> Result<Option<StateChanges>, ReadError> {
        let Some(location) = self.location(number)? else { return Ok(None) };
        let record = self.log.read(location)?;
        let fail = |error: block_record::BlockRecordError| self.log.damaged(location, error.to_string());
        BlockRecord::new(record.payload()).and_then(|record| record.changes()).map_err(fail).map_err(Into::into)
    }

    /// The height of the block with this hash.
    ///
    /// # Errors
    /// [`ReadError`] if the view fails.
    pub fn number_of(&self, hash: B256) -> Result<Option<BlockNumber>, ReadError> {
        if let Some(number) = self.recent.read().by_hash.get(&hash) {
            return Ok(Some(BlockNumber(*number)));
        }
        if hash == self.genesis.hash {
            return Ok(Some(BlockNumber::ZERO));
        }
        let key = Key::hash(hash);
        let Some(bytes) = self.store.view.get(&key)? else { return Ok(None) };
        let number = index::decode_number(&bytes).ok_or(ReadError::Malformed { key: Box::new(key) })?;
        Ok(Some(BlockNumber(number)))
    }

    /// The hash of a block.
    ///
    /// # Errors
    /// [`ReadError`] if the view fails.
    pub fn block_hash(&self, number: BlockNumber) -> Result<Option<B256>, ReadError> {
        if number == BlockNumber::ZERO {
            return Ok(Some(self.genesis.hash));
        }
        self.store.block_hash(number.0)
    }

    /// Where a final transaction is.
    ///
    /// # Errors
    /// [`ReadError`] if the view fails.
    pub fn transaction(&self, hash: TxHash) -> Result<Option<TransactionPlace>, ReadError> {
        if let Some(place) = self.recent.read().transactions.get(&hash) {
            return Ok(Some(*place));
        }
        let key = Key::transaction(hash);
        let Some(bytes) = self.store.view.get(&key)? else { return Ok(None) };
        Ok(Some(index::decode_place(&bytes).ok_or(ReadError::Malformed { key: Box::new(key) })?))
    }

    /// Whether a transaction is in a final block.
    ///
    /// # Errors
    /// [`ReadError`] if the view fails.
    pub fn is_known_transaction(&self, hash: TxHash) -> Result<bool, ReadError> {
        Ok(self.transaction(hash)?.is_some())
    }

    fn pending(&self, number: BlockNumber) -> Option<Arc<Pending>> {
        self.recent.read().get(number.0).map(Arc::clone)
    }

    fn location(&self, number: BlockNumber) -> Result<Option<Location>, ReadError> {
        if let Some(pending) = self.pending(number) {
            return Ok(Some(pending.location));
        }
        if number < self.oldest_block() {
            return Ok(None);
        }
        let key = Key::block(number.0);
        let Some(bytes) = self.store.view.get(&key)? else { return Ok(None) };
        let (location, _) = index::decode_block(&bytes).ok_or(ReadError::Malformed { key: Box::new(key) })?;
        Ok(Some(location))
    }
}

fn head_of(block: &StoredBlock) -> BlockHead {
    BlockHead {
        hash: block.hash,
        digest: block.digest,
        certificate: Arc::clone(&block.certificate),
        header: block.block.header.clone(),
    }
}
