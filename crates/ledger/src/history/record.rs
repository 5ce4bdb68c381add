//! The bytes of one block's replaced values, made for finding one key without reading the rest.
//!
//! All numbers are little-endian: the number of entries, the number of filter words, the checksums of filter and index,
//! the checksum of these four; the filter; the index, a fingerprint and a position for each entry, by rising
//! fingerprint; the entries, each under a checksum: key, whether there was a value, the value.

use crate::key::{Key, Value};
use crate::log::{Location, Log, LogError};
use alloy_primitives::Bytes;
use parking_lot::Mutex;
use std::borrow::Cow;
use std::sync::Arc;

const HEADER: usize = 20;
const INDEX_ENTRY: usize = 12;
const ENTRY_HEADER: usize = 10;
/// Words of a block of the filter: one cache line.
const BLOCK_WORDS: usize = 8;
/// Bits of filter for each key; about 1 in 200 keys that are not there seem to be.
const BITS_PER_KEY: usize = 12;
/// Bits set for each key.
const PROBES: u32 = 6;

/// Encodes the replaced values of a block.
pub(super) fn encode(replaced: &[(&Key, Cow<'_, Value>)]) -> Vec<u8> {
    let blocks = (replaced.len() * BITS_PER_KEY).div_ceil(BLOCK_WORDS * 64).max(1);
    let mut filter = vec![0u64; blocks * BLOCK_WORDS];
    let mut index = Vec::with_capacity(replaced.len());
    let index_at = HEADER + filter.len() * 8;
    let entries_at = index_at + replaced.len() * INDEX_ENTRY;
    let size = |(key, value): &(&Key, Cow<'_, Value>)| {
        ENTRY_HEADER + 1 + key.bytes().len() + value.as_deref().map_or(0, |value| value.len())
    };
    let mut bytes = Vec::with_capacity(entries_at + replaced.iter().map(size).sum::<usize>());
    bytes.resize(entries_at, 0);
    for (key, value) in replaced {
        let fingerprint = key.fingerprint();
        mark(&mut filter, fingerprint);
        // 2³² bytes of replaced values would need a block of as many changes, which no gas limit allows.
        index.push((fingerprint, u32::try_from(bytes.len() - entries_at).unwrap_or(u32::MAX)));
        encode_entry(&mut bytes, key, value);
    }
    index.sort_unstable();

    let (front, _) = bytes.split_at_mut(entries_at);
    let (front, index_bytes) = front.split_at_mut(index_at);
    let (header, filter_bytes) = front.split_at_mut(HEADER);
    for (place, word) in filter_bytes.as_chunks_mut::<8>().0.iter_mut().zip(&filter) {
        *place = word.to_le_bytes();
    }
    for (place, (fingerprint, at)) in index_bytes.as_chunks_mut::<INDEX_ENTRY>().0.iter_mut().zip(&index) {
        let (left, right) = place.split_at_mut(8);
        left.copy_from_slice(&fingerprint.to_le_bytes());
        right.copy_from_slice(&at.to_le_bytes());
    }
    let numbers = [
        u32::try_from(replaced.len()).unwrap_or(u32::MAX),
        u32::try_from(filter.len()).unwrap_or(u32::MAX),
        crc32fast::hash(filter_bytes),
        crc32fast::hash(index_bytes),
    ];
    let (fields, own) = header.split_at_mut(HEADER - 4);
    for (place, number) in fields.as_chunks_mut::<4>().0.iter_mut().zip(numbers) {
        *place = number.to_le_bytes();
    }
    own.copy_from_slice(&crc32fast::hash(fields).to_le_bytes());
    bytes
}

/// Checksum, length of the value, length of the tagged key, whether there is a value; then key and value.
fn encode_entry(entries: &mut Vec<u8>, key: &Key, value: &Value) {
    let start = entries.len();
    let bytes = value.as_ref().map(Bytes::as_ref).unwrap_or_default();
    entries.extend_from_slice(&[0; 4]);
    entries.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    entries.push(u8::try_from(key.bytes().len() + 1).unwrap_or(u8::MAX));
    entries.push(u8::from(value.is_some()));
    key.write_tagged(entries);
    entries.extend_from_slice(bytes);
    let checksum = crc32fast::hash(entries.get(start + 4..).unwrap_or_default());
    if let Some(place) = entries.get_mut(start..start + 4) {
        place.copy_from_slice(&checksum.to_le_bytes());
    }
}

/// The words and bits of the filter that a fingerprint has.
fn probes(words: usize, fingerprint: u64) -> impl Iterator<Item = (usize, u64)> {
    let blocks = (words / BLOCK_WORDS).max(1);
    let block = usize::try_from(fingerprint >> 32).unwrap_or(0) % blocks;
    let spread = fingerprint.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..PROBES).map(move |probe| {
        let bit = (spread >> (probe * 9)) & 511;
        (block * BLOCK_WORDS + usize::try_from(bit / 64).unwrap_or(0), 1u64 << (bit % 64))
    })
}

fn mark(filter: &mut [u64], fingerprint: u64) {
    for (word, bit) in probes(filter.len(), fingerprint) {
        if let Some(word) = filter.get_mut(word) {
            *word |= bit;
        }
    }
}

/// Fingerprints with the positions of their entries, by rising fingerprint.
type Positions = Vec<(u64, u32)>;

/// The filter of a record, and its index once that was needed.
pub(super) struct Index {
    location: Location,
    count: usize,
    index_checksum: u32,
    filter: Vec<u64>,
    index: Mutex<Option<Arc<Positions>>>,
}

impl Index {
    /// Reads a record's filter.
    pub(super) fn read(log: &Log, location: Location) -> Result<Self, LogError> {
        let fail = |reason: &str| log.damaged(location, reason);
        let mut header = [0; HEADER];
        log.read_part(location, 0, &mut header)?;
        let (fields, own) = header.split_at(HEADER - 4);
        if crc32fast::hash(fields).to_le_bytes() != own {
            return Err(fail("the header of the replaced values does not match its checksum"));
        }
        let mut numbers = fields.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
        let mut next = || numbers.next().unwrap_or(0);
        let (count, words, filter_checksum, index_checksum) = (next(), next(), next(), next());
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let mut bytes = vec![0; size(words) * 8];
        log.read_part(location, HEADER as u64, &mut bytes)?;
        if crc32fast::hash(&bytes) != filter_checksum {
            return Err(fail("the filter of the replaced values does not match its checksum"));
        }
        let filter = bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        Ok(Self { location, count: size(count), index_checksum, filter, index: Mutex::new(None) })
    }

    /// An upper estimate of its size in memory, in bytes.
    pub(super) fn weight(&self) -> u64 {
        (self.filter.len() * 8 + self.count * 16 + 128) as u64
    }

    /// The replaced value of a key; `None` if this block did not change it.
    pub(super) fn find(&self, log: &Log, key: &Key, fingerprint: u64) -> Result<Option<Value>, LogError> {
        let is_marked = |(word, bit): (usize, u64)| self.filter.get(word).is_some_and(|word| word & bit != 0);
        if !probes(self.filter.len(), fingerprint).all(is_marked) {
            return Ok(None);
        }
        let index = self.index(log)?;
        let from = index.partition_point(|(other, _)| *other < fingerprint);
        for (_, at) in index.iter().skip(from).take_while(|(other, _)| *other == fingerprint) {
            let (found, value) = self.entry(log, *at)?;
            if found == *key {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    fn index(&self, log: &Log) -> Result<Arc<Positions>, LogError> {
        let mut held = self.index.lock();
        if let Some(index) = &*held {
            return Ok(Arc::clone(index));
        }
        let mut bytes = vec![0; self.count * INDEX_ENTRY];
        log.read_part(self.location, (HEADER + self.filter.len() * 8) as u64, &mut bytes)?;
        if crc32fast::hash(&bytes) != self.index_checksum {
            return Err(log.damaged(self.location, "the index of the replaced values does not match its checksum"));
        }
        let entry = |bytes: &[u8; INDEX_ENTRY]| {
            let (fingerprint, at) = bytes.split_at(8);
            let fingerprint = fingerprint.try_into().map_or(0, u64::from_le_bytes);
            (fingerprint, at.try_into().map_or(0, u32::from_le_bytes))
        };
        let index = Arc::new(bytes.as_chunks::<INDEX_ENTRY>().0.iter().map(entry).collect::<Positions>());
        *held = Some(Arc::clone(&index));
        Ok(index)
    }

    fn entry(&self, log: &Log, at: u32) -> Result<(Key, Value), LogError> {
        let fail = || log.damaged(self.location, "a replaced value does not match its checksum");
        let from = (HEADER + self.filter.len() * 8 + self.count * INDEX_ENTRY) as u64 + u64::from(at);
        let mut header = [0; ENTRY_HEADER];
        log.read_part(self.location, from, &mut header)?;
        let [c0, c1, c2, c3, l0, l1, l2, l3, key_length, is_some] = header;
        let length = u64::from(u32::from_le_bytes([l0, l1, l2, l3])) + u64::from(key_length);
        // The header itself is only checked below: it must not make this read beyond the record.
        if length + from > u64::from(self.location.length) {
            return Err(fail());
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        log.read_part(self.location, from + ENTRY_HEADER as u64, &mut bytes)?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(header.get(4..).unwrap_or_default());
        hasher.update(&bytes);
        if hasher.finalize() != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(fail());
        }
        let (key, value) = bytes.split_at_checked(usize::from(key_length)).ok_or_else(fail)?;
        let key = Key::from_tagged(key).ok_or_else(fail)?;
        Ok((key, (is_some == 1).then(|| Bytes::copy_from_slice(value))))
    }
}
