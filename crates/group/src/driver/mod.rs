//! A group's threads: the core's own, the outbox, execution, the ledger; and how they are wired.
//!
//! ```text
//!  network, clients ──► commands ──► core ──► outbox (fsync of votes, then sends, replies) ──► network
//!                          ▲           └────► execution ──► ledger (fsync of blocks) ──┐
//!                          └───────────────────────────────────────────────────────────┘
//! ```
//!
//! The core's thread never waits for a disk or for another thread. What bounds the queues behind it is consensus itself:
//! at most a window of heights is open, one batch of catch-up is applied at a time, and replies answer bounded commands.

mod core_thread;
mod execution_thread;
pub(crate) mod inbound;
pub(crate) mod join;
mod ledger_thread;
mod outbox;
mod snapshots;
mod votes;

pub(crate) use core_thread::Command;
pub use core_thread::{VOTE_LOG_RENEWAL, account_view};
pub use inbound::check_blocks;
pub use votes::{condition_of, decode as decode_record, encode as encode_record, encode_live as encode_live_record};

use crate::{
    core::{ConsensusConfig, Core, CoreConfig, Input, Start},
    execution::SpeculativeChain,
    flow::FlowRecorder,
    handle::{ChainInfo, GroupEvent, GroupHandle},
    known_members::committees_of,
    node::{DataPolicy, StartError},
    recovery::EvidenceFiles,
    status::{GroupStatus, Role},
    stop::StopSignal,
    workers::Workers,
};
use inbound::Inbound;
use lian_crypto::ConsensusSecretKey;
use lian_executor::{Governance, Rules, Threads};
use lian_ledger::{FileStorage, Flusher, Ledger, LedgerConfig, Storage, Upkeep};
use lian_network::NetworkHandle;
use lian_txpool::{Limits, Pool, PoolConfig};
use lian_types::{BlockNumber, Epoch, Genesis, GenesisError, GroupGenesis, GroupId, HistoryDepth, View};
use parking_lot::{Mutex, RwLock};
use snapshots::SnapshotServer;
use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::JoinHandle,
};
use tokio::sync::watch;

/// Commands that may wait for the core: a burst of clients and messages. More are refused, or wait at the network.
const COMMANDS_MAX: usize = 16_384;
/// News that a slow subscriber may be behind.
const EVENTS_MAX: usize = 65_536;

/// The file that says that this node's key has never voted in a group. It is made with the key and removed at the first
/// start: a node that lost its data must not take itself for a new one (pbft §3).
pub(crate) fn never_voted(data_dir: &Path, group: GroupId) -> PathBuf {
    data_dir.join(format!("group{group}.never-voted"))
}

/// What a group needs to start.
pub(crate) struct GroupSetup<'a> {
    pub(crate) genesis: &'a Genesis,
    pub(crate) group: &'a GroupGenesis,
    pub(crate) name: &'a str,
    pub(crate) key: &'a ConsensusSecretKey,
    pub(crate) data_dir: &'a Path,
    pub(crate) rpc: &'a str,
    pub(crate) history: HistoryDepth,
    pub(crate) data: &'a DataPolicy,
    pub(crate) network: Option<NetworkHandle>,
    pub(crate) stop: StopSignal,
    pub(crate) workers: Workers,
    pub(crate) execution_threads: NonZeroUsize,
}

/// A running group.
pub(crate) struct RunningGroup {
    pub(crate) handle: GroupHandle,
    pub(crate) inbound: Inbound,
    threads: Vec<JoinHandle<()>>,
    flusher: Option<Flusher>,
    upkeep: Option<Upkeep>,
}

impl RunningGroup {
    /// Lets another member lead, where the group agrees by Raft and this node leads it.
    pub(crate) fn hand_over(&self) {
        // The core may have ended before.
        let _ = self.handle.commands.send(Command::Input(Box::new(Input::HandOver)));
    }

    /// Stops the threads in the order in which work flows, so that what was acknowledged is on disk.
    pub(crate) fn shutdown(mut self) {
        // The core may have ended before.
        let _ = self.handle.commands.send(Command::Stop);
        drop(self.inbound);
        drop(self.handle);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the group has panicked");
            }
        }
        drop(self.upkeep.take());
        drop(self.flusher.take());
    }
}

