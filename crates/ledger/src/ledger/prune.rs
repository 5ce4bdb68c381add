//! Letting go of old blocks: their transactions, receipts and changes are deleted or moved to an archive; header, extension
//! and certificate of every block stay, so that whatever is kept stays provable.

use super::open::decode;
use super::{Ledger, LedgerError};
use crate::block_record::{BlockHead, StoredBlock};
use crate::key::Key;
use crate::log::{Durability, Entry, Location, Log, LogError, LogOptions, Segment};
use crate::snapshot::CertifiedHeader;
use crate::storage::Storage;
use crate::store::ReadError;
use crate::view::{View, Write};
use lian_types::{BlockNumber, decode_exact, limits};
use std::path::Path;
use std::sync::Arc;

/// The kind of a record in the log of heads.
const KIND_HEAD: u8 = 1;
/// The longest head, in bytes: a header, a certificate of the most members, an extension that lists a whole proposal as
/// skipped.
const HEAD_BYTES_MAX: usize = 1024 * 1024;
/// Heads that are written together.
const BATCH: usize = 1_000;

/// Opens the log of the heads of pruned blocks. Its sequence numbers are heights.
pub(super) fn open_heads(storage: &Arc<dyn Storage>, folder: &Path) -> Result<Arc<Log>, LogError> {
    Ok(Arc::new(Log::open(Arc::clone(storage), heads_options(folder))?.0))
}

/// The options of the log of heads.
pub(crate) fn heads_options(folder: &Path) -> LogOptions {
    LogOptions {
        folder: folder.join("heads"),
        purpose: *b"heads\0\0\0",
        segment_bytes: limits::LOG_SEGMENT_BYTES,
        durability: Durability::EveryAppend,
    }
}

/// The head in a record.
pub(crate) fn decode_head(log: &Log, location: Location, payload: &[u8]) -> Result<CertifiedHeader, LogError> {
    decode_exact("block head", payload, HEAD_BYTES_MAX).map_err(|error| log.damaged(location, error.to_string()))
}

impl Ledger {
    /// Lets go of old blocks as far as the configuration says, and only such as neither rebuilding the view nor anything
    /// unflushed needs: the log is kept back to the older of the two newest snapshots. Whole files go, so that somewhat
    /// more blocks stay than are asked for. Returns whether anything went.
    ///
    /// # Errors
    /// [`LedgerError`] if the disk or the view fails. Nothing is lost then, and the next call goes on.
    pub fn prune(&self) -> Result<bool, LedgerError> {
        let Some(keep) = self.config.keep_blocks else { return Ok(false) };
        let _pruning = self.pruning.lock();
        let heights = self.snapshots().heights()?;
        let [.., older, _] = heights.as_slice() else { return Ok(false) };
        let wanted = self.head().number.0.saturating_add(1).saturating_sub(keep.max(1));
        let limit = wanted.min(older.0).min(self.store.flushed());
        let mut pruned = false;
        while let Some(segment) = self.log.removable(limit) {
            self.prune_segment(&segment)?;
            pruned = true;
        }
        if pruned {
            tracing::info!(oldest = %self.oldest_block(), archive = ?self.config.archive, "old blocks were let go");
        }
        Ok(pruned)
    }

    fn prune_segment(&self, segment: &Segment) -> Result<(), LedgerError> {
        let mut cursor = self.log.cursor_in(segment);
        let mut batch = Vec::with_capacity(BATCH);
        while let Some((location, record)) = cursor.next()? {
            if record.sequence >= segment.end {
                break;
            }
            batch.push(decode(&self.log, location, &record)?.0);
            if batch.len() == BATCH {
                self.keep_heads(&std::mem::take(&mut batch))?;
            }
        }
        self.keep_heads(&batch)?;
        match &self.config.archive {
            Some(folder) => self.log.archive(segment, folder)?,
            None => self.log.remove(segment)?,
        }
        Ok(())
    }

