//! Whole networks: many seeds, named scenarios, and that a seed replays identically.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod byzantine;
mod divergence;
mod liveness;
mod members;
mod raft;
mod regressions;
mod replay;
mod scenarios;
mod seeds;

use lian_sim::{Options, Outcome, Scenario, run_scenario};

/// Runs a scenario that must break no rule.
#[track_caller]
fn passes(scenario: &Scenario) -> Outcome {
    let outcome = run_scenario(scenario, &Options { explain: true });
    if let Some(failure) = &outcome.failure {
        panic!("{scenario}\n{}\n{}: {}", failure.story, failure.invariant, failure.what);
    }
    outcome
}
