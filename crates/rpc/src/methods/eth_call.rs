//! `eth_`: calls, estimates, access lists and simulations.

use crate::{
    block_id::BlockId,
    chain::Chain,
    error::CallError,
    evm::{Stage, reverted},
    parameters::Parameters,
    quantity::Quantity,
    registry::Registry,
};
use alloy_eips::eip2930::AccessListResult;
use alloy_primitives::Bytes;
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use jsonrpsee::core::RegisterMethodError;
use lian_executor::{CallResult, EstimateError, halt_message};

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.call("eth_call", 4, call)?;
    registry.call("eth_estimateGas", 4, estimate_gas)?;
    registry.call("eth_createAccessList", 4, create_access_list)
}

/// Reads a request, the block it runs on and what is to be different there.
pub(super) fn read<'a>(
    chain: &'a Chain,
    parameters: &mut Parameters<'_>,
) -> Result<(TransactionRequest, Stage<'a>), CallError> {
    let request: TransactionRequest = parameters.required("transaction")?;
    let id: BlockId = parameters.optional("block")?.unwrap_or_default();
    let state: Option<StateOverride> = parameters.optional("stateOverrides")?;
    let block: Option<BlockOverrides> = parameters.optional("blockOverrides")?;
    Ok((request, Stage::new(chain, id, state, block)?))
}

fn call(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Bytes, CallError> {
    let (request, stage) = read(chain, parameters)?;
    let outcome = stage.within_limits(|site| lian_executor::call(site, &request));
    match outcome.map_err(|error| stage.failure(error))?.result {
        CallResult::Success { output, .. } => Ok(output),
        CallResult::Revert { output } => Err(reverted(output)),
        CallResult::Halt { reason } => Err(CallError::Refused(halt_message(&reason))),
    }
}

fn estimate_gas(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Quantity, CallError> {
    let (request, stage) = read(chain, parameters)?;
    let stage = stage.at_next_block();
    let estimate = stage.within_limits(|site| lian_executor::estimate_gas(site, &request));
    estimate.map(Quantity).map_err(|error| match error {
        EstimateError::Call(error) => stage.failure(error),
        EstimateError::Reverted { output } => reverted(output),
        EstimateError::Halted { .. } | EstimateError::Allowance { .. } => CallError::refused(error),
    })
}

fn create_access_list(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<AccessListResult, CallError> {
    let (request, stage) = read(chain, parameters)?;
    let stage = stage.at_next_block();
    stage.within_limits(|site| lian_executor::access_list(site, &request)).map_err(|error| stage.failure(error))
}
