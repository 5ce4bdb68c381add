//! From a proposal to a block.

use crate::governance::{Governance, block_gas_limit, members_of};
use crate::{BlockEnvironment, ExecutionError, LayeredState, Outcome, Rules, StateChanges, StateReader, Threads};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{Address, B64, B256, Bloom, Bytes};
use lian_crypto::{Suite, VerifiedTransaction};
use lian_system_contracts::{configuration, members};
use lian_trie::{Hasher, NodeSource, StateNodeChanges, StateTrie, ordered_root};
use lian_types::{Block, BlockNumber, Extension, Header, Proposal, ProposalDigest, Receipt};
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
    /// Who seals after it and by which parameters, where the block has changed that.
    pub governance: Option<Arc<Governance>>,
}

/// Executes a proposal on top of its parent: runs the transactions, updates the trie, assembles the block.
///
/// `gas_limit` is genesis' block gas limit, which acts where the chain has no contract for it; `nodes` has the nodes of the parent's trie that are not in memory;
/// `transactions` are all bodies of the proposal in its order.
///
/// # Errors
/// [`ExecutionError`] where state or trie cannot be read, or the bodies are not the proposal's. Nothing has happened then.
pub fn execute_proposal(
    threads: &Threads,
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
    let environment = BlockEnvironment::new(proposal.height.0, proposal.time.as_secs(), beneficiary, gas_limit);
    let extension = |outcome: &Outcome, members: B256| Extension {
        version: Extension::VERSION,
        time: proposal.time,
        epoch: proposal.epoch,
        members,
        skipped: outcome.skipped.iter().map(|(skipped, _)| *skipped).collect(),
    };
    let digest = suite.proposal_digest(proposal);
    execute_on(threads, rules, parent, nodes, environment, transactions, digest, extension)
}

/// Runs transactions on top of a parent and makes a block of those that are valid, with the extension that follows from
/// the outcome.
#[allow(clippy::too_many_arguments)] // They are what a block is made of.
pub(crate) fn execute_on(
    threads: &Threads,
    rules: &Rules,
    parent: &Parent,
    nodes: &dyn NodeSource,
    mut environment: BlockEnvironment,
    transactions: &[Arc<VerifiedTransaction>],
    digest: ProposalDigest,
    extension: impl FnOnce(&Outcome, B256) -> Extension,
) -> Result<ExecutedBlock, ExecutionError> {
    environment.parent_hash = Some(parent.hash);
    if rules.system_contracts {
        environment.gas_limit = block_gas_limit(parent.state.as_ref(), BlockNumber(environment.number))?;
    }
    let outcome = threads.execute(rules, &environment, parent.state.as_ref(), transactions)?;
    let (trie, nodes) = parent.trie.apply(nodes, environment.number, &outcome.changes.trie_updates())?;
    let governance = changed_governance(rules, parent, &outcome.changes)?;
    let members = match &governance {
        Some(governance) => rules.suite.members_digest(&members_of(rules.suite, &governance.schedule.next)?),
        None => parent.extension_members,
    };
    let extension = extension(&outcome, members);

    let included = || outcome.included.iter().filter_map(|position| transactions.get(*position));
    let bodies: Vec<_> = included().map(|transaction| transaction.transaction().encoded()).collect();
    let header = header(
        trie_hasher(rules.suite),
        &environment,
        parent.hash,
        extra_data(rules.suite, &extension),
        &bodies,
        &outcome,
        trie.root(),
    );
    let transactions = included().map(|transaction| Arc::clone(transaction.transaction())).collect();
    let senders = included().map(|transaction| transaction.sender()).collect();
    let Outcome { receipts, changes, .. } = outcome;
    Ok(ExecutedBlock {
        hash: rules.suite.header_hash(&header),
        digest,
        block: Arc::new(Block { header, extension, transactions }),
        receipts: Arc::new(receipts),
        senders: Arc::new(senders),
        changes: Arc::new(changes),
        trie,
        nodes: Arc::new(nodes),
        governance: governance.map(Arc::new),
    })
}

/// Who seals after a block and by which parameters, where the block has changed that.
fn changed_governance(
    rules: &Rules,
    parent: &Parent,
    changes: &StateChanges,
) -> Result<Option<Governance>, ExecutionError> {
    let contracts = [configuration::ADDRESS, members::ADDRESS];
    if !rules.system_contracts || !contracts.iter().any(|contract| changes.accounts.contains_key(contract)) {
        return Ok(None);
    }
    // Number and hash of the layer do not matter: nobody asks for hashes of blocks here.
    let state = LayeredState::new(Arc::clone(&parent.state)).with_block(0, B256::ZERO, Arc::new(changes.clone()));
    let (before, after) = (Governance::read(parent.state.as_ref())?, Governance::read(&state)?);
    Ok((before != after).then_some(after))
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

/// The header of a block: Ethereum's after the merge, constant in the fields that have no meaning here.
pub(crate) fn header<T: AsRef<[u8]>>(
    hasher: Hasher,
    environment: &BlockEnvironment,
    parent_hash: B256,
    extra_data: Bytes,
    bodies: &[T],
    outcome: &Outcome,
    state_root: B256,
) -> Header {
    let mut logs_bloom = Bloom::ZERO;
    let encode = |receipt: &Receipt| {
        let bloom = receipt.bloom();
        logs_bloom.accrue_bloom(&bloom);
        receipt.encoded_2718(bloom)
    };
    let encoded_receipts: Vec<_> = outcome.receipts.iter().map(encode).collect();
    Header {
        parent_hash,
        beneficiary: environment.beneficiary,
        state_root,
        transactions_root: ordered_root(hasher, bodies),
        receipts_root: ordered_root(hasher, &encoded_receipts),
        logs_bloom,
        difficulty: environment.difficulty,
        number: environment.number,
        gas_limit: environment.gas_limit,
        gas_used: outcome.gas_used,
        timestamp: environment.timestamp,
        extra_data,
        mix_hash: environment.prevrandao,
        nonce: B64::ZERO,
        base_fee_per_gas: Some(environment.base_fee),
        withdrawals_root: Some(hasher.empty_root()),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    }
}

/// A header's `extraData`: the digest of the block's extension.
pub(crate) fn extra_data(suite: Suite, extension: &Extension) -> Bytes {
    Bytes::copy_from_slice(suite.extension_digest(extension).as_slice())
}

/// The root of a block's transactions, given their canonical bytes in order.
#[must_use]
pub fn transactions_root<T: AsRef<[u8]>>(suite: Suite, encoded: &[T]) -> B256 {
    ordered_root(trie_hasher(suite), encoded)
}

/// The hash function of a suite's tries.
pub(crate) const fn trie_hasher(suite: Suite) -> Hasher {
    match suite {
        Suite::Standard => Hasher::Keccak,
    }
}
