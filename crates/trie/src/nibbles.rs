//! Sequences of half bytes: the keys and paths of the trie.

use std::fmt;

use alloy_primitives::B256;

/// A key longer than a path can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a trie key of {len} bytes is longer than the {max} that a path can hold", max = Nibbles::MAX_LEN / 2)]
pub struct KeyTooLong {
    /// The length of the refused key in bytes.
    pub len: usize,
}

/// A sequence of up to 64 half bytes: a key, a path from the root, or a piece of one.
///
/// The order is lexicographic, a prefix before what it begins. The unused part of `packed` is always zero, which is
/// what makes the derived order and equality right.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nibbles {
    /// Two nibbles a byte, the first in the high half.
    packed: [u8; 32],
    /// Number of nibbles, at most [`Self::MAX_LEN`].
    len: u8,
}

/// The same 256 bits as four numbers, most significant first, for shifts and comparisons.
type Words = [u64; 4];

/// Nibbles in one word.
const WORD_NIBBLES: usize = 16;

impl Nibbles {
    /// The longest sequence: a key of 32 bytes.
    pub const MAX_LEN: usize = 64;
    /// The path of the root.
    pub const EMPTY: Self = Self { packed: [0; 32], len: 0 };

    /// The nibbles of a key's bytes.
    ///
    /// # Errors
    /// [`KeyTooLong`] beyond 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyTooLong> {
        let mut packed = [0; 32];
        packed.get_mut(..bytes.len()).ok_or(KeyTooLong { len: bytes.len() })?.copy_from_slice(bytes);
        Ok(Self { packed, len: narrow(bytes.len() * 2) })
    }

    /// A sequence of nibbles given one a byte; `None` if there are more than 64 or one is above 15.
    #[must_use]
    pub fn from_nibbles(nibbles: &[u8]) -> Option<Self> {
        nibbles.iter().try_fold(Self::EMPTY, |path, nibble| path.push(*nibble))
    }

    /// The number of nibbles, 0 to 64.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether this is the empty sequence, the path of the root.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The nibble at `index`, 0 to 15; `None` at or beyond the end.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<u8> {
        if index < self.len() { Some(self.nibble_or_zero(index)) } else { None }
    }

    /// The nibble at `index`, zero at or beyond the end.
    pub(crate) fn nibble_or_zero(&self, index: usize) -> u8 {
        let byte = self.packed.get(index / 2).copied().unwrap_or(0);
        if index.is_multiple_of(2) { byte >> 4 } else { byte & 0x0f }
    }

    /// The first `len` nibbles, or all of them if there are fewer.
    #[must_use]
    pub fn prefix(&self, len: usize) -> Self {
        if len >= self.len() {
            return *self;
        }
        let mut words = self.words();
        for (index, word) in words.iter_mut().enumerate() {
            *word &= leading_ones(len.saturating_sub(index * WORD_NIBBLES));
        }
        Self::from_words(words, len)
    }

    /// What remains after the first `skip` nibbles; empty if there are not that many.
    #[must_use]
    pub fn suffix(&self, skip: usize) -> Self {
        if skip >= self.len() {
            return Self::EMPTY;
        }
        Self::from_words(shift_left(&self.words(), skip), self.len() - skip)
    }

    /// The nibbles from `from` up to, not including, `to`.
    #[must_use]
    pub fn range(&self, from: usize, to: usize) -> Self {
        self.prefix(to).suffix(from)
    }

    /// The sequence with one more nibble; `None` if it is full or `nibble` is above 15.
    #[must_use]
    pub fn push(&self, nibble: u8) -> Option<Self> {
        if self.len() == Self::MAX_LEN || nibble > 0x0f {
            return None;
        }
        let mut longer = *self;
        let shift = if self.len.is_multiple_of(2) { 4 } else { 0 };
        if let Some(byte) = longer.packed.get_mut(self.len() / 2) {
            *byte |= nibble << shift;
        }
        longer.len += 1;
        Some(longer)
    }

    /// This sequence followed by `other`; `None` if that exceeds 64 nibbles.
    #[must_use]
    pub fn join(&self, other: &Self) -> Option<Self> {
        let len = self.len() + other.len();
        if len > Self::MAX_LEN {
            return None;
        }
        let mut words = shift_right(&other.words(), self.len());
        for (word, head) in words.iter_mut().zip(self.words()) {
            *word |= head;
        }
        Some(Self::from_words(words, len))
    }

    /// How many leading nibbles the two have in common.
    #[must_use]
    pub fn common_prefix_len(&self, other: &Self) -> usize {
        let shorter = self.len().min(other.len());
        let mut common = 0;
        for (a, b) in self.words().into_iter().zip(other.words()) {
            let equal = (a ^ b).leading_zeros() as usize / 4;
            common += equal;
            if equal < WORD_NIBBLES {
                break;
            }
        }
        common.min(shorter)
    }

    /// Whether the first nibbles are `prefix`.
    #[must_use]
    pub fn starts_with(&self, prefix: &Self) -> bool {
        self.common_prefix_len(prefix) == prefix.len()
    }

    /// Whether `part` stands at position `at`.
    pub(crate) fn has_at(&self, at: usize, part: &Self) -> bool {
        self.suffix(at).starts_with(part)
    }

    /// The nibbles packed two a byte, the first in the high half; an odd last one has a zero beside it.
    #[must_use]
    pub fn packed(&self) -> &[u8] {
        self.packed.get(..self.len().div_ceil(2)).unwrap_or(&self.packed)
    }

    /// The bytes of this sequence if it has an even number of nibbles.
    #[must_use]
    pub fn to_bytes(&self) -> Option<&[u8]> {
        self.len.is_multiple_of(2).then(|| self.packed())
    }

    /// A key for a store of nodes by path: the number of nibbles in one byte, then [`Self::packed`]. It tells all
    /// paths apart and puts the upper nodes, which are read most, side by side.
    #[must_use]
    pub fn to_store_key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(1 + self.packed().len());
        key.push(self.len);
        key.extend_from_slice(self.packed());
        key
    }

    /// The path of [`Self::to_store_key`]; `None` unless it is exactly such a key.
    #[must_use]
    pub fn from_store_key(key: &[u8]) -> Option<Self> {
        let (len, packed) = key.split_first()?;
        let len = usize::from(*len);
        if len > Self::MAX_LEN || packed.len() != len.div_ceil(2) {
            return None;
        }
        let path = Self::from_bytes(packed).ok()?.prefix(len);
        (path.packed() == packed).then_some(path)
    }

    fn words(&self) -> Words {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(self.packed.as_chunks::<8>().0) {
            *word = u64::from_be_bytes(*bytes);
        }
        words
    }

    fn from_words(words: Words, len: usize) -> Self {
        let mut packed = [0; 32];
        for (bytes, word) in packed.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *bytes = word.to_be_bytes();
        }
        Self { packed, len: narrow(len) }
    }
}

