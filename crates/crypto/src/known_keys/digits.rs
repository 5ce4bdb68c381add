//! Scalars as combs take them.

use alloy_primitives::{U256, U512, uint};
use std::array;

/// The order of secp256k1 (SEC 2 §2.4.1).
pub(super) const ORDER: U256 = uint!(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141_U256);

/// Bits of a scalar's part that one tooth of a comb passes over, and a multiplication's doublings, less one.
///
/// With 11, two parts of a scalar and combs of two blocks, adding up the points of a column costs about as much as the
/// doubling and the addition that follow.
pub(super) const COLUMNS: usize = 11;
/// Teeth of a comb: as many as reach over 132 bits.
pub(super) const TEETH: usize = 12;

/// The x and -y of one short vector (x, y) with x + y λ = 0 modulo the order, where λ^3 = 1 (Gallant, Lambert and Vanstone
/// 2001, example 4); x of the other is `X_2`, its y is `X_1` again.
const X_1: U256 = uint!(0x3086D221A7D46BCDE86C90E49284EB15_U256);
const MINUS_Y_1: U256 = uint!(0xE4437ED6010E88286F547FA90ABFE4C3_U256);
const X_2: U256 = uint!(0x114CA50F7A8E2F3F657C1108D9D44CFD8_U256);
/// 2^384 times `X_1` and `MINUS_Y_1`, divided by the order and rounded down.
const SHARE_1: U256 = uint!(0x3086D221A7D46BCDE86C90E49284EB153DAA8A1471E8CA7FE893209A45DBB030_U256);
const SHARE_2: U256 = uint!(0xE4437ED6010E88286F547FA90ABFE4C4221208AC9DF506C61571B4AE8AC47F71_U256);
/// What is added to both parts, so that they are positive: 2^130.
const OFFSET: U256 = uint!(0x400000000000000000000000000000000_U256);
/// (2^131 - 1) (1 + λ) / 2 modulo the order: what the signs and [`OFFSET`] add to a scalar's half.
const HALF_OF_SIGNS: U256 = uint!(0x46E698EEB6B04FEE7D34D782C43EB15FB474B99577497D251A4DD7A0AD936BFD_U256);

/// A scalar k as two parts, k = a + b λ, of 132 signed bits each, as a comb's teeth see them: 11 bits a tooth, in which a
/// bit stands for plus and its absence for minus.
///
/// No digit is 0, so every multiplication takes the same additions (Hedabou, Pinel and Bénéteau 2005).
#[derive(Clone, Copy, Debug)]
pub(super) struct Digits(pub(super) [[u16; TEETH]; 2]);

impl Digits {
    /// Takes half of the scalar, modulo the order.
    ///
    /// Let s and t be the parts of (k + (2^131 - 1) (1 + λ)) / 2, and let the bits of s + 2^130 be those of the first part.
    /// Its value as signed bits is 2 (s + 2^130) - (2^132 - 1) = 2 s - (2^131 - 1). With that of the second part times λ
    /// this makes k.
    pub(super) fn of_half(half: U256) -> Self {
        Self(split(half.add_mod(HALF_OF_SIGNS, ORDER)).map(|part| {
            let [mut a, mut b, mut c, ..] = part.wrapping_add(OFFSET).into_limbs();
            array::from_fn(|_| {
                let [low, high, ..] = (a % (1 << COLUMNS)).to_le_bytes();
                (a, b, c) = (a >> 11 | b << 53, b >> 11 | c << 53, c >> 11);
                u16::from_le_bytes([low, high])
            })
        }))
    }
}

/// Two parts a and b with a + b λ = k modulo the order, as numbers modulo 2^256. Since both shares are rounded down, by less
/// than 2, the parts are below twice the sums of the vectors' sides: 2^130.
fn split(k: U256) -> [U256; 2] {
    let [share_1, share_2] = [SHARE_1, SHARE_2].map(|share| {
        let product: U512 = k.widening_mul(share);
        let [.., low, high] = product.into_limbs();
        U256::from_limbs([low, high, 0, 0])
    });
    let taken = share_1.wrapping_mul(X_1).wrapping_add(share_2.wrapping_mul(X_2));
    let added = share_1.wrapping_mul(MINUS_Y_1).wrapping_sub(share_2.wrapping_mul(X_1));
    [k.wrapping_sub(taken), added]
}
