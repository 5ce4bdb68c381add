//! The simulator's disk: it keeps what was synced and may lose, tear, refuse or corrupt the rest.
//!
//! There is no randomness in here. Who simulates decides what happens and when.

use super::{FolderLock, Operation, Storage, StorageError, StorageFile};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    disk: Arc<Mutex<Disk>>,
}

/// Something that goes wrong from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Only this many more bytes fit; an append beyond writes what fits and fails.
    DiskFull {
        /// Bytes that still fit.
        free: u64,
    },
    /// This many syncs succeed, all later ones fail.
    SyncFails {
        /// Syncs that still succeed.
        after: u64,
    },
    /// Each read of this byte sees it with these bits flipped, as long as the fault lasts.
    ReadFlips {
        /// The file.
        path: PathBuf,
        /// The position in it, in bytes.
        offset: u64,
        /// The bits.
        mask: u8,
    },
}

/// What a crash does to one file with bytes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// How many of the unsynced bytes reached the disk; more than there are means all.
    pub kept: u64,
    /// How many bytes at the end of those kept are zero, as when the length reached the disk before the data.
    pub zeroed: u64,
}

#[derive(Default)]
struct Disk {
    files: BTreeMap<PathBuf, Contents>,
    locks: BTreeSet<PathBuf>,
    faults: Vec<Fault>,
    /// The number of crashes. Handles and locks from before a crash are dead.
    life: u64,
    syncs: u64,
}

#[derive(Default)]
struct Contents {
    bytes: Vec<u8>,
    synced: usize,
}

struct Handle {
    storage: MemoryStorage,
    path: PathBuf,
    life: u64,
}

struct HeldLock {
    storage: MemoryStorage,
    path: PathBuf,
    life: u64,
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        let mut disk = self.storage.disk.lock();
        if disk.life == self.life {
            disk.locks.remove(&self.path);
        }
    }
}

impl MemoryStorage {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops the machine: handles and locks die, and of each file with unsynced bytes remains what `fate` says; it is
    /// asked with the path and the number of unsynced bytes, in the order of paths.
    pub fn crash(&self, mut fate: impl FnMut(&Path, u64) -> Crash) {
        let mut disk = self.disk.lock();
        disk.life += 1;
        disk.locks.clear();
        for (path, contents) in &mut disk.files {
            let unsynced = contents.bytes.len().saturating_sub(contents.synced);
            if unsynced > 0 {
                let Crash { kept, zeroed } = fate(path, unsynced as u64);
                let kept = usize::try_from(kept).unwrap_or(usize::MAX).min(unsynced);
                contents.bytes.truncate(contents.synced + kept);
                let zeroed = usize::try_from(zeroed).unwrap_or(usize::MAX).min(kept);
                let from = contents.bytes.len() - zeroed;
                contents.bytes.iter_mut().skip(from).for_each(|byte| *byte = 0);
            }
            contents.synced = contents.bytes.len();
        }
    }

    /// Lets something go wrong from now on. Several faults may hold at once.
    pub fn inject(&self, fault: Fault) {
        self.disk.lock().faults.push(fault);
    }

    /// Ends all injected faults.
    pub fn heal(&self) {
        self.disk.lock().faults.clear();
    }

    /// Flips bits of one byte on the disk, as rot does. Returns whether the file has that byte.
    #[must_use]
    pub fn rot(&self, path: &Path, offset: u64, mask: u8) -> bool {
        let mut disk = self.disk.lock();
        let Some(contents) = disk.files.get_mut(path) else { return false };
        let Some(byte) = usize::try_from(offset).ok().and_then(|offset| contents.bytes.get_mut(offset)) else {
            return false;
        };
        *byte ^= mask;
        true
    }

    /// Cuts a file without any sync, as a misbehaving file system does. Returns whether the file exists.
    #[must_use]
    pub fn cut(&self, path: &Path, len: u64) -> bool {
        let mut disk = self.disk.lock();
        let Some(contents) = disk.files.get_mut(path) else { return false };
        contents.bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        contents.synced = contents.synced.min(contents.bytes.len());
        true
    }

    /// A disk with the same synced and unsynced bytes, without faults or locks.
    #[must_use]
    pub fn copy(&self) -> Self {
        let disk = self.disk.lock();
        let copy = |(path, contents): (&PathBuf, &Contents)| {
            (path.clone(), Contents { bytes: contents.bytes.clone(), synced: contents.synced })
        };
        let files = disk.files.iter().map(copy).collect();
        Self { disk: Arc::new(Mutex::new(Disk { files, ..Disk::default() })) }
    }

