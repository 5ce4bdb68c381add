//! The plain cost of the primitives on this machine, each by the plain library call in a tight loop.

use crate::{
    machine,
    workload::{self, Account},
};
use alloy_primitives::{Address, B256, TxKind, U256, keccak256};
use anyhow::{Context as _, Result, bail};
use lian_crypto::{ConsensusSecretKey, Suite};
use lian_trie::{AccountLeaf, AccountUpdate, Hasher, MemoryNodes, StateTrie};
use lian_types::Transaction;
use revm::{
    Context, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext,
    context::TxEnv,
    database::InMemoryDB,
    primitives::{TxKind as EvmTxKind, hardfork::SpecId},
};
use serde::Serialize;
use std::{hint::black_box, io::Write, sync::Arc, time::Instant};

/// Accounts in the trie whose leaf updates are measured, and holders of the token.
const ACCOUNTS: u64 = 100_000;
/// Leaves updated in one batch: a block of a thousand transfers.
const LEAVES: u32 = 3_000;
/// Repetitions of the cheap primitives.
const ROUNDS: u32 = 2_000;

/// Microseconds of one core's time for each primitive (of the wall clock for the fsync).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Limits {
    /// Recovering the sender of a transfer (secp256k1).
    pub recovery_us: f64,
    /// Verifying a vote (Ed25519).
    pub vote_us: f64,
    /// Hashing a transfer's bytes (Keccak-256).
    pub hash_us: f64,
    /// Executing an OpenZeppelin ERC-20 transfer in a reused EVM.
    pub execution_us: f64,
    /// Updating a leaf of the state trie at 100,000 accounts, in a batch.
    pub leaf_us: f64,
    /// Appending 1 MB to a file and fsync.
    pub fsync_us: f64,
}

impl Limits {
    /// The ideal cost of a transfer: recovery, execution, three leaves, two hashes of its bytes.
    #[must_use]
    pub fn ideal_us(&self) -> f64 {
        self.recovery_us + self.execution_us + 3.0 * self.leaf_us + 2.0 * self.hash_us
    }
}

/// Measures every primitive.
///
/// # Errors
/// Where a primitive fails, or the temporary file for the fsync cannot be written.
pub fn measure() -> Result<Limits> {
    let transfers = signed_transfers()?;
    Ok(Limits {
        recovery_us: recovery(&transfers)?,
        vote_us: vote()?,
        hash_us: hash(&transfers),
        execution_us: execution()?,
        leaf_us: leaf()?,
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
        ("hash of a transfer", limits.hash_us),
        ("ERC-20 execution", limits.execution_us),
        ("trie leaf", limits.leaf_us),
        ("1 MB append + fsync", limits.fsync_us),
        ("ideal transfer", limits.ideal_us()),
    ] {
        table.line(name, format!("{value:.2} µs"));
    }
    table
}

fn signed_transfers() -> Result<Vec<Arc<Transaction>>> {
    let accounts: Vec<_> = (0..500).map(|index| Account::numbered(1, index)).collect::<Result<_>>()?;
    let mut nonces = vec![0; accounts.len()];
    let signed = workload::sign_transfers(&accounts, &mut nonces, 20_200, Address::repeat_byte(1), ROUNDS as usize)?;
    signed.into_iter().map(|signed| Ok(Arc::new(Transaction::decode(signed.raw)?))).collect()
}

fn recovery(transfers: &[Arc<Transaction>]) -> Result<f64> {
    let started = machine::thread_cpu_us();
    for transfer in transfers {
        black_box(Suite::Standard.recover_sender(Arc::clone(transfer))?);
    }
    Ok(per(machine::thread_cpu_us() - started, transfers.len()))
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
    Ok(per(machine::thread_cpu_us() - started, ROUNDS as usize))
}

fn hash(transfers: &[Arc<Transaction>]) -> f64 {
    let started = machine::thread_cpu_us();
    for transfer in transfers {
        black_box(keccak256(transfer.encoded()));
    }
    per(machine::thread_cpu_us() - started, transfers.len())
}

fn execution() -> Result<f64> {
    let owner = Address::repeat_byte(0x11);
    let mut evm = Context::mainnet()
        .with_db(InMemoryDB::default())
        .modify_cfg_chained(|cfg| {
            cfg.set_spec_and_mainnet_gas_params(SpecId::OSAKA);
            cfg.tx_chain_id_check = false;
        })
        .build_mainnet();
    let call = |nonce: u64, kind: EvmTxKind, data| TxEnv {
        caller: owner,
        nonce,
        kind,
        data,
        gas_limit: workload::DEPLOY_GAS,
        ..TxEnv::default()
    };
    let deployed = evm.transact_commit(call(0, EvmTxKind::Create, workload::token_creation()?))?;
    let token = deployed.created_address().context("the token was not created")?;
    let started = machine::thread_cpu_us();
    for round in 0..u64::from(ROUNDS) {
        let holder = Address::from_word(B256::from(U256::from(round % 500 + 1)));
        let result = evm.transact_one(call(round + 1, TxKind::Call(token), workload::transfer(holder, 1)))?;
        if !result.is_success() {
            bail!("the measured transfer failed: {result:?}");
        }
    }
    black_box(evm.finalize());
    Ok(per(machine::thread_cpu_us() - started, ROUNDS as usize))
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
