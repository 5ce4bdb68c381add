//! From the log to final blocks: execution, votes and certificates (§4, §7).

use super::{Machine, Own};
use crate::{BodiesVerdict, Divergence, Effect, Head, Message, Misbehaviour, Stage, limits};
use alloy_primitives::B256;
use lian_types::{
    BlockNumber, Certificate, CertificateKind, ConsensusKey, MemberIndex, MemberSignature, Phase, Proposal,
    ProposalDigest, Signature, SignedVote, View, Vote,
};
use std::{collections::BTreeMap, sync::Arc};

/// How long a node waits for its own log before it says that it is behind, in milliseconds: some rounds.
const LAG_MS: u64 = 300;

impl Machine {
    /// Has executed what the log orders above the final block, committed or not; what it no longer orders is discarded.
    pub(super) fn follow_log(&mut self) {
        if self.halted {
            return;
        }
        let wanted = self.blocks();
        let first_other =
            self.running.iter().find(|(height, digest)| wanted.get(height).is_none_or(|(wanted, _)| wanted != *digest));
        if let Some(height) = first_other.map(|(height, _)| *height) {
            self.discard_from(height);
        }
        for (height, (digest, proposal)) in wanted {
            if self.running.insert(height, digest).is_none() {
                self.push(Effect::Reached { height, stage: Stage::Accepted });
                self.push(Effect::Execute { digest, proposal });
            }
        }
    }

    /// The blocks that the log orders on top of the final one.
    fn blocks(&self) -> BTreeMap<BlockNumber, (ProposalDigest, Arc<Proposal>)> {
        let mut blocks = BTreeMap::new();
        let mut parent = self.head.digest;
        for (digest, proposal) in self.log.above(self.log.base().index).filter_map(|(_, item)| item.block()) {
            if proposal.height <= self.head.height {
                continue;
            }
            let is_decided_here = self.schedule.at(proposal.height).is_some();
            if proposal.parent != parent || proposal.height > self.buffer_limit() || !is_decided_here {
                break;
            }
            parent = digest;
            blocks.insert(proposal.height, (digest, Arc::clone(proposal)));
        }
        blocks
    }

    fn discard_from(&mut self, height: BlockNumber) {
        self.running.split_off(&height);
        self.results.retain(|_, (at, ..)| *at < height);
        self.push(Effect::DiscardFrom(height));
        // Whoever keeps bodies no longer keeps those of these heights.
        let again = self.bodies.iter_mut().filter(|(_, (proposal, _))| proposal.height >= height);
        let again: Vec<_> = again
            .filter(|(_, (_, verdict))| *verdict == Some(BodiesVerdict::Held))
            .map(|(digest, (proposal, verdict))| {
                *verdict = None;
                Effect::CheckBodies { digest: *digest, proposal: Arc::clone(proposal) }
            })
            .collect();
        again.into_iter().for_each(|effect| self.push(effect));
    }

    pub(super) fn take_executed(&mut self, height: BlockNumber, digest: ProposalDigest, parent: B256, hash: B256) {
        if self.running.get(&height) == Some(&digest) {
            self.results.insert(digest, (height, parent, hash));
        }
    }

    /// The header of a height, executed on the header below it.
    fn result(&self, height: BlockNumber) -> Option<(ProposalDigest, B256)> {
        let digest = *self.running.get(&height)?;
        let (_, parent, hash) = *self.results.get(&digest)?;
        let below = height.saturating_sub(1);
        let expected = if below == self.head.height {
            self.head.hash
        } else {
            self.results.get(self.running.get(&below)?).map(|(.., hash)| *hash)?
        };
        (parent == expected).then_some((digest, hash))
    }

    /// Signs the headers of committed blocks, one for each height, for ever. Only within the window is it certain who the
    /// members of a height are (§6).
    pub(super) fn sign(&mut self) {
        let mut height = self.head.height.next();
        let last = self.ordered.height.min(self.head.height.saturating_add(self.config.window));
        while !self.halted && !self.abstains && height <= last {
            if height <= self.cleared {
                height = height.next();
                continue;
            }
            let Some((digest, hash)) = self.result(height) else { return };
            match self.own.get(&height) {
                Some(Own::Signing(_)) => {}
                Some(Own::Sent(signed)) => {
                    let vote = signed.vote;
                    self.check_own(height, digest, hash, &vote);
                }
                None => self.sign_header(height, digest, hash),
            }
            height = height.next();
        }
    }

