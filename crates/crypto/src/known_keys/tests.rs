//! What is remembered, and that outcomes do not depend on it.

use super::{
    check::tests::{cases, random, scalar},
    *,
};
use crate::Suite;
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_primitives::Signature;
use secp256k1::SECP256K1;

type Outcome = Result<Address, (TxHash, SenderError)>;

/// The transaction with this nonce of a key.
fn transaction(key: u64, nonce: u64) -> Arc<Transaction> {
    let unsigned = TxEip1559 { chain_id: 20_200, nonce, ..Default::default() };
    let message = secp256k1::Message::from_digest(unsigned.signature_hash().0);
    let secret = scalar(random("key", key)).unwrap();
    let (id, bytes) = SECP256K1.sign_ecdsa_recoverable(message, &secret).serialize_compact();
    let [r, s] = [&bytes[..32], &bytes[32..]].map(U256::from_be_slice);
    with_signature(unsigned, Signature::new(r, s, i32::from(id) & 1 == 1))
}

fn with_signature(unsigned: TxEip1559, signature: Signature) -> Arc<Transaction> {
    Arc::new(Transaction::from_envelope(&TxEnvelope::from(unsigned.into_signed(signature))).unwrap())
}

fn address(key: u64) -> Address {
    Suite::Standard.recover_sender(transaction(key, 0)).unwrap().sender()
}

fn recover(known: &KnownKeys, batch: &[(Arc<Transaction>, Option<Address>)]) -> Vec<Outcome> {
    let outcomes = Suite::Standard.recover_senders(known, batch.to_vec());
    let checked = |((transaction, _), outcome): (&(Arc<Transaction>, _), Result<VerifiedTransaction, _>)| {
        let verified = outcome?;
        assert_eq!(verified.hash(), transaction.hash());
        Ok(verified.sender())
    };
    batch.iter().zip(outcomes).map(checked).collect()
}

fn expected(batch: &[(Arc<Transaction>, Option<Address>)]) -> Vec<Outcome> {
    let recover = |(transaction, _): &(Arc<Transaction>, _)| {
        let verified = Suite::Standard.recover_sender(transaction.clone());
        verified.map(|verified| verified.sender()).map_err(|error| (transaction.hash(), error))
    };
    batch.iter().map(recover).collect()
}

/// Makes a key known: its table is there after it was recovered for the second time.
fn make_known(known: &KnownKeys, key: u64) {
    for nonce in 0..2 {
        assert_eq!(recover(known, &[(transaction(key, nonce), None)]), [Ok(address(key))]);
    }
}

#[test]
fn a_key_has_a_table_when_it_was_recovered_twice() {
    let known = KnownKeys::new(100);
    for (nonce, keys) in [(0, 0), (1, 1), (2, 1)] {
        // A hint at a key that is not known costs nothing and is not counted.
        let hint = (nonce < 2).then(|| address(1));
        assert_eq!(recover(&known, &[(transaction(1, nonce), hint)]), [Ok(address(1))]);
        assert_eq!(known.keys(), keys, "{nonce}");
    }
    assert_eq!((known.hints_held(), known.hints_missed()), (0, 0));
    assert_eq!(recover(&known, &[(transaction(1, 4), Some(address(1)))]), [Ok(address(1))]);
    assert_eq!((known.hints_held(), known.hints_missed()), (1, 0));
    assert_eq!(recover(&known, &[(transaction(2, 0), Some(address(1)))]), [Ok(address(2))]);
    assert_eq!((known.hints_held(), known.hints_missed()), (1, 1));
}

