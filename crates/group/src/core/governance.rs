//! What the chain decides about its own members and parameters, as it comes to act.

use super::{Core, Effect};
use crate::KnownMembers;
use lian_executor::Governance;
use lian_pbft::{Committee, Input as PbftInput};
use lian_types::{BlockNumber, ConsensusKey, ConsensusParameters, Millis, UnknownProtocol};
use std::sync::Arc;

/// How long a node that must stop for unknown rules waits for others that lack its last block, in milliseconds: some
/// reports, and catching up.
const OUTDATED_MS_MAX: u64 = 10_000;

/// That rules are about to act which this program does not know.
pub(super) struct Outdated {
    unknown: UnknownProtocol,
    /// When to stop at the latest.
    pub(super) stop_at: Millis,
}

impl Core {
    /// The height above the last final block.
    pub(super) fn next_height(&self) -> BlockNumber {
        self.machine.status().height.next()
    }

    /// The group's parameters at a height within a window of the final block.
    pub(super) fn parameters_at(&self, height: BlockNumber) -> ConsensusParameters {
        self.config.governance.parameters_at(height, &self.config.parameters)
    }

    /// Takes in what a durable block has decided, before the machine learns that it is final (pbft §6).
    pub(super) fn govern(
        &mut self,
        now: Millis,
        governance: Option<Arc<Governance>>,
        committee: Option<Committee>,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(governance) = governance {
            self.config.governance = governance;
            if let Some(unknown) = self.config.governance.unknown_protocol() {
                tracing::warn!(%unknown, "this node stops below that block");
                self.machine.end_committees(unknown.from);
                self.step_consensus(now, PbftInput::EndBefore(unknown.from), effects);
            }
        }
        if let Some(committee) = committee {
            tracing::info!(epoch = %committee.epoch(), first = %committee.first, "the members change");
            self.machine.keep_committee(&committee);
            self.step_consensus(now, PbftInput::Members(committee), effects);
        }
    }

    /// Lets the other threads know the members and the machine what is new for it, once a block is final.
    pub(super) fn publish_members(&mut self, now: Millis, head: BlockNumber, effects: &mut Vec<Effect>) {
        self.machine.retire_committees(head);
        self.members.set(KnownMembers { committees: Arc::clone(self.machine.committees()), head });
        let parameters = self.parameters_at(head.next());
        if let Some(timing) = self.machine.retime(&parameters, &mut self.timing) {
            self.step_consensus(now, PbftInput::Timing(timing), effects);
        }
        let epoch = self.machine.status().epoch;
        if epoch == self.epoch {
            return;
        }
        self.epoch = epoch;
        tracing::info!(%epoch, first = %head.next(), "an epoch begins");
        // Sessions to those who are members only now were of no interest to the machine before.
        for key in self.connected.clone() {
            self.step_consensus(now, PbftInput::Peer { key, connected: true }, effects);
        }
    }

    /// Once the last block is final whose rules this program knows, the node is to stop: the others may go on. Before that
    /// the nodes that are connected get the block from it, if they lack it, for a while at most.
    pub(super) fn end_at_unknown_protocol(&mut self, now: Millis, head: BlockNumber) {
        let unknown = self.config.governance.unknown_protocol();
        if self.outdated.is_none()
            && let Some(unknown) = unknown.filter(|unknown| head.next() >= unknown.from)
        {
            self.outdated = Some(Outdated { unknown, stop_at: now.saturating_add(OUTDATED_MS_MAX) });
        }
    }

    /// Stops as [`Self::end_at_unknown_protocol`] says.
    pub(super) fn stop_outdated(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let Some(Outdated { unknown, stop_at }) = self.outdated else { return };
        let head = self.machine.status().height;
        let lacks = |peer: &ConsensusKey| self.reports.get(peer).is_none_or(|last| last.report.height < head);
        if now >= stop_at || !self.connected.iter().any(lacks) {
            self.halted = true;
            effects.push(Effect::Outdated(unknown));
        }
    }

    /// Lets empty blocks be made while a change of members waits for its height, so that an idle chain gets there.
    pub(super) fn allow_empty(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let waits = self.machine.committees().last_of(self.next_height()) < BlockNumber(u64::MAX);
        if waits != self.allows_empty {
            self.allows_empty = waits;
            self.step_consensus(now, PbftInput::AllowEmpty(waits), effects);
        }
    }
}
