//! Whole networks: many seeds, named scenarios, and that a seed replays identically.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod divergence;
mod regressions;
mod replay;
mod scenarios;
mod seeds;
