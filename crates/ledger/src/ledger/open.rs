//! Opening a ledger: which parts are whole, and computing again what is not.

use super::flush::Pressure;
use super::{
    Head, Ledger, LedgerConfig, LedgerError, Recent, SnapshotChain, ViewKind, check_certificate, check_next, identity,
    make_head, prune, read, snapshots, upkeep,
};
use crate::block_record::{BlockRecord, FinalBlock, KIND_BLOCK, StoredBlock};
use crate::history::History;
use crate::index::{self, ViewState};
use crate::key::Key;
use crate::log::{Durability, Entry, Location, Log, LogError, LogOptions, Record, Tail};
use crate::storage::Storage;
use crate::store::{StateAt, Store};
use crate::view::{FjallView, View};
use alloy_primitives::B256;
use lian_crypto::Suite;
use lian_executor::{ExecutedBlock, StateChanges, genesis_block};
use lian_trie::{Hasher, StateTrie};
use lian_types::{BlockNumber, Certificate, CertificateKind, ChainContext, Epoch, Genesis, GroupGenesis, limits};
use parking_lot::{Mutex, RwLock};
use quick_cache::unsync::Cache;
use std::path::Path;
use std::sync::Arc;

/// What became of the view when the ledger was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewRecovery {
    /// The ledger is new.
    Fresh,
    /// It was usable.
    Usable,
    /// It was built again from the log, for this reason.
    Rebuilt(String),
}

/// What was found and done when the ledger was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The end of the block log.
    pub tail: Tail,
    /// The view.
    pub view: ViewRecovery,
    /// Blocks whose changes were read again from the log because the view did not have them.
    pub replayed: u64,
    /// The newest block.
    pub head: BlockNumber,
}

/// The hash function of a suite's tries.
pub(crate) const fn trie_hasher(suite: Suite) -> Hasher {
    match suite {
        Suite::Standard => Hasher::Keccak,
    }
}

/// The options of a ledger's block log.
pub(crate) fn log_options(config: &LedgerConfig) -> LogOptions {
    LogOptions {
        folder: block_folder(&config.folder),
        purpose: *b"blocks\0\0",
        segment_bytes: config.segment_bytes,
        durability: Durability::EveryAppend,
    }
}

/// Where a ledger's block log is.
pub(crate) fn block_folder(folder: &Path) -> std::path::PathBuf {
    folder.join("blocks")
}

/// Opens a ledger's block log with what was moved to the archive.
fn open_log(config: &LedgerConfig, storage: &Arc<dyn Storage>) -> Result<(Arc<Log>, Tail), LogError> {
    let (log, tail) = Log::open(Arc::clone(storage), log_options(config))?;
    if let Some(archive) = &config.archive {
        log.attach_archive(archive)?;
    }
    Ok((Arc::new(log), tail))
}

/// Where it is noted that the view must be built again.
pub(crate) fn damage_marker(folder: &Path) -> std::path::PathBuf {
    folder.join("view.damaged")
}

/// The chain that a genesis file and one of its groups name.
pub(crate) fn chain_context(suite: Suite, genesis: &Genesis, group: &GroupGenesis) -> ChainContext {
    ChainContext { genesis: suite.genesis_digest(genesis), group: group.group, chain_id: group.chain_id }
}

/// Block 0 with the certificate that it does not need.
pub(crate) fn genesis_final_block(executed: ExecutedBlock) -> FinalBlock {
    let certificate = Certificate {
        epoch: Epoch::ZERO,
        height: BlockNumber::ZERO,
        digest: executed.digest,
        block_hash: executed.hash,
        kind: CertificateKind::Checkpoint,
        signatures: Vec::new(),
    };
    FinalBlock { executed, certificate: Arc::new(certificate) }
}

