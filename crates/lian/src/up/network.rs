//! The folder of a local network: made where it is absent, and checked against what was asked for.

use super::UpVerb;
use crate::{
    config::NodeConfig,
    layout::{CONFIG_FILE, Consensus, Crypto, GENESIS_FILE, NodePlan, Plan, is_absent_or_empty},
    node::{DataLock, NodeFolder, read_genesis},
    output,
    ports::{Listener, Ports},
};
use alloy_primitives::{Address, U256, utils::Unit};
use anyhow::{Context, Result, bail};
use lian_client::development_account;
use lian_crypto::Suite;
use lian_types::{ConsensusKind, Genesis};
use std::path::{Path, PathBuf};

/// How many nodes a new network has.
const NODES: usize = 4;
/// How many development accounts own coins in a new network.
const DEVELOPMENT_ACCOUNTS: u32 = 10;
/// How many coins each of them owns, as in Hardhat and Foundry.
const DEVELOPMENT_COINS: u64 = 10_000;

/// A node of a local network.
#[derive(Clone, Debug)]
pub(crate) struct LocalNode {
    /// Its folder.
    pub(super) dir: PathBuf,
    /// Its configuration.
    pub(super) config: NodeConfig,
}

impl LocalNode {
    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    pub(super) fn config_file(&self) -> PathBuf {
        self.dir.join(CONFIG_FILE)
    }
}

/// A local network, of which this process is the only runner.
#[derive(Debug)]
pub(super) struct LocalNetwork {
    pub(super) dir: PathBuf,
    pub(super) suite: Suite,
    pub(super) nodes: Vec<LocalNode>,
    genesis: Genesis,
    _lock: DataLock,
}

impl LocalNetwork {
    /// Opens the folder, which is made first if it does not exist.
    ///
    /// # Errors
    /// A folder that is no network, is damaged, is run already, or contradicts an option.
    pub(super) fn open_or_create(verb: &UpVerb) -> Result<Self> {
        let created = is_absent_or_empty(&verb.dir)?;
        if created {
            output::say(format!("creating a network in {}", verb.dir.display()))?;
            plan(verb)?.create(&verb.dir)?;
        }
        let genesis_file = verb.dir.join(GENESIS_FILE);
        if !genesis_file.exists() {
            let dir = verb.dir.display();
            bail!("{dir} is not a network's folder ({GENESIS_FILE} is missing); choose another --dir, or remove it");
        }
        let (genesis, suite) = read_genesis(&genesis_file)?;
        let lock = DataLock::take(&verb.dir)?;
        let nodes = genesis.nodes.iter().map(|node| open_node(&verb.dir, &node.name)).collect::<Result<Vec<_>>>()?;
        let mut network = Self { dir: verb.dir.clone(), suite, nodes, genesis, _lock: lock };
        network.check_options(verb)?;
        if let (Some(offset), false) = (verb.port_offset, created) {
            network.move_ports(offset)?;
        }
        Ok(network)
    }

