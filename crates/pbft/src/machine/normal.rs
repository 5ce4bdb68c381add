//! The normal case (§2): proposals, prepares, commits.

use super::{
    Known, Machine,
    slot::{Inserted, Lock, Own, OwnProposal, Prepared, Received, signatures},
};
use crate::{
    BodiesVerdict, Cause, Effect, Message, Misbehaviour, PrePrepare, PrepareCertificate, Record, ResultLock, Stage,
    Statement,
};
use alloy_primitives::TxHash;
use lian_types::{
    BlockNumber, ConsensusKey, Millis, Phase, Proposal, ProposalDigest, Signature, SignedVote, View, Vote, limits,
};
use std::{collections::btree_map::Entry, sync::Arc};

impl Machine {
    /// Asks for transactions where this node leads the next height and there is room and reason (§1, §6).
    pub(super) fn propose(&mut self) {
        let Some(me) = self.voter() else { return };
        let height = self.next_height();
        if height > self.open_limit() || height <= self.forced_up_to || self.leader(height) != me {
            return;
        }
        if self.recovery.is_silent(height) {
            return;
        }
        if !(self.pool.ready || self.may_be_empty()) || self.wanted == Some((height, self.view)) {
            return;
        }
        let Some((parent, time_min)) = self.accepted_parent(height) else { return };
        self.wanted = Some((height, self.view));
        self.push(Effect::WantTransactions { height, view: self.view, parent, time_min });
    }

    /// The first height that has no proposal in this view.
    pub(super) fn next_height(&self) -> BlockNumber {
        let mut height = self.head.height.next();
        while let Some(slot) = self.slots.get(&height)
            && (slot.received.is_some() || slot.own_proposal.is_some())
        {
            height = height.next();
        }
        height
    }

    /// Digest and time of the parent of a height, if it is accepted in this view or final.
    fn accepted_parent(&self, height: BlockNumber) -> Option<(ProposalDigest, Millis)> {
        let below = height.saturating_sub(1);
        if below == self.head.height {
            return Some((self.head.digest, self.head.time));
        }
        let parent = self.slots.get(&below)?.received.as_ref().filter(|received| received.accepted)?;
        Some((parent.digest, parent.proposal.time))
    }

    /// The pool's answer: makes the proposal and has it signed.
    pub(super) fn take_transactions(
        &mut self,
        height: BlockNumber,
        view: View,
        transactions: Vec<TxHash>,
        time: Millis,
    ) {
        if self.wanted != Some((height, view)) {
            return;
        }
        self.wanted = None;
        let Some(me) = self.voter() else { return };
        let is_next = view == self.view && height == self.next_height() && height <= self.open_limit();
        if !is_next || self.leader(height) != me {
            return;
        }
        let Some((parent, time_min)) = self.accepted_parent(height) else { return };
        if transactions.is_empty() && !self.may_be_empty() {
            self.pool.ready = false;
            return;
        }
        let (Some(proposer), context) = (self.config.key, self.config.rules.context) else { return };
        let epoch = self.epoch();
        let time = time.max(time_min);
        let (chain_id, group) = (context.chain_id, context.group);
        let proposal = Proposal { chain_id, group, epoch, height, parent, time, proposer, transactions };
        let digest = self.config.rules.suite.proposal_digest(&proposal);
        if let Some(slot) = self.slot(height) {
            slot.own_proposal = Some(OwnProposal::Signing(digest, Arc::new(proposal)));
            self.push(Effect::Sign(Statement::PrePrepare { epoch, view, height, digest }));
        }
    }

    /// Sends the own proposal, after it is durable that it was made (§3).
    pub(super) fn proposal_signed(
        &mut self,
        view: View,
        height: BlockNumber,
        digest: ProposalDigest,
        signature: Signature,
    ) {
        if view != self.view || self.voter().is_none() {
            return;
        }
        let Some(slot) = self.slots.get_mut(&height) else { return };
        let Some(OwnProposal::Signing(own, proposal)) = &slot.own_proposal else { return };
        if *own != digest || slot.received.is_some() {
            return;
        }
        let pre_prepare = PrePrepare { view, proposal: Arc::clone(proposal), signature };
        slot.own_proposal = Some(OwnProposal::Sent(pre_prepare.clone()));
        let known = Known { proposal: Arc::clone(&pre_prepare.proposal), bodies: Some(BodiesVerdict::Held) };
        self.known.insert(digest, known);
        self.push(Effect::Persist(vec![Record::PrePrepare(pre_prepare.clone())]));
        self.send_all(Message::PrePrepare(pre_prepare.clone()));
        self.timers.led_at = self.now;
        self.receive(height, digest, pre_prepare.proposal, Some(signature));
    }

