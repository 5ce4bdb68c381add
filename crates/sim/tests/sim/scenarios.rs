//! Situations that every consensus must survive, each by its name.

use crate::passes;
use lian_sim::{CrashPoint, Down, Fault, Links, Load, Outcome, Scenario, Target};

const LEADER: Target = Target::Leader;

/// Four nodes at ten transactions a second, with a fault.
fn four(seed: u64, from_ms: u64, until_ms: Option<u64>, fault: Fault) -> Scenario {
    let mut scenario = Scenario::calm(seed, 4, 60_000).with(from_ms, until_ms, fault);
    scenario.load_end_ms = 50_000;
    scenario
}

fn count(outcome: &Outcome, what: &str) -> u64 {
    outcome.counts.get(what).copied().unwrap_or(0)
}

#[test]
fn networks_of_any_size_finalise_everything() {
    for members in [1, 4, 7] {
        let outcome = passes(&Scenario::calm(1, members, 60_000));
        // Ten a second from 0.3 s to 58 s.
        assert!(outcome.transactions >= 570, "{members} members: {} transactions", outcome.transactions);
    }
}

#[test]
fn an_idle_network_writes_nothing() {
    let mut quiet = Scenario::calm(1, 4, 20_000);
    quiet.load_end_ms = 5_000;
    let mut longer = quiet.clone();
    longer.end_ms = 80_000;
    let [short, long] = [quiet, longer].map(|scenario| passes(&scenario));
    for what in ["vote fsyncs", "blocks", "flushes"] {
        assert_eq!(count(&short, what), count(&long, what), "{what} in an idle minute");
    }
}

#[test]
fn a_leader_that_nobody_hears_is_replaced() {
    for noticed in [false, true] {
        let fault = Fault::Mute { target: LEADER, noticed };
        let outcome = passes(&four(2, 10_000, None, fault));
        assert!(count(&outcome, "commit certificates of later views") > 0);
    }
}

#[test]
fn a_leader_that_hears_nobody_is_replaced() {
    for noticed in [false, true] {
        passes(&four(3, 10_000, None, Fault::Deaf { target: LEADER, noticed }));
    }
}

#[test]
fn a_frozen_leader_is_replaced_and_comes_back() {
    for until_ms in [Some(10_800), Some(13_000), Some(30_000), None] {
        passes(&four(4, 10_000, until_ms, Fault::Freeze { target: LEADER }));
    }
}

#[test]
fn a_leader_with_a_slow_disk_delays_only() {
    passes(&four(5, 10_000, None, Fault::SlowDisk { target: LEADER, extra_ms: 2_000 }));
}

#[test]
fn every_crash_point_is_survived_by_a_node_a_leader_and_all() {
    let points = [
        CrashPoint::VoteSync,
        CrashPoint::VoteDurable,
        CrashPoint::Sending,
        CrashPoint::Executed,
        CrashPoint::BlockSync,
        CrashPoint::BlockDurable,
    ];
    for (seed, point) in (10..).zip(points) {
        for target in [Target::Node(1), LEADER] {
            let fault = Fault::CrashAt { target, point, times: 20, down_ms: 50 };
            let outcome = passes(&four(seed, 3_000, Some(40_000), fault));
            assert!(count(&outcome, "crashes") >= 1, "{point:?}: {:?}", outcome.counts);
        }
        let mut all = Scenario::calm(seed, 4, 60_000);
        for node in 0..4 {
            let fault = Fault::CrashAt { target: Target::Node(node), point, times: 10, down_ms: 200 };
            all = all.with(3_000, Some(30_000), fault);
        }
        let outcome = passes(&all);
        assert!(count(&outcome, "crashes") >= 20, "{point:?}: {:?}", outcome.counts);
    }
}

#[test]
fn all_nodes_lose_power_at_once() {
    for down in [Down::Kill, Down::PowerLoss] {
        let mut scenario = Scenario::calm(30, 4, 60_000);
        for from_ms in [5_000, 9_000, 14_000, 20_000, 27_000] {
            scenario = scenario.with(from_ms, Some(from_ms + 1_000), Fault::CrashAll { down });
        }
        let outcome = passes(&scenario);
        assert_eq!(count(&outcome, "crashes"), 20);
    }
}

