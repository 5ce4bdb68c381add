//! How a new node of a long chain begins: with a snapshot of its peers, fetched in pieces from several of them.

mod machine;
mod message;

pub use machine::{SnapshotConfig, SnapshotEffect, SnapshotInput, SnapshotMisbehaviour, SnapshotPlan, SnapshotSync};
pub use message::{SnapshotMessage, SnapshotOffer};
