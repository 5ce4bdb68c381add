//! The scenarios that every consensus must survive, by name.

use crate::network::{Faults, Network, SUITE, key, members, rules};
use alloy_primitives::keccak256;
use lian_pbft::{Cause, Committee, Divergence, Input, LogCondition, Message, Misbehaviour, PrePrepare, Statement};
use lian_types::{BlockNumber, Epoch, Phase, Proposal, ProposalDigest};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Other versions of a leader's proposals, each the child of the other version below.
#[derive(Default)]
pub(crate) struct Equivocation {
    others: BTreeMap<ProposalDigest, PrePrepare>,
}

impl Equivocation {
    pub(crate) fn other(&mut self, leader: usize, honest: &PrePrepare) -> PrePrepare {
        let digest = SUITE.proposal_digest(&honest.proposal);
        if let Some(known) = self.others.get(&digest) {
            return known.clone();
        }
        let parent = self.others.get(&honest.proposal.parent);
        let parent = parent.map_or(honest.proposal.parent, |other| SUITE.proposal_digest(&other.proposal));
        let transactions = vec![keccak256([digest.0.as_slice(), b"other"].concat())];
        let proposal = Proposal { parent, transactions, ..honest.proposal.as_ref().clone() };
        let (epoch, view, height) = (proposal.epoch, honest.view, proposal.height);
        let statement = Statement::PrePrepare { epoch, view, height, digest: SUITE.proposal_digest(&proposal) };
        let signature = key(leader).sign(&statement.signing_bytes(&rules(8, 4).context));
        let other = PrePrepare { view, proposal: Arc::new(proposal), signature };
        self.others.insert(digest, other.clone());
        other
    }
}

/// A network whose node 0 shows other proposals to some nodes.
fn equivocating(seed: u64, shown_to: &'static [usize]) -> Network {
    let mut network = Network::with(4, 4, seed, rules(8, 1_000));
    let mut equivocation = Equivocation::default();
    network.faulty.insert(0);
    network.tamper = Some(Box::new(move |from, to, message| match message {
        Message::PrePrepare(honest) if from == 0 && shown_to.contains(&to) => {
            Some(vec![Message::PrePrepare(equivocation.other(0, honest))])
        }
        _ => None,
    }));
    network.connect();
    network
}

#[test]
fn leader_equivocates_with_later_heights_in_flight() {
    for seed in 0..8 {
        // No side has a quorum: the view ends.
        let mut network = equivocating(seed, &[2, 3]);
        network.reach(0..4, 30, 30_000);
        assert!(network.nodes[2].left.iter().any(|(_, cause)| matches!(cause, Cause::Timeout | Cause::Others)));
        network.nobody_halted();
        // One node is deceived: the others go on, and it catches up.
        let mut network = equivocating(seed, &[3]);
        network.reach(0..4, 30, 30_000);
        network.nobody_halted();
    }
}

#[test]
fn two_proposals_of_one_slot_are_noticed() {
    let mut network = Network::with(4, 4, 1, rules(8, 1_000));
    let mut equivocation = Equivocation::default();
    network.faulty.insert(0);
    network.tamper = Some(Box::new(move |from, _, message| match message {
        Message::PrePrepare(honest) if from == 0 => {
            Some(vec![message.clone(), Message::PrePrepare(equivocation.other(0, honest))])
        }
        _ => None,
    }));
    network.connect();
    network.reach(0..4, 10, 10_000);
    assert!(
        network.nodes[1]
            .misbehaviour
            .iter()
            .any(|(member, what)| { member.0 == 0 && *what == Misbehaviour::TwoProposals })
    );
}

#[test]
fn invalid_pre_prepare_flood() {
    let mut network = Network::with(4, 4, 1, rules(8, 1_000));
    for node in 1..4 {
        network.nodes[node].refuses = Some(0);
    }
    network.connect();
    network.reach(1..4, 30, 10_000);
    assert!(network.nodes[1].left.iter().any(|(_, cause)| matches!(cause, Cause::InvalidProposal | Cause::Others)));
    assert!(
        network
            .agreed
            .keys()
            .all(|height| { network.nodes[1].ledger[height.0 as usize - 1].proposal.proposer != key(0).public() })
    );
}

