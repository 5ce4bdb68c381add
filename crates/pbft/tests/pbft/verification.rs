//! What `verify` refuses: every way in which a message can claim more than its signatures prove.

use crate::{
    network::{SUITE, key, members, rules},
    script::Script,
};
use alloy_primitives::B256;
use lian_pbft::{
    Committee, Committees, Message, NewView, Rules, SignedNewView, SignedViewChange, Statement, VerifyError,
    ViewChangeMessage, verify,
};
use lian_types::{
    BlockNumber, CertificateKind, ChainContext, Epoch, GroupId, MemberIndex, MemberSignature, Phase, Proposal,
    ProposalDigest, View,
};
use std::sync::Arc;

const HASH: ProposalDigest = ProposalDigest(B256::ZERO);

fn committees() -> Committees {
    Committees::new([
        Committee::new(Epoch(0), BlockNumber(0), members(0..4)),
        Committee::new(Epoch(1), BlockNumber(50), members(3..7)),
    ])
}

fn checked(message: Message) -> Result<(), VerifyError> {
    verify(&rules(4, 100), &committees(), message).map(|_| ())
}

/// A view-change whose content was changed after the fact, signed anew by its signer.
fn changed(message: &ViewChangeMessage, change: impl FnOnce(&mut lian_pbft::ViewChange)) -> ViewChangeMessage {
    let mut inner = message.signed.change.clone();
    change(&mut inner);
    let statement = Statement::ViewChange(Box::new(inner.clone()));
    let signature = key(usize::from(message.signed.signer.0)).sign(&statement.signing_bytes(&rules(4, 100).context));
    let signed = Arc::new(SignedViewChange { change: inner, signer: message.signed.signer, signature });
    ViewChangeMessage { signed, proposals: message.proposals.clone() }
}

fn new_view(view: u64, changes: &[ViewChangeMessage], proposals: Vec<Arc<Proposal>>, signer: usize) -> Message {
    let mut changes: Vec<_> = changes.iter().map(|message| Arc::clone(&message.signed)).collect();
    changes.sort_by_key(|signed| signed.signer);
    let new_view = NewView { epoch: Epoch(0), view: View(view), changes, proposals };
    let statement = Statement::NewView(Box::new(new_view.clone()));
    let signature = key(signer).sign(&statement.signing_bytes(&rules(4, 100).context));
    Message::NewView(Arc::new(SignedNewView { new_view, signer: MemberIndex(signer as u16), signature }))
}

#[test]
fn good_messages_hold() {
    let mut script = Script::new(0);
    assert_eq!(checked(Message::PrePrepare(script.pre_prepare("1a", 0))), Ok(()));
    let vote = script.vote(&["commit", "1a", "v0", "bare"]);
    assert_eq!(checked(Message::Vote(script.signed(vote, 2))), Ok(()));
    let certificate = script.certificate("3a", CertificateKind::Commit { view: View(5) });
    assert_eq!(checked(Message::Certificate(certificate)), Ok(()));
    assert_eq!(checked(Message::ViewChange(script.change(2, 1, &["1a", "2a@0", "3a@1"]))), Ok(()));
    let changes = [script.change(1, 0, &["1a@0"]), script.change(1, 2, &[]), script.change(1, 3, &[])];
    let one = script.proposal("1a");
    assert_eq!(checked(new_view(1, &changes, vec![one], 1)), Ok(()));
}

