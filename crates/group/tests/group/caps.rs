//! The largest blocks pass through every layer's bound.

use crate::{
    setup::{SUITE, signed, transfer, verified},
    speculation::{certificate, chain, proposal_of},
};
use alloy_consensus::TxEip1559;
use alloy_primitives::Bytes;
use lian_crypto::VerifiedTransaction;
use lian_group::{core::GroupMessage, finality::finalize};
use lian_network::Class;
use lian_pbft::{Message, PrePrepare};
use lian_sync::{BlockRequest, BlockWithCertificate, SyncMessage, serve};
use lian_txpool::{Body, PoolMessage};
use lian_types::{BlockNumber, Signature, View, limits};
use std::sync::Arc;

/// As many transactions as fit.
fn many() -> Vec<Arc<VerifiedTransaction>> {
    let count = limits::PROPOSAL_TRANSACTIONS_MAX as u64;
    (0..count).map(|nonce| verified(transfer(nonce))).collect()
}

/// As large ones as fit.
fn large() -> Vec<Arc<VerifiedTransaction>> {
    // The rest of an encoded transaction takes less than 200 bytes.
    let data = Bytes::from(vec![0; limits::TRANSACTION_BYTES_MAX - 200]);
    let count = limits::PROPOSAL_BODY_BYTES_MAX / limits::TRANSACTION_BYTES_MAX;
    let gas_limit = limits::TRANSACTION_GAS_LIMIT_MAX;
    (0..count as u64)
        .map(|nonce| verified(signed(TxEip1559 { nonce, gas_limit, input: data.clone(), ..TxEip1559::default() })))
        .collect()
}

/// A message survives its bytes, which its class can carry.
fn carried(message: &GroupMessage) -> GroupMessage {
    let bytes = message.encode();
    let class = message.class();
    assert!(bytes.len() <= class.bytes_max(), "{class:?}: {} of {}", bytes.len(), class.bytes_max());
    GroupMessage::decode(class, &bytes).unwrap()
}

#[test]
fn the_largest_blocks_pass_every_cap() {
    for bodies in [many(), large()] {
        let folder = tempfile::tempdir().unwrap();
        let (ledger, mut chain) = chain(folder.path());
        let proposal = proposal_of(1, ledger.head().digest, bodies.clone());

        // Proposing and fetching bodies.
        let pre_prepare =
            PrePrepare { view: View(0), proposal: Arc::clone(&proposal.proposal), signature: Signature([0; 64]) };
        carried(&GroupMessage::Consensus(Message::PrePrepare(pre_prepare)));
        let transactions: Vec<_> = bodies.iter().map(Body::from).collect();
        let answer = GroupMessage::Pool(PoolMessage::Bodies { transactions, unknown: vec![] });
        assert_eq!(answer.class(), Class::Body);
        carried(&answer);

        // Executing, storing, and storing again from the log.
        let executed = chain.execute(proposal.clone()).unwrap().pop().unwrap();
        assert_eq!(executed.block.transactions.len(), bodies.len(), "nothing is skipped");
        let block = finalize(&mut chain, &proposal, executed.hash, certificate(&proposal, executed.hash)).unwrap();
        ledger.append(&[block]).unwrap();
        drop((ledger, chain));
        let (ledger, _) = self::chain(folder.path());
        assert_eq!(ledger.head().hash, executed.hash);

        // Serving it to a node that catches up.
        let request = BlockRequest { request: 1, from: BlockNumber(1), count: 1 };
        let answer = serve(&request, |height| {
            let stored = ledger.block_by_number(height).unwrap()?;
            let certificate = stored.certificate.as_ref().clone();
            Some(BlockWithCertificate { block: Arc::clone(&stored.block), certificate })
        });
        let GroupMessage::Sync(SyncMessage::Blocks { blocks, .. }) = carried(&GroupMessage::Sync(answer)) else {
            panic!("not blocks")
        };
        assert_eq!(SUITE.header_hash(&blocks[0].block.header), executed.hash);
    }
}
