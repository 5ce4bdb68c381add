//! What can go wrong with a trie.

use std::fmt;

use alloy_primitives::{Address, B256};

use crate::node::DecodeError;
use crate::{Nibbles, Owner, SourceError};

/// The place of a node: whose trie, and the path from its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodePlace {
    /// Whose trie the node belongs to.
    pub owner: Owner,
    /// The path from the root to where the node begins.
    pub path: Nibbles,
}

impl fmt::Display for NodePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.owner {
            None => write!(f, "node at path \"{}\" of the account trie", self.path),
            Some(owner) => write!(f, "node at path \"{}\" of the storage trie of hashed address {owner}", self.path),
        }
    }
}

/// Why a trie could not be read or changed. The trie that was asked is unchanged in every case.
#[derive(Debug, thiserror::Error)]
pub enum TrieError {
    /// The source has no node where the trie needs one.
    #[error("{place} is missing (its hash is {hash})")]
    Missing {
        /// Which node.
        place: Box<NodePlace>,
        /// The hash that its parent names.
        hash: B256,
    },
    /// The source's node is not the one that its parent names.
    #[error("{place} has hash {actual} where its parent says {expected}")]
    HashMismatch {
        /// Which node.
        place: Box<NodePlace>,
        /// The hash that the parent names.
        expected: B256,
        /// The hash of what the source returned.
        actual: B256,
    },
    /// The bytes hash as they should but are no valid node, or contradict their place.
    #[error("{place} is malformed: {source}")]
    Malformed {
        /// Which node.
        place: Box<NodePlace>,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The source failed.
    #[error("{place} could not be read: {source}")]
    Source {
        /// Which node.
        place: Box<NodePlace>,
        /// The source's own error.
        source: SourceError,
    },
    /// The changes of a batch are not in strictly increasing order of their keys.
    #[error("the key {key} follows a greater or equal one in a batch that must be sorted")]
    NotSorted {
        /// The first key out of order.
        key: Box<Nibbles>,
    },
    /// One address or slot occurs twice in a batch.
    #[error("{address} or one of its storage slots occurs twice in one batch")]
    Duplicate {
        /// The address that occurs twice, or whose slot does.
        address: Address,
    },
}
