//! Restart from the vote log, and abstention where it was lost (§3).

use super::{
    Known, Machine,
    slot::{Lock, Own, OwnProposal, Prepared},
};
use crate::{BodiesVerdict, Cause, Effect, Heartbeat, LogCondition, PrePrepare, PrepareCertificate, Record};
use lian_types::{BlockNumber, ConsensusKey, Epoch, Phase, Proposal, SignedVote, View};
use std::{collections::BTreeMap, sync::Arc};

/// Why this node does not vote although it is a member: what it voted before is not known.
#[derive(Clone, Debug, Default)]
pub(super) struct Abstention {
    /// Epoch, final height and promised view of the members that reported.
    reports: BTreeMap<ConsensusKey, (Epoch, BlockNumber, View)>,
    resume: Option<Resume>,
}

/// When it is certain that no earlier vote or promise can be contradicted.
#[derive(Clone, Copy, Debug)]
struct Resume {
    /// No vote before the loss was for a greater height.
    height: BlockNumber,
    /// No promise before the loss was for this view of the present epoch or a higher one.
    view: View,
}

impl Abstention {
    /// Up to which height nothing is voted; the largest number as long as it is not known.
    pub(super) fn until(&self) -> BlockNumber {
        self.resume.map_or(BlockNumber(u64::MAX), |resume| resume.height)
    }

    /// Whether a view may be promised.
    pub(super) fn may_promise(&self, head: BlockNumber, view: View) -> bool {
        self.resume.is_some_and(|resume| head >= resume.height && view >= resume.view)
    }
}

impl Machine {
    /// Takes up what the vote log held. What can be read of a log that lost something is true nevertheless, most of all
    /// what was written after the loss: a promise made since then is kept.
    pub(super) fn restore(&mut self, records: Vec<Record>, log: LogCondition) {
        let mut abstains = log == LogCondition::Lost;
        let mut proposals = Vec::new();
        let mut votes = Vec::new();
        let mut promise = None;
        let mut entered = None;
        for record in records {
            match record {
                Record::PrePrepare(pre_prepare) => proposals.push(pre_prepare),
                Record::Vote(signed) => votes.push(signed),
                Record::Prepared { proposal, certificate } => self.restore_prepared(proposal, certificate),
                Record::ResultLock(lock) => {
                    if let Some(slot) = self.slot(lock.height) {
                        slot.locks.insert(lock.digest, Lock { lock, durable: true });
                    }
                }
                Record::ViewPromise(message) if message.signed.change.epoch == self.epoch() => promise = Some(message),
                Record::NewView(signed) if signed.new_view.epoch == self.epoch() => entered = Some(signed),
                Record::ViewPromise(_) | Record::NewView(_) => {}
                Record::Abstains(now) => abstains = now || log == LogCondition::Lost,
                Record::Reported { height, attempt } => self.recovery.reported = Some((height, attempt)),
                Record::Retry(retry) => self.restore_retry(retry),
                Record::Cleared { through } => self.restore_cleared(through),
            }
        }
        if let Some(signed) = entered {
            self.enter(None, signed);
        }
        if let Some(message) = promise.filter(|message| message.signed.change.view > self.view) {
            self.promised = message.signed.change.view;
            self.changes.insert(message.signed.signer, message.clone());
            self.own_change = Some(message);
            self.changes_moved();
        }
        votes.into_iter().for_each(|signed| self.restore_vote(signed));
        proposals.into_iter().for_each(|pre_prepare| self.restore_proposal(pre_prepare));
        if abstains {
            self.abstain();
        }
        self.begin_retry();
    }

    /// Abstains from now on, over restarts, too.
    fn abstain(&mut self) {
        if self.abstention.is_none() {
            self.abstention = Some(Abstention::default());
            self.push(Effect::Persist(vec![Record::Abstains(true)]));
            self.settle_abstention();
        }
    }

    fn restore_prepared(&mut self, proposal: Arc<Proposal>, certificate: PrepareCertificate) {
        if certificate.epoch != self.epoch() || certificate.height > self.open_limit() {
            return;
        }
        let digest = certificate.digest;
        let Some(slot) = self.slot(certificate.height) else { return };
        if slot.prepared.as_ref().is_none_or(|known| known.certificate.view < certificate.view) {
            slot.prepared = Some(Prepared { proposal: Arc::clone(&proposal), certificate });
        }
        self.known.insert(digest, Known { proposal, bodies: Some(BodiesVerdict::Held) });
    }

    /// Binds the slot of a vote that was made durable: the same bytes are sent again, or nothing.
    fn restore_vote(&mut self, signed: SignedVote) {
        let vote = signed.vote;
        if vote.epoch != self.epoch() || vote.height <= self.head.height {
            return;
        }
        if vote.phase != Phase::Checkpoint && vote.view > self.view {
            // The new-view of that vote is older than the vote: a log without it has lost something.
            self.abstain();
            return;
        }
        let current = vote.phase == Phase::Checkpoint || vote.view == self.view;
        let Some(slot) = self.slot(vote.height) else { return };
        if current {
            *slot.own_mut(vote.phase) = Some(Own::Sent(signed));
        }
        slot.votes_mut(vote.phase).insert(signed);
        slot.stale = true;
    }

