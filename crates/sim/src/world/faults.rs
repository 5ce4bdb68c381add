//! What goes wrong, and how it ends.

use super::World;
use crate::{
    event::{Event, NodeId},
    node::PowerLosses,
    scenario::{Down, Fault, Target},
    sim::Trap,
    time::Moment,
    wallet,
};
use lian_ledger::View;
use lian_types::limits::PEER_SILENCE_MS_MAX;
use std::sync::Arc;

/// After what silence a session is given up, in microseconds.
pub(super) const SILENCE_US: u64 = PEER_SILENCE_MS_MAX * 1_000;

impl World {
    /// A fault begins or ends.
    pub(super) fn turn_fault(&mut self, index: usize, begins: bool) {
        let scenario = Arc::clone(&self.sim.scenario);
        let Some(timed) = scenario.faults.get(index) else { return };
        let node = if begins {
            let node = timed.fault.target().map(|target| self.resolve(target));
            self.active.insert(index, node);
            node
        } else {
            self.active.remove(&index).flatten()
        };
        let verb = if begins { "begins" } else { "ends" };
        self.sim.tell(|| format!("FAULT {verb}: {:?} {node:?}", timed.fault));
        self.turn_network(index, &timed.fault, node, begins);
        if let Some(node) = node {
            let until = timed.until_ms.map(Moment::at_ms);
            if begins {
                self.begin_at(index, &timed.fault, node, until)
            } else {
                self.end_at(index, &timed.fault, node)
            }
        } else if let Fault::Recover { loses_power } = timed.fault {
            if begins {
                self.recover(loses_power);
            }
        } else if let Fault::Members { sealers } = &timed.fault {
            if begins {
                self.sim.operator.want(wallet::bits_of(sealers));
            }
        } else if timed.fault == Fault::Parameters {
            if begins {
                self.sim.operator.want(0);
            }
        } else if let Fault::CrashAll { down } = timed.fault {
            for node in 0..self.nodes.len() {
                if begins { self.bring_down(node, down == Down::Kill) } else { self.start(node) }
            }
        }
    }

    /// The node that a target names now.
    fn resolve(&self, target: Target) -> NodeId {
        match target {
            Target::Node(node) => node.min(self.nodes.len().saturating_sub(1)),
            Target::Leader => {
                let views = self.nodes.iter().filter_map(|node| node.run.as_ref()).map(|run| run.status());
                let newest =
                    views.filter(|status| status.leader.is_some()).max_by_key(|status| (status.height, status.view));
                newest.and_then(|status| self.sim.chain.node_of(&status.leader?)).unwrap_or(0)
            }
        }
    }

    /// The ways that a fault cuts.
    fn ways(&self, fault: &Fault, node: Option<NodeId>) -> (Vec<(NodeId, NodeId)>, bool) {
        let all = 0..self.nodes.len();
        let others = |one: NodeId| all.clone().filter(move |other| *other != one);
        match (fault, node) {
            (Fault::Mute { noticed, .. }, Some(node)) => (others(node).map(|peer| (node, peer)).collect(), *noticed),
            (Fault::Deaf { noticed, .. }, Some(node)) => (others(node).map(|peer| (peer, node)).collect(), *noticed),
            (Fault::Cut { from, to, noticed }, _) if from != to => (vec![(*from, *to)], *noticed),
            (Fault::Partition { side, noticed }, _) => {
                let pairs = side.iter().flat_map(|one| others(*one).map(move |two| (*one, two)));
                let across = pairs.filter(|(_, two)| !side.contains(two));
                (across.flat_map(|(one, two)| [(one, two), (two, one)]).collect(), *noticed)
            }
            (Fault::Freeze { .. }, Some(node)) => (others(node).map(|peer| (node, peer)).collect(), true),
            _ => (Vec::new(), false),
        }
    }

    fn turn_network(&mut self, index: usize, fault: &Fault, node: Option<NodeId>, begins: bool) {
        let (ways, noticed) = self.ways(fault, node);
        if !matches!(fault, Fault::Freeze { .. }) {
            for (from, to) in &ways {
                self.sim.network.cut(*from, *to, noticed, begins);
            }
        }
        if noticed && begins {
            self.sim.queue.push(self.sim.now.after_us(SILENCE_US), Event::Noticed { index });
        }
        if !begins {
            self.sim.resume_streams();
            for (one, two) in ways {
                self.sim.connect_later(one, two, 100, 2_000);
            }
        }
        let scenario = Arc::clone(&self.sim.scenario);
        let active = || self.active.keys().filter_map(|index| scenario.faults.get(*index)).map(|timed| &timed.fault);
        let network = &mut self.sim.network;
        network.loss_permille = 0;
        network.duplication_permille = 0;
        network.delay = None;
        for fault in active() {
            match fault {
                Fault::Loss { permille } => network.loss_permille = network.loss_permille.max(*permille),
                Fault::Duplication { permille } => {
                    network.duplication_permille = network.duplication_permille.max(*permille);
                }
                Fault::Delay { permille, extra_ms } => network.delay = Some((*permille, *extra_ms)),
                _ => {}
            }
        }
    }

