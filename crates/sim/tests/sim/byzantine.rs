//! Members that do what they like, each by what it does.

use crate::passes;
use lian_sim::{Byzantine, Fault, Kind, Load, Outcome, Rule, Scenario, Trick, Twin};

/// Four nodes at ten transactions a second for a minute.
fn four(seed: u64) -> Scenario {
    let mut scenario = Scenario::calm(seed, 4, 60_000);
    scenario.load_end_ms = 50_000;
    scenario
}

/// The same for half a minute.
fn short(seed: u64) -> Scenario {
    let mut scenario = Scenario::calm(seed, 4, 30_000);
    scenario.load_end_ms = 25_000;
    scenario
}

/// A Byzantine member that plays tricks from 3 s on.
fn member(member: usize, rules: Vec<Rule>) -> Byzantine {
    let rules = rules.into_iter().map(|rule| Rule { from_ms: 3_000, ..rule }).collect();
    Byzantine { member, twin: None, rules }
}

fn both(rule: Rule) -> Rule {
    Rule { besides: true, ..rule }
}

fn count(outcome: &Outcome, what: &str) -> u64 {
    outcome.counts.get(what).copied().unwrap_or(0)
}

/// Runs a scenario in which member 0, the first leader, is Byzantine, with terms of several lengths.
fn all_pass(rules: &[Rule]) -> Vec<Outcome> {
    let run = |(seed, term)| {
        let mut scenario = short(seed).with_byzantine(member(0, rules.to_vec()));
        scenario.leader_term = term;
        passes(&scenario)
    };
    (200..).zip([1, 3, 1_024]).map(run).collect()
}

#[test]
fn a_leader_that_equivocates_with_later_heights_in_flight() {
    for peers in [&[1][..], &[1, 2], &[1, 2, 3]] {
        for rule in [Rule::always(Trick::OtherProposal), both(Rule::always(Trick::OtherProposal))] {
            let mut scenario = four(300 + peers.len() as u64).with_byzantine(member(0, vec![rule.towards(peers)]));
            scenario.load = Load { interval_ms: 100, burst: 4, rivals_permille: 0, copies_permille: 0 };
            scenario.links.delay_us = (20_000, 40_000);
            let outcome = passes(&scenario);
            assert!(outcome.transactions > 1_500, "{:?}", outcome.counts);
        }
    }
}

/// One member alone was given a transaction, and the proposal that holds it. It leaves the view, where it cannot do without
/// the others, who know of nothing that waits and see a leader that is there.
#[test]
fn a_leader_that_shows_its_proposal_to_one_member() {
    let silence = |kind| Rule::always(Trick::Silence { kind }).towards(&[2, 3]);
    let mut rules = [Kind::Pool, Kind::Proposals, Kind::Votes, Kind::ViewChanges].map(silence).to_vec();
    rules.push(Rule::always(Trick::HideLeaving));
    let mut waited = 0;
    for seed in 330..345 {
        let mut scenario = short(seed).with_byzantine(member(0, rules.clone()));
        // One when all is well, and one more.
        scenario.load.interval_ms = 5_000;
        scenario.load_end_ms = 7_500;
        scenario.patience_ms = 60_000;
        let outcome = passes(&scenario);
        assert_eq!(outcome.transactions, 2, "seed {seed}: {:?}", outcome.counts);
        waited += u64::from(outcome.longest_pause_ms > scenario.censorship_timeout_ms);
    }
    assert!(waited > 0, "no seed gave it to the leader");
}

#[test]
fn a_leader_that_censors_is_replaced() {
    for outcome in all_pass(&[Rule::always(Trick::Censor { accounts: 8 })]) {
        assert!(outcome.transactions > 230, "{:?}", outcome.counts);
    }
}

#[test]
fn twins_on_both_sides_of_a_partition() {
    for seed in 310..316 {
        let twin = Byzantine { member: 0, twin: Some(Twin::default()), rules: Vec::new() };
        let mut scenario = four(seed).with_byzantine(twin);
        scenario.leader_term = if seed % 2 == 0 { 1 } else { 1_024 };
        // The second machine is number 4, and on the other side.
        for from_ms in [5_000, 15_000, 25_000] {
            let side = if from_ms == 15_000 { vec![0, 1, 2] } else { vec![0, 1] };
            let fault = Fault::Partition { side, noticed: seed % 3 == 0 };
            scenario = scenario.with(from_ms, Some(from_ms + 8_000), fault);
        }
        passes(&scenario);
    }
}

#[test]
fn twins_that_know_different_peers() {
    for (seed, peers) in (320..).zip([[vec![1, 2], vec![2, 3]], [vec![1], vec![2, 3]], [Vec::new(), vec![3]]]) {
        let twin = Byzantine { member: 0, twin: Some(Twin { peers }), rules: Vec::new() };
        passes(&four(seed).with_byzantine(twin));
    }
}