/// Replay across view, height, epoch, group and chain, and a message's type swapped under a valid signature.
#[test]
fn signatures_mean_one_thing_only() {
    let mut script = Script::new(0);
    let vote = script.vote(&["commit", "1a", "v0", "result"]);
    let signed = script.signed(vote, 2);
    let mismatch = |error: VerifyError| matches!(error, VerifyError::Signature(_));
    for swap in [
        (|vote| vote.view = View(1)) as fn(&mut lian_types::Vote),
        |vote| vote.height = BlockNumber(2),
        |vote| vote.digest = HASH,
        |vote| vote.result = None,
        |vote| {
            vote.phase = Phase::Prepare;
            vote.result = None;
        },
        |vote| vote.phase = Phase::Checkpoint,
        |vote| {
            vote.epoch = Epoch(1);
            vote.height = BlockNumber(50);
        },
    ] {
        let mut replayed = signed;
        swap(&mut replayed.vote);
        assert!(mismatch(checked(Message::Vote(replayed)).unwrap_err()), "{replayed:?}");
    }
    let mut other = signed;
    other.signer = MemberIndex(1);
    assert!(mismatch(checked(Message::Vote(other)).unwrap_err()));
    let rules = rules(4, 100);
    for context in [
        ChainContext { group: GroupId(1), ..rules.context },
        ChainContext { chain_id: 1, ..rules.context },
        ChainContext { genesis: B256::ZERO, ..rules.context },
    ] {
        let elsewhere = Rules { context, ..rules };
        assert!(mismatch(verify(&elsewhere, &committees(), Message::Vote(signed)).unwrap_err()));
        let change = Message::ViewChange(script.change(1, 2, &[]));
        assert!(mismatch(verify(&elsewhere, &committees(), change).unwrap_err()));
        assert!(verify(&elsewhere, &committees(), Message::PrePrepare(script.pre_prepare("1a", 0))).is_err());
    }
    // A pre-prepare's signature is no prepare's and the reverse.
    let mut pre_prepare = script.pre_prepare("1a", 0);
    let prepare = script.vote(&["prepare", "1a", "v0"]);
    let swapped = lian_types::SignedVote { vote: prepare, signer: MemberIndex(0), signature: pre_prepare.signature };
    assert!(mismatch(checked(Message::Vote(swapped)).unwrap_err()));
    pre_prepare.signature = script.signed(prepare, 0).signature;
    assert!(mismatch(checked(Message::PrePrepare(pre_prepare)).unwrap_err()));
}

#[test]
fn votes_and_proposals_are_well_formed() {
    let mut script = Script::new(0);
    let vote = script.vote(&["prepare", "1a", "v0"]);
    let with_result = lian_types::Vote { result: Some(B256::ZERO), ..vote };
    let malformed = Err(VerifyError::MalformedVote(BlockNumber(1)));
    assert_eq!(checked(Message::Vote(script.signed(with_result, 1))), malformed);
    let viewed = lian_types::Vote { phase: Phase::Checkpoint, view: View(1), ..with_result };
    assert_eq!(checked(Message::Vote(script.signed(viewed, 1))), malformed);
    assert_eq!(
        checked(Message::Vote(script.signed(lian_types::Vote { phase: Phase::Checkpoint, ..vote }, 1))),
        malformed
    );

    let later = lian_types::Vote { height: BlockNumber(50), ..vote };
    let wrong = VerifyError::WrongEpoch { height: BlockNumber(50), found: Epoch(0), expected: Epoch(1) };
    assert_eq!(checked(Message::Vote(script.signed(later, 1))), Err(wrong));

    let mut unknown = script.signed(vote, 1);
    unknown.signer = MemberIndex(4);
    assert_eq!(checked(Message::Vote(unknown)), Err(VerifyError::UnknownSigner(MemberIndex(4))));

    let sign = |proposal: Proposal, view: u64, member: usize| {
        let digest = SUITE.proposal_digest(&proposal);
        let (epoch, height, view) = (proposal.epoch, proposal.height, View(view));
        let statement = Statement::PrePrepare { epoch, view, height, digest };
        let signature = key(member).sign(&statement.signing_bytes(&rules(4, 100).context));
        Message::PrePrepare(lian_pbft::PrePrepare { view, proposal: Arc::new(proposal), signature })
    };
    let good = script.proposal("1a").as_ref().clone();
    assert_eq!(checked(sign(good.clone(), 0, 0)), Ok(()));
    // Envelope and content differ: the proposal of view 0 in view 1, where member 1 leads.
    let leader = MemberIndex(1);
    let other = VerifyError::NotTheLeader { height: BlockNumber(1), view: View(1), leader };
    assert_eq!(checked(sign(good.clone(), 1, 1)), Err(other));
    assert!(matches!(checked(sign(good.clone(), 0, 1)), Err(VerifyError::Signature(_))));
    let twice = Proposal { transactions: vec![B256::ZERO, B256::ZERO], ..good.clone() };
    assert_eq!(checked(sign(twice, 0, 0)), Err(VerifyError::DuplicateTransaction(BlockNumber(1))));
    for foreign in [
        Proposal { chain_id: 1, ..good.clone() },
        Proposal { group: GroupId(1), ..good.clone() },
        Proposal { height: BlockNumber(0), ..good },
    ] {
        let height = foreign.height;
        assert_eq!(checked(sign(foreign, 0, 0)), Err(VerifyError::OtherChain(height)));
    }
}

