//! What is refused before a machine sees it.

use crate::codec::{base, entries, proposal};
use crate::network::{SUITE, context, members_of, secret};
use alloy_primitives::B256;
use lian_raft::{Base, Body, Content, Entry, Envelope, Message, Schedule, VerifyError, verify};
use lian_types::{
    BlockNumber, Certificate, CertificateKind, Epoch, GroupId, MemberIndex, MemberSignature, Phase, Proposal,
    ProposalDigest, SignedVote, View, Vote,
};
use std::sync::Arc;

fn check(message: Message) -> Result<(), VerifyError> {
    let schedule = Schedule::new([(BlockNumber(0), members_of(0, &[0, 1, 2]))]);
    verify(SUITE, &context(), &|height| schedule.at(height).cloned(), message).map(drop)
}

fn vote(phase: Phase) -> Vote {
    let (digest, result) = (ProposalDigest(B256::repeat_byte(1)), Some(B256::repeat_byte(2)));
    Vote { epoch: Epoch(0), view: View::ZERO, height: BlockNumber(4), phase, digest, result }
}

fn signed(vote: Vote, by: usize, as_member: u16) -> SignedVote {
    let signature = secret(by).sign(&vote.signing_bytes(&context()));
    SignedVote { vote, signer: MemberIndex(as_member), signature }
}

#[test]
fn votes() {
    let good = signed(vote(Phase::Replicated), 1, 1);
    assert_eq!(check(Message::Vote(good)), Ok(()));
    assert_eq!(check(Message::Question(good)), Ok(()));
    let other = signed(vote(Phase::Replicated), 1, 2);
    assert!(matches!(check(Message::Vote(other)), Err(VerifyError::Signature(_))));
    assert_eq!(
        check(Message::Vote(signed(vote(Phase::Replicated), 3, 3))),
        Err(VerifyError::UnknownSigner(MemberIndex(3)))
    );
    for phase in [Phase::Prepare, Phase::Commit, Phase::Checkpoint] {
        let refused = Err(VerifyError::MalformedVote(BlockNumber(4)));
        assert_eq!(check(Message::Vote(signed(vote(phase), 1, 1))), refused, "{phase:?} is a phase of PBFT");
    }
    let early = Vote { epoch: Epoch(1), ..vote(Phase::Replicated) };
    let error = check(Message::Vote(signed(early, 1, 1))).unwrap_err();
    assert!(!error.is_misbehaviour(), "{error}: the sender may be ahead");
}

#[test]
fn certificates_need_a_majority() {
    let vote = vote(Phase::Replicated);
    let signatures = |signers: &[u16]| {
        let signature = |signer: &u16| {
            let signed = signed(vote, usize::from(*signer), *signer);
            MemberSignature { signer: signed.signer, signature: signed.signature }
        };
        signers.iter().map(signature).collect::<Vec<_>>()
    };
    let certificate = |signers: &[u16], kind| Certificate {
        epoch: vote.epoch,
        height: vote.height,
        digest: vote.digest,
        block_hash: vote.result.unwrap(),
        kind,
        signatures: signatures(signers),
    };
    let check = |signers: &[u16], kind| check(Message::Certificate(certificate(signers, kind)));
    assert_eq!(check(&[0, 2], CertificateKind::Replicated), Ok(()));
    assert!(check(&[2], CertificateKind::Replicated).is_err());
    assert!(check(&[2, 2], CertificateKind::Replicated).is_err());
    assert!(check(&[0, 1, 2], CertificateKind::Checkpoint).is_err());
}

#[test]
fn appends_whose_entries_do_not_follow_each_other() {
    let append = |index, log_term, term, entries: Vec<Entry>| {
        let body = Body::Append { index, log_term, commit: 0, entries };
        check(Message::Raft(Envelope { height: BlockNumber(0), term, body }))
    };
    assert_eq!(append(5, 2, 3, entries()), Ok(()));
    assert!(matches!(append(4, 2, 3, entries()), Err(VerifyError::Entries { index: 6, .. })), "a gap");
    assert!(matches!(append(5, 4, 4, entries()), Err(VerifyError::Entries { .. })), "terms fall");
    assert!(matches!(append(5, 2, 2, entries()), Err(VerifyError::Entries { .. })), "above the leader's term");
    assert_eq!(append(5, 2, 0, vec![]), Err(VerifyError::NoTerm));
    assert!(matches!(append(u64::MAX, 2, 3, entries()), Err(VerifyError::Entries { .. })));

    let with = |change: fn(&mut Proposal)| {
        let mut proposal = proposal(4);
        change(&mut proposal);
        append(5, 2, 3, vec![Entry { term: 3, index: 6, content: Content::Proposal(Arc::new(proposal)) }])
    };
    assert_eq!(with(|_| {}), Ok(()));
    assert_eq!(with(|one| one.group = GroupId(1)), Err(VerifyError::OtherChain(BlockNumber(4))));
    assert_eq!(with(|one| one.chain_id = 1), Err(VerifyError::OtherChain(BlockNumber(4))));
    assert_eq!(
        with(|one| one.transactions.push(B256::repeat_byte(2))),
        Err(VerifyError::DuplicateTransaction(BlockNumber(4)))
    );
}

#[test]
fn bases_without_a_configuration() {
    let with = |change: fn(&mut Base)| {
        let mut base = base();
        change(&mut base);
        check(Message::Raft(Envelope { height: BlockNumber(0), term: 3, body: Body::Base(base) }))
    };
    assert_eq!(with(|_| {}), Ok(()));
    assert_eq!(with(|one| one.voters.clear()), Err(VerifyError::Configuration(5)));
    assert_eq!(with(|one| one.learners.push(secret(0).public())), Err(VerifyError::Configuration(5)));
    assert!(matches!(with(|one| one.term = 4), Err(VerifyError::Entries { .. })));
    assert!(matches!(with(|one| one.index = 0), Err(VerifyError::Entries { .. })));
}
