//! What others may ask the pool.

use super::{Pool, length};
use crate::{Origin, Standing};
use alloy_primitives::{Address, TxHash};
use lian_crypto::VerifiedTransaction;
use std::{collections::BTreeMap, sync::Arc};

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transactions that can be proposed or are.
    pub pending: usize,
    /// Transactions behind a gap.
    pub queued: usize,
    /// The encoded length of all of them, in bytes.
    pub bytes: usize,
}

/// Everything in the pool, by sender and nonce, as `txpool_content` shows it.
#[derive(Clone, Debug, Default)]
pub struct PoolContent {
    /// Transactions that can be proposed or are.
    pub pending: BTreeMap<Address, BTreeMap<u64, Arc<VerifiedTransaction>>>,
    /// Transactions behind a gap.
    pub queued: BTreeMap<Address, BTreeMap<u64, Arc<VerifiedTransaction>>>,
}

impl Pool {
    /// A transaction of the pool or of an open proposal.
    #[must_use]
    pub fn get(&self, hash: &TxHash) -> Option<&Arc<VerifiedTransaction>> {
        self.known.get(hash)?.body.as_ref()
    }

    /// Whether a transaction waits in the pool.
    #[must_use]
    pub fn contains(&self, hash: &TxHash) -> bool {
        self.known.get(hash).is_some_and(|known| known.pooled)
    }

    /// How a pooled transaction stands.
    #[must_use]
    pub fn standing(&self, hash: &TxHash) -> Option<Standing> {
        let body = self.get(hash)?;
        let slot = self.accounts.get(&body.sender())?.slot(body.transaction().nonce())?;
        slot.pending.as_ref().filter(|pending| pending.hash == *hash).map(|pending| pending.standing)
    }

    /// The nonce that an account's next transaction should have (`eth_getTransactionCount` of `pending`): the first
    /// that is neither pooled nor promised, from `final_nonce` on, the account's nonce at the final state.
    #[must_use]
    pub fn pending_nonce(&self, address: &Address, final_nonce: u64) -> u64 {
        self.accounts.get(address).map_or(final_nonce, |account| account.ready_end.max(final_nonce))
    }

    /// How much waits.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let queued = self.queues.queued_len();
        Counts { pending: self.total.count.saturating_sub(queued), queued, bytes: self.total.bytes }
    }

    /// Everything that waits. The cost grows with the pool.
    #[must_use]
    pub fn content(&self) -> PoolContent {
        let mut content = PoolContent::default();
        // The order of the walk does not matter: the result is sorted.
        for address in self.accounts.keys() {
            self.collect_content(*address, &mut content);
        }
        content
    }

    /// What waits of one account (`txpool_contentFrom`).
    #[must_use]
    pub fn content_of(&self, address: Address) -> PoolContent {
        let mut content = PoolContent::default();
        self.collect_content(address, &mut content);
        content
    }

    /// The bodies among `hashes` that are here, up to `bytes_max`, as an answer to a peer that lacks them, and the
    /// hashes that are not here.
    #[must_use]
    pub fn bodies(&self, hashes: &[TxHash], bytes_max: usize) -> (Vec<Arc<VerifiedTransaction>>, Vec<TxHash>) {
        let (mut found, mut unknown, mut bytes) = (Vec::new(), Vec::new(), 0usize);
        for hash in hashes {
            let Some(body) = self.get(hash) else {
                unknown.push(*hash);
                continue;
            };
            bytes = bytes.saturating_add(length(body));
            if bytes > bytes_max {
                break;
            }
            found.push(Arc::clone(body));
        }
        (found, unknown)
    }

    /// The bounds that it keeps to.
    #[must_use]
    pub const fn config(&self) -> &super::PoolConfig {
        &self.config
    }

    /// How many transactions [`Pool::select`] could choose from.
    #[must_use]
    pub fn ready_len(&self) -> usize {
        self.queues.ready_len()
    }

    /// The pooled transactions of this node's own clients, in order: what a peer that has just connected may lack.
    #[must_use]
    pub fn local(&self) -> Vec<Arc<VerifiedTransaction>> {
        let pending =
            self.accounts.values().flat_map(|account| account.slots()).filter_map(|slot| slot.pending.as_ref());
        // The order of the walk does not matter: the result is sorted.
        let sorted: BTreeMap<u64, &Arc<VerifiedTransaction>> = pending
            .filter(|pending| pending.origin == Origin::Local)
            .map(|pending| (pending.sequence, &pending.transaction))
            .collect();
        sorted.into_values().map(Arc::clone).collect()
    }

    fn collect_content(&self, address: Address, content: &mut PoolContent) {
        let Some(account) = self.accounts.get(&address) else { return };
        for slot in account.slots() {
            let Some(pending) = &slot.pending else { continue };
            let part = if pending.standing == Standing::Queued { &mut content.queued } else { &mut content.pending };
            part.entry(address).or_default().insert(slot.nonce, Arc::clone(&pending.transaction));
        }
    }
}
