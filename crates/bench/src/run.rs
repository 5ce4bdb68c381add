//! `lian bench run`: a load against a running network.

use crate::{
    http::Connection,
    limit, machine,
    report::Report,
    tracker::{Tracker, quantity},
    traffic::{metrics_urls, sent_bytes},
    workload::{self, Account, Signed},
};
use alloy_primitives::{Address, TxKind, U256, hex};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Accounts that send and receive.
pub const ACCOUNTS: usize = 10_000;
/// Client connections.
pub const CONNECTIONS: usize = 64;
/// Transactions in one request when the network is to be saturated.
const BATCH: usize = 100;
/// Transactions sent but not final at a time when the network is to be saturated.
const OUTSTANDING_MAX: u64 = 16_000;
/// Calls in one batch of the set-up and of the balance check.
const QUERY_BATCH: usize = 500;
/// The longest wait for the rest of the load to become final.
const DRAIN: Duration = Duration::from_secs(30);

/// How fast transactions are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// So many a second, whatever the network does (open loop).
    PerSecond(u64),
    /// As many as the network takes.
    Max,
}

/// What to run.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// JSON-RPC addresses; connections spread over them. The first is followed for final blocks.
    pub urls: Vec<String>,
    /// How fast.
    pub rate: Rate,
    /// For how long.
    pub seconds: u64,
    /// The nodes' metrics addresses; empty for those that the network's status leads to.
    pub metrics_urls: Vec<String>,
    /// The private key that deploys and funds.
    pub funder: String,
    /// The whole command, for the report.
    pub command: String,
}

/// Runs the workload `transfer`: an OpenZeppelin ERC-20 among [`ACCOUNTS`] funded accounts.
///
/// # Errors
/// Where the network does not answer as an Ethereum node, or the set-up fails. A load that fails is in the report.
pub async fn run(config: &RunConfig, progress: &(dyn Fn(&str) + Sync)) -> Result<Report> {
    let url = config.urls.first().context("no address to send to")?;
    let mut control = Connection::open(url).await?;
    let chain_id = quantity(&control.call("eth_chainId", json!([])).await?)?;
    progress("measuring the machine's primitives");
    let limits = tokio::task::spawn_blocking(limit::measure).await??;

    let seed = quantity(&control.call("eth_blockNumber", json!([])).await?)?;
    let accounts: Vec<_> = (0..ACCOUNTS as u64).map(|index| Account::numbered(seed, index)).collect::<Result<_>>()?;
    progress("deploying the token and funding the accounts");
    let token = set_up(&mut control, config, chain_id, &accounts).await?;

    let count = match config.rate {
        Rate::PerSecond(rate) => rate.saturating_mul(config.seconds),
        // More than any network here takes; what is not sent is not counted.
        Rate::Max => config.seconds.saturating_mul(8_000),
    };
    progress(&format!("signing {count} transfers"));
    let mut nonces = vec![0; accounts.len()];
    let signed = workload::sign_transfers(&accounts, &mut nonces, chain_id, token, usize::try_from(count)?)?;
    let supply = total(&mut control, token, &accounts).await?;

    progress(&format!("sending for {} s", config.seconds));
    let pids = machine::node_processes();
    let status = control.call("lian_status", json!([])).await.unwrap_or_default();
    // Where it is a network of Lian.
    let nodes = status["nodes"].as_array().map_or(pids.len(), |others| others.len() + 1);
    let metrics = if config.metrics_urls.is_empty() { metrics_urls(&status) } else { config.metrics_urls.clone() };
    let (before, sent_before) = (machine::usage(&pids), sent_bytes(&metrics).await);
    let tracker = Arc::new(Tracker::start(url).await?);
    let started = Instant::now();
    let sent = match config.rate {
        Rate::PerSecond(rate) => send_at_rate(config, signed, rate, &tracker).await?,
        Rate::Max => send_saturating(config, signed, &tracker).await?,
    };
    let sending = started.elapsed();
    drain(&tracker, sent.accepted).await;
    let (after, sent_after) = (machine::usage(&pids), sent_bytes(&metrics).await);
    let traffic = sent_before.and_then(|before| Ok(sent_after?.saturating_sub(before)));
    let seen = Arc::into_inner(tracker).context("the tracker is still in use")?.finish().await?;

    let conserved = total(&mut control, token, &accounts).await? == supply && seen.doubled == 0;
    Ok(Report::new(config, &limits, &sent, seen, sending, (before, after), traffic, nodes, conserved))
}

