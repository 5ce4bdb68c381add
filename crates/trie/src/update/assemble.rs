//! Putting nodes together from changed parts: fresh subtrees, branches, and the collapse of branches that lost all
//! but one of their children.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Effects, Keyed, Outcome, Stored, Walker};
use crate::node::{Branch, Child, Extension, Kind, Leaf, LeafData, Node, Place};
use crate::{Nibbles, TrieError};

/// From how many leaf updates on the children of a branch are walked on several threads. At about 2 µs an update this
/// is half a millisecond of work, a hundred times what handing it over costs.
pub(crate) const PARALLEL_WEIGHT_MIN: usize = 256;

/// An entry of a subtree that is built from nothing. `data` is taken out once.
pub(super) struct Entry {
    pub(super) key: Nibbles,
    pub(super) data: Option<LeafData>,
}

impl Keyed for Entry {
    fn key(&self) -> &Nibbles {
        &self.key
    }
}

/// What becomes of one of the 16 places of a branch.
pub(super) enum Slot {
    /// As in the old branch, if there was one.
    Same,
    /// A child that is already encoded and reported: a branch, unless it was there before.
    Child(Child),
    Short {
        node: Arc<Node>,
        stored: bool,
    },
    Gone {
        stored: bool,
    },
}

impl Slot {
    pub(super) const SAME: [Self; 16] = [const { Self::Same }; 16];

    /// Puts the outcome of an update into its place. `stored`: whether the store has the node that was there.
    pub(super) fn put(slots: &mut [Self; 16], nibble: u8, outcome: Outcome, stored: bool) {
        let Some(slot) = slots.get_mut(usize::from(nibble)) else { return };
        match outcome {
            Outcome::Same => {}
            Outcome::Gone => *slot = Self::Gone { stored },
            Outcome::Short(node) => *slot = Self::Short { node, stored },
            Outcome::Branch(child) => *slot = Self::Child(child),
        }
    }
}

/// Groups sorted items by the nibble at `depth`, which all of them have, and works on each group, on several threads if
/// there is much to do. Results and effects come in the order of the nibbles.
pub(super) fn for_each_group<T: Keyed, R: Send>(
    depth: usize,
    items: &mut [T],
    effects: &mut Effects,
    work: impl Fn(u8, &mut [T], &mut Effects) -> Result<R, TrieError> + Sync,
    mut done: impl FnMut(u8, R),
) -> Result<(), TrieError> {
    let nibble = |item: &T| item.key().nibble_or_zero(depth);
    let named = |group: &[T]| group.first().map_or(0, nibble);
    let one_group = named(items) == items.last().map_or(0, nibble);
    if one_group || items.iter().map(Keyed::weight).sum::<usize>() < PARALLEL_WEIGHT_MIN {
        for group in items.chunk_by_mut(|a, b| nibble(a) == nibble(b)) {
            let nibble = named(group);
            done(nibble, work(nibble, group, effects)?);
        }
        return Ok(());
    }
    let groups: Vec<&mut [T]> = items.chunk_by_mut(|a, b| nibble(a) == nibble(b)).collect();
    let results = groups.into_par_iter().map(|group| {
        let mut effects = Effects::default();
        let nibble = named(group);
        let result = work(nibble, group, &mut effects)?;
        Ok((nibble, result, effects))
    });
    for (nibble, result, more) in results.collect::<Result<Vec<_>, TrieError>>()? {
        effects.absorb(more);
        done(nibble, result);
    }
    Ok(())
}

/// What the store has under a nibble of a branch, if it has anything there.
fn stored_child(old: Option<&Branch>, nibble: u8, stored: bool) -> Stored<'_> {
    match old {
        _ if !stored => Stored::No,
        Some(old) => Stored::of(old.child(nibble)),
        None => Stored::Unseen,
    }
}

