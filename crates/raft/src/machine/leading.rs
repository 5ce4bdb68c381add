//! What a leader does: it proposes, brings the configuration to the members (§6), and hands over.

use super::Machine;
use crate::wire::{conf_change, raft_id};
use crate::{Change, ChangeKind, Effect, codec::encode, limits};
use alloy_primitives::TxHash;
use lian_types::{BlockNumber, ConsensusKey, Millis, Proposal, View};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Machine {
    pub(super) fn lead(&mut self) {
        if self.halted || self.abstains || !self.is_leader() {
            return;
        }
        self.reconcile();
        // Only a member proposes: a block names its proposer among the members of its epoch (§6).
        if self.schedule.is_member(self.log.tip().height.next(), &self.config.key) {
            self.propose();
        } else {
            self.hand_over();
        }
    }

    fn is_handing_over(&self) -> bool {
        self.handing_over || self.node.raft.lead_transferee.is_some()
    }

    /// Asks for transactions for the next height, where one may be proposed.
    fn propose(&mut self) {
        let tip = self.log.tip();
        let (height, term) = (tip.height.next(), self.node.raft.term);
        let has_reason = self.pool_ready || self.allow_empty;
        if !has_reason || self.is_handing_over() || height > self.limit() || tip.height < self.head.height {
            return;
        }
        if self.wanted == Some((height, term)) || !self.has_all_members(height) {
            return;
        }
        self.wanted = Some((height, term));
        let time_min = self.tip_time();
        self.push(Effect::WantTransactions { height, term: View(term), time_min });
    }

    /// Whether everybody who is to sign a height gets the log. A newcomer begins from a base behind the change that adds it,
    /// and no base lies behind a block that waits for the newcomer's signature.
    fn has_all_members(&self, height: BlockNumber) -> bool {
        let progress = self.node.raft.prs();
        let gets_log = |key: &ConsensusKey| progress.get(raft_id(key)).is_some();
        self.schedule.at(height).is_some_and(|one| one.members.iter().all(|(_, member)| gets_log(&member.key)))
    }

    /// The time of the block that the log ends with.
    fn tip_time(&self) -> Millis {
        let times = self.log.above(self.log.base().index).filter_map(|(_, item)| item.block());
        times.map(|(_, proposal)| proposal.time).last().map_or(self.head.time, |time| time.max(self.head.time))
    }

    pub(super) fn take_transactions(&mut self, height: BlockNumber, term: View, hashes: Vec<TxHash>, time: Millis) {
        if self.wanted != Some((height, term.0)) {
            return;
        }
        self.wanted = None;
        if hashes.is_empty() && !self.allow_empty {
            self.pool_ready = false;
            return;
        }
        let tip = self.log.tip();
        let epoch = self.schedule.at(height).map(|members| members.epoch);
        let is_current = self.is_leader() && self.node.raft.term == term.0 && tip.height.next() == height;
        let (true, Some(epoch)) = (is_current && height <= self.limit(), epoch) else { return };
        let proposal = Proposal {
            chain_id: self.config.context.chain_id,
            group: self.config.context.group,
            epoch,
            height,
            parent: tip.digest,
            time: time.max(self.tip_time()),
            proposer: self.config.key,
            transactions: hashes,
        };
        // It is refused while another member takes over: the transactions stay in the pool.
        if self.node.propose(Vec::new(), encode(&proposal)).is_ok() {
            let digest = self.config.suite.proposal_digest(&proposal);
            self.push(Effect::Proposed { digest, proposal: Arc::new(proposal) });
        }
    }

    /// Takes the next step towards a configuration whose voters are the members: new ones learn first, one change at a
    /// time, and who is to go goes last.
    fn reconcile(&mut self) {
        if self.node.raft.has_pending_conf() || self.is_handing_over() {
            return;
        }
        let Some(change) = self.next_change() else { return };
        if change.kind == ChangeKind::Remove && change.key == self.config.key {
            return self.hand_over();
        }
        // It is refused where another one is under way; then it is tried again.
        let _ = self.node.propose_conf_change(encode(&change), conf_change(change));
    }

    fn next_change(&self) -> Option<Change> {
        let members = |members: &lian_crypto::EpochMembers| members.members.iter().map(|(_, one)| one.key).collect();
        let now: BTreeSet<ConsensusKey> = self.schedule.at(self.head.height.next()).map(|one| members(one))?;
        let coming: BTreeSet<ConsensusKey> = self.schedule.latest().map(|one| members(one))?;
        let wanted: BTreeSet<_> = now.union(&coming).copied().collect();
        let conf = self.node.raft.prs().conf();
        let is_voter = |key: &ConsensusKey| conf.voters().contains(raft_id(key));
        let is_learner = |key: &ConsensusKey| conf.learners().contains(&raft_id(key));
        if let Some(key) = wanted.iter().find(|key| !is_voter(key) && !is_learner(key)) {
            return Some(Change { kind: ChangeKind::AddLearner, key: *key });
        }
        if let Some(key) = wanted.iter().find(|key| is_learner(key) && self.has_caught_up(key)) {
            return Some(Change { kind: ChangeKind::AddVoter, key: *key });
        }
        let ids: BTreeSet<_> = wanted.iter().map(raft_id).collect();
        let present = conf.voters().ids().iter().chain(conf.learners().iter().copied()).collect::<BTreeSet<_>>();
        // Those that do not follow first, since each that does is needed for a majority until they are gone. Oneself last:
        // whoever takes over removes the former leader.
        let me = raft_id(&self.config.key);
        let matched = |id: &u64| self.node.raft.prs().get(*id).map(|progress| progress.matched);
        let mut gone: Vec<_> = present.into_iter().filter(|id| !ids.contains(id)).collect();
        gone.sort_unstable_by_key(|id| (*id == me, matched(id)));
        let key = gone.into_iter().find_map(|id| self.keys.get(&id))?;
        Some(Change { kind: ChangeKind::Remove, key: *key })
    }

    fn has_caught_up(&self, key: &ConsensusKey) -> bool {
        let progress = self.node.raft.prs().get(raft_id(key));
        let last = self.log.last_index();
        progress.is_some_and(|one| one.recent_active && one.matched.saturating_add(limits::LEARNER_LAG_MAX) >= last)
    }

    /// Asks another voter to take over, where this node leads: a member of the next height before others, one that stays a
    /// member before others, then the one with the longest log.
    pub(super) fn hand_over(&mut self) {
        if !self.is_leader() || self.node.raft.lead_transferee.is_some() {
            return;
        }
        let next = self.log.tip().height.next();
        let standing = |id: &u64| {
            let stays = |key| self.schedule.latest().is_some_and(|members| members.members.index_of(key).is_some());
            self.keys.get(id).map(|key| (self.schedule.is_member(next, key), stays(key)))
        };
        let me = raft_id(&self.config.key);
        let conf = self.node.raft.prs().conf();
        let voters = self
            .node
            .raft
            .prs()
            .iter()
            .filter(|(id, progress)| **id != me && progress.recent_active && conf.voters().contains(**id));
        let best = voters.max_by_key(|(id, progress)| (standing(id), progress.matched, std::cmp::Reverse(**id)));
        if let Some(id) = best.map(|(id, _)| *id) {
            self.node.transfer_leader(id);
            self.pump();
        }
    }
}
