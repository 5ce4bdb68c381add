//! Checking what is kept of pruned blocks: headers, extensions and certificates.

use super::Report;
use super::base::Base;
use crate::ledger::{LedgerError, SnapshotChain, decode_head, heads_options};
use crate::log::{Log, LogError};
use crate::snapshot::CertifiedHeader;
use crate::storage::Storage;
use alloy_primitives::B256;
use lian_crypto::EpochMembers;
use lian_types::BlockNumber;
use std::path::Path;
use std::sync::Arc;

/// Checks all heads of pruned blocks. They must follow each other, and the last one must come before the log's first block,
/// if they reach up to it.
pub(super) fn check(
    chain: SnapshotChain<'_>,
    storage: &Arc<dyn Storage>,
    folder: &Path,
    first_block: u64,
    base: Option<&mut Base>,
    report: &mut Report,
) -> Result<(), LedgerError> {
    let genesis = chain.first_members().map_err(lian_executor::GenesisBlockError::from)?;
    let log = match Log::open_read_only(Arc::clone(storage), heads_options(folder)) {
        Ok((log, _)) => Arc::new(log),
        Err(error @ LogError::Damaged { .. }) => {
            report.add(None, format!("heads of pruned blocks: {error}"));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let mut cursor = log.cursor();
    let mut last: Option<(u64, B256)> = None;
    loop {
        let next = cursor.next().and_then(|next| match next {
            Some((location, record)) => decode_head(&log, location, record.payload()).map(Some),
            None => Ok(None),
        });
        let head = match next {
            Ok(Some(head)) => head,
            Ok(None) => break,
            Err(error @ LogError::Damaged { .. }) => {
                report.add(None, format!("heads of pruned blocks: {error}"));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let number = BlockNumber(head.header.number);
        let members = match base.as_deref() {
            Some(base) => base.members_at(number),
            // Every block is in the log then and is checked there, whatever its epoch.
            None => Some(&genesis).filter(|genesis| genesis.epoch == head.extension.epoch),
        };
        if let Err(what) = check_head(chain, &head, last, members) {
            report.add(Some(number), format!("its head: {what}"));
        }
        last = Some((number.0, head.certificate.block_hash));
        report.heads += 1;
    }
    match (base, last) {
        (Some(base), Some((number, hash))) if number.checked_add(1) == Some(first_block) => base.below = Some(hash),
        (Some(_), Some((number, _))) if number < first_block => {
            report
                .add(None, format!("the heads of pruned blocks end with {number}, the log begins with {first_block}"));
        }
        _ => {}
    }
    Ok(())
}

fn check_head(
    chain: SnapshotChain<'_>,
    head: &CertifiedHeader,
    last: Option<(u64, B256)>,
    members: Option<&EpochMembers>,
) -> Result<(), String> {
    if let Some((number, hash)) = last
        && (number.checked_add(1) != Some(head.header.number) || head.header.parent_hash != hash)
    {
        return Err(format!("it does not follow block {number} {hash}"));
    }
    if head.header.number == 0 {
        // Nobody signs block 0: genesis says what it is, and block 1 names it.
        return Ok(());
    }
    match members {
        Some(members) => head.verify(chain.suite, &chain.context(), members).map_err(|error| error.to_string()),
        None => Ok(()),
    }
}
