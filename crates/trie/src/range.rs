//! Walking over the entries and nodes of a trie in order.

use std::ops::ControlFlow;

use alloy_primitives::Bytes;

use crate::node::{Child, Kind};
use crate::update::Walker;
use crate::{Nibbles, NodeSource, Trie, TrieError};

/// Which way a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From smaller to greater keys.
    Up,
    /// From greater to smaller keys.
    Down,
}

type Visit<'a> = &'a mut dyn FnMut(Nibbles, &[u8]) -> ControlFlow<()>;

impl Trie {
    /// Shows entries in the order of their keys, beginning with `from` or, if it is absent, the next one in the given
    /// direction, until `visit` breaks off. Nodes that have to be read do not stay in memory.
    ///
    /// # Errors
    /// [`TrieError`] if a node cannot be read.
    pub fn visit(
        &self,
        source: &dyn NodeSource,
        from: &Nibbles,
        direction: Direction,
        visit: Visit<'_>,
    ) -> Result<(), TrieError> {
        let range = Range { walker: self.walker(source, self.generation), from, direction };
        match &self.root {
            Some(root) => range.visit_child(root, Nibbles::EMPTY, visit).map(|_| ()),
            None => Ok(()),
        }
    }

    /// The entry with the closest key that is strictly after (`Up`) or before (`Down`) `key`.
    ///
    /// # Errors
    /// [`TrieError`] if a node cannot be read.
    pub fn neighbour(
        &self,
        source: &dyn NodeSource,
        key: &Nibbles,
        direction: Direction,
    ) -> Result<Option<(Nibbles, Bytes)>, TrieError> {
        let mut found = None;
        self.visit(source, key, direction, &mut |other, value| {
            if other == *key {
                return ControlFlow::Continue(());
            }
            found = Some((other, Bytes::copy_from_slice(value)));
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// The paths of all nodes that a store has of this trie.
    pub(crate) fn stored_paths(&self, source: &dyn NodeSource) -> Result<Vec<Nibbles>, TrieError> {
        let mut paths = Vec::new();
        if let Some(root) = &self.root {
            list_stored(&self.walker(source, self.generation), root, Nibbles::EMPTY, &mut paths)?;
        }
        Ok(paths)
    }
}

struct Range<'a> {
    walker: Walker<'a>,
    from: &'a Nibbles,
    direction: Direction,
}

impl Range<'_> {
    /// Whether all keys that begin with `path` come before the walk's beginning.
    fn skips_below(&self, path: &Nibbles) -> bool {
        match self.direction {
            Direction::Up => path < self.from && !self.from.starts_with(path),
            Direction::Down => path > self.from,
        }
    }

    fn visit_entry(&self, key: Nibbles, value: &[u8], visit: Visit<'_>) -> ControlFlow<()> {
        let is_before = match self.direction {
            Direction::Up => key < *self.from,
            Direction::Down => key > *self.from,
        };
        if is_before { ControlFlow::Continue(()) } else { visit(key, value) }
    }

    fn visit_child(&self, child: &Child, path: Nibbles, visit: Visit<'_>) -> Result<ControlFlow<()>, TrieError> {
        if self.skips_below(&path) {
            return Ok(ControlFlow::Continue(()));
        }
        let node = self.walker.resolve(child, &path)?;
        let branch = match &node.kind {
            Kind::Leaf(leaf) => {
                let key = self.walker.join(&path, &leaf.suffix)?;
                return Ok(self.visit_entry(key, &leaf.data.value, visit));
            }
            Kind::Extension(extension) => {
                let path = self.walker.join(&path, &extension.prefix)?;
                return self.visit_child(&extension.child, path, visit);
            }
            Kind::Branch(branch) => branch,
        };
        let visit_value = |visit: Visit<'_>| match &branch.value {
            Some(data) => self.visit_entry(path, &data.value, visit),
            None => ControlFlow::Continue(()),
        };
        if self.direction == Direction::Up && visit_value(visit).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let mut children: Vec<_> = branch.children().collect();
        if self.direction == Direction::Down {
            children.reverse();
        }
        for (nibble, child) in children {
            if self.visit_child(child, self.walker.step(&path, nibble)?, visit)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(if self.direction == Direction::Down { visit_value(visit) } else { ControlFlow::Continue(()) })
    }
}

fn list_stored(walker: &Walker<'_>, child: &Child, path: Nibbles, paths: &mut Vec<Nibbles>) -> Result<(), TrieError> {
    if child.reference.is_hash() {
        paths.push(path);
    }
    match &walker.resolve(child, &path)?.kind {
        Kind::Leaf(_) => Ok(()),
        Kind::Extension(extension) => {
            list_stored(walker, &extension.child, walker.join(&path, &extension.prefix)?, paths)
        }
        Kind::Branch(branch) => branch
            .children()
            .try_for_each(|(nibble, child)| list_stored(walker, child, walker.step(&path, nibble)?, paths)),
    }
}
