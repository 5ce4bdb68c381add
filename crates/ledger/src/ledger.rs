//! The ledger: what it consists of, and appending to it.

mod backup;
mod error;
mod flush;
mod identity;
mod open;
mod prune;
mod read;
mod scan;
mod snapshots;
mod upkeep;

pub use backup::BackupReport;
pub use error::LedgerError;
pub use flush::Flusher;
pub(crate) use identity::open_for_reading;
pub use open::{Recovery, ViewRecovery};
pub(crate) use open::{chain_context, check_links, decode, log_options, trie_hasher};
pub(crate) use prune::{decode_head, heads_options};
pub use scan::{FoundLog, LogFilter, LogLimits, LogScanError};
pub(crate) use snapshots::snapshots_of;
pub use snapshots::{Frozen, SnapshotChain, SnapshotReport, place_snapshot, verify_snapshot};
pub use upkeep::Upkeep;

use crate::block_record::{FinalBlock, KIND_BLOCK, StoredBlock};
use crate::index;
use crate::key::{Change, Key};
use crate::log::{Entry, Location, Log};
use crate::storage::{FolderLock, Storage};
use crate::store::{ReadError, StateAt, Store};
use crate::view::{MemoryView, Write};
use alloy_primitives::map::HashMap;
use alloy_primitives::{B256, TxHash};
use flush::Pressure;
use lian_crypto::Suite;
use lian_executor::{ExecutedBlock, Parent};
use lian_trie::{NodeChange, NodeSource, StateTrie};
use lian_types::{Block, BlockNumber, Certificate, ChainContext, Extension, HistoryDepth, ProposalDigest, limits};
use parking_lot::{Mutex, RwLock};
use quick_cache::unsync::Cache;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Where a ledger keeps its key-value view.
#[derive(Clone)]
pub enum ViewKind {
    /// In the ledger's folder on disk.
    Disk,
    /// In memory, in a view that the caller owns and may keep over a simulated crash.
    Memory(Arc<MemoryView>),
}

/// How a ledger is kept.
#[derive(Clone)]
pub struct LedgerConfig {
    /// Its folder.
    pub folder: PathBuf,
    /// How many past states can be read.
    pub history: HistoryDepth,
    /// Where the view is.
    pub view: ViewKind,
    /// The size at which a new file of blocks is begun, in bytes. Blocks are pruned by whole files.
    pub segment_bytes: u64,
    /// At multiples of which height a snapshot is made in the background; none where it is not to be done.
    pub snapshot_interval: Option<u64>,
    /// How many newest blocks are kept with their transactions and receipts; all where absent.
    pub keep_blocks: Option<u64>,
    /// Where older blocks are moved to; they are deleted where absent.
    pub archive: Option<PathBuf>,
}

impl LedgerConfig {
    /// Whether the folder has neither blocks nor a snapshot to begin with.
    ///
    /// # Errors
    /// [`LedgerError::Storage`] if the folder cannot be listed.
    pub fn is_empty(&self, storage: &dyn Storage) -> Result<bool, LedgerError> {
        let has = |folder: &str, end: &str| -> Result<bool, LedgerError> {
            Ok(storage.list(&self.folder.join(folder))?.iter().any(|name| name.ends_with(end)))
        };
        Ok(!has("blocks", ".log")? && !has("snapshots", ".manifest")?)
    }

    /// The snapshots in the folder.
    #[must_use]
    pub fn snapshots(&self, storage: &Arc<dyn Storage>) -> crate::SnapshotFolder {
        snapshots_of(storage, &self.folder)
    }

    /// The configuration of a node: view on disk, default history.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            history: HistoryDepth::Blocks(limits::HISTORY_BLOCKS_DEFAULT),
            view: ViewKind::Disk,
            segment_bytes: limits::LOG_SEGMENT_BYTES,
            snapshot_interval: None,
            keep_blocks: None,
            archive: None,
        }
    }
}

/// The newest final block.
#[derive(Clone)]
pub struct Head {
    /// Its height.
    pub number: BlockNumber,
    /// Its hash.
    pub hash: B256,
    /// The digest of its proposal.
    pub digest: ProposalDigest,
    /// The block.
    pub block: Arc<Block>,
    /// The proof that it is final; without signatures for block 0.
    pub certificate: Arc<Certificate>,
    /// What the next block is executed on. Its trie needs [`Ledger::nodes`] for what is not in memory.
    pub parent: Parent,
}

