//! A node at work: what starts, in which order, and how it stops.

use super::{
    NodeFolder,
    admin::AdminServer,
    metrics::{Observed, Watched},
};
use crate::stop::{self, StopSignals};
use anyhow::{Result, anyhow};
use lian_group::{Node, NodeSetup};
use lian_network::{Network, NetworkConfig, NetworkHandle, NetworkLimits};
use lian_rpc::{Origins, RpcConfig, RpcServer};
use std::time::Duration;

/// How long a stopping node may take before the process ends anyway. Its ledger is durable at any moment.
pub(super) const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// Starts everything, waits for the end, stops everything in the opposite order.
pub(super) async fn serve(folder: NodeFolder, follow_stdin: bool) -> Result<()> {
    let mut signals = StopSignals::listen(follow_stdin)?;
    let observed = Observed::start(&folder).await?;
    tracing::info!(node = folder.config.name, version = env!("CARGO_PKG_VERSION"), "node starts");
    let rpc_config = RpcConfig {
        origins: Origins::parse(&folder.config.rpc.cors_origins)?,
        tokens: folder.config.rpc.tokens.clone(),
        ..RpcConfig::new(folder.config.rpc.listen)
    };
    let (network, events) = Network::start(network_config(&folder)).await?;
    let setup = NodeSetup {
        genesis: folder.genesis.clone(),
        name: folder.config.name.clone(),
        key: folder.key.clone(),
        data_dir: folder.config.storage.dir.clone(),
        rpc: folder.config.rpc.advertised.clone(),
        history: folder.config.storage.history.depth()?,
        data: folder.config.data_policy()?,
        network: Some((network.clone(), events)),
    };
    // Opening a ledger reads and may replay much, or fetch a snapshot; the threads of the runtime serve sockets meanwhile.
    let mut starting = tokio::task::spawn_blocking(move || lian_group::start(setup));
    let started = tokio::select! {
        started = &mut starting => started?,
        reason = signals.requested() => {
            tracing::info!(reason, "node stops while it starts");
            stop::within(STOP_PATIENCE);
            // Whoever waits for other nodes ends by this.
            network.shutdown().await;
            if let Ok(node) = starting.await? {
                stop_node(node, network).await;
            }
            return Ok(());
        }
    };
    let node = match started {
        Ok(node) => node,
        Err(error) => {
            network.shutdown().await;
            return Err(error.into());
        }
    };
    let outcome = serve_clients(&folder, rpc_config, &node, &observed, signals).await;
    stop::within(STOP_PATIENCE);
    stop_node(node, network).await;
    outcome
}

/// Serves clients until the node is told to stop or stops by itself.
async fn serve_clients(
    folder: &NodeFolder,
    config: RpcConfig,
    node: &Node,
    observed: &Observed,
    mut signals: StopSignals,
) -> Result<()> {
    let groups = node.handles();
    let rpc = RpcServer::start(config, groups.clone()).await?;
    let admin = AdminServer::start(&folder.config.storage.dir, groups.clone())?;
    observed.watch(groups.into_iter().filter_map(|group| Watched::new(group, &folder.genesis)).collect());
    tracing::info!(rpc = %rpc.address(), p2p = %folder.config.p2p.listen, metrics = %observed.address(), "node serves");
    let outcome = tokio::select! {
        reason = node.stopped() => Err(anyhow!("{reason}")),
        reason = signals.requested() => {
            tracing::info!(reason, "node stops");
            Ok(())
        }
    };
    drop(admin);
    rpc.stop().await;
    outcome
}

async fn stop_node(node: Node, network: NetworkHandle) {
    // First the network, so that no message comes any more; then the groups, which finish a block and its write.
    network.shutdown().await;
    if let Err(error) = tokio::task::spawn_blocking(move || node.shutdown()).await {
        tracing::error!(%error, "a group did not stop cleanly");
    }
    tracing::info!("node stopped");
}

fn network_config(folder: &NodeFolder) -> NetworkConfig {
    NetworkConfig {
        listen: folder.config.p2p.listen,
        advertised: folder.config.p2p.advertised.clone(),
        peers: folder.peers(),
        identity: folder.tls.clone(),
        authorities: folder.authorities.clone(),
        consensus_key: folder.key.clone(),
        suite: folder.suite,
        genesis_digest: folder.suite.genesis_digest(&folder.genesis),
        software: concat!("lian/", env!("CARGO_PKG_VERSION")).to_owned(),
        limits: NetworkLimits::default(),
    }
}
