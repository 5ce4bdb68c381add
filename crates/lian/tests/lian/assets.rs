//! The asset ledger from the command line, and a chain that gets it while it runs.

use crate::{
    members::Network,
    program::{lian, refused, succeed, text},
};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use lian_client::{RpcClient, Sender};
use lian_types::PROTOCOL_VERSION_MAX;
use serde_json::{Value, json};
use std::fs;

const LEDGER: &str = "0x0000000000000000000000000000000000002009";
const ALICE_KEY: &str = "0x00000000000000000000000000000000000000000000000000000000000a11ce";
const BOB: &str = "0xb0B0000000000000000000000000000000000000";

/// The command line with a key against one node.
struct Teller<'n> {
    network: &'n Network,
    key: String,
}

impl<'n> Teller<'n> {
    fn issuer(network: &'n Network) -> Self {
        let key = fs::read_to_string(network.dir.join("ca/operator.key")).unwrap();
        Self { network, key: key.trim().to_owned() }
    }

    fn alice(network: &'n Network) -> Self {
        Self { network, key: ALICE_KEY.to_owned() }
    }

    fn address(&self) -> String {
        let client = RpcClient::new(&self.network.url(0)).unwrap();
        Sender::new(&client, &self.key).unwrap().address().to_string()
    }

    fn arguments<'a>(&'a self, verb: &[&'a str], url: &'a str) -> Vec<&'a str> {
        [verb, &["--private-key", &self.key, "--rpc-url", url]].concat()
    }

    fn act(&self, verb: &[&str]) -> String {
        succeed(&self.arguments(verb, &self.network.url(0)))
    }

    fn refused(&self, verb: &[&str]) -> String {
        refused(&mut lian(&self.arguments(verb, &self.network.url(0))))
    }
}

/// What a verb without a key shows, with its spaces as one.
fn shown(network: &Network, verb: &[&str]) -> String {
    let said = succeed(&[verb, &["--rpc-url", &network.url(1)]].concat());
    said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
}

fn as_json(network: &Network, verb: &[&str]) -> Value {
    serde_json::from_str(&shown(network, &[verb, &["--json"]].concat())).unwrap()
}

async fn wait_until_connected(network: &Network) {
    for node in 0..4 {
        network.wait_for(node, "connected", |status| status["peers"] == 3).await;
    }
}

