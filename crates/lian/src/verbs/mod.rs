//! The verbs that talk to a node or look at what one left behind, one file per kind.

pub(crate) mod account;
pub(crate) mod asset;
pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod ca;
mod callee;
pub(crate) mod cns;
pub(crate) mod gov;
pub(crate) mod query;
pub(crate) mod recover;
pub(crate) mod snapshot;
pub(crate) mod status;
pub(crate) mod transact;
pub(crate) mod verify;

use alloy_primitives::{Address, Bytes, LogData};
use alloy_sol_types::SolEventInterface;
use anyhow::Result;
use clap::Args;
use lian_client::RpcClient;
use serde_json::Value;

/// How to reach a node, and how to print its answer.
#[derive(Args, Clone, Debug)]
pub(crate) struct NodeArgs {
    /// The node's JSON-RPC address.
    #[arg(long, env = "LIAN_RPC_URL", default_value = "http://127.0.0.1:8545")]
    pub(crate) rpc_url: String,
    /// Print the raw RPC object.
    #[arg(long)]
    pub(crate) json: bool,
}

impl NodeArgs {
    pub(crate) fn client(&self) -> Result<RpcClient> {
        Ok(RpcClient::new(&self.rpc_url)?)
    }
}

/// A quantity of JSON-RPC (`0x…`) in decimal; anything else as it is.
fn decimal(value: &Value) -> String {
    let Some(text) = value.as_str() else { return value.to_string() };
    match text.strip_prefix("0x").map(|digits| u128::from_str_radix(digits, 16)) {
        Some(Ok(number)) => number.to_string(),
        _ => text.to_owned(),
    }
}

/// Topics and data of a log in a receipt or an answer to `eth_getLogs`.
fn log_data(log: &Value) -> Option<LogData> {
    let topics = log["topics"].as_array()?.iter().filter_map(|topic| topic.as_str()?.parse().ok());
    let data: Bytes = log["data"].as_str()?.parse().ok()?;
    Some(LogData::new_unchecked(topics.collect(), data))
}

/// An event of a contract; nothing where the log is another one's.
fn event<E: SolEventInterface>(log: &Value, contract: Address) -> Option<E> {
    let address: Address = log["address"].as_str()?.parse().ok()?;
    let data = log_data(log).filter(|_| address == contract)?;
    E::decode_raw_log(data.topics(), &data.data).ok()
}

/// A field's text without quotes, or `-` where it is absent.
fn text(object: &Value, field: &str) -> String {
    match object.get(field) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
