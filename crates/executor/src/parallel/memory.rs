//! What the transactions of a block have written, by location and writer: the multi-version memory of Block-STM
//! (Gelashvili et al. 2022, algorithm 2).

use super::scheduler::Version;
use crate::database::{BlockState, Effect, before};
use crate::{AccountState, StateError};
use alloy_primitives::map::{AddressMap, U256Map};
use alloy_primitives::{Address, B256, U256};
use parking_lot::Mutex;
use revm::DatabaseRef;
use revm::bytecode::Bytecode;
use revm::state::EvmState;
use std::sync::atomic::{AtomicBool, Ordering};

/// Parts of the memory that are locked apart, and one more for the rest: one for each value of a byte. Many times the
/// threads, so that they seldom meet.
const SHARDS: usize = 255;

/// What can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Location {
    /// An account's nonce, balance and code.
    Account(Address),
    /// A slot of an account's storage.
    Slot(Address, U256),
    /// That all storage of an account was forgotten.
    Clearing(Address),
}

/// An account and, where the block gave it, its code.
pub(super) type FoundAccount = (Option<AccountState>, Option<Bytecode>);

/// Who wrote what was read; nobody in this block where there is none.
pub(super) type Origin = Option<Version>;

/// One read, to be repeated when it is validated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) location: Location,
    pub(super) origin: Origin,
    /// Of a slot: who forgot the account's storage last.
    pub(super) cleared: Origin,
}

/// What a reader finds.
#[derive(Clone, Debug)]
pub(super) enum Found<T> {
    /// This, written by that version.
    Value(Origin, T),
    /// The transaction at this position is going to write here, and what is not known yet.
    Estimate(usize),
}

/// A value or, of an execution that was in vain, `None`: an estimate that the next execution writes here, too.
#[derive(Clone, Debug)]
struct Written<V> {
    version: Version,
    value: Option<V>,
}

/// What stands at one location.
#[derive(Clone, Debug)]
struct Cell<V> {
    /// What stood here before the block, once somebody has asked.
    base: Option<V>,
    /// By rising position.
    written: Vec<Written<V>>,
    /// The positions that have looked here are not above this.
    readers: usize,
}

impl<V> Default for Cell<V> {
    fn default() -> Self {
        Self { base: None, written: Vec::new(), readers: 0 }
    }
}

impl<V: Clone> Cell<V> {
    /// What the transaction at a position finds; `None` where what stood here before the block is not known yet.
    fn read(&mut self, position: usize) -> Option<Found<V>> {
        self.readers = self.readers.max(position);
        match self.before(position) {
            Some(Written { version, value: Some(value) }) => Some(Found::Value(Some(*version), value.clone())),
            Some(Written { version, value: None }) => Some(Found::Estimate(version.position)),
            None => self.base.clone().map(|base| Found::Value(None, base)),
        }
    }

    /// Writes, and says whether a later transaction has looked here while this one had written nothing here.
    fn write(&mut self, version: Version, value: V) -> bool {
        let written = Written { version, value: Some(value) };
        match self.of(version.position) {
            Ok(former) => {
                *former = written;
                false
            }
            Err(index) => {
                if self.written.is_empty() {
                    // Most locations are written once.
                    self.written.reserve_exact(1);
                }
                self.written.insert(index, written);
                self.readers > version.position
            }
        }
    }
}

impl<V> Cell<V> {
    /// The last write before a position.
    fn before(&self, position: usize) -> Option<&Written<V>> {
        let index = self.written.partition_point(|written| written.version.position < position);
        self.written.get(index.checked_sub(1)?)
    }

    /// The write of a position, or where it would be.
    fn of(&mut self, position: usize) -> Result<&mut Written<V>, usize> {
        let index = self.written.partition_point(|written| written.version.position < position);
        match self.written.get_mut(index) {
            Some(written) if written.version.position == position => Ok(written),
            _ => Err(index),
        }
    }
}

/// What is done alike to the cells of all kinds of locations.
trait Versions {
    /// Who before a position wrote last; the position of an estimate is an error.
    fn origin(&mut self, position: usize) -> Result<Origin, usize>;
    /// Makes the write of a position an estimate.
    fn estimate(&mut self, position: usize);
    /// Removes what an earlier version of the same transaction wrote.
    fn remove_before(&mut self, version: Version);
}

