//! How much gas a transaction needs.

use super::{CallError, CallSite, CallTransaction, Machine, halt_message};
use crate::SkipReason;
use alloy_primitives::Bytes;
use alloy_rpc_types_eth::TransactionRequest;
use lian_types::limits::TRANSACTION_GAS_LIMIT_MAX;
use revm::context_interface::result::{ExecutionResult, HaltReason};
use revm::inspector::NoOpInspector;
use revm::primitives::KECCAK_EMPTY;

/// The gas of a transaction that moves value and does nothing else, in units of gas.
const TRANSFER_GAS: u64 = 21_000;
/// Gas that a call with value gives the callee for nothing, in units of gas: it may be missing at the end of a frame.
const CALL_STIPEND: u64 = 2_300;
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

/// Gas that suffices for a request, in units of gas: what it needs and a quarter more, at most
/// [`TRANSACTION_GAS_LIMIT_MAX`]. Nothing is paid for gas, so that being generous costs nothing, and a state that changes
/// until the transaction runs does not make it fail. A plain transfer needs 21,000 exactly.
///
/// # Errors
/// [`EstimateError`] where no gas suffices; a revert carries its data.
pub fn estimate_gas(site: &CallSite<'_>, request: &TransactionRequest) -> Result<u64, EstimateError> {
    let mut machine = Machine::new(site, NoOpInspector {})?;
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
    let needed = search(&mut machine, &transaction)?;
    let generous = needed.saturating_add(needed.div_ceil(4));
    Ok(generous.min(TRANSACTION_GAS_LIMIT_MAX).max(needed))
}

/// What a gas limit is good for.
enum Trial {
    /// The transaction succeeds.
    Enough { used: u64, spent: u64 },
    /// It fails in a way that more gas may change.
    Failed(ExecutionResult),
    /// It cannot even begin.
    TooLittle,
}

type Plain<'a> = Machine<'a, NoOpInspector>;

fn try_gas(machine: &mut Plain<'_>, transaction: &CallTransaction, gas_limit: u64) -> Result<Trial, CallError> {
    match machine.run(transaction.with_gas_limit(gas_limit)) {
        Ok(outcome) if outcome.result.is_success() => {
            let gas = outcome.result.gas();
            Ok(Trial::Enough { used: gas.tx_gas_used(), spent: gas.total_gas_spent().max(gas.floor_gas()) })
        }
        Ok(outcome) => Ok(Trial::Failed(outcome.result)),
        Err(CallError::Invalid(SkipReason::IntrinsicGas { .. } | SkipReason::FloorGas { .. })) => Ok(Trial::TooLittle),
        Err(error) => Err(error),
    }
}

/// The least gas that suffices, nearly. Both ends of the search are kept: `low` fails, `high` suffices.
fn search(machine: &mut Plain<'_>, transaction: &CallTransaction) -> Result<u64, EstimateError> {
    let allowance = transaction.gas_limit();
    let (used, spent) = match try_gas(machine, transaction, allowance)? {
        Trial::Enough { used, spent } => (used, spent),
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
    Ok(high)
}

/// Between two bounds, but not above twice the lower: most transactions need little of what they may have.
const fn middle(low: u64, high: u64) -> u64 {
    let half = low.saturating_add(high.saturating_sub(low) / 2);
    let double = low.saturating_mul(2);
    if half > double && double > low { double } else { half }
}
