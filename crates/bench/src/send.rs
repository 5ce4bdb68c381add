//! Sending: which transactions go out when, and what is answered.

use crate::{http::Connection, run::Rate, tracker::Tracker, workload::Signed};
use alloy_primitives::hex;
use anyhow::Result;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Transactions in one request when the network is to be saturated.
const BATCH: usize = 100;
/// Most transactions in one request of a client that has fallen behind its rate; half of what geth and Lian take.
const CATCH_UP_BATCH: usize = 500;
/// Transactions sent but not final at a time when the network is to be saturated.
const OUTSTANDING_MAX: u64 = 8_000;
/// How long a connection waits after a refusal for want of room, twice as long after each further one, up to the second.
const REFUSED_PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];
/// How long after the end of the load a client that has fallen behind may go on sending.
const LATE_MAX: Duration = Duration::from_secs(5);
/// How long after its load a client goes on sending what was refused and later transactions of the same account wait for.
const GAPS_MAX: Duration = Duration::from_secs(60);
/// Words of refusals after which the same transaction may be taken later: `txpool is full` and `account limit exceeded`
/// (geth, Lian), `pool limit`, `try again later`.
const TEMPORARY: [&str; 4] = ["full", "limit", "later", "busy"];
/// Different reasons that are told apart.
const REASONS_MAX: usize = 32;

/// What was sent.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Transactions that were due.
    pub offered: u64,
    /// How often one was sent, again where it was refused before.
    pub sent: u64,
    /// Transactions that the node took.
    pub accepted: u64,
    /// How often one was refused, or its request failed.
    pub failed: u64,
    /// Transactions that were not sent again after a refusal or a request that failed.
    pub dropped: u64,
    /// How often each reason was given, with its numbers and addresses left out.
    pub reasons: BTreeMap<String, u64>,
    /// How long each refusal took, in microseconds.
    pub refusals_us: Vec<u64>,
}

/// The same while the load runs.
#[derive(Default)]
pub struct Counters {
    sent: AtomicU64,
    accepted: AtomicU64,
    failed: AtomicU64,
    rest: Mutex<Rest>,
}

#[derive(Default)]
struct Rest {
    dropped: u64,
    reasons: BTreeMap<String, u64>,
    refusals_us: Vec<u64>,
}

impl Counters {
    /// Transactions that were taken so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Refusals and failed requests so far.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    fn refused(&self, reason: &str, is_dropped: bool, took: Duration) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut rest = self.rest.lock();
        rest.dropped = rest.dropped.saturating_add(u64::from(is_dropped));
        rest.refusals_us.push(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let reason = without_figures(reason);
        let known = rest.reasons.contains_key(&reason) || rest.reasons.len() < REASONS_MAX;
        let count = rest.reasons.entry(if known { reason } else { "other reasons".to_owned() }).or_default();
        *count = count.saturating_add(1);
    }

    fn total(&self, offered: u64) -> Sent {
        let rest = std::mem::take(&mut *self.rest.lock());
        Sent {
            offered,
            sent: self.sent.load(Ordering::Relaxed),
            accepted: self.accepted(),
            failed: self.failed(),
            dropped: rest.dropped,
            reasons: rest.reasons,
            refusals_us: rest.refusals_us,
        }
    }
}

/// A reason without what differs from one refusal to the next: numbers, addresses and hashes.
fn without_figures(reason: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_end_matches([',', ';', ':', ')']);
        if bare.starts_with("0x") || (!bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit())) {
            format!("…{}", word.get(bare.len()..).unwrap_or_default())
        } else {
            word.to_owned()
        }
    };
    reason.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// A load that is ready to be sent.
pub struct Sending {
    /// Where to; connections spread over them.
    pub urls: Vec<String>,
    /// Connections: each serves its own accounts, so that their transactions arrive in order.
    pub connections: usize,
    /// How fast.
    pub rate: Rate,
    /// For how long.
    pub seconds: u64,
    /// When it starts.
    pub started: Instant,
}