/// A prepare certificate or a certificate with a duplicate, unknown or wrong-epoch signer, of too few, or mixed.
#[test]
fn certificates_prove_a_quorum_of_one_vote() {
    let mut script = Script::new(0);
    let good = script.certificate("1a", CertificateKind::Commit { view: View(0) });
    let other_view = script.certificate("1a", CertificateKind::Commit { view: View(1) });
    let checkpoints = script.certificate("1a", CertificateKind::Checkpoint);
    let is_signature = |error: &VerifyError| matches!(error, VerifyError::Signature(_));
    type Spoil<'a> = &'a dyn Fn(&mut Vec<MemberSignature>);
    type Case<'a> = (Spoil<'a>, &'a dyn Fn(&VerifyError) -> bool);
    let table: [Case<'_>; 6] = [
        (&|s| s.truncate(2), &|e| *e == VerifyError::NoQuorum { found: 2, quorum: 3 }),
        (&|s| s[2] = s[1], &|e| *e == VerifyError::NotRising("signers")),
        (&|s| s.swap(0, 1), &|e| *e == VerifyError::NotRising("signers")),
        (&|s| s[2].signer = MemberIndex(9), &|e| *e == VerifyError::UnknownSigner(MemberIndex(9))),
        (&|s| s[1] = other_view.signatures[1], &is_signature),
        (&|s| s[1] = checkpoints.signatures[1], &is_signature),
    ];
    for (spoil, expected) in table {
        let mut bad = good.clone();
        spoil(&mut bad.signatures);
        let error = checked(Message::Certificate(bad)).unwrap_err();
        assert!(expected(&error), "{error}");
    }
    // The same for prepare certificates in a view-change.
    let message = script.change(2, 1, &["1a@0"]);
    let other_view = script.prepared("1a", 1);
    let table: [Case<'_>; 4] = [
        (&|s| s.truncate(2), &|e| *e == VerifyError::NoQuorum { found: 2, quorum: 3 }),
        (&|s| s[2] = s[1], &|e| *e == VerifyError::NotRising("signers")),
        (&|s| s[2].signer = MemberIndex(9), &|e| *e == VerifyError::UnknownSigner(MemberIndex(9))),
        (&|s| s[1] = other_view.signatures[1], &is_signature),
    ];
    for (spoil, expected) in table {
        let bad = changed(&message, |change| spoil(&mut change.prepared[0].signatures));
        let error = checked(Message::ViewChange(bad)).unwrap_err();
        assert!(expected(&error), "{error}");
    }
    let bad = changed(&message, |change| change.prepared[0].epoch = Epoch(1));
    let wrong = VerifyError::WrongEpoch { height: BlockNumber(1), found: Epoch(1), expected: Epoch(0) };
    assert_eq!(checked(Message::ViewChange(bad)), Err(wrong));
    // Members of a later epoch, who sign in their own right, prove nothing about an earlier height.
    let mut later = good;
    later.epoch = Epoch(1);
    assert!(matches!(checked(Message::Certificate(later)), Err(VerifyError::WrongEpoch { .. })));
}

#[test]
fn view_changes_are_consistent() {
    let mut script = Script::new(0);
    let good = script.change(2, 1, &["1a", "2a@0", "3a@1"]);
    let refused = |message| checked(Message::ViewChange(message)).unwrap_err();
    // View 0 starts by itself.
    assert!(matches!(refused(changed(&good, |c| c.view = View(0))), VerifyError::WrongView { .. }));
    // Prepared in the view it moves to, or beyond.
    assert!(matches!(refused(changed(&good, |c| c.view = View(1))), VerifyError::WrongView { .. }));
    // Heights below the base, beyond the window, out of order.
    let below = changed(&good, |c| c.prepared[0].height = BlockNumber(1));
    assert!(matches!(refused(below), VerifyError::OutsideWindow { .. }));
    let beyond = changed(&good, |c| c.prepared[1].height = BlockNumber(6));
    assert!(matches!(refused(beyond), VerifyError::OutsideWindow { .. }));
    assert_eq!(refused(changed(&good, |c| c.prepared.swap(0, 1))), VerifyError::NotRising("heights"));
    // The digest does not match the content, or the content is missing.
    let mut swapped = good.clone();
    swapped.proposals.swap(0, 1);
    assert_eq!(refused(swapped), VerifyError::DigestMismatch(BlockNumber(2)));
    let mut short = good.clone();
    short.proposals.pop();
    assert_eq!(refused(short), VerifyError::DigestMismatch(BlockNumber(2)));
    let other = script.proposal("2b<1a");
    let mut wrong = good.clone();
    wrong.proposals[0] = other;
    assert_eq!(refused(wrong), VerifyError::DigestMismatch(BlockNumber(2)));
    // Someone else's.
    let mut stolen = good.signed.as_ref().clone();
    stolen.signer = MemberIndex(2);
    let stolen = ViewChangeMessage { signed: Arc::new(stolen), proposals: good.proposals.clone() };
    assert!(matches!(refused(stolen), VerifyError::Signature(_)));
    // A base that is not proven.
    let unproven = changed(&good, |c| c.base.as_mut().unwrap().block_hash = B256::ZERO);
    assert!(matches!(refused(unproven), VerifyError::Signature(_)));
}

