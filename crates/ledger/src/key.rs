//! The keys of the key-value view.

use alloy_primitives::{Address, B256, Bytes, TxHash, U256};
use lian_trie::{Nibbles, Owner};
use std::fmt;
use std::hash::{Hash, Hasher};

/// What stands under a key, or that nothing does.
pub(crate) type Value = Option<Bytes>;

/// What a block gives to a key.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) key: Key,
    pub(crate) value: Value,
    /// What the block found there, where whoever executed it told.
    pub(crate) before: Option<Value>,
}

impl Change {
    /// An estimate of the memory for a change without its values: here, and in the memory layer.
    const BYTES: usize = 300;

    /// A change of which it is not known what it replaces.
    pub(crate) const fn new(key: Key, value: Value) -> Self {
        Self { key, value, before: None }
    }

    /// An estimate of the memory it takes until it is flushed, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let length = |value: &Value| value.as_ref().map_or(0, |value| value.len());
        Self::BYTES + length(&self.value) + self.before.as_ref().map_or(0, length)
    }
}

/// A kind of entry in the view. Each has a key space of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Address → account.
    Accounts,
    /// Address and slot → value, without leading zeros.
    Storage,
    /// Code hash → code.
    Codes,
    /// Owner and path → node of a trie.
    Nodes,
    /// Height → place in the log and hash of the block.
    Blocks,
    /// Block hash → height.
    Hashes,
    /// Transaction hash → height and position.
    Transactions,
    /// Height → place of a pruned block's head in the log of heads.
    Heads,
    /// Height → header of a block below the snapshot that the ledger began with.
    Headers,
    /// Epoch → the end of the one before it.
    Epochs,
    /// What the view says about itself.
    Meta,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 11] = [
        Self::Accounts,
        Self::Storage,
        Self::Codes,
        Self::Nodes,
        Self::Blocks,
        Self::Hashes,
        Self::Transactions,
        Self::Heads,
        Self::Headers,
        Self::Epochs,
        Self::Meta,
    ];

    /// The name of its key space.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Storage => "storage",
            Self::Codes => "codes",
            Self::Nodes => "nodes",
            Self::Blocks => "blocks",
            Self::Hashes => "hashes",
            Self::Transactions => "transactions",
            Self::Heads => "heads",
            Self::Headers => "headers",
            Self::Epochs => "epochs",
            Self::Meta => "meta",
        }
    }

    /// Whether past values are kept. The others are written once and never change.
    pub(crate) const fn is_versioned(self) -> bool {
        matches!(self, Self::Accounts | Self::Storage | Self::Nodes)
    }

    const fn from_tag(tag: u8) -> Option<Self> {
        Some(match tag {
            0 => Self::Accounts,
            1 => Self::Storage,
            2 => Self::Codes,
            3 => Self::Nodes,
            _ => return None,
        })
    }
}

/// The longest key: a storage trie's node, with one byte for the kind of owner, the owner, and 33 bytes of path.
const KEY_BYTES_MAX: usize = 66;

/// A key with its table. It holds its bytes itself, so that looking something up allocates nothing.
#[derive(Clone, Copy)]
pub struct Key {
    table: Table,
    length: u8,
    bytes: [u8; KEY_BYTES_MAX],
}

impl Key {
    fn new(table: Table, parts: &[&[u8]]) -> Self {
        let mut key = Self { table, length: 0, bytes: [0; KEY_BYTES_MAX] };
        let mut places = key.bytes.iter_mut();
        let mut length = 0;
        for byte in parts.iter().flat_map(|part| part.iter()) {
            if let Some(place) = places.next() {
                *place = *byte;
                length += 1;
            }
        }
        key.length = length;
        key
    }

    /// The key of an account.
    #[must_use]
    pub fn account(address: Address) -> Self {
        Self::new(Table::Accounts, &[address.as_slice()])
    }

    /// The key of a storage slot.
    #[must_use]
    pub fn storage(address: Address, slot: U256) -> Self {
        Self::new(Table::Storage, &[address.as_slice(), &slot.to_be_bytes::<32>()])
    }

    /// The key of a code.
    #[must_use]
    pub fn code(hash: B256) -> Self {
        Self::new(Table::Codes, &[hash.as_slice()])
    }

    /// The key of a trie's node. All nodes of an owner stand together, the upper ones first.
    #[must_use]
    pub fn node(owner: Owner, path: &Nibbles) -> Self {
        let length = [u8::try_from(path.len()).unwrap_or(u8::MAX)];
        match &owner {
            None => Self::new(Table::Nodes, &[&[0], &length, path.packed()]),
            Some(owner) => Self::new(Table::Nodes, &[&[1], owner.as_slice(), &length, path.packed()]),
        }
    }

