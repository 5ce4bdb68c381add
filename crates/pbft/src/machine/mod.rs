//! The machine: its state, and how a step goes. Each concern has its own file:
//! `normal` (proposals, prepares, commits), `finality` (order, results, certificates), `view_change`, `timers`,
//! `repetition` (heartbeats, help for members that lag), `recovery` (restart, abstention), `retry` (after a divergence) and
//! `epoch`.
//!
//! The rules are level-triggered: an input changes a fact, then [`Machine::advance`] applies every rule whose
//! conditions hold. A rule that was applied leaves a fact behind that keeps it from being applied again.

mod epoch;
mod finality;
mod normal;
mod parts;
mod recovery;
mod repetition;
mod retry;
mod slot;
mod timers;
mod view_change;

use crate::{
    Committee, Committees, Divergence, Effect, Head, Input, LogCondition, Message, Misbehaviour, PrePrepare, Recipient,
    Record, Rules, SignedNewView, Stage, Statement, Timing, ViewChangeMessage, limits,
};
use lian_types::{
    BlockNumber, Certificate, ConsensusKey, Epoch, MemberIndex, Millis, Proposal, ProposalDigest, Signature, View,
};
use parts::{Known, Peer, Pool, Recent};
use recovery::Abstention;
use retry::Recovery;
use slot::Slot;
use std::{collections::BTreeMap, sync::Arc};
use timers::Timers;

/// What a machine is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The chain's rules.
    pub rules: Rules,
    /// This node's waiting times.
    pub timing: Timing,
    /// This node's consensus key; it votes in the epochs whose members have it.
    pub key: Option<ConsensusKey>,
}

/// Where the machine stands, for operators and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The epoch of the height above the final one.
    pub epoch: Epoch,
    /// The view last entered.
    pub view: View,
    /// The view promised; equal to `view` outside a view change.
    pub promised: View,
    /// The leader of the height above the final one.
    pub leader: MemberIndex,
    /// This node among the members.
    pub me: Option<MemberIndex>,
    /// The final and durable height.
    pub height: BlockNumber,
    /// The highest height accepted in this view.
    pub accepted: BlockNumber,
    /// Up to which height this node abstains (§3); the largest number where that is not known yet.
    pub abstains_until: Option<BlockNumber>,
    /// Whether this node stopped because results diverge (§7).
    pub halted: bool,
    /// How many views were left one after the other without a block that became final in one of them.
    pub failed: u32,
}

/// One member's part in parallel PBFT.
#[derive(Clone, Debug)]
pub struct Machine {
    config: Config,
    committees: Arc<Committees>,
    /// The committee of the height above the final one.
    committee: Committee,
    me: Option<MemberIndex>,
    now: Millis,
    head: Head,
    /// The view that was entered. Its messages are followed even after a higher one was promised.
    view: View,
    /// The view promised: no vote below it is signed any more.
    promised: View,
    entered_at: Millis,
    /// What started the view; none for view 0.
    entered_by: Option<Arc<SignedNewView>>,
    /// The last height whose proposal the new-view forced; the leader proposes freely above it only.
    forced_up_to: BlockNumber,
    /// Heights above the final one.
    slots: BTreeMap<BlockNumber, Slot>,
    known: BTreeMap<ProposalDigest, Known>,
    /// Proposals that came before the view or epoch they belong to.
    early: BTreeMap<BlockNumber, PrePrepare>,
    /// The view-change of the highest view of each member.
    changes: BTreeMap<MemberIndex, ViewChangeMessage>,
    /// The last own view-change that was made durable; that of `promised`, or an older one while that is being signed.
    own_change: Option<ViewChangeMessage>,
    /// The proposals that belong to the own view-change while it is being signed.
    change_proposals: Vec<Arc<Proposal>>,
    /// The view whose new-view is being signed.
    starting: Option<View>,
    recent: BTreeMap<BlockNumber, Recent>,
    /// The certificate of the greatest height that is known, final here or not.
    best: Option<Arc<Certificate>>,
    /// Who sent `best`, where it came from outside.
    best_from: Option<ConsensusKey>,
    /// Up to which height [`Effect::Certified`] was given.
    certified: BlockNumber,
    peers: BTreeMap<ConsensusKey, Peer>,
    pool: Pool,
    /// For which (height, view) transactions were asked.
    wanted: Option<(BlockNumber, View)>,
    timers: Timers,
    abstention: Option<Abstention>,
    recovery: Recovery,
    halted: bool,
    started: bool,
    out: Vec<Effect>,
}

