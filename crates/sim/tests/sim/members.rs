//! Members that come and go while the chain runs.

use crate::passes;
use lian_sim::{CrashPoint, Down, Fault, Links, Load, Outcome, Scenario, Target};
use std::ops::Range;

/// A network of so many nodes, the first ones its members, at fifty transactions a second.
fn network(seed: u64, nodes: usize, members: usize) -> Scenario {
    let mut scenario = Scenario::calm(seed, members, 60_000);
    scenario.observers = nodes - members;
    scenario.load_end_ms = 50_000;
    scenario.load = Load { interval_ms: 100, burst: 5, rivals_permille: 0, copies_permille: 0 };
    scenario
}

/// The operator wants these to be the members.
fn change(scenario: Scenario, at_ms: u64, sealers: Range<usize>) -> Scenario {
    scenario.with(at_ms, Some(at_ms), Fault::Members { sealers: sealers.collect() })
}

fn count(outcome: &Outcome, what: &str) -> u64 {
    outcome.counts.get(what).copied().unwrap_or(0)
}

#[test]
fn a_group_grows_from_one_to_four_to_seven_and_shrinks_to_four_under_load() {
    for window in [1, 2, 8, 16] {
        let mut scenario = network(1, 7, 1);
        scenario.window = window;
        scenario = change(scenario, 10_000, 0..4);
        scenario = change(scenario, 20_000, 0..7);
        scenario = change(scenario, 30_000, 3..7);
        let outcome = passes(&scenario);
        assert_eq!(count(&outcome, "changes of members"), 3, "{:?}", outcome.counts);
        assert!(outcome.transactions >= 2_000, "{} transactions", outcome.transactions);
    }
}

/// The old members and the new ones have nobody in common.
#[test]
fn all_members_are_replaced_at_once() {
    let outcome = passes(&change(change(network(2, 8, 4), 10_000, 4..8), 25_000, 0..4));
    assert_eq!(count(&outcome, "changes of members"), 2);
}

/// Nobody sends anything but the operator: the change must act nevertheless, and then nothing more is written.
#[test]
fn an_idle_chain_gets_to_its_new_members() {
    let mut scenario = change(network(3, 7, 4), 20_000, 0..7);
    scenario.load_end_ms = 5_000;
    scenario.end_ms = 40_000;
    let mut longer = scenario.clone();
    longer.end_ms = 100_000;
    let [short, long] = [scenario, longer].map(|scenario| passes(&scenario));
    assert_eq!(count(&short, "epochs begun"), 1, "{:?}", short.counts);
    for what in ["vote fsyncs", "blocks", "flushes"] {
        assert_eq!(count(&short, what), count(&long, what), "{what} in an idle minute");
    }
}

#[test]
fn a_second_change_waits_for_the_first() {
    let scenario = (0..6).fold(network(4, 7, 4), |scenario, step: usize| {
        change(scenario, 10_000 + step as u64, 0..4 + [1, 2, 3, 0][step % 4])
    });
    let outcome = passes(&scenario);
    assert_eq!(count(&outcome, "changes of members"), 6, "{:?}", outcome.counts);
}

/// Slow links keep many heights open while the members change.
#[test]
fn members_change_in_the_pipeline() {
    for seed in 10..16 {
        let mut scenario = network(seed, 7, 4);
        scenario.links = Links { delay_us: (30_000, 60_000), jitter_us: 20_000 };
        scenario.load = Load { interval_ms: 20, burst: 2, rivals_permille: 0, copies_permille: 0 };
        for (step, sealers) in (0..).zip([0..7, 2..6, 0..4, 1..7]) {
            scenario = change(scenario, 8_000 + 8_000 * step, sealers);
        }
        let outcome = passes(&scenario);
        assert_eq!(count(&outcome, "changes of members"), 4, "{:?}", outcome.counts);
    }
}

#[test]
fn members_change_during_a_view_change() {
    for seed in 20..26 {
        let mut scenario = network(seed, 7, 4);
        for step in 0..4 {
            let at_ms = 8_000 + 8_000 * step;
            let mute = Fault::Mute { target: Target::Leader, noticed: step % 2 == 0 };
            scenario = scenario.with(at_ms, Some(at_ms + 4_000), mute);
            let sealers = if step % 2 == 0 { 0..7 } else { 2..6 };
            scenario = change(scenario, at_ms + 30 * (seed - 20), sealers);
        }
        let outcome = passes(&scenario);
        assert_eq!(count(&outcome, "changes of members"), 4, "{:?}", outcome.counts);
        assert!(count(&outcome, "commit certificates of later views") > 0, "{:?}", outcome.counts);
    }
}

/// The leader goes, and comes back.
#[test]
fn a_removed_leader_follows_as_an_observer() {
    let outcome = passes(&change(change(network(30, 5, 4), 10_000, 1..5), 30_000, 0..4));
    assert_eq!(count(&outcome, "epochs begun"), 2, "{:?}", outcome.counts);
}

/// Nodes go down around the height at which the members change, the last block of the old ones or the first of the new.
#[test]
fn nodes_restart_right_before_and_after_the_switch() {
    for (seed, point) in (40..).zip([CrashPoint::VoteDurable, CrashPoint::BlockDurable, CrashPoint::BlockSync]) {
        for down_ms in [20, 2_000] {
            let mut scenario = network(seed, 7, 4);
            for step in 0..5 {
                let at_ms = 6_000 + 6_000 * step;
                scenario = change(scenario, at_ms, if step % 2 == 0 { 0..7 } else { 1..5 });
                for node in 0..5 {
                    let fault = Fault::CrashAt { target: Target::Node(node), point, times: 2, down_ms };
                    scenario = scenario.with(at_ms, Some(at_ms + 1_000), fault);
                }
            }
            let outcome = passes(&scenario);
            assert!(count(&outcome, "crashes") >= 5, "{:?}", outcome.counts);
            assert_eq!(count(&outcome, "changes of members"), 5, "{:?}", outcome.counts);
        }
    }
}

/// Who was away while all the members changed, several times, believes each epoch by the one before.
#[test]
fn a_node_catches_up_over_many_epochs() {
    for window in [1, 8] {
        let mut scenario = network(50, 8, 4);
        scenario.window = window;
        let away = Fault::Crash { target: Target::Node(3), down: Down::PowerLoss };
        scenario = scenario.with(5_000, Some(42_000), away);
        for (step, sealers) in (0..).zip([4..8, 0..3, 4..8, 0..3, 4..7, 3..7]) {
            scenario = change(scenario, 8_000 + 5_000 * step, sealers);
        }
        let outcome = passes(&scenario);
        assert_eq!(count(&outcome, "changes of members"), 6, "{:?}", outcome.counts);
        assert!(count(&outcome, "blocks caught up") > 100, "{:?}", outcome.counts);
    }
}

#[test]
fn parameters_change_on_all_nodes_at_the_same_height() {
    let mut scenario = network(60, 5, 4);
    scenario.load = Load { interval_ms: 500, burst: 40, rivals_permille: 0, copies_permille: 0 };
    for step in 0..8 {
        scenario = scenario.with(5_000 + 4_000 * step, Some(5_000 + 4_000 * step), Fault::Parameters);
    }
    let outcome = passes(&scenario);
    assert_eq!(count(&outcome, "changes of parameters"), 8, "{:?}", outcome.counts);
}
