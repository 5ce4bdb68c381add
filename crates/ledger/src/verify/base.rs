//! Where checking begins in a ledger without its first blocks: with the state of a snapshot.

use super::Report;
use crate::block_record::StoredBlock;
use crate::key::Table;
use crate::ledger::{LedgerError, SnapshotChain, snapshots_of, trie_hasher};
use crate::log::Log;
use crate::snapshot::{Manifest, SnapshotError, SnapshotFolder, load};
use crate::storage::Storage;
use crate::view::{MemoryView, View};
use alloy_primitives::{Address, B256, U256};
use lian_crypto::EpochMembers;
use lian_executor::MemoryState;
use lian_trie::{MemoryNodes, StateTrie, TrieError};
use lian_types::BlockNumber;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// The state of a verified snapshot, and the blocks that the log has up to it.
pub(super) struct Base {
    pub(super) block: StoredBlock,
    pub(super) state: MemoryState,
    pub(super) trie: StateTrie,
    /// Who decided, by first height.
    epochs: Vec<(BlockNumber, Arc<EpochMembers>)>,
    /// Hash of the last block checked below the snapshot's.
    pub(super) below: Option<B256>,
}

impl Base {
    /// The members who decided a height up to the snapshot's.
    pub(super) fn members_at(&self, height: BlockNumber) -> Option<&EpochMembers> {
        self.epochs.iter().rev().find(|(first, _)| *first <= height).map(|(_, members)| members.as_ref())
    }
}

/// Checks all snapshots of a ledger, and loads the oldest one that its log can go on from, if the log needs one.
pub(super) fn find(
    chain: SnapshotChain<'_>,
    storage: &Arc<dyn Storage>,
    folder: &Path,
    log: &Log,
    report: &mut Report,
) -> Result<Option<Base>, LedgerError> {
    let snapshots = snapshots_of(storage, folder);
    let mut base = None;
    for height in snapshots.heights()? {
        let fits = log.first_sequence() > 0 && (log.first_sequence()..log.next_sequence()).contains(&height.0);
        let outcome = if base.is_none() && fits {
            load_base(chain, &snapshots, height).map(|loaded| base = Some(loaded))
        } else {
            check(chain, &snapshots, height)
        };
        match outcome {
            Ok(()) => report.snapshots += 1,
            Err(error @ (LedgerError::Snapshot(SnapshotError::Storage(_)) | LedgerError::Storage(_))) => {
                return Err(error);
            }
            Err(error) => report.add(Some(height), format!("its snapshot: {error}")),
        }
    }
    Ok(base)
}

/// Checks a manifest and the hashes of its chunks.
fn check(chain: SnapshotChain<'_>, snapshots: &SnapshotFolder, height: BlockNumber) -> Result<(), LedgerError> {
    let manifest = snapshots.manifest(height)?;
    chain.check(&manifest)?;
    for (index, info) in (0u32..).zip(&manifest.chunks) {
        snapshots.checked_chunk(chain.suite, height, index, info)?;
    }
    Ok(())
}

fn load_base(chain: SnapshotChain<'_>, snapshots: &SnapshotFolder, height: BlockNumber) -> Result<Base, LedgerError> {
    let manifest = snapshots.manifest(height)?;
    let genesis = chain.first_members().map_err(lian_executor::GenesisBlockError::from)?;
    let epochs = manifest.verify(chain.suite, &chain.context(), &genesis)?;
    let scratch = MemoryView::new();
    let contents = load(snapshots, &manifest, chain.suite, &scratch, &mut |_| {})?;
    let state = state_of(&scratch, &manifest)?;
    let empty = StateTrie::empty(trie_hasher(chain.suite));
    let updates = state.as_changes().trie_updates();
    let (trie, _) = empty.apply(&MemoryNodes::default(), height.0, &updates).map_err(|error: TrieError| error)?;
    Ok(Base { block: contents.block, state, trie, epochs, below: None })
}

/// A loaded state as a model of it.
fn state_of(view: &MemoryView, manifest: &Manifest) -> Result<MemoryState, LedgerError> {
    let mut state = MemoryState::default();
    let go_on = ControlFlow::Continue(());
    view.scan(Table::Accounts, &[], &mut |key, value| {
        if let (Ok(address), Ok(account)) = (Address::try_from(key), borsh::from_slice(value)) {
            state.accounts.entry(address).or_default().state = account;
        }
        go_on
    })?;
    view.scan(Table::Storage, &[], &mut |key, value| {
        let (address, slot) = key.split_at_checked(Address::len_bytes()).unwrap_or_default();
        if let (Ok(address), Some(slot)) = (Address::try_from(address), U256::try_from_be_slice(slot))
            && let Some(account) = state.accounts.get_mut(&address)
        {
            account.storage.insert(slot, U256::try_from_be_slice(value).unwrap_or_default());
        }
        go_on
    })?;
    view.scan(Table::Codes, &[], &mut |key, value| {
        if let Ok(hash) = B256::try_from(key) {
            state.codes.insert(hash, value.to_vec().into());
        }
        go_on
    })?;
    state.block_hashes.extend(manifest.ancestor_hashes());
    Ok(state)
}
