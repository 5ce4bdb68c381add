//! The genesis file: what every node of a network knows before the first block.

mod committee;

pub use committee::{CommitteeGenesis, CommitteeMember};

use crate::{ConsensusKey, GroupId, PROTOCOL_VERSION_MAX};
use crate::{Member, Members, MembersError, Millis, limits};
use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// An institution that runs nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Institution {
    /// Its name, unique in the network.
    pub name: String,
}

/// A node that may join the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeEntry {
    /// Its name, unique in the network, for people.
    pub name: String,
    /// The institution that runs it.
    pub institution: String,
    /// The key that signs its votes and its handshakes.
    pub consensus_key: ConsensusKey,
}

/// How a group agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsensusKind {
    /// Parallel PBFT: up to f of 3f+1 members may be arbitrarily faulty.
    Pbft,
    /// Raft: less than half of the members may be down or cut off; none may lie.
    Raft,
}

impl ConsensusKind {
    /// Its name, as the genesis file and `lian status` have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pbft => "pbft",
            Self::Raft => "raft",
        }
    }

    /// How many of the members decide: a quorum of PBFT, or a majority.
    #[must_use]
    pub fn quorum(self, members: &Members) -> usize {
        match self {
            Self::Pbft => members.quorum(),
            Self::Raft => members.majority(),
        }
    }
}

/// How many past states answer calls, traces and proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryDepth {
    /// The states of this many newest blocks.
    Blocks(u64),
    /// All.
    All,
}

/// What all members of a group must have in common for consensus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsensusParameters {
    /// How the group agrees.
    pub kind: ConsensusKind,
    /// Heights that may be open at once (W), 1 to [`limits::WINDOW_MAX`].
    pub window: u64,
    /// Heights that one leader leads in a row, at least 1.
    pub leader_term: u64,
    /// The first timeout of a view, in milliseconds, before round times are measured; 50 to 60,000.
    pub view_timeout_ms: u64,
    /// The largest timeout of a view, in milliseconds; at least `view_timeout_ms`, at most 600,000.
    pub view_timeout_ms_max: u64,
    /// The longest time that an eligible transaction may wait for a proposal before members change the view, in
    /// milliseconds; at least `view_timeout_ms`.
    pub censorship_timeout_ms: u64,
    /// Most transactions in one block, 1 to [`limits::PROPOSAL_TRANSACTIONS_MAX`].
    pub block_transactions_max: usize,
}

impl ConsensusParameters {
    /// The largest message that so many members can send each other, in bytes. For PBFT that is a new-view with
    /// view-changes of all of them, each with prepare certificates of all of them for a whole window, and the proposals
    /// of that window; for Raft an entry.
    #[must_use]
    pub fn message_bytes_max(&self, members: usize) -> usize {
        /// A signature with its signer.
        const SIGNATURE: usize = 66;
        /// The other fields of a certificate, a proposal, a view-change or a new-view.
        const FIELDS: usize = 256;
        let window = usize::try_from(self.window).unwrap_or(usize::MAX);
        let certificate = members.saturating_mul(SIGNATURE).saturating_add(FIELDS);
        // The base has a certificate, too.
        let change = certificate.saturating_mul(window.saturating_add(1)).saturating_add(FIELDS);
        let proposal = self.block_transactions_max.saturating_mul(size_of::<B256>()).saturating_add(FIELDS);
        // One more proposal proves where the choice was cut.
        if self.kind == ConsensusKind::Raft {
            // Entries travel one by one where several would not fit.
            return proposal.saturating_add(FIELDS);
        }
        let proposals = proposal.saturating_mul(window.saturating_add(1));
        change.saturating_mul(members).saturating_add(proposals).saturating_add(FIELDS)
    }
}

impl Default for ConsensusParameters {
    fn default() -> Self {
        Self {
            kind: ConsensusKind::Pbft,
            window: limits::WINDOW_DEFAULT,
            leader_term: 1_024,
            view_timeout_ms: 1_000,
            view_timeout_ms_max: 8_000,
            censorship_timeout_ms: 5_000,
            block_transactions_max: limits::PROPOSAL_TRANSACTIONS_MAX,
        }
    }
}

/// An account that exists from the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisAccount {
    /// Its balance, in wei.
    #[serde(default)]
    pub balance: U256,
    /// Its nonce.
    #[serde(default)]
    pub nonce: u64,
    /// Its code, if it is a contract.
    #[serde(default)]
    pub code: Bytes,
    /// Its storage.
    #[serde(default)]
    pub storage: BTreeMap<U256, U256>,
}

