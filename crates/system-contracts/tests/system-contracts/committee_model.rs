//! 0x2004 under any sequence of calls: it never comes to a committee that cannot decide.

use crate::{
    chain::{Chain, OPERATOR},
    committee::{action, establish, member, proposal, propose, vote},
};
use alloy_primitives::{Address, U256};
use alloy_sol_types::{SolCall, SolInterface};
use lian_system_contracts::{
    Failure,
    committee::{ADDRESS, Thresholds},
    interfaces::{
        ICommittee::{self as C, Action, State},
        IMembers,
    },
    members,
};
use lian_types::ConsensusParameters;
use proptest::prelude::*;

/// Some of them are members.
const ACCOUNTS: u8 = 5;

fn account(number: u8) -> Address {
    Address::with_last_byte(number + 1)
}

#[derive(Clone, Debug)]
enum Change {
    SetMember { account: u8, weight: u32 },
    RemoveMember { account: u8 },
    SetThresholds { participation: u8, approval: u8 },
}

#[derive(Clone, Debug)]
enum Act {
    Propose { by: u8, changes: Vec<Change> },
    Vote { by: u8, back: u64, approves: bool },
    Revoke { by: u8, back: u64 },
    Cancel { by: u8, back: u64 },
    Settle { back: u64 },
    Wait { seconds: u64 },
}

