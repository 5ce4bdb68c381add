//! The memory layer: what final blocks changed that is not in the view yet.

use crate::key::{Key, Value};
use alloy_primitives::map::HashMap;
use parking_lot::RwLock;

/// Parts with a lock each, so that reading threads seldom meet the one that appends.
const SHARDS: usize = 16;

/// Versions of changed keys by height.
pub(crate) struct Overlay {
    shards: Vec<RwLock<HashMap<Key, Versions>>>,
}

/// The values of one key, by rising height. Most keys have one version at a time.
type Versions = Vec<(u64, Value)>;

impl Overlay {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }

    fn shard(&self, key: &Key) -> Option<&RwLock<HashMap<Key, Versions>>> {
        let index = usize::try_from(key.fingerprint() >> 32).unwrap_or(0) % SHARDS;
        self.shards.get(index)
    }

    /// The value that the newest block up to `height` in this layer gave to a key; `None` if none changed it.
    pub(crate) fn get(&self, key: &Key, height: u64) -> Option<Value> {
        let shard = self.shard(key)?.read();
        let versions = shard.get(key)?;
        versions.iter().rev().find(|(at, _)| *at <= height).map(|(_, value)| value.clone())
    }

    /// Adds what a block changed; its height is above all before.
    pub(crate) fn insert(&self, height: u64, changes: &[(Key, Value)]) {
        for (key, value) in changes {
            if let Some(shard) = self.shard(key) {
                shard.write().entry(*key).or_default().push((height, value.clone()));
            }
        }
    }

    /// Drops the versions of these keys up to `height`.
    pub(crate) fn remove(&self, height: u64, changes: &[(Key, Value)]) {
        for (key, _) in changes {
            let Some(shard) = self.shard(key) else { continue };
            let mut shard = shard.write();
            if let Some(versions) = shard.get_mut(key) {
                versions.retain(|(at, _)| *at > height);
                if versions.is_empty() {
                    shard.remove(key);
                }
            }
        }
    }

    /// All keys for which `wanted` holds. Walks over everything.
    pub(crate) fn keys(&self, wanted: impl Fn(&Key) -> bool) -> Vec<Key> {
        self.shards
            .iter()
            .flat_map(|shard| shard.read().keys().filter(|key| wanted(key)).copied().collect::<Vec<_>>())
            .collect()
    }
}
