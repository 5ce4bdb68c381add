//! Copying a ledger while it is in use.

use super::open::block_folder;
use super::{Ledger, LedgerError, identity};
use crate::log::copy_file;
use crate::storage::{read_whole, write_whole};
use lian_types::BlockNumber;
use std::path::Path;

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
        let target = block_folder(to);
        if !storage.list(&target)?.is_empty() || !storage.list(to)?.is_empty() {
            return Err(LedgerError::NotEmpty { folder: to.to_path_buf() });
        }
        storage.create_folder(&target)?;
        // What is copied must not be pruned meanwhile.
        let _pruning = self.pruning.lock();
        let mut bytes = 0;
        let (segments, newest) = self.log.segments_now();
        for (name, length) in segments {
            copy_file(storage, &self.log.folder().join(&name), &target.join(&name), length)?;
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
        Ok(BackupReport { oldest: BlockNumber(self.log.first_own_sequence()), newest: BlockNumber(newest), bytes })
    }
}
