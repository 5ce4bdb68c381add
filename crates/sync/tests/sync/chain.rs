//! A chain with real signatures.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope, proofs::ordered_trie_root_encoded};
use alloy_primitives::{Address, B256, TxHash, TxKind, U256};
use lian_crypto::{ConsensusSecretKey, EpochMembers, Suite};
use lian_sync::{Anchor, BlockWithCertificate, Checker};
use lian_types::{
    Block, BlockNumber, Certificate, CertificateKind, ChainContext, Epoch, Extension, GroupId, Header, Member,
    MemberIndex, MemberSignature, Members, Millis, Proposal, ProposalDigest, Skipped, Transaction, View,
};
use std::sync::{Arc, LazyLock};

pub(crate) const SUITE: Suite = Suite::Standard;
/// The height of the chain that tests share.
pub(crate) const TIP: u64 = 150;

pub(crate) static CHAIN: LazyLock<Chain> = LazyLock::new(|| Chain::new(TIP));

pub(crate) struct Chain {
    pub(crate) context: ChainContext,
    pub(crate) members: EpochMembers,
    pub(crate) keys: Vec<ConsensusSecretKey>,
    pub(crate) genesis: Anchor,
    /// Blocks from height 1 on.
    pub(crate) blocks: Vec<BlockWithCertificate>,
}

impl Chain {
    fn new(tip: u64) -> Self {
        let keys: Vec<_> = (1..=4).map(|i| ConsensusSecretKey::from_bytes(SUITE, &[i; 32])).collect();
        let member =
            |key: &ConsensusSecretKey| Member { key: key.public(), address: SUITE.consensus_address(&key.public()) };
        let members = Members::new(keys.iter().map(member).collect()).unwrap();
        let genesis = B256::repeat_byte(7);
        let mut chain = Self {
            context: ChainContext { genesis, group: GroupId(0), chain_id: 20_200 },
            members: EpochMembers { epoch: Epoch(0), members, consensus: lian_types::ConsensusKind::Pbft },
            keys,
            genesis: Anchor {
                height: BlockNumber(0),
                hash: genesis,
                digest: ProposalDigest(genesis),
                members: B256::ZERO,
            },
            blocks: vec![],
        };
        for height in 1..=tip {
            let next = chain.next_block(height);
            chain.blocks.push(next);
        }
        chain
    }

    pub(crate) fn block(&self, height: u64) -> Option<&BlockWithCertificate> {
        self.blocks.get(usize::try_from(height.checked_sub(1)?).unwrap())
    }

    pub(crate) fn range(&self, from: u64, count: u64) -> Vec<BlockWithCertificate> {
        (from..from + count).map_while(|height| self.block(height).cloned()).collect()
    }

    pub(crate) fn anchor(&self, height: u64) -> Anchor {
        self.block(height).map_or(self.genesis, Anchor::of)
    }

    pub(crate) fn checker(&self) -> Checker<'_> {
        Checker { suite: SUITE, context: &self.context, members: &self.members, transactions_root: &transactions_root }
    }

    fn next_block(&self, height: u64) -> BlockWithCertificate {
        let parent = self.anchor(height - 1);
        let transactions: Vec<_> = (0..height % 3).map(|nonce| transaction(height, nonce)).collect();
        let skipped = match height % 4 {
            0 => vec![Skipped { position: 1, hash: TxHash::repeat_byte(9) }],
            _ => vec![],
        };
        let time = Millis(1_000_500 + height * 700);
        let extension = Extension { version: 1, time, epoch: Epoch(0), members: B256::ZERO, skipped };
        let mut block = Block { header: Header::default(), extension, transactions };
        block.header.number = height;
        block.header.parent_hash = parent.hash;
        block.header.beneficiary = SUITE.consensus_address(&self.keys[usize::try_from(height % 4).unwrap()].public());
        self.seal(parent, block)
    }

    /// Fills in what the header says of the rest, and certifies the block.
    pub(crate) fn seal(&self, parent: Anchor, mut block: Block) -> BlockWithCertificate {
        block.header.timestamp = block.extension.time.as_secs();
        block.header.extra_data = SUITE.extension_digest(&block.extension).to_vec().into();
        block.header.transactions_root = transactions_root(&block.transactions);
        let proposer = self.members.members.iter().find(|(_, member)| member.address == block.header.beneficiary);
        let proposal = Proposal {
            chain_id: self.context.chain_id,
            group: self.context.group,
            epoch: block.extension.epoch,
            height: BlockNumber(block.header.number),
            parent: parent.digest,
            time: block.extension.time,
            proposer: proposer.map_or(self.keys[0].public(), |(_, member)| member.key),
            transactions: block.proposed_hashes(),
        };
        let digest = SUITE.proposal_digest(&proposal);
        let certificate = self.certify(block.header.number, digest, SUITE.header_hash(&block.header));
        BlockWithCertificate { block: Arc::new(block), certificate }
    }

    pub(crate) fn certify(&self, height: u64, digest: ProposalDigest, block_hash: B256) -> Certificate {
        let kind = if height.is_multiple_of(5) {
            CertificateKind::Checkpoint
        } else {
            CertificateKind::Commit { view: View(1) }
        };
        let height = BlockNumber(height);
        let mut certificate = Certificate { epoch: Epoch(0), height, digest, block_hash, kind, signatures: vec![] };
        let message = certificate.vote().signing_bytes(&self.context);
        let sign =
            |i: u16| MemberSignature { signer: MemberIndex(i), signature: self.keys[usize::from(i)].sign(&message) };
        certificate.signatures = [0, 1, 3].map(sign).to_vec();
        certificate
    }
}

pub(crate) fn transactions_root(transactions: &[Arc<Transaction>]) -> B256 {
    let encoded: Vec<_> = transactions.iter().map(|transaction| transaction.encoded().clone()).collect();
    ordered_trie_root_encoded(&encoded)
}

pub(crate) fn transaction(height: u64, nonce: u64) -> Arc<Transaction> {
    let to = TxKind::Call(Address::with_last_byte(u8::try_from(height % 251).unwrap()));
    let transaction = TxEip1559 { chain_id: 20_200, nonce, gas_limit: 21_000, to, ..Default::default() };
    let signature = alloy_primitives::Signature::new(U256::from(1), U256::from(2), false);
    let envelope: TxEnvelope = transaction.into_signed(signature).into();
    Arc::new(Transaction::from_envelope(&envelope).unwrap())
}
