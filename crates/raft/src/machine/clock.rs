//! Ticks and election timeouts.

use super::{Machine, Timing};
use crate::wire::raft_id;
use lian_types::{ConsensusKey, Millis};
use raft::{ProgressState, SnapshotStatus, StateRole};

/// Ticks of the least election timeout. A timeout by chance has up to twice as many.
pub(super) const ELECTION_TICKS: u16 = 20;
/// Ticks between two heartbeats of a leader: five of them fit into the least timeout, so that jitter of most of it and
/// the loss of some do not depose a leader.
pub(super) const HEARTBEAT_TICKS: u16 = 4;
/// Most ticks that are made up for at once. A node that stood still does not take its own silence for the leader's.
const TICKS_AT_ONCE: u64 = 2;

/// Where the ticks stand.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    tick_ms: u64,
    last: Option<Millis>,
    /// The state of the numbers that choose timeouts.
    draws: u64,
    timeout: usize,
    /// The term and role for which the timeout was chosen.
    chosen_for: Option<(u64, StateRole)>,
    /// Ticks since stuck transfers of a base were looked for.
    since_look: u16,
}

impl Clock {
    pub(super) fn new(election_ms: u64, key: &ConsensusKey) -> Self {
        let timeout = usize::from(ELECTION_TICKS);
        Self {
            tick_ms: Self::tick_ms(election_ms),
            last: None,
            draws: raft_id(key),
            timeout,
            chosen_for: None,
            since_look: 0,
        }
    }

    const fn tick_ms(election_ms: u64) -> u64 {
        let ticks = election_ms.div_ceil(ELECTION_TICKS as u64);
        if ticks == 0 { 1 } else { ticks }
    }

    /// The next timeout. Its numbers follow from the key: the same node makes the same choices in the simulator, and
    /// different nodes make different ones.
    fn draw(&mut self) {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.draws = self.draws.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.draws;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let extra = mixed.checked_rem(u64::from(ELECTION_TICKS)).unwrap_or(0);
        self.timeout = usize::from(ELECTION_TICKS).saturating_add(usize::try_from(extra).unwrap_or(0));
    }

    fn deadline(&self) -> Option<Millis> {
        self.last.map(|last| last.saturating_add(self.tick_ms))
    }
}

impl Machine {
    /// Takes other waiting times from now on.
    pub const fn retime(&mut self, timing: Timing) {
        self.clock.tick_ms = Clock::tick_ms(timing.election_ms);
    }

    /// Puts this node's own timeout in the place of the one that the library has drawn from the thread's random source.
    /// To be called after whatever may have made it draw. A new term, role or campaign gets a new timeout.
    pub(super) fn set_timeout(&mut self, campaigned: bool) {
        let now = (self.node.raft.term, self.node.raft.state);
        if campaigned || self.clock.chosen_for != Some(now) {
            self.clock.chosen_for = Some(now);
            self.clock.draw();
        }
        self.node.raft.set_randomized_election_timeout(self.clock.timeout);
    }

    pub(super) fn begin(&mut self) {
        self.clock.last = Some(self.now);
        self.count_restored();
        let conf = self.node.raft.prs().conf();
        let is_alone = conf.voters().ids().len() == 1 && conf.voters().contains(raft_id(&self.config.key));
        if is_alone && !self.abstains {
            // Nobody else can lead. An error would say that it leads already.
            let _ = self.node.campaign();
        }
        self.set_timeout(true);
    }

    /// When to call [`Machine::step`] with [`crate::Input::Tick`] at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let resend = self.waits_for_votes().then_some(self.resend_at);
        let tick = self.clock.deadline();
        if self.halted { None } else { [resend, tick].into_iter().flatten().min() }
    }

    pub(super) fn run_timers(&mut self) {
        self.run_ticks();
        if self.waits_for_votes() && self.now >= self.resend_at {
            self.resend();
        }
        self.notice_lag();
    }

    fn run_ticks(&mut self) {
        let Some(last) = self.clock.last else { return };
        let due = self.now.since(last).0.checked_div(self.clock.tick_ms).unwrap_or(0);
        if due == 0 {
            return;
        }
        let passed = due.saturating_mul(self.clock.tick_ms);
        self.clock.last = Some(last.saturating_add(passed));
        for _ in 0..due.min(TICKS_AT_ONCE) {
            self.tick();
        }
    }

    fn tick(&mut self) {
        // Whoever has a vote in the configuration stands for election, also where the chain has removed it already: the
        // others may need its log. One that does not know that it has lost its vote disturbs nobody: pre-vote.
        if self.abstains {
            return;
        }
        let was_leader = self.is_leader();
        let acted = self.node.tick();
        self.set_timeout(acted && !was_leader);
        self.clock.since_look = self.clock.since_look.saturating_add(1);
        if self.clock.since_look >= ELECTION_TICKS {
            self.clock.since_look = 0;
            self.send_bases_again();
        }
    }

    /// A base may be lost on its way, and the library waits for it for ever.
    fn send_bases_again(&mut self) {
        if !self.is_leader() {
            return;
        }
        let stuck = self.node.raft.prs().iter().filter(|(_, progress)| progress.state == ProgressState::Snapshot);
        for id in stuck.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.node.report_snapshot(id, SnapshotStatus::Failure);
        }
    }
}