impl Sending {
    /// Sends the transactions, that of turn t for account t mod `accounts`, and returns when the time is over.
    ///
    /// # Errors
    /// Where a connection cannot be opened at the start. What happens later is counted.
    pub async fn run(
        &self,
        signed: Vec<Signed>,
        accounts: usize,
        tracker: &Arc<Tracker>,
        counters: &Arc<Counters>,
    ) -> Result<Sent> {
        let lanes = self.connections.clamp(1, accounts.max(1));
        let mut queues: Vec<VecDeque<(usize, Signed)>> = (0..lanes).map(|_| VecDeque::new()).collect();
        let until = self.started + Duration::from_secs(self.seconds);
        let offered = signed.len() as u64;
        for (turn, transaction) in signed.into_iter().enumerate() {
            if let Some(queue) = queues.get_mut(turn % accounts.max(1) % lanes) {
                queue.push_back((turn, transaction));
            }
        }
        let mut tasks = Vec::new();
        for (index, queue) in queues.into_iter().enumerate() {
            let url = self.urls.get(index % self.urls.len().max(1)).cloned().unwrap_or_default();
            let connection = Some(Connection::open(&url).await?);
            let (counters, tracker) = (Arc::clone(counters), Arc::clone(tracker));
            let mut lane = Lane {
                url,
                connection,
                queue,
                accounts: accounts.max(1),
                newest: HashMap::new(),
                pause: None,
                counters,
                tracker,
                started: self.started,
                until,
            };
            let rate = self.rate;
            tasks.push(tokio::spawn(async move {
                match rate {
                    Rate::PerSecond(rate) => lane.send_at_rate(rate).await,
                    Rate::Max => lane.send_saturating().await,
                }
                lane.fill_gaps().await;
            }));
        }
        for task in tasks {
            task.await?;
        }
        let total = counters.total(offered);
        // Saturation asks for no certain number: what was sent was due.
        let offered = if self.rate == Rate::Max { total.accepted.saturating_add(total.dropped) } else { offered };
        Ok(Sent { offered, ..total })
    }
}

/// One connection with the transactions of its accounts.
struct Lane {
    url: String,
    connection: Option<Connection>,
    /// In order. What was refused for now is sent again first: later transactions of its account wait for it.
    queue: VecDeque<(usize, Signed)>,
    /// How many accounts there are: turn t is that of account t mod `accounts`.
    accounts: usize,
    /// The last turn of each account that was taken.
    newest: HashMap<usize, usize>,
    /// How long the last wait after a refusal was, if nothing was taken whole since.
    pause: Option<Duration>,
    counters: Arc<Counters>,
    tracker: Arc<Tracker>,
    started: Instant,
    until: Instant,
}

impl Lane {
    /// Open loop: at each moment at which a transaction is due the next one is sent, whatever has become of the others. Where
    /// the answers take longer than that, all that are due go in one request.
    async fn send_at_rate(&mut self, rate: u64) {
        let due = |turn: usize| self.started + Duration::from_secs_f64(turn as f64 / rate.max(1) as f64);
        let moments: Vec<_> = self.queue.iter().map(|(turn, _)| due(*turn)).collect();
        let mut rest = moments.as_slice();
        while let Some(next) = rest.first() {
            tokio::time::sleep_until((*next).into()).await;
            let now = Instant::now();
            if now > self.until + LATE_MAX {
                break;
            }
            // Who was refused does not come back with everything at once.
            let most = if self.pause.is_some() { BATCH } else { CATCH_UP_BATCH };
            let count = rest.iter().take_while(|moment| **moment <= now).count().clamp(1, most);
            let (moments, later) = rest.split_at(count);
            // Latency counts from when it was due: a client that falls behind hides nothing.
            self.send(moments).await;
            rest = later;
            self.rest_after_refusals().await;
        }
    }