    /// Makes the heads of consecutive blocks durable, then points to them. Where the transactions go for good, so do their
    /// places.
    fn keep_heads(&self, blocks: &[StoredBlock]) -> Result<(), LedgerError> {
        let Some(first) = blocks.first() else { return Ok(()) };
        self.heads.begin_at(first.number())?;
        // A crash may have come between an earlier attempt's heads and the end of its blocks.
        let new = |block: &&StoredBlock| block.number() >= self.heads.next_sequence();
        let new: Vec<_> = blocks.iter().filter(new).collect();
        let payloads: Vec<_> =
            new.iter().map(|block| borsh::to_vec(&CertifiedHeader::of(block)).unwrap_or_default()).collect();
        let entries: Vec<_> = new
            .iter()
            .zip(&payloads)
            .map(|(block, payload)| Entry { kind: KIND_HEAD, height: block.number(), payload })
            .collect();
        let locations = if entries.is_empty() { Vec::new() } else { self.heads.append(&entries)? };
        let mut writes: Vec<Write> =
            new.iter().zip(locations).map(|(block, location)| head_write(block.number(), location)).collect();
        if self.config.archive.is_none() {
            let transactions = blocks.iter().flat_map(|block| &block.block.transactions);
            writes.extend(transactions.map(|transaction| (Key::transaction(transaction.hash()), None)));
        }
        writes.sort_unstable_by_key(|(key, _)| *key);
        Ok(self.store.view.commit(writes)?)
    }

    /// Header, extension and certificate of a block, also of one whose transactions were pruned; `None` for blocks that do
    /// not exist or come before the snapshot that the ledger began with.
    ///
    /// # Errors
    /// [`ReadError`] if the view or a log fails.
    pub fn certified_header(&self, number: BlockNumber) -> Result<Option<CertifiedHeader>, ReadError> {
        match self.block_by_number(number)? {
            Some(block) => Ok(Some(CertifiedHeader::of(&block))),
            None => self.pruned_head(number),
        }
    }

    pub(super) fn pruned_head(&self, number: BlockNumber) -> Result<Option<CertifiedHeader>, ReadError> {
        let key = Key::head(number.0);
        let Some(bytes) = self.store.view.get(&key)? else { return Ok(None) };
        let location: Location = borsh::from_slice(&bytes).map_err(|_| ReadError::Malformed { key: Box::new(key) })?;
        let record = self.heads.read(location)?;
        Ok(Some(decode_head(&self.heads, location, record.payload())?))
    }
}

fn head_write(number: u64, location: Location) -> Write {
    (Key::head(number), Some(borsh::to_vec(&location).unwrap_or_default().into()))
}

/// Writes where all heads of pruned blocks are, unless the view knows: it may have been built anew, or a crash may have come
/// between the heads and their places.
pub(super) fn index_heads(heads: &Arc<Log>, view: &dyn View) -> Result<(), LedgerError> {
    let Some(last) = heads.next_sequence().checked_sub(1).filter(|_| !heads.is_empty()) else { return Ok(()) };
    if view.get(&Key::head(last))?.is_some() {
        return Ok(());
    }
    let mut cursor = heads.cursor();
    let mut writes: Vec<Write> = Vec::new();
    while let Some((location, record)) = cursor.next()? {
        let head = decode_head(heads, location, record.payload())?;
        let number = head.header.number;
        writes.push(head_write(number, location));
        writes.push(crate::index::hash_write(head.certificate.block_hash, number));
        if writes.len() >= BATCH {
            super::snapshots::commit_sorted(view, std::mem::take(&mut writes))?;
        }
    }
    super::snapshots::commit_sorted(view, writes)
}

impl CertifiedHeader {
    /// Those of a block.
    #[must_use]
    pub fn of(block: &StoredBlock) -> Self {
        Self {
            header: block.block.header.clone(),
            extension: block.block.extension.clone(),
            certificate: block.certificate.as_ref().clone(),
        }
    }

    /// The part of it that a block's record has in front.
    pub(super) fn head(&self) -> BlockHead {
        BlockHead {
            hash: self.certificate.block_hash,
            digest: self.certificate.digest,
            certificate: Arc::new(self.certificate.clone()),
            header: self.header.clone(),
        }
    }
}