    pub(super) fn take_pre_prepare(&mut self, pre_prepare: PrePrepare) {
        let (view, height) = (pre_prepare.view, pre_prepare.proposal.height);
        if height <= self.head.height || height > self.buffer_limit() {
            return;
        }
        let in_epoch = pre_prepare.proposal.epoch == self.epoch();
        if !in_epoch || view > self.view {
            // It may overtake the new-view or the last block of the epoch; a later view has no business here yet.
            if (in_epoch && self.is_coming(view))
                || (pre_prepare.proposal.epoch == self.epoch().next() && view == View::ZERO)
            {
                self.early.insert(height, pre_prepare);
            }
            return;
        }
        if view < self.view || height <= self.forced_up_to {
            return;
        }
        let digest = self.config.rules.suite.proposal_digest(&pre_prepare.proposal);
        self.receive(height, digest, pre_prepare.proposal, Some(pre_prepare.signature));
    }

    /// Notes the proposal of a height in this view; the first one counts.
    pub(super) fn receive(
        &mut self,
        height: BlockNumber,
        digest: ProposalDigest,
        proposal: Arc<Proposal>,
        signature: Option<Signature>,
    ) {
        let at = self.now;
        let Some(slot) = self.slot(height) else { return };
        if let Some(received) = &slot.received {
            if received.digest != digest {
                let leader = self.leader(height);
                self.misbehaved(leader, Misbehaviour::TwoProposals);
            }
            return;
        }
        slot.received = Some(Received { digest, proposal: Arc::clone(&proposal), signature, at, accepted: false });
        slot.stale = true;
        self.know(digest, proposal);
    }

    /// Has the bodies of a proposal checked, once.
    pub(super) fn know(&mut self, digest: ProposalDigest, proposal: Arc<Proposal>) {
        if let Entry::Vacant(vacant) = self.known.entry(digest) {
            vacant.insert(Known { proposal: Arc::clone(&proposal), bodies: None });
            self.push(Effect::CheckBodies { digest, proposal });
        }
    }

    pub(super) fn take_bodies(&mut self, digest: ProposalDigest, verdict: BodiesVerdict) {
        let Some(known) = self.known.get_mut(&digest) else { return };
        if known.bodies.is_some() {
            return;
        }
        known.bodies = Some(verdict);
        let height = known.proposal.height;
        let received = self.slots.get(&height).and_then(|slot| slot.received.as_ref());
        let proposed_here = received.is_some_and(|received| received.digest == digest && received.signature.is_some());
        if verdict == BodiesVerdict::Invalid && proposed_here {
            let leader = self.leader(height);
            self.misbehaved(leader, Misbehaviour::InvalidProposal);
            self.leave_for(self.view.next(), Cause::InvalidProposal);
        }
    }

    pub(super) fn bodies_held(&self, digest: ProposalDigest) -> bool {
        self.known.get(&digest).is_some_and(|known| known.bodies == Some(BodiesVerdict::Held))
    }

    /// Accepts a proposal: bodies held, statically valid, parent accepted in this view or final, time in bounds (§2).
    pub(super) fn accept(&mut self, height: BlockNumber) {
        let Some(slot) = self.slots.get(&height) else { return };
        let Some(received) = slot.received.as_ref().filter(|received| !received.accepted) else { return };
        let digest = received.digest;
        let Some((parent, time_min)) = self.accepted_parent(height) else { return };
        let proposal = &received.proposal;
        if !self.bodies_held(digest) || proposal.parent != parent || proposal.time < time_min {
            return;
        }
        // A re-proposal was judged before, as was what this node prepared before a restart, and what a quorum prepared.
        let own = slot.own_prepare.as_ref().and_then(Own::sent).map(|signed| signed.vote.digest);
        let judged = received.signature.is_none() || own == Some(digest) || slot.count.prepared == Some(digest);
        if !judged && !self.is_timely(proposal.time) {
            return;
        }
        if let Some(received) = self.slots.get_mut(&height).and_then(|slot| slot.received.as_mut()) {
            received.accepted = true;
            self.reached(height, digest, Stage::Accepted);
        }
    }

    /// Whether the time of a first proposal lies within bounds of the own clock.
    pub(super) fn is_timely(&self, time: Millis) -> bool {
        time.since(self.now).0 <= limits::PROPOSAL_AHEAD_MS_MAX
            && self.now.since(time).0 <= limits::PROPOSAL_BEHIND_MS_MAX
    }

    /// Prepares what is accepted, once in a view.
    pub(super) fn prepare(&mut self, height: BlockNumber) {
        if self.voter().is_none() || self.recovery.is_silent(height) {
            return;
        }
        let Some(slot) = self.slots.get(&height) else { return };
        let Some(received) = slot.received.as_ref().filter(|received| received.accepted) else { return };
        if slot.own_prepare.is_none() {
            let digest = received.digest;
            self.sign_vote(self.view, height, Phase::Prepare, digest, None);
        }
    }

