//! `eth_`: blocks, and transactions and receipts by their place.

use crate::{
    block_id::{BlockId, BlockTag},
    chain::Chain,
    convert::{Place, block_receipts, one_receipt, rpc_block, rpc_header, rpc_transaction},
    error::CallError,
    parameters::Parameters,
    quantity::Quantity,
    registry::Registry,
};
use alloy_primitives::{B256, Bytes, TxHash};
use alloy_rpc_types_eth::{Block, Header, Transaction, TransactionReceipt};
use jsonrpsee::core::RegisterMethodError;
use lian_crypto::VerifiedTransaction;
use lian_ledger::StoredBlock;
use std::sync::Arc;

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.read("eth_getBlockByNumber", 2, |chain, p| block(chain, by_number(p)?, p))?;
    registry.read("eth_getBlockByHash", 2, |chain, p| block(chain, by_hash(p)?, p))?;
    registry.read("eth_getHeaderByNumber", 1, |chain, p| header(chain, by_number(p)?))?;
    registry.read("eth_getHeaderByHash", 1, |chain, p| header(chain, by_hash(p)?))?;
    registry.read("eth_getBlockReceipts", 1, receipts)?;
    registry.read("eth_getBlockTransactionCountByNumber", 1, |chain, p| count(chain, by_number(p)?))?;
    registry.read("eth_getBlockTransactionCountByHash", 1, |chain, p| count(chain, by_hash(p)?))?;
    registry.read("eth_getUncleCountByBlockNumber", 1, |chain, p| uncle_count(chain, by_number(p)?))?;
    registry.read("eth_getUncleCountByBlockHash", 1, |chain, p| uncle_count(chain, by_hash(p)?))?;
    registry.light("eth_getUncleByBlockNumberAndIndex", 2, |_, p| uncle(by_number(p)?, p))?;
    registry.light("eth_getUncleByBlockHashAndIndex", 2, |_, p| uncle(by_hash(p)?, p))?;
    registry.read("eth_getTransactionByBlockNumberAndIndex", 2, |chain, p| at_index(chain, by_number(p)?, p))?;
    registry.read("eth_getTransactionByBlockHashAndIndex", 2, |chain, p| at_index(chain, by_hash(p)?, p))?;
    registry.read("eth_getRawTransactionByBlockNumberAndIndex", 2, |chain, p| raw_at_index(chain, by_number(p)?, p))?;
    registry.read("eth_getRawTransactionByBlockHashAndIndex", 2, |chain, p| raw_at_index(chain, by_hash(p)?, p))?;
    registry.read("eth_getTransactionByHash", 1, transaction)?;
    registry.read("eth_getRawTransactionByHash", 1, raw_transaction)?;
    registry.read("eth_getTransactionReceipt", 1, receipt)
}

fn by_number(parameters: &mut Parameters<'_>) -> Result<BlockId, CallError> {
    parameters.required::<BlockTag>("block").map(BlockId::Tag)
}

fn by_hash(parameters: &mut Parameters<'_>) -> Result<BlockId, CallError> {
    parameters.required::<B256>("blockHash").map(BlockId::Hash)
}

fn block(chain: &Chain, id: BlockId, parameters: &mut Parameters<'_>) -> Result<Option<Block>, CallError> {
    let full = parameters.optional::<bool>("fullTransactions")?.unwrap_or(false);
    let found = chain.block_by(id)?;
    Ok(found.map(|found| rpc_block(&found.block, found.hash, &found.senders, full)))
}

fn header(chain: &Chain, id: BlockId) -> Result<Option<Header>, CallError> {
    let Some(number) = chain.find(id)? else { return Ok(None) };
    let head = chain.head(number)?;
    Ok(Some(rpc_header(&head.header, head.hash, None)))
}

fn receipts(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Option<Vec<TransactionReceipt>>, CallError> {
    let found = chain.block_by(parameters.required("block")?)?;
    Ok(found.map(|found| block_receipts(&found.block, found.hash, &found.senders, &found.receipts)))
}

fn count(chain: &Chain, id: BlockId) -> Result<Option<Quantity>, CallError> {
    let found = chain.block_by(id)?;
    Ok(found.map(|found| Quantity(u64::try_from(found.block.transactions.len()).unwrap_or(u64::MAX))))
}

fn uncle_count(chain: &Chain, id: BlockId) -> Result<Option<Quantity>, CallError> {
    Ok(chain.find(id)?.map(|_| Quantity(0)))
}

/// There are no uncles; the parameters are checked all the same.
fn uncle(_: BlockId, parameters: &mut Parameters<'_>) -> Result<Option<Block>, CallError> {
    parameters.required::<Quantity>("index").map(|_| None)
}

/// The block and position that an index into a block names.
fn position(
    chain: &Chain,
    id: BlockId,
    parameters: &mut Parameters<'_>,
) -> Result<Option<(Arc<StoredBlock>, usize)>, CallError> {
    let Quantity(index) = parameters.required("index")?;
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    let found = chain.block_by(id)?;
    Ok(found.filter(|found| index < found.block.transactions.len()).map(|found| (found, index)))
}

fn at_index(chain: &Chain, id: BlockId, parameters: &mut Parameters<'_>) -> Result<Option<Transaction>, CallError> {
    Ok(position(chain, id, parameters)?.and_then(|(found, index)| shown(&found, index)))
}

fn raw_at_index(chain: &Chain, id: BlockId, parameters: &mut Parameters<'_>) -> Result<Option<Bytes>, CallError> {
    Ok(position(chain, id, parameters)?.and_then(|(found, index)| raw(&found, index)))
}

/// A transaction of a final block in its JSON form.
fn shown(found: &StoredBlock, index: usize) -> Option<Transaction> {
    let (transaction, sender) = (found.block.transactions.get(index)?, found.senders.get(index)?);
    let place = Place::new(&found.block.header, found.hash, u64::try_from(index).ok()?);
    Some(rpc_transaction(transaction, *sender, Some(place)))
}

fn raw(found: &StoredBlock, index: usize) -> Option<Bytes> {
    found.block.transactions.get(index).map(|transaction| transaction.encoded().clone())
}

/// Looks for a transaction in the ledger, then in the pool, and again in the ledger: it leaves the pool only after it is
/// final, so that one of the three has it.
fn look_up<T>(
    chain: &Chain,
    hash: TxHash,
    stored: fn(&StoredBlock, usize) -> Option<T>,
    pending: fn(&VerifiedTransaction) -> T,
) -> Result<Option<T>, CallError> {
    if let Some((found, index)) = chain.locate(hash)? {
        return Ok(stored(&found, index));
    }
    if let Some(pooled) = chain.group().pooled(&hash) {
        return Ok(Some(pending(&pooled)));
    }
    Ok(chain.locate(hash)?.and_then(|(found, index)| stored(&found, index)))
}

fn transaction(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Option<Transaction>, CallError> {
    let pending = |pooled: &VerifiedTransaction| rpc_transaction(pooled.transaction(), pooled.sender(), None);
    look_up(chain, parameters.required("hash")?, shown, pending)
}

pub(super) fn raw_transaction(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Option<Bytes>, CallError> {
    look_up(chain, parameters.required("hash")?, raw, |pooled| pooled.transaction().encoded().clone())
}

fn receipt(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Option<TransactionReceipt>, CallError> {
    let found = chain.locate(parameters.required("hash")?)?;
    Ok(found.and_then(|(found, index)| one_receipt(&found.block, found.hash, &found.senders, &found.receipts, index)))
}
