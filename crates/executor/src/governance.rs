//! What a chain's own contracts say about who seals and by which parameters.

use crate::system::ReadHost;
use crate::{ExecutionError, StateError, StateReader};
use lian_crypto::{EpochMembers, Suite};
use lian_system_contracts::configuration::{self, Parameter, Settings};
use lian_system_contracts::members::{self, NodeRecord, NodeRole, Schedule, ScheduledEpoch};
use lian_types::{
    BlockNumber, ConsensusKind, ConsensusParameters, Genesis, GenesisError, GroupGenesis, Members,
    PROTOCOL_VERSION_MAX, UnknownProtocol,
};

/// Who seals, the parameters that all members have in common, and the nodes, after some block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Governance {
    /// The latest epochs.
    pub schedule: Schedule,
    /// The parameters.
    pub settings: Settings,
    /// The nodes, in the order in which they came.
    pub nodes: Vec<NodeRecord>,
}

impl Governance {
    /// That of genesis.
    ///
    /// # Errors
    /// [`GenesisError`] where genesis is not consistent.
    pub fn of_genesis(genesis: &Genesis, group: &GroupGenesis) -> Result<Self, GenesisError> {
        Ok(Self {
            schedule: Schedule::of_genesis(genesis, group)?,
            settings: Settings::of_genesis(group),
            nodes: NodeRecord::of_genesis(genesis, group),
        })
    }

    /// That of a chain after a block: what its contracts hold in the state, or for ever what genesis says where the chain
    /// has none.
    ///
    /// # Errors
    /// [`GovernanceError`] where genesis is not consistent or the state cannot be read.
    pub fn of(genesis: &Genesis, group: &GroupGenesis, state: &dyn StateReader) -> Result<Self, GovernanceError> {
        if !group.is_governed() {
            return Ok(Self::of_genesis(genesis, group)?);
        }
        Ok(Self::read(state)?)
    }

    /// The nodes that may connect while a height is decided: those that have not left, and those that seal it although
    /// they are about to leave.
    pub fn admitted(&self, height: BlockNumber) -> impl Iterator<Item = &NodeRecord> {
        let Schedule { current, next } = &self.schedule;
        let deciding = if next.first <= height { [next, next] } else { [current, next] };
        let seals = move |key| deciding.iter().any(|epoch| epoch.keys.contains(key));
        self.nodes.iter().filter(move |node| node.role != NodeRole::None || seals(&node.key))
    }

    /// The parameters of consensus that act in a block; `fixed` has those that never change.
    #[must_use]
    pub fn parameters_at(&self, block: BlockNumber, fixed: &ConsensusParameters) -> ConsensusParameters {
        self.settings.consensus_at(block, fixed)
    }

    /// The gas limit of a block, in units of gas.
    #[must_use]
    pub fn block_gas_limit_at(&self, block: BlockNumber) -> u64 {
        self.settings.at(Parameter::BlockGasLimit, block)
    }

    /// The change of the chain's rules to what this program does not know, if one acts or is on its way.
    #[must_use]
    pub fn unknown_protocol(&self) -> Option<UnknownProtocol> {
        self.settings.protocol_beyond(PROTOCOL_VERSION_MAX)
    }

    /// What the contracts hold in a state.
    ///
    /// # Errors
    /// [`StateError`] where it cannot be read.
    pub(crate) fn read(state: &dyn StateReader) -> Result<Self, StateError> {
        let settings = Settings::read(&mut ReadHost(state)).map_err(unreadable)?;
        let nodes = members::node_records(&mut ReadHost(state)).map_err(unreadable)?;
        Ok(Self { schedule: schedule(state)?, settings, nodes })
    }
}

/// Why it is not known who seals.
#[derive(Debug, thiserror::Error)]
pub enum GovernanceError {
    /// The genesis file.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Who seals by the contracts of a state: now and from some block on.
///
/// # Errors
/// [`StateError`] where it cannot be read.
pub fn schedule(state: &dyn StateReader) -> Result<Schedule, StateError> {
    members::schedule(&mut ReadHost(state)).map_err(unreadable)
}

/// The members of the epoch that decides a block, by the contracts of a state that is at most a window older; every
/// earlier block's as well. `consensus` is the kind that the group's genesis chose.
///
/// # Errors
/// [`StateError`] where it cannot be read.
pub fn members_at(
    suite: Suite,
    consensus: ConsensusKind,
    state: &dyn StateReader,
    block: BlockNumber,
) -> Result<EpochMembers, StateError> {
    let found = members::epoch_at(&mut ReadHost(state), block).map_err(unreadable)?;
    Ok(EpochMembers { epoch: found.epoch, members: members_of(suite, &found)?, consensus })
}

/// The members of an epoch that a contract keeps: it keeps no set that is not valid.
pub(crate) fn members_of(suite: Suite, epoch: &ScheduledEpoch) -> Result<Members, StateError> {
    let invalid = |error| StateError::new(format!("the members' contract holds no valid set: {error}"));
    epoch.members(suite).map_err(invalid)
}

/// The gas limit of a block by the contracts of its parent's state, in units of gas.
pub(crate) fn block_gas_limit(state: &dyn StateReader, block: BlockNumber) -> Result<u64, StateError> {
    configuration::value_at(&mut ReadHost(state), Parameter::BlockGasLimit, block).map_err(unreadable)
}

/// The version of the protocol that acts in a block, by the contracts of its parent's state; one that this program does not
/// know is an error.
pub(crate) fn protocol(state: &dyn StateReader, block: BlockNumber) -> Result<u64, ExecutionError> {
    let host = &mut ReadHost(state);
    let version = configuration::value_at(host, Parameter::ProtocolVersion, block).map_err(unreadable)?;
    if version > PROTOCOL_VERSION_MAX {
        return Err(UnknownProtocol { version, from: block, known: PROTOCOL_VERSION_MAX }.into());
    }
    Ok(version)
}

fn unreadable(halt: lian_system_contracts::Halt) -> StateError {
    StateError::new(halt.to_string())
}
