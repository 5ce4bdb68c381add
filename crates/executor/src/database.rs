//! State as the EVM reads and writes it while a block runs.

use crate::{AccountChange, AccountState, StateChanges, StateError, StateReader};
use alloy_primitives::map::{AddressMap, B256Map, Entry, U256Map};
use alloy_primitives::{Address, B256, Bytes, U256};
use revm::bytecode::Bytecode;
use revm::primitives::hardfork::SpecId;
use revm::state::{Account, AccountInfo, EvmState, EvmStorageSlot};
use revm::{Database, DatabaseCommit, DatabaseRef};
use std::collections::BTreeMap;

/// A slot: what the base state has, and what it is now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    base: U256,
    present: U256,
}

impl Slot {
    const fn of(slot: &EvmStorageSlot) -> Self {
        Self { base: slot.original_value, present: slot.present_value }
    }

    fn is_changed(&self) -> bool {
        self.base != self.present
    }
}

/// What a transaction found of an account and did to it, noted to be taken over later.
#[derive(Debug)]
pub(crate) struct AccountNote {
    address: Address,
    before: Option<AccountState>,
    effect: Option<Effect>,
    /// Its code, where it received some.
    code: Option<Bytecode>,
    /// How many of its slots were read or written.
    slots: usize,
}

impl AccountNote {
    /// Notes all that a transaction read and did: the EVM's journal begins it without anything, and keeps what it reads.
    pub(crate) fn add_all(changes: &EvmState, accounts: &mut Vec<Self>, slots: &mut Vec<(U256, Slot)>) {
        for (address, account) in changes {
            let first = slots.len();
            slots.extend(account.storage.iter().map(|(key, slot)| (*key, Slot::of(slot))));
            let (before, effect) = (before(account), Effect::of(account));
            let hash = |state: Option<AccountState>| state.map(|state| state.code_hash);
            let is_new = matches!(effect, Some(Effect::Written { state, .. }) if Some(state.code_hash) != hash(before));
            let code = if is_new { account.info.code.clone() } else { None };
            accounts.push(Self { address: *address, before, effect, code, slots: slots.len().saturating_sub(first) });
        }
    }
}

/// An account as the block found it and as it is now.
#[derive(Clone, Debug)]
struct CachedAccount {
    base: Option<AccountState>,
    present: Option<AccountState>,
    /// Whether the base state has an account here whose storage is gone: slots that are not listed are zero.
    cleared: bool,
    storage: U256Map<Slot>,
}

/// What a transaction leaves of an account that it touched.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effect {
    /// Nothing: it is gone, and its storage with it.
    Deleted,
    /// This.
    Written {
        /// The account.
        state: AccountState,
        /// Whether all storage from before is gone.
        cleared: bool,
    },
}

impl Effect {
    /// `None` of an account that was only read.
    pub(crate) fn of(account: &Account) -> Option<Self> {
        if !account.is_touched() {
            return None;
        }
        let created = account.is_created();
        if account.is_selfdestructed() || (!created && account.is_empty()) {
            // EIP-161: an account that a transaction touches and leaves empty goes away.
            return Some(Self::Deleted);
        }
        let AccountInfo { balance, nonce, code_hash, .. } = account.info;
        Some(Self::Written { state: AccountState { nonce, balance, code_hash }, cleared: created })
    }
}

/// The account as a transaction found it.
pub(crate) fn before(account: &Account) -> Option<AccountState> {
    if account.is_loaded_as_not_existing() {
        return None;
    }
    let AccountInfo { balance, nonce, code_hash, .. } = account.original_info();
    Some(AccountState { nonce, balance, code_hash })
}

/// A base state with the writes of the transactions so far.
///
/// Each transaction's result is committed on its own and in order. It may come from an EVM that read the same through
/// something else ([`crate::parallel`]).
#[derive(Clone)]
pub(crate) struct BlockState<'a> {
    base: &'a dyn StateReader,
    accounts: AddressMap<CachedAccount>,
    codes: B256Map<Bytecode>,
    /// Hashes that this block knows better than the base state: its parent's, and simulated blocks'.
    block_hashes: BTreeMap<u64, B256>,
}

