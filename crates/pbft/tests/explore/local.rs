//! One honest member in the exploration: the production machine with what its node does for it at once (signing, the vote
//! log, bodies, execution, the ledger), and one event at a time.

use crate::canon::canonical;
use crate::world::{Block, Id, Meaning, START, World, new_view_meaning, result, timing};
use alloy_primitives::{B256, keccak256};
use lian_crypto::Verified;
use lian_pbft::{BodiesVerdict, Config, Effect, Head, Input, LogCondition, Machine, Message, Recipient, Record, Stage};
use lian_types::{BlockNumber, Millis, ProposalDigest};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
};

/// What can happen to a member.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A timer fires: every one that runs is due.
    Tick,
    /// Messages arrive, one after the other.
    Deliver(Vec<Id>),
    /// The block that a certificate proves comes from another member's ledger.
    CatchUp(Id),
    /// The member crashes during another event, after the given number of persists and before anything that follows the
    /// last of them, and starts again from its records.
    Crash(Box<Event>, usize),
}

/// A member's state.
#[derive(Clone)]
pub(crate) struct Local {
    pub(crate) index: usize,
    pub(crate) machine: Machine,
    now: u64,
    records: Vec<Record>,
    head: Head,
    results: BTreeMap<BlockNumber, B256>,
    /// What began the view.
    entered: Option<Meaning>,
    /// What it has sent.
    pub(crate) sent: BTreeSet<Id>,
    /// What it took for ordered.
    pub(crate) ordered: BTreeMap<BlockNumber, ProposalDigest>,
    /// What it took for final.
    pub(crate) finals: BTreeMap<BlockNumber, Block>,
    pub(crate) crashes: u8,
    /// Whether a height reached a new stage in the last event. No part of the state.
    pub(crate) progressed: bool,
    /// What it did against the rules.
    pub(crate) wrong: Option<String>,
}

impl Local {
    /// A member at its start, connected to all others, with transactions in its pool.
    pub(crate) fn new(world: &mut World, index: usize) -> Self {
        let head = world.genesis_head();
        let mut local = Self {
            index,
            machine: machine(world, index, head.clone(), vec![]),
            now: START,
            records: Vec::new(),
            head,
            results: BTreeMap::new(),
            entered: None,
            sent: BTreeSet::new(),
            ordered: BTreeMap::new(),
            finals: BTreeMap::new(),
            crashes: 0,
            progressed: false,
            wrong: None,
        };
        local.start(world);
        local
    }

    fn start(&mut self, world: &mut World) {
        let mut inputs = vec![Input::Tick];
        for key in world.keys.iter().enumerate().filter(|(peer, _)| *peer != self.index).map(|(_, key)| key.public()) {
            inputs.push(Input::Peer { key, connected: true });
        }
        inputs.push(Input::Pool { ready: true, waiting_since: None });
        for input in inputs {
            self.feed(world, input, &mut usize::MAX.clone());
        }
    }

    /// The state after an event.
    pub(crate) fn after(&self, world: &mut World, event: &Event) -> Self {
        let mut next = self.clone();
        next.progressed = false;
        next.take(world, event, &mut usize::MAX.clone());
        next
    }

    /// How many persists an event leads to.
    pub(crate) fn persists(&self, world: &mut World, event: &Event) -> usize {
        let mut left = usize::MAX;
        self.clone().take(world, event, &mut left);
        usize::MAX - left
    }

    /// Whether an event can happen to it at all and may matter. A block comes from elsewhere only on top of the final one.
    /// A proposal of a later view counts for nothing before that view, so it may as well come then. Of the Byzantine
    /// member's view-changes for a view that this member does not lead only the view counts, so one of them is enough
    /// (the certificate that it may carry comes by itself).
    pub(crate) fn may_take(&self, world: &World, event: &Event) -> bool {
        let message = |id: &Id| &world.messages[usize::from(*id)].0;
        let status = self.machine.status();
        match event {
            Event::CatchUp(id) => {
                matches!(message(id), Meaning::Certificate((height, ..)) if *height == self.head.height.next())
            }
            Event::Deliver(ids) => ids.iter().all(|id| match message(id) {
                Meaning::PrePrepare(view, height, _) => *view == status.view && *height > status.height,
                Meaning::ViewChange(signer, view, base, prepared) => {
                    let plain = base.is_none() && prepared.is_empty();
                    let leads = view.0 == self.index as u64;
                    let faulty = usize::from(signer.0) == world.scope.byzantine;
                    *view > status.view && (plain || leads || !faulty) && !self.sent.contains(id)
                }
                Meaning::NewView(view, ..) => *view > status.view,
                Meaning::Certificate((height, ..)) | Meaning::Ancestry((height, ..)) => *height > status.height,
                Meaning::Vote(..) => true,
            }),
            Event::Tick | Event::Crash(..) => true,
        }
    }

