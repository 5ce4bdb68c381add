//! Making snapshots of a ledger, and beginning or rebuilding one from a snapshot.

use super::open::{block_folder, chain_context, chain_digest, decode};
use super::{Ledger, LedgerConfig, LedgerError, identity};
use crate::block_record::{KIND_BLOCK, StoredBlock};
use crate::index::{self, ViewState};
use crate::key::Key;
use crate::log::{Entry, Location, Log};
use crate::snapshot::{
    CertifiedHeader, Contents, EpochLink, FrozenState, Manifest, SnapshotError, SnapshotFolder, load,
};
use crate::storage::Storage;
use crate::store::{ReadError, StateAt};
use crate::view::{View, Write};
use lian_crypto::{EpochMembers, Suite};
use lian_types::{BlockNumber, ChainContext, Epoch, Genesis, GenesisError, GroupGenesis, Header, limits};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// Index entries that are written to the view together.
const INDEX_BATCH: usize = 20_000;

/// What was found in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotReport {
    /// The block after which the state is.
    pub height: BlockNumber,
    /// Its hash.
    pub hash: alloy_primitives::B256,
    /// Its state root.
    pub state_root: alloy_primitives::B256,
    /// Its epoch.
    pub epoch: Epoch,
    /// Accounts in the state.
    pub accounts: u64,
    /// Chunks.
    pub chunks: usize,
    /// The length of all chunks, in bytes.
    pub bytes: u64,
}

impl SnapshotReport {
    fn new(manifest: &Manifest, contents: &Contents) -> Self {
        Self {
            height: manifest.height(),
            hash: contents.block.hash,
            state_root: contents.block.block.header.state_root,
            epoch: manifest.head.extension.epoch,
            accounts: contents.accounts,
            chunks: manifest.chunks.len(),
            bytes: manifest.bytes(),
        }
    }
}

/// What a snapshot must be of.
#[derive(Clone, Copy)]
pub struct SnapshotChain<'a> {
    /// The chain's algorithms.
    pub suite: Suite,
    /// Its genesis file.
    pub genesis: &'a Genesis,
    /// The group.
    pub group: &'a GroupGenesis,
}

impl SnapshotChain<'_> {
    /// The chain that signatures are bound to.
    #[must_use]
    pub fn context(&self) -> ChainContext {
        chain_context(self.suite, self.genesis, self.group)
    }

    /// The members of the first epoch.
    ///
    /// # Errors
    /// [`GenesisError`] for a genesis file that names no valid members.
    pub fn first_members(&self) -> Result<EpochMembers, GenesisError> {
        let members = self.genesis.members(self.group, |key| self.suite.consensus_address(key))?;
        Ok(EpochMembers { epoch: Epoch::ZERO, members, consensus: self.group.consensus.kind })
    }

    /// Checks a manifest from genesis on: see [`Manifest::verify`].
    ///
    /// # Errors
    /// [`LedgerError::Snapshot`] says what does not hold.
    pub fn check(&self, manifest: &Manifest) -> Result<(), LedgerError> {
        let members = self.first_members().map_err(lian_executor::GenesisBlockError::from)?;
        manifest.verify(self.suite, &self.context(), &members)?;
        Ok(())
    }
}

/// Checks a snapshot in full: from genesis to its header, every chunk, and the state root, which is computed in `scratch`,
/// a view without entries. `progress` is told how many chunks are done.
///
/// # Errors
/// [`LedgerError::Snapshot`] says what does not hold.
pub fn verify_snapshot(
    chain: SnapshotChain<'_>,
    folder: &SnapshotFolder,
    height: BlockNumber,
    scratch: &dyn View,
    progress: &mut dyn FnMut(u32),
) -> Result<SnapshotReport, LedgerError> {
    let manifest = folder.manifest(height)?;
    chain.check(&manifest)?;
    let contents = load(folder, &manifest, chain.suite, scratch, progress)?;
    Ok(SnapshotReport::new(&manifest, &contents))
}

