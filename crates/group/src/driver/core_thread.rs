//! The core's thread.

use super::{
    execution_thread::Work,
    outbox::{Item, Reply},
};
use crate::{
    clock::MachineClock,
    core::{Candidate, ConsensusStatus, Core, Effect, Input, NodeReport, SyncWork},
    handle::ChainInfo,
    status::{GroupStatus, PeerStatus, Role},
    stop::StopSignal,
};
use alloy_consensus::Transaction as _;
use alloy_primitives::TxHash;
use lian_crypto::{ConsensusSecretKey, VerifiedTransaction};
use lian_executor::{Governance, StateReader, is_frozen_sender};
use lian_ledger::Ledger;
use lian_system_contracts::members::{NodeRecord, NodeRole};
use lian_txpool::{AccountView, Origin, Refusal};
use lian_types::{BlockNumber, ConsensusKey, ConsensusKind, Epoch};
use parking_lot::RwLock;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::Duration,
};
use tokio::sync::{oneshot, watch};

/// Commands handled before effects leave: shares fsyncs under load, and bounds how long a vote waits.
const BATCH_MAX: usize = 512;
/// The longest sleep, so that a clock that was set is noticed.
const SLEEP_MAX: Duration = Duration::from_millis(500);
/// Blocks after which the vote log is written anew.
pub const VOTE_LOG_RENEWAL: u64 = 256;

/// What the core is told.
pub(crate) enum Command {
    /// An input as it is.
    Input(Box<Input>),
    /// Transactions of a peer, senders recovered; the core's thread adds what the state says.
    Transactions { from: ConsensusKey, transactions: Vec<Arc<VerifiedTransaction>>, unknown: Vec<TxHash> },
    /// A client's transaction.
    Submit { transaction: Arc<VerifiedTransaction>, reply: oneshot::Sender<Result<(), Refusal>> },
    /// Shut down.
    Stop,
}

/// The core with what it needs to talk to the other threads.
pub(super) struct CoreThread {
    pub(super) core: Core,
    pub(super) key: ConsensusSecretKey,
    pub(super) info: Arc<ChainInfo>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) outbox: Sender<Item>,
    pub(super) work: Sender<Work>,
    pub(super) status: Arc<RwLock<GroupStatus>>,
    pub(super) admitted: watch::Sender<Arc<Vec<NodeRecord>>>,
    pub(super) rules: lian_pbft::Rules,
    pub(super) stop: StopSignal,
    pub(super) state: State,
}

/// What changes while the thread runs.
pub(super) struct State {
    clock: MachineClock,
    next_ticket: u64,
    replies: BTreeMap<u64, Reply>,
    renewed_at: BlockNumber,
    /// Whether this node abstained when last looked at.
    abstained: bool,
    /// The nodes when last looked at, and the epoch then.
    nodes: Option<(Arc<Governance>, Epoch)>,
}

impl State {
    pub(super) fn new() -> Self {
        let clock = MachineClock::new();
        Self {
            clock,
            next_ticket: 0,
            replies: BTreeMap::new(),
            renewed_at: BlockNumber::ZERO,
            abstained: false,
            nodes: None,
        }
    }
}

impl CoreThread {
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        self.state.renewed_at = self.ledger.head().number;
        self.step(Input::Tick);
        self.publish();
        loop {
            let first = match commands.recv_timeout(self.patience()) {
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if self.stop.reason().is_some() {
                self.note_stop();
                return;
            }
            let Some(first) = first else {
                self.step(Input::Tick);
                self.publish();
                continue;
            };
            let more = std::iter::from_fn(|| commands.try_recv().ok()).take(BATCH_MAX);
            for command in std::iter::once(first).chain(more) {
                if matches!(command, Command::Stop) {
                    return;
                }
                self.handle(command);
            }
            let now = self.state.clock.step();
            if self.core.deadline().is_some_and(|due| due <= now) {
                self.step(Input::Tick);
            }
            self.publish();
        }
    }

