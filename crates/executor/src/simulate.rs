//! Simulation: blocks of calls on top of a block, as `eth_simulateV1` of ethereum/execution-apis.

mod blocks;
mod error;
mod transaction;

pub use error::SimulateError;

use crate::call::{CallPrecompiles, Machine, apply_state_overrides, unchecked};
use crate::database::BlockState;
use crate::gate::Gate;
use crate::proposal::trie_hasher;
use crate::rules::BlockRules;
use crate::serial::begin;
use crate::{
    BlockEnvironment, CallError, CallOutcome, CallResult, Outcome, Rules, SkipReason, StateReader, halt_message,
};
use alloy_consensus::{Header, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Log};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_eth::simulate::{SimBlock, SimCallResult, SimulateError as CallFailure, SimulatePayload};
use blocks::PlannedBlock;
use lian_trie::{NodeSource, StateTrie};
use lian_types::Receipt;
use lian_types::limits::TRANSACTION_GAS_LIMIT_MAX;
use revm::context::{CfgEnv, TxEnv};
use revm_inspectors::transfer::{TRANSFER_LOG_EMITTER, TransferInspector};

/// The block that a simulation begins on top of, and the bounds within which it runs.
pub struct SimulationSite<'a> {
    /// The chain's rules.
    pub rules: &'a Rules,
    /// The block's header.
    pub header: &'a Header,
    /// The block's hash.
    pub hash: B256,
    /// The state after the block.
    pub state: &'a dyn StateReader,
    /// The trie of that state, and its nodes that are not in memory; without it simulated blocks have no state root.
    pub trie: Option<(&'a StateTrie, &'a dyn NodeSource)>,
    /// Most gas that all calls together may use, in units of gas.
    pub gas_cap: u64,
    /// As [`crate::CallSite::cancelled`].
    pub cancelled: &'a dyn Fn() -> bool,
}

/// A block that would be.
#[derive(Clone, Debug)]
pub struct SimulatedBlock {
    /// Its header. Its `extraData` is empty: it has no extension.
    pub header: Header,
    /// Its hash.
    pub hash: B256,
    /// Its transactions, which nobody signed, with their senders.
    pub transactions: Vec<(TxEnvelope, Address)>,
    /// What each of them gave.
    pub calls: Vec<SimCallResult>,
}

/// Runs blocks of calls one after the other, each on what the one before left. Numbers that are left out between blocks
/// become empty blocks.
///
/// # Errors
/// [`SimulateError`] with the code that execution-apis names. A call that reverts is a result; one that is invalid ends
/// the simulation.
pub fn simulate(site: &SimulationSite<'_>, payload: &SimulatePayload) -> Result<Vec<SimulatedBlock>, SimulateError> {
    let plan = blocks::plan(site.header, &payload.block_state_calls)?;
    let mut state = BlockState::new(site.state);
    let mut parent = (site.header.clone(), site.hash);
    let mut gas_left = site.gas_cap;
    let mut simulated = Vec::with_capacity(plan.len());
    for block in plan {
        let run = BlockSimulation { site, payload, parent: &parent, block: &block };
        let (next, after) = run.execute(state, &mut gas_left)?;
        state = after;
        state.set_block_hash(next.header.number, next.hash);
        parent = (next.header.clone(), next.hash);
        simulated.push(next);
    }
    Ok(simulated)
}

struct BlockSimulation<'s, 'a> {
    site: &'s SimulationSite<'a>,
    payload: &'s SimulatePayload,
    parent: &'s (Header, B256),
    block: &'s PlannedBlock<'s>,
}

type Simulating<'a> = Machine<'a, TransferInspector>;

/// A block while its calls run.
#[derive(Default)]
struct Progress {
    transactions: Vec<(TxEnvelope, Address)>,
    calls: Vec<(CallOutcome, u64)>,
    outcome: Outcome,
}