/// A block that is in the log but not in the view.
struct Pending {
    stored: Arc<StoredBlock>,
    location: Location,
    /// What it changed, each key once.
    changes: Vec<Change>,
    /// What is remembered of the epoch that ended before it, if one did.
    epoch_end: Option<Write>,
    /// An estimate of the memory it takes, in bytes.
    bytes: usize,
}

impl Pending {
    fn number(&self) -> u64 {
        self.stored.number()
    }

    fn index_writes(&self) -> Vec<Write> {
        let hashes = self.stored.block.transactions.iter().map(|transaction| transaction.hash());
        let mut writes = index::block_writes(self.number(), self.location, self.stored.hash, hashes);
        writes.extend(self.epoch_end.clone());
        writes
    }
}

/// The blocks that are not in the view, with indexes.
#[derive(Default)]
struct Recent {
    blocks: VecDeque<Arc<Pending>>,
    by_hash: HashMap<B256, u64>,
    transactions: HashMap<TxHash, index::TransactionPlace>,
    bytes: usize,
}

impl Recent {
    fn get(&self, number: u64) -> Option<&Arc<Pending>> {
        let first = self.blocks.front()?.number();
        self.blocks.get(usize::try_from(number.checked_sub(first)?).ok()?)
    }

    fn push(&mut self, pending: Arc<Pending>) {
        let block = pending.number();
        self.by_hash.insert(pending.stored.hash, block);
        for (index, transaction) in (0u32..).zip(&pending.stored.block.transactions) {
            self.transactions.insert(transaction.hash(), index::TransactionPlace { block, index });
        }
        self.bytes += pending.bytes;
        self.blocks.push_back(pending);
    }

    fn pop_up_to(&mut self, number: u64) {
        while let Some(pending) = self.blocks.pop_front_if(|pending| pending.number() <= number) {
            self.bytes = self.bytes.saturating_sub(pending.bytes);
            self.by_hash.remove(&pending.stored.hash);
            for transaction in &pending.stored.block.transactions {
                self.transactions.remove(&transaction.hash());
            }
        }
    }
}

/// The ledger of one group. One thread appends; any number read.
pub struct Ledger {
    config: LedgerConfig,
    storage: Arc<dyn Storage>,
    /// Block 0, which is known even where the log begins later.
    genesis: Arc<StoredBlock>,
    suite: Suite,
    chain: ChainContext,
    log: Arc<Log>,
    /// The heads of pruned blocks.
    heads: Arc<Log>,
    store: Arc<Store>,
    head: RwLock<Arc<Head>>,
    recent: RwLock<Recent>,
    appending: Mutex<()>,
    flushing: Mutex<()>,
    /// Held by whoever removes old blocks, or must not see them go.
    pruning: Mutex<()>,
    pressure: Pressure,
    due: upkeep::Due,
    stopped: Mutex<Option<String>>,
    /// Blocks read from the log. One part, since the share of one of many could not hold a large block.
    blocks: Mutex<Cache<u64, Arc<StoredBlock>, read::BlockBytes>>,
    _lock: FolderLock,
}

impl Ledger {
    /// Makes blocks final for this node: writes them to the log with one fsync. On return they are durable, and all
    /// that reads the ledger sees them.
    ///
    /// Waits for the background thread, or flushes itself where there is none, while too much is unflushed.
    ///
    /// # Errors
    /// [`LedgerError::NotNext`] and its like if a block does not follow the one before; nothing has changed then.
    /// Everything else stops the ledger: it takes nothing any more, and the node must stop too.
    pub fn append(&self, blocks: &[FinalBlock]) -> Result<(), LedgerError> {
        self.check_running()?;
        let _appending = self.appending.lock();
        self.relieve()?;
        self.check_sequence(blocks)?;
        let result = self.append_checked(blocks);
        if let Err(error) = &result {
            self.stop(&error.to_string());
        }
        result
    }

    /// The newest final block.
    #[must_use]
    pub fn head(&self) -> Arc<Head> {
        Arc::clone(&self.head.read())
    }

    /// The nodes that are not in memory of the trie after `parent`, which may be final or yet to become so: what
    /// executing on top of it needs. They stay right while other blocks become final.
    #[must_use]
    pub fn nodes_after(&self, parent: BlockNumber) -> Arc<dyn NodeSource + Send + Sync> {
        Arc::new(StateAt { store: Arc::clone(&self.store), height: parent.0 })
    }

