//! A node's disk: memory that loses what was not synced, and power that can go at any operation.

use lian_ledger::{Crash, Fault, FolderLock, MemoryStorage, Operation, Storage, StorageError, StorageFile};
use parking_lot::Mutex;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A disk. Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    memory: MemoryStorage,
    power: Arc<Mutex<Power>>,
}

/// Whether anything that the program does still reaches the disk.
#[derive(Debug, Default)]
struct Power {
    /// Nothing does any more.
    gone: bool,
    /// So many more operations do.
    left: Option<u64>,
    /// What is written reaches the disk's cache only: a write during which the machine is about to crash.
    losing: bool,
}

impl Disk {
    /// A disk with the same bytes, without faults.
    pub(crate) fn copy(&self) -> Self {
        Self { memory: self.memory.copy(), power: Arc::default() }
    }

    /// Lets the power go at the operation after so many more.
    pub(crate) fn fail_after(&self, operations: u64) {
        self.power.lock().left = Some(operations);
    }

    /// The power does not go any more, unless it has gone.
    pub(crate) fn keep_power(&self) {
        self.power.lock().left = None;
    }

    /// Whether the power is gone: the program runs on for a moment, but the machine must crash now.
    pub(crate) fn is_gone(&self) -> bool {
        self.power.lock().gone
    }

    /// Runs a write whose fsync the crash that follows interrupts: its bytes are written and not synced.
    pub(crate) fn interrupted<T>(&self, write: impl FnOnce() -> T) -> T {
        self.power.lock().losing = true;
        let result = write();
        self.power.lock().losing = false;
        result
    }

    /// Stops the machine. `fate` says what remains of unsynced bytes.
    pub(crate) fn crash(&self, fate: impl FnMut(&Path, u64) -> Crash) {
        self.memory.crash(fate);
        *self.power.lock() = Power::default();
    }

    /// Lets something go wrong from now on.
    pub(crate) fn inject(&self, fault: Fault) {
        self.memory.inject(fault);
    }

    /// Ends injected faults.
    pub(crate) fn heal(&self) {
        self.memory.heal();
    }

    /// All files with their lengths.
    pub(crate) fn files(&self) -> Vec<(PathBuf, u64)> {
        self.memory.files()
    }

    /// Removes a file, as an operator's mistake does.
    pub(crate) fn lose(&self, path: &Path) -> Result<(), StorageError> {
        self.memory.remove(path)
    }

    /// Flips bits of one byte.
    pub(crate) fn rot(&self, path: &Path, offset: u64, mask: u8) -> bool {
        self.memory.rot(path, offset, mask)
    }

    /// Cuts a file.
    pub(crate) fn cut(&self, path: &Path, length: u64) -> bool {
        self.memory.cut(path, length)
    }

    fn spend(&self, operation: Operation, path: &Path) -> Result<(), StorageError> {
        self.power.lock().spend().map_err(|source| StorageError { operation, path: path.to_path_buf(), source })
    }

    fn wrap(&self, file: Arc<dyn StorageFile>) -> Arc<dyn StorageFile> {
        Arc::new(File { file, disk: self.clone() })
    }
}

impl Power {
    /// Counts an operation that changes something.
    fn spend(&mut self) -> io::Result<()> {
        if let Some(left) = &mut self.left {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => self.gone = true,
            }
        }
        if self.gone { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }
}

impl Storage for Disk {
    fn create_folder(&self, path: &Path) -> Result<(), StorageError> {
        self.memory.create_folder(path)
    }

    fn list(&self, folder: &Path) -> Result<Vec<String>, StorageError> {
        self.memory.list(folder)
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn StorageFile>, StorageError> {
        self.spend(Operation::Create, path)?;
        self.memory.create(path).map(|file| self.wrap(file))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn StorageFile>, StorageError> {
        self.memory.open(path).map(|file| self.wrap(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        self.spend(Operation::Rename, from)?;
        self.memory.rename(from, to)
    }

    fn remove(&self, path: &Path) -> Result<(), StorageError> {
        self.spend(Operation::Remove, path)?;
        self.memory.remove(path)
    }

    fn lock(&self, path: &Path) -> Result<FolderLock, StorageError> {
        self.memory.lock(path)
    }
}

struct File {
    file: Arc<dyn StorageFile>,
    disk: Disk,
}

impl StorageFile for File {
    fn path(&self) -> &Path {
        self.file.path()
    }

    fn len(&self) -> Result<u64, StorageError> {
        self.file.len()
    }

    fn append(&self, bytes: &[u8]) -> Result<(), StorageError> {
        if self.disk.is_gone() {
            return self.disk.spend(Operation::Append, self.path());
        }
        // The last append before the power goes reaches the disk's cache: a crash may keep any part of it.
        let spent = self.disk.spend(Operation::Append, self.path());
        self.file.append(bytes)?;
        spent
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.disk.spend(Operation::Sync, self.path())?;
        if self.disk.power.lock().losing { Ok(()) } else { self.file.sync() }
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        self.file.read_at(offset, buffer)
    }

    fn truncate(&self, len: u64) -> Result<(), StorageError> {
        self.disk.spend(Operation::Truncate, self.path())?;
        self.file.truncate(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(disk: &Disk) -> Arc<dyn StorageFile> {
        disk.create(Path::new("/a")).unwrap()
    }

    #[test]
    fn an_interrupted_write_may_be_torn() {
        let disk = Disk::default();
        let written = file(&disk);
        written.append(b"safe").unwrap();
        written.sync().unwrap();
        disk.interrupted(|| {
            written.append(b"lost").unwrap();
            written.sync().unwrap();
        });
        disk.crash(|_, unsynced| Crash { kept: unsynced - 3, zeroed: 0 });
        assert_eq!(disk.files(), vec![("/a".into(), 5)]);
    }

    #[test]
    fn power_goes_at_the_chosen_operation() {
        let disk = Disk::default();
        let written = file(&disk);
        disk.fail_after(2);
        written.append(b"ab").unwrap();
        written.sync().unwrap();
        assert!(!disk.is_gone());
        assert!(written.append(b"cd").is_err());
        assert!(disk.is_gone());
        assert!(written.append(b"ef").is_err());
        assert!(written.sync().is_err());
        disk.crash(|_, unsynced| Crash { kept: unsynced, zeroed: 0 });
        assert_eq!(disk.files(), vec![("/a".into(), 4)]);
        assert!(!disk.is_gone());
    }
}
