//! Whether signatures are those of known keys.

use super::{
    comb::{Comb, Entry},
    digits::{COLUMNS, Digits, ORDER, TEETH},
    field::Field,
    point::{Affine, Jacobian, sums, to_affine},
};
use crate::suite::SECP256K1_HALF_ORDER;
use alloy_primitives::{B256, U256, uint};
use std::sync::{Arc, LazyLock};

/// Teeth of a block of a key's comb: two blocks of 32 entries, 4 KiB.
pub(super) const TEETH_OF_KEY: usize = 6;
/// Teeth of a block of the generator's comb: one block of 2,048 entries, 128 KiB once for all keys.
const TEETH_OF_GENERATOR: usize = 12;
/// Points of a column: one for each block of both combs and part of a scalar.
const POINTS_OF_COLUMN: usize = 2 * (TEETH / TEETH_OF_KEY + TEETH / TEETH_OF_GENERATOR);
/// Signatures whose additions share inversions. Of more, the points would not stay in a core's cache.
const TOGETHER_MAX: usize = 32;

/// The generator of secp256k1 (SEC 2 §2.4.1).
const GENERATOR: Affine = Affine {
    x: Field::new(uint!(0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798_U256)),
    y: Field::new(uint!(0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8_U256)),
};

static GENERATOR_COMB: LazyLock<Option<Comb>> = LazyLock::new(|| Comb::new(GENERATOR, TEETH_OF_GENERATOR));

/// That a signature is a key's.
#[derive(Debug)]
pub(super) struct Claim {
    key: Arc<Comb>,
    by_generator: Digits,
    by_key: Digits,
    r: U256,
    odd_y: bool,
}

impl Claim {
    /// That the signature over `hash` is that of the comb's key. None where recovery refuses r or s.
    pub(super) fn new(key: Arc<Comb>, hash: B256, signature: &alloy_primitives::Signature) -> Option<Self> {
        let (r, s, odd_y) = (signature.r(), signature.s(), signature.v());
        let is_possible = !r.is_zero() && r < ORDER && s <= SECP256K1_HALF_ORDER;
        // Half of 1/s; there is none for s = 0.
        let half = s.add_mod(s, ORDER).inv_mod(ORDER).filter(|_| is_possible)?;
        Some(Self {
            key,
            by_generator: Digits::of_half(U256::from_be_bytes(hash.0).mul_mod(half, ORDER)),
            by_key: Digits::of_half(r.mul_mod(half, ORDER)),
            r,
            odd_y,
        })
    }
}

/// Which of the claims are true for certain. A claim that is not may be true all the same.
///
/// A true claim's signature recovers the key Q. For with R' = (z/s) G + (r/s) Q, which is what is computed:
/// - there is one point with x = r and the parity of the signature, recovery's R, so if R' has them then R' = R;
/// - then s R = z G + r Q, so that Q = (s R - z G) / r, which is what recovery computes; r < n, so recovery's R.x is r.
pub(super) fn check_all(claims: &[Claim]) -> Vec<bool> {
    let is_true = |(claim, point): (&Claim, Option<Affine>)| {
        point.is_some_and(|point| point.x.number() == claim.r && point.y.is_odd() == claim.odd_y)
    };
    claims.chunks(TOGETHER_MAX).flat_map(|claims| claims.iter().zip(multiples(claims)).map(is_true)).collect()
}

/// The point R' of each claim. It is missing where it is infinity, or where points were met on the way whose addition is
/// left undone; whoever knows secret keys can bring that about for his own.
fn multiples(claims: &[Claim]) -> Vec<Option<Affine>> {
    let Some(generator) = &*GENERATOR_COMB else { return vec![None; claims.len()] };
    let mut points = Vec::with_capacity(claims.len().saturating_mul(COLUMNS * POINTS_OF_COLUMN));
    let mut terms = Vec::with_capacity(COLUMNS * POINTS_OF_COLUMN);
    let mut entries: Vec<Entry> = Vec::with_capacity(COLUMNS * POINTS_OF_COLUMN);
    for claim in claims {
        terms.clear();
        for column in (0..COLUMNS).rev() {
            generator.column(&claim.by_generator, column, &mut terms);
            claim.key.column(&claim.by_key, column, &mut terms);
        }
        entries.clear();
        entries.extend(terms.iter().map(|term| *term.entry));
        points.extend(terms.iter().zip(&entries).map(|(term, entry)| Some(term.point(*entry))));
    }
    let columns = sums(points, POINTS_OF_COLUMN);
    let multiples: Vec<Jacobian> = columns.chunks(COLUMNS).map(add_columns).collect();
    to_affine(&multiples)
}

/// The sum of columns, highest first, each of which counts twice as much as the one after it.
fn add_columns(columns: &[Option<Affine>]) -> Jacobian {
    let Some((highest, lower)) = columns.split_first() else { return Jacobian::UNKNOWN };
    let add = |sum: Jacobian, column: &Option<Affine>| Some(sum.double().plus((*column)?));
    highest.and_then(|highest| lower.iter().try_fold(highest.into(), add)).unwrap_or(Jacobian::UNKNOWN)
}

#[cfg(test)]
pub(super) mod tests;
