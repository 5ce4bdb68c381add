//! How much gas a transaction needs.

use super::{CallError, CallSite, CallTransaction, Machine, halt_message};
use crate::SkipReason;
use alloy_primitives::map::HashSet;
use alloy_primitives::{Address, Bytes, U256};
use alloy_rpc_types_eth::TransactionRequest;
use lian_types::limits::TRANSACTION_GAS_LIMIT_MAX;
use revm::bytecode::opcode::SSTORE;
use revm::context_interface::result::{ExecutionResult, HaltReason};
use revm::inspector::Inspector;
use revm::interpreter::Interpreter;
use revm::interpreter::interpreter_types::{InputsTr, Jumps};
use revm::primitives::KECCAK_EMPTY;
use revm::state::EvmState;

/// The gas of a transaction that moves value and does nothing else, in units of gas.
const TRANSFER_GAS: u64 = 21_000;
/// Gas that a call with value gives the callee for nothing, in units of gas: it may be missing at the end of a frame.
const CALL_STIPEND: u64 = 2_300;
/// Most that writing a slot costs, in units of gas, where it has been read already: it was zero (EIP-2200).
const EMPTY_SLOT_GAS: u64 = 20_000;
/// How near the search comes to the least gas that suffices: within a sixty-fourth, as geth (0.015). What is added on
/// top is far more.
const TOLERANCE: u64 = 64;

/// Why there is no estimate.
#[derive(Debug, thiserror::Error)]
pub enum EstimateError {
    /// The transaction could not be tried.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It reverts, whatever gas it has.
    #[error("execution reverted")]
    Reverted {
        /// What it said: mostly a Solidity error.
        output: Bytes,
    },
    /// It fails, whatever gas it has.
    #[error("{}", halt_message(reason))]
    Halted {
        /// Which rule of the EVM it breaks.
        reason: HaltReason,
    },
    /// It needs more gas than it may have.
    #[error("gas required exceeds allowance ({allowance})")]
    Allowance {
        /// The most that it may have, in units of gas.
        allowance: u64,
    },
}

/// Gas that suffices for a request, in units of gas: what it needs, a quarter more, and what it would need besides if each slot
/// that it writes were empty by then; at most [`TRANSACTION_GAS_LIMIT_MAX`]. Nothing is paid for gas, so that being generous
/// costs nothing, and a state that changes until the transaction runs does not make it fail. A plain transfer needs 21,000
/// exactly.
///
/// # Errors
/// [`EstimateError`] where no gas suffices; a revert carries its data.
pub fn estimate_gas(site: &CallSite<'_>, request: &TransactionRequest) -> Result<u64, EstimateError> {
    let mut machine = Machine::new(site, Written::default())?;
    let asked = request.gas.filter(|gas| *gas >= TRANSFER_GAS).unwrap_or(u64::MAX);
    let block_limit = machine.parts().2.gas_limit;
    let allowance = asked.min(site.gas_cap).min(block_limit).min(TRANSACTION_GAS_LIMIT_MAX);
    let request = TransactionRequest { gas: Some(allowance), ..request.clone() };
    let transaction = CallTransaction::new(site.rules, &request, allowance).map_err(CallError::from)?;

    if let Some(target) = transaction.is_plain() {
        let account = machine.state().account(target).map_err(CallError::from)?;
        if account.is_none_or(|account| account.code_hash == KECCAK_EMPTY)
            && let Trial::Enough { .. } = try_gas(&mut machine, &transaction, TRANSFER_GAS)?
        {
            return Ok(TRANSFER_GAS);
        }
    }
    let Needs { gas: needed, if_empty } = search(&mut machine, &transaction)?;
    let generous = needed.saturating_add(needed.div_ceil(4)).saturating_add(if_empty);
    Ok(generous.min(TRANSACTION_GAS_LIMIT_MAX).max(needed))
}

/// What a gas limit is good for.
enum Trial {
    /// The transaction succeeds.
    Enough { used: u64, spent: u64, if_empty: u64 },
    /// It fails in a way that more gas may change.
    Failed(ExecutionResult),
    /// It cannot even begin.
    TooLittle,
}

