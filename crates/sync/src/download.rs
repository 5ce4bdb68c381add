//! Which heights are asked for, here, or still to be asked for.

use crate::BlockWithCertificate;
use lian_types::{ConsensusKey, Millis, limits};
use std::{collections::BTreeMap, ops::Range};

/// A request on its way.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) peer: ConsensusKey,
    pub(crate) heights: Range<u64>,
    pub(crate) sent: Millis,
    pub(crate) deadline: Millis,
}

/// Blocks of one peer, without gap, that wait for their turn to be verified.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) peer: ConsensusKey,
    pub(crate) blocks: Vec<BlockWithCertificate>,
    pub(crate) bytes: usize,
}

/// The heights above the last verified one: each below `frontier` is in exactly one of `gaps`, `requests` and `received`.
#[derive(Debug, Default)]
pub(crate) struct Download {
    next_request: u64,
    /// The first height that was never asked for.
    frontier: u64,
    /// Heights below the frontier that must be asked for again, by their first.
    gaps: BTreeMap<u64, u64>,
    requests: BTreeMap<u64, Request>,
    /// By their first height.
    received: BTreeMap<u64, Received>,
    received_bytes: usize,
}

impl Download {
    /// Starts over from a height.
    pub(crate) fn restart(&mut self, from: u64) {
        *self = Self { next_request: self.next_request, frontier: from, ..Self::default() };
    }

    /// Heights that may be asked for, the lowest first, below `until`.
    pub(crate) fn wanted(&self, until: u64) -> Vec<Range<u64>> {
        let gaps = self.gaps.iter().map(|(from, until)| *from..*until);
        gaps.chain(std::iter::once(self.frontier..until)).filter(|heights| !heights.is_empty()).collect()
    }

    /// Bytes that are here, or may arrive.
    pub(crate) fn bytes(&self) -> usize {
        self.received_bytes.saturating_add(self.requests.len().saturating_mul(limits::SYNC_RESPONSE_BYTES_MAX))
    }

    /// Notes a request for the first of some wanted heights. Returns its number.
    pub(crate) fn request(&mut self, request: Request) -> u64 {
        let number = self.next_request;
        self.next_request = number.saturating_add(1);
        let Range { start, end } = request.heights;
        if let Some(gap_end) = self.gaps.remove(&start) {
            self.give_back(end..gap_end);
        } else {
            self.frontier = self.frontier.max(end);
        }
        self.requests.insert(number, request);
        number
    }

    /// Whether a request number was ever used.
    pub(crate) const fn was_used(&self, number: u64) -> bool {
        number < self.next_request
    }

    /// The request that a peer answers, which is then over.
    pub(crate) fn take_request(&mut self, number: u64, peer: &ConsensusKey) -> Option<Request> {
        if self.requests.get(&number)?.peer != *peer {
            return None;
        }
        self.requests.remove(&number)
    }

    /// A request whose time is over.
    pub(crate) fn take_late(&mut self, now: Millis) -> Option<Request> {
        let number = *self.requests.iter().find(|(_, request)| request.deadline <= now)?.0;
        self.requests.remove(&number)
    }

    /// When the next request is late.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        self.requests.values().map(|request| request.deadline).min()
    }

    /// Heights that must be asked for again.
    pub(crate) fn give_back(&mut self, heights: Range<u64>) {
        if !heights.is_empty() {
            self.gaps.insert(heights.start, heights.end);
        }
    }

    /// Keeps blocks until it is their turn.
    pub(crate) fn keep(&mut self, from: u64, peer: ConsensusKey, blocks: Vec<BlockWithCertificate>) {
        let bytes = blocks.iter().fold(0usize, |sum, block| sum.saturating_add(block.bytes()));
        self.received_bytes = self.received_bytes.saturating_add(bytes);
        self.received.insert(from, Received { peer, blocks, bytes });
    }

    /// The blocks whose turn it is: those that start at `height`.
    pub(crate) fn take_received(&mut self, height: u64) -> Option<Received> {
        let received = self.received.remove(&height)?;
        self.received_bytes = self.received_bytes.saturating_sub(received.bytes);
        Some(received)
    }

    /// Gives up all that one peer was asked for or has sent.
    pub(crate) fn abandon(&mut self, peer: &ConsensusKey) {
        let requests: Vec<u64> =
            self.requests.iter().filter(|(_, r)| r.peer == *peer).map(|(number, _)| *number).collect();
        for number in requests {
            if let Some(request) = self.requests.remove(&number) {
                self.give_back(request.heights);
            }
        }
        let received: Vec<u64> = self.received.iter().filter(|(_, r)| r.peer == *peer).map(|(from, _)| *from).collect();
        for from in received {
            if let Some(received) = self.take_received(from) {
                let count = u64::try_from(received.blocks.len()).unwrap_or(u64::MAX);
                self.give_back(from..from.saturating_add(count));
            }
        }
    }

    /// Forgets heights that came to be final in another way: only those from `height` on are still needed.
    pub(crate) fn skip_to(&mut self, height: u64) {
        self.frontier = self.frontier.max(height);
        while let Some(gap) = self.gaps.first_entry().filter(|gap| *gap.key() < height) {
            let end = gap.remove();
            self.give_back(height..end);
        }
        while let Some(entry) = self.received.first_entry().filter(|received| *received.key() < height) {
            let (from, mut received) = entry.remove_entry();
            self.received_bytes = self.received_bytes.saturating_sub(received.bytes);
            let passed = usize::try_from(height.saturating_sub(from)).unwrap_or(usize::MAX);
            if passed < received.blocks.len() {
                received.blocks.drain(..passed);
                self.keep(height, received.peer, received.blocks);
            }
        }
        // Requests stay on their way; what they bring below the height is cut then.
    }
}
