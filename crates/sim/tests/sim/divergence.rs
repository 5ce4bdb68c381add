//! Divergent execution on one node, on f and on more, and how operators recover from it.

use lian_sim::{Down, Fault, Options, Outcome, Scenario, Target, run_scenario};

#[track_caller]
fn passes(scenario: &Scenario) -> Outcome {
    let outcome = run_scenario(scenario, &Options { explain: true });
    if let Some(failure) = &outcome.failure {
        panic!("{scenario}\n{}\n{}: {}", failure.story, failure.invariant, failure.what);
    }
    outcome
}

fn count(outcome: &Outcome, what: &str) -> u64 {
    outcome.counts.get(what).copied().unwrap_or(0)
}

/// So many members at ten transactions a second, of which the listed ones compute wrong results from 10 s to 20 s; at 25 s
/// the operators recover.
fn wrong(seed: u64, members: usize, nodes: &[(usize, u64)], loses_power: bool) -> Scenario {
    let mut scenario = Scenario::calm(seed, members, 60_000);
    scenario.load_end_ms = 50_000;
    for (node, variant) in nodes {
        let fault = Fault::WrongResults { target: Target::Node(*node), variant: *variant };
        scenario = scenario.with(10_000, Some(20_000), fault);
    }
    scenario.with(25_000, None, Fault::Recover { loses_power })
}

#[test]
fn one_wrong_node_stops_alone_and_comes_back() {
    for node in 0..4 {
        for loses_power in [false, true] {
            let outcome = passes(&wrong(1, 4, &[(node, 0)], loses_power));
            assert_eq!(count(&outcome, "stops for a certified result"), 1, "{:?}", outcome.counts);
            assert_eq!(count(&outcome, "stops without a quorum"), 0);
            assert_eq!(count(&outcome, "recoveries"), 1);
            assert_eq!(count(&outcome, "divergences explained"), 1);
            assert!(!loses_power || count(&outcome, "power losses of an operator") > 3, "{:?}", outcome.counts);
        }
    }
}

#[test]
fn f_wrong_nodes_stop_and_come_back() {
    for variants in [[0, 0], [1, 2]] {
        let outcome = passes(&wrong(2, 7, &[(2, variants[0]), (5, variants[1])], false));
        assert_eq!(count(&outcome, "stops for a certified result"), 2, "{:?}", outcome.counts);
        assert_eq!(count(&outcome, "stops without a quorum"), 0);
    }
}

/// A node whose cause was not removed stops again, with new evidence, and comes back when it is.
#[test]
fn clearing_alone_does_not_help() {
    let scenario = wrong(3, 4, &[(1, 0)], false);
    let fault = Fault::WrongResults { target: Target::Node(1), variant: 0 };
    let scenario = scenario.with(20_500, Some(30_000), fault).with(35_000, None, Fault::Recover { loses_power: false });
    let outcome = passes(&scenario);
    let stops = count(&outcome, "stops for a certified result") + count(&outcome, "stops for two results");
    assert_eq!(stops, 2, "{:?}", outcome.counts);
    assert_eq!(count(&outcome, "recoveries"), 2);
}

/// All noticed at 99 or 100 that nothing could be certified, before all votes for 98 were in, and a retry from 99 stopped at 98.
#[test]
fn a_retry_begins_below_where_the_divergence_was_noticed() {
    for seed in [7, 30, 31, 32] {
        let outcome = passes(&wrong(seed, 4, &[(0, 1), (1, 2)], false));
        assert!(count(&outcome, "stops without a quorum") >= 3, "{:?}", outcome.counts);
        assert_eq!(count(&outcome, "recoveries"), 1);
    }
}

#[test]
fn more_than_f_wrong_nodes_stop_the_group_and_a_retry_goes_on() {
    for (seed, nodes) in [(4, [(1, 0), (2, 0)]), (5, [(0, 0), (3, 0)]), (6, [(1, 1), (2, 2)]), (7, [(0, 1), (1, 2)])] {
        let outcome = passes(&wrong(seed, 4, &nodes, false));
        assert!(count(&outcome, "stops without a quorum") >= 3, "{:?}", outcome.counts);
        assert_eq!(count(&outcome, "recoveries"), 1);
        assert!(count(&outcome, "divergences explained") >= 3, "{:?}", outcome.counts);
    }
    let outcome = passes(&wrong(8, 7, &[(0, 1), (3, 1), (6, 1)], false));
    assert!(count(&outcome, "stops without a quorum") >= 5, "{:?}", outcome.counts);
}

#[test]
fn a_retry_survives_power_losses_at_each_of_its_steps() {
    for seed in 10..14 {
        let outcome = passes(&wrong(seed, 4, &[(1, 0), (2, 1)], true));
        assert!(count(&outcome, "power losses of an operator") > 30, "{:?}", outcome.counts);
    }
}

/// Nodes crash while the retry is under way.
#[test]
fn a_retry_survives_crashes_of_all_nodes() {
    for seed in 20..26 {
        let mut scenario = wrong(seed, 4, &[(1, 0), (2, 0)], false);
        for (step, down) in (0..8).zip([Down::Kill, Down::PowerLoss].into_iter().cycle()) {
            let from_ms = 25_030 + step * 170 + seed * 3;
            scenario = scenario.with(from_ms, Some(from_ms + 60), Fault::CrashAll { down });
        }
        passes(&scenario);
    }
}

/// A member is lost for ever while the group stands still: the others retry without it. One of the two that computed
/// wrong results is lost, so the plan keeps the right result, which the lost one may have helped to certify.
#[test]
fn a_retry_with_one_member_lost_keeps_a_result() {
    for (seed, lost) in [(30, 1), (31, 2)] {
        let crash = Fault::Crash { target: Target::Node(lost), down: Down::PowerLoss };
        let outcome = passes(&wrong(seed, 4, &[(1, 0), (2, 0)], false).with(22_000, None, crash));
        assert_eq!(count(&outcome, "recoveries"), 1);
        assert_eq!(count(&outcome, "plans that keep a result"), 1, "{:?}", outcome.counts);
    }
}

/// A member is lost that computed the right result, so that the plan must keep the wrong one. No right program gives it:
/// the group stops again rather than risk two blocks. When the member is back, its report shows that nothing was certified.
#[test]
fn a_kept_result_that_nobody_computes_stops_the_group_until_all_report() {
    for (seed, lost) in [(32, 0), (33, 3)] {
        let crash = Fault::Crash { target: Target::Node(lost), down: Down::PowerLoss };
        let scenario = wrong(seed, 4, &[(1, 0), (2, 0)], false).with(22_000, Some(30_000), crash);
        let outcome = passes(&scenario.with(31_000, None, Fault::Recover { loses_power: false }));
        assert_eq!(count(&outcome, "plans that keep a result"), 1, "{:?}", outcome.counts);
        assert_eq!(count(&outcome, "plans that keep nothing"), 1, "{:?}", outcome.counts);
        assert!(count(&outcome, "stops for two results") >= 2, "{:?}", outcome.counts);
    }
}

/// Two attempts: after the first retry the programs are wrong again.
#[test]
fn a_second_attempt() {
    for seed in 40..44 {
        let mut scenario = wrong(seed, 4, &[(1, 0), (2, 0)], false);
        for node in [1, 2] {
            let fault = Fault::WrongResults { target: Target::Node(node), variant: 1 };
            scenario = scenario.with(24_900, Some(32_000), fault);
        }
        let outcome = passes(&scenario.with(35_000, None, Fault::Recover { loses_power: false }));
        assert_eq!(count(&outcome, "recoveries"), 2, "{:?}", outcome.counts);
    }
}
