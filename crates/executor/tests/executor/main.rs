//! Tests of what crosses this crate's modules.

// Helpers of tests may end a test; clippy knows only the tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod assets;
mod authorities;
mod blocks;
mod calls;
mod committee;
mod contracts;
mod determinism;
mod names;
mod parallel;
mod permission_matrix;
mod permissions;
mod proposals;
mod simulation;
mod support;
mod system;
mod traces;
mod vectors;
mod worst_cases;
