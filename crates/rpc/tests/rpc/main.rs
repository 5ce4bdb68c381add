//! The server before a chain of one node, spoken to over sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test that fails says where.

mod calls;
mod chain;
mod client;
mod contract;
mod logs;
mod names;
mod permissions;
mod protocol;
mod server;
mod story;
mod submission;
mod subscriptions;