    /// The nodes of the newest trie that are not in memory. Only for tries that no final block overtakes meanwhile;
    /// [`Self::nodes_after`] has no such condition.
    #[must_use]
    pub fn nodes(&self) -> Arc<dyn NodeSource + Send + Sync> {
        Arc::new(StateAt { store: Arc::clone(&self.store), height: u64::MAX })
    }

    /// The same trie with less of it in memory, if there is too much. Whoever builds tries on top of each other
    /// without going through [`Self::head`] must call this now and then, since each holds on to its parent's nodes.
    #[must_use]
    pub fn evict(&self, trie: &StateTrie) -> StateTrie {
        trie.evict(limits::TRIE_NODES_MAX, self.store.flushed())
    }

    /// The chain.
    #[must_use]
    pub const fn chain(&self) -> &ChainContext {
        &self.chain
    }

    /// The chain's algorithms.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The height up to which everything is in the view.
    #[must_use]
    pub fn flushed(&self) -> BlockNumber {
        BlockNumber(self.store.flushed())
    }

    /// Why the ledger takes nothing any more, if so.
    #[must_use]
    pub fn stopped(&self) -> Option<String> {
        self.stopped.lock().clone()
    }

    /// Marks the view as wrong, so that the next start builds it again from the log, and stops the ledger. For who
    /// reads something there that contradicts a block.
    pub fn distrust_view(&self, reason: &str) {
        self.store.mark_damaged(reason);
        self.stop(reason);
    }

    fn stop(&self, reason: &str) {
        let mut stopped = self.stopped.lock();
        if stopped.is_none() {
            tracing::error!(reason, "the ledger stops");
            *stopped = Some(reason.to_owned());
        }
        drop(stopped);
        self.pressure.wake();
    }

