//! Versions, and which of them answers.
//!
//! The slots of a version: the address in the lowest 20 bytes with the content type of the ABI above; its text; who published
//! it, with the block above; the time; the ABI; the metadata. Those of a switch: the account in the lowest 20 bytes, then two
//! each with the numbers that it went to and from; the block, with the time above; the reason.

use super::{
    ADDRESS,
    alias::Answer,
    check_reason, load,
    record::{NUMBERS, Pointer, Record, SWITCHES, VERSIONS},
    store,
};
use crate::{
    Call, Failure, Halt, Host,
    host::emit,
    interfaces::INames::{self, Publication, Switch, Version},
    permissions::is_chains_own,
    storage::{Storage, after, elements, entry},
};
use alloy_primitives::{Address, Bytes, U256, keccak256};
use lian_types::limits::{NAME_ABI_BYTES_MAX, NAME_METADATA_BYTES_MAX, NAME_VERSION_BYTES_MAX, NAME_VERSIONS_MAX};

/// The slots of a version.
const TEXT: u64 = 1;
const BY: u64 = 2;
const TIME: u64 = 3;
const ABI: u64 = 4;
const METADATA: u64 = 5;
const VERSION_SLOTS: u64 = 6;
/// The slots of a switch.
const PLACE: u64 = 1;
const REASON: u64 = 2;
const SWITCH_SLOTS: u64 = 3;
/// Where, in a word, what stands above an address begins, in bits.
const ABOVE: usize = 160;
/// How the code of aliases, and of accounts that delegate (EIP-7702), begins. No contract's does (EIP-3541).
const NO_CONTRACT: u8 = 0xef;

pub(super) fn publish(
    host: &mut dyn Host,
    call: &Call<'_>,
    name: &str,
    publication: &Publication,
) -> Result<(), Failure> {
    let record = Record::steered(host, call, name)?;
    add(host, call, record, publication)
}

/// Adds a version, which answers if it is the first one.
pub(super) fn add(
    host: &mut dyn Host,
    call: &Call<'_>,
    record: Record,
    publication: &Publication,
) -> Result<(), Failure> {
    let Publication { version, target, contentType: content_type, abiData: abi, metadata } = publication;
    check(host, publication)?;
    let number_slot = number_slot(record, version);
    if !load(host, number_slot)?.is_zero() {
        return Err(Failure::revert(&INames::VersionTaken { version: version.clone() }));
    }
    let count = count(host, record)?;
    if count >= NAME_VERSIONS_MAX {
        let (count, limit) = (U256::from(count.saturating_add(1)), U256::from(NAME_VERSIONS_MAX));
        return Err(Failure::revert(&INames::TooMany { count, limit }));
    }
    let next = count.saturating_add(1);
    let slot = version_slot(record, next);
    store(host, number_slot, U256::from(next))?;
    store(host, record.slot(VERSIONS), U256::from(next))?;
    store(host, slot, above(*target, *content_type))?;
    store(host, after(slot, BY), above(call.caller, U256::from(call.block)))?;
    store(host, after(slot, TIME), U256::from(call.time))?;
    let mut storage = Storage::of(host, ADDRESS);
    storage.store_bytes(after(slot, TEXT), version.as_bytes())?;
    storage.store_bytes(after(slot, ABI), abi)?;
    storage.store_bytes(after(slot, METADATA), metadata.as_bytes())?;
    emit(
        host,
        &INames::Published {
            node: record.node,
            target: *target,
            by: call.caller,
            version: version.clone(),
            contentType: *content_type,
            metadata: metadata.clone(),
        },
    )?;
    if count > 0 {
        return Ok(());
    }
    let first = Pointer::to(Answer { number: number_of(next), target: *target });
    switch(host, call, record, Pointer::default(), first, "")
}

