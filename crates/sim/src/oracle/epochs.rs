//! Who seals when: computed here from the operator's transactions, without the code under test.

use crate::event::NodeId;
use crate::scenario::faulty_max;
use lian_types::{BlockNumber, ConsensusKind, Epoch, MemberIndex};

/// Every epoch so far, with its first block and its sealers in order.
pub(crate) struct Epochs {
    consensus: ConsensusKind,
    window: u64,
    list: Vec<(u64, Vec<NodeId>)>,
}

impl Epochs {
    pub(crate) fn new(consensus: ConsensusKind, members: usize, window: u64) -> Self {
        Self { consensus, window, list: vec![(0, (0..members).collect())] }
    }

    /// An operator's transaction in a block names the sealers. Says whether it must succeed: a change waits for the one
    /// before it, except for those of one block, which are one change.
    pub(crate) fn apply(&mut self, height: u64, sealers: Vec<NodeId>) -> bool {
        let (first, latest) = self.latest();
        if *latest == sealers {
            return true;
        }
        let from = height + self.window;
        if first <= height {
            self.list.push((from, sealers));
            return true;
        }
        if first != from {
            return false;
        }
        self.list.pop();
        if *self.latest().1 != sealers {
            self.list.push((from, sealers));
        }
        true
    }

    /// First block and sealers of the latest epoch, which may not have begun.
    pub(crate) fn latest(&self) -> (u64, &Vec<NodeId>) {
        static NOBODY: Vec<NodeId> = Vec::new();
        self.list.last().map_or((0, &NOBODY), |(first, sealers)| (*first, sealers))
    }

    /// The number of the latest epoch.
    pub(crate) fn newest(&self) -> Epoch {
        Epoch(self.list.len().saturating_sub(1) as u64)
    }

    /// The epoch that decides a height.
    pub(crate) fn at(&self, height: BlockNumber) -> Epoch {
        Epoch(self.list.partition_point(|(first, _)| *first <= height.0).saturating_sub(1) as u64)
    }

    /// The sealers of an epoch.
    pub(crate) fn of(&self, epoch: Epoch) -> &[NodeId] {
        let position = usize::try_from(epoch.0).unwrap_or(usize::MAX);
        self.list.get(position).map_or(&[], |(_, sealers)| sealers)
    }

    /// The node that is a member of an epoch.
    pub(crate) fn node(&self, epoch: Epoch, member: MemberIndex) -> Option<NodeId> {
        self.of(epoch).get(usize::from(member.0)).copied()
    }

    /// How many sealers of an epoch must agree.
    pub(crate) fn quorum(&self, epoch: Epoch) -> usize {
        let count = self.of(epoch).len();
        match self.consensus {
            ConsensusKind::Pbft => (count + self.faulty_max(epoch) + 1).div_ceil(2),
            ConsensusKind::Raft => count / 2 + 1,
        }
    }

    /// How many of them may be faulty.
    pub(crate) fn faulty_max(&self, epoch: Epoch) -> usize {
        faulty_max(self.consensus, self.of(epoch).len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_wait_for_each_other_and_act_a_window_later() {
        let mut epochs = Epochs::new(ConsensusKind::Pbft, 4, 8);
        assert!(epochs.apply(10, vec![0, 1, 2, 3, 4]));
        assert!(epochs.apply(10, vec![1, 2, 3, 4]), "of one block");
        assert!(!epochs.apply(17, vec![1, 2]));
        assert_eq!((epochs.at(BlockNumber(17)), epochs.at(BlockNumber(18))), (Epoch(0), Epoch(1)));
        assert!(epochs.apply(18, vec![1, 2]));
        assert_eq!((epochs.quorum(Epoch(0)), epochs.quorum(Epoch(2))), (3, 2));
        assert_eq!(epochs.node(Epoch(1), MemberIndex(0)), Some(1));
        assert!(epochs.apply(18, vec![1, 2, 3, 4]), "back again in the same block");
        assert_eq!(epochs.newest(), Epoch(1));
    }
}
