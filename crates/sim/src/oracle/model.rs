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
}

impl Default for Model {
    fn default() -> Self {
        Self { nonces: [0; ACCOUNTS], balances: [BALANCE; ACCOUNTS], tokens: [TOKENS; ACCOUNTS] }
    }
}

impl Model {
    /// Carries out a transaction.
    pub(crate) fn apply(&mut self, name: Name) -> Result<(), String> {
        let Name { account: from, nonce, .. } = name;
        if self.nonces[from] != nonce {
            return Err(format!("{name:?} is in it, but the account's next nonce is {}", self.nonces[from]));
        }
        self.nonces[from] += 1;
        let (owned, to, amount) = match name.action() {
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
    pub(crate) const fn touched(name: Name) -> [usize; 2] {
        match name.action() {
            Action::Pay { to, .. } | Action::Token { to, .. } => [name.account, to],
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
