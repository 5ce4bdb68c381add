//! Whatever fails and whenever the node is killed: every event arrives, for the first time in order.

use alloy_primitives::{Address, B256, Log, TxHash};
use lian_hooks::{Action, Cursor, CursorFile, Input, Scan, Schedule};
use lian_ledger::FoundLog;
use lian_types::{BlockNumber, GroupId, Millis};
use proptest::prelude::*;
use std::path::Path;

const CONTRACT: Address = Address::repeat_byte(7);
/// Steps after which nothing fails any more, so that a run ends.
const TROUBLE_STEPS: usize = 400;

/// How an action goes.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Done,
    /// The service refuses, or the answer is lost after it took the event; a disk or the ledger fails.
    Fails {
        taken: bool,
    },
    /// The node is killed, before or after the action had its effect.
    Killed {
        done: bool,
    },
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        4 => Just(Fate::Done),
        2 => any::<bool>().prop_map(|taken| Fate::Fails { taken }),
        1 => any::<bool>().prop_map(|done| Fate::Killed { done }),
    ];
    prop::collection::vec(fate, 0..TROUBLE_STEPS)
}

/// A chain as a hook sees it: for each block the positions of the events that it tells.
#[derive(Clone, Debug)]
struct World {
    blocks: Vec<Vec<usize>>,
    /// Most blocks that are looked at in one go.
    stride: usize,
    /// What has arrived.
    heard: Vec<(u64, usize)>,
    time: u64,
}

fn blocks() -> impl Strategy<Value = Vec<Vec<usize>>> {
    let some = prop::collection::btree_set(0..9_usize, 1..4).prop_map(|logs| logs.into_iter().collect());
    let block = prop_oneof![3 => Just(vec![]), 2 => some];
    prop::collection::vec(block, 1..25)
}

fn hash(block: u64) -> B256 {
    B256::left_padding_from(&block.to_be_bytes())
}

impl World {
    /// The last block, of which each stands for a height.
    fn head(&self) -> u64 {
        u64::try_from(self.blocks.len()).unwrap() - 1
    }

    fn all(&self) -> Vec<(u64, usize)> {
        (0..).zip(&self.blocks).flat_map(|(block, logs)| logs.iter().map(move |index| (block, *index))).collect()
    }

    fn scan(&self, cursor: &Cursor) -> Option<Scan> {
        let first = cursor.next_block().0;
        let last = self.head().min(first + u64::try_from(self.stride).unwrap());
        let logs_of = |block: u64| &self.blocks[usize::try_from(block).unwrap()];
        let block = (first..=last).find(|block| !logs_of(*block).is_empty() || *block == last)?;
        let found = |index: &usize| FoundLog {
            block: BlockNumber(block),
            block_hash: hash(block),
            timestamp: block,
            transaction: TxHash::ZERO,
            transaction_index: 0,
            log_index: *index,
            log: Log::default(),
        };
        let logs = logs_of(block).iter().map(found).collect();
        Some(Scan { block: BlockNumber(block), hash: hash(block), logs })
    }

    /// Lets an action have its effect.
    fn perform(&mut self, action: &Action, file: &CursorFile) -> Input {
        match action {
            Action::Save(cursor) => {
                file.write(cursor).unwrap();
                Input::Saved
            }
            Action::Read(cursor) => Input::Found(self.scan(cursor)),
            Action::Send(log) => {
                self.heard.push((log.block.0, log.log_index));
                Input::Taken
            }
            Action::Wait(time) => {
                self.time += time.0;
                Input::Woken
            }
            Action::Await(_) | Action::End(_) => panic!("{action:?}"),
        }
    }

    /// Runs a hook until it waits for a block that is not there, or is killed.
    fn run(&mut self, file: &CursorFile, fates: &mut impl Iterator<Item = Fate>) -> bool {
        let found = file.read().unwrap();
        let cursor = found.clone().unwrap_or_else(|| Cursor::before(GroupId(0), CONTRACT, BlockNumber(0)));
        let mut schedule = Schedule::new(cursor, found.is_some());
        let mut action = schedule.begin();
        loop {
            if action == Action::Await(BlockNumber(self.head() + 1)) {
                return true;
            }
            let input = match fates.next().unwrap_or(Fate::Done) {
                Fate::Killed { done } => {
                    if done {
                        self.perform(&action, file);
                    }
                    return false;
                }
                Fate::Fails { taken } if !matches!(action, Action::Wait(_)) => {
                    if taken && matches!(action, Action::Send(_)) {
                        self.perform(&action, file);
                    }
                    Input::Failed("planned".to_owned())
                }
                Fate::Done | Fate::Fails { .. } => self.perform(&action, file),
            };
            action = schedule.step(Millis(self.time), input).action;
        }
    }
}

/// What arrived, each once, where it arrived first.
fn first_arrivals(heard: &[(u64, usize)]) -> Vec<(u64, usize)> {
    let mut first: Vec<(u64, usize)> = Vec::new();
    for event in heard {
        if !first.contains(event) {
            first.push(*event);
        }
    }
    first
}

fn check(blocks: Vec<Vec<usize>>, stride: usize, fates: Vec<Fate>, folder: &Path) {
    let file = CursorFile::new(folder.join("erp.json"), GroupId(0), CONTRACT);
    let mut world = World { blocks, stride, heard: vec![], time: 0 };
    let calm = fates.is_empty();
    let mut fates = fates.into_iter();
    while !world.run(&file, &mut fates) {}
    assert_eq!(first_arrivals(&world.heard), world.all());
    if calm {
        assert_eq!(world.heard, world.all(), "without trouble, each arrives once");
    }
    // Who starts once more, with nothing new, hears nothing again but what the last cursor on disk stands before.
    let before = world.heard.len();
    assert!(world.run(&file, &mut std::iter::empty()));
    assert_eq!(world.heard.len(), before);
}

proptest! {
    // Each case writes to the disk dozens of times.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_event_arrives_in_order(blocks in blocks(), stride in 0..5_usize, fates in fates()) {
        let folder = tempfile::tempdir().unwrap();
        check(blocks, stride, fates, folder.path());
    }

    #[test]
    fn without_trouble_once(blocks in blocks(), stride in 0..5_usize) {
        let folder = tempfile::tempdir().unwrap();
        check(blocks, stride, vec![], folder.path());
    }
}

/// One thing that goes wrong, at each step in turn.
#[test]
fn one_trouble_at_each_step() {
    let troubles = [
        Fate::Fails { taken: false },
        Fate::Fails { taken: true },
        Fate::Killed { done: false },
        Fate::Killed { done: true },
    ];
    for step in 0..14 {
        for trouble in troubles {
            let folder = tempfile::tempdir().unwrap();
            let fates = [vec![Fate::Done; step], vec![trouble]].concat();
            check(vec![vec![1, 4], vec![], vec![0]], 1, fates, folder.path());
        }
    }
}
