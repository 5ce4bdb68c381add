//! Applying a sorted batch of edits to a trie in one walk.
//!
//! The walk goes down only where there are edits and comes back with the replaced nodes, hashed. Where a batch is large
//! the children of a branch are walked in parallel; the result, and the order of the reported changes, do not depend
//! on it.

mod assemble;

use std::ops::{Deref, Range};
use std::sync::Arc;

use alloy_primitives::{B256, Bytes};

use crate::error::NodePlace;
use crate::node::{self, Branch, Child, DecodeError, Extension, Kind, Leaf, LeafData, Node, Reference};
use crate::{Hasher, Nibbles, NodeChange, NodeChanges, NodeSource, Owner, TrieError};

pub(crate) use assemble::PARALLEL_WEIGHT_MIN;
use assemble::{Entry, Slot};

/// Something with a key, in a sorted batch.
pub(crate) trait Keyed: Send {
    fn key(&self) -> &Nibbles;

    /// How many leaf updates this stands for; decides whether a batch is worth several threads.
    fn weight(&self) -> usize {
        1
    }
}

/// What is to happen to one key.
pub(crate) trait Edit: Keyed {
    /// Whether the entry goes away. Decided before the old entry is known.
    fn deletes(&self) -> bool;

    /// The new content of an entry, or `None` if it stays as it is. Called at most once, and only if the edit does
    /// not delete.
    fn put(
        &mut self,
        walker: &Walker<'_>,
        old: Option<&LeafData>,
        effects: &mut Effects,
    ) -> Result<Option<LeafData>, TrieError>;

    /// Told about the entry that goes away.
    fn removed(&mut self, walker: &Walker<'_>, old: &LeafData, effects: &mut Effects) -> Result<(), TrieError>;
}

/// What an update does beside building the new tree.
#[derive(Default)]
pub(crate) struct Effects {
    /// Nodes written and deleted in this trie.
    nodes: Vec<NodeChange>,
    /// Those after [`Self::nodes`], as places in [`Self::rlp`].
    recent: Vec<Recent>,
    /// The encoded nodes one after the other: one allocation for all of them.
    rlp: Vec<u8>,
    /// What changes in the storage tries of its accounts.
    pub(crate) storage: Vec<(B256, NodeChanges)>,
    /// How many more nodes than before are in memory.
    pub(crate) loaded: isize,
}

/// A changed path with the places of the new node and of the one before.
struct Recent {
    path: Nibbles,
    node: Option<Range<usize>>,
    before: Option<Range<usize>>,
}

/// What a store has at a path before an update.
#[derive(Clone, Copy)]
pub(crate) enum Stored<'a> {
    /// Nothing.
    No,
    /// A node that is not in memory.
    Unseen,
    /// This node.
    Node(&'a Kind),
    /// This branch.
    Branch(&'a Branch),
}

impl<'a> Stored<'a> {
    /// What the store has where a child stands.
    pub(crate) fn of(child: Option<&'a Child>) -> Self {
        match child {
            Some(child) if child.reference.is_hash() => {
                child.node.as_ref().map_or(Self::Unseen, |node| Self::Node(&node.kind))
            }
            Some(_) | None => Self::No,
        }
    }
}

impl Effects {
    /// Reports that what the store has at a path is to be deleted.
    pub(crate) fn delete(&mut self, path: Nibbles, stored: Stored<'_>) {
        let before = self.before(stored);
        self.recent.push(Recent { path, node: None, before });
    }

    /// The place of what the store has, where that is in memory.
    fn before(&mut self, stored: Stored<'_>) -> Option<Range<usize>> {
        let start = self.rlp.len();
        match stored {
            Stored::No | Stored::Unseen => return None,
            Stored::Node(kind) => node::encode(kind, &mut self.rlp),
            Stored::Branch(branch) => node::encode_whole_branch(branch, &mut self.rlp),
        }
        Some(start..self.rlp.len())
    }

    /// Encodes a node, names it, and reports it, or the deletion of what was `stored` at its path if its parent
    /// contains it. The root is always named by its hash (yellow paper, appendix D).
    fn write(&mut self, path: &Nibbles, kind: &Kind, stored: Stored<'_>, hasher: Hasher) -> Reference {
        let start = self.rlp.len();
        node::encode(kind, &mut self.rlp);
        let rlp = self.rlp.get(start..).unwrap_or_default();
        let reference = match Reference::to_node(rlp, hasher) {
            Reference::Inline { .. } if path.is_empty() => Reference::Hash(hasher.hash(rlp)),
            reference => reference,
        };
        if reference.is_hash() {
            let node = Some(start..self.rlp.len());
            let before = self.before(stored);
            self.recent.push(Recent { path: *path, node, before });
            return reference;
        }
        self.rlp.truncate(start);
        if !matches!(stored, Stored::No) {
            self.delete(*path, stored);
        }
        reference
    }

    fn flush(&mut self) {
        let rlp = Bytes::from(std::mem::take(&mut self.rlp));
        let slice = |range: Option<Range<usize>>| range.map(|range| rlp.slice(range));
        let change = |Recent { path, node, before }| NodeChange { path, node: slice(node), before: slice(before) };
        self.nodes.extend(self.recent.drain(..).map(change));
    }

    fn absorb(&mut self, mut other: Self) {
        self.flush();
        other.flush();
        self.nodes.append(&mut other.nodes);
        self.storage.append(&mut other.storage);
        self.loaded += other.loaded;
    }

    /// The nodes written and deleted.
    pub(crate) fn into_nodes(mut self) -> Vec<NodeChange> {
        self.flush();
        self.nodes
    }
}

/// What became of the node at a place.
pub(crate) enum Outcome {
    Same,
    Gone,
    /// A leaf or extension, not yet encoded because the parent may merge with it.
    Short(Arc<Node>),
    /// A branch, encoded and reported.
    Branch(Child),
}

/// The circumstances of a walk, which are the same for all of its nodes.
#[derive(Clone, Copy)]
pub(crate) struct Walker<'a> {
    pub(crate) source: &'a dyn NodeSource,
    pub(crate) owner: Owner,
    pub(crate) hasher: Hasher,
    pub(crate) generation: u64,
}

/// A node that is in memory or was just read.
pub(crate) enum Resolved<'a> {
    Held(&'a Arc<Node>),
    Read(Arc<Node>),
}

impl Deref for Resolved<'_> {
    type Target = Arc<Node>;

