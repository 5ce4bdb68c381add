//! From a certified proposal, or a block of a peer, to a final block; and what a final block means for the pool.

use crate::{
    core::Stored,
    execution::{ProposalWithBodies, SpeculativeChain},
    known_members::committee_of,
};
use alloy_primitives::{Address, B256};
use lian_crypto::{SenderError, Suite, VerifiedTransaction};
use lian_executor::{ExecutionError, StateReader};
use lian_ledger::FinalBlock;
use lian_pbft::Head;
use lian_sync::BlockWithCertificate;
use lian_txpool::Skip;
use lian_types::{BlockNumber, Certificate, MembersError, ProposalDigest};
use std::sync::Arc;

/// Why a group cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FinalityError {
    /// The state could not be read or the trie not be updated.
    #[error("executing block {height} failed: {source}")]
    Execution {
        /// The height.
        height: BlockNumber,
        /// What failed.
        #[source]
        source: ExecutionError,
    },
    /// This node's result is not the certified one.
    #[error(
        "block {height} (proposal {digest}) is certified with header {certified}, but executing it here gives {own}: \
         this node's state or program differs from the quorum's"
    )]
    Diverged {
        /// The height.
        height: BlockNumber,
        /// The proposal.
        digest: ProposalDigest,
        /// The certified header hash.
        certified: B256,
        /// This node's.
        own: B256,
    },
    /// The ledger has the height by now. What is certified may be caught up, too, and the ledger is written by another
    /// thread; this is no reason to stop.
    #[error("block {height} is in the ledger already")]
    AlreadyFinal {
        /// The height.
        height: BlockNumber,
    },
    /// A certified block stands on one that is not here.
    #[error("block {height} is certified, but its parent is not known here")]
    NoParent {
        /// The height.
        height: BlockNumber,
    },
    /// A transaction of a certified block has no sender.
    #[error("block {height} is certified, but a transaction in it has no valid signature: {source}")]
    Sender {
        /// The height.
        height: BlockNumber,
        /// Why.
        #[source]
        source: SenderError,
    },
}

/// The final block of a certified proposal: its speculative result, or a new execution where that was discarded.
///
/// # Errors
/// [`FinalityError`]: the node must stop, except for [`FinalityError::AlreadyFinal`].
pub fn finalize(
    chain: &mut SpeculativeChain,
    proposal: &ProposalWithBodies,
    certified: B256,
    certificate: Arc<Certificate>,
) -> Result<FinalBlock, FinalityError> {
    let (height, digest) = (proposal.proposal.height, proposal.digest);
    chain.execute(proposal.clone()).map_err(|source| FinalityError::Execution { height, source })?;
    let executed = chain.result(&digest).cloned().ok_or_else(|| no_result(chain, height))?;
    if executed.hash != certified {
        return Err(FinalityError::Diverged { height, digest, certified, own: executed.hash });
    }
    chain.seal(height);
    Ok(FinalBlock { executed, certificate })
}

/// Why a height has no result: the ledger has it, and only then, as heads never go back; or its parent is missing.
fn no_result(chain: &SpeculativeChain, height: BlockNumber) -> FinalityError {
    if height <= chain.ledger().head().number {
        FinalityError::AlreadyFinal { height }
    } else {
        FinalityError::NoParent { height }
    }
}

/// The final block of a verified block of a peer. `parent` is the digest of the proposal below.
///
/// # Errors
/// [`FinalityError`]: the node must stop, except for [`FinalityError::AlreadyFinal`].
pub fn replay(
    chain: &mut SpeculativeChain,
    suite: Suite,
    parent: ProposalDigest,
    digest: ProposalDigest,
    received: &BlockWithCertificate,
) -> Result<FinalBlock, FinalityError> {
    let block = &received.block;
    let height = BlockNumber(block.header.number);
    let transactions = recover(suite, received).map_err(|source| FinalityError::Sender { height, source })?;
    let executed = chain
        .replay(block, digest, parent, &transactions)
        .map_err(|source| FinalityError::Execution { height, source })?
        .ok_or_else(|| no_result(chain, height))?;
    let certified = suite.header_hash(&block.header);
    if executed.hash != certified {
        return Err(FinalityError::Diverged { height, digest, certified, own: executed.hash });
    }
    chain.seal(height);
    Ok(FinalBlock { executed, certificate: Arc::new(received.certificate.clone()) })
}

/// Recovers all senders, on all cores.
fn recover(suite: Suite, received: &BlockWithCertificate) -> Result<Vec<Arc<VerifiedTransaction>>, SenderError> {
    use rayon::prelude::*;
    let transactions = &received.block.transactions;
    transactions.par_iter().map(|transaction| suite.recover_sender(Arc::clone(transaction)).map(Arc::new)).collect()
}

/// What the core must know of a durable block. `bodies` are those of its proposal where they are at hand, and `after` is
/// the state after it.
///
/// # Errors
/// [`MembersError`] where it names members that are no valid set: the node must stop.
pub fn stored(
    suite: Suite,
    block: &FinalBlock,
    bodies: &[Arc<VerifiedTransaction>],
    after: &dyn StateReader,
    oldest: BlockNumber,
) -> Result<Stored, MembersError> {
    let executed = &block.executed;
    let extension = &executed.block.extension;
    // A transaction may stand before the ones whose turn comes first: then it was too early, although it fits now.
    let was_early = |place: usize, position: u32, sender: &Address| {
        let before = usize::try_from(position).unwrap_or(usize::MAX).saturating_sub(place);
        executed.senders.iter().skip(before).any(|later| later == sender)
    };
    let reason = |place: usize, position: u32, hash: B256| {
        let body = bodies.iter().find(|body| body.hash() == hash)?;
        // An account that cannot be read now stops the node at the next execution.
        let next = after.account(body.sender()).ok()?.map_or(0, |account| account.nonce);
        let skip = match body.transaction().nonce().cmp(&next) {
            std::cmp::Ordering::Less => Skip::NonceTooLow,
            std::cmp::Ordering::Equal if was_early(place, position, &body.sender()) => Skip::NonceTooHigh,
            std::cmp::Ordering::Equal => Skip::Invalid,
            std::cmp::Ordering::Greater => Skip::NonceTooHigh,
        };
        Some((hash, skip))
    };
    let governance = executed.governance.clone();
    let latest = governance.as_ref().map(|governance| {
        let kind = block.certificate.kind.consensus();
        committee_of(suite, kind, &governance.schedule.next)
    });
    Ok(Stored {
        head: Head {
            height: BlockNumber(executed.block.header.number),
            digest: executed.digest,
            hash: executed.hash,
            time: extension.time,
            certificate: Some(block.certificate.as_ref().clone()),
        },
        epoch: extension.epoch,
        members: extension.members,
        governance,
        committee: latest.transpose()?,
        oldest,
        included: executed.block.transactions.iter().map(|transaction| transaction.hash()).collect(),
        skipped: (0..)
            .zip(&extension.skipped)
            .filter_map(|(place, skipped)| reason(place, skipped.position, skipped.hash))
            .collect(),
        nonces: executed
            .changes
            .accounts
            .iter()
            .map(|(address, change)| (*address, change.account.map_or(0, |account| account.nonce)))
            .collect(),
    })
}