#[test]
fn the_leader_dies_under_load() {
    let mut network = Network::with(4, 4, 1, rules(8, 1_000));
    network.connect();
    network.reach(0..4, 20, 5_000);
    network.crash(0, None);
    let height = network.height(1);
    // The session is lost at once: nobody waits for a timeout.
    network.reach(1..4, height + 10, 1_000);
    assert!(network.nodes[1].left.iter().any(|(_, cause)| matches!(cause, Cause::LeaderLost | Cause::Others)));
    // The next leader dies, too, and the first one returns.
    network.start(0);
    network.connect();
    network.crash(1, None);
    let height = network.height(2);
    network.reach([0, 2, 3], height + 10, 8_000);
    network.nobody_halted();
}

/// A member that left a view alone does not hold up the others when its turn to lead comes.
#[test]
fn a_leader_that_is_away_is_skipped() {
    let mut network = Network::with(4, 4, 1, rules(8, 20));
    network.pace_ms = 60;
    network.connect();
    network.reach(0..4, 5, 5_000);
    // Only node 1 loses its session to the leader.
    network.feed(1, Input::Peer { key: key(0).public(), connected: false });
    network.run_while(network.now + 1_000, |network| network.nodes[1].left.is_empty());
    assert!(network.nodes[1].left.iter().any(|(_, cause)| *cause == Cause::LeaderLost));
    network.reach(0..4, 60, 6_000);
    let causes: Vec<_> = network.nodes.iter().flat_map(|node| node.left.iter().map(|(_, cause)| *cause)).collect();
    assert!(causes.contains(&Cause::LeaderAway), "{causes:?}");
    network.nobody_halted();
}

#[test]
fn a_frozen_leader_is_skipped() {
    let mut network = Network::with(4, 4, 1, rules(8, 1_000));
    network.connect();
    network.reach(0..4, 20, 5_000);
    // Its sessions stay, but nothing goes through.
    network.faults.cut = (1..4).flat_map(|node| [(0, node), (node, 0)]).collect();
    let height = network.height(1);
    network.reach(1..4, height + 10, 4_000);
    network.faults.cut.clear();
    let height = network.height(1);
    network.reach(0..4, height + 10, 8_000);
    network.nobody_halted();
}

#[test]
fn permanent_one_way_cut_of_the_leader() {
    for deaf in [true, false] {
        let mut network = Network::with(4, 4, 1, rules(8, 1_000));
        network.connect();
        network.reach(0..4, 10, 5_000);
        network.faults.cut = (1..4).map(|node| if deaf { (node, 0) } else { (0, node) }).collect();
        let height = network.height(1);
        network.reach(1..4, height + 30, 15_000);
        network.nobody_halted();
    }
}

#[test]
fn no_quorum_no_progress_and_it_heals() {
    let mut network = Network::new(4, 1);
    network.connect();
    network.reach(0..4, 10, 5_000);
    network.faults.cut = [0, 1]
        .into_iter()
        .flat_map(|left| [2, 3].into_iter().flat_map(move |right| [(left, right), (right, left)]))
        .collect();
    network.run_for(500);
    let height = network.agreed.len();
    network.run_for(20_000);
    assert_eq!(network.agreed.len(), height);
    // Nobody ran ahead: at most the one view that is left for.
    assert!(network.nodes.iter().all(|node| node.left.len() <= 2));
    network.faults.cut.clear();
    network.reach(0..4, height as u64 + 10, 15_000);
    network.nobody_halted();
}

#[test]
fn a_seven_member_network_survives_two_silent_members() {
    let mut network = Network::with(7, 7, 1, rules(8, 2));
    network.connect();
    network.reach(0..7, 10, 5_000);
    network.crash(0, None);
    network.crash(3, None);
    let height = network.height(1);
    network.reach([1, 2, 4, 5, 6], height + 30, 30_000);
    network.nobody_halted();
}

