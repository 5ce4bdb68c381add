//! One chain as a pure machine: consensus, pool and catch-up joined.

mod bodies;
mod catch_up;
mod consensus;
mod event;
mod governance;
mod machine;
mod message;
mod pacing;
mod raft;
mod record;
mod relay;
mod report;
mod transactions;

pub use event::{Candidate, ConsensusStatus, Effect, Input, Offence, Recipient, Stored, SyncWork};
pub use machine::ConsensusConfig;
pub use message::GroupMessage;
pub use record::{DurableRecord, VoteRecord};
pub use report::{NodeReport, PeerReport};

use crate::{KnownMembers, SharedMembers, flow::FlowRecorder};
use alloy_primitives::{B256, TxHash};
use bodies::BodyFetches;
use governance::Outdated;
use lian_executor::Governance;
use lian_pbft::{Committees, Head, LogCondition, Timing};
use lian_sync::{Anchor, Sync, SyncConfig};
use lian_txpool::{Counts, Gossip, Pool};
use lian_types::{BlockNumber, ConsensusKey, ConsensusParameters, Epoch, Millis};
use machine::Machine;
use pacing::Pacing;
use parking_lot::Mutex;
use relay::Relaying;
use report::Reporting;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What a core is made with.
pub struct CoreConfig {
    /// The consensus machine's configuration.
    pub consensus: ConsensusConfig,
    /// The members by height, as the chain names them after the head.
    pub committees: Committees,
    /// The group's parameters in genesis, for those that never change.
    pub parameters: ConsensusParameters,
    /// Who seals after the head and by which parameters.
    pub governance: Arc<Governance>,
    /// The address of this node's JSON-RPC, which it tells the others; may be empty.
    pub rpc: String,
}

/// Where a core starts.
#[derive(Clone, Debug)]
pub struct Start {
    /// The ledger's head.
    pub head: Head,
    /// Its epoch.
    pub epoch: Epoch,
    /// The digest of the members that it names for the future.
    pub members: B256,
    /// The lowest block that this node can serve.
    pub oldest: BlockNumber,
}

/// What the vote log held at a start.
pub struct Recovered {
    /// Its records with their bodies, in order.
    pub records: Vec<DurableRecord>,
    /// Its condition.
    pub condition: LogCondition,
}

/// One chain on one node, without I/O.
///
/// The pool and the flow records stand behind locks, because clients read them; only the core changes the pool.
pub struct Core {
    config: CoreConfig,
    machine: Machine,
    /// The waiting times of PBFT that the machine was told last.
    timing: Timing,
    members: Arc<SharedMembers>,
    pool: Arc<Mutex<Pool>>,
    flows: Arc<Mutex<FlowRecorder>>,
    gossip: Gossip,
    sync: Sync,
    fetches: BodyFetches,
    pacing: Pacing,
    connected: BTreeSet<ConsensusKey>,
    reports: BTreeMap<ConsensusKey, PeerReport>,
    reporting: Reporting,
    /// Transactions chosen for a height that this node is about to propose.
    selection: Option<(BlockNumber, Vec<TxHash>)>,
    /// When gossip leaves.
    gossip_due: Option<Millis>,
    relaying: Relaying,
    /// What the consensus machine was told of the pool last.
    told: (bool, Option<Millis>),
    /// The epoch of the next height.
    epoch: Epoch,
    /// Whether the consensus machine was told to make empty blocks.
    allows_empty: bool,
    /// Set once the group has stopped: nothing is done any more.
    halted: bool,
    /// That this node is about to stop for rules that it does not know.
    outdated: Option<Outdated>,
}

impl Core {
    /// A core that starts from the ledger's head and what the vote log held. Its first step must be [`Input::Tick`].
    #[must_use]
    pub fn new(
        now: Millis,
        config: CoreConfig,
        pool: Arc<Mutex<Pool>>,
        flows: Arc<Mutex<FlowRecorder>>,
        start: Start,
        recovered: Recovered,
    ) -> Self {
        let Start { head, epoch, members, oldest } = start;
        let anchor = Anchor { height: head.height, hash: head.hash, digest: head.digest, members };
        transactions::restore_bodies(now, &mut pool.lock(), &config.consensus, head.height, &recovered.records);
        let records = recovered.records.into_iter().map(|durable| durable.record).collect();
        let machine = Machine::new(&config.consensus, config.committees.clone(), head, records, recovered.condition);
        Self {
            sync: Sync::new(SyncConfig::new(config.parameters.window), anchor, epoch, oldest),
            members: Arc::new(SharedMembers::new(KnownMembers {
                committees: Arc::clone(machine.committees()),
                head: anchor.height,
            })),
            epoch: machine.status().epoch,
            timing: Timing::new(&config.governance.parameters_at(anchor.height.next(), &config.parameters)),
            allows_empty: false,
            config,
            machine,
            pool,
            flows,
            gossip: Gossip::new(),
            fetches: BodyFetches::default(),
            pacing: Pacing::default(),
            connected: BTreeSet::new(),
            reports: BTreeMap::new(),
            reporting: Reporting::default(),
            selection: None,
            gossip_due: None,
            relaying: Relaying::default(),
            told: (false, None),
            halted: false,
            outdated: None,
        }
    }

