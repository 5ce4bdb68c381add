//! Plain transfers of one wei between accounts.

use super::{Call, Done, Load, Question, books::Books};
use alloy_primitives::{Bytes, TxKind, U256};
use anyhow::Result;

/// Gas of a plain transfer, in units of gas.
const GAS: u64 = 21_000;

pub(super) fn call(load: &Load, turn: usize) -> Call {
    let to = TxKind::Call(load.address(load.payee(turn)));
    Call { to, value: U256::from(1), input: Bytes::new(), gas_limit: GAS }
}

pub(super) fn questions(load: &Load) -> Vec<Question> {
    load.accounts.iter().map(|account| Question::Balance(account.address)).collect()
}

pub(super) fn check(load: &Load, before: &[Bytes], after: &[Bytes], done: &[Done]) -> Result<()> {
    let mut books = Books::new(load.accounts.len());
    for done in done {
        let sender = load.sender(done.turn);
        if done.success {
            books.pay(sender, load.payee(done.turn), U256::from(1))?;
        }
        books.take(sender, done.fee)?;
    }
    books.check(before, after, |index| format!("{}, in wei,", load.address(index)))
}
