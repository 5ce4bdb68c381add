//! What members send one another (§2), and its canonical bytes.

use crate::codec::{read_shared, read_shared_list, read_vec, write_shared, write_shared_list};
use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use lian_types::{
    BlockNumber, Certificate, ChainContext, DecodeError, Epoch, MemberIndex, MemberSignature, Phase, Proposal,
    ProposalDigest, Signature, SignedVote, View, Vote, decode_exact, limits,
};
use std::sync::Arc;

/// A message between members.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// A leader proposes for the first time.
    PrePrepare(PrePrepare),
    /// A prepare, a commit or a checkpoint.
    Vote(SignedVote),
    /// A member has left a view.
    ViewChange(ViewChangeMessage),
    /// The leader of a view starts it.
    NewView(
        #[borsh(serialize_with = "write_shared", deserialize_with = "read_shared")]
        /// Shared, since it is kept for members that come late.
        Arc<SignedNewView>,
    ),
    /// Where a member stands.
    Heartbeat(Heartbeat),
    /// The proof that a block is final, for a member that lags.
    Certificate(Certificate),
    /// The proposals below a certificate, for a member that lacks them.
    Ancestry(Ancestry),
}

impl Message {
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        // Writing to a vector fails only when memory does, which ends the process anyway.
        let written = self.serialize(&mut bytes);
        debug_assert!(written.is_ok());
        bytes
    }

    /// Reads a message from a peer's bytes; allocates in proportion to them.
    ///
    /// # Errors
    /// [`DecodeError`] for bytes longer than [`limits::FRAME_BYTES_MAX`] and for anything but one whole message.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_exact("consensus message", bytes, limits::FRAME_BYTES_MAX)
    }
}

/// A proposal with its leader's signature over (context, epoch, view, height, digest).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PrePrepare {
    /// The view it is proposed in. Epoch and height stand in the proposal.
    pub view: View,
    /// What is proposed.
    #[borsh(serialize_with = "write_shared", deserialize_with = "read_shared")]
    pub proposal: Arc<Proposal>,
    /// The leader's signature over [`Statement::PrePrepare`].
    pub signature: Signature,
}

/// A quorum's prepares of one view on one proposal (§2).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PrepareCertificate {
    /// The epoch whose members prepared.
    pub epoch: Epoch,
    /// The view of all the prepares.
    pub view: View,
    /// The height.
    pub height: BlockNumber,
    /// The proposal.
    pub digest: ProposalDigest,
    /// The prepares' signatures, by rising member, none twice.
    #[borsh(deserialize_with = "read_vec::<_, _, { limits::MEMBERS_MAX }>")]
    pub signatures: Vec<MemberSignature>,
}

impl PrepareCertificate {
    /// The one vote that every signer signed.
    #[must_use]
    pub const fn vote(&self) -> Vote {
        Vote {
            epoch: self.epoch,
            view: self.view,
            height: self.height,
            phase: Phase::Prepare,
            digest: self.digest,
            result: None,
        }
    }
}

/// What a member says when it leaves for a view (§5).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ViewChange {
    /// The epoch.
    pub epoch: Epoch,
    /// The view it promises to move to; it votes in no lower one ever again.
    pub view: View,
    /// The certificate of the greatest height that it holds; none where only the genesis block is final.
    pub base: Option<Certificate>,
    /// For every height above the base that it prepared, the prepare certificate of the highest view; heights rise.
    #[borsh(deserialize_with = "read_vec::<_, _, { crate::limits::PREPARED_MAX }>")]
    pub prepared: Vec<PrepareCertificate>,
}

impl ViewChange {
    /// The height of the base.
    #[must_use]
    pub fn base_height(&self) -> BlockNumber {
        self.base.as_ref().map_or(BlockNumber::ZERO, |certificate| certificate.height)
    }
}

/// A view-change with its signer.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedViewChange {
    /// What was signed.
    pub change: ViewChange,
    /// Who signed.
    pub signer: MemberIndex,
    /// The signature over [`Statement::ViewChange`].
    pub signature: Signature,
}

