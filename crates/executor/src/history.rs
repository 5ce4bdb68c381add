//! The contract that keeps the hashes of past blocks (EIP-2935).

use crate::database::BlockState;
use crate::{AccountState, StateError};
use alloy_eips::eip2935::{HISTORY_SERVE_WINDOW, HISTORY_STORAGE_ADDRESS};
use alloy_primitives::{B256, U256};

/// Writes the parent's hash to the history contract, as the first thing in a block. A chain whose genesis has no such
/// contract is left alone, as EIP-2935 wants.
///
/// The contract's `set` does nothing but this one write, so that running it is not needed.
pub(crate) fn record_parent(state: &mut BlockState<'_>, number: u64, parent: B256) -> Result<(), StateError> {
    let Some(parent_number) = number.checked_sub(1) else { return Ok(()) };
    state.set_block_hash(parent_number, parent);
    if !state.account(HISTORY_STORAGE_ADDRESS)?.as_ref().is_some_and(AccountState::has_code) {
        return Ok(());
    }
    let slot = U256::from(parent_number) % U256::from(HISTORY_SERVE_WINDOW);
    state.set_storage(HISTORY_STORAGE_ADDRESS, slot, parent.into())
}
