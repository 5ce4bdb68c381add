//! `lian gov`: members and parameters of a group, by the contracts at 0x2001 and 0x2000.

pub(super) mod explain;

use super::{NodeArgs, decimal, status::columns, text, transact::ChangeArgs};
use crate::output::{print, say};
use alloy_primitives::{Address, Bytes, LogData, U256};
use alloy_sol_types::{SolCall, SolEvent};
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use explain::{explain, role_name};
use lian_client::Table;
use lian_system_contracts::{
    configuration,
    interfaces::{
        IConfiguration,
        IMembers::{self, Role},
    },
    members::{self, NodeRole},
};
use lian_types::{ConsensusKey, PROTOCOL_PARAMETER, PROTOCOL_VERSION_MAX};
use serde_json::{Value, json};
use std::str::FromStr;

/// Show and change a group's members and parameters; changes need an operator's key.
#[derive(Subcommand, Debug)]
pub(crate) enum GovVerb {
    /// Show the nodes: institution, role, endpoint, key; and the epochs.
    Nodes(NodeArgs),
    /// Show the parameters, and changes on their way.
    Parameters(NodeArgs),
    /// Add an institution.
    AddInstitution {
        /// Its name, as in its certificates.
        name: String,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Add a node, as a candidate: it may connect and catch up.
    AddNode {
        /// Its name, as in its certificate.
        name: String,
        /// The institution that runs it.
        institution: String,
        /// The consensus key that it votes with, 0x and 66 hexadecimal digits.
        key: ConsensusKey,
        /// Host and port at which other nodes reach it; without, it must dial.
        #[arg(default_value = "")]
        endpoint: String,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Change where other nodes reach a node.
    SetEndpoint {
        /// Its name.
        name: String,
        /// Host and port; may be empty.
        endpoint: String,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Give nodes other roles, all at once: `node4=sealer node0=observer`.
    SetRole {
        /// A node and its role: sealer, observer, candidate, or none for one that leaves.
        #[arg(required = true, value_name = "NAME=ROLE")]
        roles: Vec<NewRole>,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Change a parameter.
    SetParameter {
        /// Its name, as `lian gov parameters` shows it.
        name: String,
        /// Its value.
        value: u64,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Make an account an operator, or no longer one.
    SetOperator {
        /// The account.
        // Named otherwise than the sender's `--account`.
        #[arg(value_name = "ACCOUNT")]
        operator: Address,
        /// Take the right away.
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        send: ChangeArgs,
    },
}

/// A node and the role that it gets.
#[derive(Clone, Debug)]
pub(crate) struct NewRole {
    name: String,
    role: NodeRole,
}

impl FromStr for NewRole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, role) = text.split_once('=').ok_or("expected a node and its role, like `node4=sealer`")?;
        let role = match role {
            "sealer" => NodeRole::Sealer,
            "observer" => NodeRole::Observer,
            "candidate" => NodeRole::Candidate,
            "none" => NodeRole::None,
            _ => return Err(format!("`{role}` is not a role: sealer, observer, candidate or none")),
        };
        Ok(Self { name: name.to_owned(), role })
    }
}

/// Runs a verb.
///
/// # Errors
/// Why the contract or the node refused; nothing was changed then.
pub(crate) async fn run(verb: GovVerb) -> Result<()> {
    match verb {
        GovVerb::Nodes(node) => nodes(&node).await,
        GovVerb::Parameters(node) => parameters(&node).await,
        GovVerb::AddInstitution { name, send } => change(&send, &IMembers::addInstitutionCall { name }).await,
        GovVerb::AddNode { name, institution, key, endpoint, send } => {
            let key = key.0.to_vec().into();
            change(&send, &IMembers::addNodeCall { name, institution, key, endpoint }).await
        }
        GovVerb::SetEndpoint { name, endpoint, send } => {
            change(&send, &IMembers::setEndpointCall { name, endpoint }).await
        }
        GovVerb::SetRole { roles, send } => {
            let (names, roles) = roles.into_iter().map(|NewRole { name, role }| (name, role_of(role))).unzip();
            change(&send, &IMembers::setRolesCall { names, roles }).await
        }
        GovVerb::SetParameter { name, value, send } => {
            if name == PROTOCOL_PARAMETER && value > PROTOCOL_VERSION_MAX {
                bail!(
                    "this program knows protocol versions up to {PROTOCOL_VERSION_MAX}: every node would stop that knows no more; \
                     upgrade all nodes first, then set version {value} with their program"
                );
            }
            configure(&send, &IConfiguration::setCall { name, value: U256::from(value) }).await
        }
        GovVerb::SetOperator { operator, remove, send } => {
            configure(&send, &IConfiguration::setOperatorCall { account: operator, isOperator: !remove }).await
        }
    }
}

const fn role_of(role: NodeRole) -> Role {
    match role {
        NodeRole::None => Role::None,
        NodeRole::Candidate => Role::Candidate,
        NodeRole::Observer => Role::Observer,
        NodeRole::Sealer => Role::Sealer,
    }
}

async fn nodes(args: &NodeArgs) -> Result<()> {
    let found = view(args, members::ADDRESS, &IMembers::nodesCall {}).await?;
    let epochs = view(args, members::ADDRESS, &IMembers::epochsCall {}).await?;
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

async fn parameters(args: &NodeArgs) -> Result<()> {
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

/// What a contract answers.
async fn view<C: SolCall>(args: &NodeArgs, contract: Address, call: &C) -> Result<C::Return> {
    let request = json!({"to": contract, "input": Bytes::from(call.abi_encode())});
    let answer: Bytes = args.client()?.request("eth_call", vec![request, json!("latest")]).await?;
    if answer.is_empty() {
        bail!(
            "the group of {} has no operators: its members and parameters are those of genesis for ever",
            args.rpc_url
        );
    }
    C::abi_decode_returns(&answer).context("the contract's answer cannot be read")
}

async fn change(args: &ChangeArgs, call: &impl SolCall) -> Result<()> {
    send(args, members::ADDRESS, call.abi_encode()).await
}

async fn configure(args: &ChangeArgs, call: &impl SolCall) -> Result<()> {
    send(args, configuration::ADDRESS, call.abi_encode()).await
}

async fn send(args: &ChangeArgs, contract: Address, input: Vec<u8>) -> Result<()> {
    // A group without the contract would take the transaction and do nothing.
    view(&args.node, configuration::ADDRESS, &IConfiguration::windowCall {}).await?;
    let receipt = args.send(contract, input, explain).await?;
    if args.node.json {
        say(&receipt)?;
    } else {
        print(summary(&receipt))?;
    }
    Ok(())
}

/// Where the change is, and from when on it acts.
fn summary(receipt: &Value) -> Table {
    let mut table = Table::new();
    table.line("transaction", text(receipt, "transactionHash")).line("block", decimal(&receipt["blockNumber"]));
    for log in receipt["logs"].as_array().into_iter().flatten() {
        let topics = log["topics"].as_array().into_iter().flatten().filter_map(|topic| topic.as_str()?.parse().ok());
        let data: Bytes = log["data"].as_str().and_then(|data| data.parse().ok()).unwrap_or_default();
        let data = LogData::new_unchecked(topics.collect(), data);
        if let Ok(IMembers::EpochScheduled { epoch, first, sealers }) = IMembers::EpochScheduled::decode_log_data(&data)
        {
            table.line("epoch", epoch).line("sealers", sealers).line("acts from block", first);
        } else if let Ok(set) = IConfiguration::ParameterSet::decode_log_data(&data) {
            table.line(set.name, set.value).line("acts from block", set.from);
        } else if let Ok(IMembers::NodeSet { name, role, .. }) = IMembers::NodeSet::decode_log_data(&data) {
            table.line(name, role_name(role));
        }
    }
    table
}
