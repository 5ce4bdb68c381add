//! What can be said about a transaction without knowing any state.

use crate::Refusal;
use alloy_consensus::Transaction as _;
use lian_types::{Transaction, limits::TRANSACTION_GAS_LIMIT_MAX};

/// Gas of every transaction (yellow paper, appendix G: `G_transaction`).
const GAS_TRANSACTION: u64 = 21_000;
/// Gas of a creation on top (EIP-2).
const GAS_CREATE: u64 = 32_000;
/// Gas of each 32 bytes of initcode (EIP-3860).
const GAS_INITCODE_WORD: u64 = 2;
/// Gas of a token of call data: a zero byte is one token, any other four (EIP-7623).
const GAS_DATA_TOKEN: u64 = 4;
/// Tokens of a byte that is not zero (EIP-7623, after EIP-2028).
const TOKENS_NONZERO: u64 = 4;
/// The least gas of a token of call data (EIP-7623: `TOTAL_COST_FLOOR_PER_TOKEN`).
const GAS_FLOOR_TOKEN: u64 = 10;
/// Gas of an address in an access list (EIP-2930).
const GAS_ACCESS_ADDRESS: u64 = 2_400;
/// Gas of a storage key in an access list (EIP-2930).
const GAS_ACCESS_KEY: u64 = 1_900;
/// Gas of an authorisation (EIP-7702: `PER_EMPTY_ACCOUNT_COST`).
const GAS_AUTHORIZATION: u64 = 25_000;
/// Longest initcode, in bytes (EIP-3860: twice EIP-170's 24,576).
const INITCODE_BYTES_MAX: usize = 2 * 24_576;
/// EIP-7702's transaction type.
const TYPE_SET_CODE: u8 = 4;

/// What the rules of a group say about each of its transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The group's EIP-155 chain id.
    pub chain_id: u64,
    /// The gas limit of a block, in units of gas.
    pub block_gas_limit: u64,
}

/// Checks everything about a transaction that needs no state, by the rules of Osaka without fees. It serves the pool and
/// the proposals of other leaders alike, so that a valid proposal never holds a transaction that breaks these rules.
///
/// # Errors
/// The first rule broken: chain id, gas caps (EIP-7825, block), nonce (EIP-2681), initcode (EIP-3860), authorisations
/// (EIP-7702), intrinsic gas and its floor (EIP-7623).
pub fn check_static(transaction: &Transaction, limits: &Limits) -> Result<(), Refusal> {
    let envelope = transaction.as_ethereum();
    if transaction.chain_id() != limits.chain_id {
        return Err(Refusal::ChainId { found: transaction.chain_id(), expected: limits.chain_id });
    }
    let found = transaction.gas_limit();
    if found > TRANSACTION_GAS_LIMIT_MAX {
        return Err(Refusal::GasAboveCap { found, cap: TRANSACTION_GAS_LIMIT_MAX });
    }
    if found > limits.block_gas_limit {
        return Err(Refusal::GasAboveBlock { found, limit: limits.block_gas_limit });
    }
    if transaction.nonce() == u64::MAX {
        return Err(Refusal::NonceMax(u64::MAX));
    }
    if envelope.is_create() && envelope.input().len() > INITCODE_BYTES_MAX {
        return Err(Refusal::InitcodeTooLong { found: envelope.input().len(), limit: INITCODE_BYTES_MAX });
    }
    if transaction.encoded().first() == Some(&TYPE_SET_CODE)
        && envelope.authorization_list().is_none_or(<[_]>::is_empty)
    {
        return Err(Refusal::NoAuthorizations);
    }
    let tokens = data_tokens(envelope.input());
    let needed = intrinsic_gas_of(transaction, tokens);
    if found < needed {
        return Err(Refusal::IntrinsicGas { found, needed });
    }
    let needed = floor_gas_of(tokens);
    if found < needed {
        return Err(Refusal::FloorGas { found, needed });
    }
    Ok(())
}

/// The gas that a transaction uses before its first instruction, in units of gas.
#[must_use]
pub fn intrinsic_gas(transaction: &Transaction) -> u64 {
    intrinsic_gas_of(transaction, data_tokens(transaction.as_ethereum().input()))
}

/// The least gas that a transaction is charged for its data (EIP-7623), in units of gas.
#[must_use]
pub fn floor_gas(transaction: &Transaction) -> u64 {
    floor_gas_of(data_tokens(transaction.as_ethereum().input()))
}

fn intrinsic_gas_of(transaction: &Transaction, tokens: u64) -> u64 {
    let envelope = transaction.as_ethereum();
    let mut gas = GAS_TRANSACTION.saturating_add(tokens.saturating_mul(GAS_DATA_TOKEN));
    if envelope.is_create() {
        let words = count(envelope.input().len().div_ceil(32));
        gas = gas.saturating_add(GAS_CREATE).saturating_add(words.saturating_mul(GAS_INITCODE_WORD));
    }
    if let Some(list) = envelope.access_list() {
        for item in list.iter() {
            let keys = count(item.storage_keys.len()).saturating_mul(GAS_ACCESS_KEY);
            gas = gas.saturating_add(GAS_ACCESS_ADDRESS).saturating_add(keys);
        }
    }
    let authorizations = count(envelope.authorization_list().map_or(0, <[_]>::len));
    gas.saturating_add(authorizations.saturating_mul(GAS_AUTHORIZATION))
}

fn floor_gas_of(tokens: u64) -> u64 {
    GAS_TRANSACTION.saturating_add(tokens.saturating_mul(GAS_FLOOR_TOKEN))
}

fn data_tokens(data: &[u8]) -> u64 {
    let nonzero = count(data.iter().filter(|byte| **byte != 0).count());
    let zero = count(data.len()).saturating_sub(nonzero);
    zero.saturating_add(nonzero.saturating_mul(TOKENS_NONZERO))
}

/// A length as a number of units of gas is counted in; lengths here are bounded by a transaction's bytes.
fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
