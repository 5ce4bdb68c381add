//! What goes into the machine and what comes out.

use crate::{Message, Record};
use alloy_primitives::{B256, TxHash};
use lian_crypto::{EpochMembers, Verified};
use lian_types::{
    BlockNumber, Certificate, ConsensusKey, MemberIndex, Millis, Proposal, ProposalDigest, Signature, View, Vote,
};
use std::sync::Arc;

/// The last final block as consensus sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its height.
    pub height: BlockNumber,
    /// The digest of its proposal; of block 0, the digest that stands for the genesis block.
    pub digest: ProposalDigest,
    /// The hash of its header.
    pub hash: B256,
    /// The time of its proposal.
    pub time: Millis,
    /// Its certificate; none for block 0.
    pub certificate: Option<Certificate>,
}

/// In which state the vote log was found at a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogCondition {
    /// Everything that was ever made durable is there.
    Whole,
    /// It is missing, or damaged before its end: this node may have voted or acknowledged without knowing (§3).
    Lost,
}

/// An input of [`crate::Machine::step`].
#[derive(Clone, Debug)]
pub enum Input {
    /// A message that [`crate::verify`] accepted, from the peer with this consensus key.
    Message {
        /// Whose session it came over; need not be a member's.
        from: ConsensusKey,
        /// The message.
        message: Verified<Message>,
    },
    /// The answer to [`Effect::Sign`].
    Signed {
        /// What was signed.
        vote: Vote,
        /// This node's signature over it.
        signature: Signature,
    },
    /// The answer to [`Effect::CheckBodies`].
    Bodies {
        /// The proposal.
        digest: ProposalDigest,
        /// What was found.
        verdict: BodiesVerdict,
    },
    /// The answer to [`Effect::Execute`].
    Executed {
        /// The height.
        height: BlockNumber,
        /// The proposal executed.
        digest: ProposalDigest,
        /// The hash of the header it was executed on.
        parent: B256,
        /// The hash of the resulting header.
        hash: B256,
    },
    /// The answer to [`Effect::WantTransactions`]. No transactions means that there are none; then no proposal is
    /// made, unless empty blocks are allowed now, and nothing is asked for before the next [`Input::Pool`] says that
    /// something is ready. Every body is held.
    Transactions {
        /// The height asked for.
        height: BlockNumber,
        /// The term asked for.
        term: View,
        /// The full hashes, in order, none twice.
        transactions: Vec<TxHash>,
        /// The node's wall clock, not below the `time_min` asked for.
        time: Millis,
    },
    /// A block is durable in this node's ledger, whether it came from [`Effect::Certified`] or was caught up. The
    /// members that it decided for the future must be installed before, by [`Input::Members`].
    Final(Head),
    /// Whether there is a transaction to propose now.
    Pool {
        /// Whether one waits.
        ready: bool,
    },
    /// Whether empty blocks are allowed because a change of members waits for its height (§6).
    AllowEmpty(bool),
    /// The session to a peer came up or broke down.
    Peer {
        /// The peer's consensus key.
        key: ConsensusKey,
        /// Whether there is a session now.
        connected: bool,
    },
    /// The members from a height on (§6), decided by a block that is about to be reported final.
    Members {
        /// The first height that they decide.
        first: BlockNumber,
        /// The members.
        members: Arc<EpochMembers>,
    },
    /// The rules of this height are unknown to this program: it decides nothing there and above, although the others may.
    EndBefore(BlockNumber),
    /// This node is about to stop: whoever leads asks another member to take over.
    HandOver,
    /// Only time has passed.
    Tick,
}

/// What a check of bodies found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodiesVerdict {
    /// All bodies are held and valid, and each may stand in this proposal.
    Held,
    /// The proposal breaks a rule that every member judges alike.
    Invalid,
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// Every other node of the group.
    All,
    /// The peer with this key.
    One(ConsensusKey),
}