    fn sign_header(&mut self, height: BlockNumber, digest: ProposalDigest, hash: B256) {
        let Some(members) = self.schedule.at(height) else { return };
        if members.members.index_of(&self.config.key).is_none() {
            return;
        }
        let (epoch, phase) = (members.epoch, Phase::Replicated);
        let vote = Vote { epoch, view: View::ZERO, height, phase, digest, result: Some(hash) };
        self.own.insert(height, Own::Signing(vote));
        self.push(Effect::Sign(vote));
    }

    /// What was signed before must be what is found now.
    fn check_own(&mut self, height: BlockNumber, digest: ProposalDigest, found: B256, vote: &Vote) {
        if vote.digest != digest {
            self.halt(Divergence::Order { height, own: digest, other: vote.digest });
        } else if let Some(signed) = vote.result.filter(|signed| *signed != found) {
            let parent = self.results.get(&digest).map_or(self.head.hash, |(_, parent, _)| *parent);
            self.halt(Divergence::Execution { height, digest, parent, signed, found });
        }
    }

    pub(super) fn vote_signed(&mut self, vote: Vote, signature: Signature) {
        let is_asked = matches!(self.own.get(&vote.height), Some(Own::Signing(asked)) if *asked == vote);
        let signer = self.schedule.at(vote.height).and_then(|members| members.members.index_of(&self.config.key));
        let (true, Some(signer)) = (is_asked, signer) else { return };
        let signed = SignedVote { vote, signer, signature };
        self.own.insert(vote.height, Own::Sent(signed));
        self.votes.entry(vote.height).or_default().insert(signer, signed);
        self.push(Effect::Persist(vec![crate::Record::Vote(signed)]));
        self.send_all(Message::Vote(signed));
        self.push(Effect::Reached { height: vote.height, stage: Stage::Signed });
        self.resend_at = self.now.saturating_add(limits::RESEND_MS);
        self.count(vote.height);
    }

    pub(super) fn take_vote(&mut self, from: ConsensusKey, signed: SignedVote) {
        let height = signed.vote.height;
        if !self.is_kept(height) {
            return;
        }
        let votes = self.votes.entry(height).or_default();
        match votes.get(&signed.signer) {
            Some(known) if known.vote != signed.vote => {
                let members = self.schedule.at(height);
                let key = members.and_then(|members| members.members.get(signed.signer)).map(|member| member.key);
                if let Some(key) = key {
                    self.push(Effect::Misbehaved { key, what: Misbehaviour::TwoVotes });
                }
            }
            Some(_) => {}
            None => {
                votes.insert(signed.signer, signed);
                self.count(height);
                // Who signs a height has the one a window below.
                self.note_height(from, height.saturating_sub(self.config.window));
            }
        }
    }

    /// A node that lacks the certificate of a height says so by its vote, again and again.
    pub(super) fn take_question(&mut self, from: ConsensusKey, signed: SignedVote) {
        match self.recent.get(&signed.vote.height).cloned() {
            Some(certificate) => self.send(from, Message::Certificate(certificate)),
            None => self.take_vote(from, signed),
        }
    }

    pub(super) fn take_certificate(&mut self, from: ConsensusKey, certificate: Certificate) {
        self.note_height(from, certificate.height);
        if self.is_kept(certificate.height) {
            self.certificates.entry(certificate.height).or_insert_with(|| Arc::new(certificate));
        }
    }

    /// Counts the own votes that the vote log gave back: alone they are all that there will be.
    pub(super) fn count_restored(&mut self) {
        let heights: Vec<_> = self.votes.keys().copied().collect();
        heights.into_iter().for_each(|height| self.count(height));
    }

    /// Makes the certificate of a height, if a majority of its members signed the same.
    fn count(&mut self, height: BlockNumber) {
        if self.certificates.contains_key(&height) {
            return;
        }
        let (Some(members), Some(votes)) = (self.schedule.at(height), self.votes.get(&height)) else { return };
        let mut tally: BTreeMap<(ProposalDigest, B256), Vec<SignedVote>> = BTreeMap::new();
        for signed in votes.values().filter(|signed| signed.vote.epoch == members.epoch) {
            if let Some(result) = signed.vote.result {
                tally.entry((signed.vote.digest, result)).or_default().push(*signed);
            }
        }
        let quorum = members.quorum();
        let epoch = members.epoch;
        if let Some(((digest, block_hash), equal)) = tally.iter().find(|(_, equal)| equal.len() >= quorum) {
            let signature =
                |signed: &SignedVote| MemberSignature { signer: signed.signer, signature: signed.signature };
            let certificate = Certificate {
                epoch,
                height,
                digest: *digest,
                block_hash: *block_hash,
                kind: CertificateKind::Replicated,
                signatures: equal.iter().map(signature).collect(),
            };
            self.certificates.insert(height, Arc::new(certificate));
            return;
        }
        let most = tally.values().map(Vec::len).max().unwrap_or(0);
        let counted = tally.values().map(Vec::len).fold(0, usize::saturating_add);
        let missing = members.members.len().saturating_sub(counted);
        if most.saturating_add(missing) < quorum {
            let signers =
                |equal: &Vec<SignedVote>| equal.iter().map(|signed| signed.signer).collect::<Vec<MemberIndex>>();
            let results = tally.iter().map(|((_, hash), equal)| (*hash, signers(equal))).collect();
            let digest = self.running.get(&height).copied().unwrap_or_default();
            self.halt(Divergence::NoMajority { height, digest, results });
        }
    }

