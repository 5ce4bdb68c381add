//! The machine, step by step.

use crate::chain::{CHAIN, transaction};
use lian_sync::{
    Anchor, BatchId, BlockError, BlockRequest, Effect, Input, Misbehaviour, Sync, SyncConfig, SyncError, SyncMessage,
    SyncStatus,
};
use lian_types::{Block, BlockNumber, ConsensusKey, Epoch, Millis, limits};
use std::sync::Arc;

const A: ConsensusKey = ConsensusKey([1; 33]);
const B: ConsensusKey = ConsensusKey([2; 33]);
const WINDOW: u64 = 8;

struct Machine {
    sync: Sync,
    now: u64,
}

impl Machine {
    fn new(height: u64) -> Self {
        let anchor = CHAIN.anchor(height);
        Self { sync: Sync::new(SyncConfig::new(WINDOW), anchor, Epoch(0), BlockNumber(0)), now: 1_000_000 }
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.sync.step(Millis(self.now), input, &mut effects);
        effects
    }

    fn connect(&mut self, peer: ConsensusKey, height: u64) -> Vec<Effect> {
        let greeting = self.step(Input::Connected(peer));
        assert!(matches!(greeting.as_slice(), [Effect::Send { message: SyncMessage::Status(_), .. }]), "{greeting:?}");
        self.step(Input::Status { peer, status: status(height) })
    }

    fn answer(&mut self, request: &BlockRequest, peer: ConsensusKey, count: u64) -> Vec<Effect> {
        let blocks = CHAIN.range(request.from.0, count);
        self.step(Input::Blocks { peer, request: request.request, blocks })
    }

    fn reach(&mut self, height: u64) -> Vec<Effect> {
        self.step(Input::Final { anchor: CHAIN.anchor(height), epoch: Epoch(0), oldest: BlockNumber(0) })
    }

    /// Lets time pass up to the next deadline.
    fn wait(&mut self) -> Vec<Effect> {
        self.now = self.sync.deadline().unwrap().0;
        self.step(Input::Tick)
    }
}

fn status(height: u64) -> SyncStatus {
    let hash = CHAIN.anchor(height).hash;
    SyncStatus { epoch: Epoch(0), height: BlockNumber(height), hash, oldest: BlockNumber(0) }
}

fn requests(effects: &[Effect]) -> Vec<(ConsensusKey, BlockRequest)> {
    let request = |effect: &Effect| match effect {
        Effect::Send { peer, message: SyncMessage::GetBlocks(request) } => Some((*peer, *request)),
        _ => None,
    };
    effects.iter().filter_map(request).collect()
}

fn ranges(effects: &[Effect]) -> Vec<(ConsensusKey, u64, u32)> {
    requests(effects).into_iter().map(|(peer, request)| (peer, request.from.0, request.count)).collect()
}

fn verify(effects: &[Effect]) -> Option<(BatchId, Anchor, Vec<u64>)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Verify { batch, parent, blocks } => {
            Some((*batch, *parent, blocks.iter().map(|block| block.block.header.number).collect()))
        }
        _ => None,
    })
}

fn applied(effects: &[Effect]) -> Vec<u64> {
    let blocks = effects.iter().filter_map(|effect| match effect {
        Effect::Apply { blocks } => Some(blocks),
        _ => None,
    });
    blocks.flat_map(|blocks| blocks.iter().map(|block| block.block.header.number)).collect()
}

fn evidence(effects: &[Effect]) -> Vec<(ConsensusKey, Misbehaviour)> {
    let found = |effect: &Effect| match effect {
        Effect::Misbehaved { peer, evidence } => Some((*peer, evidence.clone())),
        _ => None,
    };
    effects.iter().filter_map(found).collect()
}

