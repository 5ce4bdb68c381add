//! Past states: for each of the last blocks, the values that it replaced.
//!
//! The value of a key after block N is the one that the first block above N that changed the key replaced; if there is
//! none, it is the newest value. A block's replaced values are one record of a log of its own, so that writing and
//! dropping them costs nearly nothing; which blocks changed a key is found with a filter per block.
//!
//! Readers take no snapshot of the view. They read the newest value *first* and look here *afterwards*; a flush makes a
//! block's record visible *before* it changes the view. So a reader that saw a value too new always finds here what
//! that value replaced.

mod record;

use crate::key::{Key, Value};
use crate::log::{Durability, Entry, Location, Log, LogError, LogOptions};
use crate::storage::Storage;
use lian_types::{BlockNumber, limits};
use parking_lot::RwLock;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use record::Index;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The kind of a record in this log.
const KIND: u8 = 1;

/// Why a past state cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// The state is older than those kept.
    #[error("state of block {asked} is not kept: the oldest kept block is {oldest}")]
    TooOld {
        /// The block asked for.
        asked: BlockNumber,
        /// The oldest block whose state can be read.
        oldest: BlockNumber,
    },
    /// The block does not exist yet.
    #[error("block {asked} does not exist: the newest block is {newest}")]
    Future {
        /// The block asked for.
        asked: BlockNumber,
        /// The newest block.
        newest: BlockNumber,
    },
}

/// What one block replaced, by key.
pub(crate) type ReplacedValues<'a> = Vec<(&'a Key, Cow<'a, Value>)>;

/// Where the replaced values of the last flushed blocks are.
pub(crate) struct History {
    log: Arc<Log>,
    places: RwLock<Places>,
    /// The newest flushed height. A missing record up to it means that older states cannot be told.
    newest: AtomicU64,
    indexes: Cache<u64, Arc<Index>, IndexBytes>,
}

/// The records' places, of consecutive heights up to the newest flushed one.
struct Places {
    first: u64,
    locations: VecDeque<Location>,
}

impl Places {
    /// No records, with the next to come at height `first`.
    const fn none(first: u64) -> Self {
        Self { first, locations: VecDeque::new() }
    }

    fn get(&self, height: u64) -> Option<Location> {
        let index = usize::try_from(height.checked_sub(self.first)?).ok()?;
        self.locations.get(index).copied()
    }

    fn next(&self) -> u64 {
        self.first + self.locations.len() as u64
    }
}

#[derive(Clone)]
struct IndexBytes;

impl Weighter<u64, Arc<Index>> for IndexBytes {
    fn weight(&self, _height: &u64, index: &Arc<Index>) -> u64 {
        index.weight()
    }
}

/// The answer to whether a value was replaced after some height.
pub(crate) enum Replaced {
    /// The first replacement after the height replaced this.
    Value(Value),
    /// Nothing has replaced the newest flushed value.
    Not,
    /// It cannot be told: records that would say so have been dropped.
    Dropped,
}

impl History {
    /// Opens the records that belong to a view flushed up to `flushed`; what does not fit is dropped.
    pub(crate) fn open(storage: Arc<dyn Storage>, folder: PathBuf, flushed: u64) -> Result<Self, LogError> {
        let options = LogOptions {
            folder,
            purpose: *b"history\0",
            segment_bytes: limits::HISTORY_SEGMENT_BYTES,
            durability: Durability::OnRequest,
        };
        let log = match Log::open(Arc::clone(&storage), options.clone()) {
            Ok((log, _)) => log,
            // Past states are a convenience that can be done without; the chain itself is elsewhere.
            Err(LogError::Damaged { path, offset, reason }) => {
                tracing::warn!(path = %path.display(), offset, reason, "past states are lost: their log is damaged");
                remove_all(&*storage, &options)?;
                Log::open(storage, options)?.0
            }
            Err(error) => return Err(error),
        };
        let log = Arc::new(log);
        let places = read_places(&log, flushed).unwrap_or(Places::none(flushed + 1));
        let history = Self {
            newest: AtomicU64::new(flushed),
            places: RwLock::new(places),
            indexes: Cache::with_weighter(256, limits::HISTORY_INDEX_CACHE_BYTES, IndexBytes),
            log,
        };
        if history.places.read().locations.is_empty() {
            history.log.clear()?;
        }
        Ok(history)
    }

