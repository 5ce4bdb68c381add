//! Snapshots in a folder: one manifest and its chunks each, as files of their own.

use super::{ChunkInfo, Manifest, SnapshotError};
use crate::storage::{Storage, StorageError, read_whole, write_whole};
use lian_crypto::Suite;
use lian_types::{BlockNumber, limits};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How the name of a manifest ends.
const MANIFEST: &str = ".manifest";
/// How the name of a chunk ends.
const CHUNK: &str = ".chunk";

/// A folder with snapshots of any number of heights. A snapshot counts as soon as its manifest is there, which is written
/// last and removed first, so that after a crash there is a whole snapshot or none.
#[derive(Clone)]
pub struct SnapshotFolder {
    storage: Arc<dyn Storage>,
    folder: PathBuf,
}

impl SnapshotFolder {
    /// The snapshots in a folder, which need not exist.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, folder: impl Into<PathBuf>) -> Self {
        Self { storage, folder: folder.into() }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The heights of the snapshots, in rising order.
    ///
    /// # Errors
    /// [`StorageError`] if the folder cannot be listed.
    pub fn heights(&self) -> Result<Vec<BlockNumber>, StorageError> {
        let mut heights: Vec<_> =
            self.storage.list(&self.folder)?.iter().filter_map(|name| manifest_of(name)).collect();
        heights.sort_unstable();
        Ok(heights)
    }

    /// The height of the snapshot asked for, or of the newest one.
    ///
    /// # Errors
    /// [`SnapshotError::NoSuch`] and [`SnapshotError::None`].
    pub fn find(&self, height: Option<BlockNumber>) -> Result<BlockNumber, SnapshotError> {
        let heights = self.heights()?;
        match height {
            Some(height) if heights.contains(&height) => Ok(height),
            Some(height) => Err(SnapshotError::NoSuch { folder: self.folder.clone(), height }),
            None => heights.last().copied().ok_or_else(|| SnapshotError::None { folder: self.folder.clone() }),
        }
    }

    /// A snapshot's manifest, as its bytes.
    ///
    /// # Errors
    /// [`SnapshotError::NoSuch`] if there is no such snapshot; others if the file cannot be read.
    pub fn manifest_bytes(&self, height: BlockNumber) -> Result<Vec<u8>, SnapshotError> {
        let bytes = read_whole(&*self.storage, &self.manifest_path(height))?;
        bytes.ok_or_else(|| SnapshotError::NoSuch { folder: self.folder.clone(), height })
    }

    /// A snapshot's manifest. It is not checked.
    ///
    /// # Errors
    /// As [`Self::manifest_bytes`], and [`SnapshotError::Decode`].
    pub fn manifest(&self, height: BlockNumber) -> Result<Manifest, SnapshotError> {
        let manifest = Manifest::decode(&self.manifest_bytes(height)?)?;
        if manifest.height() != height {
            let reason = format!("the file of block {height} has that of block {}", manifest.height());
            return Err(SnapshotError::Manifest { reason });
        }
        Ok(manifest)
    }

    /// A chunk's bytes, unchecked; `None` where it is missing or larger than any chunk.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be read.
    pub fn read_chunk(&self, height: BlockNumber, index: u32) -> Result<Option<Vec<u8>>, StorageError> {
        let file = match self.storage.open(&self.chunk_path(height, index)) {
            Ok(file) => file,
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(length) =
            usize::try_from(file.len()?).ok().filter(|length| *length <= limits::SNAPSHOT_CHUNK_BYTES_MAX)
        else {
            return Ok(None);
        };
        let mut bytes = vec![0; length];
        file.read_at(0, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// A chunk's bytes, found to be those that the manifest lists.
    ///
    /// # Errors
    /// [`SnapshotError::ChunkMissing`] and [`SnapshotError::Chunk`].
    pub fn checked_chunk(
        &self,
        suite: Suite,
        height: BlockNumber,
        index: u32,
        info: &ChunkInfo,
    ) -> Result<Vec<u8>, SnapshotError> {
        let bytes = self.read_chunk(height, index)?.ok_or(SnapshotError::ChunkMissing { height, index })?;
        if !info.matches(suite, &bytes) {
            let reason = format!("its {} bytes do not have the hash {} that is listed", bytes.len(), info.hash);
            return Err(SnapshotError::Chunk { height, index, reason });
        }
        Ok(bytes)
    }

    /// Writes a chunk. It survives a crash from here on.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn write_chunk(&self, height: BlockNumber, index: u32, bytes: &[u8]) -> Result<(), StorageError> {
        self.storage.create_folder(&self.folder)?;
        write_whole(&*self.storage, &self.chunk_path(height, index), bytes)
    }

    /// Writes the manifest, which makes the snapshot count. All chunks must be written.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), StorageError> {
        self.storage.create_folder(&self.folder)?;
        write_whole(&*self.storage, &self.manifest_path(manifest.height()), &manifest.encode())
    }

    /// Removes a snapshot, or what there is of an unfinished one.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn remove(&self, height: BlockNumber) -> Result<(), StorageError> {
        self.storage.remove(&self.manifest_path(height))?;
        let prefix = prefix(height);
        for name in self.storage.list(&self.folder)?.iter().filter(|name| name.starts_with(&prefix)) {
            self.storage.remove(&self.folder.join(name))?;
        }
        Ok(())
    }

    /// Removes all but the newest `count` snapshots, and what a crash left of unfinished ones.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn keep_newest(&self, count: usize) -> Result<(), StorageError> {
        let heights = self.heights()?;
        let (old, kept) = heights.split_at(heights.len().saturating_sub(count));
        old.iter().try_for_each(|height| self.remove(*height))?;
        let kept: BTreeSet<_> = kept.iter().map(|height| prefix(*height)).collect();
        for name in self.storage.list(&self.folder)? {
            let is_ours = name.ends_with(CHUNK) || name.ends_with(".new");
            if is_ours && !kept.iter().any(|prefix| name.starts_with(prefix)) {
                self.storage.remove(&self.folder.join(name))?;
            }
        }
        Ok(())
    }

    /// Copies a snapshot whose manifest is verified into this folder; every chunk is checked on the way.
    ///
    /// # Errors
    /// [`SnapshotError`]; the snapshot does not count here then.
    pub fn copy_from(&self, other: &Self, suite: Suite, manifest: &Manifest) -> Result<(), SnapshotError> {
        let height = manifest.height();
        for (index, info) in (0u32..).zip(&manifest.chunks) {
            let bytes = other.checked_chunk(suite, height, index, info)?;
            self.write_chunk(height, index, &bytes)?;
        }
        Ok(self.write_manifest(manifest)?)
    }

    fn manifest_path(&self, height: BlockNumber) -> PathBuf {
        // Both end alike for all heights, so that the names sort by height.
        self.folder.join(format!("{:020}{MANIFEST}", height.0))
    }

    fn chunk_path(&self, height: BlockNumber, index: u32) -> PathBuf {
        self.folder.join(format!("{}{index:06}{CHUNK}", prefix(height)))
    }
}

/// How the names of a snapshot's chunks begin. A manifest's name begins otherwise only after it.
fn prefix(height: BlockNumber) -> String {
    format!("{:020}.", height.0)
}

fn manifest_of(name: &str) -> Option<BlockNumber> {
    let digits = name.strip_suffix(MANIFEST)?;
    (digits.len() == 20).then(|| digits.parse().ok().map(BlockNumber)).flatten()
}