    fn take(&mut self, world: &mut World, event: &Event, persists: &mut usize) {
        match event {
            Event::Tick => {
                self.now += 1;
                self.feed(world, Input::Tick, persists);
            }
            Event::Deliver(ids) => {
                for id in ids {
                    let message = world.messages[usize::from(*id)].1.clone();
                    let from = world.keys[world.scope.byzantine].public();
                    self.feed(world, Input::Message { from, message: Verified::assume(message) }, persists);
                }
            }
            Event::CatchUp(id) => {
                let Message::Certificate(certificate) = world.messages[usize::from(*id)].1.clone() else {
                    unreachable!("only certificates prove blocks")
                };
                let (height, digest, hash) = (certificate.height, certificate.digest, certificate.block_hash);
                self.results.insert(height, hash);
                self.finals.insert(height, (height, digest, hash));
                let time = world.proposals[&digest].time;
                self.head = Head { height, digest, hash, time, certificate: Some(certificate) };
                self.feed(world, Input::Final(self.head.clone()), persists);
            }
            Event::Crash(event, persists) => {
                let mut left = *persists;
                self.take(world, event, &mut left);
                self.crashes += 1;
                self.results.retain(|height, _| *height <= self.head.height);
                self.machine = machine(world, self.index, self.head.clone(), self.records.clone());
                self.start(world);
            }
        }
    }

