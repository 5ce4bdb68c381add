//! A record of a run, once a second: what the chain does, and what each node takes.

use crate::{
    http::Connection,
    machine,
    send::Counters,
    tracker::{Progress, quantity},
};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// The columns before those of the nodes; these are `node0_resident_bytes`, `node0_cpu_us` and so on.
pub const COLUMNS: [&str; 6] = ["seconds", "height", "pending", "accepted", "failed", "final"];
/// Between two lines.
const INTERVAL: Duration = Duration::from_secs(1);

/// Writes the record until told to stop.
pub struct Recorder {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<()>>,
}

impl Recorder {
    /// Begins a file. `ports` are those of this machine at which the nodes serve; node numbers are in their order.
    ///
    /// # Errors
    /// Where the file cannot be made, or nobody answers.
    pub async fn start(
        path: &Path,
        url: &str,
        ports: Vec<u16>,
        started: Instant,
        counters: Arc<Counters>,
        progress: Arc<Progress>,
    ) -> Result<Self> {
        let mut file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let nodes = machine::listeners(&ports).len();
        let mut columns: Vec<_> = COLUMNS.map(str::to_owned).to_vec();
        columns
            .extend((0..nodes).flat_map(|node| [format!("node{node}_resident_bytes"), format!("node{node}_cpu_us")]));
        writeln!(file, "{}", columns.join(","))?;
        let connection = Connection::open(url).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let source = Source { file, connection, ports, nodes, started, counters, progress };
        let task = tokio::spawn(source.record(Arc::clone(&stop)));
        Ok(Self { stop, task })
    }

    /// Ends the file.
    ///
    /// # Errors
    /// Where it could not be written.
    pub async fn finish(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.context("the recorder ended early")?
    }
}

struct Source {
    file: File,
    connection: Connection,
    ports: Vec<u16>,
    nodes: usize,
    started: Instant,
    counters: Arc<Counters>,
    progress: Arc<Progress>,
}

impl Source {
    async fn record(mut self, stop: Arc<AtomicBool>) -> Result<()> {
        let mut next = self.started;
        while !stop.load(Ordering::Relaxed) {
            tokio::time::sleep_until(next.into()).await;
            next += INTERVAL;
            let pending = self.pending().await;
            let mut fields = vec![
                format!("{:.1}", self.started.elapsed().as_secs_f64()),
                self.progress.height().to_string(),
                pending.map(|pending| pending.to_string()).unwrap_or_default(),
                self.counters.accepted().to_string(),
                self.counters.failed().to_string(),
                self.progress.finals().to_string(),
            ];
            // Looked up each time: a node that was started again is another process.
            let pids = machine::listeners(&self.ports);
            for node in 0..self.nodes {
                let pid = pids.get(node).copied().filter(|_| pids.len() == self.nodes);
                let figures = pid.map(|pid| (machine::resident_bytes(pid), machine::usage(&[pid]).cpu_us));
                fields.push(figures.and_then(|(bytes, _)| bytes).map(|bytes| bytes.to_string()).unwrap_or_default());
                fields.push(figures.map(|(_, cpu_us)| cpu_us.to_string()).unwrap_or_default());
            }
            writeln!(self.file, "{}", fields.join(","))?;
        }
        Ok(())
    }

    /// Transactions that wait at the node; nothing where it does not tell.
    async fn pending(&mut self) -> Option<u64> {
        if let Ok(status) = self.connection.call("lian_status", json!([])).await {
            let waiting = |name: &str| status[name].as_u64();
            return waiting("pending")?.checked_add(waiting("queued").unwrap_or(0));
        }
        let status: Value = self.connection.call("txpool_status", json!([])).await.ok()?;
        quantity(&status["pending"]).ok()?.checked_add(quantity(&status["queued"]).unwrap_or(0))
    }
}
