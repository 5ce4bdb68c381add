//! `eth_`: accounts and storage at a block, and proofs of them.

use crate::{
    block_id::{BlockId, BlockTag},
    chain::{Chain, state_error},
    error::CallError,
    parameters::Parameters,
    quantity::Quantity,
    registry::Registry,
};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use alloy_rlp::EMPTY_STRING_CODE;
use alloy_rpc_types_eth::{EIP1186AccountProofResponse, EIP1186StorageProof};
use jsonrpsee::core::RegisterMethodError;
use lian_trie::StorageProof;
use lian_types::limits::RPC_PROOF_KEYS_MAX;
use serde::{Deserialize, Deserializer, de::Error as _};

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.read("eth_getBalance", 2, balance)?;
    registry.read("eth_getCode", 2, code)?;
    registry.read("eth_getStorageAt", 3, storage)?;
    registry.read("eth_getTransactionCount", 2, transaction_count)?;
    registry.read("eth_getProof", 3, proof)
}

/// A storage slot: a quantity, or up to 32 bytes in hexadecimal, with or without leading zeros, as geth takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    key: U256,
    /// Whether it was written as 32 bytes; a proof repeats it in the form in which it was asked for.
    full: bool,
}

impl<'de> Deserialize<'de> for Slot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as Deserialize>::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        let digits = digits.ok_or_else(|| D::Error::custom("hex string without 0x prefix"))?;
        if digits.len() > 64 {
            return Err(D::Error::custom("storage key too long (want at most 32 bytes)"));
        }
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(D::Error::custom("invalid hex string"));
        }
        let key = U256::from_str_radix(digits, 16).map_err(|_| D::Error::custom("invalid hex string"))?;
        Ok(Self { key, full: digits.len() == 64 })
    }
}

fn block_of(parameters: &mut Parameters<'_>) -> Result<BlockId, CallError> {
    Ok(parameters.optional("block")?.unwrap_or_default())
}

fn balance(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<U256, CallError> {
    let address: Address = parameters.required("address")?;
    let state = chain.state(block_of(parameters)?)?;
    Ok(state.account(address).map_err(state_error)?.map_or(U256::ZERO, |account| account.balance))
}

fn code(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Bytes, CallError> {
    let address: Address = parameters.required("address")?;
    let state = chain.state(block_of(parameters)?)?;
    match state.account(address).map_err(state_error)? {
        Some(account) if account.has_code() => state.code(account.code_hash).map_err(state_error),
        _ => Ok(Bytes::new()),
    }
}

fn storage(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<B256, CallError> {
    let address: Address = parameters.required("address")?;
    let slot: Slot = parameters.required("slot")?;
    let state = chain.state(block_of(parameters)?)?;
    state.storage(address, slot.key).map(B256::from).map_err(state_error)
}

fn transaction_count(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Quantity, CallError> {
    let address: Address = parameters.required("address")?;
    let id = block_of(parameters)?;
    if id == BlockId::Tag(BlockTag::Pending) {
        return chain.group().pending_nonce(address).map(Quantity).map_err(state_error);
    }
    let state = chain.state(id)?;
    Ok(Quantity(state.account(address).map_err(state_error)?.map_or(0, |account| account.nonce)))
}

fn proof(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<EIP1186AccountProofResponse, CallError> {
    let address: Address = parameters.required("address")?;
    let slots: Vec<Slot> = parameters.required("storageKeys")?;
    if slots.len() > RPC_PROOF_KEYS_MAX {
        let message = format!("{} storage keys exceed the limit of {RPC_PROOF_KEYS_MAX}", slots.len());
        return Err(CallError::LimitExceeded(message));
    }
    let number = chain.require(block_of(parameters)?)?;
    let keys: Vec<U256> = slots.iter().map(|slot| slot.key).collect();
    let proof = chain.prove(number, address, &keys)?;
    let leaf = proof.account.map(|account| account.leaf);
    let suite = chain.group().info().suite;
    let shown = |(slot, found): (&Slot, StorageProof)| EIP1186StorageProof {
        key: if slot.full { B256::from(slot.key).into() } else { slot.key.into() },
        value: found.value,
        proof: found.proof,
    };
    Ok(EIP1186AccountProofResponse {
        address,
        balance: leaf.map_or(U256::ZERO, |leaf| leaf.balance),
        nonce: leaf.map_or(0, |leaf| leaf.nonce),
        code_hash: leaf.map_or(KECCAK256_EMPTY, |leaf| leaf.code_hash),
        // The root of an empty trie is the hash of RLP's empty string.
        storage_hash: proof.account.map_or_else(|| suite.hash(&[EMPTY_STRING_CODE]), |account| account.storage_root),
        account_proof: proof.proof,
        storage_proof: slots.iter().zip(proof.storage).map(shown).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_in_every_form() {
        let parse =
            |text: &str| serde_json::from_str::<Slot>(&format!("\"{text}\"")).map_err(|error| error.to_string());
        assert_eq!(parse("0x0").unwrap(), Slot { key: U256::ZERO, full: false });
        assert_eq!(parse("0x00ff").unwrap(), Slot { key: U256::from(255), full: false });
        let full = format!("0x{}", "0".repeat(63) + "7");
        assert_eq!(parse(&full).unwrap(), Slot { key: U256::from(7), full: true });
        for bad in ["", "0x", "7", "0xgg", &format!("0x{}", "0".repeat(65))] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
