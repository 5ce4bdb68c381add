//! The fixed facts of a simulated group.

use crate::{event::NodeId, scenario::Scenario, time::BEGINNING, wallet};
use lian_crypto::{ConsensusSecretKey, Suite};
use lian_executor::{GenesisBlockError, Rules, genesis_block};
use lian_group::ChainInfo;
use lian_pbft::{Committee, Committees, Timing};
use lian_types::{
    BlockNumber, ChainContext, ConsensusKey, ConsensusKind, ConsensusParameters, Epoch, Genesis, GroupGenesis, GroupId,
    Institution, Millis, NodeEntry, limits,
};
use std::collections::BTreeMap;

/// The algorithms of every simulated group.
pub(crate) const SUITE: Suite = Suite::Standard;

/// What all nodes of a simulation know from the beginning.
pub(crate) struct Chain {
    pub(crate) genesis: Genesis,
    pub(crate) group: GroupGenesis,
    pub(crate) info: ChainInfo,
    pub(crate) rules: lian_pbft::Rules,
    pub(crate) timing: Timing,
    pub(crate) committees: Committees,
    /// The node whose key each machine has: itself, but for the second machines of twins.
    pub(crate) seats: Vec<NodeId>,
    /// The key of each machine, members first.
    pub(crate) keys: Vec<ConsensusSecretKey>,
    pub(crate) publics: Vec<ConsensusKey>,
    nodes: BTreeMap<ConsensusKey, NodeId>,
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
                kind: ConsensusKind::Pbft,
                window: scenario.window,
                leader_term: scenario.leader_term,
                view_timeout_ms: scenario.view_timeout_ms.0,
                view_timeout_ms_max: scenario.view_timeout_ms.1,
                censorship_timeout_ms: scenario.censorship_timeout_ms,
                ..ConsensusParameters::default()
            },
            sealers: (0..scenario.members).map(name).collect(),
            operators: vec![],
            accounts: wallet::genesis_accounts(),
        };
        let genesis = Genesis {
            version: Genesis::VERSION,
            suite: SUITE.name().to_owned(),
            certificate_authorities: Vec::new(),
            institutions: vec![Institution { name: "bank".to_owned() }],
            nodes: publics.iter().take(scenario.nodes()).enumerate().map(|(node, key)| entry(node, *key)).collect(),
            groups: vec![group.clone()],
        };
        let first = genesis_block(SUITE, &genesis, &group)?;
        let context =
            ChainContext { genesis: SUITE.genesis_digest(&genesis), group: group.group, chain_id: group.chain_id };
        let members = genesis.members(&group, |key| SUITE.consensus_address(key))?;
        let info = ChainInfo {
            group: group.group,
            chain_id: group.chain_id,
            genesis_hash: first.hash,
            suite: SUITE,
            rules: Rules::new(SUITE, group.chain_id),
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
            timing: Timing::new(&group.consensus),
            committees: Committees::new([Committee::new(Epoch::ZERO, BlockNumber::ZERO, members)]),
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

    /// The node with a key.
    pub(crate) fn node_of(&self, key: &ConsensusKey) -> Option<NodeId> {
        self.nodes.get(key).copied()
    }

    /// The keys of all nodes but one's own.
    pub(crate) fn others(&self, node: NodeId) -> Vec<ConsensusKey> {
        self.publics.iter().take(self.nodes.len()).copied().filter(|key| *key != self.publics[node]).collect()
    }
}

/// What a node is called.
pub(crate) fn name(node: NodeId) -> String {
    format!("n{node}")
}

fn entry(node: NodeId, consensus_key: ConsensusKey) -> NodeEntry {
    NodeEntry { name: name(node), institution: "bank".to_owned(), consensus_key }
}

fn secret_key(node: NodeId) -> ConsensusSecretKey {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&(node as u64 + 1).to_le_bytes());
    ConsensusSecretKey::from_bytes(SUITE, &seed)
}
