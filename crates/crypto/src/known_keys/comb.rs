//! Multiples of a point that make its multiplication quick (Lim and Lee 1994).

use super::{
    digits::{COLUMNS, Digits, TEETH},
    field::Field,
    point::{Affine, Jacobian, sums, to_affine},
};
use alloy_primitives::{U256, uint};
use std::{iter, ops::Neg};

/// A cube root of 1: (β x, y) is λ (x, y) for the λ of [`Digits`] (Gallant, Lambert and Vanstone 2001, example 4).
const BETA: Field = Field::new(uint!(0x7AE96A2B657C07106E64479EAC3434E99CF0497512F58995C1396C28719501EE_U256));

/// A point's multiples by sums and differences of the powers 2^(11 i) that the teeth of a block are at. Each entry of a block
/// is the multiple of its highest tooth, plus or minus that of each other tooth.
#[derive(Debug)]
pub(super) struct Comb {
    teeth: usize,
    entries: Box<[Entry]>,
}

/// A point as x and y, in a cache line of its own.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Entry([U256; 2]);

/// An entry or its opposite, for the first part of a scalar, or λ times it, for the second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term<'a> {
    pub(super) entry: &'a Entry,
    is_positive: bool,
    is_second: bool,
}

impl Comb {
    /// Multiplies the point by all that blocks of so many teeth need. None would mean that two of the multiples are equal or
    /// opposite, which depends on the number of teeth alone, since all points have the same order.
    pub(super) fn new(point: Affine, teeth: usize) -> Option<Self> {
        let further = (1..TEETH).scan(Jacobian::from(point), |point, _| {
            *point = (0..COLUMNS).fold(*point, |point, _| point.double());
            Some(*point)
        });
        let multiples: Vec<Jacobian> = iter::once(Jacobian::from(point)).chain(further).collect();
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

    /// Appends the entries that add up to the column's part of the scalar's multiple, one for each block and part, without a
    /// look at them: they are far away in memory, and the processor fetches many at a time if nothing comes between.
    pub(super) fn column<'a>(&'a self, digits: &Digits, column: usize, terms: &mut Vec<Term<'a>>) {
        let entries_of_block = 1_usize << (self.teeth - 1);
        for (part, is_second) in digits.0.iter().zip([false, true]) {
            let blocks = part.chunks_exact(self.teeth).zip(self.entries.chunks_exact(entries_of_block));
            terms.extend(blocks.filter_map(|(teeth, entries)| {
                let signs = teeth.iter().rev().fold(0, |signs, tooth| signs << 1 | usize::from(tooth >> column & 1));
                // The highest tooth's multiple is added in all entries: where it is to be taken away, all signs change.
                let is_positive = signs & entries_of_block != 0;
                let index = if is_positive { signs } else { !signs } & (entries_of_block - 1);
                Some(Term { entry: entries.get(index)?, is_positive, is_second })
            }));
        }
    }
}

impl Term<'_> {
    /// The point, of the entry that was fetched.
    #[inline]
    pub(super) fn point(&self, Entry([x, y]): Entry) -> Affine {
        let (x, y) = (Field::new(x), Field::new(y));
        let negative = -y;
        Affine { x: if self.is_second { x * BETA } else { x }, y: if self.is_positive { y } else { negative } }
    }
}
