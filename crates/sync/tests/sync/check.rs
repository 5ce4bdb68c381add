//! Everything that can be wrong with a block, one thing at a time.

use crate::chain::{CHAIN, Chain, SUITE, transaction};
use alloy_primitives::{Address, B256, Bytes};
use lian_crypto::{CertificateError, SignatureError};
use lian_sync::{Anchor, BlockError, BlockWithCertificate, Checker, SyncError};
use lian_types::{
    Block, BlockNumber, CertificateKind, Epoch, GroupId, MemberIndex, Millis, ProposalDigest, Skipped, View, limits,
};
use std::sync::Arc;

const HEIGHT: u64 = 8;

fn change(block: &mut BlockWithCertificate, change: impl FnOnce(&mut Block)) {
    change(Arc::make_mut(&mut block.block));
}

/// Changes a block and certifies the result, as a dishonest quorum could.
fn sealed(chain: &Chain, block: &mut BlockWithCertificate, change: impl FnOnce(&mut Block)) {
    let mut changed = Block::clone(&block.block);
    change(&mut changed);
    *block = chain.seal(chain.anchor(HEIGHT - 1), changed);
}

#[test]
fn a_chain_holds() {
    assert_eq!(CHAIN.checker().check_batch(CHAIN.genesis, &CHAIN.blocks), Ok(CHAIN.anchor(crate::chain::TIP)));
    assert_eq!(CHAIN.checker().check_batch(CHAIN.anchor(10), &CHAIN.range(11, 5)), Ok(CHAIN.anchor(15)));
    assert!(CHAIN.block(8).unwrap().block.extension.skipped.len() == 1, "one with a skipped transaction is among them");
}

