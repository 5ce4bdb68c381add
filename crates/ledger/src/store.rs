//! State at a height: the memory layer, the cache, the view and the past states put together.

use crate::cache::ReadCache;
use crate::history::{History, HistoryError, Replaced, ReplacedValues};
use crate::key::{Change, Key, Table, Value};
use crate::log::LogError;
use crate::overlay::Overlay;
use crate::storage::{Storage, write_whole};
use crate::view::{View, ViewError, Write};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use lian_executor::{AccountState, StateError, StateReader};
use lian_trie::{Nibbles, NodeSource, Owner, SourceError};
use lian_types::BlockNumber;
use parking_lot::RwLock;
use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Hashes of the newest blocks that are at hand for the opcode `BLOCKHASH`, which reaches 256 back.
const RECENT_HASHES: usize = 512;

/// Why a value could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The key-value view failed.
    #[error(transparent)]
    View(#[from] ViewError),
    /// A log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The state is not kept.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// An entry of the view cannot be understood.
    #[error("the entry {key} of the key-value view is malformed")]
    Malformed {
        /// Which entry.
        key: Box<Key>,
    },
    /// An entry that must be there is not.
    #[error("the entry {key} is missing from the key-value view")]
    Missing {
        /// Which entry.
        key: Box<Key>,
    },
}

/// The states of the newest block and of those before it that are kept.
pub(crate) struct Store {
    pub(crate) view: Arc<dyn View>,
    pub(crate) overlay: Overlay,
    pub(crate) cache: ReadCache,
    pub(crate) history: History,
    flushed: AtomicU64,
    hashes: RwLock<VecDeque<(u64, B256)>>,
    marker: Option<(Arc<dyn Storage>, PathBuf)>,
}

impl Store {
    pub(crate) fn new(view: Arc<dyn View>, history: History, cache_bytes: u64, flushed: u64) -> Self {
        Self {
            view,
            overlay: Overlay::new(),
            cache: ReadCache::new(cache_bytes),
            history,
            flushed: AtomicU64::new(flushed),
            hashes: RwLock::default(),
            marker: None,
        }
    }

    /// Says in which file to note that the view must be built again.
    pub(crate) fn set_marker(&mut self, storage: Arc<dyn Storage>, path: PathBuf) {
        self.marker = Some((storage, path));
    }

    /// Notes that the view must be built again when the ledger is opened the next time.
    pub(crate) fn mark_damaged(&self, reason: &str) {
        tracing::error!(reason, "the key-value view will be built again at the next start");
        if let Some((storage, path)) = &self.marker
            && let Err(error) = write_whole(&**storage, path, reason.as_bytes())
        {
            tracing::error!(%error, "that the view is damaged cannot be noted");
        }
    }

    /// Notes a failure of the view, whatever it was.
    fn noted<T>(&self, result: Result<T, ViewError>) -> Result<T, ViewError> {
        if let Err(error) = &result {
            self.mark_damaged(&error.to_string());
        }
        result
    }

    /// The height up to which everything is in the view.
    pub(crate) fn flushed(&self) -> u64 {
        self.flushed.load(Ordering::SeqCst)
    }

    /// The value of a key after the block at `height`, which must exist.
    pub(crate) fn get_at(&self, key: &Key, height: u64) -> Result<Value, ReadError> {
        if let Some(value) = self.overlay.get(key, height) {
            return Ok(value);
        }
        // The order matters, see `history`: first the newest value, then what may have been replaced meanwhile.
        let newest = self.newest(key)?;
        if !key.table().is_versioned() {
            return Ok(newest);
        }
        match self.history.replaced_after(key, height)? {
            Replaced::Not => Ok(newest),
            Replaced::Value(value) => Ok(value),
            Replaced::Dropped => {
                Err(HistoryError::TooOld { asked: BlockNumber(height), oldest: BlockNumber(self.history.oldest()) }
                    .into())
            }
        }
    }

    /// The newest flushed value of a key.
    pub(crate) fn newest(&self, key: &Key) -> Result<Value, ReadError> {
        if let Some(value) = self.cache.get(key) {
            return Ok(value);
        }
        let epoch = self.cache.epoch();
        let value = self.noted(self.view.get(key))?;
        self.cache.insert_read(*key, value.clone(), epoch);
        Ok(value)
    }

    /// All slots of an account that may be other than zero after the block at `height`.
    pub(crate) fn slots_at(&self, address: Address, height: u64) -> Result<BTreeSet<U256>, ReadError> {
        let prefix = address.as_slice();
        let slot = |key: &[u8]| U256::try_from_be_slice(key.get(prefix.len()..).unwrap_or_default());
        // First the memory layer: what leaves it for the view meanwhile is found there.
        let is_slot = |key: &Key| key.table() == Table::Storage && key.bytes().starts_with(prefix);
        let mut slots: BTreeSet<_> = self.overlay.keys(is_slot).iter().filter_map(|key| slot(key.bytes())).collect();
        self.view.scan(Table::Storage, prefix, &mut |key, _| {
            slots.extend(slot(key));
            ControlFlow::Continue(())
        })?;
        let mut held = BTreeSet::new();
        for slot in slots {
            if self.get_at(&Key::storage(address, slot), height)?.is_some() {
                held.insert(slot);
            }
        }
        Ok(held)
    }