    /// Takes an input at a time that never goes back, and appends what follows from it.
    pub fn step(&mut self, now: Millis, input: Input, effects: &mut Vec<Effect>) {
        if self.halted {
            return;
        }
        match input {
            Input::Consensus { from, message } => self.on_consensus(now, from, message, effects),
            Input::Raft { from, message } => {
                self.step_raft(now, lian_raft::Input::Message { from, message: *message }, effects);
            }
            Input::HandOver => self.step_raft(now, lian_raft::Input::HandOver, effects),
            Input::Transactions { from, transactions, unknown } => {
                self.on_transactions(now, from, transactions, &unknown, effects);
            }
            Input::BodiesWanted { from, hashes } => self.on_bodies_wanted(from, &hashes, effects),
            Input::Sync { from, message } => self.on_sync_message(now, from, message, effects),
            Input::Report { from, report } => self.on_report(now, from, report),
            Input::SyncDone(done) => self.step_sync(now, done, effects),
            Input::Submit { ticket, candidate } => self.on_submit(now, ticket, candidate, effects),
            Input::Signed { statement, signature } => {
                self.step_consensus(now, lian_pbft::Input::Signed { statement, signature }, effects);
            }
            Input::Executed { height, digest, parent, hash } => {
                self.note_executed(now, height);
                self.pacing.executed(now, height);
                self.step_consensus(now, lian_pbft::Input::Executed { height, digest, parent, hash }, effects);
            }
            Input::Stored(stored) => self.on_stored(now, *stored, effects),
            Input::Peer { key, connected } => self.on_peer(now, key, connected, effects),
            Input::Tick => {
                self.step_consensus(now, lian_pbft::Input::Tick, effects);
                self.step_sync(now, lian_sync::Input::Tick, effects);
            }
        }
        self.run_timers(now, effects);
        self.allow_empty(now, effects);
        self.tell_pool(now, effects);
    }

    /// When to call [`Core::step`] with [`Input::Tick`] at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let (pool, ready) = {
            let pool = self.pool.lock();
            (pool.deadline(), pool.ready_len())
        };
        // Only where something waits for the stride's end: without that there is nothing to do then.
        let pacing = self.pacing.deadline(ready).filter(|_| matches!(self.told, (false, Some(_))));
        [
            self.machine.deadline(),
            self.sync.deadline(),
            self.fetches.deadline(),
            self.gossip_due,
            pacing,
            self.relay_deadline(),
            self.report_deadline(),
            self.outdated.as_ref().map(|outdated| outdated.stop_at),
            pool,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Where consensus stands.
    #[must_use]
    pub fn status(&self) -> ConsensusStatus {
        self.machine.status()
    }

    /// The members by height, for checking messages on other threads.
    #[must_use]
    pub const fn members(&self) -> &Arc<SharedMembers> {
        &self.members
    }

    /// Who seals after the last final block, by which parameters, and the nodes.
    #[must_use]
    pub const fn governance(&self) -> &Arc<Governance> {
        &self.config.governance
    }

    /// The members by height.
    #[must_use]
    pub const fn committees(&self) -> &Arc<Committees> {
        self.machine.committees()
    }

    /// What the other nodes reported last.
    #[must_use]
    pub const fn reports(&self) -> &BTreeMap<ConsensusKey, PeerReport> {
        &self.reports
    }

    /// How much waits in the pool.
    #[must_use]
    pub fn pool_counts(&self) -> Counts {
        self.pool.lock().counts()
    }

    /// The nodes with a session.
    #[must_use]
    pub const fn connected(&self) -> &BTreeSet<ConsensusKey> {
        &self.connected
    }

    /// Whether the group has stopped because results diverge.
    #[must_use]
    pub const fn is_halted(&self) -> bool {
        self.halted
    }

    /// Every vote record that is still needed, with its bodies, so that the vote log can be written anew.
    #[must_use]
    pub fn live_records(&self) -> Vec<DurableRecord> {
        self.machine.live_records().into_iter().map(|record| self.with_bodies(record)).collect()
    }

    fn on_peer(&mut self, now: Millis, key: ConsensusKey, connected: bool, effects: &mut Vec<Effect>) {
        if connected {
            self.connected.insert(key);
            let local = self.pool.lock().local();
            self.gossip.connected(key, &local);
            self.schedule_gossip(now);
            self.report_again();
        } else {
            self.connected.remove(&key);
            self.gossip.disconnected(&key);
        }
        self.step_consensus(now, lian_pbft::Input::Peer { key, connected }, effects);
        let session = if connected { lian_sync::Input::Connected(key) } else { lian_sync::Input::Disconnected(key) };
        self.step_sync(now, session, effects);
    }

    fn run_timers(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        if self.relay_deadline().is_some_and(|due| due <= now) {
            self.relay(now);
        }
        if self.gossip_due.is_some_and(|due| due <= now) {
            self.gossip_due = None;
            self.send_gossip(effects);
        }
        if self.fetches.deadline().is_some_and(|due| due <= now) {
            self.ask_for_bodies(now, effects);
        }
        let mut pool = self.pool.lock();
        if pool.deadline().is_some_and(|due| due <= now) {
            pool.expire(now);
        }
        drop(pool);
        self.send_report(now, effects);
        self.stop_outdated(now, effects);
    }
}
