//! Bytes of peers and of the vote log.

use crate::network::secret;
use alloy_primitives::B256;
use lian_raft::{Base, Body, Change, ChangeKind, Content, Entry, Envelope, HardState, Message, Record, limits};
use lian_types::{BlockNumber, Epoch, GroupId, Millis, Proposal, ProposalDigest};
use proptest::prelude::*;
use std::sync::Arc;

pub(crate) fn proposal(height: u64) -> Proposal {
    Proposal {
        chain_id: 20_200,
        group: GroupId(0),
        epoch: Epoch(0),
        height: BlockNumber(height),
        parent: ProposalDigest(B256::repeat_byte(1)),
        time: Millis(7),
        proposer: secret(0).public(),
        transactions: vec![B256::repeat_byte(2), B256::repeat_byte(3)],
    }
}

pub(crate) fn base() -> Base {
    Base {
        index: 5,
        term: 2,
        height: BlockNumber(3),
        digest: ProposalDigest(B256::repeat_byte(4)),
        voters: vec![secret(0).public(), secret(1).public()],
        learners: vec![secret(2).public()],
    }
}

pub(crate) fn entries() -> Vec<Entry> {
    let change = Change { kind: ChangeKind::AddVoter, key: secret(3).public() };
    let contents = [Content::Empty, Content::Proposal(Arc::new(proposal(4))), Content::Change(change)];
    (6..).zip(contents).map(|(index, content)| Entry { term: 3, index, content }).collect()
}

fn bodies() -> Vec<Body> {
    vec![
        Body::Append { index: 5, log_term: 2, commit: 5, entries: entries() },
        Body::Appended { index: 5, log_term: 2, commit: 5, refused: true, hint: 4 },
        Body::AskVote { pre: true, index: 8, log_term: 3, commit: 5, commit_term: 2, transfer: false },
        Body::Voted { pre: false, refused: true, commit: 5, commit_term: 2 },
        Body::Heartbeat { commit: 5 },
        Body::Alive { commit: 5 },
        Body::Base(base()),
        Body::TakeOver,
    ]
}

#[test]
fn every_message_and_record_survives_its_bytes() {
    for body in bodies() {
        let message = Message::Raft(Envelope { height: BlockNumber(3), term: 3, body });
        assert_eq!(Message::decode(&message.encode()), Ok(message));
    }
    let mut records: Vec<_> = entries().into_iter().map(Record::Entry).collect();
    records.extend([
        Record::Base(base()),
        Record::HardState(HardState { term: 3, vote: 9, commit: 5 }),
        Record::Abstains,
    ]);
    for record in records {
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }
}

#[test]
fn what_is_no_message_is_refused_with_the_reason() {
    let error = |bytes: &[u8]| Message::decode(bytes).unwrap_err().to_string();
    assert!(error(&[]).contains("begins with None"));
    assert!(error(&[0]).contains("begins with Some(0)"));
    let entry = Entry { term: 3, index: 6, content: Content::Empty };
    let entries = vec![entry; limits::APPEND_ENTRIES_MAX + 1];
    let body = Body::Append { index: 5, log_term: 2, commit: 5, entries };
    let long = Message::Raft(Envelope { height: BlockNumber(3), term: 3, body });
    assert!(error(&long.encode()).contains("257 items exceed the limit of 256"), "{}", error(&long.encode()));
    assert!(Record::decode(&[1]).unwrap_err().to_string().contains("version 1, this program knows 129"));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 1..600)) {
        for first in [bytes[0], Message::TAG, Record::VERSION] {
            bytes[0] = first;
            if let Ok(message) = Message::decode(&bytes) {
                prop_assert_eq!(message.encode(), &bytes[..]);
            }
            if let Ok(record) = Record::decode(&bytes) {
                prop_assert_eq!(record.encode(), &bytes[..]);
            }
        }
    }
}
