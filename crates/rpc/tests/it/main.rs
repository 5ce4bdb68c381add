//! The server before a chain of one node, spoken to over sockets.

mod calls;
mod chain;
mod client;
mod contract;
mod logs;
mod protocol;
mod server;
mod story;
mod submission;
mod subscriptions;
