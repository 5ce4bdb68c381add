//! What is known of an address: whether it is frozen, suspended or retired, and who makes its rules.

use super::{
    ADDRESS, Policy, TARGETS, changed, check_reason, check_target, filter, load, not_authorized, roles, rules, store,
};
use crate::{
    Call, Failure, Halt, Host, configuration,
    interfaces::IPermissions::{self, AdministratorSet, Frozen, Resumed, Retired, Suspended, Thawed},
    set::Set,
    storage::entry,
};
use alloy_primitives::{Address, FixedBytes, U256};

/// Mapping from addresses to standings.
const STANDINGS: U256 = U256::from_limbs([6, 0, 0, 0]);
/// Mapping from addresses to the methods that have rules of their own.
const METHODS: U256 = U256::from_limbs([9, 0, 0, 0]);

const FROZEN: usize = 0;
const SUSPENDED: usize = 1;
const RETIRED: usize = 2;
const HAS_METHODS: usize = 3;
/// The byte with the policy.
const POLICY_BYTE: usize = 1;
/// Where the administrator begins.
const ADMINISTRATOR_BIT: usize = 96;

/// What is known of an address, in one word: four bits (frozen, suspended, retired, some methods have rules), in the second
/// byte from below the policy, and in the twenty highest bytes the administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing(U256);

impl Standing {
    pub(super) fn is_frozen(self) -> bool {
        self.0.bit(FROZEN)
    }

    pub(super) fn is_suspended(self) -> bool {
        self.0.bit(SUSPENDED)
    }

    pub(super) fn is_retired(self) -> bool {
        self.0.bit(RETIRED)
    }

    /// Whether it may call and be called.
    pub(super) fn is_active(self) -> bool {
        !(self.is_frozen() || self.is_suspended() || self.is_retired())
    }

    pub(super) fn has_methods(self) -> bool {
        self.0.bit(HAS_METHODS)
    }

    pub(super) fn policy(self) -> Policy {
        Policy::of(self.0.byte(POLICY_BYTE))
    }

    pub(super) fn administrator(self) -> Address {
        let shifted: U256 = self.0 >> ADMINISTRATOR_BIT;
        Address::from_word(shifted.into())
    }

    fn with(mut self, bit: usize, value: bool) -> Self {
        self.0.set_bit(bit, value);
        self
    }

    pub(super) fn with_methods(self, has_methods: bool) -> Self {
        self.with(HAS_METHODS, has_methods)
    }

    pub(super) fn with_policy(self, policy: Policy) -> Self {
        let cleared = self.0 & !(U256::from(u8::MAX) << (POLICY_BYTE * 8));
        Self(cleared | (U256::from(policy as u8) << (POLICY_BYTE * 8)))
    }

    fn with_administrator(self, administrator: Address) -> Self {
        let others = self.0 & ((U256::ONE << ADMINISTRATOR_BIT).wrapping_sub(U256::ONE));
        Self(others | (U256::from_be_bytes(administrator.into_word().0) << ADMINISTRATOR_BIT))
    }

    /// Whether a verdict may depend on it: who the administrator is does not matter.
    fn matters(self) -> bool {
        !self.with_administrator(Address::ZERO).0.is_zero()
    }
}

pub(super) fn of(host: &mut dyn Host, address: Address) -> Result<Standing, Halt> {
    load(host, entry(STANDINGS, address.into_word())).map(Standing)
}

pub(super) fn set(host: &mut dyn Host, address: Address, standing: Standing) -> Result<(), Halt> {
    store(host, entry(STANDINGS, address.into_word()), standing.0)?;
    TARGETS.insert(host, address.into_word())?;
    if standing.matters() { filter::add(host, address) } else { Ok(()) }
}

/// The methods of an address that have rules of their own.
pub(super) fn methods(address: Address) -> Set {
    Set::new(ADDRESS, entry(METHODS, address.into_word()))
}

pub(super) fn show(host: &mut dyn Host, address: Address) -> Result<IPermissions::Standing, Halt> {
    let standing = of(host, address)?;
    let methods = methods(address).page(host, U256::ZERO, rules::METHODS_MAX)?;
    let granted = roles::granted(host, address)?;
    Ok(IPermissions::Standing {
        frozen: standing.is_frozen(),
        suspended: standing.is_suspended(),
        retired: standing.is_retired(),
        administrator: standing.administrator(),
        policy: standing.policy().into(),
        methods: methods.into_iter().map(|word| FixedBytes::from_slice(&word[..4])).collect(),
        roles: roles::names(host, granted)?,
    })
}

