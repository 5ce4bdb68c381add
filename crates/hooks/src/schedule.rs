//! What a hook does next: a machine without I/O, to which time and outcomes are told.
//!
//! It has one thing to do at a time. A cursor goes on only past what was taken, and is on disk before the next event is
//! sent; what fails is done again until it succeeds.

use crate::cursor::Cursor;
use alloy_primitives::B256;
use lian_ledger::FoundLog;
use lian_types::{BlockNumber, Millis};
use std::{collections::VecDeque, sync::Arc};

/// The wait after the first failure, in milliseconds; each further one doubles it.
const WAIT_MS_MIN: u64 = 1_000;
/// The longest wait, in milliseconds: a service that was away for the night is told of everything within minutes.
const WAIT_MS_MAX: u64 = 5 * 60 * 1_000;
/// How often it is said that something still fails, in milliseconds.
const NOTICE_MS: u64 = 5 * 60 * 1_000;
/// Blocks without an event after which the cursor is written: as many heads are read again after a crash at most.
const UNSAVED_BLOCKS_MAX: u64 = 1_000;

/// Blocks that were looked at, up to the first one with events of the hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The last block looked at.
    pub block: BlockNumber,
    /// Its hash.
    pub hash: B256,
    /// Its events, in order; the blocks before it have none.
    pub logs: Vec<FoundLog>,
}

/// Why a hook cannot go on before a person has said from where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// A block may have events and is not on this node.
    #[error(
        "the events of block {block} are not on this node, whose oldest block is {oldest}: have them told by a node that \
         has them, or remove the cursor and let `from` name a later block"
    )]
    NotKept {
        /// The block.
        block: BlockNumber,
        /// The oldest block whose events can be read.
        oldest: BlockNumber,
    },
    /// The cursor is not of this chain.
    #[error(
        "the cursor stands at block {block} with hash {cursor}, which has hash {chain} here, so it is of another chain: \
         remove it and let `from` name the block to begin with"
    )]
    OtherChain {
        /// The block.
        block: BlockNumber,
        /// Its hash by the cursor.
        cursor: B256,
        /// Its hash by this node.
        chain: B256,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put the cursor on the disk.
    Save(Cursor),
    /// Look for events behind the cursor.
    Read(Cursor),
    /// Tell an event.
    Send(Arc<FoundLog>),
    /// Let this time go by, and a little more, so that hooks that failed together do not come again together.
    Wait(Millis),
    /// Wait until this block is final.
    Await(BlockNumber),
    /// Nothing any more.
    End(End),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The cursor is on the disk.
    Saved,
    /// What was found; nothing where there is no block behind the cursor.
    Found(Option<Scan>),
    /// The event was taken.
    Taken,
    /// It failed, for this reason, and may succeed another time.
    Failed(String),
    /// The wait is over.
    Woken,
    /// It can never succeed.
    Impossible(End),
}

/// What is worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Something fails.
    Failing {
        /// How often in a row.
        failures: u32,
        /// Why, the last time.
        reason: String,
    },
    /// It fails no longer.
    Recovered {
        /// How often it had failed.
        failures: u32,
        /// How long it took.
        after: Millis,
    },
}

/// The next thing to do, and what to say first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub action: Action,
    /// What to say.
    pub notice: Option<Notice>,
}

/// What is tried until it succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Save,
    Read,
    Send,
}

/// Failures in a row.
#[derive(Clone, Copy, Debug)]
struct Failing {
    failures: u32,
    since: Millis,
    said: Millis,
}

/// A hook's next step.
#[derive(Clone, Debug)]
pub struct Schedule {
    cursor: Cursor,
    /// The block of the cursor on disk.
    saved: BlockNumber,
    /// Events that were found and not taken yet, all of one block.
    queue: VecDeque<Arc<FoundLog>>,
    task: Task,
    failing: Option<Failing>,
}

impl Schedule {
    /// Goes on from a cursor that is on disk, or begins with one that is to be written first, so that "latest" is decided
    /// once.
    #[must_use]
    pub fn new(cursor: Cursor, on_disk: bool) -> Self {
        let task = if on_disk { Task::Read } else { Task::Save };
        Self { saved: cursor.block, cursor, queue: VecDeque::new(), task, failing: None }
    }

    /// The first thing to do.
    #[must_use]
    pub fn begin(&self) -> Action {
        self.action()
    }

    /// Takes what came of the last action, at a time that never goes back, and says what is next.
    pub fn step(&mut self, now: Millis, input: Input) -> Step {
        let action = match (self.task, input) {
            (_, Input::Impossible(end)) => return Step { action: Action::End(end), notice: None },
            (_, Input::Failed(reason)) => return self.failed(now, reason),
            (_, Input::Woken) => return Step { action: self.action(), notice: None },
            (Task::Save, Input::Saved) => {
                self.saved = self.cursor.block;
                self.task = if self.queue.is_empty() { Task::Read } else { Task::Send };
                self.action()
            }
            (Task::Read, Input::Found(None)) => Action::Await(self.cursor.next_block()),
            (Task::Read, Input::Found(Some(scan))) => {
                self.found(scan);
                self.action()
            }
            (Task::Send, Input::Taken) => {
                self.taken();
                self.action()
            }
            // An answer to something else: what is to be done stays to be done.
            (_, Input::Saved | Input::Found(_) | Input::Taken) => return Step { action: self.action(), notice: None },
        };
        let after =
            |failing: Failing| Notice::Recovered { failures: failing.failures, after: now.since(failing.since) };
        Step { action, notice: self.failing.take().map(after) }
    }

