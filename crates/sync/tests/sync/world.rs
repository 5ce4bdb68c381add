//! A node that catches up among simulated peers of all characters.

use crate::chain::{CHAIN, TIP};
use alloy_primitives::B256;
use lian_sync::{
    BlockRequest, BlockWithCertificate, Effect, Input, Misbehaviour, Sync, SyncConfig, SyncMessage, SyncStatus, serve,
};
use lian_types::{Block, BlockNumber, ConsensusKey, Epoch, Millis, limits};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// How a peer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Character {
    Honest,
    /// Honest, but so slow that its first answers come late.
    Slow,
    /// Honest, and has only the newer half.
    Pruned,
    /// Honest, with a session that breaks after each few answers.
    Flaky,
    Silent,
    /// Says that it has far more, and serves what there is.
    Boaster,
    /// Has everything, and answers with nothing.
    Empty,
    /// Answers with one block, whatever was asked.
    OneByOne,
    DropsTransaction,
    /// Leaves a signature out.
    FewSignatures,
    /// Copies a signature of another block.
    ForeignSignature,
    OtherHeights,
    WrongNumbers,
}

use Character::{
    Boaster, DropsTransaction, Empty, FewSignatures, Flaky, ForeignSignature, Honest, OneByOne, OtherHeights, Pruned,
    Silent, Slow, WrongNumbers,
};

impl Character {
    const ALL: [Self; 13] = [
        Honest,
        Slow,
        Pruned,
        Flaky,
        Silent,
        Boaster,
        Empty,
        OneByOne,
        DropsTransaction,
        FewSignatures,
        ForeignSignature,
        OtherHeights,
        WrongNumbers,
    ];

    fn is_honest(self) -> bool {
        matches!(self, Honest | Slow | Pruned | Flaky)
    }

    fn status(self) -> SyncStatus {
        let height = if self == Boaster { u64::MAX } else { TIP };
        let oldest = if self == Pruned { TIP / 2 } else { 0 };
        let hash = CHAIN.anchor(TIP).hash;
        SyncStatus { epoch: Epoch(0), height: BlockNumber(height), hash, oldest: BlockNumber(oldest) }
    }

    fn answer(self, request: &BlockRequest) -> Option<(u64, Vec<BlockWithCertificate>)> {
        let SyncMessage::Blocks { request: number, mut blocks } = serve(request, |h| CHAIN.block(h.0).cloned()) else {
            return None;
        };
        match self {
            Silent => return None,
            Empty => blocks.clear(),
            OneByOne => blocks.truncate(1),
            OtherHeights => drop(blocks.drain(..blocks.len().min(1))),
            WrongNumbers => return Some((number + 1_000, blocks)),
            DropsTransaction => {
                for block in blocks.iter_mut().filter(|block| !block.block.transactions.is_empty()) {
                    Arc::<Block>::make_mut(&mut block.block).transactions.pop();
                }
            }
            FewSignatures => blocks.iter_mut().for_each(|block| block.certificate.signatures.truncate(2)),
            ForeignSignature => {
                let foreign = CHAIN.block(1).unwrap().certificate.signatures[0];
                for block in blocks.iter_mut().filter(|block| block.certificate.height.0 > 1) {
                    block.certificate.signatures[0] = foreign;
                }
            }
            Honest | Slow | Pruned | Flaky | Boaster => {}
        }
        Some((number, blocks))
    }
}

/// What happens at some time.
#[derive(Debug)]
enum Event {
    Input(Input),
    Connect(usize),
    /// Consensus makes the block of this height final here.
    Consensus(u64),
}

struct World {
    sync: Sync,
    characters: Vec<Character>,
    delays: Vec<u64>,
    now: u64,
    events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    height: u64,
    /// Hashes of blocks that a full check has passed.
    checked: BTreeSet<B256>,
    in_flight: BTreeMap<ConsensusKey, BTreeSet<u64>>,
    answers: Vec<u64>,
    evidence: Vec<(usize, Misbehaviour)>,
}

