//! What is not a good request gets the right error, and the server goes on.

use crate::chain::Chain;
use lian_rpc::RpcLimits;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests() {
    let chain = Chain::start().await;
    let cases = [
        ("{", json!({"id": null, "error": {"code": -32700, "message": "Parse error"}})),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId""#,
            json!({"id": null, "error": {"code": -32700, "message": "Parse error"}}),
        ),
        (r#"{"jsonrpc":"2.0","id":7}"#, json!({"id": 7, "error": {"code": -32600, "message": "Invalid request"}})),
        (
            r#"{"jsonrpc":"1.0","id":7,"method":"eth_chainId"}"#,
            json!({"id": 7, "error": {"code": -32600, "message": "Invalid request"}}),
        ),
        ("[]", json!({"id": null, "error": {"code": -32600, "message": "Invalid request"}})),
        ("[1", json!({"id": null, "error": {"code": -32700, "message": "Parse error"}})),
        (
            r#"{"jsonrpc":"2.0","id":"a","method":"eth_nothing"}"#,
            json!({"id": "a", "error": {"code": -32601, "message": "the method eth_nothing does not exist/is not available"}}),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":{"a":1}}"#,
            json!({"id": 1, "error": {"code": -32602, "message": "invalid params: expected an array, found {\"a\":1}"}}),
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#, json!({"id": 1, "result": "0x4ee8"})),
        (r#" {"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":null}"#, json!({"id": 1, "result": "0x4ee8"})),
    ];
    for (body, expected) in cases {
        let mut answer = chain.client.post(body).await.json();
        assert_eq!(answer.as_object_mut().unwrap().remove("jsonrpc"), Some(json!("2.0")), "{body}");
        assert_eq!(answer, expected, "{body}");
    }
    let answer = chain.client.post("").await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_i64()), (400, Some(-32_700)));
    let notification = chain.client.post(r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#).await;
    assert_eq!(notification.status, 200);
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_parameters() {
    let chain = Chain::start().await;
    let address = "0x00000000000000000000000000000000000000aa";
    let hash = "0x".to_owned() + &"1".repeat(64);
    let cases: Vec<(&str, Value, &str)> = vec![
        ("eth_getBalance", json!([]), "missing value for required argument 0 (address)"),
        ("eth_getBalance", json!(["0x12"]), "invalid argument 0 (address): invalid string length"),
        ("eth_getBalance", json!([address, "newest"]), "invalid argument 1 (block): hex string without 0x prefix"),
        ("eth_getBalance", json!([address, "0x01"]), "invalid argument 1 (block): hex number with leading zero digits"),
        ("eth_getBalance", json!([address, 5]), "invalid argument 1 (block): expected a block number"),
        ("eth_getBalance", json!([address, {"blockHash": hash, "blockNumber": "0x1"}]), "cannot specify both"),
        ("eth_getBalance", json!([address, "latest", 1]), "too many arguments, want at most 2, found 3"),
        ("eth_getBlockByNumber", json!([true]), "invalid argument 0 (block): invalid type: boolean"),
        (
            "eth_getBlockByNumber",
            json!(["latest", "yes"]),
            "invalid argument 1 (fullTransactions): invalid type: string",
        ),
        ("eth_getBlockByHash", json!(["0x1234"]), "invalid argument 0 (blockHash): invalid string length"),
        ("eth_getTransactionByHash", json!(["0x123"]), "invalid argument 0 (hash): odd number of digits"),
        ("eth_getStorageAt", json!([address, "0xzz"]), "invalid argument 1 (slot): invalid hex string"),
        (
            "eth_sendRawTransaction",
            json!(["0x123"]),
            "invalid argument 0 (transaction): invalid value: string \"0x123\", expected a valid hex string",
        ),
        ("eth_sendRawTransaction", json!(["hello"]), "invalid argument 0 (transaction): "),
        ("eth_sendRawTransactionSync", json!(["0x", 0]), "invalid argument 1 (timeout): 0 ms, must be 1 to 30000"),
        (
            "eth_call",
            json!([{"to": address, "data": "0x01", "input": "0x02"}]),
            "\"data\" and \"input\" are set and not equal",
        ),
        ("eth_call", json!([{"to": "bank"}]), "invalid argument 0 (transaction): "),
        ("eth_getLogs", json!([{"address": "0x1"}]), "invalid argument 0 (filter): "),
        (
            "eth_getLogs",
            json!([{"fromBlock": "0x0", "toBlock": "0x0", "blockHash": hash}]),
            "cannot specify both blockHash",
        ),
        ("eth_newFilter", json!([{"blockHash": hash}]), "a filter cannot be installed for one block hash"),
        ("eth_feeHistory", json!(["0x1", "latest", [60, 50]]), "invalid reward percentile: 60 stands before 50"),
        ("debug_traceTransaction", json!([hash, {"tracer": 5}]), "invalid argument 1 (options): "),
        ("debug_traceCall", json!([{"to": address}, "latest", {"tracer": "jsTracer"}]), "unknown tracer `jsTracer`"),
        (
            "web3_sha3",
            json!(["0x1"]),
            "invalid argument 0 (data): invalid value: string \"0x1\", expected a valid hex string",
        ),
    ];
    for (method, params, expected) in cases {
        let (code, message) = chain.client.failure(method, params.clone()).await;
        assert_eq!(code, -32_602, "{method} {params}: {message}");
        assert!(message.contains(expected), "{method} {params}: {message}");
    }
    chain.stop().await;
}

/// A hundred thousand brackets, in every place where the server parses.
#[tokio::test(flavor = "multi_thread")]
async fn deep_nesting_is_harmless() {
    let chain = Chain::start().await;
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    for body in [
        deep.clone(),
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":{deep}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":[{deep},"latest"]}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{{"to":{deep}}},"latest"]}}"#),
    ] {
        let answer = chain.client.post(body).await.json();
        let answer = answer.get(0).unwrap_or(&answer);
        assert!(answer["error"]["code"].is_i64(), "{answer}");
    }
    assert_eq!(chain.client.result("eth_chainId", json!([])).await, "0x4ee8");
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_are_bounded_and_the_bounds_are_named() {
    let limits = RpcLimits {
        request_bytes_max: 10_000,
        response_bytes_max: 3_000,
        batch_entries_max: 4,
        ..RpcLimits::default()
    };
    let chain = Chain::with(limits).await;
    let call = |id: usize, method: &str| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": []});

    let large = chain.client.post(" ".repeat(20_000)).await;
    assert_eq!(large.status, 413);
    assert!(large.body.contains("Exceeded max limit of 10000"), "{}", large.body);

    let five: Vec<_> = (0..5).map(|id| call(id, "eth_chainId")).collect();
    let answer = chain.client.post(json!(five).to_string()).await.json();
    assert_eq!(answer["error"]["data"], "Exceeded max limit of 4");

    let four: Vec<_> = (0..4).map(|id| call(id, "eth_chainId")).collect();
    let answer = chain.client.post(json!(four).to_string()).await.json();
    let ids: Vec<_> = answer.as_array().unwrap().iter().map(|entry| entry["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [0, 1, 2, 3]);

    let blocks: Vec<_> = (0..4)
        .map(|id| json!({"jsonrpc": "2.0", "id": id, "method": "eth_getBlockByNumber", "params": ["0x0", false]}))
        .collect();
    let answer = chain.client.post(json!(blocks).to_string()).await.json();
    assert_eq!(answer["error"]["data"], "Exceeded max limit of 3000", "{answer}");

    let keys: Vec<_> = (0..100).map(|key| format!("{key:#x}")).collect();
    let (code, message) = chain.client.failure("eth_getProof", json!([chain.signer.address(), keys, "latest"])).await;
    assert_eq!((code, message.as_str()), (-32_005, "the response exceeds the limit of 3000 bytes; ask for less"));
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_in_order_and_in_place() {
    let chain = Chain::start().await;
    let mut batch: Vec<Value> = (0..100)
        .map(|id| match id % 3 {
            0 => json!({"jsonrpc": "2.0", "id": id, "method": "eth_getBlockByNumber", "params": ["latest", true]}),
            1 => json!({"jsonrpc": "2.0", "id": id, "method": "eth_chainId"}),
            _ => json!({"jsonrpc": "2.0", "id": id, "method": "eth_nothing"}),
        })
        .collect();
    batch.push(json!({"jsonrpc": "2.0", "method": "eth_chainId"}));
    batch.push(json!(17));
    let answer = chain.client.post(json!(batch).to_string()).await.json();
    let answers = answer.as_array().unwrap();
    assert_eq!(answers.len(), 101, "the notification has no answer");
    for (id, answer) in answers.iter().enumerate().take(100) {
        assert_eq!(answer["id"], id);
        match id % 3 {
            0 => assert_eq!(answer["result"]["number"], "0x0"),
            1 => assert_eq!(answer["result"], "0x4ee8"),
            _ => assert_eq!(answer["error"]["code"], -32_601),
        }
    }
    assert_eq!(answers[100]["error"]["code"], -32_600);
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_json_over_post() {
    let chain = Chain::start().await;
    let body = br#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    assert_eq!(chain.client.http("GET /", &[], b"").await.status, 405);
    assert_eq!(chain.client.http("POST /", &[("content-type", "text/plain")], body).await.status, 415);
    let json = [("content-type", "application/json; charset=utf-8")];
    assert_eq!(chain.client.http("POST /", &json, body).await.json()["result"], "0x4ee8");
    let (code, message) = chain.client.failure("eth_subscribe", json!(["newHeads"])).await;
    assert_eq!(code, -32_601);
    assert!(message.starts_with("notifications not supported"), "{message}");
    chain.stop().await;
}
