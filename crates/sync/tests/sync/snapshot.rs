//! A new node that fetches a snapshot from peers of all characters.

use alloy_primitives::B256;
use lian_crypto::Suite;
use lian_sync::{
    SnapshotConfig, SnapshotEffect, SnapshotInput, SnapshotMessage, SnapshotMisbehaviour, SnapshotOffer, SnapshotPlan,
    SnapshotSync,
};
use lian_types::{BlockNumber, ConsensusKey, Millis, limits};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const SUITE: Suite = Suite::Standard;
const HEIGHT: BlockNumber = BlockNumber(10_000);

/// How a peer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Character {
    Honest,
    /// Honest, without a snapshot.
    Without,
    /// Honest, and removes its snapshot after some chunks.
    Forgetful,
    /// Offers a manifest that nobody certified.
    WrongManifest,
    /// Changes a byte in every chunk.
    WrongChunks,
    /// Offers, with a true certificate, chunks of its own making.
    WrongState,
    /// Offers, and answers nothing else.
    Stalls,
    Silent,
}

use Character::{Forgetful, Honest, Silent, Stalls, Without, WrongChunks, WrongManifest, WrongState};

impl Character {
    const ALL: [Self; 8] = [Honest, Without, Forgetful, WrongManifest, WrongChunks, WrongState, Stalls, Silent];

    const fn is_honest(self) -> bool {
        matches!(self, Honest | Without | Forgetful)
    }

    fn chunks(self) -> Vec<Vec<u8>> {
        let lie = u8::from(self == WrongState);
        (0..9).map(|i| vec![i + 100 * lie; 10 + usize::from(i)]).collect()
    }

    fn plan(self) -> SnapshotPlan {
        let chunks: Vec<_> =
            self.chunks().iter().map(|chunk| (SUITE.hash(chunk), u32::try_from(chunk.len()).unwrap())).collect();
        let content = if self == WrongManifest { B256::repeat_byte(7) } else { SUITE.hash(&self.chunks().concat()) };
        SnapshotPlan { offer: SnapshotOffer { height: HEIGHT, content }, chunks }
    }
}

/// The machine, its peers, and the disk of the node.
struct World {
    sync: SnapshotSync,
    characters: Vec<Character>,
    now: u64,
    events: BTreeMap<(u64, u64), SnapshotInput>,
    next: u64,
    plan: Option<SnapshotPlan>,
    disk: BTreeMap<u32, Vec<u8>>,
    served: BTreeMap<usize, usize>,
    asked: Vec<u32>,
    evidence: Vec<(usize, SnapshotMisbehaviour)>,
    end: Option<Result<(), &'static str>>,
}

fn key(peer: usize) -> ConsensusKey {
    ConsensusKey([u8::try_from(peer).unwrap(); 33])
}

impl World {
    fn new(characters: &[Character], kept: Option<(SnapshotPlan, BTreeMap<u32, Vec<u8>>)>) -> Self {
        let config = SnapshotConfig { suite: SUITE, height_min: BlockNumber(5_000), peers_min: characters.len() };
        let durable = kept.as_ref().map(|(plan, disk)| (plan.clone(), disk.keys().copied().collect::<BTreeSet<_>>()));
        let (plan, disk) = kept.map_or((None, BTreeMap::new()), |(plan, disk)| (Some(plan), disk));
        let mut world = Self {
            sync: SnapshotSync::new(Millis(0), config, durable),
            characters: characters.to_vec(),
            now: 0,
            events: BTreeMap::new(),
            next: 0,
            plan,
            disk,
            served: BTreeMap::new(),
            asked: vec![],
            evidence: vec![],
            end: None,
        };
        for peer in 0..characters.len() {
            world.later(10 + peer as u64, SnapshotInput::Connected(key(peer)));
        }
        world
    }

    fn later(&mut self, delay: u64, input: SnapshotInput) {
        self.events.insert((self.now + delay, self.next), input);
        self.next += 1;
    }

    /// Runs until the machine ends, or has stored so many chunks.
    fn run(&mut self, stored: usize) {
        for _ in 0..10_000 {
            if self.end.is_some() || self.disk.len() >= stored {
                return;
            }
            let event = self.events.first_key_value().map(|((at, _), _)| *at).unwrap_or(u64::MAX);
            let due = self.sync.deadline().map_or(u64::MAX, |deadline| deadline.0.max(self.now));
            let mut effects = vec![];
            if due < event {
                self.now = due;
                self.sync.step(Millis(due), SnapshotInput::Tick, &mut effects);
            } else {
                let ((at, _), input) = self.events.pop_first().unwrap();
                self.now = at;
                self.sync.step(Millis(at), input, &mut effects);
            }
            effects.into_iter().for_each(|effect| self.perform(effect));
        }
        panic!("it never ends");
    }

