//! The program from outside: what it prints, what it refuses, how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // This crate is tests only.

mod assets;
mod authorities;
mod bench;
mod commands;
mod committee;
mod folders;
mod hooks;
mod layers;
mod local_network;
mod long_chain;
mod members;
mod names;
mod program;
mod protocol;
mod recover;
mod reliability;
mod snapshots;
