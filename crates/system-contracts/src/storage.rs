//! Solidity's layout of storage, as far as these contracts use it, so that any tool can read them.

use crate::{Halt, Host};
use alloy_primitives::{Address, B256, U256, keccak256};

/// Bytes of a slot.
const SLOT_BYTES: usize = 32;
/// Longest bytes that are kept: a name, an address of a host, a key.
pub const BYTES_MAX: usize = 256;

/// The slot of a mapping's value.
#[must_use]
pub fn entry(mapping: U256, key: B256) -> U256 {
    let mut bytes = [0; 2 * SLOT_BYTES];
    bytes[..SLOT_BYTES].copy_from_slice(key.as_slice());
    bytes[SLOT_BYTES..].copy_from_slice(&mapping.to_be_bytes::<SLOT_BYTES>());
    keccak256(bytes).into()
}

/// The first slot of an array's elements.
#[must_use]
pub fn elements(array: U256) -> U256 {
    keccak256(array.to_be_bytes::<SLOT_BYTES>()).into()
}

/// So many slots further.
#[must_use]
pub fn after(slot: U256, count: u64) -> U256 {
    slot.wrapping_add(U256::from(count))
}

/// The storage of one contract.
pub struct Storage<'a> {
    host: &'a mut dyn Host,
    contract: Address,
}

impl<'a> Storage<'a> {
    /// The storage of a system contract. Only that of the contract that is called can be written.
    pub fn of(host: &'a mut dyn Host, contract: Address) -> Self {
        Self { host, contract }
    }

    /// Reads a slot.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn load(&mut self, slot: U256) -> Result<U256, Halt> {
        self.host.load(self.contract, slot)
    }

    /// Writes a slot.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn store(&mut self, slot: U256, value: U256) -> Result<(), Halt> {
        self.host.store(slot, value)
    }

    /// Reads a number that was written as one of 64 bits.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn load_u64(&mut self, slot: U256) -> Result<u64, Halt> {
        Ok(self.load(slot)?.saturating_to())
    }

    /// Reads text as it was written by [`Self::store_bytes`].
    ///
    /// # Errors
    /// [`Halt`].
    pub fn load_text(&mut self, slot: U256) -> Result<String, Halt> {
        Ok(String::from_utf8_lossy(&self.load_bytes(slot)?).into_owned())
    }

    /// Reads at most [`BYTES_MAX`] bytes: their length stands in the slot, they themselves where an array's elements would.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn load_bytes(&mut self, slot: U256) -> Result<Vec<u8>, Halt> {
        self.load_long(slot, BYTES_MAX)
    }

    /// Reads at most so many bytes.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn load_long(&mut self, slot: U256, limit: usize) -> Result<Vec<u8>, Halt> {
        let length = usize::try_from(self.load_u64(slot)?).unwrap_or(usize::MAX).min(limit);
        let mut bytes = Vec::with_capacity(length);
        let mut at = elements(slot);
        while bytes.len() < length {
            let word = self.load(at)?.to_be_bytes::<SLOT_BYTES>();
            bytes.extend(word.iter().take(length.saturating_sub(bytes.len())));
            at = after(at, 1);
        }
        Ok(bytes)
    }

    /// Writes bytes over what was there, and clears what was longer.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn store_bytes(&mut self, slot: U256, bytes: &[u8]) -> Result<(), Halt> {
        let slots = |length: u64| length.div_ceil(SLOT_BYTES as u64);
        let before = slots(self.load_u64(slot)?);
        self.store(slot, U256::from(bytes.len()))?;
        let mut at = elements(slot);
        for chunk in bytes.chunks(SLOT_BYTES) {
            let mut word = [0; SLOT_BYTES];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.store(at, U256::from_be_bytes(word))?;
            at = after(at, 1);
        }
        for _ in slots(bytes.len() as u64)..before {
            self.store(at, U256::ZERO)?;
            at = after(at, 1);
        }
        Ok(())
    }
}