    /// Notes that a quorum prepared the proposal of this view, once its bodies are here: a proposal whose bodies a crash
    /// took from everybody would otherwise be forced in every later view. Who committed it holds them.
    pub(super) fn note_prepared(&mut self, height: BlockNumber) {
        let (view, epoch, now, quorum) = (self.view, self.epoch(), self.now, self.quorum());
        let received = self.slots.get(&height).and_then(|slot| slot.received.as_ref());
        if !received.is_some_and(|received| self.bodies_held(received.digest)) {
            return;
        }
        let Some(slot) = self.slots.get_mut(&height) else { return };
        let Some(received) = slot.received.as_ref() else { return };
        let digest = received.digest;
        let is_known = slot.prepared.as_ref().is_some_and(|prepared| prepared.certificate.view >= view);
        if is_known || slot.count.prepared != Some(digest) {
            return;
        }
        let in_view = |vote: &Vote| (vote.view == view).then_some(vote.digest);
        let Some((_, votes)) = slot.prepares.quorum(quorum, in_view) else { return };
        let certificate = PrepareCertificate { epoch, view, height, digest, signatures: signatures(&votes) };
        slot.prepared = Some(Prepared { proposal: Arc::clone(&received.proposal), certificate });
        slot.prepared_at = Some(now);
        self.reached(height, digest, Stage::Prepared);
    }

    /// Commits what a quorum prepared in this view, after the commit of the height below was sent in this view or that
    /// height is final (§2).
    pub(super) fn commit(&mut self, height: BlockNumber) {
        if self.voter().is_none() || self.recovery.is_silent(height) {
            return;
        }
        let Some(slot) = self.slots.get(&height) else { return };
        let (Some(received), Some(prepared)) = (&slot.received, &slot.prepared) else { return };
        let digest = received.digest;
        let certificate = &prepared.certificate;
        if slot.own_commit.is_some() || !received.accepted {
            return;
        }
        if certificate.view != self.view || certificate.digest != digest || !self.parent_committed(height) {
            return;
        }
        let result = slot.result_of(digest);
        if result.is_none() && self.recovery.retries(height) {
            return;
        }
        if result.is_none() && slot.is_running(digest) && self.hold_until(height).is_some_and(|until| self.now < until)
        {
            return;
        }
        if result.is_none() || self.lock(height, digest) {
            self.sign_vote(self.view, height, Phase::Commit, digest, result.map(|(_, hash)| hash));
        }
    }

    /// Until when a commit waits for its result. A vote with the result saves the checkpoints, and the block can be final
    /// no earlier without; so it waits as long as this node keeps executing, but not longer than the bound for any one
    /// execution, so that the order never hangs on a slow one.
    pub(super) fn hold_until(&self, height: BlockNumber) -> Option<Millis> {
        let since = self.slots.get(&height)?.prepared_at?.max(self.timers.executed_at);
        Some(since.saturating_add(self.config.timing.commit_hold_ms_max))
    }

    fn parent_committed(&self, height: BlockNumber) -> bool {
        let below = height.saturating_sub(1);
        if below == self.head.height {
            return true;
        }
        if self.recovery.retries(height) {
            return false;
        }
        let received = self.slots.get(&height).and_then(|slot| slot.received.as_ref());
        let sent = self.slots.get(&below).and_then(|slot| slot.own_commit.as_ref()?.sent());
        let (Some(received), Some(sent)) = (received, sent) else { return false };
        sent.vote.view == self.view && sent.vote.digest == received.proposal.parent
    }

    /// Binds the slot of a vote to it and has it signed.
    pub(super) fn sign_vote(
        &mut self,
        view: View,
        height: BlockNumber,
        phase: Phase,
        digest: ProposalDigest,
        result: Option<crate::ResultHash>,
    ) {
        let vote = Vote { epoch: self.epoch(), view, height, phase, digest, result };
        let Some(slot) = self.slots.get_mut(&height) else { return };
        let own = slot.own_mut(phase);
        if own.is_none() {
            *own = Some(Own::Signing(vote));
            self.push(Effect::Sign(Statement::Vote(vote)));
        }
    }

