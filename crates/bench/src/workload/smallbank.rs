//! Smallbank: six programs on customers with a savings and a checking account each (contracts/examples/SmallBank.sol).

use super::{Call, Done, Load, Question, books::number, token::creation_code};
use alloy_primitives::{Bytes, I256, TxKind, U256, keccak256};
use anyhow::{Context, Result, bail, ensure};

/// The contract that `contracts/` compiles.
const ARTIFACT: &str = include_str!("../../../../contracts/artifacts/SmallBank.json");
/// Gas for its deployment, in units of gas.
const DEPLOY_GAS: u64 = 2_000_000;
/// Customers that one transaction opens: 45,000 gas each, within the gas limit of a transaction (EIP-7825).
const OPENED_AT_ONCE: usize = 250;
/// Gas for that, in units of gas.
const OPEN_GAS: u64 = 14_000_000;
/// Gas of a program, in units of gas: an amalgamation to a new balance takes 60,000.
const GAS: u64 = 100_000;
/// What each customer has at first in each of both accounts.
const OPENING: u64 = 1_000_000;
/// Customers whose balances one call adds up.
const SUMMED_AT_ONCE: usize = 500;
/// What is deposited.
const DEPOSIT: u64 = 130;
/// What comes to the savings, or leaves them in half of the cases.
const SAVING: u64 = 2_020;
/// The amount of a check.
const CHECK: u64 = 500;
/// The amount of a payment.
const PAYMENT: u64 = 500;

/// Selectors: the first four bytes of the Keccak hash of a function's signature.
const OPEN: &str = "open(uint256,uint256,int256,int256)";
const SUM: &str = "sum(uint256,uint256)";

/// A hot spot among the customers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew {
    /// How many customers are hot, from the first one on.
    pub hot_customers: usize,
    /// How many per cent of all customers that programs name are hot ones, 0 to 100.
    pub hot_percent: u8,
}

/// A program with its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Balance(usize),
    DepositChecking(usize),
    /// Whether money leaves.
    TransactSavings(usize, bool),
    Amalgamate(usize, usize),
    WriteCheck(usize),
    SendPayment(usize, usize),
}

impl Program {
    /// The program of a turn, which follows from its number alone.
    fn of_turn(customers: usize, skew: Option<Skew>, turn: usize) -> Self {
        let random = keccak256((turn as u64).to_be_bytes());
        let draw = |place: usize| {
            let bytes = random.get(place * 6..place * 6 + 6).unwrap_or_default();
            bytes.iter().fold(0_usize, |sum, byte| sum.wrapping_shl(8) | usize::from(*byte))
        };
        let pick = |place: usize| {
            let number = draw(place);
            match skew {
                Some(Skew { hot_customers, hot_percent }) if number % 100 < usize::from(hot_percent) => {
                    number / 100 % hot_customers.clamp(1, customers.max(1))
                }
                _ => number / 100 % customers.max(1),
            }
        };
        let (first, mut second) = (pick(1), pick(2));
        if first == second {
            second = (first + 1) % customers.max(1);
        }
        match draw(0) % 6 {
            0 => Self::Balance(first),
            1 => Self::DepositChecking(first),
            2 => Self::TransactSavings(first, draw(3) % 2 == 1),
            3 => Self::Amalgamate(first, second),
            4 => Self::WriteCheck(first),
            _ => Self::SendPayment(first, second),
        }
    }

    fn input(self) -> Bytes {
        let amount = |amount: u64| I256::unchecked_from(amount).into_raw();
        let number = |customer: usize| U256::from(customer);
        match self {
            Self::Balance(customer) => input("balance(uint256)", &[number(customer)]),
            Self::DepositChecking(customer) => {
                input("depositChecking(uint256,int256)", &[number(customer), amount(DEPOSIT)])
            }
            Self::TransactSavings(customer, leaves) => {
                let saving = if leaves { (-I256::unchecked_from(SAVING)).into_raw() } else { amount(SAVING) };
                input("transactSavings(uint256,int256)", &[number(customer), saving])
            }
            Self::Amalgamate(from, to) => input("amalgamate(uint256,uint256)", &[number(from), number(to)]),
            Self::WriteCheck(customer) => input("writeCheck(uint256,int256)", &[number(customer), amount(CHECK)]),
            Self::SendPayment(from, to) => {
                input("sendPayment(uint256,uint256,int256)", &[number(from), number(to), amount(PAYMENT)])
            }
        }
    }

