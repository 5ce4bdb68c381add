//! Running the transactions of a block one after the other.

use crate::database::BlockState;
use crate::evm::BlockEvm;
use crate::gate::{Gate, KnownVerdicts};
use crate::rules::BlockRules;
use crate::transaction::tx_env;
use crate::{BlockEnvironment, Rules, SkipReason, StateChanges, StateError, StateReader, history, system};
use alloy_consensus::{Transaction as _, TxEnvelope};
use alloy_primitives::map::AddressSet;
use alloy_primitives::{Address, B256};
use lian_crypto::VerifiedTransaction;
use lian_types::{Receipt, Skipped};
use revm::context_interface::result::{EVMError, ExecutionResult};
use std::sync::Arc;

/// Why a block could not be executed. It is never the fault of a transaction.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionError {
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The trie could not be updated.
    #[error("state root cannot be computed: {0}")]
    Trie(#[from] lian_trie::TrieError),
    /// The block is made by rules that this program does not know.
    #[error(transparent)]
    Protocol(#[from] lian_types::UnknownProtocol),
    /// There are more or fewer bodies than the proposal names.
    #[error("{given} transactions were given for a proposal of {proposed}")]
    BodyCount {
        /// How many the proposal names.
        proposed: usize,
        /// How many were given.
        given: usize,
    },
    /// A body is not the one that the proposal names.
    #[error("transaction {position} of the proposal is {proposed}, but {given} was given")]
    BodyMismatch {
        /// The position in the proposal, from 0.
        position: usize,
        /// The hash that the proposal names.
        proposed: B256,
        /// The hash of what was given.
        given: B256,
    },
    /// The EVM broke a rule of its own.
    #[error("the EVM failed: {0}")]
    Evm(String),
}

/// What running the transactions of a block gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The positions, in what was given, of the transactions that ran; rising.
    pub included: Vec<usize>,
    /// The transactions that could not run, and why; by rising position.
    pub skipped: Vec<(Skipped, SkipReason)>,
    /// The receipts of those that ran, in order.
    pub receipts: Vec<Receipt>,
    /// The gas used by all of them, in units of gas.
    pub gas_used: u64,
    /// What the block changed.
    pub changes: StateChanges,
}

/// Runs transactions in order on top of a state. Those that are invalid where they stand are left out, with the reason.
///
/// # Errors
/// [`ExecutionError`] where state cannot be read or the block is made by unknown rules; nothing has happened then.
pub fn execute_transactions(
    rules: &Rules,
    environment: &BlockEnvironment,
    state: &dyn StateReader,
    transactions: &[Arc<VerifiedTransaction>],
) -> Result<Outcome, ExecutionError> {
    execute_knowing(rules, environment, state, transactions, None)
}

/// The same with verdicts that are known from earlier blocks.
pub(crate) fn execute_knowing(
    rules: &Rules,
    environment: &BlockEnvironment,
    state: &dyn StateReader,
    transactions: &[Arc<VerifiedTransaction>],
    known: Option<&KnownVerdicts>,
) -> Result<Outcome, ExecutionError> {
    let mut run = BlockRun::new(rules, environment, state, known, AddressSet::default())?;
    run.transact_all(transactions)?;
    Ok(run.finish())
}

impl Outcome {
    /// The position of the next transaction, where positions are kept.
    const fn next_position(&self) -> usize {
        self.included.len().saturating_add(self.skipped.len())
    }

    /// Adds a transaction that ran.
    pub(crate) fn keep(&mut self, transaction_type: u8, result: ExecutionResult) {
        let gas_used = result.tx_gas_used();
        self.gas_used = self.gas_used.saturating_add(gas_used);
        let success = result.is_success();
        // A transaction that did not succeed leaves no logs.
        let logs = if success { result.into_logs() } else { Vec::new() };
        let cumulative_gas_used = self.gas_used;
        self.receipts.push(Receipt { transaction_type, success, gas_used, cumulative_gas_used, logs });
    }

    /// Adds a transaction that could not run.
    pub(crate) fn skip(&mut self, position: usize, hash: B256, reason: SkipReason) {
        let position = u32::try_from(position).unwrap_or(u32::MAX);
        self.skipped.push((Skipped { position, hash }, reason));
    }

    /// Why a transaction with this gas limit cannot stand here, if it is for that.
    pub(crate) fn out_of_gas(&self, block_limit: u64, limit: u64) -> Option<SkipReason> {
        let left = block_limit.saturating_sub(self.gas_used);
        (limit > left).then_some(SkipReason::BlockGasLimit { limit, left })
    }
}

/// A block while its transactions run.
pub(crate) struct BlockRun<'a> {
    rules: BlockRules,
    gas_limit: u64,
    evm: BlockEvm<'a, BlockState<'a>>,
    outcome: Outcome,
}

