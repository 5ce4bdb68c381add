//! Prometheus metrics, health and readiness.

use super::NodeFolder;
use anyhow::{Context, Result, anyhow};
use axum::{Router, extract::State, http::StatusCode, routing::get};
use lian_group::{GroupHandle, GroupStatus};
use lian_types::{Genesis, limits};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::net::TcpListener;

/// How often recorded samples are folded into buckets, whether or not somebody reads them.
const UPKEEP_PERIOD: Duration = Duration::from_secs(5);
/// Upper bounds of durations, in seconds: from a signature to a view's largest timeout.
const SECONDS_BUCKETS: [f64; 14] =
    [0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 8.0];

/// A group that is watched, and what it needs to be ready.
pub(crate) struct Watched {
    group: GroupHandle,
    window: u64,
}

impl Watched {
    /// A group of the genesis file.
    pub(crate) fn new(group: GroupHandle, genesis: &Genesis) -> Option<Self> {
        let entry = genesis.groups.iter().find(|entry| entry.group == group.info().group)?;
        Some(Self { window: entry.consensus.window, group })
    }

    fn readiness(&self) -> Result<(), String> {
        let status = self.group.status();
        let GroupStatus { group, lag, peers, halted, .. } = &status;
        let needed = self.group.quorum().saturating_sub(1);
        match halted {
            Some(reason) => Err(format!("group {group} has stopped: {reason}")),
            None if *lag > self.window => Err(format!("group {group} is {lag} blocks behind")),
            None if *peers < needed => Err(format!("group {group} has {peers} of the {needed} peers it needs")),
            None => Ok(()),
        }
    }

    fn health(&self) -> Result<(), String> {
        let status = self.group.status();
        status.halted.map_or(Ok(()), |reason| Err(format!("group {} has stopped: {reason}", status.group)))
    }

    /// Writes into the recorder what the group does not record itself.
    fn record(&self) {
        let status = self.group.status();
        let group = status.group.to_string();
        let gauge = |name: &'static str, value: u64| {
            metrics::gauge!(name, "group" => group.clone()).set(approximate(value));
        };
        gauge("lian_lag_blocks", status.lag);
        gauge("lian_pbft_epoch", status.epoch.0);
        gauge("lian_members", u64::try_from(status.members).unwrap_or(u64::MAX));
        gauge("lian_abstains", u64::from(status.abstains));
        gauge("lian_halted", u64::from(status.halted.is_some()));
        gauge("ethereum_peer_limit", u64::try_from(limits::MEMBERS_MAX).unwrap_or(u64::MAX));
    }
}

/// Prometheus' numbers are floating point, exact up to 2^53.
#[allow(clippy::cast_precision_loss)] // A height beyond 2^53 is shown rounded.
const fn approximate(value: u64) -> f64 {
    value as f64
}

/// The node's metrics, served over HTTP from before its ledger is open until it stops.
pub(crate) struct Observed {
    address: SocketAddr,
    state: Arc<Served>,
}

struct Served {
    prometheus: PrometheusHandle,
    groups: OnceLock<Vec<Watched>>,
}

impl Observed {
    /// Starts to record and to serve.
    ///
    /// # Errors
    /// Where the port cannot be listened on.
    pub(crate) async fn start(folder: &NodeFolder) -> Result<Self> {
        let prometheus = PrometheusBuilder::new()
            .add_global_label("node", &folder.config.name)
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)?
            .install_recorder()?;
        describe();
        let listen = folder.config.metrics.listen;
        let listener = TcpListener::bind(listen).await.with_context(|| {
            format!("cannot listen on {listen} for metrics (free the port or change `metrics.listen`)")
        })?;
        let address = listener.local_addr()?;
        let state = Arc::new(Served { prometheus: prometheus.clone(), groups: OnceLock::new() });
        let routes = Router::new()
            .route("/metrics", get(metrics_text))
            .route("/health", get(health))
            .route("/ready", get(ready))
            .with_state(Arc::clone(&state));
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "metrics are no longer served");
            }
        });
        tokio::spawn(async move {
            let mut period = tokio::time::interval(UPKEEP_PERIOD);
            loop {
                period.tick().await;
                prometheus.run_upkeep();
            }
        });
        Ok(Self { address, state })
    }

    /// The address served.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The groups to show, once they are open.
    pub(crate) fn watch(&self, groups: Vec<Watched>) {
        if self.state.groups.set(groups).is_err() {
            tracing::warn!(error = %anyhow!("groups are watched already"), "metrics");
        }
    }
}

async fn metrics_text(State(state): State<Arc<Served>>) -> String {
    for group in state.groups.get().into_iter().flatten() {
        group.record();
    }
    state.prometheus.render()
}

async fn health(State(state): State<Arc<Served>>) -> (StatusCode, String) {
    // While the ledger is being opened the process lives, which is what this answers.
    let groups = state.groups.get().into_iter().flatten();
    answer("healthy", groups.map(Watched::health))
}

async fn ready(State(state): State<Arc<Served>>) -> (StatusCode, String) {
    match state.groups.get() {
        None => answer("ready", [Err("the ledger is being opened".to_owned())].into_iter()),
        Some(groups) => answer("ready", groups.iter().map(Watched::readiness)),
    }
}

fn answer(good: &str, mut parts: impl Iterator<Item = Result<(), String>>) -> (StatusCode, String) {
    match parts.find_map(Result::err) {
        None => (StatusCode::OK, format!("{good}\n")),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not {good}: {reason}\n")),
    }
}

fn describe() {
    for (name, text) in [
        ("lian_block_height", "Height of the last final block on this node."),
        ("lian_lag_blocks", "Blocks that this node is behind the highest height it has heard of."),
        ("lian_pbft_view", "Current view of PBFT."),
        ("lian_pbft_epoch", "Epoch of the members."),
        ("lian_members", "Voting members."),
        ("lian_pool_pending_transactions", "Transactions in the pool that could be proposed."),
        ("lian_pool_queued_transactions", "Transactions in the pool that wait for an earlier nonce."),
        ("lian_abstains", "1 if the node sends no votes because it may have lost some of its own, else 0."),
        ("lian_execution_parallel_blocks", "Blocks that several threads have executed."),
        (
            "lian_execution_threads_disagreed",
            "1 if several threads gave another outcome than one: a fault of the program.",
        ),
        ("lian_halted", "1 if the group has stopped on this node, else 0."),
        ("ethereum_blockchain_height", "Height of the chain (EIP-2159)."),
        ("ethereum_best_known_block_number", "Highest block number known (EIP-2159)."),
        ("ethereum_peer_count", "Peers connected (EIP-2159)."),
        ("ethereum_peer_limit", "Most peers connected (EIP-2159)."),
    ] {
        metrics::describe_gauge!(name, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_is_told() {
        let check = |parts: Vec<Result<(), String>>| answer("ready", parts.into_iter());
        assert_eq!(check(vec![Ok(())]), (StatusCode::OK, "ready\n".into()));
        let refused = check(vec![Ok(()), Err("no peers".into()), Err("later".into())]);
        assert_eq!(refused, (StatusCode::SERVICE_UNAVAILABLE, "not ready: no peers\n".into()));
    }
}
