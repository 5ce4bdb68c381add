//! Running the transactions of a block on several threads, as if one after the other.
//!
//! The block is cut into as many parts as there are threads. The first part runs as in a serial run; each other part runs at
//! the same time on the state in which the block begins, as if nothing stood before it, and notes what it read. Then the
//! parts are taken over in order. Where nothing that a part read from that state has changed meanwhile, all that it wrote is
//! right at once; else each of its transactions counts if everything that it read is still so, and runs again if not.
//!
//! A transaction's result hangs on nothing but what it read and on the gas that is left in the block, so the outcome can be
//! no other than that of the serial run, whatever the threads did. The gas that is left is known when a part is taken over.
//!
//! Compared with a multi-version memory (Block-STM), a thread shares nothing with others while it runs, and results are merged
//! once for a part, not once for a transaction. The price is that a part cannot wait for what it needs from another.

mod part;

use crate::database::BlockState;
use crate::gate::{Gate, KnownVerdicts};
use crate::rules::BlockRules;
use crate::serial::{BlockRun, beginning, execute_knowing};
use crate::{BlockEnvironment, ExecutionError, Outcome, Rules, StateChanges, StateReader};
use alloy_primitives::map::AddressSet;
use lian_crypto::VerifiedTransaction;
use part::Part;
use std::num::NonZeroUsize;
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
    run_in_parts(rules, environment, state, transactions, threads, None).map(|(outcome, _)| outcome)
}

/// The same, and how many transactions ran a second time.
pub(crate) fn run_in_parts(
    rules: &Rules,
    environment: &BlockEnvironment,
    state: &dyn StateReader,
    transactions: &[Arc<VerifiedTransaction>],
    threads: NonZeroUsize,
    known: Option<&KnownVerdicts>,
) -> Result<(Outcome, usize), ExecutionError> {
    let threads = threads.get().min(transactions.len());
    if threads <= 1 {
        return Ok((execute_knowing(rules, environment, state, transactions, known)?, 0));
    }
    let rules = BlockRules::new(rules, state, environment.number)?;
    let beginning = beginning(&rules, environment, state)?;
    let gate = Gate::new(&rules, state, known)?;
    let (state, outcome) = (beginning.clone(), Outcome::default());
    let run = BlockRun::resume(&rules, environment, state, gate.clone(), outcome, AddressSet::default());
    let mut block = Merged { run, changes: None, parts: Vec::new(), again: 0 };
    // Who notes what is read and written takes longer, by about a seventh: the first part gets so many more.
    let size = (transactions.len().saturating_mul(7) / threads.saturating_mul(7).saturating_add(1)).max(1);
    let first = transactions.len().saturating_sub(size.saturating_mul(threads.saturating_sub(1)));
    std::thread::scope(|scope| {
        let (rules, beginning) = (&rules, &beginning);
        let (first, rest) = transactions.split_at(first);
        let mut started = Vec::with_capacity(threads);
        for part in rest.chunks(size) {
            let builder = std::thread::Builder::new().name("lian-execute".to_owned());
            let gate = gate.clone();
            let thread = builder.spawn_scoped(scope, move || Part::run(rules, environment, beginning, gate, part));
            started.push((part, thread.ok()));
        }
        block.run.transact_all(first)?;
        // The others are not done yet, and most blocks have no conflicts.
        block.changes = Some(block.run.state_mut().changes());
        for (transactions, thread) in started {
            // Without a thread the part runs now; so it does where the thread has panicked.
            match thread.and_then(|thread| thread.join().ok()) {
                Some(part) => block.take_over(part, transactions)?,
                None => block.merge().transact_all(transactions)?,
            }
        }
        let again = block.again;
        Ok((block.finish(), again))
    })
}

/// A block as its parts so far have made it.
struct Merged<'a> {
    run: BlockRun<'a>,
    /// What the run has changed, as long as nothing was added to it.
    changes: Option<StateChanges>,
    /// Parts whose transactions count with all that they wrote, and which the run does not know yet.
    parts: Vec<(BlockState<'a>, StateChanges)>,
    /// How many transactions ran a second time.
    again: usize,
}

impl<'a> Merged<'a> {
    /// Adds a part.
    fn take_over(&mut self, part: Part<'a>, transactions: &[Arc<VerifiedTransaction>]) -> Result<(), ExecutionError> {
        if !part.counts_whole(&mut self.run, self.parts.iter().map(|(state, _)| state), transactions) {
            let again = part.take_over(self.merge(), transactions)?;
            self.again = self.again.saturating_add(again);
            return Ok(());
        }
        let (state, changes, results) = part.into_results();
        for (transaction, result) in transactions.iter().zip(results) {
            self.run.keep(transaction, result);
        }
        self.parts.push((state, changes));
        Ok(())
    }

    /// The run, to go on after all parts so far.
    fn merge(&mut self) -> &mut BlockRun<'a> {
        self.changes = None;
        for (part, _) in self.parts.drain(..) {
            self.run.state_mut().absorb(part);
        }
        &mut self.run
    }

    fn finish(self) -> Outcome {
        let Self { run, changes, parts, .. } = self;
        let mut outcome = run.finish_with(changes);
        for (_, changes) in parts {
            outcome.changes.add_independent(changes);
        }
        outcome
    }
}