impl Ledger {
    /// Opens the ledger of a group, or begins it with block 0 in an empty folder.
    ///
    /// # Errors
    /// [`LedgerError::Locked`] and [`LedgerError::WrongChain`] for a folder that is not this process's or chain's;
    /// [`LedgerError::Log`] for damage that a crash cannot explain. Nothing is changed then.
    pub fn open(
        config: LedgerConfig,
        storage: Arc<dyn Storage>,
        suite: Suite,
        genesis: &Genesis,
        group: &GroupGenesis,
    ) -> Result<(Arc<Self>, Recovery), LedgerError> {
        let chain = chain_context(suite, genesis, group);
        let lock = identity::lock(&*storage, &config.folder)?;
        let options = log_options(&config);
        identity::claim(&*storage, &config.folder, &options.folder, suite, &chain)?;
        let (log, tail) = open_log(&config, &storage)?;
        let heads = prune::open_heads(&storage, &config.folder)?;

        let (view, reason) = open_view(&config, &*storage)?;
        if log.is_empty()
            && let Some(state) = ViewState::read(&*view)?.filter(|state| state.height > 0)
        {
            return Err(LedgerError::LogMissing { folder: log.folder().to_path_buf(), height: state.height.into() });
        }
        let digest = chain_digest(suite, &chain);
        let mut found = match reason {
            Some(reason) => Err(reason),
            None => usable_block(&*view, &log, digest),
        };
        let rebuilt = found.as_ref().err().cloned();
        if found.is_err() {
            view.clear()?;
            storage.remove(&damage_marker(&config.folder))?;
            let chain = SnapshotChain { suite, genesis, group };
            if snapshots::build_view(chain, &storage, &config.folder, &log, &*view)? {
                found = usable_block(&*view, &log, digest);
            }
        }
        prune::index_heads(&heads, &*view)?;
        let fresh = log.is_empty();
        let flushed = found.as_ref().map_or(0, |(_, block)| block.number());
        let history = History::open(Arc::clone(&storage), config.folder.join("history"), flushed)?;
        let mut store = Store::new(view, history, limits::STATE_CACHE_BYTES, flushed);
        store.set_marker(Arc::clone(&storage), damage_marker(&config.folder));
        let store = Arc::new(store);

        let first = genesis_final_block(genesis_block(suite, genesis, group)?);
        let start = found.as_ref().ok().map(|(location, block)| (*location, head_of(&store, suite, block)));
        let (start_location, head) = match start {
            Some((location, head)) => (Some(location), head),
            None => (None, make_head(&store, &first.executed, &first.certificate)),
        };
        let ledger = Arc::new(Self {
            genesis: Arc::new(StoredBlock::from(&first)),
            storage,
            config,
            suite,
            chain,
            log,
            heads,
            store,
            head: RwLock::new(Arc::new(head)),
            recent: RwLock::new(Recent::default()),
            appending: Mutex::new(()),
            flushing: Mutex::new(()),
            pruning: Mutex::new(()),
            pressure: Pressure::new(),
            due: upkeep::Due::default(),
            stopped: Mutex::new(None),
            blocks: Mutex::new(Cache::with_weighter(1_024, limits::BLOCK_CACHE_BYTES, read::BlockBytes)),
            _lock: lock,
        });
        let replayed = if fresh { ledger.begin(&first)? } else { ledger.replay(start_location, &first)? };
        let view = match rebuilt {
            _ if fresh => ViewRecovery::Fresh,
            None => ViewRecovery::Usable,
            Some(reason) => {
                tracing::warn!(reason, replayed, "the key-value view was built again from the log");
                ViewRecovery::Rebuilt(reason)
            }
        };
        let recovery = Recovery { tail, view, replayed, head: ledger.head().number };
        Ok((ledger, recovery))
    }

    /// Writes block 0.
    fn begin(&self, first: &FinalBlock) -> Result<u64, LedgerError> {
        let payload = first.record()?;
        let locations = self.log.append(&[Entry { kind: KIND_BLOCK, height: 0, payload: &payload }])?;
        for location in locations {
            self.push_layer(first, location)?;
        }
        Ok(0)
    }

    /// Reads the blocks that the view does not have from the log, checks them, and puts them into memory or, where
    /// there are many, into the view.
    fn replay(&self, after: Option<Location>, first: &FinalBlock) -> Result<u64, LedgerError> {
        let mut cursor = match after {
            Some(location) => self.log.cursor_after(location),
            None => self.log.cursor(),
        };
        let mut replayed = 0;
        let mut is_first = after.is_none();
        while let Some((location, record)) = cursor.next()? {
            let (stored, changes) = decode(&self.log, location, &record)?;
            if is_first && stored.hash != first.executed.hash {
                return Err(LedgerError::OtherGenesis { found: stored.hash, expected: first.executed.hash });
            }
            let block = if is_first { first.clone() } else { self.replay_block(&stored, changes)? };
            self.push_layer(&block, location)?;
            self.set_head(&block.executed, &block.certificate);
            self.relieve()?;
            is_first = false;
            replayed += 1;
        }
        Ok(replayed)
    }

    /// Checks a block from the log against the one before it, and computes its trie.
    fn replay_block(&self, stored: &StoredBlock, changes: StateChanges) -> Result<FinalBlock, LedgerError> {
        let head = self.head();
        let number = stored.number();
        check_links(self.suite, stored)?;
        let source = StateAt { store: Arc::clone(&self.store), height: head.number.0 };
        let (trie, nodes) = head.parent.trie.apply(&source, number, &changes.trie_updates())?;
        if trie.root() != stored.block.header.state_root {
            return Err(LedgerError::StateRoot {
                number: BlockNumber(number),
                header: stored.block.header.state_root,
                computed: trie.root(),
            });
        }
        let executed = ExecutedBlock {
            block: Arc::clone(&stored.block),
            hash: stored.hash,
            digest: stored.digest,
            receipts: Arc::clone(&stored.receipts),
            senders: Arc::clone(&stored.senders),
            changes: Arc::new(changes),
            trie,
            nodes: Arc::new(nodes),
            governance: None,
        };
        check_next(head.number.next().0, head.hash, &executed)?;
        Ok(FinalBlock { executed, certificate: Arc::clone(&stored.certificate) })
    }

