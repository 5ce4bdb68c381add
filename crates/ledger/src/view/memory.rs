//! A view in memory, for simulations.

use super::{FrozenView, View, ViewError, Visit, Write};
use crate::key::{Key, Table};
use alloy_primitives::Bytes;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::ops::Bound;

type Entries = BTreeMap<Box<[u8]>, Bytes>;

/// A view in memory. It outlives a simulated crash if its owner keeps it: a commit counts as durable.
#[derive(Default)]
pub struct MemoryView {
    tables: RwLock<BTreeMap<Table, Entries>>,
}

impl MemoryView {
    /// An empty view.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A view with the same content.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self { tables: RwLock::new(self.tables.read().clone()) }
    }
}

impl View for MemoryView {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, ViewError> {
        Ok(self.tables.read().get(&key.table()).and_then(|entries| entries.get(key.bytes())).cloned())
    }

    fn scan(&self, table: Table, prefix: &[u8], visit: Visit<'_>) -> Result<(), ViewError> {
        let tables = self.tables.read();
        let Some(entries) = tables.get(&table) else { return Ok(()) };
        let from = (Bound::Included(prefix), Bound::Unbounded);
        for (key, value) in entries.range::<[u8], _>(from).take_while(|(key, _)| key.starts_with(prefix)) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn commit(&self, batch: Vec<Write>) -> Result<(), ViewError> {
        let mut tables = self.tables.write();
        for (key, value) in batch {
            let entries = tables.entry(key.table()).or_default();
            match value {
                Some(value) => entries.insert(key.bytes().into(), value),
                None => entries.remove(key.bytes()),
            };
        }
        Ok(())
    }

    fn clear(&self) -> Result<(), ViewError> {
        self.tables.write().clear();
        Ok(())
    }

    fn freeze(&self) -> Result<Box<dyn FrozenView>, ViewError> {
        Ok(Box::new(Frozen(self.copy())))
    }
}

/// A copy of a view.
struct Frozen(MemoryView);

impl FrozenView for Frozen {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, ViewError> {
        self.0.get(key)
    }

    fn scan(&self, table: Table, prefix: &[u8], visit: Visit<'_>) -> Result<(), ViewError> {
        self.0.scan(table, prefix, visit)
    }
}
