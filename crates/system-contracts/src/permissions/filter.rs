//! Which addresses a verdict may depend on, told by one bit: most calls are between addresses that nothing was ever decided
//! about, and an executor that has read the filter needs nothing else for these.

use super::{load, store};
use crate::{Halt, Host};
use alloy_primitives::{Address, U256};

/// How many slots the filter takes: with 1,000 addresses in it, one of sixteen others shares a bit with one of them, and
/// costs what those cost.
pub const FILTER_SLOTS: usize = 64;
/// The first of them.
const FILTER: usize = 256;
/// Bits of a slot.
const SLOT_BITS: u16 = 256;

/// The slot of an address's bit, and the bit: its last bytes, which are as good as random.
fn place(address: Address) -> (usize, usize) {
    let [.., high, low] = address.into_array();
    let bit = u16::from_be_bytes([high, low]);
    (usize::from(bit / SLOT_BITS) % FILTER_SLOTS, usize::from(bit % SLOT_BITS))
}

/// The slot of 0x2003 that has an address's bit, and its position among the filter's slots, below [`FILTER_SLOTS`].
#[must_use]
pub fn filter_slot(address: Address) -> (U256, usize) {
    let (position, _) = place(address);
    (U256::from(FILTER.saturating_add(position)), position)
}

/// Whether a verdict may depend on an address, by the value of its slot.
#[must_use]
pub fn is_in_filter(slot: U256, address: Address) -> bool {
    slot.bit(place(address).1)
}

/// Puts an address into the filter, where it stays.
pub(super) fn add(host: &mut dyn Host, address: Address) -> Result<(), Halt> {
    let (slot, _) = filter_slot(address);
    let mut bits = load(host, slot)?;
    if is_in_filter(bits, address) {
        return Ok(());
    }
    bits.set_bit(place(address).1, true);
    store(host, slot, bits)
}
