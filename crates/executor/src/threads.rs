//! How a node runs the transactions of its blocks: on how many threads, how it is watched that nothing depends on that, and
//! which callers it knows.

use crate::gate::KnownVerdicts;
use crate::parallel::run_in_parts;
use crate::serial::execute_knowing;
use crate::{BlockEnvironment, ExecutionError, Outcome, Rules, StateReader, execute_transactions};
use lian_crypto::VerifiedTransaction;
use parking_lot::Mutex;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Blocks with fewer transactions run serially: to start a thread costs as much as some ten of them.
const PARALLEL_MIN: usize = 128;
/// One of so many blocks that run on several threads runs serially as well, the first one too.
const SHADOW_INTERVAL: u64 = 64;
/// Most blocks that run serially after one most of whose transactions ran twice.
const PAUSE_MAX: u32 = 64;

/// The threads that blocks run on.
///
/// Where transactions conflict so much that most of those that ran apart run again, blocks run serially for a while: one,
/// then twice as many each time, at most 64. One block in 64 that several threads have executed runs serially as well; if
/// the outcomes ever differed, which would be a fault of this program, the serial one counts, and so it does from then on;
/// blocks before may be wrong then, which a serial execution of them finds out.
#[derive(Debug)]
pub struct Threads {
    count: NonZeroUsize,
    watch: Mutex<Watch>,
    known: KnownVerdicts,
}

#[derive(Debug, Default)]
struct Watch {
    /// Blocks that ran on several threads.
    blocks: u64,
    /// How many blocks run serially after the next one with many conflicts.
    pause: u32,
    /// How many of those are left.
    left: u32,
    disagreed: bool,
}

impl Threads {
    /// One thread: every block runs serially.
    #[must_use]
    pub fn one() -> Self {
        Self::new(NonZeroUsize::MIN)
    }

    /// So many, the one that executes among them.
    #[must_use]
    pub fn new(count: NonZeroUsize) -> Self {
        Self { count, watch: Mutex::default(), known: KnownVerdicts::default() }
    }

    /// Whether several threads ever gave another outcome than one.
    #[must_use]
    pub fn disagreed(&self) -> bool {
        self.watch.lock().disagreed
    }

    /// How many blocks have run on several threads.
    #[must_use]
    pub fn parallel_blocks(&self) -> u64 {
        self.watch.lock().blocks
    }

    /// Runs transactions as [`execute_transactions`] does.
    ///
    /// # Errors
    /// As there.
    pub fn execute(
        &self,
        rules: &Rules,
        environment: &BlockEnvironment,
        state: &dyn StateReader,
        transactions: &[Arc<VerifiedTransaction>],
    ) -> Result<Outcome, ExecutionError> {
        let is_large = self.count.get() > 1 && transactions.len() >= PARALLEL_MIN;
        let Some(number) = is_large.then(|| self.watch.lock().begin()).flatten() else {
            return execute_knowing(rules, environment, state, transactions, Some(&self.known));
        };
        let (outcome, again) = run_in_parts(rules, environment, state, transactions, self.count, Some(&self.known))?;
        self.watch.lock().end(transactions.len(), again);
        if number % SHADOW_INTERVAL == 0 {
            let serial = execute_transactions(rules, environment, state, transactions)?;
            if serial != outcome {
                self.watch.lock().disagreed = true;
            }
            return Ok(serial);
        }
        Ok(outcome)
    }
}

impl Watch {
    /// The number of the next block among those that run on several threads, from 0; `None` if it shall not.
    fn begin(&mut self) -> Option<u64> {
        if self.disagreed {
            return None;
        }
        if self.left > 0 {
            self.left = self.left.saturating_sub(1);
            return None;
        }
        self.blocks = self.blocks.saturating_add(1);
        self.blocks.checked_sub(1)
    }

    /// Learns how many of a block's transactions ran again.
    fn end(&mut self, transactions: usize, again: usize) {
        self.pause = match again.saturating_mul(4) > transactions {
            true => self.pause.saturating_mul(2).clamp(1, PAUSE_MAX),
            false => 0,
        };
        self.left = self.pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflicts_pause_threads_for_ever_longer() {
        let mut watch = Watch::default();
        assert_eq!([watch.begin(), watch.begin()], [Some(0), Some(1)]);
        for pause in [1, 2, 4, 8, 16, 32, 64, 64] {
            // On two threads half of a block runs apart; here most of that ran again.
            watch.end(1_000, 251);
            let paused = (0..).take_while(|_| watch.begin().is_none()).count();
            assert_eq!(paused, pause);
        }
        watch.end(1_000, 250);
        assert!(watch.begin().is_some());
        watch.end(1_000, 1_000);
        assert_eq!((watch.begin(), watch.begin().is_some()), (None, true), "from the beginning again");
        watch.disagreed = true;
        watch.end(1_000, 0);
        assert_eq!(watch.begin(), None);
    }
}
