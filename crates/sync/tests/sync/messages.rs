//! Messages and the answering side.

use crate::chain::{CHAIN, transaction};
use alloy_primitives::B256;
use lian_sync::{BlockRequest, BlockWithCertificate, SyncMessage, SyncStatus, serve};
use lian_types::{Block, BlockNumber, Epoch, limits};
use proptest::prelude::*;
use std::sync::Arc;

fn request(from: u64, count: u32) -> BlockRequest {
    BlockRequest { request: 7, from: BlockNumber(from), count }
}

fn served(request: &BlockRequest, read: impl FnMut(BlockNumber) -> Option<BlockWithCertificate>) -> Vec<u64> {
    let SyncMessage::Blocks { request: 7, blocks } = serve(request, read) else { panic!("not an answer") };
    blocks.iter().map(|block| block.block.header.number).collect()
}

#[test]
fn messages_round_trip_and_are_bounded() {
    let status =
        SyncStatus { epoch: Epoch(1), height: BlockNumber(2), hash: B256::repeat_byte(3), oldest: BlockNumber(4) };
    for message in [
        SyncMessage::Status(status),
        SyncMessage::GetBlocks(request(5, 256)),
        SyncMessage::Blocks { request: 6, blocks: CHAIN.range(1, 20) },
        SyncMessage::Blocks { request: 6, blocks: vec![] },
    ] {
        assert_eq!(SyncMessage::decode(&message.encode()).unwrap(), message);
    }
    assert!(SyncMessage::decode(&SyncMessage::GetBlocks(request(5, 257)).encode()).is_err());
    let many = vec![CHAIN.block(1).unwrap().clone(); limits::SYNC_BLOCKS_MAX + 1];
    let error = SyncMessage::decode(&SyncMessage::Blocks { request: 1, blocks: many }.encode()).unwrap_err();
    assert!(error.to_string().contains("257 blocks exceed the limit of 256"), "{error}");
    assert!(SyncMessage::decode(&[9]).is_err());
}

#[test]
fn answers_are_without_gap_and_bounded() {
    let block = |height: BlockNumber| CHAIN.block(height.0).cloned();
    assert_eq!(served(&request(3, 4), block), [3, 4, 5, 6]);
    assert_eq!(served(&request(148, 10), block), [148, 149, 150]);
    assert_eq!(served(&request(151, 10), block), [] as [u64; 0]);
    assert_eq!(served(&request(1, u32::MAX), block).len(), 150);
    assert_eq!(served(&request(u64::MAX, 9), block), [] as [u64; 0]);
    let pruned = |height: BlockNumber| block(height).filter(|_| height.0 != 5);
    assert_eq!(served(&request(3, 9), pruned), [3, 4]);
    // Blocks of more than a third of an answer: two fit. One larger than an answer goes alone.
    let large = |bytes: usize| {
        let transactions = vec![transaction(1, 1); bytes / transaction(1, 1).encoded().len()];
        move |height: BlockNumber| {
            let mut block = block(height)?;
            Arc::<Block>::make_mut(&mut block.block).transactions = transactions.clone();
            Some(block)
        }
    };
    assert_eq!(served(&request(1, 9), large(limits::SYNC_RESPONSE_BYTES_MAX * 2 / 5)), [1, 2]);
    assert_eq!(served(&request(1, 9), large(limits::SYNC_RESPONSE_BYTES_MAX * 2)), [1]);
}

#[test]
fn lengths_are_estimated_from_above() {
    for block in &CHAIN.blocks[..20] {
        let actual = borsh::to_vec(block).unwrap().len();
        assert!((actual..actual + 1_000).contains(&block.encoded_len()), "{actual} {}", block.encoded_len());
        assert!(block.bytes() > actual);
    }
}

proptest! {
    #[test]
    fn decoding_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = SyncMessage::decode(&bytes);
    }

    #[test]
    fn damaged_messages_never_panic(position in 0usize..3_000, byte in any::<u8>(), cut in 0usize..3_000) {
        let mut bytes = SyncMessage::Blocks { request: 6, blocks: CHAIN.range(7, 3) }.encode();
        let position = position % bytes.len();
        bytes[position] ^= byte;
        let _ = SyncMessage::decode(&bytes);
        bytes.truncate(cut);
        let _ = SyncMessage::decode(&bytes);
    }
}
