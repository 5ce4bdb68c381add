//! Blocks executed from memory: several threads against one, in the same run.

use crate::{
    machine,
    workload::{self, Account},
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use anyhow::{Context as _, Result, bail, ensure};
use lian_crypto::{Suite, VerifiedTransaction};
use lian_executor::{
    BlockEnvironment, MemoryState, Outcome, Rules, Threads, execute_transactions, execute_transactions_parallel,
};
use lian_types::Transaction;
use rayon::prelude::*;
use serde::Serialize;
use std::{
    fmt,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

/// The chain that the measured transactions are signed for.
const CHAIN_ID: u64 = 20_200;
/// Gas of the measured blocks, in units of gas: room for any number of transactions.
const BLOCK_GAS: u64 = u64::MAX;
/// Gas of a swap, in units of gas: 65,000, with room.
const SWAP_GAS: u64 = 150_000;
/// Pools on the route of a swap.
const ROUTE: u64 = 5;
/// What each pool holds of both of its tokens at first.
const RESERVE: u128 = 1_000_000_000_000_000_000_000;
/// Where the pools are.
const EXCHANGE: Address = Address::repeat_byte(0xe8);
/// Pools as contracts with a constant product keep them (Uniswap v2's formula, with its fee of 0.3 %): input is the amount,
/// the first pool's number and how many pools follow each other on the route. Pool p has its reserves at the slots
/// keccak256(p) and the one after it; what one pool gives goes into the next; the last gives it in a log.
const EXCHANGE_CODE: &[u8] = &hex!(
    "60605f5f37"           // copy the input to memory: amount at 0, pool at 32, hops at 64
    "5b"                   // the loop begins at 5
    "60206020208054"       // slot, reserve in
    "81600101 54"          // reserve out
    "6103e55f5102"         // amount in with the fee off, in thousandths
    "808202"               // times the reserve out
    "81846103e80201"       // the reserve in, in thousandths, and the amount
    "900490 50"            // amount out
    "80910383600101 55"    // less of the one
    "905f510182 55"        // more of the other
    "5f5250"               // the amount out goes into the next pool
    "602051600101602052"   // the next pool
    "600160405103806040 52" // one hop less
    "600557"               // and back
    "60205fa000"           // log the amount
);

/// What to execute.
#[derive(Clone, Debug)]
pub struct ExecuteConfig {
    /// Numbers of threads to compare with a serial run.
    pub threads: Vec<NonZeroUsize>,
    /// Percentages of the transactions that conflict with each other.
    pub conflicts: Vec<u8>,
    /// Accounts that send and receive.
    pub keys: usize,
    /// Transactions of a block.
    pub transactions: usize,
    /// Blocks in a row. One is executed on the threads in any case; of more, those that a node would execute on them, the
    /// rest and what is compared with them one after the other.
    pub blocks: NonZeroUsize,
    /// How often each is measured; the best counts.
    pub rounds: u32,
    /// The command, for the report.
    pub command: String,
}

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct ExecuteLine {
    /// What was executed: `token` or `swap`.
    pub workload: &'static str,
    /// How many per cent of the transactions conflict with each other.
    pub conflict: u8,
    /// On how many threads.
    pub threads: usize,
    /// Transactions a second, one after the other.
    pub serial_per_second: f64,
    /// Transactions a second on these threads.
    pub parallel_per_second: f64,
    /// The second over the first.
    pub ratio: f64,
}

/// What was measured. Every outcome was compared with that of the serial run.
#[derive(Clone, Debug, Serialize)]
pub struct ExecuteReport {
    /// By workload, conflict and threads.
    pub lines: Vec<ExecuteLine>,
    /// Accounts.
    pub keys: usize,
    /// Transactions of a block.
    pub transactions: usize,
    /// Blocks in a row.
    pub blocks: NonZeroUsize,
    /// Of how many runs each figure is the best.
    pub rounds: u32,
    /// The machine.
    pub machine: String,
    /// The command.
    pub command: String,
}

impl fmt::Display for ExecuteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = lian_client::Table::new();
        table.line("command", &self.command).line("machine", &self.machine);
        for line in &self.lines {
            let ExecuteLine { workload, conflict, threads, serial_per_second, parallel_per_second, ratio } = line;
            table.line(
                format!("{workload}, {conflict} % conflicts, {threads} threads"),
                format!("{ratio:.2} times serial ({parallel_per_second:.0}/s to {serial_per_second:.0}/s)"),
            );
        }
        table.fmt(f)
    }
}