    /// Makes a signed vote durable with all that it promises (§3), sends it and counts it. Whatever follows from counting
    /// it stands after the barrier.
    pub(super) fn vote_signed(&mut self, vote: Vote, signature: Signature) {
        let Some(signer) = self.me else { return };
        let votable = match vote.phase {
            Phase::Prepare | Phase::Commit => vote.view == self.view && self.voter().is_some(),
            Phase::Checkpoint => true,
            Phase::Replicated => false,
        };
        if !votable || vote.epoch != self.epoch() {
            return;
        }
        let Some(slot) = self.slots.get_mut(&vote.height) else { return };
        if !slot.own_mut(vote.phase).as_ref().is_some_and(|own| own.is_signing(&vote)) {
            return;
        }
        let mut records = Vec::new();
        if vote.phase == Phase::Commit {
            let Some(prepared) = &slot.prepared else { return };
            let (proposal, certificate) = (Arc::clone(&prepared.proposal), prepared.certificate.clone());
            records.push(Record::Prepared { proposal, certificate });
        }
        if vote.result.is_some() {
            records.extend(self.locks_to_persist(vote.height, vote.digest).into_iter().map(Record::ResultLock));
        }
        let Some(slot) = self.slots.get_mut(&vote.height) else { return };
        let signed = SignedVote { vote, signer, signature };
        records.push(Record::Vote(signed));
        *slot.own_mut(vote.phase) = Some(Own::Sent(signed));
        slot.votes_mut(vote.phase).insert(signed);
        slot.stale = true;
        self.push(Effect::Persist(records));
        self.send_all(Message::Vote(signed));
        match vote.phase {
            Phase::Prepare | Phase::Replicated => {}
            Phase::Commit => self.reached(vote.height, vote.digest, Stage::Committed),
            Phase::Checkpoint => self.reached(vote.height, vote.digest, Stage::Checkpointed),
        }
    }

    /// Locks the result of executing a proposal, and of its ancestors, whose hashes its header contains, for ever (§3).
    /// False where it contradicts an earlier lock; the node has stopped then.
    pub(super) fn lock(&mut self, height: BlockNumber, digest: ProposalDigest) -> bool {
        let below = self.slots.range(..height);
        let below: Vec<_> = below.filter_map(|(at, slot)| Some((*at, slot.run?.digest))).collect();
        below.into_iter().all(|(at, digest)| self.lock_one(at, digest)) && self.lock_one(height, digest)
    }

    /// The locks of a result and of its ancestors that are not durable yet; they count as durable from now on.
    fn locks_to_persist(&mut self, height: BlockNumber, digest: ProposalDigest) -> Vec<ResultLock> {
        let mut locks = Vec::new();
        let mut wanted = self.slots.get(&height).and_then(|slot| slot.locks.get(&digest)).map(|own| own.lock.hash);
        for slot in self.slots.range_mut(..=height).rev().map(|(_, slot)| slot) {
            let Some(own) = slot.locks.values_mut().find(|own| Some(own.lock.hash) == wanted) else { break };
            wanted = Some(own.lock.parent);
            if !std::mem::replace(&mut own.durable, true) {
                locks.push(own.lock);
            }
        }
        locks.reverse();
        locks
    }

    fn lock_one(&mut self, height: BlockNumber, digest: ProposalDigest) -> bool {
        let Some(slot) = self.slots.get_mut(&height) else { return false };
        let Some((parent, hash)) = slot.result_of(digest) else { return false };
        let found = ResultLock { height, digest, parent, hash };
        match slot.locks.get(&digest) {
            Some(Lock { lock, .. }) if *lock == found => true,
            Some(Lock { lock, .. }) => {
                let voted = (lock.parent, lock.hash);
                self.halt(crate::Divergence::Execution { height, digest, voted, found: (parent, hash) });
                false
            }
            None => {
                slot.locks.insert(digest, Lock { lock: found, durable: false });
                true
            }
        }
    }

    pub(super) fn take_vote(&mut self, from: ConsensusKey, signed: SignedVote) {
        let vote = signed.vote;
        if vote.height <= self.head.height {
            self.help_to_height(from, vote.height.saturating_sub(1));
            return;
        }
        if self.committees.at(vote.height).is_none_or(|committee| committee.epoch() != vote.epoch) {
            return;
        }
        if vote.phase != Phase::Checkpoint && vote.epoch == self.epoch() && vote.view < self.view {
            self.help_into_view(from);
        }
        let Some(slot) = self.slot(vote.height) else { return };
        match slot.votes_mut(vote.phase).insert(signed) {
            Inserted::New => slot.stale = true,
            Inserted::Known => {}
            // The number of a signer of another epoch would name somebody else.
            Inserted::Conflict if vote.epoch != self.epoch() => {}
            Inserted::Conflict => self.misbehaved(signed.signer, Misbehaviour::TwoVotes),
        }
    }

    pub(super) fn recount(&mut self, height: BlockNumber) {
        let (view, quorum) = (self.view, self.quorum());
        let Some(slot) = self.slots.get_mut(&height).filter(|slot| slot.stale) else { return };
        slot.recount(view, quorum);
        if let Some(certificate) = slot.certificate.clone() {
            self.note_best(certificate, None);
        }
    }
}
