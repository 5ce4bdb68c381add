//! The filters that clients install and ask now and then.
//!
//! A filter keeps no list of its own: for blocks and logs it remembers the next height to look at, and for pending
//! transactions its place in one shared list of recent hashes. So a forgotten filter costs a few bytes.

use crate::{RpcLimits, criteria::Criteria, error::CallError, routes::random_id};
use alloy_primitives::TxHash;
use alloy_rpc_types_eth::Filter;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

/// What a filter watches.
#[derive(Clone, Debug)]
pub(crate) enum Watch {
    /// Hashes of new blocks, from a height on.
    Blocks { next: u64 },
    /// Logs, from a height on.
    Logs { next: u64, criteria: Arc<Criteria>, filter: Arc<Filter> },
    /// Hashes of transactions that the pool admits, from a place in the shared list on.
    Pending { next: u64 },
}

/// The filters of one group.
#[derive(Debug)]
pub(crate) struct Filters {
    installed: Mutex<HashMap<String, Installed>>,
    recent: Mutex<Recent>,
    filters_max: usize,
    changes_max: usize,
    idle_max: Duration,
}

#[derive(Debug)]
struct Installed {
    watch: Watch,
    asked: Instant,
}

/// The newest hashes that the pool admitted.
#[derive(Debug, Default)]
struct Recent {
    /// The place of the first hash in the list.
    first: u64,
    hashes: VecDeque<TxHash>,
    /// Whether a task listens to the pool.
    listening: bool,
}

impl Filters {
    pub(crate) fn new(limits: &RpcLimits) -> Self {
        Self {
            installed: Mutex::default(),
            recent: Mutex::default(),
            filters_max: limits.filters_max,
            changes_max: limits.filter_changes_max,
            idle_max: Duration::from_millis(limits.filter_idle_ms_max),
        }
    }

    /// Installs a filter and gives its id.
    ///
    /// # Errors
    /// [`CallError::LimitExceeded`] where there are too many.
    pub(crate) fn install(&self, watch: Watch, now: Instant) -> Result<String, CallError> {
        self.insert(&mut self.installed.lock(), watch, now)
    }

    /// Installs a filter on the pool, gives its id, and says whether the caller must begin to listen to the pool.
    ///
    /// # Errors
    /// [`CallError::LimitExceeded`] where there are too many.
    pub(crate) fn install_pending(&self, now: Instant) -> Result<(String, bool), CallError> {
        // Both locks are held, in the order of `pending_is_watched`, so that listening cannot end in between.
        let mut installed = self.installed.lock();
        let mut recent = self.recent.lock();
        let id = self.insert(&mut installed, Watch::Pending { next: recent.end() }, now)?;
        Ok((id, !std::mem::replace(&mut recent.listening, true)))
    }

    /// Filters that nobody has asked for too long make room first.
    fn insert(
        &self,
        installed: &mut HashMap<String, Installed>,
        watch: Watch,
        now: Instant,
    ) -> Result<String, CallError> {
        if installed.len() >= self.filters_max {
            installed.retain(|_, filter| now.saturating_duration_since(filter.asked) <= self.idle_max);
        }
        if installed.len() >= self.filters_max {
            let message =
                format!("limit of {} filters reached; uninstall some, or use subscriptions", self.filters_max);
            return Err(CallError::LimitExceeded(message));
        }
        let id = random_id();
        installed.insert(id.clone(), Installed { watch, asked: now });
        Ok(id)
    }

    /// Removes a filter, and says whether there was one.
    pub(crate) fn uninstall(&self, id: &str) -> bool {
        self.installed.lock().remove(id).is_some()
    }

    /// What a filter watches; asking keeps it alive.
    ///
    /// # Errors
    /// [`CallError::Refused`] where there is none, or it was idle too long.
    pub(crate) fn ask(&self, id: &str, now: Instant) -> Result<Watch, CallError> {
        let mut installed = self.installed.lock();
        let alive = installed.get_mut(id).filter(|f| now.saturating_duration_since(f.asked) <= self.idle_max);
        if let Some(filter) = alive {
            filter.asked = now;
            return Ok(filter.watch.clone());
        }
        installed.remove(id);
        Err(CallError::refused("filter not found"))
    }

    /// Moves a filter on. Two clients that ask one filter at once get the same changes rather than none.
    pub(crate) fn advance(&self, id: &str, to: u64) {
        if let Some(filter) = self.installed.lock().get_mut(id) {
            let (Watch::Blocks { next } | Watch::Logs { next, .. } | Watch::Pending { next }) = &mut filter.watch;
            *next = to.max(*next);
        }
    }

