//! A network of four members that everything is checked against.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope, TxLegacy};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use lian_crypto::{ConsensusSecretKey, EpochMembers, Suite};
use lian_pbft::{Committee, Committees, Rules, Statement};
use lian_types::{
    BlockNumber, Certificate, CertificateKind, ChainContext, ConsensusKind, Epoch, GroupId, Member, MemberIndex,
    MemberSignature, Members, Millis, Phase, Proposal, ProposalDigest, SignedVote, Transaction, View, Vote,
};
use std::sync::Arc;

pub(crate) const SUITE: Suite = Suite::Standard;
pub(crate) const GENESIS: B256 = B256::repeat_byte(9);
pub(crate) const CONTEXT: ChainContext = ChainContext { genesis: GENESIS, group: GroupId(0), chain_id: 20_200 };

pub(crate) fn rules() -> Rules {
    Rules { suite: SUITE, context: CONTEXT, genesis: ProposalDigest(B256::repeat_byte(0xee)), term: 4, window: 8 }
}

pub(crate) fn key(index: u8) -> ConsensusSecretKey {
    ConsensusSecretKey::from_bytes(SUITE, &[index.saturating_add(1); 32])
}

pub(crate) fn members() -> Members {
    let member = |index| {
        let key = key(index).public();
        Member { key, address: SUITE.consensus_address(&key) }
    };
    Members::new((0..4).map(member).collect()).unwrap_or_else(|error| unreachable!("four members: {error}"))
}

pub(crate) fn epoch() -> EpochMembers {
    EpochMembers { epoch: Epoch(0), members: members(), consensus: ConsensusKind::Pbft }
}

pub(crate) fn committees() -> Committees {
    Committees::new([Committee::new(Epoch(0), BlockNumber(0), members())])
}

pub(crate) fn proposal() -> Arc<Proposal> {
    Arc::new(Proposal {
        chain_id: CONTEXT.chain_id,
        group: GroupId(0),
        epoch: Epoch(0),
        height: BlockNumber(1),
        parent: rules().genesis,
        time: Millis(1_700_000_000_000),
        proposer: key(0).public(),
        transactions: transactions().iter().map(|transaction| transaction.hash()).collect(),
    })
}

pub(crate) fn vote(phase: Phase) -> Vote {
    let result = (phase != Phase::Prepare).then_some(B256::repeat_byte(3));
    let digest = SUITE.proposal_digest(&proposal());
    Vote { epoch: Epoch(0), view: View(0), height: BlockNumber(1), phase, digest, result }
}

pub(crate) fn signed(phase: Phase, signer: u8) -> SignedVote {
    let vote = vote(phase);
    let signature = key(signer).sign(&Statement::Vote(vote).signing_bytes(&CONTEXT));
    SignedVote { vote, signer: MemberIndex(signer.into()), signature }
}

pub(crate) fn signatures(phase: Phase) -> Vec<MemberSignature> {
    let sign = |signer| {
        let signed = signed(phase, signer);
        MemberSignature { signer: signed.signer, signature: signed.signature }
    };
    (0..3).map(sign).collect()
}

pub(crate) fn certificate(kind: CertificateKind) -> Certificate {
    let phase = match kind {
        CertificateKind::Commit { .. } => Phase::Commit,
        CertificateKind::Checkpoint => Phase::Checkpoint,
        CertificateKind::Replicated => Phase::Replicated,
    };
    let vote = vote(phase);
    Certificate {
        epoch: vote.epoch,
        height: vote.height,
        digest: vote.digest,
        block_hash: B256::repeat_byte(3),
        kind,
        signatures: signatures(phase),
    }
}

/// A legacy and a dynamic-fee transaction. Their signatures name senders that nobody has the keys of; recovering them is
/// all that is done with them.
pub(crate) fn transactions() -> Vec<Arc<Transaction>> {
    let signature = alloy_primitives::Signature::new(U256::from(0x1234_5678_9abc_u64), U256::from(0x4321_u64), true);
    let to = TxKind::Call(Address::repeat_byte(7));
    let legacy = TxLegacy { chain_id: Some(20_200), nonce: 1, gas_limit: 21_000, to, ..Default::default() };
    let fees = TxEip1559 {
        chain_id: 20_200,
        gas_limit: 50_000,
        to: TxKind::Create,
        input: Bytes::from_static(&[0x60, 0x00, 0x60, 0x00]),
        ..Default::default()
    };
    let envelopes = [TxEnvelope::from(legacy.into_signed(signature)), TxEnvelope::from(fees.into_signed(signature))];
    envelopes.iter().filter_map(|envelope| Transaction::from_envelope(envelope).ok()).map(Arc::new).collect()
}
