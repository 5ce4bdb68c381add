//! The pool: what is known, what waits, what is promised.

mod admission;
mod finality;
mod proposals;
mod queries;

pub use admission::{AccountView, Admitted};
pub use finality::{Finality, Skip};
pub use queries::{Counts, PoolContent};

use crate::{
    Limits, Origin,
    account::Account,
    queues::{Candidate, Pending, Queues},
};
use alloy_primitives::{
    Address, TxHash,
    map::{AddressMap, B256Map, B256Set},
};
use lian_crypto::VerifiedTransaction;
use lian_types::{BlockNumber, Millis, ProposalDigest, Transaction, limits};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// The bounds of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// What every transaction of the group must keep to.
    pub limits: Limits,
    /// Most transactions.
    pub transactions_max: usize,
    /// From how many proposed and ready transactions on it counts how long they wait.
    pub line_min: usize,
    /// Largest sum of their encoded lengths, in bytes.
    pub bytes_max: usize,
    /// Most transactions of one account.
    pub account_transactions_max: usize,
    /// Most transactions of one account that wait for a gap to close.
    pub account_queued_max: usize,
    /// Farthest that a nonce may be ahead of its account's.
    pub nonce_ahead_max: u64,
    /// Longest wait of a ready transaction for a proposal.
    pub ready_max: Millis,
    /// Longest wait of a queued transaction for its gap to close.
    pub queued_max: Millis,
    /// Hashes of final transactions that are remembered.
    pub recent_final_max: usize,
    /// Largest sum of bodies kept after their proposal was discarded, in bytes.
    pub loose_bytes_max: usize,
}

impl PoolConfig {
    /// The defaults of [`lian_types::limits`] for a group.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            transactions_max: limits::POOL_TRANSACTIONS_MAX,
            line_min: limits::POOL_LINE_MIN,
            bytes_max: limits::POOL_BYTES_MAX,
            account_transactions_max: limits::POOL_ACCOUNT_TRANSACTIONS_MAX,
            account_queued_max: limits::POOL_ACCOUNT_QUEUED_MAX,
            nonce_ahead_max: limits::POOL_NONCE_AHEAD_MAX,
            ready_max: Millis(limits::POOL_READY_MS_MAX),
            queued_max: Millis(limits::POOL_QUEUED_MS_MAX),
            recent_final_max: limits::POOL_RECENT_FINAL_MAX,
            loose_bytes_max: limits::POOL_LOOSE_BYTES_MAX,
        }
    }
}

/// What a proposal has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectLimits {
    /// Most transactions.
    pub count: usize,
    /// Largest sum of encoded lengths, in bytes.
    pub bytes: usize,
    /// Largest sum of gas limits, in units of gas.
    pub gas: u64,
}

/// A transaction that left the pool without becoming final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Its hash.
    pub hash: TxHash,
    /// Why it left.
    pub reason: DropReason,
}

/// Why a transaction left the pool without becoming final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// Another transaction used its nonce.
    NonceTooLow,
    /// It was ready and not proposed for too long.
    ExpiredReady,
    /// The gap before it was not closed for too long.
    ExpiredQueued,
    /// It was queued behind a gap, and the room was needed.
    Evicted,
    /// It was skipped at execution for a reason that waiting does not cure.
    Skipped,
}

/// What is known about a transaction. Forgotten when it is neither pooled, nor proposed, nor recently final, nor kept.
#[derive(Debug, Default)]
struct Known {
    body: Option<Arc<VerifiedTransaction>>,
    /// How many open proposals name it.
    open: u32,
    pooled: bool,
    is_final: bool,
}

/// A proposal that is neither final nor discarded.
#[derive(Debug)]
struct OpenProposal {
    digest: ProposalDigest,
    hashes: Vec<TxHash>,
}

/// Transactions in the pool and their encoded length.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    count: usize,
    bytes: usize,
}

/// The pool of one group on one node.
///
/// The order of proposals is the order in which transactions became ready, over all accounts; fees are never charged, so
/// they buy no priority. A replacement takes the place of what it replaces.
#[derive(Debug)]
pub struct Pool {
    config: PoolConfig,
    known: B256Map<Known>,
    accounts: AddressMap<Account>,
    queues: Queues,
    open: BTreeMap<BlockNumber, OpenProposal>,
    total: Load,
    from_peers: Load,
    /// Hashes of recently final transactions, the oldest first.
    finals: VecDeque<TxHash>,
    /// Bytes of bodies that open proposals hold beside the pool.
    side_bytes: usize,
    /// Bodies that only discarded proposals named, the oldest first. May name some that are used again.
    loose: VecDeque<TxHash>,
    loose_bytes: usize,
    /// Transactions that left because a view had a newer nonce than the pool was told; the next final block tells
    /// whether they are in it.
    overtaken: Vec<TxHash>,
    /// Transactions that have reached this node and are being checked.
    arriving: B256Set,
    progress: Progress,
}

