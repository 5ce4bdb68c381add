//! What goes into the machine and what comes out.

use crate::{Committee, Message, Record, Statement, Timing};
use alloy_primitives::{B256, TxHash};
use lian_crypto::Verified;
use lian_types::{
    BlockNumber, Certificate, ConsensusKey, Epoch, MemberIndex, Millis, Proposal, ProposalDigest, Signature, View,
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

impl Head {
    /// Whether the certificate proves it; block 0 needs none.
    pub(crate) fn is_proven(&self) -> bool {
        let proof = |certificate: &Certificate| {
            (certificate.height, certificate.digest, certificate.block_hash) == (self.height, self.digest, self.hash)
        };
        self.height == BlockNumber::ZERO || self.certificate.as_ref().is_some_and(proof)
    }
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
        statement: Statement,
        /// This node's signature over it.
        signature: Signature,
    },
    /// The answer to [`Effect::CheckBodies`]: every body is held and valid, or the proposal breaks a static rule.
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
        /// The view asked for.
        view: View,
        /// The full hashes, in order, none twice.
        transactions: Vec<TxHash>,
        /// The node's wall clock, not below the `time_min` asked for.
        time: Millis,
    },
    /// A block is durable in this node's ledger, whether it came from [`Effect::Certified`] or was caught up. The
    /// members that it decided for the future must be installed before, by [`Input::Members`].
    Final(Head),
    /// What waits in the pool.
    Pool {
        /// Whether there is a transaction to propose now.
        ready: bool,
        /// Since when the oldest eligible, unproposed transaction waits although it would have had room: where
        /// proposals are full and take transactions in their order, waiting is load and not censorship.
        waiting_since: Option<Millis>,
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
    /// The members of a coming epoch (§6), decided by a block that is about to be reported final.
    Members(Committee),
    /// This node's waiting times from now on, where the group has changed them.
    Timing(Timing),
    /// The rules of this height are unknown to this program: it decides nothing there and above, although the others may.
    EndBefore(BlockNumber),
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
    /// Every other member, and whoever else follows this group's consensus.
    All,
    /// The peer with this key.
    One(ConsensusKey),
}

/// An effect of [`crate::Machine::step`]. Effects run in order, over all steps; what stands after a
/// [`Effect::Persist`] leaves the node only after it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Sign, then answer with [`Input::Signed`].
    Sign(Statement),
    /// Append to the vote log and fsync (§3). Neighbouring ones may share one fsync as long as what follows waits.
    Persist(Vec<Record>),
    /// Send a message.
    Send {
        /// To whom.
        to: Recipient,
        /// What.
        message: Message,
    },
    /// Fetch the bodies that are missing, check the static rules, then answer with [`Input::Bodies`]. It is asked once;
    /// keep trying until it is answered or forgotten.
    CheckBodies {
        /// The proposal's digest.
        digest: ProposalDigest,
        /// The proposal.
        proposal: Arc<Proposal>,
    },
    /// The proposal will not be asked for again unless [`Effect::CheckBodies`] names it anew: stop fetching.
    Forget(ProposalDigest),
    /// Execute on the result of the height below, then answer with [`Input::Executed`]. Its bodies are held.
    Execute {
        /// The proposal's digest.
        digest: ProposalDigest,
        /// The proposal.
        proposal: Arc<Proposal>,
    },
    /// Drop every speculative result and every running execution at this height and above (§5).
    DiscardFrom(BlockNumber),
    /// This node leads: choose transactions, then answer with [`Input::Transactions`].
    WantTransactions {
        /// The height to propose for.
        height: BlockNumber,
        /// The view.
        view: View,
        /// The proposal of the height below.
        parent: ProposalDigest,
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
        /// The proof: the height's own certificate.
        certificate: Arc<Certificate>,
    },
    /// A greater height is final elsewhere and cannot be reached from the proposals held here: catch up.
    Behind {
        /// The greatest height known or claimed to be final.
        height: BlockNumber,
        /// Who knows it.
        from: ConsensusKey,
        /// Whether a verified certificate proves it; else it is only the peer's word.
        proven: bool,
    },
    /// A stage was reached; for flow records only.
    Reached {
        /// The height.
        height: BlockNumber,
        /// The proposal.
        digest: ProposalDigest,
        /// The stage.
        stage: Stage,
    },
    /// This node entered a view or left one; for status and metrics.
    ViewChanged {
        /// The epoch.
        epoch: Epoch,
        /// The view now entered or promised.
        view: View,
        /// Whether it was entered; else it was only promised.
        entered: bool,
        /// Why a view was left; none where it was entered.
        cause: Option<Cause>,
    },
    /// A member broke a rule provably or by its own session.
    Misbehaved {
        /// The member.
        member: MemberIndex,
        /// What it did.
        what: Misbehaviour,
    },
    /// Stop this group on this node: it cannot be sure any more (§7). Nothing follows.
    Halt(Box<Divergence>),
}

/// The stages of a height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The proposal was accepted in this view.
    Accepted,
    /// A quorum prepared it.
    Prepared,
    /// This node sent its commit.
    Committed,
    /// A quorum committed it.
    Ordered,
    /// This node sent its checkpoint.
    Checkpointed,
    /// A certificate is known and the block is executed.
    Certified,
}

/// Why a view was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Open heights made no progress in time.
    Timeout,
    /// The session to the leader was lost.
    LeaderLost,
    /// The leader was silent for too long.
    LeaderSilent,
    /// The leader says that it has left the view or abstains: it will not propose.
    LeaderAway,
    /// The leader proposed what the rules refuse.
    InvalidProposal,
    /// f+1 members hold transactions that wait for too long.
    Censorship,
    /// f+1 members have left already.
    Others,
    /// The new view did not start in time.
    NewViewTimeout,
    /// This node's vote log was lost, and it now returns (§3).
    Rejoin,
    /// A plan for a retry says so (§7).
    Retry,
}

/// A rule that a member broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    /// Two proposals for one (view, height).
    TwoProposals,
    /// Two votes for one (view, height, phase).
    TwoVotes,
    /// Two view-changes for one view.
    TwoViewChanges,
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
        /// The quorum's proof of another one.
        certificate: Box<Certificate>,
    },
    /// This node executed one proposal twice with different results.
    Execution {
        /// The height.
        height: BlockNumber,
        /// The proposal.
        digest: ProposalDigest,
        /// The result that this node voted for, or that an installed plan keeps: header hash of the parent, header hash.
        voted: (B256, B256),
        /// The result it has now.
        found: (B256, B256),
    },
    /// No header can gather a quorum any more.
    NoQuorum {
        /// The height.
        height: BlockNumber,
        /// The proposal.
        digest: ProposalDigest,
        /// Who voted for which header hash.
        results: Vec<(B256, Vec<MemberIndex>)>,
    },
    /// Two proofs order different proposals at one height, or finalise different results: more than f members are faulty.
    Order {
        /// The height.
        height: BlockNumber,
        /// What this node holds proof of.
        own: ProposalDigest,
        /// What another proof says; none where it says that nothing is ordered there.
        other: Option<ProposalDigest>,
    },
}
