//! The outbox: writes durable records, then does in order what stands behind them.

use super::{Node, work::Work};
use crate::{event::NodeEvent, scenario::CrashPoint, sim::Sim, wallet::Name};
use alloy_primitives::B256;
use lian_group::{
    core::{DurableRecord, GroupMessage, Recipient},
    encode_live_record, encode_record,
    execution::ProposalWithBodies,
    recovery::Evidence,
};
use lian_ledger::{LogError, VoteLog};
use lian_pbft::Divergence;
use lian_txpool::Refusal;
use lian_types::{BlockNumber, Certificate};
use std::{collections::VecDeque, sync::Arc};

/// Items done with one fsync at most; the driver's.
const BATCH_MAX: usize = 4_096;

/// How many of a thousand batches are taken before all of a step's effects are there.
const SPLIT_PERMILLE: u64 = 100;

/// What the core wants done, in order.
pub(super) enum Item {
    Persist(Vec<DurableRecord>),
    Renew { live: Vec<DurableRecord>, below: BlockNumber },
    Send { to: Recipient, message: GroupMessage },
    Append { proposal: ProposalWithBodies, hash: B256, certificate: Arc<Certificate> },
    Reply(Name, Result<(), Refusal>),
    Diverged(Box<Divergence>),
}

/// The outbox's queue, and what it is writing.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Item>,
    /// What waits for the fsync that is under way.
    writing: Option<VecDeque<Item>>,
}

impl Outbox {
    pub(super) fn push(&mut self, item: Item) {
        self.waiting.push_back(item);
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.writing.as_ref().map_or(0, VecDeque::len)
    }

    /// Writes what is being written, as far as the disk's cache.
    pub(super) fn write_interrupted(&self, log: &VoteLog) {
        if let Some(batch) = &self.writing {
            // The machine crashes: nobody is there for an error.
            let _ = append(log, batch);
        }
    }
}

fn records(batch: &VecDeque<Item>) -> Vec<(BlockNumber, Vec<u8>)> {
    let mut records = Vec::new();
    for item in batch {
        match item {
            Item::Persist(durable) => records.extend(durable.iter().map(encode_record)),
            Item::Renew { live, below } => {
                records.extend(live.iter().map(|live| encode_live_record(live, *below)));
            }
            _ => {}
        }
    }
    records
}

fn append(log: &VoteLog, batch: &VecDeque<Item>) -> Result<(), LogError> {
    let records = records(batch);
    let borrowed: Vec<_> = records.iter().map(|(height, bytes)| (*height, bytes.as_slice())).collect();
    if borrowed.is_empty() { Ok(()) } else { log.append(&borrowed) }
}

impl Node {
    /// Takes up what waits, unless an fsync is under way: what needs one waits for it, everything else is done at once.
    pub(super) fn write_out(&mut self, sim: &mut Sim) {
        while !self.is_ending() {
            let Some(run) = &mut self.run else { return };
            if run.outbox.writing.is_some() || run.outbox.waiting.is_empty() {
                return;
            }
            // The outbox's thread may wake up before the core's has handed everything on.
            let length = run.outbox.waiting.len();
            let first = if sim.random.permille(SPLIT_PERMILLE) { 1 + sim.random.index(length) } else { length };
            let count = first.min(BATCH_MAX);
            let batch: VecDeque<_> = run.outbox.waiting.drain(..count).collect();
            let durable = |item: &Item| match item {
                Item::Persist(records) => !records.is_empty(),
                Item::Renew { live, .. } => !live.is_empty(),
                _ => false,
            };
            if batch.iter().any(durable) {
                run.outbox.writing = Some(batch);
                let after = sim.sync_us(self.id);
                sim.later(self.id, self.life, after, NodeEvent::VotesSynced);
                self.passes(sim, CrashPoint::VoteSync);
                return;
            }
            self.perform_all(sim, batch);
        }
    }

    pub(super) fn on_votes_synced(&mut self, sim: &mut Sim) {
        let Some(run) = &mut self.run else { return };
        let Some(batch) = run.outbox.writing.take() else { return };
        if let Err(error) = append(&run.votes, &batch) {
            return self.stop(format!("votes cannot be made durable: {error}"));
        }
        sim.count("vote fsyncs");
        for item in batch.iter().filter(|_| sim.is_honest(self.id)).collect::<Vec<_>>() {
            let (Item::Persist(written) | Item::Renew { live: written, .. }) = item else { continue };
            if let Err(what) = sim.oracle.written(self.id, written) {
                sim.fail("votes", || format!("n{} {what}", self.id));
            }
        }
        if self.passes(sim, CrashPoint::VoteDurable) {
            self.perform_all(sim, batch);
            self.write_out(sim);
            self.work_on(sim);
        }
    }

    fn perform_all(&mut self, sim: &mut Sim, batch: VecDeque<Item>) {
        for item in batch {
            if matches!(item, Item::Send { .. }) && !self.passes(sim, CrashPoint::Sending) {
                return;
            }
            if matches!(item, Item::Renew { .. }) && !self.passes(sim, CrashPoint::Renewal) {
                return;
            }
            self.perform(sim, item);
            if self.is_ending() {
                return;
            }
        }
    }

    fn perform(&mut self, sim: &mut Sim, item: Item) {
        let Some(run) = &mut self.run else { return };
        match item {
            Item::Persist(_) => {}
            Item::Renew { below, .. } => {
                sim.count("vote logs renewed");
                if let Err(error) = run.votes.retire(below) {
                    self.stop(format!("old votes cannot be removed: {error}"));
                }
            }
            Item::Diverged(divergence) => {
                let evidence = Evidence::of_divergence(&sim.chain.info, run.clock.now(), &divergence, &run.execution);
                self.diverge(sim, &evidence);
            }
            Item::Send { to, message } => sim.send(self.id, to, &message),
            Item::Append { proposal, hash, certificate } => {
                run.working.push(Work::Append { proposal, hash, certificate });
            }
            Item::Reply(name, result) => {
                sim.tell(|| format!("n{} answers {name}: {result:?}", self.id));
                // The word of a Byzantine member counts for nothing.
                if sim.is_honest(self.id) {
                    sim.clients.answered(self.id, self.life, name, &result);
                }
            }
        }
    }
}
