//! Whole nodes over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // This crate is tests only.

mod certificates;
mod exchange;
mod fixture;
mod pressure;
mod relay;
mod revocation_lists;
mod sessions;
mod trust;