/// The beginning of one group's chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupGenesis {
    /// The group.
    pub group: GroupId,
    /// Its EIP-155 chain id, unique in the network.
    pub chain_id: u64,
    /// The time of block 0, in milliseconds since 1970.
    pub time: Millis,
    /// The gas limit of every block, in units of gas; at least [`limits::TRANSACTION_GAS_LIMIT_MAX`].
    pub block_gas_limit: u64,
    /// How it agrees.
    pub consensus: ConsensusParameters,
    /// The names of the nodes that vote, in order.
    pub sealers: Vec<String>,
    /// Accounts that may change members and configuration by the contracts at 0x2001 and 0x2000, at most
    /// [`limits::OPERATORS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<Address>,
    /// The committee that decides in place of operators. Without either, members and configuration are fixed for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committee: Option<CommitteeGenesis>,
    /// The version of the protocol that acts from the first block on, at most [`PROTOCOL_VERSION_MAX`]; 0 where the file has
    /// none. It means something only where the group is governed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub protocol_version: u64,
    /// Accounts that exist from the start.
    pub accounts: BTreeMap<Address, GenesisAccount>,
}

/// A field that is left out where it is zero keeps the digest of files that were written before there was such a field.
const fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// The genesis file, identical on all nodes of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// The format of this file; 1.
    pub version: u32,
    /// The cryptographic suite's name: `standard`.
    pub suite: String,
    /// The certificate authorities that institutions' certificates may come from, in PEM.
    pub certificate_authorities: Vec<String>,
    /// The institutions.
    pub institutions: Vec<Institution>,
    /// The nodes.
    pub nodes: Vec<NodeEntry>,
    /// The groups.
    pub groups: Vec<GroupGenesis>,
}

/// Why a genesis file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// Not JSON of the expected form.
    #[error("genesis is not valid: {0}")]
    Json(String),
    /// A number lies outside its range.
    #[error("genesis: {field} is {value}, must be {range}")]
    Range {
        /// The field.
        field: &'static str,
        /// The value found.
        value: u64,
        /// The values accepted.
        range: &'static str,
    },
    /// The committee is not valid.
    #[error("genesis: group {group}: committee: {what}")]
    Committee {
        /// The group.
        group: GroupId,
        /// What is wrong with it.
        what: String,
    },
    /// More operators are named than there may be.
    #[error("genesis: group {group}: {count} operators, at most {} may be named", limits::OPERATORS_MAX)]
    Operators {
        /// The group.
        group: GroupId,
        /// How many.
        count: usize,
    },
    /// The chain begins with rules that this program does not know.
    #[error(
        "genesis: group {group}: protocol_version is {version}, and this program knows versions up to \
         {PROTOCOL_VERSION_MAX}: use a newer one"
    )]
    Protocol {
        /// The group.
        group: GroupId,
        /// The version.
        version: u64,
    },
    /// The members could not send each other what a view change needs.
    #[error(
        "genesis: group {group}: {members} members with window {window} and block_transactions_max {transactions} may \
         need messages of {bytes} bytes, at most {} fit: lower one of the two",
        limits::CONSENSUS_MESSAGE_BYTES_MAX
    )]
    Messages {
        /// The group.
        group: GroupId,
        /// Its members.
        members: usize,
        /// Its window.
        window: u64,
        /// Its most transactions in a block.
        transactions: usize,
        /// What they may need.
        bytes: usize,
    },
    /// A name or number that must be unique stands twice.
    #[error("genesis: {what} `{value}` stands twice")]
    Duplicate {
        /// What it is.
        what: &'static str,
        /// The value found twice.
        value: String,
    },
    /// A name refers to nothing.
    #[error("genesis: {what} `{value}` is not defined")]
    Unknown {
        /// What it is.
        what: &'static str,
        /// The undefined name.
        value: String,
    },
    /// The members of a group are not a valid set.
    #[error("genesis: group {group}: {source}")]
    Members {
        /// The group.
        group: GroupId,
        /// What is wrong with them.
        source: MembersError,
    },
}

impl Genesis {
    /// The current format.
    pub const VERSION: u32 = 1;

