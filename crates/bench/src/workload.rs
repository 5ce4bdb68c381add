//! Workloads: what is made beforehand, what is sent, and what must hold at the end.
//!
//! Nothing here talks to a node. A workload says what to send and what to ask, and judges the answers, so that the same
//! code runs against a network, another system, and the executor in the tests.

mod account;
mod books;
mod deploy;
mod native;
mod smallbank;
mod token;
mod value;

pub use account::{Account, Pricing, Signed, Terms};
pub use smallbank::Skew;
pub use token::{DEPLOY_GAS, SUPPLY, TRANSFER_GAS, balance_of, token_creation, transfer};

use alloy_primitives::{Address, Bytes, TxKind, U256};
use anyhow::{Context, Result};
use rayon::prelude::*;
use std::ops::Range;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// An OpenZeppelin ERC-20: accounts pay each other.
    Transfer,
    /// The same token: everybody pays one account.
    Hot,
    /// The six programs of Smallbank in equal parts.
    Smallbank(Option<Skew>),
    /// Every transaction creates a small contract.
    Deploy,
    /// Plain transfers of one wei between accounts.
    Value,
    /// An asset of the chain's own ledger: accounts pay each other.
    Native,
    /// The same asset: everybody pays one account.
    NativeHot,
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Whom it calls, or that it creates a contract.
    pub to: TxKind,
    /// What it moves, in wei.
    pub value: U256,
    /// Its input.
    pub input: Bytes,
    /// Its gas limit, in units of gas.
    pub gas_limit: u64,
}

/// What the check needs to know of the chain's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// What a contract answers to an input.
    Call(Address, Bytes),
    /// What an account owns, in wei; answered in 32 bytes.
    Balance(Address),
    /// The code at an address.
    Code(Address),
}

/// What became of a transaction of the load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its turn in the load, from 0.
    pub turn: usize,
    /// Whether it did what it said; false where it was reverted.
    pub success: bool,
    /// What its sender paid for it, in wei.
    pub fee: U256,
    /// The data of its events.
    pub events: Vec<Bytes>,
}

/// A workload among accounts. Turn t is that of account t mod n, and its transaction number t div n.
pub struct Load {
    workload: Workload,
    accounts: Vec<Account>,
    /// The contract that is called, where there is one.
    contract: Address,
    /// Who is paid by everybody, where one is; it sends nothing.
    merchant: Address,
    /// The number of the asset that is paid, where one is.
    asset: U256,
}

impl Workload {
    /// Its name, as the command line has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::Hot => "hot",
            Self::Smallbank(_) => "smallbank",
            Self::Deploy => "deploy",
            Self::Value => "value",
            Self::Native => "native",
            Self::NativeHot => "native-hot",
        }
    }

    /// Leaves of the state's tries that one transaction changes on average, without those that all transactions of a
    /// block share: the called contract's account, and the hot account's balance.
    #[must_use]
    pub const fn leaves(self) -> f64 {
        match self {
            // The sender's account, and its and the payee's balance of the token.
            Self::Transfer | Self::Native => 3.0,
            Self::Hot | Self::NativeHot => 2.0,
            // The sender's account, and 0, 1, 1, 3, 1 and 2 balances.
            Self::Smallbank(_) => 1.0 + 8.0 / 6.0,
            // The sender's account, the contract's and its one storage slot.
            Self::Deploy => 3.0,
            Self::Value => 2.0,
        }
    }

    /// The workload by which the ideal cost of an execution is measured: the EVM that measures it knows no asset ledger, so
    /// a payment there is compared with one of a token.
    #[must_use]
    pub const fn in_any_evm(self) -> Self {
        match self {
            Self::Native => Self::Transfer,
            Self::NativeHot => Self::Hot,
            workload => workload,
        }
    }
}

impl Load {
    /// A load of so many accounts, which follow from the seed. `contract` is where the first transaction of
    /// [`Load::set_up`] creates what is called.
    ///
    /// # Errors
    /// Fewer than two accounts.
    pub fn new(workload: Workload, seed: u64, accounts: usize, contract: Address) -> Result<Self> {
        anyhow::ensure!(accounts >= 2, "{accounts} accounts: there must be at least 2");
        let number = |index: usize| Account::numbered(seed, index as u64);
        let merchant = number(accounts)?.address;
        let accounts = (0..accounts).into_par_iter().map(number).collect::<Result<_>>()?;
        Ok(Self { workload, accounts, contract, merchant, asset: U256::ZERO })
    }

    /// What is sent.
    #[must_use]
    pub const fn workload(&self) -> Workload {
        self.workload
    }

    /// Who sends.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// What must be asked before anything is sent, and learnt by [`Load::learn`].
    #[must_use]
    pub fn preliminary(&self) -> Option<Question> {
        matches!(self.workload, Workload::Native | Workload::NativeHot).then(native::preliminary)
    }

