//! What the chain's own rules about calls cost a transfer: a block of an ERC-20's transfers on chains that differ in what was
//! decided, and by the aliases of a name, by turns in one run.

use crate::{
    execute::{check, sign},
    machine,
    workload::{self, Account},
};
use alloy_primitives::{Address, B256, Bytes, FixedBytes, TxKind, U256, keccak256};
use alloy_sol_types::{SolCall, sol};
use anyhow::{Context as _, Result, ensure};
use lian_crypto::{ConsensusSecretKey, Suite, VerifiedTransaction};
use lian_executor::{
    BlockEnvironment, MemoryState, Parent, Rules, Threads, execute_proposal, execute_transactions, genesis_block,
};
use lian_system_contracts::{
    interfaces::{
        INames,
        IPermissions::{self as P, Policy},
    },
    names,
    permissions::ADDRESS,
};
use lian_trie::{Hasher, MemoryNodes, StateTrie};
use lian_types::{
    BlockNumber, ConsensusKey, ConsensusParameters, Epoch, Genesis, GroupGenesis, GroupId, Institution, Millis,
    NodeEntry, PROTOCOL_VERSION_MAX, Proposal, limits,
};
use rayon::prelude::*;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

sol! {
    function transfer(address to, uint256 value) returns (bool);
}

/// The chain that the transactions are signed for.
const CHAIN_ID: u64 = 20_200;
/// How many addresses that have nothing to do with the transfers are frozen.
const FROZEN_ELSEWHERE: u64 = 1_000;

/// What to measure.
#[derive(Clone, Debug)]
pub struct RulesConfig {
    /// Accounts that send and receive.
    pub keys: usize,
    /// Transfers of a block.
    pub transactions: usize,
    /// How often each block is executed; the median counts.
    pub rounds: u32,
    /// The command, for the report.
    pub command: String,
}

/// One chain's figures. Each is the median of all rounds.
#[derive(Clone, Debug, Serialize)]
pub struct RulesLine {
    /// What was decided on it.
    pub rules: &'static str,
    /// Time of a transfer in the EVM, in microseconds.
    pub evm_microseconds: f64,
    /// More than where nothing was decided in the same round, in per cent.
    pub evm_more_percent: f64,
    /// Time of a transfer in a block's whole execution: in the EVM, in the trie of the state, and in those of transactions and
    /// receipts; in microseconds.
    pub block_microseconds: f64,
    /// More than where nothing was decided in the same round, in per cent.
    pub block_more_percent: f64,
}

/// What was measured, on one thread.
#[derive(Clone, Debug, Serialize)]
pub struct RulesReport {
    /// By what was decided.
    pub lines: Vec<RulesLine>,
    /// Accounts.
    pub keys: usize,
    /// Transfers of a block.
    pub transactions: usize,
    /// How many rounds there were.
    pub rounds: u32,
    /// The machine.
    pub machine: String,
    /// The command.
    pub command: String,
}

impl fmt::Display for RulesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = lian_client::Table::new();
        table.line("command", &self.command).line("machine", &self.machine);
        for line in &self.lines {
            let RulesLine { rules, evm_microseconds, evm_more_percent, block_microseconds, block_more_percent } = line;
            table.line(
                *rules,
                format!(
                    "{block_microseconds:.2} µs a transfer, {block_more_percent:+.1} %; in the EVM {evm_microseconds:.2} µs, \
                     {evm_more_percent:+.1} %"
                ),
            );
        }
        table.fmt(f)
    }
}

