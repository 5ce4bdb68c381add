//! Checking certificates: a quorum's equal votes.

use crate::{SignatureError, Suite};
use lian_types::{Certificate, ChainContext, ConsensusKind, Epoch, MemberIndex, MemberSignature, Members, Vote};

/// The members of one epoch, and by which rule they decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochMembers {
    /// The epoch.
    pub epoch: Epoch,
    /// Its voting members.
    pub members: Members,
    /// How the chain's genesis file says that they agree. It never changes while a chain lives.
    pub consensus: ConsensusKind,
}

impl EpochMembers {
    /// How many equal votes make a certificate.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.consensus.quorum(&self.members)
    }
}

/// Why a certificate proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It names another epoch than the members it was checked against.
    #[error("certificate of epoch {found} checked against the members of epoch {expected}")]
    WrongEpoch {
        /// The certificate's epoch.
        found: Epoch,
        /// The members' epoch.
        expected: Epoch,
    },
    /// It is made by the rules of another kind of consensus than the chain's.
    #[error("certificate of a {} group in a {} group", found.name(), expected.name())]
    WrongConsensus {
        /// The certificate's.
        found: ConsensusKind,
        /// The chain's.
        expected: ConsensusKind,
    },
    /// Too few signatures.
    #[error("certificate has {found} signatures, a quorum is {quorum}")]
    NoQuorum {
        /// Signatures found.
        found: usize,
        /// Signatures needed.
        quorum: usize,
    },
    /// The signers do not rise: one stands twice, or the order is wrong.
    #[error("certificate names member {0} twice or out of order")]
    NotRising(MemberIndex),
    /// A signer is not a member.
    #[error("certificate names member {0}, who does not exist in its epoch")]
    UnknownSigner(MemberIndex),
    /// A signature does not hold.
    #[error("certificate: {0}")]
    Signature(#[from] SignatureError),
}

/// Checks that a certificate holds: the kind of consensus, its epoch, a quorum of different members, and each signature.
///
/// # Errors
/// [`CertificateError`] says which of these fails first.
pub fn verify_certificate(
    suite: Suite,
    context: &ChainContext,
    members: &EpochMembers,
    certificate: &Certificate,
) -> Result<(), CertificateError> {
    let (found, expected) = (certificate.kind.consensus(), members.consensus);
    if found != expected {
        return Err(CertificateError::WrongConsensus { found, expected });
    }
    verify_member_signatures(suite, context, members, &certificate.vote(), &certificate.signatures)
}

