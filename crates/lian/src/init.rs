//! `lian init`: a network on several hosts.

mod join;

use crate::{
    layout::{CA_FOLDER, Consensus, Crypto, NodePlan, OPERATOR_KEY_FILE, Plan},
    output,
    ports::Ports,
    verbs::{gov::NewMember, transact::parse_value},
};
use alloy_primitives::{Address, U256};
use anyhow::{Context, Result, bail};
use clap::Args;
use lian_client::Table;
use lian_types::{CommitteeGenesis, limits};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

#[derive(Args, Debug)]
pub(crate) struct InitArgs {
    /// The folder to make; it must not exist, or be empty.
    #[arg(long, required_unless_present = "join")]
    dir: Option<PathBuf>,
    /// Make one further node of an existing network, in that network's folder, from the authority in it.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["dir", "accounts", "operators", "committee", "consensus", "crypto"])]
    join: Option<PathBuf>,
    /// The further node's name.
    #[arg(long, requires = "join")]
    name: Option<String>,
    /// The institution that runs the further node; made if it is new [default: the node's name with `bank` for `node`].
    #[arg(long, requires = "join")]
    institution: Option<String>,
    /// A host, and how many nodes run there: `10.0.0.1:2`; one, where no number is given. One or several.
    #[arg(long = "host", required = true, num_args = 1.., value_name = "IP[:COUNT]")]
    hosts: Vec<Host>,
    /// Accounts that may change members and parameters. Without any, a key is made in the folder `ca`.
    #[arg(long = "operator", num_args = 1.., value_name = "ADDRESS")]
    operators: Vec<Address>,
    /// A committee that decides from the first block on in place of operators: each member's account, institution and weight.
    #[arg(long, num_args = 1.., value_name = "ACCOUNT=INSTITUTION:WEIGHT", conflicts_with = "operators",
        requires_all = ["participation", "approval"])]
    committee: Vec<NewMember>,
    /// How many per cent of the committee's weight must have voted, 1 to 100.
    #[arg(long, requires = "committee")]
    participation: Option<u8>,
    /// How many per cent of what has voted must approve, 51 to 100.
    #[arg(long, requires = "committee")]
    approval: Option<u8>,
    /// Accounts that own coins from the start: `0x…=1000ether`. Without any, nobody owns coins; none are needed to transact.
    #[arg(long, num_args = 1.., value_name = "ADDRESS=AMOUNT")]
    accounts: Vec<Grant>,
    /// How the nodes agree.
    #[arg(long, default_value = "pbft")]
    consensus: Consensus,
    /// The cryptographic suite.
    #[arg(long, default_value = "standard")]
    crypto: Crypto,
    /// Added to every port.
    #[arg(long, default_value_t = 0)]
    port_offset: u16,
}

/// A host and its number of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Host {
    name: String,
    count: usize,
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, count) = match text.rsplit_once(':') {
            Some(parts) if text.parse::<IpAddr>().is_err() && !text.ends_with(']') => parts,
            _ => (text, "1"),
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let is_dns_name = || {
            let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            !name.is_empty() && name.len() <= 253 && name.chars().all(allowed)
        };
        if bare.parse::<IpAddr>().is_err() && !is_dns_name() {
            return Err(format!("`{name}` is neither an IP address nor a host name"));
        }
        match count.parse() {
            Ok(count) if (1..=limits::MEMBERS_MAX).contains(&count) => Ok(Self { name: bare.to_owned(), count }),
            _ => Err(format!("`{count}` is not a number of nodes from 1 to {}", limits::MEMBERS_MAX)),
        }
    }
}

/// Coins of an account at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    address: Address,
    amount: U256,
}

impl FromStr for Grant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, amount) = text.split_once('=').ok_or("expected `0x…=1000ether`")?;
        let address = address.parse().map_err(|error| format!("`{address}` is not an address: {error}"))?;
        Ok(Self { address, amount: parse_value(amount)? })
    }
}

