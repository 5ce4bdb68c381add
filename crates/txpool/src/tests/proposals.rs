//! Open proposals, final blocks, and what they do to the pool.

use super::*;
use crate::{DropReason, Dropped, Finality, Skip, Standing};
use lian_types::limits;

fn finality<'a>(
    height_: u64,
    included: &'a [TxHash],
    skipped: &'a [(TxHash, Skip)],
    nonces: &'a [(Address, u64)],
) -> Finality<'a> {
    Finality { height: height(height_), included, skipped, nonces }
}

#[test]
fn the_pipeline_goes_on_with_the_next_nonces() {
    let mut pool = pool();
    let (a0, a1, b0) = (transfer(1, 0, 0), transfer(1, 1, 0), transfer(2, 0, 0));
    for transaction in [&a0, &b0] {
        admit(&mut pool, transaction).unwrap();
    }
    pool.proposed(Millis(1), height(1), digest(1), &pool.select(ALL));
    assert_eq!(pool.select(ALL), NONE);
    admit(&mut pool, &a1).unwrap();
    assert_eq!(pool.select(ALL), hashes(&[&a1]));
    pool.proposed(Millis(1), height(2), digest(2), &pool.select(ALL));
    assert_eq!(pool.pending_nonce(&Address::repeat_byte(1), 0), 2);
    assert_eq!(pool.standing(&a1.hash()), Some(Standing::Proposed));

    let nonces = [(Address::repeat_byte(1), 1), (Address::repeat_byte(2), 1)];
    assert_eq!(pool.finalized(Millis(2), &finality(1, &hashes(&[&a0, &b0]), &[], &nonces)), vec![]);
    assert_eq!((pool.counts().pending, pool.select(ALL)), (1, vec![]));
    let nonces = [(Address::repeat_byte(1), 2)];
    assert_eq!(pool.finalized(Millis(3), &finality(2, &hashes(&[&a1]), &[], &nonces)), vec![]);
    assert_eq!(pool.counts(), crate::Counts::default());
}

#[test]
fn a_discarded_proposal_gives_its_transactions_back_in_their_places() {
    let mut pool = pool();
    let (a0, b0, a1) = (transfer(1, 0, 0), transfer(2, 0, 0), transfer(1, 1, 0));
    for (time, transaction) in [&a0, &b0, &a1].into_iter().enumerate() {
        let time = Millis(u64::try_from(time).unwrap());
        pool.admit(time, Arc::clone(transaction), Origin::Local, &nonce(0)).unwrap();
    }
    assert_eq!(pool.eligible_since(), Some(Millis(0)));
    pool.proposed(Millis(5), height(1), digest(1), &hashes(&[&a0]));
    assert_eq!(pool.eligible_since(), Some(Millis(1)));
    pool.proposed(Millis(5), height(2), digest(2), &hashes(&[&b0, &a1]));
    assert_eq!(pool.eligible_since(), None);
    // They are not final yet: whoever made the proposals may have shown them to few.
    assert_eq!(pool.overdue_at(10), Some(Millis(10)));
    let overdue = |now, count| pool.overdue(Millis(now), 10, count).iter().map(|one| one.hash()).collect::<Vec<_>>();
    assert_eq!(overdue(11, 9), hashes(&[&a0, &b0]));
    assert_eq!(overdue(19, 2), hashes(&[&a0, &b0]));
    pool.unproposed(Millis(7), height(2));
    assert_eq!(pool.select(ALL), hashes(&[&b0, &a1]));
    assert_eq!(pool.eligible_since(), Some(Millis(7)));
    pool.unproposed(Millis(8), height(1));
    assert_eq!(pool.select(ALL), hashes(&[&a0, &b0, &a1]));
    // Another proposal for a height takes the place of the first.
    pool.proposed(Millis(9), height(1), digest(1), &hashes(&[&a0]));
    pool.proposed(Millis(9), height(1), digest(3), &hashes(&[&b0]));
    assert_eq!(pool.select(ALL), hashes(&[&a0, &a1]));
    pool.proposed(Millis(9), height(1), digest(3), &hashes(&[&b0]));
    assert_eq!(pool.select(ALL), hashes(&[&a0, &a1]), "the same again changes nothing");
}