impl<'a> BlockState<'a> {
    pub(crate) fn new(base: &'a dyn StateReader) -> Self {
        Self { base, accounts: AddressMap::default(), codes: B256Map::default(), block_hashes: BTreeMap::new() }
    }

    /// Makes `BLOCKHASH` of a height answer with this hash.
    pub(crate) fn set_block_hash(&mut self, number: u64, hash: B256) {
        self.block_hashes.insert(number, hash);
    }

    /// The account as it is now.
    pub(crate) fn account(&mut self, address: Address) -> Result<Option<AccountState>, StateError> {
        Ok(self.cached(address)?.present)
    }

    /// The code with this hash.
    pub(crate) fn bytecode(&mut self, hash: B256) -> Result<Bytecode, StateError> {
        match self.codes.entry(hash) {
            Entry::Occupied(entry) => Ok(entry.get().clone()),
            Entry::Vacant(entry) => {
                let code = Bytecode::new_raw_checked(self.base.code(hash)?).map_err(StateError::new)?;
                Ok(entry.insert(code).clone())
            }
        }
    }

    /// Writes an account past the EVM: for overrides, genesis and what the system writes.
    pub(crate) fn set_account(&mut self, address: Address, state: AccountState) -> Result<(), StateError> {
        self.cached(address)?.present = Some(state);
        Ok(())
    }

    /// Touches an account as a reward of nothing does: an empty one goes away, or, before EIP-161, comes into being.
    pub(crate) fn touch(&mut self, address: Address, spec: SpecId) -> Result<(), StateError> {
        let account = self.cached(address)?;
        if !spec.is_enabled_in(SpecId::SPURIOUS_DRAGON) {
            account.present.get_or_insert_default();
        } else if account.present.is_some_and(|state| state.is_empty()) {
            account.delete();
        }
        Ok(())
    }

    /// Gives an account code past the EVM; the code's hash is returned.
    pub(crate) fn insert_code(&mut self, code: Bytes) -> Result<B256, StateError> {
        let code = Bytecode::new_raw_checked(code).map_err(StateError::new)?;
        let hash = code.hash_slow();
        self.codes.insert(hash, code);
        Ok(hash)
    }

    /// Writes a slot past the EVM.
    pub(crate) fn set_storage(&mut self, address: Address, slot: U256, value: U256) -> Result<(), StateError> {
        let base = self.base;
        let account = self.cached(address)?;
        let old = if account.cleared || account.base.is_none() { U256::ZERO } else { base.storage(address, slot)? };
        account.storage.entry(slot).or_insert(Slot { base: old, present: old }).present = value;
        Ok(())
    }

    /// Forgets all storage of an account, past the EVM.
    pub(crate) fn clear_storage(&mut self, address: Address) -> Result<(), StateError> {
        self.cached(address)?.clear();
        Ok(())
    }