/// What a version may be.
fn check(host: &mut dyn Host, publication: &Publication) -> Result<(), Failure> {
    let Publication { version, target, contentType: content_type, abiData: abi, metadata } = publication;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+');
    if !(1..=NAME_VERSION_BYTES_MAX).contains(&version.len()) || !version.bytes().all(is_allowed) {
        return Err(Failure::revert(&INames::InvalidVersion { version: version.clone() }));
    }
    let is_known = *content_type == U256::ONE || *content_type == U256::from(2);
    if abi.len() > NAME_ABI_BYTES_MAX || abi.is_empty() != content_type.is_zero() || !(is_known || abi.is_empty()) {
        let length = U256::from(abi.len());
        return Err(Failure::revert(&INames::InvalidAbi { contentType: *content_type, length }));
    }
    if metadata.len() > NAME_METADATA_BYTES_MAX {
        let (length, limit) = (U256::from(metadata.len()), U256::from(NAME_METADATA_BYTES_MAX));
        return Err(Failure::revert(&INames::MetadataTooLong { length, limit }));
    }
    check_contract(host, *target)
}

/// Refuses what is no contract of somebody's own.
pub(super) fn check_contract(host: &mut dyn Host, target: Address) -> Result<(), Failure> {
    let code = host.code(target)?;
    let is_contract = code.first().is_some_and(|first| *first != NO_CONTRACT);
    if is_contract && !is_chains_own(target) { Ok(()) } else { Err(Failure::revert(&INames::InvalidTarget { target })) }
}

pub(super) fn switch_to(
    host: &mut dyn Host,
    call: &Call<'_>,
    name: &str,
    version: &str,
    reason: &str,
) -> Result<(), Failure> {
    let (record, current, next) = switched(host, call, name, version, reason)?;
    switch(host, call, record, current, next, reason)
}

pub(super) fn rollback(
    host: &mut dyn Host,
    call: &Call<'_>,
    name: &str,
    version: &str,
    reason: &str,
) -> Result<(), Failure> {
    let (record, current, next) = switched(host, call, name, version, reason)?;
    if next.number > current.number {
        let current = text_of(host, record, current.number)?;
        return Err(Failure::revert(&INames::NotEarlier { version: version.to_owned(), current }));
    }
    switch(host, call, record, current, next, reason)
}

/// What answers, and what is to answer in its place.
fn switched(
    host: &mut dyn Host,
    call: &Call<'_>,
    name: &str,
    version: &str,
    reason: &str,
) -> Result<(Record, Pointer, Pointer), Failure> {
    let record = Record::steered(host, call, name)?;
    check_reason(reason)?;
    let next = other(host, record, version)?;
    let Some(current) = record.current(host)? else {
        return Err(Failure::revert(&INames::NoVersion { node: record.node }));
    };
    if current.has(Pointer::CANARY) {
        return Err(Failure::revert(&INames::CanaryRunning { node: record.node }));
    }
    Ok((record, current, next))
}

/// A version that does not answer.
pub(super) fn other(host: &mut dyn Host, record: Record, version: &str) -> Result<Pointer, Failure> {
    let number = find(host, record, version)?;
    if record.current(host)?.is_some_and(|current| u64::from(current.number) == number) {
        return Err(Failure::revert(&INames::AlreadyCurrent { version: version.to_owned() }));
    }
    let target = Address::from_word(load(host, version_slot(record, number))?.into());
    Ok(Pointer::to(Answer { number: number_of(number), target }))
}

/// Lets another version answer, without a canary from then on, and records it.
pub(super) fn switch(
    host: &mut dyn Host,
    call: &Call<'_>,
    record: Record,
    from: Pointer,
    to: Pointer,
    reason: &str,
) -> Result<(), Failure> {
    record.store_current(host, Pointer::to(to.answer()))?;
    let list = record.slot(SWITCHES);
    let mut storage = Storage::of(host, ADDRESS);
    let count = storage.load_u64(list)?;
    let slot = switch_slot(record, count);
    let numbers = U256::from(to.number) | (U256::from(from.number) << 16);
    storage.store(list, U256::from(count.saturating_add(1)))?;
    storage.store(slot, above(call.caller, numbers))?;
    storage.store(after(slot, PLACE), U256::from(call.block) | (U256::from(call.time) << 64))?;
    storage.store_bytes(after(slot, REASON), reason.as_bytes())?;
    let (from, to) = (text_of(host, record, from.number)?, text_of(host, record, to.number)?);
    emit(host, &INames::Switched { node: record.node, by: call.caller, from, to, reason: reason.to_owned() })
}