/// Checks that a quorum of different members signed one vote.
///
/// # Errors
/// [`CertificateError`] says what fails first.
pub fn verify_member_signatures(
    suite: Suite,
    context: &ChainContext,
    members: &EpochMembers,
    vote: &Vote,
    signatures: &[MemberSignature],
) -> Result<(), CertificateError> {
    if vote.epoch != members.epoch {
        return Err(CertificateError::WrongEpoch { found: vote.epoch, expected: members.epoch });
    }
    let quorum = members.quorum();
    if signatures.len() < quorum {
        return Err(CertificateError::NoQuorum { found: signatures.len(), quorum });
    }
    let message = vote.signing_bytes(context);
    let mut previous = None;
    for MemberSignature { signer, signature } in signatures {
        if previous.is_some_and(|previous| previous >= *signer) {
            return Err(CertificateError::NotRising(*signer));
        }
        previous = Some(*signer);
        let member = members.members.get(*signer).ok_or(CertificateError::UnknownSigner(*signer))?;
        suite.verify(&member.key, &message, signature)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConsensusSecretKey;
    use alloy_primitives::B256;
    use lian_types::{BlockNumber, CertificateKind, GroupId, Member, ProposalDigest, View};

    const SUITE: Suite = Suite::Standard;

    fn setup() -> (ChainContext, EpochMembers, Certificate, Vec<ConsensusSecretKey>) {
        let keys: Vec<_> = (1..=4).map(|i| ConsensusSecretKey::from_bytes(SUITE, &[i; 32])).collect();
        let member =
            |key: &ConsensusSecretKey| Member { key: key.public(), address: SUITE.consensus_address(&key.public()) };
        let members = Members::new(keys.iter().map(member).collect()).unwrap();
        let context = ChainContext { genesis: B256::repeat_byte(9), group: GroupId(0), chain_id: 20_200 };
        let mut certificate = Certificate {
            epoch: Epoch(0),
            height: BlockNumber(7),
            digest: ProposalDigest(B256::repeat_byte(1)),
            block_hash: B256::repeat_byte(2),
            kind: CertificateKind::Commit { view: View(3) },
            signatures: vec![],
        };
        let message = certificate.vote().signing_bytes(&context);
        certificate.signatures = (0u16..3)
            .zip(&keys)
            .map(|(i, key)| MemberSignature { signer: MemberIndex(i), signature: key.sign(&message) })
            .collect();
        (context, EpochMembers { epoch: Epoch(0), members, consensus: ConsensusKind::Pbft }, certificate, keys)
    }

    #[test]
    fn a_quorum_holds_and_anything_less_does_not() {
        let (context, members, good, keys) = setup();
        let check = |certificate: &Certificate| verify_certificate(SUITE, &context, &members, certificate);
        assert_eq!(check(&good), Ok(()));

        let mut few = good.clone();
        few.signatures.pop();
        assert_eq!(check(&few), Err(CertificateError::NoQuorum { found: 2, quorum: 3 }));

        let mut twice = good.clone();
        twice.signatures[2] = twice.signatures[1];
        assert_eq!(check(&twice), Err(CertificateError::NotRising(MemberIndex(1))));

        let mut unknown = good.clone();
        unknown.signatures[2].signer = MemberIndex(4);
        assert_eq!(check(&unknown), Err(CertificateError::UnknownSigner(MemberIndex(4))));

        let mut epoch = good.clone();
        epoch.epoch = Epoch(1);
        let wrong = CertificateError::WrongEpoch { found: Epoch(1), expected: Epoch(0) };
        assert_eq!(check(&epoch), Err(wrong));

        for change in [
            (|c| c.kind = CertificateKind::Commit { view: View(4) }) as fn(&mut Certificate),
            |c| c.kind = CertificateKind::Checkpoint,
            |c| c.block_hash = B256::ZERO,
            |c| c.height = BlockNumber(8),
        ] {
            let mut changed = good.clone();
            change(&mut changed);
            assert_eq!(check(&changed), Err(SignatureError::Mismatch(keys[0].public()).into()));
        }
        let raft = EpochMembers { consensus: ConsensusKind::Raft, ..members.clone() };
        let wrong = |found, expected| Err(CertificateError::WrongConsensus { found, expected });
        let check_raft = |certificate: &Certificate| verify_certificate(SUITE, &context, &raft, certificate);
        assert_eq!(check_raft(&good), wrong(ConsensusKind::Pbft, ConsensusKind::Raft));

        let elsewhere = ChainContext { group: GroupId(1), ..context };
        assert!(verify_certificate(SUITE, &elsewhere, &members, &good).is_err());
    }

    /// Two of three are a majority, but less than what the same members need for PBFT where there are four.
    #[test]
    fn a_majority_decides_where_genesis_chose_raft_and_nowhere_else() {
        let (context, pbft, mut certificate, keys) = setup();
        let raft = EpochMembers { consensus: ConsensusKind::Raft, ..pbft.clone() };
        certificate.kind = CertificateKind::Replicated;
        let message = certificate.vote().signing_bytes(&context);
        let signature = |(i, key): (u16, &ConsensusSecretKey)| MemberSignature {
            signer: MemberIndex(i),
            signature: key.sign(&message),
        };
        certificate.signatures = (0u16..3).zip(&keys).map(signature).collect();
        assert_eq!(verify_certificate(SUITE, &context, &raft, &certificate), Ok(()));
        let wrong = CertificateError::WrongConsensus { found: ConsensusKind::Raft, expected: ConsensusKind::Pbft };
        assert_eq!(verify_certificate(SUITE, &context, &pbft, &certificate), Err(wrong));
        certificate.signatures.pop();
        let few = CertificateError::NoQuorum { found: 2, quorum: 3 };
        assert_eq!(verify_certificate(SUITE, &context, &raft, &certificate), Err(few));
    }
}
