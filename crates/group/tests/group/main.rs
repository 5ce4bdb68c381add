//! A group as a whole: one node that runs, restarts and stops; speculation beside finality.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod caps;
mod node;
mod recovery;
mod setup;
mod speculation;
