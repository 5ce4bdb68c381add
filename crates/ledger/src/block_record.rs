//! A final block in the log: everything that is needed to rebuild all else.
//!
//! A fixed preamble (version, the lengths of the five parts, checksums of head and preamble), then the parts:
//! *head* (hash, proposal digest, certificate, header), *body* (extension, transactions), senders, receipts and state
//! changes. The head can be read and checked alone, so that walking over headers does not read whole blocks.

use crate::log::{Location, Log, LogError};
use alloy_primitives::{Address, B256};
use alloy_rlp::{Decodable, Encodable};
use borsh::{BorshDeserialize, BorshSerialize};
use lian_executor::{ExecutedBlock, StateChanges};
use lian_types::{Block, Certificate, Extension, Header, ProposalDigest, Receipt, Transaction};
use std::sync::Arc;

/// The kind of a block's record in the log.
pub(crate) const KIND_BLOCK: u8 = 1;

const VERSION: u8 = 1;
const PREAMBLE: usize = 1 + 5 * 4 + 4 + 4;
/// Bytes read at first for a head: enough for the certificates of 40 members.
const HEAD_READ: usize = 4_096;

/// A final block with its proof.
#[derive(Clone)]
pub struct FinalBlock {
    /// The block and what its execution gave.
    pub executed: ExecutedBlock,
    /// The proof that it is final. Block 0 needs none; its certificate has no signatures.
    pub certificate: Arc<Certificate>,
}

impl FinalBlock {
    /// The bytes that the log keeps for this block.
    ///
    /// # Errors
    /// [`BlockRecordError::Malformed`] if a part is longer than 4 GiB.
    pub fn record(&self) -> Result<Vec<u8>, BlockRecordError> {
        encode(&StoredBlock::from(self), Some(&self.executed.changes))
    }
}

/// The part of a block that is read without the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockHead {
    /// The block's hash.
    pub hash: B256,
    /// The digest of its proposal.
    pub digest: ProposalDigest,
    /// The proof that it is final; without signatures for block 0.
    pub certificate: Arc<Certificate>,
    /// Its header.
    pub header: Header,
}

/// A block as the ledger gives it out. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlock {
    /// The block.
    pub block: Arc<Block>,
    /// Its hash.
    pub hash: B256,
    /// The digest of its proposal.
    pub digest: ProposalDigest,
    /// The proof that it is final; without signatures for block 0.
    pub certificate: Arc<Certificate>,
    /// The senders of its transactions.
    pub senders: Arc<Vec<Address>>,
    /// The receipts of its transactions.
    pub receipts: Arc<Vec<Receipt>>,
}

impl StoredBlock {
    /// The height.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.block.header.number
    }

    /// The bytes that the log keeps for the block of a snapshot, of which nobody here knows what it changed.
    pub(crate) fn record_without_changes(&self) -> Result<Vec<u8>, BlockRecordError> {
        encode(self, None)
    }
}

impl From<&FinalBlock> for StoredBlock {
    fn from(block: &FinalBlock) -> Self {
        let executed = &block.executed;
        Self {
            block: Arc::clone(&executed.block),
            hash: executed.hash,
            digest: executed.digest,
            certificate: Arc::clone(&block.certificate),
            senders: Arc::clone(&executed.senders),
            receipts: Arc::clone(&executed.receipts),
        }
    }
}

/// Why a record's content is not a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockRecordError {
    /// A format that this version does not know.
    #[error("block record of format {0}; this program knows format {VERSION}")]
    Version(u8),
    /// The bytes do not fit the format.
    #[error("malformed block record: {0}")]
    Malformed(String),
}

fn malformed(what: &str) -> impl Fn(std::io::Error) -> BlockRecordError + '_ {
    move |error| BlockRecordError::Malformed(format!("{what}: {error}"))
}

