//! Tracing: how a transaction or call came to its result, in geth's formats.

mod budget;

use crate::call::{CallPrecompiles, CallTransaction, Machine};
use crate::gate::Gate;
use crate::rules::BlockRules;
use crate::serial::beginning;
use crate::transaction::tx_env;
use crate::{BlockEnvironment, CallError, CallSite, ExecutionError, Rules, SkipReason, StateReader};
use alloy_primitives::{B256, TxHash};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::geth::{
    GethDebugBuiltInTracerType as BuiltIn, GethDebugTracerType, GethDebugTracingOptions, GethTrace,
};
use budget::StepBudget;
use lian_crypto::VerifiedTransaction;
use lian_types::limits::TRACE_BYTES_MAX;
use revm::context::TxEnv;
use revm_inspectors::tracing::{
    DebugInspector, DebugInspectorError, TraceLimitBehavior, TraceLimits, TransactionContext,
};
use std::sync::Arc;

/// Longest name of an unknown tracer that an error repeats, in characters.
const NAME_LENGTH_MAX: usize = 80;

/// A block whose transactions are to be traced.
pub struct BlockTrace<'a> {
    /// The chain's rules.
    pub rules: &'a Rules,
    /// The block's surroundings: [`BlockEnvironment::of_header`].
    pub environment: &'a BlockEnvironment,
    /// The block's hash.
    pub hash: B256,
    /// The state before the block: its parent's.
    pub state: &'a dyn StateReader,
    /// The block's transactions, in order.
    pub transactions: &'a [Arc<VerifiedTransaction>],
    /// Which tracer, and how.
    pub options: &'a GethDebugTracingOptions,
    /// As [`CallSite::cancelled`].
    pub cancelled: &'a dyn Fn() -> bool,
}

/// Why there is no trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// There is no tracer of this name, and no JavaScript runs here.
    #[error(
        "unknown tracer `{0}` (known: callTracer, flatCallTracer, prestateTracer, 4byteTracer, noopTracer; none for \
         struct logs)"
    )]
    UnknownTracer(String),
    /// The tracer's configuration is not of its form.
    #[error("tracerConfig is not valid for this tracer")]
    TracerConfig,
    /// The trace would take more memory than it may.
    #[error(
        "trace exceeds {TRACE_BYTES_MAX} bytes: leave out stack, memory or storage, set `limit`, or use callTracer"
    )]
    TooLarge,
    /// The block has no transaction at this position.
    #[error("the block has {count} transactions, none at index {index}")]
    NoTransaction {
        /// The position asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// A transaction that is in the block is not valid on the state given: they do not belong together.
    #[error("transaction {hash} of the block cannot be replayed: {reason}")]
    Replay {
        /// Which.
        hash: TxHash,
        /// Why.
        reason: SkipReason,
    },
    /// It could not be run.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Traces one transaction of a block, after running those before it, as `debug_traceTransaction`.
///
/// # Errors
/// [`TraceError`].
pub fn trace_transaction(block: &BlockTrace<'_>, index: usize) -> Result<GethTrace, TraceError> {
    let inspector = inspector(block.options)?;
    let count = block.transactions.len();
    let transaction = block.transactions.get(index).ok_or(TraceError::NoTransaction { index, count })?;
    let mut machine = block.machine(inspector)?;
    for earlier in block.transactions.iter().take(index) {
        block.replay(&mut machine, earlier)?;
    }
    block.trace(&mut machine, index, transaction)
}

/// Traces all transactions of a block, as `debug_traceBlockByHash`.
///
/// # Errors
/// [`TraceError`].
pub fn trace_block(block: &BlockTrace<'_>) -> Result<Vec<GethTrace>, TraceError> {
    let mut machine = block.machine(inspector(block.options)?)?;
    let mut traces = Vec::with_capacity(block.transactions.len());
    for (index, transaction) in block.transactions.iter().enumerate() {
        machine.set_inspector(inspector(block.options)?);
        traces.push(block.trace(&mut machine, index, transaction)?);
    }
    Ok(traces)
}

/// Traces a call, as `debug_traceCall`.
///
/// # Errors
/// [`TraceError`].
pub fn trace_call(
    site: &CallSite<'_>,
    request: &TransactionRequest,
    options: &GethDebugTracingOptions,
) -> Result<GethTrace, TraceError> {
    let mut machine = Machine::new(site, inspector(options)?)?;
    let transaction = CallTransaction::new(site.rules, request, site.gas_cap).map_err(CallError::from)?.into_env();
    run(&mut machine, transaction, TransactionContext::default())
}

type Tracing<'a> = Machine<'a, (StepBudget, DebugInspector)>;

impl<'a> BlockTrace<'a> {
    fn machine(&self, inspector: (StepBudget, DebugInspector)) -> Result<Tracing<'a>, CallError> {
        let rules = BlockRules::new(self.rules, self.state, self.environment.number)?;
        let state = beginning(&rules, self.environment, self.state)?;
        let gate = Gate::new(&rules, self.state, None)?;
        let precompiles = CallPrecompiles::new(&rules);
        let configuration = self.rules.configuration();
        Ok(Machine::assemble(state, configuration, self.environment, gate, precompiles, self.cancelled, inspector))
    }

    /// Runs a transaction for what it leaves to those after it.
    fn replay(&self, machine: &mut Tracing<'_>, transaction: &VerifiedTransaction) -> Result<(), TraceError> {
        if (self.cancelled)() {
            return Err(CallError::Cancelled.into());
        }
        machine.transact(self.env(transaction)).map_err(|error| replay_error(transaction, error))
    }

    fn trace(
        &self,
        machine: &mut Tracing<'_>,
        index: usize,
        transaction: &VerifiedTransaction,
    ) -> Result<GethTrace, TraceError> {
        let context = TransactionContext {
            block_hash: Some(self.hash),
            tx_index: Some(index),
            tx_hash: Some(transaction.hash()),
        };
        run(machine, self.env(transaction), context).map_err(|error| match error {
            TraceError::Call(error) => replay_error(transaction, error),
            other => other,
        })
    }

    fn env(&self, transaction: &VerifiedTransaction) -> TxEnv {
        tx_env(self.rules.fees, transaction.transaction().as_ethereum(), transaction.sender())
    }
}

