//! A node's `config.toml`.

use crate::ports::{Listener, Ports};
use anyhow::{Context, Result, anyhow, bail};
use lian_group::DataPolicy;
use lian_hooks::HookSection;
use lian_types::{BlockNumber, ConsensusKey, HistoryDepth, limits};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

/// Most threads that a block is executed on.
const EXECUTION_THREADS_MAX: usize = 64;
/// Most where the file leaves the number to the program.
const EXECUTION_THREADS_AUTO_MAX: usize = 8;

/// One node's configuration. Paths are relative to the folder that the file stands in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeConfig {
    /// The node's name, in the genesis file or among the nodes that the chain has added.
    pub(crate) name: String,
    /// The genesis file.
    pub(crate) genesis: PathBuf,
    /// Keys and certificates.
    pub(crate) identity: IdentityConfig,
    /// The network of nodes.
    pub p2p: P2pConfig,
    /// JSON-RPC.
    pub(crate) rpc: RpcSection,
    /// Metrics and health.
    pub(crate) metrics: MetricsConfig,
    /// Data on disk.
    pub(crate) storage: StorageConfig,
    /// Snapshots of the state.
    #[serde(default)]
    pub(crate) snapshots: SnapshotSection,
    /// How a node without blocks begins.
    #[serde(default)]
    pub(crate) sync: SyncSection,
    /// What becomes of old blocks.
    #[serde(default)]
    pub(crate) pruning: PruningSection,
    /// How blocks are executed.
    #[serde(default)]
    pub(crate) execution: ExecutionSection,
    /// Logs.
    pub(crate) log: LogConfig,
    /// Which services hear of a contract's events.
    #[serde(default)]
    pub(crate) hooks: Vec<HookSection>,
}

/// Keys and certificates of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentityConfig {
    /// The key that signs votes; where it is encrypted, `LIAN_KEY_PASSPHRASE` has its passphrase.
    pub(crate) consensus_key: PathBuf,
    /// The node's certificate and its institution's, in PEM.
    pub(crate) certificate: PathBuf,
    /// The key of the certificate, in PEM.
    pub(crate) certificate_key: PathBuf,
}

/// Where a node listens for other nodes, and where they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct P2pConfig {
    /// Address and port.
    pub(crate) listen: SocketAddr,
    /// Host and port at which other nodes reach this one, told to them as a hint; may be empty.
    #[serde(default)]
    pub(crate) advertised: String,
    /// The other nodes.
    #[serde(default)]
    pub(crate) peers: Vec<PeerAddress>,
}

/// Where another node is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PeerAddress {
    /// Its name.
    pub(crate) name: String,
    /// Host and port of its P2P listener.
    pub(crate) address: String,
    /// Its consensus key, where it is not in the genesis file and the chain is not here yet to tell.
    #[serde(default)]
    pub(crate) key: Option<ConsensusKey>,
}

/// JSON-RPC over HTTP and WebSocket.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RpcSection {
    /// Address and port.
    pub(crate) listen: SocketAddr,
    /// The address at which others reach it, told to them; may be empty.
    #[serde(default)]
    pub(crate) advertised: String,
    /// Origins that pages may call from; empty allows those on this machine only.
    #[serde(default)]
    pub(crate) cors_origins: Vec<String>,
    /// Bearer tokens by namespace, such as `debug = "…"`; a namespace without one is open.
    #[serde(default)]
    pub(crate) tokens: BTreeMap<String, String>,
}

/// Prometheus metrics and health.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetricsConfig {
    /// Address and port.
    pub(crate) listen: SocketAddr,
}

/// Data on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StorageConfig {
    /// The folder; each group has its own in it.
    pub(crate) dir: PathBuf,
    /// States of how many newest blocks answer calls, traces and proofs: a number, or `"all"`.
    pub(crate) history: History,
}

/// Snapshots of the state.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SnapshotSection {
    /// Blocks between two snapshots; 0 makes none.
    pub(crate) interval: u64,
}

impl Default for SnapshotSection {
    fn default() -> Self {
        Self { interval: limits::SNAPSHOT_INTERVAL_DEFAULT }
    }
}

