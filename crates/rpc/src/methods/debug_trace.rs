//! `debug_`: traces of transactions, blocks and calls, in geth's formats.

use crate::{
    block_id::{BlockId, BlockTag},
    chain::Chain,
    error::CallError,
    evm::{Stage, call_failure, clock},
    parameters::Parameters,
    registry::Registry,
};
use alloy_primitives::B256;
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::{
    common::TraceResult,
    geth::{GethDebugTracingCallOptions, GethDebugTracingOptions, GethTrace},
};
use jsonrpsee::core::RegisterMethodError;
use lian_crypto::VerifiedTransaction;
use lian_executor::{BlockEnvironment, BlockTrace, TraceError};
use lian_ledger::StoredBlock;
use std::sync::Arc;

type BlockTraces = Vec<TraceResult<GethTrace, String>>;

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.call("debug_traceTransaction", 2, trace_transaction)?;
    registry.call("debug_traceBlockByNumber", 2, |chain, parameters| {
        let tag: BlockTag = parameters.required("block")?;
        trace_block(chain, BlockId::Tag(tag), parameters)
    })?;
    registry.call("debug_traceBlockByHash", 2, |chain, parameters| {
        let hash: B256 = parameters.required("blockHash")?;
        trace_block(chain, BlockId::Hash(hash), parameters)
    })?;
    registry.call("debug_traceCall", 3, trace_call)
}

fn trace_transaction(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<GethTrace, CallError> {
    let hash: B256 = parameters.required("hash")?;
    let options = parameters.optional::<GethDebugTracingOptions>("options")?.unwrap_or_default();
    let found = chain.locate(hash)?;
    let (block, index) = found.ok_or_else(|| CallError::Refused(format!("transaction not found: {hash}")))?;
    with_block(chain, &block, &options, |block| lian_executor::trace_transaction(block, index))
}

fn trace_block(chain: &Chain, id: BlockId, parameters: &mut Parameters<'_>) -> Result<BlockTraces, CallError> {
    let options = parameters.optional::<GethDebugTracingOptions>("options")?.unwrap_or_default();
    let block = chain.require_block(id)?;
    let traces = with_block(chain, &block, &options, lian_executor::trace_block)?;
    let hashes = block.block.transactions.iter().map(|transaction| transaction.hash());
    Ok(traces.into_iter().zip(hashes).map(|(trace, hash)| TraceResult::new_success(trace, Some(hash))).collect())
}

/// Puts a block on the state before it, within the limit of time, and traces it.
fn with_block<T>(
    chain: &Chain,
    block: &StoredBlock,
    options: &GethDebugTracingOptions,
    trace: impl FnOnce(&BlockTrace<'_>) -> Result<T, TraceError>,
) -> Result<T, CallError> {
    let number = block.block.header.number;
    let Some(parent) = number.checked_sub(1) else { return Err(CallError::refused("genesis is not traceable")) };
    let state = chain.state_at(parent)?;
    let pairs = block.block.transactions.iter().zip(block.senders.iter());
    let transactions: Vec<_> = pairs
        .map(|(transaction, sender)| Arc::new(VerifiedTransaction::assume(Arc::clone(transaction), *sender)))
        .collect();
    let milliseconds = chain.limits().call_ms_max;
    let out_of_time = clock(milliseconds);
    let traced = trace(&BlockTrace {
        rules: &chain.group().info().rules,
        environment: &BlockEnvironment::of_header(&block.block.header),
        hash: block.hash,
        state: &*state,
        transactions: &transactions,
        options,
        cancelled: &out_of_time,
    });
    traced.map_err(|error| failure(error, milliseconds))
}

fn trace_call(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<GethTrace, CallError> {
    let request: TransactionRequest = parameters.required("transaction")?;
    let id: BlockId = parameters.optional("block")?.unwrap_or_default();
    let options = parameters.optional::<GethDebugTracingCallOptions>("options")?.unwrap_or_default();
    if options.tx_index.is_some() {
        let message = "invalid argument 2 (options): txIndex is not supported; calls run on top of whole blocks";
        return Err(CallError::InvalidParams(message.to_owned()));
    }
    let stage = Stage::new(chain, id, options.state_overrides, options.block_overrides)?;
    stage
        .within_limits(|site| lian_executor::trace_call(site, &request, &options.tracing_options))
        .map_err(|error| failure(error, chain.limits().call_ms_max))
}

fn failure(error: TraceError, milliseconds: u64) -> CallError {
    match error {
        TraceError::Call(error) => call_failure(error, milliseconds),
        TraceError::UnknownTracer(_) | TraceError::TracerConfig => CallError::InvalidParams(error.to_string()),
        TraceError::TooLarge => CallError::LimitExceeded(error.to_string()),
        TraceError::NoTransaction { .. } => CallError::refused(error),
        TraceError::Replay { .. } => CallError::internal(error),
    }
}
