//! Heartbeats, and the repetition of what may have been lost (§5).

use super::{
    Machine, Peer,
    slot::{Own, OwnProposal},
};
use crate::{Ancestry, Effect, Heartbeat, Message, Recipient, limits};
use lian_types::{BlockNumber, ConsensusKey, Millis};
use std::sync::Arc;

/// How often the time between repetitions doubles.
const RESEND_DOUBLINGS_MAX: u32 = 4;
/// How many of the lowest open heights are repeated at once.
const RESEND_HEIGHTS: usize = 4;

impl Machine {
    /// Says where this node stands: an idle leader often, everybody now and then.
    pub(super) fn beat(&mut self) {
        if self.is_alone() || self.me.is_none() {
            return;
        }
        if self.beat_due() <= self.now {
            self.report(Recipient::All);
        }
    }

    pub(super) fn beat_due(&self) -> Millis {
        let report = self.timers.reported_at.saturating_add(self.config.timing.report_ms);
        let leads = self.voter().is_some() && self.watched_leader().is_none();
        if leads { report.min(self.timers.led_at.saturating_add(self.config.timing.heartbeat_ms)) } else { report }
    }

    pub(super) fn report(&mut self, to: Recipient) {
        let beat = Heartbeat {
            epoch: self.epoch(),
            height: self.head.height,
            view: self.view,
            promised: self.promised,
            starving: self.timers.starving,
            abstains_until: self.abstention.as_ref().map(|abstention| abstention.until()),
        };
        if to == Recipient::All {
            self.timers.reported_at = self.now;
            self.timers.led_at = self.now;
        }
        self.push(Effect::Send { to, message: Message::Heartbeat(beat) });
    }

    /// Repeats own messages while something is open and does not move.
    pub(super) fn repeat(&mut self) {
        let changing = self.promised > self.view && self.sent_change().is_some();
        let best = self.best.as_ref().is_some_and(|best| best.height > self.head.height);
        let open = || self.slots.values().any(|slot| slot.received.is_some() || slot.own_checkpoint.is_some());
        if self.is_alone() || !(changing || best || open()) {
            self.timers.resend_at = None;
            self.timers.resends = 0;
            return;
        }
        let interval = self.resend_ms();
        let at = *self.timers.resend_at.get_or_insert(self.now.saturating_add(interval));
        if self.now >= at {
            self.timers.resends = self.timers.resends.saturating_add(1).min(RESEND_DOUBLINGS_MAX);
            let factor = 1_u64.checked_shl(self.timers.resends).unwrap_or(u64::MAX);
            self.timers.resend_at = Some(self.now.saturating_add(interval.saturating_mul(factor)));
            self.resend();
        }
    }

    pub(super) fn resend(&mut self) {
        if self.promised > self.view
            && let Some(message) = self.sent_change().cloned()
        {
            self.send_all(Message::ViewChange(message));
        }
        let mut messages = Vec::new();
        for slot in self.slots.values().take(RESEND_HEIGHTS) {
            if let Some(OwnProposal::Sent(pre_prepare)) = &slot.own_proposal {
                messages.push(Message::PrePrepare(pre_prepare.clone()));
            }
            let votes = [&slot.own_prepare, &slot.own_commit, &slot.own_checkpoint];
            let votes = votes.into_iter().flatten().filter_map(Own::sent);
            let votes = votes.filter(|signed| self.recovery.repeats(&signed.vote));
            messages.extend(votes.map(|signed| Message::Vote(*signed)));
        }
        // Others may lack what lies below a certificate, and their checkpoints with it.
        messages.extend(self.ancestry().map(Message::Ancestry));
        messages.into_iter().for_each(|message| self.send_all(message));
        if self.me.is_some() {
            self.report(Recipient::All);
        }
        if self.now.since(self.timers.best_since).0 >= self.resend_ms() && !self.holds_path_to_best() {
            self.report_behind();
        }
    }

