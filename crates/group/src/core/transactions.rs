//! Transactions on their way in, and to other nodes.

use super::{
    Candidate, ConsensusConfig, Core, DurableRecord, Effect, GroupMessage, Offence, Recipient, bodies::Complete,
};
use crate::{execution::ProposalWithBodies, flow::note};
use alloy_primitives::TxHash;
use lian_pbft::{BodiesVerdict, Input as PbftInput};
use lian_txpool::{Body, Limits, Origin, Pool, PoolMessage, Refusal, check_static};
use lian_types::{BlockNumber, ConsensusKey, Millis, Proposal, ProposalDigest, limits};
use std::{collections::BTreeSet, sync::Arc};

/// How long gossip gathers before it leaves, in milliseconds: a fraction of a round.
const GOSSIP_DELAY_MS: u64 = 2;
/// Largest gossip message, in bytes of transactions: a vote behind it on a slow link waits a few milliseconds only.
const GOSSIP_BYTES_MAX: usize = 256 * 1024;
/// Largest answer with bodies, in bytes of transactions.
const BODIES_BYTES_MAX: usize = 4 * 1024 * 1024;

impl Core {
    pub(super) fn on_submit(&mut self, now: Millis, ticket: u64, candidate: Candidate, effects: &mut Vec<Effect>) {
        let transaction = candidate.transaction;
        let hash = transaction.hash();
        let admitted = self.pool.lock().admit(now, Arc::clone(&transaction), Origin::Local, &candidate.account);
        let result = admitted.map(|_| {
            self.gossip.enqueue(&transaction);
            self.schedule_gossip(now);
            self.note_pooled(now, hash);
            effects.push(Effect::Pooled(transaction));
        });
        let is_taken = result.is_ok();
        effects.push(Effect::Reply { ticket, result });
        if is_taken {
            // A proposal may wait for it, for example this node's own from before a restart.
            self.fetches.arrived(&hash);
            self.complete_fetches(now, effects);
        }
    }

    pub(super) fn on_transactions(
        &mut self,
        now: Millis,
        from: ConsensusKey,
        transactions: Vec<Candidate>,
        unknown: &[TxHash],
        effects: &mut Vec<Effect>,
    ) {
        self.gossip.note_received(&from, transactions.iter().map(|candidate| candidate.transaction.hash()));
        for candidate in transactions {
            let transaction = candidate.transaction;
            let hash = transaction.hash();
            let mut pool = self.pool.lock();
            pool.arrived(&hash);
            match pool.admit(now, Arc::clone(&transaction), Origin::Peer, &candidate.account) {
                Ok(_) => {
                    drop(pool);
                    self.fetches.arrived(&hash);
                    self.note_pooled(now, hash);
                    effects.push(Effect::Pooled(transaction));
                }
                // A proposal may need what the pool has no room or no use for.
                Err(_) => {
                    if let Err(refusal) = check_static(transaction.transaction(), &pool.config().limits) {
                        effects.push(Effect::Misbehaved { peer: from, what: Offence::InvalidTransaction(refusal) });
                    } else {
                        match self.fetches.add_body(now, &mut pool, transaction) {
                            Ok(()) => self.fetches.arrived(&hash),
                            Err(refusal) => tracing::debug!(%hash, %refusal, "transaction from a peer not taken"),
                        }
                    }
                }
            }
        }
        self.complete_fetches(now, effects);
        if !unknown.is_empty() {
            self.fetches.hurry(now, unknown);
        }
    }

    pub(super) fn on_bodies_wanted(&self, from: ConsensusKey, hashes: &[TxHash], effects: &mut Vec<Effect>) {
        let (found, unknown) = self.pool.lock().bodies(hashes, BODIES_BYTES_MAX);
        let transactions = found.iter().map(Body::from).collect();
        let message = GroupMessage::Pool(PoolMessage::Bodies { transactions, unknown });
        effects.push(Effect::Send { to: Recipient::One(from), message });
    }

    /// Looks whether a proposal can be voted for. Returns the verdict when it is known at once.
    pub(super) fn check_bodies(
        &mut self,
        now: Millis,
        digest: ProposalDigest,
        proposal: Arc<Proposal>,
    ) -> Option<PbftInput> {
        self.note_proposed(now, proposal.height, &proposal.transactions);
        let mut pool = self.pool.lock();
        pool.proposed(now, proposal.height, digest, &proposal.transactions);
        let missing = pool.missing(&proposal.transactions);
        if missing.is_empty() {
            let verdict = self.judge(&pool, &proposal);
            return Some(PbftInput::Bodies { digest, verdict });
        }
        drop(pool);
        self.fetches.begin(now, digest, proposal, missing);
        None
    }

