//! The folders of a network.
//!
//! ```text
//! net/genesis.json      what all nodes agree on from the start
//! net/ca/               the authority's and the institutions' certificates and keys, and an operator's; no node needs them
//! net/node0/            all that one node needs, to copy to its host:
//!     config.toml  genesis.json  keys/  certs/  data/  logs/
//! ```

use crate::{
    config::{
        ExecutionSection, History, IdentityConfig, LogConfig, LogFormat, MetricsConfig, NodeConfig, P2pConfig,
        PeerAddress, PruningSection, RpcSection, SnapshotSection, StorageConfig, SyncSection,
    },
    ports::Ports,
};
use alloy_primitives::{Address, U256};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use lian_client::random_account;
use lian_crypto::{ConsensusSecretKey, KeyFile, Suite};
use lian_network::pki::{Authority, KeyAlgorithm, Validity};
use lian_types::{
    CommitteeGenesis, ConsensusKey, ConsensusKind, ConsensusParameters, Genesis, GenesisAccount, GroupGenesis, GroupId,
    Institution, Millis, NodeEntry, PROTOCOL_VERSION_MAX, limits,
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{ErrorKind, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// The chain id of the first group.
pub(crate) const CHAIN_ID: u64 = 20_200;
/// The environment variable with the passphrase of consensus keys.
pub(crate) const KEY_PASSPHRASE: &str = "LIAN_KEY_PASSPHRASE";
/// The genesis file's name, in the network's folder and in every node's.
pub(crate) const GENESIS_FILE: &str = "genesis.json";
/// The folder of the authority's and the institutions' certificates and keys.
pub(crate) const CA_FOLDER: &str = "ca";
/// The private key of an operator's account that was made with the network.
pub(crate) const OPERATOR_KEY_FILE: &str = "operator.key";
/// The roots that a node believed last, in its data folder: with these it begins again.
pub(crate) const AUTHORITIES_FILE: &str = "authorities.pem";
/// The cursors of a node's event hooks, beside its configuration.
pub(crate) const HOOKS_FOLDER: &str = "hooks";
/// A node's configuration file.
pub(crate) const CONFIG_FILE: &str = "config.toml";

/// How nodes agree, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Consensus {
    /// Parallel PBFT: up to f of 3f+1 nodes may be arbitrarily faulty.
    Pbft,
    /// Raft: less than half of the nodes may be down; none may lie.
    Raft,
}

impl Consensus {
    pub(crate) const fn kind(self) -> ConsensusKind {
        match self {
            Self::Pbft => ConsensusKind::Pbft,
            Self::Raft => ConsensusKind::Raft,
        }
    }
}

/// The cryptographic suite, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Crypto {
    /// Ethereum's formats, Ed25519 for consensus.
    Standard,
}

impl Crypto {
    pub(crate) const fn suite(self) -> Suite {
        match self {
            Self::Standard => Suite::Standard,
        }
    }
}

/// One node of a network to make.
#[derive(Clone, Debug)]
pub(crate) struct NodePlan {
    /// Its name, which is its folder's too.
    pub(crate) name: String,
    /// The institution that runs it.
    pub(crate) institution: String,
    host: String,
    ports: Ports,
}

impl NodePlan {
    /// Node `index` of the network, run by an institution of its own.
    pub(crate) fn new(index: usize, host: &str, ports: Ports) -> Self {
        Self::of(&format!("node{index}"), &format!("bank{index}"), host, ports)
    }

    /// A node by name.
    pub(crate) fn of(name: &str, institution: &str, host: &str, ports: Ports) -> Self {
        Self { name: name.to_owned(), institution: institution.to_owned(), host: host.to_owned(), ports }
    }

    /// Where other nodes reach it.
    pub(crate) fn advertised(&self) -> String {
        match self.host.parse() {
            Ok(address) => SocketAddr::new(address, self.ports.p2p).to_string(),
            Err(_) => format!("{}:{}", self.host, self.ports.p2p),
        }
    }