    /// Learns the answer to [`Load::preliminary`].
    ///
    /// # Errors
    /// Where the chain does not have what the workload needs.
    pub fn learn(&mut self, answer: &Bytes) -> Result<()> {
        self.asset = native::next_asset(answer)?;
        Ok(())
    }

    /// What one account sends beforehand, in order, before the accounts get coins: the first may create the contract.
    ///
    /// # Errors
    /// Where an artifact that was compiled in is damaged.
    pub fn set_up(&self) -> Result<Vec<Call>> {
        match self.workload {
            Workload::Transfer | Workload::Hot => token::set_up(self),
            Workload::Smallbank(_) => smallbank::set_up(self),
            Workload::Native | Workload::NativeHot => Ok(native::set_up(self)),
            Workload::Deploy | Workload::Value => Ok(vec![]),
        }
    }

    /// What each account must own for `turns` turns, in wei, where a unit of gas costs at most `gas_price`.
    ///
    /// # Errors
    /// Where that is more than a balance can be.
    pub fn coins(&self, turns: usize, gas_price: u128) -> Result<U256> {
        let each = turns.div_ceil(self.accounts.len().max(1));
        let gas = self.call(0)?.gas_limit;
        let fees = U256::from(gas_price).checked_mul(U256::from(gas)).and_then(|fee| fee.checked_mul(U256::from(each)));
        let value = if self.workload == Workload::Value { U256::from(each) } else { U256::ZERO };
        fees.and_then(|fees| fees.checked_add(value)).context("the accounts need more coins than there can be")
    }

    /// The index of the account whose turn it is.
    #[must_use]
    pub fn sender(&self, turn: usize) -> usize {
        turn % self.accounts.len().max(1)
    }

    /// The nonce of a turn's transaction.
    #[must_use]
    pub fn nonce(&self, turn: usize) -> u64 {
        (turn / self.accounts.len().max(1)) as u64
    }

    /// What a turn's transaction does.
    ///
    /// # Errors
    /// Where an artifact that was compiled in is damaged.
    pub fn call(&self, turn: usize) -> Result<Call> {
        match self.workload {
            Workload::Transfer | Workload::Hot => Ok(token::call(self, turn)),
            Workload::Smallbank(skew) => Ok(smallbank::call(self, skew, turn)),
            Workload::Deploy => deploy::call(),
            Workload::Value => Ok(value::call(self, turn)),
            Workload::Native | Workload::NativeHot => Ok(native::call(self, turn)),
        }
    }

    /// Signs the transactions of some turns, on all cores.
    ///
    /// # Errors
    /// As [`Load::call`].
    pub fn sign(&self, terms: &Terms, turns: Range<usize>) -> Result<Vec<Signed>> {
        let sign = |turn: usize| {
            let account = self.accounts.get(self.sender(turn)).context("there are no accounts")?;
            Ok(account.sign_call(terms, self.nonce(turn), self.call(turn)?))
        };
        turns.into_par_iter().map(sign).collect()
    }

    /// What must be asked before the load, where nothing is done yet, and after it.
    #[must_use]
    pub fn questions(&self, done: &[Done]) -> Vec<Question> {
        match self.workload {
            Workload::Transfer | Workload::Hot => token::questions(self),
            Workload::Smallbank(_) => smallbank::questions(self),
            Workload::Deploy => deploy::questions(self, done),
            Workload::Value => value::questions(self),
            Workload::Native | Workload::NativeHot => native::questions(self),
        }
    }

    /// Checks that the answers after the load are exactly what the final transactions make of those before it.
    ///
    /// # Errors
    /// What does not add up.
    pub fn check(&self, before: &[Bytes], after: &[Bytes], done: &[Done]) -> Result<()> {
        match self.workload {
            Workload::Transfer | Workload::Hot => token::check(self, before, after, done),
            Workload::Smallbank(skew) => smallbank::check(self, skew, before, after, done),
            Workload::Deploy => deploy::check(after, done),
            Workload::Value => value::check(self, before, after, done),
            Workload::Native | Workload::NativeHot => native::check(self, before, after, done),
        }
    }

    /// Who is paid at a turn in which accounts pay each other: account `7 t + 1 + t div n`, so that pairs do not repeat
    /// soon, or the next one where that would be the sender.
    fn payee(&self, turn: usize) -> usize {
        let n = self.accounts.len().max(1);
        let payee = turn.wrapping_mul(7).wrapping_add(turn / n).wrapping_add(1) % n;
        if payee == self.sender(turn) { (payee + 1) % n } else { payee }
    }

    fn address(&self, index: usize) -> Address {
        self.accounts.get(index).map_or(self.merchant, |account| account.address)
    }
}

#[cfg(test)]
mod tests;
