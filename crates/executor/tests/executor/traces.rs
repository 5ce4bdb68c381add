//! Traces against what the programs do, worked out by hand.

use crate::support::{ALICE, BOB, CAROL, Chain, PROPOSER, rules, sent, transaction};
use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::geth::GethDebugTracingOptions;
use lian_crypto::VerifiedTransaction;
use lian_executor::{
    BlockTrace, CallSite, Overrides, TraceError, execute_transactions, trace_block, trace_call, trace_transaction,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// BOB calls CAROL with the input 0xdeadbeef and 3 wei, logs a topic of 5 and writes 1 to slot 0. CAROL writes to a slot
/// and reverts with 0xaa.
fn chain() -> Chain {
    let mut chain = Chain::default();
    chain.give(ALICE, 100);
    let call = [
        &hex!("63deadbeef5f52")[..], // mstore(0, 0xdeadbeef)
        &hex!("5f5f6004601c600373"), // call(gas, CAROL, 3, 28, 4, 0, 0)
        CAROL.as_slice(),
        &hex!("5af150"),
        &hex!("60055f5fa1"), // log1(0, 0, 5)
        &hex!("60015f5500"), // sstore(0, 1)
    ]
    .concat();
    chain.state.insert(BOB, 1, U256::from(10), call.into(), BTreeMap::new());
    chain.state.insert(CAROL, 1, U256::ZERO, Bytes::from_static(&hex!("60015f5560aa5f5360015ffd")), BTreeMap::new());
    chain
}

fn options(value: Value) -> GethDebugTracingOptions {
    serde_json::from_value(value).unwrap()
}

fn with_block<T>(
    chain: &Chain,
    transactions: &[Arc<VerifiedTransaction>],
    options: &Value,
    use_block: impl FnOnce(&BlockTrace<'_>) -> T,
) -> T {
    use_block(&BlockTrace {
        rules: &rules(),
        environment: &chain.environment(),
        hash: B256::repeat_byte(0xb1),
        state: &chain.state,
        transactions,
        options: &self::options(options.clone()),
        cancelled: &|| false,
    })
}

pub(crate) fn trace(chain: &Chain, transactions: &[Arc<VerifiedTransaction>], index: usize, options: &Value) -> Value {
    let trace = with_block(chain, transactions, options, |block| trace_transaction(block, index)).unwrap();
    serde_json::to_value(trace).unwrap()
}

fn call_bob(nonce: u64) -> Arc<VerifiedTransaction> {
    sent(ALICE, TxEip1559 { nonce, gas_limit: 200_000, value: U256::from(7), ..transaction(Some(BOB), vec![]) })
}

fn hex_of(address: Address) -> String {
    format!("{address:#x}")
}

#[test]
fn call_tracer() {
    let chain = chain();
    let options = json!({"tracer": "callTracer", "tracerConfig": {"withLog": true}});
    let traced = trace(&chain, &[call_bob(0)], 0, &options);
    let receipt =
        execute_transactions(&rules(), &chain.environment(), &chain.state, &[call_bob(0)]).unwrap().receipts[0].clone();
    let inner_gas = traced["calls"][0]["gas"].clone();
    let expected = json!({
        "from": hex_of(ALICE), "to": hex_of(BOB), "value": "0x7", "gas": "0x30d40",
        "gasUsed": format!("{:#x}", receipt.gas_used), "input": "0x", "type": "CALL",
        "calls": [{
            "from": hex_of(BOB), "to": hex_of(CAROL), "value": "0x3", "gas": inner_gas, "gasUsed": format!("{:#x}", 22_100 + 5 + 3 + 2 + 6 + 3 + 2),
            "input": "0xdeadbeef", "output": "0xaa", "error": "execution reverted", "type": "CALL",
        }],
        "logs": [{"address": hex_of(BOB), "topics": [B256::with_last_byte(5)], "data": "0x", "position": "0x1", "index": "0x0"}],
    });
    assert_eq!(traced, expected);
    let top = trace(&chain, &[call_bob(0)], 0, &json!({"tracer": "callTracer", "tracerConfig": {"onlyTopCall": true}}));
    assert_eq!((top.get("calls"), top.get("logs")), (None, None));
}

#[test]
fn prestate_tracer() {
    let chain = chain();
    let code = |address: Address| {
        let hash = chain.state.accounts[&address].state.code_hash;
        chain.state.codes[&hash].to_string()
    };
    let zero = B256::ZERO.to_string();
    let traced = trace(&chain, &[call_bob(0)], 0, &json!({"tracer": "prestateTracer"}));
    let expected = json!({
        hex_of(ALICE): {"balance": "0x64"},
        hex_of(BOB): {"balance": "0xa", "nonce": 1, "code": code(BOB), "storage": {zero.as_str(): zero}},
        hex_of(CAROL): {"balance": "0x0", "nonce": 1, "code": code(CAROL), "storage": {zero.as_str(): zero}},
    });
    let without_proposer = {
        let mut map = traced.as_object().unwrap().clone();
        map.remove(&hex_of(PROPOSER));
        Value::Object(map)
    };
    assert_eq!(without_proposer, expected);

    let diff =
        trace(&chain, &[call_bob(0)], 0, &json!({"tracer": "prestateTracer", "tracerConfig": {"diffMode": true}}));
    let one = B256::with_last_byte(1).to_string();
    assert_eq!(
        diff["post"],
        json!({
            hex_of(ALICE): {"balance": "0x5d", "nonce": 1},
            hex_of(BOB): {"balance": "0x11", "storage": {zero.as_str(): one}},
        })
    );
    assert_eq!(diff["pre"][hex_of(ALICE)], json!({"balance": "0x64"}));
}

#[test]
fn four_byte_and_noop_tracers() {
    let chain = chain();
    assert_eq!(trace(&chain, &[call_bob(0)], 0, &json!({"tracer": "4byteTracer"})), json!({"0xdeadbeef-0": 1}));
    assert_eq!(trace(&chain, &[call_bob(0)], 0, &json!({"tracer": "noopTracer"})), json!({}));
}

#[test]
fn struct_logs() {
    let mut chain = Chain::default();
    // PUSH1 1, PUSH0, SSTORE, STOP.
    chain.state.insert(BOB, 1, U256::ZERO, Bytes::from_static(&hex!("60015f5500")), BTreeMap::new());
    let transactions = [sent(ALICE, TxEip1559 { gas_limit: 100_000, ..transaction(Some(BOB), vec![]) })];
    let traced = trace(&chain, &transactions, 0, &json!({}));
    assert_eq!(
        (&traced["gas"], &traced["failed"], &traced["returnValue"]),
        (&json!(43_105), &json!(false), &json!("0x"))
    );
    let steps: Vec<_> = traced["structLogs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| json!([step["pc"], step["op"], step["gas"], step["gasCost"], step["depth"], step["stack"]]))
        .collect();
    let expected = [
        json!([0, "PUSH1", 79_000, 3, 1, []]),
        json!([2, "PUSH0", 78_997, 2, 1, ["0x1"]]),
        json!([3, "SSTORE", 78_995, 22_100, 1, ["0x1", "0x0"]]),
        json!([4, "STOP", 56_895, 0, 1, []]),
    ];
    assert_eq!(steps, expected);
    let limited = trace(&chain, &transactions, 0, &json!({"limit": 2}));
    assert_eq!(limited["structLogs"].as_array().unwrap().len(), 2);
}

/// The second transaction is traced after what the first left, alone as within the whole block.
#[test]
fn earlier_transactions_are_replayed() {
    let chain = chain();
    let transactions = [call_bob(0), call_bob(1)];
    let options = json!({"tracer": "prestateTracer"});
    let alone = trace(&chain, &transactions, 1, &options);
    assert_eq!(alone[hex_of(ALICE)], json!({"balance": "0x5d", "nonce": 1}));
    let all = with_block(&chain, &transactions, &options, trace_block).unwrap();
    assert_eq!((all.len(), serde_json::to_value(&all[1]).unwrap()), (2, alone));
}

#[test]
fn calls_are_traced() {
    let chain = chain();
    let (rules, environment, overrides) = (rules(), chain.environment(), Overrides::default());
    let site = CallSite {
        rules: &rules,
        environment: &environment,
        state: &chain.state,
        overrides: &overrides,
        gas_cap: 1_000_000,
        cancelled: &|| false,
    };
    let request = TransactionRequest::default().from(ALICE).to(CAROL);
    let traced = trace_call(&site, &request, &options(json!({"tracer": "callTracer"}))).unwrap();
    let traced = serde_json::to_value(traced).unwrap();
    assert_eq!((&traced["error"], &traced["output"]), (&json!("execution reverted"), &json!("0xaa")));
}

#[test]
fn what_cannot_be_traced_is_refused() {
    let chain = chain();
    let error = |transactions: &[_], index, options: &Value| {
        with_block(&chain, transactions, options, |block| trace_transaction(block, index)).unwrap_err()
    };
    for tracer in ["{step: function() {}}", "nonsense", "muxTracer"] {
        let TraceError::UnknownTracer(name) = error(&[call_bob(0)], 0, &json!({"tracer": tracer})) else { panic!() };
        assert_eq!(name, tracer);
    }
    let bad = json!({"tracer": "callTracer", "tracerConfig": {"withLog": 7}});
    assert!(matches!(error(&[call_bob(0)], 0, &bad), TraceError::TracerConfig));
    assert!(matches!(error(&[call_bob(0)], 1, &json!({})), TraceError::NoTransaction { index: 1, count: 1 }));
    assert!(matches!(error(&[call_bob(1), call_bob(2)], 1, &json!({})), TraceError::Replay { .. }));
}

/// A program that records too much is ended, not the node.
#[test]
fn large_traces_are_refused() {
    let mut chain = Chain::default();
    // Fills the stack with 1,000 entries, then goes round for ever.
    let mut code = vec![0x5f; 1_000];
    code.extend(hex!("5b6103e856"));
    chain.state.insert(BOB, 1, U256::ZERO, code.into(), BTreeMap::new());
    let transactions = [sent(ALICE, transaction(Some(BOB), vec![]))];
    let trace = |options| with_block(&chain, &transactions, &options, |block| trace_transaction(block, 0));
    assert!(matches!(trace(json!({})), Err(TraceError::TooLarge)));
    assert!(trace(json!({"limit": 10})).is_ok());
    assert!(trace(json!({"tracer": "callTracer"})).is_ok());
}
