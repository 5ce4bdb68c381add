//! Tests that cross the modules of the trie: official vectors, and random sequences of updates against references.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a failed expectation is what these are for"
)]

mod errors;
mod reference;
mod sequences;
mod states;
mod vectors;
