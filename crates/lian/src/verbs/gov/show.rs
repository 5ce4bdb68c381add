//! Members and parameters, as a node's chain has them.

use super::explain::role_name;
use crate::{
    output::{print, say},
    verbs::{NodeArgs, status::columns},
};
use alloy_primitives::{Address, Bytes};
use alloy_sol_types::SolCall;
use anyhow::{Context, Result, bail};
use lian_client::Table;
use lian_system_contracts::{
    committee, configuration,
    interfaces::{
        ICommittee::{self, Member},
        IConfiguration, IMembers,
    },
};
use serde_json::json;

pub(super) async fn nodes(args: &NodeArgs) -> Result<()> {
    let found = view(args, lian_system_contracts::members::ADDRESS, &IMembers::nodesCall {}).await?;
    let epochs = view(args, lian_system_contracts::members::ADDRESS, &IMembers::epochsCall {}).await?;
    if args.json {
        let node = |node: &IMembers::Node| {
            json!({
                "name": node.name, "institution": node.institution, "role": role_name(node.role),
                "endpoint": node.endpoint, "key": node.key,
            })
        };
        let epoch = |epoch: &IMembers::Epoch| json!({"epoch": epoch.epoch, "first": epoch.first, "keys": epoch.keys});
        let nodes: Vec<_> = found.iter().map(node).collect();
        say(json!({"nodes": nodes, "current": epoch(&epochs.current), "next": epoch(&epochs.next)}))?;
        return Ok(());
    }
    let mut rows = vec![["node", "institution", "role", "endpoint", "key"].map(str::to_owned).to_vec()];
    for node in &found {
        let endpoint = if node.endpoint.is_empty() { "-".to_owned() } else { node.endpoint.clone() };
        let key = node.key.to_string();
        rows.push(vec![node.name.clone(), node.institution.clone(), role_name(node.role).to_owned(), endpoint, key]);
    }
    print(columns(&rows))?;
    let IMembers::epochsReturn { current, next } = epochs;
    say(format!("epoch {} of {} sealers from block {} on", current.epoch, current.keys.len(), current.first))?;
    if next.epoch != current.epoch {
        say(format!("epoch {} of {} sealers comes at block {}", next.epoch, next.keys.len(), next.first))?;
    }
    Ok(())
}

pub(super) async fn parameters(args: &NodeArgs) -> Result<()> {
    let found = view(args, configuration::ADDRESS, &IConfiguration::parametersCall {}).await?;
    if args.json {
        let parameter = |parameter: &IConfiguration::Parameter| {
            let IConfiguration::Parameter { name, value, next, nextFrom } = parameter;
            json!({"name": name, "value": value.to_string(), "next": next.to_string(), "next_from": nextFrom})
        };
        say(json!(found.iter().map(parameter).collect::<Vec<_>>()))?;
        return Ok(());
    }
    let mut table = Table::new();
    for IConfiguration::Parameter { name, value, next, nextFrom } in found {
        let change = if nextFrom == 0 { String::new() } else { format!(" ({next} from block {nextFrom} on)") };
        table.line(name, format!("{value}{change}"));
    }
    print(table)?;
    Ok(())
}

/// The committee's members; none where there is no committee.
pub(super) async fn members(node: &NodeArgs) -> Result<Vec<Member>> {
    Ok(view_if_any(node, committee::ADDRESS, &ICommittee::membersCall {}).await?.unwrap_or_default())
}

/// What a contract answers.
pub(in crate::verbs) async fn view<C: SolCall>(args: &NodeArgs, contract: Address, call: &C) -> Result<C::Return> {
    match view_if_any(args, contract, call).await? {
        Some(answer) => Ok(answer),
        None => bail!(
            "the group of {} has no operators and no committee: its members and parameters are those of genesis for ever",
            args.rpc_url
        ),
    }
}

/// What a contract answers, if there is one.
pub(in crate::verbs) async fn view_if_any<C: SolCall>(
    args: &NodeArgs,
    contract: Address,
    call: &C,
) -> Result<Option<C::Return>> {
    let request = json!({"to": contract, "input": Bytes::from(call.abi_encode())});
    let answer: Result<Bytes, _> = args.client()?.request("eth_call", vec![request, json!("latest")]).await;
    let answer = answer.map_err(|error| crate::verbs::transact::in_words(error.into(), super::explain::explain))?;
    if answer.is_empty() {
        return Ok(None);
    }
    C::abi_decode_returns(&answer).map(Some).context("the contract's answer cannot be read")
}
