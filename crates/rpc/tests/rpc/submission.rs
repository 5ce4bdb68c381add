//! Sending transactions: what is taken, what is refused, and what the pool shows.

use crate::{chain::Chain, contract::word};
use alloy_primitives::{Bytes, TxKind, U256};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_the_words_that_clients_know() {
    let chain = Chain::start().await;
    let client = &chain.client;
    let to = TxKind::Call(chain.signer.address());
    let first = chain.sign(0, to, Bytes::new());
    let hash = client.result("eth_sendRawTransaction", json!([first])).await;
    assert_eq!(hash, alloy_primitives::keccak256(&first).to_string());
    chain.send(&chain.sign(1, to, Bytes::new())).await;

    let too_low = chain.sign_with(|t| (t.nonce, t.to, t.gas_limit) = (0, to, 60_000));
    let poor = chain.sign_with(|t| (t.nonce, t.to, t.value) = (2, to, U256::from(2_000_000)));
    let little_gas = chain.sign_with(|t| (t.nonce, t.to, t.gas_limit) = (2, to, 20_999));
    let much_gas = chain.sign_with(|t| (t.nonce, t.to, t.gas_limit) = (2, to, 1 << 25));
    let other_chain = chain.sign_with(|t| (t.nonce, t.to, t.chain_id) = (2, to, 1));
    let far = chain.sign(1_000_000, to, Bytes::new());
    let mut trailing = first.to_vec();
    trailing.push(0);
    let cases: Vec<(Bytes, &str)> = vec![
        (first.clone(), "already known"),
        (too_low, "nonce too low: next nonce 2, tx nonce 0"),
        (poor, "insufficient funds for gas * price + value: "),
        (little_gas, "intrinsic gas too low: have 20999, want 21000"),
        (much_gas, "transaction gas limit too high (cap: 16777216, tx: 33554432)"),
        (other_chain, "invalid chain id: have 1, want 20200"),
        (far, "nonce too high: "),
        (trailing.into(), "rlp: malformed transaction: 1 bytes follow the transaction"),
        (Bytes::new(), "rlp: malformed transaction"),
        (Bytes::from_static(&[3, 0xc0]), "transaction type not supported: 3"),
        (Bytes::from(vec![2; 200_000]), "oversized data: transaction of 200000 bytes exceeds the limit of 131072"),
    ];
    for (raw, expected) in cases {
        let (code, message) = client.failure("eth_sendRawTransaction", json!([raw])).await;
        assert_eq!(code, -32_000, "{message}");
        assert!(message.starts_with(expected), "expected {expected}, found {message}");
    }
    chain.stop().await;
}

/// A transaction behind a gap waits, is shown as waiting, and becomes final when the gap closes.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_behind_a_gap() {
    let chain = Chain::start().await;
    let client = &chain.client;
    let me = chain.signer.address();
    let late = chain.sign(1, TxKind::Call(me), word(5));
    let hash = client.result("eth_sendRawTransaction", json!([late])).await;
    assert_eq!(client.result("txpool_status", json!([])).await, json!({"pending": "0x0", "queued": "0x1"}));
    assert_eq!(client.result("eth_getTransactionCount", json!([me, "pending"])).await, "0x0");
    let shown = client.result("eth_getTransactionByHash", json!([hash])).await;
    assert_eq!((&shown["blockHash"], &shown["nonce"]), (&Value::Null, &json!("0x1")));
    assert_eq!(client.result("eth_getRawTransactionByHash", json!([hash])).await, late.to_string());
    assert_eq!(client.result("eth_getTransactionReceipt", json!([hash])).await, Value::Null);
    let content = client.result("txpool_content", json!([])).await;
    let sender = me.to_string().to_lowercase();
    let key = content["queued"].as_object().unwrap().keys().next().unwrap().to_lowercase();
    assert_eq!(key, sender);
    let from = client.result("txpool_contentFrom", json!([me])).await;
    assert_eq!(from, json!({"pending": {}, "queued": {"1": shown}}));
    let inspect = client.result("txpool_inspect", json!([])).await.to_string();
    assert!(inspect.contains(&format!("{me}: 0 wei + 500000 gas × 0 wei")), "{inspect}");

    let waiting = json!([late, 200]);
    let (code, message) = client.failure("eth_sendRawTransactionSync", waiting).await;
    assert_eq!((code, message.as_str()), (-32_000, "already known"));
    let first = chain.sign(0, TxKind::Call(me), Bytes::new());
    chain.send(&first).await;
    let third = chain.send(&chain.sign(2, TxKind::Call(me), Bytes::new())).await;
    assert_eq!(third["status"], "0x1");
    let receipt = client.result("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(receipt["status"], "0x1");
    assert_eq!(client.result("txpool_status", json!([])).await, json!({"pending": "0x0", "queued": "0x0"}));
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_receipt_ends_in_time() {
    let chain = Chain::start().await;
    let queued = chain.sign(3, TxKind::Call(chain.signer.address()), Bytes::new());
    let answer = chain.client.call("eth_sendRawTransactionSync", json!([queued, 50])).await;
    assert_eq!(answer["error"]["code"], 4);
    assert_eq!(answer["error"]["data"], alloy_primitives::keccak256(&queued).to_string());
    chain.stop().await;
}

/// A thousand transactions of one account in one batch: all are taken, and all become final, although the workers that
/// check signatures finish out of order and the pool queues few transactions behind a gap.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_transactions() {
    let chain = Chain::start().await;
    let to = TxKind::Call(chain.signer.address());
    let count = 1_000;
    let batch: Vec<_> = (0..count)
        .map(|nonce| {
            let raw = chain.sign(nonce, to, Bytes::new());
            json!({"jsonrpc": "2.0", "id": nonce, "method": "eth_sendRawTransaction", "params": [raw]})
        })
        .collect();
    let answers = chain.client.post(json!(batch).to_string()).await.json();
    for answer in answers.as_array().unwrap() {
        assert!(answer["result"].is_string(), "{answer}");
    }
    let last = chain.send(&chain.sign(count, to, Bytes::new())).await;
    assert_eq!(last["status"], "0x1");
    let nonce = chain.client.result("eth_getTransactionCount", json!([chain.signer.address(), "latest"])).await;
    assert_eq!(nonce, format!("{:#x}", count + 1));
    chain.stop().await;
}