    /// Silence has lasted long enough: where it lasts still, sessions are given up.
    pub(super) fn notice(&mut self, index: usize) {
        let scenario = Arc::clone(&self.sim.scenario);
        let (Some(timed), Some(node)) = (scenario.faults.get(index), self.active.get(&index).copied()) else { return };
        let (ways, _) = self.ways(&timed.fault, node);
        for (from, to) in ways {
            self.sim.lose_session(to, from, 0);
            self.sim.lose_session(from, to, 1_000);
        }
    }

    fn begin_at(&mut self, index: usize, fault: &Fault, node: NodeId, until: Option<Moment>) {
        let is_forever = until.is_none();
        match fault {
            Fault::Crash { down, .. } => {
                self.bring_down(node, *down == Down::Kill);
                if is_forever {
                    self.gone.insert(node);
                }
            }
            Fault::Mute { noticed, .. } | Fault::Deaf { noticed, .. } if is_forever && *noticed => {
                self.gone.insert(node);
            }
            Fault::CrashAt { point, times, down_ms, .. } => {
                let (point, times, down_ms) = (*point, *times, *down_ms);
                self.sim.traps.push(Trap { fault: index, node, point, times, down_ms });
            }
            Fault::PowerLoss { operations, times, down_ms, .. } => {
                let (operations, times, down_ms) = (*operations, *times, *down_ms);
                self.nodes[node].power = Some(PowerLosses { times, operations, down_ms });
                self.nodes[node].arm(&mut self.sim);
            }
            Fault::Freeze { .. } => {
                let until = until.unwrap_or(Moment(u64::MAX));
                let frozen = &mut self.nodes[node].frozen;
                *frozen = Some(frozen.map_or(until, |earlier| earlier.max(until)));
                if is_forever {
                    self.gone.insert(node);
                }
            }
            Fault::SlowDisk { extra_ms, .. } => {
                self.sim.slow_disks.insert(node, *extra_ms);
            }
            Fault::DiskFull { free, .. } => self.nodes[node].disk.inject(lian_ledger::Fault::DiskFull { free: *free }),
            Fault::SyncFails { after, .. } => {
                self.nodes[node].disk.inject(lian_ledger::Fault::SyncFails { after: *after });
            }
            Fault::LoseView { .. } => {
                self.bring_down(node, false);
                if let Err(error) = self.nodes[node].view.clear() {
                    self.sim.fail("simulator", || error.to_string());
                }
            }
            Fault::LoseVotes { gone, .. } => {
                self.bring_down(node, false);
                self.lose_votes(node, *gone);
            }
            Fault::Damage { misdirected, .. } => {
                self.bring_down(node, false);
                self.damage(node, *misdirected);
            }
            Fault::WrongResults { variant, .. } => self.change_program(node, Some(*variant)),
            Fault::ClockJump { ms, .. } => {
                let skew = &mut self.nodes[node].skew_ms;
                *skew = skew.saturating_add(*ms);
            }
            Fault::Rewind { .. } => {
                // At the beginning the disk is empty.
                let disk = self.nodes[node].disk.copy();
                self.nodes[node].kept.insert(index, disk);
            }
            _ => {}
        }
    }

    fn end_at(&mut self, index: usize, fault: &Fault, node: NodeId) {
        match fault {
            Fault::WrongResults { .. } => self.change_program(node, None),
            Fault::Crash { .. } | Fault::LoseView { .. } | Fault::LoseVotes { .. } => self.start(node),
            Fault::Damage { .. } => self.start_damaged(node),
            Fault::CrashAt { .. } => self.sim.traps.retain(|trap| trap.fault != index),
            Fault::PowerLoss { .. } => {
                // An operation that it would have gone at must not come later.
                self.nodes[node].power = None;
                self.nodes[node].disk.keep_power();
            }
            Fault::Freeze { .. } => {
                let is_over = self.nodes[node].frozen.is_some_and(|until| until <= self.sim.now);
                if is_over {
                    self.nodes[node].frozen = None;
                    for peer in 0..self.nodes.len() {
                        self.sim.connect_later(node, peer, 10, 1_000);
                    }
                }
            }
            Fault::SlowDisk { .. } => {
                self.sim.slow_disks.remove(&node);
            }
            Fault::DiskFull { .. } | Fault::SyncFails { .. } if !self.has_bad_disk(node) => {
                self.nodes[node].disk.heal();
                self.start(node);
            }
            Fault::Rewind { .. } => self.rewind(index, node),
            _ => {}
        }
    }

    /// A machine forgets what it did since a fault began. Its vote log seems whole.
    fn rewind(&mut self, index: usize, node: NodeId) {
        let Some(disk) = self.nodes[node].kept.remove(&index) else { return };
        self.bring_down(node, false);
        self.nodes[node].disk = disk;
        if let Err(error) = self.nodes[node].view.clear() {
            self.sim.fail("simulator", || error.to_string());
        }
        self.sim.count("machines rewound");
        self.start(node);
    }

    /// Whether a node's disk may refuse what it must hold.
    pub(super) fn has_bad_disk(&self, node: NodeId) -> bool {
        self.active.iter().any(|(index, about)| {
            let fault = self.sim.scenario.faults.get(*index).map(|timed| &timed.fault);
            *about == Some(node) && matches!(fault, Some(Fault::DiskFull { .. } | Fault::SyncFails { .. }))
        })
    }
}
