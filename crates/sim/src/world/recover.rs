//! Programs that compute wrong results, and operators who recover from that: with files, on stopped nodes, and over
//! power losses at any of their disk operations.

use super::World;
use crate::{chain::SUITE, event::NodeId, node::folder, scenario::Fault};
use lian_group::{
    recovery::{Evidence, EvidenceFiles, Kind, Operator, RecoverError, plan_from_json, plan_to_json},
    recovery::{report_from_json, report_to_json},
    start_of,
};
use lian_ledger::{Crash, Ledger, LedgerConfig, Storage, ViewKind};
use lian_pbft::Plan;
use lian_types::{BlockNumber, Epoch, HistoryDepth, limits};
use std::sync::Arc;

/// Disk operations of one step that may each lose power; a step has some dozen.
const OPERATIONS_MAX: u64 = 500;
/// What is counted where a plan keeps a result.
const KEEPS: &str = "plans that keep a result";

impl World {
    /// A node gets a program that computes wrong results, or a right one again.
    pub(super) fn change_program(&mut self, node: NodeId, wrong: Option<u64>) {
        self.bring_down(node, true);
        self.nodes[node].wrong = wrong;
        self.blamed.insert(node);
        self.start(node);
    }

    /// A node has stopped for a divergence. Only one with a wrong program may, unless there are so many of those that no
    /// result can win, or that a plan had to keep what a right program does not give.
    pub(super) fn diverged(&mut self, id: NodeId, kind: Kind) {
        let is_excused = match kind {
            Kind::NoQuorum => self.blamed.len() > self.sim.scenario.faulty_max(),
            Kind::Result => self.blamed.contains(&id),
            Kind::Execution => self.blamed.contains(&id) || self.sim.counts.contains_key(KEEPS),
            Kind::Order => false,
        };
        if !is_excused {
            return self.sim.fail("halt", || format!("n{id} stops for {kind:?} although nothing is wrong with it"));
        }
        self.sim.count(match kind {
            Kind::Result => "stops for a certified result",
            Kind::Execution => "stops for two results",
            Kind::NoQuorum => "stops without a quorum",
            Kind::Order => "stops for two orders",
        });
        self.halted.insert(id);
    }

    /// The operators do what is to be done, and start the nodes that have stopped: where the height of a divergence is
    /// final on no node, all try it again; else the stopped nodes follow the others.
    pub(super) fn recover(&mut self, loses_power: bool) {
        let mut open = false;
        for id in self.halted.clone() {
            match self.evidence(id) {
                Ok(evidence) => open |= evidence.height.0 > self.sim.oracle.blocks.height(),
                Err(what) => return self.sim.fail("recovery", || format!("n{id}: {what}")),
            }
        }
        let outcome = if open {
            self.retry(loses_power)
        } else {
            let stopped: Vec<_> = self.halted.iter().copied().filter(|id| !self.is_away(*id)).collect();
            stopped.into_iter().try_for_each(|id| self.at(id, loses_power, |operator| operator.clear(true)).map(drop))
        };
        if let Err(what) = outcome {
            return self.sim.fail("recovery", || what);
        }
        self.sim.count("recoveries");
        for id in 0..self.nodes.len() {
            if !self.is_away(id) {
                self.halted.remove(&id);
                self.start(id);
            }
        }
    }

    /// Whether a node's machine is down now, so that no operator can do anything to it.
    fn is_away(&self, id: NodeId) -> bool {
        let fault = |index: &usize| self.sim.scenario.faults.get(*index).map(|timed| &timed.fault);
        let crashes = |index: &usize| matches!(fault(index), Some(Fault::Crash { .. }));
        self.gone.contains(&id) || self.active.iter().any(|(index, about)| *about == Some(id) && crashes(index))
    }

    /// The evidence that a node has left.
    fn evidence(&self, id: NodeId) -> Result<Evidence, String> {
        let storage: Arc<dyn Storage> = Arc::new(self.nodes[id].disk.clone());
        let files = EvidenceFiles::new(storage, &folder(&self.sim.chain));
        files.read().map_err(|error| error.to_string())?.ok_or_else(|| "has left no evidence".to_owned())
    }