#[test]
fn bodies_of_a_proposal_enter_beside_a_full_pool() {
    let mut pool = Pool::new(PoolConfig { transactions_max: 8, ..PoolConfig::new(LIMITS) });
    for from in 1..=8 {
        admit(&mut pool, &transfer(from, 0, 0)).unwrap();
    }
    let (known, lacking, after) = (transfer(1, 0, 0), transfer(9, 0, 0), transfer(9, 1, 0));
    let proposal = hashes(&[&known, &lacking]);
    assert_eq!(pool.add_body(Millis(0), lacking.clone()), Err(Refusal::NotWanted(lacking.hash())));
    pool.proposed(Millis(0), height(1), digest(1), &proposal);
    assert_eq!(pool.missing(&proposal), hashes(&[&lacking]));
    assert!(matches!(admit(&mut pool, &lacking), Err(Refusal::Full { .. })));
    assert_eq!(pool.add_body(Millis(0), lacking.clone()), Ok(()));
    assert_eq!((pool.missing(&proposal), pool.get(&lacking.hash()).is_some()), (vec![], true));
    assert!(!pool.contains(&lacking.hash()));
    // Its nonce is promised, so the next one continues it.
    assert_eq!(pool.pending_nonce(&Address::repeat_byte(9), 0), 1);
    assert_eq!(pool.bodies(&hashes(&[&lacking, &after]), usize::MAX).1, hashes(&[&after]));

    // The proposal is discarded, and comes back in a later view: the body is still here.
    pool.unproposed(Millis(1), height(1));
    assert_eq!((pool.pending_nonce(&Address::repeat_byte(9), 0), pool.missing(&proposal)), (0, vec![]));
    pool.proposed(Millis(2), height(1), digest(1), &proposal);
    assert_eq!(pool.pending_nonce(&Address::repeat_byte(9), 0), 1);
    let nonces = [(Address::repeat_byte(1), 1), (Address::repeat_byte(9), 1)];
    pool.finalized(Millis(3), &finality(1, &proposal, &[], &nonces));
    assert_eq!((pool.get(&lacking.hash()).is_none(), pool.counts().pending), (true, 7));
    assert!(admit(&mut pool, &after).is_ok_and(|admitted| admitted.standing == Standing::Queued), "its view is old");
}

#[test]
fn bodies_beside_the_pool_are_bounded() {
    let mut pool = pool();
    let large = |from: u8| {
        let transaction = TxEip1559 {
            chain_id: CHAIN,
            gas_limit: 10_000_000,
            to: TxKind::Call(Address::repeat_byte(from)),
            input: vec![0; 130_000].into(),
            ..Default::default()
        };
        Arc::new(VerifiedTransaction::assume(sign(transaction), Address::repeat_byte(from)))
    };
    let all: Vec<_> = (0..=64).map(large).collect();
    let hashes: Vec<_> = all.iter().map(|transaction| transaction.hash()).collect();
    pool.proposed(Millis(0), height(1), digest(1), &hashes);
    let (last, most) = all.split_last().unwrap();
    for body in most {
        pool.add_body(Millis(0), Arc::clone(body)).unwrap();
    }
    let bytes = hashes.len() * last.transaction().encoded().len();
    assert!(bytes > limits::PROPOSAL_BODY_BYTES_MAX);
    let refusal = Refusal::ProposalsTooLarge { bytes, proposals: 1 };
    assert_eq!(pool.add_body(Millis(0), Arc::clone(last)), Err(refusal));
}

#[test]
fn what_happens_to_skipped_transactions() {
    for (skip, stays) in
        [(Skip::NonceTooLow, false), (Skip::Invalid, false), (Skip::BlockFull, true), (Skip::NonceTooHigh, true)]
    {
        let mut pool = pool();
        let (first, second) = (transfer(1, 0, 0), transfer(1, 1, 0));
        admit(&mut pool, &first).unwrap();
        admit(&mut pool, &second).unwrap();
        pool.proposed(Millis(0), height(1), digest(1), &hashes(&[&first]));
        let dropped = pool.finalized(Millis(1), &finality(1, &[], &[(first.hash(), skip)], &[]));
        if stays {
            assert_eq!((dropped, pool.select(ALL)), (vec![], hashes(&[&first, &second])), "{skip:?}");
        } else {
            assert_eq!(dropped, [Dropped { hash: first.hash(), reason: DropReason::Skipped }], "{skip:?}");
            assert_eq!(pool.standing(&second.hash()), Some(Standing::Queued), "{skip:?}");
        }
    }
}

