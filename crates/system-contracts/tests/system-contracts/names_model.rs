//! 0x2002 under any sequence of calls: who may do what and what answers whom are a simple model's.

use crate::{
    chain::{Chain, OPERATOR},
    names::{chain, publication},
};
use alloy_primitives::{Address, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall, SolInterface};
use lian_system_contracts::{
    Failure,
    interfaces::INames::{self as N, INamesCalls as Calls, Kind},
    names::{ADDRESS, Name, Place, Route, route},
};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// The first one is the operator.
const ACCOUNTS: u8 = 4;
const NAMES: [&str; 3] = ["bank", "pay.bank", "工行"];
/// The name that each lies under.
const PARENTS: [Option<usize>; 3] = [None, Some(0), None];
const VERSIONS: u8 = 4;
const RULE: Address = Address::repeat_byte(0xcc);

fn account(number: u8) -> Address {
    if number == 0 { OPERATOR } else { Address::with_last_byte(number) }
}

fn target(version: u8) -> Address {
    Address::repeat_byte(0xc0 + version)
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Register,
    Publish(u8),
    Switch(u8),
    Rollback(u8),
    Delegate(u8, bool),
    Transfer(u8),
    Start(u8, u16),
    Weight(u16),
    Caller(u8, bool),
    Rule(bool),
    Hold(bool),
    Abort,
    Finish,
}

fn act() -> impl Strategy<Value = Act> {
    let weight = || prop_oneof![3 => 0..=10_000_u16, 1 => 10_000..=u16::MAX];
    prop_oneof![
        4 => Just(Act::Register),
        6 => (0..VERSIONS).prop_map(Act::Publish),
        3 => (0..VERSIONS).prop_map(Act::Switch),
        2 => (0..VERSIONS).prop_map(Act::Rollback),
        2 => (0..ACCOUNTS, any::<bool>()).prop_map(|(account, allowed)| Act::Delegate(account, allowed)),
        1 => (0..ACCOUNTS).prop_map(Act::Transfer),
        5 => (0..VERSIONS, weight()).prop_map(|(version, weight)| Act::Start(version, weight)),
        3 => weight().prop_map(Act::Weight),
        3 => (0..ACCOUNTS, any::<bool>()).prop_map(|(account, listed)| Act::Caller(account, listed)),
        1 => any::<bool>().prop_map(Act::Rule),
        2 => any::<bool>().prop_map(Act::Hold),
        1 => Just(Act::Abort),
        1 => Just(Act::Finish),
    ]
}

#[derive(Clone, Debug, Default)]
struct Canary {
    version: u8,
    weight: u16,
    callers: BTreeSet<u8>,
    has_rule: bool,
    held: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    owner: u8,
    delegates: BTreeSet<u8>,
    /// In the order of publication.
    versions: Vec<u8>,
    current: Option<u8>,
    canary: Option<Canary>,
    /// What has answered.
    history: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct Model {
    names: [Option<Entry>; 3],
}

impl Model {
    /// Does it, if it is allowed.
    fn apply(&mut self, by: u8, name: usize, act: Act) -> bool {
        let is_steered = |entry: &Entry| entry.owner == by || entry.delegates.contains(&by);
        if let Act::Register = act {
            let may = PARENTS[name].and_then(|parent| self.names[parent].as_ref()).is_none_or(is_steered);
            if !may || self.names[name].is_some() {
                return false;
            }
            let (delegates, versions, history) = (BTreeSet::new(), Vec::new(), Vec::new());
            self.names[name] = Some(Entry { owner: by, delegates, versions, current: None, canary: None, history });
            return true;
        }
        let Some(entry) = &mut self.names[name] else { return false };
        match act {
            Act::Delegate(account, allowed) if entry.owner == by => {
                if allowed {
                    entry.delegates.insert(account);
                } else {
                    entry.delegates.remove(&account);
                }
                true
            }
            Act::Transfer(to) if entry.owner == by || by == 0 => {
                entry.owner = to;
                entry.delegates.clear();
                true
            }
            Act::Delegate(..) | Act::Transfer(_) => false,
            _ => is_steered(entry) && entry.steer(act),
        }
    }
}

impl Entry {
    fn position(&self, version: u8) -> Option<usize> {
        self.versions.iter().position(|published| *published == version)
    }

