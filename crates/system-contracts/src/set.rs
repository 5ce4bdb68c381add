//! Sets of words in a contract's storage that can be listed.

use crate::{
    Halt, Host,
    storage::{Storage, after, elements, entry},
};
use alloy_primitives::{Address, B256, U256};

/// A set: an array in one slot, and in the next one a mapping from its elements to their positions in it, from 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Set {
    contract: Address,
    slot: U256,
}

impl Set {
    pub(crate) const fn new(contract: Address, slot: U256) -> Self {
        Self { contract, slot }
    }

    fn position_slot(self, element: B256) -> U256 {
        entry(after(self.slot, 1), element)
    }

    pub(crate) fn length(self, host: &mut dyn Host) -> Result<u64, Halt> {
        Storage::of(host, self.contract).load_u64(self.slot)
    }

    pub(crate) fn contains(self, host: &mut dyn Host, element: B256) -> Result<bool, Halt> {
        Ok(!Storage::of(host, self.contract).load(self.position_slot(element))?.is_zero())
    }

    /// Adds an element; false where it was there.
    pub(crate) fn insert(self, host: &mut dyn Host, element: B256) -> Result<bool, Halt> {
        if self.contains(host, element)? {
            return Ok(false);
        }
        let mut storage = Storage::of(host, self.contract);
        let length = storage.load_u64(self.slot)?;
        let position = U256::from(length.saturating_add(1));
        storage.store(after(elements(self.slot), length), element.into())?;
        storage.store(self.position_slot(element), position)?;
        storage.store(self.slot, position)?;
        Ok(true)
    }

    /// Takes an element out, and the last one takes its place; false where it was not there.
    pub(crate) fn remove(self, host: &mut dyn Host, element: B256) -> Result<bool, Halt> {
        let mut storage = Storage::of(host, self.contract);
        let position = storage.load_u64(self.position_slot(element))?;
        if position == 0 {
            return Ok(false);
        }
        let last_index = storage.load_u64(self.slot)?.saturating_sub(1);
        let last = after(elements(self.slot), last_index);
        let moved = storage.load(last)?;
        storage.store(after(elements(self.slot), position.saturating_sub(1)), moved)?;
        storage.store(self.position_slot(moved.into()), U256::from(position))?;
        storage.store(last, U256::ZERO)?;
        storage.store(self.position_slot(element), U256::ZERO)?;
        storage.store(self.slot, U256::from(last_index))?;
        Ok(true)
    }

    /// Its elements from a position (from 0) on, at most so many.
    pub(crate) fn page(self, host: &mut dyn Host, from: U256, limit: u64) -> Result<Vec<B256>, Halt> {
        let length = self.length(host)?;
        let from = u64::try_from(from).unwrap_or(u64::MAX).min(length);
        let end = from.saturating_add(limit).min(length);
        let at = |index| after(elements(self.slot), index);
        let mut storage = Storage::of(host, self.contract);
        (from..end).map(|index| storage.load(at(index)).map(Into::into)).collect()
    }
}
