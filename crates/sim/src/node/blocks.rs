//! The ledger's threads, without the threads.

use super::Node;
use crate::{
    chain::SUITE,
    event::NodeEvent,
    oracle::{Origin, Seen},
    scenario::CrashPoint,
    sim::Sim,
};
use lian_crypto::VerifiedTransaction;
use lian_group::{core::Input, finality};
use lian_ledger::{FinalBlock, Ledger};
use lian_types::{BlockNumber, limits};
use std::{collections::VecDeque, sync::Arc};

/// Blocks appended with one fsync at most; the driver's.
const BATCH_MAX: usize = 64;

/// A block to append.
pub(super) struct Append {
    pub(super) block: FinalBlock,
    /// The bodies of its proposal, where they are at hand.
    pub(super) bodies: Arc<Vec<Arc<VerifiedTransaction>>>,
    pub(super) origin: Origin,
}

/// The ledger thread's queue, and what it is writing.
#[derive(Default)]
pub(super) struct Appending {
    waiting: VecDeque<Append>,
    writing: Option<Vec<Append>>,
}

impl Appending {
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.writing.as_ref().map_or(0, Vec::len)
    }

    /// Writes what is being written, as far as the disk's cache.
    pub(super) fn write_interrupted(&mut self, ledger: &Ledger) {
        if let Some(batch) = self.writing.take() {
            let (_, blocks) = in_sequence(ledger, batch);
            // The machine crashes: nobody is there for an error.
            let _ = ledger.append(&blocks);
        }
    }
}

/// Those blocks of a batch that follow the ledger's head and each other: the same block may come certified and caught up.
fn in_sequence(ledger: &Ledger, mut batch: Vec<Append>) -> (Vec<Append>, Vec<FinalBlock>) {
    let mut next = ledger.head().number.next();
    batch.retain(|append| {
        let follows = append.block.executed.block.header.number == next.0;
        next = if follows { next.next() } else { next };
        follows
    });
    let blocks = batch.iter().map(|append| append.block.clone()).collect();
    (batch, blocks)
}

impl Node {
    pub(super) fn append(&mut self, sim: &mut Sim, append: Append) {
        if let Some(run) = &mut self.run {
            run.appending.waiting.push_back(append);
        }
        self.append_next(sim);
    }

    fn append_next(&mut self, sim: &mut Sim) {
        if self.is_ending() {
            return;
        }
        let Some(run) = &mut self.run else { return };
        if run.appending.writing.is_some() || run.appending.waiting.is_empty() {
            return;
        }
        let count = run.appending.waiting.len().min(BATCH_MAX);
        run.appending.writing = Some(run.appending.waiting.drain(..count).collect());
        let after = sim.sync_us(self.id);
        sim.later(self.id, self.life, after, NodeEvent::BlocksSynced);
        self.passes(sim, CrashPoint::BlockSync);
    }

    pub(super) fn on_blocks_synced(&mut self, sim: &mut Sim) {
        let Some(run) = &mut self.run else { return };
        let Some(batch) = run.appending.writing.take() else { return };
        let (batch, blocks) = in_sequence(&run.ledger, batch);
        if !blocks.is_empty() {
            if let Err(error) = run.ledger.append(&blocks) {
                return self.stop(format!("final blocks cannot be made durable: {error}"));
            }
            if !self.passes(sim, CrashPoint::BlockDurable) {
                return;
            }
            for append in batch {
                self.tell_final(sim, &append);
            }
            self.flush_later(sim);
        }
        self.append_next(sim);
    }

    /// Clients and consensus learn of a durable block.
    fn tell_final(&mut self, sim: &mut Sim, append: &Append) {
        let Some(run) = &self.run else { return };
        let head = run.ledger.head();
        let state = head.parent.state.as_ref();
        let stored = match finality::stored(SUITE, &append.block, &append.bodies, state, BlockNumber(1)) {
            Ok(stored) => stored,
            Err(error) => return self.stop(format!("the chain names no valid members: {error}")),
        };
        if sim.is_honest(self.id) {
            sim.observe_block(self.id, &Seen::new(&append.block, append.origin), &run.ledger);
        }
        self.step(sim, Input::Stored(Box::new(stored)));
    }

    /// Lets the background thread of the ledger flush after its patience.
    pub(super) fn flush_later(&mut self, sim: &mut Sim) {
        let Some(run) = &mut self.run else { return };
        if !std::mem::replace(&mut run.flushing, true) {
            let after = limits::FLUSH_DELAY_MS * 1_000 / 2 + sim.random.below(limits::FLUSH_DELAY_MS * 500);
            sim.later(self.id, self.life, after, NodeEvent::Flush);
        }
    }

    pub(super) fn on_flush(&mut self, sim: &mut Sim) {
        let Some(run) = &mut self.run else { return };
        run.flushing = false;
        match run.ledger.flush_step() {
            Ok(true) => sim.count("flushes"),
            Ok(false) => {}
            Err(error) => self.stop(format!("the view cannot be written: {error}")),
        }
    }
}
