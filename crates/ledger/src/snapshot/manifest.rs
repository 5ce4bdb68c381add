//! What a snapshot says about itself, and what makes that believable.

use super::{ChunkInfo, SnapshotError};
use alloy_primitives::B256;
use alloy_rlp::{Decodable, Encodable};
use borsh::{BorshDeserialize, BorshSerialize};
use lian_crypto::{EpochMembers, Suite, verify_certificate};
use lian_types::{
    BlockNumber, Certificate, ChainContext, Extension, Header, Members, decode_exact, limits, read_bytes,
};
use std::sync::Arc;

/// The longest encoding of a header, in bytes; it takes about 600, as its extraData has 32.
const HEADER_BYTES_MAX: usize = 1_024;

/// A header with its extension and the proof that it is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertifiedHeader {
    /// The header.
    pub header: Header,
    /// Lian's extension of it.
    pub extension: Extension,
    /// A quorum's signatures.
    pub certificate: Certificate,
}

/// The end of an epoch: its last header, which names the members of the next one by their digest.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EpochLink {
    /// The last header of the epoch.
    pub last: CertifiedHeader,
    /// The members of the next epoch, in order.
    pub members: Members,
}

/// What a snapshot consists of, and the proof of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The chain.
    pub chain: ChainContext,
    /// The ends of all epochs before the block's, from the first on; none where the members never changed.
    pub epochs: Vec<EpochLink>,
    /// The block after which the state is.
    pub head: CertifiedHeader,
    /// The headers below it, from the nearest down: as many as [`limits::SNAPSHOT_ANCESTORS`], or all down to block 0.
    pub ancestors: Vec<Header>,
    /// The chunks, in order.
    pub chunks: Vec<ChunkInfo>,
}

impl Manifest {
    /// The format.
    pub const VERSION: u16 = 1;

    /// The height of the block.
    #[must_use]
    pub const fn height(&self) -> BlockNumber {
        BlockNumber(self.head.header.number)
    }

    /// The length of all chunks together, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.length)).sum()
    }

    /// What tells two snapshots of a height apart: the digest of their lists of chunks. The certificates of two nodes
    /// may differ although both are valid.
    #[must_use]
    pub fn content(&self, suite: Suite) -> B256 {
        suite.hash(&borsh::to_vec(&self.chunks).unwrap_or_default())
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Writing to memory does not fail.
        borsh::to_vec(self).unwrap_or_default()
    }

    /// Reads a manifest that fills `bytes` exactly. Nothing that it says is believable before [`Self::verify`].
    ///
    /// # Errors
    /// [`SnapshotError::Version`] and [`SnapshotError::Decode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        if let Some(version) = bytes.first_chunk::<2>().map(|bytes| u16::from_le_bytes(*bytes))
            && version != Self::VERSION
        {
            return Err(SnapshotError::Version { found: version });
        }
        Ok(decode_exact("snapshot manifest", bytes, limits::SNAPSHOT_MANIFEST_BYTES_MAX)?)
    }

    /// Checks everything but the chunks: the chain, who had to certify the header from genesis on, and that a quorum of
    /// them did. `genesis` are the members of the first epoch. Returns the members of all epochs up to the block's, each
    /// with its first height.
    ///
    /// # Errors
    /// [`SnapshotError`] says what does not hold.
    pub fn verify(
        &self,
        suite: Suite,
        chain: &ChainContext,
        genesis: &EpochMembers,
    ) -> Result<Vec<(BlockNumber, Arc<EpochMembers>)>, SnapshotError> {
        if self.chain != *chain {
            let name = |chain: &ChainContext| {
                format!("genesis {}, group {}, chain id {}", chain.genesis, chain.group, chain.chain_id)
            };
            return Err(SnapshotError::OtherChain { found: name(&self.chain), expected: name(chain) });
        }
        let mut members = Arc::new(genesis.clone());
        let mut epochs = vec![(BlockNumber::ZERO, Arc::clone(&members))];
        for link in &self.epochs {
            link.last.verify(suite, chain, &members)?;
            let last = BlockNumber(link.last.header.number);
            let first = epochs.last().map_or(BlockNumber::ZERO, |(first, _)| *first);
            if last < first {
                return Err(invalid(format!("epoch {} begins at {first} and ends at {last}", members.epoch)));
            }
            let (named, found) = (link.last.extension.members, suite.members_digest(&link.members));
            if named != found {
                return Err(invalid(format!(
                    "block {last} names members {named} for the next epoch, listed are {found}"
                )));
            }
            let (epoch, consensus) = (members.epoch.next(), members.consensus);
            members = Arc::new(EpochMembers { epoch, members: link.members.clone(), consensus });
            epochs.push((last.next(), Arc::clone(&members)));
        }
        let first = epochs.last().map_or(BlockNumber::ZERO, |(first, _)| *first);
        if self.height() < first {
            return Err(invalid(format!("block {} comes before its epoch, which begins at {first}", self.height())));
        }
        self.head.verify(suite, chain, &members)?;
        self.verify_ancestors(suite)?;
        self.verify_chunks()?;
        Ok(epochs)
    }

    /// The hashes of the blocks below, from the nearest down, as headers name them.
    pub(crate) fn ancestor_hashes(&self) -> impl Iterator<Item = (u64, B256)> {
        let headers = std::iter::once(&self.head.header).chain(&self.ancestors);
        // The lowest header's parent is proven as well, but beyond what may be asked for.
        headers.take(self.ancestors.len()).map(|header| (header.number.saturating_sub(1), header.parent_hash))
    }

    fn verify_ancestors(&self, suite: Suite) -> Result<(), SnapshotError> {
        let expected = limits::SNAPSHOT_ANCESTORS.min(self.height().0);
        if self.ancestors.len() as u64 != expected {
            let found = self.ancestors.len();
            return Err(invalid(format!("it has {found} headers below its own, {expected} are needed")));
        }
        let mut above = &self.head.header;
        for header in &self.ancestors {
            if suite.header_hash(header) != above.parent_hash || header.number.checked_add(1) != Some(above.number) {
                return Err(invalid(format!("the header below block {} is not its parent", above.number)));
            }
            above = header;
        }
        Ok(())
    }

    fn verify_chunks(&self) -> Result<(), SnapshotError> {
        let allowed = 1..=limits::SNAPSHOT_CHUNK_BYTES_MAX;
        let wrong = |chunk: &ChunkInfo| !usize::try_from(chunk.length).is_ok_and(|length| allowed.contains(&length));
        match self.chunks.iter().find(|chunk| wrong(chunk)) {
            Some(chunk) => Err(invalid(format!("it lists a chunk of {} bytes", chunk.length))),
            None if u32::try_from(self.chunks.len()).is_err() => Err(invalid("it lists too many chunks".to_owned())),
            None => Ok(()),
        }
    }
}

