//! Speculative execution: results of open proposals on top of the last final block.

use alloy_primitives::B256;
use lian_crypto::VerifiedTransaction;
use lian_executor::{
    ExecutedBlock, ExecutionError, LayeredState, Parent, Rules, Threads, execute_block, execute_proposal,
};
use lian_ledger::{Head, Ledger};
use lian_types::{Block, BlockNumber, Proposal, ProposalDigest};
use std::{collections::BTreeMap, sync::Arc};

/// A proposal with all its bodies, in order.
#[derive(Clone, Debug)]
pub struct ProposalWithBodies {
    /// The proposal.
    pub proposal: Arc<Proposal>,
    /// Its digest.
    pub digest: ProposalDigest,
    /// One body for each hash.
    pub bodies: Arc<Vec<Arc<VerifiedTransaction>>>,
}

/// Executes proposals ahead of finality and keeps their results until they are final or discarded.
///
/// Nothing that it holds reaches the ledger except through a certificate; discarding it costs only work.
pub struct SpeculativeChain {
    rules: Rules,
    block_gas_limit: u64,
    threads: Threads,
    ledger: Arc<Ledger>,
    executed: BTreeMap<ProposalDigest, ExecutedBlock>,
    /// Up to which height results were handed out as final. The ledger may not have them yet, so they stay.
    sealed: BlockNumber,
    /// Proposals whose parent is not executed yet, by the parent's digest.
    waiting: BTreeMap<ProposalDigest, Vec<ProposalWithBodies>>,
}

impl SpeculativeChain {
    /// Nothing executed yet, on top of a ledger, by one thread.
    #[must_use]
    pub fn new(rules: Rules, block_gas_limit: u64, ledger: Arc<Ledger>) -> Self {
        Self {
            rules,
            block_gas_limit,
            threads: Threads::one(),
            ledger,
            executed: BTreeMap::new(),
            sealed: BlockNumber::ZERO,
            waiting: BTreeMap::new(),
        }
    }

    /// The same, by several threads.
    #[must_use]
    pub fn on(self, threads: Threads) -> Self {
        Self { threads, ..self }
    }

    /// The threads that it executes on.
    #[must_use]
    pub const fn threads(&self) -> &Threads {
        &self.threads
    }

    /// The result of a proposal, if it was executed.
    #[must_use]
    pub fn result(&self, digest: &ProposalDigest) -> Option<&ExecutedBlock> {
        self.executed.get(digest)
    }

    /// Executes a proposal, and then those that waited for it. Returns what was executed with the hash of the header it
    /// was executed on, in order; nothing where the parent is not executed yet or the height is final already.
    ///
    /// # Errors
    /// [`ExecutionError`] where the state cannot be read: the node must stop.
    pub fn execute(&mut self, proposal: ProposalWithBodies) -> Result<Vec<ExecutedBlock>, ExecutionError> {
        let mut results = Vec::new();
        let mut ready = vec![proposal];
        while let Some(next) = ready.pop() {
            if let Some(result) = self.execute_one(next)? {
                ready.extend(self.waiting.remove(&result.digest).unwrap_or_default());
                results.push(result);
            }
        }
        Ok(results)
    }

    /// Executes a block that others made, on top of the head or of what was replayed before. The result has the header
    /// that this execution gives; `None` where the parent is not known here.
    ///
    /// # Errors
    /// [`ExecutionError`] where the state cannot be read: the node must stop.
    pub fn replay(
        &mut self,
        block: &Block,
        digest: ProposalDigest,
        parent: ProposalDigest,
        transactions: &[Arc<VerifiedTransaction>],
    ) -> Result<Option<ExecutedBlock>, ExecutionError> {
        let head = self.ledger.head();
        self.forget_final(head.number);
        let Some(parent) = self.parent(&head, parent) else { return Ok(None) };
        let nodes = self.ledger.nodes_after(BlockNumber(parent.header.number));
        let mut result =
            execute_block(&self.threads, &self.rules, &parent, nodes.as_ref(), block, digest, transactions)?;
        result.trie = self.ledger.evict(&result.trie);
        self.executed.insert(digest, result.clone());
        Ok(Some(result))
    }

