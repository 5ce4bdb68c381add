//! A view on disk: Fjall, an LSM tree.
//!
//! Every commit is synced to Fjall's own journal. Without that a power cut could leave one table newer than another;
//! commits come seldom, each with many blocks.

use super::{FrozenView, View, ViewError, Visit, Write};
use crate::key::{Key, Table};
use alloy_primitives::Bytes;
use fjall::compaction::Leveled;
use fjall::config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

/// Memory for blocks of all tables, in bytes. Hot entries are cached above the view already.
const BLOCK_CACHE_BYTES: u64 = 48 << 20;
/// Largest size of all journals, in bytes, which bounds what is read again at the start. The smallest Fjall accepts.
const JOURNAL_BYTES_MAX: u64 = 64 << 20;
/// Open files of the view.
const OPEN_FILES_MAX: usize = 256;

/// Sorted files of a table that gather before they are merged into the level below. What changes lies all over a table, so
/// that each merge writes the whole level anew: few merges of much cost less than many of little. Fjall slows writers from
/// 20 files on. A table keeps the number that it was made with.
const FILES_BEFORE_MERGE: u8 = 12;

/// A view on disk.
pub struct FjallView {
    tables: Vec<Keyspace>,
    database: Database,
}

impl FjallView {
    /// Opens the view in a folder. One that cannot be opened is deleted and begun anew; the reason is returned then.
    ///
    /// # Errors
    /// [`ViewError`] if not even an empty view can be made, or another process has it open.
    pub fn open(folder: &Path) -> Result<(Self, Option<String>), ViewError> {
        let first = match Self::try_open(folder) {
            Ok(view) => return Ok((view, None)),
            Err(reason) => reason,
        };
        if first == LOCKED {
            return Err(ViewError::new("open", format!("{} is in use", folder.display())));
        }
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(ViewError::new("delete itself", error)),
            _ => {
                Self::try_open(folder).map(|view| (view, Some(first))).map_err(|reason| ViewError::new("open", reason))
            }
        }
    }

    /// Opens an existing view and leaves it as it is if that fails.
    ///
    /// # Errors
    /// [`ViewError`] if there is none, it is damaged, or another process has it open.
    pub fn open_existing(folder: &Path) -> Result<Self, ViewError> {
        if !folder.is_dir() {
            return Err(ViewError::new("open", format!("{} does not exist", folder.display())));
        }
        Self::try_open(folder).map_err(|reason| ViewError::new("open", reason))
    }

    fn try_open(folder: &Path) -> Result<Self, String> {
        // Fjall panics on some kinds of damage. Nothing outlives the attempt but the files, which are deleted then.
        catch_unwind(AssertUnwindSafe(|| Self::open_database(folder)))
            .unwrap_or_else(|_| Err("its files are damaged".to_owned()))
    }

    fn open_database(folder: &Path) -> Result<Self, String> {
        let fail = |error: fjall::Error| match error {
            fjall::Error::Locked => LOCKED.to_owned(),
            error => error.to_string(),
        };
        let database = Database::builder(folder)
            .cache_size(BLOCK_CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .max_cached_files(Some(OPEN_FILES_MAX))
            .worker_threads(1)
            .open()
            .map_err(fail)?;
        let open = |table: Table| database.keyspace(table.name(), || options(table)).map_err(fail);
        let tables = Table::ALL.into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { tables, database })
    }

    fn table(&self, table: Table) -> Result<&Keyspace, ViewError> {
        self.tables.get(table as usize).ok_or_else(|| ViewError::new("find a table", table.name()))
    }
}

/// What [`FjallView::try_open`] says when another process has the view open.
const LOCKED: &str = "in use";

fn options(table: Table) -> KeyspaceCreateOptions {
    // Memory for writes that are not yet in sorted files. While one is written out another fills.
    let memtable_bytes = match table {
        Table::Nodes => 16 << 20,
        Table::Storage => 8 << 20,
        Table::Accounts | Table::Transactions => 4 << 20,
        Table::Codes | Table::Blocks | Table::Hashes | Table::Heads | Table::Headers | Table::Epochs | Table::Meta => {
            1 << 20
        }
    };
    let bits = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0));
    // Nodes are only looked up where they exist, and the lowest level then needs no filter: it is nine tenths of all.
    let compaction = Leveled::default().with_l0_threshold(FILES_BEFORE_MERGE);
    KeyspaceCreateOptions::default()
        .compaction_strategy(Arc::new(compaction))
        .max_memtable_size(memtable_bytes)
        .filter_policy(FilterPolicy::all(bits))
        .expect_point_read_hits(matches!(table, Table::Nodes | Table::Codes | Table::Blocks | Table::Hashes))
}

