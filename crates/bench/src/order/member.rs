//! One member: its machine on a thread of its own, an outbox that makes votes durable before they leave, and what it
//! receives.

use super::{
    Failure,
    book::Book,
    chained,
    payload::{Batch, Payload},
};
use crate::chain::ChainMaker;
use alloy_primitives::B256;
use anyhow::{Context, Result};
use bytes::Bytes;
use lian_crypto::{CheckedSignatures, ConsensusSecretKey, Verified};
use lian_ledger::{FileStorage, Storage, VoteLog};
use lian_network::{BodyMessages, Class, NetworkEvent, NetworkEvents, NetworkHandle, SendOutcome};
use lian_pbft::{
    BodiesVerdict, Committees, Config, Effect, Head, Input, LogCondition, Machine, Message, Recipient, Record, Rules,
    Timing, verify_once,
};
use lian_types::{
    BlockNumber, ChainContext, ConsensusKey, ConsensusParameters, GroupGenesis, GroupId, Millis, Proposal,
    ProposalDigest, limits,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The only group.
const GROUP: GroupId = GroupId(0);
/// Events that may wait for the machine.
const EVENTS_MAX: usize = 4_096;
/// Items done with one fsync at most.
const BATCH_MAX: usize = 4_096;
/// Messages with payloads that are taken at once, in bytes.
const RECEIVED_AT_ONCE_BYTES: usize = 64 * 1024;
/// Longest sleep of the machine's thread.
const SLEEP_MAX: Duration = Duration::from_millis(100);
/// Own proposals that may be open while the line is shorter than a full block: one travels while the next fills.
const OPEN_MAX: usize = 2;
/// Every so many blocks the vote log is begun anew with what is still needed.
const RENEWAL: u64 = 64;
/// Before a message is offered again to a peer whose queue is full.
const PAUSE: Duration = Duration::from_millis(1);

/// What the machine's thread takes.
pub(super) enum Event {
    /// Payloads of this member's clients, and when they were sent.
    Own {
        batch: Batch,
        sent: Instant,
    },
    /// Payloads of others.
    Theirs(Vec<Payload>),
    Message {
        from: ConsensusKey,
        message: Verified<Message>,
    },
    Peer {
        key: ConsensusKey,
        connected: bool,
    },
    /// A block is certified, and everything before it is durable.
    Final(Head),
    Stop,
}

/// What the outbox does, in order.
enum Item {
    Persist(Vec<(BlockNumber, Vec<u8>)>),
    Retire(BlockNumber),
    Send { to: Recipient, message: Message },
    Final(Head),
}

/// How far a member is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Members that it has a session with.
    pub(super) peers: usize,
    /// Its last final block.
    pub(super) height: BlockNumber,
    /// Payloads in final blocks.
    pub(super) payloads: u64,
    /// The hash of everything ordered.
    pub(super) order: B256,
}

/// What a member leaves.
pub(super) struct End {
    pub(super) progress: Progress,
    /// From sending to final, in microseconds, of its own clients' payloads.
    pub(super) latencies_us: Vec<u64>,
}

/// A running member.
pub(super) struct Member {
    number: u64,
    network: NetworkHandle,
    events: SyncSender<Event>,
    progress: Arc<parking_lot::Mutex<Progress>>,
    final_own: Arc<AtomicU64>,
    failure: Failure,
    core: JoinHandle<Vec<u64>>,
    others: Vec<JoinHandle<()>>,
}

