//! A group of machines on simulated disks, links and clocks, and what must hold in every moment.

use alloy_primitives::{B256, keccak256};
use lian_crypto::{ConsensusSecretKey, EpochMembers, Suite, verify_certificate};
use lian_raft::{
    BodiesVerdict, Config, Divergence, Effect, Head, Input, LogCondition, Machine, Message, Recipient, Record, Role,
    Schedule, Timing, verify,
};
use lian_types::{
    BlockNumber, Certificate, ChainContext, ConsensusKind, Epoch, GroupId, Member, Members, Millis, Proposal,
    ProposalDigest,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

pub(crate) const SUITE: Suite = Suite::Standard;
pub(crate) const WINDOW: u64 = 4;
/// The least election timeout, in milliseconds.
pub(crate) const ELECTION_MS: u64 = 400;

pub(crate) fn context() -> ChainContext {
    ChainContext { genesis: B256::repeat_byte(9), group: GroupId(0), chain_id: 20_200 }
}

pub(crate) fn secret(node: usize) -> ConsensusSecretKey {
    ConsensusSecretKey::from_bytes(SUITE, &[u8::try_from(node + 1).unwrap(); 32])
}

pub(crate) fn members_of(epoch: u64, nodes: &[usize]) -> Arc<EpochMembers> {
    let member = |node: &usize| {
        let key = secret(*node).public();
        Member { key, address: SUITE.consensus_address(&key) }
    };
    let members = Members::new(nodes.iter().map(member).collect()).unwrap();
    Arc::new(EpochMembers { epoch: Epoch(epoch), members, consensus: ConsensusKind::Raft })
}

/// Numbers by chance (SplitMix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// What is wrong with the links.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    pub(crate) loss_permille: u64,
    pub(crate) delay_ms: (u64, u64),
    /// Nodes that hear only their own side.
    pub(crate) island: BTreeSet<usize>,
}

impl Default for Weather {
    fn default() -> Self {
        Self { loss_permille: 0, delay_ms: (1, 5), island: BTreeSet::new() }
    }
}

/// What outlives a node's program.
#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) votes: Vec<Record>,
    pub(crate) blocks: Vec<(Head, Arc<Proposal>)>,
    pub(crate) is_lost: bool,
}

pub(crate) struct Node {
    pub(crate) disk: Disk,
    pub(crate) machine: Option<Machine>,
    /// Effects that wait for an fsync, and until when it lasts.
    outbox: VecDeque<Effect>,
    synced_at: Option<u64>,
    life: u64,
    /// When the last block that was handed to the ledger is durable.
    stored_at: u64,
    pub(crate) halted: Option<Divergence>,
    /// Whether its program computes wrong results.
    pub(crate) is_wrong: bool,
}

enum Event {
    Deliver { from: usize, to: usize, message: Message },
    Node { node: usize, life: u64, input: Box<Input> },
    Stored { node: usize, life: u64, head: Box<Head>, proposal: Arc<Proposal> },
}

pub(crate) struct Network {
    pub(crate) now: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) weather: Weather,
    pub(crate) chance: Chance,
    pub(crate) schedule: Vec<(BlockNumber, Arc<EpochMembers>)>,
    pub(crate) first_members: Vec<usize>,
    queue: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    /// The one block of each height.
    pub(crate) chain: BTreeMap<u64, (ProposalDigest, B256)>,
    /// Every header that a key has signed durably.
    signed: BTreeMap<(usize, u64), B256>,
    /// Every vote that a node has given durably.
    elected: BTreeMap<(usize, u64), u64>,
    /// Whether there is work to propose.
    pub(crate) is_busy: bool,
    /// Persists after which the node goes down before anything else is done, or after which the record is lost.
    pub(crate) crash_permille: u64,
    pub(crate) crashed: Vec<(usize, u64)>,
}

impl Network {
    pub(crate) fn new(seed: u64, members: usize, nodes: usize) -> Self {
        let first_members: Vec<_> = (0..members).collect();
        let node = |_| Node {
            disk: Disk::default(),
            machine: None,
            outbox: VecDeque::new(),
            synced_at: None,
            life: 0,
            stored_at: 0,
            halted: None,
            is_wrong: false,
        };
        let mut network = Self {
            now: 1_000,
            nodes: (0..nodes).map(node).collect(),
            weather: Weather::default(),
            chance: Chance(seed),
            schedule: vec![(BlockNumber::ZERO, members_of(0, &first_members))],
            first_members,
            queue: BTreeMap::new(),
            sequence: 0,
            chain: BTreeMap::new(),
            signed: BTreeMap::new(),
            elected: BTreeMap::new(),
            is_busy: true,
            crash_permille: 0,
            crashed: Vec::new(),
        };
        (0..nodes).for_each(|node| network.start(node));
        network
    }

