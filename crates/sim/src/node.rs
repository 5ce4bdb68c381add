//! A simulated node: the production core, ledger, vote log and execution, wired as `lian_group`'s driver wires them, with
//! the simulator's clock, disk and network in place of threads and sockets.

mod blocks;
mod outbox;
mod start;
mod step;
mod work;

use crate::{
    chain::Chain,
    disk::Disk,
    event::{Event, NodeEvent, NodeId},
    scenario::CrashPoint,
    sim::Sim,
    time::Moment,
    wallet::Name,
};
use blocks::Appending;
use lian_group::{
    Core, SteadyClock,
    core::ConsensusStatus,
    execution::SpeculativeChain,
    recovery::{Kind, Unexplained},
};
use lian_ledger::{Crash, Ledger, MemoryView, VoteLog};
use lian_txpool::Pool;
use lian_types::{BlockNumber, Millis};
use outbox::Outbox;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};
pub(crate) use step::Reading;
use work::Working;

/// A node: what outlives its program, and its program while it runs.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) disk: Disk,
    pub(crate) view: Arc<MemoryView>,
    /// How many times its program has started. What belongs to an earlier run is void.
    pub(crate) life: u64,
    /// Milliseconds that its clock is off.
    pub(crate) skew_ms: i64,
    /// Until when it stands still.
    pub(crate) frozen: Option<Moment>,
    pub(crate) run: Option<Box<Run>>,
    /// Why its program has stopped by itself, if it has.
    pub(crate) stopped: Option<String>,
    /// In which way results diverged, where it has stopped for that.
    pub(crate) diverged: Option<Kind>,
    /// Which wrong program it runs, if it does.
    pub(crate) wrong: Option<u64>,
    /// For how long its machine goes down now, in milliseconds.
    pub(crate) crashing: Option<u64>,
    /// Power losses to come: how often, at which operation, and for how long it is down then, in milliseconds.
    pub(crate) power: Option<PowerLosses>,
    /// Whether something durable on its disk is wrong.
    pub(crate) is_damaged: bool,
    /// Whether an operator has emptied its disk: its key has been used before.
    pub(crate) was_emptied: bool,
    /// Disks that it will have again, by the fault that takes it back.
    pub(crate) kept: BTreeMap<usize, Disk>,
}

/// Power losses that are to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PowerLosses {
    pub(crate) times: u32,
    pub(crate) operations: u64,
    pub(crate) down_ms: u64,
}

/// A run of a node's program.
pub(crate) struct Run {
    core: Core,
    pub(crate) ledger: Arc<Ledger>,
    votes: VoteLog,
    execution: SpeculativeChain,
    /// Evidence of earlier divergences that can be completed.
    unexplained: Unexplained,
    pub(crate) pool: Arc<Mutex<Pool>>,
    /// The time that the core lives in.
    clock: SteadyClock,
    outbox: Outbox,
    working: Working,
    appending: Appending,
    /// Clients that wait for an answer.
    replies: BTreeMap<u64, Name>,
    next_ticket: u64,
    /// The height at which the vote log was written anew.
    renewed_at: BlockNumber,
    /// When the next timer is due.
    tick_at: Option<Moment>,
    /// The second in which timers were counted, and how many there were.
    ticks: (u64, u32),
    /// Whether the ledger's background thread is about to flush.
    flushing: bool,
}

impl Node {
    /// A node with an empty disk.
    pub(crate) fn new(id: NodeId, skew_ms: i64) -> Self {
        Self {
            id,
            disk: Disk::default(),
            view: Arc::new(MemoryView::new()),
            life: 0,
            skew_ms,
            frozen: None,
            run: None,
            stopped: None,
            diverged: None,
            wrong: None,
            crashing: None,
            power: None,
            is_damaged: false,
            was_emptied: false,
            kept: BTreeMap::new(),
        }
    }

    /// Whether its program runs and is not standing still.
    pub(crate) const fn is_up(&self) -> bool {
        self.run.is_some() && self.frozen.is_none()
    }

    /// The height that is final and durable here, while it runs.
    pub(crate) fn height(&self) -> Option<BlockNumber> {
        self.run.as_ref().map(|run| run.ledger.head().number)
    }

