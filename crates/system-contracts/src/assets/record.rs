//! What is known of an asset, and what its issuer decides about it.
//!
//! A record's first slot has the issuer in its lowest 20 bytes, then a byte of decimals, then a byte that is 1 where the
//! asset is frozen: all that a payment needs. The next ones have the totals that were issued and redeemed, the symbol and
//! the name ([`Storage::store_bytes`]).

use super::{
    ADDRESS, COUNT, DECIMALS_MAX, LIST_MAX, NAME_BYTES_MAX, NUMBERS, RECORDS, SYMBOL_BYTES_MAX, frozen_slot, load,
    store,
};
use crate::{
    Failure, Halt, Host,
    host::emit,
    interfaces::IAssets,
    storage::{Storage, after, entry},
};
use alloy_primitives::{Address, U256, keccak256};

/// The slots of a record after its first one.
const ISSUED: u64 = 1;
const REDEEMED: u64 = 2;
const SYMBOL: u64 = 3;
const NAME: u64 = 4;

/// The first slot of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) issuer: Address,
    pub(super) decimals: u8,
    pub(super) frozen: bool,
}

impl Head {
    /// That of an asset that there must be.
    pub(super) fn load(host: &mut dyn Host, asset: U256) -> Result<Self, Failure> {
        let [_, _, _, _, _, _, _, _, _, _, frozen, decimals, issuer @ ..] =
            load(host, record_slot(asset))?.to_be_bytes::<32>();
        let issuer = Address::from(issuer);
        // No asset has the zero address as its issuer.
        if issuer.is_zero() {
            return Err(Failure::revert(&IAssets::UnknownAsset { asset }));
        }
        Ok(Self { issuer, decimals, frozen: frozen != 0 })
    }

    /// That of an asset that can be paid, issued and redeemed.
    pub(super) fn load_active(host: &mut dyn Host, asset: U256) -> Result<Self, Failure> {
        let head = Self::load(host, asset)?;
        if head.frozen { Err(Failure::revert(&IAssets::AssetIsFrozen { asset })) } else { Ok(head) }
    }

    fn store(self, host: &mut dyn Host, asset: U256) -> Result<(), Halt> {
        let mut word = self.issuer.into_word();
        word[11] = self.decimals;
        word[10] = u8::from(self.frozen);
        store(host, record_slot(asset), word.into())
    }

    /// Refuses everybody but the issuer.
    pub(super) fn check_issuer(self, asset: U256, caller: Address) -> Result<Self, Failure> {
        if self.issuer == caller { Ok(self) } else { Err(Failure::revert(&IAssets::NotIssuer { asset, caller })) }
    }
}

fn record_slot(asset: U256) -> U256 {
    entry(RECORDS, asset.into())
}

/// The slot of the total that was ever issued.
pub(super) fn issued_slot(asset: U256) -> U256 {
    after(record_slot(asset), ISSUED)
}

/// The slot of the total that was ever redeemed.
pub(super) fn redeemed_slot(asset: U256) -> U256 {
    after(record_slot(asset), REDEEMED)
}

/// Refuses the zero address, which nobody has and which stands for no issuer.
pub(super) fn check_account(account: Address) -> Result<(), Failure> {
    if account.is_zero() { Err(Failure::revert(&IAssets::InvalidAccount { account })) } else { Ok(()) }
}

/// The asset of a symbol; zero where there is none.
pub(super) fn by_symbol(host: &mut dyn Host, symbol: &str) -> Result<U256, Halt> {
    load(host, symbol_slot(symbol))
}

fn symbol_slot(symbol: &str) -> U256 {
    entry(NUMBERS, keccak256(symbol))
}

/// Makes an asset and gives its number.
pub(super) fn create(
    host: &mut dyn Host,
    issuer: Address,
    symbol: &str,
    name: &str,
    decimals: u8,
) -> Result<U256, Failure> {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if !(1..=SYMBOL_BYTES_MAX).contains(&symbol.len()) || !symbol.bytes().all(is_known) {
        return Err(Failure::revert(&IAssets::InvalidSymbol { symbol: symbol.to_owned() }));
    }
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
        return Err(Failure::revert(&IAssets::InvalidName { name: name.to_owned() }));
    }
    if decimals > DECIMALS_MAX {
        return Err(Failure::revert(&IAssets::InvalidDecimals { decimals }));
    }
    check_account(issuer)?;
    let taken = by_symbol(host, symbol)?;
    if !taken.is_zero() {
        return Err(Failure::revert(&IAssets::SymbolTaken { symbol: symbol.to_owned(), asset: taken }));
    }
    // So many assets can never be made that this would saturate.
    let asset = load(host, COUNT)?.saturating_add(U256::ONE);
    store(host, COUNT, asset)?;
    store(host, symbol_slot(symbol), asset)?;
    Head { issuer, decimals, frozen: false }.store(host, asset)?;
    let mut storage = Storage::of(host, ADDRESS);
    storage.store_bytes(after(record_slot(asset), SYMBOL), symbol.as_bytes())?;
    storage.store_bytes(after(record_slot(asset), NAME), name.as_bytes())?;
    let (symbol, name) = (symbol.to_owned(), name.to_owned());
    emit(host, &IAssets::AssetCreated { asset, issuer, symbol, name, decimals })?;
    Ok(asset)
}

/// Hands an asset to another issuer.
pub(super) fn set_issuer(host: &mut dyn Host, caller: Address, asset: U256, issuer: Address) -> Result<(), Failure> {
    let head = Head::load(host, asset)?.check_issuer(asset, caller)?;
    check_account(issuer)?;
    Head { issuer, ..head }.store(host, asset)?;
    emit(host, &IAssets::IssuerChanged { asset, from: caller, to: issuer })
}

/// Freezes that much of an account's balance.
pub(super) fn set_frozen(
    host: &mut dyn Host,
    caller: Address,
    asset: U256,
    account: Address,
    amount: U256,
) -> Result<(), Failure> {
    Head::load(host, asset)?.check_issuer(asset, caller)?;
    store(host, frozen_slot(asset, account), amount)?;
    emit(host, &IAssets::Frozen { asset, account, amount })
}

/// Freezes an asset, or frees it.
pub(super) fn freeze(host: &mut dyn Host, caller: Address, asset: U256, frozen: bool) -> Result<(), Failure> {
    let head = Head::load(host, asset)?.check_issuer(asset, caller)?;
    Head { frozen, ..head }.store(host, asset)?;
    emit(host, &IAssets::AssetFrozen { asset, frozen })
}

/// All that is known of an asset.
pub(super) fn load_record(host: &mut dyn Host, asset: U256) -> Result<IAssets::Asset, Failure> {
    let Head { issuer, decimals, frozen } = Head::load(host, asset)?;
    let mut storage = Storage::of(host, ADDRESS);
    Ok(IAssets::Asset {
        id: asset,
        symbol: storage.load_text(after(record_slot(asset), SYMBOL))?,
        name: storage.load_text(after(record_slot(asset), NAME))?,
        decimals,
        issuer,
        issued: storage.load(issued_slot(asset))?,
        redeemed: storage.load(redeemed_slot(asset))?,
        frozen,
    })
}

/// A page of the assets by rising number.
pub(super) fn list(host: &mut dyn Host, from: U256, limit: U256) -> Result<Vec<IAssets::Asset>, Failure> {
    let last = load(host, COUNT)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(LIST_MAX);
    let mut list = Vec::new();
    let mut asset = from.max(U256::ONE);
    while asset <= last && list.len() < limit {
        list.push(load_record(host, asset)?);
        asset = asset.saturating_add(U256::ONE);
    }
    Ok(list)
}
