//! What a node reads from its folder before it starts, and everything that can be wrong with it.

use crate::{
    config::{NodeConfig, PeerAddress},
    layout::{AUTHORITIES_FILE, HOOKS_FOLDER, KEY_PASSPHRASE},
};
use anyhow::{Context, Result, bail};
use lian_crypto::{ConsensusSecretKey, KeyFile, Suite};
use lian_hooks::Hook;
use lian_network::{
    PeerConfig,
    pki::{TlsIdentity, Trust},
};
use lian_types::{Genesis, NodeEntry};
use std::path::Path;

/// A node's folder, read and found to be consistent.
pub(crate) struct NodeFolder {
    pub(crate) config: NodeConfig,
    pub(crate) genesis: Genesis,
    pub(crate) suite: Suite,
    pub(crate) key: ConsensusSecretKey,
    pub(crate) tls: TlsIdentity,
    /// By what certificates are judged until the chain's own state is at hand.
    pub(crate) trust: Trust,
    pub(crate) hooks: Vec<Hook>,
}

impl NodeFolder {
    /// Reads a folder that must be in order.
    ///
    /// # Errors
    /// The first thing that is wrong, and how many more there are.
    pub(crate) fn open(config: &Path) -> Result<Self> {
        let (folder, problems) = Self::examine(config);
        let more = problems.len().saturating_sub(1);
        match (folder, problems.into_iter().next()) {
            (Some(folder), None) => Ok(folder),
            (_, Some(problem)) if more == 0 => bail!("{problem}"),
            (_, Some(problem)) => {
                bail!("{problem} (and {more} more: `lian node --check --config {}`)", config.display())
            }
            (None, None) => bail!("{} cannot be read", config.display()),
        }
    }

    /// Reads a folder and lists everything that is wrong, one line each. A folder comes back only if nothing is.
    pub(crate) fn examine(path: &Path) -> (Option<Self>, Vec<String>) {
        let mut problems = Problems::default();
        let Some(config) = problems.note(NodeConfig::read(path)) else { return (None, problems.0) };
        problems.note(super::log::filter(&config.log));
        problems.note(lian_rpc::Origins::parse(&config.rpc.cors_origins).map_err(Into::into));
        let Some((genesis, suite)) = problems.note(read_genesis(&config.genesis)) else { return (None, problems.0) };
        let Some(entry) = problems.note(own_entry(&config, &genesis)) else { return (None, problems.0) };
        for peer in &config.p2p.peers {
            problems.note(check_peer(peer, &config.name, &genesis));
        }
        let hooks = read_hooks(&config, path, &genesis, &mut problems);
        let key = problems.note(read_key(&config, suite, &genesis, entry));
        let trust = problems.note(read_trust(&config, &genesis));
        let tls = problems.note(read_certificate(&config, trust.as_ref()));
        match (key, tls, trust) {
            (Some(key), Some(tls), Some(trust)) if problems.0.is_empty() => {
                (Some(Self { config, genesis, suite, key, tls, trust, hooks }), vec![])
            }
            _ => (None, problems.0),
        }
    }

    /// The nodes that may connect, given those that the chain admits: these, and those of the configuration that have a
    /// key there and that the chain does not know. Where the configuration has an address it counts, and else the chain's;
    /// one without an address is not dialled but may dial. This node itself is among them.
    pub(crate) fn peers(&self, admitted: &[PeerConfig]) -> Vec<PeerConfig> {
        let configured = &self.config.p2p.peers;
        let mut peers = admitted.to_vec();
        for peer in &mut peers {
            if let Some(found) = configured.iter().find(|configured| configured.name == peer.name) {
                peer.address.clone_from(&found.address);
            }
        }
        for PeerAddress { name, address, key } in configured {
            if let Some(key) = key.filter(|key| peers.iter().all(|peer| peer.key != *key && peer.name != *name)) {
                peers.push(PeerConfig { key, name: name.clone(), institution: None, address: address.clone() });
            }
        }
        peers
    }

    /// The nodes of the genesis file.
    pub(crate) fn genesis_nodes(&self) -> Vec<PeerConfig> {
        let node = |node: &NodeEntry| PeerConfig {
            key: node.consensus_key,
            name: node.name.clone(),
            institution: Some(node.institution.clone()),
            address: String::new(),
        };
        self.genesis.nodes.iter().map(node).collect()
    }
}

/// What is wrong, one line each.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    /// The value, or its error noted.
    fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.0.push(format!("{error:#}"))).ok()
    }
}

