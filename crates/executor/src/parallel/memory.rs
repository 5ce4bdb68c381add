//! What the transactions of a block have written, by location and writer: the multi-version memory of Block-STM
//! (Gelashvili et al. 2022, algorithm 2).

use super::scheduler::Version;
use crate::database::{BlockState, Effect, before};
use crate::{AccountState, StateError};
use alloy_primitives::map::{DefaultHashBuilder, HashMap};
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

/// What stands at a location.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// The account and, where the block gave it, its code.
    Account(Option<AccountState>, Option<Bytecode>),
    /// The slot's value.
    Slot(U256),
    /// Nothing but that it happened.
    Cleared,
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
struct Written {
    version: Version,
    value: Option<Value>,
}

#[derive(Clone, Debug, Default)]
struct Cell {
    /// What stood here before the block, once somebody has asked.
    base: Option<Value>,
    /// By rising position.
    written: Vec<Written>,
    /// The positions that have looked here are lower than this.
    readers: usize,
}

impl Cell {
    /// The last write before a position.
    fn before(&self, position: usize) -> Option<&Written> {
        let index = self.written.partition_point(|written| written.version.position < position);
        self.written.get(index.checked_sub(1)?)
    }

    fn of(&mut self, position: usize) -> Result<&mut Written, usize> {
        let index = self.written.partition_point(|written| written.version.position < position);
        match self.written.get_mut(index) {
            Some(written) if written.version.position == position => Ok(written),
            _ => Err(index),
        }
    }
}

