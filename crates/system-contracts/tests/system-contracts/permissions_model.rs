//! 0x2003 under any sequence of calls, against a model: verdicts, rights, and the filter that makes most verdicts free.

use crate::chain::{Chain, OPERATOR};
use alloy_primitives::{Address, FixedBytes, U256, keccak256};
use alloy_sol_types::SolInterface;
use lian_system_contracts::{
    Failure,
    interfaces::IPermissions::{self as P, Policy},
    permissions::{ADDRESS, CallQuestion, filter_slot, is_in_filter, judge_call, judge_creation},
};
use lian_types::ConsensusParameters;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const ACCOUNTS: u8 = 4;
const ROLES: [&str; 3] = ["regulator", "deployer", "own"];
/// Two methods, and what stands for all others.
const METHODS: [FixedBytes<4>; 3] = [FixedBytes([1; 4]), FixedBytes([2; 4]), FixedBytes([0xff; 4])];

/// The operator is one of them.
fn account(number: u8) -> Address {
    if number == 0 { OPERATOR } else { Address::from_slice(&keccak256([number])[12..]) }
}

/// The operator's address is one below 0x10000, about which nobody decides.
const fn is_target(number: u8) -> bool {
    number != 0
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Role { of: u8, role: usize, has: bool },
    Grantor { role: usize, by: Option<usize> },
    Restrict(bool),
    Freeze { target: u8, on: bool },
    Suspend { target: u8, on: bool },
    Retire { target: u8 },
    Administrator { target: u8, new: u8 },
    Policy { target: u8, method: usize, policy: u8 },
    List { target: u8, method: usize, account: u8, on: bool },
    ListRole { target: u8, method: usize, role: usize, on: bool },
}

fn act() -> impl Strategy<Value = Act> {
    let who = || 0..ACCOUNTS;
    let role = || 0..ROLES.len();
    let method = || 0..METHODS.len();
    let on = || prop::bool::weighted(0.6);
    prop_oneof![
        3 => (who(), role(), on()).prop_map(|(of, role, has)| Act::Role { of, role, has }),
        1 => (role(), prop::option::of(role())).prop_map(|(role, by)| Act::Grantor { role, by }),
        1 => any::<bool>().prop_map(Act::Restrict),
        2 => (who(), on()).prop_map(|(target, on)| Act::Freeze { target, on }),
        2 => (who(), on()).prop_map(|(target, on)| Act::Suspend { target, on }),
        1 => who().prop_map(|target| Act::Retire { target }),
        2 => (who(), who()).prop_map(|(target, new)| Act::Administrator { target, new }),
        4 => (who(), method(), 0..4_u8).prop_map(|(target, method, policy)| Act::Policy { target, method, policy }),
        4 => (who(), method(), who(), on())
            .prop_map(|(target, method, account, on)| Act::List { target, method, account, on }),
        3 => (who(), method(), role(), on())
            .prop_map(|(target, method, role, on)| Act::ListRole { target, method, role, on }),
    ]
}

#[derive(Clone, Default)]
struct Model {
    roles: BTreeSet<(usize, u8)>,
    grantors: BTreeMap<usize, usize>,
    restricted: bool,
    frozen: BTreeSet<u8>,
    suspended: BTreeSet<u8>,
    retired: BTreeSet<u8>,
    administrators: BTreeMap<u8, u8>,
    policies: BTreeMap<(u8, usize), u8>,
    listed: BTreeSet<(u8, usize, u8)>,
    listed_roles: BTreeSet<(u8, usize, usize)>,
}

impl Model {
    fn is_active(&self, number: u8) -> bool {
        [&self.frozen, &self.suspended, &self.retired].iter().all(|set| !set.contains(&number))
    }

    fn acts_as(&self, caller: u8, role: usize) -> bool {
        self.is_active(caller) && self.roles.contains(&(role, caller))
    }

