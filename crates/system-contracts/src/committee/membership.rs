//! Who is in the committee, and with what weight.

use super::{ADDRESS, MEMBER, MEMBERS, Thresholds, is_established, load, set_thresholds, store};
use crate::{
    Call, Failure, Halt, Host, configuration,
    host::emit,
    interfaces::ICommittee::{self, Member},
    members,
    reason::check_reason,
    storage::{Storage, after, elements, entry},
};
use alloy_primitives::{Address, U256};
use lian_types::limits;

/// Most members.
pub const MEMBERS_MAX: usize = limits::COMMITTEE_MEMBERS_MAX;

/// The slots of a member, after its first one, which holds its weight.
const POSITION: u64 = 1;
const INSTITUTION: u64 = 2;

fn slot_of(account: Address) -> U256 {
    entry(MEMBER, account.into_word())
}

/// A member's weight; 0 for who is none.
pub(super) fn weight_of(host: &mut dyn Host, account: Address) -> Result<u32, Halt> {
    Ok(load(host, slot_of(account))?.saturating_to())
}

/// The members' accounts.
pub(crate) fn accounts(host: &mut dyn Host) -> Result<Vec<Address>, Halt> {
    let count: u64 = load(host, MEMBERS)?.saturating_to();
    let at = |index| after(elements(MEMBERS), index);
    (0..count).map(|index| Ok(Address::from_word(load(host, at(index))?.into()))).collect()
}

pub(super) fn list(host: &mut dyn Host) -> Result<Vec<Member>, Halt> {
    let mut list = Vec::new();
    for account in accounts(host)? {
        let institution = Storage::of(host, ADDRESS).load_text(after(slot_of(account), INSTITUTION))?;
        list.push(Member { account, institution, weight: weight_of(host, account)? });
    }
    Ok(list)
}

/// The first members, by an operator.
pub(super) fn establish(
    host: &mut dyn Host,
    call: &Call<'_>,
    first: &ICommittee::establishCall,
) -> Result<(), Failure> {
    let caller = call.caller;
    if is_established(host)? {
        return Err(Failure::revert(&ICommittee::AlreadyEstablished {}));
    }
    if !configuration::has_authority(host, call)? {
        return Err(Failure::revert(&ICommittee::NotAuthorized { caller }));
    }
    check_reason(&first.reason)?;
    for Member { account, institution, weight } in &first.members {
        if weight_of(host, *account)? > 0 {
            return Err(Failure::revert(&ICommittee::DuplicateMember { account: *account }));
        }
        set(host, *account, institution, *weight)?;
    }
    if first.members.is_empty() {
        return Err(Failure::revert(&ICommittee::LastMember { account: Address::ZERO }));
    }
    set_thresholds(host, Thresholds { participation: first.participation, approval: first.approval })?;
    emit(host, &ICommittee::Established { operator: caller, reason: first.reason.clone() })
}

/// Adds a member, or changes one.
pub(super) fn set(host: &mut dyn Host, account: Address, institution: &str, weight: u32) -> Result<(), Failure> {
    // The committee's own votes would be those of its proposals.
    if account.is_zero() || lian_types::is_reserved(&account) {
        return Err(Failure::revert(&ICommittee::InvalidMember { account }));
    }
    if !members::has_institution(host, institution)? {
        return Err(Failure::revert(&ICommittee::UnknownInstitution { name: institution.to_owned() }));
    }
    let accounts = accounts(host)?;
    let mut others = 0_u32;
    for other in accounts.iter().filter(|other| **other != account) {
        others = others.saturating_add(weight_of(host, *other)?);
    }
    if weight == 0 || others.checked_add(weight).is_none() {
        return Err(Failure::revert(&ICommittee::InvalidWeight { account, weight }));
    }
    if accounts.contains(&account) {
        store(host, slot_of(account), U256::from(weight))?;
        Storage::of(host, ADDRESS).store_bytes(after(slot_of(account), INSTITUTION), institution.as_bytes())?;
    } else {
        let count = accounts.len().saturating_add(1);
        if count > MEMBERS_MAX {
            let (count, limit) = (U256::from(count), U256::from(MEMBERS_MAX));
            return Err(Failure::revert(&ICommittee::TooMany { count, limit }));
        }
        store_new(host, account, institution, weight)?;
    }
    emit(host, &ICommittee::MemberSet { account, institution: institution.to_owned(), weight })
}

/// Writes a member who was none.
pub(super) fn store_new(host: &mut dyn Host, account: Address, institution: &str, weight: u32) -> Result<(), Halt> {
    let count: u64 = load(host, MEMBERS)?.saturating_to();
    let position = count.saturating_add(1);
    store(host, after(elements(MEMBERS), count), U256::from_be_bytes(account.into_word().0))?;
    store(host, MEMBERS, U256::from(position))?;
    store(host, slot_of(account), U256::from(weight))?;
    store(host, after(slot_of(account), POSITION), U256::from(position))?;
    Storage::of(host, ADDRESS).store_bytes(after(slot_of(account), INSTITUTION), institution.as_bytes())
}

/// Takes a member away; the last one takes its place in the list.
pub(super) fn remove(host: &mut dyn Host, account: Address) -> Result<(), Failure> {
    if weight_of(host, account)? == 0 {
        return Err(Failure::revert(&ICommittee::UnknownMember { account }));
    }
    let count: u64 = load(host, MEMBERS)?.saturating_to();
    let last_index = count.saturating_sub(1);
    if last_index == 0 {
        return Err(Failure::revert(&ICommittee::LastMember { account }));
    }
    let position: u64 = load(host, after(slot_of(account), POSITION))?.saturating_to();
    let last = after(elements(MEMBERS), last_index);
    let moved = load(host, last)?;
    store(host, after(elements(MEMBERS), position.saturating_sub(1)), moved)?;
    store(host, after(slot_of(Address::from_word(moved.into())), POSITION), U256::from(position))?;
    store(host, last, U256::ZERO)?;
    store(host, MEMBERS, U256::from(last_index))?;
    store(host, slot_of(account), U256::ZERO)?;
    store(host, after(slot_of(account), POSITION), U256::ZERO)?;
    Storage::of(host, ADDRESS).store_bytes(after(slot_of(account), INSTITUTION), &[])?;
    emit(host, &ICommittee::MemberRemoved { account })
}
