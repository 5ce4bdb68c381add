//! Copying a ledger while it is in use.

use super::{Ledger, LedgerError, identity, log_options};
use crate::storage::{Storage, StorageError, StorageFile, read_whole, write_whole};
use lian_types::BlockNumber;
use std::path::Path;
use std::sync::Arc;

/// Bytes that are copied at a time.
const PIECE_BYTES: usize = 4 * 1024 * 1024;

/// What a backup has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// The oldest block.
    pub oldest: BlockNumber,
    /// The newest block.
    pub newest: BlockNumber,
    /// The length of all files, in bytes.
    pub bytes: u64,
}

impl Ledger {
    /// Copies what the ledger cannot compute again to an empty folder: which chain it is, the block log as it is now, and
    /// the snapshots. Opening the copy builds the rest anew. Blocks go on being appended meanwhile.
    ///
    /// Votes are never copied: a node that voted after its backup must not believe that it did not (pbft §3).
    ///
    /// # Errors
    /// [`LedgerError::NotEmpty`] for a folder that has blocks; others where something cannot be read or written.
    pub fn back_up(&self, to: &Path) -> Result<BackupReport, LedgerError> {
        let storage = &*self.storage;
        let target = log_options(to).folder;
        if !storage.list(&target)?.is_empty() || !storage.list(to)?.is_empty() {
            return Err(LedgerError::NotEmpty { folder: to.to_path_buf() });
        }
        storage.create_folder(&target)?;
        // What is copied must not be pruned meanwhile.
        let _pruning = self.pruning.lock();
        let mut bytes = 0;
        let (segments, newest) = self.log.segments_now();
        for (name, length) in segments {
            copy(storage, &self.log.folder().join(&name), &target.join(&name), length)?;
            bytes += length;
        }
        let (mine, theirs) = (self.snapshots(), super::snapshots_of(&self.storage, to));
        for height in mine.heights()?.into_iter().filter(|height| height.0 <= newest) {
            let manifest = mine.manifest(height)?;
            theirs.copy_from(&mine, self.suite, &manifest)?;
            bytes += manifest.bytes();
        }
        // Last, so that an unfinished backup belongs to no chain.
        let identity = read_whole(storage, &self.config.folder.join(identity::FILE))?.unwrap_or_default();
        write_whole(storage, &to.join(identity::FILE), &identity)?;
        Ok(BackupReport { oldest: self.oldest_block(), newest: BlockNumber(newest), bytes })
    }
}

/// Copies the first `length` bytes of a file and syncs the copy.
pub(super) fn copy(storage: &dyn Storage, from: &Path, to: &Path, length: u64) -> Result<(), StorageError> {
    let source = storage.open(from)?;
    let target: Arc<dyn StorageFile> = storage.create(to)?;
    let mut buffer = vec![0; PIECE_BYTES];
    let mut done = 0;
    while done < length {
        let piece = usize::try_from(length - done).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let piece = buffer.get_mut(..piece).unwrap_or_default();
        source.read_at(done, piece)?;
        target.append(piece)?;
        done += piece.len() as u64;
    }
    target.sync()
}
