//! What combs compute, against libsecp256k1.

use super::*;
use crate::suite::recover_key;
use alloy_primitives::{Signature, keccak256};
use secp256k1::{PublicKey, SECP256K1, Scalar, SecretKey};

/// λ of the endomorphism, by which scalars are split.
const LAMBDA: U256 = uint!(0x5363AD4CC05C30E0A5261C028812645A122E22EA20816678DF02967C1B23BD72_U256);

/// How many random cases a test runs.
pub(in crate::known_keys) fn cases() -> u64 {
    std::env::var("LIAN_KNOWN_KEYS_CASES").map_or(300, |cases| cases.parse().unwrap())
}

/// A random number that is the same in every run.
pub(in crate::known_keys) fn random(name: &str, i: u64) -> U256 {
    keccak256([name.as_bytes(), &i.to_be_bytes()].concat()).into()
}

/// The number as a secret key; none for 0.
pub(in crate::known_keys) fn scalar(number: U256) -> Option<SecretKey> {
    SecretKey::from_byte_array((number % ORDER).to_be_bytes()).ok()
}

/// The point of libsecp256k1's.
pub(in crate::known_keys) fn point(key: &PublicKey) -> Affine {
    let bytes = key.serialize_uncompressed();
    let [x, y] = [&bytes[1..33], &bytes[33..]].map(|number| Field::new(U256::from_be_slice(number)));
    Affine { x, y }
}

fn times(key: &PublicKey, number: U256) -> Option<PublicKey> {
    let number = scalar(number)?;
    key.mul_tweak(SECP256K1, &Scalar::from(number)).ok()
}

/// u G + v Q by libsecp256k1; none for infinity.
fn sum(u: U256, v: U256, key: &PublicKey) -> Option<PublicKey> {
    let by_generator = scalar(u).map(|u| u.public_key(SECP256K1));
    match (by_generator, times(key, v)) {
        (Some(one), Some(other)) => one.combine(&other).ok(),
        (one, other) => one.or(other),
    }
}

fn half(number: U256) -> U256 {
    number.mul_mod(U256::from(2).inv_mod(ORDER).unwrap(), ORDER)
}

fn minus(number: U256) -> U256 {
    (ORDER - number % ORDER) % ORDER
}

fn comb(key: &PublicKey) -> Arc<Comb> {
    Arc::new(Comb::new(point(key), TEETH_OF_KEY).unwrap())
}

/// A claim for which u G + v Q is computed.
fn claim(u: U256, v: U256, key: &Arc<Comb>) -> Claim {
    let [by_generator, by_key] = [u, v].map(|scalar| Digits::of_half(half(scalar)));
    Claim { key: key.clone(), by_generator, by_key, r: U256::ZERO, odd_y: false }
}

/// Scalars at which something special happens in a multiplication.
fn edges() -> Vec<U256> {
    let powers = [1, 10, 11, 12, 64, 127, 128, 129, 130, 131, 132, 255].map(|bit| U256::from(1) << bit);
    let mut edges: Vec<U256> = powers.iter().flat_map(|power| [*power, *power - U256::from(1)]).collect();
    edges.extend([U256::ZERO, U256::from(3), ORDER / U256::from(2), LAMBDA, LAMBDA + U256::from(1), LAMBDA << 1]);
    edges.extend([U256::MAX, U256::MAX << 128, U256::MAX / U256::from(3), U256::MAX / U256::from(255)]);
    edges.extend(edges.clone().into_iter().map(minus));
    edges.into_iter().map(|edge| edge % ORDER).collect()
}

/// Secret keys that nobody chooses by chance, whose multiples meet those of the generator.
fn special_secrets() -> Vec<U256> {
    let two = U256::from(2);
    let secrets =
        [U256::from(1), two, LAMBDA, LAMBDA.add_mod(LAMBDA, ORDER), half(U256::from(1)), two.pow(U256::from(11))];
    secrets.into_iter().flat_map(|secret| [secret, minus(secret)]).collect()
}

fn public(secret: U256) -> PublicKey {
    scalar(secret).unwrap().public_key(SECP256K1)
}

