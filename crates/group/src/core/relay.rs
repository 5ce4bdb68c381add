//! What the leader may never have been given: transactions that wait in vain.

use super::Core;
use lian_types::{ConsensusKey, Millis, limits};

/// What this node has sent on to leaders.
#[derive(Default)]
pub(super) struct Relaying {
    /// Nothing more before this time.
    not_before: Millis,
}

impl Core {
    /// When transactions have waited for so long that the leader is sent them: for half of the time after which members
    /// leave a leader that omits them (pbft §5). Whoever gave them to this node may have kept them from the leader.
    pub(super) fn relay_deadline(&self) -> Option<Millis> {
        let since = self.pool.lock().eligible_since()?;
        self.leader_to_relay_to()?;
        Some(since.saturating_add(self.relay_ms()).max(self.relaying.not_before))
    }

    /// Sends the leader what waits. Each transaction goes to it once in a session, and so many at once that a group that
    /// stands still for another reason is not flooded.
    pub(super) fn relay(&mut self, now: Millis) {
        let Some(leader) = self.leader_to_relay_to() else { return };
        let wait = self.relay_ms();
        let waiting = self.pool.lock().waiting(now.saturating_sub(wait), limits::GOSSIP_TRANSACTIONS_MAX);
        for transaction in &waiting {
            self.gossip.relay(&leader, transaction);
        }
        self.relaying.not_before = now.saturating_add(wait);
        self.schedule_gossip(now);
    }

    fn relay_ms(&self) -> u64 {
        self.parameters_at(self.machine.status().height.next()).censorship_timeout_ms.div_ceil(2)
    }

    /// The leader, where it is another node with a session.
    fn leader_to_relay_to(&self) -> Option<ConsensusKey> {
        self.machine.status().leader.filter(|leader| self.connected.contains(leader))
    }
}
