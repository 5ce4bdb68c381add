//! Tests of the crate, by subject.

mod admission;
mod gossip;
mod model;
mod proposals;
mod static_rules;
mod threats;

use crate::{AccountView, Limits, Origin, Pool, PoolConfig, Refusal, SelectLimits};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, Signature, TxHash, TxKind, U256};
use lian_crypto::VerifiedTransaction;
use lian_types::{BlockNumber, Millis, ProposalDigest, Transaction, limits};
use std::sync::Arc;

const CHAIN: u64 = 20_200;
const LIMITS: Limits = Limits { chain_id: CHAIN, block_gas_limit: 1_000_000_000 };
const ALL: SelectLimits = SelectLimits { count: usize::MAX, bytes: usize::MAX, gas: u64::MAX };

const NONE: Vec<TxHash> = Vec::new();

fn sign(transaction: impl Into<alloy_consensus::TypedTransaction>) -> Arc<Transaction> {
    let signature = Signature::new(U256::from(1), U256::from(2), false);
    let envelope: TxEnvelope = transaction.into().into_signed(signature).into();
    Arc::new(Transaction::from_envelope(&envelope).unwrap())
}

/// A transfer from the account `from`.
fn transfer(from: u8, nonce: u64, price: u128) -> Arc<VerifiedTransaction> {
    let transaction = TxEip1559 {
        chain_id: CHAIN,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: price,
        // The signature is not the account's, so the recipient makes the hashes of different accounts differ.
        to: TxKind::Call(Address::repeat_byte(from)),
        ..Default::default()
    };
    Arc::new(VerifiedTransaction::assume(sign(transaction), Address::repeat_byte(from)))
}

fn nonce(nonce: u64) -> AccountView {
    AccountView { nonce, ..AccountView::default() }
}

fn pool() -> Pool {
    Pool::new(PoolConfig::new(LIMITS))
}

fn digest(byte: u8) -> ProposalDigest {
    ProposalDigest(TxHash::repeat_byte(byte))
}

/// Admits a client's transaction of an account whose nonce is 0.
fn admit(pool: &mut Pool, transaction: &Arc<VerifiedTransaction>) -> Result<crate::Admitted, Refusal> {
    pool.admit(Millis(0), Arc::clone(transaction), Origin::Local, &nonce(0))
}

fn hashes(transactions: &[&Arc<VerifiedTransaction>]) -> Vec<TxHash> {
    transactions.iter().map(|transaction| transaction.hash()).collect()
}

fn height(height: u64) -> BlockNumber {
    BlockNumber(height)
}