impl Member {
    /// Starts a member of a chain that has no block but genesis.
    pub(super) fn start(
        chain: &ChainMaker,
        key: ConsensusSecretKey,
        network: NetworkHandle,
        mut received: NetworkEvents,
        folder: &Path,
    ) -> Result<Self> {
        let info = chain.info();
        let parameters = ConsensusParameters::default();
        let rules = Rules {
            suite: info.suite,
            context: info.context,
            genesis: GroupGenesis::proposal_digest(info.genesis_hash),
            term: parameters.leader_term,
            window: parameters.window,
        };
        let committees = Arc::clone(chain.committees());
        let head = Head {
            height: BlockNumber::ZERO,
            digest: rules.genesis,
            hash: info.genesis_hash,
            time: Millis::ZERO,
            certificate: None,
        };
        let place = committees.latest().and_then(|committee| committee.members.members.index_of(&key.public()));
        let number = u64::from(place.context("not a member")?.0);
        let storage: Arc<dyn Storage> = Arc::new(FileStorage);
        let (log, _, _) = VoteLog::open(storage, folder, true)?;
        let config = Config { rules, timing: Timing::new(&parameters), key: Some(key.public()) };
        let machine = Machine::new(config, committees.as_ref().clone(), head.clone(), Vec::new(), LogCondition::Whole);

        let (events, inbox) = sync_channel(EVENTS_MAX);
        let (outbox, items) = channel();
        let (progress, final_own, failure) = (Arc::default(), Arc::new(AtomicU64::new(0)), Failure::default());
        let core = Core {
            machine,
            key,
            context: info.context,
            book: Book::default(),
            checks: BTreeMap::new(),
            results: BTreeMap::from([(head.height, head.hash)]),
            own_open: BTreeSet::new(),
            told: false,
            renewed: BlockNumber::ZERO,
            outbox,
            progress: Arc::clone(&progress),
            final_own: Arc::clone(&final_own),
            failure: failure.clone(),
            latencies_us: Vec::new(),
        };
        let bodies = received.split_bodies();
        let out = Outbox { log, network: network.clone(), events: events.clone(), failure: failure.clone() };
        let inbound =
            Inbound { rules, committees, checked: Arc::default(), events: events.clone(), failure: failure.clone() };
        let from_bodies = inbound.clone();
        let others = vec![
            std::thread::spawn(move || out.run(&items)),
            std::thread::spawn(move || inbound.take_messages(received)),
            std::thread::spawn(move || from_bodies.take_bodies(bodies)),
        ];
        let core = std::thread::spawn(move || core.run(&inbox));
        Ok(Self { number, network, events, progress, final_own, failure, core, others })
    }

    /// Its place among the members.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn progress(&self) -> Progress {
        *self.progress.lock()
    }

    /// How many of its own clients' payloads are final.
    pub(super) fn final_own(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.final_own)
    }

    pub(super) fn events(&self) -> SyncSender<Event> {
        self.events.clone()
    }

    pub(super) fn peers(&self) -> Peers {
        Peers(self.network.clone())
    }

    pub(super) fn failures(&self) -> Failure {
        self.failure.clone()
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.failure.get()
    }

    /// Ends it.
    pub(super) async fn stop(self) -> End {
        // Where the thread has ended already there is nobody to tell.
        let _ = self.events.send(Event::Stop);
        let latencies_us = self.core.join().unwrap_or_default();
        self.network.shutdown().await;
        drop(self.events);
        for thread in self.others {
            // A thread that panicked has nothing more to do.
            let _ = thread.join();
        }
        let progress = *self.progress.lock();
        End { progress: Progress { peers: 0, ..progress }, latencies_us }
    }
}

/// The other members, as a client's payloads reach them.
pub(super) struct Peers(NetworkHandle);

impl Peers {
    /// Sends to all, and waits where a queue is full. False where that is of no use any more.
    pub(super) fn send(&self, batch: &Batch, failure: &Failure) -> bool {
        let mut left: VecDeque<_> = self.0.peers().into_iter().map(|peer| peer.key).collect();
        while let Some(peer) = left.pop_front() {
            match self.0.send(peer, GROUP, Class::Body, batch.encoded().clone()) {
                SendOutcome::Queued | SendOutcome::QueuedAfterDropping { .. } => {}
                SendOutcome::Full if failure.get().is_none() => {
                    left.push_back(peer);
                    std::thread::sleep(PAUSE);
                }
                outcome => {
                    failure.set(format!("payloads for {peer} are lost: {outcome:?}"));
                    return false;
                }
            }
        }
        true
    }
}

/// The machine and what it needs to be answered.
struct Core {
    machine: Machine,
    key: ConsensusSecretKey,
    context: ChainContext,
    book: Book,
    /// Proposals that wait for payloads.
    checks: BTreeMap<ProposalDigest, Arc<Proposal>>,
    /// What stands for the header of each height.
    results: BTreeMap<BlockNumber, B256>,
    /// Own proposals that are not final.
    own_open: BTreeSet<BlockNumber>,
    /// Whether the machine thinks that there is something to propose.
    told: bool,
    renewed: BlockNumber,
    outbox: Sender<Item>,
    progress: Arc<parking_lot::Mutex<Progress>>,
    final_own: Arc<AtomicU64>,
    failure: Failure,
    latencies_us: Vec<u64>,
}

impl Core {
    fn run(mut self, inbox: &Receiver<Event>) -> Vec<u64> {
        self.step(Input::Tick);
        loop {
            let now = now();
            let wait = self.machine.deadline().map_or(SLEEP_MAX, |due| Duration::from_millis(due.since(now).0));
            match inbox.recv_timeout(wait.min(SLEEP_MAX)) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return self.latencies_us,
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => self.step(Input::Tick),
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Own { batch, sent } => self.add(batch.payloads(), Some(sent)),
            Event::Theirs(payloads) => self.add(payloads, None),
            Event::Message { from, message } => self.step(Input::Message { from, message }),
            Event::Peer { key, connected } => {
                let mut progress = self.progress.lock();
                progress.peers =
                    if connected { progress.peers.saturating_add(1) } else { progress.peers.saturating_sub(1) };
                drop(progress);
                self.step(Input::Peer { key, connected });
            }
            Event::Final(head) => self.finalize(head),
            Event::Stop => {}
        }
    }