#[test]
fn timestamps_far_off() {
    for skew in [3_600_000, -3_600_000] {
        let mut network = Network::with(4, 4, 1, rules(8, 1_000));
        network.nodes[0].skew_ms = skew;
        network.connect();
        // The first leader's clock is off: the others refuse its proposals once, and go on without it.
        network.reach(0..4, 40, 15_000);
        network.nobody_halted();
        let times: Vec<u64> = network.nodes[1].ledger.iter().map(|block| block.proposal.time.0).collect();
        assert!(times.is_sorted());
        assert!(times.iter().all(|time| time.abs_diff(network.now) < 60_000));
    }
}

#[test]
fn a_censoring_leader_is_replaced() {
    let mut network = Network::with(4, 4, 1, rules(8, 1_000));
    network.nodes[0].sees_pool = false;
    // Alive and well, but it proposes nothing; two members, f+1, hold transactions, the third holds none.
    network.nodes[3].sees_pool = false;
    network.connect();
    network.run_for(1_500);
    assert_eq!(network.agreed.len(), 0);
    network.reach(0..4, 5, 4_000);
    assert!(network.nodes[1].left.iter().any(|(_, cause)| matches!(cause, Cause::Censorship | Cause::Others)));
    // One member alone, with a transaction that nobody else has, moves nobody.
    let mut network = Network::with(4, 4, 1, rules(8, 1_000));
    for node in [0, 2, 3] {
        network.nodes[node].sees_pool = false;
    }
    network.connect();
    network.run_for(10_000);
    assert!(network.nodes.iter().all(|node| node.left.is_empty()));
}

#[test]
fn an_idle_network_is_silent() {
    let mut network = Network::new(4, 1);
    network.set_load(false);
    network.connect();
    network.run_for(1_000);
    network.sent.clear();
    network.run_for(60_000);
    assert!(network.agreed.is_empty());
    assert!(network.nodes.iter().all(|node| node.disk.is_empty() && node.left.is_empty()));
    assert_eq!(network.sent.keys().copied().collect::<Vec<_>>(), ["heartbeat"]);
    // The leader twice a second, the others once.
    assert!(network.sent["heartbeat"] <= 60 * (2 + 3) + 4, "{:?}", network.sent);
    // The first transaction is final at once.
    network.set_load(true);
    network.reach(0..4, 1, 100);
}

#[test]
fn proposal_returns_in_a_later_view_with_missing_bodies() {
    let mut network = Network::with(4, 4, 1, rules(8, 1_000));
    network.set_load(false);
    network.connect();
    network.run_for(100);
    // Everybody but node 3 gets the bodies; nobody's commits of view 0 arrive.
    network.nodes[3].lacks_bodies = true;
    network.tamper = Some(Box::new(|_, _, message| match message {
        Message::Vote(signed) if signed.vote.phase == Phase::Commit && signed.vote.view.0 == 0 => Some(vec![]),
        _ => None,
    }));
    network.max_transactions = 1;
    network.set_load(true);
    let changed = network.run_while(network.now + 10_000, |network| network.nodes[3].entered.is_empty());
    assert!(changed);
    let first = *network.nodes[3].checks.keys().next().unwrap();
    network.bodies_arrive(3);
    network.reach(0..4, 1, 10_000);
    // It is the proposal of view 0, and its bodies were asked for once.
    assert_eq!(network.agreed[&BlockNumber(1)].0, first);
    assert_eq!(network.nodes[3].checks[&first], 1);
}

/// §4: a certified height above one without certificate, whose proposals a needed member lacks.
#[test]
fn an_ancestor_without_certificate_is_not_lost() {
    let mut network = Network::with(4, 4, 1, rules(8, 1_000));
    let filtered = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let filter = Arc::clone(&filtered);
    network.tamper = Some(Box::new(move |_, to, message| {
        let lost = match message {
            // Node 3 sees no proposal, and nobody sees enough results of height 1.
            Message::PrePrepare(_) | Message::Ancestry(_) => to == 3,
            Message::Vote(signed) => signed.vote.height.0 == 1 && signed.vote.result.is_some(),
            _ => false,
        };
        (lost && filter.load(std::sync::atomic::Ordering::Relaxed)).then(Vec::new)
    }));
    network.max_transactions = 2;
    network.connect();
    network.run_for(250);
    assert!(network.agreed.is_empty());
    // One of the three that know is gone for good: the fourth is needed to prove height 1.
    network.crash(0, None);
    network.run_for(2_000);
    assert!(network.agreed.is_empty());
    filtered.store(false, std::sync::atomic::Ordering::Relaxed);
    network.max_transactions = u64::MAX;
    network.reach(1..4, 10, 10_000);
    assert_eq!(network.nodes[3].ledger[0].proposal.proposer, key(0).public());
    assert!(network.sent["ancestry"] > 0);
    network.nobody_halted();
}

