//! Which transaction a worker runs, checks or commits next.
//!
//! A state machine: reports of finished work come in, tasks go out; it knows neither threads nor state. It follows the
//! collaborative scheduler of Block-STM (Gelashvili et al. 2022, algorithms 4 and 5), with these differences:
//! - a transaction **settles** as soon as all before it have settled and its reads were found valid after the last write
//!   that could have changed them, and can be committed while later ones still run;
//! - what runs when all before it have settled reads what is final, and is not validated;
//! - a transaction waits from the start for the one before it of the same sender, whose nonce it needs;
//! - reads can only become invalid by a write to where a later transaction has looked already, or by an execution in vain;
//!   only what had been executed, or had begun, when such an event became known is validated;
//! - when too much work was in vain, it gives up, and what has not settled is left to be run serially.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

/// Settled transactions that are committed at once, while there is other work: enough that taking the turn costs little,
/// few enough that a full block is noticed early.
const COMMIT_BATCH: usize = 32;
/// Executions in vain that are always allowed: the first of them say little about the block.
const WASTE_MIN: usize = 16;
/// Beyond that, executions in vain for so many settled transactions: then one thread alone is as fast as several.
const SETTLED_PER_WASTE: usize = 4;

/// One execution of a transaction: `incarnation` counts those before it that were in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// The transaction's position in the block.
    pub(super) position: usize,
    /// How many executions of it were found to be invalid.
    pub(super) incarnation: u32,
}

/// What a worker is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Execute a transaction. Its result needs no validation if all before it have `settled`.
    Execute { version: Version, settled: bool },
    /// Compare what an execution has read with what it would read now. `round` tells validations of it apart.
    Validate { version: Version, round: u32 },
    /// Mark all that an invalid execution wrote as estimates.
    Estimate { version: Version },
    /// Commit the results of these positions, in order. Nobody else commits meanwhile.
    Commit { positions: Range<usize> },
}

/// What a worker has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// It executed, and what was written is recorded; `disturbs`: later ones have read where nothing stood before.
    Executed { version: Version, settled: bool, disturbs: bool },
    /// An execution met an estimate of the transaction at `on`.
    Blocked { version: Version, on: usize },
    /// It validated.
    Validated { version: Version, round: u32, valid: bool },
    /// All writes of an invalid execution are marked.
    Estimated { version: Version },
    /// It committed what it was given.
    Committed,
}

/// What is next for a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This.
    Task(Task),
    /// Nothing before another worker has reported.
    Wait,
    /// Nothing any more.
    Done,
}

/// Where a transaction is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// It can be executed.
    Ready,
    /// It waits for an earlier one to be executed.
    Waiting,
    Executing,
    /// Its result is recorded.
    Executed(Check),
    /// It was found invalid; its writes are being marked.
    Aborting,
}

/// What is known of an execution's reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    /// Nothing.
    Open,
    /// They are valid, as long as no event is known after which they must be validated.
    Valid,
    /// All before it had settled when it began.
    Final,
}

#[derive(Clone, Debug)]
struct Transaction {
    status: Status,
    incarnation: u32,
    /// Validations of it so far. A result counts only if none has begun since.
    round: u32,
    /// How many events were known when its last execution began.
    began: u64,
    /// Those that wait for it to be executed.
    dependents: Vec<usize>,
}

/// The scheduler of one block.
#[derive(Clone, Debug)]
pub(super) struct Scheduler {
    transactions: Vec<Transaction>,
    /// From here on none has been looked at for its first execution.
    fresh: usize,
    /// Those before `fresh` that can be executed, lowest first.
    ready: BinaryHeap<Reverse<usize>>,
    /// Those of these that are executed are to be validated.
    unchecked: Range<usize>,
    /// Events after which reads may be invalid.
    events: u64,
    /// From here on none has been executed.
    executed: usize,
    /// Before this all is final.
    settled: usize,
    /// Before this all has been given out to be committed.
    committed: usize,
    committing: bool,
    /// Executions in vain.
    waste: usize,
    stopped: bool,
}