/// How blocks are executed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ExecutionSection {
    /// On how many threads, at most [`EXECUTION_THREADS_MAX`]; 0 for a quarter of the machine's processors, at most
    /// [`EXECUTION_THREADS_AUTO_MAX`]: recovering senders keeps the others busy.
    pub(crate) threads: usize,
}

/// How a node without blocks begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SyncSection {
    /// With a snapshot of its peers, or with block 0.
    pub(crate) mode: SyncMode,
    /// The lowest height of a snapshot that is worth it.
    pub(crate) snapshot_height_min: u64,
}

impl Default for SyncSection {
    fn default() -> Self {
        Self { mode: SyncMode::Snapshot, snapshot_height_min: limits::SNAPSHOT_JOIN_HEIGHT_MIN }
    }
}

/// With what a node without blocks begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SyncMode {
    /// A snapshot, where peers have one.
    Snapshot,
    /// Block 0.
    Full,
}

/// What becomes of old blocks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PruningSection {
    /// How many newest blocks are kept with transactions and receipts: a number, or `"all"`.
    pub(crate) keep_blocks: History,
    /// Where older ones are moved to; empty deletes them.
    pub(crate) archive: PathBuf,
}

impl Default for PruningSection {
    fn default() -> Self {
        Self { keep_blocks: History::Word("all".to_owned()), archive: PathBuf::new() }
    }
}

/// A number of blocks, or `all`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum History {
    /// That many.
    Blocks(u64),
    /// `"all"`.
    Word(String),
}

impl History {
    /// The depth it stands for.
    ///
    /// # Errors
    /// For a word other than `all`, with the word.
    pub(crate) fn depth(&self) -> Result<HistoryDepth> {
        self.named("storage.history")
    }

    fn named(&self, name: &str) -> Result<HistoryDepth> {
        match self {
            Self::Blocks(count) => Ok(HistoryDepth::Blocks(*count)),
            Self::Word(word) if word == "all" => Ok(HistoryDepth::All),
            Self::Word(word) => bail!("{name} is `{word}`, must be a number of blocks or \"all\""),
        }
    }

    fn to_toml(&self) -> String {
        match self {
            Self::Blocks(count) => count.to_string(),
            Self::Word(word) => format!("{word:?}"),
        }
    }
}