    /// The digest of the proposal of the block with a hash: the head, or a block executed on top of it.
    #[must_use]
    pub fn digest_of(&self, hash: B256) -> Option<ProposalDigest> {
        let head = self.ledger.head();
        if head.hash == hash {
            return Some(head.digest);
        }
        self.executed.values().find(|block| block.hash == hash).map(|block| block.digest)
    }

    /// The ledger that it stands on.
    #[must_use]
    pub const fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    fn execute_one(&mut self, next: ProposalWithBodies) -> Result<Option<ExecutedBlock>, ExecutionError> {
        let head = self.ledger.head();
        self.forget_final(head.number);
        if let Some(result) = self.executed.get(&next.digest) {
            return Ok(Some(result.clone()));
        }
        if next.proposal.height <= head.number {
            return Ok(None);
        }
        let Some(parent) = self.parent(&head, next.proposal.parent) else {
            self.waiting.entry(next.proposal.parent).or_default().push(next);
            return Ok(None);
        };
        let nodes = self.ledger.nodes_after(BlockNumber(parent.header.number));
        let (gas_limit, nodes) = (self.block_gas_limit, nodes.as_ref());
        let mut result =
            execute_proposal(&self.threads, &self.rules, gas_limit, &parent, nodes, &next.proposal, &next.bodies)?;
        result.trie = self.ledger.evict(&result.trie);
        self.executed.insert(next.digest, result.clone());
        Ok(Some(result))
    }

    /// The executed block with a digest as a parent: the head itself, or executed blocks on top of it.
    fn parent(&self, head: &Head, digest: ProposalDigest) -> Option<Parent> {
        if digest == head.digest {
            return Some(head.parent.clone());
        }
        let mut above = Vec::new();
        let mut cursor = self.executed.get(&digest)?;
        while cursor.block.header.number > head.number.0 {
            above.push(cursor);
            if cursor.block.header.parent_hash == head.parent.hash {
                let mut state = LayeredState::new(Arc::clone(&head.parent.state));
                for block in above.iter().rev() {
                    state = state.with_block(block.block.header.number, block.hash, Arc::clone(&block.changes));
                }
                let top = above.first()?;
                return Some(Parent {
                    header: top.block.header.clone(),
                    hash: top.hash,
                    extension_members: top.block.extension.members,
                    state: Arc::new(state),
                    trie: top.trie.clone(),
                });
            }
            cursor = self.executed.values().find(|block| block.hash == cursor.block.header.parent_hash)?;
        }
        None
    }

    /// Notes that the result of a height is final and on its way to the ledger: it is never discarded.
    pub fn seal(&mut self, height: BlockNumber) {
        self.sealed = self.sealed.max(height);
    }

    /// Forgets every result at and above a height, when a new view orders something else there (pbft §5). Final ones
    /// stay: what follows them may come before the ledger has them.
    pub fn discard_from(&mut self, height: BlockNumber) {
        let height = height.max(self.sealed.next());
        self.executed.retain(|_, block| block.block.header.number < height.0);
        self.drop_waiting(|proposal| proposal.height < height);
    }

    /// Forgets results at and below the head, which the ledger has.
    fn forget_final(&mut self, head: BlockNumber) {
        self.executed.retain(|_, block| block.block.header.number > head.0);
        self.drop_waiting(|proposal| proposal.height > head);
    }

    fn drop_waiting(&mut self, keep: impl Fn(&Proposal) -> bool) {
        for proposals in self.waiting.values_mut() {
            proposals.retain(|waiting| keep(&waiting.proposal));
        }
        self.waiting.retain(|_, proposals| !proposals.is_empty());
    }
}
