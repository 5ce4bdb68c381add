//! Seeds that once broke a rule, by what was wrong. The code that they found wanting may have moved on, so that they meet
//! other situations now; they are kept because they once mattered.

use lian_sim::{Byzantine, Down, Fault, Kind, Load, Options, Rule, Scenario, Target, Trick, run, run_scenario};

#[track_caller]
fn pass(seeds: &[u64]) {
    for seed in seeds {
        let failure = run(*seed, &Options::default()).failure;
        assert_eq!(failure, None, "seed {seed}");
    }
}

/// The core asked for its timer without end while an own proposal was open for longer than a stride.
#[test]
fn timers_rest_while_nothing_waits() {
    pass(&[17, 44, 130]);
}

/// A node without votes, on its way through an epoch of one other member, took itself for that member: it settled at once on
/// what it may have voted for, and later proposed again what it had proposed before.
#[test]
fn who_lost_its_votes_asks_the_only_member() {
    pass(&[860]);
}

/// A Byzantine node gave its clients' transactions to everybody but the only member, and nobody told that one.
#[test]
fn what_the_leader_was_not_given_is_relayed_to_it() {
    pass(&[4668, 5640]);
}

/// Byzantine nodes gave a transaction, and the proposal with it, to no more honest members than are needed to be ignored:
/// these left the view, and the others, who knew of nothing that waits, never followed.
#[test]
fn what_few_members_hold_is_relayed_to_all() {
    pass(&[955]);
}

/// A member that heard nothing any more repeated its proposal of long ago, and the simulator had forgotten that it was durable.
#[test]
fn who_hears_nothing_may_repeat_itself() {
    pass(&[9718]);
}

/// "I have not got it" made a node ask again at once, and nobody had the bodies of what was final already.
#[test]
fn bodies_that_nobody_has_are_asked_for_with_pauses() {
    pass(&[296]);
}

/// A lone member that crashed between its proposal and its commit waited for ever for bodies that nobody had.
#[test]
fn a_lone_member_gets_over_a_lost_proposal() {
    pass(&[16, 36, 140, 297]);
}

/// A view change dropped a proposal that had not been executed, and the pool never learnt that its transactions were
/// free again.
#[test]
fn what_a_view_change_drops_is_proposed_again() {
    pass(&[351]);
    // The last transactions before silence are proposed again, although no new one wakes anybody.
    for seed in 0..12 {
        let mut scenario = Scenario::calm(seed, 4, 60_000);
        scenario.load = Load { interval_ms: 100, burst: 3, rivals_permille: 0, copies_permille: 0 };
        scenario.load_end_ms = 10_000;
        scenario.sync_us = (5_000, 15_000);
        scenario.execution_us = (20_000, 5_000);
        let fault = Fault::Crash { target: Target::Leader, down: Down::Kill };
        let scenario = scenario.with(9_950 + seed * 5, None, fault);
        let failure = run_scenario(&scenario, &Options::default()).failure;
        assert_eq!(failure, None, "seed {seed}");
    }
}

/// A leader proposed, among others, a transaction that was final already, and its view ended while some members still
/// fetched the body. The new view forced the proposal; they asked for the body for ever and refused it each time.
#[test]
fn bodies_that_come_after_a_view_change_are_taken() {
    for seed in 0..6 {
        let mut scenario = Scenario::calm(seed, 7, 60_000);
        scenario.leader_term = 3;
        scenario.view_timeout_ms = (500, 4_000);
        scenario.censorship_timeout_ms = 2_000;
        scenario.load = Load { interval_ms: 100, burst: 1, rivals_permille: 20, copies_permille: 300 };
        let late = Rule::always(Trick::Delay { kind: Kind::Proposals, ms: (250, 625) }).towards(&[2, 5]);
        let stale = Rule { besides: true, ..Rule::always(Trick::Stale) };
        let rules = [late, stale].into_iter().map(|rule| Rule { from_ms: 5_000, ..rule }).collect();
        let scenario = scenario.with_byzantine(Byzantine { member: 1, twin: None, rules });
        let failure = run_scenario(&scenario, &Options::default()).failure;
        assert_eq!(failure, None, "seed {seed}");
    }
}

/// The clock of a node was set back, and all its timers stood still until the clock was where it had been: it passed on
/// nothing that its clients gave it.
#[test]
fn a_clock_that_is_set_back_stops_no_timer() {
    for (seed, ms) in (0..).zip([-1_500, -100_000, -3_600_000]) {
        for target in [Target::Leader, Target::Node(3)] {
            let scenario = Scenario::calm(seed, 4, 60_000).with(10_000, None, Fault::ClockJump { target, ms });
            let failure = run_scenario(&scenario, &Options::default()).failure;
            assert_eq!(failure, None, "{ms} ms at {target:?}");
        }
    }
}

/// A faulty leader proposed transactions of one account in the wrong order. The later one was skipped as too early, fitted
/// after the block, and was therefore taken for invalid: every pool dropped what clients had been promised.
#[test]
fn a_transaction_that_is_proposed_before_its_turn_is_kept() {
    for seed in 0..6 {
        let mut scenario = Scenario::calm(seed, 4, 60_000);
        scenario.leader_term = 3;
        scenario.load = Load { interval_ms: 500, burst: 30, rivals_permille: 20, copies_permille: 0 };
        scenario.load_end_ms = 40_000;
        let rule = Rule { permille: 300, ..Rule::always(Trick::Early) };
        let scenario = scenario.with_byzantine(Byzantine { member: 0, twin: None, rules: vec![rule] });
        let outcome = run_scenario(&scenario, &Options::default());
        assert_eq!(outcome.failure, None, "seed {seed}");
        assert!(outcome.counts["transactions skipped"] > 0, "seed {seed}: {:?}", outcome.counts);
    }
}
