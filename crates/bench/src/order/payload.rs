//! Payloads: bytes that nobody looks into, named by their hash.

use alloy_primitives::{B256, keccak256};
use anyhow::{Result, ensure};
use bytes::Bytes;

/// Smallest payload, in bytes: a member's number and a count of its own make each the only one of its kind.
pub(super) const BYTES_MIN: usize = 16;
/// Largest payload, in bytes.
pub(super) const BYTES_MAX: usize = 16_384;

/// A payload and its name.
#[derive(Clone, Debug)]
pub(super) struct Payload {
    /// The hash of its bytes.
    pub(super) hash: B256,
    /// The bytes.
    pub(super) bytes: Bytes,
}

impl Payload {
    fn new(bytes: Bytes) -> Self {
        Self { hash: keccak256(&bytes), bytes }
    }
}

/// Payloads that are sent together, all equally long: their length in four bytes, then one after the other.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    bytes: Bytes,
    payload_bytes: usize,
}

/// Bytes before the payloads.
const HEAD: usize = 4;

impl Batch {
    /// The payloads with the numbers `from` to `from + count` of a member's client.
    pub(super) fn make(member: u64, from: u64, count: usize, payload_bytes: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEAD + count * payload_bytes);
        bytes.extend_from_slice(&u32::try_from(payload_bytes).unwrap_or(u32::MAX).to_be_bytes());
        for number in (from..).take(count) {
            let end = bytes.len() + payload_bytes;
            bytes.extend_from_slice(&member.to_be_bytes());
            bytes.extend_from_slice(&number.to_be_bytes());
            bytes.resize(end, 0x5a);
        }
        Self { bytes: bytes.into(), payload_bytes }
    }

    /// Reads what a member sent.
    ///
    /// # Errors
    /// For bytes that are no batch.
    pub(super) fn read(bytes: Bytes) -> Result<Self> {
        let head = bytes.first_chunk::<HEAD>().copied().unwrap_or_default();
        let payload_bytes = usize::try_from(u32::from_be_bytes(head))?;
        let rest = bytes.len().saturating_sub(HEAD);
        ensure!(
            payload_bytes >= BYTES_MIN && rest.is_multiple_of(payload_bytes),
            "{} bytes are no batch of payloads of {payload_bytes}",
            bytes.len()
        );
        Ok(Self { bytes, payload_bytes })
    }

    /// What is sent.
    pub(super) const fn encoded(&self) -> &Bytes {
        &self.bytes
    }

    /// The payloads, with their names.
    pub(super) fn payloads(&self) -> Vec<Payload> {
        let starts = (HEAD..self.bytes.len()).step_by(self.payload_bytes);
        starts.map(|start| Payload::new(self.bytes.slice(start..start + self.payload_bytes))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn batches_survive_their_bytes() {
        let batch = Batch::make(3, 7, 100, 32);
        let read = Batch::read(batch.encoded().clone()).unwrap();
        let (sent, found) = (batch.payloads(), read.payloads());
        assert_eq!(found.len(), 100);
        assert!(sent.iter().zip(&found).all(|(sent, found)| sent.hash == found.hash && found.bytes.len() == 32));
        let other = Batch::make(4, 7, 100, 32).payloads();
        let names: BTreeSet<_> = found.iter().chain(&other).map(|payload| payload.hash).collect();
        assert_eq!(names.len(), 200);
        for bad in [&[][..], &[0, 0, 0, 16, 1], &[0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]] {
            assert!(Batch::read(Bytes::copy_from_slice(bad)).is_err(), "{bad:?}");
        }
    }
}
