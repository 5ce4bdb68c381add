//! A group of real processes whose members change under load: 4 → 7 → 4.

use crate::program::{free_offset, lian, succeed, text};
use alloy_primitives::{Address, B256, TxKind, U256};
use lian_client::{RpcClient, SendRequest, Sender};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);
/// The chain that `lian init` makes.
const CHAIN_ID: u64 = 20_200;

/// A network's folder and the nodes that run from it.
pub(crate) struct Network {
    _folder: tempfile::TempDir,
    pub(crate) dir: PathBuf,
    offset: u16,
    pub(crate) nodes: Vec<Child>,
}

impl Network {
    /// Four members.
    pub(crate) fn start(consensus: &str) -> Self {
        Self::start_from(consensus, |genesis| genesis)
    }

    /// Four members of a chain that begins otherwise.
    pub(crate) fn start_from(consensus: &str, edit: impl Fn(String) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("net");
        let offset = free_offset();
        let shown = offset.to_string();
        let host = ["--host", "127.0.0.1:4", "--port-offset", &shown, "--consensus", consensus];
        succeed(&[&["init", "--dir", text(&dir)], &host[..]].concat());
        for folder in ["", "node0", "node1", "node2", "node3"] {
            let path = dir.join(folder).join("genesis.json");
            fs::write(&path, edit(fs::read_to_string(&path).unwrap())).unwrap();
        }
        (0..4).for_each(|node| snapshot_often(&dir, &format!("node{node}")));
        let mut network = Self { _folder: folder, dir, offset, nodes: vec![] };
        (0..4).for_each(|node| network.start_node(node));
        network
    }

