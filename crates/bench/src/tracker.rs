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

/// What is known of the load's transactions.
#[derive(Default)]
pub struct Ledger {
    /// When each transaction was sent.
    pub sent: HashMap<TxHash, Instant>,
    /// Latency of each that was seen final, in microseconds.
    pub latencies_us: Vec<u64>,
    /// Transactions of the load that a block held.
    pub final_count: u64,
    /// Transactions of the load that a second block held too: must stay 0.
    pub doubled: u64,
    /// When the first and the last were seen final.
    pub first_final: Option<Instant>,
    /// See above.
    pub last_final: Option<Instant>,
    /// Blocks that held any.
    pub blocks: u64,
    seen: std::collections::HashSet<TxHash>,
}

/// Follows one node's final blocks until told to stop.
pub struct Tracker {
    ledger: Arc<Mutex<Ledger>>,
    finals: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<()>>,
}

impl Tracker {
    /// Starts after the present block of the node at `url`.
    ///
    /// # Errors
    /// Where the node does not answer.
    pub async fn start(url: &str) -> Result<Self> {
        let mut connection = Connection::open(url).await?;
        let head = height(&mut connection).await?;
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let (finals, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let task = tokio::spawn(follow(connection, head, Arc::clone(&ledger), Arc::clone(&finals), Arc::clone(&stop)));
        Ok(Self { ledger, finals, stop, task })
    }

    /// Notes that transactions are being sent now.
    pub fn sending(&self, hashes: impl IntoIterator<Item = TxHash>) {
        let now = Instant::now();
        let mut ledger = self.ledger.lock();
        for hash in hashes {
            ledger.sent.insert(hash, now);
        }
    }

    /// How many transactions of the load were seen final so far.
    #[must_use]
    pub fn finals(&self) -> u64 {
        self.finals.load(Ordering::Relaxed)
    }

    /// Stops and returns what was seen.
    ///
    /// # Errors
    /// Where following failed meanwhile.
    pub async fn finish(self) -> Result<Ledger> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.context("the tracker ended early")??;
        Ok(std::mem::take(&mut self.ledger.lock()))
    }
}

async fn follow(
    mut connection: Connection,
    mut next: u64,
    ledger: Arc<Mutex<Ledger>>,
    finals: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let head = height(&mut connection).await?;
        while next < head {
            next += 1;
            let block = connection.call("eth_getBlockByNumber", json!([format!("{next:#x}"), false])).await?;
            let count = ledger.lock().block(&block)?;
            finals.store(count, Ordering::Relaxed);
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

impl Ledger {
    fn block(&mut self, block: &Value) -> Result<u64> {
        let now = Instant::now();
        let mut any = false;
        for hash in block["transactions"].as_array().context("a block without transactions")? {
            let hash: TxHash = hash.as_str().context("a transaction is no hash")?.parse()?;
            let Some(sent) = self.sent.get(&hash) else { continue };
            any = true;
            if !self.seen.insert(hash) {
                self.doubled += 1;
                continue;
            }
            self.latencies_us.push(u64::try_from(now.duration_since(*sent).as_micros()).unwrap_or(u64::MAX));
            self.final_count += 1;
        }
        if any {
            self.blocks += 1;
            self.first_final.get_or_insert(now);
            self.last_final = Some(now);
        }
        Ok(self.final_count)
    }
}
