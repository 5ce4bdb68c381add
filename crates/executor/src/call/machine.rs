//! The EVM of calls: inspected, bounded in time, with overrides.

use super::deadline::Deadline;
use super::{CallError, CallPrecompiles, CallSite, apply_block_overrides, apply_state_overrides};
use crate::database::BlockState;
use crate::evm::{ChainContext, ChainEvm};
use crate::gate::Gate;
use crate::rules::BlockRules;
use crate::serial::invalid;
use crate::{BlockEnvironment, ExecutionError, Rules, StateError, StateReader, Verdict};
use revm::DatabaseCommit;
use revm::context::{BlockEnv, CfgEnv, TxEnv};
use revm::context_interface::result::{EVMError, ResultAndState};
use revm::inspector::Inspector;
use revm::state::EvmState;

type CallContext<'a> = ChainContext<BlockState<'a>>;
type CallEvm<'a, I> = ChainEvm<'a, BlockState<'a>, CallPrecompiles, (Deadline<'a>, I)>;

/// An EVM with an inspector, which can run several transactions.
pub(crate) struct Machine<'a, I> {
    evm: CallEvm<'a, I>,
}

impl<'a, I: Inspector<CallContext<'a>>> Machine<'a, I> {
    /// The machine of a call, with its overrides applied and only those checks that a call has.
    pub(crate) fn new(site: &CallSite<'a>, inspector: I) -> Result<Self, CallError> {
        Self::with_gate(site, |rules, state| Gate::new(rules, state, None), inspector)
    }

    /// The same with a gate that says of every verdict why.
    pub(crate) fn explaining(site: &CallSite<'a>, inspector: I) -> Result<Self, CallError> {
        Self::with_gate(site, |rules, state| Ok(Gate::recording(rules, state)), inspector)
    }

    fn with_gate(
        site: &CallSite<'a>,
        gate: impl FnOnce(&BlockRules, &'a dyn StateReader) -> Result<Option<Gate<'a>>, StateError>,
        inspector: I,
    ) -> Result<Self, CallError> {
        let mut state = BlockState::new(site.state);
        let mut environment = site.environment.clone();
        // By the block that the call runs on, whatever it pretends to be.
        let rules = BlockRules::new(site.rules, site.state, environment.number)?;
        let gate = gate(&rules, site.state)?;
        let mut precompiles = CallPrecompiles::new(&rules);
        if let Some(overrides) = &site.overrides.block {
            apply_block_overrides(&mut environment, &mut state, overrides)?;
        }
        if let Some(overrides) = &site.overrides.state {
            apply_state_overrides(&mut state, &mut precompiles, overrides)?;
        }
        let configuration = unchecked(site.rules);
        Ok(Self::assemble(state, configuration, &environment, gate, precompiles, site.cancelled, inspector))
    }

    pub(crate) fn assemble(
        state: BlockState<'a>,
        configuration: CfgEnv,
        environment: &BlockEnvironment,
        gate: Option<Gate<'a>>,
        precompiles: CallPrecompiles,
        cancelled: &'a dyn Fn() -> bool,
        inspector: I,
    ) -> Self {
        let inspectors = (Deadline::new(cancelled), inspector);
        Self { evm: ChainEvm::assemble(configuration, environment, state, gate, precompiles, inspectors) }
    }

    /// Runs a transaction. What it changed is given back and not kept.
    pub(crate) fn run(&mut self, transaction: TxEnv) -> Result<ResultAndState, CallError> {
        let (result, changes) = self.evm.inspect(transaction);
        if self.evm.inspector().0.tripped() {
            return Err(CallError::Cancelled);
        }
        Ok(ResultAndState::new(result.map_err(call_error)?, changes))
    }

    /// Runs a transaction without its inspector, and keeps what it changed.
    pub(crate) fn transact(&mut self, transaction: TxEnv) -> Result<(), CallError> {
        let (result, changes) = self.evm.run(transaction);
        result.map_err(call_error)?;
        self.commit(changes);
        Ok(())
    }

    /// Keeps what a transaction changed, for the next one.
    pub(crate) fn commit(&mut self, changes: EvmState) {
        self.state().commit(changes);
    }

    pub(crate) const fn state(&mut self) -> &mut BlockState<'a> {
        self.evm.state()
    }

    /// The inspector, the state and the block, for what is made of them after a run.
    pub(crate) const fn parts(&mut self) -> (&mut I, &mut BlockState<'a>, &BlockEnv) {
        let ((_, inspector), state, block) = self.evm.parts();
        (inspector, state, block)
    }

    pub(crate) fn set_inspector(&mut self, inspector: I) {
        self.evm.inspector().1 = inspector;
    }

    /// The verdicts on all that ran, in order, where the gate keeps them.
    pub(crate) fn into_verdicts(self) -> Vec<Verdict> {
        self.evm.into_gate().map(Gate::into_record).unwrap_or_default()
    }

    pub(crate) fn into_state(self) -> BlockState<'a> {
        self.evm.into_state()
    }
}

fn call_error(error: EVMError<StateError>) -> CallError {
    match invalid(error) {
        Ok(reason) => CallError::Invalid(reason),
        Err(error) => error.into(),
    }
}

impl From<ExecutionError> for CallError {
    fn from(error: ExecutionError) -> Self {
        match error {
            ExecutionError::State(error) => Self::State(error),
            ExecutionError::Evm(reason) => Self::Evm(reason),
            other => Self::Evm(other.to_string()),
        }
    }
}

/// The rules without the checks that protect a chain but only hinder a question.
pub(crate) fn unchecked(rules: &Rules) -> CfgEnv {
    let mut configuration = rules.configuration();
    configuration.disable_nonce_check = true;
    configuration.disable_eip3607 = true;
    configuration.disable_base_fee = true;
    configuration.disable_block_gas_limit = true;
    configuration.tx_gas_limit_cap = Some(u64::MAX);
    configuration
}
