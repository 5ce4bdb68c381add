//! What goes into the core and what comes out.

use super::{DurableRecord, GroupMessage, NodeReport};
use crate::execution::ProposalWithBodies;
use alloy_primitives::{Address, B256, TxHash};
use lian_crypto::{Verified, VerifiedTransaction};
use lian_executor::Governance;
use lian_pbft::{Committee, Divergence, Head, Misbehaviour, Statement};
use lian_sync::{Anchor, BatchId, BlockRequest, BlockWithCertificate, SyncMessage};
use lian_txpool::{AccountView, Refusal, Skip};
use lian_types::{BlockNumber, Certificate, ConsensusKey, Epoch, ProposalDigest, Signature, UnknownProtocol, View};
use std::sync::Arc;

/// Where consensus stands, of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsensusStatus {
    /// The epoch of the height above the final one.
    pub epoch: Epoch,
    /// The view last entered; the term of Raft.
    pub view: View,
    /// The view promised; the term of Raft.
    pub promised: View,
    /// Who leads the height above the final one, as far as is known.
    pub leader: Option<ConsensusKey>,
    /// Whether this node leads.
    pub leads: bool,
    /// The final and durable height.
    pub height: BlockNumber,
    /// The highest height accepted in this view, or in the log.
    pub accepted: BlockNumber,
    /// How many views were left one after the other without a block that became final in one of them; 0 in Raft.
    pub failed: u32,
    /// Up to which height this node abstains because its vote log was lost; the largest number where that is not known
    /// yet, and in Raft, where it is for good.
    pub abstains_until: Option<BlockNumber>,
}

/// A transaction with what the newest final state says about its sender.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The transaction.
    pub transaction: Arc<VerifiedTransaction>,
    /// Its sender's account.
    pub account: AccountView,
}

/// A block that is durable in the ledger.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The block as consensus sees it.
    pub head: Head,
    /// Its epoch.
    pub epoch: Epoch,
    /// The digest of the members that it names for the future.
    pub members: B256,
    /// Who seals after it and by which parameters, where it has changed that.
    pub governance: Option<Arc<Governance>>,
    /// The members of the latest epoch after it, where it has changed who seals.
    pub committee: Option<Committee>,
    /// The lowest block that this node can serve.
    pub oldest: BlockNumber,
    /// Its transactions.
    pub included: Vec<TxHash>,
    /// Transactions of its proposal that are not in it, and why.
    pub skipped: Vec<(TxHash, Skip)>,
    /// The nonces after it of all accounts whose nonce changed.
    pub nonces: Vec<(Address, u64)>,
}

/// An input of [`super::Core::step`].
#[derive(Clone, Debug)]
pub enum Input {
    /// A consensus message whose signatures were checked.
    Consensus {
        /// Whose session it came over.
        from: ConsensusKey,
        /// The message.
        message: Verified<lian_pbft::Message>,
    },
    /// The same in a group that agrees by Raft.
    Raft {
        /// Whose session it came over.
        from: ConsensusKey,
        /// The message.
        message: Box<Verified<lian_raft::Message>>,
    },
    /// The node is about to stop: where it leads a Raft group, another member is to take over.
    HandOver,
    /// Transactions that a peer gossiped, or bodies that it was asked for; senders recovered.
    Transactions {
        /// Whose session they came over.
        from: ConsensusKey,
        /// The transactions.
        transactions: Vec<Candidate>,
        /// Hashes that were asked for and that the peer does not have.
        unknown: Vec<TxHash>,
    },
    /// A peer asks for bodies.
    BodiesWanted {
        /// The peer.
        from: ConsensusKey,
        /// The hashes.
        hashes: Vec<TxHash>,
    },
    /// A message of catch-up.
    Sync {
        /// Whose session it came over.
        from: ConsensusKey,
        /// The message.
        message: SyncMessage,
    },
    /// What a peer tells of itself.
    Report {
        /// The peer.
        from: ConsensusKey,
        /// What it says.
        report: NodeReport,
    },
    /// An answer to [`Effect::Sync`].
    SyncDone(lian_sync::Input),
    /// A client's transaction.
    Submit {
        /// Names the client in [`Effect::Reply`].
        ticket: u64,
        /// The transaction.
        candidate: Candidate,
    },
    /// The answer to [`Effect::Sign`].
    Signed {
        /// What was signed.
        statement: Statement,
        /// This node's signature.
        signature: Signature,
    },
    /// A proposal was executed.
    Executed {
        /// Its height.
        height: BlockNumber,
        /// Its digest.
        digest: ProposalDigest,
        /// The hash of the header it was executed on.
        parent: B256,
        /// The hash of the resulting header.
        hash: B256,
    },
    /// A block is durable.
    Stored(Box<Stored>),
    /// A session to a peer came up or broke down.
    Peer {
        /// The peer.
        key: ConsensusKey,
        /// Whether there is a session now.
        connected: bool,
    },
    /// Only time has passed.
    Tick,
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// Every connected node.
    All,
    /// One node.
    One(ConsensusKey),
}