    /// Reads and checks a genesis file.
    ///
    /// # Errors
    /// [`GenesisError`] names the field and the offending value.
    pub fn from_json(text: &str) -> Result<Self, GenesisError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let json = |error: serde_json::Error| GenesisError::Json(error.to_string());
        // First the version: the rest may look different in another one.
        let Versioned { version } = serde_json::from_str(text).map_err(json)?;
        range("version", u64::from(version), 1, u64::from(Self::VERSION), "1")?;
        let genesis: Self = serde_json::from_str(text).map_err(json)?;
        genesis.check()?;
        Ok(genesis)
    }

    /// The file's text.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Every field has a JSON form, so this cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The bytes whose hash identifies the network: a domain tag and the compact JSON, whose field order is fixed here.
    #[must_use]
    pub fn digest_bytes(&self) -> Vec<u8> {
        let mut bytes = b"lian/genesis/1".to_vec();
        bytes.extend(serde_json::to_vec(self).unwrap_or_default());
        bytes
    }

    /// Checks every range and reference.
    ///
    /// # Errors
    /// [`GenesisError`] names the field and the offending value.
    pub fn check(&self) -> Result<(), GenesisError> {
        range("version", u64::from(self.version), 1, 1, "1")?;
        unique("institution", self.institutions.iter().map(|institution| institution.name.clone()))?;
        unique("node", self.nodes.iter().map(|node| node.name.clone()))?;
        unique("consensus key", self.nodes.iter().map(|node| node.consensus_key.to_string()))?;
        unique("group", self.groups.iter().map(|group| group.group.to_string()))?;
        unique("chain id", self.groups.iter().map(|group| group.chain_id.to_string()))?;
        let is_institution = |name: &str| self.institutions.iter().any(|institution| institution.name == name);
        for node in &self.nodes {
            if !is_institution(&node.institution) {
                return Err(GenesisError::Unknown { what: "institution", value: node.institution.clone() });
            }
        }
        self.groups.iter().try_for_each(|group| {
            group.check()?;
            group.committee.as_ref().map_or(Ok(()), |committee| committee.check(group, is_institution))?;
            self.members(group, |_| Address::ZERO).map(drop)
        })
    }

    /// The members of a group's first epoch; `address` derives a member's address from its key.
    ///
    /// # Errors
    /// [`GenesisError`] for an unknown name or an invalid set.
    pub fn members(
        &self,
        group: &GroupGenesis,
        address: impl Fn(&ConsensusKey) -> Address,
    ) -> Result<Members, GenesisError> {
        let mut members = Vec::with_capacity(group.sealers.len());
        for name in &group.sealers {
            let Some(node) = self.nodes.iter().find(|node| node.name == *name) else {
                return Err(GenesisError::Unknown { what: "sealer", value: name.clone() });
            };
            members.push(Member { key: node.consensus_key, address: address(&node.consensus_key) });
        }
        Members::new(members).map_err(|source| GenesisError::Members { group: group.group, source })
    }
}

impl GroupGenesis {
    /// The digest that stands for the proposal of block 0, which nobody proposed: its block hash.
    #[must_use]
    pub const fn proposal_digest(block_hash: B256) -> crate::ProposalDigest {
        crate::ProposalDigest(block_hash)
    }

    /// Whether somebody may change members and configuration; the chain has system contracts then.
    #[must_use]
    pub const fn is_governed(&self) -> bool {
        !self.operators.is_empty() || self.committee.is_some()
    }

    fn check(&self) -> Result<(), GenesisError> {
        let parameters = &self.consensus;
        range("chain_id", self.chain_id, 1, u64::MAX / 2 - 36, "1 to 2^63 - 37 (EIP-2294)")?;
        range("window", parameters.window, 1, limits::WINDOW_MAX, "1 to 64")?;
        range("leader_term", parameters.leader_term, 1, u64::MAX, "at least 1")?;
        range("view_timeout_ms", parameters.view_timeout_ms, 50, 60_000, "50 to 60,000")?;
        let timeout = parameters.view_timeout_ms;
        range("view_timeout_ms_max", parameters.view_timeout_ms_max, timeout, 600_000, "view_timeout_ms to 600,000")?;
        range(
            "censorship_timeout_ms",
            parameters.censorship_timeout_ms,
            timeout,
            u64::MAX,
            "at least view_timeout_ms",
        )?;
        let count = u64::try_from(parameters.block_transactions_max).unwrap_or(u64::MAX);
        range("block_transactions_max", count, 1, 10_000, "1 to 10,000")?;
        let bytes = parameters.message_bytes_max(self.sealers.len());
        if bytes > limits::CONSENSUS_MESSAGE_BYTES_MAX {
            return Err(GenesisError::Messages {
                group: self.group,
                members: self.sealers.len(),
                window: parameters.window,
                transactions: parameters.block_transactions_max,
                bytes,
            });
        }
        if self.operators.len() > limits::OPERATORS_MAX {
            return Err(GenesisError::Operators { group: self.group, count: self.operators.len() });
        }
        if self.protocol_version > PROTOCOL_VERSION_MAX {
            return Err(GenesisError::Protocol { group: self.group, version: self.protocol_version });
        }
        unique("operator", self.operators.iter().map(|operator| operator.to_string()))?;
        let gas = limits::TRANSACTION_GAS_LIMIT_MAX;
        range("block_gas_limit", self.block_gas_limit, gas, u64::MAX >> 1, "at least 16,777,216")
    }
}

