//! One trie: entries under keys, a root, and what of it is in memory.

use std::fmt;
use std::sync::Arc;

use alloy_primitives::{B256, Bytes};

use crate::node::{Child, Kind, LeafData, Reference, Value};
use crate::update::{Edit, Effects, Keyed, Outcome, Stored, Walker};
use crate::{Hasher, Nibbles, NodeSource, Owner, TrieError};

/// A Merkle Patricia trie that never changes: an update makes a new one, which shares all untouched nodes with the old.
///
/// Cloning costs one reference count, so every speculative head can have its own. Nodes that are not in memory are
/// read from a [`NodeSource`] when a walk comes to them.
#[derive(Clone)]
pub struct Trie {
    pub(crate) hasher: Hasher,
    pub(crate) owner: Owner,
    pub(crate) root: Option<Child>,
    /// Nodes in memory below and including the root, with those of the storage tries that hang in the leaves.
    pub(crate) loaded: usize,
    /// The highest generation of any node.
    pub(crate) generation: u64,
}

/// What an update changes at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeChange {
    /// Where.
    pub path: Nibbles,
    /// The new RLP, or `None` where the store's node is to be deleted.
    pub node: Option<Bytes>,
    /// The RLP of the store's node there before, if the trie held that in memory; `None` where it did not, and where
    /// there was none.
    pub before: Option<Bytes>,
}

impl NodeChange {
    /// That the store's node at a path, which is not in memory, is to be deleted.
    pub(crate) const fn deletion(path: Nibbles) -> Self {
        Self { path, node: None, before: None }
    }
}

/// What an update changes in a store of nodes by path: each path at most once, in an order that depends on the update
/// alone. The nodes lie in few large allocations; whoever keeps some of them for long should copy those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeChanges(Vec<NodeChange>);

impl NodeChanges {
    pub(crate) const fn new(changes: Vec<NodeChange>) -> Self {
        Self(changes)
    }

    /// The changed paths.
    pub fn iter(&self) -> std::slice::Iter<'_, NodeChange> {
        self.0.iter()
    }

    /// The number of changed paths.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<NodeChange> for NodeChanges {
    fn from_iter<I: IntoIterator<Item = NodeChange>>(changes: I) -> Self {
        Self(changes.into_iter().collect())
    }
}