    fn deref(&self) -> &Arc<Node> {
        match self {
            Self::Held(node) => node,
            Self::Read(node) => node,
        }
    }
}

impl Walker<'_> {
    /// The node of `child` at `path`, from memory or, checked, from the source.
    pub(crate) fn resolve<'c>(&self, child: &'c Child, path: &Nibbles) -> Result<Resolved<'c>, TrieError> {
        if let Some(node) = &child.node {
            return Ok(Resolved::Held(node));
        }
        let kind = match (&child.reference, child.reference.inline_rlp()) {
            (Reference::Hash(hash), _) => node::decode(&self.read(*hash, path)?),
            (Reference::Inline { .. }, rlp) => node::decode(rlp.unwrap_or_default()),
        };
        let kind = kind.map_err(|error| self.malformed(path, error))?;
        Ok(Resolved::Read(self.node(kind)))
    }

    fn read(&self, hash: B256, path: &Nibbles) -> Result<Bytes, TrieError> {
        let place = || Box::new(NodePlace { owner: self.owner, path: *path });
        let bytes = self
            .source
            .node(self.owner, path, hash)
            .map_err(|source| TrieError::Source { place: place(), source })?
            .ok_or_else(|| TrieError::Missing { place: place(), hash })?;
        let actual = self.hasher.hash(&bytes);
        if actual != hash {
            return Err(TrieError::HashMismatch { place: place(), expected: hash, actual });
        }
        Ok(bytes)
    }

    pub(crate) fn malformed(&self, path: &Nibbles, source: DecodeError) -> TrieError {
        TrieError::Malformed { place: Box::new(NodePlace { owner: self.owner, path: *path }), source }
    }

    /// Two pieces of path put together. They fit unless a malformed node leads deeper than keys are long.
    pub(crate) fn join(&self, head: &Nibbles, tail: &Nibbles) -> Result<Nibbles, TrieError> {
        head.join(tail).ok_or_else(|| self.malformed(head, DecodeError::Path))
    }

    /// The place of a branch's child.
    pub(crate) fn step(&self, branch: &Nibbles, nibble: u8) -> Result<Nibbles, TrieError> {
        branch.push(nibble).ok_or_else(|| self.malformed(branch, DecodeError::Path))
    }

    /// Applies `edits`, at least one, whose keys all lead to the place `depth` nibbles below the root where `old` is.
    pub(crate) fn update_child<E: Edit>(
        &self,
        old: Option<&Child>,
        depth: usize,
        edits: &mut [E],
        effects: &mut Effects,
    ) -> Result<Outcome, TrieError> {
        let Some(old) = old else {
            let mut entries = Vec::with_capacity(edits.len());
            for edit in edits {
                self.put_new(edit, &mut entries, effects)?;
            }
            return self.build(depth, false, &mut entries, effects);
        };
        let path = edits.first().map(|edit| edit.key().prefix(depth)).unwrap_or_default();
        let node = self.resolve(old, &path)?;
        let stored = old.reference.is_hash();
        let outcome = match &node.kind {
            Kind::Leaf(leaf) => self.update_leaf(leaf, &path, stored, edits, effects)?,
            Kind::Extension(extension) => self.update_extension(extension, &path, stored, edits, effects)?,
            Kind::Branch(branch) => self.update_branch(branch, &path, stored, edits, effects)?,
        };
        if old.node.is_some() && !matches!(outcome, Outcome::Same) {
            effects.loaded -= 1;
        }
        Ok(outcome)
    }

    /// Lists the entry that an edit makes where there was none.
    fn put_new<E: Edit>(&self, edit: &mut E, entries: &mut Vec<Entry>, effects: &mut Effects) -> Result<(), TrieError> {
        if !edit.deletes()
            && let Some(data) = edit.put(self, None, effects)?
        {
            entries.push(Entry { key: *edit.key(), data: Some(data) });
        }
        Ok(())
    }

    /// `stored` here and below: whether the store has a node at this place, to be deleted or overwritten.
    fn update_leaf<E: Edit>(
        &self,
        leaf: &Leaf,
        path: &Nibbles,
        stored: bool,
        edits: &mut [E],
        effects: &mut Effects,
    ) -> Result<Outcome, TrieError> {
        let key = self.join(path, &leaf.suffix)?;
        let mut entries = Vec::new();
        let mut value = ValueOutcome::Same;
        for edit in edits {
            if *edit.key() == key {
                value = self.update_value(Some(&leaf.data), edit, effects)?;
            } else {
                self.put_new(edit, &mut entries, effects)?;
            }
        }
        match value {
            ValueOutcome::Same if entries.is_empty() => return Ok(Outcome::Same),
            ValueOutcome::New(data) if entries.is_empty() => return Ok(self.leaf(leaf.suffix, data)),
            ValueOutcome::Gone => {}
            ValueOutcome::New(data) => insert(&mut entries, key, data),
            ValueOutcome::Same => insert(&mut entries, key, leaf.data.clone()),
        }
        match self.build(path.len(), stored, &mut entries, effects)? {
            // There was a leaf, and nothing has taken its place.
            Outcome::Same => Ok(Outcome::Gone),
            outcome => Ok(outcome),
        }
    }

    fn update_value<E: Edit>(
        &self,
        old: Option<&LeafData>,
        edit: &mut E,
        effects: &mut Effects,
    ) -> Result<ValueOutcome, TrieError> {
        if !edit.deletes() {
            return Ok(edit.put(self, old, effects)?.map_or(ValueOutcome::Same, ValueOutcome::New));
        }
        match old {
            Some(old) => edit.removed(self, old, effects).map(|()| ValueOutcome::Gone),
            None => Ok(ValueOutcome::Same),
        }
    }

    fn update_extension<E: Edit>(
        &self,
        extension: &Extension,
        path: &Nibbles,
        stored: bool,
        edits: &mut [E],
        effects: &mut Effects,
    ) -> Result<Outcome, TrieError> {
        let prefix = &extension.prefix;
        let is_below = |edit: &E| edit.key().has_at(path.len(), prefix);
        if edits.iter().any(|edit| !edit.deletes() && !is_below(edit)) {
            return self.split_extension(extension, path, stored, edits, effects);
        }
        // Deletions that lead elsewhere have nothing to delete. What leads below stands together, as it is sorted.
        let first = edits.iter().position(is_below).unwrap_or(edits.len());
        let below = edits.get_mut(first..).unwrap_or_default();
        let count = below.iter().take_while(|edit| is_below(edit)).count();
        let below = below.get_mut(..count).unwrap_or_default();
        if below.is_empty() {
            return Ok(Outcome::Same);
        }
        let child_path = self.join(path, prefix)?;
        let outcome = self.update_child(Some(&extension.child), child_path.len(), below, effects)?;
        if matches!(outcome, Outcome::Gone | Outcome::Short(_)) && extension.child.reference.is_hash() {
            effects.delete(child_path, Stored::of(Some(&extension.child)));
        }
        self.wrap(prefix, outcome)
    }

    /// Edits lead away from an extension: a branch comes where the first of them leaves it.
    fn split_extension<E: Edit>(
        &self,
        extension: &Extension,
        path: &Nibbles,
        stored: bool,
        edits: &mut [E],
        effects: &mut Effects,
    ) -> Result<Outcome, TrieError> {
        let prefix = &extension.prefix;
        // Whatever the first and the last of sorted keys share with the prefix, all between them share too.
        let shared = |edit: Option<&E>| {
            edit.map_or(prefix.len(), |edit| edit.key().suffix(path.len()).common_prefix_len(prefix))
        };
        let common = shared(edits.first()).min(shared(edits.last()));
        let branch_path = self.join(path, &prefix.prefix(common))?;
        let onward = prefix.nibble_or_zero(common);
        let rest = Extension { prefix: prefix.suffix(common + 1), child: extension.child.clone() };
        let onward_path = self.step(&branch_path, onward)?;

        let onward_stored = rest.prefix.is_empty() && rest.child.reference.is_hash();
        let update = |nibble, group: &mut [E], effects: &mut Effects| {
            if nibble != onward {
                self.update_child(None, branch_path.len() + 1, group, effects)
            } else if rest.prefix.is_empty() {
                self.update_child(Some(&rest.child), branch_path.len() + 1, group, effects)
            } else {
                self.update_extension(&rest, &onward_path, false, group, effects)
            }
        };
        let was_stored = |nibble| nibble == onward && onward_stored;
        let (value, mut slots) = self.update_children(&branch_path, None, edits, effects, update, was_stored)?;
        if let Some(slot @ Slot::Same) = slots.get_mut(usize::from(onward)) {
            *slot = if rest.prefix.is_empty() {
                Slot::Child(rest.child)
            } else {
                Slot::Short { node: self.extension(rest.prefix, rest.child), stored: false }
            };
        }
        let stored = stored && common == 0;
        let outcome = self.assemble(&branch_path, stored, None, slots, value.or_old(None), effects)?;
        self.wrap(&prefix.prefix(common), outcome)
    }

    fn update_branch<E: Edit>(
        &self,
        branch: &Branch,
        path: &Nibbles,
        stored: bool,
        edits: &mut [E],
        effects: &mut Effects,
    ) -> Result<Outcome, TrieError> {
        let depth = path.len() + 1;
        let old_value = branch.value.as_deref();
        let update = |nibble, group: &mut [E], effects: &mut Effects| {
            self.update_child(branch.child(nibble), depth, group, effects)
        };
        let was_stored = |nibble| branch.child(nibble).is_some_and(|child| child.reference.is_hash());
        let (value, slots) = self.update_children(path, old_value, edits, effects, update, was_stored)?;
        if matches!(value, ValueOutcome::Same) && slots.iter().all(|slot| matches!(slot, Slot::Same)) {
            return Ok(Outcome::Same);
        }
        self.assemble(path, stored, Some(branch), slots, value.or_old(old_value), effects)
    }

    /// Applies the edit that ends at a branch to its value, and the others, grouped by nibble, to its children.
    /// `was_stored`: whether the store has the child under a nibble.
    fn update_children<E: Edit>(
        &self,
        path: &Nibbles,
        old_value: Option<&LeafData>,
        edits: &mut [E],
        effects: &mut Effects,
        update: impl Fn(u8, &mut [E], &mut Effects) -> Result<Outcome, TrieError> + Sync,
        was_stored: impl Fn(u8) -> bool,
    ) -> Result<(ValueOutcome, [Slot; 16]), TrieError> {
        let ends_here = edits.first().is_some_and(|edit| edit.key().len() == path.len());
        let (here, below) = edits.split_at_mut(usize::from(ends_here));
        let value = match here.first_mut() {
            Some(edit) => self.update_value(old_value, edit, effects)?,
            None => ValueOutcome::Same,
        };
        let mut slots = Slot::SAME;
        assemble::for_each_group(path.len(), below, effects, update, |nibble, outcome| {
            Slot::put(&mut slots, nibble, outcome, was_stored(nibble));
        })?;
        Ok((value, slots))
    }
}

/// What became of the value of a leaf or branch.
enum ValueOutcome {
    Same,
    Gone,
    New(LeafData),
}

impl ValueOutcome {
    fn or_old(self, old: Option<&LeafData>) -> Option<LeafData> {
        match self {
            Self::Same => old.cloned(),
            Self::Gone => None,
            Self::New(data) => Some(data),
        }
    }
}

/// Inserts an entry into a sorted list.
fn insert(entries: &mut Vec<Entry>, key: Nibbles, data: LeafData) {
    let at = entries.partition_point(|entry| entry.key < key);
    entries.insert(at, Entry { key, data: Some(data) });
}
