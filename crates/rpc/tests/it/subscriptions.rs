//! News over WebSocket.

use crate::{chain::Chain, contract::word};
use alloy_primitives::{Bytes, TxKind};
use jsonrpsee::{
    core::client::{ClientT, Error, Subscription, SubscriptionClientT},
    rpc_params,
    ws_client::{WsClient, WsClientBuilder},
};
use lian_rpc::RpcLimits;
use serde_json::{Value, json};
use std::time::Duration;

/// A test that would wait longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

async fn connect(chain: &Chain) -> WsClient {
    WsClientBuilder::default().build(format!("ws://{}", chain.client.address)).await.unwrap()
}

async fn subscribe(client: &WsClient, params: Vec<Value>) -> Result<Subscription<Value>, Error> {
    let mut array = jsonrpsee::core::params::ArrayParams::new();
    params.into_iter().for_each(|param| array.insert(param).unwrap());
    client.subscribe("eth_subscribe", array, "eth_unsubscribe").await
}

async fn next(subscription: &mut Subscription<Value>) -> Value {
    tokio::time::timeout(PATIENCE, subscription.next()).await.expect("no news in time").expect("it ended").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_logs_and_pending_transactions() {
    let chain = Chain::start().await;
    let client = connect(&chain).await;
    let contract = chain.deploy(0).await;
    let mut heads = subscribe(&client, vec![json!("newHeads")]).await.unwrap();
    let mut logs = subscribe(&client, vec![json!("logs"), json!({"address": contract})]).await.unwrap();
    let mut none = subscribe(&client, vec![json!("logs"), json!({"address": chain.signer.address()})]).await.unwrap();
    let mut pending = subscribe(&client, vec![json!("newPendingTransactions")]).await.unwrap();
    let mut full = subscribe(&client, vec![json!("newPendingTransactions"), json!(true)]).await.unwrap();
    for value in 1..4 {
        let receipt = chain.send(&chain.sign(value, TxKind::Call(contract), word(value))).await;
        let head = next(&mut heads).await;
        assert_eq!((&head["hash"], &head["number"]), (&receipt["blockHash"], &receipt["blockNumber"]));
        for field in
            ["parentHash", "stateRoot", "logsBloom", "gasLimit", "timestamp", "baseFeePerGas", "extraData", "mixHash"]
        {
            assert!(head[field].is_string(), "{field}: {head}");
        }
        assert_eq!(next(&mut logs).await, receipt["logs"][0]);
        assert_eq!(next(&mut pending).await, receipt["transactionHash"]);
        let shown = next(&mut full).await;
        assert_eq!((&shown["hash"], &shown["blockHash"]), (&receipt["transactionHash"], &Value::Null));
    }
    assert_eq!(client.request::<String, _>("eth_chainId", rpc_params![]).await.unwrap(), "0x4ee8");
    assert!(futures::poll!(Box::pin(none.next())).is_pending());
    heads.unsubscribe().await.unwrap();
    chain.send(&chain.sign(4, TxKind::Call(contract), word(4))).await;
    assert_eq!(next(&mut logs).await["data"], Bytes::from(word(4)).to_string());
    chain.stop().await;
}

/// Many blocks while nobody reads: every head arrives, in order.
#[tokio::test(flavor = "multi_thread")]
async fn heads_have_no_gaps() {
    let chain = Chain::start().await;
    let client = connect(&chain).await;
    let mut heads = subscribe(&client, vec![json!("newHeads")]).await.unwrap();
    let to = TxKind::Call(chain.signer.address());
    for nonce in 0..30 {
        chain.send(&chain.sign(nonce, to, Bytes::new())).await;
    }
    for number in 1..=30 {
        assert_eq!(next(&mut heads).await["number"], format!("{number:#x}"));
    }
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn syncing_is_told_once() {
    let chain = Chain::start().await;
    let client = connect(&chain).await;
    let mut syncing = subscribe(&client, vec![json!("syncing")]).await.unwrap();
    let to = TxKind::Call(chain.signer.address());
    for nonce in 0..3 {
        chain.send(&chain.sign(nonce, to, Bytes::new())).await;
    }
    assert_eq!(next(&mut syncing).await, false);
    assert!(futures::poll!(Box::pin(syncing.next())).is_pending());
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_checked_and_bounded() {
    let chain = Chain::with(RpcLimits { subscriptions_max: 2, ..RpcLimits::default() }).await;
    let client = connect(&chain).await;
    for bad in [vec![json!("newBlocks")], vec![], vec![json!("logs"), json!({"address": "0x1"})]] {
        let Err(Error::Call(error)) = subscribe(&client, bad.clone()).await else { panic!("{bad:?} was accepted") };
        assert_eq!(error.code(), -32_602, "{error}");
    }
    let first = subscribe(&client, vec![json!("newHeads")]).await.unwrap();
    let _second = subscribe(&client, vec![json!("newHeads")]).await.unwrap();
    let Err(Error::Call(error)) = subscribe(&client, vec![json!("newHeads")]).await else {
        panic!("a third was accepted")
    };
    assert_eq!(error.data().unwrap().get(), "\"Exceeded max limit of 2\"");
    first.unsubscribe().await.unwrap();
    let mut again = subscribe(&client, vec![json!("newHeads")]).await;
    // The place is free once the server has worked off the request.
    while again.is_err() {
        again = subscribe(&client, vec![json!("newHeads")]).await;
    }
    chain.stop().await;
}

/// Stopping the server ends its WebSockets; a client that goes away leaves the server well.
#[tokio::test(flavor = "multi_thread")]
async fn connections_end_cleanly() {
    let chain = Chain::start().await;
    let leaving = connect(&chain).await;
    let _heads = subscribe(&leaving, vec![json!("newHeads")]).await.unwrap();
    drop(leaving);
    let staying = connect(&chain).await;
    let mut heads = subscribe(&staying, vec![json!("newHeads")]).await.unwrap();
    chain.send(&chain.sign(0, TxKind::Call(chain.signer.address()), Bytes::new())).await;
    assert_eq!(next(&mut heads).await["number"], "0x1");
    chain.server.clone().stop().await;
    tokio::time::timeout(PATIENCE, staying.on_disconnect()).await.expect("the connection stays");
    chain.stop().await;
}