/// Waits until node 1, which answers questions here, has what node 0 has made final.
async fn level(network: &Network) {
    let height = network.status(0).await["height"].as_u64();
    network.wait_for(1, "level", |status| status["height"].as_u64() >= height).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn assets_are_made_paid_and_accounted_for() {
    let mut network = Network::start("pbft");
    wait_until_connected(&network).await;
    let (issuer, alice) = (Teller::issuer(&network), Teller::alice(&network));
    let holder = alice.address();

    let said = issuer.act(&["asset", "create", "USD", "US dollar", "--decimals", "2"]);
    assert!(said.lines().any(|line| line == "asset        1"), "{said}");
    let line = issuer.refused(&["asset", "create", "USD", "another"]);
    assert_eq!(line, "the symbol `USD` is taken: asset 1 has it");
    issuer.act(&["asset", "issue", "USD", &holder, "1000", "--reference", "first"]);
    let line = alice.refused(&["asset", "issue", "USD", &holder, "1"]);
    assert!(line.ends_with("is not the issuer of asset 1"), "{line}");

    let said = alice.act(&["asset", "transfer", "1", BOB, "12.5", "--reference", "INV-1"]);
    assert!(said.contains("12.50 USD for INV-1"), "{said}");
    let line = alice.refused(&["asset", "transfer", "USD", BOB, "0.001"]);
    assert_eq!(line, "`0.001` is not an amount: the asset has 2 decimals, this has 3");
    let line = alice.refused(&["asset", "transfer", "USD", BOB, "987.51"]);
    assert_eq!(line, format!("{holder} can pay 987.50 USD of it, and 987.51 USD are needed"));
    assert!(alice.refused(&["asset", "transfer", "EUR", BOB, "1"]).contains("no asset `EUR`"));

    // A bad line anywhere in a file, and nothing is sent.
    let file = network.dir.join("payments.csv");
    let nonce = async || -> String {
        network.client(0).request("eth_getTransactionCount", vec![json!(holder), json!("pending")]).await.unwrap()
    };
    let before = nonce().await;
    fs::write(&file, format!("to,amount,reference\n{BOB},1.00,a\n{BOB},1.000,b\n")).unwrap();
    let line = alice.refused(&["asset", "batch", "USD", text(&file)]);
    assert!(line.contains("payments.csv: line 3: `1.000` is not an amount"), "{line}");
    assert_eq!(nonce().await, before);
    let payments: String = (1..=40).map(|cents| format!("{BOB},0.{cents:02},salary {cents}\n")).collect();
    fs::write(&file, payments + &format!("{holder},5,to myself\n")).unwrap();
    let said = alice.act(&["asset", "batch", "USD", text(&file)]);
    assert!(said.contains("payments     41"), "{said}");

    issuer.act(&["asset", "freeze", "USD", &holder, "970"]);
    let line = alice.refused(&["asset", "transfer", "USD", BOB, "9.31"]);
    assert_eq!(line, format!("{holder} can pay 9.30 USD of it, and 9.31 USD are needed"));
    issuer.act(&["asset", "freeze-asset", "USD"]);
    assert!(alice.refused(&["asset", "transfer", "USD", BOB, "1"]).starts_with("asset 1 is frozen"));
    issuer.act(&["asset", "freeze-asset", "USD", "--release"]);
    alice.act(&["asset", "transfer", "USD", &issuer.address(), "9.30"]);
    issuer.act(&["asset", "redeem", "USD", "9.30"]);
    level(&network).await;

    let balance = shown(&network, &["asset", "balance", "USD", &holder]);
    assert_eq!(balance, format!("account {holder}\nbalance 970.00 USD\navailable 0.00 USD\nfrozen 970.00 USD\n"));
    let record = as_json(&network, &["asset", "show", "USD"]);
    assert_eq!((&record["issued"], &record["supply"]), (&json!("100000"), &json!("99070")));
    assert_eq!(as_json(&network, &["asset", "list"]), json!([record]));

    statements(&network, &holder).await;
    issuer.act(&["asset", "set-issuer", "USD", &holder]);
    alice.act(&["asset", "issue", "USD", BOB, "1"]);
    network.stop();
}

/// Statements of Alice and Bob after what happened above.
async fn statements(network: &Network, holder: &str) {
    let statement = as_json(network, &["asset", "statement", "USD", holder]);
    let summary = ["opening", "closing", "from_block"].map(|field| statement[field].clone());
    assert_eq!(summary, [json!("0"), json!("97000"), json!(0)]);
    let entries = statement["entries"].as_array().unwrap();
    // An issue, a payment, a batch of 41, a payment.
    assert_eq!(entries.len(), 44);
    let own: Vec<_> = entries.iter().filter(|entry| entry["flow"] == "own").collect();
    assert_eq!((own.len(), &own[0]["amount"], &own[0]["counterparty"]), (1, &json!("500"), &json!(holder)));

    // From the block of the first payment on: the balance before it, and what is left out is not needed.
    let second = entries[1]["block"].as_u64().unwrap();
    let (from, last) = (second.to_string(), entries[43]["block"].as_u64().unwrap() - 1);
    let part = ["asset", "statement", "1", holder, "--from-block", &from, "--to-block", &last.to_string()];
    let part = shown(network, &part);
    let lines: Vec<_> = part.lines().collect();
    assert_eq!(lines[2], format!("{from} - opening balance - - 1000.00"), "{part}");
    let shown_bob = BOB.parse::<Address>().unwrap();
    assert!(lines[3].ends_with(&format!("{shown_bob} - 12.50 987.50 INV-1")), "{part}");
    assert_eq!(lines[45], format!("{last} - closing balance - - 979.30"), "{part}");
    assert_eq!(lines[46], "42 entries, which add up");
    let bob = as_json(network, &["asset", "statement", "USD", BOB]);
    assert_eq!((bob["entries"].as_array().unwrap().len(), &bob["closing"]), (41, &json!("2070")));
    let beyond = ["asset", "statement", "USD", BOB, "--to-block", "9999", "--rpc-url", &network.url(1)];
    assert!(refused(&mut lian(&beyond)).contains("are not all there"));
}

/// A chain that began without the ledger gets it while it runs; who was away, joins anew or replays the chain finds the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_gets_the_ledger_while_it_runs() {
    let older = |genesis: String| {
        let latest = format!("\"protocol_version\": {PROTOCOL_VERSION_MAX},");
        assert!(genesis.contains(&latest), "{genesis}");
        genesis.replace(&latest, "")
    };
    let mut network = Network::start_from("pbft", older);
    wait_until_connected(&network).await;
    let line = Teller::issuer(&network).refused(&["asset", "create", "USD", "Dollar"]);
    assert!(line.contains("has no asset ledger at its last block"), "{line}");
    let said = network.govern(&["set-parameter", "protocol_version", "1"]);
    let first: u64 =
        said.lines().find_map(|line| line.strip_prefix("acts from block")).unwrap().trim().parse().unwrap();

    let issuer = Teller::issuer(&network);
    while network.status(0).await["height"].as_u64().unwrap() + 1 < first {
        issuer.act(&["send", BOB]);
    }
    // The asset is made in the very block that makes the ledger.
    let create =
        ["send", LEDGER, "create(string,string,uint8)", "USD", "Dollar", "2", "--gas-limit", "500000", "--json"];
    let receipt: Value = serde_json::from_str(&issuer.act(&create)).unwrap();
    assert_eq!(
        (&receipt["blockNumber"], receipt["logs"].as_array().unwrap().len()),
        (&json!(format!("{first:#x}")), 1)
    );
    network.restart_after(2, |_| ());
    network.lose_data(3);
    let issuer = Teller::issuer(&network);
    issuer.act(&["asset", "issue", "USD", BOB, "5"]);
    let height = network.status(0).await["height"].as_u64();
    for node in 0..4 {
        network.wait_for(node, "at the last block", |status| status["height"].as_u64() >= height).await;
        check_past(&network.client(node), first, &receipt["transactionHash"]).await;
    }
    network.stop();
    for node in 0..4 {
        let said = succeed(&["verify", "--dir", text(&network.dir.join(format!("node{node}")))]);
        assert!(said.contains("sound"), "{said}");
    }
}

/// What a node says about the blocks around the switch.
async fn check_past(client: &RpcClient, first: u64, transaction: &Value) {
    let count: Bytes = keccak256("count()")[..4].to_vec().into();
    for (block, code, answer) in [
        (first - 1, "0x".to_owned(), "0x".to_owned()),
        (first, "0x5f5ffd".to_owned(), B256::with_last_byte(1).to_string()),
    ] {
        let block = json!(format!("{block:#x}"));
        let found: String = client.request("eth_getCode", vec![json!(LEDGER), block.clone()]).await.unwrap();
        assert_eq!(found, code, "{block}");
        let call = json!({"to": LEDGER, "input": count});
        let found: String = client.request("eth_call", vec![call, block.clone()]).await.unwrap();
        assert_eq!(found, answer, "{block}");
    }
    let options = json!({"tracer": "callTracer"});
    let trace: Value = client.request("debug_traceTransaction", vec![transaction.clone(), options]).await.unwrap();
    assert_eq!(trace["output"], B256::with_last_byte(1).to_string(), "{trace}");
}
