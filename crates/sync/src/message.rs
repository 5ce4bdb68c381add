//! What nodes say to each other to catch up.

use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use lian_types::{
    Block, BlockNumber, Certificate, DecodeError, Epoch, decode_exact,
    limits::{FRAME_BYTES_MAX, SYNC_BLOCKS_MAX},
};
use std::sync::Arc;

/// What a node says about its own chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SyncStatus {
    /// The epoch of its last final block.
    pub epoch: Epoch,
    /// The height of its last final block.
    pub height: BlockNumber,
    /// The hash of its last final block.
    pub hash: B256,
    /// The lowest block that it can still serve.
    pub oldest: BlockNumber,
}

/// A final block and the proof that it is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockWithCertificate {
    /// The block.
    pub block: Arc<Block>,
    /// A quorum's signatures for it.
    pub certificate: Certificate,
}

impl BlockWithCertificate {
    /// About how much memory it takes, in bytes: the transactions' encodings, and as much again for their decoded form.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let fixed = 2_048usize.saturating_add(self.certificate.signatures.len().saturating_mul(66));
        let transactions = self.block.transactions.iter().map(|transaction| transaction.encoded().len());
        let skipped = self.block.extension.skipped.len().saturating_mul(36);
        transactions.fold(fixed.saturating_add(skipped), |sum, length| sum.saturating_add(length.saturating_mul(2)))
    }

    /// About how long its encoding is, in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let fixed = 1_024usize.saturating_add(self.certificate.signatures.len().saturating_mul(66));
        let transactions = self.block.transactions.iter().map(|transaction| transaction.encoded().len());
        let skipped = self.block.extension.skipped.len().saturating_mul(36);
        transactions.fold(fixed.saturating_add(skipped), |sum, length| sum.saturating_add(length).saturating_add(4))
    }
}

impl BorshSerialize for BlockWithCertificate {
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        self.block.as_ref().serialize(writer)?;
        self.certificate.serialize(writer)
    }
}

impl BorshDeserialize for BlockWithCertificate {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let block = Arc::new(Block::deserialize_reader(reader)?);
        Ok(Self { block, certificate: Certificate::deserialize_reader(reader)? })
    }
}

/// A request for blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BlockRequest {
    /// A number that the answer repeats.
    pub request: u64,
    /// The first height wanted.
    pub from: BlockNumber,
    /// How many blocks are wanted, 1 to [`SYNC_BLOCKS_MAX`].
    pub count: u32,
}

/// A message to catch up. Decoding is bounded by the frame and by the number of blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncMessage {
    /// What the sender has.
    Status(SyncStatus),
    /// A request for blocks.
    GetBlocks(BlockRequest),
    /// The answer: blocks from the height asked for, without gap; fewer than asked where their size demands it, none
    /// where the sender does not have the first.
    Blocks {
        /// The request's number.
        request: u64,
        /// The blocks, by rising height; at most [`SYNC_BLOCKS_MAX`].
        blocks: Vec<BlockWithCertificate>,
    },
}

const STATUS: u8 = 0;
const GET_BLOCKS: u8 = 1;
const BLOCKS: u8 = 2;

impl SyncMessage {
    /// Reads a message that fills `bytes` exactly.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but one message within its bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_exact("sync message", bytes, FRAME_BYTES_MAX)
    }

    /// The bytes of this message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1_024);
        // Writing to a vector fails only when memory does, which ends the process anyway.
        let written = self.serialize(&mut bytes);
        debug_assert!(written.is_ok());
        bytes
    }
}

impl BorshSerialize for SyncMessage {
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        match self {
            Self::Status(status) => {
                STATUS.serialize(writer)?;
                status.serialize(writer)
            }
            Self::GetBlocks(request) => {
                GET_BLOCKS.serialize(writer)?;
                request.serialize(writer)
            }
            Self::Blocks { request, blocks } => {
                BLOCKS.serialize(writer)?;
                request.serialize(writer)?;
                blocks.serialize(writer)
            }
        }
    }
}

impl BorshDeserialize for SyncMessage {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        match u8::deserialize_reader(reader)? {
            STATUS => Ok(Self::Status(SyncStatus::deserialize_reader(reader)?)),
            GET_BLOCKS => {
                let request = BlockRequest::deserialize_reader(reader)?;
                check_count(usize::try_from(request.count).unwrap_or(usize::MAX))?;
                Ok(Self::GetBlocks(request))
            }
            BLOCKS => {
                let request = u64::deserialize_reader(reader)?;
                let count = usize::try_from(u32::deserialize_reader(reader)?).unwrap_or(usize::MAX);
                check_count(count)?;
                let mut blocks = Vec::new();
                for _ in 0..count {
                    blocks.push(BlockWithCertificate::deserialize_reader(reader)?);
                }
                Ok(Self::Blocks { request, blocks })
            }
            tag => Err(invalid(format!("unknown kind {tag} of sync message"))),
        }
    }
}

fn check_count(count: usize) -> std::io::Result<()> {
    if count > SYNC_BLOCKS_MAX {
        return Err(invalid(format!("{count} blocks exceed the limit of {SYNC_BLOCKS_MAX}")));
    }
    Ok(())
}

fn invalid(reason: String) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, reason)
}