impl<'a> BlockRun<'a> {
    /// `occupied`: as in [`BlockEvm`], none on Lian's chains.
    pub(crate) fn new(
        rules: &Rules,
        environment: &BlockEnvironment,
        base: &'a dyn StateReader,
        known: Option<&'a KnownVerdicts>,
        occupied: AddressSet,
    ) -> Result<Self, ExecutionError> {
        let rules = BlockRules::new(rules, base, environment.number)?;
        let state = beginning(&rules, environment, base)?;
        let gate = Gate::new(&rules, base, known)?;
        Ok(Self::resume(&rules, environment, state, gate, Outcome::default(), occupied))
    }

    /// A block of which some transactions have run already.
    pub(crate) fn resume(
        rules: &BlockRules,
        environment: &BlockEnvironment,
        state: BlockState<'a>,
        gate: Option<Gate<'a>>,
        outcome: Outcome,
        occupied: AddressSet,
    ) -> Self {
        let evm = BlockEvm::new(rules, environment, state, gate, occupied);
        Self { rules: *rules, gas_limit: environment.gas_limit, evm, outcome }
    }

    /// Runs the block's next transactions.
    pub(crate) fn transact_all(&mut self, transactions: &[Arc<VerifiedTransaction>]) -> Result<(), ExecutionError> {
        transactions.iter().try_for_each(|transaction| self.transact_next(transaction))
    }

    /// Runs the block's next transaction.
    pub(crate) fn transact_next(&mut self, transaction: &VerifiedTransaction) -> Result<(), ExecutionError> {
        let position = self.outcome.next_position();
        match self.transact(transaction.transaction().as_ethereum(), transaction.sender())? {
            Ok(()) => self.outcome.included.push(position),
            Err(reason) => self.outcome.skip(position, transaction.hash(), reason),
        }
        Ok(())
    }

    /// Adds the block's next transaction, which ran elsewhere and has room. The caller sees to the state.
    pub(crate) fn keep(&mut self, transaction: &VerifiedTransaction, result: ExecutionResult) {
        let position = self.outcome.next_position();
        self.outcome.keep(transaction.transaction().as_ethereum().tx_type().into(), result);
        self.outcome.included.push(position);
    }

    /// Whether there is gas for the next transactions, which use so much.
    pub(crate) fn has_room<'t>(&self, next: impl Iterator<Item = (&'t Arc<VerifiedTransaction>, u64)>) -> bool {
        let mut left = self.gas_limit.saturating_sub(self.outcome.gas_used);
        for (transaction, used) in next {
            if transaction.transaction().as_ethereum().gas_limit() > left {
                return false;
            }
            left = left.saturating_sub(used);
        }
        true
    }

    /// Runs one transaction and keeps its receipt, or says why it cannot run.
    pub(crate) fn transact(
        &mut self,
        envelope: &TxEnvelope,
        sender: Address,
    ) -> Result<Result<(), SkipReason>, ExecutionError> {
        let transaction = tx_env(self.rules.chain.fees, envelope, sender);
        let (transaction_type, limit) = (transaction.tx_type, transaction.gas_limit);
        if let Some(reason) = self.outcome.out_of_gas(self.gas_limit, limit) {
            return Ok(Err(reason));
        }
        match self.evm.transact(transaction) {
            Ok(result) => self.outcome.keep(transaction_type, result),
            Err(error) => return invalid(error).map(Err),
        }
        Ok(Ok(()))
    }

    /// The state as the transactions so far left it.
    pub(crate) const fn state_mut(&mut self) -> &mut BlockState<'a> {
        self.evm.state()
    }

    pub(crate) fn finish(self) -> Outcome {
        self.finish_with(None)
    }

    /// The same where what the transactions have changed may have been found out already.
    pub(crate) fn finish_with(self, changes: Option<StateChanges>) -> Outcome {
        let Self { evm, mut outcome, .. } = self;
        outcome.changes = changes.unwrap_or_else(|| evm.into_state().changes());
        outcome
    }
}

/// The state in which a block's transactions begin: its parent's, with what the block itself writes first.
pub(crate) fn beginning<'a>(
    rules: &BlockRules,
    environment: &BlockEnvironment,
    base: &'a dyn StateReader,
) -> Result<BlockState<'a>, StateError> {
    let mut state = BlockState::new(base);
    begin(&mut state, rules, environment)?;
    Ok(state)
}

/// Writes what a block itself writes before its transactions run.
pub(crate) fn begin(
    state: &mut BlockState<'_>,
    rules: &BlockRules,
    environment: &BlockEnvironment,
) -> Result<(), StateError> {
    if let Some(parent) = environment.parent_hash {
        history::record_parent(state, environment.number, parent)?;
    }
    rules.added_contracts().try_for_each(|contract| system::establish(state, contract))
}

/// Tells an invalid transaction from a failure of the machine.
pub(crate) fn invalid(error: EVMError<StateError>) -> Result<SkipReason, ExecutionError> {
    match error {
        EVMError::Transaction(reason) => Ok(reason.into()),
        EVMError::Database(error) => Err(error.into()),
        EVMError::Header(error) => Err(ExecutionError::Evm(error.to_string())),
        EVMError::Custom(error) => Err(ExecutionError::Evm(error)),
        EVMError::CustomAny(error) => Err(ExecutionError::Evm(error.to_string())),
    }
}