impl View for FjallView {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, ViewError> {
        let value = self.table(key.table())?.get(key.bytes()).map_err(|error| ViewError::new("read", error))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, table: Table, prefix: &[u8], visit: Visit<'_>) -> Result<(), ViewError> {
        for guard in self.table(table)?.prefix(prefix) {
            let (key, value) = guard.into_inner().map_err(|error| ViewError::new("read", error))?;
            if visit(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn commit(&self, batch: Vec<Write>) -> Result<(), ViewError> {
        let mut writes = self.database.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in batch {
            let table = self.table(key.table())?;
            match value {
                Some(value) => writes.insert(table, key.bytes(), value.as_ref()),
                None => writes.remove(table, key.bytes()),
            }
        }
        writes.commit().map_err(|error| ViewError::new("write", error))
    }

    fn clear(&self) -> Result<(), ViewError> {
        let fail = |error| ViewError::new("clear itself", error);
        // First what makes the rest count, so that a crash in between leaves a view that is seen to be empty.
        for table in self.tables.iter().rev() {
            table.clear().map_err(fail)?;
            self.database.persist(PersistMode::SyncData).map_err(fail)?;
        }
        Ok(())
    }

    fn freeze(&self) -> Result<Box<dyn FrozenView>, ViewError> {
        Ok(Box::new(Frozen { tables: self.tables.clone(), snapshot: self.database.snapshot() }))
    }
}

/// The view at some moment: Fjall keeps what is replaced while a snapshot of it lives.
struct Frozen {
    tables: Vec<Keyspace>,
    snapshot: Snapshot,
}

impl Frozen {
    fn table(&self, table: Table) -> Result<&Keyspace, ViewError> {
        self.tables.get(table as usize).ok_or_else(|| ViewError::new("find a table", table.name()))
    }
}

impl FrozenView for Frozen {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, ViewError> {
        let table = self.table(key.table())?;
        let value = self.snapshot.get(table, key.bytes()).map_err(|error| ViewError::new("read", error))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, table: Table, prefix: &[u8], visit: Visit<'_>) -> Result<(), ViewError> {
        for guard in self.snapshot.prefix(self.table(table)?, prefix) {
            let (key, value) = guard.into_inner().map_err(|error| ViewError::new("read", error))?;
            if visit(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, U256};
    use std::ops::ControlFlow;

    #[test]
    fn keeps_reads_scans_and_clears() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("view");
        let slot = |i: u64| Key::storage(Address::repeat_byte(1), U256::from(i));
        let value = |i: u64| Some(Bytes::copy_from_slice(&i.to_be_bytes()));
        let (view, reason) = FjallView::open(&path).unwrap();
        assert_eq!(reason, None);
        view.commit((0..10).map(|i| (slot(i), value(i))).collect()).unwrap();
        view.commit(vec![(slot(3), None), (Key::storage(Address::repeat_byte(2), U256::ZERO), value(9))]).unwrap();
        assert!(FjallView::open(&path).is_err(), "two must not have it open");
        drop(view);

        let (view, reason) = FjallView::open(&path).unwrap();
        assert_eq!(reason, None);
        assert_eq!(view.get(&slot(2)).unwrap(), value(2));
        assert_eq!(view.get(&slot(3)).unwrap(), None);
        let mut count = 0;
        view.scan(Table::Storage, Address::repeat_byte(1).as_slice(), &mut |_, _| {
            count += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(count, 9);
        view.clear().unwrap();
        drop(view);
        let (view, _) = FjallView::open(&path).unwrap();
        assert_eq!(view.get(&slot(2)).unwrap(), None);
    }

    #[test]
    fn a_damaged_view_is_begun_anew_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("view");
        drop(FjallView::open(&path).unwrap());
        std::fs::write(path.join("version"), b"nonsense").unwrap();
        let (view, reason) = FjallView::open(&path).unwrap();
        assert!(reason.is_some());
        assert_eq!(view.get(&Key::block(1)).unwrap(), None);
    }
}
