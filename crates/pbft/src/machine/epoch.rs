//! Changes of members (§6), and of rules.

use super::Machine;
use crate::Committee;
use lian_types::{BlockNumber, Certificate, View};
use std::sync::Arc;

impl Machine {
    /// Installs the members of a coming epoch.
    pub(super) fn take_members(&mut self, committee: Committee) {
        if committee.first <= self.head.height || committee.epoch() <= self.epoch() {
            return;
        }
        // Votes of the old members on heights that are the new ones' mean nothing, and so do their certificates.
        self.slots.split_off(&committee.first);
        Arc::make_mut(&mut self.committees).insert(committee);
        if self.best.as_ref().is_some_and(|best| !self.is_of_its_epoch(best)) {
            self.best = self.head.certificate.clone().map(Arc::new);
            self.best_from = None;
        }
        self.change_epoch();
    }

    /// Ends what this member decides below a height, whose rules its program does not know. What it holds of that height
    /// and those above goes, and it votes on none of them.
    pub(super) fn end_before(&mut self, height: BlockNumber) {
        let height = height.max(self.head.height.next());
        self.slots.split_off(&height);
        Arc::make_mut(&mut self.committees).end_before(height);
        if self.best.as_ref().is_some_and(|best| !self.is_of_its_epoch(best)) {
            self.best = self.head.certificate.clone().map(Arc::new);
            self.best_from = None;
        }
    }

    /// Whether a certificate is by the members that decide its height, as far as is known. It was checked on another
    /// thread, which may not have known of a change that is known here.
    pub(super) fn is_of_its_epoch(&self, certificate: &Certificate) -> bool {
        self.committees.at(certificate.height).is_some_and(|committee| committee.epoch() == certificate.epoch)
    }

    /// Starts the epoch of the height above the final one, if it is a new one: its views start at 0.
    pub(super) fn change_epoch(&mut self) {
        let Some(committee) = self.committees.at(self.head.height.next()).cloned() else { return };
        if committee.epoch() == self.epoch() {
            return;
        }
        Arc::make_mut(&mut self.committees).retire(self.head.height);
        self.me = self.config.key.and_then(|key| committee.members.members.index_of(&key));
        self.committee = committee;
        self.view = View::ZERO;
        self.promised = View::ZERO;
        self.entered_at = self.now;
        self.entered_by = None;
        self.forced_up_to = self.head.height;
        self.changes.clear();
        self.own_change = None;
        self.change_proposals.clear();
        self.starting = None;
        self.wanted = None;
        let members = &self.committee.members.members;
        self.peers.retain(|key, _| members.index_of(key).is_some());
        for slot in self.slots.values_mut() {
            slot.leave_view();
            slot.prepared = None;
        }
        self.timers.entered(self.now);
        self.timers.failed = 0;
        self.recovery.retry = None;
        self.abstention_into_epoch();
        self.forget_unused();
        self.take_early();
    }
}