impl Walker<'_> {
    /// Builds a subtree from nothing at `depth`. [`Outcome::Same`] if there are no entries.
    pub(super) fn build(
        &self,
        depth: usize,
        stored: bool,
        entries: &mut [Entry],
        effects: &mut Effects,
    ) -> Result<Outcome, TrieError> {
        let (key, last) = match entries {
            [] => return Ok(Outcome::Same),
            [only] => {
                let data = only.data.take();
                return Ok(data.map_or(Outcome::Same, |data| self.leaf(only.key.suffix(depth), data)));
            }
            [first, .., last] => (first.key, last.key),
        };
        let path = key.prefix(key.common_prefix_len(&last));
        let ends_here = key.len() == path.len();
        let (here, below) = entries.split_at_mut(usize::from(ends_here));
        let value = here.first_mut().and_then(|entry| entry.data.take());
        let mut slots = Slot::SAME;
        let build = |_, group: &mut [Entry], effects: &mut Effects| self.build(path.len() + 1, false, group, effects);
        for_each_group(path.len(), below, effects, build, |nibble, outcome| {
            Slot::put(&mut slots, nibble, outcome, false);
        })?;
        let outcome = self.assemble(&path, stored && path.len() == depth, None, slots, value, effects)?;
        self.wrap(&path.suffix(depth), outcome)
    }

    /// Makes what belongs at `path` of the places of a branch, which differ from those of `old` where they say so: a
    /// branch, or what is left of it.
    pub(super) fn assemble(
        &self,
        path: &Nibbles,
        stored: bool,
        old: Option<&Branch>,
        slots: [Slot; 16],
        value: Option<LeafData>,
        effects: &mut Effects,
    ) -> Result<Outcome, TrieError> {
        let is_filled = |(nibble, slot): &(u8, &Slot)| match slot {
            Slot::Same => old.is_some_and(|old| old.has(*nibble)),
            Slot::Child(_) | Slot::Short { .. } => true,
            Slot::Gone { .. } => false,
        };
        let filled = (0..).zip(&slots).filter(is_filled).count();
        if filled + usize::from(value.is_some()) < 2 {
            return self.collapse(path, old, slots, value, effects);
        }
        let mut places = [const { Place::Same }; 16];
        for ((nibble, slot), place) in (0..).zip(slots).zip(&mut places) {
            *place = match slot {
                Slot::Same => continue,
                Slot::Child(child) => Place::Child(child),
                Slot::Short { node, stored } => {
                    let stored = stored_child(old, nibble, stored);
                    Place::Child(self.settle(node, &self.step(path, nibble)?, stored, effects))
                }
                Slot::Gone { stored } => {
                    if stored {
                        effects.delete(self.step(path, nibble)?, stored_child(old, nibble, stored));
                    }
                    Place::Empty
                }
            };
        }
        let branch = self.node(Kind::Branch(Branch::changed(old, places, value.map(Box::new))));
        let stored = match old {
            _ if !stored => Stored::No,
            Some(old) => Stored::Branch(old),
            None => Stored::Unseen,
        };
        Ok(Outcome::Branch(self.settle(branch, path, stored, effects)))
    }

    /// What is left of a branch that has at most one entry.
    fn collapse(
        &self,
        path: &Nibbles,
        old: Option<&Branch>,
        slots: [Slot; 16],
        value: Option<LeafData>,
        effects: &mut Effects,
    ) -> Result<Outcome, TrieError> {
        let mut left = value.map_or(Outcome::Gone, |data| self.leaf(Nibbles::EMPTY, data));
        for (nibble, slot) in (0..).zip(slots) {
            let child = match slot {
                Slot::Same => old.and_then(|old| old.child(nibble)).cloned(),
                Slot::Child(child) => Some(child),
                Slot::Gone { stored: false } => None,
                Slot::Gone { stored: true } => {
                    effects.delete(self.step(path, nibble)?, stored_child(old, nibble, true));
                    None
                }
                Slot::Short { node, stored } => {
                    let place = self.step(path, nibble)?;
                    if stored {
                        effects.delete(place, stored_child(old, nibble, stored));
                    }
                    left = Outcome::Short(self.prepend(&place.suffix(path.len()), &node)?);
                    None
                }
            };
            if let Some(child) = child {
                left = Outcome::Short(self.merge(path, nibble, child, effects)?);
            }
        }
        Ok(left)
    }

    /// The last child of a branch takes the branch's place, with its nibble before it.
    fn merge(&self, path: &Nibbles, nibble: u8, child: Child, effects: &mut Effects) -> Result<Arc<Node>, TrieError> {
        let place = self.step(path, nibble)?;
        let prefix = place.suffix(path.len());
        let node = Arc::clone(&*self.resolve(&child, &place)?);
        let was_loaded = child.node.is_some();
        if matches!(node.kind, Kind::Branch(_)) {
            effects.loaded += isize::from(!was_loaded);
            return Ok(self.extension(prefix, Child { node: Some(node), ..child }));
        }
        effects.loaded -= isize::from(was_loaded);
        if child.reference.is_hash() {
            effects.delete(place, Stored::Node(&node.kind));
        }
        self.prepend(&prefix, &node)
    }

    /// Puts `prefix`, which may be empty, before what an update left.
    pub(super) fn wrap(&self, prefix: &Nibbles, outcome: Outcome) -> Result<Outcome, TrieError> {
        Ok(match outcome {
            _ if prefix.is_empty() => outcome,
            Outcome::Short(node) => Outcome::Short(self.prepend(prefix, &node)?),
            Outcome::Branch(child) => Outcome::Short(self.extension(*prefix, child)),
            Outcome::Same | Outcome::Gone => outcome,
        })
    }

    /// The leaf or extension with `prefix` before its path.
    fn prepend(&self, prefix: &Nibbles, node: &Arc<Node>) -> Result<Arc<Node>, TrieError> {
        Ok(match &node.kind {
            Kind::Leaf(leaf) => {
                let suffix = self.join(prefix, &leaf.suffix)?;
                self.node(Kind::Leaf(Leaf { suffix, data: leaf.data.clone() }))
            }
            Kind::Extension(extension) => {
                self.extension(self.join(prefix, &extension.prefix)?, extension.child.clone())
            }
            Kind::Branch(_) => Arc::clone(node),
        })
    }

    /// Encodes, hashes and reports a finished node.
    pub(crate) fn settle(&self, node: Arc<Node>, path: &Nibbles, stored: Stored<'_>, effects: &mut Effects) -> Child {
        let reference = effects.write(path, &node.kind, stored, self.hasher);
        effects.loaded += 1;
        Child { reference, node: Some(node) }
    }

    pub(super) fn node(&self, kind: Kind) -> Arc<Node> {
        Arc::new(Node { kind, generation: self.generation })
    }

    pub(super) fn leaf(&self, suffix: Nibbles, data: LeafData) -> Outcome {
        Outcome::Short(self.node(Kind::Leaf(Leaf { suffix, data })))
    }

    pub(super) fn extension(&self, prefix: Nibbles, child: Child) -> Arc<Node> {
        self.node(Kind::Extension(Box::new(Extension { prefix, child })))
    }
}
