//! After a divergence (§7): what a cleared or reported node does not sign, and the rules of a retry.

use super::{Machine, slot::Lock};
use crate::{Cause, Record, Retry};
use lian_types::{BlockNumber, Phase, Vote};

/// What operators decided after a divergence, as the vote log has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Recovery {
    /// From this height on nothing is signed before a plan is installed; and the number of the retry reported for.
    pub reported: Option<(BlockNumber, u64)>,
    /// Nothing at all is signed before this height is final here.
    pub cleared: Option<BlockNumber>,
    /// The plan that is installed, until the heights that it is about are final.
    pub retry: Option<Retry>,
}

impl Recovery {
    /// Whether nothing is signed for a height.
    pub(super) fn is_silent(&self, height: BlockNumber) -> bool {
        self.cleared.is_some() || self.reported.is_some_and(|(from, _)| height >= from)
    }

    /// Whether a height is tried again: it is committed only with a result and only after the height below is final, and
    /// nobody sends a checkpoint of it. So all that is new about its result are commits of the retry's views.
    pub(super) fn retries(&self, height: BlockNumber) -> bool {
        self.retry.as_ref().is_some_and(|retry| retry.covers(height))
    }

    /// Whether a vote counts where it is asked whether any result can still win.
    pub(super) fn counts(&self, vote: &Vote) -> bool {
        let Some(retry) = self.retry.as_ref().filter(|retry| retry.covers(vote.height)) else { return true };
        vote.phase != Phase::Checkpoint && vote.view >= retry.view
    }

    /// Whether an own vote is repeated: one from before the retry says what this node may not stand for any more.
    pub(super) fn repeats(&self, vote: &Vote) -> bool {
        !self.is_silent(vote.height) && self.counts(vote)
    }

    /// A height is final: what concerned it is over.
    pub(super) fn finished(&mut self, height: BlockNumber) {
        self.cleared = self.cleared.filter(|through| *through > height);
        self.retry = self.retry.take().filter(|retry| retry.until > height);
    }

    /// What must stay in the log.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        let cleared = self.cleared.map(|through| Record::Cleared { through });
        let reported = self.reported.map(|(height, attempt)| Record::Reported { height, attempt });
        [self.retry.clone().map(Record::Retry), cleared, reported].into_iter().flatten()
    }
}

impl Machine {
    /// A plan replaces the locks of its height and above by the results that it keeps.
    pub(super) fn restore_retry(&mut self, retry: Retry) {
        self.recovery.reported = None;
        self.recovery.cleared = None;
        if retry.epoch != self.epoch() || retry.until <= self.head.height {
            return;
        }
        self.slots.range_mut(retry.height..).for_each(|(_, slot)| slot.locks.clear());
        for lock in retry.kept.iter().copied() {
            if let Some(slot) = self.slot(lock.height) {
                // Not durable as a vote: the log is to tell what was voted for from what is only kept.
                slot.locks.insert(lock.digest, Lock { lock, durable: false });
            }
        }
        self.recovery.retry = Some(retry);
    }

    /// What this node stood for up to this height binds it no more: it signs nothing before certificates have settled
    /// those heights here, and what it votes for above them then rests on those.
    pub(super) fn restore_cleared(&mut self, through: BlockNumber) {
        self.recovery.reported = None;
        if through > self.head.height {
            self.recovery.cleared = Some(self.recovery.cleared.unwrap_or(through).max(through));
        }
    }

    /// Promises the view of an installed plan; in lower ones nothing is voted any more.
    pub(super) fn begin_retry(&mut self) {
        if let Some(view) = self.recovery.retry.as_ref().map(|retry| retry.view).filter(|view| *view > self.promised) {
            self.leave_for(view, Cause::Retry);
        }
    }
}