fn invalid(reason: String) -> SnapshotError {
    SnapshotError::Manifest { reason }
}

impl CertifiedHeader {
    /// Checks that header, extension and certificate belong together and that a quorum of `members` signed.
    ///
    /// # Errors
    /// [`SnapshotError::Manifest`] and [`SnapshotError::Certificate`].
    pub fn verify(&self, suite: Suite, chain: &ChainContext, members: &EpochMembers) -> Result<(), SnapshotError> {
        let Self { header, extension, certificate } = self;
        let height = BlockNumber(header.number);
        let hash = suite.header_hash(header);
        if certificate.height != height || certificate.block_hash != hash {
            let (about, certified) = (certificate.height, certificate.block_hash);
            return Err(invalid(format!("block {height} {hash} comes with the certificate of {about} {certified}")));
        }
        if header.extra_data.as_ref() != suite.extension_digest(extension).as_slice() {
            return Err(invalid(format!("the extension of block {height} is not the one that its header names")));
        }
        if extension.epoch != members.epoch {
            let (found, expected) = (extension.epoch, members.epoch);
            return Err(invalid(format!("block {height} is of epoch {found}, proven is epoch {expected}")));
        }
        verify_certificate(suite, chain, members, certificate)
            .map_err(|source| SnapshotError::Certificate { height, source })
    }
}

fn write_header<W: std::io::Write>(header: &Header, writer: &mut W) -> std::io::Result<()> {
    let mut bytes = Vec::with_capacity(640);
    header.encode(&mut bytes);
    bytes.serialize(writer)
}

fn read_header<R: std::io::Read>(reader: &mut R) -> std::io::Result<Header> {
    let bytes = read_bytes(reader, "header", HEADER_BYTES_MAX)?;
    let mut rest = bytes.as_slice();
    let invalid = |reason: String| std::io::Error::new(std::io::ErrorKind::InvalidData, reason);
    let header = Header::decode(&mut rest).map_err(|error| invalid(error.to_string()))?;
    if !rest.is_empty() {
        return Err(invalid(format!("{} bytes follow the header", rest.len())));
    }
    Ok(header)
}

impl BorshSerialize for CertifiedHeader {
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        write_header(&self.header, writer)?;
        self.extension.serialize(writer)?;
        self.certificate.serialize(writer)
    }
}

impl BorshDeserialize for CertifiedHeader {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let header = read_header(reader)?;
        let extension = Extension::deserialize_reader(reader)?;
        Ok(Self { header, extension, certificate: Certificate::deserialize_reader(reader)? })
    }
}

impl BorshSerialize for Manifest {
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        Self::VERSION.serialize(writer)?;
        self.chain.serialize(writer)?;
        self.epochs.serialize(writer)?;
        self.head.serialize(writer)?;
        u32::try_from(self.ancestors.len()).map_err(std::io::Error::other)?.serialize(writer)?;
        self.ancestors.iter().try_for_each(|header| write_header(header, writer))?;
        self.chunks.serialize(writer)
    }
}

impl BorshDeserialize for Manifest {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let invalid = |reason: String| std::io::Error::new(std::io::ErrorKind::InvalidData, reason);
        let version = u16::deserialize_reader(reader)?;
        if version != Self::VERSION {
            return Err(invalid(format!("format {version}")));
        }
        let chain = ChainContext::deserialize_reader(reader)?;
        let epochs = Vec::deserialize_reader(reader)?;
        let head = CertifiedHeader::deserialize_reader(reader)?;
        let count = u32::deserialize_reader(reader)?;
        if u64::from(count) > limits::SNAPSHOT_ANCESTORS {
            return Err(invalid(format!("{count} ancestors exceed the limit of {}", limits::SNAPSHOT_ANCESTORS)));
        }
        let ancestors = (0..count).map(|_| read_header(reader)).collect::<std::io::Result<_>>()?;
        Ok(Self { chain, epochs, head, ancestors, chunks: Vec::deserialize_reader(reader)? })
    }
}
