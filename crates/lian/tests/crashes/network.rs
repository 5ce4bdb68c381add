//! Four node processes and how to reach them.

use lian_client::RpcClient;
use serde_json::{Value, json};
use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How many nodes there are: the fewest that bear a fault.
pub(crate) const NODES: usize = 4;
/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) struct Network {
    dir: PathBuf,
    offset: u16,
    processes: Vec<Option<Child>>,
}

impl Network {
    pub(crate) fn create(dir: &Path) -> Self {
        let offset = free_offset();
        let text = offset.to_string();
        let made = Command::new(env!("CARGO_BIN_EXE_lian"))
            .args(["init", "--dir", dir.to_str().unwrap(), "--host", "127.0.0.1:4", "--port-offset", &text])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { dir: dir.to_owned(), offset, processes: (0..NODES).map(|_| None).collect() }
    }

    fn folder(&self, node: usize) -> PathBuf {
        self.dir.join(format!("node{node}"))
    }

    pub(crate) fn start(&mut self, node: usize) {
        let folder = self.folder(node);
        let log = File::options().create(true).append(true).open(folder.join("process.log")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_lian"))
            .args(["node", "--config"])
            .arg(folder.join("config.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.processes[node] = Some(process);
    }

    /// SIGKILL: the process has no chance to write anything.
    pub(crate) fn kill(&mut self, node: usize) {
        let mut process = self.processes[node].take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// SIGTERM, and waits for a clean end.
    pub(crate) fn stop(&mut self, node: usize) {
        let mut process = self.processes[node].take().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(process.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let status = process.wait().unwrap();
        assert!(status.success(), "node{node} ended with {status}: {}", self.last_words(node));
    }

    pub(crate) fn client(&self, node: usize) -> RpcClient {
        let port = 8_545 + self.offset + u16::try_from(node).unwrap();
        RpcClient::new(&format!("http://127.0.0.1:{port}")).unwrap()
    }

    pub(crate) async fn status(&self, node: usize) -> Option<Value> {
        self.client(node).request("lian_status", vec![]).await.ok()
    }

    /// Waits until every node has a session with every other.
    pub(crate) async fn wait_for_sessions(&mut self) {
        let end = Instant::now() + PATIENCE;
        for node in 0..NODES {
            while self.peers(node).await != Some((NODES - 1) as u64) {
                self.check_alive();
                assert!(Instant::now() < end, "node{node} does not find its peers");
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    async fn peers(&self, node: usize) -> Option<u64> {
        self.status(node).await?["peers"].as_u64()
    }

    /// The number of the node that leads, as a node sees it.
    pub(crate) async fn leader(&self, asked: usize) -> usize {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.status(asked).await.unwrap_or_default();
            let leader = status["leader"].as_str().unwrap_or_default();
            if let Some(number) = leader.strip_prefix("node").and_then(|number| number.parse().ok()) {
                return number;
            }
            assert!(Instant::now() < end, "node{asked} names no leader");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until all nodes have the same height and nothing waits; returns it.
    pub(crate) async fn settle(&mut self) -> u64 {
        let end = Instant::now() + PATIENCE;
        loop {
            self.check_alive();
            let mut heights = Vec::new();
            let mut waiting = 0;
            for node in 0..NODES {
                let status = self.status(node).await.unwrap_or_default();
                heights.extend(status["height"].as_u64());
                waiting += status["pending"].as_u64().unwrap_or(1);
            }
            if heights.len() == NODES && heights.iter().all(|height| *height == heights[0]) && waiting == 0 {
                return heights[0];
            }
            assert!(Instant::now() < end, "the nodes do not agree: heights {heights:?}, {waiting} waiting");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// `lian verify` of a stopped node.
    pub(crate) fn verify(&self, node: usize, height: u64) {
        let run =
            Command::new(env!("CARGO_BIN_EXE_lian")).args(["verify", "--dir"]).arg(self.folder(node)).output().unwrap();
        let out = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success(), "node{node}: {out}{}", String::from_utf8_lossy(&run.stderr));
        assert!(out.contains(&height.to_string()), "node{node} was verified to another height than {height}: {out}");
    }

    /// A node that ended by itself has failed.
    pub(crate) fn check_alive(&mut self) {
        for node in 0..NODES {
            let ended = self.processes[node].as_mut().and_then(|process| process.try_wait().unwrap());
            assert!(ended.is_none(), "node{node} ended by itself: {}", self.last_words(node));
        }
    }

    fn last_words(&self, node: usize) -> String {
        let log = std::fs::read_to_string(self.folder(node).join("process.log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for mut process in self.processes.iter_mut().filter_map(Option::take) {
            // Only where the test failed before it stopped the node itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The parameters of a JSON-RPC call by position.
pub(crate) fn one(value: impl serde::Serialize) -> Vec<Value> {
    vec![json!(value)]
}

/// A port offset at which all ports of four nodes are free; away from those that the other tests choose.
fn free_offset() -> u16 {
    let seed = u16::try_from(std::process::id() % 200).unwrap();
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (0..200)
        .map(|turn| 2_600 + (seed + turn) % 200 * 10)
        .find(|offset| {
            (0..4).all(|i| [30_300 - 20_000, 8_545, 9_545, 30_300].iter().all(|base| free(base + offset + i)))
        })
        .unwrap()
}
