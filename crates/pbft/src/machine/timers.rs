//! Timeouts: when a view is left, and when to be called next (§5).

use super::{Machine, Peer};
use crate::{Cause, Heartbeat, Recipient};
use lian_types::{BlockNumber, ConsensusKey, Millis, View, limits as bounds};

/// How often the censorship bound doubles at most: to 16 times.
const CENSORSHIP_DOUBLINGS_MAX: u32 = 4;
/// How many times the measured round a view may go without progress.
const ROUNDS_PER_TIMEOUT: u64 = 6;
/// How many times the measured round passes before own messages are repeated.
const ROUNDS_PER_RESEND: u64 = 2;
/// A new measurement counts one part in this many.
const ROUND_SMOOTHING: u64 = 8;
/// How soon to look again where a deadline has passed and nothing could be done, in milliseconds.
const RETRY_MS: u64 = 50;

/// What the timers rest on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timers {
    /// The smoothed time from receiving a proposal to its order-commit.
    pub round_ms: Option<u64>,
    /// How many views were left since a height became final in the entered one.
    pub failed: u32,
    /// Since when there is open work without progress.
    pub work_since: Option<Millis>,
    /// Since when a quorum has promised the own promised view or a higher one.
    pub change_since: Option<Millis>,
    /// When this node last sent a proposal or heartbeat as the leader.
    pub led_at: Millis,
    /// When this node last reported its height.
    pub reported_at: Millis,
    /// The leader that is being watched, and since when.
    pub watched: Option<(ConsensusKey, Millis)>,
    /// When own messages are repeated next.
    pub resend_at: Option<Millis>,
    /// How often they were repeated without progress.
    pub resends: u32,
    /// Since when the head is the head.
    pub head_since: Millis,
    /// When an execution last finished.
    pub executed_at: Millis,
    /// Since when the best certificate is known.
    pub best_since: Millis,
    /// When catching up was last asked for.
    pub behind_at: Option<Millis>,
    /// Whether a transaction starves in this view.
    pub starving: bool,
    /// When to be called next.
    pub deadline: Option<Millis>,
}

impl Timers {
    /// Takes in a measured round.
    pub(super) fn measure(&mut self, sample: Millis) {
        self.round_ms = Some(match self.round_ms {
            None => sample.0,
            Some(round) => {
                let others = round.saturating_mul(ROUND_SMOOTHING.saturating_sub(1));
                others.saturating_add(sample.0).div_euclid(ROUND_SMOOTHING)
            }
        });
    }

    /// A height became final.
    pub(super) fn progress(&mut self, now: Millis, in_view: bool) {
        self.work_since = None;
        self.resend_at = None;
        self.resends = 0;
        self.head_since = now;
        if in_view {
            self.failed = 0;
        }
    }

    /// A view was left.
    pub(super) fn left(&mut self, now: Millis) {
        self.failed = self.failed.saturating_add(1);
        self.work_since = None;
        self.change_since = None;
        self.starving = false;
        self.resend_at = None;
        self.resends = 0;
        self.reported_at = now;
    }

    /// A view was entered.
    pub(super) fn entered(&mut self, now: Millis) {
        self.work_since = None;
        self.change_since = None;
        self.starving = false;
        self.resend_at = None;
        self.resends = 0;
        self.watched = None;
        self.led_at = now;
    }
}

impl Machine {
    pub(super) fn start_timers(&mut self) {
        let now = self.now;
        self.entered_at = now;
        self.timers.head_since = now;
        self.timers.best_since = now;
        self.timers.led_at = now;
        self.timers.reported_at = now;
        self.recent.values_mut().for_each(|recent| recent.since = now);
        for received in self.slots.values_mut().filter_map(|slot| slot.received.as_mut()) {
            received.at = now;
        }
        if self.own_change.is_some() {
            self.resend();
        }
    }

    pub(super) fn run_timers(&mut self) {
        if self.halted {
            return;
        }
        self.rejoin();
        self.begin_retry();
        self.watch_work();
        self.watch_leader();
        self.watch_new_view();
        self.watch_pool();
        self.beat();
        self.repeat();
    }

