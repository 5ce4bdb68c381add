//! Finding logs in a range of blocks, by the bloom filters of headers first.

use super::Ledger;
use crate::store::ReadError;
use alloy_primitives::{Address, B256, Bloom, BloomInput, Log, TxHash};
use lian_types::BlockNumber;

/// Which logs are wanted. Empty lists match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// The contracts that may have written the log.
    pub addresses: Vec<Address>,
    /// For each position the topics that may stand there; a log with fewer topics than there are lists matches only
    /// if the lists beyond its topics are empty positions at the end.
    pub topics: [Vec<B256>; 4],
}

/// How much a search may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// Most blocks in the range.
    pub blocks_max: u64,
    /// Most logs found.
    pub results_max: usize,
}

/// A log that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLog {
    /// The block's height.
    pub block: BlockNumber,
    /// The block's hash.
    pub block_hash: B256,
    /// The block's time, in seconds since 1970.
    pub timestamp: u64,
    /// The transaction.
    pub transaction: TxHash,
    /// The transaction's position in the block, from 0.
    pub transaction_index: usize,
    /// The log's position in the block, from 0.
    pub log_index: usize,
    /// The log.
    pub log: Log,
}

/// Why a search was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum LogScanError {
    /// The range has more blocks than allowed.
    #[error("block range of {asked} exceeds the limit of {limit} blocks")]
    RangeTooLarge {
        /// Blocks in the range.
        asked: u64,
        /// Most blocks allowed.
        limit: u64,
    },
    /// There are more logs than allowed.
    #[error("query returned more than {limit} results; try with the block range [{from}, {upto}]")]
    TooMany {
        /// Most logs allowed.
        limit: usize,
        /// The first block of the range.
        from: BlockNumber,
        /// The last block with which the limit is kept, or `from` if even that block has too many.
        upto: BlockNumber,
    },
    /// The first block comes after the last.
    #[error("invalid block range: {from} comes after {to}")]
    Backwards {
        /// The first block.
        from: BlockNumber,
        /// The last block.
        to: BlockNumber,
    },
    /// A block of the range may have matching logs, but its transactions and receipts are not kept.
    #[error("the logs of block {block} were pruned; the oldest block kept is {oldest}")]
    Pruned {
        /// The block.
        block: BlockNumber,
        /// The oldest block whose logs can be told.
        oldest: BlockNumber,
    },
    /// The view or the log failed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl LogFilter {
    /// Whether a bloom filter admits that there is a matching log.
    #[must_use]
    pub fn may_match(&self, bloom: &Bloom) -> bool {
        let any = |inputs: &mut dyn Iterator<Item = &[u8]>| {
            let mut inputs = inputs.peekable();
            inputs.peek().is_none() || inputs.any(|input| bloom.contains_input(BloomInput::Raw(input)))
        };
        any(&mut self.addresses.iter().map(|address| address.as_slice()))
            && self.topics.iter().all(|topics| any(&mut topics.iter().map(|topic| topic.as_slice())))
    }

    /// Whether a log matches.
    #[must_use]
    pub fn matches(&self, log: &Log) -> bool {
        let topics = log.topics();
        (self.addresses.is_empty() || self.addresses.contains(&log.address))
            && self
                .topics
                .iter()
                .enumerate()
                .all(|(i, wanted)| wanted.is_empty() || topics.get(i).is_some_and(|topic| wanted.contains(topic)))
    }
}

impl Ledger {
    /// The logs in the blocks `from` to `to`, both included, that match a filter. Blocks that do not exist yet have
    /// none.
    ///
    /// # Errors
    /// [`LogScanError`] for a range or result beyond the limits, and if the view or the log fails.
    pub fn logs(
        &self,
        from: BlockNumber,
        to: BlockNumber,
        filter: &LogFilter,
        limits: LogLimits,
    ) -> Result<Vec<FoundLog>, LogScanError> {
        if from > to {
            return Err(LogScanError::Backwards { from, to });
        }
        let asked = (to.0 - from.0).saturating_add(1);
        if asked > limits.blocks_max {
            return Err(LogScanError::RangeTooLarge { asked, limit: limits.blocks_max });
        }
        let mut found = Vec::new();
        let last = to.min(self.head().number);
        for number in (from.0..=last.0).map(BlockNumber) {
            self.logs_in(number, filter, &mut found)?;
            if found.len() > limits.results_max {
                let upto = BlockNumber(number.0.saturating_sub(1).max(from.0));
                return Err(LogScanError::TooMany { limit: limits.results_max, from, upto });
            }
        }
        Ok(found)
    }

    /// Adds a block's matching logs.
    fn logs_in(&self, number: BlockNumber, filter: &LogFilter, found: &mut Vec<FoundLog>) -> Result<(), LogScanError> {
        let pruned = || LogScanError::Pruned { block: number, oldest: self.oldest_block() };
        // All blocks of the range exist; one without a head comes before the snapshot that the ledger began with.
        let head = self.head_by_number(number)?.ok_or_else(pruned)?;
        if head.header.logs_bloom.is_zero() || !filter.may_match(&head.header.logs_bloom) {
            return Ok(());
        }
        let block = self.block_by_number(number)?.ok_or_else(pruned)?;
        let mut log_index = 0;
        for (transaction_index, receipt) in block.receipts.iter().enumerate() {
            let transaction = block.block.transactions.get(transaction_index);
            for log in &receipt.logs {
                if filter.matches(log) {
                    found.push(FoundLog {
                        block: number,
                        block_hash: block.hash,
                        timestamp: block.block.header.timestamp,
                        transaction: transaction.map(|transaction| transaction.hash()).unwrap_or_default(),
                        transaction_index,
                        log_index,
                        log: log.clone(),
                    });
                }
                log_index += 1;
            }
        }
        Ok(())
    }
}
