//! What others may never have been given, or have dropped: transactions that wait in vain.
//!
//! Whoever gave them to this node may have kept them from the leader, or from everybody but a few; a message may have been
//! lost, a pool may have been full. The leader gets them when half of the time is over after which members leave a leader
//! that omits them, all members when the whole of it is (pbft §5): only what more than f members hold can end a view. A
//! transaction that an open proposal holds waits like the others: its leader may have shown it to few.

use super::Core;
use lian_types::{ConsensusKey, Millis, limits};
use std::sync::Arc;

/// What this node has sent on.
#[derive(Default)]
pub(super) struct Relaying {
    /// Nothing more before this time.
    not_before: Millis,
}

impl Core {
    /// When transactions have waited for so long that others are sent them.
    pub(super) fn relay_deadline(&self) -> Option<Millis> {
        let due = self.pool.lock().overdue_at(self.relay_ms())?;
        self.other_members().next()?;
        Some(due.max(self.relaying.not_before))
    }

    /// Sends on what waits, again and again for as long as it does; so many at once that a group that stands still for
    /// another reason is not flooded.
    pub(super) fn relay(&mut self, now: Millis) {
        let wait = self.relay_ms();
        let (early, late) = {
            let pool = self.pool.lock();
            let overdue = |wait| pool.overdue(now, wait, limits::RELAY_TRANSACTIONS_MAX);
            (overdue(wait), overdue(wait.saturating_mul(2)))
        };
        let leader = self.machine.status().leader;
        let peers: Vec<_> = self.other_members().collect();
        for peer in peers {
            let due = if Some(peer) == leader { &early } else { &late };
            for transaction in due {
                self.gossip.relay(&peer, transaction);
            }
        }
        self.relaying.not_before = now.saturating_add(wait);
        self.schedule_gossip(now);
    }

    fn relay_ms(&self) -> u64 {
        self.parameters_at(self.machine.status().height.next()).censorship_timeout_ms.div_ceil(2)
    }

    /// The other members with a session, in a fixed order.
    fn other_members(&self) -> impl Iterator<Item = ConsensusKey> {
        let committee = self.committees().at(self.machine.status().height.next());
        let members = committee.map(|committee| Arc::clone(&committee.members));
        let is_member =
            move |peer: &ConsensusKey| members.as_ref().is_some_and(|all| all.members.index_of(peer).is_some());
        self.connected.iter().copied().filter(is_member)
    }
}
