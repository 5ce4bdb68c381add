//! Which logs a client asks for.

use crate::error::CallError;
use alloy_primitives::{Address, B256, Bloom, BloomInput, Log};
use alloy_rpc_types_eth::{BlockNumberOrTag, Filter, FilterBlockOption};
use lian_types::limits::RPC_LOG_CRITERIA_MAX;

/// Which logs match, ready to be asked often.
#[derive(Clone, Debug)]
pub(crate) struct Criteria {
    /// Any of these; none means every address.
    addresses: Vec<(Address, Bloom)>,
    /// Any of these at each position; none means anything, even nothing, where no later position asks for more.
    topics: [Vec<(B256, Bloom)>; 4],
}

/// Which blocks are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// One block.
    Block(B256),
    /// From and to a height, both included; `None` is the last final block.
    Range(Option<u64>, Option<u64>),
}

impl Criteria {
    /// Reads a filter object as `eth_getLogs` takes it.
    ///
    /// # Errors
    /// [`CallError::LimitExceeded`] for lists above [`RPC_LOG_CRITERIA_MAX`].
    pub(crate) fn new(filter: &Filter) -> Result<Self, CallError> {
        let bloom = |bytes: &[u8]| Bloom::from(BloomInput::Raw(bytes));
        let mut addresses: Vec<_> =
            filter.address.iter().map(|address| (*address, bloom(address.as_slice()))).collect();
        addresses.sort_unstable_by_key(|(address, _)| *address);
        check_count("addresses", addresses.len())?;
        let mut topics: [Vec<(B256, Bloom)>; 4] = Default::default();
        for (wanted, topic) in topics.iter_mut().zip(&filter.topics) {
            check_count("alternatives of one topic", topic.len())?;
            wanted.extend(topic.iter().map(|topic| (*topic, bloom(topic.as_slice()))));
            wanted.sort_unstable_by_key(|(topic, _)| *topic);
        }
        Ok(Self { addresses, topics })
    }

    /// Whether a block or receipt with this bloom filter can have a matching log.
    pub(crate) fn may_match(&self, bloom: &Bloom) -> bool {
        fn any<T>(wanted: &[(T, Bloom)], bloom: &Bloom) -> bool {
            wanted.is_empty() || wanted.iter().any(|(_, wanted)| bloom.contains(wanted))
        }
        any(&self.addresses, bloom) && self.topics.iter().all(|wanted| any(wanted, bloom))
    }

    /// Whether a log matches.
    pub(crate) fn matches(&self, log: &Log) -> bool {
        if !self.addresses.is_empty() && self.addresses.binary_search_by_key(&log.address, |(a, _)| *a).is_err() {
            return false;
        }
        self.topics.iter().enumerate().all(|(position, wanted)| {
            wanted.is_empty()
                || log
                    .topics()
                    .get(position)
                    .is_some_and(|topic| wanted.binary_search_by_key(topic, |(t, _)| *t).is_ok())
        })
    }
}

/// Reads which blocks a filter object means. `pending` is the last final block, as everywhere.
pub(crate) const fn span_of(filter: &Filter) -> Span {
    const fn height(tag: Option<BlockNumberOrTag>) -> Option<u64> {
        match tag {
            Some(BlockNumberOrTag::Number(number)) => Some(number),
            Some(BlockNumberOrTag::Earliest) => Some(0),
            _ => None,
        }
    }
    match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => Span::Block(hash),
        FilterBlockOption::Range { from_block, to_block } => Span::Range(height(from_block), height(to_block)),
    }
}

fn check_count(what: &str, count: usize) -> Result<(), CallError> {
    if count > RPC_LOG_CRITERIA_MAX {
        let message = format!("{count} {what} in a log filter exceed the limit of {RPC_LOG_CRITERIA_MAX}");
        return Err(CallError::LimitExceeded(message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::LogData;

    fn log(address: u8, topics: &[u8]) -> Log {
        let topics = topics.iter().map(|byte| B256::repeat_byte(*byte)).collect();
        Log { address: Address::repeat_byte(address), data: LogData::new_unchecked(topics, Default::default()) }
    }

    fn criteria(json: &str) -> Criteria {
        Criteria::new(&serde_json::from_str(json).unwrap()).unwrap()
    }

    /// The table of execution-apis' description of topic filters.
    #[test]
    fn positions_and_alternatives() {
        let (a, b) = (B256::repeat_byte(0xa), B256::repeat_byte(0xb));
        let cases = [
            ("{}".to_owned(), vec![(log(1, &[]), true), (log(2, &[0xa, 0xb]), true)]),
            (r#"{"topics":[]}"#.to_owned(), vec![(log(1, &[]), true)]),
            (
                format!(r#"{{"topics":["{a}"]}}"#),
                vec![
                    (log(1, &[0xa]), true),
                    (log(1, &[0xa, 0xb]), true),
                    (log(1, &[0xb]), false),
                    (log(1, &[]), false),
                ],
            ),
            (
                format!(r#"{{"topics":[null,"{b}"]}}"#),
                vec![(log(1, &[0xa, 0xb]), true), (log(1, &[0xb]), false), (log(1, &[0xb, 0xa]), false)],
            ),
            (
                format!(r#"{{"topics":[["{a}","{b}"]]}}"#),
                vec![(log(1, &[0xa]), true), (log(1, &[0xb]), true), (log(1, &[0xc]), false)],
            ),
            (
                format!(r#"{{"address":"{}"}}"#, Address::repeat_byte(1)),
                vec![(log(1, &[]), true), (log(2, &[]), false)],
            ),
        ];
        for (json, logs) in cases {
            let criteria = criteria(&json);
            for (log, expected) in logs {
                assert_eq!(criteria.matches(&log), expected, "{json} {log:?}");
                let bloom = alloy_primitives::logs_bloom([&log]);
                assert!(!expected || criteria.may_match(&bloom), "the bloom filter lost {log:?}");
            }
        }
        assert!(!criteria(&format!(r#"{{"topics":["{a}"]}}"#)).may_match(&Bloom::ZERO));
    }

    #[test]
    fn lists_are_bounded() {
        let addresses: Vec<_> =
            (0..=RPC_LOG_CRITERIA_MAX).map(|i| Address::from_word(alloy_primitives::U256::from(i).into())).collect();
        let filter = Filter::new().address(addresses);
        let message = "1001 addresses in a log filter exceed the limit of 1000";
        assert_eq!(Criteria::new(&filter).unwrap_err(), CallError::LimitExceeded(message.to_owned()));
    }

    #[test]
    fn spans() {
        let span = |json: &str| span_of(&serde_json::from_str(json).unwrap());
        assert_eq!(span("{}"), Span::Range(None, None));
        assert_eq!(span(r#"{"fromBlock":"0x1","toBlock":"latest"}"#), Span::Range(Some(1), None));
        assert_eq!(span(r#"{"fromBlock":"earliest"}"#), Span::Range(Some(0), None));
        let hash = B256::repeat_byte(1);
        assert_eq!(span(&format!(r#"{{"blockHash":"{hash}"}}"#)), Span::Block(hash));
    }
}
