//! Simulated time.

use lian_types::Millis;
use std::fmt;

/// The wall clock at the beginning of every simulation, in milliseconds since 1970.
pub(crate) const BEGINNING: u64 = 1_800_000_000_000;

/// A moment of simulated time, in microseconds since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    /// A moment so many milliseconds after the beginning.
    pub(crate) const fn at_ms(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// The moment so many microseconds later.
    pub(crate) const fn after_us(self, us: u64) -> Self {
        Self(self.0.saturating_add(us))
    }

    /// The moment so many milliseconds later.
    pub(crate) const fn after_ms(self, ms: u64) -> Self {
        self.after_us(ms.saturating_mul(1_000))
    }

    /// Milliseconds since the beginning, rounded down.
    pub(crate) const fn ms(self) -> u64 {
        self.0 / 1_000
    }

    /// What a clock says that is off by so many milliseconds.
    pub(crate) const fn clock(self, skew_ms: i64) -> Millis {
        Millis(BEGINNING.saturating_add(self.ms()).saturating_add_signed(skew_ms))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5}.{:06} s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_be_off() {
        for skew in [0, 250, -3_600_000] {
            let clock = Moment::at_ms(7_200_000).clock(skew);
            assert_eq!(clock, Millis(BEGINNING.saturating_add_signed(7_200_000 + skew)));
        }
        assert_eq!(Moment(1_234_567).to_string(), "    1.234567 s");
    }
}