    fn add(&mut self, payloads: Vec<Payload>, sent: Option<Instant>) {
        payloads.into_iter().for_each(|payload| self.book.add(payload, sent));
        let is_complete = |_: &ProposalDigest, proposal: &mut Arc<Proposal>| self.book.has_all(&proposal.transactions);
        let complete: Vec<_> = self.checks.extract_if(.., is_complete).collect();
        for (digest, proposal) in complete {
            self.book.propose(proposal.height, &proposal.transactions);
            self.step(Input::Bodies { digest, verdict: BodiesVerdict::Held });
        }
        self.tell();
    }

    fn finalize(&mut self, head: Head) {
        let (count, sent) = self.book.finalize(head.height);
        let now = Instant::now();
        let latencies = sent.iter().map(|sent| u64::try_from((now - *sent).as_micros()).unwrap_or(u64::MAX));
        self.latencies_us.extend(latencies);
        self.final_own.fetch_add(sent.len() as u64, Ordering::Relaxed);
        self.own_open.retain(|open| *open > head.height);
        self.results.retain(|height, _| *height >= head.height);
        let mut progress = self.progress.lock();
        progress.height = head.height;
        progress.payloads = progress.payloads.saturating_add(count);
        progress.order = chained(progress.order, head.digest.0);
        drop(progress);
        let height = head.height;
        self.step(Input::Final(head));
        if height.0 >= self.renewed.0.saturating_add(RENEWAL) {
            self.renewed = height;
            let live = self.machine.live_records();
            let live = live.iter().map(|record| self.durable(record)).collect();
            self.hand_on(Item::Persist(live));
            self.hand_on(Item::Retire(height));
        }
    }

    /// Tells the machine whether there is something to propose now, when that has changed.
    fn tell(&mut self) {
        let ready = self.may_propose();
        if ready != self.told {
            self.told = ready;
            self.step(Input::Pool { ready, waiting_since: None });
        }
    }

    fn may_propose(&self) -> bool {
        let waiting = self.book.waiting();
        waiting > 0 && (self.own_open.len() < OPEN_MAX || waiting >= limits::PROPOSAL_TRANSACTIONS_MAX)
    }

    /// Steps the machine, and again with every answer that it asks for.
    fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        let mut effects = Vec::new();
        while let Some(input) = inputs.pop_front() {
            self.machine.step(now(), input, &mut effects);
            for effect in effects.drain(..) {
                inputs.extend(self.perform(effect));
            }
        }
        self.tell();
    }

    fn perform(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Sign(statement) => {
                let signature = self.key.sign(&statement.signing_bytes(&self.context));
                return Some(Input::Signed { statement, signature });
            }
            Effect::Persist(records) => {
                let records = records.iter().map(|record| self.durable(record)).collect();
                self.hand_on(Item::Persist(records));
            }
            Effect::Send { to, message } => self.hand_on(Item::Send { to, message }),
            Effect::CheckBodies { digest, proposal } => {
                if !self.book.has_all(&proposal.transactions) {
                    self.checks.insert(digest, proposal);
                    return None;
                }
                self.book.propose(proposal.height, &proposal.transactions);
                return Some(Input::Bodies { digest, verdict: BodiesVerdict::Held });
            }
            Effect::Forget(digest) => drop(self.checks.remove(&digest)),
            Effect::Execute { digest, proposal } => {
                let height = proposal.height;
                let Some(parent) = self.results.get(&height.saturating_sub(1)).copied() else {
                    self.failure.set(format!("height {height} is executed before its parent"));
                    return None;
                };
                let hash = chained(parent, digest.0);
                self.results.insert(height, hash);
                return Some(Input::Executed { height, digest, parent, hash });
            }
            Effect::DiscardFrom(height) => {
                self.book.discard_from(height);
                self.own_open.retain(|open| *open < height);
                self.results.retain(|result, _| *result < height);
            }
            Effect::WantTransactions { height, view, time_min, .. } => {
                let count = if self.may_propose() { limits::PROPOSAL_TRANSACTIONS_MAX } else { 0 };
                let transactions = self.book.first(count, limits::PROPOSAL_BODY_BYTES_MAX);
                if transactions.is_empty() {
                    // It asks again when it is told that something waits.
                    self.told = false;
                } else {
                    self.book.propose(height, &transactions);
                    self.own_open.insert(height);
                }
                return Some(Input::Transactions { height, view, transactions, time: now().max(time_min) });
            }
            Effect::Certified { proposal, digest, hash, certificate } => {
                let certificate = Some(certificate.as_ref().clone());
                self.hand_on(Item::Final(Head {
                    height: proposal.height,
                    digest,
                    hash,
                    time: proposal.time,
                    certificate,
                }));
            }
            Effect::Misbehaved { member, what } => self.failure.set(format!("member {member}: {what:?}")),
            Effect::Halt(divergence) => self.failure.set(format!("{divergence:?}")),
            // What it is behind is on its way here: nothing is lost between members that stay connected.
            Effect::Behind { .. } | Effect::Reached { .. } | Effect::ViewChanged { .. } => {}
        }
        None
    }

    /// A record's bytes, with the payloads that belong to it, and the height that it is about.
    fn durable(&self, record: &Record) -> (BlockNumber, Vec<u8>) {
        let mut bytes = record.encode();
        if let Some(proposal) = record.bodies_of() {
            self.book.bytes(&proposal.transactions).for_each(|payload| bytes.extend_from_slice(payload));
        }
        (record.height().unwrap_or(BlockNumber(u64::MAX)), bytes)
    }

    fn hand_on(&self, item: Item) {
        // The outbox ends only when this thread does.
        let _ = self.outbox.send(item);
    }
}