/// Measures all that the configuration names.
///
/// # Errors
/// Where a transaction fails, or an outcome is not that of the serial run.
pub fn measure(config: &ExecuteConfig, say: &dyn Fn(&str)) -> Result<ExecuteReport> {
    ensure!(config.keys >= 2, "{} keys: there must be at least 2", config.keys);
    ensure!(config.conflicts.iter().all(|percent| *percent <= 100), "a conflict is at most 100 per cent");
    say(&format!("making {} keys", config.keys));
    let accounts: Vec<_> =
        (0..config.keys as u64).into_par_iter().map(|index| Account::numbered(2, index)).collect::<Result<_>>()?;
    let mut lines = Vec::new();
    for workload in [Workload::token(&accounts)?, Workload::swap(&accounts)] {
        for conflict in &config.conflicts {
            say(&format!("{}: {conflict} % conflicts", workload.name));
            let block = workload.sign(&accounts, config.transactions, *conflict)?;
            for threads in &config.threads {
                lines.push(compare(&workload, &block, *conflict, *threads, config)?);
            }
        }
    }
    Ok(ExecuteReport {
        lines,
        keys: config.keys,
        transactions: config.transactions,
        blocks: config.blocks,
        rounds: config.rounds,
        machine: machine::describe(),
        command: config.command.clone(),
    })
}

const fn rules() -> Rules {
    Rules::new(Suite::Standard, CHAIN_ID)
}

const fn environment() -> BlockEnvironment {
    BlockEnvironment::new(1, 1_700_000_000, Address::ZERO, BLOCK_GAS)
}

/// A state, and what transactions do in it.
struct Workload {
    name: &'static str,
    state: MemoryState,
    target: Address,
    gas: u64,
    /// The input of the transaction of the account at an index, which meets all others if it conflicts.
    input: fn(usize, bool, &[Account]) -> Bytes,
}

impl Workload {
    /// An OpenZeppelin ERC-20: a transfer to an account that nobody else pays, or to one that everybody pays.
    fn token(accounts: &[Account]) -> Result<Self> {
        let owner = Account::numbered(3, 0)?;
        let mut state = MemoryState::default();
        let creation = sign(&owner, 0, workload::DEPLOY_GAS, TxKind::Create, workload::token_creation()?)?;
        run(&mut state, &[creation])?;
        let target = owner.address.create(0);
        let fund = |(nonce, account): (u64, &Account)| {
            let input = workload::transfer(account.address, 1_000_000);
            sign(&owner, nonce, workload::TRANSFER_GAS, TxKind::Call(target), input)
        };
        let funding: Vec<_> =
            (1..).zip(accounts).collect::<Vec<_>>().into_par_iter().map(fund).collect::<Result<_>>()?;
        run(&mut state, &funding)?;
        let input = |index: usize, conflict: bool, accounts: &[Account]| {
            // Half of all keys away: not a sender of the same block where there are keys enough.
            let other = (index + accounts.len() / 2) % accounts.len().max(1);
            let payee = if conflict { None } else { accounts.get(other) };
            workload::transfer(payee.map_or(Address::repeat_byte(0x40), |account| account.address), 1)
        };
        Ok(Self { name: "token", state, target, gas: workload::TRANSFER_GAS, input })
    }

    /// Swaps along a route of pools of their own, or along one that everybody takes.
    fn swap(accounts: &[Account]) -> Self {
        let mut state = MemoryState::default();
        let pools = ROUTE * (accounts.len() as u64 + 1);
        let reserves = (0..pools).flat_map(|pool| {
            let slot = U256::from_be_bytes(keccak256(B256::from(U256::from(pool))).0);
            [(slot, U256::from(RESERVE)), (slot + U256::from(1), U256::from(RESERVE))]
        });
        state.insert(EXCHANGE, 1, U256::ZERO, Bytes::from_static(EXCHANGE_CODE), reserves);
        let input = |index: usize, conflict: bool, _: &[Account]| {
            let route = if conflict { 0 } else { index as u64 + 1 };
            let words = [1_000_000_000_000, ROUTE * route, ROUTE];
            words.map(|word| U256::from(word).to_be_bytes::<32>()).concat().into()
        };
        Self { name: "swap", state, target: EXCHANGE, gas: SWAP_GAS, input }
    }

    /// A block in which the accounts take turns, and so many per cent conflict, spread evenly.
    fn sign(&self, accounts: &[Account], transactions: usize, conflict: u8) -> Result<Vec<Arc<VerifiedTransaction>>> {
        let percent = usize::from(conflict);
        let one = |turn: usize| {
            let index = turn % accounts.len().max(1);
            let account = accounts.get(index).context("there are no keys")?;
            let conflicts = turn * percent / 100 != (turn + 1) * percent / 100;
            let nonce = (turn / accounts.len().max(1)) as u64;
            sign(account, nonce, self.gas, TxKind::Call(self.target), (self.input)(index, conflicts, accounts))
        };
        (0..transactions).into_par_iter().map(one).collect()
    }
}

/// A transaction whose sender counts as recovered.
pub(crate) fn sign(
    account: &Account,
    nonce: u64,
    gas: u64,
    to: TxKind,
    input: Bytes,
) -> Result<Arc<VerifiedTransaction>> {
    let signed = account.sign(CHAIN_ID, nonce, gas, to, U256::ZERO, input);
    Ok(Arc::new(VerifiedTransaction::assume(Arc::new(Transaction::decode(signed.raw)?), account.address)))
}

