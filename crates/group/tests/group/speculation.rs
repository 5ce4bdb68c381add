//! Speculative results beside finality.

use crate::setup::{SUITE, genesis, key, transfer, verified};
use lian_crypto::VerifiedTransaction;
use lian_executor::Rules;
use lian_group::{
    execution::{ProposalWithBodies, SpeculativeChain},
    finality::{FinalityError, finalize},
};
use lian_ledger::{FileStorage, Ledger, LedgerConfig};
use lian_types::{
    BlockNumber, Certificate, CertificateKind, Epoch, GroupId, MemberIndex, MemberSignature, Millis, Proposal,
    ProposalDigest, Signature, View,
};
use std::sync::Arc;

pub(crate) fn chain(folder: &std::path::Path) -> (Arc<Ledger>, SpeculativeChain) {
    let genesis = genesis();
    let group = &genesis.groups[0];
    let (ledger, _) = Ledger::open(LedgerConfig::new(folder), Arc::new(FileStorage), SUITE, &genesis, group).unwrap();
    let chain = SpeculativeChain::new(Rules::of_group(SUITE, group), group.block_gas_limit, Arc::clone(&ledger));
    (ledger, chain)
}

fn proposal(height: u64, parent: ProposalDigest) -> ProposalWithBodies {
    proposal_of(height, parent, vec![verified(transfer(height - 1))])
}

pub(crate) fn proposal_of(
    height: u64,
    parent: ProposalDigest,
    bodies: Vec<Arc<VerifiedTransaction>>,
) -> ProposalWithBodies {
    let proposal = Proposal {
        chain_id: crate::setup::CHAIN_ID,
        group: GroupId(0),
        epoch: Epoch(0),
        height: BlockNumber(height),
        parent,
        time: Millis(height),
        proposer: key().public(),
        transactions: bodies.iter().map(|body| body.hash()).collect(),
    };
    let digest = SUITE.proposal_digest(&proposal);
    ProposalWithBodies { proposal: Arc::new(proposal), digest, bodies: Arc::new(bodies) }
}

pub(crate) fn certificate(proposal: &ProposalWithBodies, hash: alloy_primitives::B256) -> Arc<Certificate> {
    Arc::new(Certificate {
        epoch: Epoch(0),
        height: proposal.proposal.height,
        digest: proposal.digest,
        block_hash: hash,
        kind: CertificateKind::Commit { view: View(0) },
        signatures: vec![MemberSignature { signer: MemberIndex(0), signature: Signature([0; 64]) }],
    })
}

/// A view change discards speculation while a final block is on its way to the disk; the block after it, certified
/// before the view change, still finds its parent.
#[test]
fn final_results_survive_a_discard_before_they_are_durable() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, mut chain) = chain(folder.path());
    let first = proposal(1, ledger.head().digest);
    let second = proposal(2, first.digest);
    let executed = chain.execute(first.clone()).unwrap().pop().unwrap();
    let after = chain.execute(second.clone()).unwrap().pop().unwrap();
    let one = finalize(&mut chain, &first, executed.hash, certificate(&first, executed.hash)).unwrap();
    chain.discard_from(BlockNumber(1));
    let two = finalize(&mut chain, &second, after.hash, certificate(&second, after.hash)).unwrap();
    ledger.append(&[one, two]).unwrap();
    assert_eq!(ledger.head().hash, after.hash);
}

/// A block that was caught up while its certificate came, and was stored by the ledger's thread meanwhile, is no reason
/// to stop; a block whose parent is missing is.
#[test]
fn a_block_that_is_stored_meanwhile_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, mut chain) = chain(folder.path());
    let first = proposal(1, ledger.head().digest);
    let second = proposal(2, first.digest);
    let executed = chain.execute(first.clone()).unwrap().pop().unwrap();
    let after = chain.execute(second.clone()).unwrap().pop().unwrap();
    let one = finalize(&mut chain, &first, executed.hash, certificate(&first, executed.hash)).unwrap();
    let two = finalize(&mut chain, &second, after.hash, certificate(&second, after.hash)).unwrap();
    ledger.append(&[one, two]).unwrap();
    for (proposal, result) in [(&first, &executed), (&second, &after)] {
        let error = finalize(&mut chain, proposal, result.hash, certificate(proposal, result.hash)).err().unwrap();
        assert!(matches!(error, FinalityError::AlreadyFinal { .. }), "{error}");
    }
    let orphan = proposal(3, first.digest);
    let error = finalize(&mut chain, &orphan, after.hash, certificate(&orphan, after.hash)).err().unwrap();
    assert!(matches!(error, FinalityError::NoParent { .. }), "{error}");
}

#[test]
fn a_proposal_waits_for_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, mut chain) = chain(folder.path());
    let first = proposal(1, ledger.head().digest);
    let second = proposal(2, first.digest);
    assert!(chain.execute(second.clone()).unwrap().is_empty());
    let heights: Vec<_> = chain.execute(first).unwrap().iter().map(|block| block.block.header.number).collect();
    assert_eq!(heights, [1, 2]);
}

#[test]
fn a_result_that_is_not_the_certified_one_stops_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, mut chain) = chain(folder.path());
    let first = proposal(1, ledger.head().digest);
    let other = alloy_primitives::B256::repeat_byte(1);
    let error = finalize(&mut chain, &first, other, certificate(&first, other)).err().unwrap();
    assert!(matches!(error, FinalityError::Diverged { certified, .. } if certified == other), "{error}");
}
