//! `lian bench run`: a load against a running network.

use crate::{
    limit, machine,
    record::Recorder,
    report::{Measured, Report},
    send::{Counters, Sending},
    target::Target,
    tracker::{Progress, Tracker},
    traffic::{metrics_urls, sent_bytes},
    workload::{Account, Done, Load, Workload},
};
use alloy_primitives::Bytes;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// Accounts that send and receive, where nothing else is asked for.
pub const ACCOUNTS: u32 = 10_000;
/// Client connections, where nothing else is asked for.
pub const CONNECTIONS: u32 = 64;
/// Transactions that are signed for a second of saturation, for each core: more than any network on this machine takes.
const SIGNED_PER_CORE: u64 = 4_000;
/// The longest wait for another transaction to become final after the end of the load: several changes of view.
const DRAIN: Duration = Duration::from_secs(60);
/// Between the preparation and the first transaction, so that all connections are open.
const HEAD_START: Duration = Duration::from_millis(100);

/// How fast transactions are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// So many a second, whatever the network does (open loop).
    PerSecond(u64),
    /// As many as the network takes.
    Max,
}

/// What to run.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// What to send.
    pub workload: Workload,
    /// JSON-RPC addresses; connections spread over them. The first is followed for final blocks.
    pub urls: Vec<String>,
    /// How fast.
    pub rate: Rate,
    /// For how long.
    pub seconds: u64,
    /// Accounts that send.
    pub accounts: usize,
    /// Client connections; at most one for each account is opened.
    pub connections: usize,
    /// The nodes' metrics addresses; empty for those that the network's status leads to.
    pub metrics_urls: Vec<String>,
    /// The private key that deploys and funds.
    pub funder: String,
    /// Where to record once a second what the network is doing.
    pub record: Option<PathBuf>,
    /// The whole command, for the report.
    pub command: String,
}

/// Prepares a load, sends it, and checks what has become of it.
///
/// # Errors
/// Where the network does not answer as an Ethereum node, or the set-up fails. A load that fails is in the report.
pub async fn run(config: &RunConfig, progress: &(dyn Fn(&str) + Sync)) -> Result<Report> {
    let url = config.urls.first().context("no address to send to")?;
    let mut target = Target::open(url).await?;
    progress("measuring the machine's primitives");
    let workload = config.workload;
    let limits = tokio::task::spawn_blocking(move || limit::measure(workload)).await??;

    let funder = Account::from_hex(&config.funder)?;
    let nonce = target.nonce(&funder).await?;
    let seed = target.height().await?;
    let mut load = Load::new(workload, seed, config.accounts, funder.address.create(nonce))?;
    if let Some(question) = load.preliminary() {
        let answers = target.ask(&[question]).await?;
        load.learn(answers.first().context("a question was not answered")?)?;
    }
    let turns = usize::try_from(match config.rate {
        Rate::PerSecond(rate) => rate.saturating_mul(config.seconds),
        // More than any network takes; what is not sent is not counted.
        Rate::Max => config.seconds.saturating_mul(SIGNED_PER_CORE).saturating_mul(machine::cores() as u64),
    })?;
    progress(&format!("setting up {} accounts for the workload {}", config.accounts, workload.name()));
    target.set_up(&load, &funder, nonce, turns).await?;
    let before = target.ask(&load.questions(&[])).await?;
    progress(&format!("signing {turns} transactions"));
    let signed = load.sign(&target.terms(), 0..turns)?;

    progress(&format!("sending for {} s", config.seconds));
    let network = Network::of(config, &target.status().await);
    let sent_before = sent_bytes(&network.metrics).await;
    let started = Instant::now() + HEAD_START;
    let tracker = Arc::new(Tracker::start(url, started).await?);
    let counters = Arc::new(Counters::default());
    let recorder = match &config.record {
        Some(path) => {
            let (counters, progress) = (Arc::clone(&counters), Arc::clone(tracker.progress()));
            Some(Recorder::start(path, url, network.ports.clone(), started, counters, progress).await?)
        }
        None => None,
    };
    let used_before = machine::usage(&network.pids);
    let (urls, connections) = (config.urls.clone(), config.connections);
    let sending = Sending { urls, connections, rate: config.rate, seconds: config.seconds, started };
    let sent = sending.run(signed, config.accounts, &tracker, &counters).await?;
    let sending = started.elapsed();
    drain(tracker.progress(), sent.accepted).await;
    let used = machine::usage(&network.pids).since(&used_before);
    let traffic = match (sent_before, sent_bytes(&network.metrics).await) {
        (Ok(before), Ok(after)) => Ok(after.saturating_sub(before)),
        (Err(error), _) | (_, Err(error)) => Err(error),
    };
    if let Some(recorder) = recorder {
        recorder.finish().await?;
    }
    let seen = Arc::into_inner(tracker).context("the tracker is still in use")?.finish().await?;

    progress("checking what has become of them");
    let done = target.done(&seen.finals).await?;
    let reverted = done.iter().filter(|done| !done.success).count() as u64;
    let unfinished = sent.accepted.saturating_sub(seen.finals.len() as u64);
    let verdict = async {
        ensure!(seen.doubled == 0, "{} transactions became final twice", seen.doubled);
        // Behind a transaction that was given up, its account's later ones wait for ever.
        ensure!(unfinished == 0 || sent.dropped > 0, "{unfinished} accepted transactions have not become final");
        check(&mut target, &load, &before, &done).await
    };
    let discrepancy = verdict.await.err().map(|error| format!("{error:#}"));
    let nodes = network.nodes;
    let processes = network.pids.len();
    let measured = Measured { sent, seen, sending, used, processes, traffic, nodes, reverted, discrepancy };
    Ok(Report::new(config, &limits, measured))
}

async fn check(target: &mut Target, load: &Load, before: &[Bytes], done: &[Done]) -> Result<()> {
    let after = target.ask(&load.questions(done)).await?;
    load.check(before, &after, done)
}

/// Waits until everything is final that was accepted, as long as something becomes final now and then.
async fn drain(progress: &Progress, accepted: u64) {
    let (mut finals, mut changed) = (progress.finals(), Instant::now());
    while finals < accepted && changed.elapsed() < DRAIN {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if progress.finals() > finals {
            (finals, changed) = (progress.finals(), Instant::now());
        }
    }
}

/// What is known of the nodes.
struct Network {
    nodes: usize,
    metrics: Vec<String>,
    /// Ports of this machine at which they serve JSON-RPC.
    ports: Vec<u16>,
    /// The processes that do, in the order of the ports.
    pids: Vec<u32>,
}

impl Network {
    /// A network of Lian tells of all its nodes; of others those count that were named.
    fn of(config: &RunConfig, status: &Value) -> Self {
        let others = status["nodes"].as_array();
        let known = std::iter::once(status).chain(others.into_iter().flatten());
        let published = known.filter_map(|node| node["rpc"].as_str()).map(str::to_owned);
        let mut ports: Vec<_> =
            config.urls.iter().cloned().chain(published).filter_map(|url| machine::local_port(&url)).collect();
        ports.sort_unstable();
        ports.dedup();
        let metrics = if config.metrics_urls.is_empty() { metrics_urls(status) } else { config.metrics_urls.clone() };
        let nodes = others.map_or(config.urls.len(), |others| others.len().saturating_add(1));
        Self { nodes, metrics, pids: machine::listeners(&ports), ports }
    }
}