impl Scheduler {
    /// `after[i]` is the position of an earlier transaction that `i` certainly depends on.
    pub(super) fn new(after: &[Option<usize>]) -> Self {
        let fresh = Transaction { status: Status::Ready, incarnation: 0, round: 0, began: 0, dependents: Vec::new() };
        let mut transactions = vec![fresh; after.len()];
        for (position, earlier) in after.iter().enumerate() {
            if let Some(dependents) = earlier.and_then(|earlier| transactions.get_mut(earlier)) {
                dependents.dependents.push(position);
                if let Some(transaction) = transactions.get_mut(position) {
                    transaction.status = Status::Waiting;
                }
            }
        }
        let ready = BinaryHeap::new();
        let (fresh, unchecked, events, executed, settled, committed) = (0, 0..0, 0, 0, 0, 0);
        let (committing, waste, stopped) = (false, 0, false);
        Self { transactions, fresh, ready, unchecked, events, executed, settled, committed, committing, waste, stopped }
    }

    /// Takes a report and gives the same worker something to do.
    pub(super) fn step(&mut self, report: Option<Report>) -> Step {
        let next = report.and_then(|report| self.absorb(report));
        if self.stopped {
            return Step::Done;
        }
        next.map_or_else(|| self.choose(), Step::Task)
    }

    /// Ends the work: everybody gets [`Step::Done`].
    pub(super) const fn stop(&mut self) {
        self.stopped = true;
    }

    /// Whether a worker that waits might find something to do.
    pub(super) fn has_work(&self) -> bool {
        let committable = !self.committing && self.settled - self.committed >= COMMIT_BATCH;
        let finished = self.stopped || (self.committed == self.transactions.len() && !self.committing);
        finished
            || committable
            || !self.ready.is_empty()
            || self.fresh < self.transactions.len()
            || !self.unchecked.is_empty()
    }

    /// The positions before this have results that are final.
    pub(super) const fn settled(&self) -> usize {
        self.settled
    }

    fn absorb(&mut self, report: Report) -> Option<Task> {
        match report {
            Report::Executed { version, settled, disturbs } => self.executed(version, settled, disturbs),
            Report::Blocked { version, on } => self.blocked(version, on),
            Report::Validated { version, round, valid } => self.validated(version, round, valid),
            Report::Estimated { version } => {
                let transaction = self.transactions.get_mut(version.position)?;
                transaction.status = Status::Ready;
                transaction.incarnation = transaction.incarnation.saturating_add(1);
                self.ready.push(Reverse(version.position));
                // Whoever read what is an estimate now must find out.
                self.doubt(version.position + 1);
                None
            }
            Report::Committed => {
                self.committing = false;
                None
            }
        }
    }

    fn executed(&mut self, version: Version, settled: bool, disturbs: bool) -> Option<Task> {
        let position = version.position;
        let transaction = self.transactions.get_mut(position)?;
        let undisturbed = transaction.began == self.events;
        transaction.status = Status::Executed(match (settled, undisturbed) {
            (true, _) => Check::Final,
            (false, true) => Check::Valid,
            (false, false) => Check::Open,
        });
        let dependents = std::mem::take(&mut transaction.dependents);
        self.executed = self.executed.max(position + 1);
        for dependent in dependents {
            self.wake(dependent);
        }
        if disturbs {
            self.doubt(position + 1);
        }
        self.settle();
        if settled || undisturbed { None } else { self.validate(position) }
    }

    /// What is executed from a position on may have read what is different now.
    fn doubt(&mut self, position: usize) {
        self.events = self.events.saturating_add(1);
        let start = if self.unchecked.is_empty() { position } else { self.unchecked.start.min(position) };
        self.unchecked = start..self.executed;
    }

    fn wake(&mut self, position: usize) {
        let Some(transaction) = self.transactions.get_mut(position) else { return };
        transaction.status = Status::Ready;
        // Those that nobody has looked at are found in passing.
        if position < self.fresh {
            self.ready.push(Reverse(position));
        }
    }

    fn blocked(&mut self, version: Version, on: usize) -> Option<Task> {
        self.count_waste();
        let earlier = self.transactions.get_mut(on)?;
        if matches!(earlier.status, Status::Executed(_)) {
            // It was executed in the meantime.
            return self.execute(version.position);
        }
        earlier.dependents.push(version.position);
        self.transactions.get_mut(version.position)?.status = Status::Waiting;
        None
    }

    fn validated(&mut self, version: Version, round: u32, valid: bool) -> Option<Task> {
        let transaction = self.transactions.get_mut(version.position)?;
        let current = transaction.incarnation == version.incarnation
            && transaction.round == round
            && matches!(transaction.status, Status::Executed(_));
        // A later validation decides.
        if !current {
            return None;
        }
        if valid {
            transaction.status = Status::Executed(Check::Valid);
            self.settle();
            return None;
        }
        transaction.status = Status::Aborting;
        self.count_waste();
        Some(Task::Estimate { version })
    }

