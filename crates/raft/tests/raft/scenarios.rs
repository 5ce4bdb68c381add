//! Scenarios by name.

use crate::network::{ELECTION_MS, Network, WINDOW, Weather, members_of};
use lian_raft::{Divergence, Input, Role};
use lian_types::BlockNumber;
use std::collections::BTreeSet;

fn fair(seed: u64, members: usize) -> Network {
    let mut network = Network::new(seed, members, members);
    network.until(5_000, "first blocks", |network| (0..members).all(|node| network.height(node) >= 5));
    network
}

#[test]
fn a_single_member_goes_on_by_itself() {
    let mut network = Network::new(1, 1, 1);
    network.until(2_000, "blocks", |network| network.height(0) >= 20);
    network.crash(0);
    network.nodes[0].disk.is_lost = true;
    network.nodes[0].disk.votes.clear();
    network.start(0);
    network.until(2_000, "blocks", |network| network.height(0) >= 40);
}

/// Nobody else repeats the vote that was durable before the crash, and whose block was not.
#[test]
fn a_single_member_counts_the_vote_that_it_finds_again() {
    for seed in 50..70 {
        let mut network = Network::new(seed, 1, 1);
        network.crash_permille = 60;
        network.until(60_000, "blocks", |network| network.height(0) >= 30);
    }
}

#[test]
fn an_idle_chain_writes_nothing_but_keeps_its_leader() {
    let mut network = fair(2, 4);
    network.is_busy = false;
    network.run(1_000);
    let (leader, height) = (network.leader(), network.height(0));
    let written: Vec<_> = network.nodes.iter().map(|node| node.disk.votes.len()).collect();
    network.run(20 * ELECTION_MS);
    assert_eq!((network.leader(), network.height(0)), (leader, height));
    assert_eq!(written, network.nodes.iter().map(|node| node.disk.votes.len()).collect::<Vec<_>>());
}

/// The leader on an island goes on proposing into its own log and steps down; the others elect another one. When the
/// island is gone its entries are nothing, and it follows.
#[test]
fn an_island_with_a_stale_leader() {
    let mut network = fair(3, 5);
    let stale = network.leader().unwrap();
    network.weather.island = BTreeSet::from([stale, (stale + 1) % 5]);
    network.run(ELECTION_MS / 4);
    let height = network.height(stale);
    let status = network.nodes[stale].machine.as_ref().unwrap().status();
    assert_eq!(status.role, Role::Leader);
    assert!(status.accepted.0 > height, "it goes on proposing at first");
    network.until(5_000, "blocks without the island", |network| {
        network.nodes.iter().enumerate().filter(|(id, _)| network.height(*id) >= height + 20).count() == 3
    });
    let status = network.nodes[stale].machine.as_ref().unwrap().status();
    assert_ne!(status.role, Role::Leader);
    assert_eq!(network.height(stale), height);
    network.weather.island.clear();
    network.until(5_000, "one chain", |network| (0..5).all(|node| network.height(node) >= height + 30));
}

/// A majority must not be deposed by one who comes back with a greater term, nor by one who hears nobody.
#[test]
fn who_comes_back_from_an_island_deposes_nobody() {
    let mut network = fair(4, 5);
    let leader = network.leader().unwrap();
    let lonely = (leader + 1) % 5;
    let term = network.nodes[leader].machine.as_ref().unwrap().status().term;
    network.weather.island = BTreeSet::from([lonely]);
    network.run(20 * ELECTION_MS);
    network.weather.island.clear();
    network.run(5 * ELECTION_MS);
    let status = network.nodes[leader].machine.as_ref().unwrap().status();
    assert_eq!((network.leader(), status.term), (Some(leader), term));
}

/// Delays around the election timeout depose leaders now and then, but the chain goes on.
#[test]
fn jitter_near_the_election_timeout() {
    let mut network = fair(5, 5);
    network.weather = Weather { delay_ms: (ELECTION_MS / 8, ELECTION_MS * 5 / 8), ..Weather::default() };
    let height = network.height(0);
    network.until(40_000, "blocks in jitter", |network| (0..5).all(|node| network.height(node) >= height + 20));
}

