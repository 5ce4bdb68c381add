//! `eth_getLogs`, and the search that filters and subscriptions share with it.

use crate::{
    block_id::BlockId,
    chain::Chain,
    convert::block_logs,
    criteria::{Criteria, Span, span_of},
    error::CallError,
    registry::Registry,
};
use alloy_rpc_types_eth::{Filter, Log};
use jsonrpsee::core::RegisterMethodError;
use lian_ledger::StoredBlock;
use std::ops::RangeInclusive;

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.read("eth_getLogs", 1, |chain, parameters| logs(chain, &parameters.required("filter")?))
}

/// Every log that a filter object asks for.
pub(super) fn logs(chain: &Chain, filter: &Filter) -> Result<Vec<Log>, CallError> {
    let criteria = Criteria::new(filter)?;
    match span_of(filter) {
        Span::Block(hash) => {
            let found = chain.block_by(BlockId::Hash(hash))?;
            let found = found.ok_or_else(|| CallError::Refused(format!("unknown block {hash}")))?;
            Ok(matching(&found, &criteria).collect())
        }
        Span::Range(from, to) => {
            let range = range_of(from, to, chain.height(), chain.limits().log_blocks_max)?;
            let mut found = Vec::new();
            if let Some(range) = range {
                search(chain, &criteria, range, &mut found)?;
            }
            Ok(found)
        }
    }
}

/// The heights to look at; nothing where all of them lie in the future.
fn range_of(
    from: Option<u64>,
    to: Option<u64>,
    head: u64,
    blocks_max: u64,
) -> Result<Option<RangeInclusive<u64>>, CallError> {
    let (from, to) = (from.unwrap_or(head), to.unwrap_or(head));
    if from > to {
        return Err(CallError::InvalidParams(format!("invalid block range params: from {from} to {to}")));
    }
    if from > head {
        return Ok(None);
    }
    let to = to.min(head);
    let count = to.saturating_sub(from).saturating_add(1);
    if count > blocks_max {
        let message = format!("exceed maximum block range: {count} blocks from {from} to {to}, limit {blocks_max}");
        return Err(CallError::LimitExceeded(message));
    }
    Ok(Some(from..=to))
}

/// Adds the matching logs of a range of heights.
pub(super) fn search(
    chain: &Chain,
    criteria: &Criteria,
    range: RangeInclusive<u64>,
    found: &mut Vec<Log>,
) -> Result<(), CallError> {
    let logs_max = chain.limits().logs_max;
    let (from, to) = (*range.start(), *range.end());
    for number in range {
        if !criteria.may_match(&chain.header(number)?.logs_bloom) {
            continue;
        }
        let Some(block) = chain.block(number)? else { continue };
        found.extend(matching(&block, criteria));
        if found.len() > logs_max {
            let message = format!(
                "query returned more than {logs_max} results: blocks {from} to {to} have that many logs up to block \
                 {number}; narrow the range or the topics"
            );
            return Err(CallError::LimitExceeded(message));
        }
    }
    Ok(())
}

/// The logs of a block that match.
pub(super) fn matching<'a>(block: &'a StoredBlock, criteria: &'a Criteria) -> impl Iterator<Item = Log> + 'a {
    block_logs(&block.block, block.hash, &block.receipts).filter(|log| criteria.matches(&log.inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let range = |from, to| range_of(from, to, 50, 20);
        assert_eq!(range(None, None), Ok(Some(50..=50)));
        assert_eq!(range(Some(40), None), Ok(Some(40..=50)));
        assert_eq!(range(Some(40), Some(45)), Ok(Some(40..=45)));
        assert_eq!(range(Some(40), Some(99)), Ok(Some(40..=50)));
        assert_eq!(range(Some(51), Some(99)), Ok(None));
        assert_eq!(range(Some(31), None), Ok(Some(31..=50)));
        let message = "exceed maximum block range: 21 blocks from 30 to 50, limit 20";
        assert_eq!(range(Some(30), None), Err(CallError::LimitExceeded(message.to_owned())));
        let message = "invalid block range params: from 9 to 8";
        assert_eq!(range(Some(9), Some(8)), Err(CallError::InvalidParams(message.to_owned())));
    }
}