    /// Feeds an input, and all that the node answers. `persists` counts down; at 0 the rest is lost.
    fn feed(&mut self, world: &mut World, input: Input, persists: &mut usize) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut effects = Vec::new();
            if *persists > 0 {
                self.machine.step(Millis(self.now), input, &mut effects);
            }
            for effect in effects {
                if *persists > 0 {
                    self.carry_out(world, effect, &mut inputs, persists);
                }
            }
        }
    }

    fn carry_out(&mut self, world: &mut World, effect: Effect, inputs: &mut VecDeque<Input>, persists: &mut usize) {
        match effect {
            Effect::Sign(statement) => {
                let signature = world.sign(self.index, &statement);
                inputs.push_back(Input::Signed { statement, signature });
            }
            Effect::Persist(records) => {
                for record in &records {
                    if let Record::NewView(signed) = record {
                        self.entered = Some(new_view_meaning(signed));
                    }
                }
                if world.scope.crashes > 0 {
                    self.records.extend(records);
                }
                *persists -= 1;
            }
            Effect::Send { to: Recipient::All, message } => self.send(world, &message),
            Effect::CheckBodies { digest, .. } => {
                inputs.push_back(Input::Bodies { digest, verdict: BodiesVerdict::Held });
            }
            Effect::Execute { digest, proposal } => {
                let height = proposal.height;
                let below = height.saturating_sub(1);
                let parent = if below == self.head.height { self.head.hash } else { self.results[&below] };
                let hash = result(parent, digest);
                self.results.insert(height, hash);
                inputs.push_back(Input::Executed { height, digest, parent, hash });
            }
            Effect::DiscardFrom(height) => {
                self.results.split_off(&height);
            }
            Effect::WantTransactions { height, view, time_min, .. } if height.0 <= world.scope.heights => {
                let transactions = vec![keccak256(b"pool")];
                inputs.push_back(Input::Transactions { height, view, transactions, time: time_min });
            }
            Effect::Certified { digest, hash, certificate, proposal } => {
                let held = world.is_valid(&Message::Certificate(certificate.as_ref().clone()));
                if let Err(error) = held {
                    self.blame(format!("takes a bad certificate for good: {error}: {certificate:?}"));
                }
                let height = proposal.height;
                self.finals.insert(height, (height, digest, hash));
                world.intern(&Message::Certificate(certificate.as_ref().clone()));
                let certificate = Some(certificate.as_ref().clone());
                self.head = Head { height, digest, hash, time: proposal.time, certificate };
                inputs.push_back(Input::Final(self.head.clone()));
            }
            Effect::Reached { height, digest, stage } => {
                self.progressed = true;
                if stage == Stage::Ordered
                    && self.ordered.insert(height, digest).is_some_and(|earlier| earlier != digest)
                {
                    self.blame(format!("orders two proposals at height {height}"));
                }
            }
            Effect::Halt(divergence) => self.blame(format!("halts: {divergence:?}")),
            _ => {}
        }
    }

    fn send(&mut self, world: &mut World, message: &Message) {
        // Whoever has the certificate makes an ancestry; reports change nothing that the timers may not change.
        if matches!(message, Message::Heartbeat(_) | Message::Ancestry(_)) {
            return;
        }
        if let Err(error) = world.is_valid(message) {
            self.blame(format!("sends what others refuse: {error}: {message:?}"));
        }
        let id = world.intern(message);
        if self.sent.insert(id)
            && let Some(other) = self.sent.iter().find(|other| **other != id && same_slot(world, id, **other))
        {
            let [one, two] = [id, *other].map(|id| &world.messages[usize::from(id)].0);
            self.blame(format!("signs two different things for one slot: {one:?} and {two:?}"));
        }
    }

    fn blame(&mut self, what: String) {
        self.wrong.get_or_insert(format!("member {} {what}", self.index));
    }

    /// What tells this state from others.
    pub(crate) fn fingerprint(&self, world: &World, text: &mut String) -> B256 {
        keccak256(self.canonical(world, text))
    }

    /// All that the state consists of, as bytes.
    pub(crate) fn canonical(&self, world: &World, text: &mut String) -> Vec<u8> {
        text.clear();
        write!(text, "{:?}", self.machine).unwrap();
        let mut bytes = Vec::with_capacity(text.len());
        canonical(text, self.index, world.scope.byzantine, world.scope.views, &mut bytes);
        text.clear();
        let facts = (self.index, &self.sent, &self.entered, &self.ordered, &self.finals, self.crashes, &self.wrong);
        write!(text, "{facts:?}").unwrap();
        if self.crashes < world.scope.crashes {
            write!(text, "{:?}", self.records).unwrap();
        }
        canonical(text, self.index, world.scope.byzantine, world.scope.views, &mut bytes);
        bytes
    }

    /// What it gives to others that ask: what it sent, what it entered its view by, and the proofs of its blocks.
    pub(crate) fn known(&self, world: &mut World) -> Vec<Id> {
        let mut known: Vec<Id> = self.sent.iter().copied().collect();
        known.extend(self.entered.as_ref().and_then(|meaning| world.find(meaning)));
        known.extend(self.finals.values().filter_map(|block| world.find(&Meaning::Certificate(*block))));
        known
    }

    /// What others can see of it, and what the properties speak of.
    pub(crate) fn looks_like(&self, other: &Self) -> bool {
        self.sent == other.sent
            && self.ordered == other.ordered
            && self.finals == other.finals
            && self.crashes == other.crashes
            && self.wrong == other.wrong
    }
}

fn machine(world: &World, index: usize, head: Head, records: Vec<Record>) -> Machine {
    let config = Config { rules: world.rules, timing: timing(), key: Some(world.keys[index].public()) };
    // What a log would give back: the bytes, decoded.
    let records = records.iter().map(|record| Record::decode(&record.encode()).unwrap()).collect();
    Machine::new(config, world.committees.clone(), head, records, LogCondition::Whole)
}

/// Whether two different messages of one member should not both exist.
fn same_slot(world: &World, one: Id, two: Id) -> bool {
    match [one, two].map(|id| &world.messages[usize::from(id)].0) {
        [Meaning::PrePrepare(view, height, _), Meaning::PrePrepare(v, h, _)] => (view, height) == (v, h),
        [Meaning::Vote(_, vote), Meaning::Vote(_, v)] => {
            (vote.view, vote.height, vote.phase) == (v.view, v.height, v.phase)
        }
        [Meaning::ViewChange(_, view, ..), Meaning::ViewChange(_, v, ..)] => view == v,
        [Meaning::NewView(view, ..), Meaning::NewView(v, ..)] => view == v,
        _ => false,
    }
}