#[test]
fn a_leader_that_stops_hands_over_at_once() {
    let mut network = fair(6, 4);
    let leader = network.leader().unwrap();
    network.step(leader, Input::HandOver);
    network.until(ELECTION_MS / 2, "another leader", |network| network.leader().is_some_and(|other| other != leader));
    network.crash(leader);
    let height = network.height((leader + 1) % 4);
    network.until(ELECTION_MS / 2, "blocks of the new leader", |network| {
        (0..4).filter(|node| *node != leader).all(|node| network.height(node) > height + 2)
    });
}

/// Whoever lost its log takes no part any more, whatever it may have promised; it still gets every block.
#[test]
fn a_lost_log_silences_its_node() {
    let mut network = fair(7, 5);
    let lost = (network.leader().unwrap() + 1) % 5;
    network.crash(lost);
    network.nodes[lost].disk.votes.clear();
    network.nodes[lost].disk.is_lost = true;
    network.start(lost);
    assert!(network.nodes[lost].machine.as_ref().unwrap().status().abstains);
    let height = network.height(lost);
    network.until(10_000, "blocks caught up", |network| network.height(lost) >= height + 20);
    let other = (0..5).find(|node| *node != lost && Some(*node) != network.leader()).unwrap();
    network.crash(other);
    let height = network.height(lost);
    network.until(10_000, "blocks of three", |network| network.height(lost) >= height + 20);
    // The note outlives the loss.
    network.crash(lost);
    network.nodes[lost].disk.is_lost = false;
    network.start(lost);
    assert!(network.nodes[lost].machine.as_ref().unwrap().status().abstains);
    // Two voters of five are no majority, and the third has no voice.
    let another = (0..5).find(|node| ![lost, other].contains(node) && Some(*node) != network.leader()).unwrap();
    network.crash(another);
    network.run(1_000);
    let height = network.height(lost);
    network.run(10 * ELECTION_MS);
    assert!(network.height(lost) <= height + WINDOW);
}

#[test]
fn a_node_that_was_away_for_long_begins_from_a_base() {
    let mut network = fair(8, 4);
    let away = (network.leader().unwrap() + 1) % 4;
    network.crash(away);
    let height = network.height(away);
    network.until(20_000, "many blocks", |network| {
        (0..4).filter(|node| *node != away).all(|node| network.height(node) >= height + 60)
    });
    network.start(away);
    network.until(10_000, "catching up", |network| network.height(away) >= height + 60);
    // It is a voter again: with another one away it is needed.
    let other = (0..4).find(|node| *node != away && Some(*node) != network.leader()).unwrap();
    network.crash(other);
    let height = network.height(away);
    network.until(10_000, "its votes", |network| network.height(away) >= height + 10);
}

/// Installs a wrong program while nothing is under way.
fn install_wrong_program(network: &mut Network, node: usize) {
    network.is_busy = false;
    network.run(2 * ELECTION_MS);
    network.crash(node);
    network.nodes[node].is_wrong = true;
    network.start(node);
}

/// A node with another result than the majority's stops with the evidence; the others go on.
#[test]
fn a_wrong_result_stops_its_node_and_no_other() {
    let mut network = fair(9, 4);
    let wrong = (network.leader().unwrap() + 1) % 4;
    install_wrong_program(&mut network, wrong);
    network.is_busy = true;
    network.until(5_000, "a stop", |network| network.nodes[wrong].halted.is_some());
    assert!(
        matches!(network.nodes[wrong].halted, Some(Divergence::Result { .. })),
        "{:?}",
        network.nodes[wrong].halted
    );
    let height = network.chain.len() as u64;
    network.until(5_000, "blocks of the others", |network| network.chain.len() as u64 > height + 10);
}

/// Two against two: no header gathers a majority, and everybody stops.
#[test]
fn no_majority_stops_all() {
    let mut network = fair(10, 4);
    for node in [0, 1] {
        install_wrong_program(&mut network, node);
    }
    network.is_busy = true;
    network.until(10_000, "a stop", |network| network.nodes.iter().all(|node| node.halted.is_some()));
    for node in &network.nodes {
        assert!(matches!(node.halted, Some(Divergence::NoMajority { .. })), "{:?}", node.halted);
    }
}

fn change(network: &mut Network, epoch: u64, members: &[usize]) -> u64 {
    let decided = network.chain.keys().last().copied().unwrap_or(0) + 2;
    let first = BlockNumber(decided + WINDOW);
    network.schedule.push((first, members_of(epoch, members)));
    first.0
}

fn configuration(network: &Network, node: usize) -> (usize, usize) {
    network.nodes[node].machine.as_ref().map_or((0, 0), |machine| machine.status().configuration)
}

