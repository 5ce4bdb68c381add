//! One node of a local network as a process of its own.

use super::network::LocalNode;
use crate::output;
use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};
use tokio::{process::Command, sync::watch, time};

/// The file in a node's `logs` folder that its output goes to.
pub(super) const LOG_FILE: &str = "node.log";
/// A larger log is moved aside when a node starts, in bytes, so that at most twice this much is kept for each.
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How much of a log's end is searched for its last line, in bytes.
const LOG_TAIL_BYTES: u64 = 8 * 1024;
/// How often a node that dies is started again before it is given up.
const RESTARTS_MAX: u32 = 5;
/// The wait before the first new start; it doubles with each.
const RESTART_WAIT: Duration = Duration::from_secs(1);
/// A node that ran for this long starts with a clean slate.
const RESTARTS_FORGOTTEN: Duration = Duration::from_secs(60);
/// How long a node may take to stop before it is killed: a little more than it allows itself.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// A node that runs no more.
#[derive(Debug)]
pub(super) struct Ending {
    /// The node.
    pub(super) name: String,
    /// Why, for people.
    pub(super) reason: String,
}

/// A node's process, started again where it dies.
#[derive(Debug)]
pub(super) struct Child {
    name: String,
    program: PathBuf,
    config: PathBuf,
    log: PathBuf,
}

impl Child {
    /// The process of a node, not started yet.
    ///
    /// # Errors
    /// Where this program does not know its own file.
    pub(super) fn new(node: &LocalNode) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file to start nodes with")?;
        let log = node.dir.join("logs").join(LOG_FILE);
        Ok(Self { name: node.name().to_owned(), program, config: node.config_file(), log })
    }

    /// Runs the node until told to stop, until it says why it cannot go on, or until it has died too often.
    ///
    /// A node that ends with a status has given its reason, which a new start would only hide; one that is killed by a
    /// signal has not, and is started again.
    pub(super) async fn keep_running(self, mut stopping: watch::Receiver<bool>) -> Ending {
        let mut deaths: u32 = 0;
        loop {
            let started = Instant::now();
            let status = match self.run(&mut stopping).await {
                Ok(Some(status)) => status,
                Ok(None) => return self.ending("stopped".to_owned()),
                Err(error) => return self.ending(format!("{} cannot be started: {error:#}", self.name)),
            };
            let Some(signal) = status.signal() else { return self.ending(self.last_words(status)) };
            deaths = if started.elapsed() > RESTARTS_FORGOTTEN { 1 } else { deaths.saturating_add(1) };
            let death = format!("{} was killed by signal {signal}{}", self.name, self.last_line());
            if deaths > RESTARTS_MAX {
                return self.ending(format!("{death}; given up after {RESTARTS_MAX} new starts"));
            }
            let wait = RESTART_WAIT.saturating_mul(1 << deaths.saturating_sub(1));
            let plan = format!("starting it again in {} s ({deaths} of {RESTARTS_MAX})", wait.as_secs());
            eprintln!("{}", output::printable(&format!("{death}; {plan}")));
            tokio::select! {
                () = time::sleep(wait) => {}
                _ = stopping.wait_for(|stop| *stop) => return self.ending("stopped".to_owned()),
            }
        }
    }

    /// Runs the process once: its status, or nothing where it was told to stop.
    async fn run(&self, stopping: &mut watch::Receiver<bool>) -> Result<Option<ExitStatus>> {
        let log = self.open_log()?;
        let mut process = Command::new(&self.program)
            .arg("node")
            .arg("--config")
            .arg(&self.config)
            .arg("--follow-stdin")
            // The node stops when this end of its input closes, which the operating system does even if we are killed.
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C reaches this process alone, which then stops the nodes.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| self.program.display().to_string())?;
        let lifeline = process.stdin.take();
        let status = tokio::select! {
            status = process.wait() => Some(status?),
            _ = stopping.wait_for(|stop| *stop) => None,
        };
        if status.is_none() {
            self.stop(&mut process).await?;
        }
        drop(lifeline);
        Ok(status)
    }

    async fn stop(&self, process: &mut tokio::process::Child) -> Result<()> {
        let Some(pid) = process.id().and_then(|id| i32::try_from(id).ok()) else { return Ok(()) };
        kill(Pid::from_raw(pid), Signal::SIGTERM).context("cannot stop the process")?;
        if time::timeout(STOP_PATIENCE, process.wait()).await.is_err() {
            eprintln!("{} did not stop in {} s and is killed", self.name, STOP_PATIENCE.as_secs());
            process.kill().await?;
        }
        Ok(())
    }

    fn open_log(&self) -> Result<File> {
        let open = || {
            if fs::metadata(&self.log).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
                fs::rename(&self.log, self.log.with_extension("log.1"))?;
            }
            if let Some(folder) = self.log.parent() {
                fs::create_dir_all(folder)?;
            }
            File::options().create(true).append(true).open(&self.log)
        };
        open().with_context(|| self.log.display().to_string())
    }

    fn last_words(&self, status: ExitStatus) -> String {
        if status.success() {
            return format!("{} was stopped by somebody else", self.name);
        }
        format!("{} stopped{}", self.name, self.last_line())
    }

    /// The log's last line, in brackets with the file to read more.
    fn last_line(&self) -> String {
        let log = self.log.display();
        match last_line(&self.log) {
            Some(line) => format!(": {} (log: {log})", line.strip_prefix("lian: ").unwrap_or(&line)),
            None => format!(" (log: {log})"),
        }
    }

    fn ending(&self, reason: String) -> Ending {
        Ending { name: self.name.clone(), reason }
    }
}

/// The last line of a file that is not empty.
fn last_line(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES))).ok()?;
    let mut tail = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut tail).ok()?;
    let text = String::from_utf8_lossy(&tail);
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_last_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.log");
        assert_eq!(last_line(&path), None);
        fs::write(&path, format!("{}\nlast one\n\n", "x".repeat(20_000))).unwrap();
        assert_eq!(last_line(&path).as_deref(), Some("last one"));
    }

    /// The loop that keeps a node running, with a small program in the node's place.
    #[tokio::test]
    async fn gives_up_on_what_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("node.log");
        fs::write(&log, "lian: port 1 is in use\n").unwrap();
        let child = |program: &str| Child {
            name: "node0".into(),
            program: program.into(),
            config: "config.toml".into(),
            log: log.clone(),
        };
        let (_stop, stopping) = watch::channel(false);
        let ending = child("false").keep_running(stopping.clone()).await;
        assert_eq!(ending.reason, format!("node0 stopped: port 1 is in use (log: {})", log.display()));
        let ending = child("/nowhere/lian").keep_running(stopping).await;
        assert!(ending.reason.starts_with("node0 cannot be started: /nowhere/lian: "), "{}", ending.reason);
    }
}
