//! The log as the library reads it: in memory, with what was made durable or is on its way there.

use crate::wire::raft_id;
use crate::{Base, HardState, codec::encode};
use raft::{
    Error, GetEntriesContext, RaftState, Result, Storage, StorageError,
    eraftpb::{ConfState, Entry, HardState as RaftHardState, Snapshot},
};
use std::collections::VecDeque;

/// Entries above a base, a hard state and the base's configuration.
#[derive(Debug)]
pub(crate) struct Store {
    base: Base,
    hard: HardState,
    entries: VecDeque<Entry>,
}

impl Store {
    pub(crate) const fn new(base: Base, hard: HardState) -> Self {
        Self { base, hard, entries: VecDeque::new() }
    }

    pub(crate) const fn hard(&self) -> HardState {
        self.hard
    }

    pub(crate) const fn set_hard(&mut self, hard: HardState) {
        self.hard = hard;
    }

    /// Puts an entry in its place; what stood there and above is void.
    pub(crate) fn put(&mut self, entry: Entry) {
        let place = usize::try_from(entry.index.saturating_sub(self.base.index).saturating_sub(1));
        self.entries.truncate(place.unwrap_or(usize::MAX));
        self.entries.push_back(entry);
    }

    /// Begins anew from a base.
    pub(crate) fn reset(&mut self, base: Base) {
        self.entries.clear();
        self.hard.commit = self.hard.commit.max(base.index);
        self.base = base;
    }

    /// Moves the base up within the log.
    pub(crate) fn compact(&mut self, base: Base) {
        while self.entries.front().is_some_and(|entry| entry.index <= base.index) {
            self.entries.pop_front();
        }
        self.base = base;
    }

    fn last(&self) -> u64 {
        self.entries.back().map_or(self.base.index, |entry| entry.index)
    }

    fn get(&self, index: u64) -> Option<&Entry> {
        let place = index.checked_sub(self.base.index)?.checked_sub(1)?;
        self.entries.get(usize::try_from(place).ok()?)
    }
}

/// The configuration of a base, for the library.
pub(crate) fn conf_state(base: &Base) -> ConfState {
    let ids = |keys: &[lian_types::ConsensusKey]| keys.iter().map(raft_id).collect::<Vec<_>>();
    ConfState { voters: ids(&base.voters), learners: ids(&base.learners), ..ConfState::default() }
}

/// The library's form of a base.
pub(crate) fn snapshot(base: &Base) -> Snapshot {
    let mut snapshot = Snapshot { data: encode(base).into(), ..Snapshot::default() };
    let metadata = snapshot.mut_metadata();
    metadata.index = base.index;
    metadata.term = base.term;
    metadata.set_conf_state(conf_state(base));
    snapshot
}

/// The library's form of a hard state.
pub(crate) fn raft_hard_state(hard: HardState) -> RaftHardState {
    RaftHardState { term: hard.term, vote: hard.vote, commit: hard.commit, ..RaftHardState::default() }
}

impl Storage for Store {
    fn initial_state(&self) -> Result<RaftState> {
        Ok(RaftState::new(raft_hard_state(self.hard), conf_state(&self.base)))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> Result<Vec<Entry>> {
        if low <= self.base.index {
            return Err(Error::Store(StorageError::Compacted));
        }
        if high > self.last().saturating_add(1) {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let mut entries: Vec<_> = (low..high).filter_map(|index| self.get(index).cloned()).collect();
        raft::util::limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> Result<u64> {
        if index == self.base.index {
            return Ok(self.base.term);
        }
        if index < self.base.index {
            return Err(Error::Store(StorageError::Compacted));
        }
        self.get(index).map(|entry| entry.term).ok_or(Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.base.index.saturating_add(1))
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.last())
    }

    /// The base, where it names the receiver: one that became a learner later must wait until the base has moved there.
    fn snapshot(&self, request_index: u64, to: u64) -> Result<Snapshot> {
        let names = self.base.nodes().any(|key| raft_id(key) == to);
        if self.base.index == 0 || self.base.index < request_index || !names {
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        Ok(snapshot(&self.base))
    }
}
