//! `eth_simulateV1`.

use crate::support::{ALICE, BOB, CAROL, Chain, GAS_LIMIT, rules};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_rpc_types_eth::simulate::SimulatePayload;
use lian_executor::{SimulateError, SimulatedBlock, SimulationSite, simulate};
use lian_trie::{Hasher, MemoryNodes, StateTrie};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn run(chain: &Chain, payload: Value) -> Result<Vec<SimulatedBlock>, SimulateError> {
    let payload: SimulatePayload = serde_json::from_value(payload).unwrap();
    let header = Header { number: 10, timestamp: 1_000, gas_limit: GAS_LIMIT, ..Header::default() };
    let nodes = MemoryNodes::default();
    let trie = StateTrie::empty(Hasher::Keccak).apply(&nodes, 0, &chain.state.as_changes().trie_updates()).unwrap().0;
    let site = SimulationSite {
        rules: &rules(),
        header: &header,
        hash: header.hash_slow(),
        state: &chain.state,
        trie: Some((&trie, &nodes)),
        gas_cap: 50_000_000,
        cancelled: &|| false,
    };
    simulate(&site, &payload)
}

fn root_of(chain: &Chain) -> B256 {
    let updates = chain.state.as_changes().trie_updates();
    StateTrie::empty(Hasher::Keccak).apply(&MemoryNodes::default(), 0, &updates).unwrap().0.root()
}

/// Calls see what earlier calls and blocks left; blocks are linked; transfers are shown but are no part of the block.
#[test]
fn blocks_build_on_each_other() {
    let mut chain = Chain::default();
    chain.give(ALICE, 100);
    let blocks = run(&chain, json!({
        "traceTransfers": true,
        "blockStateCalls": [
            {"calls": [{"from": ALICE, "to": BOB, "value": "0x1e"}, {"from": BOB, "to": CAROL, "value": "0x14"}]},
            {"blockOverrides": {"number": "0xe", "time": "0x7d0"}, "calls": [{"from": CAROL, "to": ALICE, "value": "0x1"}]},
        ],
    })).unwrap();
    let seen: Vec<_> = blocks.iter().map(|b| (b.header.number, b.header.timestamp, b.calls.len())).collect();
    assert_eq!(seen, vec![(11, 1_001, 2), (12, 1_002, 0), (13, 1_003, 0), (14, 2_000, 1)]);
    for pair in blocks.windows(2) {
        assert_eq!(pair[1].header.parent_hash, pair[0].hash);
        assert_eq!(pair[0].hash, pair[0].header.hash_slow());
    }
    let call = &blocks[0].calls[1];
    assert!(call.status && call.error.is_none());
    assert_eq!((call.gas_used, call.logs.len()), (21_000, 1));
    let log = &call.logs[0];
    assert_eq!(log.inner.address, Address::repeat_byte(0xee));
    assert_eq!(log.inner.data.topics()[1..], [BOB.into_word(), CAROL.into_word()]);
    assert_eq!((log.block_hash, log.block_number), (Some(blocks[0].hash), Some(11)));
    assert_eq!((log.transaction_hash, log.log_index), (Some(*blocks[0].transactions[1].0.tx_hash()), Some(1)));
    assert!(blocks[0].header.logs_bloom.is_zero());
    assert_eq!((blocks[0].header.gas_used, blocks[0].transactions.len()), (42_000, 2));

    let mut after = Chain::default();
    for (address, nonce, balance) in [(ALICE, 1, 71), (BOB, 1, 10), (CAROL, 1, 19)] {
        after.state.insert(address, nonce, U256::from(balance), Bytes::new(), BTreeMap::new());
    }
    assert_eq!(blocks[3].header.state_root, root_of(&after));
}

#[test]
fn overrides_hold_from_their_block_on() {
    let chain = Chain::default();
    // PUSH1 0, SLOAD, then return it; and BLOCKHASH of the parent.
    let load = "0x5f545f5260205ff3";
    let parent_hash = "0x60014303405f5260205ff3";
    let blocks = run(
        &chain,
        json!({"blockStateCalls": [
            {"stateOverrides": {
                BOB.to_string(): {"code": load, "stateDiff": {B256::ZERO.to_string(): B256::with_last_byte(9)}},
                CAROL.to_string(): {"code": parent_hash},
            }, "calls": [{"to": BOB}]},
            {"calls": [{"to": BOB}, {"to": CAROL}]},
            {"stateOverrides": {BOB.to_string(): {"state": {}}}, "calls": [{"to": BOB}]},
        ]}),
    )
    .unwrap();
    let output = |block: usize, call: usize| U256::from_be_slice(&blocks[block].calls[call].return_data);
    assert_eq!([output(0, 0), output(1, 0), output(2, 0)], [9, 9, 0].map(U256::from));
    assert_eq!(output(1, 1), U256::from_be_bytes(blocks[0].hash.0));
}

#[test]
fn failures_are_results() {
    let mut chain = Chain::default();
    chain.state.insert(BOB, 1, U256::ZERO, Bytes::from_static(&hex!("60aa5f5360015ffd")), BTreeMap::new());
    chain.state.insert(CAROL, 1, U256::ZERO, Bytes::from_static(&hex!("fe")), BTreeMap::new());
    let blocks =
        run(&chain, json!({"blockStateCalls": [{"calls": [{"to": BOB}, {"to": CAROL, "gas": "0x7530"}]}]})).unwrap();
    let [revert, halt] = &blocks[0].calls[..] else { panic!() };
    let error = revert.error.as_ref().unwrap();
    assert_eq!((revert.status, error.code, error.data.clone()), (false, 3, Some(Bytes::from_static(&[0xaa]))));
    let error = halt.error.as_ref().unwrap();
    assert_eq!((halt.status, error.code, halt.gas_used), (false, -32_015, 30_000));
    assert_eq!(error.message, "invalid opcode: INVALID");
}

/// The codes are those of execution-apis.
#[test]
fn invalid_simulations_have_their_codes() {
    let mut chain = Chain::default();
    chain.give(ALICE, 5);
    let one = |call: Value| json!({"validation": true, "blockStateCalls": [{"calls": [call]}]});
    let blocks = |overrides: Value| json!({"blockStateCalls": overrides});
    let cases = [
        (one(json!({"from": ALICE, "to": BOB, "value": "0x6"})), -38_014),
        (one(json!({"from": ALICE, "to": BOB, "nonce": "0x1"})), -38_011),
        (one(json!({"from": ALICE, "to": BOB, "gas": "0x5207"})), -38_013),
        (one(json!({"from": ALICE, "to": BOB, "gas": "0x3b9aca01"})), -38_015),
        (blocks(json!([{"blockOverrides": {"number": "0xa"}}])), -38_020),
        (blocks(json!([{"blockOverrides": {"time": "0x3e8"}}])), -38_021),
        (blocks(json!([{"blockOverrides": {"number": "0x10b"}}])), -38_026),
    ];
    for (payload, code) in cases {
        assert_eq!(run(&chain, payload.clone()).unwrap_err().code(), Some(code), "{payload}");
    }
    // Without validation a nonce is not checked, but what is given away must be owned.
    assert!(run(&chain, blocks(json!([{"calls": [{"from": ALICE, "to": BOB, "nonce": "0x7"}]}]))).is_ok());
}
