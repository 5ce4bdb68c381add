//! The answering side.

use crate::{BlockRequest, BlockWithCertificate, SyncMessage};
use lian_types::{
    BlockNumber,
    limits::{SYNC_BLOCKS_MAX, SYNC_RESPONSE_BYTES_MAX},
};

/// Answers a request for blocks: as many as were asked for, are there without gap, and fit into
/// [`SYNC_RESPONSE_BYTES_MAX`], but at least one if the first is there. `read` gives a final block, or nothing where it
/// is unknown or no longer kept; it is asked for one block more than is sent at most.
pub fn serve(request: &BlockRequest, mut read: impl FnMut(BlockNumber) -> Option<BlockWithCertificate>) -> SyncMessage {
    let count = u64::from(request.count).min(u64::try_from(SYNC_BLOCKS_MAX).unwrap_or(u64::MAX));
    let mut blocks = Vec::new();
    let mut bytes = 0usize;
    for height in request.from.0..request.from.0.saturating_add(count) {
        let Some(block) = read(BlockNumber(height)) else { break };
        bytes = bytes.saturating_add(block.encoded_len());
        if bytes > SYNC_RESPONSE_BYTES_MAX && !blocks.is_empty() {
            break;
        }
        blocks.push(block);
    }
    SyncMessage::Blocks { request: request.request, blocks }
}