/// Reads and checks a genesis file.
///
/// # Errors
/// Names the file and what is wrong.
pub(crate) fn read_genesis(path: &Path) -> Result<(Genesis, Suite)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let genesis = Genesis::from_json(&text).with_context(|| path.display().to_string())?;
    let suite = genesis.suite.parse().with_context(|| path.display().to_string())?;
    Ok((genesis, suite))
}

/// This node's entry in the genesis file. One that the chain has added later has none.
fn own_entry<'a>(config: &NodeConfig, genesis: &'a Genesis) -> Result<Option<&'a NodeEntry>> {
    let found = genesis.nodes.iter().find(|node| node.name == config.name);
    if found.is_none() && genesis.groups.iter().all(|group| !group.is_governed()) {
        bail!("node `{}` is not in {}, and no operator can add nodes", config.name, config.genesis.display());
    }
    Ok(found)
}

fn check_peer(peer: &crate::config::PeerAddress, own: &str, genesis: &Genesis) -> Result<()> {
    let name = &peer.name;
    if peer.key.is_none() && !genesis.nodes.iter().any(|node| node.name == *name) {
        bail!("p2p.peers names `{name}`, which is not in the genesis file and has no key");
    }
    if name == own {
        bail!("p2p.peers names this node itself, `{name}`");
    }
    match peer.address.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>())) {
        Some((host, Ok(_))) if !host.is_empty() => Ok(()),
        _ => bail!("p2p.peers: `{}` of {name} is not a host and a port, like `10.0.0.1:30300`", peer.address),
    }
}

/// The hooks that are in order, with their cursors in a folder beside the configuration.
fn read_hooks(config: &NodeConfig, path: &Path, genesis: &Genesis, problems: &mut Problems) -> Vec<Hook> {
    let cursors = path.parent().unwrap_or_else(|| Path::new("")).join(HOOKS_FOLDER);
    let groups: Vec<_> = genesis.groups.iter().map(|group| group.group).collect();
    let (hooks, errors) = lian_hooks::open(&config.hooks, &cursors, &groups);
    for error in errors {
        problems.note::<()>(Err(error.into()));
    }
    hooks
}

fn read_key(
    config: &NodeConfig,
    suite: Suite,
    genesis: &Genesis,
    entry: Option<&NodeEntry>,
) -> Result<ConsensusSecretKey> {
    let file = KeyFile::at(&config.identity.consensus_key);
    let passphrase = std::env::var(KEY_PASSPHRASE).ok();
    let (key_suite, key) = match file.load(passphrase.as_deref()) {
        Err(error @ lian_crypto::KeyFileError::PassphraseNeeded { .. }) => bail!("{error} in {KEY_PASSPHRASE}"),
        other => other?,
    };
    let path = file.path().display();
    if key_suite != suite {
        bail!("{path} is a key of suite {}, the network's is {}", key_suite.name(), suite.name());
    }
    let public = key.public();
    match entry {
        Some(NodeEntry { name, consensus_key, .. }) if *consensus_key != public => {
            bail!("{path} is not the key of {name} in the genesis file: that is {consensus_key}, this one {public}")
        }
        Some(_) => Ok(key),
        None => match genesis.nodes.iter().find(|node| node.consensus_key == public) {
            Some(other) => {
                let (name, genesis) = (&config.name, config.genesis.display());
                bail!("node `{name}` is not in {genesis}, where {path} is the key of {}", other.name)
            }
            None => Ok(key),
        },
    }
}

/// The authorities to begin with: those that the node believed last, or those of the genesis file.
fn read_trust(config: &NodeConfig, genesis: &Genesis) -> Result<Trust> {
    let last = config.storage.dir.join(AUTHORITIES_FILE);
    match std::fs::read_to_string(&last) {
        Ok(text) => Trust::from_pem(&[text])
            .with_context(|| format!("{}: delete it to begin with the authorities of genesis", last.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Trust::from_pem(&genesis.certificate_authorities)
            .with_context(|| format!("{}: certificate_authorities", config.genesis.display())),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", last.display())),
    }
}

/// Reads the node's certificate and its key, and checks what peers will check.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn read_certificate(config: &NodeConfig, trust: Option<&Trust>) -> Result<TlsIdentity> {
    let identity = TlsIdentity::load(&config.identity.certificate, &config.identity.certificate_key)?;
    if let Some(trust) = trust {
        identity.check(&config.name, trust)?;
    }
    Ok(identity)
}
