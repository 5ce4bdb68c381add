//! The EVM that runs blocks.

use crate::database::BlockState;
use crate::system::ChainPrecompiles;
use crate::{BlockEnvironment, Rules, StateError};
use alloy_primitives::Bytes;
use alloy_primitives::map::AddressSet;
use revm::context::{ContextSetters, Evm, FrameStack, TxEnv};
use revm::context_interface::journaled_state::account::JournaledAccountTr;
use revm::context_interface::result::{EVMError, ExecutionResult};
use revm::context_interface::{ContextTr, JournalTr};
use revm::handler::evm::{ContextDbError, FrameInitResult};
use revm::handler::instructions::EthInstructions;
use revm::handler::{
    EthFrame, EvmTr, FrameInitOrResult, FrameResult, Handler, ItemOrResult, MainnetContext, MainnetHandler,
};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_action::FrameInit;
use revm::interpreter::{CreateInputs, CreateOutcome, FrameInput, Gas, InstructionResult, InterpreterResult};
use revm::primitives::constants::CALL_STACK_LIMIT;
use revm::state::EvmState;
use revm::{Database, DatabaseCommit, MainBuilder};

type BlockContext<D> = MainnetContext<D>;
type Instructions<D> = EthInstructions<EthInterpreter, BlockContext<D>>;
type Frame = EthFrame<EthInterpreter>;

/// One EVM for the transactions of a block: revm's, with EIP-7610, over the state that one after the other leaves or over
/// what one of several threads sees of it.
///
/// That rule, that no contract is created over storage, matters for states that no transaction of today can make. Lian's
/// genesis refuses such accounts, so that `occupied` is empty on its chains; Ethereum's tests have them.
pub(crate) struct BlockEvm<D: Database> {
    evm: Evm<BlockContext<D>, (), Instructions<D>, ChainPrecompiles, Frame>,
    /// Accounts with storage but neither nonce nor code.
    occupied: AddressSet,
}

impl<D: Database<Error = StateError>> BlockEvm<D> {
    pub(crate) fn new(rules: &Rules, environment: &BlockEnvironment, state: D, occupied: AddressSet) -> Self {
        let evm = BlockContext::new(state, rules.spec)
            .with_cfg(rules.configuration())
            .with_block(environment.block_env())
            .build_mainnet()
            .with_precompiles(ChainPrecompiles::new(rules));
        Self { evm, occupied }
    }

    /// Runs a transaction and gives what it changed, without keeping it. What an invalid one gives means nothing.
    pub(crate) fn run(&mut self, transaction: TxEnv) -> (Result<ExecutionResult, EVMError<StateError>>, EvmState) {
        self.evm.ctx.set_tx(transaction);
        let result = MainnetHandler::<Self, EVMError<StateError>, Frame>::default().run(self);
        // Empties the journal, for the next transaction.
        let changes = self.evm.ctx.journal_mut().finalize();
        (result, changes)
    }

    pub(crate) const fn state(&mut self) -> &mut D {
        &mut self.evm.ctx.journaled_state.database
    }

    pub(crate) fn into_state(self) -> D {
        self.evm.ctx.journaled_state.database
    }

    /// The result of creating a contract where there is storage; `None` where there is none, or where the creation
    /// fails for another reason first.
    fn collision(
        &mut self,
        depth: usize,
        inputs: &CreateInputs,
    ) -> Result<Option<FrameResult>, ContextDbError<BlockContext<D>>> {
        if depth > usize::try_from(CALL_STACK_LIMIT).unwrap_or(usize::MAX) {
            return Ok(None);
        }
        let journal = self.evm.ctx.journal_mut();
        let creator = journal.load_account_mut(inputs.caller())?;
        let (nonce, balance) = (creator.nonce(), *creator.balance());
        let address = inputs.created_address(nonce);
        if balance < inputs.value() || nonce == u64::MAX || !self.occupied.contains(&address) {
            return Ok(None);
        }
        let occupant = journal.load_account(address)?;
        if occupant.data.info.nonce != 0 || !occupant.data.info.is_empty_code_hash() {
            return Ok(None);
        }
        journal.load_account_mut(inputs.caller())?.bump_nonce();
        Ok(Some(FrameResult::Create(CreateOutcome {
            result: InterpreterResult {
                result: InstructionResult::CreateCollision,
                gas: Gas::new_with_regular_gas_and_reservoir(inputs.gas_limit(), inputs.reservoir()),
                output: Bytes::new(),
            },
            address: None,
            charged_create_state_gas: inputs.charged_create_state_gas(),
        })))
    }
}

impl BlockEvm<BlockState<'_>> {
    /// Runs a transaction and commits what it changed to the state. An invalid one leaves nothing behind.
    pub(crate) fn transact(&mut self, transaction: TxEnv) -> Result<ExecutionResult, EVMError<StateError>> {
        let (result, changes) = self.run(transaction);
        if result.is_ok() {
            self.state().commit(changes);
        }
        result
    }
}

impl<D: Database<Error = StateError>> EvmTr for BlockEvm<D> {
    type Context = BlockContext<D>;
    type Instructions = Instructions<D>;
    type Precompiles = ChainPrecompiles;
    type Frame = Frame;

    fn all(&self) -> (&Self::Context, &Self::Instructions, &Self::Precompiles, &FrameStack<Frame>) {
        self.evm.all()
    }

    fn all_mut(
        &mut self,
    ) -> (&mut Self::Context, &mut Self::Instructions, &mut Self::Precompiles, &mut FrameStack<Frame>) {
        self.evm.all_mut()
    }

    fn frame_init(&mut self, init: FrameInit) -> Result<FrameInitResult<'_, Frame>, ContextDbError<Self::Context>> {
        if !self.occupied.is_empty()
            && let FrameInput::Create(inputs) = &init.frame_input
            && let Some(collision) = self.collision(init.depth, inputs)?
        {
            return Ok(ItemOrResult::Result(collision));
        }
        self.evm.frame_init(init)
    }

    fn frame_run(&mut self) -> Result<FrameInitOrResult<Frame>, ContextDbError<Self::Context>> {
        self.evm.frame_run()
    }

    fn frame_return_result(
        &mut self,
        result: FrameResult,
    ) -> Result<Option<FrameResult>, ContextDbError<Self::Context>> {
        self.evm.frame_return_result(result)
    }
}