    /// The static rules that every member judges alike (pbft §2): size, gas, each transaction by itself, none twice.
    fn judge(&self, pool: &Pool, proposal: &Proposal) -> BodiesVerdict {
        let parameters = self.parameters_at(proposal.height);
        let rules: &Limits = &pool.config().limits;
        let (mut bytes, mut gas, mut seen) = (0usize, 0u64, BTreeSet::new());
        let valid = proposal.transactions.len() <= parameters.block_transactions_max
            && proposal.transactions.iter().all(|hash| {
                let Some(body) = pool.get(hash) else { return false };
                bytes = bytes.saturating_add(body.transaction().encoded().len());
                gas = gas.saturating_add(body.transaction().gas_limit());
                seen.insert(*hash) && check_static(body.transaction(), rules).is_ok()
            })
            && bytes <= limits::PROPOSAL_BODY_BYTES_MAX
            && gas <= self.config.governance.block_gas_limit_at(proposal.height);
        if valid { BodiesVerdict::Held } else { BodiesVerdict::Invalid }
    }

    fn complete_fetches(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        if !self.fetches.is_any_complete() {
            return;
        }
        let complete = {
            let pool = self.pool.lock();
            let complete = self.fetches.complete(|hashes| pool.missing(hashes));
            let judged = |complete: Complete| (self.judge(&pool, &complete.proposal), complete);
            complete.into_iter().map(judged).collect::<Vec<_>>()
        };
        for (verdict, Complete { digest, proposal, executes }) in complete {
            if executes {
                self.execute(now, digest, proposal, effects);
            }
            self.step_consensus(now, PbftInput::Bodies { digest, verdict }, effects);
        }
    }

    /// Has a proposal executed. Its bodies were all here, but the pool may have had to make room since: what is missing
    /// is fetched again first, since a block executed without it would be another one.
    pub(super) fn execute(
        &mut self,
        now: Millis,
        digest: ProposalDigest,
        proposal: Arc<Proposal>,
        effects: &mut Vec<Effect>,
    ) {
        let missing = {
            let mut pool = self.pool.lock();
            pool.proposed(now, proposal.height, digest, &proposal.transactions);
            pool.missing(&proposal.transactions)
        };
        if missing.is_empty() {
            let bodies = Arc::new(self.bodies_of(&proposal));
            self.pacing.executing(now, proposal.height);
            effects.push(Effect::Execute(ProposalWithBodies { proposal, digest, bodies }));
        } else {
            self.fetches.begin(now, digest, proposal, missing);
            self.fetches.execute_when_complete(&digest);
        }
    }

    pub(super) fn ask_for_bodies(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let peers: Vec<_> = self.connected.iter().copied().collect();
        let questions = {
            let pool = self.pool.lock();
            self.fetches.questions(now, &peers, |hash| pool.is_arriving(hash))
        };
        for question in questions {
            let message = GroupMessage::Pool(PoolMessage::Request(question.hashes));
            effects.push(Effect::Send { to: Recipient::One(question.to), message });
        }
    }

    pub(super) fn schedule_gossip(&mut self, now: Millis) {
        self.gossip_due.get_or_insert(now.saturating_add(GOSSIP_DELAY_MS));
    }

    pub(super) fn send_gossip(&mut self, effects: &mut Vec<Effect>) {
        let peers: Vec<_> = self.gossip.peers_waiting().collect();
        for peer in peers {
            loop {
                let batch = self.gossip.next_batch(&peer, GOSSIP_BYTES_MAX, limits::GOSSIP_TRANSACTIONS_MAX);
                if batch.is_empty() {
                    break;
                }
                let transactions = batch.iter().map(Body::from).collect();
                let message = GroupMessage::Pool(PoolMessage::Transactions(transactions));
                effects.push(Effect::Send { to: Recipient::One(peer), message });
            }
        }
    }

    fn note_pooled(&self, now: Millis, hash: TxHash) {
        note(&mut self.flows.lock().transaction_mut(hash).pooled, now);
    }
}

/// Puts the bodies of prepared or logged proposals back, so that they can be executed after a restart.
pub(super) fn restore_bodies(
    now: Millis,
    pool: &mut Pool,
    config: &ConsensusConfig,
    head: BlockNumber,
    records: &[DurableRecord],
) {
    for durable in records {
        let Some(proposal) = durable.record.bodies_of().filter(|proposal| proposal.height > head) else { continue };
        let digest = match config {
            ConsensusConfig::Pbft(config) => config.rules.suite.proposal_digest(proposal),
            ConsensusConfig::Raft(config) => config.suite.proposal_digest(proposal),
        };
        pool.proposed(now, proposal.height, digest, &proposal.transactions);
        for body in &durable.bodies {
            let added: Result<(), Refusal> = pool.add_body(now, Arc::clone(body));
            if let Err(refusal) = added {
                tracing::warn!(hash = %body.hash(), %refusal, "a body of the vote log was not taken back");
            }
        }
    }
}
