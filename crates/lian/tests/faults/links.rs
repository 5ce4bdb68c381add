//! Links that pass one direction only, nothing, little, or late.

use crate::{
    is_long,
    load::Load,
    network::{LOOK, NODES, Network, PATIENCE, others},
    pulse::Pulse,
    relay::Link,
};
use lian_types::{ConsensusKind, limits};
use serde_json::json;
use std::time::{Duration, Instant};

/// The leader's messages arrive, but it hears nobody any more, for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_hears_nothing_is_left() {
    cut_leader_one_way(|leader, _, to| to == leader).await;
}

/// The leader hears everybody, but nothing of it arrives any more, for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_heard_by_nobody_is_left() {
    cut_leader_one_way(|leader, from, _| from == leader).await;
}

async fn cut_leader_one_way(is_cut: impl Fn(usize, usize, usize) -> bool) {
    // A leader that hears nothing still sends heartbeats, until it has missed its peers' pings for four seconds: a
    // constant of the network, which a bound of five times one second would leave little room beside.
    let network = Network::start_all(|parameters| parameters.view_timeout_ms = 2_000).await;
    let leader = network.leader(0).await;
    let rest = others(leader);
    let load = Load::start_at(&network, &rest).await;
    let pulse = Pulse::of(&network, &rest);
    load.wait_for_more(20).await;
    let cut = Instant::now();
    network.relays.set_where(Link::HELD, |from, to| is_cut(leader, from, to));
    network.wait_for_other_leader(leader, &rest).await;
    // What was under way at the cut has arrived or is held.
    let held = network.relays.passed(|from, to| is_cut(leader, from, to));
    load.wait_for_more(30).await;
    network.check_gap(&pulse, cut, &format!("node{leader} was cut off one way"));
    let passed = network.relays.passed(|from, to| is_cut(leader, from, to));
    assert_eq!(passed, held, "the cut was none");
    network.relays.set_where(Link::default(), |_, _| true);
    network.check(load).await;
}

/// Two and two, neither a quorum; then all are together again.
#[tokio::test(flavor = "multi_thread")]
async fn two_halves_stall_and_go_on_when_healed() {
    part_in_two(ConsensusKind::Pbft).await;
}

/// The same without a majority on either side.
#[tokio::test(flavor = "multi_thread")]
async fn two_raft_halves_stall_and_go_on_when_healed() {
    part_in_two(ConsensusKind::Raft).await;
}

async fn part_in_two(kind: ConsensusKind) {
    let mut network = Network::start_all(|parameters| parameters.kind = kind).await;
    let load = Load::start(&network).await;
    let pulse = Pulse::of(&network, &[0, 1, 2, 3]);
    load.wait_for_more(20).await;
    network.relays.set_where(Link::HELD, |from, to| from / 2 != to / 2);
    let length = if is_long() { Duration::from_secs(60) } else { network.view_timeout() * 6 };
    network.hold_stalled(&pulse, length).await;
    network.relays.set_where(Link::default(), |_, _| true);
    network.check_resumed(&pulse, "the halves met").await;
    load.wait_for_more(20).await;
    network.wait_for_sessions(0..NODES).await;
    network.check(load).await;
}

/// One member hangs at the end of a slow line; the rest go on, and it follows or catches up.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_line_slows_nobody_else() {
    let network = Network::start_all(|_| {}).await;
    let leader = network.leader(0).await;
    let slow = (leader + 1) % NODES;
    let rest = others(slow);
    let load = Load::start_at(&network, &rest).await;
    let pulse = Pulse::of(&network, &rest);
    load.wait_for_more(20).await;
    let begun = Instant::now();
    // Votes alone need more.
    let link = Link { rate: Some(16 * 1024), ..Link::default() };
    network.relays.set_where(link, |from, to| from == slow || to == slow);
    let payments = if is_long() { 3_000 } else { 200 };
    load.wait_for_more(payments).await;
    network.check_gap(&pulse, begun, &format!("the line of node{slow} was slow"));
    network.relays.set_where(Link::default(), |_, _| true);
    network.check(load).await;
}