    /// Saturation: batch after batch while not too much is outstanding.
    async fn send_saturating(&mut self) {
        while Instant::now() < self.until && !self.queue.is_empty() {
            let sent = self.counters.sent.load(Ordering::Relaxed);
            let outstanding =
                sent.saturating_sub(self.counters.failed()).saturating_sub(self.tracker.progress().finals());
            if outstanding > OUTSTANDING_MAX {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            self.send(&[Instant::now(); BATCH]).await;
            self.rest_after_refusals().await;
        }
    }

    /// Waits after a request of which something was refused, longer each time.
    async fn rest_after_refusals(&self) {
        if let Some(pause) = self.pause {
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends again, after the load, what was refused although a later transaction of its account was taken: that one could
    /// never become final.
    async fn fill_gaps(&mut self) {
        let until = Instant::now() + GAPS_MAX;
        let newest = &self.newest;
        let is_gap = |turn: usize| newest.get(&(turn % self.accounts)).is_some_and(|newest| turn < *newest);
        self.queue.retain(|(turn, _)| is_gap(*turn));
        while !self.queue.is_empty() && Instant::now() < until {
            self.send(&[Instant::now(); BATCH]).await;
            self.rest_after_refusals().await;
        }
    }

    /// Sends the next transactions, one for each moment, in one request.
    async fn send(&mut self, due: &[Instant]) {
        let count = due.len().min(self.queue.len());
        let batch: Vec<_> = self.queue.drain(..count).collect();
        if batch.is_empty() {
            return;
        }
        self.tracker.sending(batch.iter().zip(due).map(|((turn, signed), due)| (signed.hash, *turn, *due)));
        self.counters.sent.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let asked = Instant::now();
        let answer = self.post(body(batch.iter().map(|(_, signed)| signed))).await;
        let took = asked.elapsed();
        let refusals = answer
            .map_or_else(|error| vec![Some(format!("{error:#}")); batch.len()], |bytes| refusals(&bytes, batch.len()));
        let mut again = Vec::new();
        for (transaction, refusal) in batch.into_iter().zip(refusals) {
            let Some(reason) = refusal else {
                self.counters.accepted.fetch_add(1, Ordering::Relaxed);
                let newest = self.newest.entry(transaction.0 % self.accounts).or_default();
                *newest = transaction.0.max(*newest);
                continue;
            };
            let is_temporary = self.connection.is_some() && TEMPORARY.iter().any(|word| reason.contains(word));
            self.counters.refused(&reason, !is_temporary, took);
            if is_temporary {
                again.push(transaction);
            }
        }
        let [shortest, longest] = REFUSED_PAUSES;
        self.pause = if again.is_empty() {
            None
        } else {
            Some(self.pause.map_or(shortest, |pause| pause.saturating_mul(2).min(longest)))
        };
        for transaction in again.into_iter().rev() {
            self.queue.push_front(transaction);
        }
    }

    /// Posts a request. A connection that has broken is opened again for the next one.
    async fn post(&mut self, body: Bytes) -> Result<Bytes> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.url).await?,
        };
        let answer = connection.post(body).await?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

/// For each transaction of a request why it was refused, if it was. Answers without any refusal are not parsed.
fn refusals(bytes: &[u8], count: usize) -> Vec<Option<String>> {
    let mut refusals = vec![None; count];
    if !bytes.windows(7).any(|window| window == b"\"error\"") {
        return refusals;
    }
    let answer: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let reason = |entry: &Value| {
        let error = entry.get("error")?;
        Some(error["message"].as_str().unwrap_or("an error without a message").to_owned())
    };
    match answer.as_array() {
        Some(entries) => {
            for entry in entries {
                let place = entry["id"].as_u64().and_then(|id| usize::try_from(id).ok());
                if let Some(refusal) = place.and_then(|place| refusals.get_mut(place)) {
                    *refusal = reason(entry);
                }
            }
        }
        // One error for the whole request, or an answer that is no JSON.
        None => {
            let reason = reason(&answer).unwrap_or_else(|| "the answer is not JSON".to_owned());
            refusals.fill(Some(reason));
        }
    }
    refusals
}

/// One request body for some transactions, with their places as ids.
fn body<'a>(batch: impl ExactSizeIterator<Item = &'a Signed>) -> Bytes {
    let is_batch = batch.len() > 1;
    let mut text = String::with_capacity(batch.len().saturating_mul(512));
    if is_batch {
        text.push('[');
    }
    for (id, signed) in batch.enumerate() {
        if id > 0 {
            text.push(',');
        }
        let raw = hex::encode(&signed.raw);
        // Writing to a String does not fail.
        let _ = write!(text, r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_sendRawTransaction","params":["0x{raw}"]}}"#);
    }
    if is_batch {
        text.push(']');
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;
    use serde_json::json;
    use tokio::{
        io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
        net::{TcpListener, TcpStream},
    };

    #[test]
    fn refusals_belong_to_their_transactions() {
        assert_eq!(refusals(br#"[{"id":0,"result":"0x1"}]"#, 1), [None]);
        let answer = br#"[{"id":2,"error":{"code":-32000,"message":"nonce too low"}},{"id":0,"result":"0x1"},
            {"id":1,"error":{"code":-32000}}]"#;
        let low = Some("nonce too low".to_owned());
        assert_eq!(refusals(answer, 3), [None, Some("an error without a message".to_owned()), low]);
        let whole = br#"{"id":null,"error":{"code":-32005,"message":"batch too large"}}"#;
        assert_eq!(refusals(whole, 2), [Some("batch too large".to_owned()), Some("batch too large".to_owned())]);
        assert_eq!(refusals(br#"<html>"error""#, 1), [Some("the answer is not JSON".to_owned())]);
    }

    #[test]
    fn reasons_are_counted_without_their_figures() {
        let counters = Counters::default();
        for transactions in 0..3 {
            let reason = format!("txpool is full: {transactions} transactions of 5 bytes wait; send it again later");
            counters.refused(&reason, false, Duration::from_micros(7));
        }
        counters.refused("account limit exceeded: 0xAb has 2048, the most", true, Duration::ZERO);
        let sent = counters.total(9);
        let reasons: Vec<_> = sent.reasons.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
        let expected = [
            ("account limit exceeded: … has …, the most", 1),
            ("txpool is full: … transactions of … bytes wait; send it again later", 3),
        ];
        assert_eq!(reasons, expected);
        assert_eq!((sent.failed, sent.dropped, sent.refusals_us), (4, 1, vec![7, 7, 7, 0]));
    }

    #[test]
    fn bodies_are_single_requests_or_batches() {
        let signed = Signed { hash: B256::ZERO, raw: Bytes::from_static(&[1, 2]).into() };
        let one: Value = serde_json::from_slice(&body([&signed].into_iter())).unwrap();
        assert_eq!(one["params"], serde_json::json!(["0x0102"]));
        let two: Value = serde_json::from_slice(&body([&signed, &signed].into_iter())).unwrap();
        assert_eq!(two[1]["id"], 1);
    }

    /// A node without blocks, whose pool is full for all but the second transaction of the first request.
    async fn full_at_first(stream: TcpStream, requests: Arc<Mutex<Vec<Value>>>) {
        let mut stream = BufReader::new(stream);
        loop {
            let (mut line, mut length) = (String::new(), 0);
            while line != "\r\n" {
                line.clear();
                if stream.read_line(&mut line).await.unwrap() == 0 {
                    return;
                }
                let header = line.to_ascii_lowercase();
                if let Some(value) = header.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            let request: Value = serde_json::from_slice(&body).unwrap();
            let answer = match request.as_array() {
                Some(_) => json!([
                    {"id": 0, "error": {"message": "txpool is full"}},
                    {"id": 1, "result": "0x"},
                    {"id": 2, "error": {"message": "txpool is full"}},
                ]),
                None => json!({"id": request["id"], "result": "0x0"}),
            };
            if request["method"] != "eth_blockNumber" {
                requests.lock().push(request);
            }
            let text = answer.to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
            stream.write_all(head.as_bytes()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_a_later_one_waits_for_is_sent_again_after_the_load() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let node = tokio::spawn({
            let requests = Arc::clone(&requests);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(full_at_first(stream, Arc::clone(&requests)));
                }
            }
        });
        // All are due: they go in one request.
        let started = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        let sending =
            Sending { urls: vec![url.clone()], connections: 1, rate: Rate::PerSecond(100), seconds: 60, started };
        let signed =
            (0..3_u8).map(|byte| Signed { hash: B256::repeat_byte(byte), raw: Bytes::from(vec![byte]).into() });
        let tracker = Arc::new(Tracker::start(&url, started).await.unwrap());
        let sent = sending.run(signed.collect(), 1, &tracker, &Arc::default()).await.unwrap();
        assert_eq!((sent.sent, sent.accepted, sent.failed, sent.dropped), (4, 2, 2, 0));
        let raws = |request: &Value| match request.as_array() {
            Some(batch) => batch.iter().map(|entry| entry["params"][0].clone()).collect::<Vec<_>>(),
            None => vec![request["params"][0].clone()],
        };
        let raws: Vec<_> = requests.lock().iter().map(raws).collect();
        // The last one has nobody behind it.
        assert_eq!(raws, [vec!["0x00", "0x01", "0x02"], vec!["0x00"]]);
        node.abort();
    }
}
