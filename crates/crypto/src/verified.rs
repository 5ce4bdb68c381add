//! Values whose signatures were checked.

use alloy_primitives::{Address, TxHash};
use lian_types::Transaction;
use std::{ops::Deref, sync::Arc};

/// A value whose signatures were checked, or that this node signed itself. State machines take no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// Marks a value as checked. Only who has checked every signature in it, or made it, may call this.
    #[must_use]
    pub const fn assume(value: T) -> Self {
        Self(value)
    }

    /// The value itself.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A transaction whose sender was recovered from its signature.
#[derive(Clone, Debug)]
pub struct VerifiedTransaction {
    transaction: Arc<Transaction>,
    sender: Address,
}

impl VerifiedTransaction {
    /// Pairs a transaction with the sender that [`crate::Suite::recover_sender`] found for it.
    #[must_use]
    pub(crate) const fn new(transaction: Arc<Transaction>, sender: Address) -> Self {
        Self { transaction, sender }
    }

    /// Pairs a transaction with a sender that was recovered earlier, for example before a restart, by this node.
    #[must_use]
    pub const fn assume(transaction: Arc<Transaction>, sender: Address) -> Self {
        Self { transaction, sender }
    }

    /// The transaction.
    #[must_use]
    pub const fn transaction(&self) -> &Arc<Transaction> {
        &self.transaction
    }

    /// The account that signed it.
    #[must_use]
    pub const fn sender(&self) -> Address {
        self.sender
    }

    /// Its hash.
    #[must_use]
    pub fn hash(&self) -> TxHash {
        self.transaction.hash()
    }
}
