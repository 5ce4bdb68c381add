//! Measuring Lian: what a network does under load, and what its primitives cost on the same machine.
//!
//! Invariants of this crate:
//! - transactions are signed before the clock starts; the load is open loop at a given rate, or bounded by what is
//!   outstanding when the network is to be saturated;
//! - a figure is printed with the machine and the command that made it, and the balance check at the end decides
//!   whether it counts;
//! - it measures through JSON-RPC like any client, so that other systems can be measured by the same program.
//!
//! How a new node joins and how threads execute blocks is measured without a network: [`sync::measure`],
//! [`execute::measure`]; what the chain's rules about calls cost: [`rules::measure`]; what consensus orders by itself, with members in this process: [`order::measure`]. Long chains and large states for a local network are made by [`state::extend`].
//!
//! A run is put together from a [`workload`] (what is sent and what must hold at the end), a [`target`] (the chain), [`send`]
//! (when what is sent) and a [`tracker`] (what has become final); [`plot`] draws what was found.
//!
//! Main functions: [`limit::measure`], [`run::run`], [`plot::draw`].

pub mod chain;
pub mod execute;
pub mod http;
pub mod limit;
pub mod machine;
pub mod order;
pub mod plot;
pub mod record;
pub mod report;
pub mod rules;
pub mod run;
pub mod send;
pub mod state;
pub mod sync;
pub mod target;
pub mod tracker;
pub mod traffic;
pub mod workload;
