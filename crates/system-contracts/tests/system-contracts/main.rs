//! The system contracts over storage in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers of tests fail by panicking.

mod assets;
mod assets_model;
mod authorities;
mod authorities_model;
mod chain;
mod committee;
mod committee_model;
mod configuration;
mod members;
mod names;
mod names_model;
mod permissions;
mod permissions_model;