#[test]
fn a_single_node_survives_power_losses_at_every_disk_operation() {
    for seed in 0..20 {
        let target = Target::Node(0);
        let fault = Fault::PowerLoss { target, operations: 3 * seed, times: 10, down_ms: 100 };
        let outcome = passes(&Scenario::calm(seed, 1, 60_000).with(2_000, Some(40_000), fault));
        assert!(count(&outcome, "crashes") >= 5, "{:?}", outcome.counts);
    }
}

#[test]
fn a_full_disk_stops_the_node_and_room_brings_it_back() {
    for fault in [
        Fault::DiskFull { target: LEADER, free: 5_000 },
        Fault::SyncFails { target: LEADER, after: 3 },
        Fault::SyncFails { target: Target::Node(2), after: 0 },
    ] {
        let outcome = passes(&four(40, 8_000, Some(20_000), fault));
        assert_eq!(count(&outcome, "stops for a bad disk"), 1);
    }
}

#[test]
fn a_node_without_its_vote_log_abstains_and_returns() {
    for gone in [true, false] {
        let fault = Fault::LoseVotes { target: LEADER, gone };
        let outcome = passes(&four(50, 10_000, Some(12_000), fault));
        assert!(count(&outcome, "vote logs lost") >= 1, "{:?}", outcome.counts);
    }
}

/// A leader that is back before anybody has left its view, without knowing what it has proposed and voted there.
#[test]
fn a_leader_without_its_vote_log_contradicts_nothing() {
    for seed in 51..54 {
        let mut scenario = four(seed, 10_000, Some(10_020), Fault::LoseVotes { target: LEADER, gone: seed % 2 == 0 });
        scenario.load = Load { interval_ms: 20, burst: 1, rivals_permille: 0, copies_permille: 0 };
        scenario.links = Links { delay_us: (20_000, 40_000), jitter_us: 10_000 };
        let outcome = passes(&scenario);
        assert!(count(&outcome, "vote logs lost") >= 1, "{:?}", outcome.counts);
    }
}

#[test]
fn clocks_an_hour_off_stop_nobody_else() {
    for skew_ms in [-3_600_000, 3_600_000] {
        for node in 0..4 {
            let mut scenario = Scenario::calm(60, 4, 60_000);
            scenario.skews_ms = vec![0; 4];
            scenario.skews_ms[node] = skew_ms;
            scenario.leader_term = 16;
            passes(&scenario);
        }
    }
}

#[test]
fn halves_that_do_not_hear_each_other_wait_and_go_on() {
    for noticed in [false, true] {
        let fault = Fault::Partition { side: vec![0, 1], noticed };
        passes(&four(70, 10_000, Some(30_000), fault));
    }
}

#[test]
fn delays_around_the_timeout_fork_nobody() {
    for permille in [100, 500, 1_000] {
        let fault = Fault::Delay { permille, extra_ms: (800, 1_300) };
        passes(&four(80, 5_000, Some(40_000), fault));
    }
}

#[test]
fn a_link_that_loses_half_of_all_votes_delays_only() {
    passes(&four(90, 5_000, Some(40_000), Fault::Loss { permille: 500 }));
}

#[test]
fn a_node_that_was_away_catches_up() {
    let fault = Fault::Crash { target: Target::Node(3), down: Down::PowerLoss };
    let outcome = passes(&four(100, 5_000, Some(40_000), fault));
    assert!(count(&outcome, "blocks caught up") > 100, "{:?}", outcome.counts);
}

#[test]
fn rivals_for_a_nonce_end_with_one_winner() {
    let mut scenario = Scenario::calm(110, 4, 60_000);
    scenario.load = Load { interval_ms: 100, burst: 3, rivals_permille: 500, copies_permille: 300 };
    scenario.links = Links { delay_us: (5_000, 30_000), jitter_us: 20_000 };
    passes(&scenario);
}

/// What an hour of four nodes at ten transactions a second costs is told by `time`.
#[test]
#[ignore = "half a minute of processor time; docs/reliability.md has the command"]
fn an_hour_without_faults() {
    let outcome = passes(&Scenario::calm(1, 4, 3_600_000));
    assert_eq!(outcome.simulated_ms, 3_600_000);
    assert!(outcome.transactions >= 35_900, "{} transactions", outcome.transactions);
}