    /// Notes a transaction that the pool admitted.
    pub(crate) fn note_pending(&self, hash: TxHash) {
        let mut recent = self.recent.lock();
        if recent.hashes.len() >= self.changes_max && recent.hashes.pop_front().is_some() {
            recent.first = recent.first.saturating_add(1);
        }
        recent.hashes.push_back(hash);
    }

    /// Whether anybody still watches the pool. If not, the list is emptied and listening ends.
    pub(crate) fn pending_is_watched(&self, now: Instant) -> bool {
        let installed = self.installed.lock();
        let watched = installed.values().any(|filter| {
            matches!(filter.watch, Watch::Pending { .. })
                && now.saturating_duration_since(filter.asked) <= self.idle_max
        });
        if !watched {
            let mut recent = self.recent.lock();
            let end = recent.end();
            *recent = Recent { first: end, ..Recent::default() };
        }
        watched
    }

    /// The hashes from a place on, and the place behind them. Hashes that were displaced by newer ones are missing:
    /// whoever asks that rarely cannot have all of them.
    pub(crate) fn pending_since(&self, place: u64) -> (Vec<TxHash>, u64) {
        let recent = self.recent.lock();
        let skip = usize::try_from(place.saturating_sub(recent.first)).unwrap_or(usize::MAX);
        (recent.hashes.iter().skip(skip).copied().collect(), recent.end())
    }
}

impl Recent {
    fn end(&self) -> u64 {
        self.first.saturating_add(u64::try_from(self.hashes.len()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;

    fn filters(filters_max: usize, filter_changes_max: usize) -> Filters {
        let limits = RpcLimits { filters_max, filter_changes_max, filter_idle_ms_max: 1_000, ..RpcLimits::default() };
        Filters::new(&limits)
    }

    #[test]
    fn idle_filters_make_room_and_others_do_not() {
        let filters = filters(2, 9);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let first = filters.install(Watch::Blocks { next: 1 }, at(0)).unwrap();
        let second = filters.install(Watch::Blocks { next: 1 }, at(0)).unwrap();
        let error = filters.install(Watch::Blocks { next: 1 }, at(1)).unwrap_err();
        assert!(error.to_string().starts_with("limit of 2 filters reached"), "{error}");
        assert!(filters.ask(&second, at(900)).is_ok());
        let third = filters.install(Watch::Blocks { next: 1 }, at(1_500)).unwrap();
        assert_eq!(filters.ask(&first, at(1_500)).unwrap_err(), CallError::refused("filter not found"));
        assert!(filters.ask(&second, at(1_500)).is_ok());
        assert!(filters.uninstall(&third) && !filters.uninstall(&third));
        assert!(filters.ask(&second, at(9_999)).is_err(), "idle too long");
    }

    #[test]
    fn filters_move_forward_only() {
        let filters = filters(2, 9);
        let now = Instant::now();
        let id = filters.install(Watch::Blocks { next: 5 }, now).unwrap();
        filters.advance(&id, 9);
        filters.advance(&id, 7);
        assert!(matches!(filters.ask(&id, now), Ok(Watch::Blocks { next: 9 })));
    }

    #[test]
    fn recent_hashes_are_bounded() {
        let filters = filters(2, 3);
        let hash = B256::repeat_byte;
        let now = Instant::now();
        let (first, listen) = filters.install_pending(now).unwrap();
        assert!(listen);
        (1..=5).for_each(|byte| filters.note_pending(hash(byte)));
        assert_eq!(filters.pending_since(0), (vec![hash(3), hash(4), hash(5)], 5));
        assert_eq!(filters.pending_since(4), (vec![hash(5)], 5));
        assert_eq!(filters.pending_since(5), (vec![], 5));
        let (second, listen) = filters.install_pending(now).unwrap();
        assert!(!listen);
        assert!(matches!(filters.ask(&second, now), Ok(Watch::Pending { next: 5 })));
        filters.uninstall(&first);
        assert!(filters.pending_is_watched(now));
        filters.uninstall(&second);
        assert!(!filters.pending_is_watched(now));
        let (third, listen) = filters.install_pending(now).unwrap();
        assert!(listen);
        assert!(matches!(filters.ask(&third, now), Ok(Watch::Pending { next: 5 })));
    }
}