/// Runs transactions that must succeed, and keeps what they changed.
fn run(state: &mut MemoryState, transactions: &[Arc<VerifiedTransaction>]) -> Result<()> {
    let outcome = execute_transactions(&rules(), &environment(), state, transactions)?;
    check(&outcome, transactions.len())?;
    state.apply(&outcome.changes);
    Ok(())
}

/// Whether all of so many transactions succeeded.
pub(crate) fn check(outcome: &Outcome, transactions: usize) -> Result<()> {
    if let Some((skipped, reason)) = outcome.skipped.first() {
        bail!("the transaction at position {} was skipped: {reason}", skipped.position);
    }
    let failed = outcome.receipts.iter().filter(|receipt| !receipt.success).count();
    ensure!(failed == 0 && outcome.receipts.len() == transactions, "{failed} of {transactions} transactions failed");
    Ok(())
}

/// Times the same block again and again, by turns in both ways, so that a busy moment of the machine meets both.
fn compare(
    workload: &Workload,
    block: &[Arc<VerifiedTransaction>],
    conflict: u8,
    threads: NonZeroUsize,
    config: &ExecuteConfig,
) -> Result<ExecuteLine> {
    let (rules, environment, state) = (rules(), environment(), &workload.state);
    let (mut serial_best, mut parallel_best) = (Duration::MAX, Duration::MAX);
    for _ in 0..config.rounds {
        let node = Threads::new(threads);
        let (mut serial_time, mut parallel_time) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..config.blocks.get() {
            let started = Instant::now();
            let serial = execute_transactions(&rules, &environment, state, block)?;
            serial_time += started.elapsed();
            check(&serial, block.len())?;
            let started = Instant::now();
            let parallel = if config.blocks.get() == 1 {
                execute_transactions_parallel(&rules, &environment, state, block, threads)?
            } else {
                node.execute(&rules, &environment, state, block)?
            };
            parallel_time += started.elapsed();
            ensure!(
                serial == parallel && !node.disagreed(),
                "{}: {conflict} % conflicts on {threads} threads gave another outcome than one after the other",
                workload.name
            );
        }
        serial_best = serial_best.min(serial_time);
        parallel_best = parallel_best.min(parallel_time);
    }
    let transactions = block.len().saturating_mul(config.blocks.get());
    let per_second = |time: Duration| transactions as f64 / time.as_secs_f64().max(1e-9);
    Ok(ExecuteLine {
        workload: workload.name,
        conflict,
        threads: threads.get(),
        serial_per_second: per_second(serial_best),
        parallel_per_second: per_second(parallel_best),
        ratio: serial_best.as_secs_f64() / parallel_best.as_secs_f64().max(1e-9),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_measured_and_compared() {
        let threads = [1, 2].map(|threads| NonZeroUsize::new(threads).unwrap()).to_vec();
        let config = ExecuteConfig {
            threads,
            conflicts: vec![0, 50, 100],
            keys: 40,
            transactions: 130,
            blocks: NonZeroUsize::MIN,
            rounds: 1,
            command: "test".to_owned(),
        };
        let report = measure(&config, &|_| ()).unwrap();
        assert_eq!(report.lines.len(), 2 * 3 * 2);
        assert!(report.to_string().contains("swap, 50 % conflicts, 2 threads"), "{report}");
        let row = ExecuteConfig { blocks: NonZeroUsize::new(4).unwrap(), conflicts: vec![100], ..config.clone() };
        assert_eq!(measure(&row, &|_| ()).unwrap().lines.len(), 2 * 2);
        let bad = ExecuteConfig { keys: 1, ..config };
        assert_eq!(measure(&bad, &|_| ()).unwrap_err().to_string(), "1 keys: there must be at least 2");
    }

    /// One swap through one pool, computed by hand: 997 · 10^12 · 10^21 ÷ (1000 · 10^21 + 997 · 10^12), rounded down.
    #[test]
    fn a_swap_keeps_to_the_constant_product() {
        let account = Account::numbered(2, 0).unwrap();
        let mut workload = Workload::swap(std::slice::from_ref(&account));
        let amount = 1_000_000_000_000_u128;
        let words = [amount, 0, 1].map(|word| U256::from(word).to_be_bytes::<32>()).concat();
        let swap = sign(&account, 0, SWAP_GAS, TxKind::Call(EXCHANGE), words.into()).unwrap();
        run(&mut workload.state, &[swap]).unwrap();
        let slot = U256::from_be_bytes(keccak256(B256::ZERO).0);
        let storage = &workload.state.accounts.get(&EXCHANGE).unwrap().storage;
        assert_eq!(storage.get(&slot), Some(&U256::from(RESERVE + amount)));
        let out = 996_999_999_005;
        assert_eq!(storage.get(&(slot + U256::from(1))), Some(&U256::from(RESERVE - out)));
    }
}