    fn cached(&mut self, address: Address) -> Result<&mut CachedAccount, StateError> {
        match self.accounts.entry(address) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let base = self.base.account(address)?;
                Ok(entry.insert(CachedAccount::new(base)))
            }
        }
    }

    /// Whether a transaction finds here what it found in `part`, a state on top of that in which this block begins.
    pub(crate) fn still_has(&self, part: &BlockState<'_>, accounts: &[AccountNote], slots: &[(U256, Slot)]) -> bool {
        let mut slots = slots.iter();
        accounts.iter().all(|note| {
            let address = note.address;
            let (now, found) = (self.accounts.get(&address), part.accounts.get(&address));
            let same_account = match now {
                Some(now) => now.present == note.before,
                None => found.is_some_and(|found| found.base == note.before),
            };
            let base = |key: U256| match found.filter(|found| !found.cleared).and_then(|found| found.storage.get(&key))
            {
                Some(slot) => Ok(slot.base),
                None => self.base.storage(address, key),
            };
            let same_slot = |(key, slot): &(U256, Slot)| match now.and_then(|now| now.known_slot(*key)) {
                Some(now) => now == slot.base,
                None => base(*key).is_ok_and(|base| base == slot.base),
            };
            // What was created then had no storage to be read.
            let is_new = note.before.is_none();
            same_account && slots.by_ref().take(note.slots).all(|slot| is_new || same_slot(slot))
        })
    }

    /// Whether all that a state on top of that in which this block begins has read from it is still so here. `false` also
    /// where it does not know any more what it read.
    pub(crate) fn agrees_with(&self, part: &BlockState<'_>) -> bool {
        part.accounts.iter().all(|(address, read)| {
            // Who forgets an account's storage forgets what was read of it.
            !read.cleared
                && self.accounts.get(address).is_none_or(|account| {
                    let same =
                        |(slot, read): (&U256, &Slot)| account.known_slot(*slot).is_none_or(|now| now == read.base);
                    !account.cleared && account.present == read.base && read.storage.iter().all(same)
                })
        })
    }

    /// Takes over all that a state has written with which this block agrees.
    pub(crate) fn absorb(&mut self, part: BlockState<'_>) {
        for (address, written) in part.accounts {
            match self.accounts.entry(address) {
                Entry::Vacant(entry) => {
                    entry.insert(written);
                }
                Entry::Occupied(mut entry) => {
                    let account = entry.get_mut();
                    account.present = written.present;
                    for (slot, value) in written.storage {
                        account.storage.entry(slot).or_insert(value).present = value.present;
                    }
                }
            }
        }
        self.codes.extend(part.codes);
    }

    /// Takes over what a transaction did.
    pub(crate) fn record(&mut self, changes: &EvmState) {
        for (address, account) in changes {
            if let Some(effect) = Effect::of(account) {
                let slots = account.storage.iter().map(|(key, slot)| (*key, Slot::of(slot)));
                self.write(*address, before(account), effect, account.info.code.as_ref(), slots);
            }
        }
    }

    /// Takes over what a transaction did, as it was noted.
    pub(crate) fn record_noted(&mut self, changes: &[AccountNote], slots: &[(U256, Slot)]) {
        let mut slots = slots;
        for AccountNote { address, before, effect, code, slots: count } in changes {
            let (own, rest) = slots.split_at_checked(*count).unwrap_or((slots, &[]));
            slots = rest;
            if let Some(effect) = effect {
                self.write(*address, *before, *effect, code.as_ref(), own.iter().copied());
            }
        }
    }

    /// Writes what a transaction left of an account.
    fn write(
        &mut self,
        address: Address,
        before: Option<AccountState>,
        effect: Effect,
        code: Option<&Bytecode>,
        slots: impl Iterator<Item = (U256, Slot)>,
    ) {
        // The first to touch an account has found it as the base state has it.
        let cached = self.accounts.entry(address).or_insert_with(|| CachedAccount::new(before));
        let Effect::Written { state, cleared } = effect else {
            cached.delete();
            return;
        };
        if cleared {
            cached.clear();
        }
        if cached.present.is_none_or(|present| present.code_hash != state.code_hash)
            && let Some(code) = code
        {
            self.codes.entry(state.code_hash).or_insert_with(|| code.clone());
        }
        cached.present = Some(state);
        for (key, slot) in slots.filter(|(_, slot)| slot.is_changed()) {
            cached.storage.entry(key).or_insert(slot).present = slot.present;
        }
    }

    /// What differs from the base state, in order.
    pub(crate) fn changes(&self) -> StateChanges {
        // Sorted beforehand, what is small: then the maps are built in one pass.
        let mut sorted: Vec<_> = self.accounts.iter().collect();
        sorted.sort_unstable_by_key(|(address, _)| **address);
        let mut codes = BTreeMap::new();
        let change = |(address, cached): (&Address, &CachedAccount)| {
            let (change, new_code) = cached.change()?;
            if let Some((hash, code)) = new_code.and_then(|hash| Some((hash, self.codes.get(&hash)?))) {
                codes.insert(hash, code.original_bytes());
            }
            Some((*address, change))
        };
        let accounts = sorted.into_iter().filter_map(change).collect();
        StateChanges { accounts, codes }
    }
}

impl CachedAccount {
    fn new(base: Option<AccountState>) -> Self {
        Self { base, present: base, cleared: false, storage: U256Map::default() }
    }

    /// What a slot has; `None` where that is what the base state has, and it was not read.
    fn known_slot(&self, slot: U256) -> Option<U256> {
        match self.storage.get(&slot) {
            Some(slot) => Some(slot.present),
            None => (self.cleared || self.base.is_none()).then_some(U256::ZERO),
        }
    }

