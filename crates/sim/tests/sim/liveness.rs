//! How soon blocks go on.

use crate::passes;
use lian_sim::{Byzantine, CrashPoint, Down, Fault, Kind, Outcome, Rule, Scenario, Target, Trick, Twin};

/// What a faulty leader may cost at most: five times the least timeout of a view.
const VIEWS_MAX: u64 = 5;

fn four(seed: u64) -> Scenario {
    let mut scenario = Scenario::calm(seed, 4, 60_000);
    scenario.load_end_ms = 50_000;
    scenario
}

#[track_caller]
fn goes_on(what: &str, scenario: &Scenario) -> Outcome {
    let outcome = passes(scenario);
    let bound = VIEWS_MAX * scenario.view_timeout_ms.0;
    let pause = outcome.longest_pause_ms;
    println!("{what}: {pause} ms");
    assert!(pause <= bound, "{what}: no block for {pause} ms, the bound is {bound} ms");
    outcome
}

fn faults(target: Target) -> Vec<Fault> {
    vec![
        Fault::Mute { target, noticed: false },
        Fault::Mute { target, noticed: true },
        Fault::Deaf { target, noticed: false },
        Fault::Deaf { target, noticed: true },
        Fault::Freeze { target },
        Fault::SlowDisk { target, extra_ms: 3_000 },
        Fault::Crash { target, down: Down::PowerLoss },
    ]
}

#[test]
fn a_leader_that_is_cut_off_frozen_slow_or_dead_costs_five_timeouts_at_most() {
    for fault in faults(Target::Leader) {
        goes_on(&format!("{fault:?}"), &four(400).with(10_000, None, fault));
    }
}

#[test]
fn a_censoring_leader_stops_no_blocks() {
    for trick in [Trick::Censor { accounts: 8 }, Trick::Silence { kind: Kind::Proposals }] {
        let rule = Rule { from_ms: 10_000, ..Rule::always(trick) };
        let liar = Byzantine { member: 0, twin: None, rules: vec![rule] };
        goes_on(&format!("{trick:?}"), &four(410).with_byzantine(liar));
    }
}

/// Only the timeout of the view ends this: there are proposals and heartbeats, and nobody waits long enough to call it
/// censorship.
#[test]
fn a_leader_whose_proposals_nobody_can_accept_is_left_by_the_timeout() {
    for trick in [Trick::Unknown, Trick::OtherParent, Trick::OtherTime { ms: -60_000 }] {
        let rule = Rule { from_ms: 10_000, ..Rule::always(trick) };
        let liar = Byzantine { member: 0, twin: None, rules: vec![rule] };
        let mut scenario = four(415).with_byzantine(liar);
        scenario.censorship_timeout_ms = 30_000;
        goes_on(&format!("{trick:?}"), &scenario);
    }
}

#[test]
fn a_twin_stops_no_blocks() {
    for peers in [[Vec::new(), Vec::new()], [vec![1, 2], vec![2, 3]]] {
        let twin = Byzantine { member: 0, twin: Some(Twin { peers }), rules: Vec::new() };
        goes_on(&format!("{twin:?}"), &four(420).with_byzantine(twin));
    }
}

/// One member's clock is wrong, so that all others are needed. One of these goes down just before a block is durable there.
/// When it is back it dials at once, whatever the patience of the others, and has the block before anybody leaves the view.
#[test]
fn a_member_that_comes_back_a_block_behind_is_counted_on_at_once() {
    for seed in 440..446 {
        let mut scenario = four(seed);
        scenario.skews_ms = vec![0, 0, 0, 3_600_000];
        for from_ms in [10_000, 16_000, 22_000] {
            let fault =
                Fault::CrashAt { target: Target::Node(1), point: CrashPoint::BlockSync, times: 1, down_ms: 300 };
            scenario = scenario.with(from_ms, Some(from_ms + 2_000), fault);
        }
        let outcome = goes_on(&format!("seed {seed}"), &scenario);
        assert!(outcome.counts["crashes"] > 0, "{:?}", outcome.counts);
        assert!(outcome.longest_pause_ms < scenario.view_timeout_ms.0, "no block for {} ms", outcome.longest_pause_ms);
    }
}

#[test]
fn a_stall_of_five_minutes_ends_soon_after_healing() {
    for noticed in [false, true] {
        let mut scenario = Scenario::calm(430, 4, 340_000);
        scenario.load_end_ms = 330_000;
        let cut = Fault::Partition { side: vec![0, 1], noticed };
        let scenario = scenario.with(10_000, Some(310_000), cut);
        let outcome = passes(&scenario);
        let (pause, resumed) = (outcome.longest_pause_ms, outcome.resumed_ms.unwrap());
        println!("partition, noticed {noticed}: stood still for {pause} ms, went on after {resumed} ms");
        assert!(pause >= 290_000, "it stood still for {pause} ms only");
        assert!(resumed <= RESUME_MS_MAX, "it went on {resumed} ms after healing");
    }
}

/// One round of repetition at its slowest (sixteen times the least interval of 200 ms) and one timeout of a view.
const RESUME_MS_MAX: u64 = 16 * 200 + 1_000;
