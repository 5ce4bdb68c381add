//! A whole network of machines in one thread: seeded delays, loss, duplication and reordering, crashes at persist points,
//! and a check of what must always hold after every effect.

use alloy_primitives::{B256, keccak256};
use lian_crypto::{ConsensusSecretKey, Suite, Verified};
use lian_pbft::{
    BodiesVerdict, Cause, Committee, Committees, Config, Divergence, Effect, Head, Input, LogCondition, Machine,
    Message, Misbehaviour, Recipient, Record, Rules, Statement, Timing, verify,
};
use lian_types::{
    BlockNumber, Certificate, ChainContext, Epoch, GroupId, Member, MemberIndex, Members, Millis, Phase, Proposal,
    ProposalDigest, View, Vote,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

pub(crate) const SUITE: Suite = Suite::Standard;
pub(crate) const START: u64 = 1_700_000_000_000;

/// A splitmix64 generator: the whole run follows from its seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// True in so many of a thousand cases.
    pub(crate) fn permille(&mut self, chance: u64) -> bool {
        self.below(1000) < chance
    }
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    pub(crate) loss_permille: u64,
    pub(crate) duplication_permille: u64,
    pub(crate) delay_ms: (u64, u64),
    /// At each persist point; the node restarts a little later.
    pub(crate) crash_permille: u64,
    /// Directed links that carry nothing.
    pub(crate) cut: BTreeSet<(usize, usize)>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { loss_permille: 0, duplication_permille: 0, delay_ms: (1, 5), crash_permille: 0, cut: BTreeSet::new() }
    }
}

/// A block in a node's ledger.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) proposal: Arc<Proposal>,
    pub(crate) digest: ProposalDigest,
    pub(crate) hash: B256,
    pub(crate) certificate: Certificate,
}

pub(crate) struct Node {
    pub(crate) index: usize,
    pub(crate) key: ConsensusSecretKey,
    pub(crate) machine: Option<Machine>,
    /// The durable vote log.
    pub(crate) disk: Vec<Record>,
    pub(crate) log: LogCondition,
    /// The durable ledger.
    pub(crate) ledger: Vec<Block>,
    /// Speculative results.
    results: BTreeMap<BlockNumber, (ProposalDigest, B256)>,
    pub(crate) halted: Option<Divergence>,
    incarnation: u64,
    runs: BTreeMap<BlockNumber, u64>,
    /// Adds this to every result from this height on: a node that computes wrongly.
    pub(crate) diverges: Option<(u64, u8)>,
    pub(crate) misbehaviour: Vec<(MemberIndex, Misbehaviour)>,
    pub(crate) left: Vec<(View, Cause)>,
    pub(crate) entered: Vec<View>,
    /// Milliseconds that its clock is off.
    pub(crate) skew_ms: i64,
    /// The member whose proposals it judges invalid.
    pub(crate) refuses: Option<usize>,
    /// Whether it cannot get bodies now.
    pub(crate) lacks_bodies: bool,
    /// The bodies it was asked for while it could not get them, and how often it was asked for each.
    pub(crate) missing: Vec<ProposalDigest>,
    pub(crate) checks: BTreeMap<ProposalDigest, u64>,
    /// At which of its persist points it crashes, and whether after the write.
    pub(crate) crash_at: Option<(u64, bool)>,
    pub(crate) persists: u64,
    /// Whether it sees the pool's transactions.
    pub(crate) sees_pool: bool,
    /// Milliseconds that an execution takes at most.
    pub(crate) execution_ms: u64,
}

enum Event {
    Deliver { from: usize, to: usize, message: Message },
    Input { node: usize, incarnation: u64, input: Input },
    Executed { node: usize, incarnation: u64, run: u64, height: BlockNumber, digest: ProposalDigest },
    Tick { node: usize, incarnation: u64 },
    Restart { node: usize },
    Synced { node: usize, incarnation: u64, from: usize },
}

