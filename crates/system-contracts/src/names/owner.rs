//! Who decides about a name.

use super::{CALLERS_LIST_MAX, check_reason, record::Record};
use crate::{Call, Failure, Host, configuration, host::emit, interfaces::INames};
use alloy_primitives::{Address, U256};
use lian_types::limits::NAME_DELEGATES_MAX;

pub(super) fn set_delegate(
    host: &mut dyn Host,
    call: &Call<'_>,
    name: &str,
    account: Address,
    allowed: bool,
) -> Result<(), Failure> {
    let record = Record::of(host, name)?;
    if record.owner != call.caller {
        return Err(record.refuse(call));
    }
    let delegates = record.delegates();
    let is_changed = if allowed {
        delegates.insert(host, account.into_word())?
    } else {
        delegates.remove(host, account.into_word())?
    };
    let count = delegates.length(host)?;
    if count > NAME_DELEGATES_MAX {
        let (count, limit) = (U256::from(count), U256::from(NAME_DELEGATES_MAX));
        return Err(Failure::revert(&INames::TooMany { count, limit }));
    }
    if is_changed { emit(host, &INames::DelegateSet { node: record.node, account, allowed }) } else { Ok(()) }
}

pub(super) fn transfer(
    host: &mut dyn Host,
    call: &Call<'_>,
    name: &str,
    to: Address,
    reason: &str,
) -> Result<(), Failure> {
    let record = Record::of(host, name)?;
    if record.owner != call.caller && !configuration::has_authority(host, call)? {
        return Err(record.refuse(call));
    }
    check_reason(reason)?;
    if to.is_zero() {
        return Err(Failure::revert(&INames::InvalidOwner { owner: to }));
    }
    // The new owner has not chosen them.
    let delegates = record.delegates();
    for account in delegates.page(host, U256::ZERO, CALLERS_LIST_MAX)? {
        delegates.remove(host, account)?;
    }
    Record { owner: to, ..record }.store(host)?;
    emit(
        host,
        &INames::OwnershipTransferred {
            node: record.node,
            from: record.owner,
            to,
            by: call.caller,
            reason: reason.to_owned(),
        },
    )
}
