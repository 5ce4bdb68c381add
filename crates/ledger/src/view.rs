//! The key-value view: the newest flushed state and the indexes, for reading. Everything in it can be computed again
//! from the log.

mod fjall;
mod memory;

pub use fjall::FjallView;
pub use memory::MemoryView;

use crate::key::{Key, Table};
use alloy_primitives::{B256, Bytes};
use lian_trie::{Nibbles, NodeSource, Owner, SourceError};
use std::ops::ControlFlow;

/// A failure of the view. It says nothing about the chain, whose truth is the log.
#[derive(Debug, thiserror::Error)]
#[error("the key-value view failed to {operation}: {reason}")]
pub struct ViewError {
    /// What was attempted.
    pub operation: &'static str,
    /// The store's reason.
    pub reason: String,
}

impl ViewError {
    pub(crate) fn new(operation: &'static str, reason: impl ToString) -> Self {
        Self { operation, reason: reason.to_string() }
    }
}

/// One write of a batch: a new value, or that the key goes.
pub type Write = (Key, Option<Bytes>);

/// Shown an entry; breaks off when it has seen enough.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// A store of keys and values.
pub trait View: Send + Sync {
    /// The value under a key.
    ///
    /// # Errors
    /// [`ViewError`] if the store cannot tell.
    fn get(&self, key: &Key) -> Result<Option<Bytes>, ViewError>;

    /// Shows all entries of a table whose keys begin with `prefix`, in order, until `visit` breaks off.
    ///
    /// # Errors
    /// [`ViewError`] if the store cannot tell.
    fn scan(&self, table: Table, prefix: &[u8], visit: Visit<'_>) -> Result<(), ViewError>;

    /// Writes all or nothing; it is durable on return. No key stands twice in a batch.
    ///
    /// # Errors
    /// [`ViewError`]; whether the batch was written is not known then.
    fn commit(&self, batch: Vec<Write>) -> Result<(), ViewError>;

    /// Drops everything.
    ///
    /// # Errors
    /// [`ViewError`].
    fn clear(&self) -> Result<(), ViewError>;

    /// The entries as they are now, which stay so whatever is committed later.
    ///
    /// # Errors
    /// [`ViewError`] if the store cannot do that.
    fn freeze(&self) -> Result<Box<dyn FrozenView>, ViewError>;
}

/// The entries of a view as they were at some moment. While it lives, the store keeps what was replaced since.
pub trait FrozenView: Send {
    /// The value under a key.
    ///
    /// # Errors
    /// [`ViewError`] if the store cannot tell.
    fn get(&self, key: &Key) -> Result<Option<Bytes>, ViewError>;

    /// As [`View::scan`].
    ///
    /// # Errors
    /// [`ViewError`] if the store cannot tell.
    fn scan(&self, table: Table, prefix: &[u8], visit: Visit<'_>) -> Result<(), ViewError>;
}

/// The nodes of the trie that a view has.
pub(crate) struct ViewNodes<'a>(pub(crate) &'a dyn View);

impl NodeSource for ViewNodes<'_> {
    fn node(&self, owner: Owner, path: &Nibbles, _hash: B256) -> Result<Option<Bytes>, SourceError> {
        self.0.get(&Key::node(owner, path)).map_err(SourceError::new)
    }
}
