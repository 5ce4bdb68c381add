//! A chain whose rules change to what the program does not know.

use crate::{
    members::Network,
    program::{Run, lian, refused, run, succeed, text},
};
use lian_types::PROTOCOL_VERSION_MAX;
use std::{
    fs,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(120);

/// Every node votes up to the block below, ends with a status of its own and one clear line, and does not start again;
/// its ledger is sound.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_stop_below_the_first_block_of_unknown_rules() {
    let mut network = Network::start("pbft");
    for node in 0..4 {
        network.wait_for(node, "connected", |status| status["peers"] == 3).await;
    }
    let key = fs::read_to_string(network.dir.join("ca/operator.key")).unwrap();
    let to_node = ["--private-key", key.trim(), "--rpc-url", &network.url(0)].map(str::to_owned);
    let to_node: Vec<_> = to_node.iter().map(String::as_str).collect();
    let unknown = (PROTOCOL_VERSION_MAX + 1).to_string();
    let own_program_first = ["gov", "set-parameter", "protocol_version", &unknown];
    let line = refused(&mut lian(&[&own_program_first[..], &to_node].concat()));
    assert!(line.starts_with(&format!("this program knows protocol versions up to {PROTOCOL_VERSION_MAX}:")), "{line}");

    // As a newer program would do it.
    let configuration = format!("0x{:040x}", 0x2000);
    let set = ["send", &configuration, "set(string,uint256)", "protocol_version", &unknown];
    succeed(&[&set[..], &to_node].concat());
    let transfer = ["send", "0x7777777777777777777777777777777777777777", "--timeout", "10"];
    let end = Instant::now() + PATIENCE;
    // The last one may not be answered any more.
    while run(&[&transfer[..], &to_node].concat()).status == Some(0) {
        assert!(Instant::now() < end, "the chain goes on");
    }
    let mut blocks = vec![];
    for node in 0..4 {
        let words = loop {
            if let Some(status) = network.nodes[node].try_wait().unwrap() {
                let words = network.last_words(node);
                assert_eq!(status.code(), Some(3), "{words}");
                break words;
            }
            assert!(Instant::now() < end, "node{node} goes on: {}", network.last_words(node));
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let first = first_unknown(&words);
        let folder = network.dir.join(format!("node{node}"));
        let again: Run = lian(&["node", "--config", text(&folder.join("config.toml"))]).output().unwrap().into();
        assert_eq!((again.status, first_unknown(&again.err)), (Some(3), first));
        let verified = succeed(&["verify", "--dir", text(&folder)]);
        assert!(verified.split_whitespace().any(|word| word == (first - 1).to_string()), "{first}: {verified}");
        blocks.push(first);
    }
    assert!(blocks.iter().all(|first| *first == blocks[0]), "{blocks:?}");
    network.nodes.clear();
}

/// The block that a node's last words name.
fn first_unknown(words: &str) -> u64 {
    let unknown = PROTOCOL_VERSION_MAX + 1;
    let (_, rest) = words.split_once(&format!("lian: protocol version {unknown} acts from block ")).unwrap();
    let known = format!("this program knows versions up to {PROTOCOL_VERSION_MAX}: replace it with a newer one");
    assert!(rest.contains(&known), "{rest}");
    rest.split(' ').next().unwrap().parse().unwrap()
}