    /// Where others reach its JSON-RPC, which listens on its own host alone: nowhere from another one.
    fn rpc_advertised(&self) -> String {
        let is_local = self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if is_local { format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.ports.rpc) } else { String::new() }
    }

    /// Where it listens for other nodes. An address that only its own host sees stays there; any other may be a
    /// router's that the host itself does not have, so it listens on all of its own.
    fn p2p_listen(&self) -> SocketAddr {
        let ip = match self.host.parse::<IpAddr>() {
            Ok(address) if address.is_loopback() => address,
            Ok(IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
            _ => Ipv4Addr::UNSPECIFIED.into(),
        };
        SocketAddr::new(ip, self.ports.p2p)
    }

    /// Makes the node's folder with its keys and certificate; gives the public consensus key.
    ///
    /// # Errors
    /// Where a name cannot stand in a certificate, and where the operating system refuses.
    pub(crate) fn make(
        &self,
        folder: &Path,
        institution: &Authority,
        suite: Suite,
        passphrase: Option<&str>,
    ) -> Result<ConsensusKey> {
        for (name, mode) in [("", 0o755), ("keys", 0o700), ("certs", 0o755), ("data", 0o700), ("logs", 0o755)] {
            make_dir(&folder.join(name), mode)?;
        }
        let hosts = std::slice::from_ref(&self.host);
        let credentials = institution.issue_node(&self.name, hosts, KeyAlgorithm::default(), Validity::node())?;
        credentials.save(&folder.join("certs/node.pem"), &folder.join("keys/node.pem"))?;
        let key = ConsensusSecretKey::generate(suite).context("no random bytes for a key")?;
        KeyFile::at(folder.join("keys/consensus.json")).create(suite, &key, passphrase)?;
        Ok(key.public())
    }

    /// The configuration that fits, with the names and addresses of other nodes.
    pub(crate) fn config(&self, peers: impl Iterator<Item = (String, String)>) -> NodeConfig {
        let local = |port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        NodeConfig {
            name: self.name.clone(),
            genesis: GENESIS_FILE.into(),
            identity: IdentityConfig {
                consensus_key: "keys/consensus.json".into(),
                certificate: "certs/node.pem".into(),
                certificate_key: "keys/node.pem".into(),
            },
            p2p: P2pConfig {
                listen: self.p2p_listen(),
                advertised: self.advertised(),
                peers: peers.map(|(name, address)| PeerAddress { name, address, key: None }).collect(),
            },
            rpc: RpcSection {
                listen: local(self.ports.rpc),
                advertised: self.rpc_advertised(),
                cors_origins: vec![],
                tokens: BTreeMap::new(),
            },
            metrics: MetricsConfig { listen: local(self.ports.metrics) },
            storage: StorageConfig { dir: "data".into(), history: History::Blocks(limits::HISTORY_BLOCKS_DEFAULT) },
            snapshots: SnapshotSection::default(),
            sync: SyncSection::default(),
            pruning: PruningSection::default(),
            execution: ExecutionSection::default(),
            log: LogConfig { level: "info".into(), format: LogFormat::Text },
            hooks: vec![],
        }
    }
}

/// A network to make.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Its nodes; all of them seal the first group.
    pub(crate) nodes: Vec<NodePlan>,
    /// Its algorithms.
    pub(crate) suite: Suite,
    /// How its first group agrees.
    pub(crate) consensus: ConsensusKind,
    /// Who owns coins from the start, in wei.
    pub(crate) balances: BTreeMap<Address, U256>,
    /// Who may change members and parameters; where neither they nor a committee are named, a key is made beside the
    /// authority's.
    pub(crate) operators: Vec<Address>,
    /// Who decides in place of operators.
    pub(crate) committee: Option<CommitteeGenesis>,
    /// With what to encrypt the nodes' consensus keys.
    pub(crate) passphrase: Option<String>,
}

impl Plan {
    /// Makes the network's folder: all of it, durably, or nothing.
    ///
    /// # Errors
    /// Where the folder exists and is not empty, and where the operating system refuses.
    pub(crate) fn create(mut self, dir: &Path) -> Result<Self> {
        if !is_absent_or_empty(dir)? {
            bail!("{} exists and is not empty; choose another folder, or remove it", dir.display());
        }
        let parent = match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        let new = tempfile::Builder::new()
            .prefix(".lian-new-")
            .tempdir_in(parent)
            .with_context(|| format!("cannot create a folder in {}", parent.display()))?;
        self.fill(new.path())?;
        sync_tree(new.path())?;
        // Replaces an empty folder; one that somebody filled meanwhile is an error.
        fs::rename(new.path(), dir).with_context(|| format!("cannot move the new network to {}", dir.display()))?;
        // Moved away, so there is nothing left to remove.
        drop(new.keep());
        sync(parent)?;
        Ok(self)
    }