/// Puts a snapshot into a ledger's folder that has no blocks: opening it begins with the snapshot then. The manifest and
/// the hash of every chunk are checked here, the state root when the ledger is opened.
///
/// # Errors
/// [`LedgerError::NotEmpty`] for a ledger with blocks; [`LedgerError::Snapshot`] for what does not hold. The ledger stays
/// empty then.
pub fn place_snapshot(
    chain: SnapshotChain<'_>,
    config: &LedgerConfig,
    storage: &Arc<dyn Storage>,
    from: &SnapshotFolder,
    height: BlockNumber,
) -> Result<Manifest, LedgerError> {
    let manifest = from.manifest(height)?;
    chain.check(&manifest)?;
    let _lock = identity::lock(&**storage, &config.folder)?;
    let blocks = block_folder(&config.folder);
    identity::claim(&**storage, &config.folder, &blocks, chain.suite, &chain.context())?;
    if storage.list(&blocks)?.iter().any(|name| name.ends_with(".log")) {
        return Err(LedgerError::NotEmpty { folder: config.folder.clone() });
    }
    snapshots_of(storage, &config.folder).copy_from(from, chain.suite, &manifest)?;
    Ok(manifest)
}

/// The snapshots in a ledger's folder.
pub(crate) fn snapshots_of(storage: &Arc<dyn Storage>, folder: &Path) -> SnapshotFolder {
    SnapshotFolder::new(Arc::clone(storage), folder.join("snapshots"))
}

/// Builds the view from the newest snapshot that the log can go on from, and the indexes from the log. Where the log is
/// empty it begins with the snapshot's block. Returns whether there was such a snapshot that holds.
///
/// # Errors
/// [`LedgerError`] for a failure of the disk or the view; for a snapshot that does not hold where there is no other.
pub(super) fn build_view(
    chain: SnapshotChain<'_>,
    storage: &Arc<dyn Storage>,
    folder: &Path,
    log: &Arc<Log>,
    view: &dyn View,
) -> Result<bool, LedgerError> {
    let snapshots = snapshots_of(storage, folder);
    let mut failure = None;
    for height in snapshots.heights()?.into_iter().rev() {
        let fits = log.is_empty() || (log.first_sequence()..log.next_sequence()).contains(&height.0);
        if !fits {
            continue;
        }
        match build_from(chain, &snapshots, height, log, view) {
            Ok(()) => return Ok(true),
            Err(LedgerError::Snapshot(error)) => {
                tracing::warn!(%height, %error, "a snapshot in the ledger's folder is of no use");
                failure = Some(error);
                view.clear()?;
            }
            Err(error) => return Err(error),
        }
    }
    let is_needed = log.is_empty() || log.first_sequence() > 0;
    match failure {
        Some(error) if is_needed => Err(error.into()),
        None if !log.is_empty() && log.first_sequence() > 0 => {
            Err(LedgerError::NoSnapshot { folder: snapshots.path().to_path_buf(), first: log.first_sequence().into() })
        }
        _ => Ok(false),
    }
}

fn build_from(
    chain: SnapshotChain<'_>,
    snapshots: &SnapshotFolder,
    height: BlockNumber,
    log: &Arc<Log>,
    view: &dyn View,
) -> Result<(), LedgerError> {
    let manifest = snapshots.manifest(height)?;
    chain.check(&manifest)?;
    let contents = load(snapshots, &manifest, chain.suite, view, &mut |_| {})?;
    if log.is_empty() {
        let payload = contents.block.record_without_changes()?;
        log.begin_at(height.0)?;
        log.append(&[Entry { kind: KIND_BLOCK, height: height.0, payload: &payload }])?;
    }
    write_indexes(log, height, &contents.block, view)?;
    let headers = manifest.ancestors.iter().zip(manifest.ancestor_hashes());
    let headers =
        headers.map(|(header, (number, hash))| (Key::header(number), Some(index::encode_header(hash, header))));
    let epochs = manifest.epochs.iter().map(epoch_write);
    let state = ViewState {
        format: ViewState::FORMAT,
        chain: chain_digest(chain.suite, &chain.context()),
        height: height.0,
        hash: contents.block.hash,
    };
    view.commit(headers.chain(epochs).chain([state.write()]).collect())?;
    tracing::info!(%height, accounts = contents.accounts, "the state was loaded from a snapshot");
    Ok(())
}

