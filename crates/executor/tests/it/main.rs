//! Tests of what crosses this crate's modules.

mod vectors;
