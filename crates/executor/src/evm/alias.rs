//! Calls of names' aliases: what runs in place of a marker.
//!
//! It is found out where a frame begins, out of its own gas and as part of its transaction, so that it is the same in blocks,
//! calls and traces, and what it reads counts among what the transaction has read.

use super::{ChainContext, ChainEvm, MainHandler, method};
use crate::StateError;
use crate::system::JournalHost;
use alloy_primitives::{Address, B256, Bytes, U256};
use lian_system_contracts::interfaces::INames;
use lian_system_contracts::names::{self, Answer, Kind, Place, Route, alias_of, rule_consents, rule_question};
use lian_system_contracts::{Failure, Halt};
use lian_types::limits::{NAME_PLACES_MAX, NAME_RULE_GAS};
use revm::Database;
use revm::bytecode::Bytecode;
use revm::context::FrameStack;
use revm::context_interface::{ContextTr, JournalTr};
use revm::handler::{FrameResult, Handler, PrecompileProvider};
use revm::interpreter::interpreter_action::FrameInit;
use revm::interpreter::{
    CallInput, CallInputs, CallOutcome, CallScheme, CallValue, FrameInput, Gas, InstructionResult, InterpreterResult,
    SharedMemory,
};
use revm::primitives::constants::CALL_STACK_LIMIT;

/// What becomes of a call.
pub(super) enum Redirection {
    /// It calls no alias, and begins as it is.
    None,
    /// It begins with other code.
    To {
        /// What finding it has cost, in units of gas.
        gas: u64,
        /// Whoever that code is called by, as far as permissions are concerned, and where it is.
        judged: [Address; 2],
    },
    /// It does not begin.
    Ended(FrameResult),
}

/// Code that was found.
struct Code {
    address: Address,
    hash: B256,
    bytecode: Bytecode,
}