/// An effect of [`super::Core::step`]. Effects run in order; what stands after an [`Effect::Persist`] leaves the node
/// only when it is durable.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Sign, then answer with [`Input::Signed`].
    Sign(Statement),
    /// Append to the vote log and fsync.
    Persist(Vec<DurableRecord>),
    /// Send.
    Send {
        /// To whom.
        to: Recipient,
        /// What.
        message: GroupMessage,
    },
    /// Execute speculatively, then answer with [`Input::Executed`].
    Execute(ProposalWithBodies),
    /// Drop speculative results at this height and above.
    DiscardFrom(BlockNumber),
    /// Append the executed block of this proposal to the ledger, then answer with [`Input::Stored`].
    Append {
        /// The proposal with its bodies.
        proposal: ProposalWithBodies,
        /// The hash that its header must have.
        hash: B256,
        /// The proof.
        certificate: Arc<Certificate>,
    },
    /// Do this part of catching up, then answer with [`Input::SyncDone`].
    Sync(SyncWork),
    /// Tell a client what became of its transaction.
    Reply {
        /// The client's ticket.
        ticket: u64,
        /// Why it was refused, if it was.
        result: Result<(), Refusal>,
    },
    /// The pool took a transaction in.
    Pooled(Arc<VerifiedTransaction>),
    /// A peer broke a rule.
    Misbehaved {
        /// The peer.
        peer: ConsensusKey,
        /// What it did, for the log.
        what: Offence,
    },
    /// Stop this group on this node: it cannot be sure any more.
    Halt(Box<Divergence>),
    /// Stop this group on this node: the rules of the next block are unknown to this program.
    Outdated(UnknownProtocol),
}

/// Work of catching up that takes time or reads the ledger.
#[derive(Clone, Debug)]
pub enum SyncWork {
    /// Check certificates and roots.
    Verify {
        /// The number to answer with.
        batch: BatchId,
        /// The block below the first.
        parent: Anchor,
        /// The blocks.
        blocks: Arc<Vec<BlockWithCertificate>>,
    },
    /// Execute and append, in order.
    Apply(Arc<Vec<BlockWithCertificate>>),
    /// Answer a peer from the ledger.
    Serve {
        /// The peer.
        to: ConsensusKey,
        /// What it asks for.
        request: BlockRequest,
    },
}

/// What a peer did.
#[derive(Clone, Debug)]
pub enum Offence {
    /// In consensus by PBFT.
    Consensus(Misbehaviour),
    /// In consensus by Raft.
    Raft(lian_raft::Misbehaviour),
    /// In catch-up.
    Sync(lian_sync::Misbehaviour),
    /// It sent a transaction that breaks a static rule.
    InvalidTransaction(Refusal),
}
