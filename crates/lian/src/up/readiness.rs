//! When a local network is ready: every node serves, all are connected, and they agree.

use super::network::LocalNetwork;
use crate::output;
use anyhow::Result;
use lian_client::RpcClient;
use serde::Deserialize;
use std::time::Duration;
use tokio::time::{self, Instant};

/// Between two looks at the nodes.
const LOOK_PERIOD: Duration = Duration::from_millis(100);
/// How long a node may take to answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);
/// After how long, and how often, to say what is missing.
const REPORT_PERIOD: Duration = Duration::from_secs(15);

/// What matters here of a node's `lian_status`.
#[derive(Clone, Debug, Deserialize)]
struct View {
    height: u64,
    lag: u64,
    view: u64,
    leader: String,
    peers: usize,
    halted: Option<String>,
}

/// Waits until the network is ready.
///
/// # Errors
/// An address that is none.
pub(super) async fn wait(network: &LocalNetwork) -> Result<()> {
    let clients = network.nodes.iter().map(|node| {
        let client = RpcClient::new(&format!("http://{}", node.config.rpc.listen))?;
        Ok((node.name().to_owned(), client))
    });
    let clients: Vec<_> = clients.collect::<Result<_>>()?;
    let mut report = Instant::now() + REPORT_PERIOD;
    loop {
        let mut views = Vec::new();
        for (name, client) in &clients {
            let answer = time::timeout(ANSWER_PATIENCE, client.request::<View>("lian_status", vec![])).await;
            let view = match answer {
                Ok(Ok(view)) => Ok(view),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("no answer".to_owned()),
            };
            views.push((name.clone(), view));
        }
        let Err(missing) = judge(&views, network.window()) else { return Ok(()) };
        if Instant::now() >= report {
            eprintln!("{}", output::printable(&format!("not ready yet: {missing}")));
            report = Instant::now() + REPORT_PERIOD;
        }
        time::sleep(LOOK_PERIOD).await;
    }
}

/// Whether the nodes serve, are all connected, and agree on view, leader and height. Under load, nodes are asked at
/// different moments and so may show heights within the window of one another.
fn judge(views: &[(String, Result<View, String>)], window: u64) -> Result<(), String> {
    let mut known: Vec<(&str, &View)> = Vec::new();
    for (name, view) in views {
        match view {
            Ok(view) => known.push((name, view)),
            Err(reason) => return Err(format!("{name} does not serve: {reason}")),
        }
    }
    let others = known.len().saturating_sub(1);
    let lowest = known.iter().map(|(_, view)| view.height).min().unwrap_or(0);
    let Some((first, reference)) = known.first() else { return Ok(()) };
    for (name, view) in &known {
        if let Some(reason) = &view.halted {
            return Err(format!("{name} has stopped: {reason}"));
        }
        if view.peers < others {
            return Err(format!("{name} is connected to {} of {others} nodes", view.peers));
        }
        if view.lag > window || view.height.saturating_sub(lowest) > window {
            return Err(format!("the nodes are at different heights, {name} at {}", view.height));
        }
        if (view.view, &view.leader) != (reference.view, &reference.leader) {
            let (theirs, ours) = (&view.leader, &reference.leader);
            return Err(format!("{name} is in view {} ({theirs}), {first} in {} ({ours})", view.view, reference.view));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        View { height: 7, lag: 0, view: 1, leader: "node1".into(), peers: 1, halted: None }
    }

    #[test]
    fn ready_when_all_agree() {
        let check = |second: Result<View, String>| judge(&[("node0".into(), Ok(view())), ("node1".into(), second)], 8);
        assert_eq!(check(Ok(view())), Ok(()));
        assert_eq!(check(Ok(View { height: 15, ..view() })), Ok(()));
        let cases = [
            (Err("refused".to_owned()), "node1 does not serve: refused"),
            (Ok(View { peers: 0, ..view() }), "node1 is connected to 0 of 1 nodes"),
            (Ok(View { height: 16, ..view() }), "the nodes are at different heights, node1 at 16"),
            (Ok(View { lag: 9, ..view() }), "the nodes are at different heights, node1 at 7"),
            (Ok(View { view: 2, ..view() }), "node1 is in view 2 (node1), node0 in 1 (node1)"),
            (Ok(View { halted: Some("why".into()), ..view() }), "node1 has stopped: why"),
        ];
        for (second, reason) in cases {
            assert_eq!(check(second), Err(reason.to_owned()));
        }
    }
}
