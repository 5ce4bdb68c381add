//! What a request says about an event.

use crate::events::Events;
use lian_ledger::FoundLog;
use lian_types::GroupId;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The `type` of every message.
const TYPE: &str = "contract.event";

/// One event as a service hears of it. It is the same at every attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The header `webhook-id`: the hook's name, the group, the block and the log's position in it.
    pub id: String,
    /// The body, in JSON.
    pub body: Vec<u8>,
}

impl Message {
    /// What a hook of this name says about a log.
    #[must_use]
    pub fn new(hook: &str, group: GroupId, chain_id: u64, events: &Events, found: &FoundLog) -> Self {
        let mut data = json!({
            "hook": hook,
            "chainId": format!("{chain_id:#x}"),
            "group": group.0,
            "blockNumber": format!("{:#x}", found.block.0),
            "blockHash": found.block_hash,
            "transactionHash": found.transaction,
            "transactionIndex": format!("{:#x}", found.transaction_index),
            "logIndex": format!("{:#x}", found.log_index),
            "address": found.log.address.to_checksum(None),
            "topics": found.log.topics(),
            "data": found.log.data.data,
        });
        if let (Some(event), Value::Object(fields)) = (events.decode(&found.log), &mut data) {
            fields.insert("event".to_owned(), event);
        }
        let body = json!({ "type": TYPE, "timestamp": rfc_3339(found.timestamp), "data": data });
        let id = format!("{hook}-{group}-{}-{}", found.block, found.log_index);
        Self { id, body: body.to_string().into_bytes() }
    }
}

/// Seconds since 1970 as RFC 3339 writes them; the number itself beyond the year 9999.
fn rfc_3339(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| seconds.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, B256, Log, LogData, bytes, keccak256};
    use lian_types::BlockNumber;

    #[test]
    fn bodies() {
        let topic = keccak256("Said(uint256)");
        let data = bytes!("0000000000000000000000000000000000000000000000000000000000000011");
        let found = FoundLog {
            block: BlockNumber(300),
            block_hash: B256::repeat_byte(1),
            timestamp: 1_709_210_096,
            transaction: B256::repeat_byte(2),
            transaction_index: 3,
            log_index: 17,
            log: Log { address: Address::repeat_byte(0xab), data: LogData::new_unchecked(vec![topic], data.clone()) },
        };
        let body = |events: &Events| {
            let message = Message::new("erp", GroupId(0), 20_200, events, &found);
            assert_eq!(message.id, "erp-0-300-17");
            serde_json::from_slice::<Value>(&message.body).unwrap()
        };
        let mut expected = json!({
            "type": "contract.event",
            "timestamp": "2024-02-29T12:34:56Z",
            "data": {
                "hook": "erp", "chainId": "0x4ee8", "group": 0, "blockNumber": "0x12c",
                "blockHash": B256::repeat_byte(1), "transactionHash": B256::repeat_byte(2),
                "transactionIndex": "0x3", "logIndex": "0x11",
                "address": "0xABaBaBaBABabABabAbAbABAbABabababaBaBABaB", "topics": [topic], "data": data,
            },
        });
        assert_eq!(body(&Events::default()), expected);
        let said = json!({ "name": "Said", "signature": "Said(uint256)", "arguments": { "word": "17" } });
        expected["data"]["event"] = said;
        assert_eq!(body(&Events::parse(&["Said(uint256 word)".to_owned()]).unwrap()), expected);
    }
}