fn key(peer: usize) -> ConsensusKey {
    ConsensusKey([u8::try_from(peer).unwrap(); 33])
}

impl World {
    fn new(characters: &[Character], delays: &[u64], start: u64) -> Self {
        let sync = Sync::new(SyncConfig::new(8), CHAIN.anchor(start), Epoch(0), BlockNumber(0));
        let mut world = Self {
            sync,
            characters: characters.to_vec(),
            delays: delays.to_vec(),
            now: 0,
            events: BTreeMap::new(),
            next_event: 0,
            height: start,
            checked: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            answers: vec![0; characters.len()],
            evidence: vec![],
        };
        for peer in 0..characters.len() {
            world.at(10, Event::Connect(peer));
        }
        world
    }

    fn at(&mut self, delay: u64, event: Event) {
        self.events.insert((self.now + delay, self.next_event), event);
        self.next_event += 1;
    }

    /// Runs until the node has everything or time is over. Nothing but events and the machine's own deadline wakes it.
    fn run(&mut self, until: u64) {
        while (self.height != TIP || self.sync.is_active()) && self.now <= until {
            if self.sync.deadline().is_some_and(|deadline| deadline.0 <= self.now) {
                self.input(Input::Tick);
                let next = self.sync.deadline();
                assert!(next.is_none_or(|next| next.0 > self.now), "a tick at its deadline does nothing: {next:?}");
            }
            let event = self.events.first_key_value().map(|((time, _), _)| *time);
            let deadline = self.sync.deadline().map(|deadline| deadline.0);
            let Some(next) = event.into_iter().chain(deadline).min() else {
                panic!("at {} the machine waits for nothing at height {}", self.now, self.height)
            };
            self.now = next;
            match self.events.pop_first() {
                Some(((time, _), event)) if time == next => self.happen(event),
                Some((at, event)) => {
                    self.events.insert(at, event);
                }
                None => {}
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Input(input) => {
                if let Input::Blocks { peer, request, .. } = &input {
                    self.in_flight.entry(*peer).or_default().remove(request);
                }
                self.input(input);
            }
            Event::Connect(peer) => {
                self.in_flight.remove(&key(peer));
                self.input(Input::Connected(key(peer)));
                self.input(Input::Status { peer: key(peer), status: self.characters[peer].status() });
            }
            Event::Consensus(height) => self.reach(height),
        }
    }

    fn reach(&mut self, height: u64) {
        if height > self.height {
            self.height = height;
            let anchor = CHAIN.anchor(height);
            self.input(Input::Final { anchor, epoch: Epoch(0), oldest: BlockNumber(0) });
        }
    }

    fn input(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.sync.step(Millis(self.now), input, &mut effects);
        for effect in effects {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Send { peer, message: SyncMessage::GetBlocks(request) } => self.send(peer, &request),
            Effect::Verify { batch, parent, blocks } => {
                let result = CHAIN.checker().check_batch(parent, &blocks);
                if result.is_ok() {
                    self.checked.extend(blocks.iter().map(|block| block.certificate.block_hash));
                }
                let input = result.map_or_else(
                    |error| Input::Invalid { batch, error },
                    |_| Input::Verified { batch, count: blocks.len() },
                );
                self.at(30, Event::Input(input));
            }
            Effect::Apply { blocks } => {
                let first = blocks[0].certificate.height.0;
                assert!(first <= self.height + 1 || self.pending_apply(first), "a gap before {first}");
                for block in blocks.iter() {
                    assert!(self.checked.contains(&block.certificate.block_hash), "an unchecked block was applied");
                    assert_eq!(Some(block), CHAIN.block(block.certificate.height.0));
                }
                self.at(50, Event::Consensus(blocks[blocks.len() - 1].certificate.height.0));
            }
            Effect::Misbehaved { peer, evidence } => {
                let peer = usize::from(peer.0[0]);
                assert!(!self.characters[peer].is_honest(), "{:?} is accused: {evidence}", self.characters[peer]);
                self.evidence.push((peer, evidence));
            }
            Effect::Send { .. } | Effect::Behind { .. } | Effect::CaughtUp { .. } => {}
        }
    }

    /// Whether the block below `first` is on its way to become final.
    fn pending_apply(&self, first: u64) -> bool {
        self.events.values().any(|event| matches!(event, Event::Consensus(height) if *height + 1 >= first))
    }

    fn send(&mut self, to: ConsensusKey, request: &BlockRequest) {
        let peer = usize::from(to.0[0]);
        let character = self.characters[peer];
        assert!(request.count >= 1 && usize::try_from(request.count).unwrap() <= limits::SYNC_BLOCKS_MAX);
        assert!(character.status().oldest <= request.from && request.from <= character.status().height);
        self.in_flight.entry(to).or_default().insert(request.request);
        if !matches!(character, Silent | Slow) {
            assert!(self.in_flight[&to].len() <= limits::SYNC_PEER_REQUESTS_MAX, "{peer} is overloaded");
        }
        self.answers[peer] += 1;
        if character == Flaky && self.answers[peer].is_multiple_of(3) {
            self.at(5, Event::Input(Input::Disconnected(to)));
            self.at(400, Event::Connect(peer));
            return;
        }
        let delay = self.delays[peer] + if character == Slow { 9_000 } else { 0 };
        if let Some((request, blocks)) = character.answer(request) {
            self.at(delay, Event::Input(Input::Blocks { peer: to, request, blocks }));
        }
    }
}

fn catch_up(characters: &[Character], delays: &[u64], start: u64, consensus: &[(u64, u64)]) -> World {
    let mut world = World::new(characters, delays, start);
    for (time, height) in consensus {
        world.at(*time, Event::Consensus(*height));
    }
    world.run(30 * 60 * 1_000);
    assert_eq!(world.height, TIP, "at {} ms, after {:?}", world.now, world.evidence);
    world
}

#[test]
fn each_liar_beside_one_honest_peer() {
    for character in Character::ALL {
        let world = catch_up(&[character, Honest], &[20, 40], 0, &[]);
        let found = world.evidence.iter().map(|(peer, _)| *peer).collect::<Vec<_>>();
        if character.is_honest() || matches!(character, Silent | Boaster | Empty | OneByOne) {
            // These may not be asked often enough to be found out, but cost little time.
            assert!(world.now < 60_000, "{character:?} delays by {} ms", world.now);
        } else {
            assert_eq!(found, [0], "{character:?}: {:?}", world.evidence);
            assert!(world.now < 5_000, "{character:?} delays by {} ms", world.now);
        }
    }
}

#[test]
fn one_peer_is_enough_if_it_is_honest() {
    for character in [Honest, Slow, Flaky] {
        catch_up(&[character], &[100], 0, &[]);
    }
    // Two that have one half each.
    let world = catch_up(&[Pruned, Honest], &[10, 10], 0, &[]);
    assert!(world.answers.iter().all(|answers| *answers > 0), "both are asked: {:?}", world.answers);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the others do: with one honest peer a node catches up, applies only checked blocks, and accuses no
    /// honest peer.
    #[test]
    fn one_honest_peer_is_enough(
        others in prop::collection::vec((prop::sample::select(Character::ALL.to_vec()), 1u64..3_000), 0..7),
        place in 0usize..7,
        honest_delay in 1u64..2_000,
        start in 0u64..TIP,
        consensus in prop::collection::vec((0u64..20_000, 1u64..=TIP), 0..4),
    ) {
        let (mut characters, mut delays): (Vec<_>, Vec<_>) = others.into_iter().unzip();
        let place = place.min(characters.len());
        characters.insert(place, Honest);
        delays.insert(place, honest_delay);
        catch_up(&characters, &delays, start, &consensus);
    }
}
