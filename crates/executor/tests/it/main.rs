//! Tests of what crosses this crate's modules.

mod blocks;
mod calls;
mod contracts;
mod determinism;
mod proposals;
mod simulation;
mod support;
mod traces;
mod vectors;
