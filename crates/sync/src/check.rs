//! What makes a block from a stranger acceptable.

use crate::BlockWithCertificate;
use alloy_primitives::{Address, B256};
use lian_crypto::{CertificateError, EpochMembers, Suite, verify_certificate};
use lian_types::{Block, BlockNumber, ChainContext, Epoch, Extension, Proposal, ProposalDigest, Transaction, limits};
use std::sync::Arc;

/// A block that the next one builds on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Its height.
    pub height: BlockNumber,
    /// The hash of its header.
    pub hash: B256,
    /// The digest of its proposal.
    pub digest: ProposalDigest,
    /// The digest of the members that it names for the future, as its extension says.
    pub members: B256,
}

impl Anchor {
    /// What a block says about itself by its certificate; true once that is checked.
    #[must_use]
    pub fn of(block: &BlockWithCertificate) -> Self {
        let BlockWithCertificate { block, certificate } = block;
        let members = block.extension.members;
        Self { height: certificate.height, hash: certificate.block_hash, digest: certificate.digest, members }
    }
}

/// A block that was refused, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("block {height}: {error}")]
pub struct SyncError {
    /// The height where it was expected.
    pub height: BlockNumber,
    /// What is wrong with it.
    pub error: BlockError,
}

/// What is wrong with a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Header or certificate belong to another height.
    #[error("header of height {header} with a certificate of height {certificate}")]
    Height {
        /// The header's height.
        header: BlockNumber,
        /// The certificate's height.
        certificate: BlockNumber,
    },
    /// The header's parent is not the block below.
    #[error("parent hash is {found}, the block below is {expected}")]
    Parent {
        /// The header's parent hash.
        found: B256,
        /// The hash of the block below.
        expected: B256,
    },
    /// The certificate is for another header.
    #[error("header hash is {found}, certified is {certified}")]
    HeaderHash {
        /// The hash of the header received.
        found: B256,
        /// The hash that was certified.
        certified: B256,
    },
    /// The extension is not the one that the header names in its `extraData`.
    #[error("extension digest is {found}, which is not the header's extraData")]
    Extension {
        /// The digest of the extension received.
        found: B256,
    },
    /// The extension has a format that this program does not know.
    #[error("extension has version {0}, this program knows 1")]
    ExtensionVersion(u8),
    /// Extension and certificate name different epochs.
    #[error("extension of epoch {extension} with a certificate of epoch {certificate}")]
    Epoch {
        /// The extension's epoch.
        extension: Epoch,
        /// The certificate's epoch.
        certificate: Epoch,
    },
    /// Header and extension name different times.
    #[error("header has time {header} s, its extension {extension} ms")]
    Time {
        /// The header's time, in seconds.
        header: u64,
        /// The extension's time, in milliseconds.
        extension: u64,
    },
    /// The header names as proposer somebody who is not a member.
    #[error("proposer {0} is not a member of the block's epoch")]
    Proposer(Address),
    /// More transactions were proposed than a proposal may hold, or the skipped ones do not rise.
    #[error("transactions and skipped ones make no proposal")]
    Transactions,
    /// The transactions are not those of the header.
    #[error("transactions root is {found}, the header has {expected}")]
    TransactionsRoot {
        /// The root of the transactions received.
        found: B256,
        /// The header's root.
        expected: B256,
    },
    /// The proposal rebuilt from the block is not the one certified.
    #[error("proposal digest is {found}, certified is {certified}")]
    Digest {
        /// The digest of the proposal rebuilt.
        found: ProposalDigest,
        /// The digest that was certified.
        certified: ProposalDigest,
    },
    /// Nobody here knows who decides this height.
    #[error("no members are known for this height")]
    UnknownMembers,
    /// The certificate proves nothing.
    #[error("{0}")]
    Certificate(#[from] CertificateError),
}

/// Checks blocks against a chain's rules and members. It costs a signature check per signer and hashing of all bytes, so
/// it belongs on worker threads; [`Checker::check_block`] of different blocks may run at the same time.
#[derive(Clone, Copy)]
pub struct Checker<'a> {
    /// The chain's suite.
    pub suite: Suite,
    /// The chain.
    pub context: &'a ChainContext,
    /// The members of the blocks' epoch.
    pub members: &'a EpochMembers,
    /// The root of a block's transactions in the chain's trie.
    pub transactions_root: &'a (dyn Fn(&[Arc<Transaction>]) -> B256 + std::marker::Sync),
}

