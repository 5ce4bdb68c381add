//! Leaving a view and starting the next one (§5).

use super::{
    Machine,
    slot::{Received, Slot},
};
use crate::{
    Cause, Divergence, Effect, Message, Misbehaviour, NewView, Recipient, Record, SignedNewView, SignedViewChange,
    Statement, ViewChange, ViewChangeMessage,
    choice::{Choice, choose},
};
use lian_types::{BlockNumber, ConsensusKey, Proposal, ProposalDigest, Signature, View};
use std::{collections::BTreeMap, sync::Arc};

impl Machine {
    /// Promises a view: from now on nothing of a lower one is signed.
    pub(super) fn leave_for(&mut self, view: View, cause: Cause) {
        let abstains =
            self.abstention.as_ref().is_some_and(|abstention| !abstention.may_promise(self.head.height, view));
        if self.me.is_none() || view <= self.promised || abstains {
            return;
        }
        // The last block of the epoch is certified: what follows is not this epoch's.
        let base = self.best.clone();
        let above = base.as_ref().map_or(BlockNumber::ZERO, |certificate| certificate.height).next();
        if self.committees.at(above).is_none_or(|committee| committee.epoch() != self.epoch()) {
            return;
        }
        self.promised = view;
        self.starting = None;
        self.wanted = None;
        self.timers.left(self.now);
        self.push(Effect::ViewChanged { epoch: self.epoch(), view, entered: false, cause: Some(cause) });
        let prepared = self.slots.range(above..).filter_map(|(_, slot)| slot.prepared.as_ref());
        let prepared = prepared.map(|prepared| (prepared.certificate.clone(), Arc::clone(&prepared.proposal)));
        let (prepared, proposals) = prepared.unzip();
        self.change_proposals = proposals;
        let base = base.as_deref().cloned();
        let change = ViewChange { epoch: self.epoch(), view, base, prepared };
        self.push(Effect::Sign(Statement::ViewChange(Box::new(change))));
    }

    /// Makes the promise durable (§3), then sends the view-change.
    pub(super) fn view_change_signed(&mut self, change: ViewChange, signature: Signature) {
        let Some(signer) = self.me else { return };
        if change.epoch != self.epoch() || change.view != self.promised || self.promised == self.view {
            return;
        }
        if self.sent_change().is_some() {
            return;
        }
        let proposals = std::mem::take(&mut self.change_proposals);
        let message = ViewChangeMessage { signed: Arc::new(SignedViewChange { change, signer, signature }), proposals };
        self.own_change = Some(message.clone());
        self.changes.insert(signer, message.clone());
        self.push(Effect::Persist(vec![Record::ViewPromise(message.clone())]));
        self.end_abstention();
        self.send_all(Message::ViewChange(message));
        self.changes_moved();
    }

    pub(super) fn take_view_change(&mut self, from: ConsensusKey, mut message: ViewChangeMessage) {
        let signed = Arc::clone(&message.signed);
        if signed.change.epoch != self.epoch() || Some(signed.signer) == self.me {
            return;
        }
        if let Some(base) = &signed.change.base {
            self.learn(Some(from), base.clone());
        }
        if signed.change.view <= self.view {
            self.help_into_view(from);
            return;
        }
        match self.changes.get(&signed.signer) {
            Some(known) if known.signed.change.view > signed.change.view => return,
            Some(known) if known.signed.change.view == signed.change.view => {
                if known.signed.change != signed.change {
                    self.misbehaved(signed.signer, Misbehaviour::TwoViewChanges);
                }
                return;
            }
            _ => {}
        }
        // Many members send the same proposals: one copy is kept.
        let digests = signed.change.prepared.iter().map(|prepared| prepared.digest);
        for (proposal, digest) in message.proposals.iter_mut().zip(digests) {
            if let Some(known) = self.find_proposal(&digest) {
                *proposal = known;
            }
        }
        self.changes.insert(signed.signer, message);
        self.join_others();
        self.changes_moved();
    }

    /// Where f+1 members have left for higher views, at least one honest member has: joins the lowest of those views.
    fn join_others(&mut self) {
        let others = self.changes.iter().filter(|(member, _)| Some(**member) != self.me);
        let higher = others.map(|(_, message)| message.signed.change.view).filter(|view| *view > self.promised);
        let higher: Vec<View> = higher.collect();
        if higher.len() >= self.honest_one()
            && let Some(lowest) = higher.iter().min()
        {
            self.leave_for(*lowest, Cause::Others);
        }
    }

