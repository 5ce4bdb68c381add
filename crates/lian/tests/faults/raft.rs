//! A Raft group of real processes.

use crate::{
    load::Load,
    network::{NODES, Network, others},
    pulse::Pulse,
    relay::Link,
};
use lian_types::ConsensusKind;
use std::time::{Duration, Instant};

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

/// All links are late by chance, and the leader finds itself on an island. The others go on with another one, which it
/// follows when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_raft_leader_on_an_island_is_left() {
    let network = Network::start_all(|parameters| parameters.kind = ConsensusKind::Raft).await;
    let leader = network.leader(0).await;
    let rest = others(leader);
    let load = Load::start_at(&network, &rest).await;
    let pulse = Pulse::of(&network, &rest);
    let late = Link { delay: Duration::from_millis(10), jitter: Duration::from_millis(20), ..Link::default() };
    network.relays.set_where(late, |_, _| true);
    load.wait_for_more(20).await;
    let cut = Instant::now();
    network.relays.set_where(Link::HELD, |from, to| from == leader || to == leader);
    network.wait_for_other_leader(leader, &rest).await;
    load.wait_for_more(30).await;
    network.check_gap(&pulse, cut, &format!("node{leader} was on an island"));
    network.relays.set_where(Link::default(), |_, _| true);
    load.wait_for_more(30).await;
    network.check(load).await;
}
