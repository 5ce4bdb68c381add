//! Four node processes, the relays between them, and how to reach them.

use crate::{
    books,
    load::{Load, Token},
    observer::Observer,
    relay::Relays,
    votes::Votes,
};
use alloy_primitives::B256;
use lian_client::RpcClient;
use lian_crypto::{ConsensusSecretKey, KeyFile, Suite};
use lian_network::{
    NetworkConfig, NetworkLimits, PeerConfig,
    pki::{TlsIdentity, Trust},
};
use lian_types::{ConsensusParameters, Genesis};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How many members there are: the fewest that bear a fault.
pub(crate) const NODES: usize = 4;
/// The node of the genesis file that does not vote: the tests' own observer.
pub(crate) const OBSERVER: usize = NODES;
/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at a condition.
pub(crate) const LOOK: Duration = Duration::from_millis(20);
/// How long one call may take before the node counts as not answering.
pub(crate) const CALL: Duration = Duration::from_secs(2);

/// Ports of one network.
const PORTS: u16 = 32;
/// Where networks' ports begin and how many networks there is room for: below the system's own choice (32768), so that
/// no connection can take the port of a node that is down.
const PORT_BASE: u16 = 20_200;
const PORT_BLOCKS: u16 = 310;
const RPC: u16 = 8;
const METRICS: u16 = 16;
/// Ports for whoever stands between a node and the others.
pub(crate) const SPARE: u16 = 24;

/// A node's process.
struct Process {
    folder: PathBuf,
    rpc: u16,
    child: Option<Child>,
}

pub(crate) struct Network {
    dir: Option<TempDir>,
    pub(crate) genesis: Genesis,
    pub(crate) ports: u16,
    pub(crate) relays: Relays,
    pub(crate) votes: Arc<Mutex<Votes>>,
    observer: Option<Observer>,
    /// The members that must agree at the end.
    pub(crate) checked: Vec<usize>,
    processes: Vec<Process>,
}

