//! Snapshots: the whole state after one final block, with the proof of it, in pieces that are checked one by one.
//!
//! A snapshot is a [`Manifest`] and the chunks that it lists. The manifest has the block's header and certificate, and the
//! headers that prove, from genesis on, who had to sign them. The chunks have the block's transactions and receipts and
//! all accounts, storage slots and codes, in an order of their own, so that every node makes the same chunks of the same
//! state. Nodes of the trie are not in it: they are computed when the state is loaded, and give the root that the
//! header names. So a wrong chunk is found by its hash, a wrong list of chunks by the state root, and a wrong header by
//! its certificate.
//!
//! Files are written so that a manifest is there only when all its chunks are.

mod chunk;
mod create;
mod files;
mod load;
mod manifest;

pub use chunk::{ChunkInfo, SnapshotEntry};
pub(crate) use create::FrozenState;
pub use files::SnapshotFolder;
pub(crate) use load::{Contents, load};
pub use manifest::{CertifiedHeader, EpochLink, Manifest};

use crate::storage::StorageError;
use crate::store::ReadError;
use crate::view::ViewError;
use alloy_primitives::B256;
use lian_crypto::CertificateError;
use lian_trie::TrieError;
use lian_types::{BlockNumber, DecodeError};

/// Why a snapshot could not be made, or proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A folder has no snapshot.
    #[error("{} has no snapshot", folder.display())]
    None {
        /// The folder.
        folder: std::path::PathBuf,
    },
    /// A folder does not have the snapshot asked for.
    #[error("{} has no snapshot of block {height}", folder.display())]
    NoSuch {
        /// The folder.
        folder: std::path::PathBuf,
        /// The height asked for.
        height: BlockNumber,
    },
    /// The manifest's bytes are no manifest.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The manifest has a format that this program does not know.
    #[error("snapshot of format {found}; this program knows format {known}", known = Manifest::VERSION)]
    Version {
        /// The format found.
        found: u16,
    },
    /// The snapshot is of another chain.
    #[error("snapshot of another chain: found {found}, expected {expected}")]
    OtherChain {
        /// The chain in the manifest.
        found: String,
        /// The chain expected.
        expected: String,
    },
    /// The manifest contradicts itself.
    #[error("the snapshot's manifest does not hold: {reason}")]
    Manifest {
        /// What is wrong.
        reason: String,
    },
    /// A header in the manifest is not certified by the members who decided its height.
    #[error("the snapshot's header of block {height}: {source}")]
    Certificate {
        /// The header's height.
        height: BlockNumber,
        /// What is wrong.
        #[source]
        source: CertificateError,
    },
    /// A chunk is missing.
    #[error("chunk {index} of the snapshot of block {height} is missing")]
    ChunkMissing {
        /// The snapshot's height.
        height: BlockNumber,
        /// The chunk's position, from 0.
        index: u32,
    },
    /// A chunk is not the one that the manifest lists, or has what no chunk has.
    #[error("chunk {index} of the snapshot of block {height} does not hold: {reason}")]
    Chunk {
        /// The snapshot's height.
        height: BlockNumber,
        /// The chunk's position, from 0.
        index: u32,
        /// What is wrong.
        reason: String,
    },
    /// The chunks together are not what the header names.
    #[error("the snapshot of block {height} does not hold: {reason}")]
    Content {
        /// The snapshot's height.
        height: BlockNumber,
        /// What is wrong.
        reason: String,
    },
    /// The accounts give another state root than the certified one.
    #[error("the snapshot of block {height} gives state root {computed}, its certified header says {header}")]
    StateRoot {
        /// The snapshot's height.
        height: BlockNumber,
        /// The root in the header.
        header: B256,
        /// The root computed.
        computed: B256,
    },
    /// Something of the state is larger than a chunk may be.
    #[error("{what} takes {bytes} bytes, more than a chunk may have")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its size, in bytes.
        bytes: usize,
    },
    /// The node stops.
    #[error("the snapshot was not finished: the node stops")]
    Interrupted,
    /// A file operation failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The view failed.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The ledger cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The trie cannot be built.
    #[error(transparent)]
    Trie(#[from] TrieError),
}
