//! Writing the state of a frozen view into chunks.

use super::chunk::{ChunkSink, ChunkWriter};
use super::{ChunkInfo, SnapshotEntry, SnapshotError};
use crate::block_record::StoredBlock;
use crate::key::{Key, Table};
use crate::store::ReadError;
use crate::view::FrozenView;
use alloy_primitives::{Address, B256, U256};
use lian_crypto::Suite;
use lian_executor::AccountState;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Shown an entry, which it may refuse.
type TryVisit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), SnapshotError> + 'a;

/// The state after one block, which stays as it is while the chain goes on.
pub(crate) struct FrozenState {
    pub(crate) height: u64,
    pub(crate) entries: Box<dyn FrozenView>,
}

impl FrozenState {
    /// Hands out all chunks, each when it is full, and returns what the manifest says about them. `block` is the one after
    /// which the state is.
    pub(crate) fn write_chunks<'a>(
        &self,
        suite: Suite,
        block: &StoredBlock,
        sink: &'a mut ChunkSink<'a>,
    ) -> Result<Vec<ChunkInfo>, SnapshotError> {
        let mut writer = ChunkWriter::new(suite, sink);
        for transaction in &block.block.transactions {
            writer.push(&SnapshotEntry::Transaction(Box::new(transaction.as_ref().clone())))?;
        }
        for receipt in block.receipts.iter() {
            writer.push(&SnapshotEntry::Receipt(receipt.clone()))?;
        }
        // The hashes of all codes that accounts have: few accounts have a code that no other has.
        let mut codes = BTreeSet::new();
        self.scan(Table::Accounts, &mut |key, value| {
            let address = Address::try_from(key).map_err(|_| malformed(Key::account(Address::ZERO)))?;
            let state: AccountState = borsh::from_slice(value).map_err(|_| malformed(Key::account(address)))?;
            if state.has_code() {
                codes.insert(state.code_hash);
            }
            writer.push(&SnapshotEntry::Account { address, state })
        })?;
        self.scan(Table::Storage, &mut |key, value| {
            let (address, slot) = key.split_at_checked(Address::len_bytes()).unwrap_or_default();
            let address = Address::try_from(address).unwrap_or_default();
            let slot = U256::try_from_be_slice(slot).unwrap_or_default();
            let wrong = || malformed(Key::storage(address, slot));
            let value = U256::try_from_be_slice(value).ok_or_else(wrong)?;
            writer.push(&SnapshotEntry::Slot { address, slot, value })
        })?;
        for hash in codes {
            writer.push(&SnapshotEntry::Code { code: self.code(hash)? })?;
        }
        writer.finish()
    }

    fn code(&self, hash: B256) -> Result<Vec<u8>, SnapshotError> {
        let key = Key::code(hash);
        let code = self.entries.get(&key)?;
        Ok(code.ok_or_else(|| ReadError::Missing { key: Box::new(key) })?.to_vec())
    }

    /// Shows all entries of a table until one fails.
    fn scan(&self, table: Table, visit: &mut TryVisit<'_>) -> Result<(), SnapshotError> {
        let mut outcome = Ok(());
        self.entries.scan(table, &[], &mut |key, value| match visit(key, value) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                outcome = Err(error);
                ControlFlow::Break(())
            }
        })?;
        outcome
    }
}

fn malformed(key: Key) -> SnapshotError {
    ReadError::Malformed { key: Box::new(key) }.into()
}
