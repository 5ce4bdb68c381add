//! A node: all its groups, over one network.

use crate::{
    driver::{self, GroupSetup, RunningGroup, inbound::Inbound, join::Joining},
    handle::GroupHandle,
    stop::{StopReason, StopSignal},
    workers::Workers,
};
use bytes::Bytes;
use lian_crypto::{ConsensusSecretKey, UnknownSuite};
use lian_executor::{GenesisBlockError, GovernanceError};
use lian_ledger::{FileStorage, LedgerError, LogError, ReadError};
use lian_network::{Class, NetworkEvent, NetworkEvents, NetworkHandle};
use lian_types::{
    BlockNumber, ConsensusKey, ConsensusKind, Genesis, GenesisError, GroupId, HistoryDepth, UnknownProtocol,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

/// Looks at whether somebody else leads, before a node stops anyway.
const HAND_OVER_LOOKS: u32 = 50;
/// Time between two of them.
const HAND_OVER_LOOK: Duration = Duration::from_millis(20);
/// Messages with transactions that are checked together, in bytes: a few hundred transactions, some ten milliseconds of
/// work.
const BODIES_AT_ONCE_BYTES: usize = 64 * 1024;

/// What a node needs to start.
pub struct NodeSetup {
    /// The network's genesis file.
    pub genesis: Genesis,
    /// This node's name in it.
    pub name: String,
    /// The key that signs its votes.
    pub key: ConsensusSecretKey,
    /// Where its groups keep their data, each in a folder of its own.
    pub data_dir: PathBuf,
    /// The address of its JSON-RPC, which it tells the other nodes; may be empty.
    pub rpc: String,
    /// How many past states can be read.
    pub history: HistoryDepth,
    /// What is kept of old blocks, and how a new node begins.
    pub data: DataPolicy,
    /// On how many threads a block is executed.
    pub execution_threads: NonZeroUsize,
    /// The network; none for a node that is alone.
    pub network: Option<(NetworkHandle, NetworkEvents)>,
}

/// What a node keeps of old blocks, and how it begins. By default it keeps everything, makes no snapshots, and begins with
/// block 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataPolicy {
    /// At multiples of which height a snapshot is made.
    pub snapshot_interval: Option<u64>,
    /// The lowest height of a snapshot with which a node without blocks begins.
    pub join_height_min: Option<BlockNumber>,
    /// How many newest blocks are kept with transactions and receipts.
    pub keep_blocks: Option<u64>,
    /// Where older blocks are moved to, each group in a folder of its own; they are deleted where absent.
    pub archive: Option<PathBuf>,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The genesis file.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The genesis file names an unknown suite.
    #[error("genesis: {0}")]
    Suite(#[from] UnknownSuite),
    /// A group's ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Reading a group's ledger.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Who seals.
    #[error("the chain does not say who seals: {0}")]
    Governance(#[from] GovernanceError),
    /// Block 0 cannot be made from the genesis file.
    #[error(transparent)]
    GenesisBlock(#[from] GenesisBlockError),
    /// The ledger has no block 0.
    #[error("the ledger has no block 0")]
    NoGenesisBlock,
    /// A group's vote log.
    #[error("vote log: {0}")]
    VoteLog(#[from] LogError),
    /// A record in the vote log that passed its checksum cannot be read: another version wrote it.
    #[error("the vote log has a record that this program cannot read: {reason}")]
    VoteRecord {
        /// What is wrong.
        reason: String,
    },
    /// The node has stopped for a divergence that nobody has dealt with.
    #[error("{}: {summary}; {advice}", path.display())]
    Diverged {
        /// The evidence.
        path: PathBuf,
        /// What happened.
        summary: String,
        /// What to do.
        advice: &'static str,
    },
    /// The node has reported for a retry: it must not vote before the plan is there.
    #[error(
        "this node has reported height {height} for attempt {attempt} of a retry: run `lian recover apply` with the plan"
    )]
    Reported {
        /// The height.
        height: BlockNumber,
        /// The number of the retry.
        attempt: u64,
    },
    /// The next block is made by rules that this program does not know.
    #[error(transparent)]
    Protocol(#[from] UnknownProtocol),
    /// The node was told to stop while it was starting.
    #[error("the node was stopped while it was starting")]
    Interrupted,
    /// The system makes no thread.
    #[error("no thread: {source}")]
    Thread {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl StartError {
    /// Whether a person must act first: without that the node would not start the next time either.
    #[must_use]
    pub const fn needs_operator(&self) -> bool {
        matches!(self, Self::Diverged { .. } | Self::Reported { .. } | Self::Protocol(_))
    }
}

/// Notes in a new node's data folder that its key has never voted. To be called once, when the key is made; without the
/// note a node that finds no votes abstains until it is sure that it contradicts none (pbft §3).
///
/// # Errors
/// The operating system's error where the folder cannot be written.
pub fn note_new_key(data_dir: &Path, genesis: &Genesis) -> std::io::Result<()> {
    for group in &genesis.groups {
        let text = "This node's key has never voted in this group. Do not copy this file.\n";
        let mut file = std::fs::File::create_new(driver::never_voted(data_dir, group.group))?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        file.sync_all()?;
    }
    std::fs::File::open(data_dir)?.sync_all()
}

/// A running node.
pub struct Node {
    groups: Vec<RunningGroup>,
    stop: StopSignal,
    /// The threads that take messages from the network.
    receivers: Vec<JoinHandle<()>>,
}

/// Starts every group of the genesis file on this node.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub fn start(setup: NodeSetup) -> Result<Node, StartError> {
    let NodeSetup { genesis, name, key, data_dir, rpc, history, data, execution_threads, network } = setup;
    genesis.check()?;
    let stop = StopSignal::default();
    let workers = Workers::start()?;
    let (network, mut events) = network.unzip();
    let mut connected = BTreeSet::new();
    let mut groups = Vec::with_capacity(genesis.groups.len());
    for group in &genesis.groups {
        let setup = GroupSetup {
            genesis: &genesis,
            group,
            name: &name,
            key: &key,
            data_dir: &data_dir,
            rpc: &rpc,
            history,
            data: &data,
            network: network.clone(),
            stop: stop.clone(),
            workers: workers.clone(),
            execution_threads,
        };
        if let (Some(height_min), Some(network), Some(events)) = (data.join_height_min, &network, &mut events) {
            let joining = Joining {
                genesis: &genesis,
                group,
                suite: genesis.suite.parse()?,
                own: key.public(),
                config: setup.ledger_config(),
                storage: Arc::new(FileStorage),
                network: network.clone(),
                height_min,
            };
            joining.run(events, &mut connected)?;
        }
        groups.push(driver::start(&setup)?);
    }
    let routes: BTreeMap<_, _> =
        groups.iter().map(|group| (group.handle.info().group, group.inbound.clone())).collect();
    for peer in connected {
        routes.values().for_each(|group: &Inbound| group.peer(peer, true));
    }
    let mut receivers = Vec::new();
    if let Some(mut events) = events {
        let mut bodies = events.split_bodies();
        let body_routes = routes.clone();
        let receive_bodies = move || {
            while let Some(messages) = bodies.blocking_recv(BODIES_AT_ONCE_BYTES) {
                hand_on_bodies(&body_routes, messages);
            }
        };
        receivers.push(driver::spawn("bodies", receive_bodies)?);
        receivers.push(driver::spawn("inbound", move || receive(events, &routes))?);
    }
    Ok(Node { groups, stop, receivers })
}

impl Node {
    /// Its groups, in the order of the genesis file.
    #[must_use]
    pub fn handles(&self) -> Vec<GroupHandle> {
        self.groups.iter().map(|group| group.handle.clone()).collect()
    }

    /// Waits until a group has stopped by itself, and says why. The process must end then.
    pub async fn stopped(&self) -> StopReason {
        self.stop.stopped().await
    }

    /// The signal by which any part of the node stops it.
    #[must_use]
    pub const fn stop_signal(&self) -> &StopSignal {
        &self.stop
    }

    /// Lets other members lead the Raft groups that this node leads, and waits until they do, or for as long as electing a
    /// leader would take. To be called before the network is shut down, for a stop that nobody notices.
    pub async fn hand_over(&self) {
        let leads = |group: &&RunningGroup| {
            let status = group.handle.status();
            status.consensus == ConsensusKind::Raft.name() && status.leader == status.node && status.members > 1
        };
        let led: Vec<_> = self.groups.iter().filter(leads).collect();
        led.iter().for_each(|group| group.hand_over());
        for _ in 0..HAND_OVER_LOOKS {
            if !led.iter().any(leads) {
                return;
            }
            tokio::time::sleep(HAND_OVER_LOOK).await;
        }
    }

    /// Stops all groups cleanly. The network must be shut down before, so that no message comes any more. Blocks.
    pub fn shutdown(self) {
        for thread in self.receivers {
            if thread.join().is_err() {
                tracing::error!("a thread that receives messages has panicked");
            }
        }
        self.groups.into_iter().for_each(RunningGroup::shutdown);
    }
}

/// Hands the network's events to their groups until the network stops.
fn receive(mut events: NetworkEvents, routes: &BTreeMap<GroupId, Inbound>) {
    while let Some(event) = events.blocking_recv() {
        match event {
            NetworkEvent::Connected { peer, name, address } => {
                tracing::info!(%name, %address, "a peer is connected");
                routes.values().for_each(|group| group.peer(peer, true));
            }
            NetworkEvent::Disconnected { peer, reason } => {
                tracing::info!(%peer, ?reason, "a peer is gone");
                routes.values().for_each(|group| group.peer(peer, false));
            }
            NetworkEvent::Message { peer, group, class, bytes } => hand_on(routes, peer, group, class, bytes),
        }
    }
}

fn hand_on_bodies(routes: &BTreeMap<GroupId, Inbound>, messages: Vec<(ConsensusKey, GroupId, Bytes)>) {
    let mut by_group: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (peer, group, bytes) in messages {
        by_group.entry(group).or_default().push((peer, bytes));
    }
    for (group, messages) in by_group {
        match routes.get(&group) {
            Some(route) => route.bodies(messages),
            None => tracing::warn!(%group, "messages for a group that this node does not have"),
        }
    }
}

fn hand_on(routes: &BTreeMap<GroupId, Inbound>, peer: ConsensusKey, group: GroupId, class: Class, bytes: Bytes) {
    match routes.get(&group) {
        Some(route) => route.message(peer, class, bytes),
        None => tracing::warn!(%peer, %group, "a message for a group that this node does not have"),
    }
}
