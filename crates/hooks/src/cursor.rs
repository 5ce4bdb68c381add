//! How far a hook has come, on disk.

use alloy_primitives::{Address, B256};
use lian_ledger::{FileStorage, Storage, StorageError, read_whole, write_whole};
use lian_types::{BlockNumber, GroupId};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How far a hook has come. Everything before it was taken by the hook's service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cursor {
    /// The group that the hook reads.
    pub group: GroupId,
    /// The contract that it is about.
    pub contract: Address,
    /// The last block that it has looked at.
    pub block: BlockNumber,
    /// The position in that block from which on logs are still to be told; nothing where the whole block is done.
    pub log_index: Option<usize>,
    /// The block's hash, so that the cursor is not taken for one of another chain; nothing for a block that is not there yet.
    pub block_hash: Option<B256>,
}

impl Cursor {
    /// Before the first log of a block.
    #[must_use]
    pub const fn before(group: GroupId, contract: Address, block: BlockNumber) -> Self {
        Self { group, contract, block, log_index: Some(0), block_hash: None }
    }

    /// The block to look at next.
    #[must_use]
    pub const fn next_block(&self) -> BlockNumber {
        match self.log_index {
            Some(_) => self.block,
            None => self.block.next(),
        }
    }
}

/// Why a cursor cannot be gone on from.
#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    /// The file could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// It is no cursor.
    #[error("{path} is no cursor ({reason}); remove it and let `from` name the block to begin with")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It is about something else.
    #[error(
        "{path} is about contract {contract} of group {group}: give this hook another name, or remove the file and let \
         `from` name the block to begin with"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The contract that it is about.
        contract: Address,
        /// The group that it is about.
        group: GroupId,
    },
}

/// Where a hook's cursor is.
#[derive(Clone, Debug)]
pub struct CursorFile {
    path: PathBuf,
    group: GroupId,
    contract: Address,
}

impl CursorFile {
    /// The file of a hook about a contract.
    #[must_use]
    pub const fn new(path: PathBuf, group: GroupId, contract: Address) -> Self {
        Self { path, group, contract }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the cursor; nothing where there is none yet.
    ///
    /// # Errors
    /// [`CursorError`], with the file.
    pub fn read(&self) -> Result<Option<Cursor>, CursorError> {
        let Some(bytes) = read_whole(&FileStorage, &self.path)? else { return Ok(None) };
        let cursor: Cursor = serde_json::from_slice(&bytes)
            .map_err(|error| CursorError::Malformed { path: self.path.clone(), reason: error.to_string() })?;
        if (cursor.group, cursor.contract) != (self.group, self.contract) {
            let Cursor { contract, group, .. } = cursor;
            return Err(CursorError::Foreign { path: self.path.clone(), contract, group });
        }
        Ok(Some(cursor))
    }

    /// Writes the cursor: when this returns it is on the disk, and before that the former one is.
    ///
    /// # Errors
    /// [`StorageError`]; the file is as before, or whole.
    pub fn write(&self, cursor: &Cursor) -> Result<(), StorageError> {
        if let Some(folder) = self.path.parent() {
            FileStorage.create_folder(folder)?;
        }
        let mut text = serde_json::json!(cursor).to_string();
        text.push('\n');
        write_whole(&FileStorage, &self.path, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_by_the_hook_that_it_is_about() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hooks/erp.json");
        let (group, contract) = (GroupId(1), Address::repeat_byte(7));
        let file = CursorFile::new(path.clone(), group, contract);
        assert_eq!(file.read().unwrap(), None);
        let first = Cursor::before(group, contract, BlockNumber(5));
        let done = Cursor { log_index: None, block_hash: Some(B256::repeat_byte(1)), ..first.clone() };
        assert_eq!((first.next_block().0, done.next_block().0), (5, 6));
        for cursor in [first, done] {
            file.write(&cursor).unwrap();
            assert_eq!(file.read().unwrap(), Some(cursor));
        }
        for (group, contract) in [(GroupId(0), contract), (group, Address::ZERO)] {
            let error = CursorFile::new(path.clone(), group, contract).read().unwrap_err();
            assert!(matches!(error, CursorError::Foreign { group: GroupId(1), .. }), "{error}");
        }
        std::fs::write(&path, "{\"block\": 5}").unwrap();
        assert!(matches!(file.read().unwrap_err(), CursorError::Malformed { .. }));
    }
}
