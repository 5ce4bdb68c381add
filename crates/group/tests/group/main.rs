//! A group as a whole: one node that runs, restarts and stops; speculation beside finality.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail by panicking")]
#![allow(clippy::cast_possible_truncation, reason = "numbers of tests are small")]

mod admission;
mod caps;
mod known_members;
mod node;
mod recovery;
mod setup;
mod speculation;
