//! The two kinds of consensus that a group may have, where they look alike.

use super::{ConsensusStatus, VoteRecord};
use lian_pbft::{Committee, Committees, Head, LogCondition, Timing};
use lian_raft::{Role, Schedule};
use lian_types::{BlockNumber, ConsensusKey, ConsensusKind, ConsensusParameters, Genesis, GroupGenesis, Millis, View};
use std::sync::Arc;

/// How a group's consensus machine is made; of which kind, its genesis says.
#[derive(Clone, Debug)]
pub enum ConsensusConfig {
    /// Parallel PBFT.
    Pbft(lian_pbft::Config),
    /// Raft.
    Raft(lian_raft::Config),
}

impl ConsensusConfig {
    /// The configuration of a group's machine on the node with a key. `parameters` are those of the height above the head.
    #[must_use]
    pub fn new(
        rules: lian_pbft::Rules,
        genesis: &Genesis,
        group: &GroupGenesis,
        parameters: &ConsensusParameters,
        key: ConsensusKey,
    ) -> Self {
        match group.consensus.kind {
            ConsensusKind::Pbft => {
                Self::Pbft(lian_pbft::Config { rules, timing: Timing::new(parameters), key: Some(key) })
            }
            ConsensusKind::Raft => {
                let sealers =
                    group.sealers.iter().filter_map(|name| genesis.nodes.iter().find(|node| node.name == *name));
                Self::Raft(lian_raft::Config {
                    suite: rules.suite,
                    context: rules.context,
                    genesis: rules.genesis,
                    first_members: sealers.map(|node| node.consensus_key).collect(),
                    window: rules.window,
                    timing: lian_raft::Timing::new(parameters),
                    key,
                })
            }
        }
    }
}

/// A group's consensus machine.
pub(super) enum Machine {
    Pbft(Box<lian_pbft::Machine>),
    Raft {
        machine: Box<lian_raft::Machine>,
        /// The members by height, which PBFT's machine keeps itself.
        committees: Arc<Committees>,
        timing: lian_raft::Timing,
    },
}

impl Machine {
    pub(super) fn new(
        config: &ConsensusConfig,
        committees: Committees,
        head: Head,
        records: Vec<VoteRecord>,
        condition: LogCondition,
    ) -> Self {
        match config {
            ConsensusConfig::Pbft(config) => {
                let records = records.into_iter().filter_map(VoteRecord::into_pbft).collect();
                let machine = lian_pbft::Machine::new(config.clone(), committees, head, records, condition);
                Self::Pbft(Box::new(machine))
            }
            ConsensusConfig::Raft(config) => {
                let records = records.into_iter().filter_map(VoteRecord::into_raft).collect();
                let schedule = Schedule::new(committees.iter().map(|one| (one.first, Arc::clone(&one.members))));
                let schedule = schedule.ending_with(committees.last_known());
                let condition = match condition {
                    LogCondition::Whole => lian_raft::LogCondition::Whole,
                    LogCondition::Lost => lian_raft::LogCondition::Lost,
                };
                let machine = lian_raft::Machine::new(config.clone(), schedule, raft_head(head), records, condition);
                Self::Raft { machine: Box::new(machine), committees: Arc::new(committees), timing: config.timing }
            }
        }
    }

    pub(super) const fn committees(&self) -> &Arc<Committees> {
        match self {
            Self::Pbft(machine) => machine.committees(),
            Self::Raft { committees, .. } => committees,
        }
    }

    pub(super) fn deadline(&self) -> Option<Millis> {
        match self {
            Self::Pbft(machine) => machine.deadline(),
            Self::Raft { machine, .. } => machine.deadline(),
        }
    }

    /// Every record that is still needed.
    pub(super) fn live_records(&self) -> Vec<VoteRecord> {
        match self {
            Self::Pbft(machine) => machine.live_records().into_iter().map(VoteRecord::from).collect(),
            Self::Raft { machine, .. } => {
                let made_at = machine.status().height;
                machine.live_records().into_iter().map(|record| VoteRecord::Raft { record, made_at }).collect()
            }
        }
    }

    pub(super) fn status(&self) -> ConsensusStatus {
        match self {
            Self::Pbft(machine) => {
                let status = machine.status();
                let committee = machine.committees().at(status.height.next());
                ConsensusStatus {
                    epoch: status.epoch,
                    view: status.view,
                    promised: status.promised,
                    leader: committee.and_then(|one| one.members.members.get(status.leader)).map(|member| member.key),
                    leads: status.me == Some(status.leader),
                    height: status.height,
                    accepted: status.accepted,
                    failed: status.failed,
                    abstains_until: status.abstains_until,
                }
            }
            Self::Raft { machine, .. } => {
                let status = machine.status();
                ConsensusStatus {
                    epoch: status.epoch,
                    view: View(status.term),
                    promised: View(status.term),
                    leader: status.leader,
                    leads: status.role == Role::Leader,
                    height: status.height,
                    accepted: status.accepted,
                    failed: 0,
                    abstains_until: status.abstains.then_some(BlockNumber(u64::MAX)),
                }
            }
        }
    }

    /// New waiting times, where the chain's parameters give others than before.
    pub(super) fn retime(&mut self, parameters: &ConsensusParameters, now: &mut Timing) -> Option<Timing> {
        match self {
            Self::Pbft(_) => {
                let timing = Timing::new(parameters);
                (timing != *now).then(|| {
                    *now = timing;
                    timing
                })
            }
            Self::Raft { machine, timing, .. } => {
                let new = lian_raft::Timing::new(parameters);
                if new != *timing {
                    *timing = new;
                    machine.retime(new);
                }
                None
            }
        }
    }

    /// Keeps the members of a coming epoch, where the machine does not keep committees itself.
    pub(super) fn keep_committee(&mut self, committee: &Committee) {
        if let Self::Raft { committees, .. } = self {
            Arc::make_mut(committees).insert(committee.clone());
        }
    }

    /// Ends the committees below a height, likewise.
    pub(super) fn end_committees(&mut self, end: BlockNumber) {
        if let Self::Raft { committees, .. } = self {
            Arc::make_mut(committees).end_before(end);
        }
    }

    /// Drops committees of long ago, likewise.
    pub(super) fn retire_committees(&mut self, head: BlockNumber) {
        if let Self::Raft { committees, .. } = self {
            Arc::make_mut(committees).retire(head);
        }
    }
}

/// The last final block, as the Raft machine takes it.
pub(super) fn raft_head(head: Head) -> lian_raft::Head {
    let Head { height, digest, hash, time, certificate } = head;
    lian_raft::Head { height, digest, hash, time, certificate }
}