fn encode(block: &StoredBlock, changes: Option<&StateChanges>) -> Result<Vec<u8>, BlockRecordError> {
    let mut bytes = vec![0; PREAMBLE];
    let ends = write_parts(&mut bytes, block, changes).map_err(malformed("block"))?;
    let mut preamble = vec![VERSION];
    let mut start = PREAMBLE;
    for end in ends {
        let length = u32::try_from(end - start).map_err(std::io::Error::other).map_err(malformed("length"))?;
        preamble.extend_from_slice(&length.to_le_bytes());
        start = end;
    }
    let [head_end, ..] = ends;
    let head = bytes.get(PREAMBLE..head_end).unwrap_or_default();
    preamble.extend_from_slice(&crc32fast::hash(head).to_le_bytes());
    preamble.extend_from_slice(&crc32fast::hash(&preamble).to_le_bytes());
    if let Some(place) = bytes.get_mut(..PREAMBLE) {
        place.copy_from_slice(&preamble);
    }
    Ok(bytes)
}

/// Writes the parts and returns where each ends. Changes that are not known have no bytes; even no changes have some.
fn write_parts(
    bytes: &mut Vec<u8>,
    block: &StoredBlock,
    changes: Option<&StateChanges>,
) -> std::io::Result<[usize; 5]> {
    let Block { header, extension, transactions } = block.block.as_ref();
    block.hash.serialize(bytes)?;
    block.digest.serialize(bytes)?;
    block.certificate.serialize(bytes)?;
    header.encode(bytes);
    let head = bytes.len();
    extension.serialize(bytes)?;
    u32::try_from(transactions.len()).map_err(std::io::Error::other)?.serialize(bytes)?;
    transactions.iter().try_for_each(|transaction| transaction.serialize(bytes))?;
    let body = bytes.len();
    block.senders.serialize(bytes)?;
    let senders = bytes.len();
    block.receipts.serialize(bytes)?;
    let receipts = bytes.len();
    if let Some(changes) = changes {
        changes.serialize(bytes)?;
    }
    Ok([head, body, senders, receipts, bytes.len()])
}

/// The lengths of the parts and the head's checksum.
struct Preamble {
    lengths: [usize; 5],
    head_checksum: u32,
}

impl Preamble {
    fn decode(bytes: &[u8]) -> Result<Self, BlockRecordError> {
        let bytes =
            bytes.get(..PREAMBLE).ok_or_else(|| BlockRecordError::Malformed("its preamble is incomplete".into()))?;
        let (fields, own) = bytes.split_at(PREAMBLE - 4);
        if crc32fast::hash(fields).to_le_bytes() != own {
            return Err(BlockRecordError::Malformed("its preamble does not match its checksum".into()));
        }
        let (version, numbers) = fields.split_first().unwrap_or((&0, &[]));
        if *version != VERSION {
            return Err(BlockRecordError::Version(*version));
        }
        let mut numbers = numbers.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
        let mut next = || numbers.next().unwrap_or(0);
        let lengths = std::array::from_fn(|_| usize::try_from(next()).unwrap_or(usize::MAX));
        Ok(Self { lengths, head_checksum: next() })
    }
}

fn decode_head(bytes: &[u8], checksum: u32) -> Result<BlockHead, BlockRecordError> {
    if crc32fast::hash(bytes) != checksum {
        return Err(BlockRecordError::Malformed("its head does not match its checksum".into()));
    }
    let mut rest = bytes;
    let reader = &mut rest;
    let fail = malformed("head");
    let hash = B256::deserialize(reader).map_err(&fail)?;
    let digest = ProposalDigest::deserialize(reader).map_err(&fail)?;
    let certificate = Arc::new(Certificate::deserialize(reader).map_err(&fail)?);
    let header = Header::decode(reader).map_err(|error| BlockRecordError::Malformed(format!("header: {error}")))?;
    if !rest.is_empty() {
        return Err(BlockRecordError::Malformed(format!("{} bytes follow its header", rest.len())));
    }
    Ok(BlockHead { hash, digest, certificate, header })
}