/// Measures a block of transfers on every chain.
///
/// # Errors
/// Where a transaction fails.
pub fn measure(config: &RulesConfig, say: &dyn Fn(&str)) -> Result<RulesReport> {
    ensure!(config.keys >= 2, "{} keys: there must be at least 2", config.keys);
    ensure!(config.transactions > 0, "0 transactions: there must be at least 1");
    say(&format!("making {} keys", config.keys));
    let accounts: Vec<_> =
        (0..config.keys as u64).into_par_iter().map(|index| Account::numbered(2, index)).collect::<Result<_>>()?;
    let plain = Chain::with_token(&accounts)?;
    // The second shows how far two figures of the same differ.
    let mut chains = vec![("nothing decided", plain.clone()), ("nothing decided, once more", plain.clone())];
    let mut elsewhere = plain.clone();
    elsewhere.decide((0..FROZEN_ELSEWHERE).map(|number| {
        let target = Address::from_word(keccak256(number.to_be_bytes()));
        P::freezeCall { target, reason: String::new() }.abi_encode()
    }))?;
    chains.push(("1,000 addresses frozen elsewhere", elsewhere));
    for (rules, kind) in [
        ("by the alias of a forwarding name", INames::Kind::Forwarding),
        ("by the alias of a state-keeping name", INames::Kind::StateKeeping),
    ] {
        let mut named = plain.clone();
        named.name_token(kind)?;
        chains.push((rules, named));
    }
    let mut listed = plain;
    let (target, method) = (listed.token, FixedBytes(transferCall::SELECTOR));
    let rule = P::setPolicyCall { target, method, policy: Policy::AllowList }.abi_encode();
    let role = P::listRoleCall { target, method, role: "user".into(), listed: true }.abi_encode();
    let grant = |account: &Account| {
        P::grantRoleCall { role: "user".into(), account: account.address, reason: String::new() }.abi_encode()
    };
    listed.decide([rule, role].into_iter().chain(accounts.iter().map(grant)))?;
    chains.push(("transfer is for one role, which every sender has", listed));
    let measured = |(rules, chain): (&'static str, Chain)| {
        let block = chain.transfers(&accounts, config.transactions)?;
        Measured::new(rules, &chain, block)
    };
    let chains: Vec<_> = chains.into_iter().map(measured).collect::<Result<_>>()?;
    say(&format!("{} rounds", config.rounds));
    // What a node does on several threads happens on this one.
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let rounds = one.install(|| time(&chains, config.rounds))?;
    let line = |(position, chain): (usize, &Measured)| {
        let per = |time: &Duration| time.as_secs_f64() * 1e6 / config.transactions as f64;
        let figures = |kind: fn(&Times) -> &Duration| {
            let of = |round: &[Times], position: usize| {
                round.get(position).map(|times| per(kind(times))).unwrap_or_default()
            };
            let more = |round: &Vec<Times>| (of(round, position) / of(round, 0).max(1e-9) - 1.0) * 100.0;
            (median(rounds.iter().map(|round| of(round, position))), median(rounds.iter().map(more)))
        };
        let (evm_microseconds, evm_more_percent) = figures(|times| &times.evm);
        let (block_microseconds, block_more_percent) = figures(|times| &times.block);
        RulesLine { rules: chain.rules, evm_microseconds, evm_more_percent, block_microseconds, block_more_percent }
    };
    Ok(RulesReport {
        lines: chains.iter().enumerate().map(line).collect(),
        keys: config.keys,
        transactions: config.transactions,
        rounds: config.rounds,
        machine: machine::describe(),
        command: config.command.clone(),
    })
}

/// A chain with the block that is executed on it again and again.
struct Measured {
    /// What was decided on it.
    rules: &'static str,
    /// What executes its blocks, as a node has it, with what it knows of callers; one thread.
    threads: Threads,
    parent: Parent,
    environment: BlockEnvironment,
    proposal: Proposal,
    transactions: Vec<Arc<VerifiedTransaction>>,
}

/// How long the block took.
struct Times {
    /// In the EVM alone.
    evm: Duration,
    /// Until it was a block.
    block: Duration,
}

