//! Hooks at work: a task for each, which does what its schedule says.

use crate::{
    cursor::{Cursor, CursorError},
    hook::Hook,
    message::Message,
    schedule::{Action, End, Input, Notice, Scan, Schedule},
};
use lian_ledger::{FoundLog, Ledger, LogFilter, LogLimits, LogScanError};
use lian_types::{BlockNumber, GroupId, Millis};
use rand::RngExt;
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
};

/// Most blocks that are looked at in one go: milliseconds, after which another hook has its turn.
const BLOCKS_READ_MAX: u64 = 256;
/// Hooks that read the ledger at the same time. Catching up is left to one core, since the chain needs the others.
const READERS: usize = 1;
/// The share of a wait by which it may become longer.
const JITTER_PER_CENT: u64 = 10;

/// What hooks see of a group.
#[derive(Clone)]
pub struct Chain {
    /// The group.
    pub group: GroupId,
    /// Its EIP-155 chain id.
    pub chain_id: u64,
    /// Its ledger.
    pub ledger: Arc<Ledger>,
    /// Its newest final block, now and whenever there is another.
    pub heads: watch::Receiver<BlockNumber>,
}

/// Hooks at work, until this is dropped. A request that is under way then is cut; its event is told again after the next start.
#[derive(Debug)]
pub struct Hooks(Vec<JoinHandle<()>>);

impl Drop for Hooks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Hooks {
    /// Starts each hook of these chains, in a task of its own.
    #[must_use]
    pub fn start(hooks: Vec<Hook>, chains: &[Chain]) -> Self {
        describe();
        let readers = Arc::new(Semaphore::new(READERS));
        let start = |hook: Hook| {
            let chain = chains.iter().find(|chain| chain.group == hook.group)?.clone();
            Some(tokio::spawn(Driver::new(hook, chain, Arc::clone(&readers)).run()))
        };
        Self(hooks.into_iter().filter_map(start).collect())
    }
}

/// One hook at work.
struct Driver {
    hook: Arc<Hook>,
    chain: Chain,
    readers: Arc<Semaphore>,
    filter: Arc<LogFilter>,
    started: Instant,
}

impl Driver {
    fn new(hook: Hook, chain: Chain, readers: Arc<Semaphore>) -> Self {
        let filter = Arc::new(hook.events.filter(hook.contract));
        Self { hook: Arc::new(hook), chain, readers, filter, started: Instant::now() }
    }