    /// All files with their lengths in bytes, in order.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        self.disk.lock().files.iter().map(|(path, contents)| (path.clone(), contents.bytes.len() as u64)).collect()
    }

    /// How many syncs have succeeded so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.disk.lock().syncs
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk {
    /// How many of `wanted` bytes still fit.
    fn room(&mut self, wanted: usize) -> usize {
        let mut room = wanted;
        for fault in &mut self.faults {
            if let Fault::DiskFull { free } = fault {
                room = room.min(usize::try_from(*free).unwrap_or(usize::MAX));
                *free = free.saturating_sub(wanted as u64);
            }
        }
        room
    }

    fn sync(&mut self) -> io::Result<()> {
        for fault in &mut self.faults {
            if let Fault::SyncFails { after } = fault {
                if *after == 0 {
                    return Err(io::Error::other("injected fsync failure"));
                }
                *after -= 1;
            }
        }
        self.syncs += 1;
        Ok(())
    }
}

impl Storage for MemoryStorage {
    fn create_folder(&self, _path: &Path) -> Result<(), StorageError> {
        Ok(())
    }

    fn list(&self, folder: &Path) -> Result<Vec<String>, StorageError> {
        let disk = self.disk.lock();
        let names = disk.files.keys().filter(|path| path.parent() == Some(folder));
        Ok(names.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn StorageFile>, StorageError> {
        let mut disk = self.disk.lock();
        let fail = |error| StorageError::new(Operation::Create, path, error);
        if disk.files.contains_key(path) {
            return Err(fail(io::ErrorKind::AlreadyExists.into()));
        }
        disk.sync().map_err(fail)?;
        disk.files.insert(path.to_path_buf(), Contents::default());
        Ok(Arc::new(Handle { storage: self.clone(), path: path.to_path_buf(), life: disk.life }))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn StorageFile>, StorageError> {
        let disk = self.disk.lock();
        if !disk.files.contains_key(path) {
            return Err(StorageError::new(Operation::Open, path, not_found()));
        }
        Ok(Arc::new(Handle { storage: self.clone(), path: path.to_path_buf(), life: disk.life }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        let mut disk = self.disk.lock();
        let fail = |error| StorageError::new(Operation::Rename, from, error);
        disk.sync().map_err(fail)?;
        let contents = disk.files.remove(from).ok_or_else(|| fail(not_found()))?;
        disk.files.insert(to.to_path_buf(), contents);
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<(), StorageError> {
        self.disk.lock().files.remove(path);
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<FolderLock, StorageError> {
        let mut disk = self.disk.lock();
        if !disk.locks.insert(path.to_path_buf()) {
            return Err(StorageError::new(Operation::Lock, path, io::ErrorKind::WouldBlock.into()));
        }
        Ok(FolderLock::new(HeldLock { storage: self.clone(), path: path.to_path_buf(), life: disk.life }))
    }
}

impl Handle {
    /// Runs `act` on the file and the disk, unless the machine has crashed since the file was opened.
    fn with<T>(
        &self,
        operation: Operation,
        act: impl FnOnce(&mut Contents, &mut Disk) -> io::Result<T>,
    ) -> Result<T, StorageError> {
        let mut disk = self.storage.disk.lock();
        let fail = |error| StorageError::new(operation, &self.path, error);
        if disk.life != self.life {
            return Err(fail(io::Error::other("the machine has crashed since this file was opened")));
        }
        // The contents are taken out for a moment, so that the rest of the disk can be used beside them.
        let mut contents = disk.files.remove(&self.path).ok_or_else(|| fail(not_found()))?;
        let result = act(&mut contents, &mut disk);
        disk.files.insert(self.path.clone(), contents);
        result.map_err(fail)
    }
}

impl StorageFile for Handle {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> Result<u64, StorageError> {
        self.with(Operation::Read, |contents, _| Ok(contents.bytes.len() as u64))
    }

    fn append(&self, bytes: &[u8]) -> Result<(), StorageError> {
        self.with(Operation::Append, |contents, disk| {
            let room = disk.room(bytes.len());
            contents.bytes.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            if room < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        })
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.with(Operation::Sync, |contents, disk| {
            disk.sync()?;
            contents.synced = contents.bytes.len();
            Ok(())
        })
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        self.with(Operation::Read, |contents, disk| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            let end = from.saturating_add(buffer.len());
            let bytes = contents.bytes.get(from..end).ok_or(io::ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(bytes);
            for fault in &disk.faults {
                if let Fault::ReadFlips { path, offset: at, mask } = fault
                    && *path == self.path
                    && let Some(index) = at.checked_sub(offset).and_then(|index| usize::try_from(index).ok())
                    && let Some(byte) = buffer.get_mut(index)
                {
                    *byte ^= mask;
                }
            }
            Ok(())
        })
    }

    fn truncate(&self, len: u64) -> Result<(), StorageError> {
        self.with(Operation::Truncate, |contents, disk| {
            disk.sync()?;
            contents.bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
            contents.synced = contents.bytes.len();
            Ok(())
        })
    }
}
