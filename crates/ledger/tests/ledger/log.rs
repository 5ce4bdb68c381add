//! The segmented log under torn writes, damage and failing disks.

use lian_ledger::{Crash, Durability, Entry, Fault, Location, Log, LogError, LogOptions, MemoryStorage, Storage, Tail};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn options(segment_bytes: u64) -> LogOptions {
    LogOptions { folder: "/log".into(), purpose: *b"testing\0", segment_bytes, durability: Durability::EveryAppend }
}

fn open(storage: &MemoryStorage, segment_bytes: u64) -> Result<(Arc<Log>, Tail), LogError> {
    let storage: Arc<dyn Storage> = Arc::new(storage.clone());
    Log::open(storage, options(segment_bytes)).map(|(log, tail)| (Arc::new(log), tail))
}

fn append(log: &Log, payloads: &[&[u8]]) -> Result<Vec<Location>, LogError> {
    let entries: Vec<_> = payloads.iter().map(|payload| Entry { kind: 3, height: 9, payload }).collect();
    log.append(&entries)
}

fn payloads(log: &Arc<Log>) -> Vec<Vec<u8>> {
    let mut cursor = log.cursor();
    let mut all = Vec::new();
    while let Some((location, record)) = cursor.next().unwrap() {
        assert_eq!(log.read(location).unwrap(), record);
        assert_eq!(record.sequence, all.len() as u64);
        all.push(record.into_payload());
    }
    all
}

fn segment(id: u64) -> PathBuf {
    Path::new("/log").join(format!("{id:010}.log"))
}

#[test]
fn records_survive_and_segments_rotate() {
    let storage = MemoryStorage::new();
    let mut expected = Vec::new();
    for round in 0u8..10 {
        let (log, tail) = open(&storage, 200).unwrap();
        assert_eq!(tail, if round == 0 { Tail::Fresh } else { Tail::Whole });
        for i in 0..5 {
            let payload = vec![round; i * 13];
            append(&log, &[&payload, b"x"]).unwrap();
            expected.extend([payload, b"x".to_vec()]);
        }
        assert_eq!(payloads(&log), expected);
        assert_eq!(log.next_sequence(), expected.len() as u64);
    }
    assert!(storage.files().len() > 5);
}

#[test]
fn one_append_is_one_sync() {
    let storage = MemoryStorage::new();
    let (log, _) = open(&storage, 1 << 20).unwrap();
    append(&log, &[b"first"]).unwrap();
    let before = storage.syncs();
    append(&log, &[b"a", b"b", b"c"]).unwrap();
    assert_eq!(storage.syncs(), before + 1);
}

#[test]
fn a_tail_torn_at_any_byte_is_cut() {
    let storage = MemoryStorage::new();
    let (log, _) = open(&storage, 1 << 20).unwrap();
    append(&log, &[b"first"]).unwrap();
    append(&log, &[b"second"]).unwrap();
    let whole = storage.files()[0].1;
    append(&log, &[b"the last record", b"of two"]).unwrap();
    let end = storage.files()[0].1;
    for torn in whole..end {
        for zeroed in [0, 1, 7, 40] {
            let copy = storage.copy();
            assert!(copy.cut(&segment(0), torn));
            // What a file system may leave in the place of data that it had not written yet.
            for at in torn.saturating_sub(zeroed).max(whole)..torn {
                assert!(copy.rot(&segment(0), at, 0xa5));
            }
            let (log, tail) = open(&copy, 1 << 20).unwrap();
            let kept = payloads(&log);
            let first_of_two = torn - zeroed.min(torn - whole) >= whole + 44 + 15;
            assert_eq!(kept.len(), if first_of_two { 3 } else { 2 }, "torn at {torn}, {zeroed} bad bytes");
            match tail {
                Tail::Cut { path, offset, bytes } => {
                    assert_eq!((path, offset + bytes), (segment(0), torn));
                    assert!(bytes > 0);
                }
                tail => assert_eq!((tail, first_of_two || torn == whole), (Tail::Whole, true)),
            }
            append(&log, &[b"next"]).unwrap();
            let (log, tail) = open(&copy, 1 << 20).unwrap();
            assert_eq!(tail, Tail::Whole);
            assert_eq!(payloads(&log).last().unwrap(), b"next");
        }
    }
}

