//! How a process is told to stop.

use anyhow::Result;
use std::{io::Read, process, thread, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

/// Everything that tells a process to stop.
pub(crate) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
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
            hang_up: signal(SignalKind::hangup())?,
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
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hang_up.recv() => "SIGHUP",
            () = parent_gone => "the process that started this one is gone",
        }
    }
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
