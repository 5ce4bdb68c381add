//! A Raft group of real processes.

use crate::{
    load::Load,
    network::{NODES, Network},
};
use lian_types::ConsensusKind;

/// The leader is killed again and again under load, then two of four at once, then all: nothing acknowledged is lost, and
/// no key signs two headers of one height.
#[tokio::test(flavor = "multi_thread")]
async fn killed_raft_leaders_lose_nothing() {
    let mut network = Network::start_all(|parameters| parameters.kind = ConsensusKind::Raft).await;
    let load = Load::start(&network).await;
    for round in 0..3 {
        load.wait_for_more(30).await;
        let leader = network.leader(round).await;
        network.kill(leader);
        load.wait_for_more(10).await;
        network.start(leader);
        load.wait_for_more(10).await;
    }
    let leader = network.leader(0).await;
    for victims in [vec![leader, (leader + 1) % NODES], (0..NODES).collect()] {
        victims.iter().for_each(|node| network.kill(*node));
        victims.iter().for_each(|node| network.start(*node));
        load.wait_for_more(20).await;
    }
    network.check(load).await;
}

/// A leader that is stopped cleanly hands over: another one leads before it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_raft_leader_hands_over() {
    let mut network = Network::start_all(|parameters| parameters.kind = ConsensusKind::Raft).await;
    let load = Load::start(&network).await;
    load.wait_for_more(30).await;
    let leader = network.leader(0).await;
    let other = (leader + 1) % NODES;
    let term = network.status(other).await.unwrap()["view"].as_u64().unwrap();
    network.stop(leader);
    let status = network.status(other).await.unwrap();
    assert_eq!(status["consensus"], "raft");
    // Nobody has noticed yet that it is gone, so this election was its own doing.
    assert!(status["view"].as_u64().unwrap() > term, "no election: {status}");
    assert_ne!(status["leader"], format!("node{leader}"));
    load.wait_for_more(30).await;
    network.start(leader);
    network.wait_for_sessions(0..NODES).await;
    network.check(load).await;
}
