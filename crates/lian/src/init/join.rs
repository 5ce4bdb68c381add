//! `lian init --join`: the folder of one further node of a network that exists.

use super::Host;
use crate::{
    config::NodeConfig,
    layout::{CA_FOLDER, CONFIG_FILE, GENESIS_FILE, NodePlan, sync, write_new},
    node::read_genesis,
    output,
    ports::Ports,
};
use anyhow::{Context, Result, bail};
use lian_client::Table;
use lian_crypto::Suite;
use lian_network::pki::{Authority, KeyAlgorithm, Validity};
use lian_types::{ConsensusKey, Genesis};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A node to make for a network whose folder, with its authority, is here.
pub(super) struct Join<'a> {
    pub(super) network: &'a Path,
    pub(super) name: &'a str,
    pub(super) institution: &'a str,
    pub(super) host: &'a Host,
    pub(super) port_offset: u16,
    pub(super) passphrase: Option<&'a str>,
}

impl Join<'_> {
    /// Makes keys, certificate and folder, and says what to do with them.
    ///
    /// # Errors
    /// A folder that is no network's or has no authority, names that are taken or that no certificate can carry, or what
    /// the operating system refused; nothing is left behind then.
    pub(super) fn run(&self) -> Result<()> {
        let (genesis, suite) = read_genesis(&self.network.join(GENESIS_FILE))?;
        let folder = self.network.join(self.name);
        if folder.exists() || genesis.nodes.iter().any(|node| node.name == self.name) {
            bail!("{} has a node `{}` already", self.network.display(), self.name);
        }
        if genesis.groups.iter().all(|group| !group.is_governed()) {
            bail!(
                "{} names no operators and no committee: its members cannot change",
                self.network.join(GENESIS_FILE).display()
            );
        }
        let others = others(self.network)?;
        let plan = self.plan(&others)?;
        let new = tempfile::Builder::new()
            .prefix(".lian-new-")
            .tempdir_in(self.network)
            .with_context(|| format!("cannot create a folder in {}", self.network.display()))?;
        let institution = self.institution()?;
        let key = self.fill(&new.path().join(self.name), &plan, &genesis, suite, &others, &institution)?;
        fs::rename(new.path().join(self.name), &folder)
            .with_context(|| format!("cannot move the new node to {}", folder.display()))?;
        sync(self.network)?;
        let is_known = genesis.institutions.iter().any(|known| known.name == self.institution);
        say(&folder, &plan, key, is_known)
    }

    /// The first ports on the host that no other node's folder here has.
    fn plan(&self, others: &[NodeConfig]) -> Result<NodePlan> {
        let mut index = 0;
        loop {
            let ports = Ports::of(index, self.port_offset)?;
            let plan = NodePlan::of(self.name, self.institution, &self.host.name, ports);
            if others.iter().all(|other| other.p2p.advertised != plan.advertised()) {
                return Ok(plan);
            }
            index = index.saturating_add(1);
        }
    }

    /// The institution's authority, which is made if it is a new one.
    fn institution(&self) -> Result<Authority> {
        let ca = self.network.join(CA_FOLDER);
        let file = |name: &str, ending: &str| ca.join(format!("{name}.{ending}"));
        let (certificate, key) = (file(self.institution, "pem"), file(self.institution, "key"));
        if certificate.exists() {
            return Ok(Authority::load(&certificate, &key)?);
        }
        let root = Authority::load(&file("root", "pem"), &file("root", "key"))
            .with_context(|| format!("{} does not hold the network's authority", ca.display()))?;
        let institution = root.issue_institution(self.institution, KeyAlgorithm::default(), Validity::institution())?;
        institution.save(&certificate, &key)?;
        sync(&ca)?;
        Ok(institution)
    }

    fn fill(
        &self,
        folder: &Path,
        plan: &NodePlan,
        genesis: &Genesis,
        suite: Suite,
        others: &[NodeConfig],
        institution: &Authority,
    ) -> Result<ConsensusKey> {
        let key = plan.make(folder, institution, suite, self.passphrase)?;
        // Those that genesis does not know are told by the chain.
        let known = |other: &&NodeConfig| genesis.nodes.iter().any(|node| node.name == other.name);
        let peers = others.iter().filter(known).map(|other| (other.name.clone(), other.p2p.advertised.clone()));
        write_new(&folder.join(CONFIG_FILE), &plan.config(peers).to_toml(), 0o644)?;
        write_new(&folder.join(GENESIS_FILE), &genesis.to_json(), 0o644)?;
        lian_group::note_new_key(&folder.join("data"), genesis)?;
        crate::layout::sync_tree(folder)?;
        Ok(key)
    }
}

/// The configurations of the nodes whose folders are here.
fn others(network: &Path) -> Result<Vec<NodeConfig>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(network).with_context(|| format!("cannot read {}", network.display()))? {
        let config: PathBuf = entry?.path().join(CONFIG_FILE);
        if config.exists() {
            found.push(NodeConfig::read_as_written(&config)?);
        }
    }
    found.sort_by(|one, two| one.name.cmp(&two.name));
    Ok(found)
}

fn say(folder: &Path, plan: &NodePlan, key: ConsensusKey, is_known: bool) -> Result<()> {
    let NodePlan { name, institution, .. } = plan;
    let endpoint = plan.advertised();
    let mut table = Table::new();
    table.line("node", name).line("institution", institution).line("folder", folder.display());
    table.line("endpoint", &endpoint).line("key", key);
    output::print(table)?;
    let first = if is_known { String::new() } else { format!("lian gov add-institution {institution}\n") };
    output::say(format!(
        "An operator adds it, then start it on its host, and make it a member when it has caught up:\n\
         {first}lian gov add-node {name} {institution} {key} {endpoint}\n\
         lian node --config {name}/config.toml\n\
         lian gov set-role {name}=sealer"
    ))?;
    Ok(())
}
