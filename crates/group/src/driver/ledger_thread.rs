//! The ledger's thread: appends final blocks, many with one fsync when they have gathered, then tells everybody.

use super::{announce, core_thread::Command, oldest_served};
use crate::{core::Input, finality, handle::GroupEvent, stop::StopSignal};
use lian_crypto::{Suite, VerifiedTransaction};
use lian_ledger::{FinalBlock, Ledger};
use lian_types::{BlockNumber, MembersError};
use std::sync::{
    Arc,
    mpsc::{Receiver, SyncSender},
};
use tokio::sync::{broadcast, watch};

/// Blocks appended with one fsync at most.
const BATCH_MAX: usize = 64;

/// A block to append.
pub(super) struct Append {
    pub(super) block: FinalBlock,
    /// The bodies of its proposal, where they are at hand.
    pub(super) bodies: Arc<Vec<Arc<VerifiedTransaction>>>,
}

/// The ledger thread's parts.
pub(super) struct LedgerThread {
    pub(super) suite: Suite,
    pub(super) ledger: Arc<Ledger>,
    pub(super) commands: SyncSender<Command>,
    pub(super) events: broadcast::Sender<GroupEvent>,
    pub(super) heads: watch::Sender<BlockNumber>,
    pub(super) stop: StopSignal,
}

impl LedgerThread {
    /// Runs until execution ends, or the disk fails.
    pub(super) fn run(self, appends: &Receiver<Append>) {
        while let Ok(first) = appends.recv() {
            let more = std::iter::from_fn(|| appends.try_recv().ok()).take(BATCH_MAX);
            let mut batch: Vec<_> = std::iter::once(first).chain(more).collect();
            // The same block may come certified and caught up.
            let mut next = self.ledger.head().number.next();
            batch.retain(|append| {
                let follows = append.block.executed.block.header.number == next.0;
                next = if follows { next.next() } else { next };
                follows
            });
            let blocks: Vec<_> = batch.iter().map(|append| append.block.clone()).collect();
            if blocks.is_empty() {
                continue;
            }
            if let Err(error) = self.ledger.append(&blocks) {
                self.stop.stop(format!("final blocks cannot be made durable: {error}"));
                return;
            }
            for Append { block, bodies } in batch {
                if let Err(error) = self.tell(block, &bodies) {
                    self.stop.stop(format!("the chain names no valid members: {error}"));
                    return;
                }
            }
        }
    }

    fn tell(&self, block: FinalBlock, bodies: &[Arc<VerifiedTransaction>]) -> Result<(), MembersError> {
        let head = self.ledger.head();
        let state = head.parent.state.as_ref();
        let stored = finality::stored(self.suite, &block, bodies, state, oldest_served(&self.ledger))?;
        let count = block.executed.block.transactions.len();
        metrics::counter!("lian_transactions_total").increment(u64::try_from(count).unwrap_or(0));
        // The core ends only when the node does.
        let _ = self.commands.send(Command::Input(Box::new(Input::Stored(Box::new(stored)))));
        self.heads.send_replace(BlockNumber(block.executed.block.header.number));
        announce(&self.events, GroupEvent::Final(Arc::new(block)));
        Ok(())
    }
}