    /// Whether the act is allowed and possible.
    fn allows(&self, by: u8, act: Act) -> bool {
        let governs = by == 0;
        let administers =
            |target: u8| governs || self.is_active(by) && self.administrators.get(&target) == Some(&by) && by != 0;
        match act {
            Act::Role { of, role, has } => {
                let grants = self.grantors.get(&role).is_some_and(|grantor| self.acts_as(by, *grantor));
                (governs || grants) && (is_target(of) || !has)
            }
            Act::Grantor { .. } | Act::Restrict(_) => governs,
            Act::Freeze { target, on } => {
                (governs || self.acts_as(by, 0)) && is_target(target) && (on || self.frozen.contains(&target))
            }
            Act::Suspend { target, on } => {
                administers(target) && is_target(target) && (on || self.suspended.contains(&target))
            }
            Act::Retire { target } => administers(target) && is_target(target) && !self.retired.contains(&target),
            Act::Administrator { target, .. } | Act::Policy { target, .. } | Act::ListRole { target, .. } => {
                administers(target) && is_target(target)
            }
            Act::List { target, account, .. } => administers(target) && is_target(target) && is_target(account),
        }
    }

    fn apply(&mut self, act: Act) {
        fn put<T: Ord>(set: &mut BTreeSet<T>, element: T, on: bool) {
            if on {
                set.insert(element);
            } else {
                set.remove(&element);
            }
        }
        match act {
            Act::Role { of, role, has } => put(&mut self.roles, (role, of), has),
            Act::Grantor { role, by: Some(grantor) } => drop(self.grantors.insert(role, grantor)),
            Act::Grantor { role, by: None } => drop(self.grantors.remove(&role)),
            Act::Restrict(restricted) => self.restricted = restricted,
            Act::Freeze { target, on } => put(&mut self.frozen, target, on),
            Act::Suspend { target, on } => put(&mut self.suspended, target, on),
            Act::Retire { target } => put(&mut self.retired, target, true),
            Act::Administrator { target, new } => drop(self.administrators.insert(target, new)),
            Act::Policy { target, method, policy } => drop(self.policies.insert((target, method), policy)),
            Act::List { target, method, account, on } => put(&mut self.listed, (target, method, account), on),
            Act::ListRole { target, method, role, on } => put(&mut self.listed_roles, (target, method, role), on),
        }
    }

    fn may_call(&self, caller: u8, target: u8, method: usize) -> bool {
        if !self.is_active(caller) {
            return false;
        }
        if caller == target || !is_target(target) {
            return true;
        }
        let own = self.policies.get(&(target, method)).copied().unwrap_or_default();
        let all = METHODS.len() - 1;
        let rule = if own == 0 { all } else { method };
        let policy = self.policies.get(&(target, rule)).copied().unwrap_or_default();
        let by_role = (0..ROLES.len())
            .any(|role| self.roles.contains(&(role, caller)) && self.listed_roles.contains(&(target, rule, role)));
        let listed = by_role || self.listed.contains(&(target, rule, caller));
        self.is_active(target) && (policy < 2 || (policy == 2) == listed)
    }
}

fn run(chain: &mut Chain, by: u8, act: Act) -> Result<(), Failure> {
    use P::IPermissionsCalls as C;
    let reason = String::new;
    let name = |role: usize| ROLES[role].to_owned();
    let target_of = account;
    let call = match act {
        Act::Role { of, role, has: true } => {
            C::grantRole(P::grantRoleCall { role: name(role), account: account(of), reason: reason() })
        }
        Act::Role { of, role, has: false } => {
            C::revokeRole(P::revokeRoleCall { role: name(role), account: account(of), reason: reason() })
        }
        Act::Grantor { role, by } => {
            C::setGrantor(P::setGrantorCall { role: name(role), grantor: by.map(name).unwrap_or_default() })
        }
        Act::Restrict(restricted) => C::restrictCreation(P::restrictCreationCall { restricted, reason: reason() }),
        Act::Freeze { target, on: true } => C::freeze(P::freezeCall { target: target_of(target), reason: reason() }),
        Act::Freeze { target, on: false } => C::thaw(P::thawCall { target: target_of(target), reason: reason() }),
        Act::Suspend { target, on: true } => C::suspend(P::suspendCall { target: target_of(target), reason: reason() }),
        Act::Suspend { target, on: false } => C::resume(P::resumeCall { target: target_of(target), reason: reason() }),
        Act::Retire { target } => C::retire(P::retireCall { target: target_of(target), reason: reason() }),
        Act::Administrator { target, new } => {
            C::setAdministrator(P::setAdministratorCall { target: target_of(target), administrator: account(new) })
        }
        Act::Policy { target, method, policy } => C::setPolicy(P::setPolicyCall {
            target: target_of(target),
            method: METHODS[method],
            policy: Policy::try_from(policy).unwrap(),
        }),
        Act::List { target, method, account: listed, on } => C::listAccounts(P::listAccountsCall {
            target: target_of(target),
            method: METHODS[method],
            accounts: vec![account(listed)],
            listed: on,
        }),
        Act::ListRole { target, method, role, on } => C::listRole(P::listRoleCall {
            target: target_of(target),
            method: METHODS[method],
            role: name(role),
            listed: on,
        }),
    };
    chain.input_as(account(by), ADDRESS, &call.abi_encode()).map(drop)
}