impl Machine {
    /// A machine that starts from a final block and what its vote log held, in the log's order. Its first step must be
    /// given [`Input::Tick`]. The committees must decide the height above the head, and, where it is the first of its
    /// epoch, the head's own as well.
    ///
    /// # Panics
    /// Where no committee decides the height above the head, and where a head above height 0 comes without certificate:
    /// a view-change could not prove it.
    #[must_use]
    pub fn new(config: Config, committees: Committees, head: Head, records: Vec<Record>, log: LogCondition) -> Self {
        let Some(committee) = committees.at(head.height.next()).cloned() else {
            unreachable!("no committee decides the height above {}", head.height)
        };
        let me = config.key.and_then(|key| committee.members.members.index_of(&key));
        assert!(head.is_proven(), "the head at height {} has no certificate of its own", head.height);
        let best = head.certificate.clone().map(Arc::new);
        let mut machine = Self {
            config,
            committees: Arc::new(committees),
            committee,
            me,
            now: Millis::ZERO,
            certified: head.height,
            forced_up_to: head.height,
            head,
            view: View::ZERO,
            promised: View::ZERO,
            entered_at: Millis::ZERO,
            entered_by: None,
            slots: BTreeMap::new(),
            known: BTreeMap::new(),
            early: BTreeMap::new(),
            changes: BTreeMap::new(),
            own_change: None,
            change_proposals: Vec::new(),
            starting: None,
            recent: BTreeMap::new(),
            best,
            best_from: None,
            peers: BTreeMap::new(),
            pool: Pool::default(),
            wanted: None,
            timers: Timers::default(),
            abstention: None,
            recovery: Recovery::default(),
            halted: false,
            started: false,
            out: Vec::new(),
        };
        machine.keep_recent();
        machine.restore(records, log);
        machine
    }

