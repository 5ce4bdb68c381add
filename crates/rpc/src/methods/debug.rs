//! `debug_`: raw encodings.

use crate::{
    block_id::BlockId, chain::Chain, convert::block_bytes, error::CallError, parameters::Parameters, registry::Registry,
};
use alloy_primitives::Bytes;
use jsonrpsee::core::RegisterMethodError;

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.read("debug_getRawHeader", 1, raw_header)?;
    registry.read("debug_getRawBlock", 1, raw_block)?;
    registry.read("debug_getRawReceipts", 1, raw_receipts)?;
    registry.read("debug_getRawTransaction", 1, super::eth_blocks::raw_transaction)?;
    // No bad block can exist: a block is final or it is none.
    registry.light("debug_getBadBlocks", 0, |_, _| Ok(Vec::<Bytes>::new()))
}

fn raw_header(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Bytes, CallError> {
    let number = chain.require(parameters.required::<BlockId>("block")?)?;
    Ok(alloy_rlp::encode(&chain.header(number)?).into())
}

fn raw_block(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Bytes, CallError> {
    Ok(block_bytes(&chain.require_block(parameters.required("block")?)?.block))
}

fn raw_receipts(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Vec<Bytes>, CallError> {
    let found = chain.require_block(parameters.required("block")?)?;
    Ok(found.receipts.iter().map(|receipt| receipt.encoded_2718(receipt.bloom()).into()).collect())
}
