//! Roles, and who has them.

use super::{ADDRESS, changed, check_reason, check_target, governing, load, not_authorized, standing, store};
use crate::{
    Call, Failure, Halt, Host, committee, configuration,
    interfaces::IPermissions,
    set::Set,
    storage::{Storage, after, elements, entry},
};
use alloy_primitives::{Address, B256, U256, keccak256};

/// Most roles: those that an address has, and those that a rule lists, are a bit each of one slot.
pub const ROLES_MAX: usize = 256;
/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 32;

/// Names of the chain's own roles.
const ROLES: U256 = U256::from_limbs([2, 0, 0, 0]);
/// Mapping from the hash of such a name to its position, from 1.
const POSITIONS: U256 = U256::from_limbs([3, 0, 0, 0]);
/// Mapping from a role to the one that grants it, from 1.
const GRANTORS: U256 = U256::from_limbs([4, 0, 0, 0]);
/// Mapping from a role to who has it.
const HOLDERS: U256 = U256::from_limbs([5, 0, 0, 0]);
/// Mapping from an address to its roles.
const OWN_ROLES: U256 = U256::from_limbs([7, 0, 0, 0]);

/// The roles that every chain has, in the order of their numbers.
const BUILT_IN: [&str; 6] = ["committee", "operator", "regulator", "auditor", "deployer", "user"];

/// A role, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role(u8);

impl Role {
    /// Who is in the committee; nobody grants it.
    pub const COMMITTEE: Self = Self(0);
    /// Freezes and thaws.
    pub const REGULATOR: Self = Self(2);
    /// Creates contracts where that is restricted.
    pub const DEPLOYER: Self = Self(4);

    /// Its bit among others.
    pub(super) const fn bit(self) -> usize {
        self.0 as usize
    }

    /// Its name.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn name(self, host: &mut dyn Host) -> Result<String, Halt> {
        match BUILT_IN.get(self.bit()) {
            Some(name) => Ok((*name).to_owned()),
            None => {
                let position = self.bit().saturating_sub(BUILT_IN.len());
                let slot = after(elements(ROLES), u64::try_from(position).unwrap_or(u64::MAX));
                Storage::of(host, ADDRESS).load_text(slot)
            }
        }
    }

    const fn word(self) -> B256 {
        B256::with_last_byte(self.0)
    }

    fn holders(self) -> Set {
        Set::new(ADDRESS, entry(HOLDERS, self.word()))
    }
}

fn find(host: &mut dyn Host, name: &str) -> Result<Option<Role>, Halt> {
    if let Some(number) = BUILT_IN.iter().position(|known| *known == name) {
        return Ok(u8::try_from(number).ok().map(Role));
    }
    let position: u64 = load(host, entry(POSITIONS, keccak256(name)))?.saturating_to();
    let before = u64::try_from(BUILT_IN.len()).unwrap_or(u64::MAX).saturating_sub(1);
    Ok(if position == 0 { None } else { u8::try_from(position.saturating_add(before)).ok().map(Role) })
}

pub(super) fn known(host: &mut dyn Host, name: &str) -> Result<Role, Failure> {
    find(host, name)?.ok_or_else(|| Failure::revert(&IPermissions::UnknownRole { role: name.to_owned() }))
}

fn own_count(host: &mut dyn Host) -> Result<u64, Halt> {
    Storage::of(host, ADDRESS).load_u64(ROLES)
}

pub(super) fn list(host: &mut dyn Host) -> Result<Vec<IPermissions::Role>, Halt> {
    let count = usize::try_from(own_count(host)?).unwrap_or(usize::MAX).saturating_add(BUILT_IN.len());
    let mut list = Vec::new();
    for number in 0..count.min(ROLES_MAX) {
        let role = Role(u8::try_from(number).unwrap_or(u8::MAX));
        let grantor = match grantor(host, role)? {
            Some(grantor) => grantor.name(host)?,
            None => String::new(),
        };
        list.push(IPermissions::Role { name: role.name(host)?, grantor });
    }
    Ok(list)
}

/// The names of the roles in a bitmap.
pub(super) fn names(host: &mut dyn Host, bits: U256) -> Result<Vec<String>, Halt> {
    let numbers = (0..=u8::MAX).filter(|number| bits.bit(usize::from(*number)));
    numbers.map(|number| Role(number).name(host)).collect()
}

/// The roles that were granted to an address, a bit each.
pub(super) fn granted(host: &mut dyn Host, account: Address) -> Result<U256, Halt> {
    load(host, entry(OWN_ROLES, account.into_word()))
}

/// The first of some roles that an address has.
pub(super) fn first_of(host: &mut dyn Host, account: Address, listed: U256) -> Result<Option<Role>, Halt> {
    if listed.is_zero() {
        return Ok(None);
    }
    if listed.bit(Role::COMMITTEE.bit()) && committee::is_member(host, account)? {
        return Ok(Some(Role::COMMITTEE));
    }
    let both = granted(host, account)? & listed;
    Ok(if both.is_zero() { None } else { u8::try_from(both.trailing_zeros()).ok().map(Role) })
}

