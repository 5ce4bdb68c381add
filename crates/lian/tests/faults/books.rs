//! What the nodes say at the end: one chain, and a token whose books balance.

use crate::{load::Token, network::Network};
use alloy_primitives::{B256, U256};
use lian_client::FunctionCall;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Blocks asked for with one request.
const BATCH: u64 = 50;

/// Reads the whole chain from every member that is to agree, and checks that it is one.
pub(crate) async fn read_chain(network: &Network, height: u64) -> Vec<Value> {
    let mut chains: Vec<Vec<Value>> = Vec::new();
    for node in &network.checked {
        let client = network.client(*node);
        let mut chain = Vec::new();
        for first in (0..=height).step_by(BATCH as usize) {
            let numbers = first..=height.min(first + BATCH - 1);
            let parameters = numbers.map(|number| vec![json!(format!("{number:#x}")), json!(true)]).collect();
            let blocks = client.batch("eth_getBlockByNumber", parameters).await.unwrap();
            chain.extend(blocks.into_iter().map(Result::unwrap));
        }
        chains.push(chain);
    }
    for (node, other) in network.checked.iter().zip(&chains) {
        assert_eq!(other.len(), chains[0].len());
        for (ours, theirs) in chains[0].iter().zip(other) {
            assert_eq!(ours, theirs, "node{} and node{node} have different blocks", network.checked[0]);
        }
    }
    chains.remove(0)
}

/// Every transaction that a client saw final is in the chain, and none is in it twice.
pub(crate) fn check_transactions(chain: &[Value], acknowledged: &[B256]) {
    let mut count: BTreeMap<B256, usize> = BTreeMap::new();
    for transaction in chain.iter().flat_map(|block| block["transactions"].as_array().unwrap()) {
        let hash: B256 = transaction["hash"].as_str().unwrap().parse().unwrap();
        *count.entry(hash).or_default() += 1;
    }
    assert!(count.values().all(|count| *count == 1), "a transaction is in the chain twice");
    let lost: Vec<_> = acknowledged.iter().filter(|hash| !count.contains_key(*hash)).collect();
    assert!(lost.is_empty(), "lost although acknowledged: {lost:?}");
    println!("{} blocks, {} transactions, {} acknowledged", chain.len() - 1, count.len(), acknowledged.len());
}

/// What the chain's transfers moved is what every member says that the receiver has.
pub(crate) async fn check_balance(network: &Network, token: Token, chain: &[Value]) {
    let transfers = chain
        .iter()
        .flat_map(|block| block["transactions"].as_array().unwrap())
        .filter(|transaction| token.is_payment(transaction))
        .count();
    let call = FunctionCall::parse("balanceOf(address)", &[token.receiver.to_string()]).unwrap();
    for node in &network.checked {
        let request = vec![json!({"to": token.address, "input": call.data()}), json!("latest")];
        let balance: U256 = network.client(*node).request("eth_call", request).await.unwrap();
        assert_eq!(balance, U256::from(transfers), "node{node}");
    }
}
