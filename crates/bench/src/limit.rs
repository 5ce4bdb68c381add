//! The plain cost of the primitives on this machine, each by the plain library call in a tight loop.

use crate::{
    machine,
    workload::{Call, Load, Pricing, Terms, Workload},
};
use alloy_primitives::{Address, U256, keccak256};
use anyhow::{Context as _, Result, ensure};
use lian_crypto::{ConsensusSecretKey, Suite};
use lian_trie::{AccountLeaf, AccountUpdate, Hasher, MemoryNodes, StateTrie};
use lian_types::Transaction;
use revm::{
    Context, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext, context::TxEnv, database::InMemoryDB,
    primitives::hardfork::SpecId, state::AccountInfo,
};
use serde::Serialize;
use std::{hint::black_box, io::Write, sync::Arc, time::Instant};

/// Accounts in the trie whose leaf updates are measured.
const ACCOUNTS: u64 = 100_000;
/// Accounts that send the measured transactions.
const SENDERS: usize = 500;
/// Leaves updated in one batch: a block of a thousand transfers.
const LEAVES: u32 = 3_000;
/// Repetitions of the cheap primitives.
const ROUNDS: usize = 2_000;

/// Microseconds of one core's time for each primitive (of the wall clock for the fsync).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Limits {
    /// Recovering the sender of a transaction (secp256k1).
    pub recovery_us: f64,
    /// Verifying a vote (Ed25519).
    pub vote_us: f64,
    /// Hashing a transaction's bytes (Keccak-256).
    pub hash_us: f64,
    /// Executing a transaction of the workload in a reused EVM.
    pub execution_us: f64,
    /// Updating a leaf of the state trie at 100,000 accounts, in a batch.
    pub leaf_us: f64,
    /// Leaves of the state's tries that a transaction of the workload changes.
    pub leaves_per_tx: f64,
    /// Appending 1 MB to a file and fsync.
    pub fsync_us: f64,
}

impl Limits {
    /// The ideal cost of a transaction: recovery, execution, its leaves, two hashes of its bytes. Of a transfer of the
    /// token that is three leaves.
    #[must_use]
    pub fn ideal_us(&self) -> f64 {
        self.recovery_us + self.execution_us + self.leaves_per_tx * self.leaf_us + 2.0 * self.hash_us
    }
}

/// Measures every primitive, as far as it depends on what is sent with transactions of a workload.
///
/// # Errors
/// Where a primitive fails, or the temporary file for the fsync cannot be written.
pub fn measure(workload: Workload) -> Result<Limits> {
    let owner = Address::repeat_byte(0x11);
    let load = Load::new(workload.in_any_evm(), 1, SENDERS, owner.create(0))?;
    let terms = Terms { chain_id: 20_200, pricing: Pricing::FREE };
    let decode = |signed: crate::workload::Signed| Ok(Arc::new(Transaction::decode(signed.raw)?));
    let transactions: Vec<_> = load.sign(&terms, 0..ROUNDS)?.into_iter().map(decode).collect::<Result<_>>()?;
    Ok(Limits {
        recovery_us: recovery(&transactions)?,
        vote_us: vote()?,
        hash_us: hash(&transactions),
        execution_us: execution(&load, owner)?,
        leaf_us: leaf()?,
        leaves_per_tx: workload.leaves(),
        fsync_us: fsync()?,
    })
}

/// The figures as aligned lines.
#[must_use]
pub fn table(limits: &Limits) -> lian_client::Table {
    let mut table = lian_client::Table::new();
    table.line("machine", machine::describe());
    for (name, value) in [
        ("recovery", limits.recovery_us),
        ("vote verification", limits.vote_us),
        ("hash of a transaction", limits.hash_us),
        ("execution", limits.execution_us),
        ("trie leaf", limits.leaf_us),
        ("1 MB append + fsync", limits.fsync_us),
        ("ideal transaction", limits.ideal_us()),
    ] {
        table.line(name, format!("{value:.2} µs"));
    }
    table
}

fn recovery(transactions: &[Arc<Transaction>]) -> Result<f64> {
    let started = machine::thread_cpu_us();
    for transaction in transactions {
        black_box(Suite::Standard.recover_sender(Arc::clone(transaction))?);
    }
    Ok(per(machine::thread_cpu_us() - started, transactions.len()))
}