/// Writes where all blocks up to a height are. The one at the height must be `head`.
fn write_indexes(log: &Arc<Log>, height: BlockNumber, head: &StoredBlock, view: &dyn View) -> Result<(), LedgerError> {
    let mut cursor = log.cursor();
    let mut writes: Vec<Write> = Vec::new();
    while let Some((location, record)) = cursor.next()? {
        if record.height > height.0 {
            break;
        }
        let (stored, _) = decode(log, location, &record)?;
        if record.height == height.0 && stored.hash != head.hash {
            let reason = format!("the log has block {height} as {}, the snapshot as {}", stored.hash, head.hash);
            return Err(SnapshotError::Content { height, reason }.into());
        }
        writes.extend(block_index(&stored, location));
        if writes.len() >= INDEX_BATCH {
            commit_sorted(view, std::mem::take(&mut writes))?;
        }
    }
    commit_sorted(view, writes)
}

fn block_index(stored: &StoredBlock, location: Location) -> Vec<Write> {
    let hashes = stored.block.transactions.iter().map(|transaction| transaction.hash());
    index::block_writes(stored.number(), location, stored.hash, hashes)
}

pub(super) fn commit_sorted(view: &dyn View, mut writes: Vec<Write>) -> Result<(), LedgerError> {
    writes.sort_unstable_by_key(|(key, _)| *key);
    Ok(view.commit(writes)?)
}

fn epoch_write(link: &EpochLink) -> Write {
    let epoch = link.last.extension.epoch.next();
    (Key::epoch(epoch.0), Some(borsh::to_vec(link).unwrap_or_default().into()))
}

/// The state after a block of a running ledger, from which a snapshot can be made while blocks go on being appended.
pub struct Frozen(FrozenState);

impl Frozen {
    pub(super) const fn new(state: FrozenState) -> Self {
        Self(state)
    }

    /// The block after which the state is.
    #[must_use]
    pub const fn height(&self) -> BlockNumber {
        BlockNumber(self.0.height)
    }
}

impl Ledger {
    /// The snapshots that this ledger keeps, from which it can be rebuilt.
    #[must_use]
    pub fn snapshots(&self) -> SnapshotFolder {
        snapshots_of(&self.storage, &self.config.folder)
    }

    /// Holds the newest state, for a snapshot: moves what is unflushed to the view, and remembers the view as it is then.
    ///
    /// # Errors
    /// [`LedgerError`]; the ledger takes nothing any more then.
    pub fn freeze(&self) -> Result<Frozen, LedgerError> {
        self.check_running()?;
        let _flushing = self.flushing.lock();
        let head = self.head().number.0;
        let result = self.freeze_locked(head);
        if let Err(error) = &result {
            self.stop(&error.to_string());
        }
        result
    }

    fn freeze_locked(&self, head: u64) -> Result<Frozen, LedgerError> {
        // Block 0 of a new ledger is flushed like any other.
        while (self.store.flushed() < head || ViewState::read(&*self.store.view)?.is_none()) && self.flush_locked()? {}
        Ok(Frozen(FrozenState { height: self.store.flushed(), entries: self.store.view.freeze()? }))
    }

