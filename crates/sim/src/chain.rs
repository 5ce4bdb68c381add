//! The fixed facts of a simulated group.

use crate::{event::NodeId, scenario::Scenario, time::BEGINNING, wallet};
use lian_crypto::{ConsensusSecretKey, Suite};
use lian_executor::{GenesisBlockError, Governance, Rules, genesis_block};
use lian_group::{ChainInfo, committees_of};
use lian_ledger::Ledger;
use lian_pbft::Committees;
use lian_types::{
    ChainContext, ConsensusKey, ConsensusParameters, Genesis, GroupGenesis, GroupId, Institution, Millis, NodeEntry,
    PROTOCOL_VERSION_MAX, limits,
};
use std::collections::BTreeMap;

/// The algorithms of every simulated group.
pub(crate) const SUITE: Suite = Suite::Standard;

/// Nodes that the operator knows where members change.
pub(crate) const NODES_MAX: usize = 8;

/// What all nodes of a simulation know from the beginning.
pub(crate) struct Chain {
    pub(crate) genesis: Genesis,
    pub(crate) group: GroupGenesis,
    pub(crate) info: ChainInfo,
    pub(crate) rules: lian_pbft::Rules,
    /// The node whose key each machine has: itself, but for the second machines of twins.
    pub(crate) seats: Vec<NodeId>,
    /// The key of each machine, members first.
    pub(crate) keys: Vec<ConsensusSecretKey>,
    pub(crate) publics: Vec<ConsensusKey>,
    pub(crate) nodes: BTreeMap<ConsensusKey, NodeId>,
    /// How many members a certificate needs, computed here and not by the code under test.
    pub(crate) quorum: usize,
    pub(crate) members: usize,
}

impl Chain {
    /// The group that a scenario describes.
    pub(crate) fn new(scenario: &Scenario) -> Result<Self, GenesisBlockError> {
        let seats: Vec<_> = (0..scenario.machines()).map(|machine| scenario.seat(machine)).collect();
        let keys: Vec<_> = seats.iter().map(|seat| secret_key(*seat)).collect();
        let publics: Vec<_> = keys.iter().map(ConsensusSecretKey::public).collect();
        let group = GroupGenesis {
            group: GroupId(0),
            chain_id: wallet::CHAIN_ID,
            time: Millis(BEGINNING),
            block_gas_limit: limits::BLOCK_GAS_LIMIT_DEFAULT,
            consensus: ConsensusParameters {
                kind: scenario.consensus,
                window: scenario.window,
                leader_term: scenario.leader_term,
                view_timeout_ms: scenario.view_timeout_ms.0,
                view_timeout_ms_max: scenario.view_timeout_ms.1,
                censorship_timeout_ms: scenario.censorship_timeout_ms,
                ..ConsensusParameters::default()
            },
            sealers: (0..scenario.members).map(name).collect(),
            operators: if scenario.has_changes() { vec![wallet::address(wallet::OPERATOR)] } else { vec![] },
            committee: None,
            protocol_version: PROTOCOL_VERSION_MAX,
            accounts: wallet::genesis_accounts(),
        };
        let genesis = Genesis {
            version: Genesis::VERSION,
            suite: SUITE.name().to_owned(),
            certificate_authorities: Vec::new(),
            institutions: vec![Institution { name: "bank".to_owned() }],
            nodes: entries(scenario, &publics),
            groups: vec![group.clone()],
        };
        let first = genesis_block(SUITE, &genesis, &group)?;
        let context =
            ChainContext { genesis: SUITE.genesis_digest(&genesis), group: group.group, chain_id: group.chain_id };
        let info = ChainInfo {
            group: group.group,
            chain_id: group.chain_id,
            consensus: group.consensus.kind,
            genesis_hash: first.hash,
            suite: SUITE,
            rules: Rules::of_group(SUITE, &group),
            block_gas_limit: group.block_gas_limit,
            context,
            node: "simulated".to_owned(),
        };
        let rules = lian_pbft::Rules {
            suite: SUITE,
            context,
            genesis: GroupGenesis::proposal_digest(first.hash),
            term: scenario.leader_term,
            window: scenario.window,
        };
        let faulty = scenario.faulty_max();
        Ok(Self {
            nodes: publics.iter().take(scenario.nodes()).enumerate().map(|(node, key)| (*key, node)).collect(),
            seats,
            quorum: (scenario.members + faulty + 1).div_ceil(2),
            members: scenario.members,
            genesis,
            group,
            info,
            rules,
            keys,
            publics,
        })
    }

    /// Who seals after the last block of a ledger, and by which parameters.
    pub(crate) fn governance(&self, ledger: &Ledger) -> Result<(Governance, Committees), String> {
        let governance = Governance::of(&self.genesis, &self.group, ledger.head().parent.state.as_ref());
        let governance = governance.map_err(|error| error.to_string())?;
        let committees = committees_of(SUITE, self.info.consensus, &governance).map_err(|error| error.to_string())?;
        Ok((governance, committees))
    }

    /// Whether members can change.
    pub(crate) const fn can_change(&self) -> bool {
        self.group.is_governed()
    }

    /// The node with a key.
    pub(crate) fn node_of(&self, key: &ConsensusKey) -> Option<NodeId> {
        self.nodes.get(key).copied()
    }
}

/// What a node is called.
pub(crate) fn name(node: NodeId) -> String {
    format!("n{node}")
}

/// The nodes of the genesis file. Where members change it names nodes that are never there, so that the operator's
/// transactions are the same in every network.
fn entries(scenario: &Scenario, publics: &[ConsensusKey]) -> Vec<NodeEntry> {
    let there = publics.iter().take(scenario.nodes()).copied();
    let all = if scenario.has_changes() { NODES_MAX } else { scenario.nodes() };
    let others = (scenario.nodes()..all).map(|node| secret_key(node).public());
    there.chain(others).enumerate().map(|(node, key)| entry(node, key)).collect()
}

fn entry(node: NodeId, consensus_key: ConsensusKey) -> NodeEntry {
    NodeEntry { name: name(node), institution: "bank".to_owned(), consensus_key }
}

fn secret_key(node: NodeId) -> ConsensusSecretKey {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&(node as u64 + 1).to_le_bytes());
    ConsensusSecretKey::from_bytes(SUITE, &seed)
}