    fn go_to(&mut self, version: u8) -> bool {
        self.current = Some(version);
        self.history.push(version);
        true
    }

    fn steer(&mut self, act: Act) -> bool {
        let is_other = |version| self.position(version).is_some() && self.current != Some(version);
        match act {
            Act::Publish(version) if self.position(version).is_none() => {
                self.versions.push(version);
                self.current.is_some() || self.go_to(version)
            }
            Act::Switch(version) if is_other(version) && self.canary.is_none() => self.go_to(version),
            Act::Rollback(version) if is_other(version) && self.canary.is_none() => {
                let is_earlier = self.position(version) < self.current.and_then(|current| self.position(current));
                is_earlier && self.go_to(version)
            }
            Act::Start(version, weight) if is_other(version) && self.canary.is_none() && weight <= 10_000 => {
                self.canary = Some(Canary { version, weight, ..Canary::default() });
                true
            }
            _ => self.change_canary(act),
        }
    }

    fn change_canary(&mut self, act: Act) -> bool {
        let Some(canary) = &mut self.canary else { return false };
        match act {
            Act::Hold(held) if held != canary.held => canary.held = held,
            Act::Abort => self.canary = None,
            Act::Weight(weight) if !canary.held && weight <= 10_000 => canary.weight = weight,
            Act::Caller(caller, listed) if !canary.held => {
                if listed {
                    canary.callers.insert(caller);
                } else {
                    canary.callers.remove(&caller);
                }
            }
            Act::Rule(has_rule) if !canary.held => canary.has_rule = has_rule,
            Act::Finish if !canary.held => {
                let version = canary.version;
                self.canary = None;
                return self.go_to(version);
            }
            _ => return false,
        }
        true
    }

