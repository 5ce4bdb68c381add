//! `lian_nameShares`.

use crate::{
    chain::{CHAIN_ID, Chain},
    contract::word,
};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall;
use lian_rpc::RpcLimits;
use lian_system_contracts::{interfaces::INames as N, names::ADDRESS};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn version(text: &str, target: Address) -> N::Publication {
    N::Publication {
        version: text.to_owned(),
        target,
        contentType: U256::ZERO,
        abiData: Bytes::new(),
        metadata: String::new(),
    }
}

fn caller(number: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_slice(&[number; 32]).unwrap()
}

/// Callers call once each.
async fn call(chain: &Chain, alias: Address, callers: &[u8], nonce: u64) {
    for number in callers {
        let to = TxKind::Call(alias);
        let transaction =
            TxEip1559 { chain_id: CHAIN_ID, gas_limit: 500_000, nonce, to, input: word(9), ..TxEip1559::default() };
        let signature = caller(*number).sign_hash_sync(&transaction.signature_hash()).unwrap();
        let raw: Bytes = TxEnvelope::from(transaction.into_signed(signature)).encoded_2718().into();
        assert_eq!(chain.send(&raw).await["status"], "0x1");
    }
}

async fn operate(chain: &Chain, nonce: u64, call: &impl SolCall) {
    assert_eq!(chain.send(&chain.sign(nonce, TxKind::Call(ADDRESS), call.abi_encode())).await["status"], "0x1");
}

async fn shares(chain: &Chain) -> Value {
    chain.client.result("lian_nameShares", json!(["Shop"])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_of_a_canary_are_counted() {
    let chain = Chain::start().await;
    let (one, two) = (chain.deploy(0).await, chain.deploy(1).await);
    let name = "shop".to_owned();
    let register = N::registerVersionCall { name: name.clone(), kind: N::Kind::StateKeeping, first: version("1", one) };
    operate(&chain, 2, &register).await;
    operate(&chain, 3, &N::publishCall { name: name.clone(), publication: version("2", two) }).await;
    let none = shares(&chain).await;
    assert_eq!((&none["calls"], &none["shares"], &none["name"]), (&json!(0), &json!([]), &json!("shop")));
    assert_eq!(none["canary"], Value::Null);
    let alias: Address = serde_json::from_value(none["alias"].clone()).unwrap();

    let callers: Vec<u8> = (100..130).collect();
    call(&chain, alias, &callers, 0).await;
    let all_by_one = json!([{"version": "1", "calls": 30, "callers": 30}]);
    assert_eq!(shares(&chain).await["shares"], all_by_one);
    let start =
        N::startCanaryCall { name: name.clone(), version: "2".into(), basisPoints: 5_000, reason: String::new() };
    operate(&chain, 4, &start).await;
    call(&chain, alias, &callers, 1).await;
    call(&chain, alias, &callers[..1], 2).await;

    let mut expected = BTreeMap::from([("1".to_owned(), (30, 30)), ("2".to_owned(), (0, 0))]);
    for (position, number) in callers.iter().enumerate() {
        let input: Bytes = N::answerCall { name: name.clone(), caller: caller(*number).address() }.abi_encode().into();
        let answer = chain.client.result("eth_call", json!([{"to": ADDRESS, "input": input}])).await;
        let answer: Bytes = serde_json::from_value(answer).unwrap();
        let found = N::answerCall::abi_decode_returns(&answer).unwrap();
        let (calls, callers) = expected.get_mut(&found.text).unwrap();
        *calls += if position == 0 { 2 } else { 1 };
        // Whom the first version still answers, it has answered before.
        *callers += usize::from(found.text == "2");
    }
    assert!((5..=25).contains(&expected["2"].1), "half of thirty: {expected:?}");
    let found = shares(&chain).await;
    let lines: Vec<_> = expected
        .iter()
        .map(|(version, (calls, callers))| json!({"version": version, "calls": calls, "callers": callers}))
        .collect();
    assert_eq!(found["shares"], json!(lines));
    assert_eq!((&found["calls"], &found["callers"]), (&json!(61), &json!(30)));
    assert_eq!(found["canary"], json!({"version": "2", "basisPoints": 5_000}));
    // The last block alone.
    let last = chain.client.result("lian_nameShares", json!(["shop", 1])).await;
    assert_eq!((&last["calls"], &last["fromBlock"]), (&json!(1), &last["toBlock"]));

    for (question, words) in [
        (json!(["shop", 0]), "invalid argument 1 (blocks): 0, must be 1 to 1000"),
        (json!(["shop", 1001]), "invalid argument 1 (blocks): 1001, must be 1 to 1000"),
        (json!(["nobody"]), "execution reverted"),
    ] {
        let (_, message) = chain.client.failure("lian_nameShares", question).await;
        assert_eq!(message, words);
    }
    chain.stop().await;
}

/// Many calls of many callers are much work: the time of a call bounds it.
#[tokio::test(flavor = "multi_thread")]
async fn counting_ends_in_time() {
    let chain = Chain::with(RpcLimits { call_ms_max: 0, ..RpcLimits::default() }).await;
    let register = N::registerCall { name: "shop".to_owned(), kind: N::Kind::Forwarding };
    operate(&chain, 0, &register).await;
    let (_, message) = chain.client.failure("lian_nameShares", json!(["shop", 7])).await;
    assert_eq!(message, "counting took more than 0 ms: ask for fewer than 7 blocks");
    chain.stop().await;
}
