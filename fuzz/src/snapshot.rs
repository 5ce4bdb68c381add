//! Snapshots, as strangers send and operators bring them, and what a pruned node reads back.

use crate::fixture::{CONTEXT, SUITE, certificate, epoch, members, transactions};
use alloy_primitives::{Address, B256, U256};
use lian_ledger::{CertifiedHeader, ChunkInfo, EpochLink, Manifest, SnapshotEntry};
use lian_sync::{SnapshotMessage, SnapshotOffer};
use lian_types::{BlockNumber, CertificateKind, Epoch, Extension, Header, Millis, Receipt};

/// What nodes say to each other about snapshots.
pub(crate) fn messages(data: &[u8]) {
    if let Ok(message) = SnapshotMessage::decode(data) {
        assert_eq!(message.encode(), data, "a message about snapshots has one encoding");
    }
}

pub(crate) fn message_seeds() -> Vec<Vec<u8>> {
    let height = BlockNumber(10_000);
    let bytes = manifest().encode();
    let messages = [
        SnapshotMessage::GetOffers,
        SnapshotMessage::Offers { head: height, offers: vec![SnapshotOffer { height, content: B256::ZERO }; 2] },
        SnapshotMessage::GetManifest { height },
        SnapshotMessage::Manifest { height, bytes },
        SnapshotMessage::GetChunk { height, index: 3 },
        SnapshotMessage::Chunk { height, index: 3, bytes: vec![7; 90] },
    ];
    messages.iter().map(SnapshotMessage::encode).collect()
}

/// Manifests, and the check of them from genesis on.
pub(crate) fn manifests(data: &[u8]) {
    let Ok(manifest) = Manifest::decode(data) else { return };
    assert_eq!(manifest.encode(), data, "a manifest has one encoding");
    if let Ok(epochs) = manifest.verify(SUITE, &CONTEXT, &epoch()) {
        assert_eq!(epochs.len(), manifest.epochs.len() + 1, "every epoch is proven");
    }
}

pub(crate) fn manifest_seeds() -> Vec<Vec<u8>> {
    let plain = manifest();
    let link = EpochLink { last: plain.head.clone(), members: members() };
    vec![plain.encode(), Manifest { epochs: vec![link], ..plain }.encode()]
}

/// The entries of chunks.
pub(crate) fn chunks(data: &[u8]) {
    let entries: Vec<_> = SnapshotEntry::read_all(data).collect();
    if entries.iter().all(Result::is_ok) {
        let written: Vec<u8> =
            entries.iter().flatten().flat_map(|entry| borsh::to_vec(entry).unwrap_or_default()).collect();
        assert_eq!(written, data, "an entry has one encoding");
    }
}

pub(crate) fn chunk_seeds() -> Vec<Vec<u8>> {
    let receipt =
        Receipt { transaction_type: 2, success: true, gas_used: 21_000, cumulative_gas_used: 21_000, logs: vec![] };
    let address = Address::repeat_byte(3);
    let bodies = transactions().into_iter().map(|body| SnapshotEntry::Transaction(Box::new(body.as_ref().clone())));
    let others = [
        SnapshotEntry::Receipt(receipt),
        SnapshotEntry::Account { address, state: Default::default() },
        SnapshotEntry::Slot { address, slot: U256::from(1), value: U256::MAX },
        SnapshotEntry::Code { code: vec![0x5f, 0x5f, 0xfd] },
    ];
    let entries: Vec<_> = bodies.chain(others).collect();
    let encode = |entry: &SnapshotEntry| borsh::to_vec(entry).unwrap_or_default();
    entries.iter().map(encode).chain([entries.iter().flat_map(encode).collect()]).collect()
}

/// What is kept of pruned blocks.
pub(crate) fn heads(data: &[u8]) {
    if let Ok(head) = borsh::from_slice::<CertifiedHeader>(data) {
        assert_eq!(borsh::to_vec(&head).ok().as_deref(), Some(data), "a head has one encoding");
        // That it is checked must not panic; random bytes are not expected to hold.
        let _ = head.verify(SUITE, &CONTEXT, &epoch());
    }
}

pub(crate) fn head_seeds() -> Vec<Vec<u8>> {
    borsh::to_vec(&manifest().head).into_iter().collect()
}

fn manifest() -> Manifest {
    let extension = Extension {
        version: 1,
        time: Millis(1_700_000_000_000),
        epoch: Epoch(0),
        members: B256::ZERO,
        skipped: vec![],
    };
    let extra_data = SUITE.extension_digest(&extension).to_vec().into();
    let parent = Header::default();
    let header = Header { number: 1, parent_hash: SUITE.header_hash(&parent), extra_data, ..Header::default() };
    let mut certificate = certificate(CertificateKind::Checkpoint);
    certificate.block_hash = SUITE.header_hash(&header);
    Manifest {
        chain: CONTEXT,
        epochs: vec![],
        head: CertifiedHeader { header, extension, certificate },
        ancestors: vec![parent],
        chunks: vec![ChunkInfo { hash: B256::repeat_byte(1), length: 9 }],
    }
}