    fn perform(&mut self, effect: SnapshotEffect) {
        match effect {
            SnapshotEffect::Send { peer, message } => self.serve(usize::from(peer.0[0]), message),
            SnapshotEffect::Check { offer, bytes } => {
                let found = self.characters.iter().find(|character| bytes == [**character as u8]).unwrap();
                let plan = found.plan();
                assert_eq!(plan.offer, offer);
                let outcome = if *found == WrongManifest { Err("no quorum".to_owned()) } else { Ok(plan) };
                self.plan = outcome.as_ref().ok().cloned();
                self.later(5, SnapshotInput::Checked(outcome));
            }
            SnapshotEffect::Store { index, bytes } => {
                assert_eq!(self.disk.insert(index, bytes), None, "chunk {index} is fetched twice");
                self.later(2, SnapshotInput::Stored(index));
            }
            SnapshotEffect::Load(plan) => {
                assert_eq!(self.plan.as_ref(), Some(&plan));
                let bytes: Vec<_> = self.disk.values().cloned().collect();
                let outcome = if bytes == Honest.chunks() { Ok(()) } else { Err("another state root".to_owned()) };
                self.later(50, SnapshotInput::Loaded(outcome));
            }
            SnapshotEffect::Discard => {
                self.disk.clear();
                self.plan = None;
            }
            SnapshotEffect::Misbehaved { peer, evidence } => self.evidence.push((usize::from(peer.0[0]), evidence)),
            SnapshotEffect::Done => self.end = Some(Ok(())),
            SnapshotEffect::GiveUp(why) => self.end = Some(Err(why)),
        }
    }

    fn serve(&mut self, peer: usize, message: SnapshotMessage) {
        let character = self.characters[peer];
        let served = self.served.entry(peer).or_default();
        let gone = character == Forgetful && *served > 2;
        let offer = character.plan().offer;
        let message = match message {
            _ if character == Silent => return,
            SnapshotMessage::GetOffers => {
                let offers = if gone || character == Without { vec![] } else { vec![offer] };
                SnapshotMessage::Offers { head: BlockNumber(10_050), offers }
            }
            _ if character == Stalls => return,
            SnapshotMessage::GetManifest { height } => {
                SnapshotMessage::Manifest { height, bytes: if gone { vec![] } else { vec![character as u8] } }
            }
            SnapshotMessage::GetChunk { height, index } => {
                self.asked.push(index);
                *served += 1;
                let mut bytes = character.chunks()[usize::try_from(index).unwrap()].clone();
                if character == WrongChunks {
                    bytes[3] ^= 1;
                }
                SnapshotMessage::Chunk { height, index, bytes: if gone { vec![] } else { bytes } }
            }
            _ => panic!("a new node says nothing else"),
        };
        self.later(20 + peer as u64, SnapshotInput::Message { peer: key(peer), message });
    }

    fn assert_only_liars_are_left(&self) {
        let innocent = self.evidence.iter().find(|(peer, _)| self.characters[*peer].is_honest());
        assert_eq!(innocent, None, "{:?}", self.characters);
    }
}

fn run(characters: &[Character]) -> World {
    let mut world = World::new(characters, None);
    world.run(usize::MAX);
    world.assert_only_liars_are_left();
    world
}

#[test]
fn chunks_come_from_all_peers_each_once() {
    let world = run(&[Honest, Honest, Honest]);
    assert_eq!(world.end, Some(Ok(())));
    let mut asked = world.asked.clone();
    asked.sort_unstable();
    assert_eq!(asked, (0..9).collect::<Vec<_>>());
    assert!(world.served.values().all(|served| *served > 0), "{:?}", world.served);
    assert!(world.now < 1_000, "took {} ms", world.now);
}

