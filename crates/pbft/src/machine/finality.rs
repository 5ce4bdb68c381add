//! Order, results and certificates (§3, §4, §7).

use super::{Machine, Recent, slot::Run, slot::Slot};
use crate::{Ancestry, BodiesVerdict, Divergence, Effect, Head, Stage, limits};
use alloy_primitives::B256;
use lian_types::{BlockNumber, Certificate, ConsensusKey, MemberIndex, Phase, ProposalDigest, View, Vote};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

impl Machine {
    /// Order-commits: a quorum's commits of one view, and the height below is order-committed (§4).
    pub(super) fn order(&mut self, height: BlockNumber) {
        let below = height.saturating_sub(1);
        let is_next = below == self.head.height || self.slots.get(&below).is_some_and(|slot| slot.ordered.is_some());
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&height) else { return };
        if !is_next || slot.ordered.is_some() {
            return;
        }
        let Some(digest) = slot.count.committed else { return };
        slot.ordered = Some(digest);
        let started = slot.received.as_ref().filter(|received| received.digest == digest).map(|received| received.at);
        if let Some(started) = started {
            self.timers.measure(now.since(started));
        }
        self.timers.work_since = None;
        self.reached(height, digest, Stage::Ordered);
    }

    /// Sends the checkpoint of what is order-committed and executed, once, where commits alone may not make a
    /// certificate everywhere: there is none here, or some commit carried no result (§2).
    pub(super) fn checkpoint(&mut self, height: BlockNumber) {
        let abstains = self.abstention.as_ref().is_some_and(|abstention| height <= abstention.until());
        if self.me.is_none() || abstains || self.recovery.is_silent(height) || self.recovery.retries(height) {
            return;
        }
        let Some(slot) = self.slots.get(&height) else { return };
        let Some(digest) = slot.ordered.filter(|_| slot.own_checkpoint.is_none()) else { return };
        let Some((_, hash)) = slot.result_of(digest) else { return };
        let bare = slot.commits.iter().any(|signed| signed.vote.digest == digest && signed.vote.result.is_none());
        if (slot.certificate.is_none() || bare) && self.lock(height, digest) {
            self.sign_vote(View::ZERO, height, Phase::Checkpoint, digest, Some(hash));
        }
    }

    /// Stops where no header can gather a quorum any more (§7). A member's first result counts: an honest one has no
    /// other, and as long as at most f are faulty the honest ones alone reach a quorum.
    pub(super) fn watch_results(&mut self, height: BlockNumber) {
        let Some(slot) = self.slots.get(&height) else { return };
        let Some(digest) = slot.ordered.filter(|_| slot.certificate.is_none()) else { return };
        let counts = |vote: &Vote| self.recovery.counts(vote);
        let results = results(slot, digest, counts);
        let said = results.values().map(Vec::len).fold(0_usize, usize::saturating_add);
        let most = results.values().map(Vec::len).max().unwrap_or(0);
        let silent = self.committee.members.members.len().saturating_sub(said);
        if most.saturating_add(silent) < self.quorum() {
            let results = results.into_iter().collect();
            self.halt(Divergence::NoQuorum { height, digest, results });
        }
    }

    /// Asks for the execution of what is certified, ordered or accepted, in order, each on its parent; discards what
    /// was executed instead.
    pub(super) fn execute(&mut self) {
        let mut parent = self.head.digest;
        for height in self.open_heights() {
            let Some(digest) = self.slots.get(&height).and_then(Slot::to_execute) else { return };
            let Some(known) = self.known.get(&digest) else { return };
            if known.bodies != Some(BodiesVerdict::Held) || known.proposal.parent != parent {
                return;
            }
            let proposal = Arc::clone(&known.proposal);
            let run = self.slots.get(&height).and_then(|slot| slot.run);
            if run.is_none_or(|run| run.digest != digest) {
                if run.is_some() {
                    self.discard_from(height);
                }
                if let Some(slot) = self.slots.get_mut(&height) {
                    slot.run = Some(Run { digest, result: None });
                }
                self.push(Effect::Execute { digest, proposal });
            }
            parent = digest;
        }
    }

    /// Drops every speculative result at a height and above (§5).
    pub(super) fn discard_from(&mut self, height: BlockNumber) {
        let mut any = false;
        for slot in self.slots.range_mut(height..).map(|(_, slot)| slot) {
            any |= slot.run.take().is_some();
        }
        if any {
            self.push(Effect::DiscardFrom(height));
        }
    }

    pub(super) fn take_executed(&mut self, height: BlockNumber, digest: ProposalDigest, parent: B256, hash: B256) {
        let expected = self.hash_below(height);
        let Some(slot) = self.slots.get_mut(&height) else { return };
        let Some(run) = slot.run.as_mut().filter(|run| run.digest == digest && run.result.is_none()) else { return };
        if expected == Some(parent) {
            run.result = Some((parent, hash));
            self.timers.executed_at = self.now;
        } else {
            // It ran on something that is gone by now; it is asked for anew.
            self.discard_from(height);
        }
    }

    /// The hash of the header below a height, as executed here.
    fn hash_below(&self, height: BlockNumber) -> Option<B256> {
        let below = height.saturating_sub(1);
        if below == self.head.height {
            return Some(self.head.hash);
        }
        self.slots.get(&below)?.run?.result.map(|(_, hash)| hash)
    }

    /// Order-commits what lies below a certified proposal: it names its ancestors (§4).
    pub(super) fn order_ancestors(&mut self) {
        for height in self.open_heights().into_iter().rev() {
            let certificate = self.slots.get(&height).and_then(|slot| slot.certificate.as_ref());
            if let Some(digest) = certificate.map(|certificate| certificate.digest) {
                self.order_below(height, digest);
            }
        }
    }

    fn order_below(&mut self, mut height: BlockNumber, mut digest: ProposalDigest) {
        while let Some(parent) = self.known.get(&digest).map(|known| known.proposal.parent) {
            height = height.saturating_sub(1);
            digest = parent;
            let own = match self.slot(height) {
                Some(slot) => *slot.ordered.get_or_insert(digest),
                None => self.head.digest,
            };
            if own != digest {
                self.halt(Divergence::Order { height, own, other: Some(digest) });
            }
            if self.halted || height <= self.head.height {
                return;
            }
        }
    }

    /// Takes the proposals below a certificate, to execute them and to checkpoint those that lack a certificate.
    pub(super) fn take_ancestry(&mut self, from: ConsensusKey, ancestry: Ancestry) {
        let Ancestry { certificate, proposals } = ancestry;
        let (mut height, mut digest) = (certificate.height, certificate.digest);
        let is_open = height > self.head.height && height <= self.limit() && self.is_of_its_epoch(&certificate);
        self.learn(Some(from), certificate);
        for proposal in proposals {
            if !is_open || self.halted || height <= self.head.height {
                return;
            }
            let parent = proposal.parent;
            self.know(digest, proposal);
            (height, digest) = (height.saturating_sub(1), parent);
        }
    }

    /// Reports executed heights that are proven final, in order, each with its own certificate. One that has only a
    /// descendant's waits for checkpoints (§4).
    pub(super) fn certify(&mut self) {
        let mut in_line = true;
        for height in self.open_heights() {
            let Some(slot) = self.slots.get(&height) else { return };
            let Some((digest, (_, hash))) = slot.run.and_then(|run| Some((run.digest, run.result?))) else { return };
            let Some(certificate) = slot.certificate.clone() else {
                in_line = false;
                continue;
            };
            if certificate.digest != digest {
                return;
            }
            if certificate.block_hash != hash {
                let certificate = Box::new(certificate.as_ref().clone());
                self.halt(Divergence::Result { height, digest, own: hash, certificate });
                return;
            }
            let Some(known) = self.known.get(&digest).filter(|_| in_line && height > self.certified) else { continue };
            let proposal = Arc::clone(&known.proposal);
            self.certified = height;
            self.reached(height, digest, Stage::Certified);
            self.push(Effect::Certified { proposal, digest, hash, certificate });
        }
    }

    /// Takes a verified certificate from outside or from within a view change.
    pub(super) fn learn(&mut self, from: Option<ConsensusKey>, certificate: Certificate) {
        let height = certificate.height;
        if height <= self.head.height {
            if height == self.head.height && certificate.block_hash != self.head.hash {
                let (digest, own) = (certificate.digest, self.head.hash);
                self.halt(Divergence::Result { height, digest, own, certificate: Box::new(certificate) });
            }
            return;
        }
        if !self.is_of_its_epoch(&certificate) {
            return;
        }
        let certificate = Arc::new(certificate);
        self.note_best(Arc::clone(&certificate), from);
        let Some(slot) = self.slot(height) else {
            self.report_behind();
            return;
        };
        let ordered = slot.ordered.filter(|ordered| *ordered != certificate.digest);
        let earlier = slot.certificate.get_or_insert_with(|| Arc::clone(&certificate));
        let conflict = (earlier.digest, earlier.block_hash) != (certificate.digest, certificate.block_hash);
        let own = if conflict { Some(earlier.digest) } else { ordered };
        if let Some(own) = own {
            self.halt(Divergence::Order { height, own, other: Some(certificate.digest) });
        }
    }

    /// Notes the certificate of the greatest height.
    pub(super) fn note_best(&mut self, certificate: Arc<Certificate>, from: Option<ConsensusKey>) {
        if self.best.as_ref().is_none_or(|best| best.height < certificate.height) {
            self.best = Some(certificate);
            self.best_from = from;
            self.timers.best_since = self.now;
        }
    }

    /// Whether every proposal from the final height up to the best certificate is held with its bodies.
    pub(super) fn holds_path_to_best(&self) -> bool {
        let Some(best) = self.best.as_ref().filter(|best| best.height > self.head.height) else { return true };
        let (mut height, mut digest) = (best.height, best.digest);
        while height > self.head.height {
            let Some(known) = self.known.get(&digest) else { return false };
            if known.bodies != Some(BodiesVerdict::Held) {
                return false;
            }
            digest = known.proposal.parent;
            height = height.saturating_sub(1);
        }
        digest == self.head.digest
    }

    /// A block is durable here.
    pub(super) fn take_final(&mut self, head: Head) {
        let height = head.height;
        if height <= self.head.height {
            return;
        }
        assert!(head.is_proven(), "the head at height {height} has no certificate of its own");
        let run = self.slots.get(&height).and_then(|slot| slot.run);
        let in_line = run.is_some_and(|run| run.digest == head.digest);
        if let Some((parent, own)) = self.slots.get(&height).and_then(|slot| slot.result_of(head.digest))
            && own != head.hash
        {
            let digest = head.digest;
            self.halt(match head.certificate {
                Some(certificate) => Divergence::Result { height, digest, own, certificate: Box::new(certificate) },
                None => Divergence::Execution { height, digest, voted: (parent, own), found: (parent, head.hash) },
            });
            return;
        }
        if let Some(own) = self.slots.get(&height).and_then(|slot| slot.ordered).filter(|own| *own != head.digest) {
            self.halt(Divergence::Order { height, own, other: Some(head.digest) });
            return;
        }
        let buffered = self.buffer_limit();
        let above = self.slots.split_off(&height.next());
        let finished = std::mem::replace(&mut self.slots, above);
        self.head = head;
        self.certified = self.certified.max(height);
        for (height, slot) in finished {
            if let Some(certificate) = slot.certificate {
                self.recent.insert(height, Recent { certificate, since: self.now });
            }
        }
        if !in_line {
            self.discard_from(height.next());
        }
        if let Some(certificate) = self.head.certificate.clone() {
            self.note_best(Arc::new(certificate), None);
        }
        self.keep_recent();
        self.early.retain(|early, _| *early > height);
        if self.forced_up_to > buffered {
            self.force_rest();
        }
        self.forced_up_to = self.forced_up_to.max(height);
        self.forget_unused();
        self.recovery.finished(height);
        self.timers.progress(self.now, self.promised == self.view);
        self.change_epoch();
        // Heights that enter the window now were not counted yet.
        self.slots.values_mut().for_each(|slot| slot.stale = true);
    }

    /// Keeps the certificates of the last final heights.
    pub(super) fn keep_recent(&mut self) {
        if let Some(certificate) = self.head.certificate.clone().map(Arc::new) {
            let since = self.now;
            self.recent.entry(self.head.height).or_insert(Recent { certificate, since });
        }
        let kept = self.config.rules.window.saturating_mul(limits::CERTIFICATE_WINDOWS_KEPT);
        self.recent = self.recent.split_off(&self.head.height.saturating_sub(kept));
    }

    /// Forgets proposals that no open height refers to.
    pub(super) fn forget_unused(&mut self) {
        let used: BTreeSet<ProposalDigest> = self.slots.values().flat_map(Slot::digests).collect();
        let unused = self.known.iter().filter(|(digest, _)| !used.contains(digest));
        let unused: Vec<_> = unused.map(|(digest, known)| (*digest, known.bodies.is_none())).collect();
        for (digest, waiting) in unused {
            self.known.remove(&digest);
            if waiting {
                self.push(Effect::Forget(digest));
            }
        }
    }
}

