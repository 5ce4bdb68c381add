//! Following final blocks: which transactions they hold, and when they were seen.

use crate::http::Connection;
use alloy_primitives::TxHash;
use anyhow::{Context, Result};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Between two looks at the chain's height, in milliseconds: small against the latencies measured.
const POLL_MS: u64 = 5;

/// A transaction of the load that was seen in a final block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Final {
    /// Its turn in the load.
    pub turn: usize,
    /// Its hash.
    pub hash: TxHash,
    /// The number of the block.
    pub block: u64,
    /// From when it was due until it was seen final, in microseconds.
    pub latency_us: u64,
    /// When it was seen final, in microseconds after the start of the load.
    pub at_us: u64,
}

/// What is known of the load's transactions.
#[derive(Default)]
pub struct Seen {
    /// Those that were seen final, in the order of the chain.
    pub finals: Vec<Final>,
    /// Transactions of the load that a second block held too: must stay 0.
    pub doubled: u64,
    /// Blocks that held any.
    pub blocks: u64,
    /// Sent transactions.
    sent: HashMap<TxHash, Sending>,
}

/// A transaction on its way.
struct Sending {
    turn: usize,
    due: Instant,
    is_final: bool,
}

/// Follows one node's final blocks until told to stop.
pub struct Tracker {
    seen: Arc<Mutex<Seen>>,
    progress: Arc<Progress>,
    task: tokio::task::JoinHandle<Result<()>>,
}

/// What others may look at while the load runs.
pub struct Progress {
    finals: AtomicU64,
    height: AtomicU64,
    stop: AtomicBool,
}

impl Progress {
    /// How many transactions of the load were seen final so far.
    #[must_use]
    pub fn finals(&self) -> u64 {
        self.finals.load(Ordering::Relaxed)
    }

    /// The last block that was looked at.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.height.load(Ordering::Relaxed)
    }
}

impl Tracker {
    /// Starts after the present block of the node at `url`; times count from `started`.
    ///
    /// # Errors
    /// Where the node does not answer.
    pub async fn start(url: &str, started: Instant) -> Result<Self> {
        let mut connection = Connection::open(url).await?;
        let head = height(&mut connection).await?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let progress =
            Progress { finals: AtomicU64::new(0), height: AtomicU64::new(head), stop: AtomicBool::new(false) };
        let progress = Arc::new(progress);
        let task = tokio::spawn(follow(connection, started, Arc::clone(&seen), Arc::clone(&progress)));
        Ok(Self { seen, progress, task })
    }

    /// Notes that transactions, each with its turn and the moment at which it was due, are being sent.
    pub fn sending(&self, transactions: impl IntoIterator<Item = (TxHash, usize, Instant)>) {
        let mut seen = self.seen.lock();
        for (hash, turn, due) in transactions {
            seen.sent.insert(hash, Sending { turn, due, is_final: false });
        }
    }

    /// How far it is.
    #[must_use]
    pub const fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Stops and returns what was seen.
    ///
    /// # Errors
    /// Where following failed meanwhile.
    pub async fn finish(self) -> Result<Seen> {
        self.progress.stop.store(true, Ordering::Relaxed);
        self.task.await.context("the tracker ended early")??;
        Ok(std::mem::take(&mut self.seen.lock()))
    }
}

async fn follow(
    mut connection: Connection,
    started: Instant,
    seen: Arc<Mutex<Seen>>,
    progress: Arc<Progress>,
) -> Result<()> {
    while !progress.stop.load(Ordering::Relaxed) {
        let head = height(&mut connection).await?;
        while progress.height() < head {
            let next = progress.height().saturating_add(1);
            let block = connection.call("eth_getBlockByNumber", json!([format!("{next:#x}"), false])).await?;
            let count = seen.lock().block(next, &block, started, Instant::now())?;
            progress.finals.store(count, Ordering::Relaxed);
            progress.height.store(next, Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
    }
    Ok(())
}

async fn height(connection: &mut Connection) -> Result<u64> {
    let answer = connection.call("eth_blockNumber", json!([])).await?;
    quantity(&answer)
}

/// A quantity of JSON-RPC.
///
/// # Errors
/// Where the value is not one.
pub fn quantity(value: &Value) -> Result<u64> {
    let text = value.as_str().and_then(|text| text.strip_prefix("0x")).context("not a quantity")?;
    Ok(u64::from_str_radix(text, 16)?)
}

impl Seen {
    /// Adds a block, and returns how many transactions of the load are final now.
    fn block(&mut self, number: u64, block: &Value, started: Instant, now: Instant) -> Result<u64> {
        let us = |from: Instant| u64::try_from(now.saturating_duration_since(from).as_micros()).unwrap_or(u64::MAX);
        let mut any = false;
        for hash in block["transactions"].as_array().context("a block without transactions")? {
            let hash: TxHash = hash.as_str().context("a transaction is no hash")?.parse()?;
            let Some(sending) = self.sent.get_mut(&hash) else { continue };
            any = true;
            if std::mem::replace(&mut sending.is_final, true) {
                self.doubled = self.doubled.saturating_add(1);
                continue;
            }
            let (turn, latency_us, at_us) = (sending.turn, us(sending.due), us(started));
            self.finals.push(Final { turn, hash, block: number, latency_us, at_us });
        }
        self.blocks = self.blocks.saturating_add(u64::from(any));
        Ok(self.finals.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;

    #[test]
    fn a_transaction_counts_once_and_a_second_block_with_it_is_noticed() {
        let started = Instant::now();
        let after = |ms| started + Duration::from_millis(ms);
        let mut seen = Seen::default();
        let (ours, foreign) = (B256::repeat_byte(1), B256::repeat_byte(2));
        seen.sent.insert(ours, Sending { turn: 7, due: after(10), is_final: false });
        assert_eq!(seen.block(1, &json!({"transactions": [foreign]}), started, after(12)).unwrap(), 0);
        assert_eq!(seen.block(2, &json!({"transactions": [foreign, ours]}), started, after(15)).unwrap(), 1);
        assert_eq!(seen.finals, [Final { turn: 7, hash: ours, block: 2, latency_us: 5_000, at_us: 15_000 }]);
        assert_eq!((seen.blocks, seen.doubled), (1, 0));
        assert_eq!(seen.block(3, &json!({"transactions": [ours]}), started, after(16)).unwrap(), 1);
        assert_eq!((seen.blocks, seen.doubled), (2, 1));
        assert!(seen.block(4, &json!({}), started, after(17)).is_err());
    }
}