/// A new-view that omits or contradicts a prepared slot, or is not its leader's.
#[test]
fn new_views_propose_what_is_forced() {
    let mut script = Script::new(0);
    let one = script.proposal("1a");
    let two = script.proposal("2a");
    let other = script.proposal("1b");
    let changes = [script.change(1, 0, &["1a@0", "2a@0"]), script.change(1, 2, &[]), script.change(1, 3, &["1a@0"])];
    let refused = |message| checked(message).unwrap_err();
    assert_eq!(checked(new_view(1, &changes, vec![one.clone(), two.clone()], 1)), Ok(()));
    let wrong = VerifyError::WrongChoice(BlockNumber(1));
    assert_eq!(refused(new_view(1, &changes, vec![], 1)), wrong);
    assert_eq!(refused(new_view(1, &changes, vec![other.clone()], 1)), wrong);
    assert_eq!(refused(new_view(1, &changes, vec![one.clone()], 1)), VerifyError::WrongChoice(BlockNumber(2)));
    assert_eq!(refused(new_view(1, &changes, vec![other, two.clone()], 1)), wrong);
    assert_eq!(refused(new_view(1, &changes, vec![two.clone(), one.clone()], 1)), wrong);
    let three = script.proposal("3a");
    assert_eq!(refused(new_view(1, &changes, vec![one.clone(), two.clone(), three], 1)), wrong);
    // Two view-changes, or one twice, are no quorum.
    assert!(matches!(
        refused(new_view(1, &changes[..2], vec![one.clone(), two.clone()], 1)),
        VerifyError::NoQuorum { .. }
    ));
    let twice = [changes[0].clone(), changes[0].clone(), changes[1].clone()];
    assert_eq!(refused(new_view(1, &twice, vec![one.clone(), two.clone()], 1)), VerifyError::NotRising("signers"));
    // Not the leader's, and not of this view.
    let both = vec![one, two];
    assert!(matches!(refused(new_view(1, &changes, both.clone(), 2)), VerifyError::NotTheLeader { .. }));
    assert!(matches!(refused(new_view(2, &changes, both.clone(), 2)), VerifyError::WrongView { .. }));
    // A forged view-change within.
    let mut forged = changes.clone();
    forged[1] = changed(&forged[1], |_| ());
    let mut inner = forged[1].signed.as_ref().clone();
    inner.signature = changes[0].signed.signature;
    forged[1].signed = Arc::new(inner);
    assert!(matches!(refused(new_view(1, &forged, both, 1)), VerifyError::Signature(_)));
}

#[test]
fn the_greatest_numbers_do_no_harm() {
    let mut script = Script::new(0);
    let huge = script.change(u64::MAX, 1, &["1a@18446744073709551614"]);
    assert_eq!(checked(Message::ViewChange(huge.clone())), Ok(()));
    let vote = script.vote(&["prepare", "1a", "v18446744073709551615"]);
    let signed = script.signed(vote, 1);
    assert_eq!(checked(Message::Vote(signed)), Ok(()));
    let far = lian_types::Vote { height: BlockNumber(u64::MAX), epoch: Epoch(1), ..vote };
    assert!(checked(Message::Vote(script.signed(far, 3))).is_err());
    assert_eq!(script.message(1, Message::ViewChange(huge)), "");
    assert_eq!(script.message(1, Message::Vote(signed)), "");
}
