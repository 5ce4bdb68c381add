//! What a run found.

use crate::{
    limit::Limits,
    machine::{self, Usage},
    run::RunConfig,
    send::Sent,
    tracker::Seen,
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, time::Duration};

/// Percentages at which the distribution of latencies is reported.
const PERCENTS: [f64; 29] = [
    0.0, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 55.0, 60.0, 65.0, 70.0, 75.0, 80.0, 85.0,
    90.0, 92.5, 95.0, 97.5, 99.0, 99.5, 99.9, 99.99, 100.0,
];

/// Latencies, in milliseconds.
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

impl Latency {
    /// Of latencies in microseconds, in rising order.
    #[must_use]
    pub fn of_sorted(sorted_us: &[u64]) -> Self {
        let at = |percent| percentile_ms(sorted_us, percent);
        Self { p50: at(50.0), p90: at(90.0), p99: at(99.0), max: at(100.0) }
    }
}

/// The smallest latency that so many per cent do not exceed, in milliseconds; 0 where there are none.
fn percentile_ms(sorted_us: &[u64], percent: f64) -> f64 {
    let count = sorted_us.len();
    // The rank is at most the count, which is no larger than what fits in memory.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rank = (percent / 100.0 * count as f64).ceil() as usize;
    let index = rank.clamp(1, count.max(1)).saturating_sub(1);
    sorted_us.get(index).map_or(0.0, |us| *us as f64 / 1_000.0)
}

/// The report of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was sent.
    pub workload: &'static str,
    /// Accounts that sent.
    pub accounts: usize,
    /// Client connections.
    pub connections: usize,
    /// Transactions that were due.
    pub offered: u64,
    /// How often one was sent, again where it was refused before.
    pub sent: u64,
    /// Transactions that the node took.
    pub accepted: u64,
    /// Transactions seen in final blocks.
    #[serde(rename = "final")]
    pub final_count: u64,
    /// How often one was refused, or its request failed.
    pub failed: u64,
    /// How often for which reason, with numbers and addresses left out.
    pub failures: BTreeMap<String, u64>,
    /// Final transactions that did nothing, since they were reverted.
    pub reverted: u64,
    /// Final transactions a second, from the start of sending to the last final one.
    pub final_tps: f64,
    /// The same while transactions were being sent, without those that became final afterwards.
    pub final_tps_while_sending: f64,
    /// Final transactions of each second from the start.
    pub final_by_second: Vec<u64>,
    /// Blocks that held them.
    pub blocks: u64,
    /// Latency from when a transaction was due until it was seen final.
    pub latency_ms: Latency,
    /// The same for more percentages: pairs of a percentage and milliseconds.
    pub latency_distribution_ms: Vec<(f64, f64)>,
    /// How long refusals took, from request to answer; nothing where there was none.
    pub refusal_ms: Option<Latency>,
    /// Nodes of the network.
    pub nodes: usize,
    /// Processor time per final transaction and node, in microseconds; nothing where not every node is a process of this
    /// machine that this user may look at.
    pub cpu_us_per_tx_per_node: Option<f64>,
    /// Bytes written to disk per final transaction and node; nothing as above.
    pub disk_bytes_per_tx_per_node: Option<f64>,
    /// Bytes sent to other nodes per final transaction and node, consensus and all else; nothing where not every node's
    /// metrics could be read.
    pub network_bytes_per_tx_per_node: Option<f64>,
    /// Why they are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_unknown: Option<String>,
    /// The ideal cost of a transaction of this workload on this machine, in microseconds, measured in this run.
    pub ideal_us_per_tx: f64,
    /// final TPS × nodes × ideal µs ÷ (cores × 10⁶).
    pub efficiency: f64,
    /// Whether the state at the end is exactly what the final transactions make of that at the beginning, every accepted
    /// transaction became final, and none twice.
    pub conserved: bool,
    /// What does not add up, if something does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discrepancy: Option<String>,
    /// The primitives, measured in this run.
    pub limits: Limits,
    /// The machine.
    pub machine: String,
    /// The command.
    pub command: String,
}

/// What a report is made of.
pub(crate) struct Measured {
    pub(crate) sent: Sent,
    pub(crate) seen: Seen,
    /// From the start until the last transaction was sent.
    pub(crate) sending: Duration,
    pub(crate) used: Usage,
    /// Of so many processes.
    pub(crate) processes: usize,
    pub(crate) traffic: anyhow::Result<u64>,
    pub(crate) nodes: usize,
    pub(crate) reverted: u64,
    pub(crate) discrepancy: Option<String>,
}

