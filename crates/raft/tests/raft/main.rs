//! Whole groups of machines, with what goes wrong between and in them; codecs; checks of what peers send.

// Clippy takes what tests share for production code.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

mod chaos;
mod codec;
mod network;
mod scenarios;
mod verification;
