//! Where nodes come from that are not in memory.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use alloy_primitives::{B256, Bytes};

use crate::{Nibbles, NodeChange, NodeChanges, StateNodeChanges};

/// Whose trie a node belongs to: `None` for the trie of accounts, or the hashed address of the account whose storage
/// it is.
pub type Owner = Option<B256>;

/// A store that failed to answer, which is not the same as a node that it does not have.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SourceError(Box<dyn Error + Send + Sync>);

impl SourceError {
    /// Wraps the store's own error.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

/// A store of nodes by path.
///
/// What it returns need not be trusted: the trie checks it against the hash that the parent names.
pub trait NodeSource: Sync {
    /// The RLP of the node of `owner` at `path`, or `None` if there is none. `hash` is what the answer must hash to;
    /// a store that keeps several versions of a path may use it to choose.
    ///
    /// # Errors
    /// [`SourceError`] when the store cannot tell.
    fn node(&self, owner: Owner, path: &Nibbles, hash: B256) -> Result<Option<Bytes>, SourceError>;
}

/// Nodes by path in memory: the source of a trie that has no store behind it, and of tests.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MemoryNodes {
    nodes: BTreeMap<(Owner, Nibbles), Bytes>,
}

impl MemoryNodes {
    /// Writes and deletes the nodes of one trie.
    pub fn apply(&mut self, owner: Owner, changes: &NodeChanges) {
        for NodeChange { path, node, .. } in changes {
            match node {
                Some(node) => self.nodes.insert((owner, *path), Bytes::copy_from_slice(node)),
                None => self.nodes.remove(&(owner, *path)),
            };
        }
    }

    /// Writes and deletes the nodes of the whole state.
    pub fn apply_state(&mut self, changes: &StateNodeChanges) {
        self.apply(None, &changes.accounts);
        for (owner, storage) in &changes.storage {
            self.apply(Some(*owner), storage);
        }
    }

    /// The number of nodes held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no nodes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All nodes in the order of owner and path.
    pub fn iter(&self) -> impl Iterator<Item = (Owner, &Nibbles, &Bytes)> {
        self.nodes.iter().map(|((owner, path), node)| (*owner, path, node))
    }
}

impl FromIterator<(Owner, Nibbles, Bytes)> for MemoryNodes {
    fn from_iter<I: IntoIterator<Item = (Owner, Nibbles, Bytes)>>(nodes: I) -> Self {
        Self { nodes: nodes.into_iter().map(|(owner, path, node)| ((owner, path), node)).collect() }
    }
}

impl fmt::Debug for MemoryNodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryNodes({} nodes)", self.nodes.len())
    }
}

impl NodeSource for MemoryNodes {
    fn node(&self, owner: Owner, path: &Nibbles, _hash: B256) -> Result<Option<Bytes>, SourceError> {
        Ok(self.nodes.get(&(owner, *path)).cloned())
    }
}
