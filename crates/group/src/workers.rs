//! The threads that check what others send.
//!
//! Each kind of work has its own, as many as there are cores, and the system shares the cores among them: a vote must not
//! wait in a line behind bodies, nor the trie of a block behind the senders of thousands of transactions. A thread without
//! work sleeps at once: at light load, looking around for a while costs more than the work.

use crate::{driver, node::StartError};
use parking_lot::{Condvar, Mutex};
use std::{collections::VecDeque, sync::Arc};

/// Most threads that check votes: a signature takes a twentieth of a millisecond, and a round of 100 members has 300.
const VOTE_THREADS_MAX: usize = 4;
/// While both lines wait, what the peers' line gets of the work for each part that the clients' line gets. A node must take
/// from its peers at least as fast as they take from their clients: a block waits for the slowest of a quorum, and what
/// waits here is already promised there. What is left keeps a peer that floods from shutting clients out.
const PEERS_SHARE: u64 = 31;

/// The worker threads of a node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Workers {
    /// Check consensus messages.
    pub(crate) votes: Crew,
    /// Recover the senders of transactions.
    pub(crate) senders: Crew,
}

impl Workers {
    /// Starts the threads. They end when nobody can have work for them any more.
    ///
    /// # Errors
    /// If the system makes no thread.
    pub(crate) fn start() -> Result<Self, StartError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { votes: Crew::start("votes", cores.min(VOTE_THREADS_MAX))?, senders: Crew::start("senders", cores)? })
    }
}

/// Whose work it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Of other nodes.
    Peers,
    /// Of clients of this node.
    Clients,
}

type Job = Box<dyn FnOnce() + Send>;

/// Threads that do what waits in two lines. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Crew(Arc<Entrance>);

/// Closes the lines when the last clone of a [`Crew`] goes.
struct Entrance(Arc<Desk>);

struct Desk {
    lines: Mutex<Lines<Job>>,
    arrived: Condvar,
}

impl Crew {
    fn start(name: &str, threads: usize) -> Result<Self, StartError> {
        let desk = Arc::new(Desk { lines: Mutex::default(), arrived: Condvar::new() });
        // Made first, so that the threads that run already end if a later one cannot be made.
        let crew = Self(Arc::new(Entrance(Arc::clone(&desk))));
        for number in 0..threads {
            let desk = Arc::clone(&desk);
            driver::spawn(&format!("{name}-{number}"), move || desk.work())?;
        }
        Ok(crew)
    }

    /// Has a thread do it. `amount` is how much work it is, in units that all jobs of the crew have in common.
    pub(crate) fn hand(&self, line: Line, amount: u64, job: impl FnOnce() + Send + 'static) {
        let desk = &self.0.0;
        desk.lines.lock().push(line, amount, Box::new(job));
        desk.arrived.notify_one();
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        self.0.lines.lock().closed = true;
        self.0.arrived.notify_all();
    }
}

impl Desk {
    /// Does jobs until the lines are closed and empty.
    fn work(&self) {
        let mut lines = self.lines.lock();
        loop {
            match lines.pop() {
                Some(job) => parking_lot::MutexGuard::unlocked(&mut lines, job),
                None if lines.closed => return,
                None => self.arrived.wait(&mut lines),
            }
        }
    }
}

/// Two lines, of which the one that has had less of its share is next.
struct Lines<T> {
    peers: Queue<T>,
    clients: Queue<T>,
    closed: bool,
}

struct Queue<T> {
    waiting: VecDeque<(u64, T)>,
    /// The work that it was given, in parts of its share.
    given: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), given: 0 }
    }
}

impl<T> Default for Lines<T> {
    fn default() -> Self {
        Self { peers: Queue::default(), clients: Queue::default(), closed: false }
    }
}

impl<T> Lines<T> {
    fn push(&mut self, line: Line, amount: u64, job: T) {
        let (own, other) = match line {
            Line::Peers => (&mut self.peers, &self.clients),
            Line::Clients => (&mut self.clients, &self.peers),
        };
        // A line that was empty has no claim to what it did not use.
        if own.waiting.is_empty() {
            own.given = own.given.max(other.given);
        }
        own.waiting.push_back((amount, job));
    }

    fn pop(&mut self) -> Option<T> {
        let clients_next = match (self.peers.waiting.is_empty(), self.clients.waiting.is_empty()) {
            (false, false) => self.clients.given < self.peers.given,
            (true, _) => true,
            (false, true) => false,
        };
        let (own, parts) = if clients_next { (&mut self.clients, PEERS_SHARE) } else { (&mut self.peers, 1) };
        let (amount, job) = own.waiting.pop_front()?;
        own.given = own.given.saturating_add(amount.saturating_mul(parts));
        Some(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// What the lines give out, as often as asked: how many of the peers' and of the clients'.
    fn take(lines: &mut Lines<Line>, times: usize) -> (usize, usize) {
        let taken: Vec<_> = (0..times).filter_map(|_| lines.pop()).collect();
        let of_peers = taken.iter().filter(|line| **line == Line::Peers).count();
        (of_peers, taken.len() - of_peers)
    }

    fn fill(lines: &mut Lines<Line>, line: Line, times: usize, amount: u64) {
        (0..times).for_each(|_| lines.push(line, amount, line));
    }

    #[test]
    fn peers_come_first_and_clients_are_not_shut_out() {
        let mut lines = Lines::default();
        fill(&mut lines, Line::Clients, 1_000, 1);
        assert_eq!(take(&mut lines, 500), (0, 500), "who waits alone gets everything");
        fill(&mut lines, Line::Peers, 1_000, 1);
        assert_eq!(take(&mut lines, 320), (310, 10));
        assert_eq!(take(&mut lines, 2_000), (690, 490), "everything gets its turn");
    }

    #[test]
    fn shares_are_of_the_work_and_not_of_the_jobs() {
        let mut lines = Lines::default();
        fill(&mut lines, Line::Peers, 100, 32);
        fill(&mut lines, Line::Clients, 1_000, 1);
        let (of_peers, of_clients) = take(&mut lines, 20 + 20);
        assert!((20..=21).contains(&of_peers) && (19..=20).contains(&of_clients), "{of_peers} and {of_clients}");
    }

    #[test]
    fn an_idle_line_saves_nothing_up() {
        let mut lines = Lines::default();
        fill(&mut lines, Line::Peers, 5_000, 1);
        take(&mut lines, 4_000);
        fill(&mut lines, Line::Clients, 1_000, 1);
        assert_eq!(take(&mut lines, 320), (310, 10));
    }

    #[test]
    fn a_crew_does_everything_before_it_ends() {
        let crew = Crew::start("crew", 3).unwrap();
        let (done, results) = mpsc::channel();
        for number in 0..1_000_u64 {
            let done = done.clone();
            let line = if number % 2 == 0 { Line::Peers } else { Line::Clients };
            crew.clone().hand(line, 1, move || done.send((number, std::thread::current().id())).unwrap());
        }
        drop((crew, done));
        let results: Vec<_> = results.iter().collect();
        let mut numbers: Vec<_> = results.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..1_000).collect::<Vec<_>>());
    }

    #[test]
    fn one_thread_keeps_the_order_of_a_line() {
        let crew = Crew::start("crew", 1).unwrap();
        let (done, results) = mpsc::channel();
        for number in 0..100 {
            let done = done.clone();
            crew.hand(Line::Clients, 1, move || done.send(number).unwrap());
        }
        drop(done);
        assert_eq!(results.iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }
}
