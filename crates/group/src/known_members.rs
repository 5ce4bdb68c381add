//! Who votes at which height, as far as this node's final blocks tell.

use lian_crypto::Suite;
use lian_executor::Governance;
use lian_pbft::{Committee, Committees};
use lian_system_contracts::members::{Schedule, ScheduledEpoch};
use lian_types::{BlockNumber, ConsensusKind, MembersError};
use parking_lot::RwLock;
use std::sync::Arc;

/// The members at a moment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct KnownMembers {
    /// The members by height: those of the heights above the head, and of some below.
    pub committees: Arc<Committees>,
    /// The final block that they follow from. As changes act a window later, they are certain up to a window above it.
    pub head: BlockNumber,
}

/// The members, for every thread that checks what others send. The core writes them with each final block.
#[derive(Debug)]
pub struct SharedMembers(RwLock<KnownMembers>);

impl SharedMembers {
    /// The members at a start.
    #[must_use]
    pub const fn new(known: KnownMembers) -> Self {
        Self(RwLock::new(known))
    }

    /// What is known now.
    #[must_use]
    pub fn get(&self) -> KnownMembers {
        self.0.read().clone()
    }

    pub(crate) fn set(&self, known: KnownMembers) {
        *self.0.write() = known;
    }
}

/// The committees that a chain of a kind names after a block.
///
/// # Errors
/// [`MembersError`] where they are no valid sets; the contract keeps none such.
pub fn committees_of(suite: Suite, kind: ConsensusKind, governance: &Governance) -> Result<Committees, MembersError> {
    let Schedule { current, next } = &governance.schedule;
    Ok(Committees::new([committee_of(suite, kind, current)?, committee_of(suite, kind, next)?]))
}

pub(crate) fn committee_of(
    suite: Suite,
    kind: ConsensusKind,
    epoch: &ScheduledEpoch,
) -> Result<Committee, MembersError> {
    Ok(Committee::of(kind, epoch.epoch, epoch.first, epoch.members(suite)?))
}
