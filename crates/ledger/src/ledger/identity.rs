//! Which chain a folder belongs to, and that only one process has it open.

use super::LedgerError;
use crate::storage::{FolderLock, Storage, read_whole, write_whole};
use alloy_primitives::B256;
use lian_crypto::Suite;
use lian_types::ChainContext;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::Path;

/// The file that says which chain a folder belongs to.
pub(super) const FILE: &str = "chain.json";
/// The file that is locked while a process has the folder open.
const LOCK_FILE: &str = "LOCK";

/// The format of the folder.
const FORMAT: u32 = 1;

#[derive(Deserialize)]
struct Formatted {
    format: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    format: u32,
    suite: String,
    genesis: B256,
    group: u32,
    chain_id: u64,
}

impl Identity {
    fn new(suite: Suite, chain: &ChainContext) -> Self {
        Self {
            format: FORMAT,
            suite: suite.name().to_owned(),
            genesis: chain.genesis,
            group: chain.group.0,
            chain_id: chain.chain_id,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, suite, genesis, group, chain_id } = self;
        write!(f, "genesis {genesis}, group {group}, chain id {chain_id}, suite {suite}, format {format}")
    }
}

/// Takes the lock of a folder.
pub(super) fn lock(storage: &dyn Storage, folder: &Path) -> Result<FolderLock, LedgerError> {
    storage.create_folder(folder)?;
    storage.lock(&folder.join(LOCK_FILE)).map_err(|error| match error.source.kind() {
        io::ErrorKind::WouldBlock => LedgerError::Locked { folder: folder.to_path_buf() },
        _ => error.into(),
    })
}

/// Checks that a folder belongs to a chain, or claims it if it is empty.
pub(super) fn claim(
    storage: &dyn Storage,
    folder: &Path,
    log_folder: &Path,
    suite: Suite,
    chain: &ChainContext,
) -> Result<(), LedgerError> {
    let path = folder.join(FILE);
    let expected = Identity::new(suite, chain);
    let Some(bytes) = read_whole(storage, &path)? else {
        if !storage.list(log_folder)?.is_empty() {
            return Err(LedgerError::NoIdentity { path, reason: "no such file".to_owned() });
        }
        let text = serde_json::to_vec_pretty(&expected).unwrap_or_default();
        return Ok(write_whole(storage, &path, &text)?);
    };
    let unusable = |reason: String| LedgerError::NoIdentity { path: path.clone(), reason };
    // First the format: the rest may look different in another one.
    let Formatted { format } = serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
    if format != FORMAT {
        return Err(LedgerError::Format { path, found: format, known: FORMAT });
    }
    let found: Identity = serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (found.to_string(), expected.to_string());
    Err(LedgerError::WrongChain { folder: folder.to_path_buf(), found, expected })
}

/// Takes the lock of a folder that is only to be read, and checks that it belongs to a chain.
pub(crate) fn open_for_reading(
    storage: &dyn Storage,
    folder: &Path,
    log_folder: &Path,
    suite: Suite,
    chain: &ChainContext,
) -> Result<FolderLock, LedgerError> {
    let path = folder.join(FILE);
    if read_whole(storage, &path)?.is_none() {
        return Err(LedgerError::NoIdentity { path, reason: "no such file".to_owned() });
    }
    let lock = lock(storage, folder)?;
    claim(storage, folder, log_folder, suite, chain)?;
    Ok(lock)
}