fn replay_error(transaction: &VerifiedTransaction, error: CallError) -> TraceError {
    match error {
        CallError::Invalid(reason) => TraceError::Replay { hash: transaction.hash(), reason },
        other => other.into(),
    }
}

/// Runs and traces a transaction, and keeps what it changed.
fn run(machine: &mut Tracing<'_>, transaction: TxEnv, context: TransactionContext) -> Result<GethTrace, TraceError> {
    let outcome = machine.run(transaction.clone());
    let ((budget, inspector), state, block) = machine.parts();
    if budget.exceeded() || bytes_exceeded(inspector) {
        return Err(TraceError::TooLarge);
    }
    let outcome = outcome?;
    // The tracer reads the state from before the transaction, which is not committed yet.
    let mut before = &*state;
    let trace = inspector.get_result(Some(context), &transaction, block, &outcome, &mut before);
    let trace = trace.map_err(|error| match error {
        DebugInspectorError::Database(error) => TraceError::Call(CallError::State(error)),
        _ => TraceError::TracerConfig,
    })?;
    machine.commit(outcome.state);
    Ok(trace)
}

/// The tracer that the options name, with its bounds.
fn inspector(options: &GethDebugTracingOptions) -> Result<(StepBudget, DebugInspector), TraceError> {
    let known = match &options.tracer {
        None
        | Some(GethDebugTracerType::BuiltInTracer(
            BuiltIn::CallTracer
            | BuiltIn::FlatCallTracer
            | BuiltIn::PreStateTracer
            | BuiltIn::FourByteTracer
            | BuiltIn::NoopTracer,
        )) => true,
        Some(other) => other.as_str().is_empty(),
    };
    if !known {
        let name = options.tracer.as_ref().map(GethDebugTracerType::as_str).unwrap_or_default();
        return Err(TraceError::UnknownTracer(name.chars().take(NAME_LENGTH_MAX).collect()));
    }
    let inspector = DebugInspector::new(options.clone()).map_err(|_: DebugInspectorError| TraceError::TracerConfig)?;
    let limits =
        TraceLimits::default().set_max_recorded_bytes(Some(TRACE_BYTES_MAX)).set_behavior(TraceLimitBehavior::Halt);
    Ok(match inspector {
        DebugInspector::CallTracer(tracer, config) => {
            (StepBudget::unlimited(), DebugInspector::CallTracer(tracer.with_limits(limits), config))
        }
        DebugInspector::FlatCallTracer(tracer) => {
            (StepBudget::unlimited(), DebugInspector::FlatCallTracer(tracer.with_limits(limits)))
        }
        DebugInspector::Default(tracer, config) => {
            let budget = StepBudget::new(TRACE_BYTES_MAX, config.limit);
            (budget, DebugInspector::Default(tracer.with_limits(limits), config))
        }
        other => (StepBudget::unlimited(), other),
    })
}

fn bytes_exceeded(inspector: &DebugInspector) -> bool {
    match inspector {
        DebugInspector::CallTracer(tracer, _)
        | DebugInspector::FlatCallTracer(tracer)
        | DebugInspector::Default(tracer, _) => tracer.limit_exceeded(),
        _ => false,
    }
}

impl From<ExecutionError> for TraceError {
    fn from(error: ExecutionError) -> Self {
        Self::Call(error.into())
    }
}
