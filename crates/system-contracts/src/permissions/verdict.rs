//! The verdict on a call or a creation, and what it hangs on.

use super::{
    Method, Policy, Role, filter_slot, is_chains_own, is_creation_restricted, is_in_filter, load, roles, rules,
    standing::{self, Standing},
};
use crate::{Halt, Host, authorities, committee, configuration, interfaces::IPermissions, members};
use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::SolError;

/// A call that somebody wants to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallQuestion {
    /// Who makes it: an account or a contract; in a delegate call the contract that makes it.
    pub caller: Address,
    /// Whose code would run.
    pub target: Address,
    /// The first four bytes that are sent, 0 where there are less.
    pub method: Method,
}

/// Why something is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// An address is frozen.
    Frozen(Address),
    /// An address is suspended.
    Suspended(Address),
    /// An address is retired.
    Retired(Address),
    /// A rule does not allow the call.
    Call(CallQuestion),
    /// Only deployers create contracts, and this is none.
    Creation(Address),
}

impl Denial {
    /// The error that the call reverts with, encoded as Solidity's errors are.
    #[must_use]
    pub fn revert_data(&self) -> Bytes {
        match *self {
            Self::Frozen(target) => IPermissions::AddressFrozen { target }.abi_encode(),
            Self::Suspended(target) => IPermissions::AddressSuspended { target }.abi_encode(),
            Self::Retired(target) => IPermissions::AddressRetired { target }.abi_encode(),
            Self::Call(CallQuestion { caller, target, method }) => {
                IPermissions::CallDenied { caller, target, method }.abi_encode()
            }
            Self::Creation(creator) => IPermissions::CreationDenied { creator }.abi_encode(),
        }
        .into()
    }
}

/// How a rule lists a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Itself.
    Account,
    /// A role of its.
    Role(Role),
}

/// What a verdict hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// Contracts of governance can always be called.
    Governance,
    /// What state an address is in.
    Standing,
    /// The chain's own addresses have no rules, and a contract's calls of itself need none.
    NoRuleApplies,
    /// Nobody has made a rule.
    NoRule,
    /// A rule of the contract.
    Rule {
        /// The method whose rule it is; nothing where it is that of all methods without one.
        method: Option<Method>,
        /// Its policy.
        policy: Policy,
        /// How it lists the caller, if it does.
        listed: Option<Listed>,
    },
    /// Whether creating contracts is restricted, and the creator a deployer.
    Creation {
        /// Whether only deployers may.
        restricted: bool,
        /// Whether it is one.
        is_deployer: bool,
    },
}

/// A verdict with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Nothing where it is allowed.
    pub denial: Option<Denial>,
    /// What it hangs on.
    pub because: Because,
    /// Whether it stays while the contract's digest does: a rule that lists the committee hangs on who is in it as well.
    pub lasting: bool,
}

impl Judgement {
    const fn of(denial: Option<Denial>, because: Because) -> Self {
        Self { denial, because, lasting: true }
    }
}

/// Contracts that know themselves who may do what, and by which every mistake can be mended.
const GOVERNANCE: [Address; 5] =
    [configuration::ADDRESS, members::ADDRESS, super::ADDRESS, committee::ADDRESS, authorities::ADDRESS];

/// Judges a call by a state.
///
/// # Errors
/// [`Halt`].
pub fn judge_call(host: &mut dyn Host, question: &CallQuestion) -> Result<Judgement, Halt> {
    let CallQuestion { caller, target, method } = *question;
    if GOVERNANCE.contains(&target) {
        return Ok(Judgement::of(None, Because::Governance));
    }
    if let Some(denial) = inactive(caller, standing::of(host, caller)?) {
        return Ok(Judgement::of(Some(denial), Because::Standing));
    }
    if is_chains_own(target) || caller == target {
        return Ok(Judgement::of(None, Because::NoRuleApplies));
    }
    let standing = standing::of(host, target)?;
    if let Some(denial) = inactive(target, standing) {
        return Ok(Judgement::of(Some(denial), Because::Standing));
    }
    let (rule, policy) = rules::applying(host, target, standing, method)?;
    if policy == Policy::None {
        return Ok(Judgement::of(None, Because::NoRule));
    }
    let roles = rules::listed_roles(host, target, rule)?;
    let listed = if policy == Policy::Open { None } else { listed(host, target, rule, roles, caller)? };
    let is_allowed = match policy {
        Policy::None | Policy::Open => true,
        Policy::AllowList => listed.is_some(),
        Policy::DenyList => listed.is_none(),
    };
    let denial = (!is_allowed).then_some(Denial::Call(*question));
    let method = (rule != rules::ALL_METHODS).then_some(rule);
    let lasting = !roles.bit(Role::COMMITTEE.bit());
    Ok(Judgement { denial, because: Because::Rule { method, policy, listed }, lasting })
}

/// Judges whether an address may create a contract at another one, by a state.
///
/// # Errors
/// [`Halt`].
pub fn judge_creation(host: &mut dyn Host, creator: Address, created: Address) -> Result<Judgement, Halt> {
    for address in [creator, created] {
        if let Some(denial) = inactive(address, standing::of(host, address)?) {
            return Ok(Judgement::of(Some(denial), Because::Standing));
        }
    }
    let restricted = is_creation_restricted(host)?;
    let is_deployer = restricted && roles::has(host, Role::DEPLOYER, creator)?;
    let denial = (restricted && !is_deployer).then_some(Denial::Creation(creator));
    Ok(Judgement::of(denial, Because::Creation { restricted, is_deployer }))
}

/// Whether an account is frozen, and wants to send to an address that a frozen one may not call: whatever it sends there would
/// revert. It takes one slot for almost every account.
///
/// # Errors
/// [`Halt`].
pub fn is_frozen_sender(host: &mut dyn Host, sender: Address, to: Option<Address>) -> Result<bool, Halt> {
    if to.is_some_and(|to| GOVERNANCE.contains(&to)) {
        return Ok(false);
    }
    let (slot, _) = filter_slot(sender);
    Ok(is_in_filter(load(host, slot)?, sender) && standing::of(host, sender)?.is_frozen())
}

fn inactive(address: Address, standing: Standing) -> Option<Denial> {
    if standing.is_frozen() {
        Some(Denial::Frozen(address))
    } else if standing.is_retired() {
        Some(Denial::Retired(address))
    } else if standing.is_suspended() {
        Some(Denial::Suspended(address))
    } else {
        None
    }
}

fn listed(
    host: &mut dyn Host,
    target: Address,
    rule: Method,
    roles: U256,
    caller: Address,
) -> Result<Option<Listed>, Halt> {
    if rules::lists(host, target, rule, caller)? {
        return Ok(Some(Listed::Account));
    }
    Ok(roles::first_of(host, caller, roles)?.map(Listed::Role))
}