/// Makes the network's folder and says what to do with it.
///
/// # Errors
/// An existing folder, contradicting options, or what the operating system refused; nothing is left behind then.
pub(crate) fn run(args: &InitArgs) -> Result<()> {
    let passphrase = std::env::var_os(crate::layout::KEY_PASSPHRASE)
        .map(|text| text.into_string().ok().context("LIAN_KEY_PASSPHRASE is not UTF-8"))
        .transpose()?;
    if let Some(network) = &args.join {
        return join(args, network, passphrase.as_deref());
    }
    let Some(dir) = &args.dir else { bail!("give --dir or --join") };
    let plan = plan(args, passphrase)?.create(dir)?;
    let mut table = Table::new();
    table.line("network", dir.display());
    table.line("nodes", plan.nodes.len());
    table.line("chain id", crate::layout::CHAIN_ID);
    for node in &plan.nodes {
        table.line(node.name.clone(), format!("{} ({})", node.advertised(), node.institution));
    }
    for operator in &plan.operators {
        table.line("operator", operator);
    }
    output::print(table)?;
    let ca = dir.join(CA_FOLDER);
    if let Some(committee) = &plan.committee {
        output::say(format!(
            "A committee of {} decides; `lian gov committee` shows it once the nodes run.",
            committee.members.len()
        ))?;
    } else if args.operators.is_empty() {
        output::say(format!("The operator's private key is in {}.", ca.join(OPERATOR_KEY_FILE).display()))?;
    }
    output::say(format!(
        "Copy each node's folder to its host and start it there: lian node --config {}/config.toml\n\
         Keep {} in a safe place: it makes certificates, and no node needs it.",
        plan.nodes.first().map_or("node0", |node| &node.name),
        ca.display(),
    ))?;
    Ok(())
}

fn join(args: &InitArgs, network: &Path, passphrase: Option<&str>) -> Result<()> {
    let Some(name) = &args.name else { bail!("give the further node's --name") };
    let [host] = args.hosts.as_slice() else { bail!("a further node runs on one --host, {} given", args.hosts.len()) };
    if host.count != 1 {
        bail!("`--host {}:{}` asks for {} nodes; --join makes one", host.name, host.count, host.count);
    }
    let institution = args.institution.clone().unwrap_or_else(|| name.replacen("node", "bank", 1));
    let port_offset = args.port_offset;
    join::Join { network, name, institution: &institution, host, port_offset, passphrase }.run()
}

fn plan(args: &InitArgs, passphrase: Option<String>) -> Result<Plan> {
    let mut nodes = Vec::new();
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    for host in &args.hosts {
        for _ in 0..host.count {
            let on_host = used.entry(&host.name).or_default();
            let ports = Ports::of(*on_host, args.port_offset)?;
            *on_host = on_host.saturating_add(1);
            nodes.push(NodePlan::new(nodes.len(), &host.name, ports));
        }
    }
    if nodes.len() > limits::MEMBERS_MAX {
        bail!("{} nodes in all, a group takes at most {}", nodes.len(), limits::MEMBERS_MAX);
    }
    let mut balances = BTreeMap::new();
    for grant in &args.accounts {
        if balances.insert(grant.address, grant.amount).is_some() {
            bail!("account {} is given twice", grant.address);
        }
    }
    let (suite, consensus, operators) = (args.crypto.suite(), args.consensus.kind(), args.operators.clone());
    let committee = match (args.participation, args.approval) {
        (Some(participation), Some(approval)) => {
            let members = args.committee.iter().cloned().map(Into::into).collect();
            Some(CommitteeGenesis { participation, approval, members })
        }
        _ => None,
    };
    Ok(Plan { nodes, suite, consensus, balances, operators, committee, passphrase })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let host = |name: &str, count| Ok(Host { name: name.into(), count });
        assert_eq!("10.0.0.1:2".parse(), host("10.0.0.1", 2));
        assert_eq!("10.0.0.1".parse(), host("10.0.0.1", 1));
        assert_eq!("::1".parse(), host("::1", 1));
        assert_eq!("[::1]:1".parse(), host("::1", 1));
        assert_eq!("node.bank.example:3".parse(), host("node.bank.example", 3));
        for text in ["", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:129", ":2", "a b:1", "10.0.0.1:-1"] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
    }

    #[test]
    fn grants() {
        let address = "f39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
        let grant: Grant = format!("0x{address}=2ether").parse().unwrap();
        assert_eq!(grant.amount, U256::from(2_000_000_000_000_000_000u128));
        for text in
            ["", "0x12=1", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266=x"]
        {
            assert!(text.parse::<Grant>().is_err(), "{text}");
        }
    }
}