    /// Starts the timer of the promised view once a quorum has promised it or a higher one; before that, going further
    /// alone would only lead away from the others (and see §3 on a lost vote log).
    pub(super) fn changes_moved(&mut self) {
        let promised = self.promised;
        let others = self.changes.iter().filter(|(member, _)| Some(**member) != self.me);
        let moved = others.filter(|(_, message)| message.signed.change.view >= promised).count();
        if promised > self.view && moved.saturating_add(1) >= self.quorum() && self.timers.change_since.is_none() {
            self.timers.change_since = Some(self.now);
        }
    }

    /// The leader of the promised view has the new-view signed, once a quorum's view-changes are there.
    pub(super) fn start_view(&mut self) {
        let view = self.promised;
        if self.me.is_none() || view == self.view || self.sent_change().is_none() || self.starting == Some(view) {
            return;
        }
        let Some((changes, choice)) = self.choose_changes(view) else { return };
        self.starting = Some(view);
        let new_view = NewView { epoch: self.epoch(), view, changes, proposals: choice.proposals() };
        self.push(Effect::Sign(Statement::NewView(Box::new(new_view))));
    }

    /// A set of view-changes for a view by which this node leads it. All that are there, if possible; where the base
    /// of the highest would make another member the leader, those with lower bases.
    fn choose_changes(&self, view: View) -> Option<(Vec<Arc<SignedViewChange>>, Choice)> {
        let all = self.changes.values().map(|message| &message.signed).filter(|signed| signed.change.view == view);
        let mut set: Vec<_> = all.cloned().collect();
        while set.len() >= self.quorum() {
            let choice = choose(&self.config.rules, &set, |digest| self.find_proposal(digest)).ok()?;
            let base = choice.base_height();
            if Some(self.committee.leader(&self.config.rules, view, base.next())) == self.me {
                return Some((set, choice));
            }
            set.retain(|signed| signed.change.base_height() < base);
        }
        None
    }

    /// The own view-change for the promised view, once it was sent.
    pub(super) fn sent_change(&self) -> Option<&ViewChangeMessage> {
        self.own_change.as_ref().filter(|message| message.signed.change.view == self.promised)
    }

    /// A proposal that is held, or came with a view-change.
    fn find_proposal(&self, digest: &ProposalDigest) -> Option<Arc<Proposal>> {
        let prepared = self.slots.values().filter_map(|slot| slot.prepared.as_ref());
        let mut prepared = prepared.filter(|prepared| prepared.certificate.digest == *digest);
        let sent = || {
            self.changes.values().find_map(|message| {
                let mut pairs = message.signed.change.prepared.iter().zip(&message.proposals);
                pairs.find(|(certificate, _)| certificate.digest == *digest).map(|(_, proposal)| Arc::clone(proposal))
            })
        };
        let own = prepared.next().map(|prepared| Arc::clone(&prepared.proposal));
        own.or_else(|| self.known.get(digest).map(|known| Arc::clone(&known.proposal))).or_else(sent)
    }

    /// Makes the own new-view durable, sends it and enters the view.
    pub(super) fn new_view_signed(&mut self, new_view: NewView, signature: Signature) {
        let Some(signer) = self.me else { return };
        if new_view.epoch != self.epoch() || new_view.view != self.promised || self.starting != Some(new_view.view) {
            return;
        }
        let signed = Arc::new(SignedNewView { new_view, signer, signature });
        self.push(Effect::Persist(vec![Record::NewView(Arc::clone(&signed))]));
        self.send_all(Message::NewView(Arc::clone(&signed)));
        self.enter(None, signed);
    }

    pub(super) fn take_new_view(&mut self, from: ConsensusKey, signed: Arc<SignedNewView>) {
        let NewView { epoch, view, .. } = signed.new_view;
        if epoch != self.epoch() || view <= self.view || view < self.promised {
            return;
        }
        // A faulty leader may start its view twice, and a quorum may have decided after the other start. What is proven
        // stays; a new-view proves nothing against it, and whoever entered by the other one will pass that on.
        let Some(choice) = self.choice_of(&signed) else { return };
        if self.contradiction(&choice).is_some() {
            return;
        }
        if self.me.is_some() {
            self.push(Effect::Persist(vec![Record::NewView(Arc::clone(&signed))]));
        }
        self.enter(Some(from), signed);
    }

    /// Enters a view: what its view-changes force takes the place of all that the old view proposed.
    pub(super) fn enter(&mut self, from: Option<ConsensusKey>, signed: Arc<SignedNewView>) {
        let Some(choice) = self.choice_of(&signed) else { return };
        let view = signed.new_view.view;
        self.view = view;
        self.promised = view;
        self.entered_at = self.now;
        self.entered_by = Some(signed);
        self.own_change = None;
        self.starting = None;
        self.wanted = None;
        self.changes.retain(|_, message| message.signed.change.view > view);
        let left = self.slots.iter().filter_map(|(height, slot)| Some((*height, slot.proposed()?))).collect();
        self.slots.values_mut().for_each(Slot::leave_view);
        self.timers.entered(self.now);
        self.push(Effect::ViewChanged { epoch: self.epoch(), view, entered: true, cause: None });
        self.end_abstention();
        if let Some(base) = choice.base.clone() {
            self.learn(from, base);
        }
        self.force(&choice, &left);
        self.forget_unused();
        self.take_early();
        self.join_others();
    }

