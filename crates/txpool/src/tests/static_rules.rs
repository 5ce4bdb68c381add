//! Rules without state. Gas figures are computed by hand from the EIPs named.

use super::*;
use crate::{check_static, floor_gas, intrinsic_gas};
use alloy_consensus::{TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{B256, Bytes};

fn call(gas_limit: u64, input: Vec<u8>) -> TxEip1559 {
    let to = TxKind::Call(Address::ZERO);
    TxEip1559 { chain_id: CHAIN, gas_limit, to, input: Bytes::from(input), ..Default::default() }
}

fn create(gas_limit: u64, length: usize) -> TxEip1559 {
    TxEip1559 { to: TxKind::Create, ..call(gas_limit, vec![0; length]) }
}

fn listed(gas_limit: u64) -> TxEip2930 {
    let item = AccessListItem { address: Address::ZERO, storage_keys: vec![B256::ZERO, B256::repeat_byte(1)] };
    let to = TxKind::Call(Address::ZERO);
    TxEip2930 { chain_id: CHAIN, gas_limit, to, access_list: AccessList(vec![item]), ..Default::default() }
}

fn authorized(gas_limit: u64, count: usize) -> TxEip7702 {
    let authorization = Authorization { chain_id: U256::from(CHAIN), address: Address::ZERO, nonce: 0 };
    let signed = SignedAuthorization::new_unchecked(authorization, 0, U256::from(1), U256::from(2));
    TxEip7702 { chain_id: CHAIN, gas_limit, authorization_list: vec![signed; count], ..Default::default() }
}

#[test]
fn each_rule_is_kept_at_its_edge() {
    let block = LIMITS.block_gas_limit;
    let ok = || Ok(());
    let intrinsic = |found, needed| Err(Refusal::IntrinsicGas { found, needed });
    let table: Vec<(&str, Arc<Transaction>, Result<(), Refusal>)> = vec![
        ("plain", sign(call(21_000, vec![])), ok()),
        ("one gas less", sign(call(20_999, vec![])), intrinsic(20_999, 21_000)),
        (
            "another chain",
            sign(TxEip1559 { chain_id: 1, ..call(21_000, vec![]) }),
            Err(Refusal::ChainId { found: 1, expected: CHAIN }),
        ),
        (
            "legacy",
            sign(TxLegacy {
                chain_id: Some(CHAIN),
                gas_limit: 21_000,
                to: TxKind::Call(Address::ZERO),
                ..Default::default()
            }),
            ok(),
        ),
        // EIP-7825: 2^24.
        ("gas cap", sign(call(16_777_216, vec![])), ok()),
        (
            "above the gas cap",
            sign(call(16_777_217, vec![])),
            Err(Refusal::GasAboveCap { found: 16_777_217, cap: 16_777_216 }),
        ),
        // EIP-2681.
        ("largest nonce", sign(TxEip1559 { nonce: u64::MAX - 1, ..call(21_000, vec![]) }), ok()),
        ("nonce above", sign(TxEip1559 { nonce: u64::MAX, ..call(21_000, vec![]) }), Err(Refusal::NonceMax(u64::MAX))),
        // EIP-7623: a zero byte is one token, another four; 4 gas each, and a floor of 10.
        ("floor of zero bytes", sign(call(21_000 + 100 * 10, vec![0; 100])), ok()),
        ("below it", sign(call(21_999, vec![0; 100])), Err(Refusal::FloorGas { found: 21_999, needed: 22_000 })),
        ("floor of other bytes", sign(call(21_000 + 400 * 10, vec![1; 100])), ok()),
        ("below it", sign(call(24_999, vec![1; 100])), Err(Refusal::FloorGas { found: 24_999, needed: 25_000 })),
        ("below the intrinsic gas", sign(call(22_599, vec![1; 100])), intrinsic(22_599, 22_600)),
        // EIP-3860: 2 gas a word of 32 bytes, at most 49,152 bytes. Creation: 32,000 on top (EIP-2).
        ("creation of 33 zero bytes", sign(create(53_000 + 33 * 4 + 2 * 2, 33)), ok()),
        ("one gas less", sign(create(53_135, 33)), intrinsic(53_135, 53_136)),
        ("largest creation", sign(create(1_000_000, 49_152)), ok()),
        (
            "one byte more",
            sign(create(1_000_000, 49_153)),
            Err(Refusal::InitcodeTooLong { found: 49_153, limit: 49_152 }),
        ),
        // EIP-2930: 2,400 an address, 1,900 a key.
        ("access list", sign(listed(21_000 + 2_400 + 2 * 1_900)), ok()),
        ("one gas less", sign(listed(27_199)), intrinsic(27_199, 27_200)),
        // EIP-7702: 25,000 an authorisation, at least one.
        ("two authorisations", sign(authorized(21_000 + 2 * 25_000, 2)), ok()),
        ("one gas less", sign(authorized(70_999, 2)), intrinsic(70_999, 71_000)),
        ("none", sign(authorized(100_000, 0)), Err(Refusal::NoAuthorizations)),
    ];
    for (name, transaction, expected) in table {
        assert_eq!(check_static(&transaction, &LIMITS), expected, "{name}");
    }
    let small = Limits { block_gas_limit: 30_000, ..LIMITS };
    let above = Err(Refusal::GasAboveBlock { found: 30_001, limit: 30_000 });
    assert_eq!(check_static(&sign(call(30_001, vec![])), &small), above);
    assert!(block > 30_001);
    let transaction = sign(call(0, vec![0, 1]));
    assert_eq!((intrinsic_gas(&transaction), floor_gas(&transaction)), (21_020, 21_050));
}

/// The words by which ethers and viem tell errors apart.
#[test]
fn messages_are_those_that_clients_know() {
    let address = Address::repeat_byte(1);
    let table: Vec<(Refusal, &str)> = vec![
        (Refusal::NonceTooLow { next: 5, found: 3 }, "nonce too low: next nonce 5, tx nonce 3"),
        (Refusal::AlreadyKnown(TxHash::ZERO), "already known"),
        (Refusal::IntrinsicGas { found: 100, needed: 21_000 }, "intrinsic gas too low: have 100, want 21000"),
        (Refusal::ChainId { found: 1, expected: 2 }, "invalid chain id: have 1, want 2"),
        (
            Refusal::GasAboveCap { found: 16_777_217, cap: 16_777_216 },
            "transaction gas limit too high (cap: 16777216, tx: 16777217)",
        ),
        (Refusal::GasAboveBlock { found: 2, limit: 1 }, "exceeds block gas limit: have 2, block gas limit 1"),
        (
            Refusal::InsufficientFunds { address, balance: U256::from(1), value: U256::from(2) },
            "insufficient funds for gas * price + value: address 0x0101010101010101010101010101010101010101 have 1 want 2",
        ),
        (
            Refusal::InitcodeTooLong { found: 49_153, limit: 49_152 },
            "max initcode size exceeded: code size 49153, limit 49152",
        ),
    ];
    for (refusal, message) in table {
        assert_eq!(refusal.to_string(), message);
    }
}
