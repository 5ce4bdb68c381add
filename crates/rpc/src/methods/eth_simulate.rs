//! `eth_simulateV1`: blocks of calls on top of a block.

use crate::{
    block_id::BlockId,
    chain::{Chain, history_error},
    convert::{GAS_PRICE, rpc_header},
    error::CallError,
    evm::{call_failure, clock},
    parameters::Parameters,
    registry::Registry,
};
use alloy_consensus::{BlockBody, TxEnvelope, transaction::Recovered};
use alloy_eips::eip4895::Withdrawals;

use alloy_rlp::Encodable;
use alloy_rpc_types_eth::{
    Block, BlockTransactions, Transaction,
    simulate::{SimulatePayload, SimulatedBlock},
};
use jsonrpsee::core::RegisterMethodError;
use lian_crypto::Suite;
use lian_executor::{SimulateError, SimulationSite};
use lian_trie::{Hasher, StateTrie};
use lian_types::{BlockNumber, limits::RPC_SIMULATED_CALLS_MAX};

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.call("eth_simulateV1", 2, simulate)
}

fn simulate(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Vec<SimulatedBlock>, CallError> {
    let payload: SimulatePayload = parameters.required("payload")?;
    let id: BlockId = parameters.optional("block")?.unwrap_or_default();
    if payload.block_state_calls.is_empty() {
        return Err(CallError::InvalidParams("empty input: blockStateCalls names no block".to_owned()));
    }
    let count: usize = payload.block_state_calls.iter().map(|block| block.calls.len()).sum();
    if count > RPC_SIMULATED_CALLS_MAX {
        let message = format!("{count} calls exceed the limit of {RPC_SIMULATED_CALLS_MAX} in one simulation");
        return Err(CallError::LimitExceeded(message));
    }
    let number = chain.require(id)?;
    let head = chain.head(number)?;
    let state = chain.state_at(number)?;
    let nodes = chain.group().ledger().nodes_at(BlockNumber(number)).map_err(history_error)?;
    let rules = &chain.group().info().rules;
    let hasher = match rules.suite {
        Suite::Standard => Hasher::Keccak,
    };
    let trie = StateTrie::at_root(hasher, head.header.state_root);
    let milliseconds = chain.limits().call_ms_max;
    let site = SimulationSite {
        rules,
        header: &head.header,
        hash: head.hash,
        state: &*state,
        trie: Some((&trie, &*nodes)),
        gas_cap: chain.limits().call_gas_max,
        cancelled: &clock(milliseconds),
    };
    let simulated = lian_executor::simulate(&site, &payload).map_err(|error| failure(error, milliseconds))?;
    Ok(simulated.into_iter().map(|block| shown(block, payload.return_full_transactions)).collect())
}

fn failure(error: SimulateError, milliseconds: u64) -> CallError {
    match (error.code(), error) {
        (Some(code), error) => CallError::Coded { code, message: error.to_string(), data: None },
        (None, SimulateError::Call(error)) => call_failure(error, milliseconds),
        (None, error) => CallError::internal(error),
    }
}

fn shown(block: lian_executor::SimulatedBlock, full: bool) -> SimulatedBlock {
    let lian_executor::SimulatedBlock { header, hash, transactions, calls } = block;
    let (envelopes, senders): (Vec<TxEnvelope>, Vec<_>) = transactions.into_iter().unzip();
    let body = BlockBody { transactions: envelopes, ommers: vec![], withdrawals: Some(Withdrawals::default()) };
    let whole = alloy_consensus::Block { header, body };
    let shown_header = rpc_header(&whole.header, hash, Some(whole.length()));
    let envelopes = whole.body.transactions;
    let transactions = if full {
        let transaction = |((index, envelope), sender): ((u64, TxEnvelope), _)| Transaction {
            inner: Recovered::new_unchecked(envelope, sender),
            block_hash: Some(hash),
            block_number: Some(shown_header.number),
            transaction_index: Some(index),
            effective_gas_price: Some(GAS_PRICE),
            block_timestamp: Some(shown_header.timestamp),
        };
        BlockTransactions::Full((0..).zip(envelopes).zip(senders).map(transaction).collect())
    } else {
        BlockTransactions::Hashes(envelopes.iter().map(|envelope| *envelope.tx_hash()).collect())
    };
    let inner = Block::new(shown_header, transactions).with_withdrawals(Some(Withdrawals::default()));
    SimulatedBlock { inner, calls }
}
