//! 0x2009: the native asset ledger.
//!
//! Amounts are whole numbers of an asset's smallest unit. What was ever issued of an asset fits 256 bits, so that no
//! balance can overflow, whatever is paid to it.
//!
//! A payment reads the record of its asset and the balance and frozen amount of its payer, writes the payer's balance, and
//! credits the receiver's without reading it ([`Host::credit`]). So payments of different payers do not depend on each
//! other, not even those to one receiver: there is nothing that both of them read and write.
//!
//! Storage, laid out as Solidity would:
//!
//! | slot | type | what |
//! |---|---|---|
//! | 0 | `uint256` | how many assets there are |
//! | 1 | `mapping(bytes32 => uint256)` | the number of an asset by the hash of its symbol |
//! | 2 | `mapping(uint256 => Record)` | the records (`assets/record.rs`) |
//! | 3 | `mapping(uint256 => mapping(address => uint256))` | balances, by asset and account |
//! | 4 | `mapping(uint256 => mapping(address => uint256))` | frozen amounts, by asset and account |

mod payment;
mod record;

use crate::{
    Call, Failure, Host,
    interfaces::IAssets::{self, IAssetsCalls, Payment},
    storage::{Storage, entry},
};
use alloy_primitives::{Address, U256, address};
use alloy_sol_types::SolCall;
use record::Head;

/// Where the contract is.
pub const ADDRESS: Address = address!("0000000000000000000000000000000000002009");

/// Most payments of a batch: their gas fits a transaction.
pub const PAYMENTS_MAX: usize = 1_000;
/// Most assets that `list` gives at once: what a call can read in a moment.
pub const LIST_MAX: usize = 100;
/// Longest symbol, in bytes.
pub const SYMBOL_BYTES_MAX: usize = 12;
/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Most decimals: more than any currency or token in use, and a unit of all of them still fits 256 bits.
pub const DECIMALS_MAX: u8 = 36;

/// How many assets there are.
const COUNT: U256 = U256::ZERO;
/// Mapping from the hash of a symbol to the asset's number.
const NUMBERS: U256 = U256::ONE;
/// Mapping from an asset's number to its record.
const RECORDS: U256 = U256::from_limbs([2, 0, 0, 0]);
/// Mapping from an asset's number to the mapping from accounts to their balances.
const BALANCES: U256 = U256::from_limbs([3, 0, 0, 0]);
/// Mapping from an asset's number to the mapping from accounts to what is frozen of their balances.
const FROZEN: U256 = U256::from_limbs([4, 0, 0, 0]);

/// Runs a call.
pub(crate) fn run(host: &mut dyn Host, call: &Call<'_>, input: IAssetsCalls) -> Result<Vec<u8>, Failure> {
    use IAssetsCalls as Calls;
    let caller = call.caller;
    let done = |()| Vec::new();
    match input {
        Calls::create(new) => {
            let id = record::create(host, caller, &new.symbol, &new.name, new.decimals)?;
            Ok(IAssets::createCall::abi_encode_returns(&id))
        }
        Calls::setIssuer(set) => record::set_issuer(host, caller, set.id, set.newIssuer).map(done),
        Calls::setFrozen(set) => record::set_frozen(host, caller, set.id, set.account, set.amount).map(done),
        Calls::freezeAsset(freeze) => record::freeze(host, caller, freeze.id, freeze.frozen).map(done),
        Calls::issue(issue) => {
            let payment = Payment { to: issue.to, amount: issue.amount, referenceId: issue.referenceId };
            payment::issue(host, caller, issue.id, &payment).map(done)
        }
        Calls::redeem(redeem) => payment::redeem(host, caller, redeem.id, redeem.amount, redeem.referenceId).map(done),
        Calls::transfer(one) => {
            let payment = Payment { to: one.to, amount: one.amount, referenceId: one.referenceId };
            payment::transfer(host, caller, one.id, &[payment]).map(done)
        }
        Calls::batchTransfer(batch) => payment::transfer(host, caller, batch.id, &batch.payments).map(done),
        Calls::balanceOf(of) => {
            Head::load(host, of.id)?;
            Ok(IAssets::balanceOfCall::abi_encode_returns(&load(host, balance_slot(of.id, of.account))?))
        }
        Calls::frozenOf(of) => {
            Head::load(host, of.id)?;
            Ok(IAssets::frozenOfCall::abi_encode_returns(&load(host, frozen_slot(of.id, of.account))?))
        }
        Calls::availableOf(of) => {
            let is_frozen = Head::load(host, of.id)?.frozen;
            let available = if is_frozen { U256::ZERO } else { payment::available(host, of.id, of.account)?.1 };
            Ok(IAssets::availableOfCall::abi_encode_returns(&available))
        }
        Calls::asset(of) => Ok(IAssets::assetCall::abi_encode_returns(&record::load_record(host, of.id)?)),
        Calls::assetOf(of) => Ok(IAssets::assetOfCall::abi_encode_returns(&record::by_symbol(host, &of.symbol)?)),
        Calls::count(_) => Ok(IAssets::countCall::abi_encode_returns(&load(host, COUNT)?)),
        Calls::list(of) => Ok(IAssets::listCall::abi_encode_returns(&record::list(host, of.from, of.limit)?)),
    }
}

fn balance_slot(asset: U256, account: Address) -> U256 {
    entry(entry(BALANCES, asset.into()), account.into_word())
}

fn frozen_slot(asset: U256, account: Address) -> U256 {
    entry(entry(FROZEN, asset.into()), account.into_word())
}

fn load(host: &mut dyn Host, slot: U256) -> Result<U256, crate::Halt> {
    Storage::of(host, ADDRESS).load(slot)
}

fn store(host: &mut dyn Host, slot: U256, value: U256) -> Result<(), crate::Halt> {
    Storage::of(host, ADDRESS).store(slot, value)
}
