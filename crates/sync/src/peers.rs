//! What is known of peers, and how far they are trusted to answer.

use crate::{SyncError, SyncStatus};
use alloy_primitives::B256;
use lian_types::{BlockNumber, ConsensusKey, Millis, limits};
use std::collections::BTreeMap;

/// What a peer did that an honest one does not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misbehaviour {
    /// It sent a block that does not hold.
    #[error("sent a block that does not hold: {0}")]
    BadBlock(SyncError),
    /// It answered a request that it was not sent.
    #[error("answered request {0}, which it was never sent")]
    Unrequested(u64),
    /// It sent more blocks than asked for, or blocks of other heights.
    #[error("answered a request for {count} blocks from {from} with other blocks")]
    WrongBlocks {
        /// The first height asked for.
        from: BlockNumber,
        /// How many blocks were asked for.
        count: u64,
    },
    /// It never delivers a height that it says it has.
    #[error("says it has block {height}, but does not deliver it")]
    Withheld {
        /// The height.
        height: BlockNumber,
    },
    /// Its answers are needlessly short, time after time.
    #[error("answers with less than it could, {0} times in a row")]
    ShortAnswers(u32),
    /// It does not answer in time, time after time.
    #[error("did not answer in time, {0} times in a row")]
    Unresponsive(u32),
    /// It reports another final block for a height: one of the two nodes has left the chain.
    #[error("reports block {theirs} at height {height}, this node has {ours}")]
    Forked {
        /// The height.
        height: BlockNumber,
        /// The peer's hash.
        theirs: B256,
        /// This node's hash.
        ours: B256,
    },
}

/// A peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) connected: bool,
    /// What it says that it has.
    pub(crate) status: Option<SyncStatus>,
    /// Blocks from the first to the second height, which consensus has seen it know of. It may not have them yet.
    pub(crate) claimed: Option<(BlockNumber, BlockNumber)>,
    pub(crate) in_flight: usize,
    /// How many blocks it is asked for at once: doubles while it is quick, halves when it is late.
    pub(crate) count: u64,
    /// How often its time for an answer is doubled.
    pub(crate) patience: u32,
    /// Late answers in a row.
    pub(crate) late: u32,
    /// Answers in a row without a block that it says it has.
    pub(crate) withheld: u32,
    /// Needlessly short answers in a row.
    pub(crate) short: u32,
    /// Others are preferred until then.
    pub(crate) not_before: Millis,
    /// When it was late last.
    missed_at: Option<Millis>,
    /// It lied, and is not asked until then.
    pub(crate) banned_until: Option<Millis>,
}

/// Blocks that a peer whose speed is unknown is asked for.
const COUNT_FIRST: u64 = 32;

impl Peer {
    const fn new() -> Self {
        Self {
            connected: true,
            status: None,
            claimed: None,
            in_flight: 0,
            count: COUNT_FIRST,
            patience: 0,
            late: 0,
            withheld: 0,
            short: 0,
            not_before: Millis::ZERO,
            missed_at: None,
            banned_until: None,
        }
    }

    /// The time that it has for an answer.
    pub(crate) fn timeout(&self, base: Millis) -> Millis {
        let factor = 1u64.checked_shl(self.patience).unwrap_or(u64::MAX);
        Millis(base.0.saturating_mul(factor).min(limits::SYNC_TIMEOUT_MS_MAX))
    }

    /// It answered, `took` after it was asked.
    pub(crate) fn answered(&mut self, took: Millis, base: Millis) {
        self.late = 0;
        self.not_before = Millis::ZERO;
        if took.0 <= self.timeout(base).0 / 4 {
            self.patience = self.patience.saturating_sub(1);
            let most = u64::try_from(limits::SYNC_BLOCKS_MAX).unwrap_or(u64::MAX);
            self.count = self.count.saturating_mul(2).min(most);
        }
    }

    /// It did not answer in time what it was asked at `sent`. Requests that were on their way together count once.
    pub(crate) fn missed(&mut self, now: Millis, sent: Millis, base: Millis) {
        if self.missed_at.is_some_and(|missed| sent < missed) {
            return;
        }
        self.missed_at = Some(now);
        self.late = self.late.saturating_add(1);
        self.count = (self.count / 2).max(1);
        self.not_before = now.saturating_add(self.timeout(base).0.saturating_mul(4));
        if self.timeout(base).0 < limits::SYNC_TIMEOUT_MS_MAX {
            self.patience = self.patience.saturating_add(1);
        }
    }

