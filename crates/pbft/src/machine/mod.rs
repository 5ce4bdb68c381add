//! The machine.
use crate::{Committees, Effect, Head, Input, LogCondition, Record, Rules, Timing};
use lian_types::{BlockNumber, ConsensusKey, Epoch, MemberIndex, Millis, View};
use std::sync::Arc;

/// What a machine is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The chain's rules.
    pub rules: Rules,
    /// This node's waiting times.
    pub timing: Timing,
    /// This node's consensus key; it votes in the epochs whose members have it.
    pub key: Option<ConsensusKey>,
}

/// Where the machine stands, for operators and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The epoch of the height above the final one.
    pub epoch: Epoch,
    /// The view last entered.
    pub view: View,
    /// The view promised; equal to `view` outside a view change.
    pub promised: View,
    /// The leader of the height above the final one.
    pub leader: MemberIndex,
    /// This node among the members.
    pub me: Option<MemberIndex>,
    /// The final and durable height.
    pub height: BlockNumber,
    /// The highest height accepted in this view.
    pub accepted: BlockNumber,
    /// Up to which height this node abstains (§3); the largest number where that is not known yet.
    pub abstains_until: Option<BlockNumber>,
    /// Whether this node stopped because results diverge (§7).
    pub halted: bool,
}

/// One member's part in parallel PBFT.
#[derive(Debug)]
pub struct Machine {
    config: Config,
    committees: Arc<Committees>,
    head: Head,
}

impl Machine {
    /// A machine that starts from a final block and what its vote log held, in the log's order. Its first step must be
    /// given [`Input::Tick`].
    #[must_use]
    pub fn new(config: Config, committees: Committees, head: Head, _records: Vec<Record>, _log: LogCondition) -> Self {
        Self { config, committees: Arc::new(committees), head }
    }

    /// Takes an input at a time that never goes back, and appends what follows from it.
    pub fn step(&mut self, _now: Millis, _input: Input, _effects: &mut Vec<Effect>) {}

    /// When to call [`Self::step`] with [`Input::Tick`] at the latest.
    #[must_use]
    pub const fn deadline(&self) -> Option<Millis> {
        None
    }

    /// The members by height, for [`crate::verify`] on other threads.
    #[must_use]
    pub const fn committees(&self) -> &Arc<Committees> {
        &self.committees
    }

    /// Every record that is still needed, so that a log may be written anew and older ones be dropped.
    #[must_use]
    pub fn live_records(&self) -> Vec<Record> {
        Vec::new()
    }

    /// Where the machine stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let _ = (&self.config, &self.head);
        Status {
            epoch: Epoch(0),
            view: View(0),
            promised: View(0),
            leader: MemberIndex(0),
            me: None,
            height: self.head.height,
            accepted: self.head.height,
            abstains_until: None,
            halted: false,
        }
    }
}
