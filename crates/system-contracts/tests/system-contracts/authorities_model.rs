//! 0x2008 under any sequence of calls, beside a simple model of it.

use crate::{
    authorities::{add, chain, distrust, listed, remove, revoke, revoke_keys, revoked, trust, unrevoke, version_of},
    chain::{Chain, OPERATOR},
};
use alloy_primitives::{B256, U256};
use alloy_sol_types::SolInterface;
use lian_system_contracts::{
    Failure,
    authorities::{ADDRESS, AuthoritySet, fingerprint, revocation_id},
    interfaces::IAuthorities as A,
};
use lian_types::Revoked;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const INSTITUTIONS: [&str; 3] = ["", "bank", "other"];
const NUMBERS: u8 = 6;

#[derive(Clone, Debug)]
enum Act {
    Add { number: u8, institution: usize, is_root: bool },
    Remove { number: u8 },
    Distrust { number: u8 },
    Trust { number: u8 },
    Revoke { institution: usize, serials: Vec<u8> },
    RevokeKeys { institution: usize, keys: Vec<u8> },
    Unrevoke { institution: usize, number: u8, is_key: bool },
}

fn act() -> impl Strategy<Value = Act> {
    let number = || 1..=NUMBERS;
    let institution = || 0..INSTITUTIONS.len();
    let numbers = || prop::collection::vec(1..=NUMBERS, 0..4);
    prop_oneof![
        4 => (number(), institution(), any::<bool>())
            .prop_map(|(number, institution, is_root)| Act::Add { number, institution, is_root }),
        2 => number().prop_map(|number| Act::Remove { number }),
        2 => number().prop_map(|number| Act::Distrust { number }),
        1 => number().prop_map(|number| Act::Trust { number }),
        2 => (institution(), numbers()).prop_map(|(institution, serials)| Act::Revoke { institution, serials }),
        2 => (institution(), numbers()).prop_map(|(institution, keys)| Act::RevokeKeys { institution, keys }),
        2 => (institution(), number(), any::<bool>())
            .prop_map(|(institution, number, is_key)| Act::Unrevoke { institution, number, is_key }),
    ]
}

/// What the contract should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    authorities: BTreeMap<B256, (usize, bool)>,
    distrusted: BTreeSet<B256>,
    revoked: BTreeSet<B256>,
}

impl Model {
    /// The sealers are the bank's.
    fn vouched(&self) -> bool {
        let genesis_stands = self.distrusted.iter().all(|one| self.authorities.contains_key(one));
        let vouches = |(one, (institution, is_root)): (&B256, &(usize, bool))| {
            *is_root && *institution < 2 && !self.distrusted.contains(one)
        };
        genesis_stands || self.authorities.iter().any(vouches)
    }

    /// What comes of a call; nothing where it is to be refused.
    fn after(&self, act: &Act) -> Option<Self> {
        let mut next = self.clone();
        let fits = match act {
            Act::Add { number, institution, is_root } => {
                let new = fingerprint(&[*number]);
                let known = next.authorities.insert(new, (*institution, *is_root)).is_some();
                !known && !self.distrusted.contains(&new)
            }
            Act::Remove { number } => next.authorities.remove(&fingerprint(&[*number])).is_some() && next.vouched(),
            Act::Distrust { number } => next.distrusted.insert(fingerprint(&[*number])) && next.vouched(),
            Act::Trust { number } => next.distrusted.remove(&fingerprint(&[*number])),
            Act::Revoke { institution, serials } => {
                next.revoked.extend(serials.iter().map(|number| id(*institution, *number, false)));
                !serials.is_empty()
            }
            Act::RevokeKeys { institution, keys } => {
                next.revoked.extend(keys.iter().map(|number| id(*institution, *number, true)));
                !keys.is_empty()
            }
            Act::Unrevoke { institution, number, is_key } => next.revoked.remove(&id(*institution, *number, *is_key)),
        };
        fits.then_some(next)
    }
}

fn id(institution: usize, number: u8, is_key: bool) -> B256 {
    let hash = B256::repeat_byte(number);
    let revoked = if is_key { Revoked::Key(hash) } else { Revoked::Certificate { issuer: hash, serial: vec![number] } };
    let name = INSTITUTIONS[institution];
    revocation_id((!name.is_empty()).then_some(name), &revoked)
}