fn change() -> impl Strategy<Value = Change> {
    let weight = prop_oneof![8 => 0..5_u32, 1 => Just(u32::MAX), 1 => Just(u32::MAX - 3)];
    prop_oneof![
        4 => (0..ACCOUNTS, weight).prop_map(|(account, weight)| Change::SetMember { account, weight }),
        4 => (0..ACCOUNTS).prop_map(|account| Change::RemoveMember { account }),
        1 => (0..=101_u8, 49..=101_u8)
            .prop_map(|(participation, approval)| Change::SetThresholds { participation, approval }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let by = || 0..ACCOUNTS;
    let back = || 0..4_u64;
    prop_oneof![
        4 => (by(), prop::collection::vec(change(), 1..3)).prop_map(|(by, changes)| Act::Propose { by, changes }),
        9 => (by(), back(), prop::bool::weighted(0.8)).prop_map(|(by, back, approves)| Act::Vote { by, back, approves }),
        1 => (by(), back()).prop_map(|(by, back)| Act::Revoke { by, back }),
        1 => (by(), back()).prop_map(|(by, back)| Act::Cancel { by, back }),
        2 => back().prop_map(|back| Act::Settle { back }),
        1 => (0..600_u64).prop_map(|seconds| Act::Wait { seconds }),
    ]
}

fn action_of(change: &Change) -> Action {
    match *change {
        Change::SetMember { account: number, weight } => {
            let institution = "bank".to_owned();
            action(ADDRESS, &C::setMemberCall { account: account(number), institution, weight })
        }
        Change::RemoveMember { account: number } => action(ADDRESS, &C::removeMemberCall { account: account(number) }),
        Change::SetThresholds { participation, approval } => {
            action(ADDRESS, &C::setThresholdsCall { participation, approval })
        }
    }
}

/// Does it, if it is allowed.
fn run(chain: &mut Chain, act: &Act) -> Result<(), Failure> {
    let newest = chain.call(ADDRESS, &C::countCall {})?;
    let id = |back: u64| newest.saturating_sub(U256::from(back));
    match act {
        Act::Propose { by, changes } => propose(chain, account(*by), changes.iter().map(action_of).collect()).map(drop),
        Act::Vote { by, back, approves } => vote(chain, account(*by), id(*back), *approves),
        Act::Revoke { by, back } => {
            chain.call_as(account(*by), ADDRESS, &C::revokeVoteCall { id: id(*back) }).map(drop)
        }
        Act::Cancel { by, back } => chain.call_as(account(*by), ADDRESS, &C::cancelCall { id: id(*back) }).map(drop),
        Act::Settle { back } => chain.call(ADDRESS, &C::settleCall { id: id(*back) }).map(drop),
        Act::Wait { seconds } => {
            chain.time += seconds;
            Ok(())
        }
    }
}

/// All members together decide what they like.
fn can_decide(chain: &Chain) {
    let mut chain = chain.clone();
    let listed = chain.call(ADDRESS, &C::membersCall {}).unwrap();
    let name = "new".to_owned();
    let [first, others @ ..] = listed.as_slice() else { panic!("no members") };
    let id = propose(&mut chain, first.account, vec![action(members::ADDRESS, &IMembers::addInstitutionCall { name })])
        .unwrap();
    for other in others {
        if matches!(proposal(&mut chain, id).state, State::Active) {
            vote(&mut chain, other.account, id, true).unwrap();
        }
    }
    assert_eq!(proposal(&mut chain, id).state as u8, State::Executed as u8);
}

fn check(chain: &mut Chain) {
    check_members(chain);
    can_decide(chain);
}

/// Somebody votes, and weights and thresholds are in their ranges.
fn check_members(chain: &mut Chain) {
    let listed = chain.call(ADDRESS, &C::membersCall {}).unwrap();
    let accounts: Vec<_> = listed.iter().map(|member| member.account).collect();
    assert!(accounts.iter().enumerate().all(|(index, account)| !accounts[..index].contains(account)));
    assert!(listed.iter().all(|member| member.weight > 0 && member.institution == "bank"));
    let total: u64 = listed.iter().map(|member| u64::from(member.weight)).sum();
    assert!(total > 0 && total <= u64::from(u32::MAX));
    let C::thresholdsReturn { participation, approval } = chain.call(ADDRESS, &C::thresholdsCall {}).unwrap();
    assert!(Thresholds { participation, approval }.are_valid());
}

/// A selector with words behind it that make sense now and then, a proposal of such a call, or anything.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let selector = prop::sample::select(C::ICommitteeCalls::selectors().collect::<Vec<_>>());
    let word = prop_oneof![
        4 => (0..160_u64).prop_map(|number| U256::from(number).to_be_bytes::<32>()),
        1 => prop::array::uniform32(any::<u8>()),
    ];
    let words = prop::collection::vec(word, 0..12);
    let call = (selector, words).prop_map(|(selector, words)| [selector.as_slice(), &words.concat()].concat());
    let data = prop::collection::vec(any::<u8>(), 0..200);
    let target = prop::sample::select(vec![ADDRESS, members::ADDRESS, lian_system_contracts::assets::ADDRESS]);
    let proposal = (target, call.clone()).prop_map(|(target, data)| {
        let actions = vec![Action { target, data: data.into() }];
        C::proposeCall { actions, deadline: 1_700_000_500, reason: String::new() }.abi_encode()
    });
    prop_oneof![4 => call, 2 => proposal, 1 => data]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_committee_can_always_decide(count in 1..=3_u8, acts in prop::collection::vec(act(), 1..60)) {
        let mut chain = Chain::new(4, ConsensusParameters::default());
        establish(&mut chain, (0..count).map(|number| member(account(number), 1)).collect(), 60, 67).unwrap();
        for act in acts {
            let before = chain.clone();
            match run(&mut chain, &act) {
                Ok(()) => check(&mut chain),
                Err(Failure::Revert(_)) => prop_assert_eq!(&chain, &before),
                Err(Failure::Halt(halt)) => panic!("{halt}"),
            }
        }
    }

    /// Whatever they are, the call is done or refused, and a refused one changes nothing; actions with any data as well.
    #[test]
    fn any_input_is_done_or_refused(inputs in prop::collection::vec(input(), 1..12)) {
        let mut chain = Chain::new(4, ConsensusParameters::default());
        establish(&mut chain, vec![member(OPERATOR, 2), member(account(1), 3)], 60, 67).unwrap();
        for input in inputs {
            let before = chain.clone();
            let outcome = chain.input(ADDRESS, &input);
            prop_assert!(outcome.is_ok() || chain == before);
        }
        check_members(&mut chain);
    }
}