fn random_key(i: u64) -> SecretKey {
    scalar(random("key", i)).unwrap()
}

fn sign(hash: B256, key: &SecretKey) -> Signature {
    let message = secp256k1::Message::from_digest(hash.0);
    let (id, bytes) = SECP256K1.sign_ecdsa_recoverable(message, key).serialize_compact();
    let [r, s] = [&bytes[..32], &bytes[32..]].map(U256::from_be_slice);
    Signature::new(r, s, i32::from(id) & 1 == 1)
}

/// What the comb says of a signature. If it says yes, recovery must give the key.
#[track_caller]
fn check_against_recovery(key: &PublicKey, comb: &Arc<Comb>, hash: B256, signature: &Signature) -> bool {
    let is_true = Claim::new(comb.clone(), hash, signature).is_some_and(|claim| check_all(&[claim]) == [true]);
    let recovered = recover_key(hash, signature);
    let is_recovered = recovered.is_ok_and(|recovered| recovered == key.serialize_uncompressed()[1..]);
    assert!(is_recovered || !is_true, "{signature:?} over {hash} is not of {key}");
    is_true
}

#[test]
fn multiplies_as_libsecp256k1_does() {
    for (i, u) in edges().into_iter().enumerate() {
        let key = random_key(i as u64).public_key(SECP256K1);
        let comb = comb(&key);
        let scalars: Vec<U256> = edges().into_iter().skip(i % 3).step_by(3).collect();
        let claims: Vec<Claim> = scalars.iter().map(|v| claim(u, *v, &comb)).collect();
        for (v, multiple) in scalars.into_iter().zip(multiples(&claims)) {
            assert_eq!(multiple, sum(u, v, &key).as_ref().map(point), "{u:x} {v:x}");
        }
    }
    for i in 0..cases() {
        let key = random_key(i).public_key(SECP256K1);
        let (u, v) = (random("u", i), random("v", i));
        assert_eq!(multiples(&[claim(u, v, &comb(&key))]), [sum(u, v, &key).as_ref().map(point)]);
    }
}

#[test]
fn never_computes_a_wrong_point() {
    let (mut right, mut missing) = (0, 0);
    for (i, secret) in special_secrets().into_iter().enumerate() {
        let key = public(secret);
        let comb = comb(&key);
        let quotient = |u: U256| u.mul_mod(secret.inv_mod(ORDER).unwrap(), ORDER);
        for u in edges() {
            // Some edges, and what makes both products equal, opposite, or nearly so.
            let met = [quotient(u), minus(quotient(u)), quotient(u << 1), minus(quotient(u >> 1))];
            let scalars: Vec<U256> = edges().into_iter().skip(i % 10).step_by(10).chain(met).collect();
            let claims: Vec<Claim> = scalars.iter().map(|v| claim(u, *v, &comb)).collect();
            for (v, multiple) in scalars.into_iter().zip(multiples(&claims)) {
                let expected = sum(u, v, &key).as_ref().map(point);
                assert!(multiple.is_none() || multiple == expected, "{u:x} {v:x} {key}");
                right += u32::from(multiple.is_some());
                missing += u32::from(multiple.is_none() && expected.is_some());
            }
        }
    }
    assert!(right > 1_000 && missing > 10, "{right} {missing}");
}

#[test]
fn signatures_made_from_special_scalars_have_one_outcome() {
    let mut accepted = 0;
    let random_keys = (0..4).map(|i| random_key(i).public_key(SECP256K1));
    for key in special_secrets().into_iter().map(public).chain(random_keys) {
        let comb = comb(&key);
        for (u, v) in edges().into_iter().flat_map(|u| [(u, U256::from(1)), (U256::from(7), u), (u, u), (u, minus(u))])
        {
            let Some(r_point) = sum(u, v, &key) else { continue };
            let r = point(&r_point).x.number();
            let Some(inverse) = v.inv_mod(ORDER) else { continue };
            let s = r.mul_mod(inverse, ORDER);
            let hash = B256::from(u.mul_mod(s, ORDER));
            let odd_y = point(&r_point).y.is_odd();
            for signature in
                [Signature::new(r, s, odd_y), Signature::new(r, minus(s), !odd_y), Signature::new(r, s, !odd_y)]
            {
                accepted += u64::from(check_against_recovery(&key, &comb, hash, &signature));
            }
        }
    }
    assert!(accepted > 1_000, "{accepted}");
}

