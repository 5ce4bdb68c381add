//! The EVM that runs blocks, calls, traces and simulations.

mod alias;

use self::alias::{Redirection, charge};
use crate::database::BlockState;
use crate::gate::Gate;
use crate::rules::BlockRules;
use crate::system::ChainPrecompiles;
use crate::{BlockEnvironment, StateError};
use alloy_primitives::map::{AddressSet, HashMap};
use alloy_primitives::{Address, B256, Bytes};
use lian_system_contracts::names::Place;
use lian_system_contracts::permissions::{Denial, Method};
use revm::Database;
use revm::bytecode::Bytecode;
use revm::context::{BlockEnv, CfgEnv, ContextSetters, Evm, FrameStack, TxEnv};
use revm::context_interface::context::ContextError;
use revm::context_interface::journaled_state::account::JournaledAccountTr;
use revm::context_interface::result::{EVMError, ExecutionResult};
use revm::context_interface::{ContextTr, JournalTr};
use revm::handler::evm::{ContextDbError, FrameInitResult};
use revm::handler::instructions::EthInstructions;
use revm::handler::{
    EthFrame, EvmTr, FrameInitOrResult, FrameResult, Handler, ItemOrResult, MainnetContext, MainnetHandler,
    PrecompileProvider,
};
use revm::inspector::{Inspector, InspectorEvmTr, InspectorHandler};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_action::FrameInit;
use revm::interpreter::{
    CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome, FrameInput, Gas, InstructionResult,
    InterpreterResult,
};
use revm::primitives::constants::CALL_STACK_LIMIT;
use revm::state::EvmState;

/// Largest map of accounts that one transaction leaves to the next: to empty a larger one takes longer than to make one.
const ACCOUNTS_KEPT_MAX: usize = 64;

pub(crate) type ChainContext<D> = MainnetContext<D>;
type Instructions<D> = EthInstructions<EthInterpreter, ChainContext<D>>;
type Frame = EthFrame<EthInterpreter>;
type MainHandler<'a, D, P, I> = MainnetHandler<ChainEvm<'a, D, P, I>, EVMError<StateError>, Frame>;
type Ran = (Result<ExecutionResult, EVMError<StateError>>, EvmState);

/// revm's EVM with the chain's own rules about which frames begin: all that runs on a state runs in it.
///
/// They are three. What the permission contract does not allow reverts before it begins. A call of a name's alias runs the
/// version that answers (`evm/alias.rs`). And as EIP-7610 says, no contract is created over storage, which matters for states
/// that no transaction of today can make: Lian's genesis refuses such accounts, so that `occupied` is empty on its chains;
/// Ethereum's tests have them.
pub(crate) struct ChainEvm<'a, D: Database, P, I> {
    evm: Evm<ChainContext<D>, I, Instructions<D>, P, Frame>,
    /// What judges calls and creations, where anything was ever decided.
    gate: Option<Gate<'a>>,
    /// Accounts with storage but neither nonce nor code.
    occupied: AddressSet,
    /// Whether a rule about a canary is running.
    is_asking: bool,
    /// Where names have their aliases.
    places: HashMap<B256, Place>,
}

/// One EVM for the transactions of a block, over the state that one after the other leaves or over what one of several
/// threads sees of it.
pub(crate) type BlockEvm<'a, D> = ChainEvm<'a, D, ChainPrecompiles, ()>;

impl<'a, D: Database<Error = StateError>> BlockEvm<'a, D> {
    pub(crate) fn new(
        rules: &BlockRules,
        environment: &BlockEnvironment,
        state: D,
        gate: Option<Gate<'a>>,
        occupied: AddressSet,
    ) -> Self {
        let precompiles = ChainPrecompiles::new(rules);
        Self { occupied, ..Self::assemble(rules.chain.configuration(), environment, state, gate, precompiles, ()) }
    }
}

impl<'a, D: Database<Error = StateError>, P, I> ChainEvm<'a, D, P, I> {
    pub(crate) fn assemble(
        configuration: CfgEnv,
        environment: &BlockEnvironment,
        state: D,
        gate: Option<Gate<'a>>,
        precompiles: P,
        inspector: I,
    ) -> Self {
        let spec = configuration.spec;
        let context = ChainContext::new(state, spec).with_cfg(configuration).with_block(environment.block_env());
        let instructions = EthInstructions::new_mainnet_with_spec(spec);
        let evm = Evm::new_with_inspector(context, inspector, instructions, precompiles);
        let (occupied, places) = (AddressSet::default(), HashMap::default());
        Self { evm, gate, occupied, is_asking: false, places }
    }

