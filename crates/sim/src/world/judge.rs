//! Whether the whole makes progress, and what must hold at the end.

use super::{WATCH_STEP_MS, World};
use crate::{
    event::{Event, NodeId},
    node::Reading,
    time::Moment,
    wallet::{self, ACCOUNTS},
};
use lian_types::{BlockNumber, ConsensusKind};

/// How long there may be no new block although clients wait and at most f members are faulty, in milliseconds, beside
/// the time that view changes take.
const STANDSTILL_MS_MAX: u64 = 12_000;
/// How many of the longest view timeouts it may last.
const STANDSTILL_VIEWS: u64 = 4;
/// How many views may be left for each leader that may be faulty, and one that is not, before there is a new block: what
/// faults left behind may cost some, too.
const VIEWS_PER_LEADER_MAX: u64 = 6;
/// How long after the last transaction all of them must be final and all nodes equal, in milliseconds, beside the same.
const SETTLE_MS_MAX: u64 = 30_000;

impl World {
    /// Looks at the whole now and then.
    pub(super) fn watch(&mut self) {
        let now = self.sim.now;
        let height = self.sim.oracle.blocks.height();
        let waits = self.sim.clients.waiting() > 0;
        let healed = Moment::at_ms(self.sim.scenario.heal_ms);
        self.note_views();
        if height > self.progress.0 || !waits || now < healed {
            self.progress = (height, now);
            self.progress_view = self.greatest_view;
        }
        let ((epoch, view), (begun_in, begun_at)) = (self.greatest_view, self.progress_view);
        let views = if epoch == begun_in { view.0.saturating_sub(begun_at.0) } else { view.0 };
        let epochs = &self.sim.oracle.epochs;
        let faulty_max = epochs.faulty_max(epochs.at(BlockNumber(height + 1)));
        // Terms of Raft are drawn until one candidate is ahead of the others; only time counts there.
        let counts_views = self.sim.scenario.consensus == ConsensusKind::Pbft;
        if counts_views && views > VIEWS_PER_LEADER_MAX * (faulty_max as u64 + 1) {
            let state = self.state_text();
            self.sim.fail("views", || format!("{views} views were left without a block: {state}"));
        }
        let views_ms = STANDSTILL_VIEWS * self.sim.scenario.view_timeout_ms.1;
        if now > self.progress.1.after_ms(STANDSTILL_MS_MAX + views_ms) {
            let state = self.state_text();
            let waits = self.sim.clients.waiting_text();
            self.sim.fail("progress", || format!("no block since {}: {state}; {waits}", self.progress.1));
        }
        let (load_end_ms, end_ms) = (self.sim.scenario.load_end_ms, self.sim.scenario.end_ms);
        if now.ms() >= end_ms && now.ms() >= load_end_ms {
            match self.unsettled() {
                None => {
                    self.judge();
                    self.finished = true;
                }
                Some(what) if now.ms() > load_end_ms.max(self.sim.scenario.heal_ms) + SETTLE_MS_MAX + views_ms => {
                    let state = self.state_text();
                    self.sim.fail("liveness", || format!("{what}: {state}"));
                }
                Some(_) => {}
            }
        }
        self.sim.queue.push(now.after_ms(WATCH_STEP_MS), Event::Watch);
    }

    /// The greatest view that a node which must be there has promised.
    fn note_views(&mut self) {
        let runs = self.live().filter_map(|node| self.nodes[node].run.as_ref());
        let promised = runs.map(|run| run.status()).map(|status| (status.epoch, status.promised)).max();
        // Whoever promised it may be down now.
        self.greatest_view = self.greatest_view.max(promised.unwrap_or_default());
    }

    /// The nodes that must be there at the end.
    fn live(&self) -> impl Iterator<Item = NodeId> {
        (0..self.nodes.len()).filter(|node| !self.gone.contains(node) && self.sim.is_honest(*node))
    }

    /// What still has to happen, if something has.
    fn unsettled(&self) -> Option<String> {
        let height = self.sim.oracle.blocks.height();
        for node in self.live() {
            let found = self.nodes[node].height();
            if found != Some(BlockNumber(height)) {
                return Some(format!("n{node} is at {found:?}, the chain at {height}"));
            }
        }
        if self.sim.operator.waiting() > 0 {
            return Some(format!("the operator wants {} changes more", self.sim.operator.waiting()));
        }
        let waiting = self.sim.clients.waiting();
        (waiting > 0).then(|| format!("{waiting} transactions wait: {}", self.sim.clients.waiting_text()))
    }

    /// What must hold at the end on every node that is there.
    fn judge(&mut self) {
        let mut outcome = Ok(());
        for node in self.live() {
            outcome = self.judge_node(node).map_err(|what| (node, what));
            if outcome.is_err() {
                break;
            }
        }
        if let Err((node, what)) = outcome {
            self.sim.fail("the end", || format!("n{node}: {what}"));
        }
    }

    fn judge_node(&self, node: NodeId) -> Result<(), String> {
        let Some(run) = &self.nodes[node].run else { return Err("does not run".to_owned()) };
        let head = run.ledger.head();
        let model = self.sim.oracle.reads.newest();
        if self.sim.oracle.blocks.hash(head.number.0) != Some(head.hash) {
            return Err(format!("has block {} {}", head.number, head.hash));
        }
        for account in 0..ACCOUNTS {
            let found = Reading::of(head.parent.state.as_ref(), account)?;
            if found != model.reading(account) {
                return Err(format!("account {account} has {found:?}, must have {:?}", model.reading(account)));
            }
        }
        for (name, height) in self.sim.clients.done() {
            let hash = wallet::transaction(name).hash();
            let place = run.ledger.transaction(hash).map_err(|error| error.to_string())?;
            if place.as_ref().map(|place| place.block) != Some(height) {
                return Err(format!("{name:?} is in block {height}, the ledger says {place:?}"));
            }
        }
        for height in 1..=head.number.0 {
            let found = run.ledger.block_hash(BlockNumber(height)).map_err(|error| error.to_string())?;
            if found != self.sim.oracle.blocks.hash(height) {
                return Err(format!("has {found:?} at height {height}"));
            }
        }
        let counts = run.pool_counts();
        if counts.pending > 0 {
            return Err(format!("its pool still holds {counts:?}"));
        }
        Ok(())
    }

    /// Where every node stands.
    fn state_text(&self) -> String {
        let text = |node: &crate::node::Node| {
            let id = node.id;
            let gone = if self.gone.contains(&id) { " (gone)" } else { "" };
            match &node.run {
                None => format!("n{id}{gone} is down"),
                Some(run) => {
                    let status = run.status();
                    let peers = (0..self.nodes.len()).filter(|peer| self.sim.network.end(id, *peer).is_some()).count();
                    format!(
                        "n{id}{gone}: height {}, view {} (promised {}), accepted {}, abstains until {:?}, {peers} sessions, {:?}, frozen {:?}",
                        status.height,
                        status.view,
                        status.promised,
                        status.accepted,
                        status.abstains_until,
                        run.pool_counts(),
                        node.frozen
                    )
                }
            }
        };
        self.nodes.iter().map(text).collect::<Vec<_>>().join("; ")
    }
}
