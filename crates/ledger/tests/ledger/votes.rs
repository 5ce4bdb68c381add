//! The vote log: what it tells about its own condition.

use lian_ledger::{Condition, Crash, Fault, MemoryStorage, Storage, VoteLog};
use lian_types::BlockNumber;
use std::path::Path;
use std::sync::Arc;

fn open(storage: &MemoryStorage) -> (VoteLog, Vec<Vec<u8>>, Condition) {
    let storage: Arc<dyn Storage> = Arc::new(storage.clone());
    VoteLog::open(storage, Path::new("/node"), true).unwrap()
}

fn vote(log: &VoteLog, height: u64, text: &str) {
    log.append(&[(BlockNumber(height), text.as_bytes())]).unwrap();
}

#[test]
fn whole_logs_give_their_records() {
    let storage = MemoryStorage::new();
    let (log, records, condition) = open(&storage);
    assert_eq!((records.len(), condition), (0, Condition::Fresh));
    vote(&log, 1, "prepare");
    log.append(&[(BlockNumber(1), b"commit"), (BlockNumber(2), b"prepare")]).unwrap();
    drop(log);
    storage.crash(|_, _| Crash { kept: 0, zeroed: 0 });
    let (_, records, condition) = open(&storage);
    assert_eq!(condition, Condition::Whole);
    assert_eq!(records, [&b"prepare"[..], b"commit", b"prepare"]);
}

#[test]
fn an_unsynced_vote_is_cut() {
    let storage = MemoryStorage::new();
    let (log, _, _) = open(&storage);
    vote(&log, 1, "prepare");
    storage.inject(Fault::SyncFails { after: 0 });
    assert!(log.append(&[(BlockNumber(2), b"never acknowledged")]).is_err());
    storage.heal();
    storage.crash(|_, unsynced| Crash { kept: unsynced - 3, zeroed: 0 });
    let (_, records, condition) = open(&storage);
    assert!(matches!(condition, Condition::CutTail { .. }));
    assert_eq!(records, [b"prepare"]);
}

#[test]
fn damage_and_loss_are_noted_until_trust_is_restored() {
    type Harm = fn(&MemoryStorage);
    let harms: [(&str, Harm); 3] = [
        ("damaged at byte", |storage| {
            let (path, _) = storage.files().into_iter().find(|(path, _)| path.starts_with("/node/votes")).unwrap();
            // The second record: the first of this test's.
            assert!(storage.rot(&path, 52 + 44 + 45, 1));
        }),
        ("missing", |storage| {
            for (path, _) in storage.files() {
                if path.starts_with("/node/votes") {
                    storage.remove(&path).unwrap();
                }
            }
        }),
        ("missing", |storage| {
            for (path, _) in storage.files() {
                storage.remove(&path).unwrap();
            }
        }),
    ];
    for (index, (expected, harm)) in harms.into_iter().enumerate() {
        let storage = MemoryStorage::new();
        let (log, _, _) = open(&storage);
        vote(&log, 1, "prepare");
        vote(&log, 1, "commit");
        drop(log);
        harm(&storage);
        // Without a marker only the missing note of a new key tells that there must have been a log.
        let shared: Arc<dyn Storage> = Arc::new(storage.clone());
        let (log, _, condition) = VoteLog::open(shared, Path::new("/node"), index != 2).unwrap();
        assert!(matches!(&condition, Condition::Damaged { reason } if reason.contains(expected)), "{condition:?}");
        vote(&log, 9, "later");
        drop(log);
        let (log, records, condition) = open(&storage);
        assert!(matches!(condition, Condition::Damaged { .. }), "it stays noted");
        assert_eq!(records, [b"later"]);
        log.restore_trust().unwrap();
        drop(log);
        assert_eq!(open(&storage).2, Condition::Whole);
    }
}

#[test]
fn old_votes_are_retired() {
    let storage = MemoryStorage::new();
    let (log, _, _) = open(&storage);
    let large = "x".repeat(1 << 20);
    for height in 1..20 {
        vote(&log, height, &large);
    }
    log.retire(BlockNumber(15)).unwrap();
    drop(log);
    let (_, records, condition) = open(&storage);
    assert_eq!(condition, Condition::Whole);
    assert!((5..10).contains(&records.len()), "{}", records.len());
}

/// A node whose whole folder was lost must not take itself for one that never voted.
#[test]
fn a_missing_log_of_a_used_key_is_damage() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
    for _ in 0..2 {
        let opened = VoteLog::open(Arc::clone(&storage), Path::new("/node"), false).unwrap();
        assert!(matches!(opened.2, Condition::Damaged { .. }), "{:?}", opened.2);
    }
}
