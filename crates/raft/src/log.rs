//! The replicated log as this crate sees it: what its entries mean, and which blocks follow from them (§2).

use crate::codec::{encode, read_shared, read_vec, write_shared};
use borsh::{BorshDeserialize, BorshSerialize};
use lian_crypto::Suite;
use lian_types::{BlockNumber, ConsensusKey, Proposal, ProposalDigest};
use std::{collections::BTreeMap, sync::Arc};

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Content {
    /// Nothing; a leader begins its term with it.
    Empty,
    /// The next block, where it fits on the one before; else nothing.
    Proposal(
        #[borsh(serialize_with = "write_shared", deserialize_with = "read_shared")]
        /// Shared with whoever fetches and executes it.
        Arc<Proposal>,
    ),
    /// Another configuration.
    Change(Change),
}

/// A change of the configuration by one node (§6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Change {
    /// What changes.
    pub kind: ChangeKind,
    /// Whose place.
    pub key: ConsensusKey,
}

/// What becomes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum ChangeKind {
    /// It gets the log and has no vote.
    AddLearner,
    /// It has a vote.
    AddVoter,
    /// It is no part of the configuration any more.
    Remove,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Entry {
    /// The term of the leader that made it.
    pub term: u64,
    /// Its place, without gaps.
    pub index: u64,
    /// What it says.
    pub content: Content,
}

/// Where a log begins: everything up to `index` is final here and no longer kept (§5).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Base {
    /// The last index that is not kept; 0 for the log of a node that has never been part of a configuration.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The height that the log up to there orders.
    pub height: BlockNumber,
    /// The proposal of that height; for height 0, the digest that stands for the genesis block.
    pub digest: ProposalDigest,
    /// Who has a vote.
    #[borsh(deserialize_with = "read_vec::<_, _, { crate::limits::CONFIGURATION_MAX }>")]
    pub voters: Vec<ConsensusKey>,
    /// Who only gets the log.
    #[borsh(deserialize_with = "read_vec::<_, _, { crate::limits::CONFIGURATION_MAX }>")]
    pub learners: Vec<ConsensusKey>,
}

impl Base {
    /// Applies a change to the configuration.
    pub(crate) fn apply(&mut self, change: Change) {
        self.voters.retain(|key| *key != change.key);
        self.learners.retain(|key| *key != change.key);
        match change.kind {
            ChangeKind::AddLearner => self.learners.push(change.key),
            ChangeKind::AddVoter => self.voters.push(change.key),
            ChangeKind::Remove => {}
        }
    }

    /// Everybody in the configuration.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &ConsensusKey> {
        self.voters.iter().chain(&self.learners)
    }
}

/// The block that a prefix of the log ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) height: BlockNumber,
    pub(crate) digest: ProposalDigest,
}

/// An entry with what follows from its prefix.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) term: u64,
    pub(crate) content: Content,
    /// The digest, where it is a proposal.
    pub(crate) digest: Option<ProposalDigest>,
    /// The tip after it.
    pub(crate) tip: Tip,
}

impl Item {
    /// The proposal, where it is a block of the chain.
    pub(crate) fn block(&self) -> Option<(ProposalDigest, &Arc<Proposal>)> {
        match (&self.content, self.digest) {
            (Content::Proposal(proposal), Some(digest)) if digest == self.tip.digest => Some((digest, proposal)),
            _ => None,
        }
    }
}

/// The log above its base.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    suite: Suite,
    base: Base,
    items: BTreeMap<u64, Item>,
}

impl Log {
    pub(crate) const fn new(suite: Suite, base: Base) -> Self {
        Self { suite, base, items: BTreeMap::new() }
    }

    pub(crate) const fn base(&self) -> &Base {
        &self.base
    }

    pub(crate) fn last_index(&self) -> u64 {
        self.items.last_key_value().map_or(self.base.index, |(index, _)| *index)
    }

    pub(crate) fn get(&self, index: u64) -> Option<&Item> {
        self.items.get(&index)
    }

    /// The term of an entry or of the base, if it is known.
    pub(crate) fn term(&self, index: u64) -> Option<u64> {
        if index == self.base.index { Some(self.base.term) } else { self.items.get(&index).map(|item| item.term) }
    }

    /// The tip of the prefix that ends at an index.
    pub(crate) fn tip_at(&self, index: u64) -> Tip {
        let base = Tip { height: self.base.height, digest: self.base.digest };
        self.items.range(..=index).next_back().map_or(base, |(_, item)| item.tip)
    }

    /// The tip of the whole log.
    pub(crate) fn tip(&self) -> Tip {
        self.tip_at(u64::MAX)
    }