/// An effect of [`crate::Machine::step`]. Effects run in order, over all steps; what stands after a
/// [`Effect::Persist`] leaves the node only after it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Sign, then answer with [`Input::Signed`].
    Sign(Vote),
    /// Append to the vote log and fsync (§3). Neighbouring ones may share one fsync as long as what follows waits.
    Persist(Vec<Record>),
    /// Send a message.
    Send {
        /// To whom.
        to: Recipient,
        /// What.
        message: Message,
    },
    /// Fetch the bodies that are missing, check the static rules, then answer with [`Input::Bodies`]. Keep trying until
    /// it is answered or forgotten.
    CheckBodies {
        /// The proposal's digest.
        digest: ProposalDigest,
        /// The proposal.
        proposal: Arc<Proposal>,
    },
    /// The proposal will not be asked for again unless [`Effect::CheckBodies`] names it anew: stop fetching.
    Forget(ProposalDigest),
    /// This node has proposed: its transactions are not to be offered again.
    Proposed {
        /// The proposal's digest.
        digest: ProposalDigest,
        /// The proposal.
        proposal: Arc<Proposal>,
    },
    /// Execute on the result of the height below, then answer with [`Input::Executed`]. Its bodies are held.
    Execute {
        /// The proposal's digest.
        digest: ProposalDigest,
        /// The proposal.
        proposal: Arc<Proposal>,
    },
    /// Drop every speculative result and every running execution at this height and above.
    DiscardFrom(BlockNumber),
    /// This node leads: choose transactions, then answer with [`Input::Transactions`].
    WantTransactions {
        /// The height to propose for.
        height: BlockNumber,
        /// The term.
        term: View,
        /// The least time that the proposal may have.
        time_min: Millis,
    },
    /// The executed block of this height is proven final: append it to the ledger, then answer with [`Input::Final`].
    /// Heights come in order, without gaps, above the last [`Input::Final`]; one that was caught up meanwhile is to be
    /// ignored.
    Certified {
        /// The height's proposal.
        proposal: Arc<Proposal>,
        /// Its digest.
        digest: ProposalDigest,
        /// The hash of its executed header.
        hash: B256,
        /// The proof.
        certificate: Arc<Certificate>,
    },
    /// A greater height is final elsewhere and this node does not get there by its log: catch up.
    Behind {
        /// The greatest height known or claimed to be final.
        height: BlockNumber,
        /// Who says so.
        from: ConsensusKey,
    },
    /// A stage was reached; for flow records only.
    Reached {
        /// The height.
        height: BlockNumber,
        /// The stage.
        stage: Stage,
    },
    /// Term or leader have changed; for status and metrics.
    LeaderChanged {
        /// The term.
        term: View,
        /// Who leads it, as far as is known.
        leader: Option<ConsensusKey>,
    },
    /// A member broke a rule: a program that is not this one, or a fault that Raft does not tolerate.
    Misbehaved {
        /// The member.
        key: ConsensusKey,
        /// What it did.
        what: Misbehaviour,
    },
    /// Stop this group on this node: it cannot be sure any more (§7). Nothing follows.
    Halt(Box<Divergence>),
}

/// The stages of a height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The proposal stands in this node's log.
    Accepted,
    /// A majority's logs have it: it is committed.
    Committed,
    /// This node has signed its header.
    Signed,
    /// A certificate is known and the block is executed.
    Certified,
}

/// A rule that a member broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    /// Two headers for one height.
    TwoVotes,
    /// A proposal that breaks a static rule.
    InvalidProposal,
}

/// What cannot be reconciled (§7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// This node's header differs from a certificate's.
    Result {
        /// The height.
        height: BlockNumber,
        /// The proposal, executed by both.
        digest: ProposalDigest,
        /// This node's header hash.
        own: B256,
        /// The majority's proof of another one.
        certificate: Box<Certificate>,
    },
    /// This node executed one proposal twice with different results.
    Execution {
        /// The height.
        height: BlockNumber,
        /// The proposal.
        digest: ProposalDigest,
        /// The header below.
        parent: B256,
        /// The header that this node signed.
        signed: B256,
        /// The one that it has now.
        found: B256,
    },
    /// No header can gather a majority any more.
    NoMajority {
        /// The height.
        height: BlockNumber,
        /// The proposal.
        digest: ProposalDigest,
        /// Who signed which header.
        results: Vec<(B256, Vec<MemberIndex>)>,
    },
    /// A certificate names another proposal than the one that this node's log has committed: a majority is faulty, or this
    /// node's log is another chain's.
    Order {
        /// The height.
        height: BlockNumber,
        /// What this node's log has committed.
        own: ProposalDigest,
        /// What is certified.
        other: ProposalDigest,
    },
}