#[test]
fn different_ranges_are_asked_of_different_peers_and_verified_in_order() {
    let mut machine = Machine::new(0);
    let effects = machine.connect(A, 100);
    assert!(effects.contains(&Effect::Behind { target: BlockNumber(100) }));
    let from_a = requests(&effects);
    assert_eq!(ranges(&effects), [(A, 1, 32), (A, 33, 32)]);
    let effects = machine.connect(B, 100);
    assert_eq!(ranges(&effects), [(B, 65, 32), (B, 97, 4)]);
    let from_b = requests(&effects);

    // What comes early waits.
    assert_eq!(machine.answer(&from_b[0].1, B, 32), []);
    let effects = machine.answer(&from_a[0].1, A, 32);
    let (batch, parent, heights) = verify(&effects).unwrap();
    assert_eq!((parent, heights), (CHAIN.genesis, (1..=32).collect()));
    assert_eq!(applied(&effects), [] as [u64; 0], "nothing is applied unverified");
    assert_eq!(machine.answer(&from_a[1].1, A, 32), []);
    let effects = machine.step(Input::Verified { batch, count: usize::MAX });
    assert_eq!(applied(&effects), (1..=32).collect::<Vec<_>>());
    let (batch, parent, heights) = verify(&effects).unwrap();
    assert_eq!((parent, heights), (CHAIN.anchor(32), (33..=64).collect()));
    assert_eq!(machine.step(Input::Verified { batch, count: usize::MAX }).len(), 2);
    // An answer that is shorter than asked leaves the rest to be asked again.
    let effects = machine.answer(&from_b[1].1, B, 1);
    assert_eq!(ranges(&effects), [(A, 98, 3)]);
    assert!(machine.sync.is_active());
}

#[test]
fn consensus_serves_who_is_less_than_a_window_behind() {
    let mut machine = Machine::new(10);
    assert_eq!(machine.connect(A, 10 + WINDOW), []);
    assert!(!machine.sync.is_active());
    // As long as it gets on.
    machine.now += limits::SYNC_STALLED_MS - 1;
    machine.step(Input::Tick);
    machine.reach(11);
    machine.now += limits::SYNC_STALLED_MS - 1;
    machine.step(Input::Tick);
    assert!(!machine.sync.is_active());
    let effects = machine.wait();
    let effects = if machine.sync.is_active() { effects } else { machine.wait() };
    assert_eq!(ranges(&effects), [(A, 12, 7)]);
    // One that is farther behind does not wait.
    let mut machine = Machine::new(10);
    assert_eq!(ranges(&machine.connect(A, 10 + WINDOW + 1)), [(A, 11, 9)]);
}

#[test]
fn catching_up_ends_when_the_last_block_is_final() {
    let mut machine = Machine::new(0);
    let effects = machine.connect(A, 20);
    let (batch, _, _) = verify(&machine.answer(&requests(&effects)[0].1, A, 20)).unwrap();
    assert_eq!(applied(&machine.step(Input::Verified { batch, count: usize::MAX })).len(), 20);
    assert!(!machine.reach(19).iter().any(|effect| matches!(effect, Effect::CaughtUp { .. })));
    let effects = machine.reach(20);
    assert!(effects.contains(&Effect::CaughtUp { height: BlockNumber(20) }), "{effects:?}");
    assert!(!machine.sync.is_active());
    // Peers learn of it, but not more often than the interval says.
    machine.now += limits::SYNC_STATUS_MS;
    let reports = machine.step(Input::Tick);
    assert_eq!(reports, [Effect::Send { peer: A, message: SyncMessage::Status(status(20)) }]);
    assert_eq!(machine.sync.deadline(), None, "an idle node is silent");
}

/// Members change in block 12, say, with a window of 9: who decides block 21 is known when block 20 is final here.
#[test]
fn blocks_wait_until_it_is_known_who_decides_them() {
    let mut machine = Machine::new(0);
    let sent = requests(&machine.connect(A, 100));
    let (batch, _, _) = verify(&machine.answer(&sent[0].1, A, 32)).unwrap();
    let effects = machine.step(Input::Verified { batch, count: 20 });
    assert_eq!(applied(&effects), (1..=20).collect::<Vec<_>>());
    assert_eq!(verify(&effects), None);
    // What comes meanwhile waits as well, and nothing is asked for twice.
    let effects = machine.answer(&sent[1].1, A, 32);
    assert_eq!((verify(&effects), applied(&effects)), (None, vec![]));
    assert_eq!(verify(&machine.reach(19)), None);
    let effects = machine.reach(20);
    assert!(ranges(&effects).iter().all(|(_, from, _)| *from > 64), "{:?}", ranges(&effects));
    let (batch, parent, heights) = verify(&effects).unwrap();
    assert_eq!((parent, heights), (CHAIN.anchor(20), (21..=32).collect()));
    let effects = machine.step(Input::Verified { batch, count: 12 });
    assert_eq!(applied(&effects), (21..=32).collect::<Vec<_>>());
    assert_eq!(verify(&effects).unwrap().1, CHAIN.anchor(32));
}

