//! What a transaction can do at worst with all the gas it may have: it ends, costs what the rules say, and the chain
//! goes on.

use crate::support::{ALICE, BOB, CAROL, Chain, sent, transaction};
use alloy_consensus::TxEip1559;
use alloy_primitives::{Bytes, U256, hex};
use lian_types::{Receipt, limits::TRANSACTION_GAS_LIMIT_MAX};
use std::collections::BTreeMap;

const PRECOMPILE_BLAKE2F: u8 = 9;
const PRECOMPILE_MODEXP: u8 = 5;

/// Runs a program with as much gas as a transaction may have, then a plain one.
fn run(code: &[u8], input: Vec<u8>) -> Receipt {
    let mut chain = Chain::default();
    chain.state.insert(BOB, 1, U256::ZERO, Bytes::copy_from_slice(code), BTreeMap::new());
    let most = TxEip1559 { gas_limit: TRANSACTION_GAS_LIMIT_MAX, ..transaction(Some(BOB), input) };
    let outcome = chain.block(&[sent(ALICE, most)]);
    let receipt = outcome.receipts[0].clone();
    assert!(receipt.gas_used <= TRANSACTION_GAS_LIMIT_MAX);
    assert!(chain.send(ALICE, Some(CAROL), vec![]).success, "the chain goes on");
    receipt
}

/// A program that gives a precompiled contract all its gas, with its own input, and returns what it answers.
fn forward(precompile: u8) -> Vec<u8> {
    // CALLDATACOPY(0, 0, CALLDATASIZE); CALL(GAS, precompile, 0, 0, CALLDATASIZE, 0, 0); success or INVALID.
    let mut code = hex!("365f5f375f5f365f5f60").to_vec();
    code.push(precompile);
    code.extend(hex!("5af1601557fe"));
    // Jump destination at byte 21, then RETURN(0, 0).
    code.resize(21, 0xfe);
    code.extend(hex!("5b5f5ff3"));
    code
}

#[test]
fn endless_programs_end_with_their_gas() {
    let cases: [(&str, &[u8]); 4] = [
        // JUMPDEST PUSH0 JUMP.
        ("a loop", &hex!("5b5f56")),
        // JUMPDEST MSIZE MLOAD POP PUSH0 JUMP: a word more of memory each time.
        ("memory word by word", &hex!("5b5951505f56")),
        // PUSH8 2^40 MLOAD: memory that costs more than any gas.
        ("memory at once", &hex!("67000001000000000051")),
        // JUMPDEST GAS PUSH0 LOG1 of 4 KiB, for ever.
        ("logs", &hex!("5b5a6110005fa15f56")),
    ];
    for (name, code) in cases {
        let receipt = run(code, vec![]);
        assert!(!receipt.success, "{name}");
        assert_eq!(receipt.gas_used, TRANSACTION_GAS_LIMIT_MAX, "{name}");
        assert!(receipt.logs.is_empty(), "{name}");
    }
}

/// A contract that calls itself with all it has: each level keeps a 64th (EIP-150), so that the gas ends long before the
/// depth of 1,024 calls does.
#[test]
fn calling_oneself_ends() {
    // CALL(GAS, ADDRESS, 0, 0, 0, 0, 0).
    let receipt = run(&hex!("5f5f5f5f5f305af100"), vec![]);
    assert!(receipt.success);
    // Five PUSH0, ADDRESS, GAS and a warm CALL.
    let levels = (receipt.gas_used - 21_000) / (5 * 2 + 2 + 2 + 100);
    assert!((400..1_024).contains(&levels), "{levels}");
}

/// The same with a memory of 64 KiB at each level, which is all there at once.
#[test]
fn memory_of_nested_calls_is_paid_for() {
    // PUSH3 65536 MLOAD POP, then as above.
    let receipt = run(&hex!("620100005150 5f5f5f5f5f305af100"), vec![]);
    assert!(receipt.success);
}

/// Each call returns 128 KiB; the caller takes them all.
#[test]
fn returned_data_is_paid_for() {
    // With input: RETURN(0, 128 KiB). Else, from byte 11 on: CALL(GAS, ADDRESS, 0, 0, 1, 0, 0), RETURNDATACOPY(0, 0, all).
    let once = hex!("3615600b57620200005ff35b5f5f60015f5f305af1503d5f5f3e");
    let receipt = run(&once, vec![]);
    assert!(receipt.success);
    // 4,096 words of memory, in the contract that returns and in the one that copies.
    assert!(receipt.gas_used > 21_000 + 2 * (3 * 4_096 + 4_096 * 4_096 / 512), "{}", receipt.gas_used);
    // Again and again: PUSH1 11 JUMP.
    let receipt = run(&[&once[..], &hex!("600b56")].concat(), vec![]);
    assert!(!receipt.success);
    assert_eq!(receipt.gas_used, TRANSACTION_GAS_LIMIT_MAX);
}

/// Copying beyond what was returned is an error, not zeros (EIP-211).
#[test]
fn nothing_lies_beyond_returned_data() {
    // RETURNDATACOPY(0, 0, 1).
    assert!(!run(&hex!("60015f5f3e"), vec![]).success);
}

/// A contract cannot create with more initcode than a transaction can (EIP-3860).
#[test]
fn initcode_of_contracts_is_bounded() {
    // CREATE(0, 0, 49,153) fails with all gas; of 49,152 zero bytes it makes an empty contract.
    assert!(!run(&hex!("62 00c001 5f 5f f0 00"), vec![]).success);
    assert!(run(&hex!("62 00c000 5f 5f f0 00"), vec![]).success);
}

/// BLAKE2 rounds cost a gas each (EIP-152): more than there is are refused before the first one.
#[test]
fn rounds_of_blake2_are_paid_for() {
    let mut input = vec![0; 213];
    input[..4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(!run(&forward(PRECOMPILE_BLAKE2F), input.clone()).success);
    input[..4].copy_from_slice(&1_000_000u32.to_be_bytes());
    let receipt = run(&forward(PRECOMPILE_BLAKE2F), input);
    assert!(receipt.success && receipt.gas_used > 1_000_000);
}

/// Lengths of modular exponentiation that no memory has, and those above EIP-7823's 1,024 bytes.
#[test]
fn lengths_of_modular_exponentiation_are_bounded() {
    let lengths = |base: U256, exponent: U256, modulus: U256| {
        [base, exponent, modulus].iter().flat_map(U256::to_be_bytes::<32>).collect::<Vec<_>>()
    };
    for input in [
        lengths(U256::MAX, U256::MAX, U256::MAX),
        lengths(U256::from(1_025), U256::from(1), U256::from(1)),
        lengths(U256::from(1), U256::from(1_025), U256::from(1)),
        lengths(U256::from(1), U256::from(1), U256::from(u64::MAX)),
    ] {
        let receipt = run(&forward(PRECOMPILE_MODEXP), input);
        assert!(!receipt.success);
        assert!(receipt.gas_used > TRANSACTION_GAS_LIMIT_MAX / 64 * 62, "all that was given is gone");
    }
    assert!(run(&forward(PRECOMPILE_MODEXP), lengths(U256::from(1), U256::from(1), U256::from(1))).success);
}
