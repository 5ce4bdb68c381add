//! A bound on the bytes read from a peer per second.

use std::time::{Duration, Instant};

/// A token bucket that holds one second's worth.
#[derive(Debug)]
pub(crate) struct Throttle {
    bytes_per_second: u64,
    available: u64,
    filled: Instant,
}

impl Throttle {
    pub(crate) const fn new(now: Instant, bytes_per_second: u64) -> Self {
        Self { bytes_per_second, available: bytes_per_second, filled: now }
    }

    /// Counts bytes read; gives how long to wait before reading more.
    pub(crate) fn spend(&mut self, now: Instant, bytes: u64) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.filled);
        let fill = u128::from(self.bytes_per_second).saturating_mul(passed.as_micros()) / 1_000_000;
        let fill = u64::try_from(fill).unwrap_or(u64::MAX);
        // The time is kept while less than a byte has come in, so that frequent small reads lose nothing.
        if fill > 0 {
            self.available = self.available.saturating_add(fill).min(self.bytes_per_second);
            self.filled = now;
        }
        if bytes <= self.available {
            self.available = self.available.saturating_sub(bytes);
            return None;
        }
        let missing = bytes.saturating_sub(self.available);
        self.available = 0;
        let wait = u128::from(missing).saturating_mul(1_000_000) / u128::from(self.bytes_per_second.max(1));
        let wait = Duration::from_micros(u64::try_from(wait).unwrap_or(u64::MAX));
        self.filled = now.checked_add(wait).unwrap_or(now);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_rate_after_a_burst() {
        let start = Instant::now();
        let mut throttle = Throttle::new(start, 1_000);
        assert_eq!(throttle.spend(start, 1_000), None);
        assert_eq!(throttle.spend(start, 500), Some(Duration::from_millis(500)));
        let later = start + Duration::from_millis(500);
        assert_eq!(throttle.spend(later, 250), Some(Duration::from_millis(250)));
        let much_later = start + Duration::from_secs(60);
        assert_eq!(throttle.spend(much_later, 1_000), None, "at most one second is saved up");
        assert!(throttle.spend(much_later, 1).is_some());
    }
}