    /// All nodes are stopped, the members report, a plan is made and applied everywhere.
    fn retry(&mut self, loses_power: bool) -> Result<(), String> {
        let there: Vec<_> = (0..self.nodes.len()).filter(|id| !self.is_away(*id)).collect();
        there.iter().for_each(|id| self.bring_down(*id, true));
        // The lowest height that is final nowhere: those that noticed a divergence higher up had not heard all votes.
        let heads = there.iter().map(|id| self.open(*id).map(|(ledger, _)| ledger.head().number));
        let height = heads.collect::<Result<Vec<_>, _>>()?.into_iter().max().map(BlockNumber::next);
        let members = self.sim.chain.members;
        let mut attempt = 0;
        for id in there.iter().copied().filter(|id| *id < members) {
            let next = self.at(id, false, |operator| Ok(operator.standing(Epoch::ZERO).next_attempt()))?;
            attempt = next.max(attempt);
        }
        let mut reports = Vec::new();
        for id in there.iter().copied().filter(|id| *id < members) {
            match self.at(id, loses_power, |operator| operator.report(height, Some(attempt))) {
                Ok(signed) => reports.push(signed),
                Err(what) => self.sim.tell(|| format!("n{id} does not report: {what}")),
            }
        }
        let chain = Arc::clone(&self.sim.chain);
        // They go by mail, as files.
        let files: Vec<_> = reports.iter().map(report_to_json).collect();
        let reports = files.iter().map(|file| report_from_json(file)).collect::<Result<_, _>>();
        let reports = reports.map_err(|error| error.to_string())?;
        let asked = there.first().ok_or("nobody is there")?;
        let (ledger, _) = self.open(*asked)?;
        let (_, committees) = chain.governance(&ledger)?;
        // Whoever applies the plan opens it anew.
        drop(ledger);
        let plan = Plan::of(&chain.rules, &committees, reports).map_err(|error| error.to_string())?;
        let plan = plan_from_json(&plan_to_json(&plan)).map_err(|error| error.to_string())?;
        self.sim.tell(|| format!("the plan: {:?} from {} reports", plan.retry, plan.reports.len()));
        self.sim.count(if plan.retry.kept.is_empty() { "plans that keep nothing" } else { KEEPS });
        let reporters: Vec<_> = plan.reports.iter().map(|signed| usize::from(signed.signer.0)).collect();
        for id in there {
            match self.at(id, loses_power, |operator| operator.apply(&plan)) {
                Ok(_) => {}
                Err(what) if reporters.contains(&id) => return Err(format!("n{id}: {what}")),
                // One that had nothing to report may have gone beyond the plan's first view: it starts without.
                Err(what) => self.sim.tell(|| format!("n{id} starts without the plan: {what}")),
            }
        }
        Ok(())
    }

    /// Does something to a stopped node: once, or again and again with the power lost one disk operation later each time.
    fn at<T>(
        &mut self,
        id: NodeId,
        loses_power: bool,
        act: impl Fn(&Operator<'_>) -> Result<T, RecoverError>,
    ) -> Result<T, String> {
        for operations in 0..OPERATIONS_MAX {
            if loses_power {
                self.nodes[id].disk.fail_after(operations);
            }
            let outcome = self.open(id).and_then(|(ledger, chain)| {
                let storage: Arc<dyn Storage> = Arc::new(self.nodes[id].disk.clone());
                let (head, key) = (start_of(&ledger).head, &chain.keys[id]);
                let (_, committees) = chain.governance(&ledger)?;
                let operator = Operator::open(storage, &folder(&chain), chain.rules, &committees, key, head);
                operator.and_then(|operator| act(&operator)).map_err(|error| error.to_string())
            });
            if !self.nodes[id].disk.is_gone() {
                self.nodes[id].disk.keep_power();
                return outcome;
            }
            self.sim.count("power losses of an operator");
            let random = &mut self.sim.random;
            self.nodes[id].disk.crash(|_, unsynced| Crash { kept: random.between((0, unsynced)), zeroed: 0 });
        }
        Err(format!("n{id} needs more than {OPERATIONS_MAX} disk operations"))
    }

    fn open(&self, id: NodeId) -> Result<(Arc<Ledger>, Arc<crate::chain::Chain>), String> {
        let chain = Arc::clone(&self.sim.chain);
        let config = LedgerConfig {
            history: HistoryDepth::Blocks(limits::HISTORY_BLOCKS_DEFAULT),
            view: ViewKind::Memory(Arc::clone(&self.nodes[id].view)),
            ..LedgerConfig::new(folder(&chain))
        };
        let storage: Arc<dyn Storage> = Arc::new(self.nodes[id].disk.clone());
        let opened = Ledger::open(config, storage, SUITE, &chain.genesis, &chain.group);
        let (ledger, _) = opened.map_err(|error| error.to_string())?;
        Ok((ledger, chain))
    }
}
