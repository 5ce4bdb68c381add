//! Whether the chain goes on, as some nodes see it.

use crate::network::{LOOK, Network, status};
use lian_client::RpcClient;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// Watches the greatest height of some nodes.
pub(crate) struct Pulse {
    seen: Arc<Mutex<Vec<(Instant, u64)>>>,
    task: JoinHandle<()>,
}

impl Pulse {
    pub(crate) fn of(network: &Network, nodes: &[usize]) -> Self {
        let clients: Vec<_> = nodes.iter().map(|node| network.client(*node)).collect();
        let seen = Arc::new(Mutex::new(vec![(Instant::now(), 0)]));
        let task = tokio::spawn(watch(clients, Arc::clone(&seen)));
        Self { seen, task }
    }

    /// The longest time without a new block between a moment and now.
    pub(crate) fn longest_gap(&self, since: Instant) -> Duration {
        let mut last = since;
        let mut longest = Duration::ZERO;
        for (at, _) in self.seen.lock().unwrap().iter().filter(|(at, _)| *at > since) {
            longest = longest.max(at.duration_since(last));
            last = *at;
        }
        longest.max(last.elapsed())
    }

    pub(crate) fn height(&self) -> u64 {
        self.seen.lock().unwrap().last().unwrap().1
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(clients: Vec<RpcClient>, seen: Arc<Mutex<Vec<(Instant, u64)>>>) {
    loop {
        for client in &clients {
            let height = status(client).await.and_then(|status| status["height"].as_u64()).unwrap_or(0);
            let mut seen = seen.lock().unwrap();
            if height > seen.last().unwrap().1 {
                seen.push((Instant::now(), height));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