    /// The best certificate with the proposals down to the final height, where they are all held and some height among
    /// them lacks a certificate of its own.
    fn ancestry(&self) -> Option<Ancestry> {
        let best = self.best.as_ref().filter(|best| best.height > self.head.height)?;
        if !self.slots.range(..best.height).any(|(_, slot)| slot.certificate.is_none()) {
            return None;
        }
        let mut digest = best.digest;
        let mut proposals = Vec::new();
        for _ in self.head.height.0..best.height.0.min(self.limit().0) {
            let known = self.known.get(&digest)?;
            proposals.push(Arc::clone(&known.proposal));
            digest = known.proposal.parent;
        }
        (digest == self.head.digest).then(|| Ancestry { certificate: best.as_ref().clone(), proposals })
    }

    /// Asks to catch up to the best certificate.
    pub(super) fn report_behind(&mut self) {
        let Some(best) = self.best.as_ref().filter(|best| best.height > self.head.height) else { return };
        let height = best.height;
        let signers = best.signatures.iter().map(|signature| signature.signer);
        let other = signers.filter(|signer| Some(*signer) != self.me).find_map(|signer| self.member_key(signer));
        let Some(from) = self.best_from.or(other) else { return };
        let interval = self.resend_ms();
        if self.timers.behind_at.is_none_or(|at| self.now.since(at).0 >= interval) {
            self.timers.behind_at = Some(self.now);
            self.push(Effect::Behind { height, from, proven: true });
        }
    }

    pub(super) fn take_peer(&mut self, key: ConsensusKey, connected: bool) {
        let now = self.now;
        let Some(peer) = self.peer(key) else { return };
        if connected {
            peer.lost = None;
        } else if peer.connected {
            peer.lost = Some(now);
        }
        peer.connected = connected;
        if connected && self.me.is_some() {
            self.report(Recipient::One(key));
        }
    }

    pub(super) fn take_heartbeat(&mut self, from: ConsensusKey, beat: Heartbeat) {
        let window = self.config.rules.window;
        let height = self.head.height;
        let Some(peer) = self.peer(from) else { return };
        peer.beat = Some(beat);
        if let Some(until) = beat.abstains_until.filter(|until| *until > height && until.0 < u64::MAX) {
            let limit = height.saturating_add(window.saturating_mul(limits::RECOVERY_WINDOWS_MAX)).min(until);
            let renewable = |old: BlockNumber| old.saturating_add(limits::RECOVERY_RENEWAL_HEIGHTS) < height;
            if peer.empty_until.is_none_or(renewable) {
                peer.empty_until = Some(limit);
            }
        }
        self.collect_report(from, beat);
        if beat.height < height {
            self.help_to_height(from, beat.height);
        } else if beat.height > height {
            let stuck = self.now.since(self.timers.head_since).0 >= self.resend_ms();
            if (stuck || beat.height > height.saturating_add(window)) && self.may_help(from, |peer| &mut peer.asked) {
                self.push(Effect::Behind { height: beat.height, from, proven: false });
                if self.me.is_some() {
                    self.report(Recipient::One(from));
                }
            }
        }
        if beat.epoch == self.epoch() && beat.view < self.view {
            self.help_into_view(from);
        } else if beat.epoch == self.epoch()
            && beat.view > self.view
            && self.me.is_some()
            && self.may_help(from, |peer| &mut peer.asked)
        {
            self.report(Recipient::One(from));
        }
    }

    /// Whether a peer may be sent something again; at most once in the time between repetitions.
    pub(super) fn may_help(&mut self, key: ConsensusKey, last: impl Fn(&mut Peer) -> &mut Option<Millis>) -> bool {
        let (now, interval) = (self.now, self.resend_ms());
        let Some(last) = self.peer(key).map(last) else { return false };
        let may = last.is_none_or(|at| now.since(at).0 >= interval);
        if may {
            *last = Some(now);
        }
        may
    }

    /// Sends a member that lags the greatest certificate that it should have by now.
    pub(super) fn help_to_height(&mut self, key: ConsensusKey, height: BlockNumber) {
        let interval = self.resend_ms();
        let old = |since: Millis| self.now.since(since).0 >= interval;
        let above = self.recent.range(height.next()..).rev().find(|(_, recent)| old(recent.since));
        if let Some(certificate) = above.map(|(_, recent)| recent.certificate.as_ref().clone())
            && self.may_help(key, |peer| &mut peer.helped_to_height)
        {
            self.push(Effect::Send { to: Recipient::One(key), message: Message::Certificate(certificate) });
        }
    }
}
