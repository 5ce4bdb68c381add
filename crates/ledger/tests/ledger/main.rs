//! The ledger as a whole: crashes, damage, recovery, past states, verification.

#![allow(clippy::unwrap_used, clippy::panic)] // A helper that fails must fail its test.

mod chain;
mod crash;
mod formats;
mod ledger;
mod log;
mod prune;
mod snapshots;
mod verify;
mod votes;