    fn delete(&mut self) {
        self.present = None;
        self.clear();
    }

    /// Forgets all storage.
    fn clear(&mut self) {
        self.cleared = self.base.is_some();
        self.storage.clear();
    }

    /// The change, if there is one, and the hash of the code that the account received, if it did.
    fn change(&self) -> Option<(AccountChange, Option<B256>)> {
        let Some(present) = self.present else {
            let gone = AccountChange { account: None, storage_cleared: true, storage: BTreeMap::new() };
            return self.base.map(|_| (gone, None));
        };
        let storage_cleared = self.cleared && self.base.is_some();
        let mut storage: Vec<(U256, U256)> = self
            .storage
            .iter()
            .filter(|(_, slot)| if self.cleared { !slot.present.is_zero() } else { slot.present != slot.base })
            .map(|(key, slot)| (*key, slot.present))
            .collect();
        storage.sort_unstable_by_key(|(key, _)| *key);
        let storage: BTreeMap<U256, U256> = storage.into_iter().collect();
        if self.base == Some(present) && !storage_cleared && storage.is_empty() {
            return None;
        }
        let new_code = present.has_code() && self.base.is_none_or(|base| base.code_hash != present.code_hash);
        let change = AccountChange { account: Some(present), storage_cleared, storage };
        Some((change, new_code.then_some(present.code_hash)))
    }
}

impl Database for BlockState<'_> {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        let Some(state) = self.cached(address)?.present else { return Ok(None) };
        let code = if state.has_code() { self.codes.get(&state.code_hash).cloned() } else { Some(Bytecode::default()) };
        let AccountState { nonce, balance, code_hash } = state;
        Ok(Some(AccountInfo { balance, nonce, code_hash, account_id: None, code }))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, StateError> {
        self.bytecode(hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, StateError> {
        let base = self.base;
        let account = self.cached(address)?;
        match account.storage.entry(slot) {
            Entry::Occupied(entry) => Ok(entry.get().present),
            Entry::Vacant(_) if account.cleared || account.base.is_none() => Ok(U256::ZERO),
            Entry::Vacant(entry) => {
                let value = base.storage(address, slot)?;
                entry.insert(Slot { base: value, present: value });
                Ok(value)
            }
        }
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StateError> {
        match self.block_hashes.get(&number) {
            Some(hash) => Ok(*hash),
            None => self.base.block_hash(number),
        }
    }
}

/// Reading without remembering, for tracers that look at the state before a transaction.
impl DatabaseRef for BlockState<'_> {
    type Error = StateError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        let present = match self.accounts.get(&address) {
            Some(account) => account.present,
            None => self.base.account(address)?,
        };
        let Some(AccountState { nonce, balance, code_hash }) = present else { return Ok(None) };
        Ok(Some(AccountInfo { balance, nonce, code_hash, account_id: None, code: None }))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, StateError> {
        match self.codes.get(&hash) {
            Some(code) => Ok(code.clone()),
            None => Bytecode::new_raw_checked(self.base.code(hash)?).map_err(StateError::new),
        }
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        let Some(account) = self.accounts.get(&address) else { return self.base.storage(address, slot) };
        match account.storage.get(&slot) {
            Some(slot) => Ok(slot.present),
            None if account.cleared || account.base.is_none() => Ok(U256::ZERO),
            None => self.base.storage(address, slot),
        }
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StateError> {
        self.block_hashes.get(&number).map_or_else(|| self.base.block_hash(number), |hash| Ok(*hash))
    }
}

/// The block so far as a state, for what is decided by the state before a simulated block.
impl StateReader for BlockState<'_> {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        self.accounts.get(&address).map_or_else(|| self.base.account(address), |account| Ok(account.present))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.storage_ref(address, slot)
    }

    fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        self.codes.get(&hash).map_or_else(|| self.base.code(hash), |code| Ok(code.original_bytes()))
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.block_hash_ref(number)
    }
}

impl DatabaseCommit for BlockState<'_> {
    fn commit(&mut self, changes: AddressMap<Account>) {
        self.record(&changes);
    }
}
