//! From a final block to its result, on a node that did not see its proposal.

use crate::proposal::execute_on;
use crate::{BlockEnvironment, ExecutedBlock, ExecutionError, Parent, Rules, Threads};
use lian_crypto::VerifiedTransaction;
use lian_trie::NodeSource;
use lian_types::{Block, Extension, ProposalDigest};
use std::sync::Arc;

/// Executes the transactions of a block that others made, on top of its parent. Transactions that its proposal named and
/// that it skipped had no effect, so their bodies are not needed.
///
/// The result has the header that *this* execution gives: who calls must compare its hash with the block's.
///
/// # Errors
/// [`ExecutionError`] where state or trie cannot be read, or the transactions are not the block's. Nothing has happened
/// then.
pub fn execute_block(
    threads: &Threads,
    rules: &Rules,
    parent: &Parent,
    nodes: &dyn NodeSource,
    block: &Block,
    digest: ProposalDigest,
    transactions: &[Arc<VerifiedTransaction>],
) -> Result<ExecutedBlock, ExecutionError> {
    let (proposed, given) = (block.transactions.len(), transactions.len());
    if proposed != given {
        return Err(ExecutionError::BodyCount { proposed, given });
    }
    let header = &block.header;
    let environment = BlockEnvironment::new(header.number, header.timestamp, header.beneficiary, header.gas_limit);
    execute_on(threads, rules, parent, nodes, environment, transactions, digest, |_, members| Extension {
        members,
        ..block.extension.clone()
    })
}
