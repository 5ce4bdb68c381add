//! A part of a block that ran as if nothing stood before it in the block.

use crate::database::{AccountNote, BlockState, Slot};
use crate::evm::BlockEvm;
use crate::gate::Gate;
use crate::rules::BlockRules;
use crate::serial::BlockRun;
use crate::transaction::tx_env;
use crate::{BlockEnvironment, ExecutionError, StateChanges};
use alloy_primitives::U256;
use alloy_primitives::map::AddressSet;
use lian_crypto::VerifiedTransaction;
use revm::context_interface::result::ExecutionResult;
use std::sync::Arc;

/// What a part's transactions gave, and the state after them.
pub(super) struct Part<'a> {
    state: BlockState<'a>,
    changes: StateChanges,
    /// Of each transaction; nothing where it did not run: it is invalid there, or state cannot be read.
    results: Vec<Option<ExecutionResult>>,
    notes: Notes,
}

/// What transactions read and wrote, one after the other.
#[derive(Default)]
struct Notes {
    accounts: Vec<AccountNote>,
    slots: Vec<(U256, Slot)>,
    /// How far both reach, by transaction.
    ends: Vec<[usize; 2]>,
}

impl<'a> Part<'a> {
    /// Runs transactions on the state in which their block begins.
    pub(super) fn run(
        rules: &BlockRules,
        environment: &BlockEnvironment,
        beginning: &'a BlockState<'a>,
        gate: Option<Gate<'a>>,
        transactions: &[Arc<VerifiedTransaction>],
    ) -> Self {
        let mut evm = BlockEvm::new(rules, environment, BlockState::new(beginning), gate, AddressSet::default());
        let mut notes = Notes::default();
        let mut results = Vec::with_capacity(transactions.len());
        for transaction in transactions {
            let sender = transaction.sender();
            let transaction = tx_env(rules.chain.fees, transaction.transaction().as_ethereum(), sender);
            let result = evm.transact_noting(transaction, |changes| {
                AccountNote::add_all(changes, &mut notes.accounts, &mut notes.slots);
            });
            notes.ends.push([notes.accounts.len(), notes.slots.len()]);
            results.push(result.ok());
        }
        let state = evm.into_state();
        let changes = state.changes();
        Self { state, changes, results, notes }
    }

    /// Whether all that its transactions gave counts, after a run and the parts after that.
    pub(super) fn counts_whole<'b>(
        &self,
        run: &mut BlockRun<'_>,
        mut parts: impl Iterator<Item = &'b BlockState<'b>>,
        transactions: &[Arc<VerifiedTransaction>],
    ) -> bool {
        let used = self.results.iter().map_while(|result| result.as_ref()).map(ExecutionResult::tx_gas_used);
        self.results.iter().all(Option::is_some)
            && run.has_room(transactions.iter().zip(used))
            && run.state_mut().agrees_with(&self.state)
            && parts.all(|part| part.agrees_with(&self.state))
    }

    /// The state after it, what differs there from the state before the block, and the results of its transactions.
    pub(super) fn into_results(self) -> (BlockState<'a>, StateChanges, impl Iterator<Item = ExecutionResult>) {
        (self.state, self.changes, self.results.into_iter().flatten())
    }

    /// Adds its transactions to a run one after the other, and runs those again that do not count. Returns how many.
    pub(super) fn take_over(
        self,
        run: &mut BlockRun<'_>,
        transactions: &[Arc<VerifiedTransaction>],
    ) -> Result<usize, ExecutionError> {
        let mut again = 0_usize;
        let Notes { accounts, slots, ends } = self.notes;
        let mut begins = [0; 2];
        for ((transaction, result), ends) in transactions.iter().zip(self.results).zip(ends) {
            let [account, slot] = std::mem::replace(&mut begins, ends);
            let [account_end, slot_end] = ends;
            let accounts = accounts.get(account..account_end).unwrap_or_default();
            let slots = slots.get(slot..slot_end).unwrap_or_default();
            match result {
                Some(result)
                    if run.state_mut().still_has(&self.state, accounts, slots)
                        && run.has_room([(transaction, 0)].into_iter()) =>
                {
                    run.state_mut().record_noted(accounts, slots);
                    run.keep(transaction, result);
                }
                _ => {
                    run.transact_next(transaction)?;
                    again = again.saturating_add(1);
                }
            }
        }
        Ok(again)
    }
}
