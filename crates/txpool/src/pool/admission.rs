//! Taking transactions in.

use super::{DropReason, Dropped, Load, Pool, length};
use crate::{Origin, Refusal, Standing, account::Account, check_static, queues::Pending, refusal::ReplacementReason};
use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, TxHash, U256};
use lian_crypto::VerifiedTransaction;
use lian_types::{Millis, limits};
use std::sync::Arc;

/// What the pool needs to know about a sender, at a final state no older than the last [`Pool::finalized`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountView {
    /// The nonce that the account's next transaction must have.
    pub nonce: u64,
    /// The balance, in wei.
    pub balance: U256,
    /// Whether it is a contract: it has code, and that is not a delegation of EIP-7702.
    pub is_contract: bool,
    /// Whether a transaction of a client would revert because the account is frozen. Of what peers send it is not asked: only
    /// the block's verdict binds.
    pub is_frozen: bool,
}

/// How a transaction was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// How it stands now.
    pub standing: Standing,
    /// The transaction that it replaced, which left the pool.
    pub replaced: Option<TxHash>,
    /// Queued transactions that were evicted for it.
    pub dropped: Vec<Dropped>,
}

impl Pool {
    /// Takes a transaction in, or says why not.
    ///
    /// A transaction with the sender and nonce of an earlier one replaces it, in its place in line, if no open proposal
    /// promises the nonce and the gas price (or fee cap) is higher by [`limits::POOL_PRICE_BUMP_PERCENT`] and at least
    /// 1 wei. Nobody pays that price; raising it is how wallets say that they mean it.
    ///
    /// When the pool is full, a ready transaction takes the room of queued ones, those from peers and the oldest first;
    /// of a ready one never. Peers together fill at most [`limits::POOL_PEER_EIGHTHS`] of the pool.
    ///
    /// # Errors
    /// [`Refusal`]; the pool is then as before, except that it learned the nonce in `view`.
    pub fn admit(
        &mut self,
        now: Millis,
        transaction: Arc<VerifiedTransaction>,
        origin: Origin,
        view: &AccountView,
    ) -> Result<Admitted, Refusal> {
        let hash = transaction.hash();
        let (sender, nonce) = (transaction.sender(), transaction.transaction().nonce());
        if let Some(known) = self.known.get(&hash) {
            if known.pooled {
                return Err(Refusal::AlreadyKnown(hash));
            }
            if known.is_final {
                return Err(Refusal::AlreadyFinal(hash));
            }
        }
        self.check_state(&transaction, view)?;
        check_static(transaction.transaction(), &self.config.limits)?;
        self.observe(now, sender, view.nonce);
        let slot = self.accounts.get(&sender).and_then(|account| account.slot(nonce));
        if let Some(existing) = slot.and_then(|slot| slot.pending.as_ref()) {
            let promised = slot.is_some_and(|slot| slot.promises > 0);
            check_replacement(existing, promised, &transaction)?;
            let (old_origin, old_bytes) = (existing.origin, existing.bytes);
            return self.replace(now, transaction, origin, old_origin, old_bytes);
        }
        let standing = self.check_quotas(sender, nonce, view)?;
        let dropped = self.make_room(now, origin, standing, length(&transaction))?;
        let standing = self.insert(now, transaction, origin, view.nonce);
        Ok(Admitted { standing, replaced: None, dropped })
    }

    /// What the state says against a transaction.
    fn check_state(&self, transaction: &VerifiedTransaction, view: &AccountView) -> Result<(), Refusal> {
        let (address, found) = (transaction.sender(), transaction.transaction().nonce());
        let account = self.accounts.get(&address).filter(|account| account.known);
        let next = account.map_or(view.nonce, |account| account.final_nonce.max(view.nonce));
        if found < next {
            return Err(Refusal::NonceTooLow { next, found });
        }
        if found.saturating_sub(next) > self.config.nonce_ahead_max {
            return Err(Refusal::NonceGap { next, found, ahead_max: self.config.nonce_ahead_max });
        }
        if view.is_contract {
            return Err(Refusal::SenderIsContract(address));
        }
        if view.is_frozen {
            return Err(Refusal::SenderFrozen(address));
        }
        let value = transaction.transaction().as_ethereum().value();
        if view.balance < value {
            return Err(Refusal::InsufficientFunds { address, balance: view.balance, value });
        }
        Ok(())
    }

