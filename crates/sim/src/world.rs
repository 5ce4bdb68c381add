//! A whole network, and the loop that makes it happen.

mod disks;
mod faults;
mod judge;
mod recover;

use crate::{
    chain::Chain,
    event::{Event, NodeId},
    node::{self, Node},
    scenario::Scenario,
    sim::{Broken, Sim},
    time::Moment,
    wallet::{self, ACCOUNTS, Name},
};
use lian_executor::GenesisBlockError;
use lian_group::core::Input;
use lian_types::{Epoch, View};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Nodes start within this time, in microseconds.
const START_US: u64 = 50_000;
/// When clients begin, in milliseconds.
const LOAD_BEGIN_MS: u64 = 300;
/// Time between two looks of clients at what they wait for, in milliseconds.
const PATIENCE_STEP_MS: u64 = 500;
/// Time between two reads, in milliseconds.
const READ_STEP_MS: u64 = 150;
/// Time between two looks at the whole, in milliseconds.
const WATCH_STEP_MS: u64 = 250;
/// How long a request of a client travels, least and most, in microseconds.
const CLIENT_US: (u64, u64) = (200, 3_000);
/// Events that may happen in a second: some hundred times what ordinary work takes.
const EVENTS_PER_SECOND_MAX: u64 = 200_000;
/// After what time a client turns to another node when one does not answer its call, in milliseconds.
const REFUSED_MS: u64 = 100;

/// After what time a Byzantine machine whose program has stopped starts again, in milliseconds.
const BYZANTINE_DOWN_MS: u64 = 2_000;

/// A simulation under way.
pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) nodes: Vec<Node>,
    /// The faults that hold now, and the node that each is about.
    active: BTreeMap<usize, Option<NodeId>>,
    /// Nodes that never come back, or that nobody hears or that hear nobody for ever.
    gone: BTreeSet<NodeId>,
    /// Nodes that have stopped for a divergence and wait for an operator.
    halted: BTreeSet<NodeId>,
    /// Nodes that have had a wrong program.
    blamed: BTreeSet<NodeId>,
    /// When the newest block became final.
    progress: (u64, Moment),
    /// The greatest view then.
    progress_view: (Epoch, View),
    /// The greatest view that any of them has ever promised, in the latest epoch.
    greatest_view: (Epoch, View),
    finished: bool,
    /// The second in which events were counted, and how many there were.
    pace: (u64, u64),
}

impl World {
    /// A network that is about to start.
    pub(crate) fn new(scenario: &Scenario, tell: bool) -> Result<Self, GenesisBlockError> {
        let chain = Arc::new(Chain::new(scenario)?);
        let mut sim = Sim::new(Arc::new(scenario.clone()), chain, tell);
        let skew = |node: usize| scenario.skews_ms.get(node).copied().unwrap_or(0);
        let nodes = (0..scenario.machines()).map(|machine| Node::new(machine, skew(machine))).collect();
        for (index, fault) in scenario.faults.iter().enumerate() {
            sim.queue.push(Moment::at_ms(fault.from_ms), Event::Fault { index, begins: true });
            if let Some(until_ms) = fault.until_ms {
                sim.queue.push(Moment::at_ms(until_ms), Event::Fault { index, begins: false });
            }
        }
        for node in 0..scenario.machines() {
            let at = Moment(sim.random.below(START_US));
            sim.queue.push(at, Event::Start { node });
        }
        sim.queue.push(Moment::at_ms(LOAD_BEGIN_MS), Event::Load);
        for event in [Event::Patience, Event::Read, Event::Watch] {
            sim.queue.push(Moment::at_ms(WATCH_STEP_MS), event);
        }
        let progress = (0, Moment::default());
        Ok(Self {
            sim,
            nodes,
            active: BTreeMap::new(),
            gone: BTreeSet::new(),
            progress,
            progress_view: Default::default(),
            greatest_view: Default::default(),
            halted: BTreeSet::new(),
            blamed: BTreeSet::new(),
            finished: false,
            pace: (0, 0),
        })
    }

    /// Runs to the end, or to the first rule that does not hold.
    pub(crate) fn run(&mut self) -> Option<Broken> {
        while !self.finished && self.sim.broken.is_none() {
            let Some((at, event)) = self.sim.queue.pop() else { break };
            self.sim.now = self.sim.now.max(at);
            self.watch_pace();
            self.sim.trace.add(at.0);
            self.dispatch(event);
        }
        self.sim.broken.clone()
    }

    /// A network in which ever more happens is not one that works.
    fn watch_pace(&mut self) {
        let second = self.sim.now.ms() / 1_000;
        self.pace = if self.pace.0 == second { (second, self.pace.1 + 1) } else { (second, 1) };
        if self.pace.1 > EVENTS_PER_SECOND_MAX {
            let counts = self.sim.counts.clone();
            self.sim.fail("pace", || format!("{EVENTS_PER_SECOND_MAX} events in a second: {counts:?}"));
        }
    }