/// 20 ms on every way, then up to 5 more by chance: a payment takes some rounds of that, which is told.
#[tokio::test(flavor = "multi_thread")]
async fn all_links_are_late() {
    let network = Network::start_all(|_| {}).await;
    let load = Load::start(&network).await;
    let begun = Instant::now();
    let pulse = Pulse::of(&network, &[0, 1, 2, 3]);
    let mut payments = 0..;
    for jitter in [0, 5].map(Duration::from_millis) {
        let link = Link { delay: Duration::from_millis(20), jitter, ..Link::default() };
        network.relays.set_where(link, |_, _| true);
        let mut took = Vec::new();
        for number in payments.by_ref().take(if is_long() { 250 } else { 20 }) {
            let raw = load.stray_payment(number);
            let client = network.client(took.len() % NODES);
            let sent = Instant::now();
            let receipt: serde_json::Value =
                client.request("eth_sendRawTransactionSync", vec![json!(raw), json!(30_000)]).await.unwrap();
            took.push(sent.elapsed());
            assert!(receipt["blockNumber"].is_string(), "{receipt}");
        }
        took.sort();
        println!(
            "20 ms and up to {jitter:?} more one way: a payment is final after {:?} (median), {:?} (slowest)",
            took[took.len() / 2],
            took.last()
        );
    }
    network.check_gap(&pulse, begun, "all links were late");
    network.relays.set_where(Link::default(), |_, _| true);
    network.check(load).await;
}

impl Network {
    /// How long the chain may stand still because of one faulty member: five timeouts of a view.
    pub(crate) fn gap_max(&self) -> Duration {
        self.view_timeout() * 5
    }

    /// Fails where the chain stood still for longer than a fault may make it since it began. The short form runs beside
    /// other tests on machines that may be busy, so there only a chain that stands for good fails it.
    pub(crate) fn check_gap(&self, pulse: &Pulse, since: Instant, what: &str) {
        let bound = if is_long() { self.gap_max() } else { self.gap_max() * 12 };
        let gap = pulse.longest_gap(since);
        println!("{what}: the longest time without a block was {gap:?}, {bound:?} are allowed");
        assert!(gap <= bound, "{what}: no block for {gap:?}, {bound:?} are allowed");
    }

    /// Waits until these members follow another leader.
    pub(crate) async fn wait_for_other_leader(&self, leader: usize, members: &[usize]) {
        let end = Instant::now() + PATIENCE;
        for member in members {
            while self.leader(*member).await == leader {
                assert!(Instant::now() < end, "node{member} keeps node{leader} as its leader");
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Waits through a stall, which must be one: without a quorum nothing becomes final once what was under way has.
    pub(crate) async fn hold_stalled(&self, pulse: &Pulse, length: Duration) {
        let end = Instant::now() + length;
        tokio::time::sleep(self.view_timeout()).await;
        let height = pulse.height();
        tokio::time::sleep_until(end.into()).await;
        assert_eq!(pulse.height(), height, "blocks became final without a quorum");
    }

    /// A stall has just ended: sessions are made again after the longest pause between two dials at most, or after
    /// a handshake that began in the stall; then one round of consensus ends it, within the time of any single fault.
    pub(crate) async fn check_resumed(&self, pulse: &Pulse, what: &str) {
        let healed = Instant::now();
        let height = pulse.height();
        while pulse.height() == height {
            assert!(healed.elapsed() < PATIENCE, "{what}, and nothing went on");
            tokio::time::sleep(LOOK).await;
        }
        let (took, bound) = (healed.elapsed(), Duration::from_millis(limits::DIAL_BACKOFF_MS_MAX) + self.gap_max());
        println!("{what}: the next block came after {took:?}, {bound:?} are allowed");
        assert!(took <= bound, "{what}: the next block came after {took:?}, {bound:?} are allowed");
    }
}
