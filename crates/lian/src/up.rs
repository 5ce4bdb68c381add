//! `lian up`: a local network, one operating system process per node.

mod child;
mod network;
mod readiness;

use crate::{
    layout::{Consensus, Crypto},
    output,
    ports::Listener,
    stop::StopSignals,
};
use anyhow::{Context, Result, bail};
use child::{Child, Ending};
use clap::Args;
use lian_client::Table;
use network::LocalNetwork;
use std::path::PathBuf;
use tokio::{sync::watch, task::JoinSet};

#[derive(Args, Debug)]
pub(crate) struct UpVerb {
    /// The network's folder; made if it does not exist.
    #[arg(long, default_value = "net")]
    dir: PathBuf,
    /// How many nodes a new network has [default: 4].
    #[arg(long, value_parser = parse_node_count)]
    nodes: Option<usize>,
    /// How the nodes of a new network agree [default: pbft].
    #[arg(long)]
    consensus: Option<Consensus>,
    /// The cryptographic suite of a new network [default: standard].
    #[arg(long)]
    crypto: Option<Crypto>,
    /// Added to every port; an existing network moves to the ports that follow [default: 0, or as it is].
    #[arg(long)]
    port_offset: Option<u16>,
}

fn parse_node_count(text: &str) -> Result<usize, String> {
    let max = lian_types::limits::MEMBERS_MAX;
    match text.parse() {
        Ok(count) if (1..=max).contains(&count) => Ok(count),
        _ => Err(format!("must be a number from 1 to {max}")),
    }
}

/// Runs the network until it is told to stop.
///
/// # Errors
/// A folder, option or port that cannot be used, before anything is started; a node that cannot start; all nodes gone.
pub(crate) fn run(verb: &UpVerb) -> Result<()> {
    let network = LocalNetwork::open_or_create(verb)?;
    network.check()?;
    let obstacle = network.listeners().iter().find_map(Listener::obstacle);
    if let Some(obstacle) = obstacle {
        bail!("{obstacle}; stop that program, or choose other ports: --port-offset 100");
    }
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(supervise(&network))
}

/// Starts the nodes, says when they are ready, and stops them at the end.
async fn supervise(network: &LocalNetwork) -> Result<()> {
    let mut signals = StopSignals::listen(false)?;
    let (stop, stopping) = watch::channel(false);
    let mut children = JoinSet::new();
    for node in &network.nodes {
        let child = Child::new(node)?;
        children.spawn(child.keep_running(stopping.clone()));
    }
    let outcome = tokio::select! {
        outcome = watch_over(network, &mut children) => outcome,
        _ = signals.requested() => Ok(()),
    };
    // Whatever happened, the nodes are stopped cleanly, even if nobody reads the output any more.
    let stopping = output::say("stopping");
    // The receivers live in the children; none is left where all have ended.
    let _ = stop.send(true);
    while children.join_next().await.is_some() {}
    outcome?;
    stopping?;
    output::say("stopped")?;
    Ok(())
}

/// Tells about the network, waits until it is ready, says so, and then waits until no node is left.
async fn watch_over(network: &LocalNetwork, children: &mut JoinSet<Ending>) -> Result<()> {
    describe(network)?;
    tokio::select! {
        biased;
        ended = children.join_next() => {
            // What a node says before the network was ever ready is wrong with its folder or its machine.
            let ending = ended.context("no node was started")??;
            bail!("{}", ending.reason);
        }
        ready = readiness::wait(network) => ready?,
    }
    output::say("ready")?;
    let mut last = String::new();
    while let Some(ending) = children.join_next().await {
        let Ending { name, reason } = ending?;
        eprintln!("{}", output::printable(&format!("{reason}; the others keep running without {name}")));
        last = reason;
    }
    bail!("no node is left; {last}")
}

/// What a newcomer needs to know about the network.
fn describe(network: &LocalNetwork) -> Result<()> {
    let mut table = Table::new();
    let dir = network.dir.display();
    table.line("network", format!("{dir}, {}, {}", network.summary(), network.suite.name()));
    table.line("chain id", network.chain_id());
    for node in &network.nodes {
        let (rpc, metrics) = (node.config.rpc.listen, node.config.metrics.listen);
        table.line(node.name(), format!("http://{rpc}  ws://{rpc}  metrics http://{metrics}/metrics"));
    }
    table.line("logs", format!("{dir}/node*/logs/{}", child::LOG_FILE));
    output::print(table)?;
    let funded = network.development_accounts()?;
    if !funded.is_empty() {
        output::say(
            "\naccounts with 10,000 coins each; their keys are public: never use them where value is at stake",
        )?;
        for (index, (address, key)) in funded.iter().enumerate() {
            output::say(format!("{index}  {address}  {key}"))?;
        }
    }
    output::say("\nCtrl-C stops all nodes; the next `lian up` goes on from the same data")?;
    Ok(())
}