    fn dispatch(&mut self, event: Event) {
        let node = match &event {
            Event::Deliver { to: node, .. }
            | Event::Node { node, .. }
            | Event::SessionLost { node, .. }
            | Event::Submit { node, .. } => Some(*node),
            _ => None,
        };
        if let Some(node) = node {
            self.sim.trace.add(node as u64);
            // A node that stands still takes everything up when it goes on.
            if let Some(until) = self.nodes[node].frozen {
                if until < Moment(u64::MAX) {
                    self.sim.queue.push(until, event);
                }
                return;
            }
        }
        self.handle(event);
        if let Some(node) = node {
            self.settle(node);
        }
    }

    fn handle(&mut self, event: Event) {
        let Self { sim, nodes, .. } = self;
        match event {
            Event::Deliver { from, to, session, envelope } => {
                if sim.network.end(to, from) == Some(session) {
                    sim.trace.add(envelope.digest());
                    nodes[to].on_message(sim, from, &envelope);
                }
            }
            Event::Late { from, to, envelope } => sim.transmit(from, to, &envelope),
            Event::Node { node, life, what } => {
                if nodes[node].life == life && nodes[node].run.is_some() {
                    nodes[node].on_event(sim, what);
                }
            }
            Event::Connect { one, two } => self.connect(one, two),
            Event::SessionLost { node, peer, session } => {
                if sim.network.end(node, peer) == Some(session) {
                    self.disconnect(node, peer);
                    self.sim.redial(node, peer);
                }
            }
            Event::Noticed { index } => self.notice(index),
            Event::Start { node } => self.start(node),
            Event::Inspect { node } => self.inspect(node),
            Event::Fault { index, begins } => self.turn_fault(index, begins),
            Event::Submit { name, node } => self.submit(name, node),
            Event::Load => self.load(),
            Event::Patience => self.patience(),
            Event::Read => self.read(),
            Event::Watch => self.watch(),
        }
    }

    /// Ends the program of a node that has stopped or whose machine goes down.
    fn settle(&mut self, id: NodeId) {
        let (sim, node) = (&mut self.sim, &mut self.nodes[id]);
        let (keeps_writes, down_ms) = if node.disk.is_gone() {
            sim.tell(|| format!("n{id} loses power at a disk operation"));
            (false, Some(node.power.map_or(1_000, |power| power.down_ms)))
        } else if let Some(down_ms) = node.crashing {
            (sim.random.permille(400), Some(down_ms))
        } else if let Some(reason) = node.stopped.clone() {
            sim.tell(|| format!("n{id} stops: {reason}"));
            if !self.sim.is_honest(id) {
                self.bring_down(id, true);
                return node::start_later(&mut self.sim, id, BYZANTINE_DOWN_MS);
            }
            if self.nodes[id].is_damaged {
                self.sim.count("stops for a damaged disk");
                return self.repair(id);
            }
            if let Some(kind) = self.nodes[id].diverged.take() {
                self.diverged(id, kind);
            } else if !self.has_bad_disk(id) {
                return self.sim.fail("stop", || format!("n{id} stops without reason: {reason}"));
            } else {
                self.sim.count("stops for a bad disk");
            }
            (true, None)
        } else {
            return;
        };
        self.bring_down(id, keeps_writes);
        if let Some(down_ms) = down_ms {
            node::start_later(&mut self.sim, id, down_ms);
        }
    }

    /// Ends a node's program at once. Its peers notice when its machine says so, or by its silence.
    fn bring_down(&mut self, id: NodeId, is_killed: bool) {
        let (sim, node) = (&mut self.sim, &mut self.nodes[id]);
        if node.run.is_none() && node.stopped.is_none() {
            return;
        }
        sim.tell(|| format!("n{id} is down"));
        node.crash(sim, is_killed);
        // What starts again does not stand still.
        node.frozen = node.frozen.filter(|until| *until == Moment(u64::MAX));
        for peer in 0..self.nodes.len() {
            let sim = &mut self.sim;
            sim.network.close(id, peer);
            let after_us = if is_killed { sim.random.between((500, 5_000)) } else { faults::SILENCE_US };
            sim.lose_session(peer, id, after_us);
        }
    }

    fn start(&mut self, id: NodeId) {
        let (sim, node) = (&mut self.sim, &mut self.nodes[id]);
        if node.run.is_some() || self.gone.contains(&id) || self.halted.contains(&id) {
            return;
        }
        sim.count("starts");
        node.start(sim);
        self.settle(id);
    }

    fn connect(&mut self, one: NodeId, two: NodeId) {
        let Self { sim, nodes, .. } = &mut *self;
        if !sim.network.tries(sim.now, one, two) {
            return;
        }
        let (end, other) = (sim.network.end(one, two), sim.network.end(two, one));
        let is_open = end.is_some() && end == other;
        let is_possible = sim.network.is_sound(one, two) && nodes[one].is_up() && nodes[two].is_up();
        if is_open || !is_possible || !self.are_acquainted(one, two) {
            return;
        }
        // One of the two may not have noticed yet that the old session is broken.
        for (node, peer) in [(one, two), (two, one)] {
            if self.sim.network.end(node, peer).is_some() {
                self.disconnect(node, peer);
                self.settle(node);
            }
        }
        self.sim.network.open(one, two);
        for (node, peer) in [(one, two), (two, one)] {
            self.tell_session(node, peer, true);
            self.settle(node);
        }
    }

