//! A node that is alone: it makes transactions final, refuses bad ones, and goes on after a restart.

use crate::setup::{account, genesis, key, transfer};
use alloy_primitives::{Bytes, U256};
use lian_group::{GroupEvent, Node, NodeSetup, SubmitError, start};
use lian_types::{BlockNumber, HistoryDepth};
use std::{path::Path, time::Duration};

const PATIENCE: Duration = Duration::from_secs(60);

fn run(folder: &Path) -> Node {
    start(NodeSetup {
        genesis: genesis(),
        name: "node0".into(),
        key: key(),
        data_dir: folder.to_owned(),
        rpc: String::new(),
        history: HistoryDepth::Blocks(16),
        data: lian_group::DataPolicy::default(),
        execution_threads: std::num::NonZeroUsize::MIN,
        network: None,
    })
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_become_final_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    lian_group::note_new_key(folder.path(), &genesis()).unwrap();
    for round in 0..2u64 {
        let node = run(folder.path());
        let group = node.handles().remove(0);
        assert_eq!(group.status().height, BlockNumber(round));
        let mut news = group.subscribe();
        let hash = group.submit(transfer(round)).await.unwrap();
        let block = loop {
            match tokio::time::timeout(PATIENCE, news.recv()).await.unwrap().unwrap() {
                GroupEvent::Final(block) => break block,
                GroupEvent::Pending(pending) => assert_eq!(pending.hash(), hash),
            }
        };
        assert_eq!(block.executed.block.transactions[0].hash(), hash);
        assert!(block.executed.receipts[0].success);
        // What is announced is durable and readable.
        assert_eq!(group.ledger().head().number, BlockNumber(round + 1));
        let state = group.ledger().head().parent.state.clone();
        let sender = state.account(account()).unwrap().unwrap();
        assert_eq!((sender.nonce, sender.balance), (round + 1, U256::from(1_000_000 - round - 1)));
        assert_eq!(group.pending_nonce(account()).unwrap(), round + 1);
        drop((group, news));
        node.shutdown();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_why() {
    let folder = tempfile::tempdir().unwrap();
    lian_group::note_new_key(folder.path(), &genesis()).unwrap();
    let node = run(folder.path());
    let group = node.handles().remove(0);
    let garbage = group.submit(Bytes::from_static(&[2, 1])).await.unwrap_err();
    assert!(matches!(garbage, SubmitError::Decode(_)), "{garbage}");
    // A nonce far ahead waits; the same again is known.
    group.submit(transfer(5)).await.unwrap();
    let again = group.submit(transfer(5)).await.unwrap_err();
    assert!(again.to_string().starts_with("already known"), "{again}");
    assert_eq!(group.ledger().head().number, BlockNumber(0));
    drop(group);
    node.shutdown();
}
