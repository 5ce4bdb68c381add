//! Numbers modulo secp256k1's prime.

use alloy_primitives::{U256, uint};
use fiat_crypto::secp256k1_dettman_64::{fiat_secp256k1_dettman_mul, fiat_secp256k1_dettman_square};
use std::ops::{Mul, Neg, Sub};

/// The prime of the field: 2^256 - 2^32 - 977 (SEC 2 §2.4.1).
const PRIME: U256 = uint!(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFC2F_U256);
/// 2^256 modulo the prime: what lies above 256 bits comes back multiplied by this.
const FOLD: u64 = 0x1_0000_03D1;
/// The low 52 bits, of which every limb but the highest has its place.
const LIMB: u64 = (1 << 52) - 1;
/// The low 48 bits, which are all that the highest limb has below 2^256.
const TOP: u64 = (1 << 48) - 1;
/// Four times the prime, with every limb large enough for any limb of a [`Field`] to be taken from it.
const PRIME_4: [u64; 5] = [4 * 0xF_FFFE_FFFF_FC2F, 4 * LIMB, 4 * LIMB, 4 * LIMB, 4 * TOP];

/// A number modulo the prime, as five limbs of 52 bits, least first, that may hold a little more than their places do.
///
/// Always true: four limbs are at most 2^53 - 2, the highest is at most 2^49 - 2. With these bounds fiat-crypto has proved
/// its multiplication, whose results are within them again; [`carry`] brings differences and small multiples back within
/// them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field([u64; 5]);

impl Field {
    pub(super) const ZERO: Self = Self([0; 5]);
    pub(super) const ONE: Self = Self([1, 0, 0, 0, 0]);

    /// The number modulo the prime.
    pub(super) const fn new(number: U256) -> Self {
        let [a, b, c, d] = number.into_limbs();
        Self([a & LIMB, (a >> 52 | b << 12) & LIMB, (b >> 40 | c << 24) & LIMB, (c >> 28 | d << 36) & LIMB, d >> 16])
    }

    /// The one number below the prime.
    pub(super) fn number(self) -> U256 {
        let [l0, l1, l2, l3, l4] = self.0;
        let l0 = l0 + (l4 >> 48) * FOLD;
        let l1 = l1 + (l0 >> 52);
        let l2 = l2 + (l1 >> 52);
        let l3 = l3 + (l2 >> 52);
        let l4 = (l4 & TOP) + (l3 >> 52);
        let (l0, l1, l2, l3) = (l0 & LIMB, l1 & LIMB, l2 & LIMB, l3 & LIMB);
        // What was folded leaves less than twice the prime, so it is taken away once at most.
        let number = U256::from_limbs([l0 | l1 << 52, l1 >> 12 | l2 << 40, l2 >> 24 | l3 << 28, l3 >> 36 | l4 << 16]);
        let is_below = l4 <= TOP && number < PRIME;
        if is_below { number } else { number.wrapping_add(U256::from_limbs([FOLD, 0, 0, 0])) }
    }

    #[inline]
    pub(super) fn is_zero(self) -> bool {
        // The limbs hold less than three times the prime, which is less than 2^256 by `FOLD`: zeros have 0, `FOLD` or twice
        // that below 0 in the lowest limb. Nearly nothing else has.
        let [l0, ..] = self.0;
        let can_be = plus(l0, 2 * FOLD) & LIMB <= 2 * FOLD;
        can_be && self.number().is_zero()
    }

    pub(super) fn is_odd(self) -> bool {
        self.number().bit(0)
    }

    #[inline(always)]
    pub(super) fn square(self) -> Self {
        let mut product = [0; 5];
        fiat_secp256k1_dettman_square(&mut product, &self.0);
        Self(product)
    }

    /// The number less two others, with one carry for both.
    #[inline(always)]
    pub(super) fn minus_both(self, one: Self, other: Self) -> Self {
        let [a, b, c] = [self.0, one.0, other.0];
        let [p0, p1, p2, p3, p4] = PRIME_4;
        let ([a0, a1, a2, a3, a4], [b0, b1, b2, b3, b4], [c0, c1, c2, c3, c4]) = (a, b, c);
        carry([
            plus(a0, plus(minus(p0, b0), minus(p0, c0))),
            plus(a1, plus(minus(p1, b1), minus(p1, c1))),
            plus(a2, plus(minus(p2, b2), minus(p2, c2))),
            plus(a3, plus(minus(p3, b3), minus(p3, c3))),
            plus(a4, plus(minus(p4, b4), minus(p4, c4))),
        ])
    }

    /// The number times `N`, which is at most 8: the carries of larger ones would leave the bounds.
    pub(super) fn times<const N: u64>(self) -> Self {
        const { assert!(N <= 8, "carries stay within the bounds up to 8") };
        carry(self.0.map(|limb| limb.wrapping_mul(N)))
    }
}

impl Sub for Field {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        let ([a0, a1, a2, a3, a4], [b0, b1, b2, b3, b4]) = (self.0, other.0);
        let [p0, p1, p2, p3, p4] = PRIME_4;
        carry([
            plus(a0, minus(p0, b0)),
            plus(a1, minus(p1, b1)),
            plus(a2, minus(p2, b2)),
            plus(a3, minus(p3, b3)),
            plus(a4, minus(p4, b4)),
        ])
    }
}

impl Neg for Field {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        Self::ZERO - self
    }
}

impl Mul for Field {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let mut product = [0; 5];
        fiat_secp256k1_dettman_mul(&mut product, &self.0, &other.0);
        Self(product)
    }
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.number() == other.number()
    }
}