/// Opens a group's ledger and vote log and starts its threads.
pub(crate) fn start(setup: &GroupSetup<'_>) -> Result<RunningGroup, StartError> {
    let GroupSetup { genesis, group, key, .. } = *setup;
    let suite: lian_crypto::Suite = genesis.suite.parse()?;
    let folder = setup.folder();
    let storage: Arc<dyn Storage> = Arc::new(FileStorage);
    let config = setup.ledger_config();
    let (ledger, recovery) = Ledger::open(config, Arc::clone(&storage), suite, genesis, group)?;
    tracing::info!(group = %group.group, height = %ledger.head().number, ?recovery, "ledger is open");
    let flusher = ledger.start_flusher().map_err(|source| StartError::Thread { source })?;
    let upkeep = ledger.start_upkeep().map_err(|source| StartError::Thread { source })?;

    let governance = Governance::of(genesis, group, ledger.head().parent.state.as_ref())?;
    let genesis_hash = ledger.block_hash(BlockNumber::ZERO)?.ok_or(StartError::NoGenesisBlock)?;
    let execution = Rules::of_group(suite, group);
    let info = Arc::new(ChainInfo {
        group: group.group,
        chain_id: group.chain_id,
        consensus: group.consensus.kind,
        genesis_hash,
        suite,
        rules: execution,
        block_gas_limit: group.block_gas_limit,
        context: *ledger.chain(),
        node: setup.name.to_owned(),
    });
    let start = start_of(&ledger);
    let votes = votes::Votes::open(&storage, &folder, &never_voted(setup.data_dir, group.group), suite, &ledger)?;
    let evidence = EvidenceFiles::new(storage, &folder);
    evidence.check_start(&votes.recovered.records, start.epoch)?;
    let rules = lian_pbft::Rules {
        suite,
        context: info.context,
        genesis: GroupGenesis::proposal_digest(info.genesis_hash),
        term: group.consensus.leader_term,
        window: group.consensus.window,
    };
    let parameters = governance.parameters_at(start.head.height.next(), &group.consensus);
    let consensus = ConsensusConfig::new(rules, genesis, group, &parameters, key.public());
    let mut committees = committees_of(suite, group.consensus.kind, &governance)
        .map_err(|source| GenesisError::Members { group: group.group, source })?;
    if let Some(unknown) = governance.unknown_protocol() {
        if start.head.height.next() >= unknown.from {
            return Err(unknown.into());
        }
        tracing::warn!(%unknown, "this node stops below that block");
        committees = committees.ending_before(unknown.from);
    }
    let limits = Limits { chain_id: group.chain_id, block_gas_limit: group.block_gas_limit };
    let pool = Arc::new(Mutex::new(Pool::new(PoolConfig::new(limits))));
    let flows = Arc::new(Mutex::new(FlowRecorder::default()));
    let core = Core::new(
        crate::clock::now(),
        CoreConfig {
            consensus,
            committees,
            parameters: group.consensus,
            governance: Arc::new(governance),
            rpc: setup.rpc.to_owned(),
        },
        Arc::clone(&pool),
        Arc::clone(&flows),
        start,
        votes.recovered,
    );
    wire(setup, core, votes.log, info, ledger, pool, flows, rules, (flusher, upkeep), evidence)
}

impl GroupSetup<'_> {
    /// The folder of the group's data.
    fn folder(&self) -> PathBuf {
        self.data_dir.join(format!("group{}", self.group.group))
    }

    /// How the group's ledger is kept.
    pub(crate) fn ledger_config(&self) -> LedgerConfig {
        let folder = self.folder();
        let archive = self.data.archive.as_ref().map(|archive| archive.join(format!("group{}", self.group.group)));
        LedgerConfig {
            history: self.history,
            snapshot_interval: self.data.snapshot_interval,
            keep_blocks: self.data.keep_blocks,
            archive,
            ..LedgerConfig::new(folder)
        }
    }
}

/// The lowest block that this node can give to others. Nobody asks for block 0.
pub(crate) fn oldest_served(ledger: &Ledger) -> BlockNumber {
    ledger.oldest_block().max(BlockNumber(1))
}

/// The ledger's head as a core starts from it.
#[must_use]
pub fn start_of(ledger: &Ledger) -> Start {
    let head = ledger.head();
    let extension = &head.block.extension;
    let certificate = (head.number > BlockNumber::ZERO).then(|| head.certificate.as_ref().clone());
    Start {
        head: lian_pbft::Head {
            height: head.number,
            digest: head.digest,
            hash: head.hash,
            time: extension.time,
            certificate,
        },
        epoch: extension.epoch,
        members: extension.members,
        oldest: oldest_served(ledger),
    }
}

