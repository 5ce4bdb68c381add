//! The Raft machine's inputs and effects.

use super::{
    Core, DurableRecord, Effect, GroupMessage, Offence, Recipient, VoteRecord, machine::Machine, machine::raft_head,
};
use crate::{execution::ProposalWithBodies, flow::note};
use lian_pbft::{BodiesVerdict as PbftVerdict, Divergence as PbftDivergence, Input as PbftInput, Statement};
use lian_raft::{BodiesVerdict, Divergence, Effect as RaftEffect, Input as RaftInput, Stage};
use lian_types::{BlockNumber, Millis, Proposal, ProposalDigest};
use std::{collections::VecDeque, sync::Arc};

impl Core {
    /// Steps the machine, and again with whatever this node can answer at once.
    pub(super) fn step_raft(&mut self, now: Millis, input: RaftInput, effects: &mut Vec<Effect>) {
        let mut inputs = VecDeque::from([input]);
        let mut out = Vec::new();
        while let Some(input) = inputs.pop_front() {
            let Machine::Raft { machine, .. } = &mut self.machine else { return };
            if self.halted {
                return;
            }
            machine.step(now, input, &mut out);
            for effect in out.drain(..) {
                self.on_raft_effect(now, effect, &mut inputs, effects);
            }
        }
    }

    fn on_raft_effect(
        &mut self,
        now: Millis,
        effect: RaftEffect,
        inputs: &mut VecDeque<RaftInput>,
        effects: &mut Vec<Effect>,
    ) {
        match effect {
            RaftEffect::Sign(vote) => effects.push(Effect::Sign(Statement::Vote(vote))),
            RaftEffect::Persist(records) => {
                let made_at = self.machine.status().height;
                let records = records.into_iter().map(|record| self.raft_record(record, made_at)).collect();
                effects.push(Effect::Persist(records));
            }
            RaftEffect::Send { to, message } => {
                let to = match to {
                    lian_raft::Recipient::All => Recipient::All,
                    lian_raft::Recipient::One(key) => Recipient::One(key),
                };
                effects.push(Effect::Send { to, message: GroupMessage::Raft(message) });
            }
            RaftEffect::CheckBodies { digest, proposal } => {
                inputs.extend(self.check_bodies(now, digest, proposal).and_then(raft_input));
            }
            RaftEffect::Forget(digest) => self.fetches.forget(&digest),
            RaftEffect::Proposed { digest, proposal } => self.note_raft_proposal(now, digest, &proposal),
            RaftEffect::Execute { digest, proposal } => self.execute(now, digest, proposal, effects),
            RaftEffect::DiscardFrom(height) => self.discard_from(now, height, effects),
            RaftEffect::WantTransactions { height, term, time_min } => {
                inputs.extend(raft_input(self.offer_transactions(now, height, term, time_min)));
            }
            RaftEffect::Certified { proposal, digest, hash, certificate } => {
                let bodies = Arc::new(self.bodies_of(&proposal));
                let proposal = ProposalWithBodies { proposal, digest, bodies };
                effects.push(Effect::Append { proposal, hash, certificate });
            }
            RaftEffect::Behind { height, from } => {
                self.step_sync(now, lian_sync::Input::Claim { peer: from, height }, effects);
            }
            RaftEffect::Reached { height, stage } => self.note_raft_stage(now, height, stage),
            RaftEffect::LeaderChanged { term, leader } => {
                tracing::info!(%term, leader = leader.map(tracing::field::display), "term");
                metrics::counter!("lian_raft_leader_changes_total").increment(1);
            }
            RaftEffect::Misbehaved { key, what } => {
                effects.push(Effect::Misbehaved { peer: key, what: Offence::Raft(what) });
            }
            RaftEffect::Halt(divergence) => {
                self.halted = true;
                effects.push(Effect::Halt(Box::new(evidence_of(*divergence))));
            }
        }
    }

    fn raft_record(&self, record: lian_raft::Record, made_at: BlockNumber) -> DurableRecord {
        self.with_bodies(VoteRecord::Raft { record, made_at })
    }

    fn note_raft_proposal(&mut self, now: Millis, digest: ProposalDigest, proposal: &Arc<Proposal>) {
        self.selection = None;
        self.pool.lock().proposed(now, proposal.height, digest, &proposal.transactions);
        self.pacing.proposed(now, proposal.height);
        self.note_proposed(now, proposal.height, &proposal.transactions);
    }

    fn note_raft_stage(&self, now: Millis, height: BlockNumber, stage: Stage) {
        let mut flows = self.flows.lock();
        let flow = flows.block_mut(height);
        match stage {
            Stage::Accepted => note(&mut flow.verified, now),
            Stage::Committed => note(&mut flow.prepared, now),
            Stage::Signed => note(&mut flow.checkpointed, now),
            Stage::Certified => note(&mut flow.committed, now),
        }
    }
}

/// An input that both kinds of machine have, as Raft's takes it; none for one that only PBFT knows.
pub(super) fn raft_input(input: PbftInput) -> Option<RaftInput> {
    Some(match input {
        PbftInput::Signed { statement: Statement::Vote(vote), signature } => RaftInput::Signed { vote, signature },
        PbftInput::Bodies { digest, verdict } => {
            let verdict = match verdict {
                PbftVerdict::Held => BodiesVerdict::Held,
                PbftVerdict::Invalid => BodiesVerdict::Invalid,
            };
            RaftInput::Bodies { digest, verdict }
        }
        PbftInput::Executed { height, digest, parent, hash } => RaftInput::Executed { height, digest, parent, hash },
        PbftInput::Transactions { height, view, transactions, time } => {
            RaftInput::Transactions { height, term: view, transactions, time }
        }
        PbftInput::Final(head) => RaftInput::Final(raft_head(head)),
        PbftInput::Pool { ready, .. } => RaftInput::Pool { ready },
        PbftInput::AllowEmpty(allowed) => RaftInput::AllowEmpty(allowed),
        PbftInput::Peer { key, connected } => RaftInput::Peer { key, connected },
        PbftInput::Members(committee) => RaftInput::Members { first: committee.first, members: committee.members },
        PbftInput::EndBefore(height) => RaftInput::EndBefore(height),
        PbftInput::Tick => RaftInput::Tick,
        PbftInput::Message { .. } | PbftInput::Signed { .. } | PbftInput::Timing(_) => return None,
    })
}

/// A divergence as the evidence has it, which is of one form for both kinds.
fn evidence_of(divergence: Divergence) -> PbftDivergence {
    match divergence {
        Divergence::Result { height, digest, own, certificate } => {
            PbftDivergence::Result { height, digest, own, certificate }
        }
        Divergence::Execution { height, digest, parent, signed, found } => {
            PbftDivergence::Execution { height, digest, voted: (parent, signed), found: (parent, found) }
        }
        Divergence::NoMajority { height, digest, results } => PbftDivergence::NoQuorum { height, digest, results },
        Divergence::Order { height, own, other } => PbftDivergence::Order { height, own, other: Some(other) },
    }
}
