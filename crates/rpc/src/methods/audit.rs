//! `lian_auditTrail`: what was decided, by whom and why, from the events of the contracts of governance.

use crate::{
    chain::Chain, convert::block_logs, criteria::Criteria, error::CallError, parameters::Parameters, registry::Registry,
};
use alloy_dyn_abi::{DynSolValue, EventExt};
use alloy_json_abi::{Event, EventParam, JsonAbi};
use alloy_primitives::{Address, B256, TxHash, hex};
use alloy_rpc_types_eth::{Filter, Log};
use jsonrpsee::core::RegisterMethodError;
use lian_ledger::StoredBlock;
use lian_system_contracts::{authorities, committee, configuration, members, names, permissions};
use lian_types::limits::{AUDIT_ENTRIES_DEFAULT, AUDIT_ENTRIES_MAX};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::LazyLock};

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.read("lian_auditTrail", 1, trail)
}

/// The contracts of governance, by the names that a filter may use, with their interfaces as the compiler gives them.
const CONTRACTS: [(&str, Address, &str); 6] = [
    ("configuration", configuration::ADDRESS, include_str!("../../../../contracts/artifacts/IConfiguration.json")),
    ("members", members::ADDRESS, include_str!("../../../../contracts/artifacts/IMembers.json")),
    ("names", names::ADDRESS, include_str!("../../../../contracts/artifacts/INames.json")),
    ("permissions", permissions::ADDRESS, include_str!("../../../../contracts/artifacts/IPermissions.json")),
    ("committee", committee::ADDRESS, include_str!("../../../../contracts/artifacts/ICommittee.json")),
    ("authorities", authorities::ADDRESS, include_str!("../../../../contracts/artifacts/IAuthorities.json")),
];

/// Every event of these contracts, by contract and first topic.
static EVENTS: LazyLock<BTreeMap<(Address, B256), Event>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Artifact {
        abi: JsonAbi,
    }
    let mut events = BTreeMap::new();
    for (_, address, artifact) in CONTRACTS {
        // A test reads all of them.
        let abi = serde_json::from_str(artifact).map(|artifact: Artifact| artifact.abi).unwrap_or_default();
        events.extend(abi.events.into_values().flatten().map(|event| ((address, event.selector()), event)));
    }
    events
});

/// What is asked for. Everything may be left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Question {
    /// The first block; 0.
    from_block: Option<crate::quantity::Quantity>,
    /// The last one; the last final block.
    to_block: Option<crate::quantity::Quantity>,
    /// Names or addresses of contracts; all of governance.
    contracts: Vec<String>,
    /// Names of events; all.
    events: Vec<String>,
    /// Only what this account has sent, or what has it among its arguments.
    account: Option<Address>,
    /// Where an earlier answer ended.
    cursor: Option<String>,
    /// Most entries.
    limit: Option<usize>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Trail {
    /// In the order of the chain.
    entries: Vec<Entry>,
    /// Where to go on; not there at the end. A page may have few entries, or none, and be followed by others: a request looks
    /// at so many blocks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Something that was decided.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    block_number: crate::quantity::Quantity,
    /// The block's time, in seconds since 1970.
    timestamp: crate::quantity::Quantity,
    transaction_hash: Option<TxHash>,
    log_index: crate::quantity::Quantity,
    /// Who signed the transaction.
    sender: Option<Address>,
    contract: &'static str,
    address: Address,
    event: String,
    /// By name. Large numbers are decimal text, bytes hexadecimal.
    arguments: Map<String, Value>,
}