#[test]
fn a_lying_snapshot_peer_is_detected_and_left() {
    type Proof = fn(&SnapshotMisbehaviour) -> bool;
    let table: [(Character, Proof); 4] = [
        (WrongManifest, |evidence| matches!(evidence, SnapshotMisbehaviour::WrongManifest(_))),
        (WrongChunks, |evidence| matches!(evidence, SnapshotMisbehaviour::WrongChunk(_))),
        (WrongState, |evidence| matches!(evidence, SnapshotMisbehaviour::WrongState(_))),
        (Stalls, |evidence| matches!(evidence, SnapshotMisbehaviour::Unresponsive(3))),
    ];
    for (liar, proof) in table {
        // The liars are more, so that what they offer is chosen first.
        let world = run(&[liar, liar, Honest]);
        assert_eq!(world.end, Some(Ok(())), "{liar:?}");
        assert!(world.evidence.iter().any(|(_, evidence)| proof(evidence)), "{liar:?}: {:?}", world.evidence);
    }
}

#[test]
fn a_restart_fetches_only_what_is_not_on_disk() {
    let mut world = World::new(&[Honest, Honest], None);
    world.run(4);
    let (plan, disk) = (world.plan.unwrap(), world.disk);
    let kept: BTreeSet<_> = disk.keys().copied().collect();
    let mut again = World::new(&[Honest, Honest], Some((plan.clone(), disk.clone())));
    again.run(usize::MAX);
    assert_eq!(again.end, Some(Ok(())));
    assert!(again.asked.iter().all(|index| !kept.contains(index)), "{kept:?} asked {:?}", again.asked);
    // Where nobody has it any more, it is dropped.
    let mut other = World::new(&[Without, Without], Some((plan, disk)));
    other.run(usize::MAX);
    assert_eq!((other.end, other.disk.len()), (Some(Err("no peer has a snapshot that is worth it")), 0));
}

#[test]
fn a_short_chain_is_begun_with_block_0_at_once() {
    let config = SnapshotConfig { suite: SUITE, height_min: BlockNumber(5_000), peers_min: 3 };
    let mut sync = SnapshotSync::new(Millis(0), config, None);
    let mut effects = vec![];
    for peer in 0..2 {
        sync.step(Millis(10), SnapshotInput::Connected(key(peer)), &mut effects);
        assert_eq!(effects.len(), 1);
        effects.clear();
    }
    // New nodes of a new network tell each other that there is nothing.
    sync.step(Millis(20), SnapshotInput::Message { peer: key(0), message: SnapshotMessage::GetOffers }, &mut effects);
    let nothing = SnapshotMessage::Offers { head: BlockNumber(0), offers: vec![] };
    assert_eq!(effects, [SnapshotEffect::Send { peer: key(0), message: nothing.clone() }]);
    effects.clear();
    for peer in 0..2 {
        sync.step(Millis(30), SnapshotInput::Message { peer: key(peer), message: nothing.clone() }, &mut effects);
    }
    assert_eq!(effects, [SnapshotEffect::GiveUp("the chain is short")]);
    assert_eq!(sync.deadline(), None);
}

#[test]
fn nobody_to_ask_is_waited_for_only_so_long() {
    let world = run(&[Silent, Silent]);
    assert_eq!(world.end, Some(Err("the chain is short")));
    assert_eq!(world.now, limits::SNAPSHOT_FIRST_ANSWER_MS);
}

fn characters() -> impl Strategy<Value = Vec<Character>> {
    proptest::collection::vec(proptest::sample::select(&Character::ALL[..]), 1..7)
}

proptest! {
    #[test]
    fn it_ends_and_never_with_a_wrong_state(characters in characters()) {
        let world = run(&characters);
        if world.end == Some(Ok(())) {
            prop_assert_eq!(world.disk.values().cloned().collect::<Vec<_>>(), Honest.chunks());
        }
        if characters.contains(&Honest) {
            prop_assert_eq!(world.end, Some(Ok(())));
        }
    }

    #[test]
    fn messages_survive_their_bytes(height: u64, index: u32, bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
        let height = BlockNumber(height);
        let offer = SnapshotOffer { height, content: SUITE.hash(&bytes) };
        for message in [
            SnapshotMessage::GetOffers,
            SnapshotMessage::Offers { head: height, offers: vec![offer; bytes.len() % 9] },
            SnapshotMessage::GetManifest { height },
            SnapshotMessage::Manifest { height, bytes: bytes.clone() },
            SnapshotMessage::GetChunk { height, index },
            SnapshotMessage::Chunk { height, index, bytes: bytes.clone() },
        ] {
            prop_assert_eq!(SnapshotMessage::decode(&message.encode()), Ok(message));
        }
        if let Ok(message) = SnapshotMessage::decode(&bytes) {
            prop_assert_eq!(message.encode(), bytes);
        }
    }
}