    /// Learns an account's nonce from a view that is newer than what the pool was told, or that replaces its guess.
    fn observe(&mut self, now: Millis, sender: Address, nonce: u64) {
        let Some(account) = self.accounts.get_mut(&sender) else { return };
        if account.known && nonce <= account.final_nonce {
            return;
        }
        let mut removed = Vec::new();
        account.advance(nonce, &mut self.queues, &mut removed);
        for pending in &removed {
            self.forget(pending);
            self.overtaken.push(pending.hash);
        }
        self.settle(now, vec![sender]);
    }

    /// Whether the account may have one more transaction, and how it would stand.
    fn check_quotas(&self, address: Address, nonce: u64, view: &AccountView) -> Result<Standing, Refusal> {
        let Some(account) = self.accounts.get(&address) else {
            let ready = nonce == view.nonce;
            return if ready || self.config.account_queued_max > 0 {
                Ok(if ready { Standing::Ready } else { Standing::Queued })
            } else {
                Err(Refusal::AccountQueueFull { address, limit: 0, next: view.nonce })
            };
        };
        if account.pooled >= self.config.account_transactions_max {
            return Err(Refusal::AccountFull { address, limit: self.config.account_transactions_max });
        }
        let standing = account.standing_of(nonce);
        if standing == Standing::Queued && account.queued >= self.config.account_queued_max {
            let limit = self.config.account_queued_max;
            return Err(Refusal::AccountQueueFull { address, limit, next: account.ready_end });
        }
        Ok(standing)
    }

    /// Refuses a client's transaction for which there would be no room, or no time, whatever its sender: before its
    /// signature is looked at. `bytes` is its encoded length.
    ///
    /// No time is where the first of a long line, proposed ones included, has waited for [`limits::POOL_LINE_MS_MAX`]: every
    /// further transaction would wait at least as long. A node whose own clients have less than an eighth of the line takes
    /// theirs all the same, so that the clients of other members cannot shut them out.
    ///
    /// # Errors
    /// [`Refusal::Full`], [`Refusal::Behind`].
    pub fn check_room(&self, now: Millis, bytes: usize) -> Result<(), Refusal> {
        if !self.may_have_room(Origin::Local, bytes) {
            return Err(Refusal::Full { transactions: self.total.count, bytes: self.total.bytes });
        }
        let lines = self.queues.proposed_and_ready();
        let waiting = lines.iter().map(|line| line.len()).sum();
        let own = self.total.count.saturating_sub(self.from_peers.count);
        let oldest = lines.into_iter().filter_map(|line| line.first_key_value()).map(|(_, first)| first.since).min();
        let waited = oldest.map_or(0, |since| now.since(since).0);
        let is_behind = waiting >= self.config.line_min && waited >= limits::POOL_LINE_MS_MAX;
        if is_behind && own >= waiting / 8 { Err(Refusal::Behind { waiting, waited_ms: waited }) } else { Ok(()) }
    }

    /// Whether there is room, or there may be by evicting others.
    pub(super) fn may_have_room(&self, origin: Origin, bytes: usize) -> bool {
        let mut evictable = self.queues.queued(Origin::Peer).chain(self.queues.queued(Origin::Local));
        evictable.next().is_some() || self.has_room(origin, bytes, Load::default())
    }

    /// Whether one more transaction of `bytes` fits, for an origin, once `freed` is gone. A peer's takes the room of
    /// peers' only.
    fn has_room(&self, origin: Origin, bytes: usize, freed: Load) -> bool {
        let fits = |load: Load, eighths: usize| {
            let count_max = self.config.transactions_max.saturating_mul(eighths) / 8;
            let bytes_max = self.config.bytes_max.saturating_mul(eighths) / 8;
            load.count.saturating_sub(freed.count) < count_max
                && load.bytes.saturating_sub(freed.bytes).saturating_add(bytes) <= bytes_max
        };
        fits(self.total, 8) && (origin == Origin::Local || fits(self.from_peers, limits::POOL_PEER_EIGHTHS))
    }