    /// Checks every node's folder as the node itself will.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(super) fn check(&self) -> Result<()> {
        self.nodes.iter().try_for_each(|node| {
            let (own, dir) = (node.dir.display(), self.dir.display());
            let folder = NodeFolder::open(&node.config_file())
                .with_context(|| format!("{own} is damaged (restore it, or remove {dir})"))?;
            if folder.genesis != self.genesis {
                bail!("{own}/{GENESIS_FILE} differs from {dir}/{GENESIS_FILE}; restore it, or remove {dir}");
            }
            Ok(())
        })
    }

    /// What all nodes listen on.
    pub(super) fn listeners(&self) -> Vec<Listener> {
        self.nodes.iter().flat_map(|node| node.config.listeners()).collect()
    }

    /// The chain id of the first group.
    pub(super) fn chain_id(&self) -> u64 {
        self.genesis.groups.first().map_or(0, |group| group.chain_id)
    }

    /// The window of the first group.
    pub(super) fn window(&self) -> u64 {
        self.genesis.groups.first().map_or(0, |group| group.consensus.window)
    }

    /// Size and consensus, for people.
    pub(super) fn summary(&self) -> String {
        let count = self.nodes.len();
        format!("{count} node{}, {}", if count == 1 { "" } else { "s" }, self.consensus().name())
    }

    /// The development accounts that own coins in this network: address and private key.
    ///
    /// # Errors
    /// None in practice: the accounts are constants.
    pub(super) fn development_accounts(&self) -> Result<Vec<(Address, String)>> {
        let owns_coins = |address: &Address| {
            let account = self.genesis.groups.first().and_then(|group| group.accounts.get(address));
            account.is_some_and(|account| !account.balance.is_zero())
        };
        let mut accounts = Vec::new();
        for index in 0..DEVELOPMENT_ACCOUNTS {
            let (address, key) = development_account(index)?;
            if owns_coins(&address) {
                accounts.push((address, key));
            }
        }
        Ok(accounts)
    }

    fn consensus(&self) -> ConsensusKind {
        self.genesis.groups.first().map_or(ConsensusKind::Pbft, |group| group.consensus.kind)
    }

    /// An option that says how to make a network must agree with the network that exists.
    fn check_options(&self, verb: &UpVerb) -> Result<()> {
        let refuse = |option: &str, asked: &dyn std::fmt::Display, found: &dyn std::fmt::Display| {
            let dir = self.dir.display();
            bail!("{dir} is a network with {found}, {option} asks for {asked}; choose another --dir, or remove {dir}")
        };
        if let Some(count) = verb.nodes.filter(|count| *count != self.nodes.len()) {
            refuse("--nodes", &count, &format!("{} nodes", self.nodes.len()))?;
        }
        if let Some(consensus) = verb.consensus.filter(|asked| asked.kind() != self.consensus()) {
            refuse("--consensus", &consensus.kind().name(), &self.consensus().name())?;
        }
        if let Some(crypto) = verb.crypto.filter(|asked| asked.suite() != self.suite) {
            refuse("--crypto", &crypto.suite().name(), &self.suite.name())?;
        }
        Ok(())
    }

    /// Moves every node to the ports that follow from an offset, and tells all others in their configurations.
    fn move_ports(&mut self, offset: u16) -> Result<()> {
        let ports: Vec<_> = (0..self.nodes.len()).map(|index| Ports::of(index, offset)).collect::<Result<_>>()?;
        let place: std::collections::BTreeMap<_, _> =
            self.nodes.iter().map(|node| node.name().to_owned()).zip(ports).collect();
        for node in &mut self.nodes {
            let mut written = NodeConfig::read_as_written(&node.config_file())?;
            let before = written.to_toml();
            written.move_to(&place);
            let after = written.to_toml();
            if before != after {
                replace(&node.config_file(), &after)?;
                output::say(format!("{}: moved to the ports of --port-offset {offset}", node.dir.display()))?;
            }
            node.config = NodeConfig::read(&node.config_file())?;
        }
        Ok(())
    }
}

fn plan(verb: &UpVerb) -> Result<Plan> {
    let offset = verb.port_offset.unwrap_or(0);
    let node = |index| Ok(NodePlan::new(index, "127.0.0.1", Ports::of(index, offset)?));
    let coins = U256::from(DEVELOPMENT_COINS).saturating_mul(Unit::ETHER.wei());
    let account = |index| Ok((development_account(index)?.0, coins));
    Ok(Plan {
        nodes: (0..verb.nodes.unwrap_or(NODES)).map(node).collect::<Result<_>>()?,
        suite: verb.crypto.unwrap_or(Crypto::Standard).suite(),
        consensus: verb.consensus.unwrap_or(Consensus::Pbft).kind(),
        operators: vec![development_account(0)?.0],
        committee: None,
        balances: (0..DEVELOPMENT_ACCOUNTS).map(account).collect::<Result<_>>()?,
        passphrase: None,
    })
}

fn open_node(dir: &Path, name: &str) -> Result<LocalNode> {
    let dir = dir.join(name);
    let config = NodeConfig::read(&dir.join(CONFIG_FILE))
        .with_context(|| format!("{} is damaged (restore it, or remove the network's folder)", dir.display()))?;
    Ok(LocalNode { dir, config })
}

/// Replaces a file, durably: either the old or the new text is there at any moment.
fn replace(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    // Left by a process that ended in between.
    if new.exists() {
        std::fs::remove_file(&new).with_context(|| format!("cannot remove {}", new.display()))?;
    }
    crate::layout::write_new(&new, text, 0o644)?;
    std::fs::rename(&new, path).with_context(|| format!("cannot replace {}", path.display()))?;
    crate::layout::sync(path.parent().unwrap_or_else(|| Path::new(".")))
}