    fn genesis() -> Head {
        let digest = ProposalDigest(B256::repeat_byte(7));
        Head { height: BlockNumber::ZERO, digest, hash: digest.0, time: Millis(0), certificate: None }
    }

    pub(crate) fn head(&self, node: usize) -> Head {
        self.nodes[node].disk.blocks.last().map_or_else(Self::genesis, |(head, _)| head.clone())
    }

    pub(crate) fn height(&self, node: usize) -> u64 {
        self.head(node).height.0
    }

    /// The schedule as a node with a head knows it.
    fn schedule_at(&self, head: BlockNumber) -> Schedule {
        let decided = |first: &BlockNumber| first.0 == 0 || first.saturating_sub(WINDOW) <= head;
        Schedule::new(self.schedule.iter().filter(|(first, _)| decided(first)).cloned())
    }

    pub(crate) fn start(&mut self, id: usize) {
        let head = self.head(id);
        let schedule = self.schedule_at(head.height);
        let config = Config {
            suite: SUITE,
            context: context(),
            genesis: Self::genesis().digest,
            first_members: self.first_members.iter().map(|node| secret(*node).public()).collect(),
            window: WINDOW,
            timing: Timing { election_ms: ELECTION_MS },
            key: secret(id).public(),
        };
        let node = &mut self.nodes[id];
        let condition = if node.disk.is_lost { LogCondition::Lost } else { LogCondition::Whole };
        node.machine = Some(Machine::new(config, schedule, head, node.disk.votes.clone(), condition));
        node.life += 1;
        self.step(id, Input::Tick);
        for peer in 0..self.nodes.len() {
            if peer != id && self.nodes[peer].machine.is_some() {
                self.step(id, Input::Peer { key: secret(peer).public(), connected: true });
                self.step(peer, Input::Peer { key: secret(id).public(), connected: true });
            }
        }
    }

    /// The program ends at once: what was not synced is gone.
    pub(crate) fn crash(&mut self, id: usize) {
        let node = &mut self.nodes[id];
        node.machine = None;
        node.outbox.clear();
        node.synced_at = None;
        node.life += 1;
        for peer in 0..self.nodes.len() {
            if peer != id && self.nodes[peer].machine.is_some() {
                self.step(peer, Input::Peer { key: secret(id).public(), connected: false });
            }
        }
    }