impl IntoIterator for NodeChanges {
    type Item = NodeChange;
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a NodeChanges {
    type Item = &'a NodeChange;
    type IntoIter = std::slice::Iter<'a, NodeChange>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Trie {
    /// A trie without entries.
    #[must_use]
    pub const fn empty(hasher: Hasher, owner: Owner) -> Self {
        Self { hasher, owner, root: None, loaded: 0, generation: 0 }
    }

    /// The trie with this root, none of it in memory. Nothing is read until it is used.
    #[must_use]
    pub fn at_root(hasher: Hasher, owner: Owner, root: B256) -> Self {
        let root = (root != hasher.empty_root()).then_some(Child::stub(Reference::Hash(root)));
        Self { hasher, owner, root, loaded: 0, generation: 0 }
    }

    /// The root hash.
    #[must_use]
    pub fn root(&self) -> B256 {
        match &self.root {
            Some(Child { reference: Reference::Hash(root), .. }) => *root,
            _ => self.hasher.empty_root(),
        }
    }

    /// Whose trie this is.
    #[must_use]
    pub const fn owner(&self) -> Owner {
        self.owner
    }

    /// The hash function.
    #[must_use]
    pub const fn hasher(&self) -> Hasher {
        self.hasher
    }

    /// Whether there are no entries.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The number of nodes that this trie holds in memory, some of which it may share with other versions.
    #[must_use]
    pub const fn loaded_nodes(&self) -> usize {
        self.loaded
    }

    /// Sets (`Some`) and deletes (`None` or an empty value) entries, whose keys must be strictly increasing.
    ///
    /// `generation` marks the nodes that this builds or loads, for [`Trie::evict`]: the block's number. A lower one
    /// than before counts as the one before. Returns the new trie and what to change in the store.
    ///
    /// # Errors
    /// [`TrieError`] if the keys are out of order or a node cannot be read; this trie stays as it is.
    pub fn update(
        &self,
        source: &dyn NodeSource,
        generation: u64,
        changes: impl IntoIterator<Item = (Nibbles, Option<Vec<u8>>)>,
    ) -> Result<(Self, NodeChanges), TrieError> {
        let plain = |(key, value): (_, Option<Vec<u8>>)| PlainEdit::new(key, &value.unwrap_or_default());
        let mut edits: Vec<_> = changes.into_iter().map(plain).collect();
        let mut effects = Effects::default();
        let trie = self.edit(source, generation, &mut edits, &mut effects)?;
        Ok((trie, NodeChanges(effects.into_nodes())))
    }

    /// Applies a sorted batch. `effects` must be new.
    pub(crate) fn edit<E: Edit>(
        &self,
        source: &dyn NodeSource,
        generation: u64,
        edits: &mut [E],
        effects: &mut Effects,
    ) -> Result<Self, TrieError> {
        let unsorted = edits.windows(2).find_map(|pair| match pair {
            [a, b] if a.key() >= b.key() => Some(*b.key()),
            _ => None,
        });
        if let Some(key) = unsorted {
            return Err(TrieError::NotSorted { key: Box::new(key) });
        }
        if edits.is_empty() {
            return Ok(self.clone());
        }
        let generation = generation.max(self.generation);
        let walker = self.walker(source, generation);
        let root = match walker.update_child(self.root.as_ref(), 0, edits, effects)? {
            Outcome::Same => return Ok(self.clone()),
            Outcome::Gone => {
                effects.delete(Nibbles::EMPTY, Stored::of(self.root.as_ref()));
                None
            }
            Outcome::Short(node) => Some(walker.settle(node, &Nibbles::EMPTY, Stored::of(self.root.as_ref()), effects)),
            Outcome::Branch(child) => Some(child),
        };
        Ok(Self { root, loaded: self.loaded.saturating_add_signed(effects.loaded), generation, ..*self })
    }

    pub(crate) const fn walker<'a>(&self, source: &'a dyn NodeSource, generation: u64) -> Walker<'a> {
        Walker { source, owner: self.owner, hasher: self.hasher, generation }
    }

    /// The value under `key`.
    ///
    /// # Errors
    /// [`TrieError`] if a node cannot be read.
    pub fn get(&self, source: &dyn NodeSource, key: &Nibbles) -> Result<Option<Bytes>, TrieError> {
        let data = self.descend(source, key, |_, _| {})?;
        Ok(data.map(|data| Bytes::copy_from_slice(&data.value)))
    }

    /// Walks from the root towards `key`, shows each node on the way and returns what is there.
    pub(crate) fn descend(
        &self,
        source: &dyn NodeSource,
        key: &Nibbles,
        mut visit: impl FnMut(&Reference, &Kind),
    ) -> Result<Option<LeafData>, TrieError> {
        let walker = self.walker(source, self.generation);
        let mut depth = 0;
        let mut next = self.root.clone();
        while let Some(child) = next {
            let node = Arc::clone(&*walker.resolve(&child, &key.prefix(depth))?);
            visit(&child.reference, &node.kind);
            next = match &node.kind {
                Kind::Leaf(leaf) => return Ok((leaf.suffix == key.suffix(depth)).then(|| leaf.data.clone())),
                Kind::Extension(extension) => {
                    let follows = key.has_at(depth, &extension.prefix);
                    depth += extension.prefix.len();
                    follows.then(|| extension.child.clone())
                }
                Kind::Branch(branch) => {
                    let Some(nibble) = key.get(depth) else { return Ok(branch.value.as_deref().cloned()) };
                    depth += 1;
                    branch.child(nibble).cloned()
                }
            };
        }
        Ok(None)
    }
}

impl fmt::Debug for Trie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trie")
            .field("owner", &self.owner)
            .field("root", &self.root())
            .field("loaded", &self.loaded)
            .finish_non_exhaustive()
    }
}

/// Setting or deleting a plain value.
pub(crate) struct PlainEdit {
    key: Nibbles,
    value: Option<Value>,
}

impl PlainEdit {
    /// An empty value deletes: the yellow paper has no entries without value.
    pub(crate) fn new(key: Nibbles, value: &[u8]) -> Self {
        Self { key, value: (!value.is_empty()).then(|| value.into()) }
    }
}

impl Keyed for PlainEdit {
    fn key(&self) -> &Nibbles {
        &self.key
    }
}

impl Edit for PlainEdit {
    fn deletes(&self) -> bool {
        self.value.is_none()
    }

    fn put(
        &mut self,
        _walker: &Walker<'_>,
        old: Option<&LeafData>,
        _effects: &mut Effects,
    ) -> Result<Option<LeafData>, TrieError> {
        let value = self.value.as_ref().filter(|value| old.is_none_or(|old| *old.value != ***value));
        Ok(value.map(|value| LeafData { value: value.clone(), storage: None }))
    }

    fn removed(&mut self, _walker: &Walker<'_>, _old: &LeafData, _effects: &mut Effects) -> Result<(), TrieError> {
        Ok(())
    }
}