    /// Takes an input at a time, and appends what follows from it. Time is the driver's: milliseconds since 1970 that
    /// never go back and follow the wall clock closely enough to judge the times of proposals.
    pub fn step(&mut self, now: Millis, input: Input, effects: &mut Vec<Effect>) {
        if self.halted {
            return;
        }
        self.now = self.now.max(now);
        if !self.started {
            self.started = true;
            self.start_timers();
        }
        self.take(input);
        self.advance();
        self.run_timers();
        self.advance();
        self.schedule();
        effects.append(&mut self.out);
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Message { from, message } => self.take_message(from, message.into_inner()),
            Input::Signed { statement, signature } => self.take_signed(statement, signature),
            Input::Bodies { digest, verdict } => self.take_bodies(digest, verdict),
            Input::Executed { height, digest, parent, hash } => self.take_executed(height, digest, parent, hash),
            Input::Transactions { height, view, transactions, time } => {
                self.take_transactions(height, view, transactions, time);
            }
            Input::Final(head) => self.take_final(head),
            Input::Pool { ready, waiting_since } => {
                self.pool.ready = ready;
                self.pool.waiting_since = waiting_since;
            }
            Input::AllowEmpty(allowed) => self.pool.allow_empty = allowed,
            Input::Peer { key, connected } => self.take_peer(key, connected),
            Input::Members(committee) => self.take_members(committee),
            Input::Timing(timing) => self.config.timing = timing,
            Input::EndBefore(height) => self.end_before(height),
            Input::Tick => {}
        }
    }

    fn take_message(&mut self, from: ConsensusKey, message: Message) {
        let now = self.now;
        if let Some(peer) = self.peer(from) {
            peer.heard = Some(now);
        }
        match message {
            Message::PrePrepare(pre_prepare) => self.take_pre_prepare(pre_prepare),
            Message::Vote(signed) => self.take_vote(from, signed),
            Message::ViewChange(message) => self.take_view_change(from, message),
            Message::NewView(signed) => self.take_new_view(from, signed),
            Message::Heartbeat(beat) => self.take_heartbeat(from, beat),
            Message::Certificate(certificate) => self.learn(Some(from), certificate),
            Message::Ancestry(ancestry) => self.take_ancestry(from, ancestry),
        }
    }

    fn take_signed(&mut self, statement: Statement, signature: Signature) {
        match statement {
            Statement::PrePrepare { view, height, digest, .. } => self.proposal_signed(view, height, digest, signature),
            Statement::Vote(vote) => self.vote_signed(vote, signature),
            Statement::ViewChange(change) => self.view_change_signed(*change, signature),
            Statement::NewView(new_view) => self.new_view_signed(*new_view, signature),
        }
    }

    /// Applies every rule whose conditions hold.
    fn advance(&mut self) {
        if self.halted {
            return;
        }
        for height in self.open_heights() {
            self.recount(height);
            self.accept(height);
            self.prepare(height);
        }
        self.order_ancestors();
        self.execute();
        for height in self.open_heights() {
            self.note_prepared(height);
            self.commit(height);
            self.order(height);
            self.checkpoint(height);
            self.watch_results(height);
        }
        self.execute();
        self.certify();
        self.start_view();
        self.propose();
    }

    /// The heights that may be voted on now, rising.
    fn open_heights(&self) -> Vec<BlockNumber> {
        let limit = self.open_limit();
        self.slots.range(self.head.height.next()..).map(|(height, _)| *height).take_while(|h| *h <= limit).collect()
    }

    /// The greatest height that may be voted on here: where the rules change to what this program does not know, others
    /// go on.
    fn open_limit(&self) -> BlockNumber {
        self.limit().min(self.committees.last_known())
    }

    /// The greatest height that may be voted on: the window, and never beyond the epoch (§6).
    fn limit(&self) -> BlockNumber {
        let window = self.head.height.saturating_add(self.config.rules.window);
        window.min(self.committees.last_of(self.head.height.next()))
    }

    /// The greatest height whose messages are kept.
    fn buffer_limit(&self) -> BlockNumber {
        self.head.height.saturating_add(self.config.rules.window.saturating_mul(limits::WINDOWS_BUFFERED))
    }

    /// The slot of a height above the final one and within the buffer; none elsewhere, so that memory stays bounded.
    fn slot(&mut self, height: BlockNumber) -> Option<&mut Slot> {
        (height > self.head.height && height <= self.buffer_limit()).then(|| self.slots.entry(height).or_default())
    }

    /// The entry of another member; none for anybody else, so that memory stays bounded.
    fn peer(&mut self, key: ConsensusKey) -> Option<&mut Peer> {
        let member = self.committee.members.members.index_of(&key);
        (member.is_some() && member != self.me).then(|| self.peers.entry(key).or_default())
    }

    fn epoch(&self) -> Epoch {
        self.committee.epoch()
    }

    fn quorum(&self) -> usize {
        self.committee.members.members.quorum()
    }

    /// f+1: at least one of so many members is honest.
    fn honest_one(&self) -> usize {
        self.committee.members.members.faulty_max().saturating_add(1)
    }

    fn is_alone(&self) -> bool {
        self.committee.members.members.len() == 1
    }

    /// This node, where it may prepare and commit now: a member that has promised no higher view and does not abstain.
    fn voter(&self) -> Option<MemberIndex> {
        let votes_again = self.recovery.retry.as_ref().is_none_or(|retry| self.view >= retry.view);
        self.me.filter(|_| self.promised == self.view && self.abstention.is_none() && votes_again)
    }

    fn leader(&self, height: BlockNumber) -> MemberIndex {
        self.committee.leader(&self.config.rules, self.view, height)
    }

    fn member_key(&self, member: MemberIndex) -> Option<ConsensusKey> {
        self.committee.members.members.get(member).map(|member| member.key)
    }

    fn push(&mut self, effect: Effect) {
        if !self.halted {
            self.out.push(effect);
        }
    }

    fn send_all(&mut self, message: Message) {
        self.push(Effect::Send { to: Recipient::All, message });
    }

    fn reached(&mut self, height: BlockNumber, digest: ProposalDigest, stage: Stage) {
        self.push(Effect::Reached { height, digest, stage });
    }

    fn misbehaved(&mut self, member: MemberIndex, what: Misbehaviour) {
        self.push(Effect::Misbehaved { member, what });
    }

    /// Stops for good (§7).
    fn halt(&mut self, divergence: Divergence) {
        self.push(Effect::Halt(Box::new(divergence)));
        self.halted = true;
    }

    /// When to call [`Self::step`] with [`Input::Tick`] at the latest.
    #[must_use]
    pub const fn deadline(&self) -> Option<Millis> {
        if self.halted { None } else { self.timers.deadline }
    }

    /// The members by height, for [`crate::verify`] on other threads.
    #[must_use]
    pub const fn committees(&self) -> &Arc<Committees> {
        &self.committees
    }

    /// Where the machine stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let accepted = |slot: &Slot| slot.received.as_ref().is_some_and(|received| received.accepted);
        let accepted = self.slots.iter().rev().find(|(_, slot)| accepted(slot)).map(|(height, _)| *height);
        Status {
            epoch: self.epoch(),
            view: self.view,
            promised: self.promised,
            leader: self.leader(self.head.height.next()),
            me: self.me,
            height: self.head.height,
            accepted: accepted.unwrap_or(self.head.height),
            abstains_until: self.abstention.as_ref().map(Abstention::until),
            halted: self.halted,
            failed: self.timers.failed,
        }
    }
}
