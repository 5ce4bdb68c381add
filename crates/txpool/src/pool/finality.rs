//! What final blocks and time do to the pool.

use super::{DropReason, Dropped, Pool, Progress, length, proposals::Bodies};
use crate::{Origin, queues::Candidate};
use alloy_primitives::{Address, TxHash};
use lian_types::{BlockNumber, Millis};

/// Why a proposed transaction is not in its block, as far as the pool cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Another transaction used its nonce. It leaves the pool.
    NonceTooLow,
    /// Transactions before it are missing. It stays, and is ready again when they are there.
    NonceTooHigh,
    /// The block had no gas left for it. It stays ready.
    BlockFull,
    /// Anything that waiting does not cure, for example too little balance. It leaves the pool.
    Invalid,
}

/// A block that became final.
#[derive(Clone, Copy, Debug)]
pub struct Finality<'a> {
    /// Its height.
    pub height: BlockNumber,
    /// Its transactions.
    pub included: &'a [TxHash],
    /// Transactions of its proposal that are not in it.
    pub skipped: &'a [(TxHash, Skip)],
    /// The nonces after it of all accounts whose nonce changed, senders and others.
    pub nonces: &'a [(Address, u64)],
}

impl Pool {
    /// Learns of a final block. The open proposals up to its height are closed. Returns what left the pool without being
    /// in the block.
    pub fn finalized(&mut self, now: Millis, block: &Finality<'_>) -> Vec<Dropped> {
        let mut dropped = Vec::new();
        let mut touched = Vec::new();
        for hash in block.included {
            self.mark_final(*hash);
        }
        let mut removed = Vec::new();
        for (address, nonce) in block.nonces {
            let Some(account) = self.accounts.get_mut(address) else { continue };
            account.advance(*nonce, &mut self.queues, &mut removed);
            if account.is_empty() {
                self.accounts.remove(address);
            } else {
                touched.push(*address);
            }
        }
        for hash in removed.iter().map(|pending| pending.hash).chain(std::mem::take(&mut self.overtaken)) {
            if !self.known.get(&hash).is_some_and(|known| known.is_final) {
                dropped.push(Dropped { hash, reason: DropReason::NonceTooLow });
            }
        }
        for pending in &removed {
            if pending.since > self.progress.newest && self.known.get(&pending.hash).is_some_and(|known| known.is_final)
            {
                self.progress = Progress { newest: pending.since, at: now };
            }
            self.forget(pending);
        }
        while let Some(open) = self.open.first_entry() {
            if *open.key() > block.height {
                break;
            }
            let open = open.remove();
            self.release_all(&open.hashes, Bodies::DropFinal, &mut touched);
        }
        for (hash, skip) in block.skipped {
            if matches!(skip, Skip::NonceTooHigh | Skip::BlockFull) {
                continue;
            }
            if let Some(sender) = self.take(hash) {
                touched.push(sender);
                dropped.push(Dropped { hash: *hash, reason: DropReason::Skipped });
            }
        }
        self.trim_loose();
        self.trim_finals();
        self.settle(now, touched);
        dropped
    }

    /// Drops what has waited too long: ready transactions for a proposal, queued ones for their gap to close.
    pub fn expire(&mut self, now: Millis) -> Vec<Dropped> {
        let mut dropped = Vec::new();
        let mut touched = Vec::new();
        while let Some((hash, reason)) = self.due(now) {
            let Some(sender) = self.take(&hash) else { break };
            touched.push(sender);
            dropped.push(Dropped { hash, reason });
        }
        self.settle(now, touched);
        dropped
    }

    /// A transaction that has waited too long.
    fn due(&self, now: Millis) -> Option<(TxHash, DropReason)> {
        let over = |oldest: Option<&Candidate>, wait: Millis| {
            oldest.filter(|oldest| oldest.since.saturating_add(wait.0) <= now).map(|oldest| oldest.hash)
        };
        if let Some(hash) = over(self.queues.oldest_ready(), self.config.ready_max) {
            return Some((hash, DropReason::ExpiredReady));
        }
        let queued = |origin| over(self.queues.queued(origin).next(), self.config.queued_max);
        queued(Origin::Peer).or_else(|| queued(Origin::Local)).map(|hash| (hash, DropReason::ExpiredQueued))
    }

    fn mark_final(&mut self, hash: TxHash) {
        let known = self.known.entry(hash).or_default();
        if known.is_final {
            return;
        }
        known.is_final = true;
        self.finals.push_back(hash);
        // A body that only a discarded proposal named is not needed any more; its entry in `loose` is passed over.
        if known.open == 0
            && !known.pooled
            && let Some(body) = known.body.take()
        {
            self.loose_bytes = self.loose_bytes.saturating_sub(length(&body));
        }
    }

    fn trim_finals(&mut self) {
        while self.finals.len() > self.config.recent_final_max {
            let Some(hash) = self.finals.pop_front() else { break };
            let Some(known) = self.known.get_mut(&hash) else { continue };
            known.is_final = false;
            if known.body.is_none() && known.open == 0 {
                self.known.remove(&hash);
            }
        }
    }
}