    /// Whether the last thing that was tried has failed.
    #[must_use]
    pub const fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    /// How many final blocks may have events that were not taken yet.
    #[must_use]
    pub fn behind(&self, head: BlockNumber) -> u64 {
        head.next().0.saturating_sub(self.cursor.next_block().0)
    }

    fn action(&self) -> Action {
        match (self.task, self.queue.front()) {
            (Task::Send, Some(log)) => Action::Send(Arc::clone(log)),
            (Task::Save, _) => Action::Save(self.cursor.clone()),
            (Task::Read | Task::Send, _) => Action::Read(self.cursor.clone()),
        }
    }

    fn found(&mut self, scan: Scan) {
        // Some of a block that is read for the second time were taken before.
        let first = if scan.block == self.cursor.block { self.cursor.log_index.unwrap_or(usize::MAX) } else { 0 };
        self.queue = scan.logs.into_iter().filter(|log| log.log_index >= first).map(Arc::new).collect();
        if self.queue.is_empty() {
            self.cursor.block = scan.block;
            self.cursor.log_index = None;
            self.cursor.block_hash = Some(scan.hash);
            let unsaved = scan.block.0.saturating_sub(self.saved.0);
            self.task = if unsaved >= UNSAVED_BLOCKS_MAX { Task::Save } else { Task::Read };
        } else {
            self.task = Task::Send;
        }
    }

    /// Sets the cursor past the first event of the queue.
    fn taken(&mut self) {
        let Some(log) = self.queue.pop_front() else { return };
        self.cursor.block = log.block;
        self.cursor.block_hash = Some(log.block_hash);
        self.cursor.log_index = self.queue.front().map(|next| next.log_index);
        self.task = Task::Save;
    }

    fn failed(&mut self, now: Millis, reason: String) -> Step {
        let known = self.failing;
        let failures = known.map_or(0, |failing| failing.failures).saturating_add(1);
        let is_said = known.is_some_and(|failing| now.since(failing.said).0 < NOTICE_MS);
        self.failing = Some(Failing {
            failures,
            since: known.map_or(now, |failing| failing.since),
            said: known.filter(|_| is_said).map_or(now, |failing| failing.said),
        });
        let notice = (!is_said).then_some(Notice::Failing { failures, reason });
        Step { action: Action::Wait(wait(failures)), notice }
    }
}

