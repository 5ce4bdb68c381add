//! Raft groups: scenarios by name, and by chance.

use crate::passes;
use lian_sim::{CrashPoint, Down, Fault, Links, Load, Outcome, Scenario, Target, run_range};
use lian_types::ConsensusKind;
use std::{num::NonZeroUsize, ops::Range, thread::available_parallelism};

/// The seeds that every change must pass.
const SEEDS: Range<u64> = 0..40;

const LEADER: Target = Target::Leader;

/// So many members of a Raft group at ten transactions a second.
fn group(seed: u64, members: usize) -> Scenario {
    let mut scenario = Scenario::calm(seed, members, 60_000).by_raft();
    scenario.load_end_ms = 50_000;
    scenario
}

fn count(outcome: &Outcome, what: &str) -> u64 {
    outcome.counts.get(what).copied().unwrap_or(0)
}

#[test]
fn raft_groups_of_any_size_finalise_everything() {
    for members in [1, 2, 3, 4, 5, 7] {
        let outcome = passes(&group(1, members));
        assert!(outcome.transactions >= 490, "{members} members: {} transactions", outcome.transactions);
        assert_eq!(count(&outcome, "blocks caught up"), 0, "{members} members");
    }
}

#[test]
fn an_idle_raft_group_writes_nothing() {
    let mut quiet = group(1, 4);
    (quiet.load_end_ms, quiet.end_ms) = (5_000, 20_000);
    let mut longer = quiet.clone();
    longer.end_ms = 80_000;
    let [short, long] = [quiet, longer].map(|scenario| passes(&scenario));
    for what in ["vote fsyncs", "blocks", "flushes"] {
        assert_eq!(count(&short, what), count(&long, what), "{what} in an idle minute");
    }
}

/// The leader and a minority on an island go on proposing until they notice; the others elect another leader meanwhile.
#[test]
fn an_island_with_a_stale_leader_forks_nothing() {
    for seed in 2..8 {
        for noticed in [false, true] {
            // Whoever leads, one of the two islands has it.
            let scenario = group(seed, 5)
                .with(8_000, Some(18_000), Fault::Partition { side: vec![0, 1], noticed })
                .with(22_000, Some(32_000), Fault::Partition { side: vec![2, 3], noticed })
                .with(36_000, Some(40_000), Fault::Partition { side: vec![4], noticed });
            passes(&scenario);
        }
    }
}

#[test]
fn a_raft_leader_that_nobody_hears_or_that_hears_nobody_is_replaced() {
    for noticed in [false, true] {
        passes(&group(3, 3).with(10_000, None, Fault::Mute { target: LEADER, noticed }));
        passes(&group(3, 3).with(10_000, None, Fault::Deaf { target: LEADER, noticed }));
    }
    for until_ms in [Some(11_500), Some(30_000), None] {
        passes(&group(4, 3).with(10_000, until_ms, Fault::Freeze { target: LEADER }));
    }
}

/// Messages take around an election timeout longer.
#[test]
fn delays_around_the_election_timeout_stop_nobody_for_long() {
    for seed in 5..9 {
        let mut scenario = group(seed, 5);
        scenario.view_timeout_ms = (500, 4_000);
        scenario.links = Links { delay_us: (1_000, 20_000), jitter_us: 50_000 };
        passes(&scenario.with(8_000, Some(38_000), Fault::Delay { permille: 300, extra_ms: (375, 625) }));
    }
}

/// A member without its log takes no part any more; the others go on, and it follows.
#[test]
fn a_raft_member_without_its_log_only_follows() {
    for gone in [false, true] {
        let outcome = passes(&group(6, 3).with(10_000, Some(12_000), Fault::LoseVotes { target: LEADER, gone }));
        assert_eq!(count(&outcome, "vote logs lost"), 1);
    }
}

/// Two of five are removed at once, the leader among them: whoever leads, and whatever it is doing just then.
#[test]
fn two_members_are_removed_from_a_raft_group_at_once() {
    for seed in 7..10 {
        for sealers in [[0, 1, 2], [2, 3, 4], [0, 2, 4], [1, 3, 4]] {
            let mut scenario = group(seed, 5).with(10_000, Some(10_000), Fault::Members { sealers: sealers.to_vec() });
            (scenario.load_end_ms, scenario.end_ms) = (20_000, 30_000);
            let outcome = passes(&scenario);
            assert_eq!(count(&outcome, "epochs begun"), 1, "{:?}", outcome.counts);
        }
    }
}

#[test]
fn a_raft_group_grows_from_one_to_four_to_seven_and_shrinks_to_four() {
    let mut scenario = group(8, 1);
    scenario.observers = 6;
    scenario.load = Load { interval_ms: 100, burst: 5, rivals_permille: 0, copies_permille: 0 };
    for (at_ms, sealers) in [(10_000, 0..4), (20_000, 0..7), (30_000, 3..7)] {
        scenario = scenario.with(at_ms, Some(at_ms), Fault::Members { sealers: sealers.collect() });
    }
    let outcome = passes(&scenario);
    assert_eq!(count(&outcome, "epochs begun"), 3, "{:?}", outcome.counts);
    assert!(outcome.transactions >= 2_400, "{} transactions", outcome.transactions);
}

/// At every point between writing, sending and applying, in turn on a follower and on the leader.
#[test]
fn a_raft_group_survives_crashes_at_every_point() {
    for point in [
        CrashPoint::VoteSync,
        CrashPoint::VoteDurable,
        CrashPoint::Sending,
        CrashPoint::Executed,
        CrashPoint::BlockSync,
        CrashPoint::BlockDurable,
    ] {
        for target in [Target::Node(1), LEADER] {
            let fault = Fault::CrashAt { target, point, times: 6, down_ms: 700 };
            passes(&group(9, 3).with(8_000, Some(38_000), fault));
        }
    }
    for down in [Down::Kill, Down::PowerLoss] {
        passes(&group(9, 4).with(10_000, Some(11_000), Fault::CrashAll { down }));
    }
}

#[test]
fn no_seed_of_a_raft_group_breaks_a_rule() {
    let jobs = available_parallelism().map_or(1, NonZeroUsize::get);
    let summary = run_range(ConsensusKind::Raft, SEEDS, jobs, &|outcome| {
        if let Some(failure) = &outcome.failure {
            println!("seed {} at {} ms: {}: {}", outcome.seed, failure.time_ms, failure.invariant, failure.what);
        }
        true
    });
    let failed: Vec<_> = summary.failed.iter().map(|outcome| outcome.seed).collect();
    assert!(failed.is_empty(), "failed seeds: {failed:?}; `lian sim --consensus raft --seed N --explain` tells more");
    assert_eq!(summary.passed, SEEDS.end - SEEDS.start);
    for (situation, least) in SITUATIONS {
        let found = summary.counts.get(situation).copied().unwrap_or(0);
        assert!(found >= *least, "`{situation}` occurred {found} times: {:?}", summary.counts);
    }
}

/// What must occur in these seeds, and how often at least.
const SITUATIONS: &[(&str, u64)] = &[
    ("blocks", 5_000),
    ("blocks caught up", 500),
    ("certificates of what Raft committed", 20_000),
    ("crashes", 60),
    ("epochs begun", 20),
    ("messages lost", 50),
    ("torn writes", 5),
    ("vote logs lost", 3),
    ("vote logs renewed", 5),
];
