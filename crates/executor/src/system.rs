//! The chain's own contracts among Ethereum's precompiled ones.

use crate::StateError;
use crate::database::BlockState;
use crate::rules::BlockRules;
use alloy_primitives::map::AddressSet;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, Log, LogData, U256, hex};
use lian_crypto::Suite;
use lian_system_contracts::interfaces::DelegateCall;
use lian_system_contracts::{CREDIT_GAS, Call, Failure, Halt, Host, credited};
use revm::bytecode::Bytecode;
use revm::context_interface::journaled_state::account::JournaledAccountTr;
use revm::context_interface::journaled_state::{JournalCheckpoint, JournalLoadErasedError};
use revm::context_interface::{Block, Cfg, ContextTr, JournalTr};
use revm::handler::{EthPrecompiles, PrecompileProvider};
use revm::interpreter::{CallInputs, Gas, InstructionResult, InterpreterResult};
use std::collections::BTreeMap;

/// Code of the system contracts, which never runs: it is there so that callers see a contract, and would revert.
pub(crate) const STUB_CODE: [u8; 3] = hex!("5f5ffd");

/// Makes the account of a system contract that the chain did not begin with, where it is missing. Coins that were sent to
/// its address before stay there.
pub(crate) fn establish(state: &mut BlockState<'_>, contract: Address) -> Result<(), StateError> {
    let account = state.account(contract)?.unwrap_or_default();
    if account.has_code() {
        return Ok(());
    }
    let code_hash = state.insert_code(Bytes::from_static(&STUB_CODE))?;
    state.set_account(contract, crate::AccountState { nonce: 1, code_hash, ..account })
}

/// Ethereum's precompiled contracts and, on Lian's chains, the system contracts.
#[derive(Clone, Debug)]
pub(crate) struct ChainPrecompiles {
    ethereum: EthPrecompiles,
    /// The chain's algorithms.
    suite: Suite,
    /// The version of the protocol that acts in the block.
    protocol: u64,
    /// The system contracts that there are in it.
    contracts: Vec<Address>,
    warm: AddressSet,
}

impl ChainPrecompiles {
    pub(crate) fn new(rules: &BlockRules) -> Self {
        let ethereum = EthPrecompiles::new(rules.chain.spec);
        let contracts: Vec<_> = rules.contracts().collect();
        let mut warm = ethereum.warm_addresses().clone();
        warm.extend(contracts.iter().copied());
        Self { ethereum, suite: rules.chain.suite, protocol: rules.protocol(), contracts, warm }
    }
}

impl ChainPrecompiles {
    /// Where they are.
    pub(crate) const fn addresses(&self) -> &AddressSet {
        &self.warm
    }

    /// Runs a call of a system contract. What it changed is undone by the EVM unless it succeeds.
    fn run_system<CTX: ContextTr>(&self, context: &mut CTX, inputs: &CallInputs) -> Result<InterpreterResult, String> {
        let contract = inputs.bytecode_address;
        let mut gas = Gas::new_with_regular_gas_and_reservoir(inputs.gas_limit, inputs.reservoir);
        let input = inputs.input.bytes(context);
        let outcome = if inputs.target_address == contract {
            let call = Call {
                caller: inputs.caller,
                value: inputs.value.get(),
                input: &input,
                is_static: inputs.is_static,
                suite: self.suite,
                block: context.block().number().saturating_to(),
                time: context.block().timestamp().saturating_to(),
                protocol: self.protocol,
            };
            let mut host =
                JournalHost { context, contract, is_static: inputs.is_static, gas: &mut gas, entered: Vec::new() };
            lian_system_contracts::run(&mut host, contract, &call)
        } else {
            Err(Failure::revert(&DelegateCall { contractAddress: contract }))
        };
        Ok(match outcome {
            Ok(output) => InterpreterResult::new(InstructionResult::Return, output.into(), gas),
            Err(Failure::Revert(data)) => InterpreterResult::new(InstructionResult::Revert, data, gas),
            Err(Failure::Halt(Halt::State(reason))) => return Err(reason),
            Err(Failure::Halt(halt)) => {
                gas.spend_all();
                let result = match halt {
                    Halt::Static => InstructionResult::StateChangeDuringStaticCall,
                    Halt::OutOfGas | Halt::State(_) => InstructionResult::PrecompileOOG,
                };
                InterpreterResult::new(result, Bytes::new(), gas)
            }
        })
    }
}

impl<CTX: ContextTr> PrecompileProvider<CTX> for ChainPrecompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: <CTX::Cfg as Cfg>::Spec) -> bool {
        // The fork never changes within a block: it was fixed when this was made.
        let _ = spec;
        false
    }

    fn run(&mut self, context: &mut CTX, inputs: &CallInputs) -> Result<Option<InterpreterResult>, String> {
        if self.contracts.contains(&inputs.bytecode_address) {
            return self.run_system(context, inputs).map(Some);
        }
        PrecompileProvider::<CTX>::run(&mut self.ethereum, context, inputs)
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.warm
    }
}