fn vote() -> Result<f64> {
    let key = ConsensusSecretKey::from_bytes(Suite::Standard, &[7; 32]);
    let message = [9; 200];
    let signature = key.sign(&message);
    let public = key.public();
    let started = machine::thread_cpu_us();
    for _ in 0..ROUNDS {
        Suite::Standard.verify(black_box(&public), &message, &signature)?;
    }
    Ok(per(machine::thread_cpu_us() - started, ROUNDS))
}

fn hash(transactions: &[Arc<Transaction>]) -> f64 {
    let started = machine::thread_cpu_us();
    for transaction in transactions {
        black_box(keccak256(transaction.encoded()));
    }
    per(machine::thread_cpu_us() - started, transactions.len())
}

fn execution(load: &Load, owner: Address) -> Result<f64> {
    let mut database = InMemoryDB::default();
    let rich = AccountInfo { balance: U256::from(u128::MAX), ..AccountInfo::default() };
    database.insert_account_info(owner, rich.clone());
    load.accounts().iter().for_each(|account| database.insert_account_info(account.address, rich.clone()));
    let mut evm = Context::mainnet()
        .with_db(database)
        .modify_cfg_chained(|cfg| {
            cfg.set_spec_and_mainnet_gas_params(SpecId::OSAKA);
            cfg.tx_chain_id_check = false;
        })
        .build_mainnet();
    let env = |caller: Address, nonce: u64, call: Call| TxEnv {
        caller,
        nonce,
        kind: call.to,
        value: call.value,
        data: call.input,
        gas_limit: call.gas_limit,
        ..TxEnv::default()
    };
    for (nonce, call) in (0..).zip(load.set_up()?) {
        let done = evm.transact_commit(env(owner, nonce, call))?;
        ensure!(done.is_success(), "the set-up of the measured execution failed: {done:?}");
    }
    let mut turns = Vec::with_capacity(SENDERS + ROUNDS);
    for turn in 0..SENDERS + ROUNDS {
        let sender = load.accounts().get(load.sender(turn)).context("there are no accounts")?;
        turns.push(env(sender.address, load.nonce(turn), load.call(turn)?));
    }
    // In the first round every account is read from the database; an EVM that is in use has them at hand.
    let measured = turns.split_off(SENDERS);
    for turn in turns {
        evm.transact_one(turn)?;
    }
    let started = machine::thread_cpu_us();
    for turn in measured {
        let result = evm.transact_one(turn)?;
        ensure!(!result.is_halt(), "the measured transaction failed: {result:?}");
    }
    let took = machine::thread_cpu_us() - started;
    black_box(evm.finalize());
    Ok(per(took, ROUNDS))
}

fn leaf() -> Result<f64> {
    let update = |index: u64, nonce: u64| AccountUpdate {
        address: Address::from_word(keccak256(index.to_be_bytes())),
        account: Some(AccountLeaf { nonce, balance: U256::from(index), code_hash: alloy_primitives::KECCAK256_EMPTY }),
        storage_cleared: false,
        storage: vec![],
    };
    let nodes = MemoryNodes::default();
    let all: Vec<_> = (0..ACCOUNTS).map(|index| update(index, 0)).collect();
    let (trie, _) = StateTrie::empty(Hasher::Keccak).apply(&nodes, 0, &all)?;
    let batches: Vec<Vec<_>> = (1..=4u64)
        .map(|round| (0..u64::from(LEAVES)).map(|i| update((i * 31 + round * 7) % ACCOUNTS, round)).collect())
        .collect();
    // The trie hashes on all cores of its pool; one thread shows what a leaf costs one core.
    rayon::ThreadPoolBuilder::new().num_threads(1).build()?.install(|| {
        let started = machine::thread_cpu_us();
        for batch in &batches {
            black_box(trie.apply(&nodes, 1, batch)?);
        }
        Ok(per(machine::thread_cpu_us() - started, batches.len() * LEAVES as usize))
    })
}

fn fsync() -> Result<f64> {
    let mut file = tempfile::tempfile_in(".").context("no temporary file in this folder")?;
    let block = vec![0xa5; 1 << 20];
    let rounds = 10;
    let started = Instant::now();
    for _ in 0..rounds {
        file.write_all(&block)?;
        file.sync_data()?;
    }
    Ok(per(started.elapsed().as_secs_f64() * 1e6, rounds))
}

fn per(time_us: f64, count: usize) -> f64 {
    time_us / count.max(1) as f64
}
