//! Long chains and large states, made for measuring what they cost.

use crate::{
    chain::ChainMaker,
    workload::{Account, Signed},
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use anyhow::{Context, Result, ensure};
use lian_crypto::VerifiedTransaction;
use lian_ledger::Ledger;
use lian_types::Transaction;
use rayon::prelude::*;
use std::sync::Arc;

/// Transactions of a block that makes accounts.
const ACCOUNTS_PER_BLOCK: u64 = 1_000;
/// Transactions that are signed at once.
const SIGNED_AT_ONCE: u64 = 10_000;
/// Gas for moving coins, in units of gas.
const TRANSFER_GAS: u64 = 21_000;

/// What is to be added to a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// New accounts, each of which receives one wei.
    pub accounts: u64,
    /// Blocks of one transaction each, after the accounts.
    pub blocks: u64,
}

/// Adds accounts and blocks to a ledger, whose `funder` pays one wei for each of them. `progress` is told how many of all
/// transactions are in the ledger, now and then.
///
/// # Errors
/// Where the funder owns too little, the members have changed since genesis, or the ledger fails. Blocks that were made
/// before stay.
pub fn extend(
    maker: &ChainMaker,
    ledger: &Arc<Ledger>,
    funder: &Account,
    extension: Extension,
    progress: &dyn Fn(u64),
) -> Result<()> {
    let Extension { accounts, blocks } = extension;
    let total = accounts.checked_add(blocks).context("too many")?;
    let state = ledger.head().parent.state.account(funder.address)?.unwrap_or_default();
    ensure!(
        state.balance >= U256::from(total),
        "{} owns {} wei, {total} are needed, one for each account and block",
        funder.address,
        state.balance
    );
    let seed = ledger.head().hash;
    let mut source = Source { maker, funder, seed, first_nonce: state.nonce, made: 0, waiting: Vec::new() };
    let (flusher, upkeep) = (ledger.start_flusher()?, ledger.start_upkeep()?);
    while source.made < total {
        let count = if source.made < accounts { ACCOUNTS_PER_BLOCK.min(accounts - source.made) } else { 1 };
        let transactions = source.take(count, total)?;
        let made = maker.block(ledger, &transactions)?;
        ensure!(
            made.executed.block.transactions.len() == transactions.len(),
            "block {} has left out transactions",
            made.executed.block.header.number
        );
        ledger.append(&[made])?;
        progress(source.made);
    }
    drop((flusher, upkeep));
    Ok(())
}

/// The transactions, in order.
struct Source<'a> {
    maker: &'a ChainMaker,
    funder: &'a Account,
    /// What the new accounts' addresses follow from.
    seed: B256,
    first_nonce: u64,
    made: u64,
    /// Signed already, the next one last.
    waiting: Vec<Arc<VerifiedTransaction>>,
}

impl Source<'_> {
    fn take(&mut self, count: u64, total: u64) -> Result<Vec<Arc<VerifiedTransaction>>> {
        let mut taken = Vec::new();
        for _ in 0..count {
            if self.waiting.is_empty() {
                let end = total.min(self.made.saturating_add(SIGNED_AT_ONCE));
                self.waiting =
                    (self.made..end).into_par_iter().map(|number| self.sign(number)).collect::<Result<_>>()?;
                self.waiting.reverse();
            }
            taken.push(self.waiting.pop().context("no transaction is left")?);
            self.made = self.made.saturating_add(1);
        }
        Ok(taken)
    }

    fn sign(&self, number: u64) -> Result<Arc<VerifiedTransaction>> {
        let to = Address::from_word(keccak256([self.seed.as_slice(), &number.to_be_bytes()].concat()));
        let nonce = self.first_nonce.saturating_add(number);
        let info = self.maker.info();
        let Signed { raw, .. } =
            self.funder.sign(info.chain_id, nonce, TRANSFER_GAS, TxKind::Call(to), U256::from(1), Bytes::new());
        // It was signed just now; a node that reads the chain recovers the sender itself.
        Ok(Arc::new(VerifiedTransaction::assume(Arc::new(Transaction::decode(raw)?), self.funder.address)))
    }
}
