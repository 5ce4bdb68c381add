//! Canaries: a version that answers some callers before it answers all.

use super::{
    CALLERS_LIST_MAX,
    alias::BASIS_POINTS,
    check_reason, load,
    record::{Pointer, Record, canary_round_slot, canary_rule_slot},
    store, version,
};
use crate::{
    Call, Failure, Host,
    host::emit,
    interfaces::INames::{self, startCanaryCall},
};
use alloy_primitives::{Address, U256};
use lian_types::limits::NAME_CALLERS_MAX;

/// A canary that there is.
struct Running {
    record: Record,
    current: Pointer,
    canary: Pointer,
}

impl Running {
    /// That of a name, for who may decide about it.
    fn of(host: &mut dyn Host, call: &Call<'_>, name: &str, reason: &str) -> Result<Self, Failure> {
        let record = Record::steered(host, call, name)?;
        check_reason(reason)?;
        match record.current(host)? {
            Some(current) if current.has(Pointer::CANARY) => Ok(Self { record, current, canary: record.canary(host)? }),
            _ => Err(Failure::revert(&INames::NoCanary { node: record.node })),
        }
    }

    /// The same where it is not held.
    fn released(host: &mut dyn Host, call: &Call<'_>, name: &str, reason: &str) -> Result<Self, Failure> {
        let running = Self::of(host, call, name, reason)?;
        if running.canary.has(Pointer::HELD) {
            return Err(Failure::revert(&INames::CanaryIsHeld { node: running.record.node }));
        }
        Ok(running)
    }
}

fn check_weight(basis_points: u16) -> Result<(), Failure> {
    if basis_points <= BASIS_POINTS {
        return Ok(());
    }
    Err(Failure::revert(&INames::InvalidWeight { basisPoints: basis_points }))
}

pub(super) fn start(host: &mut dyn Host, call: &Call<'_>, new: &startCanaryCall) -> Result<(), Failure> {
    let record = Record::steered(host, call, &new.name)?;
    let startCanaryCall { version, basisPoints: basis_points, reason, .. } = new;
    check_reason(reason)?;
    check_weight(*basis_points)?;
    let candidate = version::other(host, record, version)?;
    let Some(current) = record.current(host)? else {
        return Err(Failure::revert(&INames::NoVersion { node: record.node }));
    };
    if current.has(Pointer::CANARY) {
        return Err(Failure::revert(&INames::CanaryRunning { node: record.node }));
    }
    record.store_canary(host, candidate.with_share(*basis_points))?;
    record.store_current(host, current.with(Pointer::CANARY, true))?;
    // Nobody is listed for a canary that was not there before.
    let round_slot = canary_round_slot(record.node);
    let round = load(host, round_slot)?.saturating_add(U256::ONE);
    store(host, round_slot, round)?;
    emit(
        host,
        &INames::CanaryStarted {
            node: record.node,
            by: call.caller,
            version: version.clone(),
            basisPoints: *basis_points,
            reason: reason.clone(),
        },
    )
}

pub(super) fn set_weight(
    host: &mut dyn Host,
    call: &Call<'_>,
    name: &str,
    to: u16,
    reason: &str,
) -> Result<(), Failure> {
    let Running { record, canary, .. } = Running::released(host, call, name, reason)?;
    check_weight(to)?;
    let from = canary.basis_points;
    record.store_canary(host, canary.with_share(to))?;
    let reason = reason.to_owned();
    emit(host, &INames::CanaryWeightSet { node: record.node, by: call.caller, from, to, reason })
}

pub(super) fn set_callers(
    host: &mut dyn Host,
    call: &Call<'_>,
    name: &str,
    callers: &[Address],
    listed: bool,
) -> Result<(), Failure> {
    let Running { record, canary, .. } = Running::released(host, call, name, "")?;
    let given = u64::try_from(callers.len()).unwrap_or(u64::MAX);
    check_count(given, CALLERS_LIST_MAX)?;
    let set = record.callers(host)?;
    for caller in callers {
        if listed {
            set.insert(host, caller.into_word())?;
        } else {
            set.remove(host, caller.into_word())?;
        }
    }
    let count = set.length(host)?;
    check_count(count, NAME_CALLERS_MAX)?;
    record.store_canary(host, canary.with(Pointer::CALLERS, count > 0))?;
    let callers = callers.to_vec();
    emit(host, &INames::CanaryCallersSet { node: record.node, by: call.caller, callers, listed })
}

fn check_count(count: u64, limit: u64) -> Result<(), Failure> {
    if count <= limit {
        return Ok(());
    }
    Err(Failure::revert(&INames::TooMany { count: U256::from(count), limit: U256::from(limit) }))
}

pub(super) fn set_rule(
    host: &mut dyn Host,
    call: &Call<'_>,
    name: &str,
    rule: Address,
    reason: &str,
) -> Result<(), Failure> {
    let Running { record, canary, .. } = Running::released(host, call, name, reason)?;
    if !rule.is_zero() {
        version::check_contract(host, rule)?;
    }
    store(host, canary_rule_slot(record.node), U256::from_be_bytes(rule.into_word().0))?;
    record.store_canary(host, canary.with(Pointer::RULE, !rule.is_zero()))?;
    emit(host, &INames::CanaryRuleSet { node: record.node, by: call.caller, rule, reason: reason.to_owned() })
}

pub(super) fn set_held(
    host: &mut dyn Host,
    call: &Call<'_>,
    name: &str,
    held: bool,
    reason: &str,
) -> Result<(), Failure> {
    let Running { record, canary, .. } = Running::of(host, call, name, reason)?;
    let node = record.node;
    match (canary.has(Pointer::HELD), held) {
        (true, true) => return Err(Failure::revert(&INames::CanaryIsHeld { node })),
        (false, false) => return Err(Failure::revert(&INames::CanaryNotHeld { node })),
        _ => {}
    }
    record.store_canary(host, canary.with(Pointer::HELD, held))?;
    emit(host, &INames::CanaryHeld { node, by: call.caller, held, reason: reason.to_owned() })
}

pub(super) fn abort(host: &mut dyn Host, call: &Call<'_>, name: &str, reason: &str) -> Result<(), Failure> {
    let Running { record, current, canary } = Running::of(host, call, name, reason)?;
    let version = end(host, record, current, canary)?;
    emit(host, &INames::CanaryAborted { node: record.node, by: call.caller, version, reason: reason.to_owned() })
}

pub(super) fn finish(host: &mut dyn Host, call: &Call<'_>, name: &str, reason: &str) -> Result<(), Failure> {
    let Running { record, current, canary } = Running::released(host, call, name, reason)?;
    let version = end(host, record, current, canary)?;
    emit(host, &INames::CanaryFinished { node: record.node, by: call.caller, version, reason: reason.to_owned() })?;
    version::switch(host, call, record, current, canary, reason)
}

/// Ends a canary, and gives the text of its version.
fn end(host: &mut dyn Host, record: Record, current: Pointer, canary: Pointer) -> Result<String, Failure> {
    record.store_current(host, current.with(Pointer::CANARY, false))?;
    record.store_canary(host, Pointer::default())?;
    store(host, canary_rule_slot(record.node), U256::ZERO)?;
    Ok(version::text_of(host, record, canary.number)?)
}
