//! Log queries and filters.

use crate::{chain::Chain, contract::word};
use alloy_primitives::{Address, TxKind};
use lian_rpc::RpcLimits;
use serde_json::{Value, json};

async fn with_logs(limits: RpcLimits, values: std::ops::Range<u64>) -> (Chain, Address) {
    let chain = Chain::with(limits).await;
    let contract = chain.deploy(0).await;
    for value in values {
        chain.send(&chain.sign(value, TxKind::Call(contract), word(value))).await;
    }
    (chain, contract)
}

fn values(logs: &Value) -> Vec<String> {
    logs.as_array().unwrap().iter().map(|log| log["data"].as_str().unwrap().to_owned()).collect()
}

fn words(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|value| word(value).to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn queries() {
    let (chain, contract) = with_logs(RpcLimits::default(), 1..5).await;
    let client = &chain.client;
    let (topic, other) = (format!("{:#066x}", 1), format!("{:#066x}", 2));
    let cases = [
        (json!({"fromBlock": "earliest"}), words(1..=4)),
        (json!({}), words(4..=4)),
        (json!({"fromBlock": "0x2", "toBlock": "0x3"}), words(1..=2)),
        (json!({"fromBlock": "0x0", "toBlock": "0x99"}), words(1..=4)),
        (json!({"fromBlock": "0x98", "toBlock": "0x99"}), vec![]),
        (json!({"fromBlock": "0x0", "address": contract}), words(1..=4)),
        (json!({"fromBlock": "0x0", "address": [Address::ZERO, contract]}), words(1..=4)),
        (json!({"fromBlock": "0x0", "address": Address::ZERO}), vec![]),
        (json!({"fromBlock": "0x0", "topics": [topic]}), words(1..=4)),
        (json!({"fromBlock": "0x0", "topics": [[other, topic]]}), words(1..=4)),
        (json!({"fromBlock": "0x0", "topics": [other]}), vec![]),
        (json!({"fromBlock": "0x0", "topics": [null, topic]}), vec![]),
    ];
    for (filter, expected) in cases {
        assert_eq!(values(&client.result("eth_getLogs", json!([filter])).await), expected, "{filter}");
    }
    let block = client.result("eth_getBlockByNumber", json!(["0x3", false])).await;
    let logs = client.result("eth_getLogs", json!([{"blockHash": block["hash"]}])).await;
    assert_eq!(values(&logs), words(2..=2));
    assert_eq!((&logs[0]["blockNumber"], &logs[0]["logIndex"]), (&json!("0x3"), &json!("0x0")));
    assert_eq!(logs[0]["blockTimestamp"], block["timestamp"]);
    let backwards = json!([{"fromBlock": "0x3", "toBlock": "0x2"}]);
    let (code, message) = client.failure("eth_getLogs", backwards).await;
    assert_eq!((code, message.as_str()), (-32_602, "invalid block range params: from 3 to 2"));
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_and_results_are_bounded() {
    let limits = RpcLimits { log_blocks_max: 4, logs_max: 2, ..RpcLimits::default() };
    let (chain, _) = with_logs(limits, 1..5).await;
    let (code, message) = chain.client.failure("eth_getLogs", json!([{"fromBlock": "0x1"}])).await;
    assert_eq!((code, message.as_str()), (-32_005, "exceed maximum block range: 5 blocks from 1 to 5, limit 4"));
    let (code, message) = chain.client.failure("eth_getLogs", json!([{"fromBlock": "0x2"}])).await;
    assert_eq!(code, -32_005);
    assert!(message.starts_with("query returned more than 2 results"), "{message}");
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_tell_each_change_once() {
    let (chain, contract) = with_logs(RpcLimits::default(), 1..2).await;
    let client = &chain.client;
    let logs = client.result("eth_newFilter", json!([{"fromBlock": "0x0", "address": contract}])).await;
    let blocks = client.result("eth_newBlockFilter", json!([])).await;
    let pending = client.result("eth_newPendingTransactionFilter", json!([])).await;
    for filter in [&logs, &blocks, &pending] {
        assert_eq!(
            client.result("eth_getFilterChanges", json!([filter])).await,
            json!([]),
            "only what comes from now on"
        );
    }
    let mut hashes = vec![];
    for value in 2..4 {
        hashes.push(chain.send(&chain.sign(value, TxKind::Call(contract), word(value))).await);
    }
    let transactions: Vec<_> = hashes.iter().map(|receipt| receipt["transactionHash"].clone()).collect();
    let block_hashes: Vec<_> = hashes.iter().map(|receipt| receipt["blockHash"].clone()).collect();
    assert_eq!(values(&client.result("eth_getFilterChanges", json!([logs])).await), words(2..=3));
    assert_eq!(client.result("eth_getFilterChanges", json!([blocks])).await, json!(block_hashes));
    assert_eq!(client.result("eth_getFilterChanges", json!([pending])).await, json!(transactions));
    for filter in [&logs, &blocks, &pending] {
        assert_eq!(client.result("eth_getFilterChanges", json!([filter])).await, json!([]), "told already");
    }
    assert_eq!(values(&client.result("eth_getFilterLogs", json!([logs])).await), words(1..=3));
    let (code, _) = client.failure("eth_getFilterLogs", json!([blocks])).await;
    assert_eq!(code, -32_000);
    assert_eq!(client.result("eth_uninstallFilter", json!([logs])).await, true);
    assert_eq!(client.result("eth_uninstallFilter", json!([logs])).await, false);
    let (code, message) = client.failure("eth_getFilterChanges", json!([logs])).await;
    assert_eq!((code, message.as_str()), (-32_000, "filter not found"));
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_are_bounded_and_long_absences_are_served_in_steps() {
    let limits = RpcLimits { filters_max: 2, log_blocks_max: 2, ..RpcLimits::default() };
    let (chain, contract) = with_logs(limits, 0..0).await;
    let client = &chain.client;
    let blocks = client.result("eth_newBlockFilter", json!([])).await;
    let logs = client.result("eth_newFilter", json!([{"address": contract}])).await;
    let (code, message) = client.failure("eth_newBlockFilter", json!([])).await;
    assert_eq!((code, message.as_str()), (-32_005, "limit of 2 filters reached; uninstall some, or use subscriptions"));
    for value in 1..6 {
        chain.send(&chain.sign(value, TxKind::Call(contract), word(value))).await;
    }
    for expected in [2, 2, 1, 0] {
        let changes = client.result("eth_getFilterChanges", json!([blocks])).await;
        assert_eq!(changes.as_array().unwrap().len(), expected);
        let changes = client.result("eth_getFilterChanges", json!([logs])).await;
        assert_eq!(changes.as_array().unwrap().len(), expected);
    }
    chain.stop().await;
}
