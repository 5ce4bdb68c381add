//! Taking transactions in.

use super::*;
use crate::{Counts, DropReason, Dropped, Finality, Standing, refusal::ReplacementReason};

#[test]
fn order_gaps_and_selection() {
    let mut pool = pool();
    let (a0, a1, a2) = (transfer(1, 0, 0), transfer(1, 1, 0), transfer(1, 2, 0));
    let (b0, b1) = (transfer(2, 0, 0), transfer(2, 1, 0));
    let steps = [
        (&a1, Standing::Queued, vec![], 0),
        (&b0, Standing::Ready, vec![&b0], 0),
        (&a2, Standing::Queued, vec![&b0], 0),
        // The gap closes: the three of `a` become ready in the order of their nonces.
        (&a0, Standing::Ready, vec![&b0, &a0, &a1, &a2], 3),
        (&b1, Standing::Ready, vec![&b0, &a0, &a1, &a2, &b1], 3),
    ];
    for (step, (transaction, standing, selected, pending_nonce)) in steps.into_iter().enumerate() {
        assert_eq!(admit(&mut pool, transaction).unwrap().standing, standing, "step {step}");
        assert_eq!(pool.select(ALL), hashes(&selected), "step {step}");
        assert_eq!(pool.pending_nonce(&Address::repeat_byte(1), 0), pending_nonce, "step {step}");
    }
    let bytes = pool.counts().bytes;
    assert_eq!(pool.counts(), Counts { pending: 5, queued: 0, bytes });
    assert_eq!(pool.select(SelectLimits { count: 2, ..ALL }), hashes(&[&b0, &a0]));
    assert_eq!(pool.select(SelectLimits { gas: 3 * 21_000 - 1, ..ALL }), hashes(&[&b0, &a0]));
    let two = b0.transaction().encoded().len() + a0.transaction().encoded().len();
    assert_eq!(pool.select(SelectLimits { bytes: two, ..ALL }), hashes(&[&b0, &a0]));
    let content = pool.content();
    assert_eq!(content.pending[&Address::repeat_byte(1)].keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    assert!(content.queued.is_empty());
    assert_eq!(pool.local().iter().map(|t| t.hash()).collect::<Vec<_>>(), hashes(&[&b0, &a0, &a1, &a2, &b1]));
}

#[test]
fn what_the_state_forbids_is_refused() {
    let address = Address::repeat_byte(1);
    let rich = sign(TxEip1559 {
        chain_id: CHAIN,
        gas_limit: 21_000,
        value: U256::from(10),
        to: TxKind::Call(Address::ZERO),
        ..Default::default()
    });
    let rich = Arc::new(VerifiedTransaction::assume(rich, address));
    let poor = AccountView { balance: U256::from(9), ..nonce(0) };
    let table = [
        (transfer(1, 2, 0), nonce(3), Refusal::NonceTooLow { next: 3, found: 2 }),
        (transfer(1, 2_049, 0), nonce(0), Refusal::NonceGap { next: 0, found: 2_049, ahead_max: 2_048 }),
        (transfer(1, 0, 0), AccountView { is_contract: true, ..nonce(0) }, Refusal::SenderIsContract(address)),
        (transfer(1, 0, 0), AccountView { is_frozen: true, ..nonce(0) }, Refusal::SenderFrozen(address)),
        (rich.clone(), poor, Refusal::InsufficientFunds { address, balance: poor.balance, value: U256::from(10) }),
    ];
    let mut pool = pool();
    for (transaction, view, refusal) in table {
        assert_eq!(pool.admit(Millis(0), transaction, Origin::Local, &view), Err(refusal));
    }
    // Fees are never charged: balance for the value alone is enough, at any price.
    let enough = AccountView { balance: U256::from(10), ..nonce(0) };
    assert!(pool.admit(Millis(0), rich, Origin::Local, &enough).is_ok());
    assert!(admit(&mut pool, &transfer(2, 0, u128::MAX)).is_ok());
}

#[test]
fn replacement_needs_a_tenth_more() {
    let underpriced = |existing: &Arc<VerifiedTransaction>, found, needed| {
        let reason = ReplacementReason::Price { found, needed };
        Err(Refusal::Underpriced { existing: existing.hash(), reason })
    };
    let mut pool = pool();
    let (first, other) = (transfer(1, 0, 0), transfer(2, 0, 0));
    admit(&mut pool, &first).unwrap();
    admit(&mut pool, &other).unwrap();
    assert_eq!(admit(&mut pool, &first), Err(Refusal::AlreadyKnown(first.hash())));
    // Free transactions are the rule here; one wei is then more by a tenth.
    let second = transfer(1, 0, 1);
    assert_eq!(admit(&mut pool, &second).unwrap().replaced, Some(first.hash()));
    let third = transfer(1, 0, 15);
    assert_eq!(admit(&mut pool, &third).unwrap().replaced, Some(second.hash()));
    assert_eq!(admit(&mut pool, &transfer(1, 0, 16)), underpriced(&third, 16, 17));
    let refusal = admit(&mut pool, &transfer(1, 0, 16)).unwrap_err().to_string();
    assert_eq!(refusal, "replacement transaction underpriced: new tx gas price 16 < 17 queued + 10%");
    let fourth = transfer(1, 0, 17);
    assert_eq!(admit(&mut pool, &fourth).unwrap().replaced, Some(third.hash()));
    // It has the place in line of the one that came first.
    assert_eq!(pool.select(ALL), hashes(&[&fourth, &other]));
    assert_eq!(pool.counts().pending, 2);
    assert!(!pool.contains(&first.hash()) && pool.get(&first.hash()).is_none());
    // At the top of the range there is nothing higher.
    let top = transfer(3, 0, u128::MAX);
    admit(&mut pool, &top).unwrap();
    assert_eq!(admit(&mut pool, &transfer(3, 0, u128::MAX - 1)), underpriced(&top, u128::MAX - 1, u128::MAX));
}

#[test]
fn quotas_of_one_account() {
    let config = PoolConfig { account_transactions_max: 4, account_queued_max: 2, ..PoolConfig::new(LIMITS) };
    let mut pool = Pool::new(config);
    let address = Address::repeat_byte(1);
    for nonce in [2, 3] {
        admit(&mut pool, &transfer(1, nonce, 0)).unwrap();
    }
    let full = Err(Refusal::AccountQueueFull { address, limit: 2, next: 0 });
    assert_eq!(admit(&mut pool, &transfer(1, 5, 0)), full);
    admit(&mut pool, &transfer(1, 0, 0)).unwrap();
    admit(&mut pool, &transfer(1, 1, 0)).unwrap();
    assert_eq!(pool.counts().queued, 0);
    assert_eq!(admit(&mut pool, &transfer(1, 4, 0)), Err(Refusal::AccountFull { address, limit: 4 }));
    // Replacement takes no more room.
    assert!(admit(&mut pool, &transfer(1, 3, 1)).is_ok());
}

#[test]
fn a_full_pool_prefers_ready_over_queued_and_its_own_clients_over_peers() {
    let mut pool = Pool::new(PoolConfig { transactions_max: 8, ..PoolConfig::new(LIMITS) });
    let full = |pool: &Pool| Err(Refusal::Full { transactions: 8, bytes: pool.counts().bytes });
    let mut offer = |from, nonce_, origin| {
        let transaction = transfer(from, nonce_, 0);
        let result = pool.admit(Millis(0), Arc::clone(&transaction), origin, &nonce(0));
        (transaction.hash(), result, full(&pool))
    };
    let evicted = |hash| vec![Dropped { hash, reason: DropReason::Evicted }];
    let local = offer(1, 1, Origin::Local).0;
    let peer = offer(2, 1, Origin::Peer).0;
    let last = offer(3, 1, Origin::Peer).0;
    for from in 4..=7 {
        offer(from, 0, Origin::Peer).1.unwrap();
    }
    // Peers have 6 of their 7 places. Queued ones of peers go first, the oldest before the others.
    offer(8, 0, Origin::Peer).1.unwrap();
    let (_, result, refusal) = offer(15, 1, Origin::Peer);
    assert_eq!(result, refusal, "a queued one of a peer evicts nothing");
    assert_eq!(offer(9, 0, Origin::Peer).1.unwrap().dropped, evicted(peer));
    assert_eq!(offer(10, 0, Origin::Peer).1.unwrap().dropped, evicted(last));
    // Nothing of their own is left to evict: the rest is for this node's clients.
    let (_, result, refusal) = offer(11, 0, Origin::Peer);
    assert_eq!(result, refusal);
    assert_eq!(offer(12, 1, Origin::Local).1, refusal, "a queued one evicts no client's");
    assert_eq!(offer(12, 0, Origin::Local).1.unwrap().dropped, evicted(local));
    let (_, result, refusal) = offer(13, 0, Origin::Local);
    assert_eq!(result, refusal, "ready ones are never evicted");
    assert!(refusal.unwrap_err().to_string().starts_with("txpool is full"));
}

#[test]
fn what_will_be_refused_need_not_be_checked() {
    let mut pool = Pool::new(PoolConfig { transactions_max: 8, ..PoolConfig::new(LIMITS) });
    let bytes = transfer(1, 0, 0).transaction().encoded().len();
    for from in 1..=6 {
        let transaction = transfer(from, 0, 0);
        assert!(pool.arrives(transaction.transaction()), "{from}");
        assert!(!pool.arrives(transaction.transaction()), "it is being checked");
        assert!(pool.is_arriving(&transaction.hash()));
        pool.admit(Millis(0), Arc::clone(&transaction), Origin::Peer, &nonce(0)).unwrap();
        pool.arrived(&transaction.hash());
        assert!(!pool.is_arriving(&transaction.hash()));
        assert!(!pool.arrives(transaction.transaction()), "it is here");
    }
    pool.admit(Millis(0), transfer(7, 0, 0), Origin::Peer, &nonce(0)).unwrap();
    // Peers have their share; what an open proposal names is wanted all the same.
    let (unwanted, wanted) = (transfer(8, 0, 0), transfer(9, 0, 0));
    pool.proposed(Millis(0), BlockNumber(1), ProposalDigest::default(), &[wanted.hash()]);
    assert!(!pool.arrives(unwanted.transaction()));
    assert!(pool.arrives(wanted.transaction()));
    assert_eq!(pool.check_room(Millis(0), bytes), Ok(()));
    // A queued one may have to make room, so that cannot be told before.
    let queued = transfer(8, 1, 0);
    pool.admit(Millis(0), Arc::clone(&queued), Origin::Local, &nonce(0)).unwrap();
    assert_eq!(pool.check_room(Millis(0), bytes), Ok(()));
    pool.admit(Millis(0), transfer(10, 0, 0), Origin::Local, &nonce(0)).unwrap();
    assert!(!pool.contains(&queued.hash()));
    assert_eq!(pool.check_room(Millis(0), bytes), Err(Refusal::Full { transactions: 8, bytes: 8 * bytes }));
}

#[test]
fn a_long_line_that_waits_long_refuses_more() {
    let late = Millis(limits::POOL_LINE_MS_MAX);
    // How many of a line of 16 came from own clients, when the next one comes, and whether it is taken.
    let table = [(16, Millis(late.0 - 1), true), (16, late, false), (2, late, false), (1, late, true), (0, late, true)];
    for (own, now, taken) in table {
        let mut pool = Pool::new(PoolConfig { line_min: 16, ..PoolConfig::new(LIMITS) });
        for from in 0..16 {
            assert_eq!(pool.check_room(late, 100), Ok(()), "a short line, however long it waits");
            let origin = if from < own { Origin::Local } else { Origin::Peer };
            // The first one's age is what counts.
            let came = if from == 0 { Millis(0) } else { now };
            pool.admit(came, transfer(from, 0, 0), origin, &nonce(0)).unwrap();
        }
        let behind = Refusal::Behind { waiting: 16, waited_ms: now.0 };
        assert_eq!(pool.check_room(now, 100), if taken { Ok(()) } else { Err(behind) }, "{own} {now}");
        // What is proposed waits still, and what is final no more.
        let first = [transfer(0, 0, 0).hash()];
        pool.proposed(now, height(1), digest(1), &first);
        assert_eq!(pool.check_room(now, 100).is_ok(), taken, "{own} {now}");
        let nonces = [(transfer(0, 0, 0).sender(), 1)];
        pool.finalized(now, &Finality { height: height(1), included: &first, skipped: &[], nonces: &nonces });
        assert_eq!(pool.check_room(now, 100), Ok(()));
    }
}

#[test]
fn bytes_are_bounded_too() {
    let bytes = transfer(1, 0, 0).transaction().encoded().len();
    let mut pool = Pool::new(PoolConfig { bytes_max: 3 * bytes, ..PoolConfig::new(LIMITS) });
    for from in 1..=3 {
        admit(&mut pool, &transfer(from, 0, 0)).unwrap();
    }
    assert_eq!(admit(&mut pool, &transfer(4, 0, 0)), Err(Refusal::Full { transactions: 3, bytes: 3 * bytes }));
    assert_eq!(
        admit(&mut pool, &transfer(1, 0, u128::MAX)).unwrap_err().to_string().split(':').next(),
        Some("txpool is full")
    );
    assert_eq!(pool.counts(), Counts { pending: 3, queued: 0, bytes: 3 * bytes });
}

#[test]
fn what_waits_too_long_expires() {
    let config = PoolConfig { ready_max: Millis(30), queued_max: Millis(10), ..PoolConfig::new(LIMITS) };
    let mut pool = Pool::new(config);
    let dropped = |transaction: &Arc<VerifiedTransaction>, reason| Dropped { hash: transaction.hash(), reason };
    let (ready, follower, queued) = (transfer(1, 0, 0), transfer(1, 1, 0), transfer(2, 5, 0));
    assert_eq!(pool.deadline(), None);
    pool.admit(Millis(100), ready.clone(), Origin::Local, &nonce(0)).unwrap();
    pool.admit(Millis(105), queued.clone(), Origin::Peer, &nonce(0)).unwrap();
    pool.admit(Millis(110), follower.clone(), Origin::Local, &nonce(0)).unwrap();
    assert_eq!(pool.deadline(), Some(Millis(115)));
    assert_eq!(pool.expire(Millis(114)), []);
    assert_eq!(pool.expire(Millis(115)), [dropped(&queued, DropReason::ExpiredQueued)]);
    assert_eq!(pool.deadline(), Some(Millis(130)));
    assert_eq!(pool.expire(Millis(130)), [dropped(&ready, DropReason::ExpiredReady)]);
    // Without it, the next one is behind a gap, and has that much time from now on.
    assert_eq!((pool.select(ALL), pool.counts().queued), (vec![], 1));
    assert_eq!(pool.deadline(), Some(Millis(140)));
    assert_eq!(pool.expire(Millis(140)), [dropped(&follower, DropReason::ExpiredQueued)]);
    assert_eq!((pool.counts(), pool.deadline()), (Counts::default(), None));
}