#[test]
fn blocks_that_consensus_finalised_meanwhile_are_not_asked_again() {
    let mut machine = Machine::new(0);
    let effects = machine.connect(A, 100);
    let sent = requests(&effects);
    machine.reach(40);
    // The first answer is of no use any more, the second in part.
    assert_eq!(verify(&machine.answer(&sent[0].1, A, 32)), None);
    let effects = machine.answer(&sent[1].1, A, 32);
    let (batch, parent, heights) = verify(&effects).unwrap();
    assert_eq!((parent, heights), (CHAIN.anchor(40), (41..=64).collect()));
    // Consensus overtakes the batch while it is checked.
    machine.reach(64);
    assert_eq!(applied(&machine.step(Input::Verified { batch, count: usize::MAX })), [] as [u64; 0]);
}

#[test]
fn what_is_late_is_asked_of_another() {
    let mut machine = Machine::new(0);
    let late = requests(&machine.connect(A, 60))[0].1;
    machine.connect(B, 60);
    let effects = machine.wait();
    assert_eq!(ranges(&effects), [(B, 1, 32), (B, 33, 28)]);
    assert_eq!(evidence(&effects), []);
    // The late answer is no crime, and of no use.
    assert_eq!(machine.answer(&late, A, 32), []);
    // Its session breaks: B's part is asked again, of the one who is left.
    let effects = machine.step(Input::Disconnected(B));
    assert_eq!(ranges(&effects), [(A, 1, 16), (A, 17, 16)]);
}

#[test]
fn every_lie_ends_it() {
    type Lie = fn(&mut Machine, BlockRequest) -> Vec<Effect>;
    type Expected = fn(&Misbehaviour) -> bool;
    let table: &[(&str, Lie, Expected)] = &[
        (
            "more than asked",
            |m, r| m.answer(&r, A, 33),
            |e| *e == Misbehaviour::WrongBlocks { from: BlockNumber(1), count: 32 },
        ),
        (
            "other heights",
            |m, r| m.answer(&BlockRequest { from: BlockNumber(2), ..r }, A, 5),
            |e| matches!(e, Misbehaviour::WrongBlocks { .. }),
        ),
        (
            "never asked",
            |m, r| m.answer(&BlockRequest { request: 99, ..r }, A, 5),
            |e| *e == Misbehaviour::Unrequested(99),
        ),
        (
            "bad block",
            |m, r| {
                let (batch, _, _) = verify(&m.answer(&r, A, 32)).unwrap();
                let error = SyncError { height: BlockNumber(3), error: BlockError::Transactions };
                m.step(Input::Invalid { batch, error })
            },
            |e| matches!(e, Misbehaviour::BadBlock(error) if error.height == BlockNumber(3)),
        ),
        (
            "never delivers",
            |m, r| {
                let mut effects = m.answer(&r, A, 0);
                while evidence(&effects).is_empty() {
                    let next = requests(&effects)[0].1;
                    effects = m.answer(&next, A, 0);
                }
                effects
            },
            |e| *e == Misbehaviour::Withheld { height: BlockNumber(1) },
        ),
        (
            "endless small answers",
            |m, r| {
                let mut effects = m.answer(&r, A, 1);
                let mut answers = 1;
                while evidence(&effects).is_empty() {
                    let next = requests(&effects)[0].1;
                    effects = m.answer(&next, A, 1);
                    answers += 1;
                }
                assert_eq!(answers, limits::SYNC_STRIKES_MAX);
                effects
            },
            |e| *e == Misbehaviour::ShortAnswers(limits::SYNC_STRIKES_MAX),
        ),
        (
            "silence",
            |m, _| {
                let mut effects = m.wait();
                while evidence(&effects).is_empty() {
                    effects = m.wait();
                }
                effects
            },
            |e| matches!(e, Misbehaviour::Unresponsive(_)),
        ),
        (
            "another chain",
            |m, _| m.step(Input::Status { peer: A, status: SyncStatus { hash: CHAIN.anchor(9).hash, ..status(0) } }),
            |e| matches!(e, Misbehaviour::Forked { .. }),
        ),
    ];
    for (name, lie, expected) in table {
        let mut machine = Machine::new(0);
        let request = requests(&machine.connect(A, 60))[0].1;
        let effects = lie(&mut machine, request);
        let found = evidence(&effects);
        assert!(found.len() == 1 && found[0].0 == A && expected(&found[0].1), "{name}: {found:?}");
        assert_eq!(ranges(&effects), [], "{name}: it is not asked again");
        // A new session does not wash it clean, and another peer is asked for everything.
        machine.step(Input::Disconnected(A));
        machine.step(Input::Connected(A));
        assert_eq!(ranges(&machine.step(Input::Status { peer: A, status: status(60) })), [], "{name}");
        let effects = machine.connect(B, 60);
        let asked = ranges(&effects);
        assert!(
            asked.iter().all(|(peer, ..)| *peer == B) && asked.first().is_some_and(|(_, from, _)| *from <= 9),
            "{name}"
        );
        // After a while it may try again.
        machine.now += limits::SYNC_BAN_MS;
        machine.step(Input::Tick);
        let effects = machine.step(Input::Status { peer: A, status: status(60) });
        assert_eq!(evidence(&effects), [], "{name}");
    }
}