/// What was sent.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Transactions sent.
    pub sent: u64,
    /// Transactions that the node took.
    pub accepted: u64,
    /// Transactions that it refused, or whose request failed.
    pub failed: u64,
    /// The first refusals, for the report.
    pub reasons: Vec<String>,
}

#[derive(Default)]
struct Counters {
    sent: AtomicU64,
    accepted: AtomicU64,
    failed: AtomicU64,
    reasons: parking_lot::Mutex<Vec<String>>,
}

impl Counters {
    fn answer(&self, count: u64, answer: Result<Bytes>) {
        let refused = match answer {
            Ok(bytes) => refusals(&bytes, &self.reasons),
            Err(error) => {
                self.reason(&format!("{error:#}"));
                count
            }
        };
        self.failed.fetch_add(refused, Ordering::Relaxed);
        self.accepted.fetch_add(count.saturating_sub(refused), Ordering::Relaxed);
    }

    fn reason(&self, reason: &str) {
        let mut reasons = self.reasons.lock();
        if reasons.len() < 5 && !reasons.iter().any(|known| known == reason) {
            reasons.push(reason.to_owned());
        }
    }

    fn total(&self) -> Sent {
        Sent {
            sent: self.sent.load(Ordering::Relaxed),
            accepted: self.accepted.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            reasons: self.reasons.lock().clone(),
        }
    }
}

/// How many entries of an answer are errors. Answers without any are not parsed.
fn refusals(bytes: &[u8], reasons: &parking_lot::Mutex<Vec<String>>) -> u64 {
    if !bytes.windows(7).any(|window| window == b"\"error\"") {
        return 0;
    }
    let answer: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let entries = answer.as_array().cloned().unwrap_or_else(|| vec![answer]);
    let mut count = 0;
    for message in entries.iter().filter_map(|entry| entry["error"]["message"].as_str()) {
        count += 1;
        let mut reasons = reasons.lock();
        if reasons.len() < 5 && !reasons.iter().any(|known| known == message) {
            reasons.push(message.to_owned());
        }
    }
    count
}

