//! What can go wrong with a ledger.

use crate::block_record::BlockRecordError;
use crate::history::HistoryError;
use crate::log::LogError;
use crate::snapshot::SnapshotError;
use crate::storage::StorageError;
use crate::store::ReadError;
use crate::view::ViewError;
use alloy_primitives::B256;
use lian_executor::GenesisBlockError;
use lian_trie::TrieError;
use lian_types::BlockNumber;
use std::path::PathBuf;

/// Why a ledger could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another process has the folder open.
    #[error("{} is in use by another process; stop it first", folder.display())]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder belongs to another chain.
    #[error("{} belongs to another chain: found {found}, expected {expected}", folder.display())]
    WrongChain {
        /// The folder.
        folder: PathBuf,
        /// The chain found there.
        found: String,
        /// The chain that was to be opened.
        expected: String,
    },
    /// The file that says which chain a folder belongs to is missing or malformed, but there are blocks.
    #[error("{} is missing or malformed, but its folder has blocks: {reason}; restore it from another node", path.display())]
    NoIdentity {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another version of the program wrote the folder.
    #[error("{} has format {found}, this program knows {known}: use the version that wrote it, or a newer one", path.display())]
    Format {
        /// The file that says so.
        path: PathBuf,
        /// The folder's format.
        found: u32,
        /// The format of this program.
        known: u32,
    },
    /// A block has another height than the next.
    #[error("block {found} does not follow: the next is {expected}")]
    NotNext {
        /// The height offered.
        found: BlockNumber,
        /// The height that comes next.
        expected: BlockNumber,
    },
    /// A block has another parent than the block before it.
    #[error("block {number} has parent {found}, but the block before it is {expected}")]
    WrongParent {
        /// The block.
        number: BlockNumber,
        /// The parent that it names.
        found: B256,
        /// The block before it.
        expected: B256,
    },
    /// A certificate is about another block or without signatures.
    #[error("the certificate of block {number} is not about this block, or has no signatures")]
    WrongCertificate {
        /// The block.
        number: BlockNumber,
    },
    /// A header's state root is not what the changes give.
    #[error("the state root of block {number} is {header} in its header, but its changes give {computed}")]
    StateRoot {
        /// The block.
        number: BlockNumber,
        /// The root in its header.
        header: B256,
        /// The root computed.
        computed: B256,
    },
    /// A block in the log contradicts itself or the chain, though its checksum holds.
    #[error("block {number} in the log is not valid: {reason}")]
    Invalid {
        /// The block.
        number: BlockNumber,
        /// What is wrong.
        reason: String,
    },
    /// The first block in the log is not the one that genesis makes.
    #[error("block 0 in the log is {found}, genesis makes {expected}")]
    OtherGenesis {
        /// The hash found.
        found: B256,
        /// The hash expected.
        expected: B256,
    },
    /// The block log is empty, but the view knows blocks.
    #[error(
        "{} has no blocks, but the key-value view beside it is at block {height}: the log is missing; restore it, or \
         remove the whole ledger folder to fetch all blocks from other nodes",
        folder.display()
    )]
    LogMissing {
        /// The folder of the log.
        folder: PathBuf,
        /// The height that the view is at.
        height: BlockNumber,
    },
    /// The block log begins with a later block than block 0, and no snapshot has the state there.
    #[error(
        "the block log begins with block {first}, but {} has no snapshot to begin with; restore one there with \
         `lian snapshot restore` into an empty node, or remove the whole ledger folder to fetch all from other nodes",
        folder.display()
    )]
    NoSnapshot {
        /// The folder of the snapshots.
        folder: PathBuf,
        /// The first block in the log.
        first: BlockNumber,
    },
    /// A snapshot can only be restored into a ledger without blocks.
    #[error("{} has blocks; a snapshot is restored into a node without data", folder.display())]
    NotEmpty {
        /// The ledger's folder.
        folder: PathBuf,
    },
    /// There is no block but block 0, which every node makes from the genesis file.
    #[error("the chain has no block yet but block 0, which needs no snapshot")]
    NothingToSnapshot,
    /// A snapshot does not hold, or cannot be made.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The ledger takes nothing any more.
    #[error("the ledger is stopped since an earlier failure: {reason}")]
    Stopped {
        /// The first failure.
        reason: String,
    },
    /// A block cannot be encoded or decoded.
    #[error(transparent)]
    Record(#[from] BlockRecordError),
    /// A log failed or is damaged.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A file operation failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The view failed.
    #[error(transparent)]
    View(#[from] ViewError),
    /// State could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The trie could not be read or changed.
    #[error(transparent)]
    Trie(#[from] TrieError),
    /// No first block can be made.
    #[error(transparent)]
    Genesis(#[from] GenesisBlockError),
    /// A past state is not kept.
    #[error(transparent)]
    History(#[from] HistoryError),
}
