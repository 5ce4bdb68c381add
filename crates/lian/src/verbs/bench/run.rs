//! `lian bench run`: a load against a running network or another system.

use super::command_line;
use crate::output::{print, say};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use lian_bench::{
    plot::{self, Figures},
    run::{ACCOUNTS, CONNECTIONS, Rate, RunConfig},
    workload::{Skew, Workload},
};
use lian_client::development_account;
use std::{fs, path::PathBuf};

/// Most accounts of a load.
const ACCOUNTS_MAX: i64 = 1_000_000;
/// Most connections: what a node of Lian takes by default.
const CONNECTIONS_MAX: i64 = 1_024;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum WorkloadName {
    /// An OpenZeppelin ERC-20: accounts pay each other.
    Transfer,
    /// The same token: everybody pays one account.
    Hot,
    /// Smallbank: six programs in equal parts, on as many customers as accounts.
    Smallbank,
    /// Every transaction creates a small contract.
    Deploy,
    /// Plain transfers of one wei between accounts.
    Value,
    /// An asset of the chain's own ledger: accounts pay each other.
    Native,
    /// The same asset: everybody pays one account.
    NativeHot,
}

impl WorkloadName {
    pub(super) const fn workload(self, skew: Option<Skew>) -> Workload {
        match self {
            Self::Transfer => Workload::Transfer,
            Self::Hot => Workload::Hot,
            Self::Smallbank => Workload::Smallbank(skew),
            Self::Deploy => Workload::Deploy,
            Self::Value => Workload::Value,
            Self::Native => Workload::Native,
            Self::NativeHot => Workload::NativeHot,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// What to send.
    #[arg(long, default_value = "transfer")]
    workload: WorkloadName,
    /// Transactions a second whatever the network does (open loop), or `max` for as many as the network takes.
    #[arg(long, default_value = "max", value_parser = parse_rate)]
    rate: Rate,
    /// For how many seconds.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Accounts that send in turn; each is funded before the load.
    #[arg(long, default_value_t = ACCOUNTS, value_parser = clap::value_parser!(u32).range(2..=ACCOUNTS_MAX))]
    accounts: u32,
    /// Client connections; each sends for its own accounts.
    #[arg(long, default_value_t = CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..=CONNECTIONS_MAX))]
    connections: u32,
    /// Smallbank: how many customers are in the hot spot.
    #[arg(long, requires = "hot_share", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=ACCOUNTS_MAX))]
    hot_accounts: Option<u32>,
    /// Smallbank: how many per cent of the customers that programs name are from the hot spot.
    #[arg(long, requires = "hot_accounts", value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    hot_share: Option<u8>,
    /// Nodes' JSON-RPC addresses; the client's connections spread over them.
    #[arg(long, env = "LIAN_RPC_URL", num_args = 1.., value_delimiter = ',', default_value = "http://127.0.0.1:8545")]
    rpc_url: Vec<String>,
    /// Another system's Ethereum JSON-RPC addresses, which are sent the same load instead. Fees are paid where it charges
    /// any; the last block counts as final.
    #[arg(long, conflicts_with = "rpc_url", num_args = 1.., value_delimiter = ',', value_name = "URL")]
    against: Vec<String>,
    /// Nodes' metrics addresses, for the bytes that they send each other; by default 1000 above their JSON-RPC ports.
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "URL")]
    metrics_url: Vec<String>,
    /// The key that deploys and funds; the first development account's where absent.
    #[arg(long, env = "LIAN_PRIVATE_KEY", hide_env_values = true)]
    private_key: Option<String>,
    /// Draw the distribution of latencies and the final transactions of each second.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write once a second height, pool, final transactions, and each node's memory and processor time, as CSV.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    match text.parse() {
        Ok(rate @ 1..) => Ok(Rate::PerSecond(rate)),
        _ if text == "max" => Ok(Rate::Max),
        _ => Err("must be a number of transactions a second, at least 1, or `max`".to_owned()),
    }
}

/// Runs the load and prints its report.
///
/// # Errors
/// What the load met, and a check at the end that failed.
pub(super) async fn run(args: RunArgs) -> Result<()> {
    let skew = match (args.hot_accounts, args.hot_share) {
        (Some(accounts), Some(hot_percent)) => Some(Skew { hot_customers: usize::try_from(accounts)?, hot_percent }),
        _ => None,
    };
    if skew.is_some() && !matches!(args.workload, WorkloadName::Smallbank) {
        bail!("--hot-accounts and --hot-share belong to --workload smallbank");
    }
    let funder = match args.private_key {
        Some(key) => key,
        None => development_account(0)?.1,
    };
    let config = RunConfig {
        workload: args.workload.workload(skew),
        urls: if args.against.is_empty() { args.rpc_url } else { args.against },
        rate: args.rate,
        seconds: args.seconds,
        accounts: usize::try_from(args.accounts)?,
        connections: usize::try_from(args.connections)?,
        metrics_urls: args.metrics_url,
        funder,
        record: args.record,
        command: command_line(),
    };
    let report = lian_bench::run::run(&config, &|step| eprintln!("{step}")).await?;
    let json = serde_json::to_string(&report)?;
    if args.json {
        say(&json)?;
    } else {
        print(&report)?;
    }
    if let Some(path) = &args.svg {
        let svg = plot::draw(&[Figures::parse(report.workload, &json)?])?;
        fs::write(path, svg).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(what) = report.discrepancy {
        bail!("the check at the end failed, so the figures do not count: {what}");
    }
    Ok(())
}
