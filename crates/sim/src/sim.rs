//! Everything in a simulation but the nodes.

use crate::{
    byzantine::Traitor,
    chain::Chain,
    clients::Clients,
    event::{Event, NodeEvent, NodeId, Queue},
    message::Envelope,
    network::Network,
    operator::Operator,
    oracle::Oracle,
    random::Random,
    scenario::{CrashPoint, Scenario},
    time::Moment,
    trace::{Story, TraceHash},
};
use lian_crypto::CheckedSignatures;
use lian_group::core::GroupMessage;
use std::{collections::BTreeMap, sync::Arc};

/// The purpose of the random numbers of a running simulation.
const PURPOSE: u64 = 2;

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) at: Moment,
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
}

/// How long there was no new block although somebody waited for one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pauses {
    pub(crate) longest_ms: u64,
    /// The time from the end of all passing faults to the first new block.
    pub(crate) resumed_ms: Option<u64>,
    newest: Moment,
}

impl Pauses {
    /// A new block is final; `since` is when the oldest transaction that waits was sent.
    pub(crate) fn ended(&mut self, now: Moment, since: Option<Moment>, heal_ms: u64) {
        let began = since.map_or(now, |since| since.max(self.newest));
        self.longest_ms = self.longest_ms.max(now.ms().saturating_sub(began.ms()));
        self.newest = now;
        if now.ms() >= heal_ms && self.resumed_ms.is_none() {
            self.resumed_ms = Some(now.ms().saturating_sub(heal_ms));
        }
    }
}

/// What nodes share: time, network, clients, and who watches them all.
pub(crate) struct Sim {
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) chain: Arc<Chain>,
    pub(crate) now: Moment,
    pub(crate) queue: Queue,
    pub(crate) random: Random,
    pub(crate) trace: TraceHash,
    pub(crate) story: Story,
    pub(crate) network: Network,
    pub(crate) oracle: Oracle,
    pub(crate) clients: Clients,
    pub(crate) operator: Operator,
    pub(crate) traps: Vec<Trap>,
    /// How much longer each fsync of a node takes at most, in milliseconds.
    pub(crate) slow_disks: BTreeMap<NodeId, u64>,
    /// What stands between the machines of Byzantine members and the network.
    pub(crate) traitors: BTreeMap<NodeId, Traitor>,
    /// Signatures that are known to hold: nodes agree on that, so each is checked once for all of them.
    pub(crate) checked: CheckedSignatures,
    pub(crate) pauses: Pauses,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    pub(crate) broken: Option<Broken>,
}

/// A point at which a node goes down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trap {
    pub(crate) fault: usize,
    pub(crate) node: NodeId,
    pub(crate) point: CrashPoint,
    pub(crate) times: u32,
    pub(crate) down_ms: u64,
}

impl Sim {
    pub(crate) fn new(scenario: Arc<Scenario>, chain: Arc<Chain>, tell: bool) -> Self {
        let mut random = Random::new(scenario.seed, PURPOSE);
        Self {
            network: Network::new(scenario.machines(), &scenario.links, &mut random),
            oracle: Oracle::new(&chain),
            clients: Clients::new(scenario.seed),
            operator: Operator::default(),
            now: Moment::default(),
            queue: Queue::default(),
            trace: TraceHash::default(),
            story: Story::new(tell),
            traps: Vec::new(),
            slow_disks: BTreeMap::new(),
            traitors: traitors(&scenario),
            checked: CheckedSignatures::new(),
            pauses: Pauses::default(),
            counts: BTreeMap::new(),
            broken: None,
            random,
            scenario,
            chain,
        }
    }

    /// Notes that a rule does not hold. The first one counts.
    pub(crate) fn fail(&mut self, invariant: &'static str, what: impl FnOnce() -> String) {
        if self.broken.is_none() {
            let what = what();
            self.tell(|| format!("BROKEN: {invariant}: {what}"));
            self.broken = Some(Broken { at: self.now, invariant, what });
        }
    }

    /// Whether a machine belongs to a member that keeps to the rules.
    pub(crate) fn is_honest(&self, machine: NodeId) -> bool {
        !self.traitors.contains_key(&machine)
    }

    /// Notes that a rule does not hold at a machine. Of what a Byzantine member does nothing is required.
    pub(crate) fn fail_at(&mut self, machine: NodeId, invariant: &'static str, what: impl FnOnce() -> String) {
        if self.is_honest(machine) {
            self.fail(invariant, what);
        } else {
            self.count("oddities of Byzantine machines");
            self.tell(|| format!("Byzantine: {invariant}: {}", what()));
        }
    }

    /// Adds a line to the story.
    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        self.story.tell(self.now, line);
    }

    /// Counts that a situation occurred.
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Lets something happen in a node's program after a while, unless it ends before.
    pub(crate) fn later(&mut self, node: NodeId, life: u64, after_us: u64, what: NodeEvent) {
        self.queue.push(self.now.after_us(after_us), Event::Node { node, life, what });
    }

    /// How long an fsync takes now, in microseconds.
    pub(crate) fn sync_us(&mut self, node: NodeId) -> u64 {
        let extra_us = self.slow_disks.get(&node).copied().unwrap_or(0) * 1_000;
        self.random.between(self.scenario.sync_us) + self.random.below(extra_us + 1)
    }

    /// Whether a node goes down at a point that it passes, and for how long in milliseconds.
    pub(crate) fn trapped(&mut self, node: NodeId, point: CrashPoint) -> Option<u64> {
        let trap = self.traps.iter_mut().find(|trap| trap.node == node && trap.point == point && trap.times > 0)?;
        // Not every time, so that the node does something in between.
        if !self.random.permille(200) {
            return None;
        }
        trap.times -= 1;
        Some(trap.down_ms)
    }

    /// Counts a message that a node sends, and has it checked.
    pub(crate) fn count_sent(&mut self, from: NodeId, envelope: &Envelope) {
        self.count(match envelope.payload() {
            GroupMessage::Consensus(_) | GroupMessage::Raft(_) => "consensus messages",
            GroupMessage::Pool(_) => "pool messages",
            GroupMessage::Sync(_) => "catch-up messages",
            GroupMessage::Snapshot(_) => "snapshot messages",
            GroupMessage::Report(_) => "reports",
        });
        if let GroupMessage::Consensus(message) = envelope.payload()
            && self.is_honest(from)
            && let Err(what) = self.oracle.votes.sent(from, &self.chain, &self.oracle.epochs, message)
        {
            self.fail("votes", || format!("n{from} {what}"));
        }
        if let GroupMessage::Raft(message) = envelope.payload()
            && let Err(what) = self.oracle.replicas.sent(from, &self.oracle.epochs, message)
        {
            self.fail("votes", || format!("n{from} {what}"));
        }
    }
}

/// The machines of Byzantine members.
fn traitors(scenario: &Scenario) -> BTreeMap<NodeId, Traitor> {
    let machines = (0..scenario.machines()).filter_map(|machine| {
        let seat = scenario.seat(machine);
        let member = scenario.byzantine.iter().find(|member| member.member == seat)?;
        Some((machine, Traitor::new(scenario.seed, machine, seat, member.rules.clone())))
    });
    machines.collect()
}
