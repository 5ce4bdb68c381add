//! What the chain decides about its own members and parameters, as it comes to act.

use super::{Core, Effect};
use crate::KnownMembers;
use lian_executor::Governance;
use lian_pbft::{Committee, Input as PbftInput, Timing};
use lian_types::{BlockNumber, ConsensusParameters, Millis};
use std::sync::Arc;

impl Core {
    /// The height above the last final block.
    pub(super) fn next_height(&self) -> BlockNumber {
        self.pbft.status().height.next()
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
                self.step_pbft(now, PbftInput::EndBefore(unknown.from), effects);
            }
        }
        if let Some(committee) = committee {
            tracing::info!(epoch = %committee.epoch(), first = %committee.first, "the members change");
            self.step_pbft(now, PbftInput::Members(committee), effects);
        }
    }

    /// Lets the other threads know the members and the machine what is new for it, once a block is final.
    pub(super) fn publish_members(&mut self, now: Millis, head: BlockNumber, effects: &mut Vec<Effect>) {
        self.members.set(KnownMembers { committees: Arc::clone(self.pbft.committees()), head });
        let timing = Timing::new(&self.parameters_at(head.next()));
        if timing != self.config.pbft.timing {
            self.config.pbft.timing = timing;
            self.step_pbft(now, PbftInput::Timing(timing), effects);
        }
        let epoch = self.pbft.status().epoch;
        if epoch == self.epoch {
            return;
        }
        self.epoch = epoch;
        tracing::info!(%epoch, first = %head.next(), "an epoch begins");
        // Sessions to those who are members only now were of no interest to the machine before.
        for key in self.connected.clone() {
            self.step_pbft(now, PbftInput::Peer { key, connected: true }, effects);
        }
    }

    /// Stops once the last block is final whose rules this program knows: the others may go on.
    pub(super) fn stop_at_unknown_protocol(&mut self, head: BlockNumber, effects: &mut Vec<Effect>) {
        let unknown = self.config.governance.unknown_protocol();
        if let Some(unknown) = unknown.filter(|unknown| head.next() >= unknown.from) {
            self.halted = true;
            effects.push(Effect::Outdated(unknown));
        }
    }

    /// Lets empty blocks be made while a change of members waits for its height, so that an idle chain gets there.
    pub(super) fn allow_empty(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let waits = self.pbft.committees().last_of(self.next_height()) < BlockNumber(u64::MAX);
        if waits != self.allows_empty {
            self.allows_empty = waits;
            self.step_pbft(now, PbftInput::AllowEmpty(waits), effects);
        }
    }
}
