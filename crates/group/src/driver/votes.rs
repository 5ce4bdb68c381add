//! The vote log's records: what consensus wants kept, with the bodies that belong to it.

use crate::{
    core::{DurableRecord, Recovered, VoteRecord},
    node::StartError,
};
use borsh::{BorshDeserialize, BorshSerialize};
use lian_crypto::Suite;
use lian_ledger::{Condition, Ledger, LogError, Storage, VoteLog};
use lian_pbft::LogCondition;
use lian_types::{BlockNumber, Transaction};
use std::{path::Path, sync::Arc};

/// Records without a height of their own (view promises, new views) are written anew with every renewal of the log, so
/// they may go once the height has risen by two renewals.
const LIVE_FOR: u64 = 1_024;

/// The open vote log and what it held.
pub(super) struct Votes {
    pub(super) log: VoteLog,
    pub(super) recovered: Recovered,
}

#[derive(BorshSerialize, BorshDeserialize)]
struct Stored {
    record: Vec<u8>,
    bodies: Vec<Transaction>,
}

#[derive(BorshSerialize)]
struct Borrowed<'a> {
    record: Vec<u8>,
    bodies: Vec<&'a Transaction>,
}

impl Votes {
    /// Opens the log in a group's folder. `note` is the file that says that the key never voted; it is not believed where the
    /// ledger has grown since it was begun, as after somebody put back an old copy of the note.
    pub(super) fn open(
        storage: &Arc<dyn Storage>,
        folder: &Path,
        note: &Path,
        suite: Suite,
        ledger: &Ledger,
    ) -> Result<Self, StartError> {
        let is_noted = note.exists();
        let has_grown = ledger.head().number > ledger.oldest_block();
        let (log, entries, condition) = VoteLog::open(Arc::clone(storage), folder, is_noted && !has_grown)?;
        if is_noted {
            // From here on the log itself says that there were votes.
            storage.remove(note).map_err(LogError::from)?;
        }
        match &condition {
            Condition::Damaged { reason } => {
                tracing::warn!(reason, "votes may be lost: this node abstains for a while")
            }
            _ => tracing::info!(records = entries.len(), ?condition, "vote log is open"),
        }
        let condition = condition_of(&condition);
        let mut records = Vec::with_capacity(entries.len());
        for bytes in entries {
            records.push(decode(suite, &bytes).map_err(|reason| StartError::VoteRecord { reason })?);
        }
        Ok(Self { log, recovered: Recovered { records, condition } })
    }
}

/// What the condition of the log means for consensus: everything that was made durable is there, or it is not certain.
pub fn condition_of(condition: &Condition) -> LogCondition {
    match condition {
        Condition::Fresh | Condition::Whole | Condition::CutTail { .. } => LogCondition::Whole,
        Condition::Damaged { .. } => LogCondition::Lost,
    }
}

/// A record's bytes and the height that it is about.
pub fn encode(durable: &DurableRecord) -> (BlockNumber, Vec<u8>) {
    let bodies = durable.bodies.iter().map(|body| body.transaction().as_ref()).collect();
    let stored = Borrowed { record: durable.record.encode(), bodies };
    let mut bytes = Vec::with_capacity(512);
    // Writing to a vector fails only when memory does, which ends the process anyway.
    let written = stored.serialize(&mut bytes);
    debug_assert!(written.is_ok());
    let height = match &durable.record {
        VoteRecord::Pbft(record) => record.height().unwrap_or(BlockNumber(u64::MAX)),
        // Renewals that come much sooner write anew what is still needed.
        VoteRecord::Raft { made_at, .. } => made_at.saturating_add(LIVE_FOR),
    };
    (height, bytes)
}

/// As [`encode`], for a renewal of the log at a height: a record without a height of its own is kept until the renewals
/// after this one have surely replaced it.
pub fn encode_live(durable: &DurableRecord, at: BlockNumber) -> (BlockNumber, Vec<u8>) {
    let (height, bytes) = encode(durable);
    (height.min(at.saturating_add(LIVE_FOR)), bytes)
}

/// Reads a record back; the senders of its bodies are recovered again.
///
/// # Errors
/// Says what is wrong with the bytes.
pub fn decode(suite: Suite, bytes: &[u8]) -> Result<DurableRecord, String> {
    let stored: Stored = borsh::from_slice(bytes).map_err(|error| error.to_string())?;
    let record = VoteRecord::decode(&stored.record).map_err(|error| error.to_string())?;
    let mut bodies = Vec::with_capacity(stored.bodies.len());
    for body in stored.bodies {
        let verified = suite.recover_sender(Arc::new(body)).map_err(|error| error.to_string())?;
        bodies.push(Arc::new(verified));
    }
    Ok(DurableRecord { record, bodies })
}
