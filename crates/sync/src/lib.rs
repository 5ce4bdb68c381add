//! How a node that was away, or is new, catches up: blocks with their certificates, from several peers at once.
//!
//! Invariants of this crate:
//! - pure: no clock, no randomness, no I/O, no threads, no hash maps;
//! - no block is handed out by [`Effect::Apply`] unless a driver answered [`Input::Verified`] for it, and blocks are
//!   handed out in order, each once;
//! - memory is bounded by [`lian_types::limits`], whatever peers claim or send;
//! - a peer can delay, by a bounded time, but not prevent catching up while another peer is honest.
//!
//! A new node of a long chain begins with a snapshot: [`SnapshotSync`] fetches one before there is anything to catch up from.
//!
//! Main types: [`Sync`], the machine; [`Checker`], what makes a block acceptable; [`SyncMessage`], what peers say;
//! [`serve`], the answering side.

mod check;
mod download;
mod machine;
mod message;
mod peers;
mod serve;
mod snapshot;

pub use check::{Anchor, BlockError, Checker, SyncError};
pub use machine::{BatchId, Effect, Input, Sync, SyncConfig};
pub use message::{BlockRequest, BlockWithCertificate, SyncMessage, SyncStatus};
pub use peers::Misbehaviour;
pub use serve::serve;
pub use snapshot::{
    SnapshotConfig, SnapshotEffect, SnapshotInput, SnapshotMessage, SnapshotMisbehaviour, SnapshotOffer, SnapshotPlan,
    SnapshotSync,
};