fn run(chain: &mut Chain, act: &Act) -> Result<(), Failure> {
    match act {
        Act::Add { number, institution, is_root } => {
            add(chain, &[*number], INSTITUTIONS[*institution], *is_root).map(drop)
        }
        Act::Remove { number } => remove(chain, fingerprint(&[*number])),
        Act::Distrust { number } => distrust(chain, fingerprint(&[*number])),
        Act::Trust { number } => trust(chain, fingerprint(&[*number])),
        Act::Revoke { institution, serials } => {
            // One call has one issuer, so that several make several; all or none as in one.
            let before = chain.clone();
            let name = INSTITUTIONS[*institution];
            let mut all =
                if serials.is_empty() { revoke(chain, OPERATOR, name, B256::repeat_byte(1), &[]) } else { Ok(()) };
            for number in serials {
                all = all.and_then(|()| revoke(chain, OPERATOR, name, B256::repeat_byte(*number), &[&[*number]]));
            }
            all.inspect_err(|_| *chain = before)
        }
        Act::RevokeKeys { institution, keys } => {
            let keys = keys.iter().map(|number| B256::repeat_byte(*number)).collect();
            revoke_keys(chain, OPERATOR, INSTITUTIONS[*institution], keys)
        }
        Act::Unrevoke { institution, number, is_key } => unrevoke(chain, id(*institution, *number, *is_key)),
    }
}

fn check(chain: &mut Chain, model: &Model) {
    let position = |name: &str| INSTITUTIONS.iter().position(|other| *other == name).unwrap();
    let found: BTreeMap<_, _> =
        listed(chain).iter().map(|one| (one.fingerprint, (position(&one.institution), one.isRoot))).collect();
    assert_eq!(found, model.authorities);
    let found: Vec<_> = chain.call(ADDRESS, &A::distrustedCall {}).unwrap();
    assert_eq!(found.len(), model.distrusted.len());
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), model.distrusted);
    let found = revoked(chain);
    assert_eq!(found.len(), model.revoked.len());
    assert_eq!(found.iter().map(|one| one.id).collect::<BTreeSet<_>>(), model.revoked);
    for one in found {
        assert!(chain.call(ADDRESS, &A::isRevokedCall { id: one.id }).unwrap());
    }
}

/// A selector with words behind it that make sense now and then, or anything.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let selector = prop::sample::select(A::IAuthoritiesCalls::selectors().collect::<Vec<_>>());
    let word = prop_oneof![
        4 => (0..160_u64).prop_map(|number| U256::from(number).to_be_bytes::<32>()),
        1 => prop::array::uniform32(any::<u8>()),
    ];
    let words = prop::collection::vec(word, 0..12);
    let call = (selector, words).prop_map(|(selector, words)| [selector.as_slice(), &words.concat()].concat());
    prop_oneof![5 => call, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_contract_holds_what_the_model_holds(acts in prop::collection::vec(act(), 1..50)) {
        let (mut chain, mut model) = (chain(), Model::default());
        let mut read = AuthoritySet::default();
        for act in acts {
            let before = chain.clone();
            let next = model.after(&act);
            match run(&mut chain, &act) {
                Ok(()) => {
                    let next = next.expect("it should be refused");
                    let changed = next != model;
                    prop_assert_eq!(version_of(&mut chain) > version_of(&mut before.clone()), changed);
                    model = next;
                    check(&mut chain, &model);
                }
                Err(Failure::Revert(_)) => {
                    prop_assert!(next.is_none(), "{act:?} should be done");
                    prop_assert_eq!(&chain, &before);
                }
                Err(Failure::Halt(halt)) => panic!("{halt}"),
            }
            // A node that reads along knows what one knows that reads everything.
            read = AuthoritySet::read(&mut chain.reader(), read).unwrap();
            prop_assert_eq!(&read, &AuthoritySet::read(&mut chain.reader(), AuthoritySet::default()).unwrap());
        }
        // Nothing is left behind of what was taken back.
        let clean = model.authorities.is_empty() && model.distrusted.is_empty() && model.revoked.is_empty();
        prop_assert!(!clean || chain.slots_of(ADDRESS).keys().all(|slot| *slot == U256::ZERO || *slot == U256::from(7)));
    }

    /// Whatever it is, the call is done or refused, and a refused one changes nothing.
    #[test]
    fn any_input_is_done_or_refused(inputs in prop::collection::vec(input(), 1..12)) {
        let mut chain = chain();
        add(&mut chain, b"root", "bank", true).unwrap();
        for input in inputs {
            let before = chain.clone();
            let outcome = chain.input(ADDRESS, &input);
            prop_assert!(outcome.is_ok() || chain == before);
        }
    }
}
