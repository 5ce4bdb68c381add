//! Running the transactions of a block on several threads, as if one after the other.
//!
//! Block-STM (Gelashvili et al. 2022): every transaction runs at once, on what those before it have written so far; what it
//! read is remembered and compared when they have finished, and it runs again if it would now read something else.
//! Results are committed in order by the same code that commits them in a serial run ([`BlockState`]), so that the outcome
//! can be no other than that of the serial run, whatever the threads did.
//!
//! What depends on all transactions before, the gas that is left in the block, is decided at the commit. From the first
//! transaction on that does not fit, and where conflicts make threads useless, the rest of the block runs serially.

mod memory;
mod scheduler;
mod view;
mod worker;

use crate::database::BlockState;
use crate::rules::BlockRules;
use crate::serial::{BlockRun, beginning};
use crate::{BlockEnvironment, ExecutionError, Outcome, Rules, StateReader, execute_transactions};
use alloy_primitives::Address;
use alloy_primitives::map::{AddressMap, AddressSet};
use lian_crypto::VerifiedTransaction;
use memory::{Location, Memory, Read};
use parking_lot::{Condvar, Mutex};
use revm::DatabaseCommit;
use revm::context_interface::result::ExecutionResult;
use revm::state::EvmState;
use scheduler::Scheduler;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Runs transactions in order on top of a state, on up to `threads` threads, this one among them. The outcome is that of
/// [`execute_transactions`], which one thread or one transaction gets at once.
///
/// # Errors
/// [`ExecutionError`], the one that [`execute_transactions`] would give; nothing has happened then.
pub fn execute_transactions_parallel(
    rules: &Rules,
    environment: &BlockEnvironment,
    state: &dyn StateReader,
    transactions: &[Arc<VerifiedTransaction>],
    threads: NonZeroUsize,
) -> Result<Outcome, ExecutionError> {
    let threads = threads.get().min(transactions.len());
    if threads <= 1 {
        return execute_transactions(rules, environment, state, transactions);
    }
    let rules = BlockRules::new(rules, state, environment.number)?;
    let beginning = beginning(&rules, environment, state)?;
    let memory = Memory::new(&beginning);
    let block = ParallelBlock::new(&rules, environment, transactions, &memory);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Without a thread more, those that there are do the work.
            let spawned =
                std::thread::Builder::new().name("lian-execute".to_owned()).spawn_scoped(scope, || block.work());
            if spawned.is_err() {
                break;
            }
        }
        block.work();
    });
    block.finish()
}

/// The result of a transaction's last execution.
enum Verdict {
    /// It ran.
    Ran { result: ExecutionResult, changes: EvmState },
    /// It has more gas than any place in the block allows, and was not run.
    AboveBlock,
    /// It did not run: it is invalid, or state cannot be read.
    Failed(ExecutionFailure),
}

/// Why a transaction did not run.
type ExecutionFailure = revm::context_interface::result::EVMError<crate::StateError>;

/// What is known of a transaction.
#[derive(Default)]
struct Slot {
    reads: Vec<Read>,
    /// Where it has written.
    locations: Vec<Location>,
    verdict: Option<Verdict>,
}

/// The block as its transactions so far have left it.
struct Committed<'a> {
    state: BlockState<'a>,
    outcome: Outcome,
    /// The first position that is not in it.
    next: usize,
    error: Option<ExecutionError>,
}

/// The scheduler, and how many workers wait for it.
struct Schedule {
    scheduler: Scheduler,
    waiting: usize,
}

/// A block that several threads execute.
struct ParallelBlock<'a> {
    rules: &'a BlockRules,
    environment: &'a BlockEnvironment,
    transactions: &'a [Arc<VerifiedTransaction>],
    memory: &'a Memory<'a>,
    slots: Vec<Mutex<Slot>>,
    schedule: Mutex<Schedule>,
    /// Signals a waiting worker that there is something to do.
    wake: Condvar,
    committed: Mutex<Committed<'a>>,
}

impl<'a> ParallelBlock<'a> {
    fn new(
        rules: &'a BlockRules,
        environment: &'a BlockEnvironment,
        transactions: &'a [Arc<VerifiedTransaction>],
        memory: &'a Memory<'a>,
    ) -> Self {
        let scheduler = Scheduler::new(&former_of_sender(transactions));
        let state = memory.beginning().clone();
        Self {
            rules,
            environment,
            transactions,
            memory,
            slots: transactions.iter().map(|_| Mutex::default()).collect(),
            schedule: Mutex::new(Schedule { scheduler, waiting: 0 }),
            wake: Condvar::new(),
            committed: Mutex::new(Committed { state, outcome: Outcome::default(), next: 0, error: None }),
        }
    }

    /// Commits the result of the next position. It ends where the serial rest must begin, or with an error.
    fn commit(&self, committed: &mut Committed<'a>) -> ControlFlow<()> {
        let position = committed.next;
        let (Some(transaction), Some(slot)) = (self.transactions.get(position), self.slots.get(position)) else {
            return ControlFlow::Break(());
        };
        let Some(verdict) = slot.lock().verdict.take() else { return ControlFlow::Break(()) };
        let envelope = transaction.transaction().as_ethereum();
        let outcome = &mut committed.outcome;
        let no_room = outcome.out_of_gas(self.environment.gas_limit, alloy_consensus::Transaction::gas_limit(envelope));
        match (verdict, no_room) {
            (Verdict::AboveBlock, Some(reason)) => outcome.skip(position, transaction.hash(), reason),
            // Others may have read what it wrote and must not have.
            (_, Some(_)) | (Verdict::AboveBlock, None) => return ControlFlow::Break(()),
            (Verdict::Ran { result, changes }, None) => {
                outcome.keep(envelope.tx_type().into(), result);
                outcome.included.push(position);
                committed.state.commit(changes);
            }
            (Verdict::Failed(failure), None) => match crate::serial::invalid(failure) {
                Ok(reason) => outcome.skip(position, transaction.hash(), reason),
                Err(error) => {
                    committed.error = Some(error);
                    return ControlFlow::Break(());
                }
            },
        }
        committed.next += 1;
        ControlFlow::Continue(())
    }

    /// Once all workers have ended: commits what has settled, and runs serially what has not.
    fn finish(self) -> Result<Outcome, ExecutionError> {
        let settled = self.schedule.lock().scheduler.settled();
        {
            let mut committed = self.committed.lock();
            while committed.error.is_none() && committed.next < settled && self.commit(&mut committed).is_continue() {}
        }
        let Committed { state, outcome, next, error } = self.committed.into_inner();
        if let Some(error) = error {
            return Err(error);
        }
        let mut rest = BlockRun::resume(self.rules, self.environment, state, outcome, AddressSet::default());
        rest.transact_all(self.transactions, next)?;
        Ok(rest.finish())
    }
}

/// Of each transaction, the position of the one before it by the same sender.
fn former_of_sender(transactions: &[Arc<VerifiedTransaction>]) -> Vec<Option<usize>> {
    let mut last: AddressMap<usize> = AddressMap::default();
    let sender_of = |transaction: &Arc<VerifiedTransaction>| -> Address { transaction.sender() };
    transactions
        .iter()
        .enumerate()
        .map(|(position, transaction)| last.insert(sender_of(transaction), position))
        .collect()
}
