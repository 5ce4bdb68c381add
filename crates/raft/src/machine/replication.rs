//! The library: what goes in, what must be durable, what comes out (§2, §3, §5).

use super::{Held, Machine};
use crate::log::Tip;
use crate::wire::{conf_change, from_raft, from_raft_entry, raft_id, to_raft};
use crate::{
    Base, BodiesVerdict, Body, Content, Effect, Entry, Envelope, HardState, Message, Misbehaviour, Record, Stage,
    limits,
};
use borsh::BorshDeserialize;
use lian_types::{BlockNumber, ConsensusKey, Proposal, ProposalDigest};
use raft::{Ready, eraftpb::Message as RaftMessage};
use std::{
    collections::{BTreeSet, btree_map},
    sync::Arc,
};

impl Machine {
    pub(super) fn take_envelope(&mut self, from: ConsensusKey, envelope: Envelope) {
        self.keys.insert(raft_id(&from), from);
        self.note_height(from, envelope.height);
        if self.abstains {
            return;
        }
        match &envelope.body {
            // Whatever could contradict what is committed here comes from no program of ours.
            Body::Heartbeat { commit } if *commit > self.log.last_index() => {}
            Body::Append { entries, .. } if self.contradicts(entries) => {}
            Body::Append { entries, .. } => {
                let proposals: Vec<_> = entries.iter().filter_map(|entry| self.lacking(entry)).collect();
                for (digest, proposal) in proposals {
                    self.ask_for(digest, proposal);
                }
                self.hold(Held { from, envelope });
            }
            Body::Base(_) => {
                self.held_base = Some(Held { from, envelope });
            }
            _ => self.feed(from, &envelope),
        }
    }

    fn contradicts(&self, entries: &[Entry]) -> bool {
        let differs = |entry: &Entry| self.log.term(entry.index).is_some_and(|term| term != entry.term);
        entries.iter().any(|entry| entry.index <= self.committed && differs(entry))
    }

    /// The proposal of an entry whose bodies must be here before the entry is: not where it stands in the log already, nor
    /// where its height is final here.
    fn lacking(&self, entry: &Entry) -> Option<(ProposalDigest, Arc<Proposal>)> {
        let Content::Proposal(proposal) = &entry.content else { return None };
        let is_there = self.log.term(entry.index) == Some(entry.term);
        if is_there || proposal.height <= self.head.height {
            return None;
        }
        Some((self.config.suite.proposal_digest(proposal), Arc::clone(proposal)))
    }

    fn ask_for(&mut self, digest: ProposalDigest, proposal: Arc<Proposal>) {
        if let btree_map::Entry::Vacant(entry) = self.bodies.entry(digest) {
            entry.insert((Arc::clone(&proposal), None));
            self.push(Effect::CheckBodies { digest, proposal });
        }
    }

    /// Lets an append wait behind those that wait already: the library takes one that leaves a gap for a lost one.
    fn hold(&mut self, held: Held) {
        let term = held.envelope.term;
        if self.held.iter().any(|waiting| waiting.envelope.term < term) {
            self.held.retain(|waiting| waiting.envelope.term >= term);
        }
        if self.held.len() < limits::HELD_APPENDS_MAX && term >= self.node.raft.term {
            self.held.push_back(held);
        } else if term < self.node.raft.term {
            // The library tells a stale leader so.
            self.feed(held.from, &held.envelope);
        }
    }

    pub(super) fn take_bodies(&mut self, digest: ProposalDigest, verdict: BodiesVerdict) {
        let Some((_, known)) = self.bodies.get_mut(&digest) else { return };
        *known = Some(verdict);
        if verdict == BodiesVerdict::Invalid {
            let names = |held: &Held| self.proposals_of(held).any(|named| named == digest);
            let from = self.held.iter().find(|held| names(held)).map(|held| held.from);
            self.held.clear();
            if let Some(key) = from {
                self.push(Effect::Misbehaved { key, what: Misbehaviour::InvalidProposal });
            }
        }
    }

    fn proposals_of<'a>(&'a self, held: &'a Held) -> impl Iterator<Item = ProposalDigest> + 'a {
        let entries = if let Body::Append { entries, .. } = &held.envelope.body { entries.as_slice() } else { &[] };
        entries.iter().filter_map(|entry| self.lacking(entry).map(|(digest, _)| digest))
    }

    /// Gives the library the appends whose bodies are all here, in order, and the base whose blocks are.
    pub(super) fn release_held(&mut self) {
        while let Some(held) = self.held.front() {
            let is_held = |digest: ProposalDigest| {
                self.bodies.get(&digest).is_some_and(|(_, verdict)| *verdict == Some(BodiesVerdict::Held))
            };
            if !self.proposals_of(held).all(is_held) {
                break;
            }
            let Some(held) = self.held.pop_front() else { break };
            self.feed(held.from, &held.envelope);
            // The bodies are to be written down with their entries before anything is discarded.
            self.pump();
        }
        let is_reached =
            |held: &Held| matches!(&held.envelope.body, Body::Base(base) if base.height <= self.head.height);
        if self.held_base.as_ref().is_some_and(is_reached)
            && let Some(held) = self.held_base.take()
        {
            self.feed(held.from, &held.envelope);
        }
        self.forget_bodies();
    }

    /// Forgets the proposals that no append waits for any more.
    fn forget_bodies(&mut self) {
        if self.bodies.is_empty() {
            return;
        }
        let waited: BTreeSet<_> = self.held.iter().flat_map(|held| self.proposals_of(held)).collect();
        let gone: Vec<_> = self.bodies.keys().filter(|digest| !waited.contains(digest)).copied().collect();
        for digest in gone {
            if let Some((_, None)) = self.bodies.remove(&digest) {
                self.push(Effect::Forget(digest));
            }
        }
    }