    pub(crate) const fn inspector(&mut self) -> &mut I {
        &mut self.evm.inspector
    }

    /// The inspector, the state and the block.
    pub(crate) const fn parts(&mut self) -> (&mut I, &mut D, &BlockEnv) {
        let Evm { ctx, inspector, .. } = &mut self.evm;
        (inspector, &mut ctx.journaled_state.database, &ctx.block)
    }

    /// Ends a transaction: empties the journal, for the next one.
    fn finish(&mut self, result: Result<ExecutionResult, EVMError<StateError>>) -> Ran {
        // What could not be read is in the result, if it mattered. The EVM can keep it, and would take it for the next
        // transaction's.
        self.evm.ctx.error = Ok(());
        (result, self.evm.ctx.journal_mut().finalize())
    }

    pub(crate) const fn state(&mut self) -> &mut D {
        &mut self.evm.ctx.journaled_state.database
    }

    pub(crate) fn into_state(self) -> D {
        self.evm.ctx.journaled_state.database
    }

    /// The gate, for what it has recorded.
    pub(crate) fn into_gate(self) -> Option<Gate<'a>> {
        self.gate
    }

    /// What a call comes to that may not begin: it reverts, before anything has happened.
    fn refused_call(&mut self, depth: usize, inputs: &CallInputs) -> Result<Option<FrameResult>, StateError> {
        let Some(gate) = &mut self.gate else { return Ok(None) };
        let context = &mut self.evm.ctx;
        // In a delegate call the caller is the caller's caller, and whoever makes it is where the code will run.
        let is_delegate = inputs.scheme == CallScheme::DelegateCall;
        let caller = if is_delegate { inputs.target_address } else { inputs.caller };
        let code = inputs.bytecode_address;
        let mut denial = gate.call(depth, [caller, code], || method(inputs, context))?;
        if denial.is_none() {
            let account = context.journal_mut().load_account_with_code(code)?;
            if let Some(delegate) = account.info.code.as_ref().and_then(Bytecode::eip7702_address) {
                denial = gate.call(depth, [code, delegate], || method(inputs, context))?;
            }
        }
        Ok(denial.map(|denial| denied(inputs, &denial)))
    }

    /// What a call of an alias comes to whose code may not be called there.
    fn refused_version(
        &mut self,
        depth: usize,
        inputs: &CallInputs,
        judged: [Address; 2],
    ) -> Result<Option<FrameResult>, StateError> {
        let Some(gate) = &mut self.gate else { return Ok(None) };
        let denial = gate.call(depth, judged, || method(inputs, &self.evm.ctx))?;
        Ok(denial.map(|denial| denied(inputs, &denial)))
    }

    /// What a creation comes to that may not begin, or where there is storage; nothing where it begins, or fails for another
    /// reason first.
    fn refused_creation(&mut self, depth: usize, inputs: &CreateInputs) -> Result<Option<FrameResult>, StateError> {
        if self.gate.is_none() && self.occupied.is_empty()
            || depth > usize::try_from(CALL_STACK_LIMIT).unwrap_or(usize::MAX)
        {
            return Ok(None);
        }
        let journal = self.evm.ctx.journal_mut();
        let creator = journal.load_account_mut(inputs.caller())?;
        let (nonce, balance) = (creator.nonce(), *creator.balance());
        if balance < inputs.value() || nonce == u64::MAX {
            return Ok(None);
        }
        let address = inputs.created_address(nonce);
        let denial = match &mut self.gate {
            Some(gate) => gate.creation(depth, [inputs.caller(), address])?,
            None => None,
        };
        let (result, output) = match denial {
            Some(denial) => (InstructionResult::Revert, denial.revert_data()),
            None if self.is_occupied(address)? => (InstructionResult::CreateCollision, Bytes::new()),
            None => return Ok(None),
        };
        self.evm.ctx.journal_mut().load_account_mut(inputs.caller())?.bump_nonce();
        let gas = Gas::new_with_regular_gas_and_reservoir(inputs.gas_limit(), inputs.reservoir());
        Ok(Some(FrameResult::Create(CreateOutcome {
            result: InterpreterResult::new(result, output, gas),
            address: None,
            charged_create_state_gas: inputs.charged_create_state_gas(),
        })))
    }

    /// Whether there is storage where neither code nor a nonce says so.
    fn is_occupied(&mut self, address: Address) -> Result<bool, StateError> {
        if !self.occupied.contains(&address) {
            return Ok(false);
        }
        let occupant = self.evm.ctx.journal_mut().load_account(address)?;
        Ok(occupant.data.info.nonce == 0 && occupant.data.info.is_empty_code_hash())
    }
}