    fn check_running(&self) -> Result<(), LedgerError> {
        match &*self.stopped.lock() {
            Some(reason) => Err(LedgerError::Stopped { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    fn check_sequence(&self, blocks: &[FinalBlock]) -> Result<(), LedgerError> {
        let head = self.head();
        let (mut number, mut parent) = (head.number, head.hash);
        for block in blocks {
            let executed = &block.executed;
            check_next(number.next().0, parent, executed)?;
            check_certificate(executed.block.header.number, executed.hash, executed.digest, &block.certificate)?;
            let (root, expected) = (executed.trie.root(), executed.block.header.state_root);
            if root != expected {
                return Err(LedgerError::StateRoot { number: number.next(), header: expected, computed: root });
            }
            (number, parent) = (number.next(), executed.hash);
        }
        Ok(())
    }

    fn append_checked(&self, blocks: &[FinalBlock]) -> Result<(), LedgerError> {
        let Some(last) = blocks.last() else { return Ok(()) };
        let payloads = blocks.iter().map(FinalBlock::record).collect::<Result<Vec<_>, _>>()?;
        let entry = |(block, payload): (&FinalBlock, &'_ Vec<u8>)| (block.executed.block.header.number, payload.len());
        let sizes: Vec<_> = blocks.iter().zip(&payloads).map(entry).collect();
        let entries: Vec<_> = sizes
            .iter()
            .zip(&payloads)
            .map(|((height, _), payload)| Entry { kind: KIND_BLOCK, height: *height, payload })
            .collect();
        let begun = Instant::now();
        let locations = self.log.append(&entries)?;
        metrics::histogram!("lian_ledger_fsync_seconds").record(begun.elapsed().as_secs_f64());
        metrics::counter!("lian_ledger_appended_bytes").increment(sizes.iter().map(|(_, size)| *size as u64).sum());

        for (block, location) in blocks.iter().zip(locations) {
            self.push_layer(block, location)?;
        }
        self.set_head(&last.executed, &last.certificate);
        Ok(())
    }

    /// Makes a block readable from memory.
    fn push_layer(&self, block: &FinalBlock, location: Location) -> Result<(), LedgerError> {
        let executed = &block.executed;
        let number = executed.block.header.number;
        let changes = self.flat_changes(executed)?;
        let epoch_end = self.epoch_end_before(&executed.block.extension)?;
        let bytes = changes.iter().map(Change::bytes).sum::<usize>();
        self.store.overlay.insert(number, &changes);
        self.store.push_hash(number, executed.hash);
        let stored = Arc::new(StoredBlock::from(block));
        let bytes = bytes + usize::try_from(location.length).unwrap_or(usize::MAX);
        let pending = Arc::new(Pending { stored, location, changes, epoch_end, bytes });
        let mut recent = self.recent.write();
        recent.push(pending);
        self.pressure.report(recent.blocks.len(), recent.bytes);
        Ok(())
    }

    /// What is to be remembered of the block before the next one, where that one begins an epoch.
    fn epoch_end_before(&self, next: &Extension) -> Result<Option<Write>, LedgerError> {
        let pending = self.recent.read().blocks.back().map(|pending| Arc::clone(&pending.stored));
        let head = self.head();
        let epoch = pending.as_ref().map_or(head.block.extension.epoch, |pending| pending.block.extension.epoch);
        if next.epoch == epoch {
            return Ok(None);
        }
        let last = match pending {
            Some(pending) => pending,
            None => {
                let missing = || ReadError::Missing { key: Box::new(Key::block(head.number.0)) };
                self.block_by_number(head.number)?.ok_or_else(missing)?
            }
        };
        self.epoch_end(&last).map(Some)
    }

    /// Everything that a block changed as keys of the view, each once.
    fn flat_changes(&self, executed: &ExecutedBlock) -> Result<Vec<Change>, ReadError> {
        let before = executed.block.header.number.saturating_sub(1);
        let mut flat = Vec::with_capacity(executed.nodes.len() + executed.changes.accounts.len() * 4);
        for (address, change) in &executed.changes.accounts {
            let account = change.account.as_ref().and_then(|account| borsh::to_vec(account).ok());
            flat.push(Change::new(Key::account(*address), account.map(Into::into)));
            if change.storage_cleared || change.account.is_none() {
                for slot in self.store.slots_at(*address, before)? {
                    if !change.storage.contains_key(&slot) || change.account.is_none() {
                        flat.push(Change::new(Key::storage(*address, slot), None));
                    }
                }
            }
            if change.account.is_some() {
                for (slot, value) in &change.storage {
                    let value = (!value.is_zero()).then(|| value.to_be_bytes_trimmed_vec().into());
                    flat.push(Change::new(Key::storage(*address, *slot), value));
                }
            }
        }
        for (hash, code) in &executed.changes.codes {
            flat.push(Change::new(Key::code(*hash), Some(code.clone())));
        }
        for (owner, NodeChange { path, node, before }) in executed.nodes.iter() {
            flat.push(Change { key: Key::node(owner, path), value: node.clone(), before: before.clone().map(Some) });
        }
        Ok(flat)
    }

    fn set_head(&self, executed: &ExecutedBlock, certificate: &Arc<Certificate>) {
        let head = make_head(&self.store, executed, certificate);
        metrics::gauge!("lian_ledger_unflushed_blocks").set(self.recent.read().blocks.len() as f64);
        *self.head.write() = Arc::new(head);
    }
}

/// The head that an executed block makes.
fn make_head(store: &Arc<Store>, executed: &ExecutedBlock, certificate: &Arc<Certificate>) -> Head {
    let header = executed.block.header.clone();
    let number = header.number;
    let trie = executed.trie.evict(limits::TRIE_NODES_MAX, store.flushed());
    Head {
        number: BlockNumber(number),
        hash: executed.hash,
        digest: executed.digest,
        block: Arc::clone(&executed.block),
        certificate: Arc::clone(certificate),
        parent: Parent {
            header,
            hash: executed.hash,
            extension_members: executed.block.extension.members,
            state: Arc::new(StateAt { store: Arc::clone(store), height: number }),
            trie,
        },
    }
}

/// Whether a block has the height and parent that the next one must have.
fn check_next(number: u64, parent: B256, executed: &ExecutedBlock) -> Result<(), LedgerError> {
    let header = &executed.block.header;
    if header.number != number {
        return Err(LedgerError::NotNext { found: BlockNumber(header.number), expected: BlockNumber(number) });
    }
    if header.parent_hash != parent {
        let number = BlockNumber(number);
        return Err(LedgerError::WrongParent { number, found: header.parent_hash, expected: parent });
    }
    Ok(())
}

/// Whether a certificate is about a block. Its signatures were checked by who offers the block; they are checked again
/// by `verify`.
fn check_certificate(
    number: u64,
    hash: B256,
    digest: ProposalDigest,
    certificate: &Certificate,
) -> Result<(), LedgerError> {
    let about = certificate.height.0 == number && certificate.block_hash == hash && certificate.digest == digest;
    let signed = number == 0 || !certificate.signatures.is_empty();
    if about && signed { Ok(()) } else { Err(LedgerError::WrongCertificate { number: BlockNumber(number) }) }
}
