//! Roots of whole tries from their sorted entries, in bounded memory: only the branches on the way to the current key
//! are held, at most one for each of its nibbles.

use alloy_primitives::B256;

use crate::node::{self, Reference};
use crate::{Hasher, Nibbles, TrieError};

/// Builds a trie from entries in the order of their keys and gives away each node as soon as it is finished.
pub struct RootBuilder<F> {
    hasher: Hasher,
    /// The last entry, whose place is known when the next one comes.
    pending: Option<(Nibbles, Vec<u8>)>,
    /// The unfinished branches on the path of the pending entry, the upper ones first.
    open: Vec<OpenBranch>,
    sink: F,
    scratch: Vec<u8>,
}

struct OpenBranch {
    depth: usize,
    children: [Option<Reference>; 16],
    value: Option<Vec<u8>>,
}

impl OpenBranch {
    const fn new(depth: usize, value: Option<Vec<u8>>) -> Self {
        Self { depth, children: [None; 16], value }
    }
}

impl<F: FnMut(&Nibbles, &[u8])> RootBuilder<F> {
    /// A builder that passes the path and the RLP of every node that a store must have to `sink`.
    pub const fn new(hasher: Hasher, sink: F) -> Self {
        Self { hasher, pending: None, open: Vec::new(), sink, scratch: Vec::new() }
    }

    /// Adds the next entry. One with an empty value counts as absent.
    ///
    /// # Errors
    /// [`TrieError::NotSorted`] if `key` is not greater than the one before.
    pub fn push(&mut self, key: Nibbles, value: &[u8]) -> Result<(), TrieError> {
        if value.is_empty() {
            return Ok(());
        }
        if let Some((before, value)) = self.pending.take() {
            if key <= before {
                self.pending = Some((before, value));
                return Err(TrieError::NotSorted { key: Box::new(key) });
            }
            let shared = before.common_prefix_len(&key);
            self.place(&before, value, shared);
            self.close(&before, shared);
        }
        self.pending = Some((key, value.to_vec()));
        Ok(())
    }

    /// The root of all entries.
    #[must_use]
    pub fn finish(mut self) -> B256 {
        let Some((key, value)) = self.pending.take() else { return self.hasher.empty_root() };
        let root = match self.open.first().map(|root| root.depth) {
            None => {
                node::encode_leaf(&key, &value, self.cleared());
                self.emit(&Nibbles::EMPTY)
            }
            Some(depth) => {
                self.place(&key, value, depth);
                self.close(&key, depth);
                self.finish_branch(&key, 0).unwrap_or(Reference::Hash(self.hasher.empty_root()))
            }
        };
        match root {
            Reference::Hash(root) => root,
            // Not reached: a node at the empty path is always named by its hash.
            Reference::Inline { .. } => self.hasher.hash(root.inline_rlp().unwrap_or_default()),
        }
    }

    /// Puts the entry into the lowest open branch, or into a new one where the next key, with which it shares `shared`
    /// nibbles, leaves its path.
    fn place(&mut self, key: &Nibbles, value: Vec<u8>, shared: usize) {
        if key.len() == shared {
            self.open.push(OpenBranch::new(shared, Some(value)));
            return;
        }
        let depth = self.open_depth(shared);
        node::encode_leaf(&key.suffix(depth + 1), &value, self.cleared());
        let leaf = self.emit(&key.prefix(depth + 1));
        self.attach(key, leaf);
    }

    /// Finishes the open branches below `shared`; the one at that depth stays open, and is opened if need be.
    fn close(&mut self, key: &Nibbles, shared: usize) {
        while self.open.last().is_some_and(|branch| branch.depth > shared) {
            let above = self.open.iter().rev().nth(1).map_or(shared, |branch| branch.depth.max(shared));
            if let Some(reference) = self.finish_branch(key, above + 1) {
                self.open_depth(above);
                self.attach(key, reference);
            }
        }
    }

    /// Makes sure that a branch is open at or below `depth`, and returns where.
    fn open_depth(&mut self, depth: usize) -> usize {
        match self.open.last() {
            Some(branch) if branch.depth >= depth => branch.depth,
            _ => {
                self.open.push(OpenBranch::new(depth, None));
                depth
            }
        }
    }

    /// Makes `reference` a child of the lowest open branch, in the direction of `key`.
    fn attach(&mut self, key: &Nibbles, reference: Reference) {
        if let Some(branch) = self.open.last_mut()
            && let Some(child) = branch.children.get_mut(usize::from(key.nibble_or_zero(branch.depth)))
        {
            *child = Some(reference);
        }
    }

    /// Finishes the lowest open branch, which lies on the path of `key`, with an extension if its parent refers to
    /// depth `from` and the branch begins below that.
    fn finish_branch(&mut self, key: &Nibbles, from: usize) -> Option<Reference> {
        let OpenBranch { depth, children, value } = self.open.pop()?;
        let child = |nibble: u8| children.get(usize::from(nibble)).and_then(Option::as_ref);
        node::encode_branch(child, value.as_deref(), self.cleared());
        let branch = self.emit(&key.prefix(depth));
        if from >= depth {
            return Some(branch);
        }
        node::encode_extension(&key.range(from, depth), &branch, self.cleared());
        Some(self.emit(&key.prefix(from)))
    }

    fn cleared(&mut self) -> &mut Vec<u8> {
        self.scratch.clear();
        &mut self.scratch
    }

    /// Names the node that was just encoded, and gives it away unless it lies inside its parent.
    fn emit(&mut self, path: &Nibbles) -> Reference {
        let reference = match Reference::to_node(&self.scratch, self.hasher) {
            Reference::Inline { .. } if path.is_empty() => Reference::Hash(self.hasher.hash(&self.scratch)),
            reference => reference,
        };
        if reference.is_hash() {
            (self.sink)(path, &self.scratch);
        }
        reference
    }
}

/// The root of a trie with these entries, which must come in strictly increasing order of their keys.
///
/// # Errors
/// [`TrieError::NotSorted`] if they do not.
pub fn root_of<V: AsRef<[u8]>>(
    hasher: Hasher,
    entries: impl IntoIterator<Item = (Nibbles, V)>,
) -> Result<B256, TrieError> {
    let mut builder = RootBuilder::new(hasher, |_: &Nibbles, _: &[u8]| {});
    for (key, value) in entries {
        builder.push(key, value.as_ref())?;
    }
    Ok(builder.finish())
}

/// The root of the trie that has each item under the RLP of its index: the transactions' and the receipts' root of a
/// block from their EIP-2718 bytes (yellow paper, section 4.3).
pub fn ordered_root<T: AsRef<[u8]>>(hasher: Hasher, items: &[T]) -> B256 {
    let mut builder = RootBuilder::new(hasher, |_: &Nibbles, _: &[u8]| {});
    // The RLP of 0 is 0x80: it comes after 127 and before 128.
    let small = 1..items.len().min(128);
    let order = small.chain(std::iter::once(0)).chain(128..items.len());
    let mut key = Vec::with_capacity(9);
    for index in order {
        let Some(item) = items.get(index) else { continue };
        key.clear();
        alloy_rlp::Encodable::encode(&index, &mut key);
        // The order above is that of the keys, and a key has at most nine bytes: neither can fail.
        if let Ok(key) = Nibbles::from_bytes(&key) {
            let pushed = builder.push(key, item.as_ref());
            debug_assert!(pushed.is_ok(), "index {index} out of order");
        }
    }
    builder.finish()
}
