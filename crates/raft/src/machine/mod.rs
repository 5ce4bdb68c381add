//! The machine: its state, and how a step goes. Each concern has its own file: `replication` (the library, its messages
//! and what must be durable), `finality` (execution, votes, certificates), `leading` (proposals, members, taking over),
//! `clock` (ticks and election timeouts), `restart` (what a vote log gives back).
//!
//! The rules are level-triggered: an input changes a fact, then [`Machine::advance`] applies every rule whose
//! conditions hold. A rule that was applied leaves a fact behind that keeps it from being applied again.

mod clock;
mod finality;
mod leading;
mod replication;
mod restart;

use crate::log::{Log, Tip};
use crate::store::Store;
use crate::wire::raft_id;
use crate::{
    BodiesVerdict, Divergence, Effect, Envelope, Head, Input, LogCondition, Message, Recipient, Record, Schedule,
    limits,
};
use alloy_primitives::B256;
use clock::Clock;
use lian_crypto::{EpochMembers, Suite};
use lian_types::{
    BlockNumber, Certificate, ChainContext, ConsensusKey, ConsensusParameters, Epoch, MemberIndex, Millis, Proposal,
    ProposalDigest, SignedVote, View, Vote,
};
use raft::{RawNode, StateRole};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// What a machine is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The chain's algorithms.
    pub suite: Suite,
    /// What every signature is bound to.
    pub context: ChainContext,
    /// The digest that stands for the proposal of the genesis block.
    pub genesis: ProposalDigest,
    /// The members of the first epoch, with whom every log begins.
    pub first_members: Vec<ConsensusKey>,
    /// Heights that may be open at once (W), at least 1.
    pub window: u64,
    /// This node's waiting times.
    pub timing: Timing,
    /// This node's consensus key.
    pub key: ConsensusKey,
}

/// How long this node waits for what. Members should agree on these, roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The least time without a leader after which a member stands for election, in milliseconds; up to twice as long by
    /// chance.
    pub election_ms: u64,
}

impl Timing {
    /// The times that fit a group's parameters: the view timeout is the election timeout.
    #[must_use]
    pub const fn new(parameters: &ConsensusParameters) -> Self {
        Self { election_ms: parameters.view_timeout_ms }
    }
}

/// What a node does in its term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It leads.
    Leader,
    /// It stands for election, or asks whether it could.
    Candidate,
    /// It follows, with or without a vote.
    Follower,
}

/// Where the machine stands, for operators and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The epoch of the height above the final one.
    pub epoch: Epoch,
    /// The term.
    pub term: u64,
    /// Who leads it, as far as is known.
    pub leader: Option<ConsensusKey>,
    /// What this node does in it.
    pub role: Role,
    /// This node among the members.
    pub me: Option<MemberIndex>,
    /// The final and durable height.
    pub height: BlockNumber,
    /// The greatest height in the log, committed or not.
    pub accepted: BlockNumber,
    /// Whether this node takes no part because its log was lost (§3).
    pub abstains: bool,
    /// Whether this node stopped because results diverge (§7).
    pub halted: bool,
    /// Who has a vote in the configuration, and who only gets the log.
    pub configuration: (usize, usize),
}

/// An append, or what stands behind one, that waits for bodies.
struct Held {
    from: ConsensusKey,
    envelope: Envelope,
}

/// This node's vote on a height.
#[derive(Clone, Copy)]
enum Own {
    Signing(Vote),
    Sent(SignedVote),
}

/// One node's part in a Raft group.
pub struct Machine {
    config: Config,
    schedule: Schedule,
    node: RawNode<Store>,
    log: Log,
    clock: Clock,
    now: Millis,
    head: Head,
    /// Up to which index the library has committed.
    committed: u64,
    /// The block that the committed log ends with.
    ordered: Tip,
    /// The blocks above the final one that the whole log orders, as far as execution was asked for.
    running: BTreeMap<BlockNumber, ProposalDigest>,
    /// Results: the hash of the parent's header, and of the own one.
    results: BTreeMap<ProposalDigest, (BlockNumber, B256, B256)>,
    /// Bodies of proposals that are not in the log yet.
    bodies: BTreeMap<ProposalDigest, (Arc<Proposal>, Option<BodiesVerdict>)>,
    held: VecDeque<Held>,
    /// The base that waits until the blocks below it are here.
    held_base: Option<Held>,
    votes: BTreeMap<BlockNumber, BTreeMap<MemberIndex, SignedVote>>,
    own: BTreeMap<BlockNumber, Own>,
    certificates: BTreeMap<BlockNumber, Arc<Certificate>>,
    /// Up to which height [`Effect::Certified`] was given.
    certified: BlockNumber,
    /// Certificates of final heights, for those who ask with an old vote.
    recent: BTreeMap<BlockNumber, Certificate>,
    /// The names behind the library's numbers.
    keys: BTreeMap<u64, ConsensusKey>,
    connected: BTreeMap<ConsensusKey, BlockNumber>,
    /// Whether a transaction waits, and whether empty blocks are allowed.
    pool_ready: bool,
    allow_empty: bool,
    /// For which (height, term) transactions were asked.
    wanted: Option<(BlockNumber, u64)>,
    /// The term and leader that were reported last.
    told: (u64, u64),
    /// Since when somebody has been ahead.
    behind: Option<Millis>,
    resend_at: Millis,
    abstains: bool,
    /// Up to which height an operator has dealt with a divergence.
    cleared: BlockNumber,
    handing_over: bool,
    halted: bool,
    started: bool,
    out: Vec<Effect>,
}

