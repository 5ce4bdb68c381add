//! Nodes in memory.
//!
//! A node never changes once it is shared: an update builds new nodes along the paths it touches and shares all
//! others. The hash of a node lies in its parent, so that encoding a parent reads no child.

mod codec;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use alloy_primitives::B256;

use crate::{Hasher, Nibbles, Trie};

pub use codec::DecodeError;
pub(crate) use codec::{
    decode, decode_account, encode, encode_account, encode_branch, encode_extension, encode_leaf, encode_whole_branch,
};

/// A node and the time it came into memory.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// The generation of the update that built or loaded the node. No child has a higher one, because an update that
    /// keeps a child rebuilds all nodes above it.
    pub(crate) generation: u64,
}

/// The three kinds of node of the yellow paper, appendix D.
#[derive(Debug)]
pub(crate) enum Kind {
    Leaf(Leaf),
    Extension(Box<Extension>),
    Branch(Branch),
}

#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) suffix: Nibbles,
    pub(crate) data: LeafData,
}

/// What is stored under a key.
#[derive(Clone, Debug)]
pub(crate) struct LeafData {
    pub(crate) value: Value,
    /// In the trie of accounts: the account's storage trie, if it has been used. It lives and is evicted with the
    /// leaf.
    pub(crate) storage: Option<Arc<Trie>>,
}

/// The bytes of a value. Those of storage slots and of ordinary accounts lie in the node itself, which saves a memory
/// access and an allocation for nearly every leaf.
#[derive(Clone)]
pub(crate) enum Value {
    Short { len: u8, bytes: [u8; Self::SHORT_LEN] },
    Long(Box<[u8]>),
}