pub(crate) type Tamper = Box<dyn FnMut(usize, usize, &Message) -> Option<Vec<Message>>>;

pub(crate) struct Network {
    pub(crate) now: u64,
    pub(crate) random: Random,
    pub(crate) rules: Rules,
    pub(crate) timing: Timing,
    pub(crate) committees: Vec<Committee>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) faults: Faults,
    /// Whether the pool has transactions.
    pub(crate) load: bool,
    pub(crate) max_transactions: u64,
    /// How long the pool takes to answer.
    pub(crate) pace_ms: u64,
    pub(crate) transactions: u64,
    events: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    started: bool,
    /// The one block of each height.
    pub(crate) agreed: BTreeMap<BlockNumber, (ProposalDigest, B256)>,
    votes: BTreeMap<(usize, Epoch, View, BlockNumber, Phase), Vote>,
    proposals: BTreeMap<(usize, Epoch, View, BlockNumber), ProposalDigest>,
    verified: BTreeMap<B256, bool>,
    /// Replaces a message on its way; for faulty members.
    pub(crate) tamper: Option<Tamper>,
    /// Nodes whose votes are not checked for contradictions, since they are faulty on purpose.
    pub(crate) faulty: BTreeSet<usize>,
    /// A hash over all that happened.
    pub(crate) trace: B256,
    pub(crate) sent: BTreeMap<&'static str, u64>,
    /// A change of members: after this height is final, the committee takes over at height + window.
    pub(crate) change: Option<(u64, Committee)>,
}

pub(crate) fn key(index: usize) -> ConsensusSecretKey {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&(index as u64 + 1).to_le_bytes());
    ConsensusSecretKey::from_bytes(SUITE, &seed)
}

pub(crate) fn members(indices: impl IntoIterator<Item = usize>) -> Members {
    let member = |index| {
        let key = key(index).public();
        Member { key, address: SUITE.consensus_address(&key) }
    };
    Members::new(indices.into_iter().map(member).collect()).unwrap()
}

pub(crate) fn rules(window: u64, term: u64) -> Rules {
    let context = ChainContext { genesis: B256::repeat_byte(9), group: GroupId(0), chain_id: 20_200 };
    Rules { suite: SUITE, context, genesis: ProposalDigest(B256::repeat_byte(0xee)), term, window }
}

pub(crate) fn genesis_head(rules: &Rules) -> Head {
    Head {
        height: BlockNumber(0),
        digest: rules.genesis,
        hash: B256::repeat_byte(0xee),
        time: Millis(START),
        certificate: None,
    }
}

/// The result of executing a proposal on a parent.
pub(crate) fn result(parent: B256, digest: ProposalDigest, twist: u8) -> B256 {
    keccak256([parent.as_slice(), digest.0.as_slice(), &[twist]].concat())
}

impl Network {
    pub(crate) fn new(n: usize, seed: u64) -> Self {
        Self::with(n, n, seed, rules(8, 4))
    }

    /// The first `voters` of `n` nodes vote.
    pub(crate) fn with(n: usize, voters: usize, seed: u64, rules: Rules) -> Self {
        let committee = Committee::new(Epoch(0), BlockNumber(0), members(0..voters));
        let timing = Timing { timeout_ms_min: 300, censorship_ms: 2_000, ..Timing::default() };
        let mut network = Self {
            now: START,
            random: Random(seed),
            rules,
            timing,
            committees: vec![committee],
            nodes: Vec::new(),
            faults: Faults::default(),
            load: true,
            max_transactions: u64::MAX,
            pace_ms: 1,
            transactions: 0,
            events: BTreeMap::new(),
            sequence: 0,
            started: false,
            agreed: BTreeMap::new(),
            votes: BTreeMap::new(),
            proposals: BTreeMap::new(),
            verified: BTreeMap::new(),
            tamper: None,
            faulty: BTreeSet::new(),
            trace: B256::ZERO,
            sent: BTreeMap::new(),
            change: None,
        };
        for index in 0..n {
            network.nodes.push(Node {
                index,
                key: key(index),
                machine: None,
                disk: Vec::new(),
                log: LogCondition::Whole,
                ledger: Vec::new(),
                results: BTreeMap::new(),
                halted: None,
                incarnation: 0,
                runs: BTreeMap::new(),
                diverges: None,
                misbehaviour: Vec::new(),
                left: Vec::new(),
                entered: Vec::new(),
                skew_ms: 0,
                refuses: None,
                lacks_bodies: false,
                missing: Vec::new(),
                checks: BTreeMap::new(),
                crash_at: None,
                persists: 0,
                sees_pool: true,
                execution_ms: 4,
            });
        }
        network
    }

