//! The wall clock, read in one place, and the time that a core lives in.

use lian_types::Millis;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Now, in milliseconds since 1970; 0 on a clock that stands before.
#[must_use]
pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The time of a core: it is the wall clock's, but never goes back and never stands still. After the wall clock was set
/// back, it goes on at half the pace until the two agree, so that timers keep running.
#[derive(Clone, Copy, Debug, Default)]
pub struct SteadyClock {
    now: Millis,
    /// The reading of the steady timer at the last step, in milliseconds.
    running: Millis,
    /// Milliseconds that have passed since and were not enough for a half.
    odd: u64,
}

impl SteadyClock {
    /// A clock that shows the wall clock's time; `running` is a timer's that never is set, in milliseconds.
    #[must_use]
    pub const fn new(wall: Millis, running: Millis) -> Self {
        Self { now: wall, running, odd: 0 }
    }

    /// The time, given what the wall clock and the timer say now.
    pub fn step(&mut self, wall: Millis, running: Millis) -> Millis {
        let passed = running.since(self.running).0.saturating_add(self.odd);
        self.running = self.running.max(running);
        self.odd = passed % 2;
        self.now = self.now.saturating_add(passed / 2).max(wall);
        self.now
    }

    /// The time of the last step.
    #[must_use]
    pub const fn now(&self) -> Millis {
        self.now
    }
}

/// A [`SteadyClock`] on this machine's clocks.
pub(crate) struct MachineClock {
    clock: SteadyClock,
    begun: Instant,
}

impl MachineClock {
    pub(crate) fn new() -> Self {
        Self { clock: SteadyClock::new(now(), Millis::ZERO), begun: Instant::now() }
    }

    /// The time now.
    pub(crate) fn step(&mut self) -> Millis {
        let running = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.clock.step(now(), Millis(running))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn it_follows_the_wall_clock_forward() {
        let mut clock = SteadyClock::new(Millis(HOUR), Millis(0));
        assert_eq!(clock.step(Millis(HOUR + 10), Millis(10)), Millis(HOUR + 10));
        assert_eq!(clock.step(Millis(9 * HOUR), Millis(11)), Millis(9 * HOUR), "it was set forward");
    }

    #[test]
    fn a_wall_clock_that_is_set_back_stops_no_timer() {
        let mut clock = SteadyClock::new(Millis(2 * HOUR), Millis(0));
        let mut before = clock.now();
        for ms in 1..=1_001 {
            let now = clock.step(Millis(HOUR + ms), Millis(ms));
            assert!(now >= before, "time never goes back");
            before = now;
        }
        assert_eq!(before, Millis(2 * HOUR + 500));
        assert_eq!(clock.step(Millis(3 * HOUR), Millis(2 * HOUR)), Millis(3 * HOUR), "the two agree again");
        assert_eq!(clock.step(Millis(3 * HOUR + 7), Millis(2 * HOUR + 7)), Millis(3 * HOUR + 7));
    }
}