/// A mask of the first `nibbles` nibbles of a word; of all 16 where there are more.
fn leading_ones(nibbles: usize) -> u64 {
    match nibbles {
        0 => 0,
        1..WORD_NIBBLES => u64::MAX << (64 - nibbles * 4),
        _ => u64::MAX,
    }
}

/// Shifts towards the front by `nibbles`, which drops the first ones.
fn shift_left(words: &Words, nibbles: usize) -> Words {
    let (whole, bits) = (nibbles / WORD_NIBBLES, nibbles % WORD_NIBBLES * 4);
    std::array::from_fn(|index| {
        let at = |index: usize| words.get(index).copied().unwrap_or(0);
        let (high, low) = (at(index + whole), at(index + whole + 1));
        if bits == 0 { high } else { high << bits | low >> (64 - bits) }
    })
}

/// Shifts towards the end by `nibbles`, which puts zeros in front.
fn shift_right(words: &Words, nibbles: usize) -> Words {
    let (whole, bits) = (nibbles / WORD_NIBBLES, nibbles % WORD_NIBBLES * 4);
    std::array::from_fn(|index| {
        let at = |back: usize| index.checked_sub(back).and_then(|index| words.get(index)).copied().unwrap_or(0);
        let (low, high) = (at(whole), at(whole + 1));
        if bits == 0 { low } else { low >> bits | high << (64 - bits) }
    })
}

#[expect(clippy::cast_possible_truncation, reason = "every caller has checked that a sequence has at most 64 nibbles")]
const fn narrow(len: usize) -> u8 {
    debug_assert!(len <= Nibbles::MAX_LEN);
    len as u8
}

impl From<B256> for Nibbles {
    fn from(key: B256) -> Self {
        Self { packed: key.0, len: narrow(Self::MAX_LEN) }
    }
}

impl fmt::Display for Nibbles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.len()).try_for_each(|index| write!(f, "{:x}", self.nibble_or_zero(index)))
    }
}

impl fmt::Debug for Nibbles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nibbles({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nibbles(list: &[u8]) -> Nibbles {
        Nibbles::from_nibbles(list).expect("at most 64 nibbles below 16")
    }

    fn list(path: &Nibbles) -> Vec<u8> {
        (0..path.len()).filter_map(|index| path.get(index)).collect()
    }

    fn sequences() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(0u8..16, 0..=64)
    }

    #[test]
    fn refuses_what_does_not_fit() {
        assert_eq!(Nibbles::from_bytes(&[0; 33]), Err(KeyTooLong { len: 33 }));
        let full = Nibbles::from(B256::ZERO);
        assert_eq!(full.push(0), None);
        assert_eq!(full.join(&nibbles(&[1])), None);
        assert_eq!(Nibbles::EMPTY.push(16), None);
        assert_eq!(Nibbles::from_store_key(&[1, 0x11]), None, "a set bit beyond the end");
        assert_eq!(Nibbles::from_store_key(&[]), None);
        assert_eq!(Nibbles::from_store_key(&[65]), None);
    }

    proptest! {
        #[test]
        fn behaves_as_a_list_of_nibbles(a in sequences(), b in sequences(), at in 0usize..70, to in 0usize..70) {
            let (x, y) = (nibbles(&a), nibbles(&b));
            prop_assert_eq!(list(&x), a.clone());
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert_eq!(list(&x.prefix(at)), a[..at.min(a.len())].to_vec());
            prop_assert_eq!(list(&x.suffix(at)), a[at.min(a.len())..].to_vec());
            let end = to.min(a.len());
            prop_assert_eq!(list(&x.range(at, to)), a[at.min(end)..end].to_vec());
            let common = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
            prop_assert_eq!(x.common_prefix_len(&y), common);
            prop_assert_eq!(x.starts_with(&y), a.starts_with(&b));
            prop_assert_eq!(x.has_at(at, &y), a[at.min(a.len())..].starts_with(&b));
            let joined = [a.clone(), b].concat();
            prop_assert_eq!(x.join(&y).map(|joined| list(&joined)), (joined.len() <= 64).then_some(joined));
            prop_assert_eq!(Nibbles::from_store_key(&x.to_store_key()), Some(x));
        }
    }
}