    fn count_waste(&mut self) {
        self.waste = self.waste.saturating_add(1);
        if self.waste > WASTE_MIN + self.settled / SETTLED_PER_WASTE {
            self.stop();
        }
    }

    fn settle(&mut self) {
        while let Some(transaction) = self.transactions.get(self.settled) {
            match transaction.status {
                Status::Executed(Check::Final) => {}
                Status::Executed(Check::Valid) if !self.unchecked.contains(&self.settled) => {}
                _ => break,
            }
            self.settled += 1;
        }
    }

    /// The validation of a position, if it is executed and needs one.
    fn validate(&mut self, position: usize) -> Option<Task> {
        let transaction = self.transactions.get_mut(position)?;
        if !matches!(transaction.status, Status::Executed(Check::Open | Check::Valid)) {
            return None;
        }
        transaction.status = Status::Executed(Check::Open);
        transaction.round = transaction.round.wrapping_add(1);
        let version = Version { position, incarnation: transaction.incarnation };
        Some(Task::Validate { version, round: transaction.round })
    }

    fn choose(&mut self) -> Step {
        if self.settled - self.committed >= COMMIT_BATCH
            && let Some(task) = self.commit()
        {
            return Step::Task(task);
        }
        while !self.unchecked.is_empty() {
            let position = self.unchecked.start;
            self.unchecked.start += 1;
            if let Some(task) = self.validate(position) {
                return Step::Task(task);
            }
        }
        if let Some(position) = self.next_ready()
            && let Some(task) = self.execute(position)
        {
            return Step::Task(task);
        }
        if let Some(task) = self.commit() {
            return Step::Task(task);
        }
        if self.committed == self.transactions.len() && !self.committing { Step::Done } else { Step::Wait }
    }

    fn execute(&mut self, position: usize) -> Option<Task> {
        let transaction = self.transactions.get_mut(position)?;
        transaction.status = Status::Executing;
        transaction.began = self.events;
        let version = Version { position, incarnation: transaction.incarnation };
        Some(Task::Execute { version, settled: self.settled == position })
    }

    /// The lowest position that can be executed.
    fn next_ready(&mut self) -> Option<usize> {
        let is_ready = |transaction: &Transaction| transaction.status == Status::Ready;
        if let Some(Reverse(position)) = self.ready.pop() {
            return Some(position);
        }
        while let Some(transaction) = self.transactions.get(self.fresh) {
            let position = self.fresh;
            self.fresh += 1;
            if is_ready(transaction) {
                return Some(position);
            }
        }
        None
    }

