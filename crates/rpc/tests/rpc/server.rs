//! The port, the paths, origins, tokens and connections.

use crate::{chain::Chain, client::Client};
use lian_rpc::{Origins, RpcConfig, RpcError, RpcLimits, RpcServer};
use lian_types::HistoryDepth;
use serde_json::json;
use tokio::{io::AsyncReadExt, net::TcpStream};

const CHAIN_ID: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test(flavor = "multi_thread")]
async fn every_group_has_its_path() {
    let chain = Chain::start().await;
    for (path, expected) in [("/", "0x4ee8"), ("/group0", "0x4ee8"), ("/group1", "0x4ee9"), ("/group1/", "0x4ee9")] {
        let answer = chain.client.http(&format!("POST {path}"), &[JSON], CHAIN_ID).await;
        assert_eq!(answer.json()["result"], expected, "{path}");
    }
    for path in ["/group2", "/groupx", "/other", "/group"] {
        let answer = chain.client.http(&format!("POST {path}"), &[JSON], CHAIN_ID).await;
        assert_eq!(answer.status, 404, "{path}");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!(message, format!("nothing is served at {path}; paths: /, /group0, /group1"));
    }
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn start_names_what_is_wrong() {
    let chain = Chain::start().await;
    let taken = chain.client.address;
    let error = RpcServer::start(RpcConfig::new(taken), chain.groups.clone()).await.unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with(&format!("cannot listen on {taken} for JSON-RPC: Address already in use")),
        "{message}"
    );

    let config = RpcConfig::new(([127, 0, 0, 1], 0).into());
    assert!(matches!(RpcServer::start(config.clone(), vec![]).await, Err(RpcError::NoGroup)));
    let twice = vec![chain.groups[0].clone(), chain.groups[0].clone()];
    assert!(matches!(RpcServer::start(config.clone(), twice).await, Err(RpcError::DuplicateGroup(_))));
    let tokens = [("admin".to_owned(), "x".to_owned())].into();
    let config = RpcConfig { tokens, ..config };
    let error = RpcServer::start(config, chain.groups.clone()).await.unwrap_err();
    assert!(matches!(error, RpcError::UnknownNamespace(name) if name == "admin"));
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_pages_are_refused() {
    let chain = Chain::start().await;
    let from = |origin: &'static str| {
        let client = chain.client;
        async move { client.http("POST /", &[JSON, ("origin", origin)], CHAIN_ID).await }
    };
    let local = from("http://localhost:5100").await;
    assert_eq!(local.json()["result"], "0x4ee8");
    assert_eq!(local.header("access-control-allow-origin"), Some("http://localhost:5100"));
    assert_eq!(local.header("vary"), Some("origin"));
    let foreign = from("https://evil.example").await;
    assert_eq!(foreign.status, 403);
    assert!(foreign.body.contains("evil.example"), "{}", foreign.body);
    assert_eq!(foreign.header("access-control-allow-origin"), None);

    let preflight = [("origin", "http://localhost:5100"), ("access-control-request-method", "POST")];
    let answer = chain.client.http("OPTIONS /", &preflight, b"").await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-headers"), Some("content-type, authorization"));
    let preflight = [("origin", "https://evil.example"), ("access-control-request-method", "POST")];
    assert_eq!(chain.client.http("OPTIONS /", &preflight, b"").await.status, 403);

    // A WebSocket has no preflight: its origin is all there is.
    let upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("origin", "https://evil.example"),
    ];
    assert_eq!(chain.client.http("GET /", &upgrade, b"").await.status, 403);
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_guard_their_namespace() {
    let tokens = [("debug".to_owned(), "secret".to_owned())].into();
    let chain = Chain::configured(
        |config| {
            config.tokens = tokens;
            config.origins = Origins::Any;
        },
        HistoryDepth::All,
    )
    .await;
    assert_eq!(chain.client.result("eth_chainId", json!([])).await, "0x4ee8");
    let (code, message) = chain.client.failure("debug_getRawHeader", json!(["latest"])).await;
    assert_eq!(code, -32_001);
    assert!(message.contains("`debug` needs a bearer token"), "{message}");
    let body = br#"[{"jsonrpc":"2.0","id":1,"method":"debug_getRawHeader","params":["latest"]}]"#;
    for (header, allowed) in [("Bearer secret", true), ("Bearer wrong", false), ("secret", false)] {
        let answer = chain.client.http("POST /", &[JSON, ("authorization", header)], body).await.json();
        assert_eq!(answer[0].get("result").is_some(), allowed, "{header}: {answer}");
    }
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded() {
    let chain = Chain::with(RpcLimits { connections_max: 2, ..RpcLimits::default() }).await;
    let (first, second) =
        (TcpStream::connect(chain.client.address).await, TcpStream::connect(chain.client.address).await);
    let mut third = TcpStream::connect(chain.client.address).await.unwrap();
    let mut refused = String::new();
    third.read_to_string(&mut refused).await.unwrap();
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("limit of 2 connections reached"), "{refused}");
    drop((first, second));
    // The places are free once the server has seen the connections end.
    loop {
        let answer = chain.client.post(CHAIN_ID).await;
        if answer.status == 200 {
            break;
        }
        assert!(answer.status == 503 || answer.status == 0, "{answer:?}");
        tokio::task::yield_now().await;
    }
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_frees_the_port() {
    let chain = Chain::start().await;
    let address = chain.client.address;
    let groups = chain.groups.clone();
    chain.server.clone().stop().await;
    let again = RpcServer::start(RpcConfig::new(address), groups).await.unwrap();
    assert_eq!(Client::new(again.address()).result("eth_chainId", json!([])).await, "0x4ee8");
    again.stop().await;
    chain.stop().await;
}
