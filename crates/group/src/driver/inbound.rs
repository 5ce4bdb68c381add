//! From a peer's bytes to the core's inputs: decoding and checking, on the worker threads.

mod bodies;

use super::{Command, snapshots::Ask};
use crate::{
    core::{GroupMessage, Input},
    flow::FlowRecorder,
    handle::ChainInfo,
    known_members::{KnownMembers, SharedMembers},
    workers::{Line, Workers},
};
use alloy_primitives::B256;
use bytes::Bytes;
use lian_crypto::{CheckedSignatures, KnownKeys};
use lian_network::{Class, NetworkHandle};
use lian_pbft::{Message, Rules};
use lian_sync::{Anchor, BlockError, BlockWithCertificate, Checker, SyncError};
use lian_txpool::Pool;
use lian_types::{ConsensusKey, ConsensusKind, Transaction, limits};
use parking_lot::{Condvar, Mutex};
use std::sync::{Arc, mpsc::SyncSender};

/// Consensus messages that may be in checking at a time: a few rounds of the largest group.
const CHECKS_MAX: usize = 1_024;
/// What a peer is charged for bytes that are no message, or that do not hold, in points of the network's ban.
const MALFORMED_WEIGHT: u32 = 20;

/// Takes a group's messages from the network.
#[derive(Clone)]
pub(crate) struct Inbound {
    info: Arc<ChainInfo>,
    rules: Rules,
    members: Arc<SharedMembers>,
    pool: Arc<Mutex<Pool>>,
    flows: Arc<Mutex<FlowRecorder>>,
    commands: SyncSender<Command>,
    network: Option<NetworkHandle>,
    snapshots: SyncSender<Ask>,
    workers: Workers,
    checks: Arc<Checks>,
    checked: Arc<CheckedSignatures>,
    known_keys: Arc<KnownKeys>,
}

/// Counts the messages in checking, so that a flood waits at the network and not in memory.
#[derive(Default)]
struct Checks {
    running: Mutex<usize>,
    done: Condvar,
}

impl Inbound {
    #[allow(clippy::too_many_arguments)] // What it hands messages to is made once, in one place.
    pub(super) fn new(
        info: Arc<ChainInfo>,
        rules: Rules,
        members: Arc<SharedMembers>,
        pool: Arc<Mutex<Pool>>,
        flows: Arc<Mutex<FlowRecorder>>,
        commands: SyncSender<Command>,
        network: Option<NetworkHandle>,
        snapshots: SyncSender<Ask>,
        workers: Workers,
    ) -> Self {
        Self {
            info,
            rules,
            members,
            pool,
            flows,
            commands,
            network,
            snapshots,
            workers,
            checks: Arc::default(),
            checked: Arc::default(),
            known_keys: Arc::new(KnownKeys::new(limits::KNOWN_KEYS_MAX)),
        }
    }

    /// A session to a peer came up or broke down.
    pub(crate) fn peer(&self, key: ConsensusKey, connected: bool) {
        self.tell(Command::Input(Box::new(Input::Peer { key, connected })));
    }

    /// A message arrived. Waits while too many are being checked; the network then stops reading.
    pub(crate) fn message(&self, from: ConsensusKey, class: Class, bytes: Bytes) {
        match class {
            Class::Consensus => self.consensus(from, bytes),
            Class::Body => self.bodies(vec![(from, bytes)]),
            Class::Sync => {
                if let Err(reason) = self.sync(from, &bytes) {
                    self.blame(from, &reason);
                }
            }
        }
    }

    /// Votes are checked by threads of their own: in the pool that recovers senders they would wait for bodies.
    fn consensus(&self, from: ConsensusKey, bytes: Bytes) {
        self.checks.enter();
        let this = self.clone();
        self.workers.votes.hand(Line::Peers, 1, move || {
            match GroupMessage::decode(Class::Consensus, &bytes) {
                Ok(message) => this.verify(from, message),
                Err(error) => this.blame(from, &error.to_string()),
            }
            this.checks.leave();
        });
    }

    fn verify(&self, from: ConsensusKey, message: GroupMessage) {
        match (message, self.info.consensus) {
            (GroupMessage::Consensus(message), ConsensusKind::Pbft) => self.verify_pbft(from, message),
            (GroupMessage::Raft(message), ConsensusKind::Raft) => self.verify_raft(from, message),
            (_, kind) => self.blame(from, &format!("a consensus message of another kind in a {} group", kind.name())),
        }
    }