impl Checker<'_> {
    /// Checks blocks that follow `parent` and each other, every one of them in full. Returns the last as the new anchor.
    ///
    /// # Errors
    /// The first block refused, and why.
    pub fn check_batch(&self, parent: Anchor, blocks: &[BlockWithCertificate]) -> Result<Anchor, SyncError> {
        blocks.iter().try_fold(parent, |parent, block| self.check_block(parent, block))
    }

    /// Checks one block in full: height, parent, header, extension, transactions, proposal, certificate. Returns it as
    /// the anchor of the next.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_block(&self, parent: Anchor, block: &BlockWithCertificate) -> Result<Anchor, SyncError> {
        let height = parent.height.next();
        self.check(parent, height, block).map_err(|error| SyncError { height, error })?;
        Ok(Anchor::of(block))
    }

    fn check(&self, parent: Anchor, height: BlockNumber, block: &BlockWithCertificate) -> Result<(), BlockError> {
        let BlockWithCertificate { block, certificate } = block;
        let header = &block.header;
        if header.number != height.0 || certificate.height != height {
            return Err(BlockError::Height { header: BlockNumber(header.number), certificate: certificate.height });
        }
        if header.parent_hash != parent.hash {
            return Err(BlockError::Parent { found: header.parent_hash, expected: parent.hash });
        }
        let found = self.suite.header_hash(header);
        if found != certificate.block_hash {
            return Err(BlockError::HeaderHash { found, certified: certificate.block_hash });
        }
        self.check_extension(block, certificate.epoch)?;
        let found = (self.transactions_root)(&block.transactions);
        if found != header.transactions_root {
            return Err(BlockError::TransactionsRoot { found, expected: header.transactions_root });
        }
        let found = self.suite.proposal_digest(&self.proposal(parent, block)?);
        if found != certificate.digest {
            return Err(BlockError::Digest { found, certified: certificate.digest });
        }
        verify_certificate(self.suite, self.context, self.members, certificate)?;
        Ok(())
    }

    fn check_extension(&self, block: &Block, certificate: Epoch) -> Result<(), BlockError> {
        let Block { header, extension, transactions } = block;
        if extension.version != Extension::VERSION {
            return Err(BlockError::ExtensionVersion(extension.version));
        }
        let found = self.suite.extension_digest(extension);
        if header.extra_data.as_ref() != found.as_slice() {
            return Err(BlockError::Extension { found });
        }
        if extension.epoch != certificate {
            return Err(BlockError::Epoch { extension: extension.epoch, certificate });
        }
        if extension.time.as_secs() != header.timestamp {
            return Err(BlockError::Time { header: header.timestamp, extension: extension.time.0 });
        }
        let count = transactions.len().saturating_add(extension.skipped.len());
        let rising =
            extension.skipped.iter().zip(extension.skipped.iter().skip(1)).all(|(a, b)| a.position < b.position);
        if count > limits::PROPOSAL_TRANSACTIONS_MAX || !rising {
            return Err(BlockError::Transactions);
        }
        Ok(())
    }

    /// The proposal that a block came from, rebuilt from the block and its parent.
    ///
    /// # Errors
    /// [`BlockError::Proposer`] where the header names a proposer who is not a member.
    pub fn proposal(&self, parent: Anchor, block: &Block) -> Result<Proposal, BlockError> {
        let address = block.header.beneficiary;
        let proposer = self.members.members.iter().find(|(_, member)| member.address == address);
        let (_, proposer) = proposer.ok_or(BlockError::Proposer(address))?;
        Ok(Proposal {
            chain_id: self.context.chain_id,
            group: self.context.group,
            epoch: block.extension.epoch,
            height: BlockNumber(block.header.number),
            parent: parent.digest,
            time: block.extension.time,
            proposer: proposer.key,
            transactions: block.proposed_hashes(),
        })
    }
}