impl<'a> BlockSimulation<'_, 'a> {
    fn execute(
        &self,
        mut state: BlockState<'a>,
        gas_left: &mut u64,
    ) -> Result<(SimulatedBlock, BlockState<'a>), SimulateError> {
        let rules = self.site.rules;
        let environment = self.block.environment(self.parent, &mut state)?;
        let block_rules = BlockRules::new(rules, &state, environment.number).map_err(CallError::from)?;
        begin(&mut state, &block_rules, &environment).map_err(CallError::State)?;
        // By the state that the simulation begins on.
        let gate = Gate::new(&block_rules, self.site.state, None).map_err(CallError::State)?;
        let mut precompiles = CallPrecompiles::new(&block_rules);
        if let Some(overrides) = self.block.calls.and_then(|calls| calls.state_overrides.as_ref()) {
            apply_state_overrides(&mut state, &mut precompiles, overrides)?;
        }
        let inspector = TransferInspector::new(false).with_logs(self.payload.trace_transfers);
        let cancelled = self.site.cancelled;
        let mut machine =
            Machine::assemble(state, self.configuration(), &environment, gate, precompiles, cancelled, inspector);
        let mut progress = Progress::default();
        let calls: &[TransactionRequest] = self.block.calls.map_or(&[], |block: &SimBlock| &block.calls);
        for request in calls {
            self.run_call(&mut machine, &environment, request, gas_left, &mut progress)?;
        }
        let state = machine.into_state();
        let header = self.header(&environment, &state, &progress)?;
        Ok((self.assemble(header, progress), state))
    }

    /// With validation a transaction must be as one that is sent; without, only what the EVM itself needs is checked.
    fn configuration(&self) -> CfgEnv {
        if self.payload.validation { self.site.rules.configuration() } else { unchecked(self.site.rules) }
    }

    fn run_call(
        &self,
        machine: &mut Simulating<'_>,
        environment: &BlockEnvironment,
        request: &TransactionRequest,
        gas_left: &mut u64,
        progress: &mut Progress,
    ) -> Result<(), SimulateError> {
        let left = environment.gas_limit.saturating_sub(progress.outcome.gas_used);
        let cap = if self.payload.validation { TRANSACTION_GAS_LIMIT_MAX } else { u64::MAX };
        let gas = request.gas.unwrap_or(left.min(cap));
        if gas > left {
            return Err(SimulateError::BlockGasLimit { limit: gas, left });
        }
        let gas = gas.min(*gas_left);
        let sender = request.from.unwrap_or_default();
        let account = machine.state().account(sender).map_err(CallError::State)?.unwrap_or_default();
        let nonce = request.nonce.unwrap_or(account.nonce);
        let request = TransactionRequest { gas: Some(gas), nonce: Some(nonce), ..request.clone() };
        let transaction = crate::call::CallTransaction::new(self.site.rules, &request, gas).map_err(CallError::from)?;
        let transaction: TxEnv = transaction.into_env();
        let envelope = transaction::envelope(self.site.rules, &request, &transaction)?;

        let ran = machine.run(transaction).map_err(SimulateError::from)?;
        machine.commit(ran.state);
        let spent = ran.result.gas().total_gas_spent();
        let outcome = CallOutcome::from(ran.result);
        *gas_left = gas_left.saturating_sub(outcome.gas_used);
        progress.add(envelope, sender, outcome, spent);
        Ok(())
    }

    fn header(
        &self,
        environment: &BlockEnvironment,
        state: &BlockState<'_>,
        progress: &Progress,
    ) -> Result<Header, SimulateError> {
        let state_root = match self.site.trie {
            Some((trie, nodes)) => {
                let updates = state.changes().trie_updates();
                let (trie, _) = trie.apply(nodes, environment.number, &updates).map_err(SimulateError::Trie)?;
                trie.root()
            }
            None => B256::ZERO,
        };
        let bodies: Vec<_> = progress.transactions.iter().map(|(envelope, _)| envelope.encoded_2718()).collect();
        let hasher = trie_hasher(self.site.rules.suite);
        Ok(crate::proposal::header(
            hasher,
            environment,
            self.parent.1,
            Bytes::new(),
            &bodies,
            &progress.outcome,
            state_root,
        ))
    }

    fn assemble(&self, header: Header, progress: Progress) -> SimulatedBlock {
        let hash = self.site.rules.suite.header_hash(&header);
        let place = LogPlace { header: &header, hash };
        let mut log_index = 0;
        let Progress { transactions, calls, .. } = progress;
        let calls = transactions
            .iter()
            .zip(calls)
            .enumerate()
            .map(|(index, ((envelope, _), (outcome, spent)))| {
                place.call_result(index, envelope, outcome, spent, &mut log_index)
            })
            .collect();
        SimulatedBlock { header, hash, transactions, calls }
    }
}

