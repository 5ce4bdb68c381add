//! What is known about one open height.

use crate::{PrePrepare, PrepareCertificate, ResultLock, limits::VIEWS_PER_SIGNER_MAX};
use alloy_primitives::B256;
use lian_types::{
    Certificate, CertificateKind, MemberIndex, MemberSignature, Millis, Phase, Proposal, ProposalDigest, Signature,
    SignedVote, View, Vote,
};
use std::{collections::BTreeMap, sync::Arc};

/// A proposal of the entered view.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub digest: ProposalDigest,
    pub proposal: Arc<Proposal>,
    /// The leader's signature; none where a new-view forces the proposal.
    pub signature: Option<Signature>,
    /// When it came, for round times.
    pub at: Millis,
    /// All conditions of a prepare hold (§2).
    pub accepted: bool,
}

/// An own vote: bound to its slot from the moment it is given to be signed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Own {
    Signing(Vote),
    Sent(SignedVote),
}

impl Own {
    pub(super) const fn sent(&self) -> Option<&SignedVote> {
        match self {
            Self::Signing(_) => None,
            Self::Sent(signed) => Some(signed),
        }
    }

    pub(super) fn is_signing(&self, vote: &Vote) -> bool {
        matches!(self, Self::Signing(own) if own == vote)
    }
}

/// An own proposal of the entered view.
#[derive(Clone, Debug)]
pub(super) enum OwnProposal {
    Signing(ProposalDigest, Arc<Proposal>),
    Sent(PrePrepare),
}

/// A proposal that a quorum prepared.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub proposal: Arc<Proposal>,
    pub certificate: PrepareCertificate,
}

/// A result lock, and whether it is in the vote log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lock {
    pub lock: ResultLock,
    pub durable: bool,
}

/// An execution that was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub digest: ProposalDigest,
    /// The hashes of the parent's header and of the own one.
    pub result: Option<(B256, B256)>,
}

/// Everything about one height above the final one.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    pub received: Option<Received>,
    pub prepares: Votes,
    pub commits: Votes,
    pub checkpoints: Votes,
    pub own_proposal: Option<OwnProposal>,
    pub own_prepare: Option<Own>,
    pub own_commit: Option<Own>,
    pub own_checkpoint: Option<Own>,
    /// The prepare certificate of the highest view.
    pub prepared: Option<Prepared>,
    /// When `prepared` came in the entered view: a commit may wait for its result from then on.
    pub prepared_at: Option<Millis>,
    /// Order-committed (§4).
    pub ordered: Option<ProposalDigest>,
    pub certificate: Option<Arc<Certificate>>,
    pub run: Option<Run>,
    /// The result this node stands for, of each proposal it voted for with one (§3).
    pub locks: BTreeMap<ProposalDigest, Lock>,
    /// Derived from the votes by [`Slot::recount`].
    pub count: Count,
    /// Whether votes came since the last count.
    pub stale: bool,
}

/// What the votes of a height amount to.
#[derive(Clone, Debug, Default)]
pub(super) struct Count {
    /// A quorum's prepares of the entered view.
    pub prepared: Option<ProposalDigest>,
    /// A quorum's commits of one view.
    pub committed: Option<ProposalDigest>,
    /// How many members prepared or committed in the entered view.
    pub voters: usize,
}

impl Slot {
    /// The vote set of a phase. [`Phase::Replicated`] is no phase of PBFT: [`crate::verify`] lets none in.
    pub(super) const fn votes_mut(&mut self, phase: Phase) -> &mut Votes {
        match phase {
            Phase::Prepare => &mut self.prepares,
            Phase::Commit => &mut self.commits,
            Phase::Checkpoint | Phase::Replicated => &mut self.checkpoints,
        }
    }

    /// The own vote of a phase.
    pub(super) const fn own_mut(&mut self, phase: Phase) -> &mut Option<Own> {
        match phase {
            Phase::Prepare => &mut self.own_prepare,
            Phase::Commit => &mut self.own_commit,
            Phase::Checkpoint | Phase::Replicated => &mut self.own_checkpoint,
        }
    }

    /// What was proposed here in the entered view.
    pub(super) fn proposed(&self) -> Option<ProposalDigest> {
        match (&self.received, &self.own_proposal) {
            (Some(received), _) => Some(received.digest),
            (None, Some(OwnProposal::Signing(digest, _))) => Some(*digest),
            (None, _) => None,
        }
    }

