//! Processes that are stopped, so that their sockets stay open and say nothing.

use crate::{
    is_long,
    load::Load,
    network::{NODES, Network, others},
    pulse::Pulse,
};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// The leader freezes; the rest go on without it, and it catches up when it thaws.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_leader_is_left_and_catches_up() {
    let network = Network::start_all(|_| {}).await;
    let leader = network.leader(0).await;
    let rest = others(leader);
    let load = Load::start_at(&network, &rest).await;
    let pulse = Pulse::of(&network, &rest);
    load.wait_for_more(20).await;
    let frozen = Instant::now();
    network.signal(leader, Signal::SIGSTOP);
    network.wait_for_other_leader(leader, &rest).await;
    load.wait_for_more(if is_long() { 2_000 } else { 50 }).await;
    network.check_gap(&pulse, frozen, &format!("node{leader} was frozen"));
    let thawed = Instant::now();
    network.signal(leader, Signal::SIGCONT);
    load.wait_for_more(50).await;
    network.check_gap(&pulse, thawed, &format!("node{leader} thawed"));
    network.check(load).await;
}

impl Network {
    /// Waits until a member leads: whoever leads instead is frozen until the others have left it. There must be load.
    pub(crate) async fn make_leader(&self, member: usize) {
        loop {
            let leader = self.leader(others(member)[0]).await;
            if leader == member {
                return;
            }
            self.signal(leader, Signal::SIGSTOP);
            self.wait_for_other_leader(leader, &others(leader)).await;
            self.signal(leader, Signal::SIGCONT);
        }
    }
}

/// Two of four are frozen: nothing can be final. The stall ends within a round after they thaw, however long it was:
/// some seconds here, five minutes in the long form.
#[tokio::test(flavor = "multi_thread")]
async fn a_stall_ends_within_a_round() {
    let network = Network::start_all(|_| {}).await;
    let leader = network.leader(0).await;
    let frozen = [leader, (leader + 1) % NODES];
    let rest: Vec<_> = (0..NODES).filter(|node| !frozen.contains(node)).collect();
    let load = Load::start_at(&network, &rest).await;
    let pulse = Pulse::of(&network, &rest);
    load.wait_for_more(20).await;
    frozen.iter().for_each(|node| network.signal(*node, Signal::SIGSTOP));
    let length = if is_long() { Duration::from_secs(300) } else { network.view_timeout() * 8 };
    network.hold_stalled(&pulse, length).await;
    frozen.iter().for_each(|node| network.signal(*node, Signal::SIGCONT));
    network.check_resumed(&pulse, "all thawed").await;
    load.wait_for_more(20).await;
    network.check(load).await;
}
