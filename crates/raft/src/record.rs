//! What must be durable before a message leaves (§3).

use crate::codec::encode;
use crate::{Base, Content, Entry};
use borsh::{BorshDeserialize, BorshSerialize};
use lian_types::{BlockNumber, DecodeError, Proposal, SignedVote, decode_exact, limits};
use std::sync::Arc;

/// A record of the vote log. Its encoding starts with [`Record::VERSION`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Record {
    /// The log begins here; what came before it is void, but for the entries above its index where the log has that.
    Base(Base),
    /// This node's term and its vote in it.
    HardState(HardState),
    /// An entry; those at its index and above are void. The driver stores the bodies of its proposal with it.
    Entry(Entry),
    /// This node signed a header: it never signs another one for that height.
    Vote(SignedVote),
    /// An operator has dealt with a divergence of this node (§7): it signs nothing for this height and those below.
    Cleared {
        /// The greatest height for which it may have signed a wrong header.
        through: BlockNumber,
    },
    /// From here on this node takes no part, because an earlier log was lost.
    Abstains,
}

/// A node's term and vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HardState {
    /// The greatest term seen.
    pub term: u64,
    /// For whom this node voted in it, by the number of its key; 0 for nobody.
    pub vote: u64,
    /// What is committed at least.
    pub commit: u64,
}

impl Record {
    /// The kind and number of the format, the first byte of every encoded record: no record of PBFT begins with it.
    pub const VERSION: u8 = 0x81;

    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![Self::VERSION];
        bytes.extend(encode(self));
        bytes
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`DecodeError`] for another version and for anything but one whole record.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes.split_first() {
            Some((&Self::VERSION, rest)) => decode_exact("raft record", rest, limits::FRAME_BYTES_MAX),
            Some((version, _)) => {
                let reason = format!("version {version}, this program knows {}", Self::VERSION);
                Err(DecodeError::Malformed { what: "raft record", reason })
            }
            None => Err(DecodeError::Malformed { what: "raft record", reason: "no bytes".to_owned() }),
        }
    }

    /// The proposal whose bodies must be stored with this record, if any.
    #[must_use]
    pub const fn bodies_of(&self) -> Option<&Arc<Proposal>> {
        if let Self::Entry(Entry { content: Content::Proposal(proposal), .. }) = self { Some(proposal) } else { None }
    }
}
