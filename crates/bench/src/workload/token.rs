//! An OpenZeppelin ERC-20: accounts pay each other, or all pay one.

use super::{Call, Done, Load, Question, Workload, books::Books};
use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use anyhow::{Context, Result};

/// The OpenZeppelin ERC-20 that `contracts/` compiles.
const ARTIFACT: &str = include_str!("../../../../contracts/artifacts/LianToken.json");
/// `transfer(address,uint256)`.
const TRANSFER: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];
/// `balanceOf(address)`.
const BALANCE_OF: [u8; 4] = [0x70, 0xa0, 0x82, 0x31];
/// Gas for one transfer of the token, in units of gas: 51,000 to a new holder, with room.
pub const TRANSFER_GAS: u64 = 80_000;
/// Gas for the deployment of the token, in units of gas.
pub const DEPLOY_GAS: u64 = 2_000_000;
/// The token's whole supply, in its smallest unit.
pub const SUPPLY: u128 = 1_000_000_000_000_000_000_000_000;

/// The creation code of the token with its constructor's arguments.
///
/// # Errors
/// Where the artifact that was compiled in is damaged.
pub fn token_creation() -> Result<Bytes> {
    let mut bytes = creation_code(ARTIFACT)?;
    // (string name, string symbol, uint256 supply): two offsets and a number, then two short strings.
    for word in [U256::from(96), U256::from(160), U256::from(SUPPLY)] {
        bytes.extend_from_slice(&word.to_be_bytes::<32>());
    }
    for text in [b"Bench", b"BENCH"] {
        bytes.extend_from_slice(&U256::from(text.len()).to_be_bytes::<32>());
        let mut word = [0; 32];
        word[..text.len()].copy_from_slice(text);
        bytes.extend_from_slice(&word);
    }
    Ok(bytes.into())
}

/// The creation code in an artifact, without arguments.
pub(super) fn creation_code(artifact: &str) -> Result<Vec<u8>> {
    let artifact: serde_json::Value = serde_json::from_str(artifact)?;
    let code = artifact["bytecode"].as_str().context("the artifact has no bytecode")?;
    Ok(hex::decode(code)?)
}

/// Call data of `transfer(to, amount)`.
#[must_use]
pub fn transfer(to: Address, amount: u128) -> Bytes {
    [&TRANSFER[..], to.into_word().as_slice(), &U256::from(amount).to_be_bytes::<32>()].concat().into()
}

/// Call data of `balanceOf(holder)`.
#[must_use]
pub fn balance_of(holder: Address) -> Bytes {
    [&BALANCE_OF[..], holder.into_word().as_slice()].concat().into()
}

/// The token, and an equal share of it for every account.
pub(super) fn set_up(load: &Load) -> Result<Vec<Call>> {
    let creation = token_creation()?;
    let mut calls = vec![Call { to: TxKind::Create, value: U256::ZERO, input: creation, gas_limit: DEPLOY_GAS }];
    let share = SUPPLY / load.accounts.len().max(1) as u128;
    calls.extend(load.accounts.iter().map(|account| pay(load, account.address, share)));
    Ok(calls)
}

pub(super) fn call(load: &Load, turn: usize) -> Call {
    pay(load, load.address(payee(load, turn)), 1)
}

fn pay(load: &Load, to: Address, amount: u128) -> Call {
    let to_token = TxKind::Call(load.contract);
    Call { to: to_token, value: U256::ZERO, input: transfer(to, amount), gas_limit: TRANSFER_GAS }
}

/// Whom a turn pays: a place among the balances, of which the last is the merchant's.
fn payee(load: &Load, turn: usize) -> usize {
    if load.workload == Workload::Hot { load.accounts.len() } else { load.payee(turn) }
}

pub(super) fn questions(load: &Load) -> Vec<Question> {
    let holders = (0..=load.accounts.len()).map(|index| load.address(index));
    holders.map(|holder| Question::Call(load.contract, balance_of(holder))).collect()
}

pub(super) fn check(load: &Load, before: &[Bytes], after: &[Bytes], done: &[Done]) -> Result<()> {
    let mut books = Books::new(load.accounts.len().saturating_add(1));
    for done in done.iter().filter(|done| done.success) {
        books.pay(load.sender(done.turn), payee(load, done.turn), U256::from(1))?;
    }
    books.check(before, after, |index| format!("{}, in tokens,", load.address(index)))
}
