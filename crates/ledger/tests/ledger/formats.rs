//! What a newer version of the program has written is named and left as it is.

use crate::chain::{Chain, Disk};
use lian_ledger::{LogError, MemoryStorage, Storage, VoteLog};
use lian_types::BlockNumber;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The files of a storage with their bytes.
fn content(storage: &MemoryStorage) -> Vec<(PathBuf, Vec<u8>)> {
    let read = |path: PathBuf| {
        let file = storage.open(&path).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        (path, bytes)
    };
    storage.files().into_iter().map(|(path, _)| read(path)).collect()
}

fn write(storage: &MemoryStorage, path: &Path, bytes: &[u8]) {
    storage.remove(path).unwrap();
    storage.create(path).unwrap().append(bytes).unwrap();
}

/// Makes the log in a folder one of format 2, with a valid header, whose records this program does not know either.
fn make_newer(storage: &MemoryStorage, folder: &str) -> PathBuf {
    let is_segment = |path: &PathBuf| path.starts_with(folder) && path.extension().is_some_and(|end| end == "log");
    let (path, mut bytes) = content(storage).into_iter().rfind(|(path, _)| is_segment(path)).unwrap();
    bytes[7] = b'2';
    let checksum = crc32fast::hash(&bytes[..48]);
    bytes[48..52].copy_from_slice(&checksum.to_le_bytes());
    bytes[52..].fill(0x5a);
    write(storage, &path, &bytes);
    path
}

/// It is neither taken for a torn tail, which would be cut, nor for a lost log, which would be begun anew.
#[test]
fn a_newer_vote_log_is_left_alone() {
    let storage = MemoryStorage::new();
    let open = || {
        let storage: Arc<dyn Storage> = Arc::new(storage.clone());
        VoteLog::open(storage, Path::new("/node"), true)
    };
    open().unwrap().0.append(&[(BlockNumber(2), b"prepare")]).unwrap();
    let path = make_newer(&storage, "/node/votes");
    let before = content(&storage);
    let error = open().map(drop).unwrap_err();
    assert!(matches!(error, LogError::Format { found: '2', known: '1', .. }));
    let expected = format!(
        "{} has log format 2, this program knows 1: use the version that wrote it, or a newer one",
        path.display()
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(content(&storage), before);
}

#[test]
fn a_newer_ledger_is_left_alone() {
    let (chain, disk) = (Chain::new(), Disk::new(1_024));
    drop(chain.open(&disk).unwrap());
    let identity = Path::new("/ledger/chain.json");
    let text = content(&disk.storage).into_iter().find(|(path, _)| path == identity).unwrap().1;
    let newer = String::from_utf8(text.clone()).unwrap().replace("\"format\": 1", "\"format\": 2, \"more\": 3");
    write(&disk.storage, identity, newer.as_bytes());
    let error = chain.open(&disk).map(drop).unwrap_err().to_string();
    assert!(error.starts_with("/ledger/chain.json has format 2, this program knows 1"), "{error}");

    write(&disk.storage, identity, &text);
    make_newer(&disk.storage, "/ledger/blocks");
    let before = content(&disk.storage);
    let error = chain.open(&disk).map(drop).unwrap_err().to_string();
    assert!(error.contains("has log format 2, this program knows 1"), "{error}");
    assert_eq!(content(&disk.storage), before);
}
