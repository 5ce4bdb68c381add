//! Tests that cross the modules of the trie: official vectors, and random sequences of updates against references.

mod errors;
mod reference;
mod sequences;
mod states;
mod vectors;
