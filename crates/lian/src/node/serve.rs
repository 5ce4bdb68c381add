//! A node at work: what starts, in which order, and how it stops.

use super::{
    NodeFolder,
    admin::{AdminServer, Certificates},
    metrics::{Observed, Watched},
    trust,
};
use crate::stop::{self, NeedsOperator, StopSignals};
use anyhow::{Result, anyhow};
use futures::future::select_all;
use lian_group::{GroupHandle, Node, NodeSetup, StopReason};
use lian_hooks::{Chain, Hooks};
use lian_network::{Network, NetworkConfig, NetworkError, NetworkHandle, NetworkLimits, PeerConfig};
use lian_rpc::{Origins, RpcConfig, RpcServer};
use lian_system_contracts::members::NodeRecord;
use std::{convert::Infallible, sync::Arc, time::Duration};

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
        execution_threads: folder.config.execution_threads()?,
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
            return Err(if error.needs_operator() { NeedsOperator(error.to_string()).into() } else { error.into() });
        }
    };
    let outcome = tokio::select! {
        // In this order: which institution a peer belongs to is known before its certificate is judged by the chain.
        biased;
        outcome = serve_clients(&folder, rpc_config, &node, &network, &observed, signals) => outcome,
        never = follow_members(&folder, node.handles(), &network) => match never {},
        never = trust::follow(&folder, node.handles(), &network) => match never {},
        never = trust::warn_early(&network) => match never {},
    };
    stop::within(STOP_PATIENCE);
    stop_node(node, network).await;
    outcome
}

/// Lets those nodes connect that the groups admit, whenever that changes.
async fn follow_members(folder: &NodeFolder, groups: Vec<GroupHandle>, network: &NetworkHandle) -> Infallible {
    let mut watched: Vec<_> = groups.iter().map(GroupHandle::admitted).collect();
    loop {
        let mut admitted: Vec<PeerConfig> = Vec::new();
        for nodes in watched.iter_mut().map(|nodes| Arc::clone(&nodes.borrow_and_update())) {
            let is_new = |node: &&NodeRecord| admitted.iter().all(|known| known.key != node.key);
            let new: Vec<_> = nodes.iter().filter(is_new).map(peer_of).collect();
            admitted.extend(new);
        }
        // Genesis may name what no certificate can carry.
        let mut peers = folder.peers(&admitted);
        while let Err(error) = network.set_peers(peers.clone()) {
            tracing::warn!(%error, "a node is left out");
            match error {
                NetworkError::PeerName { name } => peers.retain(|peer| peer.name != name),
                _ => break,
            }
        }
        let changes = watched.iter_mut().map(|nodes| Box::pin(nodes.changed()));
        if select_all(changes).await.0.is_err() {
            // The groups end, and the node with them.
            std::future::pending::<()>().await;
        }
    }
}

fn peer_of(node: &NodeRecord) -> PeerConfig {
    PeerConfig {
        key: node.key,
        name: node.name.clone(),
        institution: Some(node.institution.clone()),
        address: node.endpoint.clone(),
    }
}

/// Serves clients until the node is told to stop or stops by itself.
async fn serve_clients(
    folder: &NodeFolder,
    config: RpcConfig,
    node: &Node,
    network: &NetworkHandle,
    observed: &Observed,
    mut signals: StopSignals,
) -> Result<()> {
    let groups = node.handles();
    let rpc = RpcServer::start(config, groups.clone()).await?;
    // A path that is too long for a socket is no reason not to serve the chain.
    let certificates = Certificates { config: folder.config.clone(), network: network.clone() };
    let admin = AdminServer::start(groups.clone(), certificates)
        .inspect_err(|error| tracing::warn!("snapshots and backups only while this node is stopped: {error:#}"))
        .ok();
    let hooks = Hooks::start(folder.hooks.clone(), &groups.iter().map(chain_of).collect::<Vec<_>>());
    observed.watch(groups.into_iter().filter_map(|group| Watched::new(group, &folder.genesis)).collect());
    tracing::info!(rpc = %rpc.address(), p2p = %folder.config.p2p.listen, metrics = %observed.address(), "node serves");
    let outcome = tokio::select! {
        reason = node.stopped() => Err(match reason {
            StopReason { text, needs_operator: true } => NeedsOperator(text).into(),
            StopReason { text, .. } => anyhow!("{text}"),
        }),
        reason = signals.requested() => {
            tracing::info!(reason, "node stops");
            Ok(())
        }
    };
    drop(hooks);
    drop(admin);
    rpc.stop().await;
    outcome
}

/// What hooks see of a group.
fn chain_of(group: &GroupHandle) -> Chain {
    let info = group.info();
    Chain { group: info.group, chain_id: info.chain_id, ledger: Arc::clone(group.ledger()), heads: group.heads() }
}

async fn stop_node(node: Node, network: NetworkHandle) {
    node.hand_over().await;
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
        peers: folder.peers(&folder.genesis_nodes()),
        identity: folder.tls.clone(),
        trust: folder.trust.clone(),
        consensus_key: folder.key.clone(),
        suite: folder.suite,
        genesis_digest: folder.suite.genesis_digest(&folder.genesis),
        software: concat!("lian/", env!("CARGO_PKG_VERSION")).to_owned(),
        limits: NetworkLimits::default(),
    }
}