    fn commit(&mut self) -> Option<Task> {
        if self.committing || self.committed == self.settled {
            return None;
        }
        self.committing = true;
        let positions = self.committed..self.settled;
        self.committed = self.settled;
        Some(Task::Commit { positions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scheduler of so many transactions that know nothing of each other.
    fn independent(count: usize) -> Scheduler {
        Scheduler::new(&vec![None; count])
    }

    const fn version(position: usize, incarnation: u32) -> Version {
        Version { position, incarnation }
    }

    fn execute(position: usize, incarnation: u32, settled: bool) -> Step {
        Step::Task(Task::Execute { version: version(position, incarnation), settled })
    }

    fn validate(position: usize, incarnation: u32, round: u32) -> Step {
        Step::Task(Task::Validate { version: version(position, incarnation), round })
    }

    fn commit(positions: Range<usize>) -> Step {
        Step::Task(Task::Commit { positions })
    }

    fn executed(position: usize, incarnation: u32, settled: bool, disturbs: bool) -> Option<Report> {
        Some(Report::Executed { version: version(position, incarnation), settled, disturbs })
    }

    fn validated(position: usize, incarnation: u32, round: u32, valid: bool) -> Option<Report> {
        Some(Report::Validated { version: version(position, incarnation), round, valid })
    }

    /// Each line: what a worker reports, and what it is given.
    fn check(scheduler: &mut Scheduler, table: Vec<(Option<Report>, Step)>) {
        for (line, (report, expected)) in table.into_iter().enumerate() {
            assert_eq!(scheduler.step(report.clone()), expected, "line {line}: {report:?}");
        }
    }

    #[test]
    fn one_worker_validates_nothing() {
        check(
            &mut independent(2),
            vec![
                (None, execute(0, 0, true)),
                (executed(0, 0, true, false), execute(1, 0, true)),
                (executed(1, 0, true, false), commit(0..2)),
                (Some(Report::Committed), Step::Done),
            ],
        );
    }

    #[test]
    fn what_ran_ahead_undisturbed_settles_after_those_before_it() {
        let mut scheduler = independent(2);
        check(
            &mut scheduler,
            vec![(None, execute(0, 0, true)), (None, execute(1, 0, false)), (executed(1, 0, false, false), Step::Wait)],
        );
        assert_eq!(scheduler.settled(), 0);
        check(
            &mut scheduler,
            vec![
                (executed(0, 0, true, false), commit(0..2)),
                (None, Step::Wait),
                (Some(Report::Committed), Step::Done),
                (None, Step::Done),
            ],
        );
    }

    #[test]
    fn an_invalid_execution_is_marked_and_repeated() {
        let mut scheduler = independent(3);
        check(
            &mut scheduler,
            vec![
                (None, execute(0, 0, true)),
                (None, execute(1, 0, false)),
                (None, execute(2, 0, false)),
                (executed(2, 0, false, false), Step::Wait),
                (executed(1, 0, false, false), Step::Wait),
                (executed(0, 0, true, true), validate(1, 0, 1)),
                (None, validate(2, 0, 1)),
                (validated(1, 0, 1, false), Step::Task(Task::Estimate { version: version(1, 0) })),
                (validated(2, 0, 1, true), commit(0..1)),
                // Once all is marked, later ones are looked at again.
                (Some(Report::Estimated { version: version(1, 0) }), validate(2, 0, 2)),
                (validated(2, 0, 2, true), execute(1, 1, true)),
                (executed(1, 1, true, false), Step::Wait),
                (Some(Report::Committed), commit(1..3)),
                (Some(Report::Committed), Step::Done),
            ],
        );
    }

    #[test]
    fn a_validation_from_before_a_write_that_disturbs_does_not_count() {
        let mut scheduler = independent(3);
        check(
            &mut scheduler,
            vec![
                (None, execute(0, 0, true)),
                (None, execute(1, 0, false)),
                (None, execute(2, 0, false)),
                (executed(1, 0, false, true), Step::Wait),
                // It had begun before that write was known.
                (executed(2, 0, false, false), validate(2, 0, 1)),
                (executed(0, 0, true, true), validate(1, 0, 1)),
                (None, validate(2, 0, 2)),
                (validated(2, 0, 1, true), commit(0..1)),
                (validated(1, 0, 1, true), Step::Wait),
            ],
        );
        assert_eq!(scheduler.settled(), 2);
        check(&mut scheduler, vec![(validated(2, 0, 2, true), Step::Wait), (Some(Report::Committed), commit(1..3))]);
    }

    #[test]
    fn who_meets_an_estimate_waits_for_its_writer() {
        let blocked = |position, on| Some(Report::Blocked { version: version(position, 0), on });
        check(
            &mut independent(2),
            vec![
                (None, execute(0, 0, true)),
                (None, execute(1, 0, false)),
                (blocked(1, 0), Step::Wait),
                (executed(0, 0, true, true), execute(1, 0, true)),
            ],
        );
        // One that has been executed meanwhile is not waited for.
        check(
            &mut independent(2),
            vec![
                (None, execute(0, 0, true)),
                (None, execute(1, 0, false)),
                (executed(0, 0, true, true), commit(0..1)),
                (blocked(1, 0), execute(1, 0, true)),
            ],
        );
    }

    #[test]
    fn transactions_of_a_sender_wait_for_each_other() {
        check(
            &mut Scheduler::new(&[None, Some(0), None, Some(1)]),
            vec![
                (None, execute(0, 0, true)),
                (None, execute(2, 0, false)),
                (None, Step::Wait),
                (executed(0, 0, true, true), execute(1, 0, true)),
                (executed(1, 0, true, true), execute(3, 0, false)),
            ],
        );
    }

    #[test]
    fn work_in_vain_ends_it() {
        let mut scheduler = independent(2);
        check(
            &mut scheduler,
            vec![(None, execute(0, 0, true)), (None, execute(1, 0, false)), (executed(0, 0, true, true), commit(0..1))],
        );
        let blocked = || Some(Report::Blocked { version: version(1, 0), on: 0 });
        for _ in 0..WASTE_MIN {
            assert_eq!(scheduler.step(blocked()), execute(1, 0, true));
        }
        assert_eq!((scheduler.step(blocked()), scheduler.settled()), (Step::Done, 1));
        assert_eq!(scheduler.step(Some(Report::Committed)), Step::Done);
    }
}