    fn start_node(&mut self, node: usize) {
        let log = File::create(self.dir.join(format!("node{node}.log"))).unwrap();
        let config = self.dir.join(format!("node{node}/config.toml"));
        let mut command = lian(&["node", "--config", text(&config)]);
        self.nodes.push(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    /// Makes the folder of a further node and adds it to the chain; starts it.
    fn join(&mut self, node: usize) {
        let (name, offset) = (format!("node{node}"), self.offset.to_string());
        let arguments = ["init", "--join", text(&self.dir), "--name", &name, "--host", "127.0.0.1"];
        let said = succeed(&[&arguments[..], &["--port-offset", &offset]].concat());
        // What it says is to be done.
        let mut verbs = said.lines().filter_map(|line| line.strip_prefix("lian gov ")).map(str::to_owned);
        let added: Vec<_> = verbs.by_ref().take_while(|verb| !verb.starts_with("set-role")).collect();
        assert_eq!(added.len(), 2, "{said}");
        snapshot_often(&self.dir, &name);
        for verb in added {
            self.govern(&verb.split(' ').collect::<Vec<_>>());
        }
        self.start_node(node);
    }

    pub(crate) fn url(&self, node: usize) -> String {
        format!("http://127.0.0.1:{}", 8_545 + self.offset + u16::try_from(node).unwrap())
    }

    /// `lian gov`, as the operator whose key was made with the network.
    pub(crate) fn govern(&self, verb: &[&str]) -> String {
        let key = fs::read_to_string(self.dir.join("ca/operator.key")).unwrap();
        let url = self.url(3);
        succeed(&[&["gov"], verb, &["--private-key", key.trim(), "--rpc-url", &url]].concat())
    }

    pub(crate) fn client(&self, node: usize) -> RpcClient {
        RpcClient::new(&self.url(node)).unwrap()
    }

    pub(crate) async fn status(&self, node: usize) -> Value {
        self.client(node).request("lian_status", vec![]).await.unwrap_or_default()
    }

    /// Waits until a node's status is as wanted.
    pub(crate) async fn wait_for(&self, node: usize, what: &str, is: impl Fn(&Value) -> bool) {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.status(node).await;
            if is(&status) {
                return;
            }
            assert!(Instant::now() < end, "node{node} is not {what}: {status}\n{}", self.last_words(node));
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(crate) fn last_words(&self, node: usize) -> String {
        let log = fs::read_to_string(self.dir.join(format!("node{node}.log"))).unwrap_or_default();
        log.lines().rev().take(15).collect::<Vec<_>>().join("\n")
    }

    /// SIGTERM, and a start without any block.
    pub(crate) fn lose_data(&mut self, node: usize) {
        self.restart_after(node, |dir| fs::remove_dir_all(dir.join("data/group0")).unwrap());
    }

    /// SIGTERM, and a start after something was done to the node's folder.
    pub(crate) fn restart_after(&mut self, node: usize, act: impl Fn(&Path)) {
        let process = &mut self.nodes[node];
        kill(Pid::from_raw(process.id().cast_signed()), Signal::SIGTERM).unwrap();
        assert!(process.wait().unwrap().success());
        act(&self.dir.join(format!("node{node}")));
        self.start_node(node);
        self.nodes[node] = self.nodes.pop().unwrap();
    }

    pub(crate) fn stop(&mut self) {
        for node in &self.nodes {
            kill(Pid::from_raw(node.id().cast_signed()), Signal::SIGTERM).unwrap();
        }
        for (number, mut node) in self.nodes.drain(..).enumerate() {
            assert!(node.wait().unwrap().success(), "node{number} did not end well");
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Only where a test failed before it stopped them itself.
        for node in &mut self.nodes {
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

/// Lets a node make snapshots often, and begin with one of a chain however short.
fn snapshot_often(dir: &Path, node: &str) {
    let path = dir.join(node).join("config.toml");
    let mut config = fs::read_to_string(&path).unwrap();
    for (from, to) in [("interval = 10000", "interval = 20"), ("snapshot_height_min = 5000", "snapshot_height_min = 1")]
    {
        assert!(config.contains(from), "{config}");
        config = config.replace(from, to);
    }
    fs::write(path, config).unwrap();
}

/// Clients that send one transaction after the other, each to a node of its own, and that bear no error.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<Vec<B256>>>,
}

impl Load {
    fn start(network: &Network, nodes: &[usize]) -> Self {
        Self::start_with(network, nodes, 0x2000)
    }

    /// With accounts that have sent nothing, by their keys from one on.
    pub(crate) fn start_with(network: &Network, nodes: &[usize], first_key: usize) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let client = |node: &usize| {
            let key = format!("0x{:064x}", node + first_key);
            tokio::spawn(send(network.client(*node), key, Arc::clone(&stop), Arc::clone(&done)))
        };
        let clients = nodes.iter().map(client).collect();
        Self { stop, done, clients }
    }

    pub(crate) async fn wait_for_more(&self, count: usize) {
        let goal = self.done.load(Ordering::Relaxed) + count;
        let end = Instant::now() + PATIENCE;
        while self.done.load(Ordering::Relaxed) < goal {
            assert!(Instant::now() < end, "transactions no longer become final");
            assert!(self.clients.iter().all(|client| !client.is_finished()), "a client has met an error");
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(crate) async fn stop(self) -> Vec<B256> {
        self.stop.store(true, Ordering::Relaxed);
        let mut sent = vec![];
        for client in self.clients {
            sent.extend(client.await.unwrap());
        }
        sent
    }
}

async fn send(client: RpcClient, key: String, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) -> Vec<B256> {
    let sender = Sender::new(&client, &key).unwrap();
    let to = TxKind::Call(Address::repeat_byte(0x77));
    let request = SendRequest { to, value: U256::ZERO, input: Default::default(), gas_limit: None, nonce: None };
    let mut sent = vec![];
    while !stop.load(Ordering::Relaxed) {
        let nonce = u64::try_from(sent.len()).unwrap();
        let (hash, raw) = sender.sign(CHAIN_ID, nonce, 21_000, &request).unwrap();
        client.request::<B256>("eth_sendRawTransaction", vec![json!(raw)]).await.unwrap();
        let receipt = sender.wait(hash, PATIENCE).await.unwrap();
        assert_eq!(receipt["status"], "0x1");
        sent.push(hash);
        done.fetch_add(1, Ordering::Relaxed);
    }
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_goes_from_four_to_seven_and_back_to_four_under_load() {
    grow_and_shrink("pbft").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raft_group_goes_from_four_to_seven_and_back_to_four_under_load() {
    grow_and_shrink("raft").await;
}

async fn grow_and_shrink(consensus: &str) {
    let mut network = Network::start(consensus);
    for node in 0..4 {
        network.wait_for(node, "connected", |status| status["peers"] == 3 && status["role"] == "sealer").await;
    }
    let load = Load::start(&network, &[0, 1, 3]);
    load.wait_for_more(20).await;
    for node in 4..7 {
        network.join(node);
        network
            .wait_for(node, "a candidate that follows", |status| {
                // Its key has never voted, however many blocks its snapshot stands for.
                status["role"] == "candidate"
                    && status["abstains"] == false
                    && status["peers"].as_u64() >= Some(4)
                    && status["height"].as_u64() > Some(1)
            })
            .await;
    }
    load.wait_for_more(20).await;

    let said = network.govern(&["set-role", "node4=sealer", "node5=sealer", "node6=sealer"]);
    assert!(said.contains("sealers          7"), "{said}");
    for node in 0..7 {
        network
            .wait_for(node, "one of seven members", |status| {
                status["role"] == "sealer" && status["members"] == 7 && status["epoch"] == 1
            })
            .await;
    }
    load.wait_for_more(40).await;

    network.govern(&["set-role", "node0=observer", "node1=observer", "node2=observer"]);
    for node in 0..7 {
        let role = if node < 3 { "observer" } else { "sealer" };
        network
            .wait_for(node, role, |status| status["role"] == role && status["members"] == 4 && status["epoch"] == 2)
            .await;
    }
    load.wait_for_more(40).await;
    // One that has lost everything begins with a snapshot, whose members it proves from genesis on over all epochs.
    network.lose_data(2);
    network.wait_for(2, "far", |status| status["height"].as_u64() > Some(60) && status["lag"] == 0).await;
    assert!(network.status(2).await["oldest"].as_u64() >= Some(20));
    load.wait_for_more(10).await;

    // One that leaves altogether is disconnected, and the group goes on.
    network.govern(&["set-role", "node2=none"]);
    network.wait_for(2, "alone", |status| status["peers"] == 0).await;
    load.wait_for_more(10).await;

    let sent = load.stop().await;
    let height = network.status(3).await["height"].as_u64().unwrap();
    for node in [0, 1, 3, 4, 5, 6] {
        network.wait_for(node, "at the last block", |status| status["height"].as_u64() >= Some(height)).await;
        let receipt: Value =
            network.client(node).request("eth_getTransactionReceipt", vec![json!(sent.last())]).await.unwrap();
        assert_eq!(receipt["status"], "0x1");
        // Certificates of every epoch name their own members.
        // Who joined later began with a snapshot.
        for (block, epoch, members) in [(1, 0, 4), (height, 2, 4)].into_iter().skip(usize::from(node > 3)) {
            let certificate: Value =
                network.client(node).request("lian_getCertificate", vec![json!(format!("{block:#x}"))]).await.unwrap();
            assert_eq!(certificate["epoch"], format!("{epoch:#x}"), "{certificate}");
            assert_eq!(certificate["members"].as_array().map(Vec::len), Some(members));
        }
    }
    let listed = network.govern(&["set-parameter", "block_transactions_max", "5000"]);
    assert!(listed.contains("acts from block"), "{listed}");
    network.stop();
    for node in [0, 2, 3, 6] {
        succeed(&["verify", "--dir", text(&network.dir.join(format!("node{node}")))]);
    }

    // The same by hand: a snapshot of one node, proven by the genesis file alone, begins another one.
    let (snapshot, genesis) = (network.dir.join("snapshot"), network.dir.join("genesis.json"));
    let (from, to) = (network.dir.join("node3"), network.dir.join("node6"));
    succeed(&["snapshot", "create", "--dir", text(&from), "--out", text(&snapshot)]);
    let said = succeed(&["snapshot", "verify", text(&snapshot), "--genesis", text(&genesis)]);
    assert!(said.contains("sound"), "{said}");
    fs::remove_dir_all(to.join("data/group0")).unwrap();
    succeed(&["snapshot", "restore", text(&snapshot), "--dir", text(&to)]);
    let said = succeed(&["verify", "--dir", text(&to)]);
    assert!(said.contains("sound"), "{said}");
}

/// What a further node needs is made from the network's folder, or refused with the reason.
#[test]
fn a_further_node_needs_a_network_with_its_authority() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    let refused = |dir: &Path, name: &str| {
        let arguments = ["init", "--join", text(dir), "--name", name, "--host", "10.0.0.9"];
        crate::program::refused(&mut lian(&arguments))
    };
    assert!(refused(&dir, "node1").contains("genesis.json"));
    let operator = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    succeed(&["init", "--dir", text(&dir), "--host", "127.0.0.1:1", "--operator", operator]);
    assert!(!dir.join("ca/operator.key").exists(), "an operator was named");
    assert!(refused(&dir, "node0").contains("has a node `node0` already"));
    assert!(refused(&dir, "not a name").contains("not a name"));
    let offset = free_offset();
    let shown = offset.to_string();
    let said =
        succeed(&["init", "--join", text(&dir), "--name", "node1", "--host", "10.0.0.9", "--port-offset", &shown]);
    assert!(said.contains("lian gov add-institution bank1\n"), "{said}");
    assert!(said.contains(&format!("10.0.0.9:{}", 30_300 + offset)), "{said}");
    let check = ["node", "--check", "--config", text(&dir.join("node1/config.toml"))].map(str::to_owned);
    succeed(&check.iter().map(String::as_str).collect::<Vec<_>>());
    fs::remove_file(dir.join("ca/root.key")).unwrap();
    assert!(refused(&dir, "node2").contains("root.key"));
    assert!(!dir.join("node2").exists());
}
