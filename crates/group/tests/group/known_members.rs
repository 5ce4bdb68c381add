//! How far blocks of peers are believed while members change.

use crate::setup::{SUITE, genesis};
use alloy_primitives::B256;
use lian_crypto::ConsensusSecretKey;
use lian_executor::{Rules, transactions_root};
use lian_group::{ChainInfo, KnownMembers, check_blocks};
use lian_pbft::{Committee, Committees};
use lian_sync::{Anchor, BlockError, BlockWithCertificate};
use lian_types::{
    Block, BlockNumber, Certificate, CertificateKind, ChainContext, Epoch, Extension, GroupId, Header, Member,
    MemberIndex, MemberSignature, Members, Millis, Proposal, ProposalDigest,
};
use std::{ops::Range, sync::Arc};

const WINDOW: u64 = 4;
/// The block that decides on other members, and the first one of theirs.
const DECIDES: u64 = 20;
const FIRST: u64 = DECIDES + WINDOW;

fn key(number: u8) -> ConsensusSecretKey {
    ConsensusSecretKey::from_bytes(SUITE, &[number; 32])
}

fn members(numbers: Range<u8>) -> Members {
    let member = |number| {
        let key = key(number).public();
        Member { key, address: SUITE.consensus_address(&key) }
    };
    Members::new(numbers.map(member).collect()).unwrap()
}

/// The members of an epoch: nobody is in both.
const fn numbers(epoch: Epoch) -> Range<u8> {
    if epoch.0 == 0 { 1..5 } else { 5..9 }
}

fn info() -> ChainInfo {
    let genesis = genesis();
    let group = &genesis.groups[0];
    ChainInfo {
        consensus: lian_types::ConsensusKind::Pbft,
        group: GroupId(0),
        chain_id: group.chain_id,
        genesis_hash: B256::ZERO,
        suite: SUITE,
        rules: Rules::of_group(SUITE, group),
        block_gas_limit: group.block_gas_limit,
        context: ChainContext { genesis: B256::ZERO, group: GroupId(0), chain_id: group.chain_id },
        node: "node0".into(),
    }
}

fn known(head: u64, epochs: &[Epoch]) -> KnownMembers {
    let first = |epoch: Epoch| BlockNumber(if epoch.0 == 0 { 0 } else { FIRST });
    let committee = |epoch: &Epoch| Committee::new(*epoch, first(*epoch), members(numbers(*epoch)));
    KnownMembers { committees: Arc::new(Committees::new(epochs.iter().map(committee))), head: BlockNumber(head) }
}

/// Blocks from 1 to 40, each certified by the members of an epoch that is chosen for its height.
fn chain(epoch: impl Fn(u64) -> u64) -> Vec<BlockWithCertificate> {
    let digest_of = |epoch| SUITE.members_digest(&members(numbers(Epoch(epoch))));
    let start =
        |members| Anchor { height: BlockNumber(0), hash: B256::ZERO, digest: ProposalDigest::default(), members };
    let mut parent = start(digest_of(0));
    let mut blocks = Vec::new();
    for height in 1..=40 {
        let next = block(parent, Epoch(epoch(height)), digest_of(u64::from(height >= DECIDES)));
        parent = Anchor::of(&next);
        blocks.push(next);
    }
    blocks
}

fn block(parent: Anchor, epoch: Epoch, future: B256) -> BlockWithCertificate {
    let info = info();
    let height = parent.height.next();
    let signers = numbers(epoch);
    let proposer = key(signers.start).public();
    let time = Millis(1_000 * height.0);
    let extension = Extension { version: 1, time, epoch, members: future, skipped: vec![] };
    let header = Header {
        number: height.0,
        parent_hash: parent.hash,
        timestamp: time.as_secs(),
        beneficiary: SUITE.consensus_address(&proposer),
        extra_data: SUITE.extension_digest(&extension).to_vec().into(),
        transactions_root: transactions_root(SUITE, &[] as &[&[u8]]),
        ..Header::default()
    };
    let (chain_id, group) = (info.chain_id, info.group);
    let proposal =
        Proposal { chain_id, group, epoch, height, parent: parent.digest, time, proposer, transactions: vec![] };
    let (digest, block_hash) = (SUITE.proposal_digest(&proposal), SUITE.header_hash(&header));
    let kind = CertificateKind::Checkpoint;
    let mut certificate = Certificate { epoch, height, digest, block_hash, kind, signatures: vec![] };
    let bytes = certificate.vote().signing_bytes(&info.context);
    let sign = |(index, number)| MemberSignature { signer: MemberIndex(index), signature: key(number).sign(&bytes) };
    certificate.signatures = (0..3).zip(signers).map(sign).collect();
    BlockWithCertificate { block: Arc::new(Block { header, extension, transactions: vec![] }), certificate }
}

/// What a check of the blocks above a height gives.
fn check(known: &KnownMembers, blocks: &[BlockWithCertificate], above: usize) -> Result<usize, (u64, BlockError)> {
    let members = SUITE.members_digest(&members(numbers(Epoch(0))));
    let genesis = Anchor { height: BlockNumber(0), hash: B256::ZERO, digest: ProposalDigest::default(), members };
    let parent = above.checked_sub(1).map_or(genesis, |index| Anchor::of(&blocks[index]));
    check_blocks(&info(), WINDOW, known, parent, &blocks[above..]).map_err(|error| (error.height.0, error.error))
}

fn honest(height: u64) -> u64 {
    u64::from(height >= FIRST)
}

#[test]
fn blocks_are_believed_as_far_as_it_is_certain_who_decides() {
    let chain = chain(honest);
    // Up to a window above the last block that names no other members, in one batch or in several.
    assert_eq!(check(&known(0, &[Epoch(0)]), &chain, 0), Ok(FIRST as usize - 1));
    assert_eq!(check(&known(0, &[Epoch(0)]), &chain, 10), Ok(FIRST as usize - 11));
    // Where the change is verified but not final here, nothing above is believed, whatever follows.
    assert_eq!(check(&known(10, &[Epoch(0)]), &chain, FIRST as usize - 1), Ok(0));
    // Where it is final, all.
    assert_eq!(check(&known(DECIDES, &[Epoch(0), Epoch(1)]), &chain, FIRST as usize - 1), Ok(17));
    assert_eq!(check(&known(DECIDES, &[Epoch(0), Epoch(1)]), &chain, DECIDES as usize), Ok(20));
    // What has become final meanwhile is passed over, although its members are no longer known.
    assert_eq!(check(&known(30, &[Epoch(1)]), &chain, 0), Ok(40));
}

/// The old members sign on where others should decide.
#[test]
fn old_members_are_not_believed_beyond_their_end() {
    let forged = chain(|_| 0);
    assert_eq!(check(&known(0, &[Epoch(0)]), &forged, 0), Ok(FIRST as usize - 1));
    let (height, error) = check(&known(DECIDES, &[Epoch(0), Epoch(1)]), &forged, 0).unwrap_err();
    assert_eq!(height, FIRST);
    assert!(matches!(error, BlockError::Proposer(_) | BlockError::Certificate(_)), "{error}");
}
