//! `lian cns show`, `list` and `history`.

use super::{canary::percent, contract::Names, explain::explain};
use crate::{
    output::{print, printable, say, utc},
    verbs::{NodeArgs, status::columns, transact::in_words},
};
use alloy_primitives::{Address, U64, U256};
use anyhow::{Context, Result};
use lian_client::{ClientError, Table};
use lian_system_contracts::{
    interfaces::INames::{self, Canary, Kind, Version},
    names::LIST_MAX,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// What a kind is called.
pub(super) const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::StateKeeping => "state-keeping",
        Kind::Forwarding => "forwarding",
        _ => "none",
    }
}

pub(super) async fn name(node: &NodeArgs, name: &str) -> Result<()> {
    let names = Names::of(node)?;
    let found = names.find(name).await?;
    let limit = U256::from(LIST_MAX);
    let versions = names.all(|from| INames::versionsCall { name: name.to_owned(), from, limit }).await?;
    let delegates = names.ask(&INames::delegatesCall { name: name.to_owned() }).await?;
    if node.json {
        let mut shown = to_json(&found);
        if let Some(fields) = shown.as_object_mut() {
            fields.insert("delegates".to_owned(), json!(delegates));
            fields.insert("published".to_owned(), versions.iter().map(version_json).collect());
        }
        say(shown)?;
        return Ok(());
    }
    let mut table = Table::new();
    table.line("name", printable(&found.name)).line("kind", kind(found.kind)).line("alias", found.aliasAddress);
    table.line("node", found.node).line("owner", found.owner);
    for delegate in delegates {
        table.line("delegate", delegate);
    }
    table.line("answers", if found.current.is_empty() { "-" } else { found.current.as_str() });
    if !found.canary.version.is_empty() {
        table.line("canary", canary_text(&found.canary));
    }
    print(table)?;
    if versions.is_empty() {
        return Ok(());
    }
    let mut rows = vec![["version", "target", "published", "abi", "metadata"].map(str::to_owned).to_vec()];
    for version in versions {
        let has_abi = if version.contentType.is_zero() { "no" } else { "yes" }.to_owned();
        rows.push(vec![version.version, version.target.to_string(), utc(version.time), has_abi, version.metadata]);
    }
    print(columns(&rows))?;
    Ok(())
}

fn canary_text(canary: &Canary) -> String {
    let mut text = match canary.rule {
        Address::ZERO => format!("{}, {} of callers", canary.version, percent(canary.basisPoints)),
        rule => format!("{}, by the rule at {rule}", canary.version),
    };
    if !canary.callers.is_zero() {
        text.push_str(&format!(", {} callers listed", canary.callers));
    }
    if canary.held {
        text.push_str(", held");
    }
    text
}

fn to_json(name: &INames::Name) -> Value {
    let INames::Name { name, node, aliasAddress: alias, kind: of_kind, owner, versions, current, target, canary } =
        name;
    let canary = (!canary.version.is_empty()).then(|| {
        json!({
            "version": canary.version, "target": canary.target, "basis_points": canary.basisPoints, "held": canary.held,
            "callers": canary.callers.to_string(), "rule": canary.rule,
        })
    });
    json!({
        "name": name, "node": node, "alias": alias, "kind": kind(*of_kind), "owner": owner,
        "versions": versions.to_string(), "current": current, "target": target, "canary": canary,
    })
}

fn version_json(version: &Version) -> Value {
    let Version { version, target, contentType: content_type, metadata, by, blockNumber: block, time } = version;
    json!({
        "version": version, "target": target, "content_type": content_type.to_string(), "metadata": metadata, "by": by,
        "block": block, "time": time,
    })
}

pub(super) async fn list(node: &NodeArgs) -> Result<()> {
    let limit = U256::from(LIST_MAX);
    let all = Names::of(node)?.all(|from| INames::namesCall { from, limit }).await?;
    if node.json {
        say(json!(all.iter().map(to_json).collect::<Vec<_>>()))?;
        return Ok(());
    }
    let mut rows = vec![["name", "kind", "answers", "canary", "alias", "owner"].map(str::to_owned).to_vec()];
    for name in all {
        let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        let (alias, owner) = (name.aliasAddress.to_string(), name.owner.to_string());
        rows.push(vec![
            name.name,
            kind(name.kind).to_owned(),
            dash(name.current),
            dash(name.canary.version),
            alias,
            owner,
        ]);
    }
    print(columns(&rows))?;
    Ok(())
}

pub(super) async fn history(node: &NodeArgs, name: &str) -> Result<()> {
    let all = Names::of(node)?.history(name).await?;
    if node.json {
        let switches = all.iter().map(|switch| {
            json!({
                "from": switch.from, "to": switch.to, "by": switch.by, "block": switch.blockNumber, "time": switch.time,
                "reason": switch.reason,
            })
        });
        say(json!(switches.collect::<Vec<_>>()))?;
        return Ok(());
    }
    let mut rows = vec![["block", "time", "from", "to", "by", "reason"].map(str::to_owned).to_vec()];
    for switch in all {
        let from = if switch.from.is_empty() { "-".to_owned() } else { switch.from };
        let (block, time) = (switch.blockNumber.to_string(), utc(switch.time));
        rows.push(vec![block, time, from, switch.to, switch.by.to_string(), switch.reason]);
    }
    print(columns(&rows))?;
    Ok(())
}

/// What `lian_nameShares` answers, as far as it is shown.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shares {
    from_block: U64,
    to_block: U64,
    calls: u64,
    callers: u64,
    shares: Vec<Share>,
    canary: Option<ShownCanary>,
}

#[derive(Deserialize)]
struct Share {
    version: Option<String>,
    rule: Option<Address>,
    calls: u64,
    callers: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShownCanary {
    version: String,
    basis_points: u16,
}

pub(super) async fn shares(node: &NodeArgs, name: &str, blocks: u64) -> Result<()> {
    let question = vec![json!(name), json!(blocks)];
    let answer: Result<Value, ClientError> = node.client()?.request("lian_nameShares", question).await;
    let answer = answer.map_err(|error| in_words(error.into(), explain))?;
    if node.json {
        say(answer)?;
        return Ok(());
    }
    let found: Shares = serde_json::from_value(answer).context("the node's answer cannot be read")?;
    let mut rows = vec![["version", "calls", "callers", "share of callers"].map(str::to_owned).to_vec()];
    for Share { version, rule, calls, callers } in &found.shares {
        let version = match (version, rule) {
            (_, Some(rule)) => format!("by the rule at {rule}"),
            (Some(version), None) => printable(version),
            (None, None) => "-".to_owned(),
        };
        let share = callers.saturating_mul(10_000).checked_div(found.callers).unwrap_or_default();
        let share = percent(u16::try_from(share).unwrap_or(u16::MAX));
        rows.push(vec![version, calls.to_string(), callers.to_string(), share]);
    }
    print(columns(&rows))?;
    let (calls, from, to) = (found.calls, found.from_block, found.to_block);
    say(format!("{calls} calls by {} callers in the blocks {from} to {to}", found.callers))?;
    if let Some(ShownCanary { version, basis_points }) = found.canary {
        say(format!("decided: {} for {} of callers", printable(&version), percent(basis_points)))?;
    }
    Ok(())
}
