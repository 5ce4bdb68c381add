//! Catch-up against real chains: signed blocks, simulated peers.

#![allow(missing_docs)]

mod chain;
mod check;
mod machine;
mod messages;
mod world;
