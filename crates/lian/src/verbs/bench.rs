//! `lian bench`: load against a running network, and the cost of the primitives on this machine.

mod state;

use crate::output::{print, say};
use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use lian_bench::{
    execute::{self, ExecuteConfig},
    limit,
    run::{Rate, RunConfig},
    sync,
};
use lian_client::development_account;
use std::num::NonZeroUsize;

#[derive(Subcommand, Debug)]
pub(crate) enum BenchVerb {
    /// Send a load to a running network and report what became of it.
    Run(RunArgs),
    /// Make a long chain and measure how long a new node takes to join it, by snapshot and by replaying every block.
    Sync(SyncArgs),
    /// Add accounts and blocks to a stopped local network, to measure what a large state and a long chain cost.
    State(state::StateArgs),
    /// Execute blocks from memory on several threads and one after the other, and compare.
    Execute(ExecuteArgs),
    /// Measure the primitives that bound a transfer, each by the plain library call in a tight loop.
    Limit {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// What to execute, and on how many threads.
#[derive(Args, Debug)]
pub(crate) struct ExecuteArgs {
    /// Numbers of threads.
    #[arg(long, num_args = 1.., value_delimiter = ',', default_value = "1,2")]
    threads: Vec<NonZeroUsize>,
    /// Percentages of the transactions that conflict with each other: that pay one account, or swap on one route.
    #[arg(long, num_args = 1.., value_delimiter = ',', default_value = "0,10,50,100",
        value_parser = clap::value_parser!(u8).range(0..=100))]
    conflict: Vec<u8>,
    /// Accounts, which take turns in sending. With less than twice as many as transactions they meet by chance, too.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    keys: u32,
    /// Transactions of a block.
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    transactions: u32,
    /// How often each is measured; the best counts.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What to join, and what to compare with.
#[derive(Args, Debug)]
pub(crate) struct SyncArgs {
    /// Blocks of the chain, each with one transaction.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    blocks: u64,
    /// Blocks a second of the live network to compare with; the default is what docs/performance.md has for four nodes at a
    /// light load.
    #[arg(long, default_value_t = 214)]
    live_rate: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Workload {
    /// An OpenZeppelin ERC-20 among 10,000 funded accounts.
    Transfer,
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// What to send.
    #[arg(long, default_value = "transfer")]
    workload: Workload,
    /// Transactions a second, or `max` for as many as the network takes.
    #[arg(long, default_value = "max", value_parser = parse_rate)]
    rate: Rate,
    /// For how many seconds.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Nodes' JSON-RPC addresses; the client's connections spread over them.
    #[arg(long, env = "LIAN_RPC_URL", num_args = 1.., value_delimiter = ',', default_value = "http://127.0.0.1:8545")]
    rpc_url: Vec<String>,
    /// Another system's Ethereum JSON-RPC addresses, which are sent the same load instead.
    #[arg(long, conflicts_with = "rpc_url", num_args = 1.., value_delimiter = ',', value_name = "URL")]
    against: Vec<String>,
    /// Nodes' metrics addresses, for the bytes that they send each other; by default 1000 above their JSON-RPC ports.
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "URL")]
    metrics_url: Vec<String>,
    /// The key that deploys and funds; the first development account's where absent.
    #[arg(long, env = "LIAN_PRIVATE_KEY", hide_env_values = true)]
    private_key: Option<String>,
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

/// Runs a benchmark.
///
/// # Errors
/// What the load met, and a balance check that failed.
pub(crate) fn run(verb: BenchVerb) -> Result<()> {
    match verb {
        BenchVerb::Limit { json } => {
            let limits = limit::measure()?;
            if json {
                say(serde_json::to_string(&limits)?)?;
            } else {
                print(limit::table(&limits))?;
            }
            Ok(())
        }
        BenchVerb::Sync(args) => {
            let SyncArgs { blocks, live_rate, json } = args;
            let report = sync::measure(blocks, f64::from(live_rate), command_line(), &|step| eprintln!("{step}"))?;
            if json {
                say(serde_json::to_string(&report)?)?;
            } else {
                print(report.table())?;
            }
            Ok(())
        }
        BenchVerb::State(args) => state::run(&args),
        BenchVerb::Execute(args) => {
            let ExecuteArgs { threads, conflict: conflicts, keys, transactions, rounds, json } = args;
            let (keys, transactions) = (usize::try_from(keys)?, usize::try_from(transactions)?);
            let config = ExecuteConfig { threads, conflicts, keys, transactions, rounds, command: command_line() };
            let report = execute::measure(&config, &|step| eprintln!("{step}"))?;
            if json {
                say(serde_json::to_string(&report)?)?;
            } else {
                print(report)?;
            }
            Ok(())
        }
        BenchVerb::Run(args) => tokio::runtime::Runtime::new()?.block_on(load(args)),
    }
}

async fn load(args: RunArgs) -> Result<()> {
    let Workload::Transfer = args.workload;
    let funder = match args.private_key {
        Some(key) => key,
        None => development_account(0)?.1,
    };
    let config = RunConfig {
        urls: if args.against.is_empty() { args.rpc_url } else { args.against },
        metrics_urls: args.metrics_url,
        rate: args.rate,
        seconds: args.seconds,
        funder,
        command: command_line(),
    };
    let report = lian_bench::run::run(&config, &|step| eprintln!("{step}")).await?;
    if args.json {
        say(serde_json::to_string(&report)?)?;
    } else {
        print(&report)?;
    }
    if !report.conserved {
        bail!("the balance check failed: transfers were lost or doubled, so the figures do not count");
    }
    Ok(())
}

/// What was typed, without a key.
fn command_line() -> String {
    let mut is_key = false;
    let words = std::env::args().map(|word| {
        let hidden = is_key || word.starts_with("--private-key=");
        is_key = word == "--private-key";
        if hidden { "…".to_owned() } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}
