//! The memory layer: what final blocks changed that is not in the view yet.

use crate::key::{Change, Key, Value};
use alloy_primitives::map::{Entry, HashMap};
use parking_lot::RwLock;

/// Parts with a lock each, so that reading threads seldom meet the one that appends.
const SHARDS: usize = 16;

/// Versions of changed keys by height.
pub(crate) struct Overlay {
    shards: Vec<RwLock<HashMap<Key, Versions>>>,
}

/// The values of one key, by rising height. Most keys have one at a time, which needs no memory of its own.
enum Versions {
    One(u64, Value),
    More(Vec<(u64, Value)>),
}

impl Versions {
    fn push(&mut self, height: u64, value: Value) {
        match self {
            Self::One(at, first) => *self = Self::More(vec![(*at, first.take()), (height, value)]),
            Self::More(all) => all.push((height, value)),
        }
    }

    /// The newest value up to a height.
    fn get(&self, height: u64) -> Option<&Value> {
        match self {
            Self::One(at, value) => (*at <= height).then_some(value),
            Self::More(all) => all.iter().rev().find(|(at, _)| *at <= height).map(|(_, value)| value),
        }
    }

    /// Drops the values up to a height and returns whether none is left.
    fn remove(&mut self, height: u64) -> bool {
        match self {
            Self::One(at, _) => *at <= height,
            Self::More(all) => {
                all.retain(|(at, _)| *at > height);
                all.is_empty()
            }
        }
    }
}

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
        shard.get(key)?.get(height).cloned()
    }

    /// Adds what a block changed; its height is above all before.
    pub(crate) fn insert(&self, height: u64, changes: &[Change]) {
        for Change { key, value, .. } in changes {
            if let Some(shard) = self.shard(key) {
                match shard.write().entry(*key) {
                    Entry::Occupied(mut versions) => versions.get_mut().push(height, value.clone()),
                    Entry::Vacant(place) => {
                        place.insert(Versions::One(height, value.clone()));
                    }
                }
            }
        }
    }

    /// Drops the versions of these keys up to `height`.
    pub(crate) fn remove<'k>(&self, height: u64, keys: impl Iterator<Item = &'k Key>) {
        for key in keys {
            let Some(shard) = self.shard(key) else { continue };
            if let Entry::Occupied(mut versions) = shard.write().entry(*key)
                && versions.get_mut().remove(height)
            {
                versions.remove();
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