/// How far the line of transactions has come.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// When the newest of the pool's transactions that are final came.
    newest: Millis,
    /// When it became final.
    at: Millis,
}

impl Pool {
    /// An empty pool.
    #[must_use]
    pub fn new(config: PoolConfig) -> Self {
        Self {
            config,
            known: B256Map::default(),
            accounts: AddressMap::default(),
            queues: Queues::default(),
            open: BTreeMap::new(),
            total: Load::default(),
            from_peers: Load::default(),
            finals: VecDeque::new(),
            side_bytes: 0,
            loose: VecDeque::new(),
            loose_bytes: 0,
            overtaken: Vec::new(),
            arriving: B256Set::default(),
            progress: Progress::default(),
        }
    }

    /// Chooses transactions for the next proposal: those that are ready, in the order in which they became so, up to
    /// the first that does not fit. The cost grows with the result only.
    ///
    /// Call [`Pool::proposed`] with the proposal made of them before selecting again; that makes the next nonces of the
    /// same accounts selectable for the next height.
    #[must_use]
    pub fn select(&self, limits: SelectLimits) -> Vec<TxHash> {
        let mut hashes = Vec::with_capacity(self.queues.ready_len().min(limits.count));
        let (mut bytes, mut gas) = (0usize, 0u64);
        for candidate in self.queues.ready().take(limits.count) {
            bytes = bytes.saturating_add(candidate.bytes);
            gas = gas.saturating_add(candidate.gas);
            if bytes > limits.bytes || gas > limits.gas {
                break;
            }
            hashes.push(candidate.hash);
        }
        hashes
    }

    /// The time since which some ready transaction has not been proposed, for the censorship timer. One that came back
    /// from a discarded proposal waits from then on. Transactions that are queued, or whose nonce is promised, do not
    /// count: the rules refuse to propose them.
    #[must_use]
    pub fn eligible_since(&self) -> Option<Millis> {
        self.queues.waiting_since()
    }

    /// When [`Pool::overdue`] will have something to say if nothing more becomes final until then; a time that has passed
    /// where it has something already.
    #[must_use]
    pub fn overdue_at(&self, wait: u64) -> Option<Millis> {
        let oldest = self.queues.proposed_and_ready().map(|line| line.first_key_value());
        let since = oldest.into_iter().flatten().map(|(_, candidate)| candidate.since).min()?;
        let (due, Progress { newest, at }) = (since.saturating_add(wait), self.progress);
        Some(if due <= newest { due } else { due.max(at.saturating_add(wait)) })
    }

    /// The transactions that can be proposed or are, and have waited in vain: one that came `wait` milliseconds later is
    /// final, or for that long nothing new has become final. Where all have to wait alike, that alone is no reason. Those
    /// that open proposals hold come first, each kind in its order, at most so many.
    #[must_use]
    pub fn overdue(&self, now: Millis, wait: u64, count_max: usize) -> Vec<Arc<VerifiedTransaction>> {
        let Progress { newest, at } = self.progress;
        let until = if at.saturating_add(wait) <= now { now } else { newest };
        let old = |candidate: &&Candidate| candidate.since.saturating_add(wait) <= until;
        let lines = self.queues.proposed_and_ready().into_iter();
        let hashes = lines.flat_map(|line| line.values().take_while(old)).map(|candidate| candidate.hash);
        hashes.take(count_max).filter_map(|hash| self.get(&hash).cloned()).collect()
    }