/// The standing of an address whose rules the caller may make.
pub(super) fn administered(host: &mut dyn Host, call: &Call<'_>, target: Address) -> Result<Standing, Failure> {
    check_target(target)?;
    let standing = of(host, target)?;
    let administrates = standing.administrator() == call.caller && of(host, call.caller)?.is_active();
    if administrates || configuration::has_authority(host, call)? { Ok(standing) } else { Err(not_authorized(call)) }
}

/// The standing of an address that the caller may freeze and thaw.
fn supervised(host: &mut dyn Host, call: &Call<'_>, target: Address) -> Result<Standing, Failure> {
    if !configuration::has_authority(host, call)? && !roles::acts_as(host, call, roles::Role::REGULATOR)? {
        return Err(not_authorized(call));
    }
    check_target(target)?;
    Ok(of(host, target)?)
}

pub(super) fn freeze(host: &mut dyn Host, call: &Call<'_>, target: Address, reason: &str) -> Result<(), Failure> {
    let standing = supervised(host, call, target)?;
    check_reason(reason)?;
    if standing.is_frozen() {
        return Ok(());
    }
    set(host, target, standing.with(FROZEN, true))?;
    changed(host, &Frozen { target, by: call.caller, reason: reason.to_owned() })
}

pub(super) fn thaw(host: &mut dyn Host, call: &Call<'_>, target: Address, reason: &str) -> Result<(), Failure> {
    let standing = supervised(host, call, target)?;
    check_reason(reason)?;
    if !standing.is_frozen() {
        return Err(Failure::revert(&IPermissions::NotFrozen { target }));
    }
    set(host, target, standing.with(FROZEN, false))?;
    changed(host, &Thawed { target, by: call.caller, reason: reason.to_owned() })
}

/// Makes the caller the administrator of what it has created: `created` is what it creates with what it names.
pub(super) fn claim(host: &mut dyn Host, call: &Call<'_>, target: Address, created: Address) -> Result<(), Failure> {
    let caller = call.caller;
    check_target(target)?;
    if created != target {
        return Err(Failure::revert(&IPermissions::NotCreator { target, caller }));
    }
    let standing = of(host, target)?;
    let administrator = standing.administrator();
    if !administrator.is_zero() {
        return Err(Failure::revert(&IPermissions::HasAdministrator { target, administrator }));
    }
    if !of(host, caller)?.is_active() {
        return Err(not_authorized(call));
    }
    set(host, target, standing.with_administrator(caller))?;
    changed(host, &AdministratorSet { target, administrator: caller, by: caller })
}

pub(super) fn set_administrator(
    host: &mut dyn Host,
    call: &Call<'_>,
    target: Address,
    administrator: Address,
) -> Result<(), Failure> {
    let standing = administered(host, call, target)?;
    if standing.administrator() == administrator {
        return Ok(());
    }
    set(host, target, standing.with_administrator(administrator))?;
    changed(host, &AdministratorSet { target, administrator, by: call.caller })
}

pub(super) fn suspend(host: &mut dyn Host, call: &Call<'_>, target: Address, reason: &str) -> Result<(), Failure> {
    let standing = administered(host, call, target)?;
    check_reason(reason)?;
    if standing.is_suspended() {
        return Ok(());
    }
    set(host, target, standing.with(SUSPENDED, true))?;
    changed(host, &Suspended { target, by: call.caller, reason: reason.to_owned() })
}

pub(super) fn resume(host: &mut dyn Host, call: &Call<'_>, target: Address, reason: &str) -> Result<(), Failure> {
    let standing = administered(host, call, target)?;
    check_reason(reason)?;
    if !standing.is_suspended() {
        return Err(Failure::revert(&IPermissions::NotSuspended { target }));
    }
    set(host, target, standing.with(SUSPENDED, false))?;
    changed(host, &Resumed { target, by: call.caller, reason: reason.to_owned() })
}

pub(super) fn retire(host: &mut dyn Host, call: &Call<'_>, target: Address, reason: &str) -> Result<(), Failure> {
    let standing = administered(host, call, target)?;
    check_reason(reason)?;
    if standing.is_retired() {
        return Err(Failure::revert(&IPermissions::IsRetired { target }));
    }
    set(host, target, standing.with(RETIRED, true))?;
    changed(host, &Retired { target, by: call.caller, reason: reason.to_owned() })
}
