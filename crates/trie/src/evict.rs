//! Keeping memory bounded: nodes that have not been touched for long go back to being mere references.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Trie;
use crate::node::{Branch, Child, Extension, Kind, Leaf, LeafData, Node, Place};

/// Numerator and denominator of what remains of the limit after an eviction, so that the next one is some blocks away
/// and its walk over all nodes is shared by their updates.
const KEPT_SHARE: (usize, usize) = (3, 4);

/// What to drop.
struct Plan {
    /// All nodes of lower generations.
    below: u64,
    /// So many more of exactly this generation, from the leaves up.
    partly: usize,
}

impl Trie {
    /// The same trie with less of it in memory: if more than `max_loaded_nodes` are, those that were built or loaded
    /// longest ago are dropped until three quarters of the limit remain.
    ///
    /// Only nodes of generations up to `flushed` are dropped. The caller promises that the source has all nodes that
    /// updates with these generations reported *on the way to this trie*; those of an abandoned fork do not count. If
    /// too few nodes are that old, more than the limit remain.
    #[must_use]
    pub fn evict(&self, max_loaded_nodes: usize, flushed: u64) -> Self {
        if self.loaded <= max_loaded_nodes {
            return self.clone();
        }
        let mut by_generation = BTreeMap::new();
        count(self.root.as_ref(), &mut by_generation);
        let total = by_generation.values().sum::<usize>();
        let target = max_loaded_nodes / KEPT_SHARE.1 * KEPT_SHARE.0;
        let mut surplus = total.saturating_sub(target);
        let mut plan = Plan { below: 0, partly: 0 };
        for (generation, nodes) in by_generation.range(..=flushed) {
            plan = Plan { below: *generation, partly: surplus.min(*nodes) };
            surplus -= plan.partly;
            if surplus == 0 {
                break;
            }
        }
        self.prune(&mut plan)
    }

    fn prune(&self, plan: &mut Plan) -> Self {
        let root = self.root.as_ref().map(|root| prune(root, plan).unwrap_or_else(|| root.clone()));
        let mut left = BTreeMap::new();
        count(root.as_ref(), &mut left);
        Self { root, loaded: left.values().sum(), ..*self }
    }
}

/// Counts the nodes in memory by generation.
fn count(child: Option<&Child>, by_generation: &mut BTreeMap<u64, usize>) {
    let Some(node) = child.and_then(|child| child.node.as_ref()) else { return };
    *by_generation.entry(node.generation).or_default() += 1;
    let mut data = None;
    match &node.kind {
        Kind::Leaf(leaf) => data = Some(&leaf.data),
        Kind::Extension(extension) => count(Some(&extension.child), by_generation),
        Kind::Branch(branch) => {
            branch.children().for_each(|(_, child)| count(Some(child), by_generation));
            data = branch.value.as_deref();
        }
    }
    if let Some(storage) = data.and_then(|data| data.storage.as_ref()) {
        count(storage.root.as_ref(), by_generation);
    }
}

/// The child with less in memory, or `None` if nothing of it is dropped.
///
/// No node has a higher generation than its parent, so what is below a node that is old enough is old enough.
fn prune(child: &Child, plan: &mut Plan) -> Option<Child> {
    let node = child.node.as_ref()?;
    if node.generation < plan.below {
        return Some(Child::stub(child.reference));
    }
    let kind = match &node.kind {
        Kind::Leaf(leaf) => prune_data(&leaf.data, plan).map(|data| Kind::Leaf(Leaf { suffix: leaf.suffix, data })),
        Kind::Extension(extension) => prune(&extension.child, plan)
            .map(|child| Kind::Extension(Box::new(Extension { prefix: extension.prefix, child }))),
        Kind::Branch(branch) => prune_branch(branch, plan),
    };
    if node.generation == plan.below && plan.partly > 0 && !holds_nodes(kind.as_ref().unwrap_or(&node.kind)) {
        plan.partly -= 1;
        return Some(Child::stub(child.reference));
    }
    let node = Arc::new(Node { kind: kind?, generation: node.generation });
    Some(Child { reference: child.reference, node: Some(node) })
}

fn prune_branch(branch: &Branch, plan: &mut Plan) -> Option<Kind> {
    let mut changed = false;
    let mut places = [const { Place::Same }; 16];
    for (place, nibble) in places.iter_mut().zip(0..) {
        if let Some(child) = branch.child(nibble).and_then(|child| prune(child, plan)) {
            *place = Place::Child(child);
            changed = true;
        }
    }
    let value = branch.value.as_ref().map(|data| {
        let pruned = prune_data(data, plan);
        changed |= pruned.is_some();
        pruned.map_or_else(|| data.clone(), Box::new)
    });
    changed.then(|| Kind::Branch(Branch::changed(Some(branch), places, value)))
}

fn prune_data(data: &LeafData, plan: &mut Plan) -> Option<LeafData> {
    let storage = data.storage.as_ref()?;
    let pruned = storage.prune(plan);
    (pruned.loaded != storage.loaded).then(|| LeafData { value: data.value.clone(), storage: Some(Arc::new(pruned)) })
}

/// Whether nodes in memory hang below.
fn holds_nodes(kind: &Kind) -> bool {
    let holds = |data: &LeafData| data.storage.as_ref().is_some_and(|storage| storage.loaded > 0);
    match kind {
        Kind::Leaf(leaf) => holds(&leaf.data),
        Kind::Extension(extension) => extension.child.node.is_some(),
        Kind::Branch(branch) => {
            branch.children().any(|(_, child)| child.node.is_some()) || branch.value.as_deref().is_some_and(holds)
        }
    }
}