    fn restore_proposal(&mut self, pre_prepare: PrePrepare) {
        let (view, proposal) = (pre_prepare.view, Arc::clone(&pre_prepare.proposal));
        let height = proposal.height;
        if proposal.epoch != self.epoch() || view != self.view || height <= self.forced_up_to {
            return;
        }
        let digest = self.config.rules.suite.proposal_digest(&proposal);
        let signature = pre_prepare.signature;
        if let Some(slot) = self.slot(height) {
            slot.own_proposal = Some(OwnProposal::Sent(pre_prepare));
            self.receive(height, digest, proposal, Some(signature));
        }
    }

    /// Every record that is still needed, so that a log may be written anew and older ones be dropped.
    #[must_use]
    pub fn live_records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        records.extend(self.abstention.as_ref().map(|_| Record::Abstains(true)));
        records.extend(self.entered_by.clone().filter(|_| self.me.is_some()).map(Record::NewView));
        records.extend(self.own_change.clone().map(Record::ViewPromise));
        records.extend(self.recovery.records());
        for slot in self.slots.values() {
            if let Some(OwnProposal::Sent(pre_prepare)) = &slot.own_proposal {
                records.push(Record::PrePrepare(pre_prepare.clone()));
            }
            if let Some(Prepared { proposal, certificate }) = slot.prepared.clone() {
                records.push(Record::Prepared { proposal, certificate });
            }
            let locks = slot.locks.values().filter(|own| own.durable);
            records.extend(locks.map(|own| Record::ResultLock(own.lock)));
            let votes = [&slot.own_prepare, &slot.own_commit, &slot.own_checkpoint];
            records.extend(votes.into_iter().flatten().filter_map(Own::sent).map(|signed| Record::Vote(*signed)));
        }
        records
    }

    /// Takes a member's report of where it stands. One that abstains itself does not know what it promised.
    pub(super) fn collect_report(&mut self, from: ConsensusKey, beat: Heartbeat) {
        if beat.abstains_until.is_some() {
            return;
        }
        if let Some(abstention) = self.abstention.as_mut().filter(|abstention| abstention.resume.is_none()) {
            abstention.reports.insert(from, (beat.epoch, beat.height, beat.promised));
            self.settle_abstention();
        }
    }

    /// Fixes the end of an abstention once a quorum of other members has reported. `docs/spec/pbft.md` §3 argues why
    /// nothing from before the loss can be above it.
    fn settle_abstention(&mut self) {
        let members = &self.committee.members.members;
        // Others only. One that is the only member has nobody to ask, and never returns.
        let others = members.len().saturating_sub(usize::from(self.me.is_some()));
        let needed = members.quorum().min(others).max(1);
        let (epoch, window, own) = (self.epoch(), self.config.rules.window, self.head.height);
        let Some(abstention) = self.abstention.as_mut().filter(|abstention| abstention.resume.is_none()) else {
            return;
        };
        abstention.reports.retain(|key, _| members.index_of(key).is_some());
        let reports = abstention.reports.values();
        if abstention.reports.len() < needed || reports.clone().any(|(theirs, _, _)| *theirs > epoch) {
            return;
        }
        let highest = reports.clone().map(|(_, height, _)| *height).max().unwrap_or(own).max(own);
        let view = reports.filter(|(theirs, _, _)| *theirs == epoch).map(|(_, _, view)| *view).max();
        let height = highest.saturating_add(window.saturating_mul(2));
        abstention.resume = Some(Resume { height, view: view.unwrap_or(View::ZERO).saturating_add(2) });
    }

    /// Promises the first view in which this node may vote again, so that the others count on it as soon as they
    /// leave theirs.
    pub(super) fn rejoin(&mut self) {
        self.end_abstention();
        let resume = self.abstention.as_ref().and_then(|abstention| abstention.resume);
        if let Some(resume) = resume
            && self.head.height >= resume.height
        {
            self.leave_for(resume.view, Cause::Rejoin);
        }
    }

    /// Ends the abstention where nothing can be contradicted any more: all heights that may have votes are final, and
    /// nothing is signed again in a view below the one promised, which is beyond all that may have been.
    pub(super) fn end_abstention(&mut self) {
        let resume = self.abstention.as_ref().and_then(|abstention| abstention.resume);
        let promised = self.own_change.as_ref().map_or(self.view, |change| change.signed.change.view);
        if resume.is_some_and(|resume| self.head.height >= resume.height && promised >= resume.view) {
            self.abstention = None;
            self.push(Effect::Persist(vec![Record::Abstains(false)]));
        }
    }

    /// Carries an abstention into a new epoch, whose views start again.
    pub(super) fn abstention_into_epoch(&mut self) {
        let head = self.head.height;
        if let Some(resume) = self.abstention.as_mut().and_then(|abstention| abstention.resume.as_mut()) {
            resume.view = if head >= resume.height { View::ZERO } else { View(2) };
        }
        self.settle_abstention();
        self.end_abstention();
    }
}
