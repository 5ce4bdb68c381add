//! What the nodes have sent to each other, from their metrics.

use crate::http::Connection;
use anyhow::{Context, Result};
use serde_json::Value;

/// The counter of the bytes that a node has sent to other nodes.
const SENT_BYTES: &str = "lian_network_sent_bytes_total";
/// How far a node's metrics port is above its JSON-RPC port where `lian init` or `lian up` chose them.
const METRICS_ABOVE_RPC: u16 = 1_000;

/// The metrics addresses of a network that publishes its nodes' JSON-RPC addresses in `lian_status`, by the ports that
/// `lian init` chooses; nothing where a node publishes none.
#[must_use]
pub fn metrics_urls(status: &Value) -> Vec<String> {
    let own = std::iter::once(status);
    let nodes = own.chain(status["nodes"].as_array().into_iter().flatten());
    let urls: Option<Vec<_>> = nodes.map(|node| metrics_url(node["rpc"].as_str()?)).collect();
    urls.unwrap_or_default()
}

fn metrics_url(rpc: &str) -> Option<String> {
    let (host, port) = rpc.trim_end_matches('/').rsplit_once(':')?;
    let port = port.parse::<u16>().ok()?.checked_add(METRICS_ABOVE_RPC)?;
    Some(format!("{host}:{port}/metrics"))
}

/// The bytes that all these nodes have sent so far.
///
/// # Errors
/// The first address that does not answer with that counter; an empty list.
pub async fn sent_bytes(urls: &[String]) -> Result<u64> {
    let mut sum = None;
    for url in urls {
        let text = Connection::open(url).await?.get().await?;
        let bytes = counter(&String::from_utf8_lossy(&text)).with_context(|| format!("{url} has no {SENT_BYTES}"))?;
        sum = Some(bytes.saturating_add(sum.unwrap_or(0)));
    }
    sum.context("no metrics address is known: name each node's by --metrics-url")
}

/// The counter's value, over all its labels, in Prometheus' text format.
fn counter(text: &str) -> Option<u64> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(SENT_BYTES));
    let values = lines.filter_map(|rest| rest.rsplit_once(' ')?.1.parse::<u64>().ok());
    values.reduce(u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_follow_the_ports_of_the_network() {
        let status = json!({"rpc": "http://127.0.0.1:8545", "nodes": [{"rpc": "http://127.0.0.1:8546/"}]});
        assert_eq!(metrics_urls(&status), ["http://127.0.0.1:9545/metrics", "http://127.0.0.1:9546/metrics"]);
        let status = json!({"rpc": "http://127.0.0.1:8545", "nodes": [{"rpc": null}]});
        assert!(metrics_urls(&status).is_empty());
    }

    #[test]
    fn a_counter_is_summed_over_its_labels() {
        let text = "# TYPE lian_network_sent_bytes_total counter\nlian_network_sent_bytes_total{node=\"node0\"} 40\n\
                    lian_network_sent_bytes_total{node=\"x\"} 2\nlian_network_sessions 3\n";
        assert_eq!(counter(text), Some(42));
        assert_eq!(counter("lian_network_sessions 3\n"), None);
    }
}