    fn can_be_asked(&self) -> bool {
        self.connected && self.banned_until.is_none()
    }

    /// Whether it says that it has a block.
    pub(crate) fn says(&self, height: u64) -> bool {
        self.status.is_some_and(|status| (status.oldest.0..=status.height.0).contains(&height))
    }

    /// Whether it may have a block, and be asked for it.
    pub(crate) fn serves(&self, height: u64) -> bool {
        let claimed = self.claimed.is_some_and(|(first, last)| (first.0..=last.0).contains(&height));
        self.can_be_asked() && (claimed || self.says(height))
    }

    /// The largest height that it may have.
    pub(crate) fn height(&self) -> Option<BlockNumber> {
        self.status.map(|status| status.height).max(self.claimed.map(|(_, last)| last))
    }
}

/// All peers.
#[derive(Debug, Default)]
pub(crate) struct Peers(BTreeMap<ConsensusKey, Peer>);

impl Peers {
    /// A session begins. Returns whether the peer is remembered; a full table takes no more.
    pub(crate) fn connected(&mut self, key: ConsensusKey) -> bool {
        if let Some(peer) = self.0.get_mut(&key) {
            peer.connected = true;
            return true;
        }
        let room = self.0.len() < limits::SYNC_PEERS_MAX;
        if room {
            self.0.insert(key, Peer::new());
        }
        room
    }

    /// A session ended. A peer that lied is remembered, so that a new session does not wash it clean.
    pub(crate) fn disconnected(&mut self, key: &ConsensusKey) {
        let Some(peer) = self.0.get_mut(key) else { return };
        if peer.banned_until.is_some() {
            peer.connected = false;
            peer.status = None;
            peer.claimed = None;
        } else {
            self.0.remove(key);
        }
    }

    pub(crate) fn get_mut(&mut self, key: &ConsensusKey) -> Option<&mut Peer> {
        self.0.get_mut(key)
    }

    /// Whether a peer's word counts.
    pub(crate) fn trusts(&self, key: &ConsensusKey) -> bool {
        self.0.get(key).is_some_and(Peer::can_be_asked)
    }

    /// Everyone with a session.
    pub(crate) fn all_connected(&self) -> impl Iterator<Item = ConsensusKey> {
        self.0.iter().filter(|(_, peer)| peer.connected).map(|(key, _)| *key)
    }

    /// The largest height that a peer may have. The word of those that did not deliver lately counts only where
    /// there is no other, so that a boaster keeps nobody from having caught up for long.
    pub(crate) fn height_max(&self, now: Millis) -> BlockNumber {
        let heights = |prompt: bool| {
            let peers = self.0.values().filter(move |peer| peer.can_be_asked() && (!prompt || peer.not_before <= now));
            peers.filter_map(Peer::height).max()
        };
        heights(true).or_else(|| heights(false)).unwrap_or_default()
    }

    /// Lifts bans that are over.
    pub(crate) fn forgive(&mut self, now: Millis) {
        let over = |peer: &Peer| peer.banned_until.is_some_and(|until| until <= now);
        self.0.retain(|_, peer| peer.connected || !over(peer));
        for peer in self.0.values_mut().filter(|peer| over(peer)) {
            *peer = Peer { status: peer.status, ..Peer::new() };
        }
    }

    /// When the next ban, or the next time in which others are preferred, is over.
    pub(crate) fn deadline(&self, now: Millis) -> Option<Millis> {
        let bans = self.0.values().filter_map(|peer| peer.banned_until);
        let pauses = self.0.values().map(|peer| peer.not_before).filter(|until| *until > now);
        bans.chain(pauses).min()
    }

    /// The peer to ask for a height: the least busy of those that were not late, or, if there is none, of the others.
    /// Nobody where the best are busy.
    pub(crate) fn choose(&self, now: Millis, height: u64) -> Option<ConsensusKey> {
        let serving = || self.0.iter().filter(|(_, peer)| peer.serves(height));
        let prompt = serving().any(|(_, peer)| peer.not_before <= now);
        let best = serving()
            .filter(|(_, peer)| !prompt || peer.not_before <= now)
            .min_by_key(|(key, peer)| (peer.in_flight, peer.late, peer.short, peer.not_before, **key));
        best.filter(|(_, peer)| peer.in_flight < limits::SYNC_PEER_REQUESTS_MAX).map(|(key, _)| *key)
    }
}
