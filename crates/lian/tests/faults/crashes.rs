//! Processes killed with SIGKILL under load: one node, the leader, all four; and again, in a loop.

use crate::{
    is_long,
    load::Load,
    network::{NODES, Network},
};
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn killed_nodes_lose_nothing() {
    let mut network = Network::start_all(|_| {}).await;
    let load = Load::start(&network).await;
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
    assert!(load.count() >= 300, "only {} transactions were acknowledged", load.count());
    network.check(load).await;
}

/// A random node is killed at a random moment and started again at once, 20 times (200 in the long form). No key ever
/// makes two different statements for one place: in what was heard meanwhile and in what each vote log held after each
/// kill, before the node was started again.
#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_nobody_votes_twice() {
    let kills = if is_long() { 200 } else { 20 };
    let mut random = u64::from(std::process::id());
    println!("random numbers begin at {random}");
    let mut network = Network::start_all(|_| {}).await;
    let load = Load::start(&network).await;
    for _ in 0..kills {
        // The moment is any within some rounds of consensus: so many payments later.
        load.wait_for_more(1 + (next_random(&mut random) % 8) as usize).await;
        let victim = (next_random(&mut random) % NODES as u64) as usize;
        network.kill(victim);
        network.start(victim);
    }
    load.wait_for_more(10).await;
    network.check(load).await;
}

/// The next of a sequence of random numbers (SplitMix64).
pub(crate) fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
