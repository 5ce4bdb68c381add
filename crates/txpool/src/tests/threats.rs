//! The pool's part of the threat model, by the names it has there.

use super::*;
use crate::{Body, DropReason, Dropped, Finality, PoolMessage, Standing, refusal::ReplacementReason};
use proptest::prelude::*;

fn finalize(pool: &mut Pool, number: u64, included: &[TxHash], from: u8, nonce: u64) -> Vec<Dropped> {
    let nonces = [(Address::repeat_byte(from), nonce)];
    pool.finalized(Millis(number), &Finality { height: height(number), included, skipped: &[], nonces: &nonces })
}

#[test]
fn nonce_gaps_hold_little_and_block_nobody() {
    let mut pool = pool();
    let refused = (1..=2_048u64).filter(|nonce| admit(&mut pool, &transfer(1, *nonce, 0)).is_err()).count();
    assert_eq!((pool.counts().queued, refused), (64, 2_048 - 64));
    let other = transfer(2, 0, 0);
    admit(&mut pool, &other).unwrap();
    assert_eq!(pool.select(ALL), hashes(&[&other]));
}

/// Two members hold different transactions with one nonce; the leader proposed the one that this node does not have.
#[test]
fn same_nonce_through_two_nodes() {
    let mut pool = pool();
    let (ours, theirs, next) = (transfer(1, 0, 0), transfer(1, 0, 5), transfer(1, 1, 0));
    admit(&mut pool, &ours).unwrap();
    pool.proposed(Millis(1), height(1), digest(1), &hashes(&[&theirs]));
    assert_eq!(pool.select(ALL), hashes(&[&ours]), "without the body, nobody knows its nonce");
    pool.add_body(Millis(1), theirs.clone()).unwrap();
    assert_eq!(pool.select(ALL), NONE);
    // While the nonce is being ordered, no third transaction gets in between.
    let reason = ReplacementReason::Proposed;
    let refusal = Refusal::Underpriced { existing: ours.hash(), reason };
    assert_eq!(admit(&mut pool, &transfer(1, 0, 100)), Err(refusal));
    admit(&mut pool, &next).unwrap();
    assert_eq!(pool.select(ALL), hashes(&[&next]));
    // If the proposal fails, ours is back in its place.
    let mut failed = pool;
    failed.unproposed(Millis(2), height(1));
    assert_eq!(failed.select(ALL), hashes(&[&ours, &next]));
    failed.proposed(Millis(2), height(1), digest(1), &hashes(&[&theirs]));
    let dropped = finalize(&mut failed, 1, &hashes(&[&theirs]), 1, 1);
    assert_eq!(dropped, [Dropped { hash: ours.hash(), reason: DropReason::NonceTooLow }]);
    assert_eq!(failed.select(ALL), hashes(&[&next]));
}

/// A restart empties the pool and its memory of final transactions; the nonce in the state does the rest.
#[test]
fn duplicate_after_restart() {
    let mut pool = pool();
    let refusal = pool.admit(Millis(0), transfer(1, 4, 0), Origin::Peer, &nonce(5));
    assert_eq!(refusal, Err(Refusal::NonceTooLow { next: 5, found: 4 }));
}

#[test]
fn duplicate_at_the_windows_edge() {
    let mut pool = Pool::new(PoolConfig { recent_final_max: 2, ..PoolConfig::new(LIMITS) });
    let all: Vec<_> = (0..3).map(|nonce| transfer(1, nonce, 0)).collect();
    for (number, transaction) in (1..).zip(&all) {
        admit(&mut pool, transaction).unwrap();
        finalize(&mut pool, number, &[transaction.hash()], 1, number);
    }
    let mut again = |index: usize, view| pool.admit(Millis(9), Arc::clone(&all[index]), Origin::Peer, &nonce(view));
    // The two newest are remembered even where the view of the state is old.
    assert_eq!(again(2, 0), Err(Refusal::AlreadyFinal(all[2].hash())));
    assert_eq!(again(1, 0), Err(Refusal::AlreadyFinal(all[1].hash())));
    // The one before is forgotten, and refused by its nonce.
    assert_eq!(again(0, 3), Err(Refusal::NonceTooLow { next: 3, found: 0 }));
}

#[test]
fn flood_of_one_account_leaves_room_for_others() {
    let mut pool = pool();
    for nonce in 0..3_000 {
        let _ = admit(&mut pool, &transfer(1, nonce, 0));
    }
    assert_eq!(pool.counts().pending, limits::POOL_ACCOUNT_TRANSACTIONS_MAX);
    assert_eq!(admit(&mut pool, &transfer(2, 0, 0)).unwrap().standing, Standing::Ready);
}

#[test]
fn flood_of_proposals_with_unknown_hashes_leaves_nothing_behind() {
    let mut pool = pool();
    for round in 0..50u64 {
        let hashes: Vec<_> = (0..1_000).map(|i| TxHash::from(U256::from(round * 1_000 + i))).collect();
        pool.proposed(Millis(0), height(round % 8), digest(u8::try_from(round).unwrap()), &hashes);
    }
    pool.unproposed(Millis(0), height(0));
    assert!(format!("{pool:?}").len() < 2_000, "an empty pool remembers nothing");
}

#[test]
fn messages_are_bounded() {
    let body = Body::from(&transfer(1, 0, 0));
    let many = PoolMessage::Transactions(vec![body; limits::GOSSIP_TRANSACTIONS_MAX + 1]).encode();
    let error = PoolMessage::decode(&many).unwrap_err().to_string();
    assert!(error.contains("4097 transactions exceed the limit of 4096"), "{error}");
    let hashes = PoolMessage::Request(vec![TxHash::ZERO; limits::PROPOSAL_TRANSACTIONS_MAX + 1]).encode();
    assert!(PoolMessage::decode(&hashes).is_err());
    // A count without content allocates nothing and fails.
    assert!(PoolMessage::decode(&[1, 0x10, 0x27, 0, 0]).is_err());
    assert!(PoolMessage::decode(&[5]).is_err());
    assert!(PoolMessage::decode(&[3, 0, 0, 0, 0]).is_err(), "one encoding for no transactions");
}

proptest! {
    #[test]
    fn messages_round_trip(from in 0u8..9, count in 0usize..5, unknown in 0usize..4) {
        let transactions = || (0..count).map(|i| Body::from(&transfer(from, i as u64, 0))).collect::<Vec<_>>();
        for message in [
            PoolMessage::Transactions(transactions()),
            PoolMessage::Request(vec![TxHash::repeat_byte(from); unknown]),
            PoolMessage::Bodies { transactions: transactions(), unknown: vec![TxHash::ZERO; unknown] },
        ] {
            let without = message.without_senders();
            prop_assert_eq!(PoolMessage::decode(&without.encode()).unwrap(), without);
            prop_assert_eq!(PoolMessage::decode(&message.encode()).unwrap(), message);
        }
    }

    #[test]
    fn decoding_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = PoolMessage::decode(&bytes);
    }
}
