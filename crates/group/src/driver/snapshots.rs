//! Answers peers that ask for snapshots, on a thread of its own: a chunk is a megabyte to read, and consensus must not wait
//! for that.

use super::outbox;
use crate::core::{GroupMessage, Recipient};
use alloy_primitives::B256;
use lian_ledger::{Ledger, SnapshotError};
use lian_network::NetworkHandle;
use lian_sync::{SnapshotMessage, SnapshotOffer};
use lian_types::{BlockNumber, ConsensusKey, GroupId, limits};
use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc::Receiver},
};

/// Questions that may wait. More are dropped: who asked asks again.
pub(super) const ASKS_MAX: usize = 64;

/// A question of a peer.
pub(super) type Ask = (ConsensusKey, SnapshotMessage);

/// The thread's parts.
pub(super) struct SnapshotServer {
    ledger: Arc<Ledger>,
    network: NetworkHandle,
    group: GroupId,
    /// What tells the snapshots of a height apart, so that no manifest is read twice for it.
    contents: BTreeMap<BlockNumber, B256>,
}

impl SnapshotServer {
    pub(super) const fn new(ledger: Arc<Ledger>, network: NetworkHandle, group: GroupId) -> Self {
        Self { ledger, network, group, contents: BTreeMap::new() }
    }

    /// Runs until nobody can ask any more.
    pub(super) fn run(mut self, asks: &Receiver<Ask>) {
        while let Ok((peer, ask)) = asks.recv() {
            match self.answer(ask) {
                Ok(None) => {}
                Ok(Some(answer)) => {
                    let message = GroupMessage::Snapshot(answer);
                    outbox::send(&self.network, self.group, Recipient::One(peer), &message);
                }
                // The peer asks others then; the chain does not depend on it.
                Err(error) => tracing::warn!(%peer, %error, "a snapshot cannot be served"),
            }
        }
    }

    fn answer(&mut self, ask: SnapshotMessage) -> Result<Option<SnapshotMessage>, SnapshotError> {
        let snapshots = self.ledger.snapshots();
        Ok(Some(match ask {
            SnapshotMessage::GetOffers => {
                let head = self.ledger.head().number;
                SnapshotMessage::Offers { head, offers: self.offers()? }
            }
            SnapshotMessage::GetManifest { height } => {
                let bytes = match snapshots.manifest_bytes(height) {
                    Err(SnapshotError::NoSuch { .. }) => Vec::new(),
                    bytes => bytes?,
                };
                SnapshotMessage::Manifest { height, bytes }
            }
            SnapshotMessage::GetChunk { height, index } => {
                let bytes = snapshots.read_chunk(height, index)?.unwrap_or_default();
                SnapshotMessage::Chunk { height, index, bytes }
            }
            // Answers that come after this node has begun otherwise.
            SnapshotMessage::Offers { .. } | SnapshotMessage::Manifest { .. } | SnapshotMessage::Chunk { .. } => {
                return Ok(None);
            }
        }))
    }

    fn offers(&mut self) -> Result<Vec<SnapshotOffer>, SnapshotError> {
        let snapshots = self.ledger.snapshots();
        let heights = snapshots.heights()?;
        self.contents.retain(|height, _| heights.contains(height));
        let mut offers = Vec::new();
        for height in heights.into_iter().rev().take(limits::SNAPSHOT_OFFERS_MAX) {
            let content = match self.contents.get(&height) {
                Some(content) => *content,
                None => snapshots.manifest(height)?.content(self.ledger.suite()),
            };
            self.contents.insert(height, content);
            offers.push(SnapshotOffer { height, content });
        }
        Ok(offers)
    }
}
