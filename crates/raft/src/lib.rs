//! A Raft group as a pure state machine over tikv's `raft`; the rules are in `docs/spec/raft.md`, whose sections the code
//! cites (§3).
//!
//! Invariants of this crate:
//! - no I/O, no clock, no randomness, no threads, no `HashMap`: the same inputs give the same effects. The library draws
//!   its election timeouts from the thread's random source; [`Machine`] puts its own in their place, which follow from the
//!   node's key;
//! - peers' bytes are decoded by this crate's own bounded codec, never by the library's protobuf;
//! - what the library wants to be durable is durable before anything that follows from it leaves the node: effects run in
//!   order and [`Effect::Persist`] is a barrier;
//! - an entry enters the log only when every body of its proposal is here, or its height is final here;
//! - a key signs at most one header for a height, over crashes too;
//! - memory is bounded by the window and the number of members, whatever peers send.
//!
//! Main types: [`Machine`], [`Input`], [`Effect`], [`Message`], [`Record`], [`Schedule`].

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod codec;
mod event;
pub mod limits;
mod log;
mod machine;
mod message;
mod record;
mod schedule;
mod store;
mod verify;
mod wire;

pub use event::{BodiesVerdict, Divergence, Effect, Head, Input, LogCondition, Misbehaviour, Recipient, Stage};
pub use log::{Base, Change, ChangeKind, Content, Entry};
pub use machine::{Config, Machine, Role, Status, Timing};
pub use message::{Body, Envelope, Message};
pub use record::{HardState, Record};
pub use schedule::Schedule;
pub use verify::{VerifyError, verify};