    /// Forgets what belongs to the view that was left. Votes, prepare certificates and everything without view stay.
    pub(super) fn leave_view(&mut self) {
        self.received = None;
        self.own_proposal = None;
        self.own_prepare = None;
        self.own_commit = None;
        self.prepared_at = None;
        self.stale = true;
    }

    /// Counts the votes anew.
    pub(super) fn recount(&mut self, view: View, quorum: usize) {
        self.stale = false;
        let in_view = |vote: &Vote| (vote.view == view).then_some(vote.digest);
        self.count.prepared = self.prepares.quorum(quorum, in_view).map(|(digest, _)| digest);
        let committed = self.commits.quorum(quorum, |vote| Some((vote.view, vote.digest)));
        self.count.committed = committed.map(|((_, digest), _)| digest).or(self.count.committed);
        let mut voters = self.prepares.signers_in(view);
        voters.extend(self.commits.signers_in(view));
        voters.sort_unstable();
        voters.dedup();
        self.count.voters = voters.len();
        if self.certificate.is_none() {
            self.certificate = self.certify(quorum).map(Arc::new);
        }
    }

    /// A certificate from commits equal in view, digest and result, or from equal checkpoints (§4); never from both.
    fn certify(&self, quorum: usize) -> Option<Certificate> {
        let with_result = |vote: &Vote| vote.result.is_some().then_some(*vote);
        let (vote, votes) =
            self.commits.quorum(quorum, with_result).or_else(|| self.checkpoints.quorum(quorum, with_result))?;
        let kind = match vote.phase {
            Phase::Checkpoint | Phase::Replicated => CertificateKind::Checkpoint,
            Phase::Prepare | Phase::Commit => CertificateKind::Commit { view: vote.view },
        };
        Some(Certificate {
            epoch: vote.epoch,
            height: vote.height,
            digest: vote.digest,
            block_hash: vote.result?,
            kind,
            signatures: signatures(&votes),
        })
    }

    /// The result of executing a proposal, if it is known.
    pub(super) fn result_of(&self, digest: ProposalDigest) -> Option<(B256, B256)> {
        self.run.filter(|run| run.digest == digest).and_then(|run| run.result)
    }

    /// Whether a proposal is being executed.
    pub(super) fn is_running(&self, digest: ProposalDigest) -> bool {
        self.run.is_some_and(|run| run.digest == digest && run.result.is_none())
    }
}

/// The signatures of votes, by rising member.
pub(super) fn signatures(votes: &[&SignedVote]) -> Vec<MemberSignature> {
    votes.iter().map(|signed| MemberSignature { signer: signed.signer, signature: signed.signature }).collect()
}

/// The votes of one phase, by member: a few of different views each, by rising view, whatever is sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Votes(BTreeMap<MemberIndex, Vec<SignedVote>>);

/// What became of a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    New,
    Known,
    /// The member voted differently in that view before; the first vote stays.
    Conflict,
}

impl Votes {
    pub(super) fn insert(&mut self, signed: SignedVote) -> Inserted {
        let votes = self.0.entry(signed.signer).or_default();
        match votes.binary_search_by_key(&signed.vote.view, |known| known.vote.view) {
            Ok(position) if votes.get(position).is_some_and(|known| known.vote == signed.vote) => Inserted::Known,
            Ok(_) => Inserted::Conflict,
            Err(position) => {
                votes.insert(position, signed);
                if votes.len() > VIEWS_PER_SIGNER_MAX {
                    votes.remove(0);
                }
                Inserted::New
            }
        }
    }

    /// A group of at least `quorum` members whose votes have one key, with those votes by rising member. A key of none
    /// leaves a vote out.
    pub(super) fn quorum<K: Ord>(
        &self,
        quorum: usize,
        key: impl Fn(&Vote) -> Option<K>,
    ) -> Option<(K, Vec<&SignedVote>)> {
        if self.0.len() < quorum {
            return None;
        }
        let mut groups: BTreeMap<K, Vec<&SignedVote>> = BTreeMap::new();
        for signed in self.iter() {
            if let Some(key) = key(&signed.vote) {
                groups.entry(key).or_default().push(signed);
            }
        }
        // A key that holds no view could gather one member's votes of several views.
        groups.into_iter().find_map(|(key, mut votes)| {
            votes.dedup_by_key(|signed| signed.signer);
            (votes.len() >= quorum).then_some((key, votes))
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &SignedVote> {
        self.0.values().flatten()
    }

    fn signers_in(&self, view: View) -> Vec<MemberIndex> {
        self.iter().filter(|signed| signed.vote.view == view).map(|signed| signed.signer).collect()
    }
}
