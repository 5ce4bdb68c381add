//! Calls, estimates, access lists, simulations and traces.

use crate::{
    chain::Chain,
    contract::{CODE, word},
};
use alloy_primitives::{Bytes, TxKind};
use lian_rpc::RpcLimits;
use lian_types::HistoryDepth;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_estimates() {
    let chain = Chain::start().await;
    let client = &chain.client;
    let contract = chain.deploy(0).await;
    chain.send(&chain.sign(1, TxKind::Call(contract), word(7))).await;
    let stored = |value| word(value).to_string();
    assert_eq!(client.result("eth_call", json!([{"to": contract}, "latest"])).await, stored(7));
    assert_eq!(client.result("eth_call", json!([{"to": contract}])).await, stored(7));
    assert_eq!(client.result("eth_call", json!([{"to": contract}, "0x1"])).await, stored(0));
    let both = json!([{"to": contract, "data": word(9), "input": word(9)}, "latest"]);
    assert_eq!(client.result("eth_call", both).await, "0x");
    let slot = format!("{:#066x}", 0);
    let overrides = json!([{"to": contract}, "latest", {contract.to_string(): {"stateDiff": {slot: word(5)}}}]);
    assert_eq!(client.result("eth_call", overrides).await, stored(5));
    // PUSH0 NUMBER … returns the block's number, which the fourth parameter sets.
    let code = "0x435f5260205ff3";
    let number = json!([{"to": contract}, "latest", {contract.to_string(): {"code": code}}, {"number": "0x63"}]);
    assert_eq!(client.result("eth_call", number).await, stored(99));

    for method in ["eth_call", "eth_estimateGas"] {
        let answer = client.call(method, json!([{"to": contract, "input": word(0)}, "latest"])).await;
        assert_eq!(
            answer["error"],
            json!({"code": 3, "message": "execution reverted", "data": stored(42)}),
            "{method}"
        );
    }
    let invalid = json!([{"to": contract}, "latest", {contract.to_string(): {"code": "0xfe"}}]);
    let (code, message) = client.failure("eth_call", invalid).await;
    assert_eq!((code, message.as_str()), (-32_000, "invalid opcode: INVALID"));
    let poor = json!([{"from": contract, "to": contract, "value": "0x1"}]);
    let (code, message) = client.failure("eth_call", poor).await;
    assert_eq!(code, -32_000);
    assert!(message.starts_with("insufficient funds for gas * price + value"), "{message}");
    let (code, message) = client.failure("eth_call", json!([{"to": contract, "chainId": "0x1"}])).await;
    assert_eq!((code, message.as_str()), (-32_602, "chainId does not match node's (have=1, want=20200)"));

    let me = chain.signer.address();
    assert_eq!(client.result("eth_estimateGas", json!([{"from": me, "to": me, "value": "0x1"}])).await, "0x5208");
    let estimate = client.result("eth_estimateGas", json!([{"from": me, "to": contract, "input": word(9)}])).await;
    let used = chain.send(&chain.sign(2, TxKind::Call(contract), word(9))).await["gasUsed"].clone();
    let number = |value: &Value| u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    // It writes a slot that is there and could be gone by then.
    let (estimate, used) = (number(&estimate) - 20_000, number(&used));
    assert!(estimate >= used * 5 / 4 - 5_000 && estimate < used * 2, "{estimate} {used}");
    let list = client.result("eth_createAccessList", json!([{"from": me, "to": contract, "input": word(9)}])).await;
    assert_eq!(list["accessList"][0]["storageKeys"], json!([format!("{:#066x}", 0)]), "{list}");
    chain.stop().await;
}

/// An idle chain's last block may be old: what is estimated will be in a block of today.
#[tokio::test(flavor = "multi_thread")]
async fn estimates_are_of_the_next_block() {
    let chain = Chain::start().await;
    let address = chain.signer.address();
    // Reverts before 2025 (TIMESTAMP, PUSH4 1735689600, GT), as at block 0; then where NUMBER is not 1.
    let code = "0x42 6367748580 11 6016 57 43 6001 14 6014 57 5f5ffd 5b00 5b5f5ffd".replace(' ', "");
    let with = |block: &str| json!([{"to": address}, block, {address.to_string(): {"code": code}}]);
    assert_eq!(chain.client.call("eth_call", with("latest")).await["error"]["code"], 3);
    for block in ["latest", "pending", "0x0"] {
        assert!(chain.client.result("eth_estimateGas", with(block)).await.is_string(), "{block}");
        assert_eq!(chain.client.result("eth_createAccessList", with(block)).await["error"], Value::Null, "{block}");
    }
    chain.send(&chain.sign(0, TxKind::Call(address), word(0))).await;
    assert_eq!(chain.client.call("eth_estimateGas", with("0x0")).await["error"]["code"], 3, "no longer the last");
    chain.stop().await;
}