    pub(super) fn chain_digest(&self) -> B256 {
        chain_digest(self.suite, &self.chain)
    }
}

/// Checks what a block says about itself: its hash, its extension, its certificate.
pub(crate) fn check_links(suite: Suite, stored: &StoredBlock) -> Result<(), LedgerError> {
    let header = &stored.block.header;
    let number = BlockNumber(header.number);
    let hash = suite.header_hash(header);
    if hash != stored.hash {
        let reason = format!("its header has hash {hash}, its record says {}", stored.hash);
        return Err(LedgerError::Invalid { number, reason });
    }
    if header.extra_data.as_ref() != suite.extension_digest(&stored.block.extension).as_slice() {
        let reason = "its extension does not have the digest that its header names".to_owned();
        return Err(LedgerError::Invalid { number, reason });
    }
    check_certificate(number.0, stored.hash, stored.digest, &stored.certificate)
}

/// The block and the changes in a record.
pub(crate) fn decode(
    log: &Log,
    location: Location,
    record: &Record,
) -> Result<(StoredBlock, StateChanges), LedgerError> {
    let fail = |reason: String| LedgerError::from(log.damaged(location, reason));
    if record.kind != KIND_BLOCK {
        return Err(fail(format!("a record of kind {} in a log of blocks", record.kind)));
    }
    let parts = BlockRecord::new(record.payload()).map_err(|error| fail(error.to_string()))?;
    let stored = parts.block().map_err(|error| fail(error.to_string()))?;
    let changes = parts.changes().map_err(|error| fail(error.to_string()))?.unwrap_or_default();
    if stored.number() != record.height || record.height != record.sequence {
        return Err(fail(format!("block {} in the place of block {}", stored.number(), record.sequence)));
    }
    Ok((stored, changes))
}

/// What the view's own entry calls the chain.
pub(super) fn chain_digest(suite: Suite, chain: &ChainContext) -> B256 {
    suite.hash(&borsh::to_vec(chain).unwrap_or_default())
}

/// The view, and why it must be built again if that is known already.
fn open_view(config: &LedgerConfig, storage: &dyn Storage) -> Result<(Arc<dyn View>, Option<String>), LedgerError> {
    let marker = crate::storage::read_whole(storage, &damage_marker(&config.folder))?;
    let marked = marker.map(|reason| String::from_utf8_lossy(&reason).into_owned());
    Ok(match &config.view {
        ViewKind::Memory(view) => (Arc::clone(view) as Arc<dyn View>, marked),
        ViewKind::Disk => {
            let (view, reason) = FjallView::open(&config.folder.join("view"))?;
            (Arc::new(view), reason.or(marked))
        }
    })
}

/// The newest block that the view has, if the log has it too; otherwise why the view cannot be used.
fn usable_block(view: &dyn View, log: &Log, chain: B256) -> Result<(Location, StoredBlock), String> {
    let state = ViewState::read(view).map_err(|error| error.to_string())?;
    let state = state.ok_or("it is empty")?;
    if state.format != ViewState::FORMAT {
        return Err(format!("it has format {}, this program writes {}", state.format, ViewState::FORMAT));
    }
    if state.chain != chain {
        return Err("it belongs to another chain".to_owned());
    }
    let ViewState { height, hash, .. } = state;
    let entry = view.get(&Key::block(height)).map_err(|error| error.to_string())?;
    let entry = entry.and_then(|bytes| index::decode_block(&bytes));
    let (location, _) = entry.ok_or_else(|| format!("it is at block {height} but does not know where that is"))?;
    let other = || format!("it is at block {height} {hash}, which is not in the log");
    let record = log.read(location).map_err(|_| other())?;
    let (stored, _) = decode(log, location, &record).map_err(|_| other())?;
    if stored.hash != hash || stored.number() != height { Err(other()) } else { Ok((location, stored)) }
}

/// The head that a block from the log makes.
fn head_of(store: &Arc<Store>, suite: Suite, stored: &StoredBlock) -> Head {
    let executed = ExecutedBlock {
        block: Arc::clone(&stored.block),
        hash: stored.hash,
        digest: stored.digest,
        receipts: Arc::clone(&stored.receipts),
        senders: Arc::clone(&stored.senders),
        changes: Arc::default(),
        trie: StateTrie::at_root(trie_hasher(suite), stored.block.header.state_root),
        nodes: Arc::default(),
        governance: None,
    };
    make_head(store, &executed, &stored.certificate)
}
