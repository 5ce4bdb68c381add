//! What methods see of a group: its handle, and the questions that most methods ask of the ledger.

use crate::{
    RpcLimits,
    block_id::{BlockId, BlockTag},
    error::CallError,
    filters::Filters,
    workers::Workers,
};
use alloy_primitives::{Address, TxHash, U256};
use lian_executor::{StateError, StateReader};
use lian_group::GroupHandle;
use lian_ledger::{BlockHead, CertifiedHeader, HistoryError, LedgerError, ReadError, StoredBlock};
use lian_trie::AccountProof;
use lian_types::{BlockNumber, Header};
use std::sync::Arc;

/// One group, as methods see it.
pub(crate) struct Chain {
    group: GroupHandle,
    limits: RpcLimits,
    workers: Arc<Workers>,
    filters: Filters,
}

impl Chain {
    pub(crate) fn new(group: GroupHandle, limits: RpcLimits, workers: Arc<Workers>) -> Arc<Self> {
        let filters = Filters::new(&limits);
        Arc::new(Self { group, limits, workers, filters })
    }

    pub(crate) const fn group(&self) -> &GroupHandle {
        &self.group
    }

    pub(crate) const fn limits(&self) -> &RpcLimits {
        &self.limits
    }

    pub(crate) const fn workers(&self) -> &Arc<Workers> {
        &self.workers
    }

    pub(crate) const fn filters(&self) -> &Filters {
        &self.filters
    }

    /// The height of the last final block.
    pub(crate) fn height(&self) -> u64 {
        self.group.ledger().head().number.0
    }

    /// The height that a tag means; it may lie above the last block.
    pub(crate) fn height_of(&self, tag: BlockTag) -> u64 {
        match tag {
            BlockTag::Earliest => 0,
            BlockTag::Latest | BlockTag::Pending => self.height(),
            BlockTag::Number(number) => number,
        }
    }

    /// The height of a block, if there is such a block.
    pub(crate) fn find(&self, id: BlockId) -> Result<Option<u64>, CallError> {
        match id {
            BlockId::Tag(tag) => {
                let height = self.height_of(tag);
                Ok((height <= self.height()).then_some(height))
            }
            BlockId::Hash(hash) => Ok(self.group.ledger().number_of(hash).map_err(read_error)?.map(|n| n.0)),
        }
    }

    /// The height of a block that must exist.
    pub(crate) fn require(&self, id: BlockId) -> Result<u64, CallError> {
        self.find(id)?.ok_or_else(|| match id {
            BlockId::Tag(tag) => {
                let (wanted, head) = (self.height_of(tag), self.height());
                CallError::Refused(format!("header not found: block {wanted} is above the last block {head}"))
            }
            BlockId::Hash(hash) => CallError::Refused(format!("header for hash not found: {hash}")),
        })
    }

    /// The block of a height. One that is final but not kept is an error that says so.
    pub(crate) fn block(&self, number: u64) -> Result<Option<Arc<StoredBlock>>, CallError> {
        let ledger = self.group.ledger();
        let found = ledger.block_by_number(BlockNumber(number)).map_err(read_error)?;
        if found.is_none() && number <= self.height() {
            let oldest = ledger.oldest_block();
            let message = format!("block {number}'s transactions were pruned; the oldest block kept is {oldest}");
            return Err(CallError::Pruned(message));
        }
        Ok(found)
    }

    /// Header, extension and certificate of a block that exists, also of one whose transactions were pruned.
    pub(crate) fn certified(&self, number: u64) -> Result<CertifiedHeader, CallError> {
        let found = self.group.ledger().certified_header(BlockNumber(number)).map_err(read_error)?;
        found.ok_or_else(|| self.no_header(number))
    }

    fn no_header(&self, number: u64) -> CallError {
        let oldest = self.group.ledger().oldest_block();
        CallError::Pruned(format!("block {number} is not here: this node began with the snapshot of block {oldest}"))
    }

    /// The head of a block that exists: its header, hash and certificate.
    pub(crate) fn head(&self, number: u64) -> Result<BlockHead, CallError> {
        let head = self.group.ledger().head_by_number(BlockNumber(number)).map_err(read_error)?;
        head.ok_or_else(|| self.no_header(number))
    }

    /// The header of a block that exists.
    pub(crate) fn header(&self, number: u64) -> Result<Header, CallError> {
        self.head(number).map(|head| head.header)
    }

    /// A block by any name.
    pub(crate) fn block_by(&self, id: BlockId) -> Result<Option<Arc<StoredBlock>>, CallError> {
        match self.find(id)? {
            Some(number) => self.block(number),
            None => Ok(None),
        }
    }

    /// A block that must exist.
    pub(crate) fn require_block(&self, id: BlockId) -> Result<Arc<StoredBlock>, CallError> {
        let number = self.require(id)?;
        self.block(number)?.ok_or_else(|| missing(number))
    }

    /// The state after a block that must exist.
    pub(crate) fn state(&self, id: BlockId) -> Result<Arc<dyn StateReader>, CallError> {
        self.state_at(self.require(id)?)
    }

    /// The state after the block of a height.
    pub(crate) fn state_at(&self, number: u64) -> Result<Arc<dyn StateReader>, CallError> {
        self.group.ledger().state_at(BlockNumber(number)).map_err(history_error)
    }

    /// The block of a final transaction, and its position there.
    pub(crate) fn locate(&self, hash: TxHash) -> Result<Option<(Arc<StoredBlock>, usize)>, CallError> {
        let Some(place) = self.group.ledger().transaction(hash).map_err(read_error)? else { return Ok(None) };
        let index = usize::try_from(place.index).map_err(CallError::internal)?;
        Ok(self.block(place.block)?.map(|block| (block, index)))
    }

    /// The proof of an account and of some of its slots after a block that exists (EIP-1186).
    pub(crate) fn prove(&self, number: u64, address: Address, slots: &[U256]) -> Result<AccountProof, CallError> {
        self.group.ledger().prove_at(BlockNumber(number), address, slots).map_err(|error| match error {
            LedgerError::History(error) => history_error(error),
            LedgerError::Read(error) => read_error(error),
            error => CallError::internal(error),
        })
    }
}

fn missing(number: u64) -> CallError {
    CallError::Internal(format!("block {number} is missing from the ledger"))
}

/// A state that is not kept is the client's to know; anything else is this node's failure.
pub(crate) fn read_error(error: ReadError) -> CallError {
    match error {
        ReadError::History(error) => history_error(error),
        error => CallError::internal(error),
    }
}

pub(crate) fn history_error(error: HistoryError) -> CallError {
    match error {
        HistoryError::TooOld { .. } => CallError::Pruned(error.to_string()),
        HistoryError::Future { .. } => CallError::refused(error),
    }
}

/// As [`read_error`], for a state that was given out before its block left the kept history.
pub(crate) fn state_error(error: StateError) -> CallError {
    match std::error::Error::source(&error).and_then(|source| source.downcast_ref::<ReadError>()) {
        Some(ReadError::History(error)) => history_error(error.clone()),
        _ => CallError::internal(error),
    }
}
