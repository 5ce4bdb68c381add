//! Who votes at which height, and who leads.

use lian_crypto::{EpochMembers, Suite};
use lian_types::{
    BlockNumber, ChainContext, ConsensusKey, ConsensusKind, ConsensusParameters, Epoch, MemberIndex, Members,
    ProposalDigest, View,
};
use std::{collections::BTreeMap, sync::Arc};

/// What never changes while a chain lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The chain's algorithms.
    pub suite: Suite,
    /// What every signature is bound to.
    pub context: ChainContext,
    /// The digest that stands for the proposal of the genesis block.
    pub genesis: ProposalDigest,
    /// Heights that one leader leads in a row, at least 1.
    pub term: u64,
    /// Heights that may be open at once (W), at least 1.
    pub window: u64,
}

/// How long this node waits for what. Members need not agree on these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The least time for open heights to make progress, and the one used before round times are measured.
    pub timeout_ms_min: u64,
    /// The cap of the timeouts, however many views failed.
    pub timeout_ms_max: u64,
    /// How long an eligible transaction may wait for a proposal (§5).
    pub censorship_ms: u64,
    /// How often an idle leader says that it is there.
    pub heartbeat_ms: u64,
    /// How often every member reports its height.
    pub report_ms: u64,
    /// How long a leader may be silent.
    pub leader_silence_ms: u64,
    /// How long a session to the leader may be lost.
    pub leader_lost_ms: u64,
    /// The least time between repetitions of own messages.
    pub resend_ms_min: u64,
    /// The longest time that a commit waits for one execution to finish, so that it can carry the result (§2). A full
    /// block of token transfers takes about 60 ms.
    pub commit_hold_ms_max: u64,
}

impl Timing {
    /// The times that fit a group's parameters.
    #[must_use]
    pub fn new(parameters: &ConsensusParameters) -> Self {
        Self {
            timeout_ms_min: parameters.view_timeout_ms,
            timeout_ms_max: parameters.view_timeout_ms_max,
            censorship_ms: parameters.censorship_timeout_ms,
            ..Self::default()
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            timeout_ms_min: 1_000,
            timeout_ms_max: 8_000,
            censorship_ms: 5_000,
            heartbeat_ms: 500,
            report_ms: 1_000,
            leader_silence_ms: 2_000,
            leader_lost_ms: 250,
            resend_ms_min: 200,
            commit_hold_ms_max: 100,
        }
    }
}

/// The members of one epoch and the first height that they decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committee {
    /// The first height of the epoch.
    pub first: BlockNumber,
    /// The epoch and its members.
    pub members: Arc<EpochMembers>,
}

impl Committee {
    /// The members of an epoch that starts at a height, who agree by PBFT.
    #[must_use]
    pub fn new(epoch: Epoch, first: BlockNumber, members: Members) -> Self {
        Self::of(ConsensusKind::Pbft, epoch, first, members)
    }

    /// The members of an epoch that starts at a height, in a chain of any kind: who checks the chain's blocks need not
    /// know more of its consensus.
    #[must_use]
    pub fn of(consensus: ConsensusKind, epoch: Epoch, first: BlockNumber, members: Members) -> Self {
        Self { first, members: Arc::new(EpochMembers { epoch, members, consensus }) }
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.members.epoch
    }

    /// Leader of (epoch, view, height): members[(⌊height / term⌋ + view) mod n] (§1).
    #[must_use]
    pub fn leader(&self, rules: &Rules, view: View, height: BlockNumber) -> MemberIndex {
        let count = u128::try_from(self.members.members.len()).unwrap_or(1).max(1);
        let terms = height.0.checked_div(rules.term.max(1)).unwrap_or(0);
        let position = u128::from(terms).saturating_add(u128::from(view.0)).checked_rem(count).unwrap_or(0);
        MemberIndex(u16::try_from(position).unwrap_or(0))
    }

    /// The key of the leader.
    #[must_use]
    pub fn leader_key(&self, rules: &Rules, view: View, height: BlockNumber) -> Option<ConsensusKey> {
        self.members.members.get(self.leader(rules, view, height)).map(|member| member.key)
    }
}

/// The committees that are known: the current one, the one before and, once decided, the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committees {
    by_first: BTreeMap<BlockNumber, Committee>,
    /// The first height that this program must not decide, because it does not know the rules there.
    end: Option<BlockNumber>,
}

impl Committees {
    /// The committees known at a start; the last one whose first height is not above a height decides it.
    #[must_use]
    pub fn new(committees: impl IntoIterator<Item = Committee>) -> Self {
        let by_first = committees.into_iter().map(|committee| (committee.first, committee)).collect();
        Self { by_first, end: None }
    }

    /// The same for the heights below one: nobody decides it or any above, as far as this program knows.
    #[must_use]
    pub fn ending_before(mut self, end: BlockNumber) -> Self {
        self.end_before(end);
        self
    }

    /// The last height whose rules this program knows.
    #[must_use]
    pub fn last_known(&self) -> BlockNumber {
        self.end.map_or(BlockNumber(u64::MAX), |end| end.saturating_sub(1))
    }

    /// The committee that decides a height.
    #[must_use]
    pub fn at(&self, height: BlockNumber) -> Option<&Committee> {
        let mut below = self.by_first.range(..=height).filter(|_| height <= self.last_known());
        below.next_back().map(|(_, committee)| committee)
    }

    /// The last height that is decided by the committee that decides `height`, as far as is known.
    #[must_use]
    pub fn last_of(&self, height: BlockNumber) -> BlockNumber {
        let next = self.by_first.range(height.next()..).next();
        next.map_or(BlockNumber(u64::MAX), |(first, _)| first.saturating_sub(1))
    }

    /// The committee of the latest epoch that is known, which may not have begun.
    #[must_use]
    pub fn latest(&self) -> Option<&Committee> {
        self.by_first.last_key_value().map(|(_, committee)| committee)
    }

    /// The committees, by their first heights.
    pub fn iter(&self) -> impl Iterator<Item = &Committee> {
        self.by_first.values()
    }

    /// Adds a committee.
    pub fn insert(&mut self, committee: Committee) {
        self.by_first.insert(committee.first, committee);
    }

    /// Ends what this program decides below a height, for good.
    pub fn end_before(&mut self, end: BlockNumber) {
        self.end = Some(self.end.map_or(end, |earlier| earlier.min(end)));
    }

    /// Drops committees that decided heights far below, keeping the one before the current one.
    pub fn retire(&mut self, height: BlockNumber) {
        while self.by_first.range(..=height).count() > 2 {
            self.by_first.pop_first();
        }
    }
}
