//! What nodes of a Raft group send each other and keep.

use crate::fixture::{CONTEXT, SUITE, certificate, epoch, key, proposal, signed};
use lian_crypto::EpochMembers;
use lian_raft::{Base, Body, Change, ChangeKind, Content, Entry, Envelope, HardState, Message, Record, verify};
use lian_types::{BlockNumber, CertificateKind, ConsensusKind, Phase};
use std::sync::Arc;

/// Messages, decoded and checked against fixed members.
pub(crate) fn message(data: &[u8]) {
    if let Ok(message) = Message::decode(data) {
        assert_eq!(message.encode(), data, "a message has one encoding");
        let members = Arc::new(EpochMembers { consensus: ConsensusKind::Raft, ..epoch() });
        if let Ok(verified) = verify(SUITE, &CONTEXT, &|_| Some(Arc::clone(&members)), message.clone()) {
            assert_eq!(*verified, message, "checking changes nothing");
        }
    }
}

fn base() -> Base {
    let (height, digest) = (BlockNumber(1), SUITE.proposal_digest(&proposal()));
    let voters = (0..3).map(|member| key(member).public()).collect();
    Base { index: 4, term: 2, height, digest, voters, learners: vec![key(3).public()] }
}

fn entries() -> Vec<Entry> {
    let change = Change { kind: ChangeKind::AddVoter, key: key(3).public() };
    let contents = [Content::Empty, Content::Proposal(proposal()), Content::Change(change)];
    (5..).zip(contents).map(|(index, content)| Entry { term: 3, index, content }).collect()
}

pub(crate) fn message_seeds() -> Vec<Vec<u8>> {
    let bodies = [
        Body::Append { index: 4, log_term: 2, commit: 4, entries: entries() },
        Body::Appended { index: 7, log_term: 0, commit: 4, refused: false, hint: 0 },
        Body::AskVote { pre: false, index: 7, log_term: 3, commit: 4, commit_term: 2, transfer: true },
        Body::Voted { pre: true, refused: true, commit: 4, commit_term: 2 },
        Body::Heartbeat { commit: 4 },
        Body::Alive { commit: 4 },
        Body::Base(base()),
        Body::TakeOver,
    ];
    let raft = bodies.map(|body| Message::Raft(Envelope { height: BlockNumber(1), term: 3, body }));
    let others = [
        Message::Vote(signed(Phase::Replicated, 1)),
        Message::Question(signed(Phase::Replicated, 2)),
        Message::Certificate(certificate(CertificateKind::Replicated)),
    ];
    raft.iter().chain(&others).map(Message::encode).collect()
}

/// Records of the vote log.
pub(crate) fn record(data: &[u8]) {
    if let Ok(record) = Record::decode(data) {
        assert_eq!(record.encode(), data, "a record has one encoding");
    }
}

pub(crate) fn record_seeds() -> Vec<Vec<u8>> {
    let others = [
        Record::Base(base()),
        Record::HardState(HardState { term: 3, vote: 7, commit: 4 }),
        Record::Vote(signed(Phase::Replicated, 1)),
        Record::Cleared { through: BlockNumber(1) },
        Record::Abstains,
    ];
    entries().into_iter().map(Record::Entry).chain(others).map(|record| record.encode()).collect()
}