/// A record's parts, cut but not decoded.
pub(crate) struct BlockRecord<'a> {
    parts: [&'a [u8]; 5],
    head_checksum: u32,
}

impl<'a> BlockRecord<'a> {
    /// Cuts a record's content into its parts.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, BlockRecordError> {
        let Preamble { lengths, head_checksum } = Preamble::decode(bytes)?;
        let mut rest = bytes.get(PREAMBLE..).unwrap_or_default();
        let mut parts = [&[][..]; 5];
        for (part, length) in parts.iter_mut().zip(lengths) {
            let Some((front, back)) = rest.split_at_checked(length) else {
                return Err(BlockRecordError::Malformed("its parts are longer than the record".into()));
            };
            *part = front;
            rest = back;
        }
        if !rest.is_empty() {
            return Err(BlockRecordError::Malformed(format!("{} bytes follow its parts", rest.len())));
        }
        Ok(Self { parts, head_checksum })
    }

    /// Its head.
    pub(crate) fn head(&self) -> Result<BlockHead, BlockRecordError> {
        let [head, ..] = self.parts;
        decode_head(head, self.head_checksum)
    }

    /// The block without its changes.
    pub(crate) fn block(&self) -> Result<StoredBlock, BlockRecordError> {
        let [_, body, senders, receipts, _] = self.parts;
        let BlockHead { hash, digest, certificate, header } = self.head()?;
        let (extension, transactions): (Extension, Vec<Transaction>) =
            borsh::from_slice(body).map_err(malformed("body"))?;
        let block = Block { header, extension, transactions: transactions.into_iter().map(Arc::new).collect() };
        let senders: Vec<Address> = borsh::from_slice(senders).map_err(malformed("senders"))?;
        let receipts: Vec<Receipt> = borsh::from_slice(receipts).map_err(malformed("receipts"))?;
        let count = block.transactions.len();
        if senders.len() != count || receipts.len() != count {
            let reason = format!("{count} transactions, {} senders, {} receipts", senders.len(), receipts.len());
            return Err(BlockRecordError::Malformed(reason));
        }
        Ok(StoredBlock {
            block: Arc::new(block),
            hash,
            digest,
            certificate,
            senders: Arc::new(senders),
            receipts: Arc::new(receipts),
        })
    }

    /// What the block changed; `None` for the block of the snapshot that the ledger began with.
    pub(crate) fn changes(&self) -> Result<Option<StateChanges>, BlockRecordError> {
        let [.., changes] = self.parts;
        if changes.is_empty() {
            return Ok(None);
        }
        borsh::from_slice(changes).map(Some).map_err(malformed("state changes"))
    }
}

/// Reads the head of a block's record and nothing more.
///
/// # Errors
/// [`LogError::Damaged`] if it does not match its checksum.
pub(crate) fn read_head(log: &Log, location: Location) -> Result<BlockHead, LogError> {
    let length = usize::try_from(location.length).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length.min(HEAD_READ)];
    log.read_part(location, 0, &mut bytes)?;
    let fail = |error: BlockRecordError| log.damaged(location, error.to_string());
    let preamble = Preamble::decode(&bytes).map_err(fail)?;
    let [head, ..] = preamble.lengths;
    let end = PREAMBLE.saturating_add(head);
    if end > bytes.len() && end <= length {
        bytes.resize(end, 0);
        log.read_part(location, 0, &mut bytes)?;
    }
    let head = bytes.get(PREAMBLE..end).unwrap_or_default();
    decode_head(head, preamble.head_checksum).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_is_named() {
        let mut preamble = [0; PREAMBLE];
        preamble[0] = 2;
        let checksum = crc32fast::hash(&preamble[..PREAMBLE - 4]);
        preamble[PREAMBLE - 4..].copy_from_slice(&checksum.to_le_bytes());
        let error = Preamble::decode(&preamble).map(drop).unwrap_err();
        assert_eq!(error.to_string(), "block record of format 2; this program knows format 1");
    }
}