fn is_filtered(chain: &Chain, address: Address) -> bool {
    is_in_filter(chain.slot(ADDRESS, filter_slot(address).0), address)
}

fn compare(chain: &mut Chain, model: &Model) {
    for caller in 0..ACCOUNTS {
        let deploys = model.is_active(caller) && (model.roles.contains(&(1, caller)) || !model.restricted);
        for target in 0..ACCOUNTS {
            let creation = judge_creation(&mut chain.reader(), account(caller), account(target)).unwrap();
            assert_eq!(creation.denial.is_none(), deploys && model.is_active(target));
            for (index, method) in METHODS.into_iter().enumerate() {
                let question = CallQuestion { caller: account(caller), target: account(target), method };
                let judgement = judge_call(&mut chain.reader(), &question).unwrap();
                assert_eq!(judgement.denial.is_none(), model.may_call(caller, target, index), "{question:?}");
                let is_free = !is_filtered(chain, account(caller)) && !is_filtered(chain, account(target));
                assert!(!is_free || judgement.denial.is_none(), "the filter would let it pass: {question:?}");
            }
        }
    }
}

/// A selector with words behind it that make sense now and then, or anything.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let selector = prop::sample::select(P::IPermissionsCalls::selectors().collect::<Vec<_>>());
    let word = prop_oneof![
        4 => (0..160_u64).prop_map(|number| U256::from(number).to_be_bytes::<32>()),
        2 => (0..ACCOUNTS).prop_map(|number| account(number).into_word().0),
        1 => prop::array::uniform32(any::<u8>()),
    ];
    let call = (selector, prop::collection::vec(word, 0..12))
        .prop_map(|(selector, words)| [selector.as_slice(), &words.concat()].concat());
    prop_oneof![9 => call, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn verdicts_are_the_models(acts in prop::collection::vec((0..ACCOUNTS, act()), 1..60)) {
        let mut chain = Chain::new(4, ConsensusParameters::default());
        chain.call(ADDRESS, &P::addRoleCall { role: "own".into() }).unwrap();
        let mut model = Model::default();
        for (by, act) in acts {
            // Half of them by the operator, who may do everything.
            let by = if by % 2 == 0 { 0 } else { by };
            let before = chain.clone();
            let allowed = model.allows(by, act);
            match run(&mut chain, by, act) {
                Ok(()) => {
                    prop_assert!(allowed, "{by} {act:?}");
                    model.apply(act);
                    let digest = |chain: &mut Chain| chain.call(ADDRESS, &P::digestCall {}).unwrap();
                    let has_changed = before.slots_of(ADDRESS) != chain.slots_of(ADDRESS);
                    prop_assert_eq!(has_changed, digest(&mut before.clone()) != digest(&mut chain));
                }
                Err(Failure::Revert(_)) => {
                    prop_assert!(!allowed, "{by} {act:?}");
                    prop_assert_eq!(&chain, &before);
                }
                Err(Failure::Halt(halt)) => panic!("{halt}"),
            }
        }
        compare(&mut chain, &model);
    }

    /// Whatever it is, a call is done or refused, and a refused one changes nothing.
    #[test]
    fn any_input_is_done_or_refused(inputs in prop::collection::vec(input(), 1..12)) {
        let mut chain = Chain::new(4, ConsensusParameters::default());
        for input in inputs {
            let before = chain.clone();
            let outcome = chain.input(ADDRESS, &input);
            prop_assert!(outcome.is_ok() || chain == before);
        }
    }
}