pub(super) fn has(host: &mut dyn Host, role: Role, account: Address) -> Result<bool, Halt> {
    Ok(first_of(host, account, U256::ONE << role.bit())?.is_some())
}

/// Whether the caller has a role and may act: what is frozen has no rights here.
pub(super) fn acts_as(host: &mut dyn Host, call: &Call<'_>, role: Role) -> Result<bool, Halt> {
    Ok(has(host, role, call.caller)? && standing::of(host, call.caller)?.is_active())
}

pub(super) fn holders(host: &mut dyn Host, role: Role, from: U256, limit: u64) -> Result<Vec<Address>, Halt> {
    if role != Role::COMMITTEE {
        return Ok(super::addresses(role.holders().page(host, from, limit)?));
    }
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(committee::accounts(host)?.into_iter().skip(from).take(limit).collect())
}

pub(super) fn add(host: &mut dyn Host, call: &Call<'_>, name: &str) -> Result<(), Failure> {
    governing(host, call)?;
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(fits) {
        return Err(Failure::revert(&IPermissions::InvalidRole { role: name.to_owned() }));
    }
    if find(host, name)?.is_some() {
        return Err(Failure::revert(&IPermissions::RoleExists { role: name.to_owned() }));
    }
    let own = own_count(host)?;
    let count = U256::from(own).saturating_add(U256::from(BUILT_IN.len())).saturating_add(U256::ONE);
    let limit = U256::from(ROLES_MAX);
    if count > limit {
        return Err(Failure::revert(&IPermissions::TooMany { count, limit }));
    }
    let position = U256::from(own.saturating_add(1));
    store(host, ROLES, position)?;
    store(host, entry(POSITIONS, keccak256(name)), position)?;
    Storage::of(host, ADDRESS).store_bytes(after(elements(ROLES), own), name.as_bytes())?;
    changed(host, &IPermissions::RoleAdded { role: name.to_owned(), by: call.caller })
}

fn grantor(host: &mut dyn Host, role: Role) -> Result<Option<Role>, Halt> {
    let number: u64 = load(host, entry(GRANTORS, role.word()))?.saturating_to();
    Ok(number.checked_sub(1).and_then(|number| u8::try_from(number).ok()).map(Role))
}

/// A role that can be granted.
fn grantable(host: &mut dyn Host, name: &str) -> Result<Role, Failure> {
    let role = known(host, name)?;
    if role == Role::COMMITTEE {
        return Err(Failure::revert(&IPermissions::RoleNotGranted { role: name.to_owned() }));
    }
    Ok(role)
}

pub(super) fn set_grantor(host: &mut dyn Host, call: &Call<'_>, name: &str, by: &str) -> Result<(), Failure> {
    governing(host, call)?;
    let role = grantable(host, name)?;
    let number = if by.is_empty() { U256::ZERO } else { U256::from(known(host, by)?.bit().saturating_add(1)) };
    store(host, entry(GRANTORS, role.word()), number)?;
    changed(host, &IPermissions::GrantorSet { role: name.to_owned(), grantor: by.to_owned(), by: call.caller })
}

/// A role that the caller may grant.
fn grantable_by(host: &mut dyn Host, call: &Call<'_>, name: &str) -> Result<Role, Failure> {
    let role = grantable(host, name)?;
    if configuration::has_authority(host, call)? {
        return Ok(role);
    }
    match grantor(host, role)? {
        Some(grantor) if acts_as(host, call, grantor)? => Ok(role),
        _ => Err(not_authorized(call)),
    }
}

fn change(host: &mut dyn Host, role: Role, account: Address, has: bool) -> Result<bool, Halt> {
    let word = account.into_word();
    let is_new = if has { role.holders().insert(host, word)? } else { role.holders().remove(host, word)? };
    if is_new {
        let mut bits = granted(host, account)?;
        bits.set_bit(role.bit(), has);
        store(host, entry(OWN_ROLES, word), bits)?;
    }
    Ok(is_new)
}

pub(super) fn grant(
    host: &mut dyn Host,
    call: &Call<'_>,
    name: &str,
    account: Address,
    reason: &str,
) -> Result<(), Failure> {
    let role = grantable_by(host, call, name)?;
    check_target(account)?;
    check_reason(reason)?;
    if !change(host, role, account, true)? {
        return Ok(());
    }
    let (role, reason) = (name.to_owned(), reason.to_owned());
    changed(host, &IPermissions::RoleGranted { role, account, by: call.caller, reason })
}

pub(super) fn revoke(
    host: &mut dyn Host,
    call: &Call<'_>,
    name: &str,
    account: Address,
    reason: &str,
) -> Result<(), Failure> {
    let role = grantable_by(host, call, name)?;
    check_reason(reason)?;
    if !change(host, role, account, false)? {
        return Ok(());
    }
    let (role, reason) = (name.to_owned(), reason.to_owned());
    changed(host, &IPermissions::RoleRevoked { role, account, by: call.caller, reason })
}