    fn choice_of(&self, signed: &SignedNewView) -> Option<Choice> {
        let suite = self.config.rules.suite;
        let proposals = signed.new_view.proposals.iter().map(|p| (suite.proposal_digest(p), Arc::clone(p)));
        let proposals: BTreeMap<_, _> = proposals.collect();
        choose(&self.config.rules, &signed.new_view.changes, |digest| proposals.get(digest).cloned()).ok()
    }

    /// Takes the proposals that the new-view forces, and discards what was executed or proposed (`left`) instead of them.
    fn force(&mut self, choice: &Choice, left: &BTreeMap<BlockNumber, ProposalDigest>) {
        if let Some((height, own, other)) = self.contradiction(choice) {
            self.halt(Divergence::Order { height, own, other: Some(other) });
            return;
        }
        let base = choice.base_height();
        let mut height = base;
        for (digest, proposal) in &choice.forced {
            height = height.next();
            let at = self.now;
            if let Some(slot) = self.slot(height) {
                let (digest, proposal) = (*digest, Arc::clone(proposal));
                slot.received =
                    Some(Received { digest, proposal: Arc::clone(&proposal), signature: None, at, accepted: false });
                self.know(digest, proposal);
            }
        }
        self.forced_up_to = height.max(self.head.height);
        // What was executed and is proven by later votes stays; anything else that is not proposed again goes. So does what
        // was proposed only: its transactions may be proposed again.
        let differs = |height: &BlockNumber, slot: &Slot| {
            let stays = slot.received.as_ref().map(|received| received.digest).or(slot.proven());
            let was = slot.run.map(|run| run.digest);
            [was, left.get(height).copied()].into_iter().flatten().any(|digest| stays != Some(digest))
        };
        let mut open = self.slots.range(base.next()..);
        let first = open.find(|(height, slot)| differs(height, slot)).map(|(height, _)| *height);
        if let Some(first) = first {
            self.slots.range_mut(first..).for_each(|(_, slot)| slot.run = None);
            self.push(Effect::DiscardFrom(first));
        }
    }

    fn force_one(&mut self, height: BlockNumber, digest: ProposalDigest, proposal: &Arc<Proposal>) {
        let at = self.now;
        if let Some(slot) = self.slot(height).filter(|slot| slot.received.is_none()) {
            let proposal = Arc::clone(proposal);
            slot.received =
                Some(Received { digest, proposal: Arc::clone(&proposal), signature: None, at, accepted: false });
            slot.stale = true;
            self.know(digest, proposal);
        }
    }

    /// Takes those forced proposals that lay beyond the buffer when the view was entered.
    pub(super) fn force_rest(&mut self) {
        let Some(choice) = self.entered_by.clone().and_then(|signed| self.choice_of(&signed)) else { return };
        for (digest, proposal) in &choice.forced {
            self.force_one(proposal.height, *digest, proposal);
        }
    }

    /// What is proven to be ordered at a height by what this node holds.
    fn proven(&self, height: BlockNumber) -> Option<ProposalDigest> {
        if height == self.head.height {
            return Some(self.head.digest);
        }
        self.slots.get(&height)?.proven()
    }

    /// The first height at which a choice forces another proposal than the one proven here, with both.
    fn contradiction(&self, choice: &Choice) -> Option<(BlockNumber, ProposalDigest, ProposalDigest)> {
        choice.forced.iter().find_map(|(digest, proposal)| {
            let proven = self.proven(proposal.height).filter(|proven| proven != digest)?;
            Some((proposal.height, proven, *digest))
        })
    }

    /// Takes proposals that came before the view or epoch they belong to.
    pub(super) fn take_early(&mut self) {
        for (_, pre_prepare) in std::mem::take(&mut self.early) {
            self.take_pre_prepare(pre_prepare);
        }
    }

    /// Repeats what started this view for a member that is still in a lower one.
    pub(super) fn help_into_view(&mut self, key: ConsensusKey) {
        if let Some(signed) = self.entered_by.clone()
            && self.may_help(key, |peer| &mut peer.helped_into_view)
        {
            self.push(Effect::Send { to: Recipient::One(key), message: Message::NewView(signed) });
        }
    }
}