    /// The version that answers a caller, and whether a rule may decide otherwise.
    fn answers(&self, name: usize, caller: u8) -> Option<(u8, bool)> {
        let current = self.current?;
        let Some(canary) = &self.canary else { return Some((current, false)) };
        if canary.callers.contains(&caller) {
            return Some((canary.version, false));
        }
        let node = Name::parse(NAMES[name]).unwrap().node();
        let hash = U256::from_be_bytes(keccak256([node.as_slice(), account(caller).as_slice()].concat()).0);
        let is_within = hash % U256::from(10_000) < U256::from(canary.weight);
        Some((if is_within && !canary.has_rule { canary.version } else { current }, canary.has_rule))
    }
}

fn call_of(name: usize, act: Act) -> Calls {
    let (name, reason) = (NAMES[name].to_owned(), "minutes 7".to_owned());
    let text = |version: u8| version.to_string();
    match act {
        Act::Register => Calls::register(N::registerCall { name, kind: Kind::Forwarding }),
        Act::Publish(version) => {
            let publication = publication(&text(version), target(version));
            Calls::publish(N::publishCall { name, publication })
        }
        Act::Switch(version) => Calls::switchTo(N::switchToCall { name, version: text(version), reason }),
        Act::Rollback(version) => Calls::rollback(N::rollbackCall { name, version: text(version), reason }),
        Act::Delegate(of, allowed) => Calls::setDelegate(N::setDelegateCall { name, account: account(of), allowed }),
        Act::Transfer(to) => Calls::transfer(N::transferCall { name, to: account(to), reason }),
        Act::Start(version, weight) => {
            Calls::startCanary(N::startCanaryCall { name, version: text(version), basisPoints: weight, reason })
        }
        Act::Weight(weight) => Calls::setCanaryWeight(N::setCanaryWeightCall { name, basisPoints: weight, reason }),
        Act::Caller(caller, listed) => {
            Calls::setCanaryCallers(N::setCanaryCallersCall { name, callers: vec![account(caller)], listed })
        }
        Act::Rule(has_rule) => {
            let rule = if has_rule { RULE } else { Address::ZERO };
            Calls::setCanaryRule(N::setCanaryRuleCall { name, rule, reason })
        }
        Act::Hold(true) => Calls::holdCanary(N::holdCanaryCall { name, reason }),
        Act::Hold(false) => Calls::releaseCanary(N::releaseCanaryCall { name, reason }),
        Act::Abort => Calls::abortCanary(N::abortCanaryCall { name, reason }),
        Act::Finish => Calls::finishCanary(N::finishCanaryCall { name, reason }),
    }
}

fn with_contracts() -> Chain {
    let mut chain = chain();
    for contract in (0..VERSIONS).map(target).chain([RULE]) {
        chain.codes.insert(contract, Bytes::from_static(&[0]));
    }
    chain
}

fn compare(chain: &mut Chain, model: &Model) {
    for (index, entry) in model.names.iter().enumerate() {
        let name = NAMES[index].to_owned();
        let node = Name::parse(&name).unwrap().node();
        let Some(entry) = entry else {
            assert!(chain.call(ADDRESS, &N::findCall { name }).is_err());
            continue;
        };
        for caller in 0..ACCOUNTS {
            let answer = match route(&mut chain.reader(), &Place::of(node), account(caller)).unwrap() {
                None => None,
                Some(Route::To(answer)) => Some((answer.target, false)),
                Some(Route::Rule { rule, current, candidate }) => {
                    assert_eq!(rule, RULE);
                    assert_eq!(candidate.target, target(entry.canary.as_ref().unwrap().version));
                    Some((current.target, true))
                }
            };
            let expected = entry.answers(index, caller).map(|(version, has_rule)| (target(version), has_rule));
            assert_eq!(answer, expected, "{name} {caller}");
        }
        let shown = chain.call(ADDRESS, &N::findCall { name: name.clone() }).unwrap();
        assert_eq!(shown.owner, account(entry.owner));
        assert_eq!(shown.versions, U256::from(entry.versions.len()));
        let history = N::historyCall { name: name.clone(), from: U256::ZERO, limit: U256::MAX };
        let history: Vec<_> = chain.call(ADDRESS, &history).unwrap().into_iter().map(|switch| switch.to).collect();
        let expected: Vec<_> = entry.history.iter().take(20).map(u8::to_string).collect();
        assert_eq!(history, expected);
        let delegates: BTreeSet<_> = chain.call(ADDRESS, &N::delegatesCall { name }).unwrap().into_iter().collect();
        assert_eq!(delegates, entry.delegates.iter().map(|number| account(*number)).collect());
    }
}

/// A selector with words behind it that make sense now and then, a call that could be made, or anything.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let selector = prop::sample::select(Calls::selectors().collect::<Vec<_>>());
    let word = prop_oneof![
        4 => (0..160_u64).prop_map(|number| U256::from(number).to_be_bytes::<32>()),
        2 => (0..ACCOUNTS).prop_map(|number| account(number).into_word().0),
        1 => prop::array::uniform32(any::<u8>()),
    ];
    let call = (selector, prop::collection::vec(word, 0..12))
        .prop_map(|(selector, words)| [selector.as_slice(), &words.concat()].concat());
    let act = (0..NAMES.len(), act()).prop_map(|(name, act)| call_of(name, act).abi_encode());
    let resolved = (prop::collection::vec(any::<u8>(), 0..40), call.clone())
        .prop_map(|(name, data)| N::resolveCall { dnsName: name.into(), data: data.into() }.abi_encode());
    let named = any::<String>().prop_map(|name| N::normalizeCall { name }.abi_encode());
    prop_oneof![6 => call, 3 => act, 1 => resolved, 1 => named, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn names_are_the_models(acts in prop::collection::vec((0..ACCOUNTS, 0..NAMES.len(), act()), 1..80)) {
        let mut chain = with_contracts();
        let mut model = Model::default();
        for (by, name, act) in acts {
            // Mostly by the owner, and mostly on the first name: others are refused more often than not.
            let name = if matches!(act, Act::Register) { name } else { name / 2 * 2 };
            let before = chain.clone();
            let mut next = model.clone();
            let allowed = next.apply(by % 2, name, act);
            match chain.input_as(account(by % 2), ADDRESS, &call_of(name, act).abi_encode()) {
                Ok(_) => {
                    prop_assert!(allowed, "{by} {name} {act:?}");
                    model = next;
                }
                Err(Failure::Revert(_)) => {
                    prop_assert!(!allowed, "{by} {name} {act:?}");
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
        let mut chain = with_contracts();
        for input in inputs {
            let before = chain.clone();
            let outcome = chain.input(ADDRESS, &input);
            prop_assert!(outcome.is_ok() || chain == before);
        }
    }
}
