//! `eth_`: sending transactions.

use crate::{
    chain::Chain,
    convert::one_receipt,
    error::CallError,
    parameters::Parameters,
    registry::{Registry, to_json},
    workers::Work,
};
use alloy_primitives::{Bytes, TxHash};
use alloy_rpc_types_eth::TransactionReceipt;
use jsonrpsee::{core::RegisterMethodError, types::ErrorObjectOwned};
use lian_group::{GroupEvent, SubmitError};
use lian_ledger::StoredBlock;
use lian_types::limits::{RPC_SYNC_MS_DEFAULT, RPC_SYNC_MS_MAX};
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// EIP-7966's code for a transaction that was taken and is not final in time.
const SYNC_TIMEOUT_CODE: i32 = 4;

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.module.register_async_method("eth_sendRawTransaction", |params, chain, _| async move {
        send(&chain, params.as_str()).await.map_err(ErrorObjectOwned::from)
    })?;
    registry.module.register_async_method("eth_sendRawTransactionSync", |params, chain, _| async move {
        send_and_wait(&chain, params.as_str()).await.map_err(ErrorObjectOwned::from)
    })?;
    Ok(())
}

/// Where the pool does not take a transaction, the message is the pool's own: clients know geth's words.
fn refusal(error: &SubmitError) -> CallError {
    CallError::refused(error)
}

async fn send(chain: &Chain, params: Option<&str>) -> Result<TxHash, CallError> {
    let raw: Bytes = Parameters::parse(params, 1)?.required("transaction")?;
    chain.group().submit(raw).await.map_err(|error| refusal(&error))
}

/// `eth_sendRawTransactionSync` (EIP-7966): sends, and answers with the receipt once the transaction is final.
async fn send_and_wait(chain: &Arc<Chain>, params: Option<&str>) -> Result<Box<RawValue>, CallError> {
    let mut parameters = Parameters::parse(params, 2)?;
    let raw: Bytes = parameters.required("transaction")?;
    let wait_ms = parameters.optional::<u64>("timeout")?.unwrap_or(RPC_SYNC_MS_DEFAULT);
    if !(1..=RPC_SYNC_MS_MAX).contains(&wait_ms) {
        let message = format!("invalid argument 1 (timeout): {wait_ms} ms, must be 1 to {RPC_SYNC_MS_MAX}");
        return Err(CallError::InvalidParams(message));
    }
    // Listening starts before the transaction is sent, so that its block cannot be missed.
    let events = chain.group().subscribe();
    let hash = chain.group().submit(raw).await.map_err(|error| refusal(&error))?;
    match tokio::time::timeout(Duration::from_millis(wait_ms), receipt_of(chain, hash, events)).await {
        Ok(answer) => answer,
        Err(_) => Err(CallError::Coded {
            code: SYNC_TIMEOUT_CODE,
            message: format!("the transaction was added to the pool but was not final within {wait_ms} ms"),
            data: Some(hash.to_string()),
        }),
    }
}

async fn receipt_of(
    chain: &Arc<Chain>,
    hash: TxHash,
    mut events: Receiver<GroupEvent>,
) -> Result<Box<RawValue>, CallError> {
    loop {
        match events.recv().await {
            Ok(GroupEvent::Pending(_)) => {}
            Ok(GroupEvent::Final(block)) => {
                let found = StoredBlock::from(&*block);
                if let Some(index) = found.block.transactions.iter().position(|transaction| transaction.hash() == hash)
                {
                    let receipt = one_receipt(&found.block, found.hash, &found.senders, &found.receipts, index);
                    return to_json(&receipt, chain.limits().response_bytes_max);
                }
                if found.block.extension.skipped.iter().any(|skipped| skipped.hash == hash) {
                    let number = found.block.header.number;
                    let message = format!("transaction {hash} was invalid when block {number} was executed");
                    return Err(CallError::Refused(message));
                }
            }
            Err(RecvError::Lagged(_)) => {
                if let Some(receipt) = stored_receipt(chain, hash).await? {
                    return to_json(&receipt, chain.limits().response_bytes_max);
                }
            }
            Err(RecvError::Closed) => return Err(CallError::refused("the node is shutting down")),
        }
    }
}

async fn stored_receipt(chain: &Arc<Chain>, hash: TxHash) -> Result<Option<TransactionReceipt>, CallError> {
    let reader = Arc::clone(chain);
    let task = move || {
        let found = reader.locate(hash)?;
        Ok(found.and_then(|(b, index)| one_receipt(&b.block, b.hash, &b.senders, &b.receipts, index)))
    };
    chain.workers().run(Work::Read, task).await
}
