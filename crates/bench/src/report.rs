//! What a run found.

use crate::{
    limit::Limits,
    machine::{self, Usage},
    run::{RunConfig, Sent},
    tracker::Ledger,
};
use serde::Serialize;
use std::{fmt, time::Duration};

/// Latency from send to final, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

/// The report of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Transactions sent.
    pub sent: u64,
    /// Transactions that the node took.
    pub accepted: u64,
    /// Transactions seen in final blocks.
    #[serde(rename = "final")]
    pub final_count: u64,
    /// Transactions refused, or whose request failed.
    pub failed: u64,
    /// The first reasons of failures.
    pub failures: Vec<String>,
    /// Final transactions a second, from the start of sending to the last final one.
    pub final_tps: f64,
    /// Blocks that held them.
    pub blocks: u64,
    /// Latency from send to final.
    pub latency_ms: Latency,
    /// Nodes of the network.
    pub nodes: usize,
    /// Processor time per final transaction and node, in microseconds; 0 where the node
    /// processes on this machine are not just this network's.
    pub cpu_us_per_tx_per_node: f64,
    /// Bytes written to disk per final transaction and node.
    pub disk_bytes_per_tx_per_node: f64,
    /// Bytes sent to other nodes per final transaction and node, consensus and all else; nothing where not every node's
    /// metrics could be read.
    pub network_bytes_per_tx_per_node: Option<f64>,
    /// Why they are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_unknown: Option<String>,
    /// The ideal cost of a transfer on this machine, in microseconds, measured in this run.
    pub ideal_us_per_tx: f64,
    /// final TPS × nodes × ideal µs ÷ (cores × 10⁶).
    pub efficiency: f64,
    /// Whether the sum of balances is unchanged and no transaction became final twice.
    pub conserved: bool,
    /// The primitives, measured in this run.
    pub limits: Limits,
    /// The machine.
    pub machine: String,
    /// The command.
    pub command: String,
}

impl Report {
    #[allow(clippy::too_many_arguments)] // Everything that a report is made of.
    pub(crate) fn new(
        config: &RunConfig,
        limits: &Limits,
        sent: &Sent,
        mut seen: Ledger,
        sending: Duration,
        (before, after): (Usage, Usage),
        traffic: anyhow::Result<u64>,
        nodes: usize,
        conserved: bool,
    ) -> Self {
        seen.latencies_us.sort_unstable();
        let percentile = |percent: usize| {
            let last = seen.latencies_us.len().saturating_sub(1);
            let index = last.saturating_mul(percent).div_ceil(100);
            seen.latencies_us.get(index).map_or(0.0, |us| *us as f64 / 1_000.0)
        };
        let finals = seen.final_count.max(1) as f64;
        let span = match (seen.first_final, seen.last_final) {
            (Some(first), Some(last)) => last.duration_since(first).max(sending),
            _ => sending,
        };
        // Other networks on this machine would blur the figures, and remote nodes are not seen.
        let counted = if after.processes == nodes { 1.0 } else { 0.0 };
        let per_node = |total: u64| counted * total as f64 / finals / nodes.max(1) as f64;
        let final_tps = seen.final_count as f64 / span.as_secs_f64().max(1e-9);
        let ideal = limits.ideal_us();
        Self {
            sent: sent.sent,
            accepted: sent.accepted,
            final_count: seen.final_count,
            failed: sent.failed,
            failures: sent.reasons.clone(),
            final_tps,
            blocks: seen.blocks,
            latency_ms: Latency { p50: percentile(50), p90: percentile(90), p99: percentile(99), max: percentile(100) },
            nodes,
            cpu_us_per_tx_per_node: per_node(after.cpu_us.saturating_sub(before.cpu_us)),
            disk_bytes_per_tx_per_node: per_node(after.disk_bytes.saturating_sub(before.disk_bytes)),
            network_bytes_per_tx_per_node: traffic
                .as_ref()
                .ok()
                .map(|sent| *sent as f64 / finals / nodes.max(1) as f64),
            network_unknown: traffic.err().map(|error| format!("{error:#}")),
            ideal_us_per_tx: ideal,
            efficiency: final_tps * nodes as f64 * ideal / (machine::cores() as f64 * 1e6),
            conserved,
            limits: *limits,
            machine: machine::describe(),
            command: config.command.clone(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = lian_client::Table::new();
        table.line("command", &self.command).line("machine", &self.machine);
        table.line("nodes", self.nodes);
        table.line("sent", self.sent).line("accepted", self.accepted);
        table.line("final", self.final_count).line("failed", self.failed);
        for reason in &self.failures {
            table.line("  reason", reason);
        }
        table.line("final TPS", format!("{:.0}", self.final_tps));
        table.line("blocks", self.blocks);
        let latency = &self.latency_ms;
        table.line(
            "latency",
            format!(
                "p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
                latency.p50, latency.p90, latency.p99, latency.max
            ),
        );
        table.line("CPU", format!("{:.0} µs per transaction and node", self.cpu_us_per_tx_per_node));
        table.line("disk", format!("{:.0} bytes per transaction and node", self.disk_bytes_per_tx_per_node));
        match (self.network_bytes_per_tx_per_node, &self.network_unknown) {
            (Some(bytes), _) => table.line("network", format!("{bytes:.0} bytes sent per transaction and node")),
            (None, reason) => table.line("network", format!("not known: {}", reason.as_deref().unwrap_or_default())),
        };
        table.line("ideal", format!("{:.1} µs per transaction", self.ideal_us_per_tx));
        table.line("efficiency", format!("{:.3}", self.efficiency));
        table.line("conserved", if self.conserved { "yes" } else { "NO" });
        table.fmt(f)
    }
}
