//! The content of a snapshot's chunks.

use super::SnapshotError;
use alloy_primitives::{Address, B256, U256};
use borsh::{BorshDeserialize, BorshSerialize};
use lian_crypto::Suite;
use lian_executor::AccountState;
use lian_types::{Receipt, Transaction, limits, read_bytes};
use std::io;

/// A chunk as the manifest lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ChunkInfo {
    /// The hash of its bytes.
    pub hash: B256,
    /// Its length, in bytes.
    pub length: u32,
}

impl ChunkInfo {
    /// Describes a chunk.
    #[must_use]
    pub fn of(suite: Suite, bytes: &[u8]) -> Self {
        Self { hash: suite.hash(bytes), length: u32::try_from(bytes.len()).unwrap_or(u32::MAX) }
    }

    /// Whether these are the chunk's bytes.
    #[must_use]
    pub fn matches(&self, suite: Suite, bytes: &[u8]) -> bool {
        usize::try_from(self.length).is_ok_and(|length| length == bytes.len()) && suite.hash(bytes) == self.hash
    }
}

/// Something that a snapshot's chunks have. They come in the order of these variants, the transactions and receipts as in
/// the block, accounts and slots by rising address and slot, codes by rising hash.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum SnapshotEntry {
    /// A transaction of the block.
    Transaction(Box<Transaction>),
    /// The receipt of a transaction of the block.
    Receipt(Receipt),
    /// An account.
    Account {
        /// Its address.
        address: Address,
        /// The account without storage and code.
        state: AccountState,
    },
    /// A storage slot that is not zero.
    Slot {
        /// The account.
        address: Address,
        /// The slot.
        slot: U256,
        /// Its value.
        value: U256,
    },
    /// The code of one or more accounts.
    Code {
        /// Its bytes.
        #[borsh(deserialize_with = "read_code")]
        code: Vec<u8>,
    },
}

fn read_code<R: io::Read>(reader: &mut R) -> io::Result<Vec<u8>> {
    read_bytes(reader, "code", limits::SNAPSHOT_CHUNK_BYTES_MAX)
}

impl SnapshotEntry {
    /// Reads a chunk's entries, one after the other; nothing follows an error.
    pub fn read_all(mut bytes: &[u8]) -> impl Iterator<Item = io::Result<Self>> + '_ {
        std::iter::from_fn(move || {
            if bytes.is_empty() {
                return None;
            }
            let entry = Self::deserialize(&mut bytes);
            if entry.is_err() {
                bytes = &[];
            }
            Some(entry)
        })
    }
}

/// Takes a chunk with its position.
pub(super) type ChunkSink<'a> = dyn FnMut(u32, &[u8]) -> Result<(), SnapshotError> + 'a;

/// Fills chunks with entries and hands out each that is full.
pub(super) struct ChunkWriter<'a> {
    suite: Suite,
    sink: &'a mut ChunkSink<'a>,
    chunk: Vec<u8>,
    entry: Vec<u8>,
    chunks: Vec<ChunkInfo>,
}

impl<'a> ChunkWriter<'a> {
    pub(super) fn new(suite: Suite, sink: &'a mut ChunkSink<'a>) -> Self {
        Self {
            suite,
            sink,
            chunk: Vec::with_capacity(limits::SNAPSHOT_CHUNK_BYTES),
            entry: Vec::new(),
            chunks: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, entry: &SnapshotEntry) -> Result<(), SnapshotError> {
        self.entry.clear();
        // Writing to memory does not fail.
        let _ = entry.serialize(&mut self.entry);
        let bytes = self.entry.len();
        if bytes > limits::SNAPSHOT_CHUNK_BYTES_MAX {
            let what = match entry {
                SnapshotEntry::Transaction(_) => "a transaction",
                SnapshotEntry::Receipt(_) => "a receipt",
                SnapshotEntry::Code { .. } => "a code",
                SnapshotEntry::Account { .. } | SnapshotEntry::Slot { .. } => "an account",
            };
            return Err(SnapshotError::TooLarge { what, bytes });
        }
        if !self.chunk.is_empty() && self.chunk.len().saturating_add(bytes) > limits::SNAPSHOT_CHUNK_BYTES {
            self.hand_out()?;
        }
        self.chunk.extend_from_slice(&self.entry);
        Ok(())
    }

    /// Hands out what is left, and returns all chunks.
    pub(super) fn finish(mut self) -> Result<Vec<ChunkInfo>, SnapshotError> {
        if !self.chunk.is_empty() {
            self.hand_out()?;
        }
        Ok(self.chunks)
    }

    fn hand_out(&mut self) -> Result<(), SnapshotError> {
        let index = u32::try_from(self.chunks.len()).unwrap_or(u32::MAX);
        (self.sink)(index, &self.chunk)?;
        self.chunks.push(ChunkInfo::of(self.suite, &self.chunk));
        self.chunk.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn chunks_are_filled_to_their_size_and_nothing_is_cut() {
        let code = |length| SnapshotEntry::Code { code: vec![7; length] };
        let all = [code(600_000), code(500_000), code(1), code(3_000_000), code(2)];
        let mut made = Vec::new();
        let mut sink = |index, bytes: &[u8]| {
            made.push((index, bytes.to_vec()));
            Ok(())
        };
        let mut writer = ChunkWriter::new(Suite::Standard, &mut sink);
        for entry in &all {
            writer.push(entry).unwrap();
        }
        let infos = writer.finish().unwrap();
        assert_eq!(made.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert!(infos.iter().zip(&made).all(|(info, (_, bytes))| info.matches(Suite::Standard, bytes)));
        let read: Vec<_> =
            made.iter().flat_map(|(_, bytes)| SnapshotEntry::read_all(bytes)).map(Result::unwrap).collect();
        assert_eq!(read, all);
        let mut sink = |_, _: &[u8]| Ok(());
        let error = ChunkWriter::new(Suite::Standard, &mut sink).push(&code(5_000_000)).unwrap_err().to_string();
        assert!(error.contains("a code takes 5000005 bytes"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let read: Vec<_> = SnapshotEntry::read_all(&bytes).collect();
            if read.iter().all(Result::is_ok) {
                let written: Vec<u8> =
                    read.iter().flatten().flat_map(|entry| borsh::to_vec(entry).unwrap()).collect();
                prop_assert_eq!(written, bytes);
            }
        }
    }
}
