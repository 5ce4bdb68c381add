//! Balances as the final transactions make them.

use alloy_primitives::{Bytes, I256, U256};
use anyhow::{Context, Result, bail, ensure};

/// How much each balance must have changed.
pub(super) struct Books {
    changes: Vec<I256>,
}

impl Books {
    /// So many balances, unchanged.
    pub(super) fn new(balances: usize) -> Self {
        Self { changes: vec![I256::ZERO; balances] }
    }

    /// Moves an amount from one balance to another.
    pub(super) fn pay(&mut self, from: usize, to: usize, amount: U256) -> Result<()> {
        self.change(from, amount, I256::checked_sub)?;
        self.change(to, amount, I256::checked_add)
    }

    /// Takes an amount away.
    pub(super) fn take(&mut self, from: usize, amount: U256) -> Result<()> {
        self.change(from, amount, I256::checked_sub)
    }

    fn change(&mut self, index: usize, amount: U256, how: fn(I256, I256) -> Option<I256>) -> Result<()> {
        let change = self.changes.get_mut(index).context("a payment names no balance")?;
        let amount = I256::try_from(amount).context("an amount is too large")?;
        *change = how(*change, amount).context("a balance is too large")?;
        Ok(())
    }

    /// Checks every balance: before, with its change, it must be what it is after.
    pub(super) fn check(&self, before: &[Bytes], after: &[Bytes], name: impl Fn(usize) -> String) -> Result<()> {
        ensure!(
            before.len() == self.changes.len() && after.len() == self.changes.len(),
            "{} and {} balances were answered of {}",
            before.len(),
            after.len(),
            self.changes.len()
        );
        for (index, ((before, after), change)) in before.iter().zip(after).zip(&self.changes).enumerate() {
            let (before, after) = (number(before)?, number(after)?);
            let expected = I256::try_from(before)?.checked_add(*change).context("a balance is too large")?;
            if I256::try_from(after)? != expected {
                bail!(
                    "{} has {after}, but had {before} before and its final transactions make {expected}",
                    name(index)
                );
            }
        }
        Ok(())
    }
}

/// A number of 32 bytes, as contracts answer it.
pub(super) fn number(answer: &Bytes) -> Result<U256> {
    ensure!(answer.len() == 32, "an answer of {} bytes is no number", answer.len());
    Ok(U256::from_be_slice(answer))
}