/// A loop ends by gas or by time, whichever bound comes first, and the bound is named.
#[tokio::test(flavor = "multi_thread")]
async fn endless_calls_end() {
    let limits = RpcLimits { call_gas_max: 100_000, ..RpcLimits::default() };
    let chain = Chain::with(limits).await;
    let address = chain.signer.address();
    let endless =
        json!([{"to": address, "gas": "0xffffffffffff"}, "latest", {address.to_string(): {"code": "0x5b5f56"}}]);
    let (code, message) = chain.client.failure("eth_call", endless.clone()).await;
    assert_eq!((code, message.as_str()), (-32_000, "out of gas"));
    chain.stop().await;

    let chain = Chain::with(RpcLimits { call_gas_max: u64::MAX, call_ms_max: 50, ..RpcLimits::default() }).await;
    let (code, message) = chain.client.failure("eth_call", endless).await;
    assert_eq!((code, message.as_str()), (-32_005, "execution aborted (timeout = 50 ms)"));
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traces() {
    let chain = Chain::start().await;
    let client = &chain.client;
    let contract = chain.deploy(0).await;
    let receipt = chain.send(&chain.sign(1, TxKind::Call(contract), word(7))).await;
    let hash = &receipt["transactionHash"];
    let call = client.result("debug_traceTransaction", json!([hash, {"tracer": "callTracer"}])).await;
    assert_eq!((&call["type"], &call["gasUsed"]), (&json!("CALL"), &receipt["gasUsed"]));
    assert_eq!(call["input"], word(7).to_string());
    let before = client.result("debug_traceTransaction", json!([hash, {"tracer": "prestateTracer"}])).await;
    let lower = contract.to_string().to_lowercase();
    assert_eq!(before[&lower]["code"], Bytes::from(CODE.to_vec()).to_string(), "{before}");
    let steps = client.result("debug_traceTransaction", json!([hash])).await;
    assert_eq!(
        (&steps["failed"], &steps["gas"]),
        (
            &json!(false),
            &json!(u64::from_str_radix(receipt["gasUsed"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap())
        )
    );
    assert_eq!(steps["structLogs"][0]["op"], "CALLDATASIZE");
    let block = client.result("debug_traceBlockByNumber", json!(["0x2", {"tracer": "callTracer"}])).await;
    assert_eq!(block, json!([{"txHash": hash, "result": call}]));
    let by_hash = json!([receipt["blockHash"], {"tracer": "callTracer"}]);
    assert_eq!(client.result("debug_traceBlockByHash", by_hash).await, block);
    let traced = json!([{"to": contract, "input": word(0)}, "latest", {"tracer": "callTracer"}]);
    assert_eq!(client.result("debug_traceCall", traced).await["error"], "execution reverted");
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn simulation() {
    let chain = Chain::start().await;
    let client = &chain.client;
    let contract = chain.deploy(0).await;
    let me = chain.signer.address();
    let payload = json!({
        "blockStateCalls": [
            {"calls": [{"from": me, "to": contract, "input": word(3)}, {"from": me, "to": contract, "input": word(0)}]},
            {"calls": [{"from": me, "to": contract}]},
        ],
        "returnFullTransactions": true,
    });
    let blocks = client.result("eth_simulateV1", json!([payload, "latest"])).await;
    assert_eq!((&blocks[0]["number"], &blocks[1]["number"]), (&json!("0x2"), &json!("0x3")));
    assert_eq!(blocks[1]["parentHash"], blocks[0]["hash"]);
    assert_eq!(blocks[0]["calls"][0]["status"], "0x1");
    assert_eq!(blocks[0]["calls"][0]["logs"][0]["blockHash"], blocks[0]["hash"]);
    assert_eq!(blocks[0]["calls"][1]["error"]["code"], 3);
    assert_eq!(blocks[1]["calls"][0]["returnData"], word(3).to_string());
    assert_eq!(blocks[0]["transactions"][0]["from"], me.to_string().to_lowercase());
    assert_eq!(client.result("eth_call", json!([{"to": contract}])).await, word(0).to_string());

    let backwards = json!({"blockStateCalls": [{"blockOverrides": {"number": "0x1"}, "calls": []}]});
    let (code, message) = client.failure("eth_simulateV1", json!([backwards])).await;
    assert_eq!((code, message.as_str()), (-38_020, "block numbers must be in order: 1 <= 1"));
    let (code, message) = client.failure("eth_simulateV1", json!([{"blockStateCalls": []}])).await;
    assert_eq!(code, -32_602, "{message}");
    chain.stop().await;
}

/// A state that is not kept gets an error that names the oldest one that is.
#[tokio::test(flavor = "multi_thread")]
async fn states_of_the_past_end_somewhere() {
    let chain = Chain::configured(|_| {}, HistoryDepth::Blocks(2)).await;
    let to = TxKind::Call(chain.signer.address());
    for nonce in 0..6 {
        chain.send(&chain.sign(nonce, to, Bytes::new())).await;
    }
    let me = chain.signer.address();
    for (method, params) in [
        ("eth_getBalance", json!([me, "0x1"])),
        ("eth_call", json!([{"to": me}, "0x1"])),
        ("eth_getProof", json!([me, [], "0x1"])),
        ("debug_traceBlockByNumber", json!(["0x2"])),
    ] {
        let (code, message) = chain.client.failure(method, params).await;
        assert_eq!(code, 4_444, "{method}: {message}");
        assert!(message.starts_with("state of block 1 is not kept: the oldest kept block is "), "{method}: {message}");
    }
    assert_eq!(chain.client.result("eth_getBlockByNumber", json!(["0x1", false])).await["number"], "0x1");
    chain.stop().await;
}