/// The EVM's journal as a system contract sees it.
pub(crate) struct JournalHost<'a, CTX> {
    context: &'a mut CTX,
    /// Whose storage is written.
    contract: Address,
    is_static: bool,
    gas: &'a mut Gas,
    /// What to go back to, the latest last.
    entered: Vec<Entered>,
}

/// A contract that has entered another, and what stood when it did.
struct Entered {
    from: Address,
    checkpoint: JournalCheckpoint,
    refunded: i64,
}

impl<'a, CTX: ContextTr> JournalHost<'a, CTX> {
    /// One that changes nothing, for what is read before a call begins.
    pub(crate) fn reading(context: &'a mut CTX, contract: Address, gas: &'a mut Gas) -> Self {
        Self { context, contract, is_static: true, gas, entered: Vec::new() }
    }

    /// The code of an account with its hash, at the price of reaching it.
    pub(crate) fn bytecode(&mut self, account: Address) -> Result<(B256, Bytecode), Halt> {
        let loaded = self.context.journal_mut().load_account_with_code(account).map_err(unreadable)?;
        let (is_cold, info) = (loaded.is_cold, &loaded.data.info);
        let code = (info.code_hash, info.code.clone().unwrap_or_default());
        let costs = self.context.cfg().gas_params();
        let warm = costs.warm_storage_read_cost();
        let cost = if is_cold { warm.saturating_add(costs.cold_account_additional_cost()) } else { warm };
        self.spend(cost)?;
        Ok(code)
    }

    fn spend(&mut self, gas: u64) -> Result<(), Halt> {
        if self.gas.record_regular_cost(gas) { Ok(()) } else { Err(Halt::OutOfGas) }
    }
}

impl<CTX: ContextTr> Host for JournalHost<'_, CTX> {
    fn load(&mut self, contract: Address, slot: U256) -> Result<U256, Halt> {
        let (value, is_cold) = {
            let mut account = self.context.journal_mut().load_account_mut(contract).map_err(unreadable)?;
            let loaded = account.sload(slot, false).map_err(not_loaded)?;
            (loaded.present_value, loaded.is_cold)
        };
        let costs = self.context.cfg().gas_params();
        let cost = if is_cold { costs.cold_storage_cost() } else { costs.warm_storage_read_cost() };
        self.spend(cost)?;
        Ok(value)
    }

    fn store(&mut self, slot: U256, value: U256) -> Result<(), Halt> {
        if self.is_static {
            return Err(Halt::Static);
        }
        let stored = {
            let mut account = self.context.journal_mut().load_account_mut(self.contract).map_err(unreadable)?;
            account.sstore(slot, value, false).map_err(not_loaded)?
        };
        let costs = self.context.cfg().gas_params();
        let cost =
            costs.sstore_static_gas().saturating_add(costs.sstore_dynamic_gas(true, &stored.data, stored.is_cold));
        let refund = costs.sstore_refund(true, &stored.data);
        self.spend(cost)?;
        self.gas.record_refund(refund);
        Ok(())
    }

    fn credit(&mut self, slot: U256, amount: U256) -> Result<(), Halt> {
        if self.is_static {
            return Err(Halt::Static);
        }
        self.spend(CREDIT_GAS)?;
        let mut account = self.context.journal_mut().load_account_mut(self.contract).map_err(unreadable)?;
        let value = account.sload(slot, false).map_err(not_loaded)?.present_value;
        account.sstore(slot, credited(slot, value, amount)?, false).map_err(not_loaded)?;
        Ok(())
    }

    fn log(&mut self, topics: Vec<B256>, data: Bytes) -> Result<(), Halt> {
        /// Gas of a log, of each of its topics and of each byte of its data (yellow paper, appendix G).
        const LOG: u64 = 375;
        const TOPIC: u64 = 375;
        const BYTE: u64 = 8;
        if self.is_static {
            return Err(Halt::Static);
        }
        let times = |count: usize, gas: u64| u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(gas);
        self.spend(LOG.saturating_add(times(topics.len(), TOPIC)).saturating_add(times(data.len(), BYTE)))?;
        let log = Log { address: self.contract, data: LogData::new_unchecked(topics, data) };
        self.context.journal_mut().log(log);
        Ok(())
    }

    fn charge(&mut self, gas: u64) -> Result<(), Halt> {
        self.spend(gas)
    }

    fn code(&mut self, account: Address) -> Result<Bytes, Halt> {
        Ok(self.bytecode(account)?.1.original_bytes())
    }

    fn create(&mut self, account: Address, code: Bytes) -> Result<bool, Halt> {
        if self.is_static {
            return Err(Halt::Static);
        }
        let costs = self.context.cfg().gas_params();
        self.spend(costs.create_cost().saturating_add(costs.code_deposit_cost(code.len())))?;
        let mut made = self.context.journal_mut().load_account_mut(account).map_err(unreadable)?;
        if made.nonce() != 0 || *made.code_hash() != KECCAK256_EMPTY {
            return Ok(false);
        }
        made.set_code_and_hash_slow(Bytecode::new_legacy(code));
        Ok(made.bump_nonce())
    }

    fn enter(&mut self, contract: Address) {
        let checkpoint = self.context.journal_mut().checkpoint();
        self.entered.push(Entered { from: self.contract, checkpoint, refunded: self.gas.refunded() });
        self.contract = contract;
    }

    fn leave(&mut self, is_kept: bool) {
        let Some(Entered { from, checkpoint, refunded }) = self.entered.pop() else { return };
        self.contract = from;
        if is_kept {
            self.context.journal_mut().checkpoint_commit();
        } else {
            self.context.journal_mut().checkpoint_revert(checkpoint);
            self.gas.set_refunded(refunded);
        }
    }
}