impl Report {
    pub(crate) fn new(config: &RunConfig, limits: &Limits, measured: Measured) -> Self {
        let Measured { sent, seen, sending, used, processes, traffic, nodes, reverted, discrepancy } = measured;
        let mut latencies: Vec<_> = seen.finals.iter().map(|seen| seen.latency_us).collect();
        latencies.sort_unstable();
        let final_count = seen.finals.len() as u64;
        let last = Duration::from_micros(seen.finals.iter().map(|seen| seen.at_us).max().unwrap_or_default());
        let during = seen.finals.iter().filter(|seen| Duration::from_micros(seen.at_us) <= sending).count();
        let per_second = |count: f64, time: Duration| count / time.as_secs_f64().max(1e-9);
        let final_tps = per_second(final_count as f64, last.max(sending));
        // Without one process for each node, what is seen here is not all.
        let per_node = |total: u64| total as f64 / final_count.max(1) as f64 / nodes.max(1) as f64;
        let known = |total: u64| (processes == nodes).then(|| per_node(total));
        let mut refusals = sent.refusals_us;
        refusals.sort_unstable();
        let ideal = limits.ideal_us();
        Self {
            workload: config.workload.name(),
            accounts: config.accounts,
            connections: config.connections,
            offered: sent.offered,
            sent: sent.sent,
            accepted: sent.accepted,
            final_count,
            failed: sent.failed,
            failures: sent.reasons,
            reverted,
            final_tps,
            final_tps_while_sending: per_second(during as f64, sending),
            final_by_second: by_second(seen.finals.iter().map(|seen| seen.at_us)),
            blocks: seen.blocks,
            latency_ms: Latency::of_sorted(&latencies),
            latency_distribution_ms: PERCENTS.map(|percent| (percent, percentile_ms(&latencies, percent))).to_vec(),
            refusal_ms: (!refusals.is_empty()).then(|| Latency::of_sorted(&refusals)),
            nodes,
            cpu_us_per_tx_per_node: known(used.cpu_us),
            disk_bytes_per_tx_per_node: known(used.disk_bytes),
            network_bytes_per_tx_per_node: traffic.as_ref().ok().map(|sent| per_node(*sent)),
            network_unknown: traffic.err().map(|error| format!("{error:#}")),
            ideal_us_per_tx: ideal,
            efficiency: final_tps * nodes as f64 * ideal / (machine::cores() as f64 * 1e6),
            conserved: discrepancy.is_none(),
            discrepancy,
            limits: *limits,
            machine: machine::describe(),
            command: config.command.clone(),
        }
    }
}

/// How many of these moments, in microseconds, are in each second.
fn by_second(moments_us: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut seconds = Vec::new();
    for at_us in moments_us {
        let Ok(second) = usize::try_from(at_us / 1_000_000) else { continue };
        if seconds.len() <= second {
            seconds.resize(second + 1, 0);
        }
        if let Some(count) = seconds.get_mut(second) {
            *count += 1;
        }
    }
    seconds
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = lian_client::Table::new();
        table.line("command", &self.command).line("machine", &self.machine);
        table.line("workload", format!("{}, {} accounts", self.workload, self.accounts));
        table.line("nodes", self.nodes);
        table.line("offered", self.offered).line("sent", self.sent).line("accepted", self.accepted);
        table.line("final", self.final_count).line("reverted", self.reverted).line("failed", self.failed);
        for (reason, count) in &self.failures {
            table.line(format!("  {count} times"), reason);
        }
        let tps = format!("{:.0} ({:.0} while sending)", self.final_tps, self.final_tps_while_sending);
        table.line("final TPS", tps).line("blocks", self.blocks);
        table.line("latency", self.latency_ms);
        if let Some(refusals) = self.refusal_ms {
            table.line("refusals took", refusals);
        }
        let unknown = "not known: not every node is a process of this machine";
        let figure = |value: Option<f64>, unit: &str| match value {
            Some(value) => format!("{value:.0} {unit} per transaction and node"),
            None => unknown.to_owned(),
        };
        table.line("CPU", figure(self.cpu_us_per_tx_per_node, "µs"));
        table.line("disk", figure(self.disk_bytes_per_tx_per_node, "bytes"));
        match (self.network_bytes_per_tx_per_node, &self.network_unknown) {
            (None, Some(reason)) => table.line("network", format!("not known: {reason}")),
            (bytes, _) => table.line("network", figure(bytes, "bytes sent")),
        };
        table.line("ideal", format!("{:.1} µs per transaction", self.ideal_us_per_tx));
        table.line("efficiency", format!("{:.3}", self.efficiency));
        table.line("conserved", self.discrepancy.as_ref().map_or("yes".to_owned(), |what| format!("NO: {what}")));
        table.fmt(f)
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p90, p99, max } = self;
        write!(f, "p50 {p50:.1} ms, p90 {p90:.1} ms, p99 {p99:.1} ms, max {max:.1} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_so_many_do_not_exceed() {
        let us: Vec<_> = (1..=200).map(|ms| ms * 1_000).collect();
        let Latency { p50, p90, p99, max } = Latency::of_sorted(&us);
        assert_eq!((p50, p90, p99, max), (100.0, 180.0, 198.0, 200.0));
        assert_eq!(percentile_ms(&[7_000], 1.0), 7.0);
        assert_eq!(percentile_ms(&[], 50.0), 0.0);
    }

    #[test]
    fn seconds_without_any_are_zero() {
        assert_eq!(by_second([0, 999_999, 3_000_000].into_iter()), [2, 0, 0, 1]);
    }
}
