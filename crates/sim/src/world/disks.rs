//! Disks that keep what they should not or lose what they should keep, and the operator who repairs that.

use super::World;
use crate::{
    chain::SUITE,
    event::{Event, NodeId},
    node::{self, folder},
};
use lian_ledger::{LedgerConfig, Storage, View, ViewKind, verify};
use lian_types::HistoryDepth;
use std::sync::Arc;

/// Where a byte of a vote log is made wrong: records follow it.
const ROT_OFFSET: u64 = 200;
/// Vote logs at least so long have records that follow it.
const ROT_LENGTH_MIN: u64 = 4_000;
/// Files at least so long are damaged.
const DAMAGED_LENGTH_MIN: u64 = 64;
/// How many bytes a misdirected write is long, at most.
const MISDIRECTED_MAX: u64 = 300;
/// How long a damaged node runs, if it does, before its operator looks, least and most, in milliseconds.
const INSPECTION_MS: (u64, u64) = (500, 6_000);
/// How long an operator needs to empty a disk, in milliseconds.
const REPAIR_MS: u64 = 1_000;

impl World {
    /// A node's vote log is lost, or damaged in its middle.
    pub(super) fn lose_votes(&mut self, node: NodeId, gone: bool) {
        let votes = folder(&self.sim.chain).join("votes");
        let disk = self.nodes[node].disk.clone();
        let files: Vec<_> = disk.files().into_iter().filter(|(path, _)| path.starts_with(&votes)).collect();
        let long = files.iter().find(|(_, length)| *length >= ROT_LENGTH_MIN);
        match long.filter(|_| !gone) {
            Some((path, _)) => {
                if !disk.rot(path, ROT_OFFSET, 0x10) {
                    self.sim.fail("simulator", || "there is no byte to make wrong".to_owned());
                }
            }
            None => {
                for (path, _) in files {
                    if let Err(error) = disk.lose(&path) {
                        self.sim.fail("simulator", || error.to_string());
                    }
                }
            }
        }
    }

    /// Bits of what was durable on a node's disk are wrong; of votes, where a write was misdirected, the end is missing as
    /// well.
    pub(super) fn damage(&mut self, node: NodeId, misdirected: bool) {
        self.nodes[node].is_damaged = true;
        let folder = folder(&self.sim.chain);
        let disk = self.nodes[node].disk.clone();
        let long =
            |(path, length): &(std::path::PathBuf, u64)| path.starts_with(&folder) && *length >= DAMAGED_LENGTH_MIN;
        let files: Vec<_> = disk.files().into_iter().filter(long).collect();
        let random = &mut self.sim.random;
        let Some((path, length)) = files.get(random.index(files.len())) else { return };
        let (offset, bytes) = if misdirected {
            (random.below(*length), 1 + random.below(MISDIRECTED_MAX))
        } else {
            (random.below(*length), 1)
        };
        for position in offset..(offset + bytes).min(*length) {
            let mask = u8::try_from(1 + random.below(255)).unwrap_or(1);
            let _is_there = disk.rot(path, position, mask);
        }
        // Votes are read whole at each start, so a vote that stands in a wrong place is missed. Nobody could notice that the
        // last block is not there any more; that loss is a torn tail, which other faults try.
        if misdirected && path.starts_with(folder.join("votes")) && offset + bytes < *length {
            let lost = random.below((length - offset - bytes).min(MISDIRECTED_MAX));
            let _is_there = disk.cut(path, length - lost);
        }
        self.sim.tell(|| format!("n{node}: {bytes} bytes of {} are wrong from {offset} on", path.display()));
        self.sim.count("disks damaged");
    }

    /// A node starts with a damaged disk. It must say so, or run until its operator looks.
    pub(super) fn start_damaged(&mut self, node: NodeId) {
        self.start(node);
        let after = self.sim.random.between(INSPECTION_MS);
        self.sim.queue.push(self.sim.now.after_ms(after), Event::Inspect { node });
    }

    /// The operator of a damaged node stops it and has its ledger verified, as `lian verify` does.
    pub(super) fn inspect(&mut self, node: NodeId) {
        if !self.nodes[node].is_damaged {
            return;
        }
        self.bring_down(node, true);
        let chain = Arc::clone(&self.sim.chain);
        let storage: Arc<dyn Storage> = Arc::new(self.nodes[node].disk.clone());
        let config = LedgerConfig {
            history: HistoryDepth::Blocks(lian_types::limits::HISTORY_BLOCKS_DEFAULT),
            view: ViewKind::Memory(Arc::clone(&self.nodes[node].view)),
            ..LedgerConfig::new(folder(&chain))
        };
        let report = verify(&config, &storage, SUITE, &chain.genesis, &chain.group, &mut |_| {});
        self.sim.tell(|| format!("n{node} is verified: {report:?}"));
        if report.is_ok_and(|report| report.is_sound()) {
            self.nodes[node].is_damaged = false;
            self.start(node);
        } else {
            self.repair(node);
        }
    }

    /// The operator of a node empties its disk. What the node was told and has voted is gone with it, and it must know.
    pub(super) fn repair(&mut self, node: NodeId) {
        self.bring_down(node, true);
        let disk = self.nodes[node].disk.clone();
        let mut outcome = self.nodes[node].view.clear().map_err(|error| error.to_string());
        for (path, _) in disk.files() {
            outcome = outcome.and_then(|()| disk.lose(&path).map_err(|error| error.to_string()));
        }
        if let Err(what) = outcome {
            self.sim.fail("simulator", || what);
        }
        self.nodes[node].is_damaged = false;
        self.nodes[node].was_emptied = true;
        self.sim.oracle.blocks.emptied(node);
        self.sim.oracle.reads.emptied(node);
        self.sim.count("disks emptied");
        node::start_later(&mut self.sim, node, REPAIR_MS);
    }
}
