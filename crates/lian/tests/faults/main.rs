//! Faults tried on real processes: four members as `lian node`, the links between them through relays that can cut,
//! delay and throttle each direction, and an observer of the same network that hears every message of consensus.
//!
//! Whatever a test does, at the end all honest nodes have one chain, each payment that a client saw final is in it
//! exactly once, the token's books balance, `lian verify` agrees on every ledger, and no honest key has made two
//! different statements for one place: neither in what the observer heard nor in any vote log. Only what a node may do
//! for itself is bounded in time, by the group's own view timeout, and polls with a deadline; nothing sleeps and hopes.
//!
//! `LIAN_FAULTS=long` runs the long forms. A test that fails prints its folder, which keeps logs, data and a record of
//! all traffic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail by panicking")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of tests are small")]

mod abuse;
mod books;
mod byzantine;
mod clocks;
mod crashes;
mod disks;
mod frozen;
mod links;
mod load;
mod middleman;
mod network;
mod observer;
mod pulse;
mod raft;
mod relay;
mod twins;
mod votes;

/// Whether the long forms run.
pub(crate) fn is_long() -> bool {
    match std::env::var("LIAN_FAULTS") {
        Ok(form) if form == "long" => true,
        Ok(form) => panic!("LIAN_FAULTS is `{form}`, must be `long` or absent"),
        Err(_) => false,
    }
}