#[test]
fn one_grows_to_four_to_seven_and_shrinks_to_three() {
    let mut network = Network::new(11, 1, 7);
    network.until(5_000, "first blocks", |network| network.height(0) >= 5);
    for (epoch, members) in [(1, vec![0, 1, 2, 3]), (2, vec![0, 1, 2, 3, 4, 5, 6]), (3, vec![4, 5, 6])] {
        let first = change(&mut network, epoch, &members);
        network.until(20_000, "the members' blocks", |network| (0..7).all(|node| network.height(node) >= first + 10));
        network.until(20_000, "the configuration", |network| {
            network.leader().is_some_and(|leader| configuration(network, leader) == (members.len(), 0))
        });
    }
    let leader = network.leader().unwrap();
    assert!([4, 5, 6].contains(&leader), "a removed leader hands over");
}

/// With a window of its smallest size, and more newcomers than old members: their signatures are needed at once.
#[test]
fn newcomers_in_the_majority_do_not_wait_for_each_other() {
    let mut network = Network::new(90, 2, 8);
    network.until(5_000, "first blocks", |network| network.height(0) >= 5);
    let first = change(&mut network, 1, &[0, 1, 2, 3, 4, 5, 6, 7]);
    network.until(20_000, "the members' blocks", |network| (0..8).all(|node| network.height(node) >= first + 10));
}

/// Two of five are removed in one block, the leader among them: one after the other, never both at once.
#[test]
fn two_removals_at_once() {
    for seed in 12..20 {
        let mut network = fair(seed, 5);
        let leader = network.leader().unwrap();
        let gone = [leader, (leader + 1) % 5];
        let stay: Vec<_> = (0..5).filter(|node| !gone.contains(node)).collect();
        let first = change(&mut network, 1, &stay);
        network.weather.loss_permille = 100;
        network.until(20_000, "the configuration", |network| {
            network.leader().is_some_and(|leader| stay.contains(&leader) && configuration(network, leader) == (3, 0))
        });
        // The removed ones still follow, and disturb nobody.
        network.weather = Weather::default();
        network.until(20_000, "blocks everywhere", |network| (0..5).all(|node| network.height(node) >= first + 20));
    }
}

/// Two of five were away for good when these and a third were removed. The third went first, and the rest was no majority of
/// those who were left (simulator seed 228).
#[test]
fn removals_begin_with_those_that_are_away() {
    for turn in 0..8 {
        let mut network = fair(40 + turn as u64, 5);
        let leader = network.leader().unwrap();
        let others: Vec<_> = (0..5).filter(|node| *node != leader).collect();
        let (removed, away) = (others[turn % 4], [others[(turn + 1) % 4], others[(turn + 2) % 4]]);
        away.iter().for_each(|node| network.crash(*node));
        let stay: Vec<_> = (0..5).filter(|node| !away.contains(node) && *node != removed).collect();
        let first = change(&mut network, 1, &stay);
        network.until(20_000, "the configuration", |network| {
            network.leader().is_some_and(|leader| configuration(network, leader) == (2, 0))
        });
        network.until(20_000, "blocks of two", |network| stay.iter().all(|node| network.height(*node) >= first + 20));
    }
}

/// Members change while nodes go down at their persist points and messages are lost.
#[test]
fn members_change_in_bad_weather() {
    for seed in 20..30 {
        let mut network = Network::new(seed, 4, 6);
        network.crash_permille = 10;
        network.weather = Weather { loss_permille: 50, delay_ms: (1, 60), island: BTreeSet::new() };
        network.until(20_000, "first blocks", |network| network.chain.len() >= 5);
        for (epoch, members) in [(1, vec![0, 1, 2, 3, 4, 5]), (2, vec![2, 3, 4, 5]), (3, vec![0, 1, 5])] {
            let first = change(&mut network, epoch, &members);
            network.until(60_000, "the epoch", |network| network.chain.len() as u64 >= first + 10);
        }
        network.crash_permille = 0;
        network.weather = Weather::default();
        network.until(30_000, "the last configuration", |network| {
            network.leader().is_some_and(|leader| configuration(network, leader) == (3, 0))
        });
        let height = network.chain.len() as u64;
        network.until(30_000, "blocks everywhere", |network| (0..6).all(|node| network.height(node) >= height));
    }
}
