//! Checking what peers send before the machine sees it. It needs no machine, so that it can run on other threads.

use crate::{
    Ancestry, Committee, Committees, Message, NewView, PrePrepare, Rules, SignedNewView, SignedViewChange, Statement,
    ViewChangeMessage,
    choice::{ChoiceError, choose},
};
use lian_crypto::{CheckedSignatures, SignatureError, Verified};
use lian_types::{
    BlockNumber, Certificate, ConsensusKind, Epoch, MemberIndex, MemberSignature, Phase, Proposal, ProposalDigest,
    Signature, SignedVote, View, Vote,
};
use std::{collections::BTreeMap, collections::BTreeSet, sync::Arc};

/// Why a message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The members known for that height are of another epoch. This can be a node's own lag.
    #[error("height {height} belongs to epoch {expected} here, the message says {found}")]
    WrongEpoch {
        /// The height.
        height: BlockNumber,
        /// The message's epoch.
        found: Epoch,
        /// The epoch of that height as known here.
        expected: Epoch,
    },
    /// No members are known for that height.
    #[error("no members are known for height {0}")]
    NoMembers(BlockNumber),
    /// A proposal is of another chain or group, or of height 0.
    #[error("proposal of height {0} is not of this chain")]
    OtherChain(BlockNumber),
    /// A proposal names one transaction twice.
    #[error("proposal of height {0} names a transaction twice")]
    DuplicateTransaction(BlockNumber),
    /// A first proposal names another proposer than the leader of its view and height.
    #[error("proposal of height {height} in view {view} is not by its leader, member {leader}")]
    NotTheLeader {
        /// The height.
        height: BlockNumber,
        /// The view.
        view: View,
        /// The leader of that view and height.
        leader: MemberIndex,
    },
    /// A signer is not a member.
    #[error("member {0} does not exist in the message's epoch")]
    UnknownSigner(MemberIndex),
    /// A signature does not hold.
    #[error("{0}")]
    Signature(#[from] SignatureError),
    /// A vote's view or result does not fit its phase.
    #[error("vote of height {0} is malformed for its phase")]
    MalformedVote(BlockNumber),
    /// Too few signers.
    #[error("{found} signers, a quorum is {quorum}")]
    NoQuorum {
        /// Signers found.
        found: usize,
        /// Signers needed.
        quorum: usize,
    },
    /// Signers or heights do not rise: one stands twice, or the order is wrong.
    #[error("{0} do not rise")]
    NotRising(&'static str),
    /// A view-change or a prepare certificate is of a view that it cannot be of here.
    #[error("view {found} where {expected} is the bound")]
    WrongView {
        /// The view found.
        found: View,
        /// The view expected, or the one that it must be below.
        expected: View,
    },
    /// A prepare certificate is of a height that is not open above the view-change's base.
    #[error("prepare certificate of height {height} does not lie in the window above {base}")]
    OutsideWindow {
        /// The height.
        height: BlockNumber,
        /// The base.
        base: BlockNumber,
    },
    /// A proposal does not match the digest or the height it stands for.
    #[error("proposal of height {0} does not match its digest")]
    DigestMismatch(BlockNumber),
    /// A new-view does not propose what its view-changes force.
    #[error("new-view does not propose what its view-changes force from height {0} on")]
    WrongChoice(BlockNumber),
}

impl VerifyError {
    /// Whether only a faulty peer sends this; else the message may be ahead of what this node knows.
    #[must_use]
    pub const fn is_misbehaviour(&self) -> bool {
        !matches!(
            self,
            Self::WrongEpoch { .. } | Self::NoMembers(_) | Self::UnknownSigner(_) | Self::OutsideWindow { .. }
        )
    }
}

/// Checks every signature, digest, quorum and epoch in a message, and of a new-view that it proposes what its
/// view-changes force (§5).
///
/// # Errors
/// [`VerifyError`] says what fails first.
pub fn verify(rules: &Rules, committees: &Committees, message: Message) -> Result<Verified<Message>, VerifyError> {
    verify_once(rules, committees, &CheckedSignatures::new(), message)
}

/// As [`verify`]; signatures that were checked before are not checked again.
///
/// # Errors
/// As [`verify`].
pub fn verify_once(
    rules: &Rules,
    committees: &Committees,
    checked: &CheckedSignatures,
    message: Message,
) -> Result<Verified<Message>, VerifyError> {
    let checker = Checker { rules, committees, checked };
    match &message {
        Message::PrePrepare(pre_prepare) => checker.pre_prepare(pre_prepare)?,
        Message::Vote(signed) => checker.vote(signed)?,
        Message::ViewChange(message) => checker.view_change_message(message)?,
        Message::NewView(signed) => checker.new_view(signed)?,
        Message::Certificate(certificate) => checker.certificate(certificate)?,
        Message::Ancestry(ancestry) => checker.ancestry(ancestry)?,
        // Not signed: the session says who sent it.
        Message::Heartbeat(_) => {}
    }
    Ok(Verified::assume(message))
}

/// The check of one message.
struct Checker<'a> {
    rules: &'a Rules,
    committees: &'a Committees,
    checked: &'a CheckedSignatures,
}

