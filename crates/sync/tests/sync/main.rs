//! Catch-up against real chains: signed blocks, simulated peers.

// The whole program is a test, its helper functions too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod chain;
mod check;
mod machine;
mod messages;
mod snapshot;
mod world;