/// A batch of which the disk wrote a later part and not an earlier one was never acknowledged: it is cut whole.
#[test]
fn a_batch_written_out_of_order_is_cut() {
    let storage = MemoryStorage::new();
    let (log, _) = open(&storage, 1 << 20).unwrap();
    append(&log, &[b"first"]).unwrap();
    let whole = storage.files()[0].1;
    append(&log, &[b"lost on the way", b"arrived"]).unwrap();
    assert!(storage.rot(&segment(0), whole + 50, 1));
    let (log, tail) = open(&storage, 1 << 20).unwrap();
    assert!(matches!(tail, Tail::Cut { offset, .. } if offset == whole));
    assert_eq!(payloads(&log), [b"first"]);
}

#[test]
fn damage_before_the_last_append_is_an_error_that_names_the_place() {
    let storage = MemoryStorage::new();
    let (log, _) = open(&storage, 1 << 20).unwrap();
    let mut starts = Vec::new();
    for payload in [&b"one"[..], b"", b"three three three", b"four"] {
        starts.extend(append(&log, &[payload]).unwrap());
    }
    let last = starts.pop().unwrap();
    for start in starts {
        for at in start.offset..start.offset + 44 + u64::from(start.length) {
            let copy = storage.copy();
            assert!(copy.rot(&segment(0), at, 0x10));
            match open(&copy, 1 << 20).map(|_| ()) {
                Err(LogError::Damaged { path, offset, .. }) => assert_eq!((path, offset), (segment(0), start.offset)),
                other => panic!("byte {at}: {other:?}"),
            }
            assert_eq!(copy.files(), storage.files(), "nothing is cut");
        }
    }
    // The last record cannot be told from a torn one.
    assert!(storage.rot(&segment(0), last.offset + 45, 1));
    assert!(matches!(open(&storage, 1 << 20).unwrap().1, Tail::Cut { .. }));
}

#[test]
fn damage_in_sealed_segments_is_found() {
    let storage = MemoryStorage::new();
    let (log, _) = open(&storage, 60).unwrap();
    let locations: Vec<_> = (0..4).flat_map(|_| append(&log, &[b"payload"]).unwrap()).collect();
    let rotted = storage.copy();
    assert!(rotted.rot(&segment(1), locations[1].offset + 46, 1));
    let (log, _) = open(&rotted, 60).unwrap();
    assert!(matches!(log.read(locations[1]), Err(LogError::Damaged { path, .. }) if path == segment(1)));
    assert!(log.read(locations[2]).is_ok());

    let shortened = storage.copy();
    assert!(shortened.cut(&segment(1), 80));
    assert!(matches!(open(&shortened, 60), Err(LogError::Damaged { path, offset: 80, .. }) if path == segment(1)));

    let gap = storage.copy();
    gap.remove(&segment(2)).unwrap();
    assert!(matches!(open(&gap, 60), Err(LogError::Damaged { path, .. }) if path == segment(2)));

    let header = storage.copy();
    assert!(header.rot(&segment(3), 20, 1));
    assert!(matches!(open(&header, 60), Err(LogError::Damaged { path, offset: 0, .. }) if path == segment(3)));
}

#[test]
fn a_crash_while_a_segment_begins_leaves_the_ones_before() {
    for kept in 0..52 {
        let storage = MemoryStorage::new();
        let (log, _) = open(&storage, 60).unwrap();
        append(&log, &[b"payload"]).unwrap();
        storage.inject(Fault::SyncFails { after: 1 });
        append(&log, &[b"more"]).unwrap_err();
        storage.heal();
        storage.crash(|_, _| Crash { kept, zeroed: 0 });
        let (log, tail) = open(&storage, 60).unwrap();
        assert!(matches!(tail, Tail::Cut { .. }), "{kept}: {tail:?}");
        assert_eq!(payloads(&log), [b"payload"]);
        append(&log, &[b"again"]).unwrap();
        let (log, tail) = open(&storage, 60).unwrap();
        assert_eq!((tail, payloads(&log).len()), (Tail::Whole, 2));
    }
}