impl<'a> Checker<'a> {
    fn committee(&self, height: BlockNumber, epoch: Epoch) -> Result<&'a Committee, VerifyError> {
        let committee = self.committees.at(height).ok_or(VerifyError::NoMembers(height))?;
        if committee.epoch() != epoch {
            return Err(VerifyError::WrongEpoch { height, found: epoch, expected: committee.epoch() });
        }
        Ok(committee)
    }

    fn signature(
        &self,
        committee: &Committee,
        signer: MemberIndex,
        statement: &Statement,
        signature: &Signature,
    ) -> Result<(), VerifyError> {
        let member = committee.members.members.get(signer).ok_or(VerifyError::UnknownSigner(signer))?;
        let bytes = statement.signing_bytes(&self.rules.context);
        Ok(self.checked.verify(self.rules.suite, &member.key, &bytes, signature)?)
    }

    /// What every proposal must be, first or not.
    fn proposal(&self, proposal: &Proposal) -> Result<&'a Committee, VerifyError> {
        let context = &self.rules.context;
        if proposal.chain_id != context.chain_id || proposal.group != context.group || proposal.height.0 == 0 {
            return Err(VerifyError::OtherChain(proposal.height));
        }
        self.committee(proposal.height, proposal.epoch)
    }

    fn pre_prepare(&self, pre_prepare: &PrePrepare) -> Result<(), VerifyError> {
        let proposal = &pre_prepare.proposal;
        let committee = self.proposal(proposal)?;
        let (view, height) = (pre_prepare.view, proposal.height);
        let leader = committee.leader(self.rules, view, height);
        if committee.leader_key(self.rules, view, height) != Some(proposal.proposer) {
            return Err(VerifyError::NotTheLeader { height, view, leader });
        }
        let digest = self.rules.suite.proposal_digest(proposal);
        let statement = Statement::PrePrepare { epoch: proposal.epoch, view, height, digest };
        self.signature(committee, leader, &statement, &pre_prepare.signature)?;
        let mut seen = BTreeSet::new();
        if !proposal.transactions.iter().all(|hash| seen.insert(hash)) {
            return Err(VerifyError::DuplicateTransaction(height));
        }
        Ok(())
    }

    fn vote(&self, signed: &SignedVote) -> Result<(), VerifyError> {
        let vote = &signed.vote;
        let committee = self.committee(vote.height, vote.epoch)?;
        if !vote.is_well_formed() || vote.phase == Phase::Replicated {
            return Err(VerifyError::MalformedVote(vote.height));
        }
        self.signature(committee, signed.signer, &Statement::Vote(*vote), &signed.signature)
    }

    fn certificate(&self, certificate: &Certificate) -> Result<(), VerifyError> {
        if certificate.height.0 == 0 {
            return Err(VerifyError::OtherChain(certificate.height));
        }
        // A majority's certificate of another kind of chain proves nothing here, however many signed it.
        if certificate.kind.consensus() != ConsensusKind::Pbft {
            return Err(VerifyError::MalformedVote(certificate.height));
        }
        let committee = self.committee(certificate.height, certificate.epoch)?;
        self.quorum(committee, &certificate.vote(), &certificate.signatures)
    }

    /// Each proposal must be the one that the certificate, or the proposal above, names.
    fn ancestry(&self, ancestry: &Ancestry) -> Result<(), VerifyError> {
        self.certificate(&ancestry.certificate)?;
        let (mut height, mut digest) = (ancestry.certificate.height, ancestry.certificate.digest);
        if ancestry.proposals.is_empty() {
            return Err(VerifyError::DigestMismatch(height));
        }
        for proposal in &ancestry.proposals {
            self.proposal(proposal)?;
            if proposal.height != height || self.rules.suite.proposal_digest(proposal) != digest {
                return Err(VerifyError::DigestMismatch(height));
            }
            (height, digest) = (height.saturating_sub(1), proposal.parent);
        }
        Ok(())
    }

    /// That a quorum of different members signed one vote.
    fn quorum(&self, committee: &Committee, vote: &Vote, signatures: &[MemberSignature]) -> Result<(), VerifyError> {
        let members = &committee.members.members;
        if signatures.len() < members.quorum() {
            return Err(VerifyError::NoQuorum { found: signatures.len(), quorum: members.quorum() });
        }
        rising("signers", signatures.iter().map(|signature| signature.signer))?;
        let bytes = vote.signing_bytes(&self.rules.context);
        for MemberSignature { signer, signature } in signatures {
            let member = members.get(*signer).ok_or(VerifyError::UnknownSigner(*signer))?;
            self.checked.verify(self.rules.suite, &member.key, &bytes, signature)?;
        }
        Ok(())
    }

    fn view_change_message(&self, message: &ViewChangeMessage) -> Result<(), VerifyError> {
        self.view_change(&message.signed)?;
        let prepared = &message.signed.change.prepared;
        if prepared.len() != message.proposals.len() {
            return Err(VerifyError::DigestMismatch(message.signed.change.base_height().next()));
        }
        for (certificate, proposal) in prepared.iter().zip(&message.proposals) {
            self.proposal(proposal)?;
            let digest = self.rules.suite.proposal_digest(proposal);
            if digest != certificate.digest || proposal.height != certificate.height {
                return Err(VerifyError::DigestMismatch(certificate.height));
            }
        }
        Ok(())
    }

    fn view_change(&self, signed: &SignedViewChange) -> Result<(), VerifyError> {
        let change = &signed.change;
        let base = change.base_height();
        let committee = self.committee(base.next(), change.epoch)?;
        if change.view == View::ZERO {
            return Err(VerifyError::WrongView { found: change.view, expected: View(1) });
        }
        let statement = Statement::ViewChange(Box::new(change.clone()));
        self.signature(committee, signed.signer, &statement, &signed.signature)?;
        if let Some(certificate) = &change.base {
            self.certificate(certificate)?;
        }
        rising("heights", change.prepared.iter().map(|certificate| certificate.height))?;
        for certificate in &change.prepared {
            let height = certificate.height;
            if height <= base || height > base.saturating_add(self.rules.window) {
                return Err(VerifyError::OutsideWindow { height, base });
            }
            if certificate.view >= change.view {
                return Err(VerifyError::WrongView { found: certificate.view, expected: change.view });
            }
            let found = certificate.epoch;
            if found != change.epoch || self.committee(height, found)?.epoch() != change.epoch {
                return Err(VerifyError::WrongEpoch { height, found, expected: change.epoch });
            }
            self.quorum(committee, &certificate.vote(), &certificate.signatures)?;
        }
        Ok(())
    }

    fn new_view(&self, signed: &SignedNewView) -> Result<(), VerifyError> {
        let NewView { epoch, view, changes, proposals } = &signed.new_view;
        for change in changes.iter().map(|signed| &signed.change) {
            if change.view != *view {
                return Err(VerifyError::WrongView { found: change.view, expected: *view });
            }
            if change.epoch != *epoch {
                let height = change.base_height().next();
                return Err(VerifyError::WrongEpoch { height, found: change.epoch, expected: *epoch });
            }
        }
        rising("signers", changes.iter().map(|signed| signed.signer))?;
        let mut by_digest = BTreeMap::new();
        for proposal in proposals {
            self.proposal(proposal)?;
            by_digest.insert(self.rules.suite.proposal_digest(proposal), Arc::clone(proposal));
        }
        let find = |digest: &ProposalDigest| by_digest.get(digest).cloned();
        let choice = choose(self.rules, changes, find).map_err(|error| match error {
            ChoiceError::Missing { height, .. } | ChoiceError::Contradiction { height } => {
                VerifyError::WrongChoice(height)
            }
        })?;
        let first = choice.base_height().next();
        if choice.proposals() != *proposals {
            return Err(VerifyError::WrongChoice(first));
        }
        let committee = self.committee(first, *epoch)?;
        let quorum = committee.members.members.quorum();
        if changes.len() < quorum {
            return Err(VerifyError::NoQuorum { found: changes.len(), quorum });
        }
        let leader = committee.leader(self.rules, *view, first);
        if signed.signer != leader {
            return Err(VerifyError::NotTheLeader { height: first, view: *view, leader });
        }
        let statement = Statement::NewView(Box::new(signed.new_view.clone()));
        self.signature(committee, leader, &statement, &signed.signature)?;
        changes.iter().try_for_each(|change| self.view_change(change))
    }
}

/// That each item is greater than the one before.
fn rising<T: Ord>(what: &'static str, items: impl Iterator<Item = T>) -> Result<(), VerifyError> {
    let mut previous = None;
    for item in items {
        if previous.as_ref().is_some_and(|previous| *previous >= item) {
            return Err(VerifyError::NotRising(what));
        }
        previous = Some(item);
    }
    Ok(())
}
