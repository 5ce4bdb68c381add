//! The threads that check what others send.
//!
//! Each kind of work has its own, as many as there are cores, and the system shares the cores among them: a vote must not
//! wait in a line behind bodies, nor the trie of a block behind the senders of thousands of transactions.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::Arc;

/// Most threads that check votes: a signature takes a twentieth of a millisecond, and a round of 100 members has 300.
const VOTE_THREADS_MAX: usize = 4;

/// The worker threads of a node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Workers {
    /// Check consensus messages.
    pub(crate) votes: Arc<ThreadPool>,
    /// Recover the senders of transactions, those of clients and of peers in one line.
    pub(crate) senders: Arc<ThreadPool>,
}

impl Workers {
    /// Starts the threads. They end when nobody has work for them any more.
    ///
    /// # Errors
    /// If the system makes no thread.
    pub(crate) fn start() -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let pool = |name: &'static str, threads: usize| {
            let builder = ThreadPoolBuilder::new().num_threads(threads).thread_name(move |i| format!("{name}-{i}"));
            builder.build().map(Arc::new).map_err(std::io::Error::other)
        };
        Ok(Self { votes: pool("votes", cores.min(VOTE_THREADS_MAX))?, senders: pool("senders", cores)? })
    }
}