    /// What its clock says.
    fn clock(&self, sim: &Sim) -> Millis {
        sim.now.clock(self.skew_ms)
    }

    /// Handles what happens within its program.
    pub(crate) fn on_event(&mut self, sim: &mut Sim, what: NodeEvent) {
        match what {
            NodeEvent::Tick => self.on_tick(sim),
            NodeEvent::VotesSynced => self.on_votes_synced(sim),
            NodeEvent::Worked => self.on_worked(sim),
            NodeEvent::Checked { batch, parent, blocks } => self.on_checked(sim, batch, parent, &blocks),
            NodeEvent::BlocksSynced => self.on_blocks_synced(sim),
            NodeEvent::Flush => self.on_flush(sim),
        }
    }

    /// Goes down where a trap says so. Nothing more may be done then.
    fn passes(&mut self, sim: &mut Sim, point: CrashPoint) -> bool {
        if let Some(down_ms) = sim.trapped(self.id, point) {
            sim.tell(|| format!("n{} goes down at {point:?}", self.id));
            self.crashing = Some(down_ms);
        }
        !self.is_ending()
    }

    /// Whether its program is about to end: it must do nothing any more.
    const fn is_ending(&self) -> bool {
        self.crashing.is_some() || self.stopped.is_some()
    }

    /// The program stops by itself.
    fn stop(&mut self, reason: String) {
        if self.stopped.is_none() {
            self.stopped = Some(reason);
        }
    }

    /// Ends the program at once: what was in memory is gone, and of what was not synced remains what chance leaves.
    pub(crate) fn crash(&mut self, sim: &mut Sim, keeps_writes: bool) {
        if let Some(mut run) = self.run.take() {
            // Writes that are under way have reached the disk's cache, or not.
            if sim.random.permille(700) {
                self.disk.interrupted(|| run.write_interrupted());
            }
        }
        self.life += 1;
        self.crashing = None;
        self.stopped = None;
        self.diverged = None;
        let random = &mut sim.random;
        let mut torn = false;
        self.disk.crash(|_, unsynced| {
            let kept = if keeps_writes { unsynced } else { random.between((0, unsynced)) };
            let zeroed = if keeps_writes || !random.permille(150) { 0 } else { random.between((0, kept)) };
            torn |= kept > 0 && (kept < unsynced || zeroed > 0);
            Crash { kept, zeroed }
        });
        if torn {
            sim.count("torn writes");
        }
        sim.count("crashes");
        if sim.is_honest(self.id) {
            sim.oracle.crashed(self.id);
        }
    }

    /// Lets the next of its power losses come.
    pub(crate) fn arm(&mut self, sim: &mut Sim) {
        if let Some(power) = self.power.as_mut().filter(|power| power.times > 0) {
            power.times -= 1;
            self.disk.fail_after(sim.random.between((0, power.operations.saturating_mul(2))));
        }
    }
}

impl Run {
    /// Writes what is being written, as far as the disk's cache.
    fn write_interrupted(&mut self) {
        let Self { outbox, appending, ledger, votes, .. } = self;
        outbox.write_interrupted(votes);
        appending.write_interrupted(ledger);
    }

    /// Where consensus stands.
    pub(crate) fn status(&self) -> ConsensusStatus {
        self.core.status()
    }

    /// How many things wait in its queues.
    pub(crate) fn queued(&self) -> usize {
        self.outbox.len() + self.working.len() + self.appending.len()
    }

    /// How much waits in its pool.
    pub(crate) fn pool_counts(&self) -> lian_txpool::Counts {
        self.core.pool_counts()
    }
}

/// Lets a node start after a while.
pub(crate) fn start_later(sim: &mut Sim, node: NodeId, after_ms: u64) {
    sim.queue.push(sim.now.after_ms(after_ms), Event::Start { node });
}

/// The folder of a node's group, as on a real disk.
pub(crate) fn folder(chain: &Chain) -> std::path::PathBuf {
    std::path::PathBuf::from(format!("/data/group{}", chain.group.group))
}