    /// Makes a snapshot in a folder. Takes as long as reading the state does; block production goes on.
    ///
    /// # Errors
    /// [`LedgerError`]; an unfinished snapshot does not count, and the ledger goes on.
    pub fn write_snapshot(&self, frozen: &Frozen, to: &SnapshotFolder) -> Result<Manifest, LedgerError> {
        let Frozen(frozen) = frozen;
        let height = BlockNumber(frozen.height);
        if height == BlockNumber::ZERO {
            return Err(LedgerError::NothingToSnapshot);
        }
        let missing = || ReadError::Missing { key: Box::new(Key::block(height.0)) };
        let block = self.block_by_number(height)?.ok_or_else(missing)?;
        let mut sink = |index, bytes: &[u8]| match self.due.is_over() {
            true => Err(SnapshotError::Interrupted),
            false => Ok(to.write_chunk(height, index, bytes)?),
        };
        let chunks = frozen.write_chunks(self.suite, &block, &mut sink)?;
        let manifest = Manifest {
            chain: self.chain,
            epochs: epochs_of(frozen)?,
            head: CertifiedHeader::of(&block),
            ancestors: self.ancestors(height)?,
            chunks,
        };
        to.write_manifest(&manifest)?;
        Ok(manifest)
    }

    /// The headers below a block that a snapshot needs, from the nearest down.
    fn ancestors(&self, height: BlockNumber) -> Result<Vec<Header>, ReadError> {
        let lowest = height.0.saturating_sub(limits::SNAPSHOT_ANCESTORS);
        let header = |number: u64| {
            let missing = || ReadError::Missing { key: Box::new(Key::header(number)) };
            self.header_by_number(BlockNumber(number))?.ok_or_else(missing)
        };
        (lowest..height.0).rev().map(header).collect()
    }

    /// A header, also of one of the blocks below the snapshot that the ledger began with.
    ///
    /// # Errors
    /// [`ReadError`] if the view or the log fails.
    pub fn header_by_number(&self, number: BlockNumber) -> Result<Option<Header>, ReadError> {
        if let Some(head) = self.head_by_number(number)? {
            return Ok(Some(head.header));
        }
        let key = Key::header(number.0);
        let Some(bytes) = self.store.view.get(&key)? else { return Ok(None) };
        let (_, header) = index::decode_header(&bytes).ok_or(ReadError::Malformed { key: Box::new(key) })?;
        Ok(Some(header))
    }

    /// What to remember of the end of an epoch where a block begins the next one: who decides now, and the header that
    /// names them.
    pub(super) fn epoch_end(&self, last: &StoredBlock) -> Result<Write, LedgerError> {
        let state = StateAt { store: Arc::clone(&self.store), height: last.number() };
        let schedule = lian_executor::schedule(&state).map_err(|error| self.no_members(last, &error))?;
        let next = last.block.extension.epoch.next();
        let epochs = [schedule.current, schedule.next];
        let found = epochs.into_iter().find(|scheduled| scheduled.epoch == next);
        let scheduled = found.ok_or_else(|| self.no_members(last, &format!("it does not name epoch {next}")))?;
        let members = scheduled.members(self.suite).map_err(|error| self.no_members(last, &error))?;
        Ok(epoch_write(&EpochLink { last: CertifiedHeader::of(last), members }))
    }

    fn no_members(&self, last: &StoredBlock, reason: &dyn std::fmt::Display) -> LedgerError {
        let reason = format!("its state does not tell the members of the next epoch: {reason}");
        LedgerError::Invalid { number: BlockNumber(last.number()), reason }
    }
}

/// The ends of all epochs before the frozen one, from the first on.
fn epochs_of(frozen: &FrozenState) -> Result<Vec<EpochLink>, LedgerError> {
    let mut links = Vec::new();
    let mut wrong = None;
    frozen.entries.scan(crate::key::Table::Epochs, &[], &mut |key, value| match borsh::from_slice(value) {
        Ok(link) => {
            links.push(link);
            ControlFlow::Continue(())
        }
        Err(_) => {
            wrong = key.first_chunk::<8>().map(|bytes| Key::epoch(u64::from_be_bytes(*bytes)));
            ControlFlow::Break(())
        }
    })?;
    match wrong {
        Some(key) => Err(ReadError::Malformed { key: Box::new(key) }.into()),
        None => Ok(links),
    }
}