/// Moves what is above each limb's place to the next limb, all at once. Limbs up to 2^56 leave at most 2^52 + 15, or the
/// lowest 2^52 + 2^38, and the highest 2^48 + 15 of up to 2^52.
#[inline(always)]
fn carry([l0, l1, l2, l3, l4]: [u64; 5]) -> Field {
    Field([
        plus(l0 & LIMB, (l4 >> 48).wrapping_mul(FOLD)),
        plus(l1 & LIMB, l0 >> 52),
        plus(l2 & LIMB, l1 >> 52),
        plus(l3 & LIMB, l2 >> 52),
        plus(l4 & TOP, l3 >> 52),
    ])
}

/// The sum of limbs. Their bounds keep it far below 2^64; checking that in the inner loop would cost a tenth of the time.
#[inline(always)]
const fn plus(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

/// The difference of limbs, of which the first is larger by the bounds.
#[inline(always)]
const fn minus(a: u64, b: u64) -> u64 {
    a.wrapping_sub(b)
}

/// Inverts numbers with one inversion for all of them (Montgomery 1987, §10.3.1). Zeros stay zeros.
pub(super) fn invert_all(numbers: &mut [Field]) {
    let mut product = Field::ONE;
    let mut products = Vec::with_capacity(numbers.len());
    for number in &*numbers {
        products.push(product);
        if !number.is_zero() {
            product = product * *number;
        }
    }
    let mut inverse = Field::new(product.number().inv_mod(PRIME).unwrap_or_default());
    for (number, product) in numbers.iter_mut().zip(products).rev() {
        if !number.is_zero() {
            (*number, inverse) = (inverse * product, inverse * *number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{U512, keccak256};

    /// Numbers at the edges of the field and of its limbs, some at the bounds that limbs may have, and random ones.
    fn fields() -> Vec<Field> {
        let mut fields: Vec<Field> = [0_u64, 1, 2, FOLD - 1, FOLD, FOLD + 1, LIMB, TOP]
            .into_iter()
            .flat_map(|small| {
                let small = U256::from(small);
                [small, PRIME.wrapping_sub(small), PRIME.wrapping_add(small), U256::MAX - small, small << 200]
            })
            .map(Field::new)
            .collect();
        let most = [2 * LIMB, 2 * LIMB, 2 * LIMB, 2 * LIMB, 2 * TOP];
        fields.extend([
            Field(most),
            Field([2 * LIMB, 0, 0, 0, 0]),
            Field([0, 0, 0, 0, 2 * TOP]),
            Field([1 << 52, LIMB, LIMB, LIMB, TOP]),
        ]);
        // The prime, and twice the prime, with limbs that are as small as can be.
        fields.extend([Field(PRIME_4.map(|limb| limb / 4)), Field(PRIME_4.map(|limb| limb / 2))]);
        fields.extend((0..40_u64).map(|i| Field::new(keccak256(i.to_be_bytes()).into())));
        fields
    }

    /// What the limbs stand for, worked out by division.
    fn value(field: Field) -> U256 {
        let value = field.0.iter().rev().fold(U512::ZERO, |value, limb| (value << 52_usize) + U512::from(*limb));
        U256::from(value % U512::from(PRIME))
    }

    /// The bounds that fiat-crypto demands and promises.
    fn is_within_bounds(field: Field) -> bool {
        let [low @ .., high] = field.0;
        low.iter().all(|limb| *limb <= (1 << 53) - 2) && high <= (1 << 49) - 2
    }

    #[track_caller]
    fn check(field: Field, expected: U256) {
        assert_eq!(value(field), expected);
        assert_eq!(field.number(), expected);
        assert_eq!(field.is_zero(), expected.is_zero());
        assert_eq!(field.is_odd(), expected.bit(0));
        assert!(is_within_bounds(field), "{field:x?}");
    }

    #[test]
    fn computes_as_division_by_the_prime_does() {
        for a in fields() {
            let x = value(a);
            check(a, x);
            check(-a, (PRIME - x) % PRIME);
            check(a.square(), x.mul_mod(x, PRIME));
            check(a.times::<2>(), x.mul_mod(U256::from(2), PRIME));
            check(a.times::<3>(), x.mul_mod(U256::from(3), PRIME));
            check(a.times::<4>(), x.mul_mod(U256::from(4), PRIME));
            check(a.times::<8>(), x.mul_mod(U256::from(8), PRIME));
            for b in fields() {
                let y = value(b);
                check(a - b, x.add_mod(PRIME - y, PRIME));
                check(a * b, x.mul_mod(y, PRIME));
                check(a.minus_both(b, a), (PRIME - y) % PRIME);
                check(a.minus_both(b, b), x.add_mod(PRIME - y, PRIME).add_mod(PRIME - y, PRIME));
            }
        }
    }

    #[test]
    fn inverts_all_but_zeros() {
        let numbers = fields();
        let mut inverses = numbers.clone();
        invert_all(&mut inverses);
        for (number, inverse) in numbers.iter().zip(inverses) {
            assert!(is_within_bounds(inverse));
            assert_eq!((*number * inverse).number(), U256::from(u8::from(!number.is_zero())));
            assert_eq!(inverse.is_zero(), number.is_zero());
        }
        let mut zeros = [Field::ZERO, Field::new(PRIME)];
        invert_all(&mut zeros);
        assert!(zeros.iter().all(|zero| zero.is_zero()));
        invert_all(&mut []);
    }
}
