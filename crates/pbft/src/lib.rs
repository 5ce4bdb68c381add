//! Parallel PBFT as a pure state machine; the rules are in `docs/spec/pbft.md`, whose sections the code cites (§3).
//!
//! Invariants of this crate:
//! - no I/O, no clock, no randomness, no threads, no `HashMap`: the same inputs give the same effects;
//! - the machine takes only [`lian_crypto::Verified`] messages, which [`verify`] makes after checking every signature,
//!   digest and quorum in them;
//! - a vote leaves the node only after it, and all that it promises, is durable: effects run in order and
//!   [`Effect::Persist`] is a barrier;
//! - for one (epoch, view, height, phase) a key signs at most one vote, over crashes too;
//! - memory is bounded by the window and the number of members, whatever peers send.
//!
//! Main types: [`Machine`], [`Input`], [`Effect`], [`Message`], [`Record`], [`Committees`].

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod choice;
mod codec;
mod committee;
mod event;
pub mod limits;
mod machine;
mod message;
mod record;
mod retry;
mod verify;

pub use committee::{Committee, Committees, Rules, Timing};
pub use event::{BodiesVerdict, Cause, Divergence, Effect, Head, Input, Misbehaviour, Recipient, Stage};
pub use machine::{Config, Machine, Status};
pub use message::{
    Ancestry, Heartbeat, Message, NewView, PrePrepare, PrepareCertificate, ResultHash, SignedNewView, SignedViewChange,
    Statement, ViewChange, ViewChangeMessage,
};
pub use record::{LogCondition, Record, ResultLock};
pub use retry::{Plan, PlanError, REPORTED_RESULTS_MAX, Report, Retry, SignedReport, Standing, VotedResult};
pub use verify::{VerifyError, verify, verify_once};
