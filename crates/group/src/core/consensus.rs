//! The consensus machine's inputs and effects.

use super::{
    Core, DurableRecord, Effect, GroupMessage, Offence, Recipient, Stored, VoteRecord, machine::Machine,
    raft::raft_input,
};
use crate::{execution::ProposalWithBodies, flow::note};
use lian_crypto::{Verified, VerifiedTransaction};
use lian_pbft::{Effect as PbftEffect, Input as PbftInput, Message, Stage, Statement};
use lian_sync::Anchor;
use lian_txpool::{Finality, SelectLimits};
use lian_types::{BlockNumber, ConsensusKey, Millis, Proposal, View, limits};
use std::{collections::VecDeque, sync::Arc};

impl Core {
    /// Steps the machine, and again with whatever this node can answer at once. The inputs that both kinds of machine have
    /// are PBFT's in form.
    pub(super) fn step_consensus(&mut self, now: Millis, input: PbftInput, effects: &mut Vec<Effect>) {
        if matches!(self.machine, Machine::Raft { .. }) {
            if let Some(input) = raft_input(input) {
                self.step_raft(now, input, effects);
            }
            return;
        }
        let mut inputs = VecDeque::from([input]);
        let mut out = Vec::new();
        while let Some(input) = inputs.pop_front() {
            let Machine::Pbft(machine) = &mut self.machine else { return };
            if self.halted {
                return;
            }
            machine.step(now, input, &mut out);
            for effect in out.drain(..) {
                self.on_pbft_effect(now, effect, &mut inputs, effects);
            }
        }
    }

    fn on_pbft_effect(
        &mut self,
        now: Millis,
        effect: PbftEffect,
        inputs: &mut VecDeque<PbftInput>,
        effects: &mut Vec<Effect>,
    ) {
        match effect {
            PbftEffect::Sign(statement) => {
                self.note_own_proposal(now, &statement);
                effects.push(Effect::Sign(statement));
            }
            PbftEffect::Persist(records) => {
                let records = records.into_iter().map(|record| self.with_bodies(record.into())).collect();
                effects.push(Effect::Persist(records));
            }
            PbftEffect::Send { to, message } => {
                let to = match to {
                    lian_pbft::Recipient::All => Recipient::All,
                    lian_pbft::Recipient::One(key) => Recipient::One(key),
                };
                effects.push(Effect::Send { to, message: GroupMessage::Consensus(message) });
            }
            PbftEffect::CheckBodies { digest, proposal } => {
                inputs.extend(self.check_bodies(now, digest, proposal));
            }
            PbftEffect::Forget(digest) => self.fetches.forget(&digest),
            PbftEffect::Execute { digest, proposal } => {
                self.execute(now, digest, proposal, effects);
            }
            PbftEffect::DiscardFrom(height) => self.discard_from(now, height, effects),
            PbftEffect::WantTransactions { height, view, time_min, .. } => {
                inputs.push_back(self.offer_transactions(now, height, view, time_min));
            }
            PbftEffect::Certified { proposal, digest, hash, certificate } => {
                note(&mut self.flows.lock().block_mut(proposal.height).committed, now);
                let bodies = Arc::new(self.bodies_of(&proposal));
                let proposal = ProposalWithBodies { proposal, digest, bodies };
                effects.push(Effect::Append { proposal, hash, certificate });
            }
            PbftEffect::Behind { height, from, .. } => {
                self.step_sync(now, lian_sync::Input::Claim { peer: from, height }, effects);
            }
            PbftEffect::Reached { height, stage, .. } => self.note_stage(now, height, stage),
            PbftEffect::ViewChanged { view, entered, cause, .. } => {
                tracing::info!(%view, entered, ?cause, "view");
                metrics::counter!("lian_pbft_view_changes_total").increment(u64::from(!entered));
            }
            PbftEffect::Misbehaved { member, what } => self.blame(member, what, effects),
            PbftEffect::Halt(divergence) => {
                self.halted = true;
                effects.push(Effect::Halt(divergence));
            }
        }
    }

    pub(super) fn discard_from(&mut self, now: Millis, height: BlockNumber, effects: &mut Vec<Effect>) {
        self.pool.lock().unproposed(now, height);
        self.pacing.discarded(height);
        self.fetches.discarded(height);
        effects.push(Effect::DiscardFrom(height));
    }

    pub(super) fn on_consensus(
        &mut self,
        now: Millis,
        from: ConsensusKey,
        message: Verified<Message>,
        effects: &mut Vec<Effect>,
    ) {
        self.step_consensus(now, PbftInput::Message { from, message }, effects);
    }