#[test]
fn crash_at_every_persist_point() {
    for node in [0, 1] {
        for point in 1..=24 {
            for after in [false, true] {
                let mut network = Network::new(4, point);
                network.nodes[node].crash_at = Some((point, after));
                network.connect();
                network.reach(0..4, 20, 20_000);
                network.nobody_halted();
            }
        }
    }
}

#[test]
fn everybody_crashes_again_and_again() {
    for seed in 0..5 {
        let mut network = Network::with(4, 4, seed, rules(8, 1_000));
        network.connect();
        for round in 1..6 {
            network.run_for(150 + 37 * seed);
            for node in 0..4 {
                network.crash(node, Some(100));
            }
            network.run_for(200);
            let height = network.agreed.len() as u64;
            network.reach(0..4, height + 5, 8_000);
            // A dead leader now and then, so that views above 0 are restarted, too.
            if round % 2 == 0 {
                let leader = usize::from(network.status(1).leader.0);
                network.crash(leader, Some(1_500));
                network.run_for(1_000);
            }
        }
        network.nobody_halted();
    }
}

#[test]
fn divergent_execution_of_one_node() {
    let mut network = Network::new(4, 1);
    network.nodes[2].diverges = Some((10, 1));
    network.connect();
    network.reach([0, 1, 3], 30, 10_000);
    let Some(Divergence::Result { height, .. }) = &network.nodes[2].halted else {
        panic!("{:?}", network.nodes[2].halted)
    };
    // The wrong result shows at its own height or at a descendant's.
    assert!(height.0 >= 10);
    assert!(network.nodes[2].ledger.len() < 10);
}

#[test]
fn divergent_execution_of_f_nodes() {
    let mut network = Network::new(7, 1);
    network.nodes[2].diverges = Some((10, 1));
    network.nodes[5].diverges = Some((10, 2));
    network.connect();
    network.reach([0, 1, 3, 4, 6], 30, 10_000);
    assert!(network.nodes[2].halted.is_some() && network.nodes[5].halted.is_some());
}

#[test]
fn divergent_execution_of_more_than_f_nodes() {
    for (n, diverging) in [(4, vec![1, 2]), (7, vec![0, 1, 2])] {
        let mut network = Network::new(n, 1);
        for node in &diverging {
            network.nodes[*node].diverges = Some((10, 1));
        }
        network.connect();
        network.run_for(20_000);
        // No header can win: everybody stops with the evidence, and nothing is final that only some computed.
        assert_eq!(network.agreed.len(), 9);
        for node in &network.nodes {
            let Some(Divergence::NoQuorum { height, results, .. }) = &node.halted else { panic!("{:?}", node.halted) };
            assert!(height.0 >= 10 && results.len() == 2);
        }
    }
}

#[test]
fn a_lost_vote_log_abstains_and_returns() {
    let mut network = Network::with(4, 4, 1, rules(4, 1_000));
    network.connect();
    network.reach(0..4, 10, 5_000);
    network.crash(3, None);
    network.nodes[3].disk.clear();
    network.nodes[3].log = LogCondition::Lost;
    network.run_for(50);
    let lost_at = network.height(1);
    network.start(3);
    network.connect();
    let (height, sent) = (network.height(1), Arc::new(std::sync::Mutex::new(BTreeSet::new())));
    let seen = Arc::clone(&sent);
    network.tamper = Some(Box::new(move |from, _, message| {
        if let (3, Message::Vote(signed)) = (from, message) {
            seen.lock().unwrap().insert((signed.vote.height, signed.vote.view));
        }
        None
    }));
    network.reach(0..4, height + 200, 20_000);
    // Its heights have passed, and it has promised a view that it cannot have promised before: it waits for that one.
    let status = network.status(3);
    assert_eq!((status.abstains_until, status.view.0, status.promised.0), (None, 0, 2), "{status:?}");
    assert!(sent.lock().unwrap().iter().all(|(height, _)| height.0 > lost_at + 8));
    // When the leader dies the three that are left need it, and have it.
    network.crash(0, None);
    let height = network.height(1);
    network.reach(1..4, height + 30, 15_000);
    assert!(sent.lock().unwrap().iter().any(|(_, view)| view.0 >= 2));
    network.nobody_halted();
}

