//! Checking what peers send before the machine sees it. It needs no machine, so that it can run on other threads.

use crate::{Base, Body, Content, Entry, Envelope, Message};
use lian_crypto::{CertificateError, EpochMembers, SignatureError, Suite, Verified, verify_certificate};
use lian_types::{BlockNumber, ChainContext, Epoch, MemberIndex, Phase, Proposal, SignedVote};
use std::{collections::BTreeSet, sync::Arc};

/// Why a message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// No members are known for that height, or those of another epoch. This can be a node's own lag.
    #[error("height {height} of epoch {found} is not known here")]
    WrongEpoch {
        /// The height.
        height: BlockNumber,
        /// The message's epoch.
        found: Epoch,
    },
    /// A signer is not a member.
    #[error("member {0} does not exist in the message's epoch")]
    UnknownSigner(MemberIndex),
    /// A signature does not hold.
    #[error("{0}")]
    Signature(#[from] SignatureError),
    /// A certificate does not hold.
    #[error("{0}")]
    Certificate(#[from] CertificateError),
    /// A vote is not one on a committed block's header.
    #[error("vote of height {0} is not of this kind of consensus")]
    MalformedVote(BlockNumber),
    /// A proposal is of another chain or group, or of height 0.
    #[error("proposal of height {0} is not of this chain")]
    OtherChain(BlockNumber),
    /// A proposal names one transaction twice.
    #[error("proposal of height {0} names a transaction twice")]
    DuplicateTransaction(BlockNumber),
    /// The entries of an append do not follow each other, or their terms do not fit.
    #[error("entry {index} of term {term} does not follow the one before it")]
    Entries {
        /// The entry's index.
        index: u64,
        /// Its term.
        term: u64,
    },
    /// A message has the term 0, which nobody ever leads.
    #[error("a message of term 0")]
    NoTerm,
    /// A base has no voter, or names one node twice.
    #[error("the configuration at index {0} is none")]
    Configuration(u64),
}

impl VerifyError {
    /// Whether only a faulty peer sends this; else the message may be ahead of what this node knows.
    #[must_use]
    pub const fn is_misbehaviour(&self) -> bool {
        !matches!(self, Self::WrongEpoch { .. } | Self::UnknownSigner(_))
    }
}

/// Checks every signature of a message, and what the library takes for granted. `members_at` names who decides a height.
///
/// # Errors
/// [`VerifyError`] says what fails first.
pub fn verify(
    suite: Suite,
    context: &ChainContext,
    members_at: &dyn Fn(BlockNumber) -> Option<Arc<EpochMembers>>,
    message: Message,
) -> Result<Verified<Message>, VerifyError> {
    match &message {
        Message::Raft(envelope) => check_envelope(context, envelope)?,
        Message::Vote(signed) | Message::Question(signed) => check_vote(suite, context, members_at, signed)?,
        Message::Certificate(certificate) => {
            let members = members(members_at, certificate.height, certificate.epoch)?;
            verify_certificate(suite, context, &members, certificate)?;
        }
    }
    Ok(Verified::assume(message))
}

fn members(
    members_at: &dyn Fn(BlockNumber) -> Option<Arc<EpochMembers>>,
    height: BlockNumber,
    found: Epoch,
) -> Result<Arc<EpochMembers>, VerifyError> {
    let members = members_at(height).filter(|members| members.epoch == found && height.0 > 0);
    members.ok_or(VerifyError::WrongEpoch { height, found })
}

fn check_vote(
    suite: Suite,
    context: &ChainContext,
    members_at: &dyn Fn(BlockNumber) -> Option<Arc<EpochMembers>>,
    signed: &SignedVote,
) -> Result<(), VerifyError> {
    let vote = &signed.vote;
    if vote.phase != Phase::Replicated || !vote.is_well_formed() {
        return Err(VerifyError::MalformedVote(vote.height));
    }
    let members = members(members_at, vote.height, vote.epoch)?;
    let member = members.members.get(signed.signer).ok_or(VerifyError::UnknownSigner(signed.signer))?;
    Ok(suite.verify(&member.key, &vote.signing_bytes(context), &signed.signature)?)
}

fn check_envelope(context: &ChainContext, envelope: &Envelope) -> Result<(), VerifyError> {
    if envelope.term == 0 {
        return Err(VerifyError::NoTerm);
    }
    match &envelope.body {
        Body::Append { index, log_term, entries, .. } => {
            check_entries(context, envelope.term, *index, *log_term, entries)
        }
        Body::Base(base) => check_base(envelope.term, base),
        _ => Ok(()),
    }
}

/// Indexes without gaps, terms that never fall and are not above the leader's, proposals of this chain.
fn check_entries(
    context: &ChainContext,
    leader_term: u64,
    index: u64,
    log_term: u64,
    entries: &[Entry],
) -> Result<(), VerifyError> {
    let (mut last, mut term) = (index, log_term);
    for entry in entries {
        if Some(entry.index) != last.checked_add(1) || entry.term < term || entry.term > leader_term {
            return Err(VerifyError::Entries { index: entry.index, term: entry.term });
        }
        (last, term) = (entry.index, entry.term);
        if let Content::Proposal(proposal) = &entry.content {
            check_proposal(context, proposal)?;
        }
    }
    Ok(())
}

fn check_proposal(context: &ChainContext, proposal: &Proposal) -> Result<(), VerifyError> {
    if proposal.chain_id != context.chain_id || proposal.group != context.group || proposal.height.0 == 0 {
        return Err(VerifyError::OtherChain(proposal.height));
    }
    let mut seen = BTreeSet::new();
    if !proposal.transactions.iter().all(|hash| seen.insert(hash)) {
        return Err(VerifyError::DuplicateTransaction(proposal.height));
    }
    Ok(())
}

fn check_base(leader_term: u64, base: &Base) -> Result<(), VerifyError> {
    if base.index == 0 || base.term == 0 || base.term > leader_term {
        return Err(VerifyError::Entries { index: base.index, term: base.term });
    }
    let mut seen = BTreeSet::new();
    if base.voters.is_empty() || !base.nodes().all(|key| seen.insert(key)) {
        return Err(VerifyError::Configuration(base.index));
    }
    Ok(())
}
