//! What the view keeps beside state: where blocks and transactions are, and what the view says about itself.

use crate::key::Key;
use crate::log::Location;
use crate::view::{View, ViewError, Write};
use alloy_primitives::{B256, Bytes};
use alloy_rlp::{Decodable, Encodable};
use borsh::{BorshDeserialize, BorshSerialize};
use lian_types::Header;

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TransactionPlace {
    /// The height of its block.
    pub block: u64,
    /// Its position in the block, from 0.
    pub index: u32,
}

/// How far the view is. Written with every batch, so that the two always agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct ViewState {
    /// The layout of the view's keys and values; a view with another one is built again.
    pub(crate) format: u32,
    /// The digest of the chain's identity.
    pub(crate) chain: B256,
    /// The height up to which everything is in the view.
    pub(crate) height: u64,
    /// The hash of that block.
    pub(crate) hash: B256,
}

impl ViewState {
    pub(crate) const FORMAT: u32 = 1;

    fn key() -> Key {
        Key::meta("state")
    }

    /// What the view says, or `None` if it is empty or cannot be understood.
    pub(crate) fn read(view: &dyn View) -> Result<Option<Self>, ViewError> {
        Ok(view.get(&Self::key())?.and_then(|bytes| borsh::from_slice(&bytes).ok()))
    }

    pub(crate) fn write(&self) -> Write {
        (Self::key(), Some(encode(self)))
    }
}

fn encode<T: BorshSerialize>(value: &T) -> Bytes {
    // Writing to memory does not fail.
    borsh::to_vec(value).unwrap_or_default().into()
}

/// Finds a block by its hash.
pub(crate) fn hash_write(hash: B256, number: u64) -> Write {
    (Key::hash(hash), Some(encode(&number)))
}

/// What the view keeps for a block.
pub(crate) fn block_writes(
    number: u64,
    location: Location,
    hash: B256,
    transactions: impl Iterator<Item = B256>,
) -> Vec<Write> {
    let place =
        |(index, hash): (u32, B256)| (Key::transaction(hash), Some(encode(&TransactionPlace { block: number, index })));
    let mut writes = vec![(Key::block(number), Some(encode(&(location, hash)))), hash_write(hash, number)];
    writes.extend((0u32..).zip(transactions).map(place));
    writes
}

/// The entry of a block below the ledger's first one: its hash and header.
pub(crate) fn encode_header(hash: B256, header: &Header) -> Bytes {
    let mut bytes = hash.to_vec();
    header.encode(&mut bytes);
    bytes.into()
}

/// What [`encode_header`] wrote.
pub(crate) fn decode_header(bytes: &[u8]) -> Option<(B256, Header)> {
    let (hash, mut header) = bytes.split_first_chunk::<32>()?;
    Some((B256::from(*hash), Header::decode(&mut header).ok()?))
}

/// The entry of a block.
pub(crate) fn decode_block(bytes: &[u8]) -> Option<(Location, B256)> {
    borsh::from_slice(bytes).ok()
}

/// The height of a block by its hash.
pub(crate) fn decode_number(bytes: &[u8]) -> Option<u64> {
    borsh::from_slice(bytes).ok()
}

/// The place of a transaction.
pub(crate) fn decode_place(bytes: &[u8]) -> Option<TransactionPlace> {
    borsh::from_slice(bytes).ok()
}
