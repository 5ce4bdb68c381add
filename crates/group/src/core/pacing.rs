//! When a leader proposes: at once when nothing is in flight, and otherwise in strides that grow with the round time,
//! so that blocks are small and quick at light load and large at saturation. A round that is long because messages travel
//! far leaves room for more proposals meanwhile; one that is long because the processors are busy does not, so that no
//! stride is shorter than executing takes.

use lian_types::{BlockNumber, Millis};
use std::collections::BTreeMap;

/// The least time between two proposals while one is open.
const STRIDE_MS_MIN: u64 = 10;
/// The longest time between two proposals while there is something to propose.
const STRIDE_MS_MAX: u64 = 250;
/// A stride is half of a round, and an eighth where little waits, since a wait is felt.
const STRIDES: u64 = 2;
const STRIDES_LIGHT: u64 = 8;
/// What counts as little, in transactions.
const LIGHT: usize = 64;
/// Rounds over which times are averaged.
const ROUNDS_AVERAGED: u64 = 8;

/// The leader's stride.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    /// When this node's open proposals were made.
    open: BTreeMap<BlockNumber, Millis>,
    last: Option<Millis>,
    /// The average time from proposal to durable block, in milliseconds.
    round_ms: u64,
    /// When the execution of blocks was asked for.
    executing: BTreeMap<BlockNumber, Millis>,
    /// The average time from then to the result, in milliseconds: the wait for a processor included.
    execution_ms: u64,
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
            self.round_ms = averaged(self.round_ms, now.since(*began).0);
        }
        self.open.retain(|open, _| *open > height);
        self.executing.retain(|executing, _| *executing > height);
    }

    /// A proposal of this height is to be executed.
    pub(super) fn executing(&mut self, now: Millis, height: BlockNumber) {
        self.executing.insert(height, now);
    }

    /// It was.
    pub(super) fn executed(&mut self, now: Millis, height: BlockNumber) {
        if let Some(began) = self.executing.remove(&height) {
            self.execution_ms = averaged(self.execution_ms, now.since(began).0);
        }
    }

    /// Open proposals were discarded.
    pub(super) fn discarded(&mut self, from: BlockNumber) {
        self.open.retain(|open, _| *open < from);
        self.executing.retain(|executing, _| *executing < from);
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
        let stride = self.round_ms.div_ceil(strides).max(self.execution_ms).clamp(STRIDE_MS_MIN, STRIDE_MS_MAX);
        self.last.map(|last| last.saturating_add(stride))
    }
}

/// The average with one more value; the first one is believed.
fn averaged(average: u64, value: u64) -> u64 {
    let sum = average.saturating_mul(ROUNDS_AVERAGED.saturating_sub(1)).saturating_add(value);
    if average == 0 { value } else { sum.div_ceil(ROUNDS_AVERAGED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stride_is_shorter_than_executing_takes() {
        let mut pacing = Pacing::default();
        pacing.proposed(Millis(0), BlockNumber(1));
        pacing.stored(Millis(80), BlockNumber(1));
        pacing.proposed(Millis(100), BlockNumber(2));
        assert_eq!(pacing.deadline(1), Some(Millis(110)), "an eighth of 80 ms");
        pacing.executing(Millis(100), BlockNumber(2));
        pacing.executed(Millis(125), BlockNumber(2));
        assert_eq!([1, LIGHT].map(|waiting| pacing.deadline(waiting)), [125, 140].map(|due| Some(Millis(due))));
        pacing.executed(Millis(9_000), BlockNumber(2));
        assert_eq!(pacing.deadline(1), Some(Millis(125)), "a result counts once");
        for _ in 0..40 {
            pacing.executing(Millis(0), BlockNumber(3));
            pacing.executed(Millis(2_000), BlockNumber(3));
        }
        assert_eq!(pacing.deadline(1), Some(Millis(100 + STRIDE_MS_MAX)));
        pacing.executing(Millis(0), BlockNumber(4));
        pacing.executing(Millis(0), BlockNumber(5));
        pacing.stored(Millis(0), BlockNumber(4));
        pacing.discarded(BlockNumber(5));
        assert!(pacing.executing.is_empty(), "what was stored or discarded is forgotten");
    }

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
