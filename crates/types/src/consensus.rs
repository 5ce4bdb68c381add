//! What members agree on and sign: proposals, votes and the certificates that votes make.

use crate::{
    BlockNumber, ConsensusKey, ConsensusKind, Epoch, GroupId, MemberIndex, Millis, ProposalDigest, View, limits,
};
use alloy_primitives::{B256, TxHash};
use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;

/// The chain that a signature is meant for. It is part of everything that is signed, so that nothing replays across
/// chains or groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ChainContext {
    /// The digest of the network's whole genesis file.
    pub genesis: B256,
    /// The group within the network.
    pub group: GroupId,
    /// The group's EIP-155 chain id.
    pub chain_id: u64,
}

/// A signature over consensus bytes: 64 bytes, of Ed25519 (R ‖ S) or SM2 (r ‖ s).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Signature(pub [u8; 64]);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a leader asks the members to order (pbft §1). Its digest has no view in it, so that a later view proposes the
/// same bytes again.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct Proposal {
    /// The EIP-155 chain id of the group.
    pub chain_id: u64,
    /// The group.
    pub group: GroupId,
    /// The epoch whose members vote on it.
    pub epoch: Epoch,
    /// The height it is meant for, from 1.
    pub height: BlockNumber,
    /// The digest of the proposal of the height below; of height 1, the digest that stands for the genesis block.
    pub parent: ProposalDigest,
    /// The proposer's clock, in milliseconds since 1970; never earlier than the parent's.
    pub time: Millis,
    /// The consensus key of the member that made it.
    pub proposer: ConsensusKey,
    /// The full hashes of the transactions, in order, none twice; at most [`limits::PROPOSAL_TRANSACTIONS_MAX`].
    pub transactions: Vec<TxHash>,
}

impl Proposal {
    /// The bytes whose hash is the proposal's digest: a domain tag, then the canonical encoding.
    #[must_use]
    pub fn digest_bytes(&self) -> Vec<u8> {
        tagged(b"lian/proposal/1", self)
    }
}

impl BorshDeserialize for Proposal {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let mut proposal = Self {
            chain_id: u64::deserialize_reader(reader)?,
            group: GroupId::deserialize_reader(reader)?,
            epoch: Epoch::deserialize_reader(reader)?,
            height: BlockNumber::deserialize_reader(reader)?,
            parent: ProposalDigest::deserialize_reader(reader)?,
            time: Millis::deserialize_reader(reader)?,
            proposer: ConsensusKey::deserialize_reader(reader)?,
            transactions: Vec::new(),
        };
        let count = usize::try_from(u32::deserialize_reader(reader)?).unwrap_or(usize::MAX);
        if count > limits::PROPOSAL_TRANSACTIONS_MAX {
            let message = format!("{count} transactions exceed the limit of {}", limits::PROPOSAL_TRANSACTIONS_MAX);
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, message));
        }
        for _ in 0..count {
            proposal.transactions.push(TxHash::deserialize_reader(reader)?);
        }
        Ok(proposal)
    }
}

/// What a vote says about a proposal (pbft §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Phase {
    /// "I hold it, and it is valid in this view."
    Prepare = 1,
    /// "A quorum prepared it in this view", with its result where that is known already.
    Commit = 2,
    /// "It is ordered for ever, and this is its result." A checkpoint has no view: it is always 0 there.
    Checkpoint = 3,
    /// "A majority's logs hold it for ever, and this is its result" (raft §4); only where the genesis file chose Raft.
    /// It has no view: that is always 0.
    Replicated = 4,
}

/// A vote, before it is signed. One key signs at most one vote for each (group, epoch, view, height, phase).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Vote {
    /// The epoch whose members vote.
    pub epoch: Epoch,
    /// The view; 0 for [`Phase::Checkpoint`] and [`Phase::Replicated`].
    pub view: View,
    /// The height voted on.
    pub height: BlockNumber,
    /// What the vote says.
    pub phase: Phase,
    /// The proposal voted for.
    pub digest: ProposalDigest,
    /// The hash of the executed header: never for a prepare, where known for a commit, always for the others.
    pub result: Option<B256>,
}

impl Vote {
    /// The bytes that are signed.
    #[must_use]
    pub fn signing_bytes(&self, context: &ChainContext) -> Vec<u8> {
        tagged(b"lian/vote/1", &(context, self))
    }

    /// Whether view and result fit the phase.
    #[must_use]
    pub const fn is_well_formed(&self) -> bool {
        match self.phase {
            Phase::Prepare => self.result.is_none(),
            Phase::Commit => true,
            Phase::Checkpoint | Phase::Replicated => self.result.is_some() && self.view.0 == 0,
        }
    }
}

/// A vote with its signer and signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedVote {
    /// What was signed.
    pub vote: Vote,
    /// Who signed, among the members of the vote's epoch.
    pub signer: MemberIndex,
    /// The signature over [`Vote::signing_bytes`].
    pub signature: Signature,
}