#[test]
fn twins_with_amnesia() {
    for seed in 330..336 {
        let twin = Byzantine { member: 0, twin: Some(Twin::default()), rules: Vec::new() };
        let mut scenario = four(seed).with_byzantine(twin);
        scenario.leader_term = 3;
        for (machine, from_ms, until_ms) in
            [(0, 4_000, 9_000), (4, 0, 12_000), (0, 12_000, 20_000), (4, 14_000, 25_000)]
        {
            scenario = scenario.with(from_ms, Some(until_ms), Fault::Rewind { machine });
        }
        let side = vec![0, 1];
        let outcome = passes(&scenario.with(10_000, Some(16_000), Fault::Partition { side, noticed: true }));
        assert_eq!(count(&outcome, "machines rewound"), 4);
    }
}

#[test]
fn a_flood_of_proposals_that_nobody_can_accept() {
    for outcome in all_pass(&[Rule::always(Trick::Flood { count: 8 })]) {
        assert!(count(&outcome, "messages refused") > 100, "{:?}", outcome.counts);
    }
}

#[test]
fn invalid_proposals_end_their_leaders_view() {
    for trick in [
        Trick::Duplicate,
        Trick::Unknown,
        Trick::OtherParent,
        Trick::OtherTime { ms: -60_000 },
        Trick::OtherTime { ms: 3_600_000 },
    ] {
        all_pass(&[Rule::always(trick)]);
    }
}

#[test]
fn transactions_that_cannot_run_are_skipped_alike() {
    let rule = |trick| Rule { permille: 300, ..Rule::always(trick) };
    for outcome in all_pass(&[rule(Trick::Stale), rule(Trick::Early)]) {
        assert!(count(&outcome, "transactions skipped") > 0, "{:?}", outcome.counts);
    }
}

#[test]
fn votes_for_anything_else() {
    for trick in [
        Trick::OtherDigest,
        Trick::OtherResult,
        Trick::NoResult,
        Trick::OtherHeight { by: 1 },
        Trick::OtherHeight { by: 1_000_000 },
        Trick::OtherView { by: 1 },
        Trick::OtherView { by: u64::MAX },
        Trick::OtherPhase,
        Trick::OtherSigner,
    ] {
        for rule in [Rule::always(trick), both(Rule::always(trick).towards(&[1, 2]))] {
            passes(&short(340).with_byzantine(member(3, vec![rule])));
        }
    }
}

/// The leader is cut off again and again, so that views change while the Byzantine member lies about what it knows.
#[test]
fn view_changes_and_new_views_that_lie() {
    for trick in [
        Trick::OmitPrepared,
        Trick::OldBase,
        Trick::StripSigners,
        Trick::DuplicateSigners,
        Trick::WrongEpoch,
        Trick::ClaimPrepared,
        Trick::HugeView,
        Trick::OtherNewView,
        Trick::OmitForced,
    ] {
        for rule in [Rule::always(trick), both(Rule::always(trick).towards(&[0, 1]))] {
            let mut scenario = four(350).with_byzantine(member(3, vec![rule]));
            scenario.load = Load { interval_ms: 100, burst: 4, rivals_permille: 0, copies_permille: 0 };
            for from_ms in (4_000..40_000).step_by(4_000) {
                let fault = Fault::Mute { target: lian_sim::Target::Leader, noticed: from_ms % 8_000 == 0 };
                scenario = scenario.with(from_ms, Some(from_ms + 2_500), fault);
            }
            let outcome = passes(&scenario);
            assert!(count(&outcome, "commit certificates of later views") > 0, "{:?}", outcome.counts);
        }
    }
}

#[test]
fn heartbeats_and_reports_that_lie() {
    all_pass(&[Rule::always(Trick::LieHeartbeat), Rule::always(Trick::LieReport)]);
}

#[test]
fn a_peer_that_lies_to_who_catches_up() {
    for trick in [Trick::LieStatus, Trick::LieBlocks, Trick::Silence { kind: Kind::CatchUp }] {
        let down = lian_sim::Down::PowerLoss;
        let away = Fault::Crash { target: lian_sim::Target::Node(3), down };
        let scenario = four(360).with_byzantine(member(0, vec![Rule::always(trick)]));
        let outcome = passes(&scenario.with(5_000, Some(30_000), away));
        assert!(count(&outcome, "blocks caught up") > 100, "{:?}", outcome.counts);
    }
}

#[test]
fn old_messages_once_more() {
    all_pass(&[both(Rule { permille: 300, ..Rule::always(Trick::Replay) })]);
}

#[test]
fn silence_and_delays_of_a_leader() {
    for kind in [Kind::Any, Kind::Proposals, Kind::Votes, Kind::ViewChanges, Kind::Heartbeats, Kind::Pool] {
        all_pass(&[Rule::always(Trick::Silence { kind }).towards(&[1, 2])]);
        all_pass(&[Rule::always(Trick::Delay { kind, ms: (700, 1_300) })]);
    }
    all_pass(&[Rule::always(Trick::Withhold)]);
}

#[test]
fn two_of_seven_lie_together() {
    for seed in 370..374 {
        let first = vec![Rule::always(Trick::OtherProposal).towards(&[2, 3]), both(Rule::always(Trick::OtherResult))];
        let second = vec![Rule::always(Trick::OmitPrepared), Rule::always(Trick::OtherNewView)];
        let mut scenario = Scenario::calm(seed, 7, 60_000);
        scenario.leader_term = if seed % 2 == 0 { 1 } else { 1_024 };
        passes(&scenario.with_byzantine(member(0, first)).with_byzantine(member(1, second)));
    }
}