impl<V> Versions for Cell<V> {
    fn origin(&mut self, position: usize) -> Result<Origin, usize> {
        self.readers = self.readers.max(position);
        match self.before(position) {
            None => Ok(None),
            Some(Written { version, value: Some(_) }) => Ok(Some(*version)),
            Some(Written { version, value: None }) => Err(version.position),
        }
    }

    fn estimate(&mut self, position: usize) {
        if let Ok(written) = self.of(position) {
            written.value = None;
        }
    }

    fn remove_before(&mut self, version: Version) {
        self.written.retain(|written| {
            written.version.position != version.position || written.version.incarnation == version.incarnation
        });
    }
}

/// The cells of some locations.
#[derive(Debug, Default)]
struct Shard {
    accounts: AddressMap<Cell<FoundAccount>>,
    slots: AddressMap<U256Map<Cell<U256>>>,
    clearings: AddressMap<Cell<()>>,
}

impl Shard {
    fn slot(&mut self, address: Address, slot: U256) -> &mut Cell<U256> {
        self.slots.entry(address).or_default().entry(slot).or_default()
    }

    fn cell(&mut self, location: Location) -> &mut dyn Versions {
        match location {
            Location::Account(address) => self.accounts.entry(address).or_default(),
            Location::Slot(address, slot) => self.slot(address, slot),
            Location::Clearing(address) => self.clearings.entry(address).or_default(),
        }
    }
}

/// The memory of one block.
pub(super) struct Memory<'a> {
    /// The state in which the block's transactions begin.
    beginning: &'a BlockState<'a>,
    shards: Vec<Mutex<Shard>>,
    rest: Mutex<Shard>,
    /// Whether any storage was ever forgotten. Else nobody needs to look.
    clearing: AtomicBool,
}

