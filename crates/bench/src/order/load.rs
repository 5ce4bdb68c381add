//! A member's clients: as many payloads outstanding as they may be, in batches.

use super::{
    member::{Event, Member},
    payload::Batch,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Payloads that are sent together at most.
const BATCH_MAX: usize = 500;
/// Before looking again whether there is room.
const PAUSE: Duration = Duration::from_millis(1);

/// The clients of one member.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Load {
    /// Begins to send payloads of so many bytes, of which `outstanding` are not final at most.
    pub(super) fn start(member: &Member, payload_bytes: usize, outstanding: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (events, peers) = (member.events(), member.peers());
        let (number, final_own) = (member.number(), member.final_own());
        let is_stopped = Arc::clone(&stop);
        let failure = member.failures();
        let thread = std::thread::spawn(move || {
            let mut sent = 0u64;
            while !is_stopped.load(Ordering::Relaxed) && failure.get().is_none() {
                let open = sent.saturating_sub(final_own.load(Ordering::Relaxed));
                let room = outstanding.saturating_sub(usize::try_from(open).unwrap_or(usize::MAX));
                let count = room.min(BATCH_MAX);
                // Few at a time would cost more than they are worth, where many are outstanding.
                if count < BATCH_MAX.min(outstanding / 4).max(1) {
                    std::thread::sleep(PAUSE);
                    continue;
                }
                let now = Instant::now();
                let batch = Batch::make(number, sent, count, payload_bytes);
                sent = sent.saturating_add(count as u64);
                if !peers.send(&batch, &failure) || events.send(Event::Own { batch, sent: now }).is_err() {
                    break;
                }
            }
            sent
        });
        Self { stop, thread }
    }

    /// Ends sending; returns how many payloads were sent.
    pub(super) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}
