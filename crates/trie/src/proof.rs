//! Proofs that an entry is, or is not, in a trie with a known root.

use alloy_primitives::{B256, Bytes};

use crate::node::{self, DecodeError, Kind, LeafData, Reference};
use crate::{Hasher, Nibbles, NodeSource, Trie, TrieError};

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// A node does not hash to what the root or the node before it says.
    #[error("node {index} of the proof has hash {actual}, expected {expected}")]
    Hash {
        /// Which node, from 0.
        index: usize,
        /// The hash that the node before it, or the root, asks for.
        expected: B256,
        /// The node's hash.
        actual: B256,
    },
    /// The nodes end before the key does.
    #[error("the proof ends after {len} nodes where another must follow")]
    Incomplete {
        /// The number of nodes.
        len: usize,
    },
    /// There are nodes after the last one that the key leads to.
    #[error("the proof has {len} nodes, of which only {used} belong to the key")]
    Surplus {
        /// The number of nodes.
        len: usize,
        /// How many of them the key leads to.
        used: usize,
    },
    /// A node is malformed.
    #[error("node {index} of the proof is malformed: {source}")]
    Malformed {
        /// Which node, from 0.
        index: usize,
        /// What is wrong with it.
        source: DecodeError,
    },
}

impl Trie {
    /// The RLP of the nodes from the root towards `key`, as in `eth_getProof`: up to the entry, or up to where it is
    /// seen to be absent. Nodes that lie inside their parents are not listed; an empty trie needs no nodes.
    ///
    /// # Errors
    /// [`TrieError`] if a node cannot be read.
    pub fn prove(&self, source: &dyn NodeSource, key: &Nibbles) -> Result<Vec<Bytes>, TrieError> {
        self.find_with_proof(source, key).map(|(_, proof)| proof)
    }

    /// What is under `key`, together with [`Self::prove`].
    pub(crate) fn find_with_proof(
        &self,
        source: &dyn NodeSource,
        key: &Nibbles,
    ) -> Result<(Option<LeafData>, Vec<Bytes>), TrieError> {
        let mut proof = Vec::new();
        let data = self.descend(source, key, |reference, kind| {
            if reference.is_hash() {
                let mut rlp = Vec::new();
                node::encode(kind, &mut rlp);
                proof.push(rlp.into());
            }
        })?;
        Ok((data, proof))
    }
}

/// Checks a proof of `key` against a root and returns what it proves: the value, or `None` that there is no entry.
///
/// # Errors
/// [`ProofError`] if the proof proves neither, or contains more than it needs.
pub fn verify_proof(hasher: Hasher, root: B256, key: &Nibbles, proof: &[Bytes]) -> Result<Option<Bytes>, ProofError> {
    let len = proof.len();
    let mut used = 0;
    let mut depth = 0;
    let mut next = (root != hasher.empty_root()).then_some(Reference::Hash(root));
    let mut value = None;
    while let Some(reference) = next {
        let decoded = match &reference {
            Reference::Hash(expected) => {
                let rlp = proof.get(used).ok_or(ProofError::Incomplete { len })?;
                let actual = hasher.hash(rlp);
                if actual != *expected {
                    return Err(ProofError::Hash { index: used, expected: *expected, actual });
                }
                used += 1;
                node::decode(rlp)
            }
            Reference::Inline { .. } => node::decode(reference.inline_rlp().unwrap_or_default()),
        };
        let index = used.saturating_sub(1);
        next = match decoded.map_err(|source| ProofError::Malformed { index, source })? {
            Kind::Leaf(leaf) => {
                value = (leaf.suffix == key.suffix(depth)).then_some(leaf.data.value);
                None
            }
            Kind::Extension(extension) => {
                let follows = key.has_at(depth, &extension.prefix);
                depth += extension.prefix.len();
                follows.then_some(extension.child.reference)
            }
            Kind::Branch(branch) => match key.get(depth) {
                Some(nibble) => {
                    depth += 1;
                    branch.child(nibble).map(|child| child.reference)
                }
                None => {
                    value = branch.value.map(|data| data.value);
                    None
                }
            },
        };
    }
    if used < len {
        return Err(ProofError::Surplus { len, used });
    }
    Ok(value.map(|value| Bytes::copy_from_slice(&value)))
}