type Shard = HashMap<Location, Cell, DefaultHashBuilder>;

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
        Ok(match self.read(Location::Account(address), position)? {
            Found::Value(origin, Value::Account(state, code)) => Found::Value(origin, (state, code)),
            Found::Value(origin, _) => Found::Value(origin, (None, None)),
            Found::Estimate(on) => Found::Estimate(on),
        })
    }

    /// What the transaction at a position sees in a slot, and the read to be remembered.
    pub(super) fn slot(
        &self,
        address: Address,
        slot: U256,
        position: usize,
    ) -> Result<Found<(U256, Read)>, StateError> {
        let location = Location::Slot(address, slot);
        let (origin, value) = match self.read(location, position)? {
            Found::Value(origin, Value::Slot(value)) => (origin, value),
            Found::Value(origin, _) => (origin, U256::ZERO),
            Found::Estimate(on) => return Ok(Found::Estimate(on)),
        };
        let cleared = match self.cleared(address, position) {
            Found::Value(cleared, ()) => cleared,
            Found::Estimate(on) => return Ok(Found::Estimate(on)),
        };
        // Who forgets storage may write it anew, but what others wrote before is gone.
        let gone = cleared.is_some_and(|cleared| origin.is_none_or(|origin| origin.position < cleared.position));
        let value = if gone { U256::ZERO } else { value };
        Ok(Found::Value(origin, (value, Read { location, origin, cleared })))
    }

    /// Who before a position forgot an account's storage last.
    fn cleared(&self, address: Address, position: usize) -> Found<()> {
        if !self.clearing.load(Ordering::SeqCst) {
            return Found::Value(None, ());
        }
        match self.origin(Location::Clearing(address), position) {
            Ok(origin) => Found::Value(origin, ()),
            Err(on) => Found::Estimate(on),
        }
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
        let former = std::mem::take(locations);
        let mut disturbs = false;
        // The order does not matter: nothing is looked at before all is there.
        for (address, account) in changes {
            let Some(effect) = Effect::of(account) else { continue };
            let before = before(account);
            let mut write = |location, value| {
                locations.push(location);
                disturbs |= self.write(location, version, value);
            };
            let (after, cleared) = match effect {
                Effect::Deleted => (None, true),
                Effect::Written { state, cleared } => (Some(state), cleared),
            };
            if after != before {
                let code = after.is_some_and(|state| state.has_code()).then(|| account.info.code.clone()).flatten();
                write(Location::Account(*address), Value::Account(after, code));
            }
            // Where nothing was, nothing can be forgotten.
            if cleared && before.is_some() {
                self.clearing.store(true, Ordering::SeqCst);
                write(Location::Clearing(*address), Value::Cleared);
            }
            if after.is_some() {
                for (slot, value) in account.storage.iter().filter(|(_, slot)| slot.is_changed()) {
                    write(Location::Slot(*address, *slot), Value::Slot(value.present_value));
                }
            }
        }
        self.remove_former(version, &former);
        disturbs
    }

    /// Marks what a version wrote as estimates.
    pub(super) fn estimate(&self, position: usize, locations: &[Location]) {
        for location in locations {
            if let Ok(written) = self.shard(location).lock().entry(*location).or_default().of(position) {
                written.value = None;
            }
        }
    }

    /// The code with this hash in the state before the block.
    pub(super) fn code(&self, hash: B256) -> Result<Bytecode, StateError> {
        self.beginning.code_by_hash_ref(hash)
    }

    fn read(&self, location: Location, position: usize) -> Result<Found<Value>, StateError> {
        {
            let mut shard = self.shard(&location).lock();
            let cell = shard.entry(location).or_default();
            cell.readers = cell.readers.max(position);
            match (cell.before(position), &cell.base) {
                (Some(Written { version, value: Some(value) }), _) => {
                    return Ok(Found::Value(Some(*version), value.clone()));
                }
                (Some(Written { version, value: None }), _) => return Ok(Found::Estimate(version.position)),
                (None, Some(base)) => return Ok(Found::Value(None, base.clone())),
                (None, None) => {}
            }
        }
        // Reading the state can take long, and others want other things of this shard.
        let base = self.base(location)?;
        let mut shard = self.shard(&location).lock();
        shard.entry(location).or_default().base = Some(base.clone());
        // Whoever has written here meanwhile is found out by validation.
        Ok(Found::Value(None, base))
    }

    fn base(&self, location: Location) -> Result<Value, StateError> {
        Ok(match location {
            Location::Account(address) => {
                let state = self.beginning.basic_ref(address)?.map(|info| AccountState {
                    nonce: info.nonce,
                    balance: info.balance,
                    code_hash: info.code_hash,
                });
                Value::Account(state, None)
            }
            Location::Slot(address, slot) => Value::Slot(self.beginning.storage_ref(address, slot)?),
            Location::Clearing(_) => Value::Cleared,
        })
    }

    /// Who before a position wrote last at a location; the position of an estimate is an error.
    fn origin(&self, location: Location, position: usize) -> Result<Origin, usize> {
        let mut shard = self.shard(&location).lock();
        let cell = shard.entry(location).or_default();
        cell.readers = cell.readers.max(position);
        match cell.before(position) {
            None => Ok(None),
            Some(Written { version, value: Some(_) }) => Ok(Some(*version)),
            Some(Written { version, value: None }) => Err(version.position),
        }
    }

    /// Writes, and says whether a later transaction has looked here while this one had written nothing here.
    fn write(&self, location: Location, version: Version, value: Value) -> bool {
        // Reads of slots look for clearings only once there are any, so that nothing shows who has read before.
        let unseen = matches!(location, Location::Clearing(_));
        let mut shard = self.shard(&location).lock();
        let cell = shard.entry(location).or_default();
        let looked = unseen || cell.readers > version.position;
        let written = Written { version, value: Some(value) };
        match cell.of(version.position) {
            Ok(former) => {
                *former = written;
                false
            }
            Err(index) => {
                cell.written.insert(index, written);
                looked
            }
        }
    }

    /// Removes what the version before this one wrote and this one did not.
    fn remove_former(&self, version: Version, former: &[Location]) {
        for location in former {
            let mut shard = self.shard(location).lock();
            if let Some(cell) = shard.get_mut(location) {
                cell.written.retain(|written| {
                    written.version.position != version.position || written.version.incarnation == version.incarnation
                });
            }
        }
    }

    fn shard(&self, location: &Location) -> &Mutex<Shard> {
        // Addresses and slots are hashes or numbers, whose last bytes differ.
        let last = |address: &Address| {
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