    fn feed(&mut self, from: ConsensusKey, envelope: &Envelope) {
        let message = to_raft(raft_id(&from), raft_id(&self.config.key), envelope);
        // An error says that the sender is unknown or that the message is for nobody: it is dropped.
        let _ = self.node.step(message);
        self.set_timeout(false);
    }

    /// Takes everything that the library has ready: first what must be durable, then what is committed, then messages.
    pub(super) fn pump(&mut self) {
        while !self.halted && !self.abstains && self.node.has_ready() {
            let mut ready = self.node.ready();
            self.make_durable(&ready);
            let committed = ready.take_committed_entries();
            self.send_raft(ready.take_messages());
            self.send_raft(ready.take_persisted_messages());
            let mut light = self.node.advance(ready);
            if let Some(commit) = light.commit_index() {
                let hard = HardState { commit, ..self.node.store().hard() };
                self.node.mut_store().set_hard(hard);
            }
            self.send_raft(light.take_messages());
            // Only now: a leader that applies its own removal must not be asked for anything more as one.
            self.apply(committed.iter().map(|entry| entry.index));
            self.apply(light.take_committed_entries().iter().map(|entry| entry.index));
            self.node.advance_apply();
            self.set_timeout(false);
        }
        self.compact();
    }

    /// Writes down a base, entries, term and vote. A greater commit index alone is no reason for an fsync: it is found
    /// again.
    fn make_durable(&mut self, ready: &Ready) {
        let mut records = Vec::new();
        if !ready.snapshot().is_empty()
            && let Ok(base) = Base::try_from_slice(&ready.snapshot().data)
        {
            self.begin_at(base.clone());
            records.push(Record::Base(base));
        }
        for raft in ready.entries() {
            let entry = from_raft_entry(raft);
            self.node.mut_store().put(raft.clone());
            self.log.put(entry.clone());
            records.push(Record::Entry(entry));
        }
        if let Some(hs) = ready.hs() {
            let hard = HardState { term: hs.term, vote: hs.vote, commit: hs.commit };
            let before = self.node.store().hard();
            self.node.mut_store().set_hard(hard);
            if !records.is_empty() || (hard.term, hard.vote) != (before.term, before.vote) {
                records.push(Record::HardState(hard));
            }
        }
        if !records.is_empty() {
            self.push(Effect::Persist(records));
        }
    }

    /// Begins the log anew from a base whose blocks are final here.
    fn begin_at(&mut self, base: Base) {
        for key in base.nodes() {
            self.keys.insert(raft_id(key), *key);
        }
        self.committed = base.index;
        self.ordered = Tip { height: base.height, digest: base.digest };
        self.node.mut_store().reset(base.clone());
        self.log.reset(base);
    }

    fn send_raft(&mut self, messages: Vec<RaftMessage>) {
        for message in messages {
            let to = self.keys.get(&message.to).copied();
            if let (Some(to), Some(envelope)) = (to, from_raft(self.head.height, &self.log, &message)) {
                self.send(to, Message::Raft(envelope));
            }
        }
    }

    /// Takes committed entries up: blocks are ordered for ever, changes of the configuration act.
    fn apply(&mut self, indexes: impl Iterator<Item = u64>) {
        for index in indexes {
            self.committed = self.committed.max(index);
            let Some(item) = self.log.get(index).cloned() else { continue };
            self.ordered = item.tip;
            if item.block().is_some() && item.tip.height > self.head.height {
                self.push(Effect::Reached { height: item.tip.height, stage: Stage::Committed });
            }
            if let Content::Change(change) = item.content {
                self.keys.insert(raft_id(&change.key), change.key);
                // It fails where it would leave no voter, which no leader proposes; then it changes nothing, nowhere.
                let applied = self.node.apply_conf_change(&conf_change(change));
                debug_assert!(applied.is_ok(), "{change:?} was not applied");
                self.step_down_without_vote();
                self.set_timeout(false);
            }
        }
        self.check_order();
    }

    /// A leader that has lost its vote follows: the library cannot count for a leader that is not in its configuration.
    /// It gets there where its removal was proposed by the leader before it.
    fn step_down_without_vote(&mut self) {
        let has_vote = self.node.raft.prs().conf().voters().contains(raft_id(&self.config.key));
        if self.is_leader() && !has_vote {
            let term = self.node.raft.term;
            self.node.raft.become_follower(term, raft::INVALID_ID);
        }
    }

    /// Moves the log's base up to what is final here, but for some entries for members that lag a little.
    pub(super) fn compact(&mut self) {
        let kept = self.config.window.saturating_mul(limits::WINDOWS_KEPT);
        // A node that is new in the configuration can begin only from a base that names it.
        let named: BTreeSet<_> = self.log.base().nodes().map(raft_id).collect();
        let has_newcomer = self.node.raft.prs().iter().any(|(id, _)| !named.contains(id));
        let kept = if self.is_leader() && has_newcomer { 0 } else { kept };
        let highest = self.committed.min(self.log.last_index().saturating_sub(kept));
        let is_final = |tip: Tip| tip.height <= self.head.height;
        let mut to = self.log.base().index;
        for (index, item) in self.log.above(to) {
            if index > highest || !is_final(item.tip) {
                break;
            }
            to = index;
        }
        if to > self.log.base().index {
            self.log.compact(to);
            let base = self.log.base().clone();
            self.node.mut_store().compact(base);
        }
    }

    /// The greatest height that a session's peer has said to be final there.
    pub(super) fn note_height(&mut self, from: ConsensusKey, height: BlockNumber) {
        if let Some(known) = self.connected.get_mut(&from) {
            *known = height.max(*known);
        }
    }
}