impl Value {
    /// Holds an account whose nonce has up to 3 bytes and whose balance up to 11.
    const SHORT_LEN: usize = 86;
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        let mut bytes = [0; Self::SHORT_LEN];
        match (bytes.get_mut(..value.len()), u8::try_from(value.len())) {
            (Some(space), Ok(len)) => {
                space.copy_from_slice(value);
                Self::Short { len, bytes }
            }
            _ => Self::Long(value.into()),
        }
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or(bytes),
            Self::Long(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[derive(Debug)]
pub(crate) struct Extension {
    /// Never empty.
    pub(crate) prefix: Nibbles,
    /// Always a branch.
    pub(crate) child: Child,
}

#[derive(Debug)]
pub(crate) struct Branch {
    /// Bit n is set if there is a child under nibble n.
    mask: u16,
    children: Children,
    pub(crate) value: Option<Box<LeafData>>,
}

/// The children of a branch.
#[derive(Debug)]
enum Children {
    /// Most branches have two; they need no memory of their own.
    Two([Option<Child>; 2]),
    /// Those that exist, in order, if there are at most [`Children::FEW`].
    Few(Box<[Child]>),
    /// Four places each. A changed copy of the branch shares the groups in which nothing changes: to count a reference
    /// to each of 16 children, which lie scattered in memory, would cost more than to hash the branch.
    Many([Option<Arc<Group>>; 4]),
}

type Group = [Option<Child>; 4];

impl Children {
    /// Up to so many children lie side by side without groups.
    const FEW: u32 = 4;
}

/// What becomes of one place of a branch in a changed copy.
pub(crate) enum Place {
    /// As in the branch that is copied.
    Same,
    Empty,
    Child(Child),
}

/// The place of a nibble in the groups of a branch.
fn split(nibble: u8) -> (usize, usize) {
    (usize::from(nibble / 4), usize::from(nibble % 4))
}

impl Branch {
    /// A copy of `old`, or of a branch without children, with changed places.
    pub(crate) fn changed(old: Option<&Self>, places: [Place; 16], value: Option<Box<LeafData>>) -> Self {
        let mut mask = old.map_or(0, |old| old.mask);
        for (nibble, place) in places.iter().enumerate() {
            match place {
                Place::Same => {}
                Place::Empty => mask &= !(1 << nibble),
                Place::Child(_) => mask |= 1 << nibble,
            }
        }
        let old_child = |nibble| old.and_then(|old| old.child(nibble)).cloned();
        let take = |(nibble, place)| match place {
            Place::Same => old_child(nibble),
            Place::Empty => None,
            Place::Child(child) => Some(child),
        };
        if mask.count_ones() <= 2 {
            let mut two = (0..).zip(places).filter_map(take);
            return Self { mask, children: Children::Two([two.next(), two.next()]), value };
        }
        if mask.count_ones() <= Children::FEW {
            let mut few = Vec::with_capacity(mask.count_ones() as usize);
            few.extend((0..).zip(places).filter_map(take));
            return Self { mask, children: Children::Few(few.into_boxed_slice()), value };
        }
        let mut places = (0..).zip(places);
        let groups = std::array::from_fn(|index| {
            let group: [_; 4] = std::array::from_fn(|_| places.next().unwrap_or((0, Place::Empty)));
            if let Some(Children::Many(groups)) = old.map(|old| &old.children)
                && group.iter().all(|(_, place)| matches!(place, Place::Same))
            {
                return groups.get(index).cloned().flatten();
            }
            let group = group.map(take);
            group.iter().any(Option::is_some).then(|| Arc::new(group))
        });
        Self { mask, children: Children::Many(groups), value }
    }

    /// Whether there is a child under `nibble`.
    pub(crate) fn has(&self, nibble: u8) -> bool {
        1u16.checked_shl(nibble.into()).is_some_and(|bit| self.mask & bit != 0)
    }

    pub(crate) fn child(&self, nibble: u8) -> Option<&Child> {
        if !self.has(nibble) {
            return None;
        }
        let before = (self.mask & ((1 << nibble) - 1)).count_ones() as usize;
        match &self.children {
            Children::Two(two) => two.get(before)?.as_ref(),
            Children::Few(few) => few.get(before),
            Children::Many(groups) => {
                let (group, place) = split(nibble);
                groups.get(group)?.as_ref()?.get(place)?.as_ref()
            }
        }
    }

    /// The children with their nibbles, in order.
    pub(crate) fn children(&self) -> impl DoubleEndedIterator<Item = (u8, &Child)> {
        (0..16).filter_map(|nibble| Some((nibble, self.child(nibble)?)))
    }
}

/// How a parent names a child: by its hash, or by its RLP where that is shorter than a hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reference {
    Hash(B256),
    Inline { len: u8, rlp: [u8; 31] },
}

impl Reference {
    /// The reference to a node with this RLP.
    pub(crate) fn to_node(rlp: &[u8], hasher: Hasher) -> Self {
        Self::inline(rlp).unwrap_or_else(|| Self::Hash(hasher.hash(rlp)))
    }

    /// The reference that contains `rlp`, if it is short enough.
    fn inline(rlp: &[u8]) -> Option<Self> {
        let mut inline = [0; 31];
        inline.get_mut(..rlp.len())?.copy_from_slice(rlp);
        Some(Self::Inline { len: u8::try_from(rlp.len()).ok()?, rlp: inline })
    }

    /// Whether the node stands in a store under its own path rather than inside its parent.
    pub(crate) const fn is_hash(&self) -> bool {
        matches!(self, Self::Hash(_))
    }

    /// The bytes of an inline node.
    pub(crate) fn inline_rlp(&self) -> Option<&[u8]> {
        match self {
            Self::Hash(_) => None,
            Self::Inline { len, rlp } => rlp.get(..usize::from(*len)),
        }
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(hash) => write!(f, "{hash}"),
            Self::Inline { .. } => f.debug_tuple("Inline").field(&self.inline_rlp()).finish(),
        }
    }
}

/// A child: how it is named, and the node itself if it is in memory.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    pub(crate) reference: Reference,
    pub(crate) node: Option<Arc<Node>>,
}

impl Child {
    /// A child that is not in memory.
    pub(crate) const fn stub(reference: Reference) -> Self {
        Self { reference, node: None }
    }
}