impl<'a, D, P, I> ChainEvm<'a, D, P, I>
where
    D: Database<Error = StateError>,
    P: PrecompileProvider<ChainContext<D>, Output = InterpreterResult>,
{
    /// Runs a transaction and gives what it changed, without keeping it. What an invalid one gives means nothing.
    pub(crate) fn run(&mut self, transaction: TxEnv) -> Ran {
        self.evm.ctx.set_tx(transaction);
        let result = MainHandler::<'a, D, P, I>::default().run(self);
        self.finish(result)
    }

    /// The same under the eyes of the inspector.
    pub(crate) fn inspect(&mut self, transaction: TxEnv) -> Ran
    where
        I: Inspector<ChainContext<D>>,
    {
        self.evm.ctx.set_tx(transaction);
        let result = MainHandler::<'a, D, P, I>::default().inspect_run(self);
        self.finish(result)
    }
}

/// A call that reverts for want of permission.
fn denied(inputs: &CallInputs, denial: &Denial) -> FrameResult {
    let gas = Gas::new_with_regular_gas_and_reservoir(inputs.gas_limit, inputs.reservoir);
    FrameResult::Call(CallOutcome {
        result: InterpreterResult::new(InstructionResult::Revert, denial.revert_data(), gas),
        memory_offset: inputs.return_memory_offset.clone(),
        was_precompile_called: false,
        precompile_call_logs: Vec::new(),
        charged_new_account_state_gas: inputs.charged_new_account_state_gas,
    })
}

/// The first four bytes that a call sends; 0 where there are less.
fn method(inputs: &CallInputs, context: &impl ContextTr) -> Method {
    inputs.input.as_bytes(context).first_chunk().copied().map(Method::from).unwrap_or_default()
}

impl BlockEvm<'_, BlockState<'_>> {
    /// Runs a transaction and commits what it changed to the state. An invalid one leaves nothing behind.
    pub(crate) fn transact(&mut self, transaction: TxEnv) -> Result<ExecutionResult, EVMError<StateError>> {
        self.transact_noting(transaction, |_| ())
    }

    /// The same, with a look at all that it read and did.
    pub(crate) fn transact_noting(
        &mut self,
        transaction: TxEnv,
        note: impl FnOnce(&EvmState),
    ) -> Result<ExecutionResult, EVMError<StateError>> {
        let (result, mut changes) = self.run(transaction);
        if result.is_ok() {
            self.state().record(&changes);
            note(&changes);
        }
        // The next transaction fills the same map, which then need not grow for it.
        if changes.capacity() <= ACCOUNTS_KEPT_MAX {
            changes.clear();
            self.evm.ctx.journaled_state.state = changes;
        }
        result
    }
}

