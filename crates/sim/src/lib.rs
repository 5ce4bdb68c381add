//! Whole networks in one process, from one seed.
//!
//! The production [`lian_group::Core`], ledger, vote log and execution run over a simulated clock, network and disk. Faults
//! are data ([`Scenario`]); after every step an oracle checks what must always hold:
//! - one block and one root for each height, on all nodes and over all crashes;
//! - one key never makes two different statements for one place, and none before it is durable;
//! - certificates have a quorum of valid signatures over one vote;
//! - every transaction that a client was told of is final exactly once; nothing is made or lost;
//! - no node's answers go back; no honest node is accused; queues and pools stay within their bounds;
//! - once faults have ended, or at most f members are faulty, everything that was sent becomes final in bounded time.
//!
//! Invariants of this crate:
//! - within a run no thread, clock, file or random source is used: a seed always gives the same trace hash;
//! - what a scenario leaves open is decided by its seed.
//!
//! Main functions: [`run`], [`run_range`], [`explain`]; [`cli::main`] is the verb `lian sim`.

mod byzantine;
mod chain;
pub mod cli;
mod clients;
mod disk;
mod event;
mod message;
mod network;
mod node;
mod operator;
mod oracle;
mod random;
mod run;
mod scenario;
mod shrink;
mod sim;
mod time;
mod trace;
mod wallet;
mod world;

pub use run::{Failure, Options, Outcome, Summary, explain, explain_scenario, run, run_range, run_scenario};
pub use scenario::{
    Byzantine, CrashPoint, Down, Fault, Kind, Links, Load, Rule, Scenario, Target, TimedFault, Trick, Twin,
};
pub use shrink::shrink;