/// The number of a version that there must be.
pub(super) fn find(host: &mut dyn Host, record: Record, version: &str) -> Result<u64, Failure> {
    match load(host, number_slot(record, version))?.saturating_to() {
        0 => Err(Failure::revert(&INames::UnknownVersion { version: version.to_owned() })),
        number => Ok(number),
    }
}

/// How many there are.
pub(super) fn count(host: &mut dyn Host, record: Record) -> Result<u64, Halt> {
    Storage::of(host, ADDRESS).load_u64(record.slot(VERSIONS))
}

pub(super) fn show(host: &mut dyn Host, record: Record, number: u64) -> Result<Version, Halt> {
    let slot = version_slot(record, number);
    let (head, by) = (load(host, slot)?, load(host, after(slot, BY))?);
    Ok(Version {
        version: Storage::of(host, ADDRESS).load_text(after(slot, TEXT))?,
        target: Address::from_word(head.into()),
        contentType: head >> ABOVE,
        metadata: metadata_of(host, record, number)?,
        by: Address::from_word(by.into()),
        blockNumber: (by >> ABOVE).saturating_to(),
        time: load(host, after(slot, TIME))?.saturating_to(),
    })
}

/// The text of a version; empty for number 0, which none has.
pub(super) fn text_of(host: &mut dyn Host, record: Record, number: u16) -> Result<String, Halt> {
    if number == 0 {
        return Ok(String::new());
    }
    Storage::of(host, ADDRESS).load_text(after(version_slot(record, number.into()), TEXT))
}

/// The content type of a version's ABI, and the ABI.
pub(super) fn abi_of(host: &mut dyn Host, record: Record, number: u64) -> Result<(U256, Bytes), Halt> {
    let slot = version_slot(record, number);
    let content_type = load(host, slot)? >> ABOVE;
    let abi = Storage::of(host, ADDRESS).load_long(after(slot, ABI), NAME_ABI_BYTES_MAX)?;
    Ok((content_type, abi.into()))
}

pub(super) fn metadata_of(host: &mut dyn Host, record: Record, number: u64) -> Result<String, Halt> {
    Storage::of(host, ADDRESS).load_text(after(version_slot(record, number), METADATA))
}

/// How many switches there were.
pub(super) fn switches(host: &mut dyn Host, record: Record) -> Result<u64, Halt> {
    Storage::of(host, ADDRESS).load_u64(record.slot(SWITCHES))
}

/// The switch at a position, from 0.
pub(super) fn show_switch(host: &mut dyn Host, record: Record, position: u64) -> Result<Switch, Halt> {
    let slot = switch_slot(record, position);
    let (head, place) = (load(host, slot)?, load(host, after(slot, PLACE))?);
    let number = |shift: usize| {
        let number: U256 = (head >> shift) & U256::from(u16::MAX);
        number.saturating_to()
    };
    Ok(Switch {
        from: text_of(host, record, number(ABOVE.saturating_add(16)))?,
        to: text_of(host, record, number(ABOVE))?,
        by: Address::from_word(head.into()),
        blockNumber: (place & U256::from(u64::MAX)).saturating_to(),
        time: (place >> 64_usize).saturating_to(),
        reason: Storage::of(host, ADDRESS).load_text(after(slot, REASON))?,
    })
}

/// There are at most [`NAME_VERSIONS_MAX`].
fn number_of(number: u64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// An address in a word, with something above it.
fn above(address: Address, value: U256) -> U256 {
    U256::from_be_bytes(address.into_word().0) | (value << ABOVE)
}

fn number_slot(record: Record, version: &str) -> U256 {
    entry(record.slot(NUMBERS), keccak256(version))
}

/// The first slot of a version, by its number from 1.
fn version_slot(record: Record, number: u64) -> U256 {
    after(elements(record.slot(VERSIONS)), number.saturating_sub(1).saturating_mul(VERSION_SLOTS))
}

fn switch_slot(record: Record, position: u64) -> U256 {
    after(elements(record.slot(SWITCHES)), position.saturating_mul(SWITCH_SLOTS))
}
