//! When a leader proposes: at once when nothing is in flight, and otherwise in strides that grow with the round time,
//! so that blocks are small and quick at light load and large at saturation.

use lian_types::{BlockNumber, Millis};
use std::collections::BTreeMap;

/// The least time between two proposals while one is open.
const STRIDE_MS_MIN: u64 = 10;
/// The longest time between two proposals while there is something to propose.
const STRIDE_MS_MAX: u64 = 250;
/// A stride is half of a round, and an eighth where little waits: small blocks are cheap, and a wait is felt.
const STRIDES: u64 = 2;
const STRIDES_LIGHT: u64 = 8;
/// What counts as little, in transactions.
const LIGHT: usize = 64;
/// Rounds over which the round time is averaged.
const ROUNDS_AVERAGED: u64 = 8;

/// The leader's stride.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    /// When this node's open proposals were made.
    open: BTreeMap<BlockNumber, Millis>,
    last: Option<Millis>,
    /// The average time from proposal to durable block, in milliseconds.
    round_ms: u64,
}

impl Pacing {
    /// This node proposed.
    pub(super) fn proposed(&mut self, now: Millis, height: BlockNumber) {
        self.open.insert(height, now);
        self.last = Some(now);
    }

    /// A block is durable.
    pub(super) fn stored(&mut self, now: Millis, height: BlockNumber) {
        if let Some(began) = self.open.get(&height) {
            let took = now.since(*began).0;
            let sum = self.round_ms.saturating_mul(ROUNDS_AVERAGED.saturating_sub(1)).saturating_add(took);
            self.round_ms = if self.round_ms == 0 { took } else { sum.div_ceil(ROUNDS_AVERAGED) };
        }
        self.open.retain(|open, _| *open > height);
    }

    /// Open proposals were discarded.
    pub(super) fn discarded(&mut self, from: BlockNumber) {
        self.open.retain(|open, _| *open < from);
    }

    /// Whether to propose now, with `waiting` transactions ready and room for `full` in a block.
    pub(super) fn allows(&self, now: Millis, waiting: usize, full: usize) -> bool {
        self.open.is_empty() || waiting >= full || self.deadline(waiting).is_none_or(|due| due <= now)
    }

    /// When the next stride ends with `waiting` transactions ready, while a proposal is open.
    pub(super) fn deadline(&self, waiting: usize) -> Option<Millis> {
        if self.open.is_empty() {
            return None;
        }
        let strides = if waiting < LIGHT { STRIDES_LIGHT } else { STRIDES };
        let stride = self.round_ms.div_ceil(strides).clamp(STRIDE_MS_MIN, STRIDE_MS_MAX);
        self.last.map(|last| last.saturating_add(stride))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposes_at_once_when_idle_and_in_strides_under_load() {
        let mut pacing = Pacing::default();
        assert!(pacing.allows(Millis(0), 1, 100));
        pacing.proposed(Millis(0), BlockNumber(1));
        assert!(!pacing.allows(Millis(5), 1, 100));
        assert!(pacing.allows(Millis(5), 100, 100));
        assert!(pacing.allows(Millis(STRIDE_MS_MIN), 1, 100));
        pacing.stored(Millis(60), BlockNumber(1));
        assert!(pacing.allows(Millis(60), 1, 100));
        pacing.proposed(Millis(60), BlockNumber(2));
        assert_eq!(pacing.deadline(LIGHT), Some(Millis(90)));
        assert_eq!(pacing.deadline(LIGHT - 1), Some(Millis(70)), "a short stride, but no shorter than the least");
        pacing.stored(Millis(800), BlockNumber(2));
        pacing.proposed(Millis(800), BlockNumber(3));
        let round = pacing.round_ms;
        assert_eq!(pacing.deadline(LIGHT - 1), Some(Millis(800 + round.div_ceil(8))));
        pacing.discarded(BlockNumber(3));
        assert!(pacing.allows(Millis(801), 1, 100));
    }
}
