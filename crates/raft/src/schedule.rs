//! Who signs which height.

use lian_crypto::EpochMembers;
use lian_types::{BlockNumber, ConsensusKey};
use std::{collections::BTreeMap, sync::Arc};

/// The members by the first height that they decide (§6), as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    by_first: BTreeMap<BlockNumber, Arc<EpochMembers>>,
    /// The first height that this program must not decide, because it does not know the rules there.
    end: Option<BlockNumber>,
}

impl Schedule {
    /// The members known at a start; the last ones whose first height is not above a height decide it.
    #[must_use]
    pub fn new(members: impl IntoIterator<Item = (BlockNumber, Arc<EpochMembers>)>) -> Self {
        Self { by_first: members.into_iter().collect(), end: None }
    }

    /// The same for the heights up to one: nobody decides those above, as far as this program knows.
    #[must_use]
    pub fn ending_with(mut self, last: BlockNumber) -> Self {
        self.end_before(last.next());
        self
    }

    /// Ends what this program decides below a height, for good.
    pub(crate) fn end_before(&mut self, end: BlockNumber) {
        self.end = Some(self.end.map_or(end, |earlier| earlier.min(end)));
    }

    /// The members who decide a height.
    #[must_use]
    pub fn at(&self, height: BlockNumber) -> Option<&Arc<EpochMembers>> {
        let is_known = self.end.is_none_or(|end| height < end);
        self.by_first.range(..=height).next_back().filter(|_| is_known).map(|(_, members)| members)
    }

    /// The last height that is decided by those who decide `height`, as far as is known.
    #[must_use]
    pub fn last_of(&self, height: BlockNumber) -> BlockNumber {
        let next = self.by_first.range(height.next()..).next();
        next.map_or(BlockNumber(u64::MAX), |(first, _)| first.saturating_sub(1))
    }

    /// The members of the latest epoch that is decided.
    #[must_use]
    pub fn latest(&self) -> Option<&Arc<EpochMembers>> {
        self.by_first.last_key_value().map(|(_, members)| members)
    }

    /// Whether a key is a member at a height.
    #[must_use]
    pub fn is_member(&self, height: BlockNumber, key: &ConsensusKey) -> bool {
        self.at(height).is_some_and(|members| members.members.index_of(key).is_some())
    }

    /// Adds the members of a coming epoch.
    pub(crate) fn insert(&mut self, first: BlockNumber, members: Arc<EpochMembers>) {
        self.by_first.insert(first, members);
    }

    /// Drops members who decided heights far below, keeping those before the present ones.
    pub(crate) fn retire(&mut self, height: BlockNumber) {
        while self.by_first.range(..=height).count() > 2 {
            self.by_first.pop_first();
        }
    }
}