#[test]
fn memory_is_bounded_whatever_peers_claim() {
    let mut machine = Machine::new(0);
    let far = SyncStatus { height: BlockNumber(u64::MAX), ..status(0) };
    let mut asked = 0u64;
    for i in 0..=u8::MAX {
        let peer = ConsensusKey([i; 33]);
        machine.step(Input::Connected(peer));
        let effects = machine.step(Input::Status { peer, status: SyncStatus { hash: far.hash, ..far } });
        let sent = ranges(&effects);
        assert!(sent.len() <= limits::SYNC_PEER_REQUESTS_MAX);
        asked += u64::try_from(sent.len()).unwrap();
    }
    let most = u64::try_from(limits::SYNC_BUFFER_BYTES_MAX / limits::SYNC_RESPONSE_BYTES_MAX).unwrap();
    assert_eq!(asked, most);
}

/// A full buffer of later blocks must not keep the node from asking for the very next ones.
#[test]
fn the_next_blocks_are_asked_for_even_where_memory_is_full() {
    let mut machine = Machine::new(0);
    let mut sent = Vec::new();
    for i in 0..8 {
        sent.extend(requests(&machine.connect(ConsensusKey([i; 33]), 100_000)));
    }
    let first = sent[0].0;
    for (peer, request) in sent.iter().filter(|(peer, _)| *peer != first) {
        let mut blocks = CHAIN.range(1, 3);
        for (height, block) in (request.from.0..).zip(&mut blocks) {
            let block_ = Arc::<Block>::make_mut(&mut block.block);
            block_.header.number = height;
            block_.transactions = vec![transaction(1, 1); limits::SYNC_RESPONSE_BYTES_MAX / 100];
            block.certificate.height = BlockNumber(height);
        }
        machine.step(Input::Blocks { peer: *peer, request: request.request, blocks });
    }
    assert_eq!(ranges(&machine.step(Input::Tick)), [], "memory is full");
    let effects = machine.step(Input::Disconnected(first));
    let asked = ranges(&effects);
    assert_eq!(asked.iter().map(|(_, from, _)| *from).collect::<Vec<_>>(), [1], "{asked:?}");
}

#[test]
fn nobody_answers_for_another() {
    let mut machine = Machine::new(0);
    let request = requests(&machine.connect(A, 60))[0].1;
    machine.connect(B, 60);
    assert_eq!(machine.answer(&request, B, 32), []);
    assert!(verify(&machine.answer(&request, A, 32)).is_some());
}

/// Evidence of consensus that a peer is ahead is enough to begin.
#[test]
fn a_claim_of_consensus_begins_it() {
    let mut machine = Machine::new(5);
    machine.step(Input::Connected(A));
    let effects = machine.step(Input::Claim { peer: A, height: BlockNumber(30) });
    assert_eq!(ranges(&effects), [(A, 6, 25)]);
    assert_eq!(machine.sync.target(), BlockNumber(30));
}

/// Consensus saw that an honest peer knew of blocks which it did not have itself yet. After three empty answers it was left
/// as a liar for ten minutes, and in a small group nobody else could be asked.
#[test]
fn who_only_knows_of_a_block_is_not_taken_for_a_liar() {
    let mut machine = Machine::new(5);
    machine.connect(A, 5);
    for _ in 0..10 {
        let mut effects = machine.step(Input::Claim { peer: A, height: BlockNumber(30) });
        while requests(&effects).is_empty() {
            effects = machine.wait();
        }
        let request = requests(&effects)[0].1;
        assert_eq!(evidence(&machine.answer(&request, A, 0)), []);
    }
    let mut effects = machine.step(Input::Status { peer: A, status: status(30) });
    while requests(&effects).is_empty() {
        effects = machine.wait();
    }
    assert_eq!(ranges(&effects), [(A, 6, 25)], "it is asked again when it says that it has them");
}
