//! Append-only files: the only way in which this crate's logs touch a disk.
//!
//! [`FileStorage`] is the disk; [`MemoryStorage`] is the simulator's, which can lose what was not synced, fill up, fail
//! and rot. The code above cannot tell them apart.

mod file;
mod memory;

pub use file::FileStorage;
pub use memory::{Crash, Fault, MemoryStorage};

use std::any::Any;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was being done to a file when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Making a folder.
    CreateFolder,
    /// Listing a folder.
    List,
    /// Making a new file.
    Create,
    /// Opening an existing file.
    Open,
    /// Reading.
    Read,
    /// Appending.
    Append,
    /// Waiting until the disk holds what was written.
    Sync,
    /// Cutting the end off.
    Truncate,
    /// Renaming.
    Rename,
    /// Removing.
    Remove,
    /// Taking the lock that keeps other processes out.
    Lock,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreateFolder => "create folder",
            Self::List => "list",
            Self::Create => "create",
            Self::Open => "open",
            Self::Read => "read",
            Self::Append => "append to",
            Self::Sync => "fsync",
            Self::Truncate => "truncate",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::Lock => "lock",
        })
    }
}

/// A failed operation on a file or folder.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {source}", path.display())]
pub struct StorageError {
    /// What was attempted.
    pub operation: Operation,
    /// On what.
    pub path: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

impl StorageError {
    pub(crate) fn new(operation: Operation, path: &Path, source: io::Error) -> Self {
        Self { operation, path: path.to_path_buf(), source }
    }
}

/// Keeps other processes out of a folder for as long as it lives.
pub struct FolderLock(#[allow(dead_code)] Box<dyn Any + Send + Sync>); // Held for its `Drop` alone.

impl FolderLock {
    pub(crate) fn new(held: impl Any + Send + Sync) -> Self {
        Self(Box::new(held))
    }
}

impl fmt::Debug for FolderLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FolderLock")
    }
}

/// A place for append-only files.
pub trait Storage: Send + Sync {
    /// Makes a folder and those above it; existing ones are fine.
    ///
    /// # Errors
    /// [`StorageError`], as everywhere in this trait.
    fn create_folder(&self, path: &Path) -> Result<(), StorageError>;

    /// The names of the files in a folder, in order. A folder that does not exist has none.
    ///
    /// # Errors
    /// [`StorageError`].
    fn list(&self, folder: &Path) -> Result<Vec<String>, StorageError>;

    /// Makes a new, empty file, which survives a crash from here on: the folder is synced too.
    ///
    /// # Errors
    /// [`StorageError`]; also if the file exists.
    fn create(&self, path: &Path) -> Result<Arc<dyn StorageFile>, StorageError>;

    /// Opens an existing file for reading and appending.
    ///
    /// # Errors
    /// [`StorageError`]; of kind `NotFound` if there is none.
    fn open(&self, path: &Path) -> Result<Arc<dyn StorageFile>, StorageError>;

    /// Renames a file, replacing what has the new name, and syncs the folder.
    ///
    /// # Errors
    /// [`StorageError`].
    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError>;

    /// Removes a file and syncs the folder; one that does not exist is fine.
    ///
    /// # Errors
    /// [`StorageError`].
    fn remove(&self, path: &Path) -> Result<(), StorageError>;

    /// Takes the lock file at `path`, made if absent.
    ///
    /// # Errors
    /// [`StorageError`]; of kind `WouldBlock` if somebody else holds it.
    fn lock(&self, path: &Path) -> Result<FolderLock, StorageError>;
}

/// An open append-only file. Handles may be shared between threads; one thread at a time appends.
pub trait StorageFile: Send + Sync {
    /// Where it is.
    fn path(&self) -> &Path;

    /// Its length in bytes.
    ///
    /// # Errors
    /// [`StorageError`].
    fn len(&self) -> Result<u64, StorageError>;

    /// Whether it has no bytes.
    ///
    /// # Errors
    /// [`StorageError`].
    fn is_empty(&self) -> Result<bool, StorageError> {
        Ok(self.len()? == 0)
    }

    /// Writes at the end. After an error any prefix of `bytes` may have been written.
    ///
    /// # Errors
    /// [`StorageError`].
    fn append(&self, bytes: &[u8]) -> Result<(), StorageError>;

    /// Returns when the disk holds everything that was appended.
    ///
    /// # Errors
    /// [`StorageError`]: nothing is known then about what the disk holds, and trying again proves nothing.
    fn sync(&self) -> Result<(), StorageError>;

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// [`StorageError`]; of kind `UnexpectedEof` if the file ends before the buffer is full.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError>;

    /// Cuts the file to `len` bytes and syncs it.
    ///
    /// # Errors
    /// [`StorageError`].
    fn truncate(&self, len: u64) -> Result<(), StorageError>;
}

/// Reads a whole small file; `None` if it does not exist.
///
/// # Errors
/// [`StorageError`].
pub fn read_whole(storage: &dyn Storage, path: &Path) -> Result<Option<Vec<u8>>, StorageError> {
    let file = match storage.open(path) {
        Ok(file) => file,
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX)];
    file.read_at(0, &mut bytes)?;
    Ok(Some(bytes))
}

/// Writes a small file so that after a crash there is either all of it or what was there before.
///
/// # Errors
/// [`StorageError`]; the file is as it was before, or whole.
pub fn write_whole(storage: &dyn Storage, path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    let temporary = path.with_extension("new");
    storage.remove(&temporary)?;
    let file = storage.create(&temporary)?;
    file.append(bytes)?;
    file.sync()?;
    storage.rename(&temporary, path)
}
