//! A list whose entries are found by key.

use super::{load, store};
use crate::{
    Halt, Host,
    storage::{after, elements, entry},
};
use alloy_primitives::{B256, U256};

/// Bits of a position.
const POSITION_BITS: usize = 32;

/// An array of keys, and a mapping from each key to an entry. The entry's first slot begins with the key's position in the
/// array, from 1, as a `uint32`; the rest of the slot and the slots after it are the entry's own.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    pub(super) array: U256,
    pub(super) mapping: U256,
}

impl Keys {
    /// The first slot of an entry.
    pub(super) fn slot(self, key: B256) -> U256 {
        entry(self.mapping, key)
    }

    /// What the first slot of an entry holds beside the position.
    pub(super) fn rest(self, host: &mut dyn Host, key: B256) -> Result<U256, Halt> {
        Ok(load(host, self.slot(key))? >> POSITION_BITS)
    }

    pub(super) fn count(self, host: &mut dyn Host) -> Result<u64, Halt> {
        Ok(load(host, self.array)?.saturating_to())
    }

    pub(super) fn contains(self, host: &mut dyn Host, key: B256) -> Result<bool, Halt> {
        Ok(!load(host, self.slot(key))?.is_zero())
    }

    /// The key at a position, from 0.
    pub(super) fn at(self, host: &mut dyn Host, index: u64) -> Result<B256, Halt> {
        Ok(load(host, after(elements(self.array), index))?.into())
    }

    /// All keys from a position on, at most so many.
    pub(super) fn page(self, host: &mut dyn Host, from: U256, limit: u64) -> Result<Vec<B256>, Halt> {
        let count = self.count(host)?;
        let from = from.saturating_to::<u64>().min(count);
        let to = from.saturating_add(limit).min(count);
        (from..to).map(|index| self.at(host, index)).collect()
    }

    /// Adds a key that is not there.
    pub(super) fn append(self, host: &mut dyn Host, key: B256, rest: U256) -> Result<(), Halt> {
        let count = self.count(host)?;
        let position = U256::from(count.saturating_add(1));
        store(host, after(elements(self.array), count), key.into())?;
        store(host, self.array, position)?;
        store(host, self.slot(key), position | (rest << POSITION_BITS))
    }

    /// Takes a key away that is there; the last one takes its place. The entry's further slots are for the caller to clear.
    pub(super) fn remove(self, host: &mut dyn Host, key: B256) -> Result<(), Halt> {
        let last_index = self.count(host)?.saturating_sub(1);
        let moved = self.at(host, last_index)?;
        let position = load(host, self.slot(key))? & position_mask();
        let index = position.saturating_to::<u64>().saturating_sub(1);
        store(host, after(elements(self.array), index), moved.into())?;
        let rest = load(host, self.slot(moved))? & !position_mask();
        store(host, self.slot(moved), rest | position)?;
        store(host, after(elements(self.array), last_index), U256::ZERO)?;
        store(host, self.array, U256::from(last_index))?;
        store(host, self.slot(key), U256::ZERO)
    }
}

fn position_mask() -> U256 {
    U256::from(u32::MAX)
}