/// §3: one that has made its promise abstains no more, and its reports count for the next one that loses its log.
#[test]
fn one_after_the_other_loses_its_log() {
    let mut network = Network::with(4, 4, 1, rules(4, 1_000));
    network.connect();
    network.reach(0..4, 10, 5_000);
    for (node, promise) in [(3, 2), (2, 4)] {
        network.crash(node, None);
        network.nodes[node].disk.clear();
        network.nodes[node].log = LogCondition::Lost;
        network.start(node);
        network.connect();
        let height = network.height(1);
        network.reach(0..4, height + 200, 20_000);
        let status = network.status(node);
        assert_eq!((status.abstains_until, status.promised.0), (None, promise), "{status:?}");
    }
    network.nobody_halted();
}

#[test]
fn empty_blocks_carry_a_recovering_voter() {
    let mut network = Network::with(4, 4, 1, rules(4, 1_000));
    network.connect();
    network.reach(0..4, 10, 5_000);
    network.set_load(false);
    network.run_for(500);
    network.crash(3, None);
    network.nodes[3].disk.clear();
    network.nodes[3].log = LogCondition::Lost;
    let height = network.height(1);
    network.start(3);
    network.connect();
    network.run_for(10_000);
    // Two windows beyond what was final, and then the chain rests again.
    let reached = network.height(1);
    assert!((height + 8..=height + 16).contains(&reached), "{height} {reached}");
    network.run_for(10_000);
    assert_eq!(network.height(1), reached);
    assert_eq!(network.status(3).promised.0, 2);
}

/// Members change from 4 to 7 and from 4 to 1, with heights in flight.
#[test]
fn membership_changes_in_the_pipeline() {
    for (voters, next) in [(4, 0..7), (4, 3..4), (4, 2..6), (1, 0..4)] {
        for seed in 0..3 {
            let mut network = Network::with(7, voters, seed, rules(4, 3));
            let committee = Committee::new(Epoch(1), BlockNumber(20 + 4), members(next.clone()));
            network.change = Some((20, committee));
            network.faults = Faults { loss_permille: 10, ..Faults::default() };
            network.connect();
            // Whoever does not vote yet catches up as the ledger goes.
            network.reach(next.clone(), 60, 60_000);
            network.nobody_halted();
            for block in &network.nodes[next.start].ledger {
                let epoch = if block.proposal.height.0 < 24 { Epoch(0) } else { Epoch(1) };
                assert_eq!((block.proposal.epoch, block.certificate.epoch), (epoch, epoch));
            }
        }
    }
}

#[test]
fn membership_changes_while_the_leader_is_dead() {
    let mut network = Network::with(7, 4, 5, rules(4, 1_000));
    network.change = Some((20, Committee::new(Epoch(1), BlockNumber(24), members(1..6))));
    network.connect();
    network.reach(0..4, 18, 5_000);
    network.crash(0, None);
    network.reach(1..6, 60, 30_000);
    network.nobody_halted();
    assert_eq!(network.status(1).epoch, Epoch(1));
}

#[test]
fn a_member_that_was_away_for_long_catches_up() {
    let mut network = Network::new(4, 1);
    network.connect();
    network.reach(0..4, 10, 5_000);
    network.crash(2, None);
    network.run_for(2_000);
    let height = network.height(0);
    assert!(height > 50);
    network.start(2);
    network.connect();
    network.reach([2], height, 3_000);
    // It votes again: with another one gone the rest go on.
    network.crash(1, None);
    let height = network.height(0);
    network.reach([0, 2, 3], height + 20, 10_000);
    network.nobody_halted();
}
