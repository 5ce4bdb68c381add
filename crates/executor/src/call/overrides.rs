//! What a caller wants to be different from the chain.

use super::CallPrecompiles;
use crate::database::BlockState;
use crate::{AccountState, BlockEnvironment, StateError};
use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_eth::BlockOverrides;
use alloy_rpc_types_eth::state::{AccountOverride, StateOverride};

/// What is to be different in the state and the block of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Accounts.
    pub state: Option<StateOverride>,
    /// Properties of the block.
    pub block: Option<BlockOverrides>,
}

/// Overrides that contradict themselves, or the state that they cannot be applied to.
#[derive(Debug, thiserror::Error)]
pub enum OverrideError {
    /// All storage and single slots at once.
    #[error("account {0} has both 'state' and 'stateDiff'")]
    StateAndDiff(Address),
    /// Code that begins like a delegation (EIP-7702) but is none.
    #[error("code of account {address} is not valid: {reason}")]
    Code {
        /// The account.
        address: Address,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no precompiled contract to move.
    #[error("account {0} is not a precompile")]
    NotAPrecompile(Address),
    /// An account that is moved to, or overridden twice by a move.
    #[error("account {0} is already overridden")]
    AlreadyOverridden(Address),
    /// A number that no block can have.
    #[error("block override {field} {value} does not fit 64 bits")]
    TooLarge {
        /// The field.
        field: &'static str,
        /// The value asked for.
        value: U256,
    },
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The block with what is to be different in it; the hashes of past blocks go to the state.
pub(crate) fn apply_block_overrides(
    environment: &mut BlockEnvironment,
    state: &mut BlockState<'_>,
    overrides: &BlockOverrides,
) -> Result<(), OverrideError> {
    let small = |field, value: U256| u64::try_from(value).map_err(|_| OverrideError::TooLarge { field, value });
    if let Some(number) = overrides.number {
        environment.number = small("number", number)?;
    }
    if let Some(base_fee) = overrides.base_fee {
        environment.base_fee = small("baseFeePerGas", base_fee)?;
    }
    if let Some(price) = overrides.blob_base_fee {
        environment.blob_base_fee = u128::from(small("blobBaseFee", price)?);
    }
    environment.timestamp = overrides.time.unwrap_or(environment.timestamp);
    environment.gas_limit = overrides.gas_limit.unwrap_or(environment.gas_limit);
    environment.beneficiary = overrides.coinbase.unwrap_or(environment.beneficiary);
    environment.prevrandao = overrides.random.unwrap_or(environment.prevrandao);
    environment.difficulty = overrides.difficulty.unwrap_or(environment.difficulty);
    for (number, hash) in overrides.block_hash.iter().flatten() {
        state.set_block_hash(*number, *hash);
    }
    Ok(())
}

/// Writes what is to be different into the state, in the order of addresses.
pub(crate) fn apply_state_overrides(
    state: &mut BlockState<'_>,
    precompiles: &mut CallPrecompiles,
    overrides: &StateOverride,
) -> Result<(), OverrideError> {
    let mut sorted: Vec<_> = overrides.iter().collect();
    sorted.sort_unstable_by_key(|(address, _)| **address);
    for (address, account) in &sorted {
        if let Some(to) = account.move_precompile_to {
            if !precompiles.is_precompile(address) {
                return Err(OverrideError::NotAPrecompile(**address));
            }
            if overrides.contains_key(&to) {
                return Err(OverrideError::AlreadyOverridden(to));
            }
            precompiles.relocate(**address, to);
        }
    }
    sorted.into_iter().try_for_each(|(address, account)| apply_account(state, *address, account))
}

fn apply_account(
    state: &mut BlockState<'_>,
    address: Address,
    overrides: &AccountOverride,
) -> Result<(), OverrideError> {
    let old = state.account(address)?;
    let mut account = old.unwrap_or_default();
    account.nonce = overrides.nonce.unwrap_or(account.nonce);
    account.balance = overrides.balance.unwrap_or(account.balance);
    if let Some(code) = &overrides.code {
        let invalid = |error: StateError| OverrideError::Code { address, reason: error.to_string() };
        account.code_hash = state.insert_code(code.clone()).map_err(invalid)?;
    }
    if old.is_some() || account != AccountState::default() {
        state.set_account(address, account)?;
    }
    let slots = match (&overrides.state, &overrides.state_diff) {
        (Some(_), Some(_)) => return Err(OverrideError::StateAndDiff(address)),
        (Some(all), None) => {
            state.clear_storage(address)?;
            all
        }
        (None, Some(some)) => some,
        (None, None) => return Ok(()),
    };
    for (slot, value) in slots {
        let number = |word: &B256| U256::from_be_bytes(word.0);
        state.set_storage(address, number(slot), number(value))?;
    }
    Ok(())
}
