//! `lian bench`: load against a running network, and the cost of the primitives on this machine.

mod state;

use crate::output::{print, say};
use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use lian_bench::{
    limit,
    run::{Rate, RunConfig},
    sync,
};
use lian_client::development_account;

#[derive(Subcommand, Debug)]
pub(crate) enum BenchVerb {
    /// Send a load to a running network and report what became of it.
    Run(RunArgs),
    /// Make a long chain and measure how long a new node takes to join it, by snapshot and by replaying every block.
    Sync(SyncArgs),
    /// Add accounts and blocks to a stopped local network, to measure what a large state and a long chain cost.
    State(state::StateArgs),
    /// Measure the primitives that bound a transfer, each by the plain library call in a tight loop.
    Limit {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
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
