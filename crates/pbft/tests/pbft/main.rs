//! Machines as their users see them: step tables, verification, and whole networks under faults.

// Clippy takes what tests share for production code.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

mod byzantine;
mod chaos;
mod codec;
mod epochs;
mod network;
mod restarts;
mod retry;
mod scenarios;
mod script;
mod steps;
mod two_starts;
mod verification;
mod views;