/// A faulty leader may propose what the pool refused. That it is skipped says nothing about what the pool holds.
#[test]
fn a_skipped_rival_takes_nothing_with_it() {
    let mut pool = pool();
    let (held, rival) = (transfer(1, 0, 0), transfer(1, 0, 7));
    admit(&mut pool, &held).unwrap();
    pool.proposed(Millis(0), height(1), digest(1), &hashes(&[&rival]));
    pool.add_body(Millis(0), Arc::clone(&rival)).unwrap();
    let dropped = pool.finalized(Millis(1), &finality(1, &[], &[(rival.hash(), Skip::Invalid)], &[]));
    assert_eq!((dropped, pool.select(ALL)), (vec![], hashes(&[&held])));
}

/// What is final may be proposed once more; while that proposal may return, its body is kept.
#[test]
fn the_body_of_a_final_transaction_outlives_a_discarded_proposal() {
    let mut pool = pool();
    let old = transfer(1, 0, 0);
    admit(&mut pool, &old).unwrap();
    pool.proposed(Millis(0), height(1), digest(1), &hashes(&[&old]));
    let nonces = [(Address::repeat_byte(1), 1)];
    pool.finalized(Millis(1), &finality(1, &hashes(&[&old]), &[], &nonces));
    assert_eq!(pool.missing(&hashes(&[&old])), hashes(&[&old]), "the ledger has it");
    pool.proposed(Millis(2), height(2), digest(2), &hashes(&[&old]));
    pool.add_body(Millis(2), Arc::clone(&old)).unwrap();
    pool.unproposed(Millis(3), height(2));
    assert_eq!(pool.missing(&hashes(&[&old])), NONE);
}

/// A block that this node had no part in (catch-up) moves nonces as any other.
#[test]
fn a_block_from_elsewhere_overtakes() {
    let mut pool = pool();
    let (a0, a1, a2) = (transfer(1, 0, 0), transfer(1, 1, 0), transfer(1, 2, 0));
    for transaction in [&a0, &a1, &a2] {
        admit(&mut pool, transaction).unwrap();
    }
    let other = transfer(1, 1, 7);
    let nonces = [(Address::repeat_byte(1), 2)];
    let dropped = pool.finalized(Millis(1), &finality(9, &hashes(&[&a0, &other]), &[], &nonces));
    assert_eq!(dropped, [Dropped { hash: a1.hash(), reason: DropReason::NonceTooLow }]);
    assert_eq!(pool.select(ALL), hashes(&[&a2]));
}

#[test]
fn overdue_is_what_later_ones_have_overtaken_or_a_line_that_stands() {
    let mut pool = pool();
    let all: Vec<_> = (1..=4).map(|from| transfer(from, 0, 0)).collect();
    for (transaction, time) in all.iter().zip([100, 200, 300, 400]) {
        pool.admit(Millis(time), Arc::clone(transaction), Origin::Local, &nonce(0)).unwrap();
    }
    let overdue = |pool: &Pool, now| pool.overdue(Millis(now), 150, 9).iter().map(|one| one.hash()).collect::<Vec<_>>();
    // Nothing has ever become final: all wait in vain when they have waited for so long.
    assert_eq!(pool.overdue_at(150), Some(Millis(250)));
    assert_eq!([overdue(&pool, 249), overdue(&pool, 350)], [NONE, hashes(&[&all[0], &all[1]])]);
    // The line moves: the first waits no longer than the second.
    pool.finalized(Millis(1_000), &finality(1, &hashes(&[&all[1]]), &[], &[(Address::repeat_byte(2), 1)]));
    assert_eq!((overdue(&pool, 1_149), pool.overdue_at(150)), (NONE, Some(Millis(1_150))));
    assert_eq!(overdue(&pool, 1_150), hashes(&[&all[0], &all[2], &all[3]]), "it stands");
    // One that came 200 ms after it is final.
    pool.finalized(Millis(1_100), &finality(2, &hashes(&[&all[2]]), &[], &[(Address::repeat_byte(3), 1)]));
    assert_eq!((overdue(&pool, 1_100), pool.overdue_at(150)), (hashes(&[&all[0]]), Some(Millis(250))));
    // What others bring in says nothing about those that wait here.
    let strange = transfer(9, 0, 0);
    pool.finalized(Millis(1_200), &finality(3, &hashes(&[&strange]), &[], &[(Address::repeat_byte(9), 1)]));
    assert_eq!(overdue(&pool, 1_250), hashes(&[&all[0], &all[3]]));
}
