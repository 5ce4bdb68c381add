//! What one thread does.

use super::scheduler::{Report, Step, Task, Version};
use super::view::View;
use super::{ParallelBlock, Verdict};
use crate::evm::BlockEvm;
use crate::transaction::tx_env;
use alloy_primitives::map::AddressSet;
use revm::state::EvmState;

/// Ends the block for all threads when one of them panics, so that none waits for it.
struct StopOnPanic<'b, 'a>(&'b ParallelBlock<'a>);

impl Drop for StopOnPanic<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

impl<'a> ParallelBlock<'a> {
    /// Works until the block is done or has come to its end otherwise.
    pub(super) fn work(&self) {
        let _guard = StopOnPanic(self);
        let mut evm = BlockEvm::new(self.rules, self.environment, View::new(self.memory), AddressSet::default());
        let mut report = None;
        while let Some(task) = self.next(report) {
            report = self.perform(&mut evm, task);
        }
    }

    /// Hands in a report and waits for the next task; `None` when there are no more.
    fn next(&self, mut report: Option<Report>) -> Option<Task> {
        let mut schedule = self.schedule.lock();
        loop {
            match schedule.scheduler.step(report.take()) {
                Step::Task(task) => {
                    if schedule.waiting > 0 && schedule.scheduler.has_work() {
                        self.wake.notify_one();
                    }
                    return Some(task);
                }
                Step::Done => {
                    self.wake.notify_all();
                    return None;
                }
                Step::Wait => {
                    schedule.waiting += 1;
                    self.wake.wait(&mut schedule);
                    schedule.waiting -= 1;
                }
            }
        }
    }

    fn stop(&self) {
        self.schedule.lock().scheduler.stop();
        self.wake.notify_all();
    }

    /// Does a task. `None` if the block has ended.
    fn perform(&self, evm: &mut BlockEvm<View<'a>>, task: Task) -> Option<Report> {
        match task {
            Task::Execute { version, settled } => self.execute(evm, version, settled),
            Task::Validate { version, round } => {
                let slot = self.slots.get(version.position)?.lock();
                let valid = self.memory.validate(&slot.reads, version.position);
                Some(Report::Validated { version, round, valid })
            }
            Task::Estimate { version } => {
                let slot = self.slots.get(version.position)?.lock();
                self.memory.estimate(version.position, &slot.locations);
                Some(Report::Estimated { version })
            }
            Task::Commit { positions } => {
                let mut committed = self.committed.lock();
                for _ in positions {
                    if self.commit(&mut committed).is_break() {
                        self.stop();
                        return None;
                    }
                }
                Some(Report::Committed)
            }
        }
    }

    fn execute(&self, evm: &mut BlockEvm<View<'a>>, version: Version, settled: bool) -> Option<Report> {
        let position = version.position;
        let transaction = self.transactions.get(position)?;
        let transaction = tx_env(self.rules.chain.fees, transaction.transaction().as_ethereum(), transaction.sender());
        evm.state().begin(position);
        let verdict = if transaction.gas_limit > self.environment.gas_limit {
            Verdict::AboveBlock
        } else {
            match evm.run(transaction) {
                (Ok(result), changes) => Verdict::Ran { result, changes },
                (Err(failure), _) => Verdict::Failed(failure),
            }
        };
        if let Some(on) = evm.state().blocked() {
            return Some(Report::Blocked { version, on });
        }
        let nothing = EvmState::default();
        let changes = if let Verdict::Ran { changes, .. } = &verdict { changes } else { &nothing };
        let mut slot = self.slots.get(position)?.lock();
        let disturbs = self.memory.record(version, changes, &mut slot.locations);
        slot.reads = evm.state().take_reads();
        slot.verdict = Some(verdict);
        Some(Report::Executed { version, settled, disturbs })
    }
}
