//! Points for misbehaviour.

use lian_types::limits;
use std::time::{Duration, Instant};

/// A peer's points, of which one is forgiven per second, and until when it is banned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conduct {
    points: u32,
    counted: Option<Instant>,
    banned_until: Option<Instant>,
}

impl Conduct {
    /// Adds points; true if that bans the peer.
    pub(crate) fn report(&mut self, now: Instant, weight: u32, ban: Duration) -> bool {
        let counted = self.counted.unwrap_or(now);
        let passed = now.saturating_duration_since(counted).as_secs();
        self.points = self.points.saturating_sub(u32::try_from(passed).unwrap_or(u32::MAX)).saturating_add(weight);
        // Whole seconds only, so that frequent reports do not lose the fractions between them.
        self.counted = counted.checked_add(Duration::from_secs(passed));
        if self.points < limits::MISBEHAVIOUR_POINTS_MAX {
            return false;
        }
        self.points = 0;
        self.banned_until = now.checked_add(ban);
        true
    }

    /// The time the peer still stays out.
    pub(crate) fn banned_for(&self, now: Instant) -> Option<Duration> {
        let rest = self.banned_until?.saturating_duration_since(now);
        (!rest.is_zero()).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_at_the_threshold_and_forgives() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let ban = Duration::from_secs(60);
        let mut conduct = Conduct::default();
        assert!(!conduct.report(at(0), 60, ban));
        assert!(!conduct.report(at(30), 60, ban), "30 points were forgiven");
        assert_eq!(conduct.banned_for(at(30)), None);
        assert!(conduct.report(at(31), 20, ban));
        assert_eq!(conduct.banned_for(at(41)), Some(Duration::from_secs(50)));
        assert_eq!(conduct.banned_for(at(91)), None);
        assert!(!conduct.report(at(91), 99, ban));
    }
}
