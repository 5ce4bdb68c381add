//! What nodes send one another, and its canonical bytes.

use crate::codec::{encode, read_vec};
use crate::{Base, Entry};
use borsh::{BorshDeserialize, BorshSerialize};
use lian_types::{BlockNumber, Certificate, DecodeError, SignedVote, decode_exact, limits};

/// A message between nodes of a Raft group.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// Raft itself. It is not signed: who sent it is known from the session it came over, and none of the members lies.
    Raft(Envelope),
    /// A member's signature on the header of a committed block (§4).
    Vote(SignedVote),
    /// The same again: the sender still lacks the certificate, and asks whoever has it.
    Question(SignedVote),
    /// The proof that a block is final, for a node that lags.
    Certificate(Certificate),
}

impl Message {
    /// The first byte of every message, which no message of PBFT begins with.
    pub const TAG: u8 = 0x52;

    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![Self::TAG];
        bytes.extend(encode(self));
        bytes
    }

    /// Reads a message from a peer's bytes; allocates in proportion to them.
    ///
    /// # Errors
    /// [`DecodeError`] for bytes longer than [`limits::FRAME_BYTES_MAX`] and for anything but one whole message.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes.split_first() {
            Some((&Self::TAG, rest)) => decode_exact("raft message", rest, limits::FRAME_BYTES_MAX),
            first => Err(DecodeError::Malformed {
                what: "raft message",
                reason: format!("begins with {:?}", first.map(|(tag, _)| *tag)),
            }),
        }
    }
}

/// A message of Raft, as the dissertation of D. Ongaro names them (chapters 3, 4 and 9).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Envelope {
    /// The height that is final and durable at the sender.
    pub height: BlockNumber,
    /// The sender's term; of a pre-vote, the term that it would begin.
    pub term: u64,
    /// What it says.
    pub body: Body,
}

/// What a message of Raft says.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Body {
    /// The leader's entries above an index, perhaps none.
    Append {
        /// The index below the first entry.
        index: u64,
        /// Its term.
        log_term: u64,
        /// What the leader knows to be committed.
        commit: u64,
        /// The entries, without gaps.
        #[borsh(deserialize_with = "read_vec::<_, _, { crate::limits::APPEND_ENTRIES_MAX }>")]
        entries: Vec<Entry>,
    },
    /// The answer to an append or to a base.
    Appended {
        /// The last index that matches; where refused, the index that was asked for.
        index: u64,
        /// Where refused, the term at `hint`.
        log_term: u64,
        /// What is committed there.
        commit: u64,
        /// Whether it was refused.
        refused: bool,
        /// Where refused, up to which index the logs may match.
        hint: u64,
    },
    /// A candidate asks for a vote.
    AskVote {
        /// Whether it only asks whether it would get it.
        pre: bool,
        /// Its last index.
        index: u64,
        /// The term of its last entry.
        log_term: u64,
        /// What is committed there.
        commit: u64,
        /// The term of that.
        commit_term: u64,
        /// Whether the leader has asked it to take over.
        transfer: bool,
    },
    /// The answer to a candidate.
    Voted {
        /// Whether it answers a pre-vote.
        pre: bool,
        /// Whether the vote was refused.
        refused: bool,
        /// What is committed there.
        commit: u64,
        /// The term of that.
        commit_term: u64,
    },
    /// The leader is there.
    Heartbeat {
        /// What is committed, as far as the receiver is known to have it.
        commit: u64,
    },
    /// The answer to a heartbeat.
    Alive {
        /// What is committed there.
        commit: u64,
    },
    /// The leader no longer has what the receiver lacks: begin from here, with the blocks below by catch-up.
    Base(Base),
    /// The leader asks the receiver to take over.
    TakeOver,
}