impl Measured {
    fn new(rules: &'static str, chain: &Chain, transactions: Vec<Arc<VerifiedTransaction>>) -> Result<Self> {
        let genesis = genesis_block(Suite::Standard, &genesis(&chain.operator), &group(&chain.operator))?;
        let environment = chain.environment();
        let proposal = Proposal {
            chain_id: CHAIN_ID,
            group: GroupId(0),
            epoch: Epoch::ZERO,
            height: BlockNumber(environment.number),
            parent: genesis.digest,
            time: genesis.block.extension.time,
            proposer: node_key(),
            transactions: transactions.iter().map(|transaction| transaction.hash()).collect(),
        };
        let trie = StateTrie::empty(Hasher::Keccak);
        let (trie, _) = trie.apply(&MemoryNodes::default(), 0, &chain.state.as_changes().trie_updates())?;
        let parent = Parent {
            header: genesis.block.header.clone(),
            hash: genesis.hash,
            extension_members: genesis.block.extension.members,
            state: Arc::new(chain.state.clone()),
            trie,
        };
        Ok(Self { rules, threads: Threads::one(), parent, environment, proposal, transactions })
    }

    fn evm(&self) -> Result<Duration> {
        let started = Instant::now();
        let state = self.parent.state.as_ref();
        let outcome = self.threads.execute(&rules(), &self.environment, state, &self.transactions)?;
        let time = started.elapsed();
        check(&outcome, self.transactions.len())?;
        Ok(time)
    }

    fn block(&self) -> Result<Duration> {
        let started = Instant::now();
        // All of the trie is in memory.
        let nodes = MemoryNodes::default();
        let limit = limits::BLOCK_GAS_LIMIT_DEFAULT;
        let Self { threads, parent, proposal, transactions, .. } = self;
        let block = execute_proposal(threads, &rules(), limit, parent, &nodes, proposal, transactions)?;
        let time = started.elapsed();
        let succeeded = block.receipts.iter().filter(|receipt| receipt.success).count();
        ensure!(succeeded == transactions.len(), "{succeeded} of {} transactions succeeded", transactions.len());
        Ok(time)
    }
}

/// The times of each round, by chain. They take turns, so that a busy moment of the machine meets all of them, and after a round
/// that does not count, in which a node would learn who calls.
fn time(chains: &[Measured], rounds: u32) -> Result<Vec<Vec<Times>>> {
    let one = |chain: &Measured| Ok(Times { evm: chain.evm()?, block: chain.block()? });
    let round = || chains.iter().map(one).collect::<Result<Vec<_>>>();
    round()?;
    (0..rounds).map(|_| round()).collect()
}

/// The middle one of some figures.
fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

const fn rules() -> Rules {
    Rules::new(Suite::Standard, CHAIN_ID).with_system_contracts()
}

/// A chain's state.
#[derive(Clone)]
struct Chain {
    state: MemoryState,
    number: u64,
    token: Address,
    /// Where the token is called.
    target: Address,
    operator: Account,
    nonce: u64,
}

impl Chain {
    /// With an OpenZeppelin ERC-20 of which every account has enough.
    fn with_token(accounts: &[Account]) -> Result<Self> {
        let operator = Account::numbered(3, 0)?;
        let mut state = MemoryState::default();
        state.apply(&genesis_block(Suite::Standard, &genesis(&operator), &group(&operator))?.changes);
        let token = operator.address.create(0);
        let mut chain = Self { state, number: 0, token, target: token, operator, nonce: 0 };
        chain.send(TxKind::Create, [workload::token_creation()?.to_vec()])?;
        let fund = |account: &Account| workload::transfer(account.address, 1_000_000).to_vec();
        chain.send(TxKind::Call(token), accounts.iter().map(fund))?;
        Ok(chain)
    }

    fn environment(&self) -> BlockEnvironment {
        BlockEnvironment::new(self.number.saturating_add(1), 1_700_000_000, Address::ZERO, u64::MAX)
    }

    /// Adds a block of the operator's transactions.
    fn send(&mut self, to: TxKind, inputs: impl IntoIterator<Item = Vec<u8>>) -> Result<()> {
        let inputs: Vec<_> = (self.nonce..).zip(inputs).collect();
        self.nonce = self.nonce.saturating_add(inputs.len() as u64);
        let gas = limits::TRANSACTION_GAS_LIMIT_MAX;
        let one = |(nonce, input): (u64, Vec<u8>)| sign(&self.operator, nonce, gas, to, input.into());
        let block: Vec<_> = inputs.into_par_iter().map(one).collect::<Result<_>>()?;
        let outcome = execute_transactions(&rules(), &self.environment(), &self.state, &block)?;
        check(&outcome, block.len())?;
        self.state.apply(&outcome.changes);
        self.number = self.number.saturating_add(1);
        Ok(())
    }

