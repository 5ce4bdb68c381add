//! Small parts of the machine's state.

use crate::{BodiesVerdict, Heartbeat};
use lian_types::{BlockNumber, Certificate, Millis, Proposal};
use std::sync::Arc;

/// A proposal that some open height needs.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub proposal: Arc<Proposal>,
    /// None until the bodies were checked.
    pub bodies: Option<BodiesVerdict>,
}

/// A certificate of a final height, for members that lag a little.
#[derive(Clone, Debug)]
pub(super) struct Recent {
    pub certificate: Arc<Certificate>,
    /// Since when the height is final here.
    pub since: Millis,
}

/// What is known of another member.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peer {
    pub connected: bool,
    /// When its session broke down, where there was one.
    pub lost: Option<Millis>,
    /// When it was last heard.
    pub heard: Option<Millis>,
    /// When a certificate was last sent to it because it lags.
    pub helped_to_height: Option<Millis>,
    /// When a new-view was last repeated for it.
    pub helped_into_view: Option<Millis>,
    /// When it was last asked for what it has and this node has not.
    pub asked: Option<Millis>,
    /// What it said last.
    pub beat: Option<Heartbeat>,
    /// Up to which height empty blocks are made for its recovery.
    pub empty_until: Option<BlockNumber>,
}

/// What waits to be proposed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pool {
    pub ready: bool,
    pub waiting_since: Option<Millis>,
    pub allow_empty: bool,
}
