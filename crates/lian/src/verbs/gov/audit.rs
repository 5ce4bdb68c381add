//! `lian gov audit`: what was decided, by whom and why.

use crate::{
    output::{print, say, utc},
    verbs::{NodeArgs, decimal, status::columns, text},
};
use alloy_primitives::{Address, U64};
use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

/// Longest value in a table, in characters: a hash.
const VALUE_CHARACTERS_MAX: usize = 66;

/// What of it is shown.
#[derive(Args, Debug)]
pub(crate) struct Audit {
    /// Only of this contract: configuration, members, names, permissions, committee or authorities. May be given several times.
    #[arg(long = "contract", value_name = "NAME")]
    contracts: Vec<String>,
    /// Only events of this name, such as `Frozen`. May be given several times.
    #[arg(long = "event", value_name = "NAME")]
    events: Vec<String>,
    /// Only what this account has sent, or what is about it.
    #[arg(long, value_name = "ACCOUNT")]
    of: Option<Address>,
    /// The first block.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// The last block; without, the last one that there is.
    #[arg(long)]
    to: Option<u64>,
    /// Most entries.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    node: NodeArgs,
}

impl Audit {
    pub(super) async fn run(self) -> Result<()> {
        let Self { contracts, events, of, from, to, limit, node } = self;
        let client = node.client()?;
        let mut entries: Vec<Value> = Vec::new();
        let mut cursor = Value::Null;
        while entries.len() < limit {
            let question = json!({
                "contracts": contracts, "events": events, "account": of, "fromBlock": U64::from(from),
                "toBlock": to.map(U64::from), "cursor": cursor,
            });
            let mut answer: Value = client.request("lian_auditTrail", vec![question]).await?;
            if let Value::Array(found) = answer["entries"].take() {
                entries.extend(found);
            }
            cursor = answer["next"].take();
            if cursor.is_null() {
                break;
            }
        }
        entries.truncate(limit);
        if node.json {
            say(json!(entries))?;
            return Ok(());
        }
        let mut rows = vec![["block", "time", "contract", "event", "by", "what"].map(str::to_owned).to_vec()];
        rows.extend(entries.iter().map(row));
        print(columns(&rows))?;
        Ok(())
    }
}

fn row(entry: &Value) -> Vec<String> {
    let time: u64 = entry["timestamp"].as_str().and_then(|time| time.parse::<U64>().ok()).unwrap_or_default().to();
    let arguments = entry["arguments"].as_object().into_iter().flatten();
    let what: Vec<_> = arguments
        .filter(|(_, value)| **value != json!("") && **value != json!([]))
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name}={}", short(text)),
            other => format!("{name}={}", short(&other.to_string())),
        })
        .collect();
    let by = text(entry, "sender");
    vec![decimal(&entry["blockNumber"]), utc(time), text(entry, "contract"), text(entry, "event"), by, what.join(" ")]
}

/// So much of a value as a table has room for: certificates and calls are long. `--json` has all of it.
fn short(text: &str) -> String {
    let mut kept: String = text.chars().take(VALUE_CHARACTERS_MAX).collect();
    if kept.len() < text.len() {
        kept.push('…');
    }
    kept
}
