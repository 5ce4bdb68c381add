//! The plain data of Lian: what nodes send, sign, store and show.
//!
//! Invariants of this crate:
//! - no cryptography beyond the hash that Ethereum's transaction format itself defines, no I/O, no clock, no randomness;
//! - every decoder of outside bytes is total (an error, never a panic) and allocates at most a small multiple of its input;
//! - a value that exists is well formed: a [`Transaction`] has a supported type and at most
//!   [`limits::TRANSACTION_BYTES_MAX`] bytes, a [`Members`] set is sorted and not empty.
//!
//! Main types: [`Transaction`], [`Block`], [`Receipt`], [`Proposal`], [`Vote`], [`Certificate`], [`Members`], [`Genesis`].

mod block;
mod codec;
mod consensus;
mod genesis;
mod ids;
pub mod limits;
mod members;
mod protocol;
mod receipt;
mod revocation;
mod transaction;

pub use alloy_consensus::Header;
pub use block::{Block, Extension, Skipped};
pub use codec::{DecodeError, decode_exact, read_bytes, read_text};
pub use consensus::{
    Certificate, CertificateKind, ChainContext, MemberSignature, Phase, Proposal, Signature, SignedVote, Vote,
};
pub use genesis::{
    CommitteeGenesis, CommitteeMember, ConsensusKind, ConsensusParameters, Genesis, GenesisAccount, GenesisError,
    GroupGenesis, HistoryDepth, Institution, NodeEntry, is_reserved,
};
pub use ids::{BlockNumber, Epoch, Gas, GroupId, Millis, ProposalDigest, View};
pub use members::{ConsensusKey, Member, MemberIndex, Members, MembersError};
pub use protocol::{
    ASSETS_PROTOCOL, AUTHORITIES_PROTOCOL, COMMITTEE_PROTOCOL, NAMES_PROTOCOL, PERMISSIONS_PROTOCOL,
    PROTOCOL_PARAMETER, PROTOCOL_VERSION_MAX, PROTOCOLS, Protocol, UnknownProtocol,
};
pub use receipt::Receipt;
pub use revocation::Revoked;
pub use transaction::{Transaction, TransactionError, TransactionKind};