/// Makes the queues and starts the threads.
#[allow(clippy::too_many_arguments)] // Everything is made once and handed to its thread here.
fn wire(
    setup: &GroupSetup<'_>,
    core: Core,
    vote_log: lian_ledger::VoteLog,
    info: Arc<ChainInfo>,
    ledger: Arc<Ledger>,
    pool: Arc<Mutex<Pool>>,
    flows: Arc<Mutex<FlowRecorder>>,
    rules: lian_pbft::Rules,
    (flusher, upkeep): (Flusher, Upkeep),
    evidence: EvidenceFiles,
) -> Result<RunningGroup, StartError> {
    let (commands, command_queue) = mpsc::sync_channel(COMMANDS_MAX);
    let (outbox, outbox_queue) = mpsc::channel();
    let (work, work_queue) = mpsc::channel();
    let (appends, append_queue) = mpsc::channel();
    let (asks, ask_queue) = mpsc::sync_channel(snapshots::ASKS_MAX);
    let (events, _) = tokio::sync::broadcast::channel(EVENTS_MAX);
    let head = ledger.head().number;
    let (admitted, _) = watch::channel(Arc::new(core.governance().admitted(head.next()).cloned().collect()));
    let (heads, _) = watch::channel(head);
    let status = Arc::new(RwLock::new(first_status(setup, &info, &ledger)));
    let members = Arc::clone(core.members());

    let core_thread = core_thread::CoreThread {
        core,
        key: setup.key.clone(),
        info: Arc::clone(&info),
        ledger: Arc::clone(&ledger),
        outbox,
        work: work.clone(),
        status: Arc::clone(&status),
        admitted: admitted.clone(),
        rules,
        stop: setup.stop.clone(),
        state: core_thread::State::new(),
    };
    let outbox_thread = outbox::Outbox {
        log: vote_log,
        network: setup.network.clone(),
        group: info.group,
        work,
        events: events.clone(),
        stop: setup.stop.clone(),
    };
    let execution_thread = execution_thread::ExecutionThread {
        chain: SpeculativeChain::new(info.rules, info.block_gas_limit, Arc::clone(&ledger))
            .on(Threads::new(setup.execution_threads)),
        info: Arc::clone(&info),
        members: Arc::clone(&members),
        window: rules.window,
        commands: commands.clone(),
        appends,
        network: setup.network.clone(),
        stop: setup.stop.clone(),
        unexplained: evidence.unexplained(ledger.head().number),
        evidence,
        threads_told: None,
    };
    let ledger_thread = ledger_thread::LedgerThread {
        suite: info.suite,
        ledger: Arc::clone(&ledger),
        commands: commands.clone(),
        events: events.clone(),
        heads: heads.clone(),
        stop: setup.stop.clone(),
    };
    let inbound = Inbound::new(
        Arc::clone(&info),
        rules,
        Arc::clone(&members),
        Arc::clone(&pool),
        Arc::clone(&flows),
        commands.clone(),
        setup.network.clone(),
        asks,
        setup.workers.clone(),
    );
    let server = setup.network.clone().map(|network| SnapshotServer::new(Arc::clone(&ledger), network, info.group));
    let mut threads = vec![
        spawn("core", move || core_thread.run(&command_queue))?,
        spawn("outbox", move || outbox_thread.run(&outbox_queue))?,
        spawn("execution", move || execution_thread.run(&work_queue))?,
        spawn("ledger", move || ledger_thread.run(&append_queue))?,
    ];
    if let Some(server) = server {
        threads.push(spawn("snapshots", move || server.run(&ask_queue))?);
    }
    let handle = GroupHandle {
        info,
        ledger,
        commands,
        pool,
        flows,
        status,
        events,
        members,
        admitted,
        heads,
        network: setup.network.clone(),
        workers: setup.workers.clone(),
    };
    Ok(RunningGroup { handle, inbound, threads, flusher: Some(flusher), upkeep: Some(upkeep) })
}

fn first_status(setup: &GroupSetup<'_>, info: &ChainInfo, ledger: &Ledger) -> GroupStatus {
    let sealer = setup.group.sealers.iter().any(|name| name == setup.name);
    GroupStatus {
        group: info.group,
        chain_id: info.chain_id,
        node: setup.name.to_owned(),
        rpc: (!setup.rpc.is_empty()).then(|| setup.rpc.to_owned()),
        consensus: info.consensus.name(),
        role: if sealer { Role::Sealer } else { Role::Observer },
        height: ledger.head().number,
        oldest: ledger.oldest_block(),
        lag: 0,
        epoch: Epoch::ZERO,
        view: View::ZERO,
        leader: String::new(),
        members: setup.group.sealers.len(),
        peers: 0,
        pending: 0,
        queued: 0,
        abstains: false,
        halted: None,
        certificate_days: None,
        certificate_refused: None,
        nodes: Vec::new(),
    }
}

pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|source| StartError::Thread { source })
}

/// Sends news that nobody may be waiting for.
pub(crate) fn announce(events: &tokio::sync::broadcast::Sender<GroupEvent>, event: GroupEvent) {
    // An error says only that nobody subscribes.
    let _ = events.send(event);
}
