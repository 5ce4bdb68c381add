//! How a process is told to stop.

use anyhow::Result;
use std::{error::Error, fmt, io::Read, process, thread, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

/// Why a node stopped, or did not start, where it would do so again until a person has acted. Whoever restarts nodes that
/// fail knows it by the exit status.
#[derive(Debug)]
pub(crate) struct NeedsOperator(pub(crate) String);

impl fmt::Display for NeedsOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for NeedsOperator {}

/// Everything that tells a process to stop.
pub(crate) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Option<Signal>,
    parent_gone: Option<oneshot::Receiver<()>>,
}

impl StopSignals {
    /// Listens from now on, so that no signal is missed while the process starts.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn listen(follow_stdin: bool) -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: if is_hang_up_ignored() { None } else { Some(signal(SignalKind::hangup())?) },
            parent_gone: if follow_stdin { Some(watch_stdin()?) } else { None },
        })
    }

    /// Waits until one comes and names it.
    pub(crate) async fn requested(&mut self) -> &'static str {
        let parent_gone = async {
            match &mut self.parent_gone {
                // An error means that the watching thread is gone, which it is only after it has seen the end.
                Some(gone) => drop(gone.await),
                None => std::future::pending().await,
            }
        };
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            () = hang_up => "SIGHUP",
            () = parent_gone => "the process that started this one is gone",
        }
    }
}

/// Whether whoever started this process wants it to outlive its terminal, as `nohup` does by ignoring SIGHUP. Listening
/// for the signal would undo that.
fn is_hang_up_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores(&status, SignalKind::hangup().as_raw_value())
}

/// Whether a process with this `/proc/…/status` ignores a signal: proc(5), a mask of signals, the first in bit 0.
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    u32::try_from(signal.saturating_sub(1)).is_ok_and(|bit| mask.checked_shr(bit).is_some_and(|rest| rest & 1 == 1))
}

/// Tells when standard input ends, which it does when the process at its other end does, however that ends.
fn watch_stdin() -> Result<oneshot::Receiver<()>> {
    let (ended, receiver) = oneshot::channel();
    thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let mut buffer = [0; 64];
        while std::io::stdin().read(&mut buffer).is_ok_and(|read| read > 0) {}
        // The receiver is gone when the node stops for another reason.
        let _ = ended.send(());
    })?;
    Ok(receiver)
}

/// Ends the process if stopping takes longer than this; what is durable stays so.
pub(crate) fn within(patience: Duration) {
    let watchdog = thread::Builder::new().name("stop".to_owned()).spawn(move || {
        thread::sleep(patience);
        tracing::error!(seconds = patience.as_secs(), "stopping took too long, the process ends now");
        process::exit(1);
    });
    if let Err(error) = watchdog {
        tracing::warn!(%error, "no thread to watch over the stop");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_which_signals_are_ignored() {
        let status = "Name:\tlian\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\tffffffffffffffff\n";
        for (signal, expected) in [(1, true), (2, false), (13, true), (15, false), (0, false), (200, false)] {
            assert_eq!(ignores(status, signal), expected, "{signal}");
        }
        assert!(!ignores("", 1));
    }
}