impl<'a> Memory<'a> {
    pub(super) fn new(beginning: &'a BlockState<'a>) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { beginning, shards, rest: Mutex::default(), clearing: AtomicBool::new(false) }
    }

    /// The state in which the block's transactions begin.
    pub(super) const fn beginning(&self) -> &'a BlockState<'a> {
        self.beginning
    }

    /// What the transaction at a position sees of an account.
    pub(super) fn account(&self, address: Address, position: usize) -> Result<Found<FoundAccount>, StateError> {
        let shard = self.shard(Location::Account(address));
        if let Some(found) = shard.lock().accounts.entry(address).or_default().read(position) {
            return Ok(found);
        }
        // Reading the state can take long, and others want other things of this shard. Whoever writes here meanwhile is
        // found out by validation.
        let state = self.beginning.basic_ref(address)?.map(|info| AccountState {
            nonce: info.nonce,
            balance: info.balance,
            code_hash: info.code_hash,
        });
        shard.lock().accounts.entry(address).or_default().base = Some((state, None));
        Ok(Found::Value(None, (state, None)))
    }

    /// What the transaction at a position sees in a slot, and the read to be remembered.
    pub(super) fn slot(
        &self,
        address: Address,
        slot: U256,
        position: usize,
    ) -> Result<Found<(U256, Read)>, StateError> {
        let location = Location::Slot(address, slot);
        let shard = self.shard(location);
        let found = shard.lock().slot(address, slot).read(position);
        let (origin, value) = match found {
            Some(Found::Value(origin, value)) => (origin, value),
            Some(Found::Estimate(on)) => return Ok(Found::Estimate(on)),
            None => {
                let base = self.beginning.storage_ref(address, slot)?;
                shard.lock().slot(address, slot).base = Some(base);
                (None, base)
            }
        };
        let cleared = match self.cleared(address, position) {
            Ok(cleared) => cleared,
            Err(on) => return Ok(Found::Estimate(on)),
        };
        // Who forgets storage may write it anew, but what others wrote before is gone.
        let gone = cleared.is_some_and(|cleared| origin.is_none_or(|origin| origin.position < cleared.position));
        let value = if gone { U256::ZERO } else { value };
        Ok(Found::Value(origin, (value, Read { location, origin, cleared })))
    }

    /// Who before a position forgot an account's storage last; the position of an estimate is an error.
    fn cleared(&self, address: Address, position: usize) -> Result<Origin, usize> {
        if self.clearing.load(Ordering::SeqCst) { self.origin(Location::Clearing(address), position) } else { Ok(None) }
    }

    /// Whether repeating a transaction's reads would find the same.
    pub(super) fn validate(&self, reads: &[Read], position: usize) -> bool {
        let valid = |location, origin| self.origin(location, position) == Ok(origin);
        let clearing = self.clearing.load(Ordering::SeqCst);
        reads.iter().all(|read| {
            valid(read.location, read.origin)
                && match read.location {
                    Location::Slot(address, _) if clearing => valid(Location::Clearing(address), read.cleared),
                    _ => true,
                }
        })
    }

    /// Records what a version changed, in place of what the version before it wrote. `locations` are those of that version and
    /// become those of this one. Says whether a later transaction has looked where this one writes for the first time.
    pub(super) fn record(&self, version: Version, changes: &EvmState, locations: &mut Vec<Location>) -> bool {
        // Each account that changed, and its slots.
        let written = changes.values().map(|account| account.storage.len().saturating_add(1)).sum();
        let former = std::mem::replace(locations, Vec::with_capacity(written));
        let mut disturbs = false;
        // The order does not matter: what is seen in part is found out by validation.
        for (address, account) in changes {
            let Some(effect) = Effect::of(account) else { continue };
            let (address, before) = (*address, before(account));
            let (after, cleared) = match effect {
                Effect::Deleted => (None, true),
                Effect::Written { state, cleared } => (Some(state), cleared),
            };
            if after != before {
                let code = after.is_some_and(|state| state.has_code()).then(|| account.info.code.clone()).flatten();
                let location = Location::Account(address);
                locations.push(location);
                let mut shard = self.shard(location).lock();
                disturbs |= shard.accounts.entry(address).or_default().write(version, (after, code));
            }
            // Where nothing was, nothing can be forgotten.
            if cleared && before.is_some() {
                disturbs |= self.clear(version, address);
                locations.push(Location::Clearing(address));
            }
            if after.is_some() {
                for (slot, value) in account.storage.iter().filter(|(_, slot)| slot.is_changed()) {
                    let location = Location::Slot(address, *slot);
                    locations.push(location);
                    disturbs |= self.shard(location).lock().slot(address, *slot).write(version, value.present_value);
                }
            }
        }
        for location in former {
            self.shard(location).lock().cell(location).remove_before(version);
        }
        disturbs
    }

    /// Records that a version forgets an account's storage. Readers of slots leave no trace here as long as nobody has done
    /// so, and so it disturbs them whenever it is new.
    fn clear(&self, version: Version, address: Address) -> bool {
        self.clearing.store(true, Ordering::SeqCst);
        let mut shard = self.shard(Location::Clearing(address)).lock();
        let cell = shard.clearings.entry(address).or_default();
        let new = cell.of(version.position).is_err();
        cell.write(version, ());
        new
    }

    /// Marks what a version wrote as estimates.
    pub(super) fn estimate(&self, position: usize, locations: &[Location]) {
        for location in locations {
            self.shard(*location).lock().cell(*location).estimate(position);
        }
    }

    /// The code with this hash in the state before the block.
    pub(super) fn code(&self, hash: B256) -> Result<Bytecode, StateError> {
        self.beginning.code_by_hash_ref(hash)
    }

    /// Who before a position wrote last at a location; the position of an estimate is an error.
    fn origin(&self, location: Location, position: usize) -> Result<Origin, usize> {
        self.shard(location).lock().cell(location).origin(position)
    }

    fn shard(&self, location: Location) -> &Mutex<Shard> {
        // Addresses and slots are hashes or numbers, whose last bytes differ.
        let last = |address: Address| {
            let [.., last] = address.into_array();
            last
        };
        let index = match location {
            Location::Account(address) | Location::Clearing(address) => last(address),
            Location::Slot(address, slot) => last(address) ^ slot.byte(0),
        };
        self.shards.get(usize::from(index)).unwrap_or(&self.rest)
    }
}
