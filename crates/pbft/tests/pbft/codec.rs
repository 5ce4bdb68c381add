//! Decoders of outside bytes: round trips, no panic, bounded lists.

use crate::{network::Network, script::Script};
use alloy_primitives::B256;
use lian_pbft::{Message, NewView, PrepareCertificate, Record, SignedNewView, SignedViewChange, ViewChange};
use lian_types::{
    BlockNumber, Certificate, CertificateKind, ConsensusParameters, Epoch, MemberIndex, MemberSignature, Proposal,
    ProposalDigest, Signature, View, limits,
};
use proptest::prelude::*;
use std::sync::Arc;

/// One of every kind of message, and the records of a run.
fn samples() -> (Vec<Message>, Vec<Record>) {
    let mut script = Script::new(0);
    let vote = script.vote(&["commit", "1a", "v0", "result"]);
    let messages = vec![
        Message::PrePrepare(script.pre_prepare("1a", 0)),
        Message::Vote(script.signed(vote, 2)),
        Message::ViewChange(script.change(2, 1, &["1a", "2a@0", "3a@1"])),
        Message::Certificate(script.certificate("1a", lian_types::CertificateKind::Checkpoint)),
    ];
    let mut network = Network::new(4, 1);
    network.faults.crash_permille = 20;
    network.connect();
    network.run_for(4_000);
    let records: Vec<_> = network.nodes.iter().flat_map(|node| node.disk.clone()).collect();
    let new_views = records.iter().filter_map(|record| match record {
        Record::NewView(signed) => Some(Message::NewView(signed.clone())),
        _ => None,
    });
    let messages: Vec<_> = messages.into_iter().chain(new_views).collect();
    assert!(messages.len() > 4 && records.len() > 10);
    (messages, records)
}

#[test]
fn messages_and_records_round_trip() {
    let (messages, records) = samples();
    for message in messages {
        let bytes = message.encode();
        assert_eq!(Message::decode(&bytes).unwrap(), message);
        assert!(Message::decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(Message::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
    }
    for record in records {
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes).unwrap(), record);
        assert!(Record::decode(&[&[2], &bytes[1..]].concat()).is_err());
    }
    assert!(Record::decode(&[]).is_err());
}

/// The largest message that members can need: everybody's view-change with everybody's prepares for the whole window.
fn largest(members: u16, parameters: &ConsensusParameters, proposal: &Proposal) -> Message {
    let (epoch, view, digest) = (Epoch::ZERO, View(1), ProposalDigest(B256::ZERO));
    let signature = Signature([7; 64]);
    let signatures: Vec<_> =
        (0..members).map(|signer| MemberSignature { signer: MemberIndex(signer), signature }).collect();
    let kind = CertificateKind::Commit { view };
    let height = BlockNumber(1);
    let base = Certificate { epoch, height, digest, block_hash: B256::ZERO, kind, signatures: signatures.clone() };
    let prepared = (0..parameters.window)
        .map(|above| PrepareCertificate {
            epoch,
            view,
            height: BlockNumber(2 + above),
            digest,
            signatures: signatures.clone(),
        })
        .collect();
    let change = ViewChange { epoch, view, base: Some(base), prepared };
    let changes = (0..members)
        .map(|signer| Arc::new(SignedViewChange { change: change.clone(), signer: MemberIndex(signer), signature }))
        .collect();
    let transactions = vec![B256::ZERO; parameters.block_transactions_max];
    let proposal = Arc::new(Proposal { transactions, ..proposal.clone() });
    let proposals = std::iter::repeat_n(proposal, parameters.window as usize + 1).collect();
    let new_view = NewView { epoch, view, changes, proposals };
    Message::NewView(Arc::new(SignedNewView { new_view, signer: MemberIndex(1), signature }))
}

/// What genesis allows fits into a frame, and the bound by which genesis is checked is one.
#[test]
fn the_largest_view_change_fits_every_cap() {
    let proposal = Script::new(0).proposal("1a");
    let default = ConsensusParameters::default();
    let cases = [
        (4, default),
        (128, default),
        (4, ConsensusParameters { window: 50, ..default }),
        (1, ConsensusParameters { window: 1, block_transactions_max: 1, ..default }),
        (100, ConsensusParameters { window: 21, block_transactions_max: 100, ..default }),
    ];
    for (members, parameters) in cases {
        let message = largest(members, &parameters, &proposal);
        let bytes = message.encode();
        let bound = parameters.message_bytes_max(members.into());
        assert!(bytes.len() <= bound, "{} bytes, bound {bound}", bytes.len());
        assert!(bound <= limits::CONSENSUS_MESSAGE_BYTES_MAX, "{members} members, {parameters:?}: {bound}");
        assert_eq!(Message::decode(&bytes).unwrap(), message);
    }
}

/// A list that announces more than its limit is refused before it is read.
#[test]
fn announced_lengths_are_bounded() {
    let mut script = Script::new(0);
    let bytes = Message::ViewChange(script.change(2, 1, &[])).encode();
    // Kind, epoch, view, no base, then the number of prepare certificates.
    let at = 1 + 8 + 8 + 1;
    for count in [65_u32, u32::MAX] {
        let mut huge = bytes.clone();
        huge[at..at + 4].copy_from_slice(&count.to_le_bytes());
        let error = Message::decode(&huge).unwrap_err().to_string();
        assert!(error.contains(&format!("{count} items exceed the limit of 64")), "{error}");
    }
}

proptest! {
    #[test]
    fn decoders_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = Message::decode(&bytes);
        let _ = Record::decode(&bytes);
    }

    #[test]
    fn damaged_messages_never_panic(position in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut script = Script::new(0);
        let mut bytes = Message::ViewChange(script.change(2, 1, &["1a", "2a@0"])).encode();
        let at = position.index(bytes.len());
        bytes[at] = byte;
        if let Ok(message) = Message::decode(&bytes) {
            // Whatever else it says now, it does not hold.
            let whole = bytes == message.encode();
            prop_assert!(whole);
        }
    }
}
