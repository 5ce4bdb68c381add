//! Multiples of a point that make its multiplication quick (Lim and Lee 1994).

use super::{
    field::Field,
    point::{Affine, Jacobian, sums, to_affine},
};
use alloy_primitives::{U256, uint};
use std::{iter, ops::Neg};

/// Bits of a scalar that one tooth of a comb passes over, and doublings in a multiplication, less one.
///
/// With 11 a key's comb has 128 entries, and all additions of one column have about the cost of a doubling and an addition
/// that would save a column.
pub(super) const COLUMNS: usize = 11;
/// Teeth of a comb: as many as reach over 256 bits.
pub(super) const TEETH: usize = 24;
/// The order of secp256k1 (SEC 2 §2.4.1).
pub(super) const ORDER: U256 = uint!(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141_U256);
/// (2^264 - 1) / 2 modulo the order, of 264 = 11 * 24 bits.
const HALF_OF_ONES: U256 = uint!(0x800000000000000000000000000000A205E8FB1BB354323DF6B9E8DE4CFA8020_U256);

/// A point's multiples by sums and differences of the powers 2^(11 i) that the teeth of a block are at.
///
/// Each entry of the block of teeth a..=b is the b-th multiple plus or minus each of those from a on.
#[derive(Debug)]
pub(super) struct Comb {
    teeth: usize,
    entries: Box<[Entry]>,
}

/// A point as x and y, in a cache line of its own.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
pub(super) struct Entry([U256; 2]);

/// An entry, or its opposite.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term<'a> {
    pub(super) entry: Option<&'a Entry>,
    pub(super) is_positive: bool,
}

/// A scalar as its comb's teeth see it: 11 bits each, in which a bit stands for plus, its absence for minus.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digits([u16; TEETH]);

impl Digits {
    /// Takes half of the scalar, modulo the order.
    ///
    /// The signed bits d = ±1 that make k = sum(d 2^i) are those of K = sum((d + 1) / 2 2^i) = (k + 2^264 - 1) / 2
    /// (Hedabou, Pinel and Bénéteau 2005). No digit is 0, so that every multiplication takes the same additions.
    pub(super) fn of_half(half: U256) -> Self {
        let [mut a, mut b, mut c, mut d] = half.add_mod(HALF_OF_ONES, ORDER).into_limbs();
        Self(std::array::from_fn(|_| {
            let [low, high, ..] = a.to_le_bytes();
            (a, b, c, d) = (a >> 11 | b << 53, b >> 11 | c << 53, c >> 11 | d << 53, d >> 11);
            u16::from_le_bytes([low, high])
        }))
    }
}

impl Comb {
    /// Multiplies the point by all that blocks of so many teeth need. None would mean that two of the multiples are equal or
    /// opposite, which depends on the number of teeth alone, since all points have the same order.
    pub(super) fn new(point: Affine, teeth: usize) -> Option<Self> {
        let multiples: Vec<Jacobian> = iter::successors(Some(Jacobian::from(point)), |point| {
            Some((0..COLUMNS).fold(*point, |point, _| point.double()))
        })
        .take(TEETH)
        .collect();
        let multiples = to_affine(&multiples);
        let blocks = || multiples.chunks_exact(teeth);
        let mut entries: Vec<Option<Affine>> = blocks().filter_map(|block| block.last().copied()).collect();
        for tooth in 0..teeth.saturating_sub(1) {
            let mut pairs = Vec::with_capacity(entries.len().saturating_mul(4));
            for (block, entries) in blocks().zip(entries.chunks_exact(1 << tooth)) {
                let multiple = block.get(tooth).copied().flatten();
                for signed in [multiple.map(Affine::neg), multiple] {
                    pairs.extend(entries.iter().flat_map(|entry| [*entry, signed]));
                }
            }
            entries = sums(pairs, 2);
        }
        let entries = entries.iter().map(|entry| entry.map(|point| Entry([point.x.number(), point.y.number()])));
        Some(Self { teeth, entries: entries.collect::<Option<_>>()? })
    }

    /// Appends the entries that add up to the column's part of the scalar's multiple, one for each block, without a look
    /// at them: they are far away in memory, and the processor fetches many at a time if nothing comes between.
    pub(super) fn column<'a>(&'a self, digits: &Digits, column: usize, terms: &mut Vec<Term<'a>>) {
        let entries_of_block = 1_usize << (self.teeth - 1);
        let blocks = digits.0.chunks_exact(self.teeth).zip(self.entries.chunks_exact(entries_of_block));
        terms.extend(blocks.map(|(teeth, entries)| {
            let signs = teeth.iter().rev().fold(0, |signs, tooth| signs << 1 | usize::from(tooth >> column & 1));
            // The highest tooth's multiple is always added in the entries: where it is to be taken away, all signs change.
            let is_positive = signs & entries_of_block != 0;
            let index = if is_positive { signs } else { !signs } & (entries_of_block - 1);
            Term { entry: entries.get(index), is_positive }
        }));
    }
}

impl Entry {
    pub(super) fn point(&self, is_positive: bool) -> Affine {
        let [x, y] = self.0.map(Field::new);
        let negative = -y;
        Affine { x, y: if is_positive { y } else { negative } }
    }
}