    /// The time that a view may go without progress: measured, doubled for each failed view, capped.
    fn timeout_ms(&self) -> u64 {
        let timing = &self.config.timing;
        let measured = self.timers.round_ms.unwrap_or(0).saturating_mul(ROUNDS_PER_TIMEOUT);
        let base = measured.max(timing.timeout_ms_min);
        let doubled = base.saturating_mul(1_u64.checked_shl(self.timers.failed).unwrap_or(u64::MAX));
        doubled.min(timing.timeout_ms_max)
    }

    pub(super) fn resend_ms(&self) -> u64 {
        let measured = self.timers.round_ms.unwrap_or(0).saturating_mul(ROUNDS_PER_RESEND);
        measured.max(self.config.timing.resend_ms_min).min(self.config.timing.timeout_ms_max)
    }

    /// Whether enough members can be talked to for a view change to succeed; else leaving a view would be in vain.
    fn reaches_quorum(&self) -> bool {
        let silence = self.config.timing.leader_silence_ms;
        let recently = |peer: &Peer| peer.heard.is_some_and(|heard| self.now.since(heard).0 <= silence);
        let others = self.peers.values().filter(|peer| peer.connected || recently(peer)).count();
        others.saturating_add(1) >= self.quorum()
    }

    /// Open heights must make progress. What is ordered waits for execution and for certificates, not for the leader.
    fn watch_work(&mut self) {
        let honest = self.honest_one();
        let open = self.open_heights().into_iter().filter_map(|height| self.slots.get(&height));
        let mut waiting = open.filter(|slot| slot.ordered.is_none() && slot.certificate.is_none());
        let pending = waiting.any(|slot| slot.received.is_some() || slot.count.voters >= honest);
        if !pending || self.voter().is_none() || !self.reaches_quorum() {
            self.timers.work_since = None;
            return;
        }
        let since = *self.timers.work_since.get_or_insert(self.now);
        if self.now.since(since).0 >= self.timeout_ms() {
            self.leave_for(self.view.next(), Cause::Timeout);
        }
    }

    /// The leader whose turn it is, where another node is it.
    pub(super) fn watched_leader(&self) -> Option<ConsensusKey> {
        let height = self.next_height().min(self.open_limit());
        let leader = self.leader(height);
        (Some(leader) != self.me).then(|| self.member_key(leader)).flatten()
    }

    /// A leader whose session is lost or who is silent ends its view (§5).
    fn watch_leader(&mut self) {
        let Some(key) = self.watched_leader().filter(|_| self.voter().is_some()) else {
            self.timers.watched = None;
            return;
        };
        if self.timers.watched.is_none_or(|(watched, _)| watched != key) {
            self.timers.watched = Some((key, self.now));
        }
        if !self.reaches_quorum() {
            return;
        }
        if let Some((due, cause)) = self.leader_due()
            && self.now >= due
        {
            self.leave_for(self.view.next(), cause);
        }
    }

    fn leader_due(&self) -> Option<(Millis, Cause)> {
        let (key, since) = self.timers.watched?;
        let peer = self.peers.get(&key).copied().unwrap_or_default();
        let timing = &self.config.timing;
        let heard = peer.heard.map_or(since, |heard| heard.max(since));
        let lost = peer.lost.map(|lost| lost.max(since).saturating_add(timing.leader_lost_ms));
        let is_away = |beat: &Heartbeat| {
            beat.epoch == self.epoch() && (beat.promised > self.view || beat.abstains_until.is_some())
        };
        let away = peer.beat.as_ref().filter(|beat| is_away(beat));
        let away = away.map(|_| since.saturating_add(timing.leader_lost_ms));
        let silent = (heard.saturating_add(timing.leader_silence_ms), Cause::LeaderSilent);
        let causes = [lost.map(|due| (due, Cause::LeaderLost)), away.map(|due| (due, Cause::LeaderAway)), Some(silent)];
        causes.into_iter().flatten().min_by_key(|(due, _)| *due)
    }

    /// A promised view must start in time once a quorum has promised it.
    fn watch_new_view(&mut self) {
        if let Some(due) = self.new_view_due()
            && self.now >= due
        {
            self.leave_for(self.promised.next(), Cause::NewViewTimeout);
        }
    }

    fn new_view_due(&self) -> Option<Millis> {
        let since = self.timers.change_since.filter(|_| self.promised > self.view)?;
        let above = self.best.as_ref().map_or(BlockNumber::ZERO, |best| best.height).next();
        let leader = self.committee.leader_key(&self.config.rules, self.promised, above)?;
        let lost = self.peers.get(&leader).is_some_and(|peer| peer.lost.is_some());
        let wait = if lost { self.timeout_ms().min(self.config.timing.leader_lost_ms) } else { self.timeout_ms() };
        Some(since.saturating_add(wait))
    }

