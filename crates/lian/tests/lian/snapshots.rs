//! Snapshots and backups of real processes: made while the node runs, checked, restored, and fetched by a node that has
//! lost its data.

use crate::program::{free_offset, lian, refused, succeed, text};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// The first development account's key.
const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// A network under `lian up`.
pub(crate) struct Up {
    process: Child,
    offset: u16,
}

impl Up {
    /// Starts it and waits until all nodes serve.
    pub(crate) fn start(dir: &Path, offset: u16) -> Self {
        let mut process = lian(&["up", "--dir", text(dir), "--port-offset", &offset.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        assert!(out.lines().any(|line| line.unwrap() == "ready"), "the network does not get ready");
        Self { process, offset }
    }

    pub(crate) fn url(&self, node: u16) -> String {
        format!("http://127.0.0.1:{}", 8_545 + self.offset + node)
    }

    /// Sends transactions, each in a block of its own.
    pub(crate) fn send(&self, count: usize) {
        for _ in 0..count {
            succeed(&[
                "send",
                "0x00000000000000000000000000000000000000aa",
                "--value",
                "1",
                "--private-key",
                KEY,
                "--rpc-url",
                &self.url(0),
            ]);
        }
    }

    /// What a node says about itself.
    pub(crate) fn status(&self, node: u16) -> Value {
        let all: Value = serde_json::from_str(&succeed(&["status", "--json", "--rpc-url", &self.url(node)])).unwrap();
        let name = format!("node{node}");
        all["nodes"].as_array().unwrap().iter().find(|other| other["name"] == *name).unwrap()["groups"][0].clone()
    }

    pub(crate) fn stop(mut self) {
        kill(Pid::from_raw(i32::try_from(self.process.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Only where a test failed before it ended the process itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until a condition holds.
pub(crate) fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Changes every node's configuration.
fn configure(dir: &Path, changes: &[(&str, &str)]) {
    for node in 0..4 {
        let path = dir.join(format!("node{node}/config.toml"));
        let mut config = fs::read_to_string(&path).unwrap();
        for (from, to) in changes {
            assert!(config.contains(from), "{from}");
            config = config.replace(from, to);
        }
        fs::write(path, config).unwrap();
    }
}

fn snapshots(dir: &Path, node: u16) -> Vec<PathBuf> {
    let folder = dir.join(format!("node{node}/data/group0/snapshots"));
    let files = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "manifest")).collect()
}

#[test]
fn a_node_without_data_joins_by_snapshot_and_backups_and_snapshots_hold() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    let offset = free_offset();
    let path = |name: &str| folder.path().join(name);
    let node0 = dir.join("node0");
    Up::start(&dir, offset).stop();
    configure(&dir, &[("interval = 10000", "interval = 6"), ("snapshot_height_min = 5000", "snapshot_height_min = 6")]);

    let up = Up::start(&dir, offset);
    up.send(14);
    wait_for("two snapshots on every node", || (0..4).all(|node| snapshots(&dir, node).len() == 2));

    // A running node is asked through its socket.
    let made: Value = serde_json::from_str(&succeed(&[
        "snapshot",
        "create",
        "--dir",
        text(&node0),
        "--out",
        text(&path("out")),
        "--json",
    ]))
    .unwrap();
    let height = made["height"].as_u64().unwrap();
    assert!(height >= 14, "{made}");
    succeed(&["backup", "--dir", text(&node0), "--out", text(&path("backup"))]);
    let line = refused(&mut lian(&["backup", "--dir", text(&node0), "--out", text(&path("backup"))]));
    assert!(line.contains("exists and is not empty"), "{line}");
    up.send(1);
    up.stop();

    let genesis = dir.join("genesis.json");
    let genesis = if genesis.exists() { genesis } else { node0.join("genesis.json") };
    let out = succeed(&["snapshot", "verify", text(&path("out")), "--genesis", text(&genesis)]);
    assert!(out.contains("sound") && out.contains(&height.to_string()), "{out}");
    let out = succeed(&["verify", "--dir", text(&path("backup"))]);
    assert!(out.contains("sound"), "{out}");
    assert!(!path("backup").join("keys").exists(), "keys are only copied if asked for");
    assert!(!path("backup").join("data/group0/votes").exists());
    let out = succeed(&["backup", "--dir", text(&node0), "--out", text(&path("all")), "--with-keys"]);
    assert!(out.contains("keep it as safe as the node"), "{out}");
    assert!(path("all").join("keys").exists());

    // A stopped node without data takes a snapshot by hand, and one with data does not.
    let line = refused(&mut lian(&["snapshot", "restore", text(&path("out")), "--dir", text(&node0)]));
    assert!(line.contains("has blocks"), "{line}");
    let hand = path("all");
    fs::remove_dir_all(hand.join("data/group0")).unwrap();
    let out = succeed(&["snapshot", "restore", text(&path("out")), "--dir", text(&hand)]);
    assert!(out.contains(&height.to_string()), "{out}");
    let out = succeed(&["verify", "--dir", text(&hand)]);
    assert!(out.contains("sound"), "{out}");

    // A node of the network that has lost its data fetches one by itself.
    fs::remove_dir_all(dir.join("node3/data/group0")).unwrap();
    let up = Up::start(&dir, offset);
    up.send(2);
    wait_for("everybody has all blocks", || {
        let heights: Vec<_> = (0..4).map(|node| up.status(node)["height"].clone()).collect();
        heights.iter().all(|height| *height == heights[0])
    });
    assert_eq!(up.status(0)["oldest"], 0);
    assert!(up.status(3)["oldest"].as_u64().unwrap() >= 6, "{}", up.status(3));
    let line = refused(&mut lian(&["block", "2", "--rpc-url", &up.url(3)]));
    assert!(line.contains("block 2's transactions were pruned; the oldest block kept is"), "{line}");
    up.stop();
    for node in ["node0", "node3"] {
        let out = succeed(&["verify", "--dir", text(&dir.join(node))]);
        assert!(out.contains("sound"), "{node}: {out}");
    }
}
