//! Calls: transactions that run on a state and leave nothing behind.

mod access_list;
mod deadline;
mod estimate;
mod explain;
mod machine;
mod overrides;
mod precompiles;
mod request;

pub use access_list::access_list;
pub use estimate::{EstimateError, estimate_gas};
pub use explain::{ExplainedVerdict, explain_permission};
pub(crate) use machine::{Machine, unchecked};
pub use overrides::{OverrideError, Overrides};
pub(crate) use overrides::{apply_block_overrides, apply_state_overrides};
pub(crate) use precompiles::CallPrecompiles;
pub(crate) use request::CallTransaction;
pub use request::RequestError;

use crate::{BlockEnvironment, Rules, SkipReason, StateError, StateReader};
use alloy_primitives::{Address, Bytes, Log};
use alloy_rpc_types_eth::TransactionRequest;
use revm::context_interface::result::{ExecutionResult, HaltReason, OutOfGasError, Output};
use revm::inspector::NoOpInspector;

/// Where and within which bounds a call runs.
pub struct CallSite<'a> {
    /// The chain's rules.
    pub rules: &'a Rules,
    /// The block that the call sees around it.
    pub environment: &'a BlockEnvironment,
    /// The state that it runs on.
    pub state: &'a dyn StateReader,
    /// What is to be different.
    pub overrides: &'a Overrides,
    /// Most gas that it may use, in units of gas, whatever the request says.
    pub gas_cap: u64,
    /// Asked every few thousand instructions; once it says true, the call ends with [`CallError::Cancelled`]. Time limits
    /// come in this way, since this crate reads no clock.
    pub cancelled: &'a dyn Fn() -> bool,
}

/// Why a call did not run to an end of its own.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The request contradicts itself or asks for what Lian does not have.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The overrides contradict themselves.
    #[error(transparent)]
    Overrides(#[from] OverrideError),
    /// A transaction like this would not be valid here.
    #[error("{0}")]
    Invalid(SkipReason),
    /// It took longer than the node allows.
    #[error("execution aborted (timeout)")]
    Cancelled,
    /// The EVM broke a rule of its own.
    #[error("the EVM stopped: {0}")]
    Evm(String),
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// It returned.
    Success {
        /// What it returned; of a creation, the code.
        output: Bytes,
        /// The contract that a creation made.
        created: Option<Address>,
    },
    /// It reverted.
    Revert {
        /// What it said: mostly a Solidity error.
        output: Bytes,
    },
    /// It broke a rule of the EVM, and all its gas is gone.
    Halt {
        /// Which rule.
        reason: HaltReason,
    },
}

/// What a call gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallOutcome {
    /// How it ended.
    pub result: CallResult,
    /// The gas it used, in units of gas.
    pub gas_used: u64,
    /// The events, in order; none if it did not succeed.
    pub logs: Vec<Log>,
}

impl From<ExecutionResult> for CallOutcome {
    fn from(result: ExecutionResult) -> Self {
        let gas_used = result.tx_gas_used();
        match result {
            ExecutionResult::Success { logs, output, .. } => {
                let created = match &output {
                    Output::Create(_, address) => *address,
                    Output::Call(_) => None,
                };
                Self { result: CallResult::Success { output: output.into_data(), created }, gas_used, logs }
            }
            ExecutionResult::Revert { output, .. } => {
                Self { result: CallResult::Revert { output }, gas_used, logs: Vec::new() }
            }
            ExecutionResult::Halt { reason, .. } => {
                Self { result: CallResult::Halt { reason }, gas_used, logs: Vec::new() }
            }
        }
    }
}

/// Runs a request and throws its changes away, as `eth_call`.
///
/// Nonces and whether the sender is a contract are not checked, and gas is limited by [`CallSite::gas_cap`] alone. The
/// value must be owned.
///
/// # Errors
/// [`CallError`] where it did not run to an end of its own; a revert is an outcome.
pub fn call(site: &CallSite<'_>, request: &TransactionRequest) -> Result<CallOutcome, CallError> {
    let mut machine = Machine::new(site, NoOpInspector {})?;
    let transaction = CallTransaction::new(site.rules, request, site.gas_cap)?;
    Ok(machine.run(transaction.into_env())?.result.into())
}

/// What is wrong, in the words that geth and the libraries that know it use.
#[must_use]
pub fn halt_message(reason: &HaltReason) -> String {
    match reason {
        HaltReason::OutOfGas(OutOfGasError::Memory | OutOfGasError::MemoryLimit | OutOfGasError::InvalidOperand) => {
            "out of gas: out of memory".to_owned()
        }
        HaltReason::OutOfGas(_) => "out of gas".to_owned(),
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => "invalid opcode".to_owned(),
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID".to_owned(),
        HaltReason::InvalidJump => "invalid jump destination".to_owned(),
        HaltReason::StackUnderflow => "stack underflow".to_owned(),
        HaltReason::StackOverflow => "stack limit reached 1024 (1023)".to_owned(),
        HaltReason::OutOfOffset => "return data out of bounds".to_owned(),
        HaltReason::CreateCollision => "contract address collision".to_owned(),
        HaltReason::NonceOverflow => "nonce uint64 overflow".to_owned(),
        HaltReason::CreateContractSizeLimit => "max code size exceeded".to_owned(),
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef".to_owned(),
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded".to_owned(),
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => {
            "write protection".to_owned()
        }
        HaltReason::OutOfFunds => "insufficient balance for transfer".to_owned(),
        HaltReason::CallTooDeep => "max call depth exceeded".to_owned(),
        other => other.to_string(),
    }
}
