//! The state as one transaction sees it while others run.

use super::memory::{Found, Location, Memory, Read};
use crate::StateError;
use alloy_primitives::map::B256Map;
use alloy_primitives::{Address, B256, U256};
use revm::bytecode::Bytecode;
use revm::state::AccountInfo;
use revm::{Database, DatabaseRef};

/// What a worker's EVM reads from: the memory, as the transaction at a position sees it. Every read is remembered.
pub(super) struct View<'a> {
    memory: &'a Memory<'a>,
    position: usize,
    reads: Vec<Read>,
    /// The transaction on whose estimate the execution has stopped.
    blocked: Option<usize>,
    /// Codes that the state before the block has, as this worker has met them.
    codes: B256Map<Bytecode>,
}

impl<'a> View<'a> {
    pub(super) fn new(memory: &'a Memory<'a>) -> Self {
        Self { memory, position: 0, reads: Vec::new(), blocked: None, codes: B256Map::default() }
    }

    /// Turns to the transaction at a position.
    pub(super) fn begin(&mut self, position: usize) {
        self.position = position;
        self.reads.clear();
        self.blocked = None;
    }

    /// The transaction on whose estimate the execution has stopped, if it has: then its result means nothing.
    pub(super) const fn blocked(&self) -> Option<usize> {
        self.blocked
    }

    /// What was read since [`Self::begin`].
    pub(super) fn take_reads(&mut self) -> Vec<Read> {
        // The next transaction is likely to read about as much.
        let room = Vec::with_capacity(self.reads.len());
        std::mem::replace(&mut self.reads, room)
    }

    /// Stops the execution: its error reaches nobody.
    fn block(&mut self, on: usize) -> StateError {
        self.blocked = Some(on);
        StateError::new(format!("waiting for the transaction at position {on}"))
    }
}

impl Database for View<'_> {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        let (origin, (state, code)) = match self.memory.account(address, self.position)? {
            Found::Value(origin, found) => (origin, found),
            Found::Estimate(on) => return Err(self.block(on)),
        };
        self.reads.push(Read { location: Location::Account(address), origin, cleared: None });
        let Some(state) = state else { return Ok(None) };
        let code = match code {
            None if state.has_code() => self.codes.get(&state.code_hash).cloned(),
            None => Some(Bytecode::default()),
            code => code,
        };
        Ok(Some(AccountInfo {
            balance: state.balance,
            nonce: state.nonce,
            code_hash: state.code_hash,
            account_id: None,
            code,
        }))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, StateError> {
        // Codes that the block has made come with their accounts.
        if let Some(code) = self.codes.get(&hash) {
            return Ok(code.clone());
        }
        let code = self.memory.code(hash)?;
        self.codes.insert(hash, code.clone());
        Ok(code)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, StateError> {
        match self.memory.slot(address, slot, self.position)? {
            Found::Value(_, (value, read)) => {
                self.reads.push(read);
                Ok(value)
            }
            Found::Estimate(on) => Err(self.block(on)),
        }
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StateError> {
        // No transaction changes them.
        self.memory.beginning().block_hash_ref(number)
    }
}