impl Machine {
    /// A machine that starts from a final block and what its vote log held, in the log's order. Its first step must be
    /// given [`Input::Tick`]. The schedule must name the members of the height above the head.
    ///
    /// # Panics
    /// Where the schedule does not, and where the vote log contradicts itself in a way that no crash explains.
    #[must_use]
    pub fn new(config: Config, schedule: Schedule, head: Head, records: Vec<Record>, log: LogCondition) -> Self {
        restart::restart(config, schedule, head, records, log)
    }

    /// Takes an input at a time, and appends what follows from it. Time never goes back.
    pub fn step(&mut self, now: Millis, input: Input, effects: &mut Vec<Effect>) {
        if self.halted {
            return;
        }
        self.now = self.now.max(now);
        if !self.started {
            self.started = true;
            self.begin();
        }
        self.take(input);
        self.advance();
        self.run_timers();
        self.advance();
        effects.append(&mut self.out);
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Message { from, message } => self.take_message(from, message.into_inner()),
            Input::Signed { vote, signature } => self.vote_signed(vote, signature),
            Input::Bodies { digest, verdict } => self.take_bodies(digest, verdict),
            Input::Executed { height, digest, parent, hash } => self.take_executed(height, digest, parent, hash),
            Input::Transactions { height, term, transactions, time } => {
                self.take_transactions(height, term, transactions, time);
            }
            Input::Final(head) => self.take_final(head),
            Input::Pool { ready } => self.pool_ready = ready,
            Input::AllowEmpty(allowed) => self.allow_empty = allowed,
            Input::Peer { key, connected } => self.take_peer(key, connected),
            Input::Members { first, members } => self.take_members(first, members),
            Input::EndBefore(height) => self.end_before(height),
            Input::HandOver => {
                self.handing_over = true;
                self.hand_over();
            }
            Input::Tick => {}
        }
    }

    fn take_message(&mut self, from: ConsensusKey, message: Message) {
        match message {
            Message::Raft(envelope) => self.take_envelope(from, envelope),
            Message::Vote(signed) => self.take_vote(from, signed),
            Message::Question(signed) => self.take_question(from, signed),
            Message::Certificate(certificate) => self.take_certificate(from, certificate),
        }
    }

    /// Applies every rule whose conditions hold.
    fn advance(&mut self) {
        if self.halted {
            return;
        }
        self.release_held();
        self.pump();
        self.follow_log();
        self.sign();
        self.certify();
        self.lead();
        self.pump();
        self.follow_log();
        self.tell_leader();
    }

    fn take_peer(&mut self, key: ConsensusKey, connected: bool) {
        if connected {
            self.connected.insert(key, BlockNumber::ZERO);
        } else {
            self.connected.remove(&key);
            // What was sent is lost: the leader asks anew where the logs match.
            self.node.report_unreachable(raft_id(&key));
        }
    }

    fn take_members(&mut self, first: BlockNumber, members: Arc<EpochMembers>) {
        if first > self.head.height {
            for (_, member) in members.members.iter() {
                self.keys.insert(raft_id(&member.key), member.key);
            }
            // Votes of the old members on heights that are the new ones' mean nothing.
            self.votes.split_off(&first);
            self.certificates.split_off(&first);
            self.schedule.insert(first, members);
        }
    }

    fn end_before(&mut self, height: BlockNumber) {
        let height = height.max(self.head.height.next());
        self.votes.split_off(&height);
        self.certificates.split_off(&height);
        self.schedule.end_before(height);
    }

    /// The greatest height that may be proposed: the window, and never beyond the epoch (§6).
    fn limit(&self) -> BlockNumber {
        let window = self.head.height.saturating_add(self.config.window);
        window.min(self.schedule.last_of(self.head.height.next()))
    }

    /// The greatest height whose votes and certificates are kept.
    fn buffer_limit(&self) -> BlockNumber {
        self.head.height.saturating_add(self.config.window.saturating_mul(limits::WINDOWS_AHEAD))
    }

    fn is_kept(&self, height: BlockNumber) -> bool {
        height > self.head.height && height <= self.buffer_limit()
    }

    fn is_leader(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    fn push(&mut self, effect: Effect) {
        if !self.halted {
            self.out.push(effect);
        }
    }

    fn send_all(&mut self, message: Message) {
        self.push(Effect::Send { to: Recipient::All, message });
    }

    fn send(&mut self, to: ConsensusKey, message: Message) {
        self.push(Effect::Send { to: Recipient::One(to), message });
    }

    /// Stops for good (§7).
    fn halt(&mut self, divergence: Divergence) {
        self.push(Effect::Halt(Box::new(divergence)));
        self.halted = true;
    }

    fn tell_leader(&mut self) {
        let now = (self.node.raft.term, self.node.raft.leader_id);
        if now != self.told {
            self.told = now;
            let (term, leader) = (View(now.0), self.leader());
            self.push(Effect::LeaderChanged { term, leader });
        }
    }

    fn leader(&self) -> Option<ConsensusKey> {
        self.keys.get(&self.node.raft.leader_id).copied()
    }

    /// The members by height, for [`crate::verify`] on other threads.
    #[must_use]
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Where the machine stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let members = self.schedule.at(self.head.height.next());
        let configuration = self.node.raft.prs().conf();
        Status {
            epoch: members.map_or(Epoch::ZERO, |members| members.epoch),
            term: self.node.raft.term,
            leader: self.leader().filter(|_| !self.abstains),
            role: match self.node.raft.state {
                StateRole::Leader => Role::Leader,
                StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
                StateRole::Follower => Role::Follower,
            },
            me: members.and_then(|members| members.members.index_of(&self.config.key)),
            height: self.head.height,
            accepted: self.log.tip().height.max(self.head.height),
            abstains: self.abstains,
            halted: self.halted,
            configuration: (configuration.voters().ids().len(), configuration.learners().len()),
        }
    }
}
