//! The durable ledger of one group: final blocks, their proofs and the states they lead to.
//!
//! The truth is a [`Log`] of final blocks. Appending is one write and one fsync; when [`Ledger::append`] returns, the
//! blocks are durable, and readable from memory. Behind it, [`Ledger::flush_step`] moves what they changed to a
//! key-value [`View`], which holds the newest flushed state, the nodes of its trie and the indexes, and to a log of
//! replaced values, which makes past states readable. Both can be computed again from the log, and are, with the
//! reason logged, whenever there is doubt about them.
//!
//! Invariants of this crate:
//! - nothing acknowledged is lost by a crash, and nothing that was not acknowledged is needed;
//! - every byte on disk is under a checksum, and so is every answer that comes from there;
//! - a torn end, which a crash explains, is cut; any other damage is an error that names file and position;
//! - after a failed write or fsync nothing is written any more;
//! - memory is bounded: unflushed blocks, caches and the trie have limits (`lian_types::limits`).
//!
//! Main types: [`Ledger`], [`FinalBlock`], [`VoteLog`], [`Storage`], [`View`]; and [`verify`], which re-checks everything.

mod block_record;
mod cache;
mod history;
mod index;
mod key;
mod ledger;
mod log;
mod overlay;
mod snapshot;
mod storage;
mod store;
mod verify;
mod view;
mod vote_log;

pub use block_record::{BlockHead, BlockRecordError, FinalBlock, StoredBlock};
pub use history::HistoryError;
pub use index::TransactionPlace;
pub use key::{Key, Table};
pub use ledger::{
    BackupReport, Flusher, FoundLog, Frozen, Head, Ledger, LedgerConfig, LedgerError, LogFilter, LogLimits,
    LogScanError, Recovery, SnapshotChain, SnapshotReport, Upkeep, ViewKind, ViewRecovery, place_snapshot,
    verify_snapshot,
};
pub use log::{Cursor, Durability, Entry, Location, Log, LogError, LogOptions, Record, Tail};
pub use snapshot::{CertifiedHeader, ChunkInfo, EpochLink, Manifest, SnapshotEntry, SnapshotError, SnapshotFolder};
pub use storage::{
    Crash, Fault, FileStorage, FolderLock, MemoryStorage, Operation, Storage, StorageError, StorageFile, read_whole,
    write_whole,
};
pub use store::ReadError;
pub use verify::{Problem, Progress, Report, verify};
pub use view::{FjallView, FrozenView, MemoryView, View, ViewError, Visit, Write};
pub use vote_log::{Condition, VoteLog};