    /// The key of a block.
    #[must_use]
    pub fn block(number: u64) -> Self {
        Self::new(Table::Blocks, &[&number.to_be_bytes()])
    }

    /// The key of a block's height by its hash.
    #[must_use]
    pub fn hash(hash: B256) -> Self {
        Self::new(Table::Hashes, &[hash.as_slice()])
    }

    /// The key of a transaction's place.
    #[must_use]
    pub fn transaction(hash: TxHash) -> Self {
        Self::new(Table::Transactions, &[hash.as_slice()])
    }

    /// The key of a pruned block's head.
    pub(crate) fn head(number: u64) -> Self {
        Self::new(Table::Heads, &[&number.to_be_bytes()])
    }

    /// The key of the header of a block below the ledger's first one.
    pub(crate) fn header(number: u64) -> Self {
        Self::new(Table::Headers, &[&number.to_be_bytes()])
    }

    /// The key of the end of the epoch before this one.
    pub(crate) fn epoch(epoch: u64) -> Self {
        Self::new(Table::Epochs, &[&epoch.to_be_bytes()])
    }

    /// The key of something that the view says about itself.
    pub(crate) fn meta(name: &str) -> Self {
        Self::new(Table::Meta, &[name.as_bytes()])
    }

    /// The key that [`Self::write_tagged`] wrote.
    pub(crate) fn from_tagged(tagged: &[u8]) -> Option<Self> {
        let (tag, bytes) = tagged.split_first()?;
        (bytes.len() <= KEY_BYTES_MAX).then_some(Self::new(Table::from_tag(*tag)?, &[bytes]))
    }

    /// Writes one byte for the table, then the key's bytes; for the versioned tables.
    pub(crate) fn write_tagged(&self, to: &mut Vec<u8>) {
        to.push(self.table as u8);
        to.extend_from_slice(self.bytes());
    }

    /// Its table.
    #[must_use]
    pub const fn table(&self) -> Table {
        self.table
    }

    /// Its bytes within the table.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&self.bytes)
    }

    /// A number that stands for this key in filters. It is stored, so it must never change.
    pub(crate) fn fingerprint(&self) -> u64 {
        // The finaliser of MurmurHash3 over words of eight bytes. Keys whose fingerprints meet are told apart by their
        // bytes, so a weak hash costs time and nothing else.
        let mut state = (self.table as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(self.length);
        let (words, rest) = self.bytes().as_chunks::<8>();
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        for word in words.iter().chain(std::iter::once(&last)) {
            state = (state ^ u64::from_le_bytes(*word)).wrapping_mul(0xff51_afd7_ed55_8ccd);
            state ^= state >> 33;
            state = state.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
            state ^= state >> 29;
        }
        state
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.table == other.table && self.bytes() == other.bytes()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.table, self.bytes()).cmp(&(other.table, other.bytes()))
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The fingerprint alone would let an attacker choose keys that meet; the hasher's own seed prevents that.
        state.write_u8(self.table as u8);
        state.write(self.bytes());
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/0x{}", self.table.name(), hex::encode(self.bytes()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_different_things_differ() {
        let owner = B256::repeat_byte(7);
        let path = Nibbles::from_nibbles(&[1, 2, 3]).unwrap();
        let longest = Nibbles::from(owner);
        let keys = [
            Key::account(Address::repeat_byte(7)),
            Key::storage(Address::repeat_byte(7), U256::ZERO),
            Key::storage(Address::repeat_byte(7), U256::from(1)),
            Key::node(None, &path),
            Key::node(None, &Nibbles::EMPTY),
            Key::node(None, &path.push(0).unwrap()),
            Key::node(Some(owner), &path),
            Key::node(Some(owner), &longest),
            Key::node(None, &longest),
            Key::code(owner),
            Key::hash(owner),
            Key::transaction(owner),
        ];
        for (i, left) in keys.iter().enumerate() {
            for (j, right) in keys.iter().enumerate() {
                assert_eq!(i == j, left == right, "{left} {right}");
                assert_eq!(i == j, left.fingerprint() == right.fingerprint(), "{left} {right}");
            }
        }
        assert_eq!(Key::node(Some(owner), &longest).bytes().len(), KEY_BYTES_MAX);
        for key in keys.iter().take(9) {
            let mut tagged = Vec::new();
            key.write_tagged(&mut tagged);
            assert_eq!(Key::from_tagged(&tagged).as_ref(), Some(key));
        }
    }
}