/// Logs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,lian_pbft=debug`.
    pub(crate) level: String,
    /// `text` or `json`.
    pub(crate) format: LogFormat,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl NodeConfig {
    /// Reads a file as it is written, its paths relative to its folder.
    ///
    /// # Errors
    /// Names the file and the line or value that is wrong.
    pub(crate) fn read_as_written(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let config: Self = toml::from_str(&text)
            .map_err(|error| anyhow!("{}{}", path.display(), position_and_reason(&text, &error)))?;
        config.storage.history.depth().with_context(|| path.display().to_string())?;
        config.data_policy().with_context(|| path.display().to_string())?;
        config.execution_threads().with_context(|| path.display().to_string())?;
        Ok(config)
    }

    /// Reads a file, its paths completed with its folder.
    ///
    /// # Errors
    /// Names the file and the line or value that is wrong.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let mut config = Self::read_as_written(path)?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        for field in [
            &mut config.genesis,
            &mut config.identity.consensus_key,
            &mut config.identity.certificate,
            &mut config.identity.certificate_key,
            &mut config.storage.dir,
        ] {
            *field = folder.join(&*field);
        }
        if config.pruning.archive != Path::new("") {
            config.pruning.archive = folder.join(&config.pruning.archive);
        }
        config.hooks.iter_mut().for_each(|hook| hook.complete(folder));
        Ok(config)
    }

    /// What is kept of old blocks, and how a node without blocks begins.
    ///
    /// # Errors
    /// Names the value that is wrong.
    pub(crate) fn data_policy(&self) -> Result<DataPolicy> {
        let keep_blocks = match self.pruning.keep_blocks.named("pruning.keep_blocks")? {
            HistoryDepth::All => None,
            HistoryDepth::Blocks(0) => bail!("pruning.keep_blocks is 0, must be at least 1 or \"all\""),
            HistoryDepth::Blocks(_) if self.snapshots.interval == 0 => bail!(
                "pruning.keep_blocks needs snapshots.interval above 0: old blocks go only when later snapshots have the state"
            ),
            HistoryDepth::Blocks(count) => Some(count),
        };
        let archive = Some(&self.pruning.archive).filter(|archive| *archive != Path::new(""));
        let joins = self.sync.mode == SyncMode::Snapshot;
        Ok(DataPolicy {
            snapshot_interval: Some(self.snapshots.interval).filter(|interval| *interval > 0),
            join_height_min: joins.then_some(BlockNumber(self.sync.snapshot_height_min)),
            keep_blocks,
            archive: archive.cloned(),
        })
    }

    /// On how many threads a block is executed.
    ///
    /// # Errors
    /// Names the value that is out of its range.
    pub(crate) fn execution_threads(&self) -> Result<NonZeroUsize> {
        let threads = self.execution.threads;
        if threads > EXECUTION_THREADS_MAX {
            bail!("execution.threads is {threads}, must be 0 to {EXECUTION_THREADS_MAX}");
        }
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let automatic = (processors / 4).clamp(1, EXECUTION_THREADS_AUTO_MAX);
        Ok(NonZeroUsize::new(threads).or(NonZeroUsize::new(automatic)).unwrap_or(NonZeroUsize::MIN))
    }

    /// What the node listens on.
    pub(crate) fn listeners(&self) -> Vec<Listener> {
        let name = &self.name;
        let listener = |what: &str, address| Listener { what: format!("{what} of {name}"), address };
        vec![
            listener("P2P", self.p2p.listen),
            listener("JSON-RPC", self.rpc.listen),
            listener("metrics", self.metrics.listen),
        ]
    }

    /// Takes over the ports of every node, this one's and its peers'; hosts stay.
    pub(crate) fn move_to(&mut self, ports: &BTreeMap<String, Ports>) {
        if let Some(own) = ports.get(&self.name) {
            self.p2p.listen.set_port(own.p2p);
            self.rpc.listen.set_port(own.rpc);
            self.metrics.listen.set_port(own.metrics);
            self.p2p.advertised = with_port(&self.p2p.advertised, own.p2p);
            self.rpc.advertised = with_port(&self.rpc.advertised, own.rpc);
        }
        for peer in &mut self.p2p.peers {
            if let Some(ports) = ports.get(&peer.name) {
                peer.address = with_port(&peer.address, ports.p2p);
            }
        }
    }

    /// The file's text, every key with its meaning.
    #[must_use]
    pub(crate) fn to_toml(&self) -> String {
        let mut peers = String::new();
        for peer in &self.p2p.peers {
            peers.push_str(&format!("\n[[p2p.peers]]\nname = {:?}\naddress = {:?}\n", peer.name, peer.address));
            if let Some(key) = peer.key {
                peers.push_str(&format!("key = \"{key}\"\n"));
            }
        }
        let hooks: String = self.hooks.iter().map(HookSection::to_toml).collect();
        let tokens: String =
            self.rpc.tokens.iter().map(|(namespace, token)| format!("{namespace:?} = {token:?}\n")).collect();
        let mode = match self.sync.mode {
            SyncMode::Snapshot => "snapshot",
            SyncMode::Full => "full",
        };
        let format = match self.log.format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        format!(
            r#"# A node of a Lian network. Paths are relative to this file. `lian node --check --config config.toml` checks it.

# The node's name.
name = {name:?}
# The genesis file: identical on all nodes.
genesis = {genesis:?}

[identity]
# The key that signs votes and handshakes. If it is encrypted, LIAN_KEY_PASSPHRASE has its passphrase.
consensus_key = {consensus_key:?}
# The node's certificate followed by its institution's, in PEM, and the node certificate's key.
certificate = {certificate:?}
certificate_key = {certificate_key:?}

[rpc]
# JSON-RPC over HTTP and WebSocket, on one port.
listen = "{rpc}"
# The address at which others reach it, shown in every node's status; may be empty.
advertised = {rpc_advertised:?}
# Web origins that may call; empty allows pages served from this machine only. ["*"] allows all.
cors_origins = {cors:?}

# Bearer tokens by namespace, for example: debug = "a long random text". A namespace without a token is open.
[rpc.tokens]
{tokens}
[metrics]
# Prometheus' /metrics, and /health and /ready.
listen = "{metrics}"

[storage]
# Each group has a folder of its own in here.
dir = {dir:?}
# States of how many newest blocks answer calls, traces and proofs: a number, or "all".
history = {history}

[snapshots]
# At every so many blocks the state is written to a snapshot, in the background; the newest two are kept. New nodes begin
# with them. 0 makes none.
interval = {interval}

[sync]
# How a node without blocks begins: with a "snapshot" of other nodes, where they have one, or in "full" with block 0.
mode = "{mode}"
# Below this height of a snapshot it begins with block 0.
snapshot_height_min = {height_min}

[pruning]
# How many newest blocks are kept with transactions and receipts, at least: a number, or "all". Headers and certificates of
# older ones stay. Needs snapshots.
keep_blocks = {keep_blocks}
# A folder that older blocks are moved to, from which they are still read; empty deletes them.
archive = {archive:?}

[execution]
# On how many threads a block is executed, 1 to {EXECUTION_THREADS_MAX}; 0 for a quarter of the machine's processors, at most {EXECUTION_THREADS_AUTO_MAX}.
threads = {execution_threads}

[log]
# error, warn, info, debug, trace, or a filter such as "info,lian_pbft=debug".
level = {level:?}
# text or json
format = "{format}"

[p2p]
# Where this node listens for other nodes, by mutual TLS.
listen = "{p2p}"
# Host and port at which other nodes reach this one, told to them as a hint; may be empty.
advertised = {advertised:?}

# The other nodes: name, host and port of their P2P listener. Those that the chain knows need not be here; one that is in
# no genesis file may be found before the chain is here if its consensus key is given: key = "0x…"
{peers}
# Services that are called for a contract's events, in order and at least once (docs/hooks.md), for example:
# [[hooks]]
# name = "settlement"
# contract = "0x0000000000000000000000000000000000002009"
# events = ["Issued(uint256 indexed asset, address indexed to, uint256 amount, bytes32 referenceId)"]   # none: all, undecoded
# url = "https://erp.example/lian"
# secret = "hooks/settlement.secret"    # `whsec_` and 24 to 64 bytes in base64
# group = 0                             # may be left out, as may the following
# certificate_authorities = "erp.pem"   # trusted beside those of the system
# from = "latest"                       # or the number of the block to begin with
{hooks}"#,
            name = self.name,
            genesis = self.genesis,
            consensus_key = self.identity.consensus_key,
            certificate = self.identity.certificate,
            certificate_key = self.identity.certificate_key,
            rpc = self.rpc.listen,
            rpc_advertised = self.rpc.advertised,
            cors = self.rpc.cors_origins,
            metrics = self.metrics.listen,
            dir = self.storage.dir,
            history = self.storage.history.to_toml(),
            interval = self.snapshots.interval,
            height_min = self.sync.snapshot_height_min,
            keep_blocks = self.pruning.keep_blocks.to_toml(),
            archive = self.pruning.archive,
            execution_threads = self.execution.threads,
            level = self.log.level,
            p2p = self.p2p.listen,
            advertised = self.p2p.advertised,
            tokens = tokens,
        )
    }
}