    /// The oldest height whose state can be read.
    pub(crate) fn oldest(&self) -> u64 {
        // The record of block h tells the state after block h−1.
        self.places.read().first.saturating_sub(1)
    }

    /// Adds what blocks replaced, of consecutive heights, and syncs. They are visible on return. `newest` is the height
    /// of the last one, also if no record is to be kept.
    pub(crate) fn append(&self, records: &[(u64, ReplacedValues<'_>)], newest: u64) -> Result<(), LogError> {
        let first = records.first().map_or(newest + 1, |(height, _)| *height);
        if self.places.read().next() != first {
            self.forget(first)?;
        }
        let payloads: Vec<_> = records.iter().map(|(height, replaced)| (*height, record::encode(replaced))).collect();
        let entries: Vec<_> =
            payloads.iter().map(|(height, payload)| Entry { kind: KIND, height: *height, payload }).collect();
        let locations = if entries.is_empty() { Vec::new() } else { self.log.append(&entries)? };
        self.log.sync()?;
        self.places.write().locations.extend(locations);
        self.newest.store(newest, Ordering::SeqCst);
        Ok(())
    }

    /// Drops the records of heights below `height`.
    pub(crate) fn retire(&self, height: u64) -> Result<(), LogError> {
        let mut places = self.places.write();
        while places.first < height && places.locations.pop_front().is_some() {
            self.indexes.remove(&places.first);
            places.first += 1;
        }
        drop(places);
        self.log.retire(height)
    }

    /// Drops everything; the next record will be of height `next`.
    fn forget(&self, next: u64) -> Result<(), LogError> {
        let mut places = self.places.write();
        *places = Places::none(next);
        self.indexes.clear();
        self.log.clear()
    }

    /// What the first flushed block above `height` that changed the key replaced. To be asked after the newest value was
    /// read.
    pub(crate) fn replaced_after(&self, key: &Key, height: u64) -> Result<Replaced, LogError> {
        let newest = self.newest.load(Ordering::SeqCst);
        let fingerprint = key.fingerprint();
        for at in height.saturating_add(1)..=newest {
            let Some(index) = self.index(at)? else { return Ok(Replaced::Dropped) };
            if let Some(value) = index.find(&self.log, key, fingerprint)? {
                return Ok(Replaced::Value(value));
            }
        }
        Ok(Replaced::Not)
    }

    fn index(&self, height: u64) -> Result<Option<Arc<Index>>, LogError> {
        if let Some(index) = self.indexes.get(&height) {
            return Ok(Some(index));
        }
        let Some(location) = self.places.read().get(height) else { return Ok(None) };
        let index = match Index::read(&self.log, location) {
            Ok(index) => Arc::new(index),
            // Its segment may have been dropped since the place was looked up.
            Err(_) if self.places.read().get(height).is_none() => return Ok(None),
            Err(error) => return Err(error),
        };
        self.indexes.insert(height, Arc::clone(&index));
        Ok(Some(index))
    }
}

/// The places of all records, which must be of consecutive heights and reach up to `flushed`; records above it are cut.
fn read_places(log: &Arc<Log>, flushed: u64) -> Option<Places> {
    let mut places = Places::none(0);
    let mut cursor = log.cursor();
    loop {
        match cursor.skip() {
            Ok(Some((location, height, sequence))) => {
                if places.locations.is_empty() {
                    places.first = height;
                }
                if height != places.next() {
                    return None;
                }
                if height > flushed {
                    log.cut(location, sequence).ok()?;
                    break;
                }
                places.locations.push_back(location);
            }
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%error, "past states are lost: their log cannot be read");
                return None;
            }
        }
    }
    (places.next() == flushed + 1 && !places.locations.is_empty()).then_some(places)
}

fn remove_all(storage: &dyn Storage, options: &LogOptions) -> Result<(), LogError> {
    for name in storage.list(&options.folder)? {
        storage.remove(&options.folder.join(name))?;
    }
    Ok(())
}