    /// Moves the changes of blocks of consecutive heights to the view: `blocks` and, written once, what else belongs
    /// there (`others`). Past values are kept of blocks from `keep_from` on.
    pub(crate) fn flush(
        &self,
        blocks: &[(u64, &[Change])],
        mut others: Vec<Write>,
        keep_from: u64,
    ) -> Result<(), ReadError> {
        let Some((last, _)) = blocks.last() else { return Ok(()) };
        let first_kept = blocks.partition_point(|(height, _)| *height < keep_from.max(1));
        // By key and, within a key, by height: what a block replaces stands before it, and the view takes sorted keys
        // faster.
        let mut sorted: Vec<(&Change, usize)> = Vec::new();
        for ((_, changes), at) in blocks.iter().zip(0..) {
            sorted.extend(changes.iter().map(|change| (change, at)));
        }
        sorted.sort_unstable_by(|(a, at), (b, bt)| a.key.cmp(&b.key).then(at.cmp(bt)));
        others.sort_unstable_by_key(|(key, _)| *key);
        let mut replaced: Vec<ReplacedValues<'_>> = blocks.iter().map(|_| Vec::new()).collect();
        let mut newest = Vec::with_capacity(sorted.len());
        for changes in sorted.chunk_by(|(a, _), (b, _)| a.key == b.key) {
            let mut before = None;
            for (change, at) in changes {
                if *at >= first_kept
                    && change.key.table().is_versioned()
                    && let Some(replaced) = replaced.get_mut(*at)
                {
                    let before = match before.or(change.before.as_ref()) {
                        Some(before) => Cow::Borrowed(before),
                        None => Cow::Owned(self.newest(&change.key)?),
                    };
                    replaced.push((&change.key, before));
                }
                before = Some(&change.value);
            }
            newest.extend(changes.last().map(|(change, _)| *change));
        }
        let records = blocks.iter().zip(replaced).map(|((height, _), replaced)| (*height, replaced));
        self.history.append(&records.skip(first_kept).collect::<Vec<_>>(), *last)?;
        self.cache.begin_flush();
        let writes = newest.iter().map(|change| (change.key, change.value.clone()));
        self.noted(self.view.commit(writes.chain(others).collect()))?;
        for change in &newest {
            let Change { key, value, .. } = *change;
            match key.table() {
                // The trie keeps the nodes that it needs often, and tells what it replaces: in the cache are those that
                // were read from the view. A node is a slice of all nodes of its block, which the cache must not keep
                // alive for it.
                Table::Nodes => self.cache.refresh(key, || value.as_deref().map(|node| Bytes::copy_from_slice(node))),
                _ => self.cache.replace(*key, value.clone()),
            }
        }
        self.cache.end_flush();
        self.flushed.store(*last, Ordering::SeqCst);
        self.overlay.remove(*last, newest.iter().map(|change| &change.key));
        Ok(())
    }

    /// Notes the hash of the newest block.
    pub(crate) fn push_hash(&self, number: u64, hash: B256) {
        let mut hashes = self.hashes.write();
        hashes.push_back((number, hash));
        if hashes.len() > RECENT_HASHES {
            hashes.pop_front();
        }
    }

    /// The hash of a block, if it exists.
    pub(crate) fn block_hash(&self, number: u64) -> Result<Option<B256>, ReadError> {
        let hashes = self.hashes.read();
        let recent = hashes.front().and_then(|(first, _)| usize::try_from(number.checked_sub(*first)?).ok());
        if let Some((_, hash)) = recent.and_then(|index| hashes.get(index)) {
            return Ok(Some(*hash));
        }
        drop(hashes);
        let key = Key::block(number);
        if let Some(bytes) = self.view.get(&key)? {
            let (_, hash) = crate::index::decode_block(&bytes).ok_or(ReadError::Malformed { key: Box::new(key) })?;
            return Ok(Some(hash));
        }
        let key = Key::header(number);
        let Some(bytes) = self.view.get(&key)? else { return Ok(None) };
        let (hash, _) = crate::index::decode_header(&bytes).ok_or(ReadError::Malformed { key: Box::new(key) })?;
        Ok(Some(hash))
    }
}

/// The state after one block. It stays right while blocks are appended and flushed; once its block leaves the kept
/// history, reading gives an error.
#[derive(Clone)]
pub(crate) struct StateAt {
    pub(crate) store: Arc<Store>,
    pub(crate) height: u64,
}

fn malformed(key: Key) -> StateError {
    StateError::new(ReadError::Malformed { key: Box::new(key) })
}