    /// Evicts queued transactions, if that makes a new one fit and it may do so.
    fn make_room(
        &mut self,
        now: Millis,
        origin: Origin,
        standing: Standing,
        bytes: usize,
    ) -> Result<Vec<Dropped>, Refusal> {
        let (from_peers, from_clients) = match (standing, origin) {
            (Standing::Queued, Origin::Peer) => (false, false),
            (Standing::Queued, Origin::Local) | (_, Origin::Peer) => (true, false),
            (_, Origin::Local) => (true, true),
        };
        let peers = self.queues.queued(Origin::Peer).filter(|_| from_peers);
        let clients = self.queues.queued(Origin::Local).filter(|_| from_clients);
        let mut victims = Vec::new();
        let mut freed = Load::default();
        for victim in peers.chain(clients) {
            if self.has_room(origin, bytes, freed) {
                break;
            }
            freed.count = freed.count.saturating_add(1);
            freed.bytes = freed.bytes.saturating_add(victim.bytes);
            victims.push(Dropped { hash: victim.hash, reason: DropReason::Evicted });
        }
        if !self.has_room(origin, bytes, freed) {
            return Err(Refusal::Full { transactions: self.total.count, bytes: self.total.bytes });
        }
        let touched = victims.iter().filter_map(|victim| self.take(&victim.hash)).collect();
        self.settle(now, touched);
        Ok(victims)
    }

    fn insert(
        &mut self,
        now: Millis,
        transaction: Arc<VerifiedTransaction>,
        origin: Origin,
        final_nonce: u64,
    ) -> Standing {
        let (sender, bytes) = (transaction.sender(), length(&transaction));
        let pending = self.new_pending(now, transaction, origin);
        let promises = self.mark_pooled(&pending);
        self.count_in(origin, bytes);
        let account = self.accounts.entry(sender).or_insert_with(|| Account::new(final_nonce, true));
        account.insert(now, pending, promises, &mut self.queues)
    }

    fn replace(
        &mut self,
        now: Millis,
        transaction: Arc<VerifiedTransaction>,
        origin: Origin,
        old_origin: Origin,
        old_bytes: usize,
    ) -> Result<Admitted, Refusal> {
        let (sender, nonce, bytes) = (transaction.sender(), transaction.transaction().nonce(), length(&transaction));
        self.count_out(old_origin, old_bytes);
        let fits = self.has_room(origin, bytes, Load::default());
        self.count_in(old_origin, old_bytes);
        if !fits {
            return Err(Refusal::Full { transactions: self.total.count, bytes: self.total.bytes });
        }
        // Its time and sequence are those of the transaction that it replaces.
        let pending = self.new_pending(now, transaction, origin);
        let promises = self.mark_pooled(&pending);
        self.count_in(origin, bytes);
        let old = self.accounts.get_mut(&sender).and_then(|account| account.replace(pending, &mut self.queues));
        if promises > 0 {
            self.promise(sender, nonce, promises, &mut Vec::new());
            self.settle(now, vec![sender]);
        }
        let standing = self.accounts.get(&sender).map_or(Standing::Ready, |account| account.standing_of(nonce));
        let replaced = old.map(|old| {
            self.forget(&old);
            old.hash
        });
        Ok(Admitted { standing, replaced, dropped: Vec::new() })
    }

    /// A new transaction with a place at the end of the line.
    fn new_pending(&mut self, now: Millis, transaction: Arc<VerifiedTransaction>, origin: Origin) -> Pending {
        Pending {
            hash: transaction.hash(),
            origin,
            standing: Standing::Queued,
            sequence: self.queues.next(),
            since: now,
            waiting_since: now,
            bytes: length(&transaction),
            gas: transaction.transaction().gas_limit(),
            transaction,
        }
    }

    /// Notes that a transaction is pooled. Returns how many open proposals name it whose promises were not known yet,
    /// for lack of its body.
    fn mark_pooled(&mut self, pending: &Pending) -> u32 {
        let known = self.known.entry(pending.hash).or_default();
        known.pooled = true;
        match (&known.body, known.open) {
            (None, open) => {
                known.body = Some(Arc::clone(&pending.transaction));
                open
            }
            (Some(_), 0) => {
                self.loose_bytes = self.loose_bytes.saturating_sub(pending.bytes);
                0
            }
            (Some(_), _) => {
                self.side_bytes = self.side_bytes.saturating_sub(pending.bytes);
                0
            }
        }
    }
}

/// Whether a transaction may replace an earlier one of the same sender and nonce.
fn check_replacement(existing: &Pending, promised: bool, new: &VerifiedTransaction) -> Result<(), Refusal> {
    let refuse = |reason| Err(Refusal::Underpriced { existing: existing.hash, reason });
    if promised {
        return refuse(ReplacementReason::Proposed);
    }
    let old = existing.transaction.transaction().as_ethereum().max_fee_per_gas();
    let found = new.transaction().as_ethereum().max_fee_per_gas();
    let bump = old.saturating_mul(limits::POOL_PRICE_BUMP_PERCENT).div_ceil(100).max(1);
    let needed = old.saturating_add(bump);
    if found < needed { refuse(ReplacementReason::Price { found, needed }) } else { Ok(()) }
}