/// A view-change on its way, with the proposals that its prepare certificates name, in their order. They are outside
/// the signature, which covers their digests, so that a new-view need not carry each of them q times.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ViewChangeMessage {
    /// The signed part.
    #[borsh(serialize_with = "write_shared", deserialize_with = "read_shared")]
    pub signed: Arc<SignedViewChange>,
    /// One proposal for each prepare certificate.
    #[borsh(serialize_with = "write_shared_list", deserialize_with = "read_proposals")]
    pub proposals: Vec<Arc<Proposal>>,
}

/// The start of a view (§5): a quorum's view-changes and what follows from them.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NewView {
    /// The epoch.
    pub epoch: Epoch,
    /// The view that starts.
    pub view: View,
    /// At least a quorum of view-changes for it, by rising signer.
    #[borsh(
        serialize_with = "write_shared_list",
        deserialize_with = "read_shared_list::<_, _, { limits::MEMBERS_MAX }>"
    )]
    pub changes: Vec<Arc<SignedViewChange>>,
    /// The proposals that the view-changes force, from the height above the base on, and, where a proposal was cut
    /// because its parent does not match, that one too as the proof.
    #[borsh(serialize_with = "write_shared_list", deserialize_with = "read_proposals")]
    pub proposals: Vec<Arc<Proposal>>,
}

/// A new-view with the new leader's signature.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedNewView {
    /// What was signed.
    pub new_view: NewView,
    /// The leader of the view at the height above the base.
    pub signer: MemberIndex,
    /// The signature over [`Statement::NewView`].
    pub signature: Signature,
}

/// Where a member stands. It is not signed: who sent it is known from the session it came over, and nothing that
/// concerns safety rests on a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Heartbeat {
    /// The epoch of the height above the final one.
    pub epoch: Epoch,
    /// The height that is final and durable there.
    pub height: BlockNumber,
    /// The view it last entered.
    pub view: View,
    /// The view it has promised to move to; equal to `view` outside a view change.
    pub promised: View,
    /// Whether it holds a transaction that has waited longer than the censorship bound in `view` (§5).
    pub starving: bool,
    /// The height up to which it abstains because its vote log was lost (§3), if it does.
    pub abstains_until: Option<BlockNumber>,
}

/// A certificate with the proposals that it orders (§4): its own first, then each one's parent. The digests prove them.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Ancestry {
    /// The certificate.
    pub certificate: Certificate,
    /// The proposals by falling height, at least that of the certificate.
    #[borsh(serialize_with = "write_shared_list", deserialize_with = "read_proposals")]
    pub proposals: Vec<Arc<Proposal>>,
}

/// Everything that a member's consensus key signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// A leader's proposal for a (view, height).
    PrePrepare {
        /// The epoch.
        epoch: Epoch,
        /// The view.
        view: View,
        /// The height.
        height: BlockNumber,
        /// The proposal.
        digest: ProposalDigest,
    },
    /// A prepare, commit or checkpoint.
    Vote(Vote),
    /// A view-change.
    ViewChange(Box<ViewChange>),
    /// A new-view.
    NewView(Box<NewView>),
}

impl Statement {
    /// The bytes that are signed: a tag of their own for each kind, the chain, and the content. One kind's signature
    /// therefore never holds for another, nor for another chain or group.
    #[must_use]
    pub fn signing_bytes(&self, context: &ChainContext) -> Vec<u8> {
        match self {
            Self::PrePrepare { epoch, view, height, digest } => {
                tagged(b"lian/pre-prepare/1", &(context, epoch, view, height, digest))
            }
            Self::Vote(vote) => vote.signing_bytes(context),
            Self::ViewChange(change) => tagged(b"lian/view-change/1", &(context, change.as_ref())),
            Self::NewView(new_view) => tagged(b"lian/new-view/1", &(context, new_view.as_ref())),
        }
    }
}

/// A domain tag and the canonical encoding of a value.
pub(crate) fn tagged<T: BorshSerialize>(tag: &[u8], value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    bytes.extend_from_slice(tag);
    // Writing to a vector fails only when memory does, which ends the process anyway.
    let written = value.serialize(&mut bytes);
    debug_assert!(written.is_ok());
    bytes
}

/// Reads the proposals of a view-change or a new-view.
fn read_proposals<R: std::io::Read>(reader: &mut R) -> std::io::Result<Vec<Arc<Proposal>>> {
    read_shared_list::<_, _, { crate::limits::PROPOSALS_MAX }>(reader)
}

/// A header's hash: the result of executing a proposal.
pub type ResultHash = B256;