    /// Transactions that f+1 members hold and see waiting for too long end the view (§5).
    fn watch_pool(&mut self) {
        if !self.timers.starving && self.starving_due().is_some_and(|due| self.now >= due) {
            self.timers.starving = true;
            self.report(Recipient::All);
        }
        if self.pool.waiting_since.is_none() || self.voter().is_none() {
            self.timers.starving = false;
        }
        if !self.timers.starving {
            return;
        }
        let (epoch, view) = (self.epoch(), self.view);
        let says = |beat: &Heartbeat| beat.starving && beat.epoch == epoch && beat.view == view;
        let others = self.peers.values().filter(|peer| peer.beat.as_ref().is_some_and(says)).count();
        if others.saturating_add(1) >= self.honest_one() {
            self.leave_for(self.view.next(), Cause::Censorship);
        }
    }

    /// How long a transaction may wait for a proposal. It doubles with the views that have failed, from the second on, as
    /// the timeout does: a group that is so busy that no block becomes final within the bound would change views for ever.
    fn censorship_ms(&self) -> u64 {
        doubled_bound(self.config.timing.censorship_ms, self.timers.failed)
    }

    fn starving_due(&self) -> Option<Millis> {
        let since = self.pool.waiting_since.filter(|_| self.voter().is_some())?;
        self.watched_leader()?;
        Some(since.max(self.entered_at).saturating_add(self.censorship_ms()))
    }

    /// Whether empty blocks are allowed: a change of members or a recovering voter waits for its height (§6).
    pub(super) fn may_be_empty(&self) -> bool {
        let waits = |peer: &Peer| peer.empty_until.is_some_and(|until| until > self.head.height);
        self.pool.allow_empty || self.peers.values().any(waits)
    }

    /// Works out when to be called next.
    pub(super) fn schedule(&mut self) {
        let mut dues = vec![self.timers.resend_at, self.new_view_due()];
        if self.me.is_some() {
            // A member that is alone leaves a view, too: a crash may have bound it to a proposal whose bodies are gone.
            dues.push(self.timers.work_since.map(|since| since.saturating_add(self.timeout_ms())));
        }
        if self.me.is_some() && !self.is_alone() {
            dues.push(Some(self.beat_due()));
            dues.push(self.starving_due().filter(|_| !self.timers.starving));
            dues.push(self.leader_due().map(|(due, _)| due).filter(|_| self.reaches_quorum()));
        }
        for height in self.open_heights() {
            let Some(slot) = self.slots.get(&height) else { continue };
            let ahead = slot.received.as_ref().filter(|received| !received.accepted);
            let ahead = ahead.map(|received| received.proposal.time.saturating_sub(bounds::PROPOSAL_AHEAD_MS_MAX));
            dues.push(ahead.filter(|due| *due > self.now));
            let holds = slot.own_commit.is_none() && self.voter().is_some();
            dues.push(self.hold_until(height).filter(|due| holds && *due > self.now));
        }
        let retry = self.now.saturating_add(RETRY_MS);
        let due = dues.into_iter().flatten().map(|due| if due > self.now { due } else { retry }).min();
        self.timers.deadline = due;
    }

    /// The view after the promised one, for messages that come early.
    pub(super) fn is_coming(&self, view: View) -> bool {
        view > self.view && (view == self.promised || view == self.view.next())
    }
}

/// A bound, in milliseconds, that doubles with each failed view from the second on, up to a limit.
fn doubled_bound(bound_ms: u64, failed: u32) -> u64 {
    let doublings = failed.saturating_sub(1).min(CENSORSHIP_DOUBLINGS_MAX);
    bound_ms.saturating_mul(1 << doublings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_censorship_bound_grows_with_failed_views_and_not_for_ever() {
        let bounds = [0, 1, 2, 3, 4, 5, 6, u32::MAX].map(|failed| doubled_bound(5_000, failed));
        assert_eq!(bounds, [5_000, 5_000, 10_000, 20_000, 40_000, 80_000, 80_000, 80_000]);
        assert_eq!(doubled_bound(u64::MAX, 3), u64::MAX);
    }
}