    /// Puts an entry in its place; what stood there and above is void. A proposal is a block where it fits on the prefix:
    /// the next height, and the tip as its parent. Otherwise it is nothing, for everyone alike.
    pub(crate) fn put(&mut self, entry: Entry) {
        self.items.split_off(&entry.index);
        let before = self.tip();
        let (digest, tip) = match &entry.content {
            Content::Proposal(proposal) => {
                let digest = self.suite.proposal_digest(proposal);
                let fits = proposal.height == before.height.next() && proposal.parent == before.digest;
                (Some(digest), if fits { Tip { height: proposal.height, digest } } else { before })
            }
            Content::Empty | Content::Change(_) => (None, before),
        };
        self.items.insert(entry.index, Item { term: entry.term, content: entry.content, digest, tip });
    }

    /// Begins anew from a base that a leader sent.
    pub(crate) fn reset(&mut self, base: Base) {
        self.items.clear();
        self.base = base;
    }

    /// Drops the entries up to an index, whose blocks are final.
    pub(crate) fn compact(&mut self, index: u64) {
        while let Some((first, item)) = self.items.first_key_value().filter(|(first, _)| **first <= index) {
            (self.base.index, self.base.term) = (*first, item.term);
            (self.base.height, self.base.digest) = (item.tip.height, item.tip.digest);
            if let Content::Change(change) = item.content {
                self.base.apply(change);
            }
            self.items.pop_first();
        }
    }

    /// All entries above the base, in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> {
        let entry =
            |(index, item): (&u64, &Item)| Entry { term: item.term, index: *index, content: item.content.clone() };
        self.items.iter().map(entry)
    }

    /// The items above an index, in order.
    pub(crate) fn above(&self, index: u64) -> impl Iterator<Item = (u64, &Item)> {
        self.items.range(index.saturating_add(1)..).map(|(index, item)| (*index, item))
    }

    /// The content of an entry for the library: the bytes count towards the size of a message.
    pub(crate) fn bytes_of(content: &Content) -> Vec<u8> {
        match content {
            Content::Empty | Content::Change(_) => Vec::new(),
            Content::Proposal(proposal) => encode(proposal.as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lian_types::{Epoch, GroupId, Millis};

    fn log() -> Log {
        let base = Base {
            index: 1,
            term: 1,
            height: BlockNumber(0),
            digest: ProposalDigest::default(),
            voters: vec![ConsensusKey([1; 33])],
            learners: vec![],
        };
        Log::new(Suite::Standard, base)
    }

    fn proposal(height: u64, parent: ProposalDigest, time: u64) -> Proposal {
        Proposal {
            chain_id: 1,
            group: GroupId(0),
            epoch: Epoch(0),
            height: BlockNumber(height),
            parent,
            time: Millis(time),
            proposer: ConsensusKey([1; 33]),
            transactions: vec![],
        }
    }

    fn put(log: &mut Log, term: u64, index: u64, proposal: &Proposal) -> ProposalDigest {
        log.put(Entry { term, index, content: Content::Proposal(Arc::new(proposal.clone())) });
        Suite::Standard.proposal_digest(proposal)
    }

    /// A stale leader's proposal stands in the log and changes nothing.
    #[test]
    fn a_proposal_that_does_not_fit_is_nothing() {
        let mut log = log();
        let first = put(&mut log, 2, 2, &proposal(1, ProposalDigest::default(), 0));
        put(&mut log, 2, 3, &proposal(1, ProposalDigest::default(), 9));
        put(&mut log, 2, 4, &proposal(2, ProposalDigest::default(), 0));
        put(&mut log, 2, 5, &proposal(3, first, 0));
        assert_eq!(log.tip(), Tip { height: BlockNumber(1), digest: first });
        let second = put(&mut log, 3, 6, &proposal(2, first, 0));
        assert_eq!(log.tip(), Tip { height: BlockNumber(2), digest: second });
        let blocks: Vec<_> = log.above(1).filter_map(|(index, item)| item.block().map(|_| index)).collect();
        assert_eq!(blocks, [2, 6]);
    }

    #[test]
    fn what_is_put_voids_what_stood_above() {
        let mut log = log();
        let first = put(&mut log, 2, 2, &proposal(1, ProposalDigest::default(), 0));
        put(&mut log, 2, 3, &proposal(2, first, 0));
        let other = put(&mut log, 3, 2, &proposal(1, ProposalDigest::default(), 5));
        assert_eq!((log.last_index(), log.tip().digest), (2, other));
    }

    #[test]
    fn the_base_moves_with_its_block_and_configuration() {
        let mut log = log();
        let first = put(&mut log, 2, 2, &proposal(1, ProposalDigest::default(), 0));
        let change = Change { kind: ChangeKind::AddLearner, key: ConsensusKey([2; 33]) };
        log.put(Entry { term: 2, index: 3, content: Content::Change(change) });
        put(&mut log, 3, 4, &proposal(2, first, 0));
        log.compact(3);
        let base = log.base();
        assert_eq!((base.index, base.term, base.height, base.digest), (3, 2, BlockNumber(1), first));
        assert_eq!(base.learners, [ConsensusKey([2; 33])]);
        assert_eq!((log.last_index(), log.tip().height), (4, BlockNumber(2)));
    }
}