    /// Whether two machines have sessions at all: those of one key do not, and twins may know a part of the others only.
    fn are_acquainted(&self, one: NodeId, two: NodeId) -> bool {
        let scenario = &self.sim.scenario;
        let seats = &self.sim.chain.seats;
        let knows = |machine: NodeId, other: NodeId| {
            let twin = scenario.byzantine.iter().find(|member| member.member == seats[machine])?.twin.as_ref()?;
            let peers = &twin.peers[usize::from(machine >= scenario.nodes())];
            Some(peers.is_empty() || peers.contains(&seats[other]))
        };
        seats[one] != seats[two] && knows(one, two).unwrap_or(true) && knows(two, one).unwrap_or(true)
    }

    /// Tells a machine of a session. Who is connected to both machines of a twin notices only the first and the last.
    fn tell_session(&mut self, node: NodeId, peer: NodeId, connected: bool) {
        let (seats, key) = (&self.sim.chain.seats, self.sim.chain.publics[peer]);
        let others = self.sim.network.sessions_to(node, seats, seats[peer]) - usize::from(connected);
        if others == 0 {
            self.nodes[node].input(&mut self.sim, Input::Peer { key, connected });
        }
    }

    fn disconnect(&mut self, node: NodeId, peer: NodeId) {
        self.sim.network.close(node, peer);
        self.tell_session(node, peer, false);
    }

    fn load(&mut self) {
        let sim = &mut self.sim;
        let load = sim.scenario.load;
        if sim.now.ms() >= sim.scenario.load_end_ms {
            return;
        }
        let sent = sim.clients.burst(sim.now, &load, self.nodes.len());
        self.send_out(sent);
        self.sim.queue.push(self.sim.now.after_ms(load.interval_ms), Event::Load);
    }

    fn send_out(&mut self, sent: Vec<(Name, NodeId)>) {
        for (name, node) in sent {
            let after = self.sim.clients.random().between(CLIENT_US);
            self.sim.queue.push(self.sim.now.after_us(after), Event::Submit { name, node });
        }
    }

    fn submit(&mut self, name: Name, node: NodeId) {
        if let Some(run) = &self.nodes[node].run {
            let known = run.pool.lock().contains(&wallet::transaction(name).hash());
            let life = self.nodes[node].life;
            if known && self.sim.is_honest(node) {
                let refusal = lian_txpool::Refusal::AlreadyKnown(wallet::transaction(name).hash());
                return self.sim.clients.answered(node, life, name, &Err(refusal));
            }
            self.nodes[node].on_submit(&mut self.sim, name);
        } else if let Some(other) = {
            let up = self.reachable();
            self.sim.clients.random().pick(&up)
        } {
            self.sim.queue.push(self.sim.now.after_ms(REFUSED_MS), Event::Submit { name, node: other });
        }
    }

    /// The nodes that clients talk to: in the end they have found out whom not to ask.
    fn reachable(&self) -> Vec<NodeId> {
        let healed = self.sim.now.ms() >= self.sim.scenario.heal_ms;
        let may_ask = |id: NodeId| !self.gone.contains(&id) && (self.sim.is_honest(id) || !healed);
        let up = |node: &&Node| node.is_up() && may_ask(node.id);
        self.nodes.iter().filter(up).map(|node| node.id).collect()
    }

    fn patience(&mut self) {
        let now = self.sim.now;
        let patience = (self.sim.scenario.patience_ms, now.ms() < self.sim.scenario.heal_ms);
        let up = self.reachable();
        let lives: BTreeMap<NodeId, u64> = up.iter().map(|node| (*node, self.nodes[*node].life)).collect();
        let is_alive = |node: NodeId, life: u64| lives.get(&node) == Some(&life);
        let sent = self.sim.clients.again(now, &up, patience, is_alive);
        self.send_out(sent);
        self.operate(&up);
        self.sim.queue.push(now.after_ms(PATIENCE_STEP_MS), Event::Patience);
    }

    /// The operator sends what it wants next, if it waits for nothing.
    fn operate(&mut self, up: &[NodeId]) {
        let sim = &mut self.sim;
        let sent = sim.operator.sends(sim.now, up, sim.clients.random());
        self.send_out(sent.into_iter().collect());
    }

    fn read(&mut self) {
        let node = self.sim.clients.random().index(self.nodes.len());
        let account = self.sim.clients.random().index(ACCOUNTS);
        if self.nodes[node].is_up() && self.sim.is_honest(node) {
            let answer = self.nodes[node].read(account);
            let outcome = match answer {
                Some(Ok((height, reading))) => self.sim.oracle.reads.answered(node, height, account, reading),
                Some(Err(what)) => Err(what),
                None => Ok(()),
            };
            if let Err(what) = outcome {
                self.sim.fail("reads", || format!("n{node} {what}"));
            }
        }
        self.sim.queue.push(self.sim.now.after_ms(READ_STEP_MS), Event::Read);
    }
}