/// What is cold is never skipped here, so that it is the state that failed.
fn not_loaded(error: JournalLoadErasedError) -> Halt {
    error.take_db_error().map_or_else(|| unreadable("a slot was skipped"), unreadable)
}

fn unreadable(error: impl std::fmt::Display) -> Halt {
    Halt::State(error.to_string())
}

/// A system contract's storage in a state that can only be read, without gas: what the chain itself reads there.
pub(crate) struct ReadHost<'a>(pub(crate) &'a dyn crate::StateReader);

impl Host for ReadHost<'_> {
    fn load(&mut self, contract: Address, slot: U256) -> Result<U256, Halt> {
        self.0.storage(contract, slot).map_err(unreadable)
    }

    fn store(&mut self, _slot: U256, _value: U256) -> Result<(), Halt> {
        Err(Halt::Static)
    }

    fn credit(&mut self, _slot: U256, _amount: U256) -> Result<(), Halt> {
        Err(Halt::Static)
    }

    fn log(&mut self, _topics: Vec<B256>, _data: Bytes) -> Result<(), Halt> {
        Err(Halt::Static)
    }

    fn charge(&mut self, _gas: u64) -> Result<(), Halt> {
        Ok(())
    }

    fn code(&mut self, account: Address) -> Result<Bytes, Halt> {
        match self.0.account(account).map_err(unreadable)? {
            Some(state) if state.has_code() => self.0.code(state.code_hash).map_err(unreadable),
            _ => Ok(Bytes::new()),
        }
    }

    fn create(&mut self, _account: Address, _code: Bytes) -> Result<bool, Halt> {
        Err(Halt::Static)
    }

    // Nothing can be changed.
    fn enter(&mut self, _contract: Address) {}

    fn leave(&mut self, _is_kept: bool) {}
}

/// The storage of the system contracts while genesis fills one of them.
pub(crate) struct GenesisHost<'a> {
    /// All slots that were written, by contract.
    pub(crate) slots: &'a mut BTreeMap<(Address, U256), U256>,
    /// The contract that is being filled.
    pub(crate) contract: Address,
}

impl Host for GenesisHost<'_> {
    fn load(&mut self, contract: Address, slot: U256) -> Result<U256, Halt> {
        Ok(self.slots.get(&(contract, slot)).copied().unwrap_or_default())
    }

    fn store(&mut self, slot: U256, value: U256) -> Result<(), Halt> {
        self.slots.insert((self.contract, slot), value);
        Ok(())
    }

    fn credit(&mut self, slot: U256, amount: U256) -> Result<(), Halt> {
        let sum = credited(slot, self.load(self.contract, slot)?, amount)?;
        self.store(slot, sum)
    }

    fn log(&mut self, _topics: Vec<B256>, _data: Bytes) -> Result<(), Halt> {
        Ok(())
    }

    fn charge(&mut self, _gas: u64) -> Result<(), Halt> {
        Ok(())
    }

    // Of what genesis fills a contract with, nothing depends on code, and nothing makes any.
    fn code(&mut self, _account: Address) -> Result<Bytes, Halt> {
        Ok(Bytes::new())
    }

    fn create(&mut self, _account: Address, _code: Bytes) -> Result<bool, Halt> {
        Ok(false)
    }

    // What a contract holds at first it writes itself.
    fn enter(&mut self, _contract: Address) {}

    fn leave(&mut self, _is_kept: bool) {}
}