    fn fill(&mut self, dir: &Path) -> Result<()> {
        let ca = dir.join(CA_FOLDER);
        make_dir(&ca, 0o700)?;
        let algorithm = KeyAlgorithm::default();
        let authority = Authority::create("Lian network", algorithm, Validity::authority())?;
        authority.save(&ca.join("root.pem"), &ca.join("root.key"))?;
        if self.operators.is_empty() && self.committee.is_none() {
            let (address, key) = random_account();
            write_new(&ca.join(OPERATOR_KEY_FILE), &format!("{key}\n"), 0o600)?;
            self.operators.push(address);
        }
        let mut keys = Vec::new();
        for node in &self.nodes {
            let folder = dir.join(&node.name);
            let institution = authority.issue_institution(&node.institution, algorithm, Validity::institution())?;
            let ca_file = |ending: &str| ca.join(format!("{}.{ending}", node.institution));
            institution.save(&ca_file("pem"), &ca_file("key"))?;
            keys.push(node.make(&folder, &institution, self.suite, self.passphrase.as_deref())?);
            let peers = self.nodes.iter().filter(|other| other.name != node.name);
            let peers = peers.map(|peer| (peer.name.clone(), peer.advertised()));
            write_new(&folder.join(CONFIG_FILE), &node.config(peers).to_toml(), 0o644)?;
        }
        let genesis = self.genesis(authority.certificate_pem(), &keys)?;
        for node in &self.nodes {
            lian_group::note_new_key(&dir.join(&node.name).join("data"), &genesis)?;
        }
        let genesis = genesis.to_json();
        write_new(&dir.join(GENESIS_FILE), &genesis, 0o644)?;
        self.nodes.iter().try_for_each(|node| write_new(&dir.join(&node.name).join(GENESIS_FILE), &genesis, 0o644))
    }

    fn genesis(&self, authority_pem: String, keys: &[ConsensusKey]) -> Result<Genesis> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
        let account = |balance: &U256| GenesisAccount { balance: *balance, ..GenesisAccount::default() };
        let genesis = Genesis {
            version: Genesis::VERSION,
            suite: self.suite.name().to_owned(),
            certificate_authorities: vec![authority_pem],
            institutions: self.nodes.iter().map(|node| Institution { name: node.institution.clone() }).collect(),
            nodes: self
                .nodes
                .iter()
                .zip(keys)
                .map(|(node, key)| NodeEntry {
                    name: node.name.clone(),
                    institution: node.institution.clone(),
                    consensus_key: *key,
                })
                .collect(),
            groups: vec![GroupGenesis {
                group: GroupId(0),
                chain_id: CHAIN_ID,
                time: Millis(u64::try_from(now.as_millis())?),
                block_gas_limit: limits::BLOCK_GAS_LIMIT_DEFAULT,
                consensus: ConsensusParameters { kind: self.consensus, ..ConsensusParameters::default() },
                sealers: self.nodes.iter().map(|node| node.name.clone()).collect(),
                operators: self.operators.clone(),
                committee: self.committee.clone(),
                protocol_version: PROTOCOL_VERSION_MAX,
                accounts: self.balances.iter().map(|(address, balance)| (*address, account(balance))).collect(),
            }],
        };
        genesis.check()?;
        Ok(genesis)
    }
}

/// Whether a network can be made in a folder.
///
/// # Errors
/// Where it cannot be looked into, or is a file.
pub(crate) fn is_absent_or_empty(dir: &Path) -> Result<bool> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error).with_context(|| format!("cannot use {}", dir.display())),
    }
}

fn make_dir(path: &Path, mode: u32) -> Result<()> {
    let made = fs::DirBuilder::new().mode(mode).create(path);
    made.with_context(|| format!("cannot create {}", path.display()))
}

/// Writes a new file durably; its folder must be made durable afterwards.
pub(crate) fn write_new(path: &Path, text: &str, mode: u32) -> Result<()> {
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Makes a folder's entries durable.
pub(crate) fn sync(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).with_context(|| format!("cannot make {} durable", dir.display()))
}

/// Makes a folder with all that is in it durable.
pub(crate) fn sync_tree(dir: &Path) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let path: PathBuf = entry?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        }
    }
    sync(dir)
}
