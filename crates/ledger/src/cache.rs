//! A cache of values that the view has, which never outlives a change of them.

use crate::key::{Key, Value};
use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use std::sync::atomic::{AtomicU64, Ordering};

/// Parts with a lock each.
const SHARDS: usize = 16;
/// An estimate of the average weight of an entry in bytes, which sizes the cache's tables.
const ENTRY_BYTES: u64 = 200;

#[derive(Clone, Copy)]
struct Bytes;

impl Weighter<Key, Value> for Bytes {
    fn weight(&self, _key: &Key, value: &Value) -> u64 {
        size_of::<(Key, Value)>() as u64 + value.as_ref().map_or(0, |value| value.len() as u64)
    }
}

/// Values by key as the view has them.
///
/// A reader that missed here and read the view may come back after a flush changed the value. It therefore brings the
/// [`ReadCache::epoch`] from before it read, and what it read is only kept if no flush began since.
pub(crate) struct ReadCache {
    shards: Vec<Mutex<Cache<Key, Value, Bytes>>>,
    epoch: AtomicU64,
}

impl ReadCache {
    /// A cache of about `bytes` bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let share = bytes / SHARDS as u64;
        let items = usize::try_from(share / ENTRY_BYTES).unwrap_or(usize::MAX);
        let shard = |_| Mutex::new(Cache::with_weighter(items, share, Bytes));
        Self { shards: (0..SHARDS).map(shard).collect(), epoch: AtomicU64::new(0) }
    }

    fn shard(&self, key: &Key) -> Option<&Mutex<Cache<Key, Value, Bytes>>> {
        self.shards.get(usize::try_from(key.fingerprint() >> 32).unwrap_or(0) % SHARDS)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Value> {
        self.shard(key)?.lock().get(key).cloned()
    }

    /// Changes whenever a flush begins and ends; odd while one is on.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Keeps what the view gave, unless a flush is on or began since `epoch` was asked.
    pub(crate) fn insert_read(&self, key: Key, value: Value, epoch: u64) {
        let Some(shard) = self.shard(&key) else { return };
        // The check is made under the lock: a flush that begins after it replaces the entry under the same lock.
        let mut shard = shard.lock();
        if epoch.is_multiple_of(2) && self.epoch() == epoch {
            shard.insert(key, value);
        }
    }

    /// Must be called before the view changes.
    pub(crate) fn begin_flush(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Takes a value that the view has now. Between [`Self::begin_flush`] and [`Self::end_flush`].
    pub(crate) fn replace(&self, key: Key, value: Value) {
        if let Some(shard) = self.shard(&key) {
            shard.lock().insert(key, value);
        }
    }

    /// As [`Self::replace`], but only where the key is held.
    pub(crate) fn refresh(&self, key: &Key, value: impl FnOnce() -> Value) {
        let Some(shard) = self.shard(key) else { return };
        let mut shard = shard.lock();
        if shard.contains_key(key) {
            shard.insert(*key, value());
        }
    }

    /// Must be called after all changed values were replaced.
    pub(crate) fn end_flush(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }
}