impl Slot {
    /// What the votes and certificates held here prove to be ordered at this height.
    pub(super) fn proven(&self) -> Option<ProposalDigest> {
        self.certificate.as_ref().map(|certificate| certificate.digest).or(self.ordered)
    }

    /// What should be executed at this height: what is proven first, else what this view accepted, else what ran
    /// before, which a later view may propose again.
    fn to_execute(&self) -> Option<ProposalDigest> {
        let accepted = || self.received.as_ref().filter(|received| received.accepted).map(|received| received.digest);
        self.proven().or_else(accepted).or_else(|| self.run.map(|run| run.digest))
    }

    /// Every proposal that this height refers to.
    fn digests(&self) -> impl Iterator<Item = ProposalDigest> {
        [
            self.received.as_ref().map(|received| received.digest),
            self.prepared.as_ref().map(|prepared| prepared.certificate.digest),
            self.certificate.as_ref().map(|certificate| certificate.digest),
            self.ordered,
            self.run.map(|run| run.digest),
        ]
        .into_iter()
        .flatten()
    }
}

/// The members by the result that they voted for first, in a commit or a checkpoint that counts.
fn results(slot: &Slot, digest: ProposalDigest, counts: impl Fn(&Vote) -> bool) -> BTreeMap<B256, Vec<MemberIndex>> {
    let mut seen = BTreeSet::new();
    let mut results: BTreeMap<B256, Vec<MemberIndex>> = BTreeMap::new();
    let votes = slot.commits.iter().chain(slot.checkpoints.iter());
    for signed in votes.filter(|signed| signed.vote.digest == digest && counts(&signed.vote)) {
        if let Some(hash) = signed.vote.result
            && seen.insert(signed.signer)
        {
            results.entry(hash).or_default().push(signed.signer);
        }
    }
    results
}
