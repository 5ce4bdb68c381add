//! What the accounts must own: computed here, without the code under test.

use crate::{
    node::Reading,
    wallet::{ACCOUNTS, Action, BALANCE, Name, TOKENS},
};
use alloy_primitives::U256;

/// All accounts after some block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    nonces: [u64; ACCOUNTS],
    balances: [u128; ACCOUNTS],
    tokens: [u128; ACCOUNTS],
    operator_nonce: u64,
}

impl Default for Model {
    fn default() -> Self {
        Self { nonces: [0; ACCOUNTS], balances: [BALANCE; ACCOUNTS], tokens: [TOKENS; ACCOUNTS], operator_nonce: 0 }
    }
}

impl Model {
    /// Carries out a transaction.
    pub(crate) fn apply(&mut self, name: Name) -> Result<(), String> {
        let Name { account: from, nonce, .. } = name;
        let next = self.nonces.get_mut(from).unwrap_or(&mut self.operator_nonce);
        if *next != nonce {
            return Err(format!("{name:?} is in it, but the account's next nonce is {next}"));
        }
        *next += 1;
        let (owned, to, amount) = match name.action() {
            Action::Govern { .. } => return Ok(()),
            Action::Pay { to, amount } => (&mut self.balances, to, amount),
            Action::Token { to, amount } => (&mut self.tokens, to, amount),
        };
        if owned[from] >= amount {
            owned[from] -= amount;
            owned[to] += amount;
        }
        Ok(())
    }

    /// The accounts that a transaction touches.
    pub(crate) fn touched(name: Name) -> Vec<usize> {
        match name.action() {
            Action::Pay { to, .. } | Action::Token { to, .. } => vec![name.account, to],
            Action::Govern { .. } => Vec::new(),
        }
    }

    /// Whether nothing was made or lost.
    pub(crate) fn is_conserved(&self) -> bool {
        let sum = |values: &[u128; ACCOUNTS]| values.iter().sum::<u128>();
        sum(&self.balances) == BALANCE * ACCOUNTS as u128 && sum(&self.tokens) == TOKENS * ACCOUNTS as u128
    }

    /// What a client must see of an account.
    pub(crate) fn reading(&self, account: usize) -> Reading {
        Reading {
            nonce: self.nonces[account],
            balance: U256::from(self.balances[account]),
            tokens: U256::from(self.tokens[account]),
        }
    }
}
