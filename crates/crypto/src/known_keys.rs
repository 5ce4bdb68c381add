//! Public keys of accounts that return, with tables that make checking their signatures quick.

mod check;
mod comb;
mod digits;
mod field;
mod point;

use crate::{
    SenderError, VerifiedTransaction,
    suite::{key_address, recover_key},
};
use alloy_primitives::{Address, B256, TxHash, U256};
use check::{Claim, TEETH_OF_KEY, check_all};
use comb::Comb;
use field::Field;
use lian_types::Transaction;
use point::Affine;
use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, UnitWeighter,
    sync::{Cache, DefaultLifecycle},
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Keys that are noted, but have no table yet, for each one that may have. Notes are small.
const SEEN_PER_KEY: usize = 4;
/// Parts of the caches that are locked apart, so that threads rarely wait for each other.
const SHARDS: usize = 16;

/// Remembers the public keys of senders that return, so that a hint at the sender saves recovering it.
///
/// Checking a signature with a known key's table takes a fraction of recovering the key from it. Only keys that were
/// recovered here are known, so that a hint chooses what is tried first and never what comes out.
///
/// Keys that do not return never get a table. Where tables are too many, the caches keep those that are used again and again
/// (CLOCK-Pro, Jiang, Chen and Zhang 2005). Threads may share it.
#[derive(Debug)]
pub struct KnownKeys {
    tables: Cache<Address, Arc<Comb>>,
    /// Keys that were recovered once.
    seen: Cache<Address, ()>,
    hints_held: AtomicU64,
    hints_missed: AtomicU64,
}

/// A transaction on its way to its sender.
struct Pending {
    transaction: Arc<Transaction>,
    hash: B256,
    hint: Option<Address>,
}

impl KnownKeys {
    /// Knows none yet, and at most `keys_max` later, of 4 KiB each.
    #[must_use]
    pub fn new(keys_max: usize) -> Self {
        Self {
            tables: cache(keys_max),
            seen: cache(keys_max.saturating_mul(SEEN_PER_KEY)),
            hints_held: AtomicU64::new(0),
            hints_missed: AtomicU64::new(0),
        }
    }

    /// The keys that have a table.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.tables.len()
    }

    /// How many hints named the sender of a transaction and saved its recovery.
    #[must_use]
    pub fn hints_held(&self) -> u64 {
        self.hints_held.load(Relaxed)
    }

    /// How many hints named a known key that was not found to be the sender's. Each cost a check and saved nothing.
    #[must_use]
    pub fn hints_missed(&self) -> u64 {
        self.hints_missed.load(Relaxed)
    }

    /// What [`crate::Suite::recover_senders`] does on a standard chain.
    pub(crate) fn recover_senders(
        &self,
        batch: Vec<(Arc<Transaction>, Option<Address>)>,
    ) -> Vec<Result<VerifiedTransaction, (TxHash, SenderError)>> {
        let mut claims = Vec::with_capacity(batch.len());
        let mut pending = Vec::with_capacity(batch.len());
        for (transaction, hint) in batch {
            let hash = transaction.as_ethereum().signature_hash();
            let table = hint.and_then(|hint| self.tables.get(&hint));
            let claim = table.and_then(|table| Claim::new(table, hash, transaction.as_ethereum().signature()));
            let hint = hint.filter(|_| claim.is_some());
            claims.extend(claim);
            pending.push(Pending { transaction, hash, hint });
        }
        let mut are_true = check_all(&claims).into_iter();
        let recover = |pending: Pending| match pending.hint {
            Some(sender) if are_true.next() == Some(true) => {
                self.hints_held.fetch_add(1, Relaxed);
                Ok(VerifiedTransaction::new(pending.transaction, sender))
            }
            Some(_) => {
                self.hints_missed.fetch_add(1, Relaxed);
                self.recover(pending)
            }
            None => self.recover(pending),
        };
        pending.into_iter().map(recover).collect()
    }

    /// Recovers a transaction's key and remembers it.
    fn recover(
        &self,
        Pending { transaction, hash, .. }: Pending,
    ) -> Result<VerifiedTransaction, (TxHash, SenderError)> {
        let key =
            recover_key(hash, transaction.as_ethereum().signature()).map_err(|error| (transaction.hash(), error))?;
        let sender = key_address(&key);
        self.remember(sender, &key);
        Ok(VerifiedTransaction::new(transaction, sender))
    }

    /// Notes a key that was recovered, and makes its table the second time: that costs about as much as the recovery did,
    /// and who has returned once will return again. Threads that do so for one key at once may make its table twice,
    /// which is harmless.
    fn remember(&self, address: Address, key: &[u8; 64]) {
        if self.tables.contains_key(&address) {
            return;
        }
        if self.seen.remove(&address).is_none() {
            return self.seen.insert(address, ());
        }
        let (x, y) = key.split_at(32);
        let [x, y] = [x, y].map(|number| Field::new(U256::from_be_slice(number)));
        if let Some(table) = Comb::new(Affine { x, y }, TEETH_OF_KEY) {
            self.tables.insert(address, Arc::new(table));
        }
    }
}

/// A cache of at most so many entries. Large ones are in shards, whose sizes are rounded down.
fn cache<V: Clone>(entries_max: usize) -> Cache<Address, V> {
    let shards = if entries_max < 64 * SHARDS { 1 } else { SHARDS };
    let entries_max = entries_max / shards * shards;
    let options = OptionsBuilder::new()
        .shards(shards)
        .estimated_items_capacity(entries_max)
        .weight_capacity(u64::try_from(entries_max).unwrap_or(u64::MAX))
        .build();
    match options {
        Ok(options) => {
            Cache::with_options(options, UnitWeighter, DefaultHashBuilder::default(), DefaultLifecycle::default())
        }
        Err(_) => Cache::new(entries_max),
    }
}

#[cfg(test)]
mod tests;