impl<D, P, I> EvmTr for ChainEvm<'_, D, P, I>
where
    D: Database<Error = StateError>,
    P: PrecompileProvider<ChainContext<D>, Output = InterpreterResult>,
{
    type Context = ChainContext<D>;
    type Instructions = Instructions<D>;
    type Precompiles = P;
    type Frame = Frame;

    fn all(&self) -> (&Self::Context, &Self::Instructions, &Self::Precompiles, &FrameStack<Frame>) {
        self.evm.all()
    }

    fn all_mut(
        &mut self,
    ) -> (&mut Self::Context, &mut Self::Instructions, &mut Self::Precompiles, &mut FrameStack<Frame>) {
        self.evm.all_mut()
    }

    fn frame_init(&mut self, mut init: FrameInit) -> Result<FrameInitResult<'_, Frame>, ContextDbError<Self::Context>> {
        let refused = match &init.frame_input {
            FrameInput::Call(inputs) => self.refused_call(init.depth, inputs),
            FrameInput::Create(inputs) => self.refused_creation(init.depth, inputs),
            FrameInput::Empty => Ok(None),
        };
        if let Some(result) = refused.map_err(ContextError::Db)? {
            return Ok(ItemOrResult::Result(result));
        }
        let (spent, judged) = match self.redirect(&mut init).map_err(ContextError::Db)? {
            Redirection::None => return self.evm.frame_init(init),
            Redirection::Ended(result) => return Ok(ItemOrResult::Result(result)),
            Redirection::To { gas, judged } => (gas, judged),
        };
        if let FrameInput::Call(inputs) = &init.frame_input
            && let Some(mut result) = self.refused_version(init.depth, inputs, judged).map_err(ContextError::Db)?
        {
            charge(result.gas_mut(), spent);
            return Ok(ItemOrResult::Result(result));
        }
        let mut begun = self.evm.frame_init(init)?;
        match &mut begun {
            ItemOrResult::Item(frame) => charge(&mut frame.interpreter.gas, spent),
            ItemOrResult::Result(result) => charge(result.gas_mut(), spent),
        }
        Ok(begun)
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

/// An inspector sees a frame as it was asked for, before [`EvmTr::frame_init`] decides what becomes of it.
impl<D, P, I> InspectorEvmTr for ChainEvm<'_, D, P, I>
where
    D: Database<Error = StateError>,
    P: PrecompileProvider<ChainContext<D>, Output = InterpreterResult>,
    I: Inspector<ChainContext<D>>,
{
    type Inspector = I;

    fn all_inspector(&self) -> (&Self::Context, &Self::Instructions, &P, &FrameStack<Frame>, &I) {
        self.evm.all_inspector()
    }

    fn all_mut_inspector(
        &mut self,
    ) -> (&mut Self::Context, &mut Self::Instructions, &mut P, &mut FrameStack<Frame>, &mut I) {
        self.evm.all_mut_inspector()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryState, Rules};
    use alloy_primitives::{TxKind, U256, hex};
    use lian_crypto::Suite;
    use revm::state::AccountInfo;

    /// A state that can be read so many times only.
    struct Failing<'a> {
        state: BlockState<'a>,
        reads_before: Option<usize>,
    }

    impl Failing<'_> {
        fn read(&mut self) -> Result<(), StateError> {
            let Some(reads) = &mut self.reads_before else { return Ok(()) };
            *reads = reads.checked_sub(1).ok_or_else(|| StateError::new("no page"))?;
            Ok(())
        }
    }

    impl Database for Failing<'_> {
        type Error = StateError;

        fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
            self.read()?;
            self.state.basic(address)
        }

        fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, StateError> {
            self.read()?;
            self.state.code_by_hash(hash)
        }

        fn storage(&mut self, address: Address, slot: U256) -> Result<U256, StateError> {
            self.read()?;
            self.state.storage(address, slot)
        }

        fn block_hash(&mut self, number: u64) -> Result<B256, StateError> {
            self.read()?;
            self.state.block_hash(number)
        }
    }

    /// A worker goes on after a read that failed because its transaction must wait for another. Where a second read failed
    /// when the first had ended the execution, that of the proposer, the EVM kept the first error.
    #[test]
    fn a_failed_read_does_not_fail_the_next_transaction() {
        let target = Address::repeat_byte(2);
        // SLOAD, SSTORE, BALANCE, EXTCODESIZE, EXTCODEHASH, EXTCODECOPY, CALL, STATICCALL, DELEGATECALL, CREATE,
        // BLOCKHASH, SELFDESTRUCT, each alone, of what nothing has read before.
        let programs: [&[u8]; 12] = [
            &hex!("600154"),
            &hex!("6001600155"),
            &hex!("600931"),
            &hex!("60093b"),
            &hex!("60093f"),
            &hex!("60015f5f60093c"),
            &hex!("5f5f5f5f5f60095af1"),
            &hex!("5f5f5f5f60095afa"),
            &hex!("5f5f5f5f60095af4"),
            &hex!("5f5f5ff0"),
            &hex!("600140"),
            &hex!("6009ff"),
        ];
        for program in programs {
            let mut memory = MemoryState::default();
            memory.insert(target, 1, U256::from(1), Bytes::copy_from_slice(program), []);
            memory.insert(Address::with_last_byte(9), 1, U256::ZERO, Bytes::from_static(&hex!("00")), []);
            memory.block_hashes.insert(1, B256::ZERO);
            let transaction =
                TxEnv { kind: TxKind::Call(target), chain_id: Some(1), gas_limit: 200_000, ..TxEnv::default() };
            let run = |reads_before| {
                let state = Failing { state: BlockState::new(&memory), reads_before };
                let environment = BlockEnvironment::new(2, 1, Address::repeat_byte(3), 1_000_000);
                let rules = BlockRules::new(&Rules::new(Suite::Standard, 1), &memory, 2).unwrap();
                let mut evm = BlockEvm::new(&rules, &environment, state, None, AddressSet::default());
                let first = evm.run(transaction.clone());
                let left = evm.state().reads_before;
                evm.state().reads_before = None;
                (first, left, evm.run(transaction.clone()))
            };
            let (expected, ..) = run(None);
            for reads in 0.. {
                let (_, left, second) = run(Some(reads));
                if left.is_some_and(|left| left > 0) {
                    assert!(reads > 2, "the program reads something");
                    break;
                }
                assert_eq!(second.0.as_ref().ok(), expected.0.as_ref().ok(), "{program:02x?}, read {reads}");
                assert_eq!(second.1, expected.1, "{program:02x?}, read {reads}");
            }
        }
    }
}