impl StateReader for StateAt {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        let key = Key::account(address);
        let value = self.store.get_at(&key, self.height).map_err(StateError::new)?;
        value.map(|bytes| borsh::from_slice(&bytes).map_err(|_| malformed(key))).transpose()
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        let key = Key::storage(address, slot);
        match self.store.get_at(&key, self.height).map_err(StateError::new)? {
            Some(bytes) => U256::try_from_be_slice(&bytes).ok_or_else(|| malformed(key)),
            None => Ok(U256::ZERO),
        }
    }

    fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        if hash == KECCAK256_EMPTY || hash.is_zero() {
            return Ok(Bytes::new());
        }
        let key = Key::code(hash);
        let code = self.store.get_at(&key, self.height).map_err(StateError::new)?;
        code.ok_or_else(|| StateError::new(ReadError::Missing { key: Box::new(key) }))
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        let hash = if number > self.height { None } else { self.store.block_hash(number).map_err(StateError::new)? };
        hash.ok_or_else(|| StateError::new(ReadError::Missing { key: Box::new(Key::block(number)) }))
    }
}

impl NodeSource for StateAt {
    fn node(&self, owner: Owner, path: &Nibbles, _hash: B256) -> Result<Option<Bytes>, SourceError> {
        self.store.get_at(&Key::node(owner, path), self.height).map_err(SourceError::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;
    use crate::view::{FrozenView, MemoryView, Visit};
    use parking_lot::Mutex;

    type Hook = Box<dyn FnOnce() + Send>;

    /// A view in which something else happens between its own work and its return.
    #[derive(Default)]
    struct Hooked {
        view: MemoryView,
        after_get: Mutex<Option<Hook>>,
        after_commit: Mutex<Option<Hook>>,
    }

    fn run(hook: &Mutex<Option<Hook>>) {
        let hook = hook.lock().take();
        if let Some(hook) = hook {
            hook();
        }
    }

    impl View for Hooked {
        fn get(&self, key: &Key) -> Result<Option<Bytes>, ViewError> {
            let value = self.view.get(key);
            run(&self.after_get);
            value
        }

        fn scan(&self, table: Table, prefix: &[u8], visit: Visit<'_>) -> Result<(), ViewError> {
            self.view.scan(table, prefix, visit)
        }

        fn commit(&self, batch: Vec<Write>) -> Result<(), ViewError> {
            let result = self.view.commit(batch);
            run(&self.after_commit);
            result
        }

        fn clear(&self) -> Result<(), ViewError> {
            self.view.clear()
        }

        fn freeze(&self) -> Result<Box<dyn FrozenView>, ViewError> {
            self.view.freeze()
        }
    }

    fn setup() -> (Arc<Hooked>, Arc<Store>) {
        let view = Arc::new(Hooked::default());
        let history = History::open(Arc::new(MemoryStorage::new()), "/history".into(), 0).unwrap();
        let store = Store::new(Arc::clone(&view) as Arc<dyn View>, history, 1 << 20, 0);
        (view, Arc::new(store))
    }

    fn key() -> Key {
        Key::account(Address::repeat_byte(1))
    }

    fn value(height: u8) -> Value {
        Some(Bytes::copy_from_slice(&[height]))
    }

    fn flush(store: &Store, height: u8) {
        let changes = [Change::new(key(), value(height))];
        store.overlay.insert(height.into(), &changes);
        store.flush(&[(height.into(), &changes)], vec![], 0).unwrap();
    }

    #[test]
    fn older_states_stay_right_while_the_view_has_changed_already() {
        let (view, store) = setup();
        flush(&store, 1);
        let reader = Arc::clone(&store);
        let seen = Arc::new(Mutex::new(None));
        let result = Arc::clone(&seen);
        *view.after_commit.lock() = Some(Box::new(move || {
            // The cache is passed by: it still has the value from before the flush.
            assert_eq!(reader.view.get(&key()).unwrap(), value(2));
            let replaced = reader.history.replaced_after(&key(), 1).unwrap();
            *result.lock() = match replaced {
                Replaced::Value(value) => Some(value),
                Replaced::Not | Replaced::Dropped => None,
            };
        }));
        flush(&store, 2);
        assert_eq!(*seen.lock(), Some(value(1)));
    }

    #[test]
    fn a_value_read_before_a_flush_is_not_cached_after_it() {
        let (view, store) = setup();
        flush(&store, 1);
        let reader = Store::new(
            Arc::clone(&view) as Arc<dyn View>,
            History::open(Arc::new(MemoryStorage::new()), "/h".into(), 1).unwrap(),
            1 << 20,
            1,
        );
        let reader = Arc::new(reader);
        let flusher = Arc::clone(&reader);
        *view.after_get.lock() = Some(Box::new(move || flush(&flusher, 2)));
        // The reader has the old value in hand when the flush comes.
        assert_eq!(reader.newest(&key()).unwrap(), value(1));
        assert_eq!(reader.newest(&key()).unwrap(), value(2));
        assert_eq!(reader.get_at(&key(), 1).unwrap(), value(1));
    }
}
