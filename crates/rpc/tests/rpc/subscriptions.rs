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
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

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

/// A place is free once the server has worked off what held it: a rejected subscription, or one that was given up.
async fn subscribe_when_free(client: &WsClient) -> Subscription<Value> {
    loop {
        match subscribe(client, vec![json!("newHeads")]).await {
            Ok(subscription) => return subscription,
            Err(Error::Call(error)) => assert_eq!(error.message(), "Too many subscriptions on the connection"),
            Err(error) => panic!("{error}"),
        }
    }
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
    assert_eq!(next(&mut logs).await["data"], word(4).to_string());
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
    let first = subscribe_when_free(&client).await;
    let _second = subscribe_when_free(&client).await;
    let Err(Error::Call(error)) = subscribe(&client, vec![json!("newHeads")]).await else {
        panic!("a third was accepted")
    };
    assert_eq!(error.data().unwrap().get(), "\"Exceeded max limit of 2\"");
    first.unsubscribe().await.unwrap();
    subscribe_when_free(&client).await;
    chain.stop().await;
}

/// A WebSocket counts as a connection as long as it lives, although its HTTP connection has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_keeps_its_place() {
    let chain = Chain::with(RpcLimits { connections_max: 1, ..RpcLimits::default() }).await;
    let client = connect(&chain).await;
    assert_eq!(client.request::<String, _>("eth_chainId", rpc_params![]).await.unwrap(), "0x4ee8");
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    for _ in 0..3 {
        assert_eq!(chain.client.post(body).await.status, 503);
    }
    assert_eq!(client.request::<String, _>("eth_chainId", rpc_params![]).await.unwrap(), "0x4ee8");
    drop(client);
    // The place is free once the server has seen the client go.
    while chain.client.post(body).await.status != 200 {
        tokio::task::yield_now().await;
    }
    chain.stop().await;
}

/// A client that subscribes and does not read loses its subscription, and is told so when it reads again.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_dropped() {
    let limits = RpcLimits { subscription_buffer: 2, subscription_ms_max: 1, ..RpcLimits::default() };
    let chain = Chain::with(limits).await;
    let mut socket = TcpStream::connect(chain.client.address).await.unwrap();
    let upgrade = "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(upgrade.as_bytes()).await.unwrap();
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newPendingTransactions",true]}"#;
    // RFC 6455 §5.2: a final text frame of less than 126 bytes, masked with zeros.
    let length = u8::try_from(request.len()).unwrap();
    socket.write_all(&[&[0x81, 0x80 | length, 0, 0, 0, 0], request.as_bytes()].concat()).await.unwrap();
    let mut seen = Vec::new();
    read_until(&mut socket, &mut seen, "\"result\":\"0x").await;

    // Each is told as 240 kB of JSON; thirty of them are more than the sockets hold.
    let to = TxKind::Call(chain.signer.address());
    for nonce in 0..30 {
        let input = vec![0; 120_000];
        chain
            .send(&chain.sign_with(|t| (t.nonce, t.to, t.gas_limit, t.input) = (nonce, to, 2_000_000, input.into())))
            .await;
    }
    let told = "the subscription ended: the client read nothing for 1 ms";
    tokio::time::timeout(PATIENCE, read_until(&mut socket, &mut seen, told)).await.expect("it was not dropped");
    let news = seen.windows(11).filter(|window| window == b"\"blockHash\"").count();
    assert!(news < 30, "{news} arrived: nothing was dropped");
    chain.stop().await;
}

async fn read_until(socket: &mut TcpStream, seen: &mut Vec<u8>, text: &str) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = socket.read(&mut buffer).await.unwrap();
        assert!(count > 0, "the connection ended before {text}");
        let from = seen.len().saturating_sub(text.len());
        seen.extend_from_slice(&buffer[..count]);
        if seen[from..].windows(text.len()).any(|window| window == text.as_bytes()) {
            return;
        }
    }
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