impl Network {
    /// Makes the folders of a network with an observer; starts the relays and the observer, and no node.
    pub(crate) async fn create(change: impl FnOnce(&mut ConsensusParameters)) -> Self {
        let dir = tempfile::Builder::new().prefix("lian-faults-").tempdir().unwrap();
        let net = dir.path().join("net");
        let made = Command::new(env!("CARGO_BIN_EXE_lian"))
            .args(["init", "--dir", net.to_str().unwrap(), "--host", "127.0.0.1:5"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut genesis = Genesis::from_json(&std::fs::read_to_string(net.join("genesis.json")).unwrap()).unwrap();
        genesis.groups[0].sealers.pop();
        change(&mut genesis.groups[0].consensus);
        genesis.check().unwrap();
        let ports = free_ports();
        let relays = Relays::start(ports, &dir.path().join("traffic.csv")).await;
        for node in 0..=NODES {
            let folder = net.join(format!("node{node}"));
            std::fs::write(folder.join("genesis.json"), genesis.to_json()).unwrap();
            if node < NODES {
                let peer = |other: usize| relays.address(node, other);
                configure(&folder, node_ports(ports, node), peer);
            }
        }
        let process =
            |node| Process { folder: net.join(format!("node{node}")), rpc: ports + RPC + node as u16, child: None };
        let processes = (0..NODES).map(process).collect();
        let checked = (0..NODES).collect();
        let votes = Arc::new(Mutex::new(Votes::new(&genesis)));
        let mut network = Self { dir: Some(dir), genesis, ports, relays, votes, observer: None, checked, processes };
        network.observer = Some(Observer::start(&network).await);
        network
    }

    /// Makes a network and starts everything; returns when all members know each other.
    pub(crate) async fn start_all(change: impl FnOnce(&mut ConsensusParameters)) -> Self {
        let mut network = Self::create(change).await;
        (0..NODES).for_each(|node| network.start(node));
        network.wait_for_sessions(0..NODES).await;
        network
    }

    /// The group's timeout of a view, which bounds what a test may take.
    pub(crate) fn view_timeout(&self) -> Duration {
        Duration::from_millis(self.genesis.groups[0].consensus.view_timeout_ms)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.as_ref().unwrap().path()
    }

    pub(crate) fn folder(&self, node: usize) -> PathBuf {
        // The observer has a folder and no process.
        self.processes
            .get(node)
            .map_or_else(|| self.dir().join(format!("net/node{node}")), |process| process.folder.clone())
    }

    /// Gives a member back its own place among the others.
    pub(crate) fn restore(&self, node: usize) {
        configure(&self.folder(node), node_ports(self.ports, node), |other| self.relays.address(node, other));
    }

    /// Adds a process with a folder of its own and the ports of a spare place. It is not started.
    pub(crate) fn add(&mut self, folder: PathBuf, place: usize) -> usize {
        self.processes.push(Process { folder, rpc: self.ports + RPC + place as u16, child: None });
        self.processes.len() - 1
    }

    pub(crate) fn start(&mut self, node: usize) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lian"));
        command.args(["node", "--config"]).arg(self.folder(node).join("config.toml"));
        self.start_as(node, command);
    }

    /// Starts a node by a command of one's own.
    pub(crate) fn start_as(&mut self, node: usize, mut command: Command) {
        let log = File::options().create(true).append(true).open(self.log(node)).unwrap();
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.processes[node].child = Some(process);
    }

    /// SIGKILL: the process has no chance to write anything. What its vote log holds is noted.
    pub(crate) fn kill(&mut self, node: usize) {
        let mut process = self.processes[node].child.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
        self.votes.lock().unwrap().read_log(&self.folder(node), node);
    }

    /// SIGTERM, and waits for a clean end.
    pub(crate) fn stop(&mut self, node: usize) {
        self.signal(node, Signal::SIGTERM);
        let status = self.processes[node].child.take().unwrap().wait().unwrap();
        assert!(status.success(), "node{node} ended with {status}: {}", self.last_words(node));
    }

    pub(crate) fn signal(&self, node: usize, signal: Signal) {
        kill(Pid::from_raw(self.pid(node).cast_signed()), signal).unwrap();
    }

    pub(crate) fn pid(&self, node: usize) -> u32 {
        self.processes[node].child.as_ref().unwrap().id()
    }

    /// Waits until a node has ended by itself, and returns the end of its log.
    pub(crate) async fn wait_for_end(&mut self, node: usize) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.processes[node].child.as_mut().unwrap().try_wait().unwrap() {
                self.processes[node].child = None;
                assert_eq!(status.code(), Some(1), "node{node} ended with {status}: {}", self.last_words(node));
                return self.last_words(node);
            }
            assert!(Instant::now() < end, "node{node} goes on");
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(crate) fn rpc_address(&self, node: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.processes[node].rpc))
    }

    pub(crate) fn client(&self, node: usize) -> RpcClient {
        RpcClient::new(&format!("http://{}", self.rpc_address(node))).unwrap()
    }

    /// A metric of a running node, without labels beside those of all; 0 where it has not been set.
    pub(crate) async fn metric(&self, node: usize, name: &str) -> u64 {
        let [_, _, port] = node_ports(self.ports, node);
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let line = text.lines().find(|line| line.split(['{', ' ']).next() == Some(name));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    pub(crate) async fn status(&self, node: usize) -> Option<Value> {
        status(&self.client(node)).await
    }

    /// Waits until each of these nodes has a session with every other of them.
    pub(crate) async fn wait_for_sessions(&mut self, nodes: impl Iterator<Item = usize> + Clone) {
        let end = Instant::now() + PATIENCE;
        for node in nodes.clone() {
            loop {
                let status = self.status(node).await.unwrap_or_default();
                let peers = status["nodes"].as_array().cloned().unwrap_or_default();
                let is_connected =
                    |other: usize| peers.iter().any(|peer| peer["name"] == name(other) && peer["connected"] == true);
                if nodes.clone().filter(|other| *other != node).all(is_connected) {
                    break;
                }
                self.check_alive();
                assert!(Instant::now() < end, "node{node} does not find its peers: {status}");
                tokio::time::sleep(LOOK).await;
            }
        }
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

    /// Waits until all members that are to agree have the same height and nothing waits; returns it.
    pub(crate) async fn settle(&mut self) -> u64 {
        let end = Instant::now() + PATIENCE;
        loop {
            self.check_alive();
            let mut heights = Vec::new();
            let mut waiting = 0;
            for node in &self.checked {
                let status = self.status(*node).await.unwrap_or_default();
                heights.extend(status["height"].as_u64());
                waiting += status["pending"].as_u64().unwrap_or(1);
            }
            if heights.len() == self.checked.len() && heights.iter().all(|height| *height == heights[0]) && waiting == 0
            {
                return heights[0];
            }
            assert!(Instant::now() < end, "the nodes do not agree: heights {heights:?}, {waiting} waiting");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The end of every test: the load stops, all members agree, and everything that must hold is checked.
    pub(crate) async fn check(mut self, load: Load) {
        self.settle_and_check(load, &[]).await;
    }

    /// As [`Self::check`] where some members' keys were used by others than one honest node.
    pub(crate) async fn settle_and_check(&mut self, load: Load, suspects: &[usize]) {
        let (token, acknowledged) = load.stop().await;
        let height = self.settle().await;
        self.check_chain(token, &acknowledged, height).await;
        for node in self.checked.clone() {
            self.stop(node);
            self.verify(node, height);
            self.votes.lock().unwrap().read_log(&self.folder(node), node);
        }
        let votes = self.votes.lock().unwrap();
        println!("{votes}");
        votes.check(suspects);
    }

    async fn check_chain(&self, token: Token, acknowledged: &[B256], height: u64) {
        let chain = books::read_chain(self, height).await;
        books::check_transactions(&chain, acknowledged);
        books::check_balance(self, token, &chain).await;
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
        for node in 0..self.processes.len() {
            let ended = self.processes[node].child.as_mut().and_then(|process| process.try_wait().unwrap());
            assert!(ended.is_none(), "node{node} ended by itself: {}", self.last_words(node));
        }
    }

    fn log(&self, node: usize) -> PathBuf {
        self.dir().join(format!("{}.log", self.folder(node).file_name().unwrap().to_str().unwrap()))
    }

    pub(crate) fn last_words(&self, node: usize) -> String {
        let log = std::fs::read_to_string(self.log(node)).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// What is needed to speak for a node of this network on a port of one's own, knowing nobody yet.
    pub(crate) fn speak_as(&self, node: usize, listen: u16) -> NetworkConfig {
        let folder = self.folder(node);
        let suite = Suite::Standard;
        NetworkConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], listen)),
            advertised: String::new(),
            peers: Vec::new(),
            identity: TlsIdentity::load(&folder.join("certs/node.pem"), &folder.join("keys/node.pem")).unwrap(),
            trust: Trust::from_pem(&self.genesis.certificate_authorities).unwrap(),
            consensus_key: self.key(node),
            suite,
            genesis_digest: suite.genesis_digest(&self.genesis),
            software: "lian/faults".to_owned(),
            limits: NetworkLimits::default(),
        }
    }

    pub(crate) fn key(&self, node: usize) -> ConsensusSecretKey {
        KeyFile::at(self.folder(node).join("keys/consensus.json")).load(None).unwrap().1
    }

    /// A node as others configure it; with port 0 it is not dialled.
    pub(crate) fn peer(&self, node: usize, port: u16) -> PeerConfig {
        let address = if port == 0 { String::new() } else { format!("127.0.0.1:{port}") };
        PeerConfig { key: self.genesis.nodes[node].consensus_key, name: name(node), institution: None, address }
    }

    /// Where a node listens for others.
    pub(crate) const fn p2p_port(&self, node: usize) -> u16 {
        self.ports + node as u16
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for process in &mut self.processes {
            if let Some(mut child) = process.child.take() {
                // Only where the test failed before it stopped the node itself.
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        if std::thread::panicking() {
            let kept = self.dir.take().unwrap().keep();
            eprintln!("logs, data and traffic.csv are kept in {}", kept.display());
        }
    }
}

pub(crate) fn name(node: usize) -> String {
    format!("node{node}")
}

/// A node's `lian_status`; none if it does not answer in time.
pub(crate) async fn status(client: &RpcClient) -> Option<Value> {
    tokio::time::timeout(CALL, client.request("lian_status", vec![])).await.ok()?.ok()
}

/// The parameters of a JSON-RPC call by position.
pub(crate) fn one(value: impl serde::Serialize) -> Vec<Value> {
    vec![json!(value)]
}

/// The ports of the node at a place: for other nodes, JSON-RPC, metrics.
pub(crate) const fn node_ports(ports: u16, place: usize) -> [u16; 3] {
    let place = place as u16;
    [ports + place, ports + RPC + place, ports + METRICS + place]
}

/// Changes a node's configuration: its ports, and where it finds the other members. The observer dials by itself.
pub(crate) fn configure(folder: &Path, [p2p, rpc, metrics]: [u16; 3], peer: impl Fn(usize) -> String) {
    let path = folder.join("config.toml");
    let mut config: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    let own = config["name"].as_str().unwrap().to_owned();
    let listen = |port: u16| toml::Value::String(format!("127.0.0.1:{port}"));
    config["rpc"]["listen"] = listen(rpc);
    config["metrics"]["listen"] = listen(metrics);
    let p2p_section = config["p2p"].as_table_mut().unwrap();
    p2p_section.insert("listen".into(), listen(p2p));
    p2p_section.insert("advertised".into(), "".into());
    let peers = (0..=OBSERVER).filter(|other| name(*other) != own).map(|other| (other, peer(other)));
    let peers = peers.filter(|(_, address)| !address.is_empty()).map(|(other, address)| {
        toml::Value::Table(
            [("name", name(other)), ("address", address)].map(|(k, v)| (k.to_owned(), v.into())).into_iter().collect(),
        )
    });
    let peers = peers.collect();
    p2p_section.insert("peers".into(), toml::Value::Array(peers));
    std::fs::write(path, toml::to_string(&config).unwrap()).unwrap();
}

/// Ports that nobody uses now and that no other network of this process gets.
fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % u32::from(PORT_BLOCKS)) as u16;
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (0..PORT_BLOCKS)
        .map(|_| PORT_BASE + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % PORT_BLOCKS * PORTS)
        .find(|base| (0..PORTS).all(|port| is_free(base + port)))
        .unwrap()
}

/// All members but one.
pub(crate) fn others(one: usize) -> Vec<usize> {
    (0..NODES).filter(|node| *node != one).collect()
}
