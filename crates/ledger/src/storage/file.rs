//! Files of the operating system.

use super::{FolderLock, Operation, Storage, StorageError, StorageFile};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileStorage;

struct OpenFile {
    file: File,
    path: PathBuf,
}

/// Syncs the folder of a file, so that the file's name survives a crash.
fn sync_folder(operation: Operation, path: &Path) -> Result<(), StorageError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| StorageError::new(operation, path, error))
}

impl Storage for FileStorage {
    fn create_folder(&self, path: &Path) -> Result<(), StorageError> {
        let fail = |error| StorageError::new(Operation::CreateFolder, path, error);
        if path.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(path).map_err(fail)?;
        sync_folder(Operation::CreateFolder, path)
    }

    fn list(&self, folder: &Path) -> Result<Vec<String>, StorageError> {
        let fail = |error| StorageError::new(Operation::List, folder, error);
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fail(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(fail)?;
            if entry.file_type().map_err(fail)?.is_file() {
                names.extend(entry.file_name().into_string().ok());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn StorageFile>, StorageError> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(true)
            .open(path)
            .map_err(|error| StorageError::new(Operation::Create, path, error))?;
        sync_folder(Operation::Create, path)?;
        Ok(Arc::new(OpenFile { file, path: path.to_path_buf() }))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn StorageFile>, StorageError> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .open(path)
            .map_err(|error| StorageError::new(Operation::Open, path, error))?;
        Ok(Arc::new(OpenFile { file, path: path.to_path_buf() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        fs::rename(from, to).map_err(|error| StorageError::new(Operation::Rename, from, error))?;
        sync_folder(Operation::Rename, to)
    }

    fn remove(&self, path: &Path) -> Result<(), StorageError> {
        match fs::remove_file(path) {
            Ok(()) => sync_folder(Operation::Remove, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StorageError::new(Operation::Remove, path, error)),
        }
    }

    fn lock(&self, path: &Path) -> Result<FolderLock, StorageError> {
        let fail = |error| StorageError::new(Operation::Lock, path, error);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => Ok(FolderLock::new(file)),
            Err(TryLockError::WouldBlock) => Err(fail(io::ErrorKind::WouldBlock.into())),
            Err(TryLockError::Error(error)) => Err(fail(error)),
        }
    }
}

impl OpenFile {
    fn fail(&self, operation: Operation) -> impl Fn(io::Error) -> StorageError + '_ {
        move |error| StorageError::new(operation, &self.path, error)
    }
}

impl StorageFile for OpenFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> Result<u64, StorageError> {
        Ok(self.file.metadata().map_err(self.fail(Operation::Read))?.len())
    }

    fn append(&self, bytes: &[u8]) -> Result<(), StorageError> {
        (&self.file).write_all(bytes).map_err(self.fail(Operation::Append))
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.file.sync_data().map_err(self.fail(Operation::Sync))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        self.file.read_exact_at(buffer, offset).map_err(self.fail(Operation::Read))
    }

    fn truncate(&self, len: u64) -> Result<(), StorageError> {
        self.file.set_len(len).and_then(|()| self.file.sync_all()).map_err(self.fail(Operation::Truncate))
    }
}
