//! The EVM of calls: inspected, bounded in time, with overrides.

use super::deadline::Deadline;
use super::{CallError, CallPrecompiles, CallSite, apply_block_overrides, apply_state_overrides};
use crate::database::BlockState;
use crate::rules::BlockRules;
use crate::serial::invalid;
use crate::{BlockEnvironment, ExecutionError, Rules, StateError};
use revm::context::{BlockEnv, CfgEnv, Evm, TxEnv};
use revm::context_interface::result::{EVMError, ResultAndState};
use revm::handler::instructions::EthInstructions;
use revm::handler::{EthFrame, MainnetContext};
use revm::interpreter::interpreter::EthInterpreter;
use revm::state::EvmState;
use revm::{DatabaseCommit, ExecuteEvm, InspectEvm, Inspector};

type CallContext<'a> = MainnetContext<BlockState<'a>>;

type CallEvm<'a, I> = Evm<
    CallContext<'a>,
    (Deadline<'a>, I),
    EthInstructions<EthInterpreter, CallContext<'a>>,
    CallPrecompiles,
    EthFrame<EthInterpreter>,
>;

/// An EVM with an inspector, which can run several transactions.
pub(crate) struct Machine<'a, I> {
    evm: CallEvm<'a, I>,
}

impl<'a, I: Inspector<CallContext<'a>>> Machine<'a, I> {
    /// The machine of a call, with its overrides applied and only those checks that a call has.
    pub(crate) fn new(site: &CallSite<'a>, inspector: I) -> Result<Self, CallError> {
        let mut state = BlockState::new(site.state);
        let mut environment = site.environment.clone();
        // By the block that the call runs on, whatever it pretends to be.
        let rules = BlockRules::new(site.rules, site.state, environment.number)?;
        let mut precompiles = CallPrecompiles::new(&rules);
        if let Some(overrides) = &site.overrides.block {
            apply_block_overrides(&mut environment, &mut state, overrides)?;
        }
        if let Some(overrides) = &site.overrides.state {
            apply_state_overrides(&mut state, &mut precompiles, overrides)?;
        }
        let configuration = unchecked(site.rules);
        Ok(Self::assemble(state, configuration, &environment, precompiles, site.cancelled, inspector))
    }

    pub(crate) fn assemble(
        state: BlockState<'a>,
        configuration: CfgEnv,
        environment: &BlockEnvironment,
        precompiles: CallPrecompiles,
        cancelled: &'a dyn Fn() -> bool,
        inspector: I,
    ) -> Self {
        let spec = configuration.spec;
        let context = CallContext::new(state, spec).with_cfg(configuration).with_block(environment.block_env());
        let instructions = EthInstructions::new_mainnet_with_spec(spec);
        let inspectors = (Deadline::new(cancelled), inspector);
        Self { evm: Evm::new_with_inspector(context, inspectors, instructions, precompiles) }
    }

    /// Runs a transaction. What it changed is given back and not kept.
    pub(crate) fn run(&mut self, transaction: TxEnv) -> Result<ResultAndState, CallError> {
        let result = self.evm.inspect_tx(transaction);
        if self.evm.inspector.0.tripped() {
            return Err(CallError::Cancelled);
        }
        result.map_err(call_error)
    }

    /// Runs a transaction without its inspector, and keeps what it changed.
    pub(crate) fn transact(&mut self, transaction: TxEnv) -> Result<(), CallError> {
        let changes = self.evm.transact(transaction).map_err(call_error)?.state;
        self.commit(changes);
        Ok(())
    }

    /// Keeps what a transaction changed, for the next one.
    pub(crate) fn commit(&mut self, changes: EvmState) {
        self.state().commit(changes);
    }

    pub(crate) const fn state(&mut self) -> &mut BlockState<'a> {
        &mut self.evm.ctx.journaled_state.database
    }

    /// The inspector, the state and the block, for what is made of them after a run.
    pub(crate) const fn parts(&mut self) -> (&mut I, &mut BlockState<'a>, &BlockEnv) {
        (&mut self.evm.inspector.1, &mut self.evm.ctx.journaled_state.database, &self.evm.ctx.block)
    }

    pub(crate) fn set_inspector(&mut self, inspector: I) {
        self.evm.inspector.1 = inspector;
    }

    pub(crate) fn into_state(self) -> BlockState<'a> {
        self.evm.ctx.journaled_state.database
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
