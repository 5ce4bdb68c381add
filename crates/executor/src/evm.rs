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
use revm::{DatabaseCommit, MainBuilder};

type BlockContext<'a> = MainnetContext<BlockState<'a>>;
type Frame = EthFrame<EthInterpreter>;

/// One EVM for all transactions of a block: revm's, with EIP-7610.
///
/// That rule, that no contract is created over storage, matters for states that no transaction of today can make. Lian's
/// genesis refuses such accounts, so that `occupied` is empty on its chains; Ethereum's tests have them.
pub(crate) struct BlockEvm<'a> {
    evm: Evm<
        BlockContext<'a>,
        (),
        EthInstructions<EthInterpreter, BlockContext<'a>>,
        ChainPrecompiles,
        EthFrame<EthInterpreter>,
    >,
    /// Accounts with storage but neither nonce nor code.
    occupied: AddressSet,
}

impl<'a> BlockEvm<'a> {
    pub(crate) fn new(
        rules: &Rules,
        environment: &BlockEnvironment,
        state: BlockState<'a>,
        occupied: AddressSet,
    ) -> Self {
        let evm = BlockContext::new(state, rules.spec)
            .with_cfg(rules.configuration())
            .with_block(environment.block_env())
            .build_mainnet()
            .with_precompiles(ChainPrecompiles::new(rules));
        Self { evm, occupied }
    }

    /// Runs a transaction and commits what it changed to the state. An invalid one leaves nothing behind.
    pub(crate) fn transact(&mut self, transaction: TxEnv) -> Result<ExecutionResult, EVMError<StateError>> {
        self.evm.ctx.set_tx(transaction);
        let result = MainnetHandler::<Self, EVMError<StateError>, Frame>::default().run(self);
        let changes = self.finalize();
        if result.is_ok() {
            self.state().commit(changes);
        }
        result
    }

    /// Empties the journal, for the next transaction.
    fn finalize(&mut self) -> EvmState {
        self.evm.ctx.journal_mut().finalize()
    }

    pub(crate) const fn state(&mut self) -> &mut BlockState<'a> {
        &mut self.evm.ctx.journaled_state.database
    }

    pub(crate) fn into_state(self) -> BlockState<'a> {
        self.evm.ctx.journaled_state.database
    }

    /// The result of creating a contract where there is storage; `None` where there is none, or where the creation
    /// fails for another reason first.
    fn collision(
        &mut self,
        depth: usize,
        inputs: &CreateInputs,
    ) -> Result<Option<FrameResult>, ContextDbError<BlockContext<'a>>> {
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

impl<'a> EvmTr for BlockEvm<'a> {
    type Context = BlockContext<'a>;
    type Instructions = EthInstructions<EthInterpreter, BlockContext<'a>>;
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