    fn patience(&mut self) -> Duration {
        let now = self.state.clock.step();
        let wait = self.core.deadline().map(|due| Duration::from_millis(due.since(now).0));
        wait.map_or(SLEEP_MAX, |wait| wait.min(SLEEP_MAX))
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Input(input) => self.step(*input),
            Command::Transactions { from, transactions, unknown } => {
                let candidates = self.candidates(transactions, Origin::Peer);
                self.step(Input::Transactions { from, transactions: candidates, unknown });
            }
            Command::Submit { transaction, reply } => {
                let ticket = self.state.next_ticket;
                self.state.next_ticket = ticket.wrapping_add(1);
                self.state.replies.insert(ticket, reply);
                if let Some(candidate) = self.candidates(vec![transaction], Origin::Local).pop() {
                    self.step(Input::Submit { ticket, candidate });
                }
            }
            Command::Stop => {}
        }
    }

    /// Adds what the newest final state says about each sender. It is read here, so that it is never older than what
    /// the pool has been told.
    fn candidates(&self, transactions: Vec<Arc<VerifiedTransaction>>, origin: Origin) -> Vec<Candidate> {
        let state = Arc::clone(&self.ledger.head().parent.state);
        let mut candidates = Vec::with_capacity(transactions.len());
        for transaction in transactions {
            match account_view(state.as_ref(), &transaction, origin) {
                Ok(account) => candidates.push(Candidate { transaction, account }),
                Err(error) => {
                    self.stop.stop(format!("the state cannot be read: {error}"));
                    return Vec::new();
                }
            }
        }
        candidates
    }

    /// Steps the core, and again with every signature that it asks for; hands its effects on in order.
    fn step(&mut self, input: Input) {
        let now = self.state.clock.step();
        let mut inputs = vec![input];
        let mut effects = Vec::new();
        while let Some(input) = inputs.pop() {
            self.core.step(now, input, &mut effects);
            for effect in effects.drain(..) {
                if let Effect::Sign(statement) = effect {
                    let signature = self.key.sign(&statement.signing_bytes(&self.info.context));
                    inputs.insert(0, Input::Signed { statement, signature });
                } else {
                    self.hand_on(effect);
                }
            }
        }
        self.renew_vote_log();
    }

    fn hand_on(&mut self, effect: Effect) {
        let item = match effect {
            // Speculation needs no durability, so it starts while votes are being written.
            Effect::Execute(proposal) => return self.work(Work::Execute(proposal)),
            Effect::DiscardFrom(height) => return self.work(Work::DiscardFrom(height)),
            Effect::Sync(SyncWork::Apply(blocks)) => return self.work(Work::Apply(blocks)),
            Effect::Sync(SyncWork::Verify { batch, parent, blocks }) => {
                return self.work(Work::Verify { batch, parent, blocks });
            }
            Effect::Sync(SyncWork::Serve { to, request }) => return self.work(Work::Serve { to, request }),
            Effect::Reply { ticket, result } => {
                let Some(reply) = self.state.replies.remove(&ticket) else { return };
                Item::Reply(reply, result)
            }
            Effect::Persist(records) => Item::Persist(records),
            Effect::Send { to, message } => Item::Send { to, message },
            Effect::Append { proposal, hash, certificate } => Item::Append { proposal, hash, certificate },
            // Behind the last votes, by which the others see that no result can win.
            Effect::Halt(divergence) => Item::Diverged(divergence),
            Effect::Outdated(unknown) => Item::Outdated(unknown),
            Effect::Pooled(transaction) => Item::Pooled(transaction),
            Effect::Misbehaved { peer, what } => Item::Misbehaved { peer, what },
            Effect::Sign(_) => return,
        };
        // The outbox ends only when the node does.
        let _ = self.outbox.send(item);
    }

    fn work(&self, work: Work) {
        // As above.
        let _ = self.work.send(work);
    }

    /// Now and then the vote log is begun anew with what is still needed, so that it stays small.
    fn renew_vote_log(&mut self) {
        let height = self.core.status().height;
        if height.0 < self.state.renewed_at.0.saturating_add(VOTE_LOG_RENEWAL) {
            return;
        }
        self.state.renewed_at = height;
        let _ = self.outbox.send(Item::Renew { live: self.core.live_records(), below: height });
    }

    fn note_stop(&self) {
        self.status.write().halted = self.stop.reason().map(|reason| reason.text);
    }

    /// Publishes where the group stands, for clients and metrics.
    fn publish(&mut self) {
        let consensus = self.core.status();
        let abstains = consensus.abstains_until.is_some();
        if std::mem::replace(&mut self.state.abstained, abstains) && !abstains {
            // As in `hand_on`.
            let _ = self.outbox.send(Item::RestoreTrust);
        }
        self.publish_nodes(consensus.epoch, consensus.height.next());
        let best = self.core.best_height();
        let governance = Arc::clone(self.core.governance());
        let others = governance.admitted(consensus.height.next()).filter(|node| node.key != self.key.public());
        let nodes = others.map(|NodeRecord { name, key, .. }| {
            let last = self.core.reports().get(key);
            PeerStatus {
                name: name.clone(),
                key: *key,
                role: self.role_of(key, consensus.height.next()),
                connected: self.core.connected().contains(key),
                height: last.map(|last| last.report.height),
                lag: last.map(|last| last.lag),
                view: last.map(|last| last.report.view),
                leader: last.and_then(|last| self.leader_of(&last.report, &consensus)),
                peers: last.map(|last| last.report.peers),
                pending: last.map(|last| last.report.pending),
                rpc: last.map(|last| last.report.rpc.clone()).filter(|rpc| !rpc.is_empty()),
                reported: last.map(|last| last.at),
                certificate_days: None,
            }
        });
        let mut status = self.status.write();
        status.nodes = nodes.collect();
        status.height = consensus.height;
        status.oldest = self.ledger.oldest_block();
        status.lag = best.0.saturating_sub(consensus.height.0);
        status.epoch = consensus.epoch;
        status.role = self.role_of(&self.key.public(), consensus.height.next());
        let committee = self.core.committees().at(consensus.height.next());
        status.members = committee.map_or(0, |committee| committee.members.members.len());
        status.view = consensus.view;
        status.leader = consensus.leader.map(|key| self.name_of(&key)).unwrap_or_default();
        status.peers = self.core.connected().len();
        let counts = self.core.pool_counts();
        (status.pending, status.queued) = (counts.pending, counts.queued);
        status.abstains = abstains;
        drop(status);
        self.measure(&consensus, best);
    }

    /// What a node does at a height.
    fn role_of(&self, key: &ConsensusKey, height: BlockNumber) -> Role {
        let committee = self.core.committees().at(height);
        let is_member = committee.is_some_and(|committee| committee.members.members.index_of(key).is_some());
        let is_candidate =
            |node: &&NodeRecord| node.key == *key && matches!(node.role, NodeRole::Candidate | NodeRole::None);
        match self.core.governance().nodes.iter().find(is_candidate) {
            _ if is_member => Role::Sealer,
            Some(_) => Role::Candidate,
            None => Role::Observer,
        }
    }

    /// Says which nodes may connect, where that has changed: by a block, or because an epoch has begun.
    fn publish_nodes(&mut self, epoch: Epoch, next: BlockNumber) {
        let governance = self.core.governance();
        let is_known =
            |(known, known_epoch): &(Arc<Governance>, Epoch)| Arc::ptr_eq(known, governance) && *known_epoch == epoch;
        if self.state.nodes.as_ref().is_some_and(is_known) {
            return;
        }
        let admitted = Arc::new(governance.admitted(next).cloned().collect());
        self.state.nodes = Some((Arc::clone(governance), epoch));
        self.admitted.send_replace(admitted);
    }

    fn name_of(&self, key: &ConsensusKey) -> String {
        let node = self.core.governance().nodes.iter().find(|node| node.key == *key);
        node.map_or_else(|| key.to_string(), |node| node.name.clone())
    }

    /// The name of the member that leads another node's next height, as far as it is known here.
    fn leader_of(&self, report: &NodeReport, own: &ConsensusStatus) -> Option<String> {
        let key = match self.info.consensus {
            ConsensusKind::Pbft => {
                let height = report.height.next();
                self.core.committees().at(height)?.leader_key(&self.rules, report.view, height)?
            }
            // One term has one leader.
            ConsensusKind::Raft => own.leader.filter(|_| own.view == report.view)?,
        };
        Some(self.name_of(&key))
    }

    fn measure(&self, consensus: &ConsensusStatus, best: BlockNumber) {
        let group = self.info.group.to_string();
        let counts = self.core.pool_counts();
        metrics::gauge!("lian_block_height", "group" => group.clone()).set(consensus.height.0 as f64);
        let oldest = self.ledger.oldest_block();
        metrics::gauge!("lian_block_oldest", "group" => group.clone()).set(oldest.0 as f64);
        metrics::gauge!("ethereum_blockchain_height", "group" => group.clone()).set(consensus.height.0 as f64);
        metrics::gauge!("ethereum_best_known_block_number", "group" => group.clone()).set(best.0 as f64);
        metrics::gauge!("ethereum_peer_count", "group" => group.clone()).set(self.core.connected().len() as f64);
        metrics::gauge!("lian_pbft_view", "group" => group.clone()).set(consensus.view.0 as f64);
        metrics::gauge!("lian_pool_pending_transactions", "group" => group.clone()).set(counts.pending as f64);
        metrics::gauge!("lian_pool_queued_transactions", "group" => group).set(counts.queued as f64);
    }
}

/// What the state says about a sender, of a client's transaction also whether it is frozen.
///
/// # Errors
/// Where the state cannot be read.
pub fn account_view(
    state: &dyn StateReader,
    transaction: &VerifiedTransaction,
    origin: Origin,
) -> Result<AccountView, lian_executor::StateError> {
    let (sender, to) = (transaction.sender(), transaction.transaction().as_ethereum().to());
    let is_frozen = origin == Origin::Local && is_frozen_sender(state, sender, to)?;
    let account = state.account(sender)?.unwrap_or_default();
    let is_contract = account.has_code() && !is_delegation(&state.code(account.code_hash)?);
    Ok(AccountView { nonce: account.nonce, balance: account.balance, is_contract, is_frozen })
}

/// Whether code is a delegation of EIP-7702: `0xef0100` and an address.
fn is_delegation(code: &[u8]) -> bool {
    code.len() == 23 && code.starts_with(&[0xef, 0x01, 0x00])
}
