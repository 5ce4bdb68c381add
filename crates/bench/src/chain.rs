//! Chains that are made here: blocks with real certificates, by whoever has the members' keys.

use anyhow::{Context, Result, ensure};
use lian_crypto::{ConsensusSecretKey, Suite, VerifiedTransaction};
use lian_executor::{Rules, Threads, execute_proposal};
use lian_group::ChainInfo;
use lian_ledger::{FileStorage, FinalBlock, Ledger, LedgerConfig, SnapshotChain, Storage};
use lian_pbft::{Committee, Committees};
use lian_types::{
    BlockNumber, Certificate, CertificateKind, ConsensusKind, Epoch, Genesis, GroupGenesis, GroupId, MemberIndex,
    MemberSignature, Millis, Proposal, View,
};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Between two blocks, in milliseconds, as long as that does not lead into the future.
const BLOCK_MS: u64 = 5;

/// Makes a group's blocks without a network. Its members must be those of genesis.
pub struct ChainMaker {
    genesis: Genesis,
    group: GroupId,
    /// Members who sign: a quorum, with their places.
    signers: Vec<(MemberIndex, ConsensusSecretKey)>,
    info: ChainInfo,
    committees: Arc<Committees>,
    /// When this was made: no block claims to be later.
    made_at: Millis,
}

impl ChainMaker {
    /// `keys` are those of a quorum of the group's first members, or of more.
    ///
    /// # Errors
    /// Where the keys are too few, the group is a Raft group, or genesis is not sound.
    pub fn new(suite: Suite, genesis: Genesis, group: GroupId, keys: Vec<ConsensusSecretKey>) -> Result<Self> {
        let entry = genesis.groups.iter().find(|entry| entry.group == group);
        let entry = entry.with_context(|| format!("the genesis file has no group {group}"))?;
        ensure!(entry.consensus.kind == ConsensusKind::Pbft, "blocks of a Raft group follow from its members' logs");
        let chain = SnapshotChain { suite, genesis: &genesis, group: entry };
        let members = chain.first_members()?.members;
        let place = |key: ConsensusSecretKey| Some((members.index_of(&key.public())?, key));
        let mut signers: Vec<_> = keys.into_iter().filter_map(place).collect();
        signers.sort_by_key(|(place, _)| *place);
        let needed = members.quorum();
        ensure!(signers.len() >= needed, "{} of the members' keys are here, {needed} are needed", signers.len());
        signers.truncate(needed);
        let info = ChainInfo {
            group,
            chain_id: entry.chain_id,
            genesis_hash: lian_executor::genesis_block(suite, &genesis, entry)?.hash,
            suite,
            rules: Rules::of_group(suite, entry),
            block_gas_limit: entry.block_gas_limit,
            consensus: entry.consensus.kind,
            context: chain.context(),
            node: "bench".to_owned(),
        };
        let committees = Committees::new([Committee::new(Epoch::ZERO, BlockNumber::ZERO, members)]);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let made_at = Millis(u64::try_from(now).unwrap_or(u64::MAX));
        Ok(Self { signers, info, committees: Arc::new(committees), group, genesis, made_at })
    }

    /// The chain.
    #[must_use]
    pub const fn info(&self) -> &ChainInfo {
        &self.info
    }

    /// Its members.
    #[must_use]
    pub const fn committees(&self) -> &Arc<Committees> {
        &self.committees
    }

    fn group(&self) -> Result<&GroupGenesis> {
        self.genesis.groups.iter().find(|entry| entry.group == self.group).context("no group")
    }

    /// What a snapshot of it is checked against.
    ///
    /// # Errors
    /// Never in practice: the group was there when this was made.
    pub fn chain(&self) -> Result<SnapshotChain<'_>> {
        Ok(SnapshotChain { suite: self.info.suite, genesis: &self.genesis, group: self.group()? })
    }

    /// Opens a ledger of it.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open(&self, config: LedgerConfig) -> Result<Arc<Ledger>> {
        let storage: Arc<dyn Storage> = Arc::new(FileStorage);
        let SnapshotChain { suite, genesis, group } = self.chain()?;
        Ok(Ledger::open(config, storage, suite, genesis, group)?.0)
    }

    /// The block after a ledger's last one, certified.
    ///
    /// # Errors
    /// Where the members are no longer those of genesis, or the state cannot be read.
    pub fn block(&self, ledger: &Ledger, transactions: &[Arc<VerifiedTransaction>]) -> Result<FinalBlock> {
        let head = ledger.head();
        let epoch = head.block.extension.epoch;
        ensure!(
            epoch == Epoch::ZERO,
            "the members have changed since genesis: block {} is of epoch {epoch}",
            head.number
        );
        let before = head.block.extension.time;
        let (_, proposer) = self.signers.first().context("no key")?;
        let proposal = Proposal {
            chain_id: self.info.chain_id,
            group: self.info.group,
            epoch,
            height: head.number.next(),
            parent: head.digest,
            time: before.saturating_add(BLOCK_MS).min(self.made_at).max(before),
            proposer: proposer.public(),
            transactions: transactions.iter().map(|transaction| transaction.hash()).collect(),
        };
        let (nodes, gas) = (ledger.nodes(), self.info.block_gas_limit);
        let executed = execute_proposal(
            &Threads::one(),
            &self.info.rules,
            gas,
            &head.parent,
            nodes.as_ref(),
            &proposal,
            transactions,
        )?;
        let mut certificate = Certificate {
            epoch,
            height: proposal.height,
            digest: executed.digest,
            block_hash: executed.hash,
            kind: CertificateKind::Commit { view: View(0) },
            signatures: vec![],
        };
        let vote = certificate.vote().signing_bytes(&self.info.context);
        let sign = |(signer, key): &(MemberIndex, ConsensusSecretKey)| MemberSignature {
            signer: *signer,
            signature: key.sign(&vote),
        };
        certificate.signatures = self.signers.iter().map(sign).collect();
        Ok(FinalBlock { executed, certificate: Arc::new(certificate) })
    }
}