/// Whether an address is kept for system contracts: 0x2000 to 0x20ff.
#[must_use]
pub fn is_reserved(address: &Address) -> bool {
    address.as_slice().starts_with(&[0; 18]) && address[18] == 0x20
}

fn range(field: &'static str, value: u64, low: u64, high: u64, range: &'static str) -> Result<(), GenesisError> {
    if (low..=high).contains(&value) { Ok(()) } else { Err(GenesisError::Range { field, value, range }) }
}

fn unique(what: &'static str, values: impl Iterator<Item = String>) -> Result<(), GenesisError> {
    let mut seen = BTreeSet::new();
    for value in values {
        if !seen.insert(value.clone()) {
            return Err(GenesisError::Duplicate { what, value });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn genesis() -> Genesis {
        let node = |i: u8| NodeEntry {
            name: format!("node{i}"),
            institution: "bank".into(),
            consensus_key: ConsensusKey([i; 33]),
        };
        Genesis {
            version: 1,
            suite: "standard".into(),
            certificate_authorities: vec![],
            institutions: vec![Institution { name: "bank".into() }],
            nodes: (0..4).map(node).collect(),
            groups: vec![GroupGenesis {
                group: GroupId(0),
                chain_id: 20_200,
                time: Millis(0),
                block_gas_limit: limits::BLOCK_GAS_LIMIT_DEFAULT,
                consensus: ConsensusParameters::default(),
                sealers: (0..4).map(|i| format!("node{i}")).collect(),
                operators: vec![],
                committee: None,
                protocol_version: 0,
                accounts: BTreeMap::new(),
            }],
        }
    }

    #[test]
    fn round_trips() {
        let genesis = genesis();
        assert_eq!(Genesis::from_json(&genesis.to_json()), Ok(genesis));
    }

    /// The digest of a file that was written before there were versions of the protocol stays what it was.
    #[test]
    fn the_first_version_of_the_protocol_is_not_written() {
        let mut genesis = genesis();
        assert!(!genesis.to_json().contains("protocol_version"));
        let before = genesis.digest_bytes();
        genesis.groups[0].protocol_version = 1;
        assert!(genesis.to_json().contains("\"protocol_version\": 1"));
        assert_ne!(genesis.digest_bytes(), before);
        assert_eq!(Genesis::from_json(&genesis.to_json()), Ok(genesis));
    }

    #[test]
    fn a_newer_format_is_named_whatever_else_it_has() {
        let newer = genesis().to_json().replacen("\"version\": 1", "\"version\": 2, \"more\": {}", 1);
        assert_eq!(Genesis::from_json(&newer).unwrap_err().to_string(), "genesis: version is 2, must be 1");
    }

    #[test]
    fn refuses_bad_values_by_name() {
        type Change = fn(&mut Genesis);
        let newer = format!(
            "genesis: group 0: protocol_version is {}, and this program knows versions up to {PROTOCOL_VERSION_MAX}: use a \
             newer one",
            PROTOCOL_VERSION_MAX + 1
        );
        let cases: [(Change, &str); 10] = [
            (|g| g.version = 2, "genesis: version is 2, must be 1"),
            (|g| g.groups[0].consensus.window = 65, "genesis: window is 65, must be 1 to 64"),
            (
                |g| g.groups[0].consensus.window = 64,
                "genesis: group 0: 4 members with window 64 and block_transactions_max 10000 may need messages of \
                 20953120 bytes, at most 16777216 fit: lower one of the two",
            ),
            (
                |g| g.groups[0].operators = (0..65).map(Address::with_last_byte).collect(),
                "genesis: group 0: 65 operators, at most 64 may be named",
            ),
            (
                |g| g.groups[0].operators = vec![Address::with_last_byte(7); 2],
                "genesis: operator `0x0000000000000000000000000000000000000007` stands twice",
            ),
            (|g| g.groups[0].protocol_version = PROTOCOL_VERSION_MAX + 1, &newer),
            (|g| g.groups[0].sealers.push("nodeX".into()), "genesis: sealer `nodeX` is not defined"),
            (|g| g.nodes[1].name = "node0".into(), "genesis: node `node0` stands twice"),
            (|g| g.nodes[0].institution = "x".into(), "genesis: institution `x` is not defined"),
            (|g| g.groups[0].sealers.clear(), "genesis: group 0: a group needs at least one member"),
        ];
        for (change, message) in cases {
            let mut genesis = genesis();
            change(&mut genesis);
            assert_eq!(genesis.check().unwrap_err().to_string(), message);
        }
    }
}
