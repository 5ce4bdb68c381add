//! A member's payloads: which wait in line, and which an open proposal holds.

use super::payload::Payload;
use alloy_primitives::{B256, map::B256Map};
use bytes::Bytes;
use lian_types::BlockNumber;
use std::{collections::BTreeMap, time::Instant};

/// The payloads that are not final.
#[derive(Debug, Default)]
pub(super) struct Book {
    entries: B256Map<Entry>,
    /// By their places in line.
    waiting: BTreeMap<u64, B256>,
    proposed: BTreeMap<BlockNumber, Vec<B256>>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    bytes: Bytes,
    place: u64,
    /// When a client of this member sent it.
    sent: Option<Instant>,
}

impl Book {
    /// Puts a payload at the end of the line; `sent` is when a client of this member sent it.
    pub(super) fn add(&mut self, payload: Payload, sent: Option<Instant>) {
        let place = self.next;
        self.next = place.saturating_add(1);
        let Payload { hash, bytes } = payload;
        self.waiting.insert(place, hash);
        self.entries.insert(hash, Entry { bytes, place, sent });
    }

    /// How many wait in line.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The first in line, at most so many and of so many bytes together.
    pub(super) fn first(&self, count: usize, bytes_max: usize) -> Vec<B256> {
        let mut bytes = 0usize;
        let fits = |hash: &&B256| {
            let length = self.entries.get(*hash).map_or(0, |entry| entry.bytes.len());
            bytes = bytes.saturating_add(length);
            bytes <= bytes_max
        };
        self.waiting.values().take(count).take_while(fits).copied().collect()
    }

    /// Whether all of these are here.
    pub(super) fn has_all(&self, hashes: &[B256]) -> bool {
        hashes.iter().all(|hash| self.entries.contains_key(hash))
    }

    /// The bytes of those that are here.
    pub(super) fn bytes<'a>(&'a self, hashes: &'a [B256]) -> impl Iterator<Item = &'a Bytes> {
        hashes.iter().filter_map(|hash| self.entries.get(hash)).map(|entry| &entry.bytes)
    }

    /// A proposal holds these from now on. One that was replaced at its height gives back what it held.
    pub(super) fn propose(&mut self, height: BlockNumber, hashes: &[B256]) {
        self.give_back(height);
        for hash in hashes {
            if let Some(entry) = self.entries.get(hash) {
                self.waiting.remove(&entry.place);
            }
        }
        self.proposed.insert(height, hashes.to_vec());
    }

    /// Proposals of these heights are discarded: what they held goes back to its places.
    pub(super) fn discard_from(&mut self, height: BlockNumber) {
        let heights: Vec<_> = self.proposed.range(height..).map(|(height, _)| *height).collect();
        heights.into_iter().for_each(|height| self.give_back(height));
    }

    fn give_back(&mut self, height: BlockNumber) {
        for hash in self.proposed.remove(&height).into_iter().flatten() {
            if let Some(entry) = self.entries.get(&hash) {
                self.waiting.insert(entry.place, hash);
            }
        }
    }

    /// The proposal of a height is final. Gives how many it ordered, and when clients of this member had sent theirs.
    pub(super) fn finalize(&mut self, height: BlockNumber) -> (u64, Vec<Instant>) {
        let hashes = self.proposed.remove(&height).unwrap_or_default();
        let sent = hashes.iter().filter_map(|hash| self.entries.remove(hash)?.sent).collect();
        (hashes.len() as u64, sent)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::payload::Batch, *};

    #[test]
    fn payloads_keep_their_places_until_they_are_final() {
        let payloads = Batch::make(1, 0, 5, 16).payloads();
        let hashes: Vec<_> = payloads.iter().map(|payload| payload.hash).collect();
        let mut book = Book::default();
        let now = Instant::now();
        for (payload, own) in payloads.into_iter().zip([true, false, true, false, true]) {
            book.add(payload, own.then_some(now));
        }
        assert_eq!(book.first(2, 80), hashes[..2]);
        assert_eq!(book.first(9, 79), hashes[..4]);
        book.propose(BlockNumber(1), &hashes[..2]);
        book.propose(BlockNumber(2), &hashes[2..4]);
        assert_eq!((book.first(9, 80), book.waiting()), (hashes[4..].to_vec(), 1));
        // Another proposal at height 2, then none.
        book.propose(BlockNumber(2), &hashes[3..]);
        assert_eq!(book.first(9, 80), hashes[2..3]);
        book.discard_from(BlockNumber(2));
        assert_eq!(book.first(9, 80), hashes[2..]);
        assert_eq!(book.finalize(BlockNumber(1)), (2, vec![now]));
        assert!(!book.has_all(&hashes[..1]) && book.has_all(&hashes[2..]));
        assert_eq!(book.bytes(&hashes).count(), 3);
        assert_eq!(book.finalize(BlockNumber(1)), (0, vec![]));
    }
}
