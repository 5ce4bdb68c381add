//! What the vote log keeps.

use lian_crypto::VerifiedTransaction;
use lian_types::{BlockNumber, DecodeError, Proposal};
use std::sync::Arc;

/// A record for the vote log, with the bodies that belong to it.
#[derive(Clone, Debug)]
pub struct DurableRecord {
    /// What the consensus machine wants kept.
    pub record: VoteRecord,
    /// The bodies of the proposal that the record names, if it names one.
    pub bodies: Vec<Arc<VerifiedTransaction>>,
}

/// What a consensus machine wants kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoteRecord {
    /// PBFT's.
    Pbft(lian_pbft::Record),
    /// Raft's.
    Raft {
        /// The record.
        record: lian_raft::Record,
        /// The final height when it was made. It is no part of the bytes: the renewals after it replace it.
        made_at: BlockNumber,
    },
}

impl VoteRecord {
    /// The canonical bytes. The first one tells the kinds apart.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Pbft(record) => record.encode(),
            Self::Raft { record, .. } => record.encode(),
        }
    }

    /// Reads a record of either kind.
    ///
    /// # Errors
    /// [`DecodeError`] for another version and for anything but one whole record.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.first() == Some(&lian_raft::Record::VERSION) {
            let record = lian_raft::Record::decode(bytes)?;
            return Ok(Self::Raft { record, made_at: BlockNumber::ZERO });
        }
        lian_pbft::Record::decode(bytes).map(Self::Pbft)
    }

    /// The proposal whose bodies must be stored with this record, if any.
    #[must_use]
    pub const fn bodies_of(&self) -> Option<&Arc<Proposal>> {
        match self {
            Self::Pbft(record) => record.bodies_of(),
            Self::Raft { record, .. } => record.bodies_of(),
        }
    }

    /// PBFT's record, if it is one.
    #[must_use]
    pub fn into_pbft(self) -> Option<lian_pbft::Record> {
        if let Self::Pbft(record) = self { Some(record) } else { None }
    }

    /// Raft's record, if it is one.
    #[must_use]
    pub fn into_raft(self) -> Option<lian_raft::Record> {
        if let Self::Raft { record, .. } = self { Some(record) } else { None }
    }
}

impl From<lian_pbft::Record> for VoteRecord {
    fn from(record: lian_pbft::Record) -> Self {
        Self::Pbft(record)
    }
}