/// Writes votes, then does what stands behind them.
struct Outbox {
    log: VoteLog,
    network: NetworkHandle,
    events: SyncSender<Event>,
    failure: Failure,
}

impl Outbox {
    fn run(self, items: &Receiver<Item>) {
        while let Ok(first) = items.recv() {
            let more = std::iter::from_fn(|| items.try_recv().ok()).take(BATCH_MAX);
            let batch: Vec<_> = std::iter::once(first).chain(more).collect();
            if let Err(error) = self.persist(&batch) {
                self.failure.set(error);
                return;
            }
            for item in batch {
                match item {
                    Item::Persist(_) => {}
                    Item::Retire(below) => {
                        if let Err(error) = self.log.retire(below) {
                            self.failure.set(error);
                        }
                    }
                    Item::Send { to, message } => {
                        let bytes = Bytes::from(message.encode());
                        match to {
                            Recipient::All => drop(self.network.broadcast(GROUP, Class::Consensus, bytes)),
                            Recipient::One(peer) => drop(self.network.send(peer, GROUP, Class::Consensus, bytes)),
                        }
                    }
                    // The machine's thread is gone only when all is over.
                    Item::Final(head) => drop(self.events.send(Event::Final(head))),
                }
            }
        }
    }

    fn persist(&self, batch: &[Item]) -> Result<(), lian_ledger::LogError> {
        let records =
            batch.iter().filter_map(|item| if let Item::Persist(records) = item { Some(records) } else { None });
        let records: Vec<_> = records.flatten().map(|(height, bytes)| (*height, bytes.as_slice())).collect();
        if records.is_empty() { Ok(()) } else { self.log.append(&records) }
    }
}

/// Takes what others send.
#[derive(Clone)]
struct Inbound {
    rules: Rules,
    committees: Arc<Committees>,
    checked: Arc<CheckedSignatures>,
    events: SyncSender<Event>,
    failure: Failure,
}

impl Inbound {
    fn take_messages(&self, mut received: NetworkEvents) {
        while let Some(event) = received.blocking_recv() {
            let event = match event {
                NetworkEvent::Connected { peer, .. } => Event::Peer { key: peer, connected: true },
                NetworkEvent::Disconnected { peer, .. } => Event::Peer { key: peer, connected: false },
                NetworkEvent::Message { peer, bytes, .. } => {
                    let message = match Message::decode(&bytes) {
                        Ok(message) => message,
                        Err(error) => return self.failure.set(error),
                    };
                    match verify_once(&self.rules, &self.committees, &self.checked, message) {
                        Ok(message) => Event::Message { from: peer, message },
                        Err(error) => return self.failure.set(error),
                    }
                }
            };
            if self.events.send(event).is_err() {
                return;
            }
        }
    }

    fn take_bodies(&self, mut bodies: BodyMessages) {
        while let Some(messages) = bodies.blocking_recv(RECEIVED_AT_ONCE_BYTES) {
            for (_, _, bytes) in messages {
                match Batch::read(bytes) {
                    Ok(batch) if self.events.send(Event::Theirs(batch.payloads())).is_ok() => {}
                    Ok(_) => return,
                    Err(error) => return self.failure.set(error),
                }
            }
        }
    }
}

/// The wall clock.
fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