    /// When [`Pool::expire`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let ready = self.queues.oldest_ready().map(|oldest| oldest.since.saturating_add(self.config.ready_max.0));
        let queued = |origin| {
            let oldest = self.queues.queued(origin).next();
            oldest.map(|oldest| oldest.since.saturating_add(self.config.queued_max.0))
        };
        [ready, queued(Origin::Local), queued(Origin::Peer)].into_iter().flatten().min()
    }

    /// Notes that a transaction has come from another member and will be checked; says whether it was noted. It is not
    /// where it is here or being checked already, and where there is no room for it and no open proposal names it: its
    /// signature need not be looked at then. Until [`Pool::arrived`] nobody need be asked for it, nor check it again.
    pub fn arrives(&mut self, transaction: &Transaction) -> bool {
        let hash = transaction.hash();
        let known = self.known.get(&hash);
        let is_here = known.is_some_and(|known| known.body.is_some());
        let is_wanted = known.is_some_and(|known| known.open > 0);
        let bytes = transaction.encoded().len();
        !is_here && (is_wanted || self.may_have_room(Origin::Peer, bytes)) && self.arriving.insert(hash)
    }

    /// Notes that a transaction was checked, whatever came of it.
    pub fn arrived(&mut self, hash: &TxHash) {
        self.arriving.remove(hash);
    }

    /// Whether a transaction is being checked.
    #[must_use]
    pub fn is_arriving(&self, hash: &TxHash) -> bool {
        self.arriving.contains(hash)
    }

    /// Takes a pooled transaction out by its hash. The caller settles the account. One that only a proposal named is not
    /// pooled; the pool may hold another one with its nonce.
    fn take(&mut self, hash: &TxHash) -> Option<Address> {
        let body = self.known.get(hash).filter(|known| known.pooled)?.body.as_ref()?;
        let (sender, nonce) = (body.sender(), body.transaction().nonce());
        let pending = self.accounts.get_mut(&sender)?.remove(nonce, &mut self.queues)?;
        self.forget(&pending);
        Some(sender)
    }

    /// Counts a transaction that left its account out of the pool. Its body stays while an open proposal names it.
    fn forget(&mut self, pending: &Pending) {
        self.count_out(pending.origin, pending.bytes);
        let Some(known) = self.known.get_mut(&pending.hash) else { return };
        known.pooled = false;
        if known.open > 0 {
            self.side_bytes = self.side_bytes.saturating_add(pending.bytes);
        } else if known.is_final {
            known.body = None;
        } else {
            self.known.remove(&pending.hash);
        }
    }

    fn count_in(&mut self, origin: Origin, bytes: usize) {
        let loads = [Some(&mut self.total), (origin == Origin::Peer).then_some(&mut self.from_peers)];
        for load in loads.into_iter().flatten() {
            load.count = load.count.saturating_add(1);
            load.bytes = load.bytes.saturating_add(bytes);
        }
    }

    fn count_out(&mut self, origin: Origin, bytes: usize) {
        let loads = [Some(&mut self.total), (origin == Origin::Peer).then_some(&mut self.from_peers)];
        for load in loads.into_iter().flatten() {
            load.count = load.count.saturating_sub(1);
            load.bytes = load.bytes.saturating_sub(bytes);
        }
    }

    /// Brings accounts up to date and forgets those of which nothing is left.
    fn settle(&mut self, now: Millis, mut touched: Vec<Address>) {
        touched.sort_unstable();
        touched.dedup();
        for address in touched {
            let Some(account) = self.accounts.get_mut(&address) else { continue };
            if account.is_empty() {
                self.accounts.remove(&address);
            } else {
                account.settle(now, &mut self.queues);
            }
        }
    }
}

/// The encoded length of a transaction, in bytes.
fn length(transaction: &VerifiedTransaction) -> usize {
    transaction.transaction().encoded().len()
}

#[cfg(test)]
impl Pool {
    /// Checks that all counts and lines agree with each other.
    pub(crate) fn assert_sound(&self) {
        let mut pooled = Load::default();
        let mut peers = Load::default();
        let (mut ready, mut queued) = (0, 0);
        for account in self.accounts.values() {
            account.assert_sound();
            assert!(!account.is_empty(), "an empty account is forgotten");
            for pending in account.slots().filter_map(|slot| slot.pending.as_ref()) {
                assert!(self.known[&pending.hash].pooled);
                let loads = [Some(&mut pooled), (pending.origin == Origin::Peer).then_some(&mut peers)];
                for load in loads.into_iter().flatten() {
                    load.count += 1;
                    load.bytes += pending.bytes;
                }
                ready += usize::from(pending.standing == crate::Standing::Ready);
                queued += usize::from(pending.standing == crate::Standing::Queued);
            }
        }
        assert_eq!((self.queues.ready_len(), self.queues.queued_len()), (ready, queued));
        assert_eq!((self.total.count, self.total.bytes), (pooled.count, pooled.bytes));
        assert_eq!((self.from_peers.count, self.from_peers.bytes), (peers.count, peers.bytes));
        let beside = |open: bool| {
            let beside = self.known.values().filter(|known| !known.pooled && (known.open > 0) == open);
            beside.filter_map(|known| known.body.as_deref()).map(length).sum::<usize>()
        };
        assert_eq!((self.side_bytes, self.loose_bytes), (beside(true), beside(false)));
        let named = |known: &Known| known.pooled || known.is_final || known.open > 0 || known.body.is_some();
        assert!(self.known.values().all(named), "what has no use is forgotten");
    }
}
