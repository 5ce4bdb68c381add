//! Who signs which height.

use lian_crypto::EpochMembers;
use lian_types::{BlockNumber, ConsensusKey};
use std::{collections::BTreeMap, sync::Arc};

/// The members by the first height that they decide (§6), as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(BTreeMap<BlockNumber, Arc<EpochMembers>>);

impl Schedule {
    /// The members known at a start; the last ones whose first height is not above a height decide it.
    #[must_use]
    pub fn new(members: impl IntoIterator<Item = (BlockNumber, Arc<EpochMembers>)>) -> Self {
        Self(members.into_iter().collect())
    }

    /// The members who decide a height.
    #[must_use]
    pub fn at(&self, height: BlockNumber) -> Option<&Arc<EpochMembers>> {
        self.0.range(..=height).next_back().map(|(_, members)| members)
    }

    /// The last height that is decided by those who decide `height`, as far as is known.
    #[must_use]
    pub fn last_of(&self, height: BlockNumber) -> BlockNumber {
        let next = self.0.range(height.next()..).next();
        next.map_or(BlockNumber(u64::MAX), |(first, _)| first.saturating_sub(1))
    }

    /// The members of the latest epoch that is decided.
    #[must_use]
    pub fn latest(&self) -> Option<&Arc<EpochMembers>> {
        self.0.last_key_value().map(|(_, members)| members)
    }

    /// Whether a key is a member at a height.
    #[must_use]
    pub fn is_member(&self, height: BlockNumber, key: &ConsensusKey) -> bool {
        self.at(height).is_some_and(|members| members.members.index_of(key).is_some())
    }

    /// Adds the members of a coming epoch.
    pub(crate) fn insert(&mut self, first: BlockNumber, members: Arc<EpochMembers>) {
        self.0.insert(first, members);
    }

    /// Drops members who decided heights far below, keeping those before the present ones.
    pub(crate) fn retire(&mut self, height: BlockNumber) {
        while self.0.range(..=height).count() > 2 {
            self.0.pop_first();
        }
    }
}