/// One request body for some transactions.
fn body(batch: &[Signed]) -> Bytes {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(batch.len() * 512);
    if batch.len() > 1 {
        text.push('[');
    }
    for (id, signed) in batch.iter().enumerate() {
        if id > 0 {
            text.push(',');
        }
        let raw = hex::encode(&signed.raw);
        // Writing to a String does not fail.
        let _ = write!(text, r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_sendRawTransaction","params":["0x{raw}"]}}"#);
    }
    if batch.len() > 1 {
        text.push(']');
    }
    text.into()
}

/// Open loop: each connection sends its share at fixed moments, one transaction a request.
async fn send_at_rate(config: &RunConfig, signed: Vec<Signed>, rate: u64, tracker: &Arc<Tracker>) -> Result<Sent> {
    let counters = Arc::new(Counters::default());
    let started = Instant::now() + Duration::from_millis(50);
    let mut shares: Vec<Vec<(Duration, Signed)>> = (0..CONNECTIONS).map(|_| Vec::new()).collect();
    for (turn, transaction) in signed.into_iter().enumerate() {
        let due = Duration::from_secs_f64(turn as f64 / rate.max(1) as f64);
        if let Some(share) = shares.get_mut(turn % CONNECTIONS) {
            share.push((due, transaction));
        }
    }
    let mut tasks = Vec::new();
    for (index, share) in shares.into_iter().enumerate() {
        let mut connection = connect(config, index).await?;
        let (counters, tracker) = (Arc::clone(&counters), Arc::clone(tracker));
        tasks.push(tokio::spawn(async move {
            for (due, transaction) in share {
                tokio::time::sleep_until((started + due).into()).await;
                // Latency counts from when it was due: a client that falls behind hides nothing.
                tracker.sending([transaction.hash]);
                counters.sent.fetch_add(1, Ordering::Relaxed);
                counters.answer(1, connection.post(body(&[transaction])).await);
            }
        }));
    }
    for task in tasks {
        task.await?;
    }
    Ok(counters.total())
}

/// Saturation: every connection sends batch after batch while not too much is outstanding.
async fn send_saturating(config: &RunConfig, signed: Vec<Signed>, tracker: &Arc<Tracker>) -> Result<Sent> {
    let counters = Arc::new(Counters::default());
    let until = Instant::now() + Duration::from_secs(config.seconds);
    let batches: Arc<Vec<(Vec<alloy_primitives::TxHash>, Bytes)>> = Arc::new(
        signed.chunks(BATCH).map(|batch| (batch.iter().map(|signed| signed.hash).collect(), body(batch))).collect(),
    );
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for index in 0..CONNECTIONS {
        let mut connection = connect(config, index).await?;
        let (counters, tracker) = (Arc::clone(&counters), Arc::clone(tracker));
        let (batches, next) = (Arc::clone(&batches), Arc::clone(&next));
        tasks.push(tokio::spawn(async move {
            while Instant::now() < until {
                let accepted = counters.sent.load(Ordering::Relaxed) - counters.failed.load(Ordering::Relaxed);
                if accepted.saturating_sub(tracker.finals()) > OUTSTANDING_MAX {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
                let Some((hashes, body)) = batches.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                let count = hashes.len() as u64;
                tracker.sending(hashes.iter().copied());
                counters.sent.fetch_add(count, Ordering::Relaxed);
                counters.answer(count, connection.post(body.clone()).await);
            }
        }));
    }
    for task in tasks {
        task.await?;
    }
    Ok(counters.total())
}

async fn connect(config: &RunConfig, index: usize) -> Result<Connection> {
    let url = config.urls.get(index % config.urls.len().max(1)).context("no address to send to")?;
    Connection::open(url).await
}

async fn drain(tracker: &Tracker, accepted: u64) {
    let until = Instant::now() + DRAIN;
    while tracker.finals() < accepted && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Deploys the token and gives every account an equal share of it.
async fn set_up(control: &mut Connection, config: &RunConfig, chain_id: u64, accounts: &[Account]) -> Result<Address> {
    let funder = Account::from_hex(&config.funder)?;
    let params = json!([funder.address, "pending"]);
    let mut nonce = quantity(&control.call("eth_getTransactionCount", params).await?)?;
    let token = funder.address.create(nonce);
    let creation =
        funder.sign(chain_id, nonce, workload::DEPLOY_GAS, TxKind::Create, U256::ZERO, workload::token_creation()?)?;
    control.call("eth_sendRawTransaction", json!([creation.raw])).await?;
    wait_for(control, creation.hash).await?;
    let share = workload::SUPPLY / accounts.len().max(1) as u128;
    for chunk in accounts.chunks(QUERY_BATCH) {
        let mut last = None;
        let mut raw = Vec::with_capacity(chunk.len());
        for account in chunk {
            nonce += 1;
            let data = workload::transfer(account.address, share);
            let signed = funder.sign(chain_id, nonce, workload::TRANSFER_GAS, TxKind::Call(token), U256::ZERO, data)?;
            raw.push(json!([signed.raw]));
            last = Some(signed.hash);
        }
        control.batch("eth_sendRawTransaction", raw).await?;
        if let Some(hash) = last {
            wait_for(control, hash).await?;
        }
    }
    Ok(token)
}

async fn wait_for(control: &mut Connection, hash: alloy_primitives::TxHash) -> Result<()> {
    let until = Instant::now() + DRAIN;
    loop {
        let receipt = control.call("eth_getTransactionReceipt", json!([hash])).await?;
        if receipt["status"] == "0x1" {
            return Ok(());
        }
        if !receipt.is_null() {
            bail!("transaction {hash} of the set-up failed");
        }
        if Instant::now() > until {
            bail!("transaction {hash} of the set-up is not final after {} s", DRAIN.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The sum of all accounts' balances of the token.
async fn total(control: &mut Connection, token: Address, accounts: &[Account]) -> Result<U256> {
    let mut sum = U256::ZERO;
    for chunk in accounts.chunks(QUERY_BATCH) {
        let calls =
            chunk.iter().map(|account| json!([{"to": token, "data": workload::balance_of(account.address)}, "latest"]));
        for answer in control.batch("eth_call", calls).await? {
            let balance: U256 = serde_json::from_value(answer).context("balanceOf gave no number")?;
            sum = sum.checked_add(balance).context("the balances exceed 2^256")?;
        }
    }
    Ok(sum)
}
