//! What nodes say to each other about snapshots.

use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use lian_types::{
    BlockNumber, DecodeError, decode_exact,
    limits::{FRAME_BYTES_MAX, SNAPSHOT_CHUNK_BYTES_MAX, SNAPSHOT_MANIFEST_BYTES_MAX, SNAPSHOT_OFFERS_MAX},
    read_bytes,
};
use std::io;

/// A snapshot that a node has. Two nodes have the same one if height and content are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct SnapshotOffer {
    /// The block after which its state is.
    pub height: BlockNumber,
    /// The digest of its list of chunks.
    pub content: B256,
}

/// A message about snapshots. Decoding is bounded by the sizes of manifest and chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotMessage {
    /// A node without blocks asks what there is.
    GetOffers,
    /// The answer.
    Offers {
        /// The sender's last final block.
        head: BlockNumber,
        /// The snapshots that it has; at most [`SNAPSHOT_OFFERS_MAX`].
        offers: Vec<SnapshotOffer>,
    },
    /// A request for a manifest.
    GetManifest {
        /// Of which snapshot.
        height: BlockNumber,
    },
    /// The answer: no bytes where the sender does not have it any more.
    Manifest {
        /// Of which snapshot.
        height: BlockNumber,
        /// The manifest's bytes.
        bytes: Vec<u8>,
    },
    /// A request for a chunk.
    GetChunk {
        /// Of which snapshot.
        height: BlockNumber,
        /// The chunk's position, from 0.
        index: u32,
    },
    /// The answer: no bytes where the sender does not have it any more.
    Chunk {
        /// Of which snapshot.
        height: BlockNumber,
        /// The chunk's position, from 0.
        index: u32,
        /// The chunk's bytes.
        bytes: Vec<u8>,
    },
}

/// The format of these messages.
const VERSION: u8 = 1;

const GET_OFFERS: u8 = 0;
const OFFERS: u8 = 1;
const GET_MANIFEST: u8 = 2;
const MANIFEST: u8 = 3;
const GET_CHUNK: u8 = 4;
const CHUNK: u8 = 5;

impl SnapshotMessage {
    /// Reads a message that fills `bytes` exactly.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but one message within its bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_exact("snapshot message", bytes, FRAME_BYTES_MAX)
    }

    /// The bytes of this message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Writing to memory does not fail.
        borsh::to_vec(self).unwrap_or_default()
    }
}

impl BorshSerialize for SnapshotMessage {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        VERSION.serialize(writer)?;
        match self {
            Self::GetOffers => GET_OFFERS.serialize(writer),
            Self::Offers { head, offers } => (OFFERS, head, offers).serialize(writer),
            Self::GetManifest { height } => (GET_MANIFEST, height).serialize(writer),
            Self::Manifest { height, bytes } => (MANIFEST, height, bytes).serialize(writer),
            Self::GetChunk { height, index } => (GET_CHUNK, height, index).serialize(writer),
            Self::Chunk { height, index, bytes } => (CHUNK, height, index, bytes).serialize(writer),
        }
    }
}

impl BorshDeserialize for SnapshotMessage {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let version = u8::deserialize_reader(reader)?;
        if version != VERSION {
            return Err(invalid(format!("format {version}, this program knows {VERSION}")));
        }
        let kind = u8::deserialize_reader(reader)?;
        if kind == GET_OFFERS {
            return Ok(Self::GetOffers);
        }
        // Every other one begins with a height.
        let height = BlockNumber::deserialize_reader(reader)?;
        match kind {
            OFFERS => {
                let count = u32::deserialize_reader(reader)?;
                if usize::try_from(count).is_ok_and(|count| count > SNAPSHOT_OFFERS_MAX) {
                    return Err(invalid(format!("{count} offers exceed the limit of {SNAPSHOT_OFFERS_MAX}")));
                }
                let offers =
                    (0..count).map(|_| SnapshotOffer::deserialize_reader(reader)).collect::<io::Result<_>>()?;
                Ok(Self::Offers { head: height, offers })
            }
            GET_MANIFEST => Ok(Self::GetManifest { height }),
            MANIFEST => {
                let bytes = read_bytes(reader, "snapshot manifest", SNAPSHOT_MANIFEST_BYTES_MAX)?;
                Ok(Self::Manifest { height, bytes })
            }
            GET_CHUNK => Ok(Self::GetChunk { height, index: u32::deserialize_reader(reader)? }),
            CHUNK => {
                let index = u32::deserialize_reader(reader)?;
                let bytes = read_bytes(reader, "snapshot chunk", SNAPSHOT_CHUNK_BYTES_MAX)?;
                Ok(Self::Chunk { height, index, bytes })
            }
            kind => Err(invalid(format!("unknown kind {kind} of snapshot message"))),
        }
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