/// One member's signature in a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct MemberSignature {
    /// Who signed.
    pub signer: MemberIndex,
    /// The signature over the vote that the certificate stands for.
    pub signature: Signature,
}

/// Which votes a certificate is made of: never a mixture of the two, nor of views (pbft §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum CertificateKind {
    /// Equal commits of one view that carry the result.
    Commit {
        /// The view of all the votes.
        view: View,
    },
    /// Equal checkpoints.
    Checkpoint,
    /// A majority's equal votes on what Raft has committed (raft §4).
    Replicated,
}

impl CertificateKind {
    /// Whose rules make such a certificate. A verifier accepts only those of the chain's own genesis: a majority is
    /// less than a quorum of PBFT.
    #[must_use]
    pub const fn consensus(self) -> ConsensusKind {
        match self {
            Self::Commit { .. } | Self::Checkpoint => ConsensusKind::Pbft,
            Self::Replicated => ConsensusKind::Raft,
        }
    }
}

/// The proof that a block is final: a quorum's equal votes on a proposal and its result.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Certificate {
    /// The epoch whose members signed.
    pub epoch: Epoch,
    /// The block's height.
    pub height: BlockNumber,
    /// The digest of the block's proposal.
    pub digest: ProposalDigest,
    /// The hash of the block's header.
    pub block_hash: B256,
    /// Which votes these are.
    pub kind: CertificateKind,
    /// The signatures, by rising member, none twice.
    pub signatures: Vec<MemberSignature>,
}

impl Certificate {
    /// The one vote that every signer of this certificate signed.
    #[must_use]
    pub const fn vote(&self) -> Vote {
        let (view, phase) = match self.kind {
            CertificateKind::Commit { view } => (view, Phase::Commit),
            CertificateKind::Checkpoint => (View::ZERO, Phase::Checkpoint),
            CertificateKind::Replicated => (View::ZERO, Phase::Replicated),
        };
        Vote { epoch: self.epoch, view, height: self.height, phase, digest: self.digest, result: Some(self.block_hash) }
    }
}

/// A domain tag and the canonical encoding of a value: what is hashed or signed. The tag keeps bytes that were signed
/// for one purpose from meaning anything for another.
pub(crate) fn tagged<T: BorshSerialize>(tag: &[u8], value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(tag);
    // Writing to a vector fails only when memory does, which ends the process anyway.
    let written = value.serialize(&mut bytes);
    debug_assert!(written.is_ok());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn proposal(count: usize) -> Proposal {
        Proposal {
            chain_id: 20_200,
            group: GroupId(0),
            epoch: Epoch(1),
            height: BlockNumber(5),
            parent: ProposalDigest(B256::repeat_byte(1)),
            time: Millis(7),
            proposer: ConsensusKey([9; 33]),
            transactions: (0..count).map(|i| B256::from(alloy_primitives::U256::from(i))).collect(),
        }
    }

    #[test]
    fn proposal_round_trips_and_is_bounded() {
        let small = proposal(3);
        assert_eq!(borsh::from_slice::<Proposal>(&borsh::to_vec(&small).unwrap()).unwrap(), small);
        let large = borsh::to_vec(&proposal(limits::PROPOSAL_TRANSACTIONS_MAX + 1)).unwrap();
        let error = borsh::from_slice::<Proposal>(&large).unwrap_err();
        assert!(error.to_string().contains("10001 transactions exceed the limit"), "{error}");
    }

    #[test]
    fn signed_bytes_differ_by_chain_group_and_every_field() {
        let context = ChainContext { genesis: B256::ZERO, group: GroupId(0), chain_id: 1 };
        let vote = Vote {
            epoch: Epoch(0),
            view: View(0),
            height: BlockNumber(0),
            phase: Phase::Commit,
            digest: ProposalDigest(B256::ZERO),
            result: None,
        };
        let mut all = vec![
            vote.signing_bytes(&context),
            vote.signing_bytes(&ChainContext { genesis: B256::repeat_byte(1), ..context }),
            vote.signing_bytes(&ChainContext { group: GroupId(1), ..context }),
            vote.signing_bytes(&ChainContext { chain_id: 2, ..context }),
            Vote { epoch: Epoch(1), ..vote }.signing_bytes(&context),
            Vote { view: View(1), ..vote }.signing_bytes(&context),
            Vote { height: BlockNumber(1), ..vote }.signing_bytes(&context),
            Vote { phase: Phase::Prepare, ..vote }.signing_bytes(&context),
            Vote { phase: Phase::Checkpoint, ..vote }.signing_bytes(&context),
            Vote { phase: Phase::Replicated, ..vote }.signing_bytes(&context),
            Vote { digest: ProposalDigest(B256::repeat_byte(1)), ..vote }.signing_bytes(&context),
            Vote { result: Some(B256::ZERO), ..vote }.signing_bytes(&context),
        ];
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    proptest! {
        #[test]
        fn decoders_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = borsh::from_slice::<Proposal>(&bytes);
            let _ = borsh::from_slice::<SignedVote>(&bytes);
            let _ = borsh::from_slice::<Certificate>(&bytes);
        }
    }
}
