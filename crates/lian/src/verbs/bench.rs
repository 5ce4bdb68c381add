//! `lian bench`: load against a running network, and the cost of the primitives on this machine.

mod plot;
mod run;
mod state;

use crate::output::{print, say};
use anyhow::Result;
use clap::{Args, Subcommand};
use lian_bench::{
    execute::{self, ExecuteConfig},
    limit,
    order::{self, OrderConfig},
    rules::{self, RulesConfig},
    sync,
};
use std::num::NonZeroUsize;

#[derive(Subcommand, Debug)]
pub(crate) enum BenchVerb {
    /// Send a load to a running network, or to another system, and report what became of it.
    Run(run::RunArgs),
    /// Draw reports and records as SVG.
    Plot(plot::PlotArgs),
    /// Make a long chain and measure how long a new node takes to join it, by snapshot and by replaying every block.
    Sync(SyncArgs),
    /// Add accounts and blocks to a stopped local network, to measure what a large state and a long chain cost.
    State(state::StateArgs),
    /// Have four members in this process order opaque payloads, without execution, and report how many they order.
    Order(OrderArgs),
    /// Execute blocks from memory on several threads and one after the other, and compare.
    Execute(ExecuteArgs),
    /// Execute a block of transfers on chains with and without rules about who may call, and by aliases, and compare.
    Rules(RulesArgs),
    /// Measure the primitives that bound a transaction, each by the plain library call in a tight loop.
    Limit {
        /// Whose transactions are measured.
        #[arg(long, default_value = "transfer")]
        workload: run::WorkloadName,
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
    /// Blocks in a row: more than one are executed as a node does, which leaves its threads for a while where most
    /// transactions conflict.
    #[arg(long, default_value_t = NonZeroUsize::MIN)]
    blocks: NonZeroUsize,
    /// How often each is measured; the best counts.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What to execute.
#[derive(Args, Debug)]
pub(crate) struct RulesArgs {
    /// Accounts, which take turns in sending.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    keys: u32,
    /// Transfers of the block.
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    transactions: u32,
    /// How often each is measured; the median counts.
    #[arg(long, default_value_t = 51, value_parser = clap::value_parser!(u32).range(1..=1_000))]
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

/// What to order.
#[derive(Args, Debug)]
pub(crate) struct OrderArgs {
    /// Bytes of a payload.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=16_384))]
    payload: u32,
    /// For how many seconds payloads are sent.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Payloads that are outstanding at most.
    #[arg(long, default_value_t = 40_000, value_parser = clap::value_parser!(u32).range(4..=1_000_000))]
    outstanding: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs a benchmark.
///
/// # Errors
/// What the load met, and a balance check that failed.
pub(crate) fn run(verb: BenchVerb) -> Result<()> {
    match verb {
        BenchVerb::Limit { workload, json } => {
            let limits = limit::measure(workload.workload(None))?;
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
            let ExecuteArgs { threads, conflict: conflicts, keys, transactions, blocks, rounds, json } = args;
            let (keys, transactions) = (usize::try_from(keys)?, usize::try_from(transactions)?);
            let command = command_line();
            let config = ExecuteConfig { threads, conflicts, keys, transactions, blocks, rounds, command };
            let report = execute::measure(&config, &|step| eprintln!("{step}"))?;
            if json {
                say(serde_json::to_string(&report)?)?;
            } else {
                print(report)?;
            }
            Ok(())
        }
        BenchVerb::Rules(args) => {
            let RulesArgs { keys, transactions, rounds, json } = args;
            let (keys, transactions) = (usize::try_from(keys)?, usize::try_from(transactions)?);
            let config = RulesConfig { keys, transactions, rounds, command: command_line() };
            let report = rules::measure(&config, &|step| eprintln!("{step}"))?;
            if json {
                say(serde_json::to_string(&report)?)?;
            } else {
                print(report)?;
            }
            Ok(())
        }
        BenchVerb::Order(args) => {
            let OrderArgs { payload, seconds, outstanding, json } = args;
            let (payload_bytes, outstanding) = (usize::try_from(payload)?, usize::try_from(outstanding)?);
            let config = OrderConfig { payload_bytes, seconds, outstanding, command: command_line() };
            let runtime = tokio::runtime::Runtime::new()?;
            let report = runtime.block_on(order::measure(&config, &|step| eprintln!("{step}")))?;
            if json {
                say(serde_json::to_string(&report)?)?;
            } else {
                print(report.table())?;
            }
            Ok(())
        }
        BenchVerb::Run(args) => tokio::runtime::Runtime::new()?.block_on(run::run(args)),
        BenchVerb::Plot(args) => plot::run(&args),
    }
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