#[test]
fn hints_never_change_an_outcome() {
    let known = KnownKeys::new(100);
    (0..8).for_each(|key| make_known(&known, key));
    let mut batch = Vec::new();
    for i in 0..cases() {
        let choose = |name: &str, of: u64| u64::from(random(name, i).byte(0)) % of;
        let key = choose("key", 10);
        // Right, wrong, of a key that is not known, of no key, and none.
        let hint = match choose("hint", 5) {
            0 | 1 => Some(address(key)),
            2 => Some(address(choose("other", 10))),
            3 => Some(Address::repeat_byte(7)),
            _ => None,
        };
        let right = transaction(key, i);
        let signature = *right.as_ethereum().signature();
        let (r, s, odd_y) = (signature.r(), signature.s(), signature.v());
        let tampered = match choose("tamper", 12) {
            0 => Signature::new(r, s, !odd_y),
            1 => Signature::new(r, digits::ORDER - s, !odd_y),
            2 => Signature::new(r ^ U256::from(4), s, odd_y),
            3 => Signature::new(r, s ^ U256::from(4), odd_y),
            4 => Signature::new(U256::ZERO, s, odd_y),
            5 => Signature::new(r, U256::ZERO, odd_y),
            6 => Signature::new(U256::MAX, s, odd_y),
            _ => signature,
        };
        let unsigned = TxEip1559 { chain_id: 20_200, nonce: i, ..Default::default() };
        batch.push((with_signature(unsigned, tampered), hint));
    }
    for size in [1, 7, 32, 100] {
        for batch in batch.chunks(size) {
            assert_eq!(recover(&known, batch), expected(batch));
        }
    }
    assert!(known.hints_held() > 0 && known.hints_missed() > 0);
    assert!(recover(&known, &[]).is_empty());
}

#[test]
fn tables_and_counts_are_bounded() {
    for keys_max in [0, 1, 5, 40] {
        let known = KnownKeys::new(keys_max);
        (0..60).for_each(|key| make_known(&known, key));
        assert!(known.keys() <= keys_max, "{} of {keys_max}", known.keys());
        assert!(known.keys() + 1 >= keys_max, "{} of {keys_max}", known.keys());
        for key in 1_000..1_300 {
            recover(&known, &[(transaction(key, 0), None)]);
        }
        assert!(known.seen.len() <= keys_max * SEEN_PER_KEY, "{}", known.seen.len());
    }
}

#[test]
fn large_caches_are_no_larger_than_asked_for() {
    for entries_max in [0, 1, 1_023, 1_024, 1_500, 16_384, 20_001] {
        let cache = cache::<u8>(entries_max);
        (0..50_000_u64).for_each(|key| cache.insert(Address::left_padding_from(&key.to_be_bytes()), 0));
        assert!(cache.len() <= entries_max && cache.len() + SHARDS > entries_max, "{} of {entries_max}", cache.len());
    }
}

#[test]
fn keys_in_use_stay_when_new_ones_stream_by() {
    let known = KnownKeys::new(16);
    let returning: Vec<u64> = (0..8).collect();
    returning.iter().for_each(|key| make_known(&known, *key));
    let transactions = returning.iter().map(|key| (transaction(*key, 9), Some(address(*key)))).collect::<Vec<_>>();
    for stranger in 1_000..1_200 {
        // Seen once, most of them; every fourth comes back until it has a table, and never again.
        if stranger % 4 == 0 {
            make_known(&known, stranger);
        } else {
            recover(&known, &[(transaction(stranger, 0), None)]);
        }
        if stranger % 10 == 0 {
            let held = known.hints_held();
            recover(&known, &transactions);
            assert_eq!(known.hints_held(), held + 8, "{stranger}");
        }
    }
}

#[test]
fn threads_share_what_is_known() {
    let known = KnownKeys::new(8);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let known = &known;
            scope.spawn(move || {
                for nonce in 0..20 {
                    let batch: Vec<_> =
                        (0..12).map(|key| (transaction(key, thread * 20 + nonce), Some(address(key)))).collect();
                    assert_eq!(recover(known, &batch), expected(&batch));
                }
            });
        }
    });
    assert!((1..=8).contains(&known.keys()));
    assert!(known.hints_held() > 0);
    assert_eq!(known.hints_missed(), 0);
}