    fn at(&mut self, delay: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now + delay, self.sequence), event);
    }

    pub(crate) fn head(&self, index: usize) -> Head {
        self.nodes[index].ledger.last().map_or_else(
            || genesis_head(&self.rules),
            |block| Head {
                height: block.proposal.height,
                digest: block.digest,
                hash: block.hash,
                time: block.proposal.time,
                certificate: Some(block.certificate.clone()),
            },
        )
    }

    pub(crate) fn height(&self, index: usize) -> u64 {
        self.nodes[index].ledger.len() as u64
    }

    pub(crate) fn start(&mut self, index: usize) {
        let head = self.head(index);
        let config = Config { rules: self.rules, timing: self.timing, key: Some(self.nodes[index].key.public()) };
        let mut committees = self.committees.clone();
        if let Some((height, committee)) = &self.change
            && head.height.0 >= *height
        {
            committees.push(committee.clone());
        }
        let node = &mut self.nodes[index];
        // What a log would give back: the bytes, decoded.
        let records = node.disk.iter().map(|record| Record::decode(&record.encode()).unwrap()).collect();
        node.machine = Some(Machine::new(config, Committees::new(committees), head, records, node.log));
        self.feed(index, Input::Tick);
        self.pool_changed(index);
    }

    pub(crate) fn crash(&mut self, index: usize, restart_ms: Option<u64>) {
        let node = &mut self.nodes[index];
        if node.machine.take().is_none() {
            return;
        }
        node.incarnation += 1;
        node.results.clear();
        node.runs.clear();
        for other in 0..self.nodes.len() {
            self.session(other, index, false);
        }
        if let Some(delay) = restart_ms {
            self.at(delay, Event::Restart { node: index });
        }
    }

    fn session(&mut self, node: usize, peer: usize, connected: bool) {
        if node != peer && self.nodes[node].machine.is_some() {
            let incarnation = self.nodes[node].incarnation;
            let key = self.nodes[peer].key.public();
            self.at(1, Event::Input { node, incarnation, input: Input::Peer { key, connected } });
        }
    }

    /// All live nodes have sessions with all live nodes. The first call starts them.
    pub(crate) fn connect(&mut self) {
        if !std::mem::replace(&mut self.started, true) {
            for index in 0..self.nodes.len() {
                self.start(index);
            }
        }
        for node in 0..self.nodes.len() {
            for peer in 0..self.nodes.len() {
                if self.nodes[peer].machine.is_some() {
                    self.session(node, peer, true);
                }
            }
        }
    }

    pub(crate) fn set_load(&mut self, load: bool) {
        self.load = load;
        for index in 0..self.nodes.len() {
            self.pool_changed(index);
        }
    }

    /// The bodies that a node missed arrive.
    pub(crate) fn bodies_arrive(&mut self, index: usize) {
        self.nodes[index].lacks_bodies = false;
        for digest in std::mem::take(&mut self.nodes[index].missing) {
            self.feed(index, Input::Bodies { digest, verdict: BodiesVerdict::Held });
        }
    }

    pub(crate) fn pool_changed(&mut self, index: usize) {
        let ready = self.load && self.nodes[index].sees_pool;
        let waiting_since = ready.then_some(Millis(self.now.saturating_add_signed(self.nodes[index].skew_ms)));
        self.feed(index, Input::Pool { ready, waiting_since });
    }

    pub(crate) fn feed(&mut self, index: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = Millis(self.now.saturating_add_signed(self.nodes[index].skew_ms));
            let mut effects = Vec::new();
            let Some(machine) = self.nodes[index].machine.as_mut() else { return };
            machine.step(now, input, &mut effects);
            for effect in effects {
                if !self.run(index, effect, &mut inputs) {
                    return;
                }
            }
        }
        let node = &self.nodes[index];
        let Some(deadline) = node.machine.as_ref().and_then(Machine::deadline) else { return };
        let now = self.now.saturating_add_signed(node.skew_ms);
        let incarnation = node.incarnation;
        self.at(deadline.0.saturating_sub(now).max(1), Event::Tick { node: index, incarnation });
    }

    /// Carries out an effect. False where the node crashed.
    fn run(&mut self, index: usize, effect: Effect, inputs: &mut VecDeque<Input>) -> bool {
        let incarnation = self.nodes[index].incarnation;
        match effect {
            Effect::Sign(statement) => {
                self.check_statement(index, &statement);
                let signature = self.nodes[index].key.sign(&statement.signing_bytes(&self.rules.context));
                inputs.push_back(Input::Signed { statement, signature });
            }
            Effect::Persist(records) => {
                let node = &mut self.nodes[index];
                node.persists += 1;
                let planned = node.crash_at.filter(|(at, _)| *at == node.persists);
                let crashes = planned.is_some() || self.random.permille(self.faults.crash_permille);
                if !crashes || planned.map_or_else(|| self.random.permille(500), |(_, after)| after) {
                    self.nodes[index].disk.extend(records);
                }
                if crashes {
                    let delay = 20 + self.random.below(500);
                    self.crash(index, Some(delay));
                    return false;
                }
            }
            Effect::Send { to, message } => self.send(index, to, message),
            Effect::CheckBodies { digest, proposal } => {
                let node = &mut self.nodes[index];
                *node.checks.entry(digest).or_default() += 1;
                if node.lacks_bodies {
                    node.missing.push(digest);
                } else {
                    let refused = node.refuses.is_some_and(|member| key(member).public() == proposal.proposer);
                    let verdict = if refused { BodiesVerdict::Invalid } else { BodiesVerdict::Held };
                    let delay = 1 + self.random.below(6);
                    self.at(delay, Event::Input { node: index, incarnation, input: Input::Bodies { digest, verdict } });
                }
            }
            Effect::Forget(_) | Effect::Reached { .. } => {}
            Effect::Execute { digest, proposal } => {
                let height = proposal.height;
                let run = self.random.next();
                self.nodes[index].runs.insert(height, run);
                let delay = 1 + self.random.below(self.nodes[index].execution_ms);
                self.at(delay, Event::Executed { node: index, incarnation, run, height, digest });
            }
            Effect::DiscardFrom(height) => {
                self.nodes[index].results.split_off(&height);
                self.nodes[index].runs.split_off(&height);
            }
            Effect::WantTransactions { height, view, time_min, .. } => {
                let mut transactions = Vec::new();
                if self.load && self.nodes[index].sees_pool && self.transactions < self.max_transactions {
                    self.transactions += 1;
                    transactions.push(keccak256(self.transactions.to_be_bytes()));
                }
                let now = Millis(self.now.saturating_add_signed(self.nodes[index].skew_ms));
                let time = now.max(time_min);
                let input = Input::Transactions { height, view, transactions, time };
                self.at(self.pace_ms, Event::Input { node: index, incarnation, input });
            }
            Effect::Certified { proposal, digest, hash, certificate } => {
                let block = Block { proposal, digest, hash, certificate: certificate.as_ref().clone() };
                // It may have been caught up meanwhile.
                if block.proposal.height.0 > self.height(index) {
                    self.append(index, block, 2);
                }
            }
            Effect::Behind { from, .. } => {
                if let Some(from) = self.nodes.iter().position(|node| node.key.public() == from) {
                    self.at(15, Event::Synced { node: index, incarnation, from });
                }
            }
            Effect::ViewChanged { view, cause, .. } => match cause {
                Some(cause) => self.nodes[index].left.push((view, cause)),
                None => self.nodes[index].entered.push(view),
            },
            Effect::Misbehaved { member, what } => self.nodes[index].misbehaviour.push((member, what)),
            Effect::Halt(divergence) => self.nodes[index].halted = Some(*divergence),
        }
        true
    }

    /// Appends a block to a node's durable ledger; the machine hears of it a little later.
    fn append(&mut self, index: usize, block: Block, delay: u64) {
        let height = block.proposal.height;
        assert_eq!(height.0, self.height(index) + 1, "node {index} appends out of order");
        let below = self.head(index);
        assert_eq!(block.proposal.parent, below.digest, "node {index} at {height}: parent");
        let agreed = *self.agreed.entry(height).or_insert((block.digest, block.hash));
        assert_eq!(agreed, (block.digest, block.hash), "two final blocks at height {height}, node {index}");
        let proven = (block.certificate.height, block.certificate.digest, block.certificate.block_hash);
        assert_eq!(proven, (height, block.digest, block.hash), "node {index}: a block without certificate of its own");
        if let Some((decided, committee)) = self.change.clone()
            && decided == height.0
        {
            self.feed(index, Input::Members(committee));
        }
        let node = &mut self.nodes[index];
        node.ledger.push(block);
        // A log is written anew now and then: nothing but the live records may be needed.
        if let Some(machine) =
            node.machine.as_ref().filter(|_| height.0.is_multiple_of(3) && node.log == LogCondition::Whole)
        {
            node.disk = machine.live_records();
        }
        let head = self.head(index);
        let incarnation = self.nodes[index].incarnation;
        self.at(delay, Event::Input { node: index, incarnation, input: Input::Final(head) });
    }

    fn send(&mut self, from: usize, to: Recipient, message: Message) {
        *self.sent.entry(kind(&message)).or_default() += 1;
        let bytes = message.encode();
        assert_eq!(Message::decode(&bytes).unwrap(), message);
        self.trace = keccak256([self.trace.as_slice(), &self.now.to_be_bytes(), &bytes].concat());
        self.check_sent(from, &message);
        let targets: Vec<usize> = match to {
            Recipient::All => (0..self.nodes.len()).filter(|to| *to != from).collect(),
            Recipient::One(key) => self.nodes.iter().position(|node| node.key.public() == key).into_iter().collect(),
        };
        for to in targets {
            let replaced = self.tamper.as_mut().and_then(|tamper| tamper(from, to, &message));
            for message in replaced.unwrap_or_else(|| vec![message.clone()]) {
                self.post(from, to, message);
            }
        }
    }

    /// Puts a message on its way.
    pub(crate) fn post(&mut self, from: usize, to: usize, message: Message) {
        if self.random.permille(self.faults.loss_permille) {
            return;
        }
        let copies = if self.random.permille(self.faults.duplication_permille) { 2 } else { 1 };
        for _ in 0..copies {
            let (least, most) = self.faults.delay_ms;
            let delay = least + self.random.below(most - least + 1);
            self.at(delay, Event::Deliver { from, to, message: message.clone() });
        }
    }

    /// A node never signs two different votes for one slot.
    fn check_statement(&mut self, index: usize, statement: &Statement) {
        if let Statement::Vote(vote) = statement
            && !self.faulty.contains(&index)
        {
            assert!(vote.is_well_formed());
        }
    }

    /// A node never sends two different votes for one slot, and nothing that is not durable.
    fn check_sent(&mut self, index: usize, message: &Message) {
        if self.faulty.contains(&index) {
            return;
        }
        let node = &self.nodes[index];
        let whole = node.log == LogCondition::Whole;
        match message {
            Message::Vote(signed) => {
                let vote = signed.vote;
                let slot = (index, vote.epoch, vote.view, vote.height, vote.phase);
                let earlier = *self.votes.entry(slot).or_insert(vote);
                assert_eq!(earlier, vote, "node {index} votes twice");
                let record = Record::Vote(*signed);
                assert!(!whole || node.disk.contains(&record), "node {index}: a vote left before it was durable");
                if vote.phase == Phase::Commit {
                    let holds = |record: &Record| {
                        matches!(record, Record::Prepared { certificate, .. }
                            if certificate.height == vote.height && certificate.digest == vote.digest)
                    };
                    assert!(!whole || node.disk.iter().any(holds), "node {index}: a commit without its certificate");
                }
                if let Some(hash) = vote.result {
                    let holds = |record: &Record| {
                        matches!(record, Record::ResultLock(lock)
                            if lock.height == vote.height && lock.digest == vote.digest && lock.hash == hash)
                    };
                    assert!(!whole || node.disk.iter().any(holds), "node {index}: a result without its lock");
                }
            }
            Message::PrePrepare(pre_prepare) => {
                let proposal = &pre_prepare.proposal;
                if proposal.proposer == node.key.public() {
                    let digest = SUITE.proposal_digest(proposal);
                    let slot = (index, proposal.epoch, pre_prepare.view, proposal.height);
                    let earlier = *self.proposals.entry(slot).or_insert(digest);
                    assert_eq!(earlier, digest, "node {index} proposes twice");
                }
            }
            Message::ViewChange(message) if whole => {
                assert!(
                    node.disk.contains(&Record::ViewPromise(message.clone())),
                    "node {index}: a promise in the air"
                );
            }
            _ => {}
        }
    }

    fn check(&mut self, to: usize, message: &Message) -> bool {
        let Some(machine) = self.nodes[to].machine.as_ref() else { return false };
        let committees = Arc::clone(machine.committees());
        // Committees differ only by how many are known.
        let known = committees.last_of(BlockNumber(0)).0.to_be_bytes();
        let digest = keccak256([message.encode().as_slice(), &known].concat());
        if let Some(known) = self.verified.get(&digest) {
            return *known;
        }
        let held = verify(&self.rules, &committees, message.clone()).is_ok();
        self.verified.insert(digest, held);
        held
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Deliver { from, to, message } => self.deliver(from, to, message),
            Event::Input { node, incarnation, input } if self.nodes[node].incarnation == incarnation => {
                let durable = matches!(input, Input::Final(_));
                if let Input::Final(head) = &input {
                    self.nodes[node].results = self.nodes[node].results.split_off(&head.height);
                }
                self.feed(node, input);
                if durable {
                    self.pool_changed(node);
                }
            }
            Event::Executed { node, incarnation, run, height, digest }
                if self.nodes[node].incarnation == incarnation =>
            {
                self.executed(node, run, height, digest);
            }
            Event::Tick { node, incarnation } if self.nodes[node].incarnation == incarnation => {
                let now = Millis(self.now.saturating_add_signed(self.nodes[node].skew_ms));
                let due = self.nodes[node].machine.as_ref().and_then(Machine::deadline);
                if due.is_some_and(|due| due <= now) {
                    self.feed(node, Input::Tick);
                }
            }
            Event::Restart { node } if self.nodes[node].machine.is_none() => {
                self.start(node);
                self.connect();
            }
            Event::Synced { node, incarnation, from } if self.nodes[node].incarnation == incarnation => {
                while let Some(block) = self.nodes[from].ledger.get(self.nodes[node].ledger.len()).cloned() {
                    self.append(node, block, 1);
                }
            }
            _ => {}
        }
    }

    fn deliver(&mut self, from: usize, to: usize, message: Message) {
        if !self.faults.cut.contains(&(from, to)) && self.check(to, &message) {
            let from = self.nodes[from].key.public();
            self.feed(to, Input::Message { from, message: Verified::assume(message) });
        }
    }

    fn executed(&mut self, index: usize, run: u64, height: BlockNumber, digest: ProposalDigest) {
        let incarnation = self.nodes[index].incarnation;
        if self.nodes[index].runs.get(&height) != Some(&run) {
            return;
        }
        let below = height.saturating_sub(1);
        let node = &self.nodes[index];
        let parent = if let Some((_, hash)) = node.results.get(&below) {
            *hash
        } else if let Some(block) = below.0.checked_sub(1).and_then(|position| node.ledger.get(position as usize)) {
            block.hash
        } else if below.0 == 0 {
            genesis_head(&self.rules).hash
        } else {
            // The execution below has not finished yet.
            self.at(1, Event::Executed { node: index, incarnation, run, height, digest });
            return;
        };
        let twist = node.diverges.filter(|(from, _)| height.0 >= *from).map_or(0, |(_, twist)| twist);
        let hash = result(parent, digest, twist);
        self.nodes[index].results.insert(height, (digest, hash));
        self.feed(index, Input::Executed { height, digest, parent, hash });
    }

    /// Runs for some time.
    pub(crate) fn run_for(&mut self, ms: u64) {
        let until = self.now + ms;
        self.run_while(until, |_| true);
        self.now = until;
    }

    /// Runs until a time at most, while a condition holds. True where it ended before.
    pub(crate) fn run_while(&mut self, until: u64, mut condition: impl FnMut(&Self) -> bool) -> bool {
        while condition(self) {
            let Some((&(time, _), _)) = self.events.first_key_value() else { return false };
            if time > until {
                return false;
            }
            let (_, event) = self.events.pop_first().unwrap();
            self.now = self.now.max(time);
            self.handle(event);
        }
        true
    }

    /// Runs until every one of some nodes has a height, for at most so many milliseconds.
    #[track_caller]
    pub(crate) fn reach(&mut self, nodes: impl IntoIterator<Item = usize>, height: u64, ms: u64) {
        let nodes: Vec<usize> = nodes.into_iter().collect();
        let until = self.now + ms;
        let reached = self.run_while(until, |network| nodes.iter().any(|node| network.height(*node) < height));
        if !reached {
            let states: Vec<_> = self.nodes.iter().map(|node| node.machine.as_ref().map(Machine::status)).collect();
            let halts: Vec<_> = self.nodes.iter().map(|node| &node.halted).collect();
            panic!("height {height} is not reached by {nodes:?} in {ms} ms: {states:#?} {halts:?}");
        }
    }

    pub(crate) fn status(&self, index: usize) -> lian_pbft::Status {
        self.nodes[index].machine.as_ref().unwrap().status()
    }

    pub(crate) fn nobody_halted(&self) {
        for node in &self.nodes {
            assert_eq!(node.halted, None, "node {}", node.index);
        }
    }
}

fn kind(message: &Message) -> &'static str {
    match message {
        Message::PrePrepare(_) => "pre-prepare",
        Message::Vote(signed) => match signed.vote.phase {
            Phase::Prepare => "prepare",
            Phase::Commit => "commit",
            Phase::Checkpoint => "checkpoint",
            Phase::Replicated => "replicated",
        },
        Message::ViewChange(_) => "view-change",
        Message::NewView(_) => "new-view",
        Message::Heartbeat(_) => "heartbeat",
        Message::Certificate(_) => "certificate",
        Message::Ancestry(_) => "ancestry",
    }
}
