//! Moving final blocks from memory to the view, and holding back who appends faster than that.

use super::{Ledger, LedgerError, Pending};
use crate::index::ViewState;
use crate::view::Write;
use lian_types::{HistoryDepth, limits};
use parking_lot::{Condvar, Mutex};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How much is unflushed, and who waits for what.
pub(super) struct Pressure {
    state: Mutex<PressureState>,
    changed: Condvar,
}

#[derive(Default)]
struct PressureState {
    blocks: usize,
    bytes: usize,
    /// Whether a background thread flushes.
    background: bool,
    /// Whether that thread is to end.
    end: bool,
}

impl PressureState {
    fn is_high(&self) -> bool {
        self.blocks >= limits::UNFLUSHED_BLOCKS_MAX || self.bytes >= limits::UNFLUSHED_BYTES_MAX
    }

    fn is_worth_a_flush(&self) -> bool {
        self.blocks >= limits::FLUSH_BLOCKS || self.bytes >= limits::FLUSH_BYTES
    }
}

impl Pressure {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), changed: Condvar::new() }
    }

    pub(super) fn report(&self, blocks: usize, bytes: usize) {
        let mut state = self.state.lock();
        (state.blocks, state.bytes) = (blocks, bytes);
        self.changed.notify_all();
    }

    pub(super) fn wake(&self) {
        let _state = self.state.lock();
        self.changed.notify_all();
    }
}

/// The background thread that flushes. Dropping it flushes what is left and ends the thread.
pub struct Flusher {
    ledger: Arc<Ledger>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.ledger.pressure.state.lock().end = true;
        self.ledger.pressure.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that flushes the ledger has panicked");
        }
    }
}

impl Ledger {
    /// Starts the background thread that flushes. At most one may be running.
    ///
    /// # Errors
    /// If the system makes no thread.
    pub fn start_flusher(self: &Arc<Self>) -> io::Result<Flusher> {
        {
            let mut state = self.pressure.state.lock();
            (state.background, state.end) = (true, false);
        }
        let ledger = Arc::clone(self);
        let thread = std::thread::Builder::new().name("ledger-flush".into()).spawn(move || {
            ledger.flush_until_ended();
            ledger.pressure.state.lock().background = false;
            ledger.pressure.wake();
        });
        match thread {
            Ok(thread) => Ok(Flusher { ledger: Arc::clone(self), thread: Some(thread) }),
            Err(error) => {
                self.pressure.state.lock().background = false;
                Err(error)
            }
        }
    }

    fn flush_until_ended(&self) {
        loop {
            let mut state = self.pressure.state.lock();
            let idle = |state: &mut PressureState| state.blocks == 0 && !state.end && self.stopped.lock().is_none();
            self.pressure.changed.wait_while(&mut state, idle);
            // A little patience lets one flush serve more blocks.
            let patience = Duration::from_millis(limits::FLUSH_DELAY_MS);
            let few = |state: &mut PressureState| !state.is_worth_a_flush() && !state.end;
            let _timed_out = self.pressure.changed.wait_while_for(&mut state, few, patience);
            let end = state.end;
            drop(state);
            if self.stopped.lock().is_some() {
                return;
            }
            match self.flush_step() {
                Ok(true) => {}
                Ok(false) if end => return,
                Ok(false) => {}
                Err(_) => return,
            }
        }
    }

    /// Moves the oldest unflushed blocks to the view, as many as [`limits::FLUSH_BYTES`] hold but at least one, and drops
    /// past states that are no longer to be kept. Returns whether there was anything to move.
    ///
    /// # Errors
    /// [`LedgerError`]; the ledger takes nothing any more then.
    pub fn flush_step(&self) -> Result<bool, LedgerError> {
        self.check_running()?;
        let _flushing = self.flushing.lock();
        let result = self.flush_locked();
        if let Err(error) = &result {
            self.stop(&error.to_string());
        }
        result
    }

    pub(super) fn flush_locked(&self) -> Result<bool, LedgerError> {
        let (mut bytes, mut due) = (0, false);
        let fits = |pending: &&Arc<Pending>| {
            let is_first = bytes == 0;
            bytes += pending.bytes;
            // The view is to be seen as it is at the height of a snapshot, exactly.
            !std::mem::replace(&mut due, self.is_snapshot_due(pending.number()))
                && (is_first || bytes <= limits::FLUSH_BYTES)
        };
        let pending: Vec<_> = self.recent.read().blocks.iter().take_while(fits).map(Arc::clone).collect();
        let Some(last) = pending.last() else { return Ok(false) };
        let state = ViewState {
            format: ViewState::FORMAT,
            chain: self.chain_digest(),
            height: last.number(),
            hash: last.stored.hash,
        };
        let mut others: Vec<Write> = pending.iter().flat_map(|pending| pending.index_writes()).collect();
        others.push(state.write());
        let blocks: Vec<_> = pending.iter().map(|pending| (pending.number(), pending.changes.as_slice())).collect();
        let newest = self.log.next_sequence().saturating_sub(1);
        // The record of block h tells the state after block h−1.
        let keep_from = self.oldest_wanted(newest) + 1;
        self.store.flush(&blocks, others, keep_from)?;
        if self.is_snapshot_due(last.number()) {
            self.hand_over(last.number())?;
        }
        let mut recent = self.recent.write();
        recent.pop_up_to(last.number());
        self.pressure.report(recent.blocks.len(), recent.bytes);
        metrics::gauge!("lian_ledger_unflushed_blocks").set(recent.blocks.len() as f64);
        drop(recent);
        self.store.history.retire(keep_from)?;
        Ok(true)
    }

    /// The oldest block whose state is to be readable when the newest block is `newest`.
    pub(super) fn oldest_wanted(&self, newest: u64) -> u64 {
        match self.config.history {
            HistoryDepth::All => 0,
            HistoryDepth::Blocks(count) => newest.saturating_add(1).saturating_sub(count.max(1)),
        }
    }

    /// Waits, or flushes, until there is room for more unflushed blocks.
    pub(super) fn relieve(&self) -> Result<(), LedgerError> {
        let mut state = self.pressure.state.lock();
        while state.is_high() {
            if state.background {
                self.pressure.changed.wait(&mut state);
                drop(state);
                self.check_running()?;
            } else {
                drop(state);
                self.flush_step()?;
            }
            state = self.pressure.state.lock();
        }
        Ok(())
    }
}