impl<'a, D, P, I> ChainEvm<'a, D, P, I>
where
    D: Database<Error = StateError>,
    P: PrecompileProvider<ChainContext<D>, Output = InterpreterResult>,
{
    /// Lets a call of an alias run what answers. Of any other call no more is looked at than two bytes of code.
    pub(super) fn redirect(&mut self, init: &mut FrameInit) -> Result<Redirection, StateError> {
        let FrameInit { depth, memory, frame_input: FrameInput::Call(inputs) } = init else {
            return Ok(Redirection::None);
        };
        let Some((kind, node)) = alias_of(inputs.known_bytecode.1.original_byte_slice()) else {
            return Ok(Redirection::None);
        };
        // One that is too deep ends for that reason, and costs nothing.
        if *depth > usize::try_from(CALL_STACK_LIMIT).unwrap_or(usize::MAX) {
            return Ok(Redirection::None);
        }
        let place = self.place(node);
        let alias = place.alias;
        let is_direct = inputs.bytecode_address == alias;
        // A marker is one where its name's alias is, and nowhere else.
        if !is_direct && self.delegate(inputs.bytecode_address)? != Some(alias) {
            return Ok(Redirection::None);
        }
        let mut gas = Gas::new_with_regular_gas_and_reservoir(inputs.gas_limit, inputs.reservoir);
        let code = match self.find(*depth, memory, inputs, node, &place, &mut gas) {
            Ok(code) => code,
            Err(Failure::Revert(data)) => {
                return Ok(Redirection::Ended(ended(inputs, InstructionResult::Revert, data, gas)));
            }
            Err(Failure::Halt(Halt::State(reason))) => return Err(StateError::new(reason)),
            Err(Failure::Halt(Halt::OutOfGas | Halt::Static)) => {
                gas.spend_all();
                return Ok(Redirection::Ended(ended(inputs, InstructionResult::OutOfGas, Bytes::new(), gas)));
            }
        };
        let is_call = is_direct && matches!(inputs.scheme, CallScheme::Call | CallScheme::StaticCall);
        let caller = if is_call && kind == Kind::Forwarding {
            inputs.target_address = code.address;
            inputs.caller
        } else {
            inputs.target_address
        };
        let judged = [caller, code.address];
        inputs.bytecode_address = code.address;
        inputs.known_bytecode = (code.hash, code.bytecode);
        Ok(Redirection::To { gas: gas.total_gas_spent(), judged })
    }

    /// Where a name has what is needed for a call, kept for the calls that follow.
    fn place(&mut self, node: B256) -> Place {
        if let Some(place) = self.places.get(&node) {
            return *place;
        }
        if self.places.len() >= NAME_PLACES_MAX {
            self.places.clear();
        }
        *self.places.entry(node).or_insert_with(|| Place::of(node))
    }

    /// Whose code an account has taken (EIP-7702). It is loaded: it is being called.
    fn delegate(&mut self, account: Address) -> Result<Option<Address>, StateError> {
        let loaded = self.evm.ctx.journal_mut().load_account_with_code(account)?;
        Ok(loaded.data.info.code.as_ref().and_then(Bytecode::eip7702_address))
    }

    /// The code that answers.
    fn find(
        &mut self,
        depth: usize,
        memory: &mut SharedMemory,
        inputs: &CallInputs,
        node: B256,
        place: &Place,
        gas: &mut Gas,
    ) -> Result<Code, Failure> {
        let route =
            names::route(&mut JournalHost::reading(&mut self.evm.ctx, names::ADDRESS, gas), place, inputs.caller)?;
        let Answer { target, .. } = match route {
            None => return Err(Failure::revert(&INames::NoVersion { node })),
            Some(Route::To(answer)) => answer,
            Some(Route::Rule { rule, current, candidate }) => {
                let selector = method(inputs, &self.evm.ctx);
                let question = rule_question(node, inputs.caller, selector);
                if self.ask(depth, memory, rule, question, gas)? { candidate } else { current }
            }
        };
        let code = self.code(target, gas)?;
        // It was made and destroyed in the transaction that published it.
        if code.bytecode.is_empty() {
            return Err(Failure::revert(&INames::InvalidTarget { target }));
        }
        Ok(code)
    }

    /// An account's code, at the price of a call's.
    fn code(&mut self, address: Address, gas: &mut Gas) -> Result<Code, Halt> {
        let (hash, bytecode) = JournalHost::reading(&mut self.evm.ctx, names::ADDRESS, gas).bytecode(address)?;
        Ok(Code { address, hash, bytecode })
    }

    /// Asks a rule whether the canary answers: a static call of its own, with its own frames, which inspectors do not see. Whoever
    /// calls must have all the gas that the rule may need, lest the rule's answer be the caller's choice.
    fn ask(
        &mut self,
        depth: usize,
        memory: &mut SharedMemory,
        rule: Address,
        question: Vec<u8>,
        gas: &mut Gas,
    ) -> Result<bool, Halt> {
        let Code { hash, bytecode, .. } = self.code(rule, gas)?;
        // A rule whose own calls would need a rule: it does without, so that the frames of rules do not pile up.
        if self.is_asking {
            return Ok(false);
        }
        if gas.remaining() < NAME_RULE_GAS {
            return Err(Halt::OutOfGas);
        }
        let inputs = CallInputs {
            input: CallInput::Bytes(question.into()),
            return_memory_offset: 0..0,
            gas_limit: NAME_RULE_GAS,
            reservoir: 0,
            bytecode_address: rule,
            known_bytecode: (hash, bytecode),
            target_address: rule,
            caller: names::ADDRESS,
            value: CallValue::Transfer(U256::ZERO),
            scheme: CallScheme::StaticCall,
            is_static: true,
            charged_new_account_state_gas: false,
        };
        let frame_input = FrameInput::Call(Box::new(inputs));
        let init = FrameInit { depth, memory: memory.new_child_context(), frame_input };
        let frames = std::mem::replace(&mut self.evm.frame_stack, FrameStack::new());
        self.is_asking = true;
        let outcome = MainHandler::<'a, D, P, I>::default().run_exec_loop(self, init);
        self.is_asking = false;
        self.evm.frame_stack = frames;
        memory.free_child_context();
        let outcome = outcome.map_err(|error| Halt::State(error.to_string()))?;
        let spent = NAME_RULE_GAS.saturating_sub(outcome.gas().remaining());
        if !gas.record_regular_cost(spent) {
            return Err(Halt::OutOfGas);
        }
        let result = outcome.interpreter_result();
        Ok(result.result.is_ok() && rule_consents(&result.output))
    }
}

/// Charges a frame that has begun, or has ended already, for what was spent before.
pub(super) fn charge(gas: &mut Gas, spent: u64) {
    let is_enough = gas.record_regular_cost(spent);
    assert!(is_enough, "what finding the code has cost was taken from the gas of the same call");
}

/// A call that ended before it began.
fn ended(inputs: &CallInputs, result: InstructionResult, output: Bytes, gas: Gas) -> FrameResult {
    FrameResult::Call(CallOutcome {
        result: InterpreterResult::new(result, output, gas),
        memory_offset: inputs.return_memory_offset.clone(),
        was_precompile_called: false,
        precompile_call_logs: Vec::new(),
        charged_new_account_state_gas: inputs.charged_new_account_state_gas,
    })
}