fn trail(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Trail, CallError> {
    let question: Question = parameters.optional("filter")?.unwrap_or_default();
    let limit = question.limit.unwrap_or(AUDIT_ENTRIES_DEFAULT);
    if !(1..=AUDIT_ENTRIES_MAX).contains(&limit) {
        return Err(CallError::InvalidParams(format!("limit is {limit}, must be 1 to {AUDIT_ENTRIES_MAX}")));
    }
    let addresses = contracts(&question.contracts)?;
    let topics = topics(&addresses, &question.events)?;
    let filter = Filter::new().address(addresses).event_signature(topics);
    let criteria = Criteria::new(&filter)?;
    let begin = match &question.cursor {
        Some(cursor) => parse_cursor(cursor)?,
        None => (question.from_block.map_or(0, |number| number.0), 0),
    };
    let last = question.to_block.map_or(u64::MAX, |number| number.0).min(chain.height());
    let end = last.min(begin.0.saturating_add(chain.limits().log_blocks_max.saturating_sub(1)));
    let mut entries = Vec::new();
    for number in begin.0..=end {
        if !criteria.may_match(&chain.header(number)?.logs_bloom) {
            continue;
        }
        let Some(block) = chain.block(number)? else { continue };
        let logs = block_logs(&block.block, block.hash, &block.receipts).filter(|log| criteria.matches(&log.inner));
        for log in logs {
            let index = log.log_index.unwrap_or_default();
            if (number, index) < begin {
                continue;
            }
            let Some(entry) = entry(&block, &log) else { continue };
            if question.account.is_some_and(|account| !concerns(&entry, account)) {
                continue;
            }
            if entries.len() >= limit {
                return Ok(Trail { entries, next: Some(format!("{number}:{index}")) });
            }
            entries.push(entry);
        }
    }
    let next = (end < last).then(|| format!("{}:0", end.saturating_add(1)));
    Ok(Trail { entries, next })
}

fn contracts(named: &[String]) -> Result<Vec<Address>, CallError> {
    if named.is_empty() {
        return Ok(CONTRACTS.iter().map(|(_, address, _)| *address).collect());
    }
    let find = |text: &String| {
        let is_it = |(name, address, _): &&(&str, Address, &str)| name == text || text.parse() == Ok(*address);
        CONTRACTS.iter().find(is_it).map(|(_, address, _)| *address).ok_or_else(|| {
            let names: Vec<_> = CONTRACTS.iter().map(|(name, ..)| *name).collect();
            CallError::InvalidParams(format!("`{text}` is no contract of governance: {}", names.join(", ")))
        })
    };
    named.iter().map(find).collect()
}

/// The first topics of the events with these names; of all events where there are none.
fn topics(addresses: &[Address], named: &[String]) -> Result<Vec<B256>, CallError> {
    for name in named {
        let is_known = EVENTS.iter().any(|((at, _), event)| addresses.contains(at) && event.name == *name);
        if !is_known {
            return Err(CallError::InvalidParams(format!("the contracts have no event `{name}`")));
        }
    }
    let is_wanted = |(_, event): &(&(Address, B256), &Event)| named.contains(&event.name);
    Ok(EVENTS.iter().filter(is_wanted).map(|((_, topic), _)| *topic).collect())
}

fn parse_cursor(text: &str) -> Result<(u64, u64), CallError> {
    let parsed = text.split_once(':').and_then(|(number, index)| Some((number.parse().ok()?, index.parse().ok()?)));
    parsed.ok_or_else(|| CallError::InvalidParams(format!("`{text}` is no cursor of an earlier answer")))
}

/// A log as an entry; nothing for one that is no event of its contract's interface.
fn entry(block: &StoredBlock, log: &Log) -> Option<Entry> {
    let address = log.inner.address;
    let (contract, ..) = CONTRACTS.iter().find(|(_, at, _)| *at == address)?;
    let event = EVENTS.get(&(address, *log.inner.topics().first()?))?;
    let decoded = event.decode_log(&log.inner.data).ok()?;
    let (mut indexed, mut body) = (decoded.indexed.into_iter(), decoded.body.into_iter());
    let mut arguments = Map::new();
    for parameter in &event.inputs {
        let value = if parameter.indexed { indexed.next() } else { body.next() }?;
        arguments.insert(parameter.name.clone(), shown(&value, &fields(parameter)));
    }
    let position = usize::try_from(log.transaction_index?).ok()?;
    Some(Entry {
        block_number: crate::quantity::Quantity(block.block.header.number),
        timestamp: crate::quantity::Quantity(block.block.header.timestamp),
        transaction_hash: log.transaction_hash,
        log_index: crate::quantity::Quantity(log.log_index.unwrap_or_default()),
        sender: block.senders.get(position).copied(),
        contract,
        address,
        event: event.name.clone(),
        arguments,
    })
}

/// The names of a structure's fields.
fn fields(parameter: &EventParam) -> Vec<String> {
    parameter.components.iter().map(|field| field.name.clone()).collect()
}

fn shown(value: &DynSolValue, fields: &[String]) -> Value {
    match value {
        DynSolValue::Bool(is) => json!(is),
        DynSolValue::Int(number, _) => json!(number.to_string()),
        DynSolValue::Uint(number, bits) if *bits <= 32 => json!(number.saturating_to::<u32>()),
        DynSolValue::Uint(number, _) => json!(number.to_string()),
        DynSolValue::FixedBytes(word, size) => json!(hex::encode_prefixed(word.get(..*size).unwrap_or_default())),
        DynSolValue::Address(address) => json!(address),
        DynSolValue::Function(function) => json!(hex::encode_prefixed(function)),
        DynSolValue::Bytes(bytes) => json!(hex::encode_prefixed(bytes)),
        DynSolValue::String(text) => json!(text),
        DynSolValue::Array(list) | DynSolValue::FixedArray(list) => {
            list.iter().map(|value| shown(value, fields)).collect()
        }
        DynSolValue::Tuple(list) => {
            fields.iter().zip(list).map(|(name, value)| (name.clone(), shown(value, &[]))).collect()
        }
        DynSolValue::CustomStruct { prop_names, tuple, .. } => {
            prop_names.iter().zip(tuple).map(|(name, value)| (name.clone(), shown(value, &[]))).collect()
        }
    }
}

/// Whether an account has sent it, or stands in its arguments.
fn concerns(entry: &Entry, account: Address) -> bool {
    fn has(value: &Value, account: Address) -> bool {
        match value {
            Value::String(text) => text.parse() == Ok(account),
            Value::Array(list) => list.iter().any(|value| has(value, account)),
            Value::Object(fields) => fields.values().any(|value| has(value, account)),
            _ => false,
        }
    }
    entry.sender == Some(account) || entry.arguments.values().any(|value| has(value, account))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_is_read() {
        for (name, address, _) in CONTRACTS {
            assert!(EVENTS.keys().any(|(at, _)| *at == address), "{name}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = |result: Result<Vec<Address>, CallError>| match result.unwrap_err() {
            CallError::InvalidParams(text) => text,
            other => panic!("{other:?}"),
        };
        let text = error(contracts(&["bank".to_owned()]));
        assert_eq!(
            text,
            "`bank` is no contract of governance: configuration, members, names, permissions, committee, authorities"
        );
        let by_address = contracts(&[members::ADDRESS.to_string()]);
        assert_eq!(by_address.unwrap(), [members::ADDRESS]);
        assert!(topics(&[members::ADDRESS], &["Frozen".to_owned()]).is_err());
        assert_eq!(topics(&[permissions::ADDRESS], &["Frozen".to_owned()]).unwrap().len(), 1);
        assert!(parse_cursor("7").is_err());
        assert_eq!(parse_cursor("7:2").unwrap(), (7, 2));
    }
}
