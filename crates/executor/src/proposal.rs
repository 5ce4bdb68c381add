//! From a proposal to a block.

use crate::{BlockEnvironment, ExecutionError, Outcome, Rules, StateChanges, StateReader, execute_transactions};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{Address, B64, B256, Bloom, Bytes, U256};
use lian_crypto::{Suite, VerifiedTransaction};
use lian_trie::{Hasher, NodeSource, StateNodeChanges, StateTrie, ordered_root};
use lian_types::{Block, Extension, Header, Proposal, ProposalDigest, Receipt};
use std::sync::Arc;

/// The block that a proposal is executed on top of.
#[derive(Clone)]
pub struct Parent {
    /// Its header.
    pub header: Header,
    /// Its hash.
    pub hash: B256,
    /// What its extension says about the members of the future; kept as long as no change of members is decided.
    pub extension_members: B256,
    /// The state after it.
    pub state: Arc<dyn StateReader>,
    /// The trie of that state.
    pub trie: StateTrie,
}

/// A block with everything that its execution gave. Cheap to clone.
#[derive(Clone)]
pub struct ExecutedBlock {
    /// The block.
    pub block: Arc<Block>,
    /// Its hash.
    pub hash: B256,
    /// The digest of its proposal.
    pub digest: ProposalDigest,
    /// The receipts, one for each transaction in the block.
    pub receipts: Arc<Vec<Receipt>>,
    /// The senders, one for each transaction in the block.
    pub senders: Arc<Vec<Address>>,
    /// What it changed.
    pub changes: Arc<StateChanges>,
    /// The trie of the state after it.
    pub trie: StateTrie,
    /// The trie's nodes that it wrote and deleted.
    pub nodes: Arc<StateNodeChanges>,
}

/// Executes a proposal on top of its parent: runs the transactions, updates the trie, assembles the block.
///
/// `gas_limit` is the group's block gas limit; `nodes` has the nodes of the parent's trie that are not in memory;
/// `transactions` are all bodies of the proposal in its order.
///
/// # Errors
/// [`ExecutionError`] where state or trie cannot be read, or the bodies are not the proposal's. Nothing has happened then.
pub fn execute_proposal(
    rules: &Rules,
    gas_limit: u64,
    parent: &Parent,
    nodes: &dyn NodeSource,
    proposal: &Proposal,
    transactions: &[Arc<VerifiedTransaction>],
) -> Result<ExecutedBlock, ExecutionError> {
    check_bodies(proposal, transactions)?;
    let suite = rules.suite;
    let beneficiary = suite.consensus_address(&proposal.proposer);
    let mut environment = BlockEnvironment::new(proposal.height.0, proposal.time.as_secs(), beneficiary, gas_limit);
    environment.parent_hash = Some(parent.hash);
    let outcome = execute_transactions(rules, &environment, parent.state.as_ref(), transactions)?;

    let (trie, nodes) = parent.trie.apply(nodes, proposal.height.0, &outcome.changes.trie_updates())?;
    let included = || outcome.included.iter().filter_map(|position| transactions.get(*position));
    let extension = Extension {
        version: Extension::VERSION,
        time: proposal.time,
        epoch: proposal.epoch,
        members: parent.extension_members,
        skipped: outcome.skipped.iter().map(|(skipped, _)| *skipped).collect(),
    };
    let bodies: Vec<_> = included().map(|transaction| transaction.transaction().encoded()).collect();
    let header = Sealing { suite, environment: &environment, parent: parent.hash, extension: &extension }.header(
        &bodies,
        &outcome,
        trie.root(),
    );
    let block = Block {
        header,
        extension,
        transactions: included().map(|transaction| Arc::clone(transaction.transaction())).collect(),
    };
    let senders = included().map(|transaction| transaction.sender()).collect();
    let Outcome { receipts, changes, .. } = outcome;
    Ok(ExecutedBlock {
        hash: suite.header_hash(&block.header),
        digest: suite.proposal_digest(proposal),
        block: Arc::new(block),
        receipts: Arc::new(receipts),
        senders: Arc::new(senders),
        changes: Arc::new(changes),
        trie,
        nodes: Arc::new(nodes),
    })
}

/// The bodies must be exactly those that the proposal names: anything else is a mistake of the caller.
fn check_bodies(proposal: &Proposal, transactions: &[Arc<VerifiedTransaction>]) -> Result<(), ExecutionError> {
    let (proposed, given) = (proposal.transactions.len(), transactions.len());
    if proposed != given {
        return Err(ExecutionError::BodyCount { proposed, given });
    }
    let mut pairs = proposal.transactions.iter().zip(transactions).enumerate();
    match pairs.find(|(_, (hash, transaction))| **hash != transaction.hash()) {
        Some((position, (proposed, given))) => {
            Err(ExecutionError::BodyMismatch { position, proposed: *proposed, given: given.hash() })
        }
        None => Ok(()),
    }
}

/// What a header needs besides the result of execution.
pub(crate) struct Sealing<'a> {
    pub(crate) suite: Suite,
    pub(crate) environment: &'a BlockEnvironment,
    pub(crate) parent: B256,
    pub(crate) extension: &'a Extension,
}

impl Sealing<'_> {
    /// The header of a block: Ethereum's after the merge, constant in the fields that have no meaning here.
    pub(crate) fn header<T: AsRef<[u8]>>(&self, bodies: &[T], outcome: &Outcome, state_root: B256) -> Header {
        let hasher = trie_hasher(self.suite);
        let mut logs_bloom = Bloom::ZERO;
        let encoded_receipts: Vec<_> = outcome
            .receipts
            .iter()
            .map(|receipt| {
                let bloom = receipt.bloom();
                logs_bloom.accrue_bloom(&bloom);
                receipt.encoded_2718(bloom)
            })
            .collect();
        let empty_root = hasher.empty_root();
        Header {
            parent_hash: self.parent,
            beneficiary: self.environment.beneficiary,
            state_root,
            transactions_root: ordered_root(hasher, bodies),
            receipts_root: ordered_root(hasher, &encoded_receipts),
            logs_bloom,
            difficulty: U256::ZERO,
            number: self.environment.number,
            gas_limit: self.environment.gas_limit,
            gas_used: outcome.gas_used,
            timestamp: self.environment.timestamp,
            extra_data: Bytes::copy_from_slice(self.suite.extension_digest(self.extension).as_slice()),
            mix_hash: self.environment.prevrandao,
            nonce: B64::ZERO,
            base_fee_per_gas: Some(self.environment.base_fee),
            withdrawals_root: Some(empty_root),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: Some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        }
    }
}

/// The hash function of a suite's tries.
pub(crate) const fn trie_hasher(suite: Suite) -> Hasher {
    match suite {
        Suite::Standard => Hasher::Keccak,
    }
}
