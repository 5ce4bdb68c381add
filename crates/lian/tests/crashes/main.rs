//! Four real processes under load, killed with SIGKILL: one node, the leader, all four; and again.
//!
//! What must hold: the others go on; who was killed catches up; every transaction whose receipt a client saw is in the
//! chain exactly once; all nodes have equal blocks; the token's books balance; `lian verify` agrees on every ledger.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod load;
mod network;

use alloy_primitives::{B256, U256};
use lian_client::FunctionCall;
use network::{NODES, Network};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Instant};

#[tokio::test(flavor = "multi_thread")]
async fn killed_nodes_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut network = Network::create(&folder.path().join("net"));
    (0..NODES).for_each(|node| network.start(node));
    network.wait_for_sessions().await;
    let load = load::Load::start(&network).await;

    for round in 0..2 {
        let leader = network.leader(0).await;
        let follower = (leader + 1 + round) % NODES;
        // A follower, the leader, everybody.
        for victims in [vec![follower], vec![leader], (0..NODES).collect()] {
            load.wait_for_more(30).await;
            victims.iter().for_each(|node| network.kill(*node));
            let killed = Instant::now();
            if victims.len() < NODES {
                load.wait_for_more(10).await;
                println!("round {round}: killed {victims:?}, ten more final after {:?}", killed.elapsed());
            }
            victims.iter().for_each(|node| network.start(*node));
            load.wait_for_more(20).await;
        }
    }

    let (token, acknowledged) = load.stop().await;
    let height = network.settle().await;
    let chain = read_chain(&network, height).await;
    check_transactions(&chain, &acknowledged);
    check_books(&network, token, &chain).await;
    (0..NODES).for_each(|node| network.stop(node));
    (0..NODES).for_each(|node| network.verify(node, height));
}

/// Reads the whole chain from every node, and checks that it is one. Returns it as node 0 gave it.
async fn read_chain(network: &Network, height: u64) -> Vec<Value> {
    let mut chains = Vec::new();
    for node in 0..NODES {
        let client = network.client(node);
        let mut chain = Vec::new();
        for number in 0..=height {
            let parameters = vec![json!(format!("{number:#x}")), json!(true)];
            chain.push(client.request::<Value>("eth_getBlockByNumber", parameters).await.unwrap());
        }
        chains.push(chain);
    }
    for node in 1..NODES {
        assert_eq!(chains[node], chains[0], "node{node} and node0 have different chains");
    }
    chains.remove(0)
}

/// Every transaction that a client saw final is in the chain, and none is in it twice.
fn check_transactions(chain: &[Value], acknowledged: &[B256]) {
    let mut count: BTreeMap<B256, usize> = BTreeMap::new();
    for transaction in chain.iter().flat_map(|block| block["transactions"].as_array().unwrap()) {
        let hash: B256 = transaction["hash"].as_str().unwrap().parse().unwrap();
        *count.entry(hash).or_default() += 1;
    }
    assert!(count.values().all(|count| *count == 1), "a transaction is in the chain twice");
    let lost: Vec<_> = acknowledged.iter().filter(|hash| !count.contains_key(*hash)).collect();
    assert!(lost.is_empty(), "lost although acknowledged: {lost:?}");
    assert!(acknowledged.len() >= 300, "only {} transactions were acknowledged", acknowledged.len());
}

/// What the chain's transfers moved is what every node says that the receiver has.
async fn check_books(network: &Network, token: load::Token, chain: &[Value]) {
    let transfers = chain
        .iter()
        .flat_map(|block| block["transactions"].as_array().unwrap())
        .filter(|transaction| token.is_payment(transaction))
        .count();
    let call = FunctionCall::parse("balanceOf(address)", &[token.receiver.to_string()]).unwrap();
    for node in 0..NODES {
        let request = vec![json!({"to": token.address, "input": call.data()}), json!("latest")];
        let balance: U256 = network.client(node).request("eth_call", request).await.unwrap();
        assert_eq!(balance, U256::from(transfers), "node{node}");
    }
}
