//! Rules: who may call a contract, or a method of it.

use super::{
    ADDRESS, LIST_MAX, changed, check_target, load, roles,
    standing::{self, Standing, administered, methods},
    store,
};
use crate::{
    Call, Failure, Halt, Host,
    interfaces::IPermissions,
    set::Set,
    storage::{after, entry},
};
use alloy_primitives::{Address, B256, FixedBytes, U256};

/// Four bytes that select a method; 0 where a call sends less than four.
pub type Method = FixedBytes<4>;

/// Stands for all methods that have no rule of their own.
pub(super) const ALL_METHODS: Method = FixedBytes([0xff; 4]);
/// Most methods of a contract that have rules of their own.
pub const METHODS_MAX: u64 = 256;

/// Mapping from rules' keys to rules.
const RULES: U256 = U256::from_limbs([8, 0, 0, 0]);
/// The slots of a rule, after its first one, which holds the policy of a method's: that of all others stands in the
/// contract's standing.
const ROLES: u64 = 1;
const ACCOUNTS: u64 = 2;

/// Who may call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// No rule.
    #[default]
    None = 0,
    /// Everybody.
    Open = 1,
    /// Who is listed.
    AllowList = 2,
    /// Everybody but who is listed.
    DenyList = 3,
}

impl Policy {
    pub(super) const fn of(byte: u8) -> Self {
        match byte {
            1 => Self::Open,
            2 => Self::AllowList,
            3 => Self::DenyList,
            _ => Self::None,
        }
    }
}

impl From<Policy> for IPermissions::Policy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::None => Self::None,
            Policy::Open => Self::Open,
            Policy::AllowList => Self::AllowList,
            Policy::DenyList => Self::DenyList,
        }
    }
}

impl From<IPermissions::Policy> for Policy {
    fn from(policy: IPermissions::Policy) -> Self {
        Self::of(policy as u8)
    }
}

/// A rule's key: contract and method, side by side.
fn slot_of(target: Address, method: Method) -> U256 {
    let mut key = [0; 32];
    let bytes = target.iter().chain(method.iter());
    for (to, from) in key.iter_mut().zip(bytes) {
        *to = *from;
    }
    entry(RULES, B256::from(key))
}

/// A method as an element of a set.
fn method_word(method: Method) -> B256 {
    B256::right_padding_from(method.as_slice())
}

/// The accounts that a rule lists.
pub(super) fn accounts(target: Address, method: Method) -> Set {
    Set::new(ADDRESS, after(slot_of(target, method), ACCOUNTS))
}

/// The rule that a call of a method falls under: which method's, and its policy.
pub(super) fn applying(
    host: &mut dyn Host,
    target: Address,
    standing: Standing,
    method: Method,
) -> Result<(Method, Policy), Halt> {
    if standing.has_methods() {
        let own = Policy::of(load(host, slot_of(target, method))?.byte(0));
        if own != Policy::None {
            return Ok((method, own));
        }
    }
    Ok((ALL_METHODS, standing.policy()))
}

/// The roles that a rule lists, a bit each.
pub(super) fn listed_roles(host: &mut dyn Host, target: Address, method: Method) -> Result<U256, Halt> {
    load(host, after(slot_of(target, method), ROLES))
}

/// Whether a rule lists an account itself.
pub(super) fn lists(host: &mut dyn Host, target: Address, method: Method, account: Address) -> Result<bool, Halt> {
    accounts(target, method).contains(host, account.into_word())
}

pub(super) fn show(
    host: &mut dyn Host,
    target: Address,
    method: Method,
) -> Result<(IPermissions::Policy, Vec<String>), Halt> {
    let policy = if method == ALL_METHODS {
        standing::of(host, target)?.policy()
    } else {
        Policy::of(load(host, slot_of(target, method))?.byte(0))
    };
    let listed = listed_roles(host, target, method)?;
    Ok((policy.into(), roles::names(host, listed)?))
}

pub(super) fn set_policy(
    host: &mut dyn Host,
    call: &Call<'_>,
    target: Address,
    method: Method,
    policy: IPermissions::Policy,
) -> Result<(), Failure> {
    let before = administered(host, call, target)?;
    let new = Policy::from(policy);
    if method == ALL_METHODS {
        if before.policy() == new {
            return Ok(());
        }
        standing::set(host, target, before.with_policy(new))?;
    } else {
        let slot = slot_of(target, method);
        if Policy::of(load(host, slot)?.byte(0)) == new {
            return Ok(());
        }
        store(host, slot, U256::from(new as u8))?;
        let (methods, word) = (methods(target), method_word(method));
        if new == Policy::None {
            methods.remove(host, word)?;
        } else {
            methods.insert(host, word)?;
        }
        let count = methods.length(host)?;
        if count > METHODS_MAX {
            let (count, limit) = (U256::from(count), U256::from(METHODS_MAX));
            return Err(Failure::revert(&IPermissions::TooMany { count, limit }));
        }
        standing::set(host, target, before.with_methods(count > 0))?;
    }
    changed(host, &IPermissions::PolicySet { target, method, policy, by: call.caller })
}

pub(super) fn list_accounts(
    host: &mut dyn Host,
    call: &Call<'_>,
    wanted: &IPermissions::listAccountsCall,
) -> Result<(), Failure> {
    let IPermissions::listAccountsCall { target, method, accounts: named, listed } = wanted;
    administered(host, call, *target)?;
    let (count, limit) = (U256::from(named.len()), U256::from(LIST_MAX));
    if count > limit {
        return Err(Failure::revert(&IPermissions::TooMany { count, limit }));
    }
    let accounts = accounts(*target, *method);
    for account in named {
        check_target(*account)?;
        let word = account.into_word();
        if if *listed { accounts.insert(host, word)? } else { accounts.remove(host, word)? } {
            let (target, method, account, listed, by) = (*target, *method, *account, *listed, call.caller);
            changed(host, &IPermissions::AccountListed { target, method, account, listed, by })?;
        }
    }
    Ok(())
}

pub(super) fn list_role(
    host: &mut dyn Host,
    call: &Call<'_>,
    target: Address,
    method: Method,
    name: &str,
    listed: bool,
) -> Result<(), Failure> {
    administered(host, call, target)?;
    let role = roles::known(host, name)?;
    let slot = after(slot_of(target, method), ROLES);
    let mut bits = load(host, slot)?;
    if bits.bit(role.bit()) == listed {
        return Ok(());
    }
    bits.set_bit(role.bit(), listed);
    store(host, slot, bits)?;
    changed(host, &IPermissions::RoleListed { target, method, role: name.to_owned(), listed, by: call.caller })
}
