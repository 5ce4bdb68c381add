//! What moves an asset: issues, redemptions and payments.

use super::{
    PAYMENTS_MAX, balance_slot, frozen_slot, load,
    record::{Head, check_account, issued_slot, redeemed_slot},
    store,
};
use crate::{
    Failure, Halt, Host,
    host::emit,
    interfaces::IAssets::{self, Payment},
};
use alloy_primitives::{Address, B256, U256};

/// An account's balance, and how much of it can be paid out.
pub(super) fn available(host: &mut dyn Host, asset: U256, account: Address) -> Result<(U256, U256), Halt> {
    let balance = load(host, balance_slot(asset, account))?;
    let frozen = load(host, frozen_slot(asset, account))?;
    Ok((balance, balance.saturating_sub(frozen)))
}

/// Takes an amount out of an account's balance.
fn debit(host: &mut dyn Host, asset: U256, account: Address, amount: U256) -> Result<(), Failure> {
    let (balance, available) = available(host, asset, account)?;
    if amount > available {
        return Err(Failure::revert(&IAssets::InsufficientBalance { asset, account, available, needed: amount }));
    }
    store(host, balance_slot(asset, account), balance.saturating_sub(amount))?;
    Ok(())
}

/// Puts an amount into an account's balance, which it does not read. All that was ever issued fits, and so does this.
fn credit(host: &mut dyn Host, asset: U256, account: Address, amount: U256) -> Result<(), Halt> {
    host.credit(balance_slot(asset, account), amount)
}

/// Makes a new amount of an asset.
pub(super) fn issue(host: &mut dyn Host, caller: Address, asset: U256, payment: &Payment) -> Result<(), Failure> {
    Head::load_active(host, asset)?.check_issuer(asset, caller)?;
    let Payment { to, amount, referenceId } = *payment;
    check_account(to)?;
    let issued = load(host, issued_slot(asset))?;
    let Some(total) = issued.checked_add(amount) else {
        return Err(Failure::revert(&IAssets::IssueTooLarge { asset, issued, amount }));
    };
    store(host, issued_slot(asset), total)?;
    credit(host, asset, to, amount)?;
    emit(host, &IAssets::Issued { asset, to, amount, referenceId })
}

/// Destroys some of what the issuer holds.
pub(super) fn redeem(
    host: &mut dyn Host,
    caller: Address,
    asset: U256,
    amount: U256,
    reference: B256,
) -> Result<(), Failure> {
    Head::load_active(host, asset)?.check_issuer(asset, caller)?;
    debit(host, asset, caller, amount)?;
    // No more can be redeemed than was issued, so that this never saturates.
    let total = load(host, redeemed_slot(asset))?.saturating_add(amount);
    store(host, redeemed_slot(asset), total)?;
    emit(host, &IAssets::Redeemed { asset, from: caller, amount, referenceId: reference })
}

/// Pays from the caller's balance, all or nothing. The sum is taken before any of it arrives, also where the caller pays
/// itself.
pub(super) fn transfer(host: &mut dyn Host, caller: Address, asset: U256, payments: &[Payment]) -> Result<(), Failure> {
    if payments.len() > PAYMENTS_MAX {
        let (count, limit) = (U256::from(payments.len()), U256::from(PAYMENTS_MAX));
        return Err(Failure::revert(&IAssets::TooManyPayments { count, limit }));
    }
    Head::load_active(host, asset)?;
    let mut total = U256::ZERO;
    for payment in payments {
        check_account(payment.to)?;
        let Some(sum) = total.checked_add(payment.amount) else {
            return Err(Failure::revert(&IAssets::TotalTooLarge { asset }));
        };
        total = sum;
    }
    debit(host, asset, caller, total)?;
    for Payment { to, amount, referenceId } in payments.iter().cloned() {
        credit(host, asset, to, amount)?;
        emit(host, &IAssets::Transferred { asset, from: caller, to, amount, referenceId })?;
    }
    Ok(())
}
