//! `eth_`: facts of the chain and of fees, which nobody pays.

use crate::{
    block_id::BlockTag, chain::Chain, convert::GAS_PRICE, error::CallError, parameters::Parameters, quantity::Quantity,
    registry::Registry,
};
use alloy_primitives::{Address, U256};
use alloy_rpc_types_eth::FeeHistory;
use jsonrpsee::core::RegisterMethodError;
use lian_types::limits::{RPC_FEE_HISTORY_BLOCKS_MAX, RPC_REWARD_PERCENTILES_MAX, WINDOW_DEFAULT};
use serde::Serialize;

/// The price of a unit of blob gas: Ethereum's minimum, which the opcode `BLOBBASEFEE` shows too. There are no blobs.
const BLOB_BASE_FEE: u128 = 1;

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.light("eth_blockNumber", 0, |chain, _| Ok(Quantity(chain.height())))?;
    registry.light("eth_chainId", 0, |chain, _| Ok(Quantity(chain.group().info().chain_id)))?;
    registry.light("eth_syncing", 0, |chain, _| Ok(syncing(chain)))?;
    registry.light("eth_gasPrice", 0, |_, _| Ok(U256::from(GAS_PRICE)))?;
    registry.light("eth_maxPriorityFeePerGas", 0, |_, _| Ok(U256::from(GAS_PRICE)))?;
    registry.light("eth_blobBaseFee", 0, |_, _| Ok(U256::from(BLOB_BASE_FEE)))?;
    registry.light("eth_accounts", 0, |_, _| Ok(Vec::<Address>::new()))?;
    registry.light("eth_coinbase", 0, |chain, _| Ok(chain.group().ledger().head().block.header.beneficiary))?;
    registry.light("eth_mining", 0, |_, _| Ok(false))?;
    registry.light("eth_hashrate", 0, |_, _| Ok(Quantity(0)))?;
    registry.light("eth_protocolVersion", 0, |_, _| Ok(Quantity(1)))?;
    registry.read("eth_feeHistory", 3, fee_history)
}

/// How far a node is that catches up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Syncing {
    /// It follows the chain: always `false`.
    No(bool),
    /// It catches up.
    #[serde(rename_all = "camelCase")]
    Yes { starting_block: Quantity, current_block: Quantity, highest_block: Quantity },
}

/// Whether the node catches up. It always is a block or two behind the newest votes; that is no catching up.
pub(super) fn syncing(chain: &Chain) -> Syncing {
    let status = chain.group().status();
    if status.lag <= WINDOW_DEFAULT {
        return Syncing::No(false);
    }
    let current = status.height.0;
    Syncing::Yes {
        starting_block: Quantity(current),
        current_block: Quantity(current),
        highest_block: Quantity(current.saturating_add(status.lag)),
    }
}

/// A count of blocks: geth takes a quantity or a plain number.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Count {
    Number(u64),
    Text(Quantity),
}

fn fee_history(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<FeeHistory, CallError> {
    let count = match parameters.required::<Count>("blockCount")? {
        Count::Number(count) | Count::Text(Quantity(count)) => count.min(RPC_FEE_HISTORY_BLOCKS_MAX),
    };
    let newest = chain.height_of(parameters.required::<BlockTag>("newestBlock")?);
    let percentiles = parameters.optional::<Vec<f64>>("rewardPercentiles")?.unwrap_or_default();
    check_percentiles(&percentiles)?;
    let head = chain.height();
    if newest > head {
        let message = format!("request beyond head block: requested {newest}, head {head}");
        return Err(CallError::Refused(message));
    }
    let count = count.min(newest.saturating_add(1));
    if count == 0 {
        return Ok(FeeHistory::default());
    }
    let oldest = newest.saturating_add(1).saturating_sub(count);
    let mut history = FeeHistory { oldest_block: oldest, ..FeeHistory::default() };
    for number in oldest..=newest {
        let header = chain.header(number)?;
        history.gas_used_ratio.push(ratio(header.gas_used, header.gas_limit));
        history.base_fee_per_gas.push(GAS_PRICE);
        history.base_fee_per_blob_gas.push(BLOB_BASE_FEE);
        history.blob_gas_used_ratio.push(0.0);
    }
    // Both lists have one entry more: the price of the next block.
    history.base_fee_per_gas.push(GAS_PRICE);
    history.base_fee_per_blob_gas.push(BLOB_BASE_FEE);
    if !percentiles.is_empty() {
        let rewards = vec![GAS_PRICE; percentiles.len()];
        history.reward = Some(vec![rewards; history.gas_used_ratio.len()]);
    }
    Ok(history)
}

fn check_percentiles(percentiles: &[f64]) -> Result<(), CallError> {
    if percentiles.len() > RPC_REWARD_PERCENTILES_MAX {
        let count = percentiles.len();
        let message = format!("{count} reward percentiles exceed the limit of {RPC_REWARD_PERCENTILES_MAX}");
        return Err(CallError::LimitExceeded(message));
    }
    if let Some(bad) = percentiles.iter().find(|value| !(0.0..=100.0).contains(*value)) {
        return Err(CallError::InvalidParams(format!("invalid reward percentile: {bad}")));
    }
    if let Some((left, right)) = percentiles.iter().zip(percentiles.iter().skip(1)).find(|(left, right)| left > right) {
        return Err(CallError::InvalidParams(format!("invalid reward percentile: {left} stands before {right}")));
    }
    Ok(())
}

/// The part of the gas limit that was used. The interface wants a floating-point number; it decides nothing.
#[allow(clippy::cast_precision_loss)]
fn ratio(used: u64, limit: u64) -> f64 {
    if limit == 0 { 0.0 } else { used as f64 / limit as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_rise_between_0_and_100() {
        assert_eq!(check_percentiles(&[0.0, 25.5, 100.0]), Ok(()));
        for bad in [vec![-1.0], vec![100.1], vec![50.0, 25.0], vec![f64::NAN]] {
            assert!(matches!(check_percentiles(&bad), Err(CallError::InvalidParams(_))), "{bad:?}");
        }
        assert!(matches!(check_percentiles(&[1.0; 101]), Err(CallError::LimitExceeded(_))));
    }

    #[test]
    fn syncing_has_two_forms() {
        assert_eq!(serde_json::to_string(&Syncing::No(false)).unwrap(), "false");
        let yes = Syncing::Yes { starting_block: Quantity(1), current_block: Quantity(1), highest_block: Quantity(20) };
        let expected = r#"{"startingBlock":"0x1","currentBlock":"0x1","highestBlock":"0x14"}"#;
        assert_eq!(serde_json::to_string(&yes).unwrap(), expected);
    }
}