impl Progress {
    fn add(&mut self, envelope: TxEnvelope, sender: Address, outcome: CallOutcome, spent: u64) {
        self.outcome.gas_used = self.outcome.gas_used.saturating_add(outcome.gas_used);
        self.outcome.receipts.push(Receipt {
            transaction_type: envelope.tx_type().into(),
            success: matches!(outcome.result, CallResult::Success { .. }),
            gas_used: outcome.gas_used,
            cumulative_gas_used: self.outcome.gas_used,
            // What shows transfers of value is no event of a contract, and no part of the block.
            logs: outcome.logs.iter().filter(|log| log.address != TRANSFER_LOG_EMITTER).cloned().collect(),
        });
        self.transactions.push((envelope, sender));
        self.calls.push((outcome, spent));
    }
}

/// Where the logs of a block are.
struct LogPlace<'h> {
    header: &'h Header,
    hash: B256,
}

impl LogPlace<'_> {
    fn call_result(
        &self,
        index: usize,
        envelope: &TxEnvelope,
        outcome: CallOutcome,
        spent: u64,
        log_index: &mut u64,
    ) -> SimCallResult {
        let CallOutcome { result, gas_used, logs } = outcome;
        let logs = logs.into_iter().map(|log| self.log(index, envelope, log, log_index)).collect();
        let (status, return_data, error) = match result {
            CallResult::Success { output, .. } => (true, output, None),
            CallResult::Revert { output } => {
                let failure = CallFailure {
                    code: CallFailure::EXECUTION_REVERTED_CODE,
                    message: "execution reverted".to_owned(),
                    data: Some(output.clone()),
                };
                (false, output, Some(failure))
            }
            CallResult::Halt { reason } => {
                let code = CallFailure::VM_EXECUTION_ERROR_CODE;
                (false, Bytes::new(), Some(CallFailure { code, message: halt_message(&reason), data: None }))
            }
        };
        SimCallResult { return_data, logs, gas_used, max_used_gas: Some(spent.max(gas_used)), status, error }
    }

    fn log(&self, index: usize, envelope: &TxEnvelope, log: Log, log_index: &mut u64) -> alloy_rpc_types_eth::Log {
        let position = *log_index;
        *log_index = log_index.saturating_add(1);
        alloy_rpc_types_eth::Log {
            inner: log,
            block_hash: Some(self.hash),
            block_number: Some(self.header.number),
            block_timestamp: Some(self.header.timestamp),
            transaction_hash: Some(*envelope.tx_hash()),
            transaction_index: u64::try_from(index).ok(),
            log_index: Some(position),
            removed: false,
        }
    }
}

impl From<CallError> for SimulateError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Invalid(reason) => Self::Invalid(reason),
            CallError::Overrides(error) => Self::Overrides(error),
            other => Self::Call(other),
        }
    }
}

impl From<SkipReason> for SimulateError {
    fn from(reason: SkipReason) -> Self {
        Self::Invalid(reason)
    }
}