    fn decide(&mut self, calls: impl IntoIterator<Item = Vec<u8>>) -> Result<()> {
        self.send(TxKind::Call(ADDRESS), calls)
    }

    /// Gives the token a name, by whose alias it is called from now on.
    fn name_token(&mut self, kind: INames::Kind) -> Result<()> {
        let first = INames::Publication {
            version: "1".to_owned(),
            target: self.token,
            contentType: U256::ZERO,
            abiData: Bytes::new(),
            metadata: String::new(),
        };
        let call = INames::registerVersionCall { name: "token".to_owned(), kind, first };
        self.send(TxKind::Call(names::ADDRESS), [call.abi_encode()])?;
        self.target = names::alias(keccak256([B256::ZERO.0, keccak256("token").0].concat()));
        // A state-keeping alias has storage of its own: it gets the balances that the token has.
        let storage = self.state.accounts.get(&self.token).map(|account| account.storage.clone()).unwrap_or_default();
        if matches!(kind, INames::Kind::StateKeeping) {
            self.state.accounts.get_mut(&self.target).context("there is no alias")?.storage = storage;
        }
        Ok(())
    }

    /// A block in which the accounts take turns, each paying one that is half of all keys away.
    fn transfers(&self, accounts: &[Account], transactions: usize) -> Result<Vec<Arc<VerifiedTransaction>>> {
        let one = |turn: usize| {
            let at = |index: usize| accounts.get(index % accounts.len().max(1)).context("there are no keys");
            let (payer, payee) = (at(turn)?, at(turn.saturating_add(accounts.len() / 2))?);
            let nonce = (turn / accounts.len().max(1)) as u64;
            let input = workload::transfer(payee.address, 1);
            sign(payer, nonce, workload::TRANSFER_GAS, TxKind::Call(self.target), input)
        };
        (0..transactions).into_par_iter().map(one).collect()
    }
}

fn node_key() -> ConsensusKey {
    ConsensusSecretKey::from_bytes(Suite::Standard, &B256::repeat_byte(1).0).public()
}

fn group(operator: &Account) -> GroupGenesis {
    GroupGenesis {
        group: GroupId(0),
        chain_id: CHAIN_ID,
        time: Millis(1_700_000_000_000),
        block_gas_limit: limits::BLOCK_GAS_LIMIT_DEFAULT,
        consensus: ConsensusParameters::default(),
        sealers: vec!["node0".to_owned()],
        operators: vec![operator.address],
        committee: None,
        protocol_version: PROTOCOL_VERSION_MAX,
        accounts: BTreeMap::new(),
    }
}

fn genesis(operator: &Account) -> Genesis {
    let node = NodeEntry { name: "node0".to_owned(), institution: "bank".to_owned(), consensus_key: node_key() };
    Genesis {
        version: 1,
        suite: Suite::Standard.name().to_owned(),
        certificate_authorities: vec![],
        institutions: vec![Institution { name: "bank".to_owned() }],
        nodes: vec![node],
        groups: vec![group(operator)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chain_is_measured() {
        let config = RulesConfig { keys: 10, transactions: 30, rounds: 1, command: "test".to_owned() };
        let report = measure(&config, &|_| ()).unwrap();
        assert_eq!(report.lines.len(), 6);
        let is_measured = |line: &RulesLine| line.evm_microseconds > 0.0 && line.block_microseconds > 0.0;
        assert!(report.lines.iter().all(is_measured), "{report}");
        assert!(report.to_string().contains("1,000 addresses frozen elsewhere"), "{report}");
        let bad = RulesConfig { keys: 1, ..config };
        assert_eq!(measure(&bad, &|_| ()).unwrap_err().to_string(), "1 keys: there must be at least 2");
    }
}
