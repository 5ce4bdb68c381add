//! Starting a node: the same recovery as in production.

use super::{Node, Run, blocks::Appending, folder, outbox::Outbox, work::Working};
use crate::{chain::SUITE, oracle::Seen, sim::Sim};
use lian_executor::Rules;
use lian_group::{
    Core, FlowRecorder, SteadyClock, condition_of,
    core::{ConsensusConfig, CoreConfig, Input, Recovered},
    decode_record,
    execution::SpeculativeChain,
    start_of,
};
use lian_ledger::{Condition, Ledger, LedgerConfig, Storage, Tail, ViewKind, ViewRecovery, VoteLog};
use lian_txpool::{Limits, Pool, PoolConfig};
use lian_types::{BlockNumber, HistoryDepth, Millis, limits};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// What opening a node's files gave.
struct Opened {
    ledger: Arc<Ledger>,
    votes: VoteLog,
    recovered: Recovered,
    condition: Condition,
}

impl Node {
    /// Starts the program. Where it does not start, it says why in `stopped`.
    pub(crate) fn start(&mut self, sim: &mut Sim) {
        self.life += 1;
        self.arm(sim);
        match self.open(sim) {
            Ok(opened) => self.begin(sim, opened),
            Err(reason) => self.stop(reason),
        }
    }

    fn open(&self, sim: &mut Sim) -> Result<Opened, String> {
        let chain = Arc::clone(&sim.chain);
        let folder = folder(&chain);
        let storage: Arc<dyn Storage> = Arc::new(self.disk.clone());
        let config = LedgerConfig {
            history: HistoryDepth::Blocks(limits::HISTORY_BLOCKS_DEFAULT),
            view: ViewKind::Memory(Arc::clone(&self.view)),
            ..LedgerConfig::new(folder.clone())
        };
        let (ledger, recovery) =
            Ledger::open(config, Arc::clone(&storage), SUITE, &chain.genesis, &chain.group).map_err(text)?;
        sim.tell(|| format!("n{} opens its ledger: {recovery:?}", self.id));
        if matches!(recovery.tail, Tail::Cut { .. }) {
            sim.count("torn block logs");
        }
        if matches!(recovery.view, ViewRecovery::Rebuilt(_)) {
            sim.count("views rebuilt");
        }
        let has_grown = ledger.head().number > ledger.oldest_block();
        let (votes, entries, condition) =
            VoteLog::open(storage, &folder, !self.was_emptied && !has_grown).map_err(text)?;
        sim.tell(|| format!("n{} opens its vote log: {} records, {condition:?}", self.id, entries.len()));
        match condition {
            Condition::CutTail { .. } => sim.count("torn vote logs"),
            Condition::Damaged { .. } => sim.count("vote logs lost"),
            Condition::Fresh | Condition::Whole => {}
        }
        let mut records = Vec::with_capacity(entries.len());
        for bytes in entries {
            records.push(decode_record(SUITE, &bytes)?);
        }
        let recovered = Recovered { records, condition: condition_of(&condition) };
        Ok(Opened { ledger, votes, recovered, condition })
    }

    fn begin(&mut self, sim: &mut Sim, opened: Opened) {
        let Opened { ledger, votes, recovered, condition } = opened;
        let chain = Arc::clone(&sim.chain);
        let start = start_of(&ledger);
        let files = self.evidence_files(sim);
        if let Err(error) = files.check_start(&recovered.records, start.epoch) {
            self.diverged = files.read().ok().flatten().map(|evidence| evidence.kind);
            return self.stop(error.to_string());
        }
        let unexplained = files.unexplained(ledger.head().number);
        if sim.is_honest(self.id) {
            sim.oracle.found(self.id, &recovered.records);
            self.observe_found(sim, &ledger);
        }
        if matches!(condition, Condition::Damaged { .. }) {
            sim.tell(|| format!("n{} abstains", self.id));
        }
        let limits = Limits { chain_id: chain.group.chain_id, block_gas_limit: chain.group.block_gas_limit };
        let pool = Arc::new(Mutex::new(Pool::new(PoolConfig::new(limits))));
        let (governance, committees) = match chain.governance(&ledger) {
            Ok(governed) => governed,
            Err(reason) => return self.stop(format!("who seals is not known: {reason}")),
        };
        let parameters = governance.parameters_at(start.head.height.next(), &chain.group.consensus);
        let key = chain.publics[self.id];
        let config = CoreConfig {
            consensus: ConsensusConfig::new(chain.rules, &chain.genesis, &chain.group, &parameters, key),
            committees,
            parameters: chain.group.consensus,
            governance: Arc::new(governance),
            rpc: String::new(),
        };
        let flows = Arc::new(Mutex::new(FlowRecorder::default()));
        let now = self.clock(sim);
        let core = Core::new(now, config, Arc::clone(&pool), flows, start, recovered);
        // A wrong program takes the chain for another one, and blocks for larger than they are.
        let (rules, gas_limit) = match self.wrong {
            None => (chain.info.rules, chain.info.block_gas_limit),
            Some(variant) => {
                (Rules::new(SUITE, chain.info.chain_id + 1), chain.info.block_gas_limit.saturating_add(variant))
            }
        };
        let execution = SpeculativeChain::new(rules, gas_limit, Arc::clone(&ledger));
        self.run = Some(Box::new(Run {
            core,
            renewed_at: ledger.head().number,
            ledger,
            votes,
            execution,
            unexplained,
            pool,
            clock: SteadyClock::new(now, Millis(sim.now.ms())),
            outbox: Outbox::default(),
            working: Working::default(),
            appending: Appending::default(),
            replies: BTreeMap::new(),
            next_ticket: 0,
            tick_at: None,
            ticks: (0, 0),
            flushing: false,
        }));
        self.step(sim, Input::Tick);
        for peer in 0..sim.scenario.machines() {
            sim.connect_later(self.id, peer, 1, 100);
        }
        self.flush_later(sim);
    }
}

impl Node {
    /// Clients see blocks that were durable before the crash although nobody was told of them.
    fn observe_found(&self, sim: &mut Sim, ledger: &Ledger) {
        let height = ledger.head().number.0;
        if self.is_damaged && sim.oracle.blocks.told(self.id) > height {
            // What was written last and is wrong now looks like the torn tail of a crash. The others have those blocks.
            sim.count("ends of block logs lost to damage");
            sim.oracle.blocks.cut(self.id, height);
            sim.oracle.reads.cut(self.id, height);
        }
        let untold = match sim.oracle.blocks.restarted(self.id, &ledger.head()) {
            Ok(untold) => untold,
            Err(what) => return sim.fail("restart", || format!("n{} {what}", self.id)),
        };
        for height in untold {
            match ledger.block_by_number(BlockNumber(height)) {
                Ok(Some(stored)) => sim.observe_block(self.id, &Seen::found(&stored), ledger),
                other => {
                    let found = other.map(|stored| stored.is_some());
                    return sim.fail("restart", || format!("n{} cannot read block {height}: {found:?}", self.id));
                }
            }
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
