//! The authenticated state: Ethereum's Merkle Patricia trie (yellow paper, appendix D), kept up to date
//! block by block.
//!
//! - [`Trie`] is one trie over keys of up to 32 bytes. It never changes; [`Trie::update`] applies a sorted batch in one
//!   walk and returns the new trie and the [`NodeChanges`] for a store of nodes by path.
//! - [`StateTrie`] is the trie of accounts with the storage tries in its leaves, keyed by hashes.
//! - [`NodeSource`] is where nodes come from that are not in memory. Whatever it returns is checked against its hash.
//! - [`Trie::prove`] and [`verify_proof`] are both ends of `eth_getProof`.
//! - [`RootBuilder`], [`root_of`] and [`ordered_root`] compute roots of whole tries from sorted entries in bounded
//!   memory.
//!
//! Invariants:
//! - No I/O, no clock, no random source; the result does not depend on the number of threads.
//! - A node, once shared, never changes. An error therefore leaves the trie that was asked as it was.
//! - No node has a higher generation than its parent, so an old node never hides a newer one from the store
//!   ([`Trie::evict`]).
//! - No bytes from outside make it panic: a malformed node is an error that names owner and path.

mod error;
mod evict;
mod hasher;
mod nibbles;
mod node;
mod proof;
mod range;
mod source;
mod state;
mod stream;
mod trie;
mod update;

pub use error::{NodePlace, TrieError};
pub use hasher::Hasher;
pub use nibbles::{KeyTooLong, Nibbles};
pub use node::DecodeError;
pub use proof::{ProofError, verify_proof};
pub use range::Direction;
pub use source::{MemoryNodes, NodeSource, Owner, SourceError};
pub use state::{Account, AccountLeaf, AccountProof, AccountUpdate, StateNodeChanges, StateTrie, StorageProof};
pub use stream::{RootBuilder, ordered_root, root_of};
pub use trie::{NodeChange, NodeChanges, Trie};