    /// A block is durable: the pool, the machine and catch-up learn of it, in this order, so that the machine's next
    /// question to the pool is answered by the new state.
    pub(super) fn on_stored(&mut self, now: Millis, stored: Stored, effects: &mut Vec<Effect>) {
        let height = stored.head.height;
        let finality =
            Finality { height, included: &stored.included, skipped: &stored.skipped, nonces: &stored.nonces };
        self.pool.lock().finalized(now, &finality);
        self.pacing.stored(now, height);
        let mut flows = self.flows.lock();
        note(&mut flows.block_mut(height).stored, now);
        for hash in &stored.included {
            note(&mut flows.transaction_mut(*hash).final_at, now);
        }
        drop(flows);
        let Stored { head, epoch, members, governance, committee, oldest, .. } = stored;
        let anchor = Anchor { height, hash: head.hash, digest: head.digest, members };
        self.govern(now, governance, committee, effects);
        self.step_consensus(now, PbftInput::Final(head), effects);
        self.publish_members(now, height, effects);
        self.step_sync(now, lian_sync::Input::Final { anchor, epoch, oldest }, effects);
        self.end_at_unknown_protocol(now, height);
    }

    /// Tells the machine what waits in the pool, when that has changed.
    pub(super) fn tell_pool(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        for _ in 0..limits::WINDOW_MAX {
            let (waiting_since, waiting) = {
                let pool = self.pool.lock();
                (pool.eligible_since(), pool.ready_len())
            };
            let full = self.parameters_at(self.next_height()).block_transactions_max;
            let ready = waiting_since.is_some() && self.pacing.allows(now, waiting, full);
            if (ready, waiting_since) == self.told || self.halted {
                return;
            }
            self.told = (ready, waiting_since);
            // Proposing changes what waits, so look again.
            self.step_consensus(now, PbftInput::Pool { ready, waiting_since }, effects);
        }
    }

    /// Answers the machine's wish for transactions.
    pub(super) fn offer_transactions(
        &mut self,
        now: Millis,
        height: BlockNumber,
        view: View,
        time_min: Millis,
    ) -> PbftInput {
        let limits = SelectLimits {
            count: self.proposal_size(height),
            bytes: limits::PROPOSAL_BODY_BYTES_MAX,
            gas: self.config.governance.block_gas_limit_at(height),
        };
        let transactions = self.pool.lock().select(limits);
        self.selection = Some((height, transactions.clone()));
        PbftInput::Transactions { height, view, transactions, time: now.max(time_min) }
    }

    /// Most transactions of a proposal. After views in which nothing became final it is halved with each of them: where
    /// the members cannot get the bodies, check and execute them within a timeout, fewer are to get through.
    fn proposal_size(&self, height: BlockNumber) -> usize {
        let most = self.parameters_at(height).block_transactions_max;
        let halvings = self.machine.status().failed.min(usize::BITS - 1);
        (most >> halvings).max(limits::PROPOSAL_TRANSACTIONS_MIN).min(most)
    }

    /// A pre-prepare is being signed: what was chosen for it is proposed from now on.
    fn note_own_proposal(&mut self, now: Millis, statement: &Statement) {
        let Statement::PrePrepare { height, digest, .. } = statement else { return };
        let Some((selected, hashes)) = self.selection.take().filter(|(selected, _)| selected == height) else { return };
        self.pool.lock().proposed(now, selected, *digest, &hashes);
        self.pacing.proposed(now, selected);
        self.note_proposed(now, selected, &hashes);
    }

    pub(super) fn with_bodies(&self, record: VoteRecord) -> DurableRecord {
        let bodies = record.bodies_of().map(|proposal| self.bodies_of(proposal)).unwrap_or_default();
        DurableRecord { record, bodies }
    }

    pub(super) fn bodies_of(&self, proposal: &Proposal) -> Vec<Arc<VerifiedTransaction>> {
        let pool = self.pool.lock();
        proposal.transactions.iter().filter_map(|hash| pool.get(hash).cloned()).collect()
    }

    fn blame(&self, member: lian_types::MemberIndex, what: lian_pbft::Misbehaviour, effects: &mut Vec<Effect>) {
        let height = self.machine.status().height.next();
        let committee = self.machine.committees().at(height);
        let member = committee.and_then(|committee| committee.members.members.get(member));
        effects.extend(member.map(|member| Effect::Misbehaved { peer: member.key, what: Offence::Consensus(what) }));
    }

    pub(super) fn note_proposed(&self, now: Millis, height: BlockNumber, hashes: &[alloy_primitives::TxHash]) {
        let mut flows = self.flows.lock();
        note(&mut flows.block_mut(height).proposed, now);
        for hash in hashes {
            note(&mut flows.transaction_mut(*hash).proposed, now);
        }
    }

    pub(super) fn note_executed(&self, now: Millis, height: BlockNumber) {
        note(&mut self.flows.lock().block_mut(height).executed, now);
    }

    fn note_stage(&self, now: Millis, height: BlockNumber, stage: Stage) {
        let mut flows = self.flows.lock();
        let flow = flows.block_mut(height);
        match stage {
            Stage::Accepted => note(&mut flow.verified, now),
            Stage::Prepared => note(&mut flow.prepared, now),
            Stage::Certified => note(&mut flow.committed, now),
            Stage::Checkpointed => note(&mut flow.checkpointed, now),
            Stage::Committed | Stage::Ordered => {}
        }
    }
}