#[test]
fn every_change_is_found() {
    type Change = fn(&Chain, &mut BlockWithCertificate);
    type Expected = fn(&BlockError) -> bool;
    let table: &[(&str, Change, Expected)] = &[
        (
            "header of another height",
            |_, b| change(b, |b| b.header.number += 1),
            |e| matches!(e, BlockError::Height { .. }),
        ),
        (
            "certificate of another height",
            |_, b| b.certificate.height.0 += 1,
            |e| matches!(e, BlockError::Height { .. }),
        ),
        (
            "another parent",
            |_, b| change(b, |b| b.header.parent_hash = B256::ZERO),
            |e| matches!(e, BlockError::Parent { .. }),
        ),
        (
            "another state root",
            |_, b| change(b, |b| b.header.state_root = B256::ZERO),
            |e| matches!(e, BlockError::HeaderHash { .. }),
        ),
        (
            "certificate of another header",
            |_, b| b.certificate.block_hash = B256::ZERO,
            |e| matches!(e, BlockError::HeaderHash { .. }),
        ),
        (
            "another extension",
            |_, b| change(b, |b| b.extension.members = B256::repeat_byte(1)),
            |e| matches!(e, BlockError::Extension { .. }),
        ),
        (
            "a skipped one left out",
            |_, b| change(b, |b| b.extension.skipped.clear()),
            |e| matches!(e, BlockError::Extension { .. }),
        ),
        (
            "longer extraData",
            |c, b| {
                sealed(c, b, |_| {});
                change(b, |b| b.header.extra_data = Bytes::from([b.header.extra_data.to_vec(), vec![0]].concat()));
                b.certificate = c.certify(HEIGHT, b.certificate.digest, SUITE.header_hash(&b.block.header));
            },
            |e| matches!(e, BlockError::Extension { .. }),
        ),
        (
            "unknown extension version",
            |c, b| sealed(c, b, |b| b.extension.version = 2),
            |e| *e == BlockError::ExtensionVersion(2),
        ),
        (
            "extension of another epoch",
            |c, b| sealed(c, b, |b| b.extension.epoch = Epoch(1)),
            |e| matches!(e, BlockError::Epoch { .. }),
        ),
        (
            "header and extension of different times",
            |c, b| {
                change(b, |b| b.header.timestamp += 1);
                b.certificate = c.certify(HEIGHT, b.certificate.digest, SUITE.header_hash(&b.block.header));
            },
            |e| matches!(e, BlockError::Time { .. }),
        ),
        (
            "skipped ones out of order",
            |c, b| {
                sealed(c, b, |b| {
                    b.extension.skipped = [2, 1].map(|position| Skipped { position, hash: B256::ZERO }).to_vec();
                })
            },
            |e| *e == BlockError::Transactions,
        ),
        (
            "more than a proposal holds",
            |c, b| {
                sealed(c, b, |b| {
                    let count = u32::try_from(limits::PROPOSAL_TRANSACTIONS_MAX + 1).unwrap();
                    b.extension.skipped = (0..count).map(|position| Skipped { position, hash: B256::ZERO }).collect();
                })
            },
            |e| *e == BlockError::Transactions,
        ),
        (
            "a transaction left out",
            |_, b| change(b, |b| drop(b.transactions.pop())),
            |e| matches!(e, BlockError::TransactionsRoot { .. }),
        ),
        (
            "a transaction exchanged",
            |_, b| change(b, |b| b.transactions[0] = transaction(99, 5)),
            |e| matches!(e, BlockError::TransactionsRoot { .. }),
        ),
        (
            "transactions swapped",
            |_, b| change(b, |b| b.transactions.swap(0, 1)),
            |e| matches!(e, BlockError::TransactionsRoot { .. }),
        ),
        (
            "a proposer who is no member",
            |c, b| sealed(c, b, |b| b.header.beneficiary = Address::ZERO),
            |e| matches!(e, BlockError::Proposer(_)),
        ),
        (
            "certificate of another proposal",
            |_, b| b.certificate.digest = ProposalDigest::default(),
            |e| matches!(e, BlockError::Digest { .. }),
        ),
        (
            "a proposal on another parent",
            |c, b| {
                let wrong = Anchor { digest: ProposalDigest::default(), ..c.anchor(HEIGHT - 1) };
                *b = c.seal(wrong, Block::clone(&b.block));
            },
            |e| matches!(e, BlockError::Digest { .. }),
        ),
        (
            "too few signatures",
            |_, b| b.certificate.signatures.truncate(2),
            |e| *e == BlockError::Certificate(CertificateError::NoQuorum { found: 2, quorum: 3 }),
        ),
        ("no signature", |_, b| b.certificate.signatures.clear(), |e| matches!(e, BlockError::Certificate(_))),
        (
            "one signer twice",
            |_, b| b.certificate.signatures[1] = b.certificate.signatures[0],
            |e| matches!(e, BlockError::Certificate(CertificateError::NotRising(_))),
        ),
        (
            "a signer who is no member",
            |_, b| b.certificate.signatures[2].signer = MemberIndex(4),
            |e| matches!(e, BlockError::Certificate(CertificateError::UnknownSigner(_))),
        ),
        (
            "another signer's name",
            |_, b| b.certificate.signatures[2].signer = MemberIndex(2),
            |e| matches!(e, BlockError::Certificate(CertificateError::Signature(SignatureError::Mismatch(_)))),
        ),
        (
            "a damaged signature",
            |_, b| b.certificate.signatures[0].signature.0[0] ^= 1,
            |e| matches!(e, BlockError::Certificate(CertificateError::Signature(_))),
        ),
        (
            "another view",
            |_, b| b.certificate.kind = CertificateKind::Commit { view: View(9) },
            |e| matches!(e, BlockError::Certificate(CertificateError::Signature(_))),
        ),
        (
            "commits passed off as checkpoints",
            |_, b| b.certificate.kind = CertificateKind::Checkpoint,
            |e| matches!(e, BlockError::Certificate(CertificateError::Signature(_))),
        ),
        (
            "certificate of another epoch",
            |_, b| b.certificate.epoch = Epoch(1),
            |e| matches!(e, BlockError::Epoch { .. }),
        ),
        (
            "everything of another epoch",
            |c, b| {
                sealed(c, b, |b| b.extension.epoch = Epoch(1));
                b.certificate.epoch = Epoch(1);
            },
            |e| matches!(e, BlockError::Certificate(CertificateError::WrongEpoch { .. })),
        ),
    ];
    for (name, change, expected) in table {
        let mut block = CHAIN.block(HEIGHT).unwrap().clone();
        assert!(CHAIN.checker().check_block(CHAIN.anchor(HEIGHT - 1), &block).is_ok());
        change(&CHAIN, &mut block);
        let error = CHAIN.checker().check_block(CHAIN.anchor(HEIGHT - 1), &block).unwrap_err();
        assert!(expected(&error.error), "{name}: {error}");
        assert_eq!(error.height, BlockNumber(HEIGHT));
        // In a batch it is found wherever it stands.
        let mut batch = CHAIN.range(HEIGHT - 2, 5);
        batch[2] = block;
        let found = CHAIN.checker().check_batch(CHAIN.anchor(HEIGHT - 3), &batch);
        assert_eq!(found, Err(SyncError { height: BlockNumber(HEIGHT), error: error.error }), "{name}");
    }
}

#[test]
fn nothing_replays_from_another_chain_or_out_of_order() {
    let block = CHAIN.block(HEIGHT).unwrap();
    let context = lian_types::ChainContext { group: GroupId(1), ..CHAIN.context };
    let elsewhere = Checker { context: &context, ..CHAIN.checker() };
    assert!(elsewhere.check_block(CHAIN.anchor(HEIGHT - 1), block).is_err());
    let mut swapped = CHAIN.range(1, 4);
    swapped.swap(1, 2);
    assert_eq!(CHAIN.checker().check_batch(CHAIN.genesis, &swapped).unwrap_err().height, BlockNumber(2));
    let mut gap = CHAIN.range(1, 4);
    gap.remove(1);
    assert_eq!(CHAIN.checker().check_batch(CHAIN.genesis, &gap).unwrap_err().height, BlockNumber(2));
    assert!(CHAIN.checker().check_batch(CHAIN.anchor(1), &CHAIN.range(1, 2)).is_err());
    assert_eq!(CHAIN.block(2).unwrap().block.extension.time, Millis(1_001_900));
}
