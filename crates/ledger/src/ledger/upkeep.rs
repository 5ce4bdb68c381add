//! What a ledger does for its own future, in the background: snapshots at fixed heights, and letting go of old blocks.

use super::snapshots::Frozen;
use super::{Ledger, LedgerError};
use crate::snapshot::{FrozenState, SnapshotError};
use lian_types::limits;
use parking_lot::{Condvar, Mutex};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

/// The state of which a snapshot is to be made.
#[derive(Default)]
pub(super) struct Due {
    state: Mutex<DueState>,
    changed: Condvar,
}

#[derive(Default)]
struct DueState {
    /// Whether a background thread makes snapshots.
    background: bool,
    /// Whether that thread is to end.
    end: bool,
    frozen: Option<Frozen>,
}

impl Due {
    /// Whether work in the background is to be broken off.
    pub(super) fn is_over(&self) -> bool {
        self.state.lock().end
    }
}

/// The background thread that makes snapshots and prunes. Dropping it breaks off what it does and ends it.
pub struct Upkeep {
    ledger: Arc<Ledger>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.ledger.due.state.lock().end = true;
        self.ledger.due.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that makes snapshots has panicked");
        }
        let mut state = self.ledger.due.state.lock();
        // A frozen state keeps old data in the view.
        *state = DueState::default();
    }
}

impl Ledger {
    /// Starts the background thread that makes a snapshot at every multiple of the configured interval, keeps the newest
    /// [`limits::SNAPSHOTS_KEPT`], and prunes. At most one may be running.
    ///
    /// # Errors
    /// If the system makes no thread.
    pub fn start_upkeep(self: &Arc<Self>) -> io::Result<Upkeep> {
        self.due.state.lock().background = true;
        let ledger = Arc::clone(self);
        let thread = std::thread::Builder::new().name("ledger-upkeep".into()).spawn(move || ledger.keep_up());
        if thread.is_err() {
            self.due.state.lock().background = false;
        }
        Ok(Upkeep { ledger: Arc::clone(self), thread: Some(thread?) })
    }

    /// Whether a snapshot is to be made of the state after a block.
    pub(super) fn is_snapshot_due(&self, height: u64) -> bool {
        let interval = self.config.snapshot_interval.filter(|interval| *interval > 0);
        interval.is_some_and(|interval| height > 0 && height.is_multiple_of(interval))
            && self.due.state.lock().background
    }

    /// Freezes the view, which is at a height whose snapshot is due. One that nobody came to make gives way.
    pub(super) fn hand_over(&self, height: u64) -> Result<(), LedgerError> {
        let entries = self.store.view.freeze()?;
        self.due.state.lock().frozen = Some(Frozen::new(FrozenState { height, entries }));
        self.due.changed.notify_all();
        Ok(())
    }

    fn keep_up(&self) {
        loop {
            let mut state = self.due.state.lock();
            self.due.changed.wait_while(&mut state, |state| state.frozen.is_none() && !state.end);
            if state.end {
                return;
            }
            let Some(frozen) = state.frozen.take() else { continue };
            drop(state);
            let height = frozen.height();
            match self.make_due(&frozen) {
                Ok(()) => {}
                Err(LedgerError::Snapshot(SnapshotError::Interrupted)) => return,
                // The chain does not depend on it: the next one may succeed, as when there is room on the disk again.
                Err(error) => tracing::error!(%height, %error, "a snapshot was not made, or old blocks not let go"),
            }
        }
    }

    fn make_due(&self, frozen: &Frozen) -> Result<(), LedgerError> {
        let begun = std::time::Instant::now();
        let snapshots = self.snapshots();
        let manifest = self.write_snapshot(frozen, &snapshots)?;
        snapshots.keep_newest(limits::SNAPSHOTS_KEPT)?;
        let (height, bytes) = (manifest.height(), manifest.bytes());
        tracing::info!(%height, bytes, chunks = manifest.chunks.len(), elapsed = ?begun.elapsed(), "a snapshot was made");
        metrics::gauge!("lian_snapshot_height").set(height.0 as f64);
        self.prune()?;
        Ok(())
    }
}