/// What a transaction needs.
struct Needs {
    /// The least gas that suffices now, nearly.
    gas: u64,
    /// How much more it takes if all slots that it writes have become empty.
    if_empty: u64,
}

/// The slots that a transaction writes, with the accounts whose they are.
#[derive(Default)]
struct Written(HashSet<(Address, U256)>);

impl<CTX> Inspector<CTX> for Written {
    fn step(&mut self, interpreter: &mut Interpreter, _context: &mut CTX) {
        if interpreter.bytecode.opcode() == SSTORE
            && let Ok(slot) = interpreter.stack.peek(0)
        {
            self.0.insert((interpreter.input.target_address(), slot));
        }
    }
}

impl Written {
    /// What a transaction has to pay more, in units of gas, where none of what it writes is there. What was empty and is
    /// not any more was paid in full.
    fn if_empty(&self, changes: &EvmState) -> u64 {
        let slots =
            changes.iter().flat_map(|(address, account)| account.storage.iter().map(move |slot| (*address, slot)));
        let written = slots.filter(|(address, (slot, value))| {
            let is_written = value.is_changed() || self.0.contains(&(*address, **slot));
            let was_paid = value.original_value().is_zero() && !value.present_value().is_zero();
            is_written && !was_paid
        });
        EMPTY_SLOT_GAS.saturating_mul(u64::try_from(written.count()).unwrap_or(u64::MAX))
    }
}

type Trials<'a> = Machine<'a, Written>;

fn try_gas(machine: &mut Trials<'_>, transaction: &CallTransaction, gas_limit: u64) -> Result<Trial, CallError> {
    match machine.run(transaction.with_gas_limit(gas_limit)) {
        Ok(outcome) if outcome.result.is_success() => {
            let gas = outcome.result.gas();
            let if_empty = machine.parts().0.if_empty(&outcome.state);
            Ok(Trial::Enough { used: gas.tx_gas_used(), spent: gas.total_gas_spent().max(gas.floor_gas()), if_empty })
        }
        Ok(outcome) => Ok(Trial::Failed(outcome.result)),
        Err(CallError::Invalid(SkipReason::IntrinsicGas { .. } | SkipReason::FloorGas { .. })) => Ok(Trial::TooLittle),
        Err(error) => Err(error),
    }
}

/// The least gas that suffices, nearly. Both ends of the search are kept: `low` fails, `high` suffices.
fn search(machine: &mut Trials<'_>, transaction: &CallTransaction) -> Result<Needs, EstimateError> {
    let allowance = transaction.gas_limit();
    let (used, spent, if_empty) = match try_gas(machine, transaction, allowance)? {
        Trial::Enough { used, spent, if_empty } => (used, spent, if_empty),
        Trial::Failed(ExecutionResult::Revert { output, .. }) => return Err(EstimateError::Reverted { output }),
        Trial::Failed(ExecutionResult::Halt { reason, .. }) if !matches!(reason, HaltReason::OutOfGas(_)) => {
            return Err(EstimateError::Halted { reason });
        }
        Trial::Failed(_) | Trial::TooLittle => return Err(EstimateError::Allowance { allowance }),
    };
    let mut low = used.saturating_sub(1);
    let mut high = allowance;
    // Mostly what was spent suffices, with a little more where a call keeps a sixty-fourth back (EIP-150).
    let guess = spent.saturating_add(CALL_STIPEND).saturating_mul(64).div_ceil(63);
    let mut next = if guess < high { guess } else { middle(low, high) };
    while high.saturating_sub(low) > (high / TOLERANCE).max(1) {
        if matches!(try_gas(machine, transaction, next)?, Trial::Enough { .. }) {
            high = next;
        } else {
            low = next;
        }
        next = middle(low, high);
    }
    Ok(Needs { gas: high, if_empty })
}

/// Between two bounds, but not above twice the lower: most transactions need little of what they may have.
const fn middle(low: u64, high: u64) -> u64 {
    let half = low.saturating_add(high.saturating_sub(low) / 2);
    let double = low.saturating_mul(2);
    if half > double && double > low { double } else { half }
}