/// The wait after so many failures in a row.
fn wait(failures: u32) -> Millis {
    let doubled = 1_u64.checked_shl(failures.saturating_sub(1)).and_then(|times| WAIT_MS_MIN.checked_mul(times));
    Millis(doubled.unwrap_or(WAIT_MS_MAX).min(WAIT_MS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, Log, TxHash};
    use lian_types::GroupId;

    fn log(block: u64, log_index: usize) -> FoundLog {
        FoundLog {
            block: BlockNumber(block),
            block_hash: hash(block),
            timestamp: block,
            transaction: TxHash::ZERO,
            transaction_index: 0,
            log_index,
            log: Log::default(),
        }
    }

    fn hash(block: u64) -> B256 {
        B256::with_last_byte(u8::try_from(block % 251).unwrap())
    }

    fn scan(block: u64, logs: &[usize]) -> Input {
        let logs = logs.iter().map(|index| log(block, *index)).collect();
        Input::Found(Some(Scan { block: BlockNumber(block), hash: hash(block), logs }))
    }

    fn at(block: u64, log_index: Option<usize>) -> Cursor {
        let first = Cursor::before(GroupId(0), Address::ZERO, BlockNumber(block));
        Cursor { log_index, block_hash: Some(hash(block)), ..first }
    }

    fn send(block: u64, index: usize) -> Action {
        Action::Send(Arc::new(log(block, index)))
    }

    fn quiet(action: Action) -> Step {
        Step { action, notice: None }
    }

    fn failed(reason: &str) -> Input {
        Input::Failed(reason.to_owned())
    }

    /// Plays inputs, each with its time in milliseconds and what must follow.
    fn play(schedule: &mut Schedule, steps: Vec<(u64, Input, Step)>) {
        for (number, (now, input, expected)) in steps.into_iter().enumerate() {
            assert_eq!(schedule.step(Millis(now), input), expected, "step {number}");
        }
    }

    #[test]
    fn events_one_after_the_other() {
        let mut schedule = Schedule::new(at(4, None), false);
        assert_eq!(schedule.begin(), Action::Save(at(4, None)));
        assert_eq!(schedule.behind(BlockNumber(9)), 5);
        play(
            &mut schedule,
            vec![
                (0, Input::Saved, quiet(Action::Read(at(4, None)))),
                (0, scan(7, &[2, 5]), quiet(send(7, 2))),
                (0, Input::Taken, quiet(Action::Save(at(7, Some(5))))),
                (0, Input::Saved, quiet(send(7, 5))),
                (0, Input::Taken, quiet(Action::Save(at(7, None)))),
                (0, Input::Saved, quiet(Action::Read(at(7, None)))),
                (0, scan(9, &[]), quiet(Action::Read(at(9, None)))),
                (0, Input::Found(None), quiet(Action::Await(BlockNumber(10)))),
                (0, Input::Woken, quiet(Action::Read(at(9, None)))),
            ],
        );
        assert_eq!(schedule.behind(BlockNumber(9)), 0);
    }

    #[test]
    fn a_block_is_gone_on_with() {
        let mut schedule = Schedule::new(at(7, Some(5)), true);
        assert_eq!(schedule.begin(), Action::Read(at(7, Some(5))));
        assert_eq!(schedule.behind(BlockNumber(7)), 1);
        play(&mut schedule, vec![(0, scan(7, &[2, 5]), quiet(send(7, 5)))]);
        // The event that it stood before is no longer among those that are told.
        let mut schedule = Schedule::new(at(7, Some(5)), true);
        play(&mut schedule, vec![(0, scan(7, &[2]), quiet(Action::Read(at(7, None))))]);
    }

    #[test]
    fn what_fails_is_done_again_later_and_later() {
        let mut schedule = Schedule::new(at(4, None), true);
        play(&mut schedule, vec![(0, scan(5, &[0, 1]), quiet(send(5, 0)))]);
        let mut now = 100;
        let waits = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300];
        for (failures, seconds) in (1..).zip(waits) {
            let step = schedule.step(Millis(now), failed("503"));
            assert_eq!(step.action, Action::Wait(Millis(seconds * 1_000)));
            // At first, and then when five minutes have gone by: after 1 + 2 + … + 256 seconds, and each time from there on.
            let says = [1, 10, 11, 12].contains(&failures);
            let notice = Notice::Failing { failures, reason: "503".to_owned() };
            assert_eq!(step.notice, says.then_some(notice), "{failures}");
            assert!(schedule.is_failing());
            now += seconds * 1_000;
            assert_eq!(schedule.step(Millis(now), Input::Woken), quiet(send(5, 0)));
        }
        let after = Millis(now - 100);
        let recovered =
            Step { action: Action::Save(at(5, Some(1))), notice: Some(Notice::Recovered { failures: 12, after }) };
        play(&mut schedule, vec![(now, Input::Taken, recovered)]);
        assert!(!schedule.is_failing());
        // A cursor that cannot be written is no reason to go on without.
        let full = Notice::Failing { failures: 1, reason: "disk full".to_owned() };
        let waits = Step { action: Action::Wait(Millis(1_000)), notice: Some(full) };
        let recovered =
            Step { action: send(5, 1), notice: Some(Notice::Recovered { failures: 1, after: Millis(1_000) }) };
        play(
            &mut schedule,
            vec![
                (now, failed("disk full"), waits),
                (now + 1_000, Input::Woken, quiet(Action::Save(at(5, Some(1))))),
                (now + 1_000, Input::Saved, recovered),
            ],
        );
        assert_eq!(wait(u32::MAX), Millis(300_000));
    }

    #[test]
    fn the_cursor_follows_over_many_blocks_without_events() {
        let mut schedule = Schedule::new(at(0, None), true);
        play(
            &mut schedule,
            vec![
                (0, scan(999, &[]), quiet(Action::Read(at(999, None)))),
                (0, scan(1_000, &[]), quiet(Action::Save(at(1_000, None)))),
                (0, Input::Saved, quiet(Action::Read(at(1_000, None)))),
                (0, scan(1_999, &[]), quiet(Action::Read(at(1_999, None)))),
            ],
        );
    }

    #[test]
    fn it_ends_where_a_block_is_not_kept() {
        let end = End::NotKept { block: BlockNumber(5), oldest: BlockNumber(9) };
        let mut schedule = Schedule::new(at(4, None), true);
        play(&mut schedule, vec![(0, Input::Impossible(end.clone()), quiet(Action::End(end)))]);
    }

    #[test]
    fn an_answer_to_something_else_changes_nothing() {
        let mut schedule = Schedule::new(at(4, None), true);
        play(
            &mut schedule,
            vec![
                (0, Input::Taken, quiet(Action::Read(at(4, None)))),
                (0, Input::Saved, quiet(Action::Read(at(4, None)))),
                (0, scan(5, &[0]), quiet(send(5, 0))),
                (0, scan(6, &[0]), quiet(send(5, 0))),
                (0, Input::Saved, quiet(send(5, 0))),
            ],
        );
    }
}