    /// What the program may bring into the bank, as the receipt tells which of these it was.
    fn possible_flows(self, success: bool) -> Result<Vec<I256>> {
        let flow = |amount: u64| I256::unchecked_from(amount);
        Ok(match (self, success) {
            (Self::DepositChecking(_), true) => vec![flow(DEPOSIT)],
            (Self::TransactSavings(_, false), true) => vec![flow(SAVING)],
            (Self::TransactSavings(_, true), true) => vec![-flow(SAVING)],
            // With the penalty or without.
            (Self::WriteCheck(_), true) => vec![-flow(CHECK), -flow(CHECK + 1)],
            (Self::Balance(_) | Self::Amalgamate(..) | Self::SendPayment(..), true) => vec![I256::ZERO],
            // Those that do not have enough are refused by the contract.
            (Self::TransactSavings(_, true) | Self::SendPayment(..), false) => vec![I256::ZERO],
            (program, false) => bail!("{program:?} was reverted, which it never is"),
        })
    }
}

fn input(signature: &str, words: &[U256]) -> Bytes {
    let mut bytes = keccak256(signature)[..4].to_vec();
    for word in words {
        bytes.extend_from_slice(&word.to_be_bytes::<32>());
    }
    bytes.into()
}

/// The contract, and its customers: as many as accounts.
pub(super) fn set_up(load: &Load) -> Result<Vec<Call>> {
    let input_of = |first: usize, count: usize| {
        let opening = U256::from(OPENING);
        input(OPEN, &[U256::from(first), U256::from(count), opening, opening])
    };
    let creation = creation_code(ARTIFACT)?.into();
    let mut calls = vec![Call { to: TxKind::Create, value: U256::ZERO, input: creation, gas_limit: DEPLOY_GAS }];
    calls.extend(ranges(load.accounts.len(), OPENED_AT_ONCE).map(|(first, count)| Call {
        to: TxKind::Call(load.contract),
        value: U256::ZERO,
        input: input_of(first, count),
        gas_limit: OPEN_GAS,
    }));
    Ok(calls)
}

/// Pieces of 0…end, each as its first number and its length.
fn ranges(end: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..end).step_by(most.max(1)).map(move |first| (first, most.min(end.saturating_sub(first))))
}

pub(super) fn call(load: &Load, skew: Option<Skew>, turn: usize) -> Call {
    let input = Program::of_turn(load.accounts.len(), skew, turn).input();
    Call { to: TxKind::Call(load.contract), value: U256::ZERO, input, gas_limit: GAS }
}

pub(super) fn questions(load: &Load) -> Vec<Question> {
    let sum = |(first, count)| Question::Call(load.contract, input(SUM, &[U256::from(first), U256::from(count)]));
    ranges(load.accounts.len(), SUMMED_AT_ONCE).map(sum).collect()
}

/// What is in the bank must have changed by what came in and went out; and each program's flow must be one that it can have.
pub(super) fn check(load: &Load, skew: Option<Skew>, before: &[Bytes], after: &[Bytes], done: &[Done]) -> Result<()> {
    let mut expected = total(before)?;
    for done in done {
        let program = Program::of_turn(load.accounts.len(), skew, done.turn);
        let flow = total(&done.events)?;
        let possible = program.possible_flows(done.success)?;
        ensure!(possible.contains(&flow), "{program:?} of turn {} moved {flow}, not one of {possible:?}", done.turn);
        expected = expected.checked_add(flow).context("the sum of all accounts is too large")?;
    }
    let found = total(after)?;
    ensure!(found == expected, "the bank holds {found}, but its final transactions make {expected}");
    Ok(())
}

/// The sum of signed numbers.
fn total(numbers: &[Bytes]) -> Result<I256> {
    numbers.iter().try_fold(I256::ZERO, |sum, bytes| {
        sum.checked_add(I256::from_raw(number(bytes)?)).context("the sum of all accounts is too large")
    })
}