    fn verify_pbft(&self, from: ConsensusKey, message: Message) {
        match lian_pbft::verify_once(&self.rules, &self.members.get().committees, &self.checked, message) {
            Ok(message) => self.tell(Command::Input(Box::new(Input::Consensus { from, message }))),
            Err(error) => self.refuse(from, error.is_misbehaviour(), &error.to_string()),
        }
    }

    fn verify_raft(&self, from: ConsensusKey, message: lian_raft::Message) {
        let committees = self.members.get().committees;
        let members_at = |height| committees.at(height).map(|committee| Arc::clone(&committee.members));
        match lian_raft::verify(self.rules.suite, &self.rules.context, &members_at, message) {
            Ok(message) => self.tell(Command::Input(Box::new(Input::Raft { from, message: Box::new(message) }))),
            Err(error) => self.refuse(from, error.is_misbehaviour(), &error.to_string()),
        }
    }

    /// Drops a message. A sender that did nothing wrong may know of a change of members that this node does not know yet;
    /// it repeats what matters.
    fn refuse(&self, from: ConsensusKey, is_misbehaviour: bool, reason: &str) {
        if is_misbehaviour {
            self.blame(from, reason);
        } else {
            tracing::debug!(peer = %from, reason, "a message could not be checked");
        }
    }

    fn sync(&self, from: ConsensusKey, bytes: &[u8]) -> Result<(), String> {
        let input = match GroupMessage::decode(Class::Sync, bytes).map_err(|error| error.to_string())? {
            GroupMessage::Sync(message) => Input::Sync { from, message },
            GroupMessage::Report(report) => Input::Report { from, report },
            GroupMessage::Snapshot(message) => {
                // Where too many wait, who asked asks again.
                let _ = self.snapshots.try_send((from, message));
                return Ok(());
            }
            GroupMessage::Consensus(_) | GroupMessage::Raft(_) | GroupMessage::Pool(_) => {
                return Err("a message in another class".to_owned());
            }
        };
        self.tell(Command::Input(Box::new(input)));
        Ok(())
    }

    fn blame(&self, peer: ConsensusKey, reason: &str) {
        tracing::warn!(%peer, reason, "a message was refused");
        metrics::counter!("lian_group_messages_refused_total").increment(1);
        if let Some(network) = &self.network {
            network.report_misbehaviour(peer, MALFORMED_WEIGHT);
        }
    }

    fn tell(&self, command: Command) {
        // The core ends only when the node does.
        let _ = self.commands.send(command);
    }
}

impl Checks {
    fn enter(&self) {
        let mut running = self.running.lock();
        self.done.wait_while(&mut running, |running| *running >= CHECKS_MAX);
        *running = running.saturating_add(1);
    }

    fn leave(&self) {
        let mut running = self.running.lock();
        *running = running.saturating_sub(1);
        drop(running);
        self.done.notify_one();
    }
}

/// Checks a batch of a peer's blocks: roots, digests and every certificate. Gives how many of the first ones hold; who
/// decides the others is not known before those are final here.
///
/// # Errors
/// [`SyncError`] names the first block that does not hold.
pub fn check_blocks(
    info: &ChainInfo,
    window: u64,
    known: &KnownMembers,
    parent: Anchor,
    blocks: &[BlockWithCertificate],
) -> Result<usize, SyncError> {
    let root = |transactions: &[Arc<Transaction>]| -> B256 {
        let encoded: Vec<_> = transactions.iter().map(|transaction| transaction.encoded()).collect();
        lian_executor::transactions_root(info.suite, &encoded)
    };
    let latest = known.committees.latest().map(|committee| info.suite.members_digest(&committee.members.members));
    // A change acts a window later. So who decides is certain up to a window above the final block, and above every
    // certified block from there on without a gap that names no other members than are known.
    let certain_from = |anchor: &Anchor| (Some(anchor.members) == latest).then(|| anchor.height.saturating_add(window));
    let mut certain = known.head.saturating_add(window).max(certain_from(&parent).unwrap_or_default());
    let mut parent = parent;
    for (count, block) in blocks.iter().enumerate() {
        let height = parent.height.next();
        if height > certain {
            return Ok(count);
        }
        parent = if height <= known.head {
            // Final here by now, and passed over when it is its turn.
            Anchor::of(block)
        } else {
            if height > known.committees.last_known() {
                // Others may go on by rules that this program does not know.
                return Ok(count);
            }
            let unknown = SyncError { height, error: BlockError::UnknownMembers };
            let members = &known.committees.at(height).ok_or(unknown)?.members;
            let checker = Checker { suite: info.suite, context: &info.context, members, transactions_root: &root };
            checker.check_block(parent, block)?
        };
        certain = certain.max(certain_from(&parent).unwrap_or_default());
    }
    Ok(blocks.len())
}
