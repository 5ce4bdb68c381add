//! Transaction tests: whether bytes are a transaction that is valid by itself under each fork's rules, and if so its
//! hash, sender and intrinsic gas.

use super::{CaseResult, Mismatch, expect_equal, fork};
use crate::{Fees, transaction::tx_env};
use alloy_consensus::{Transaction as _, TxEnvelope};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, U256, uint};
use alloy_rlp::Header;
use lian_crypto::Suite;
use lian_types::{Transaction, TransactionError};
use revm::context_interface::cfg::GasParams;
use revm::primitives::hardfork::SpecId;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The chain that Ethereum's tests are for.
const CHAIN_ID: u64 = 1;
/// The order of secp256k1.
const ORDER: U256 = uint!(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141_U256);
/// The longest creation code (EIP-3860), in bytes.
const INIT_CODE_MAX: usize = 49_152;
/// The largest gas limit of a transaction (EIP-7825), in units of gas.
const GAS_LIMIT_MAX: u64 = 1 << 24;

#[derive(Deserialize)]
struct Test {
    txbytes: Bytes,
    result: BTreeMap<String, Expected>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expected {
    exception: Option<String>,
    hash: Option<B256>,
    sender: Option<Address>,
    intrinsic_gas: Option<U256>,
}

/// What a valid transaction is.
struct Accepted {
    hash: B256,
    sender: Address,
    intrinsic_gas: u64,
}

/// Runs all cases of a transaction test.
pub(super) fn run(name: &str, test: Value) -> Vec<CaseResult> {
    match Test::deserialize(test) {
        Ok(Test { txbytes, result }) => result
            .iter()
            .map(|(fork, expected)| CaseResult::new(name, fork, 0, run_case(&txbytes, fork, expected)))
            .collect(),
        Err(error) => vec![CaseResult::new(name, "", 0, Err(Mismatch::wrong(error)))],
    }
}

fn run_case(bytes: &Bytes, fork: &str, expected: &Expected) -> Result<(), Mismatch> {
    let spec = fork::transaction_spec(fork)?;
    if bytes.first() == Some(&3) {
        return Err(Mismatch::Inapplicable("Lian has no blob transactions (type 3)".to_owned()));
    }
    match (accept(bytes, spec), &expected.exception) {
        (Err(_), Some(_)) => Ok(()),
        (Err(reason), None) if has_wide_number(bytes) => {
            Err(Mismatch::Inapplicable(format!("Lian refuses prices of more than 128 bits ({reason})")))
        }
        (Err(reason), None) => Err(Mismatch::Wrong(format!("the transaction is refused: {reason}"))),
        (Ok(_), Some(exception)) => Err(Mismatch::Wrong(format!("the transaction is accepted, expected {exception}"))),
        (Ok(accepted), None) => {
            expect_equal("the hash", &expected.hash, &Some(accepted.hash))?;
            expect_equal("the sender", &expected.sender, &Some(accepted.sender))?;
            expect_equal("the intrinsic gas", &expected.intrinsic_gas, &Some(U256::from(accepted.intrinsic_gas)))
        }
    }
}

/// Checks everything about a transaction that needs no state.
fn accept(bytes: &Bytes, spec: SpecId) -> Result<Accepted, String> {
    let envelope = decode(bytes)?;
    check_type(&envelope, spec)?;
    check_chain_id(&envelope, spec)?;
    if envelope.nonce() == u64::MAX {
        return Err("the nonce is the largest number there is (EIP-2681)".to_owned());
    }
    if envelope.max_priority_fee_per_gas().is_some_and(|tip| tip > envelope.max_fee_per_gas()) {
        return Err("the priority fee is above the largest fee".to_owned());
    }
    let price = U256::from(envelope.max_fee_per_gas());
    if price.checked_mul(U256::from(envelope.gas_limit())).is_none() {
        return Err("gas limit times price does not fit 256 bits".to_owned());
    }
    let is_create = envelope.kind().is_create();
    if is_create && spec.is_enabled_in(SpecId::SHANGHAI) && envelope.input().len() > INIT_CODE_MAX {
        return Err("the creation code is too long (EIP-3860)".to_owned());
    }
    if spec.is_enabled_in(SpecId::OSAKA) && envelope.gas_limit() > GAS_LIMIT_MAX {
        return Err("the gas limit is above the cap (EIP-7825)".to_owned());
    }
    if envelope.authorization_list().is_some_and(<[_]>::is_empty) {
        return Err("no authorization (EIP-7702)".to_owned());
    }
    let sender = recover(&envelope, spec)?;
    let gas = GasParams::new_spec(spec).initial_tx_gas_for_tx(tx_env(Fees::Ethereum, &envelope, sender), None);
    let intrinsic_gas = gas.initial_total_gas();
    let floor = if spec.is_enabled_in(SpecId::PRAGUE) { gas.floor_gas() } else { 0 };
    if envelope.gas_limit() < intrinsic_gas.max(floor) {
        return Err(format!("the gas limit {} is below the intrinsic gas {intrinsic_gas}", envelope.gas_limit()));
    }
    Ok(Accepted { hash: *envelope.tx_hash(), sender, intrinsic_gas })
}

/// Decodes through Lian's own types. What they refuse for Lian's reasons alone (no chain id, or too long for the pool)
/// is decoded without them.
fn decode(bytes: &Bytes) -> Result<TxEnvelope, String> {
    match Transaction::decode(bytes.clone()) {
        Ok(transaction) => Ok(transaction.as_ethereum().clone()),
        Err(TransactionError::NotReplayProtected | TransactionError::TooLong { .. }) => {
            let mut rest = bytes.as_ref();
            let envelope = TxEnvelope::decode_2718(&mut rest).map_err(|error| error.to_string())?;
            if rest.is_empty() { Ok(envelope) } else { Err("bytes follow the transaction".to_owned()) }
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Which fork brought the transaction's type.
fn check_type(envelope: &TxEnvelope, spec: SpecId) -> Result<(), String> {
    let since = match u8::from(envelope.tx_type()) {
        0 => SpecId::FRONTIER,
        1 => SpecId::BERLIN,
        2 => SpecId::LONDON,
        _ => SpecId::PRAGUE,
    };
    if spec.is_enabled_in(since) { Ok(()) } else { Err("the fork does not have this type of transaction".to_owned()) }
}

/// EIP-155: since Spurious Dragon a legacy transaction may name the chain; the later types must.
fn check_chain_id(envelope: &TxEnvelope, spec: SpecId) -> Result<(), String> {
    match envelope.chain_id() {
        None => Ok(()),
        Some(_) if !spec.is_enabled_in(SpecId::SPURIOUS_DRAGON) => Err("v is neither 27 nor 28".to_owned()),
        Some(CHAIN_ID) => Ok(()),
        Some(other) => Err(format!("chain id {other} is not {CHAIN_ID}")),
    }
}

/// The sender. Homestead forbade the larger of the two values of `s` (EIP-2); before it both recover the same key.
fn recover(envelope: &TxEnvelope, spec: SpecId) -> Result<Address, String> {
    let signature = envelope.signature();
    let normal = if spec.is_enabled_in(SpecId::HOMESTEAD) { None } else { normalised(signature) };
    Suite::Standard
        .recover_signer(envelope.signature_hash(), &normal.unwrap_or(*signature))
        .map_err(|error| error.to_string())
}

/// The signature with the smaller `s`, if its `s` is the larger one.
fn normalised(signature: &Signature) -> Option<Signature> {
    let twin = ORDER.checked_sub(signature.s()).filter(|twin| !twin.is_zero())?;
    (twin < signature.s()).then(|| Signature::new(signature.r(), twin, !signature.v()))
}

/// Whether one of the transaction's numbers has more than 128 bits in a place where the value does not stand: where the
/// gas prices are.
fn has_wide_number(bytes: &[u8]) -> bool {
    let (mut payload, prices) = match bytes.first() {
        Some(2 | 4) => (bytes.get(1..).unwrap_or_default(), 2..4),
        Some(1) => (bytes.get(1..).unwrap_or_default(), 2..3),
        _ => (bytes, 1..2),
    };
    let Ok(Header { list: true, .. }) = Header::decode(&mut payload) else { return false };
    for position in 0..prices.end {
        let Ok(header) = Header::decode(&mut payload) else { return false };
        if header.list || header.payload_length > payload.len() {
            return false;
        }
        if prices.contains(&position) && (17..=32).contains(&header.payload_length) {
            return true;
        }
        payload = payload.get(header.payload_length..).unwrap_or_default();
    }
    false
}
