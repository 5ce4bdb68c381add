//! What must be durable before a message leaves (§3).

use crate::codec::{read_shared, write_shared};
use crate::{PrePrepare, PrepareCertificate, Retry, SignedNewView, ViewChangeMessage};
use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use lian_types::{BlockNumber, DecodeError, Proposal, ProposalDigest, SignedVote, decode_exact, limits};
use std::sync::Arc;

/// A record of the vote log. Its encoding starts with [`Record::VERSION`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Record {
    /// This node proposed: it never proposes anything else for that (view, height).
    PrePrepare(PrePrepare),
    /// This node voted.
    Vote(SignedVote),
    /// A quorum prepared a proposal and this node is about to commit it. The driver stores the bodies of all its
    /// transactions with this record and has them ready again after a restart.
    Prepared {
        /// The proposal.
        #[borsh(serialize_with = "write_shared", deserialize_with = "read_shared")]
        proposal: Arc<Proposal>,
        /// The quorum's prepares.
        certificate: PrepareCertificate,
    },
    /// This node voted for a result: it never votes for another one at that height on that proposal.
    ResultLock(ResultLock),
    /// This node left all views below; the message is what it sent.
    ViewPromise(ViewChangeMessage),
    /// This node entered a view; the message is what started it.
    NewView(
        #[borsh(serialize_with = "write_shared", deserialize_with = "read_shared")]
        /// The message that started it.
        Arc<SignedNewView>,
    ),
    /// From here on this node abstains because an earlier log was lost (true), or votes again (false).
    Abstains(bool),
    /// This node has reported a height for a retry (§7): it signs nothing for that height and those above before a plan
    /// is installed.
    Reported {
        /// The height.
        height: BlockNumber,
        /// The number of the retry.
        attempt: u64,
    },
    /// A plan is installed (§7): it replaces the result locks of its height and of those above.
    Retry(Retry),
    /// An operator has dealt with a divergence of this node alone (§7): it signs nothing before this height is final here,
    /// and so never again for the heights at which it diverged.
    Cleared {
        /// The greatest height for which it has voted a result.
        through: BlockNumber,
    },
}

/// The one result that this node stands for (§3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ResultLock {
    /// The height.
    pub height: BlockNumber,
    /// The proposal.
    pub digest: ProposalDigest,
    /// The hash of the header it was executed on.
    pub parent: B256,
    /// The hash of the resulting header.
    pub hash: B256,
}

impl Record {
    /// The format's number, the first byte of every encoded record.
    pub const VERSION: u8 = 1;

    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![Self::VERSION];
        // Writing to a vector fails only when memory does, which ends the process anyway.
        let written = self.serialize(&mut bytes);
        debug_assert!(written.is_ok());
        bytes
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`DecodeError`] for another version and for anything but one whole record.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes.split_first() {
            Some((&Self::VERSION, rest)) => decode_exact("vote record", rest, limits::FRAME_BYTES_MAX),
            Some((version, _)) => Err(DecodeError::Malformed {
                what: "vote record",
                reason: format!("version {version}, this program knows {}", Self::VERSION),
            }),
            None => Err(DecodeError::Malformed { what: "vote record", reason: "empty".into() }),
        }
    }

    /// The height that the record is about: once that height is final the record is of no use. None for view
    /// promises, new views and abstentions, of which the last ones stay needed; see [`crate::Machine::live_records`].
    #[must_use]
    pub fn height(&self) -> Option<BlockNumber> {
        match self {
            Self::PrePrepare(pre_prepare) => Some(pre_prepare.proposal.height),
            Self::Vote(signed) => Some(signed.vote.height),
            Self::Prepared { proposal, .. } => Some(proposal.height),
            Self::ResultLock(lock) => Some(lock.height),
            Self::Reported { height, .. } => Some(*height),
            Self::Retry(retry) => Some(retry.until),
            Self::Cleared { through } => Some(*through),
            Self::ViewPromise(_) | Self::NewView(_) | Self::Abstains(_) => None,
        }
    }

    /// The proposal whose bodies must be stored with this record, if any.
    #[must_use]
    pub const fn bodies_of(&self) -> Option<&Arc<Proposal>> {
        if let Self::Prepared { proposal, .. } = self { Some(proposal) } else { None }
    }
}

/// In which state the vote log was found at a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogCondition {
    /// Everything that was ever made durable is there. A log that was never written to is whole too, if it is certain
    /// that it is this key's first start.
    Whole,
    /// It is missing, or damaged before its end: this key may have voted without knowing (§3).
    Lost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_is_named() {
        let mut bytes = Record::Cleared { through: BlockNumber(1) }.encode();
        assert!(Record::decode(&bytes).is_ok());
        bytes[0] = 2;
        let error = Record::decode(&bytes).unwrap_err().to_string();
        assert!(error.contains("version 2, this program knows 1"), "{error}");
    }
}
