//! An asset of the chain's own ledger: accounts pay each other, or all pay one.

use super::{Call, Done, Load, Question, Workload, books::Books};
use alloy_primitives::{B256, Bytes, TxKind, U256, hex};
use alloy_sol_types::SolCall;
use anyhow::{Context, Result, ensure};
use lian_system_contracts::{assets, interfaces::IAssets};

/// Gas for the creation of an asset and for an issue to a new holder, in units of gas: 160,000 and 70,000, with room.
const SET_UP_GAS: u64 = 300_000;
/// Gas for one payment, in units of gas: 48,000, with room.
const TRANSFER_GAS: u64 = 80_000;
/// What every account is issued at first.
const SHARE: u64 = 1_000_000_000;

/// How many assets there are.
pub(super) fn preliminary() -> Question {
    Question::Call(assets::ADDRESS, IAssets::countCall {}.abi_encode().into())
}

/// The number that the next asset gets.
pub(super) fn next_asset(count: &Bytes) -> Result<U256> {
    ensure!(
        count.len() == 32,
        "the chain has no asset ledger: {} answers {} bytes to count()",
        assets::ADDRESS,
        count.len()
    );
    U256::from_be_slice(count).checked_add(U256::from(1)).context("there are too many assets")
}

/// The asset, and an equal share of it for every account.
pub(super) fn set_up(load: &Load) -> Vec<Call> {
    // No other contract is created at that address, so no other run has this symbol.
    let symbol: String = hex::encode_upper(load.contract).chars().take(assets::SYMBOL_BYTES_MAX).collect();
    let create = IAssets::createCall { symbol, name: "Bench".to_owned(), decimals: 0 };
    let issue = |to| {
        let amount = U256::from(SHARE);
        IAssets::issueCall { id: load.asset, to, amount, referenceId: B256::ZERO }.abi_encode()
    };
    let issues = load.accounts.iter().map(|account| issue(account.address));
    std::iter::once(create.abi_encode()).chain(issues).map(|input| to_ledger(input, SET_UP_GAS)).collect()
}

pub(super) fn call(load: &Load, turn: usize) -> Call {
    let to = load.address(payee(load, turn));
    let payment = IAssets::transferCall { id: load.asset, to, amount: U256::from(1), referenceId: B256::ZERO };
    to_ledger(payment.abi_encode(), TRANSFER_GAS)
}

fn to_ledger(input: Vec<u8>, gas_limit: u64) -> Call {
    Call { to: TxKind::Call(assets::ADDRESS), value: U256::ZERO, input: input.into(), gas_limit }
}

/// Whom a turn pays: a place among the balances, of which the last is the merchant's.
fn payee(load: &Load, turn: usize) -> usize {
    if load.workload == Workload::NativeHot { load.accounts.len() } else { load.payee(turn) }
}

pub(super) fn questions(load: &Load) -> Vec<Question> {
    let balance = |index| IAssets::balanceOfCall { id: load.asset, account: load.address(index) }.abi_encode();
    (0..=load.accounts.len()).map(|index| Question::Call(assets::ADDRESS, balance(index).into())).collect()
}

pub(super) fn check(load: &Load, before: &[Bytes], after: &[Bytes], done: &[Done]) -> Result<()> {
    let mut books = Books::new(load.accounts.len().saturating_add(1));
    for done in done.iter().filter(|done| done.success) {
        books.pay(load.sender(done.turn), payee(load, done.turn), U256::from(1))?;
    }
    books.check(before, after, |index| format!("{}, of asset {},", load.address(index), load.asset))
}