/// A host and port with another port; empty stays empty.
fn with_port(address: &str, port: u16) -> String {
    address.rsplit_once(':').map_or_else(|| address.to_owned(), |(host, _)| format!("{host}:{port}"))
}

/// Where in a file the error is and what is wrong, on one line; the library's own text draws the file over several.
fn position_and_reason(text: &str, error: &toml::de::Error) -> String {
    let reason = error.message().replace('\n', ", ");
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!(", line {}: {reason}", before.matches('\n').count().saturating_add(1)),
        None => format!(": {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lian_hooks::Start;

    #[test]
    fn text_reads_back() {
        let hook = HookSection {
            name: "settlement".into(),
            group: 1,
            contract: "0x0000000000000000000000000000000000002009".into(),
            events: vec!["Paid(address payer, string \"text\")".into()],
            url: "https://erp.example/lian".into(),
            secret: "hooks/settlement.secret".into(),
            certificate_authorities: Some("erp.pem".into()),
            from: Start::Block(7),
        };
        let config = NodeConfig {
            name: "node0".into(),
            genesis: "genesis.json".into(),
            identity: IdentityConfig {
                consensus_key: "keys/consensus.json".into(),
                certificate: "certs/node.pem".into(),
                certificate_key: "keys/node.pem".into(),
            },
            p2p: P2pConfig {
                listen: "127.0.0.1:30300".parse().unwrap(),
                advertised: String::new(),
                peers: vec![PeerAddress { name: "node1".into(), address: "127.0.0.1:30301".into(), key: None }],
            },
            rpc: RpcSection {
                listen: "127.0.0.1:8545".parse().unwrap(),
                advertised: "http://127.0.0.1:8545".into(),
                cors_origins: vec![],
                tokens: [("debug".into(), "a \"quoted\" token".into())].into(),
            },
            metrics: MetricsConfig { listen: "127.0.0.1:9545".parse().unwrap() },
            storage: StorageConfig { dir: "data".into(), history: History::Blocks(1_024) },
            snapshots: SnapshotSection::default(),
            sync: SyncSection::default(),
            pruning: PruningSection { keep_blocks: History::Blocks(9), archive: "old".into() },
            execution: ExecutionSection { threads: 3 },
            log: LogConfig { level: "info".into(), format: LogFormat::Text },
            hooks: vec![hook.clone(), HookSection { certificate_authorities: None, from: Start::default(), ..hook }],
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, config.to_toml()).unwrap();
        let read = NodeConfig::read(&path).unwrap();
        assert_eq!(read.genesis, folder.path().join("genesis.json"));
        assert_eq!(read.p2p.peers[0].address, "127.0.0.1:30301");
        assert_eq!(read.rpc.tokens, config.rpc.tokens);
        assert_eq!(NodeConfig::read_as_written(&path).unwrap().hooks, config.hooks);
        assert_eq!(read.hooks[0].secret, folder.path().join("hooks/settlement.secret"));
        assert_eq!(read.hooks[0].certificate_authorities, Some(folder.path().join("erp.pem")));
        assert_eq!(read.execution_threads().unwrap().get(), 3);
        std::fs::write(&path, config.to_toml().replace("threads = 3", "threads = 65")).unwrap();
        let error = format!("{:#}", NodeConfig::read(&path).unwrap_err());
        assert!(error.ends_with("config.toml: execution.threads is 65, must be 0 to 64"), "{error}");
        let policy = DataPolicy {
            snapshot_interval: Some(10_000),
            join_height_min: Some(BlockNumber(5_000)),
            keep_blocks: Some(9),
            archive: Some(folder.path().join("old")),
        };
        assert_eq!(read.data_policy().unwrap(), policy);
        for (key, other, words) in [
            ("keep_blocks = 9", "keep_blocks = 0", "is 0, must be at least 1"),
            ("keep_blocks = 9", "keep_blocks = \"none\"", "pruning.keep_blocks is `none`"),
            ("interval = 10000", "interval = 0", "needs snapshots.interval above 0"),
            ("mode = \"snapshot\"", "mode = \"fast\"", "unknown variant `fast`"),
        ] {
            std::fs::write(&path, config.to_toml().replace(key, other)).unwrap();
            let error = format!("{:#}", NodeConfig::read(&path).unwrap_err());
            assert!(error.contains(words), "{error}");
        }
        // A file of an earlier version has none of these sections.
        let text = config.to_toml();
        let (before, after) = (text.find("[snapshots]").unwrap(), text.find("[log]").unwrap());
        std::fs::write(&path, format!("{}{}", &text[..before], &text[after..])).unwrap();
        assert_eq!(NodeConfig::read(&path).unwrap().data_policy().unwrap().keep_blocks, None);
        std::fs::write(&path, config.to_toml().replace("[log]", "[log]\nlevle = 1")).unwrap();
        let error = format!("{:#}", NodeConfig::read(&path).unwrap_err());
        assert!(error.contains("config.toml, line ") && error.contains("levle"), "{error}");
    }
}
