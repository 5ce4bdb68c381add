//! What a node reads back from its own disk, after the disk did anything to it.

use crate::fixture::{certificate, key, proposal, signatures, signed, vote};
use lian_ledger::{Condition, Durability, Entry, Log, LogOptions, MemoryStorage, Storage, Tail, VoteLog};
use lian_pbft::{PrePrepare, PrepareCertificate, Record, ResultLock, SignedViewChange, ViewChange, ViewChangeMessage};
use lian_types::{BlockNumber, CertificateKind, Epoch, MemberIndex, Phase, View};
use std::{path::Path, path::PathBuf, sync::Arc};

/// A record of the vote log.
pub(crate) fn vote_record(data: &[u8]) {
    if let Ok(record) = Record::decode(data) {
        assert_eq!(record.encode(), data, "a vote record has one encoding");
    }
}

pub(crate) fn vote_record_seeds() -> Vec<Vec<u8>> {
    let votes = [Phase::Prepare, Phase::Commit, Phase::Checkpoint].map(|phase| Record::Vote(signed(phase, 1)));
    let vote = vote(Phase::Prepare);
    let prepared = PrepareCertificate {
        epoch: Epoch(0),
        view: View(0),
        height: BlockNumber(1),
        digest: vote.digest,
        signatures: signatures(Phase::Prepare),
    };
    let change = ViewChange {
        epoch: Epoch(0),
        view: View(1),
        base: Some(certificate(CertificateKind::Checkpoint)),
        prepared: vec![prepared.clone()],
    };
    let signature = key(1).sign(b"seed");
    let change = Arc::new(SignedViewChange { change, signer: MemberIndex(1), signature });
    let lock = ResultLock { height: BlockNumber(1), digest: vote.digest, parent: vote.digest.0, hash: vote.digest.0 };
    let others = [
        Record::PrePrepare(PrePrepare { view: View(0), proposal: proposal(), signature }),
        Record::Prepared { proposal: proposal(), certificate: prepared },
        Record::ResultLock(lock),
        Record::ViewPromise(ViewChangeMessage { signed: change, proposals: vec![proposal()] }),
        Record::Abstains(true),
    ];
    votes.iter().chain(&others).map(Record::encode).collect()
}

/// Edits of the files of a log: four bytes each, which file, where (two bytes), and what is done there.
pub(crate) fn edit_seeds() -> Vec<Vec<u8>> {
    vec![
        vec![],
        vec![0, 0, 40, 1],
        vec![1, 0, 90, 0x80, 0, 0, 12, 0],
        vec![255, 0, 3, 0],
        vec![255, 1, 0, 7, 0, 0, 1, 9],
    ]
}

const CONTENTS: [&[u8]; 7] = [b"", b"a", b"the second of them", &[7; 90], &[0; 33], b"sixth", &[0xff; 120]];

/// Does to the files below `folder` what `edits` say: a mask is xored onto a byte, a mask of 0 cuts the file there.
fn edit(storage: &MemoryStorage, folder: &Path, edits: &[u8]) {
    let mut files: Vec<PathBuf> = storage.files().into_iter().map(|(path, _)| path).collect();
    files.retain(|path| path.starts_with(folder));
    for edit in edits.chunks_exact(4).take(16) {
        let &[file, high, low, mask] = edit else { continue };
        let Some(path) = files.get(usize::from(file) % files.len().max(1)) else { return };
        let offset = u64::from(u16::from_be_bytes([high, low]) % 400);
        let changed = if mask == 0 { storage.cut(path, offset) } else { storage.rot(path, offset, mask) };
        // An offset behind the file's end changes nothing, which is as good an edit as any.
        let _ = changed;
    }
}

/// What is read must be what was written, from the start and without a gap.
fn assert_prefix<'a>(found: impl Iterator<Item = &'a [u8]>) {
    for (position, payload) in found.enumerate() {
        assert_eq!(Some(&payload), CONTENTS.get(position), "record {position} was never written so");
    }
}

/// The block log's format: segments of records.
pub(crate) fn block_log(data: &[u8]) {
    let options = || LogOptions {
        folder: "/log".into(),
        purpose: *b"fuzzing\0",
        segment_bytes: 200,
        durability: Durability::EveryAppend,
    };
    let memory = MemoryStorage::new();
    let storage: Arc<dyn Storage> = Arc::new(memory.clone());
    let Ok((log, _)) = Log::open(Arc::clone(&storage), options()) else { unreachable!("an empty disk takes a log") };
    for payload in CONTENTS {
        let appended = log.append(&[Entry { kind: 3, height: 9, payload }]);
        assert!(appended.is_ok(), "a whole disk takes a record: {appended:?}");
    }
    drop(log);
    edit(&memory, Path::new("/log"), data);
    let Ok((log, tail)) = Log::open(Arc::clone(&storage), options()) else { return };
    let log = Arc::new(log);
    let mut cursor = log.cursor();
    let mut found = Vec::new();
    while let Ok(Some((location, record))) = cursor.next() {
        assert_eq!(log.read(location).ok().as_ref().map(lian_ledger::Record::payload), Some(record.payload()));
        found.push(record.into_payload());
    }
    assert_prefix(found.iter().map(Vec::as_slice));
    // What was opened is whole from now on.
    drop((cursor, log));
    if matches!(tail, Tail::Cut { .. }) {
        // Where nothing was left there is no log any more.
        let again = Log::open(storage, options()).map(|(_, tail)| tail);
        assert!(matches!(again, Ok(Tail::Whole | Tail::Fresh)), "what was cut off is cut off again: {again:?}");
    }
}

/// The vote log as a whole.
pub(crate) fn vote_log(data: &[u8]) {
    let memory = MemoryStorage::new();
    let open = |is_new| {
        VoteLog::open(Arc::new(memory.clone()), Path::new("/node"), is_new)
            .unwrap_or_else(|error| unreachable!("damage is a condition, not an error: {error}"))
    };
    let (log, _, condition) = open(true);
    assert_eq!(condition, Condition::Fresh);
    for payload in CONTENTS {
        let appended = log.append(&[(BlockNumber(1), payload)]);
        assert!(appended.is_ok(), "a whole disk takes a record: {appended:?}");
    }
    drop(log);
    edit(&memory, Path::new("/node/votes"), data);
    let (_, found, condition) = open(false);
    assert!(condition != Condition::Fresh, "a log that was written to is not fresh");
    if !matches!(condition, Condition::Damaged { .. }) {
        assert_prefix(found.iter().map(Vec::as_slice));
    }
    let (_, _, again) = open(false);
    let damaged = |condition: &Condition| matches!(condition, Condition::Damaged { .. });
    assert_eq!(damaged(&condition), damaged(&again), "distrust lasts over restarts");
}