    async fn run(mut self) {
        let mut schedule = match self.schedule() {
            Ok(schedule) => schedule,
            Err(error) => {
                // Whoever changed the file since it was checked, at this very start, hears of it by its name at the next one.
                let hook = &self.hook.name;
                metrics::gauge!("lian_hook_failing", "hook" => hook.clone()).set(1.0);
                tracing::error!(hook, "hook has ended: {error}");
                return;
            }
        };
        let mut action = schedule.begin();
        loop {
            self.record(&schedule, false);
            let input = match action {
                Action::Save(cursor) => self.save(cursor).await,
                Action::Read(cursor) => self.read(cursor).await,
                Action::Send(log) => self.send(&log).await,
                Action::Wait(time) => self.wait(time, &schedule).await,
                Action::Await(block) => self.wait_for(block).await,
                Action::End(end) => return self.ended(&schedule, &end).await,
            };
            if matches!(input, Input::Failed(_)) {
                metrics::counter!("lian_hook_failures_total", "hook" => self.hook.name.clone()).increment(1);
            }
            let now = Millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX));
            let step = schedule.step(now, input);
            if let Some(notice) = step.notice {
                self.say(notice);
            }
            action = step.action;
        }
    }

    /// Where it goes on, or begins.
    fn schedule(&self) -> Result<Schedule, CursorError> {
        let Hook { name, group, contract, from, cursor, .. } = self.hook.as_ref();
        // The file was read when the configuration was checked, but a process that had the folder then may have gone on.
        let found = cursor.read()?;
        let is_new = found.is_none();
        let cursor = found.unwrap_or_else(|| {
            let head = self.chain.ledger.head();
            match from {
                Some(block) => Cursor::before(*group, *contract, *block),
                None => Cursor {
                    log_index: None,
                    block_hash: Some(head.hash),
                    ..Cursor::before(*group, *contract, head.number)
                },
            }
        });
        tracing::info!(hook = name, %contract, next = cursor.next_block().0, is_new, "hook starts");
        Ok(Schedule::new(cursor, !is_new))
    }

    async fn save(&self, cursor: Cursor) -> Input {
        let hook = Arc::clone(&self.hook);
        match tokio::task::spawn_blocking(move || hook.cursor.write(&cursor)).await {
            Ok(Ok(())) => Input::Saved,
            Ok(Err(error)) => Input::Failed(format!("the cursor cannot be written: {error}")),
            Err(error) => Input::Failed(error.to_string()),
        }
    }

    async fn read(&self, cursor: Cursor) -> Input {
        let Ok(_turn) = self.readers.acquire().await else { return Input::Failed("the node stops".to_owned()) };
        let (ledger, filter) = (Arc::clone(&self.chain.ledger), Arc::clone(&self.filter));
        let outcome = tokio::task::spawn_blocking(move || scan(&ledger, &cursor, &filter)).await;
        outcome.unwrap_or_else(|error| Input::Failed(error.to_string()))
    }

    async fn send(&self, log: &FoundLog) -> Input {
        let Hook { name, group, events, secrets, client, .. } = self.hook.as_ref();
        let message = Message::new(name, *group, self.chain.chain_id, events, log);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let signature = secrets.sign(&message.id, now, &message.body);
        match client.tell(message, now, signature).await {
            Ok(()) => {
                metrics::counter!("lian_hook_delivered_total", "hook" => name.clone()).increment(1);
                Input::Taken
            }
            Err(error) => Input::Failed(format!("block {}, log {}: {error}", log.block, log.log_index)),
        }
    }

    async fn wait(&mut self, time: Millis, schedule: &Schedule) -> Input {
        let longest = time.0.saturating_mul(JITTER_PER_CENT) / 100;
        let wait = time.0.saturating_add(rand::rng().random_range(0..=longest));
        let over = tokio::time::sleep(Duration::from_millis(wait));
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return Input::Woken,
                // How far it is behind grows meanwhile.
                changed = self.chain.heads.changed() => match changed {
                    Ok(()) => self.record(schedule, false),
                    Err(_) => return std::future::pending().await,
                },
            }
        }
    }

    async fn wait_for(&mut self, block: BlockNumber) -> Input {
        let is_final = self.chain.heads.wait_for(|head| *head >= block).await.is_ok();
        // Else the group ends, and the node with it.
        if is_final { Input::Woken } else { std::future::pending().await }
    }

    /// Shows that this hook does nothing any more, until somebody acts and starts the node again.
    async fn ended(&mut self, schedule: &Schedule, end: &End) {
        let (hook, cursor) = (&self.hook.name, self.hook.cursor.path().display());
        tracing::error!(hook, %cursor, "hook has ended: {end}; then start the node again");
        loop {
            self.record(schedule, true);
            if self.chain.heads.changed().await.is_err() {
                return;
            }
        }
    }

    fn record(&self, schedule: &Schedule, has_ended: bool) {
        let hook = &self.hook.name;
        let behind = schedule.behind(self.chain.ledger.head().number);
        let is_failing = has_ended || schedule.is_failing();
        metrics::gauge!("lian_hook_behind_blocks", "hook" => hook.clone()).set(approximate(behind));
        metrics::gauge!("lian_hook_failing", "hook" => hook.clone()).set(f64::from(u8::from(is_failing)));
    }

    fn say(&self, notice: Notice) {
        let hook = &self.hook.name;
        match notice {
            Notice::Failing { failures, reason } => {
                tracing::warn!(hook, failures, reason, "hook fails; it goes on trying")
            }
            Notice::Recovered { failures, after: Millis(after_ms) } => {
                tracing::info!(hook, failures, after_ms, "hook works again");
            }
        }
    }
}

/// Looks for events behind a cursor. Only blocks whose filter admits one are read.
fn scan(ledger: &Ledger, cursor: &Cursor, filter: &LogFilter) -> Input {
    let failed = |error: &dyn std::fmt::Display| Input::Failed(format!("the ledger cannot be read: {error}"));
    match (cursor.block_hash, ledger.block_hash(cursor.block)) {
        (Some(known), Ok(Some(chain))) if known != chain => {
            return Input::Impossible(End::OtherChain { block: cursor.block, cursor: known, chain });
        }
        (_, Err(error)) => return failed(&error),
        // Where it is not known here, the blocks behind it are not either, or are known by their own hashes.
        _ => {}
    }
    let (first, head) = (cursor.next_block(), ledger.head().number);
    let last = head.min(first.saturating_add(BLOCKS_READ_MAX.saturating_sub(1)));
    // All events of a block are told, so none of them may be left out here.
    let limits = LogLimits { blocks_max: 1, results_max: usize::MAX };
    for number in (first.0..=last.0).map(BlockNumber) {
        let logs = match ledger.logs(number, number, filter, limits) {
            Ok(logs) => logs,
            Err(LogScanError::Pruned { block, oldest }) => {
                return Input::Impossible(End::NotKept { block, oldest });
            }
            Err(error) => return failed(&error),
        };
        if logs.is_empty() && number < last {
            continue;
        }
        return match ledger.block_hash(number) {
            Ok(Some(hash)) => Input::Found(Some(Scan { block: number, hash, logs })),
            Ok(None) => failed(&format!("block {number} has no hash")),
            Err(error) => failed(&error),
        };
    }
    Input::Found(None)
}

/// Prometheus' numbers are floating point, exact up to 2^53.
#[allow(clippy::cast_precision_loss)] // A height beyond 2^53 is shown rounded.
const fn approximate(value: u64) -> f64 {
    value as f64
}

fn describe() {
    metrics::describe_counter!("lian_hook_delivered_total", "Events that a hook's service has taken.");
    metrics::describe_counter!("lian_hook_failures_total", "Attempts of a hook that failed.");
    metrics::describe_gauge!("lian_hook_behind_blocks", "Final blocks whose events a hook's service may not have yet.");
    metrics::describe_gauge!("lian_hook_failing", "1 if a hook's last attempt failed or it has ended, else 0.");
}