    /// Reports committed and executed blocks with their certificates, in order.
    pub(super) fn certify(&mut self) {
        loop {
            let height = self.certified.max(self.head.height).next();
            let Some(certificate) = self.certificates.get(&height).cloned() else { return };
            if self.halted || height > self.ordered.height {
                return;
            }
            let Some((digest, own)) = self.result(height) else { return };
            if certificate.digest != digest {
                return self.halt(Divergence::Order { height, own: digest, other: certificate.digest });
            }
            if certificate.block_hash != own {
                let certificate = Box::new(certificate.as_ref().clone());
                return self.halt(Divergence::Result { height, digest, own, certificate });
            }
            let block = self.blocks().remove(&height);
            let Some((digest, proposal)) = block else { return };
            self.certified = height;
            self.push(Effect::Reached { height, stage: Stage::Certified });
            self.push(Effect::Certified { proposal, digest, hash: own, certificate });
        }
    }

    pub(super) fn take_final(&mut self, head: Head) {
        if head.height <= self.head.height {
            return;
        }
        let height = head.height;
        if self.running.get(&height).is_some_and(|digest| *digest != head.digest) {
            self.discard_from(height);
        }
        if let Some(certificate) = head.certificate.clone() {
            self.recent.insert(height, certificate);
        }
        let oldest = height.saturating_sub(limits::CERTIFICATES_KEPT);
        self.recent.retain(|at, _| *at > oldest);
        self.certified = self.certified.max(height);
        self.head = head;
        self.running.retain(|at, _| *at > height);
        self.results.retain(|_, (at, ..)| *at > height);
        self.votes.retain(|at, _| *at > height);
        self.own.retain(|at, _| *at > height);
        self.certificates.retain(|at, _| *at > height);
        self.schedule.retire(height);
        self.behind = None;
        self.check_order();
        self.compact();
    }

    /// Whether the log has committed the block that is final here.
    pub(super) fn check_order(&mut self) {
        let height = self.head.height;
        let base = self.log.base();
        let mut own = (base.height == height).then_some(base.digest);
        for (index, item) in self.log.above(base.index) {
            if index <= self.committed && item.block().is_some() && item.tip.height == height {
                own = Some(item.tip.digest);
            }
        }
        if let Some(own) = own.filter(|own| *own != self.head.digest) {
            self.halt(Divergence::Order { height, own, other: self.head.digest });
        }
    }

    /// Whether own votes wait for those of others.
    pub(super) fn waits_for_votes(&self) -> bool {
        self.own.iter().any(|(height, own)| {
            matches!(own, Own::Sent(_)) && *height > self.head.height && !self.certificates.contains_key(height)
        })
    }

    /// Says again what was signed and is not certified: it may have been lost, or be final elsewhere.
    pub(super) fn resend(&mut self) {
        self.resend_at = self.now.saturating_add(limits::RESEND_MS);
        let sent = |(height, own): (&BlockNumber, &Own)| match own {
            Own::Sent(signed) if !self.certificates.contains_key(height) => Some(*signed),
            _ => None,
        };
        let open: Vec<_> = self.own.iter().filter_map(sent).collect();
        open.into_iter().for_each(|signed| self.send_all(Message::Question(signed)));
    }

    /// Says that this node is behind, where others have been ahead of it for a while.
    pub(super) fn notice_lag(&mut self) {
        let ahead = self.connected.iter().max_by_key(|(_, height)| **height);
        let Some((from, height)) = ahead.filter(|(_, height)| **height > self.head.height) else {
            self.behind = None;
            return;
        };
        let (from, height) = (*from, *height);
        let since = self.behind.get_or_insert(self.now);
        if self.now.since(*since).0 >= LAG_MS {
            *since = self.now;
            self.push(Effect::Behind { height, from });
        }
    }
}
