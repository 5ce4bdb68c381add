//! Open proposals: what they promise, and the bodies they need.

use super::{OpenProposal, Pool, length};
use crate::{
    Refusal,
    account::{Account, Settled},
};
use alloy_primitives::{Address, TxHash};
use lian_crypto::VerifiedTransaction;
use lian_types::{BlockNumber, Millis, ProposalDigest, limits};
use std::sync::Arc;

/// What becomes of the bodies of transactions that are final already when a proposal is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bodies {
    /// They are kept for a while like the others: a proposal may name what is final, and may be proposed again.
    Keep,
    /// They go: the block is final, and its bodies are in the ledger.
    DropFinal,
}

impl Pool {
    /// Notes a proposal that may become final: one's own, or one that is being checked, even before all its bodies are
    /// here. Its transactions are not selected again, and their nonces count as used for what follows.
    ///
    /// One proposal is open for a height; another one for the same height takes its place.
    pub fn proposed(&mut self, now: Millis, height: BlockNumber, digest: ProposalDigest, hashes: &[TxHash]) {
        let mut touched = Vec::new();
        if let Some(open) = self.open.remove(&height) {
            if open.digest == digest {
                self.open.insert(height, open);
                return;
            }
            self.release_all(&open.hashes, Bodies::Keep, &mut touched);
        }
        for hash in hashes {
            let known = self.known.entry(*hash).or_default();
            known.open = known.open.saturating_add(1);
            let Some(body) = &known.body else { continue };
            if known.open == 1 && !known.pooled {
                self.loose_bytes = self.loose_bytes.saturating_sub(length(body));
                self.side_bytes = self.side_bytes.saturating_add(length(body));
            }
            let (sender, nonce) = (body.sender(), body.transaction().nonce());
            self.promise(sender, nonce, 1, &mut touched);
        }
        self.open.insert(height, OpenProposal { digest, hashes: hashes.to_vec() });
        self.settle(now, touched);
    }

    /// Discards the open proposals from a height on: after a view change, or because they turned out invalid. Their
    /// transactions can be selected again, in their old places; their bodies are kept for a while, since a later view
    /// often proposes the same again.
    pub fn unproposed(&mut self, now: Millis, from: BlockNumber) {
        let mut touched = Vec::new();
        for open in self.open.split_off(&from).into_values() {
            self.release_all(&open.hashes, Bodies::Keep, &mut touched);
        }
        self.trim_loose();
        self.settle(now, touched);
    }

    /// Takes a body that an open proposal needs and the pool refused or was not offered: the pool may be full, or hold
    /// another transaction with its nonce. Whoever calls this has checked it by [`crate::check_static`].
    ///
    /// # Errors
    /// [`Refusal::NotWanted`] where no open proposal names it, [`Refusal::ProposalsTooLarge`] where the bodies exceed
    /// what that many valid proposals can hold.
    pub fn add_body(&mut self, now: Millis, transaction: Arc<VerifiedTransaction>) -> Result<(), Refusal> {
        let hash = transaction.hash();
        let proposals = self.open.len();
        let Some(known) = self.known.get_mut(&hash).filter(|known| known.open > 0) else {
            return Err(Refusal::NotWanted(hash));
        };
        if known.body.is_some() {
            return Ok(());
        }
        let bytes = self.side_bytes.saturating_add(length(&transaction));
        if bytes > proposals.saturating_mul(limits::PROPOSAL_BODY_BYTES_MAX) {
            return Err(Refusal::ProposalsTooLarge { bytes, proposals });
        }
        self.side_bytes = bytes;
        let (sender, nonce, open) = (transaction.sender(), transaction.transaction().nonce(), known.open);
        known.body = Some(transaction);
        let mut touched = Vec::new();
        self.promise(sender, nonce, open, &mut touched);
        self.settle(now, touched);
        Ok(())
    }

    /// Which of a proposal's transactions have no body here, in order.
    #[must_use]
    pub fn missing(&self, hashes: &[TxHash]) -> Vec<TxHash> {
        let lacks = |hash: &&TxHash| self.known.get(*hash).is_none_or(|known| known.body.is_none());
        hashes.iter().filter(lacks).copied().collect()
    }

    /// Notes that open proposals hold a transaction with this nonce.
    pub(super) fn promise(&mut self, sender: Address, nonce: u64, promises: u32, touched: &mut Vec<Address>) {
        let account = self.accounts.entry(sender).or_insert_with(|| Account::new(nonce, false));
        if account.promise(nonce, promises, &mut self.queues) == Settled::No {
            touched.push(sender);
        }
    }

    /// Takes back what a proposal promised.
    pub(super) fn release_all(&mut self, hashes: &[TxHash], bodies: Bodies, touched: &mut Vec<Address>) {
        for hash in hashes {
            let Some(known) = self.known.get_mut(hash) else { continue };
            known.open = known.open.saturating_sub(1);
            if let Some(body) = &known.body {
                let (sender, nonce) = (body.sender(), body.transaction().nonce());
                if let Some(account) = self.accounts.get_mut(&sender)
                    && account.release(nonce) == Settled::No
                {
                    touched.push(sender);
                }
            }
            if known.open > 0 || known.pooled {
                continue;
            }
            if let Some(body) = &known.body {
                self.side_bytes = self.side_bytes.saturating_sub(length(body));
                if known.is_final && bodies == Bodies::DropFinal {
                    known.body = None;
                } else {
                    self.loose_bytes = self.loose_bytes.saturating_add(length(body));
                    self.loose.push_back(*hash);
                }
            } else if !known.is_final {
                self.known.remove(hash);
            }
        }
    }

    /// Forgets the oldest bodies that no open proposal names, down to the limits.
    pub(super) fn trim_loose(&mut self) {
        while self.loose_bytes > self.config.loose_bytes_max || self.loose.len() > limits::POOL_LOOSE_TRANSACTIONS_MAX {
            let Some(hash) = self.loose.pop_front() else { break };
            let Some(known) = self.known.get_mut(&hash).filter(|known| known.open == 0 && !known.pooled) else {
                continue;
            };
            if let Some(body) = known.body.take() {
                self.loose_bytes = self.loose_bytes.saturating_sub(length(&body));
            }
            if !known.is_final {
                self.known.remove(&hash);
            }
        }
    }
}
