//! What this node has promised and voted, durable before it leaves the node (pbft §3).
//!
//! A node that lost part of this may have voted what it no longer knows, and voting again could contradict it. So it is
//! told apart whether the log is new, whole, has a torn end, or is damaged or missing; in the last case that stays
//! noted over restarts until [`VoteLog::restore_trust`].

use crate::log::{Cursor, Durability, Entry, Log, LogError, LogOptions, Tail};
use crate::storage::{Storage, StorageError, read_whole, write_whole};
use lian_types::{BlockNumber, limits};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The record that begins every log, so that an empty log is never a whole one.
const KIND_BEGIN: u8 = 0;
/// A record of the log's user.
const KIND_VOTE: u8 = 1;

/// In what condition the log was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// There was none, and there never was: this node has not voted.
    Fresh,
    /// Everything is there.
    Whole,
    /// The last append was incomplete and was cut off, as after a crash. It had not been acknowledged, so nothing in it
    /// has left the node, unless the disk lost what it had confirmed.
    CutTail {
        /// In which file.
        path: PathBuf,
        /// Where it ends now, in bytes.
        offset: u64,
    },
    /// Votes may be missing: the log was damaged, or gone while there should be one. What could be read is returned;
    /// the damaged files are kept under another name. The node must abstain (pbft §3).
    Damaged {
        /// What was found, and where.
        reason: String,
    },
}

/// The log of a node's votes in one group.
pub struct VoteLog {
    storage: Arc<dyn Storage>,
    log: Arc<Log>,
    distrusted: PathBuf,
}

/// The options of the vote log of a ledger's folder.
pub(crate) fn options(folder: &Path) -> LogOptions {
    LogOptions {
        folder: folder.join("votes"),
        purpose: *b"votes\0\0\0",
        segment_bytes: limits::VOTE_SEGMENT_BYTES,
        durability: Durability::EveryAppend,
    }
}

impl VoteLog {
    /// Opens the log in `votes` below `folder`, and returns its records in order. Only where `key_is_new` can a missing log
    /// be a fresh one: it is noted that the key has never voted (without such a note the whole folder may have been lost),
    /// and the ledger has no block beyond the one that it began with, which may be a snapshot's.
    ///
    /// # Errors
    /// [`LogError::Storage`] if files cannot be read or written. Damage is not an error but a [`Condition`].
    pub fn open(
        storage: Arc<dyn Storage>,
        folder: &Path,
        key_is_new: bool,
    ) -> Result<(Self, Vec<Vec<u8>>, Condition), LogError> {
        let options = options(folder);
        // It stands beside the log's folder, so that it remains if that is lost.
        let marker = folder.join("votes.begun");
        let distrusted = folder.join("votes.distrusted");
        storage.create_folder(folder)?;
        let begun = read_whole(&*storage, &marker)?.is_some();

        let found = read_records(&storage, &options)?;
        let condition = match &found.problem {
            Some(reason) => Condition::Damaged { reason: reason.clone() },
            None if found.log.is_none() && (begun || !key_is_new) => {
                let reason = format!("{} is missing, but this node may have voted", options.folder.display());
                Condition::Damaged { reason }
            }
            None => match found.tail {
                Tail::Fresh => Condition::Fresh,
                Tail::Whole => Condition::Whole,
                Tail::Cut { path, offset, .. } => Condition::CutTail { path, offset },
            },
        };
        if let Condition::Damaged { reason } = &condition {
            // First the note, then the new log: a crash in between must not leave a log that seems whole.
            write_whole(&*storage, &distrusted, reason.as_bytes())?;
            set_aside(&*storage, &options.folder)?;
        }
        let log = match found.log {
            Some(log) if found.problem.is_none() => log,
            _ => {
                let log = Log::open(Arc::clone(&storage), options)?.0;
                log.append(&[Entry { kind: KIND_BEGIN, height: 0, payload: &[] }])?;
                Arc::new(log)
            }
        };
        if !begun {
            write_whole(&*storage, &marker, b"A vote log was begun here.\n")?;
        }
        let condition = match read_whole(&*storage, &distrusted)? {
            Some(reason) => Condition::Damaged { reason: String::from_utf8_lossy(&reason).into_owned() },
            None => condition,
        };
        Ok((Self { storage, log, distrusted }, found.records, condition))
    }

    /// Appends records, each with the height it is about, with one write and one fsync.
    ///
    /// # Errors
    /// [`LogError`]; the log takes nothing any more then, and the node must stop.
    pub fn append(&self, records: &[(BlockNumber, &[u8])]) -> Result<(), LogError> {
        let entries: Vec<_> =
            records.iter().map(|(height, payload)| Entry { kind: KIND_VOTE, height: height.0, payload }).collect();
        let begun = std::time::Instant::now();
        self.log.append(&entries)?;
        metrics::histogram!("lian_ledger_vote_fsync_seconds").record(begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// Drops old segments in which all records are about heights below `height`.
    ///
    /// # Errors
    /// [`LogError::Storage`] if a file cannot be removed.
    pub fn retire(&self, height: BlockNumber) -> Result<(), LogError> {
        self.log.retire(height.0)
    }

    /// Ends the distrust after damage: to be called once the node has abstained long enough, or got a new key.
    ///
    /// # Errors
    /// [`StorageError`] if the note cannot be removed.
    pub fn restore_trust(&self) -> Result<(), StorageError> {
        self.storage.remove(&self.distrusted)
    }
}

/// What an old log gave.
struct Found {
    /// The log itself; none if there was none or it is damaged.
    log: Option<Arc<Log>>,
    tail: Tail,
    records: Vec<Vec<u8>>,
    problem: Option<String>,
}

fn read_records(storage: &Arc<dyn Storage>, options: &LogOptions) -> Result<Found, LogError> {
    let mut found = Found { log: None, tail: Tail::Fresh, records: Vec::new(), problem: None };
    let (log, tail) = match Log::open(Arc::clone(storage), options.clone()) {
        Ok((log, tail)) => (Arc::new(log), tail),
        Err(error @ LogError::Damaged { .. }) => {
            found.problem = Some(error.to_string());
            return Ok(found);
        }
        Err(error) => return Err(error),
    };
    found.problem = read_all(&mut log.cursor(), &mut found.records)?;
    found.tail = tail;
    found.log = (log.next_sequence() > 0).then_some(log);
    Ok(found)
}

/// Reads records up to the end or to damage, which is returned.
fn read_all(cursor: &mut Cursor, records: &mut Vec<Vec<u8>>) -> Result<Option<String>, LogError> {
    loop {
        match cursor.next() {
            Ok(Some((_, record))) if record.kind == KIND_VOTE => records.push(record.into_payload()),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            Err(error @ LogError::Damaged { .. }) => return Ok(Some(error.to_string())),
            Err(error) => return Err(error),
        }
    }
}

/// Gives the files of a damaged log other names, as evidence.
fn set_aside(storage: &dyn Storage, folder: &Path) -> Result<(), LogError> {
    let names = storage.list(folder)?;
    let is_free = |number: &u32| !names.iter().any(|name| name.ends_with(&format!(".damaged-{number}")));
    let number = (1u32..).find(is_free).unwrap_or(u32::MAX);
    // From the newest on, so that a crash in between leaves a log that begins where the old one did.
    for name in names.iter().rev().filter(|name| name.ends_with(".log")) {
        storage.rename(&folder.join(name), &folder.join(format!("{name}.damaged-{number}")))?;
    }
    Ok(())
}