    fn push(&mut self, after: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now + after, self.sequence), event);
    }

    pub(crate) fn step(&mut self, id: usize, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let Some(machine) = &mut self.nodes[id].machine else { return };
            let mut effects = Vec::new();
            machine.step(Millis(self.now), input, &mut effects);
            for effect in effects {
                if let Effect::Sign(vote) = effect {
                    let signature = secret(id).sign(&vote.signing_bytes(&context()));
                    inputs.insert(0, Input::Signed { vote, signature });
                } else {
                    self.nodes[id].outbox.push_back(effect);
                }
            }
        }
        self.perform_all(id);
    }

    fn perform_all(&mut self, id: usize) {
        while self.nodes[id].synced_at.is_none() {
            let Some(effect) = self.nodes[id].outbox.pop_front() else { return };
            if let Effect::Persist(_) = &effect {
                self.nodes[id].outbox.push_front(effect);
                if self.chance.below(1_000) < self.crash_permille {
                    self.go_down(id);
                    return;
                }
                let lasts = 1 + self.chance.below(4);
                self.nodes[id].synced_at = Some(self.now + lasts);
                return;
            }
            self.perform(id, effect);
        }
    }

    fn go_down(&mut self, id: usize) {
        self.crash(id);
        let until = self.now + 50 + self.chance.below(3 * ELECTION_MS);
        self.crashed.push((id, until));
    }

    fn synced(&mut self, id: usize) {
        self.nodes[id].synced_at = None;
        if let Some(Effect::Persist(records)) = self.nodes[id].outbox.pop_front() {
            self.check_records(id, &records);
            self.nodes[id].disk.votes.extend(records);
            if self.chance.below(1_000) < self.crash_permille {
                return self.go_down(id);
            }
        }
        self.perform_all(id);
    }

    /// One header for each height and key, one vote for each term and node, over crashes, too.
    fn check_records(&mut self, id: usize, records: &[Record]) {
        for record in records {
            match record {
                Record::Vote(signed) => {
                    let result = signed.vote.result.unwrap();
                    let first = *self.signed.entry((id, signed.vote.height.0)).or_insert(result);
                    assert_eq!(first, result, "n{id} signs two headers of height {}", signed.vote.height);
                }
                Record::HardState(hard) if hard.vote != 0 => {
                    let first = *self.elected.entry((id, hard.term)).or_insert(hard.vote);
                    assert_eq!(first, hard.vote, "n{id} votes twice in term {}", hard.term);
                }
                _ => {}
            }
        }
    }

    fn perform(&mut self, id: usize, effect: Effect) {
        let life = self.nodes[id].life;
        let answer = |input| Event::Node { node: id, life, input: Box::new(input) };
        match effect {
            Effect::Send { to: Recipient::All, message } => {
                (0..self.nodes.len()).filter(|to| *to != id).for_each(|to| self.transmit(id, to, &message));
            }
            Effect::Send { to: Recipient::One(key), message } => {
                let to = (0..self.nodes.len()).find(|node| secret(*node).public() == key).unwrap();
                self.transmit(id, to, &message);
            }
            Effect::CheckBodies { digest, .. } => {
                let after = if self.chance.below(4) == 0 { self.chance.below(40) } else { 0 };
                self.push(after, answer(Input::Bodies { digest, verdict: BodiesVerdict::Held }));
            }
            Effect::Execute { digest, proposal } => self.execute(id, digest, &proposal),
            Effect::WantTransactions { height, term, time_min } => {
                let transactions =
                    if self.is_busy { vec![keccak256(self.chance.next().to_le_bytes())] } else { vec![] };
                let time = Millis(self.now).max(time_min);
                self.push(0, answer(Input::Transactions { height, term, transactions, time }));
            }
            Effect::Certified { proposal, digest, hash, certificate } => {
                self.check_block(id, &proposal, digest, hash, &certificate);
                let certificate = Some(certificate.as_ref().clone());
                let head = Head { height: proposal.height, digest, hash, time: proposal.time, certificate };
                // The ledger takes one block after the other.
                let node = &mut self.nodes[id];
                node.stored_at = node.stored_at.max(self.now) + 1 + self.chance.below(5);
                let after = node.stored_at - self.now;
                self.push(after, Event::Stored { node: id, life, head: Box::new(head), proposal });
            }
            Effect::Behind { from, .. } => {
                let peer = (0..self.nodes.len()).find(|node| secret(*node).public() == from).unwrap();
                self.catch_up(id, peer);
            }
            Effect::Halt(divergence) => {
                self.nodes[id].halted = Some(*divergence);
                self.crash(id);
            }
            Effect::Misbehaved { key, what } => panic!("n{id} accuses {key} of {what:?}"),
            Effect::Persist(_) | Effect::Sign(_) => unreachable!("handled before"),
            Effect::Forget(_)
            | Effect::Proposed { .. }
            | Effect::DiscardFrom(_)
            | Effect::Reached { .. }
            | Effect::LeaderChanged { .. } => {}
        }
    }

    /// The result of executing a proposal is a hash of it, which names its ancestors.
    fn execute(&mut self, id: usize, digest: ProposalDigest, proposal: &Arc<Proposal>) {
        let (head, is_wrong) = (self.head(id), self.nodes[id].is_wrong);
        let parent = if head.digest == proposal.parent { head.hash } else { result_of(proposal.parent, is_wrong) };
        let (height, hash) = (proposal.height, result_of(digest, is_wrong));
        let after = self.chance.below(6);
        let input = Box::new(Input::Executed { height, digest, parent, hash });
        self.push(after, Event::Node { node: id, life: self.nodes[id].life, input });
    }

    fn transmit(&mut self, from: usize, to: usize, message: &Message) {
        let across = self.weather.island.contains(&from) != self.weather.island.contains(&to);
        if across || self.chance.below(1_000) < self.weather.loss_permille {
            return;
        }
        let (least, most) = self.weather.delay_ms;
        let after = least + self.chance.below(most.saturating_sub(least) + 1);
        let message = Message::decode(&message.encode()).unwrap();
        self.push(after, Event::Deliver { from, to, message });
    }

    fn check_block(&mut self, id: usize, proposal: &Proposal, digest: ProposalDigest, hash: B256, proof: &Certificate) {
        let height = proposal.height;
        let (_, members) = self.schedule.iter().rfind(|(first, _)| *first <= height).unwrap();
        verify_certificate(SUITE, &context(), members, proof).unwrap();
        let proposer = members.members.index_of(&proposal.proposer);
        assert!(proposer.is_some(), "block {height} is by nobody of its epoch");
        assert_eq!((proof.height, proof.digest, proof.block_hash), (height, digest, hash));
        let first = *self.chain.entry(height.0).or_insert((digest, hash));
        assert_eq!(first, (digest, hash), "n{id} has another block {height}");
    }

    /// Takes from a peer what is final there.
    pub(crate) fn catch_up(&mut self, id: usize, peer: usize) {
        if self.weather.island.contains(&id) != self.weather.island.contains(&peer) {
            return;
        }
        let height = self.height(id);
        let missing: Vec<_> =
            self.nodes[peer].disk.blocks.iter().skip(usize::try_from(height).unwrap()).cloned().collect();
        let life = self.nodes[id].life;
        for (place, (head, proposal)) in missing.into_iter().enumerate() {
            let after = 3 + place as u64;
            self.push(after, Event::Stored { node: id, life, head: Box::new(head), proposal });
        }
    }

    fn stored(&mut self, id: usize, head: Head, proposal: Arc<Proposal>) {
        if head.height.0 != self.height(id) + 1 {
            return;
        }
        assert_eq!(self.chain.get(&head.height.0), Some(&(head.digest, head.hash)));
        self.nodes[id].disk.blocks.push((head.clone(), proposal));
        for (first, members) in self.schedule.clone() {
            if first.0 > 0 && first.saturating_sub(WINDOW) == head.height {
                self.step(id, Input::Members { first, members });
            }
        }
        self.step(id, Input::Final(head));
    }

    /// Runs for a time.
    pub(crate) fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        while self.now < end {
            self.now += 1;
            self.run_moment();
        }
    }

    fn run_moment(&mut self) {
        for (id, until) in std::mem::take(&mut self.crashed) {
            if until > self.now { self.crashed.push((id, until)) } else { self.start(id) }
        }
        for id in 0..self.nodes.len() {
            if self.nodes[id].synced_at.is_some_and(|at| at <= self.now) {
                self.synced(id);
            }
        }
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let event = entry.remove();
            self.handle(event);
        }
        for id in 0..self.nodes.len() {
            let due = |machine: &Machine| machine.deadline().is_some_and(|due| due.0 <= self.now);
            if self.nodes[id].machine.as_ref().is_some_and(due) {
                self.step(id, Input::Pool { ready: self.is_busy });
                self.step(id, Input::Tick);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Deliver { from, to, message } => {
                let schedule = self.schedule_at(self.head(to).height);
                if let Ok(message) = verify(SUITE, &context(), &|height| schedule.at(height).cloned(), message) {
                    self.step(to, Input::Message { from: secret(from).public(), message });
                }
            }
            Event::Node { node, life, input } if self.nodes[node].life == life => {
                self.step(node, *input);
                self.step(node, Input::Pool { ready: self.is_busy });
            }
            Event::Stored { node, life, head, proposal } if self.nodes[node].life == life => {
                self.stored(node, *head, proposal);
            }
            Event::Node { .. } | Event::Stored { .. } => {}
        }
    }

    /// The node that leads, as seen by itself.
    pub(crate) fn leader(&self) -> Option<usize> {
        let leads = |node: &Node| node.machine.as_ref().map(Machine::status).filter(|one| one.role == Role::Leader);
        let leaders =
            self.nodes.iter().enumerate().filter_map(|(id, node)| leads(node).map(|status| (status.term, id)));
        leaders.max().map(|(_, id)| id)
    }

    /// Runs until something holds, at most for a time.
    pub(crate) fn until(&mut self, ms: u64, what: &str, holds: impl Fn(&Self) -> bool) {
        let end = self.now + ms;
        while !holds(self) {
            let heights: Vec<_> = (0..self.nodes.len()).map(|node| self.height(node)).collect();
            let status = |node: &Node| node.machine.as_ref().map(Machine::status);
            let states = || self.nodes.iter().map(|node| (status(node), &node.halted)).collect::<Vec<_>>();
            assert!(self.now < end, "no {what} after {ms} ms: heights {heights:?}, {:?}", states());
            self.run(10);
        }
    }
}

fn result_of(digest: ProposalDigest, is_wrong: bool) -> B256 {
    let mut bytes = digest.0.to_vec();
    bytes.extend(is_wrong.then_some(1));
    keccak256(bytes)
}