#[test]
fn says_yes_to_exactly_the_signatures_that_recover_the_key() {
    let flip = |number: U256, bit: U256| number ^ (U256::from(1) << (bit % U256::from(256)));
    for i in 0..cases() {
        let secret = random_key(i % 50);
        let (key, hash) = (secret.public_key(SECP256K1), B256::from(random("hash", i)));
        let comb = comb(&key);
        let signature = sign(hash, &secret);
        let (r, s, odd_y) = (signature.r(), signature.s(), signature.v());
        assert!(check_against_recovery(&key, &comb, hash, &signature));
        let bit = random("bit", i);
        let tampered = [
            Signature::new(flip(r, bit), s, odd_y),
            Signature::new(r, flip(s, bit), odd_y),
            Signature::new(r, s, !odd_y),
            Signature::new(r, minus(s), !odd_y),
            Signature::new(r, minus(s), odd_y),
            Signature::new(U256::ZERO, s, odd_y),
            Signature::new(r, U256::ZERO, odd_y),
            Signature::new(r, ORDER, odd_y),
            Signature::new(ORDER, s, odd_y),
            Signature::new(r.wrapping_add(ORDER), s, odd_y),
            Signature::new(U256::MAX, s, odd_y),
        ];
        for tampered in tampered {
            assert!(!check_against_recovery(&key, &comb, hash, &tampered), "{tampered:?}");
        }
        assert!(!check_against_recovery(&key, &comb, B256::from(flip(hash.into(), bit)), &signature));
        let other = random_key(1_000 + i).public_key(SECP256K1);
        assert!(!check_against_recovery(&other, &self::comb(&other), hash, &signature));
        assert!(!check_against_recovery(&key.negate(SECP256K1), &self::comb(&key.negate(SECP256K1)), hash, &signature));
    }
}

/// Where R.x is at least the order, r is R.x less the order, and Ethereum's signatures cannot say so.
#[test]
fn a_point_beyond_the_order_is_not_the_one_of_r() {
    let mut found = 0;
    for r in 1..40_u64 {
        let x = ORDER + U256::from(r);
        for sign in [2_u8, 3] {
            let Ok(r_point) = PublicKey::from_slice(&[&[sign][..], &x.to_be_bytes::<32>()].concat()) else { continue };
            let (r, s, z) = (U256::from(r), U256::from(5), U256::from(9));
            let inverse = r.inv_mod(ORDER).unwrap();
            // Q = (s R - z G) / r. The same with r as R.x, which no signature may name.
            let key = sum(minus(z.mul_mod(inverse, ORDER)), s.mul_mod(inverse, ORDER), &r_point).unwrap();
            for r in [r, x] {
                let signature = Signature::new(r, s, sign == 3);
                assert!(!check_against_recovery(&key, &comb(&key), B256::from(z), &signature));
            }
            found += 1;
        }
    }
    assert!(found > 10, "{found}");
}

/// A claim that cannot be decided, or is false, leaves those that share its inversions alone.
#[test]
fn claims_do_not_disturb_each_other() {
    let one = U256::from(1);
    let generator_comb = comb(&public(one));
    for count in [1, 2, 31, 32, 33, 100] {
        let claims: Vec<Claim> = (0..count)
            .map(|i| match i % 5 {
                // G - G is infinity.
                3 => claim(one, minus(one), &generator_comb),
                4 => claim(random("u", i), random("v", i), &generator_comb),
                _ => {
                    let (secret, hash) = (random_key(i), B256::from(random("hash", i)));
                    Claim::new(comb(&secret.public_key(SECP256K1)), hash, &sign(hash, &secret)).unwrap()
                }
            })
            .collect();
        let expected: Vec<bool> = (0..count).map(|i| i % 5 < 3).collect();
        assert_eq!(check_all(&claims), expected);
    }
    assert!(check_all(&[]).is_empty());
}