#[test]
fn failures_poison() {
    let faults = [Fault::SyncFails { after: 0 }, Fault::DiskFull { free: 30 }, Fault::DiskFull { free: 0 }];
    for fault in faults {
        let storage = MemoryStorage::new();
        let (log, _) = open(&storage, 1 << 20).unwrap();
        append(&log, &[b"acknowledged"]).unwrap();
        storage.inject(fault.clone());
        let first = append(&log, &[b"a payload that is long enough"]).unwrap_err();
        storage.heal();
        match append(&log, &[b"later"]) {
            Err(LogError::Poisoned { reason }) => assert_eq!(reason, first.to_string(), "{fault:?}"),
            other => panic!("{fault:?}: {other:?}"),
        }
        storage.crash(|_, unsynced| Crash { kept: unsynced / 2, zeroed: 0 });
        assert!(log.read(Location { segment: 0, offset: 52, length: 12 }).is_err(), "handles die in a crash");
        let (log, _) = open(&storage, 1 << 20).unwrap();
        assert_eq!(payloads(&log), [b"acknowledged"], "{fault:?}");
    }
}

#[test]
fn reads_are_checked() {
    let storage = MemoryStorage::new();
    let (log, _) = open(&storage, 1 << 20).unwrap();
    let location = append(&log, &[b"payload"]).unwrap()[0];
    storage.inject(Fault::ReadFlips { path: segment(0), offset: location.offset + 45, mask: 4 });
    assert!(matches!(log.read(location), Err(LogError::Damaged { .. })));
    storage.heal();
    assert_eq!(log.read(location).unwrap().payload(), b"payload");
}

#[test]
fn retiring_drops_whole_segments_below_a_height() {
    let storage = MemoryStorage::new();
    let (log, _) = open(&storage, 60).unwrap();
    for height in [5, 7, 6, 8, 9] {
        log.append(&[Entry { kind: 1, height, payload: b"payload" }]).unwrap();
    }
    let heights = |log: &Arc<Log>| {
        let mut cursor = log.cursor();
        std::iter::from_fn(|| cursor.next().unwrap().map(|(_, record)| record.height)).collect::<Vec<_>>()
    };
    log.retire(7).unwrap();
    assert_eq!(heights(&log), [7, 6, 8, 9], "6 stays behind 7");
    let (log, tail) = open(&storage, 60).unwrap();
    assert_eq!((tail, heights(&log)), (Tail::Whole, vec![7, 6, 8, 9]));
    log.retire(100).unwrap();
    assert_eq!(heights(&log), [9], "the newest segment stays");
    assert_eq!(open(&storage, 60).unwrap().0.next_sequence(), 5);
}

#[test]
fn real_files_behave_alike() {
    let folder = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(lian_ledger::FileStorage);
    let options = LogOptions { folder: folder.path().join("a/log"), ..options(100) };
    let (log, tail) = Log::open(Arc::clone(&storage), options.clone()).unwrap();
    assert_eq!(tail, Tail::Fresh);
    for _ in 0..5 {
        append(&log, &[b"payload", b"more"]).unwrap();
    }
    drop(log);
    let last = storage.list(&options.folder).unwrap().pop().unwrap();
    let file = storage.open(&options.folder.join(last)).unwrap();
    file.append(b"LRec and half a header").unwrap();
    let (log, tail) = Log::open(Arc::clone(&storage), options.clone()).unwrap();
    assert!(matches!(tail, Tail::Cut { bytes: 22, .. }));
    assert_eq!(payloads(&Arc::new(log)).len(), 10);
    let lock = storage.lock(&options.folder.join("LOCK")).unwrap();
    assert!(storage.lock(&options.folder.join("LOCK")).is_err());
    drop(lock);
    assert!(storage.lock(&options.folder.join("LOCK")).is_ok());
}
