//! 0x2004.

use crate::chain::{Chain, OPERATOR, STRANGER, reverted};
use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, SolError, SolEvent};
use lian_system_contracts::{
    Failure, Halt,
    committee::{ADDRESS, DEADLINE_SECONDS_MAX, Thresholds, Verdict},
    configuration,
    interfaces::{
        ICommittee::{self as C, Action, Member, State, Tally},
        IConfiguration, IMembers,
    },
    members,
};
use lian_types::{CommitteeGenesis, CommitteeMember, ConsensusParameters, limits::REASON_BYTES_MAX};
use proptest::prelude::*;

pub(crate) const ANN: Address = Address::repeat_byte(0xa1);
pub(crate) const BEN: Address = Address::repeat_byte(0xb2);
pub(crate) const CAT: Address = Address::repeat_byte(0xc3);

pub(crate) fn member(account: Address, weight: u32) -> Member {
    Member { account, institution: "bank".to_owned(), weight }
}

/// A committee of three, with weights 3, 2 and 1; at least half of it must vote, and 60 per cent approve.
fn chain() -> Chain {
    let mut chain = Chain::new(4, ConsensusParameters::default());
    establish(&mut chain, vec![member(ANN, 3), member(BEN, 2), member(CAT, 1)], 50, 60).unwrap();
    chain
}

pub(crate) fn establish(
    chain: &mut Chain,
    members: Vec<Member>,
    participation: u8,
    approval: u8,
) -> Result<(), Failure> {
    let reason = "minutes 1".to_owned();
    chain.call(ADDRESS, &C::establishCall { members, participation, approval, reason }).map(drop)
}

pub(crate) fn action(target: Address, call: &impl SolCall) -> Action {
    Action { target, data: call.abi_encode().into() }
}

fn set(name: &str, value: u64) -> Action {
    action(configuration::ADDRESS, &IConfiguration::setCall { name: name.to_owned(), value: U256::from(value) })
}

fn add_institution(name: &str) -> Action {
    action(members::ADDRESS, &IMembers::addInstitutionCall { name: name.to_owned() })
}

pub(crate) fn propose(chain: &mut Chain, caller: Address, actions: Vec<Action>) -> Result<U256, Failure> {
    let deadline = chain.time + 1_000;
    chain.call_as(caller, ADDRESS, &C::proposeCall { actions, deadline, reason: "minutes 2".to_owned() })
}

pub(crate) fn vote(chain: &mut Chain, caller: Address, id: U256, approves: bool) -> Result<(), Failure> {
    chain.call_as(caller, ADDRESS, &C::voteCall { id, approves, reason: "seen".to_owned() }).map(drop)
}

pub(crate) fn proposal(chain: &mut Chain, id: U256) -> C::Proposal {
    chain.call(ADDRESS, &C::proposalCall { id }).unwrap()
}

fn state(chain: &mut Chain, id: U256) -> u8 {
    proposal(chain, id).state as u8
}

fn institutions(chain: &mut Chain) -> Vec<String> {
    chain.call(members::ADDRESS, &IMembers::institutionsCall {}).unwrap()
}

fn weights(tally: &Tally) -> [u64; 3] {
    [tally.approving, tally.rejecting, tally.total]
}

/// What the last event of a kind says.
fn last<E: SolEvent>(chain: &Chain) -> E {
    chain.logs.iter().rev().find_map(|log| E::decode_log_data(log).ok()).unwrap()
}

#[test]
fn operators_hand_over_once_and_have_no_rights_afterwards() {
    let mut chain = Chain::new(4, ConsensusParameters::default());
    let own = IConfiguration::setCall { name: "block_transactions_max".to_owned(), value: U256::from(5) };
    chain.call(configuration::ADDRESS, &own).unwrap();
    let first = || vec![member(ANN, 1)];
    let call = C::establishCall { members: first(), participation: 1, approval: 51, reason: String::new() };
    let refused = chain.call_as(STRANGER, ADDRESS, &call);
    assert_eq!(reverted::<C::NotAuthorized>(refused).caller, STRANGER);
    assert!(chain.call(ADDRESS, &C::membersCall {}).unwrap().is_empty());

    establish(&mut chain, first(), 1, 51).unwrap();
    let event: C::Established = last(&chain);
    assert_eq!((event.operator, event.reason.as_str()), (OPERATOR, "minutes 1"));
    let listed = chain.call(ADDRESS, &C::membersCall {}).unwrap();
    assert_eq!((listed.len(), listed[0].account, listed[0].weight), (1, ANN, 1));
    assert_eq!(listed[0].institution, "bank");
    let found = chain.call(ADDRESS, &C::thresholdsCall {}).unwrap();
    assert_eq!((found.participation, found.approval), (1, 51));

    reverted::<C::AlreadyEstablished>(establish(&mut chain, first(), 1, 51));
    assert_eq!(reverted::<IConfiguration::NotAuthorized>(chain.call(configuration::ADDRESS, &own)).caller, OPERATOR);
    let institution = IMembers::addInstitutionCall { name: "other".to_owned() };
    assert_eq!(reverted::<IMembers::NotAuthorized>(chain.call(members::ADDRESS, &institution)).caller, OPERATOR);
    let is_operator = |chain: &mut Chain, account| {
        chain.call(configuration::ADDRESS, &IConfiguration::isOperatorCall { account }).unwrap()
    };
    assert!(!is_operator(&mut chain, OPERATOR) && !is_operator(&mut chain, ANN) && is_operator(&mut chain, ADDRESS));
}

/// A chain whose protocol is older has no committee, whatever stands in its storage, and reads none.
#[test]
fn an_older_protocol_asks_no_committee() {
    let mut chain = chain();
    chain.protocol = 1;
    let own = IConfiguration::setCall { name: "block_transactions_max".to_owned(), value: U256::from(5) };
    chain.call(configuration::ADDRESS, &own).unwrap();
    assert_eq!(
        reverted::<C::InvalidTarget>(propose(&mut chain, ANN, vec![Action { target: ADDRESS, data: Bytes::new() }]))
            .target,
        ADDRESS
    );
}

#[test]
fn a_genesis_may_begin_with_a_committee() {
    let seat = |account, weight| CommitteeMember { account, institution: "bank".to_owned(), weight };
    let committee = CommitteeGenesis { participation: 50, approval: 60, members: vec![seat(ANN, 3), seat(BEN, 2)] };
    let mut begun = Chain::begun(4, ConsensusParameters::default(), Some(committee));
    let mut made = Chain::new(4, ConsensusParameters::default());
    establish(&mut made, vec![member(ANN, 3), member(BEN, 2)], 50, 60).unwrap();
    made.logs.clear();
    assert_eq!(begun.slots_of(ADDRESS), made.slots_of(ADDRESS));
    let id = propose(&mut begun, ANN, vec![add_institution("new")]).unwrap();
    assert_eq!(state(&mut begun, id), State::Executed as u8);
}

#[test]
fn first_members_and_thresholds_are_checked() {
    let mut chain = Chain::new(4, ConsensusParameters::default());
    let before = chain.clone();
    let mut refused = |members, participation, approval| establish(&mut chain, members, participation, approval);
    reverted::<C::LastMember>(refused(vec![], 50, 60));
    let error: C::DuplicateMember = reverted(refused(vec![member(ANN, 1), member(ANN, 2)], 50, 60));
    assert_eq!(error.account, ANN);
    let error: C::InvalidWeight = reverted(refused(vec![member(ANN, 0)], 50, 60));
    assert_eq!((error.account, error.weight), (ANN, 0));
    let error: C::InvalidWeight = reverted(refused(vec![member(ANN, u32::MAX), member(BEN, 1)], 50, 60));
    assert_eq!((error.account, error.weight), (BEN, 1));
    for account in [Address::ZERO, ADDRESS] {
        assert_eq!(reverted::<C::InvalidMember>(refused(vec![member(account, 1)], 50, 60)).account, account);
    }
    let unknown = Member { institution: "nobody".to_owned(), ..member(ANN, 1) };
    assert_eq!(reverted::<C::UnknownInstitution>(refused(vec![unknown], 50, 60)).name, "nobody");
    for (participation, approval) in [(0, 60), (101, 60), (50, 50), (50, 101)] {
        let error: C::InvalidThresholds = reverted(refused(vec![member(ANN, 1)], participation, approval));
        assert_eq!((error.participation, error.approval), (participation, approval));
    }
    let many = (1..=65).map(|number| member(Address::with_last_byte(number), 1)).collect();
    let error: C::TooMany = reverted(refused(many, 50, 60));
    assert_eq!((error.count, error.limit), (U256::from(65), U256::from(64)));
    assert_eq!(chain, before);
}

#[test]
fn the_vote_that_decides_executes() {
    let mut chain = chain();
    let id = propose(&mut chain, CAT, vec![set("block_transactions_max", 77), add_institution("new")]).unwrap();
    let created: C::ProposalCreated = last(&chain);
    assert_eq!((created.id, created.proposer, created.reason.as_str()), (id, CAT, "minutes 2"));
    assert_eq!(created.actions.len(), 2);
    assert_eq!(weights(&proposal(&mut chain, id).tally), [1, 0, 6]);
    assert_eq!(institutions(&mut chain), ["bank"]);
    vote(&mut chain, ANN, id, true).unwrap();
    let cast: C::VoteCast = last(&chain);
    assert_eq!((cast.account, cast.approves, cast.weight, cast.reason.as_str()), (ANN, true, 3, "seen"));
    assert_eq!(weights(&cast.tally), [4, 0, 6]);
    assert_eq!(weights(&last::<C::ProposalExecuted>(&chain).tally), [4, 0, 6]);
    assert_eq!(last::<IConfiguration::ParameterSet>(&chain).value, U256::from(77));
    assert_eq!(institutions(&mut chain), ["bank", "new"]);
    let found = proposal(&mut chain, id);
    assert_eq!((found.state as u8, weights(&found.tally)), (State::Executed as u8, [4, 0, 6]));
    let error: C::NotActive = reverted(vote(&mut chain, BEN, id, false));
    assert_eq!((error.id, error.state as u8), (id, State::Executed as u8));
}

#[test]
fn a_vote_that_nobody_can_outweigh_defeats() {
    let mut chain = chain();
    let id = propose(&mut chain, CAT, vec![add_institution("new")]).unwrap();
    vote(&mut chain, ANN, id, false).unwrap();
    assert_eq!(weights(&last::<C::ProposalDefeated>(&chain).tally), [1, 3, 6]);
    assert_eq!(state(&mut chain, id), State::Defeated as u8);
    assert_eq!(institutions(&mut chain), ["bank"]);
}

#[test]
fn the_deadline_decides_by_what_was_cast() {
    let mut chain = chain();
    // 3 of 6 have voted, all of which approves.
    let accepted = propose(&mut chain, ANN, vec![add_institution("new")]).unwrap();
    // 2 of 6 are less than half.
    let defeated = propose(&mut chain, BEN, vec![add_institution("other")]).unwrap();
    let error: C::VotingOpen = reverted(chain.call_as(STRANGER, ADDRESS, &C::settleCall { id: accepted }));
    assert_eq!((error.id, error.deadline), (accepted, chain.time + 1_000));
    chain.time += 1_000;
    let error: C::VotingOver = reverted(vote(&mut chain, BEN, accepted, false));
    assert_eq!(error.deadline, chain.time);
    reverted::<C::VotingOver>(chain.call_as(ANN, ADDRESS, &C::revokeVoteCall { id: accepted }));
    for id in [accepted, defeated] {
        chain.call_as(STRANGER, ADDRESS, &C::settleCall { id }).unwrap();
    }
    assert_eq!(state(&mut chain, accepted), State::Executed as u8);
    assert_eq!(state(&mut chain, defeated), State::Defeated as u8);
    assert_eq!(institutions(&mut chain), ["bank", "new"]);
    reverted::<C::NotActive>(chain.call(ADDRESS, &C::settleCall { id: defeated }));
}

#[test]
fn votes_can_be_changed_and_taken_back() {
    let mut chain = chain();
    let id = propose(&mut chain, BEN, vec![add_institution("new")]).unwrap();
    vote(&mut chain, BEN, id, false).unwrap();
    assert_eq!(weights(&proposal(&mut chain, id).tally), [0, 2, 6]);
    vote(&mut chain, BEN, id, true).unwrap();
    vote(&mut chain, CAT, id, false).unwrap();
    let votes = chain.call(ADDRESS, &C::votesCall { id }).unwrap();
    let votes: Vec<_> = votes.iter().map(|vote| (vote.account, vote.approves)).collect();
    assert_eq!(votes, [(BEN, true), (CAT, false)]);
    chain.call_as(CAT, ADDRESS, &C::revokeVoteCall { id }).unwrap();
    assert_eq!(weights(&last::<C::VoteRevoked>(&chain).tally), [2, 0, 6]);
    let error: C::NoVote = reverted(chain.call_as(CAT, ADDRESS, &C::revokeVoteCall { id }));
    assert_eq!((error.id, error.account), (id, CAT));
    let error: C::NotProposer = reverted(chain.call_as(CAT, ADDRESS, &C::cancelCall { id }));
    assert_eq!(error.caller, CAT);
    chain.call_as(BEN, ADDRESS, &C::cancelCall { id }).unwrap();
    assert_eq!(state(&mut chain, id), State::Canceled as u8);
    reverted::<C::NotActive>(vote(&mut chain, ANN, id, true));
}

#[test]
fn votes_count_as_the_committee_is_when_they_are_counted() {
    let mut chain = chain();
    let open = propose(&mut chain, CAT, vec![add_institution("new")]).unwrap();
    let set_member = C::setMemberCall { account: CAT, institution: "bank".to_owned(), weight: 9 };
    let remove = C::removeMemberCall { account: BEN };
    let change = propose(&mut chain, ANN, vec![action(ADDRESS, &set_member), action(ADDRESS, &remove)]).unwrap();
    vote(&mut chain, BEN, change, true).unwrap();
    assert_eq!(state(&mut chain, change), State::Executed as u8);
    let listed = chain.call(ADDRESS, &C::membersCall {}).unwrap();
    assert_eq!(listed.iter().map(|member| (member.account, member.weight)).collect::<Vec<_>>(), [(ANN, 3), (CAT, 9)]);
    assert_eq!(weights(&proposal(&mut chain, open).tally), [9, 0, 12]);
    assert_eq!(reverted::<C::NotMember>(vote(&mut chain, BEN, open, true)).caller, BEN);
    // What CAT said counts with its new weight as soon as anybody votes.
    vote(&mut chain, ANN, open, false).unwrap();
    assert_eq!(weights(&proposal(&mut chain, open).tally), [9, 3, 12]);
    assert_eq!(state(&mut chain, open), State::Executed as u8);
}

#[test]
fn all_actions_are_done_or_none() {
    let mut chain = chain();
    let late = propose(&mut chain, BEN, vec![set("block_transactions_max", 77), add_institution("new")]).unwrap();
    let early = propose(&mut chain, BEN, vec![add_institution("new")]).unwrap();
    vote(&mut chain, ANN, early, true).unwrap();
    let before = chain.slots_of(configuration::ADDRESS);
    vote(&mut chain, ANN, late, true).unwrap();
    assert_eq!(state(&mut chain, late), State::Failed as u8);
    let failed: C::ProposalFailed = last(&chain);
    assert_eq!((failed.id, failed.action, weights(&failed.tally)), (late, U256::from(1), [5, 0, 6]));
    assert_eq!(IMembers::InstitutionExists::abi_decode(&failed.revertData).unwrap().name, "new");
    assert_eq!(chain.slots_of(configuration::ADDRESS), before);
    assert!(chain.logs.iter().all(|log| IConfiguration::ParameterSet::decode_log_data(log).is_err()));
}

#[test]
fn what_is_not_possible_now_is_not_proposed() {
    let mut chain = chain();
    let before = chain.clone();
    let error: C::ActionFailed =
        reverted(propose(&mut chain, ANN, vec![add_institution("new"), set("view_timeout_ms", 49)]));
    assert_eq!(error.action, U256::from(1));
    let range = IConfiguration::OutOfRange::abi_decode(&error.revertData).unwrap();
    assert_eq!((range.name.as_str(), range.least, range.most), ("view_timeout_ms", U256::from(50), U256::from(5_000)));
    let remove_all = [ANN, BEN, CAT].map(|account| action(ADDRESS, &C::removeMemberCall { account }));
    let error: C::ActionFailed = reverted(propose(&mut chain, ANN, remove_all.to_vec()));
    assert_eq!(C::LastMember::abi_decode(&error.revertData).unwrap().account, CAT);
    let nested = C::proposeCall { actions: vec![], deadline: 0, reason: String::new() };
    let error: C::ActionFailed = reverted(propose(&mut chain, ANN, vec![action(ADDRESS, &nested)]));
    assert_eq!(C::NotMember::abi_decode(&error.revertData).unwrap().caller, ADDRESS);
    let target = Address::repeat_byte(9);
    let error: C::InvalidTarget = reverted(propose(&mut chain, ANN, vec![Action { target, data: Bytes::new() }]));
    assert_eq!((error.action, error.target), (U256::ZERO, target));
    reverted::<C::NoActions>(propose(&mut chain, ANN, vec![]));
    let many = vec![add_institution("new"); 17];
    assert_eq!(reverted::<C::TooMany>(propose(&mut chain, ANN, many)).count, U256::from(17));
    let large = add_institution(&"n".repeat(12 * 1024));
    assert!(reverted::<C::ActionsTooLong>(propose(&mut chain, ANN, vec![large])).length > U256::from(12 * 1024));
    assert_eq!(reverted::<C::NotMember>(propose(&mut chain, OPERATOR, vec![add_institution("new")])).caller, OPERATOR);
    let (now, most) = (chain.time, chain.time + DEADLINE_SECONDS_MAX);
    for deadline in [now, most + 1] {
        let call = C::proposeCall { actions: vec![add_institution("new")], deadline, reason: String::new() };
        let error: C::InvalidDeadline = reverted(chain.call_as(ANN, ADDRESS, &call));
        assert_eq!((error.deadline, error.least, error.most), (deadline, now + 1, most));
    }
    let reason = "r".repeat(REASON_BYTES_MAX + 1);
    let call = C::proposeCall { actions: vec![add_institution("new")], deadline: most, reason };
    assert_eq!(reverted::<C::ReasonTooLong>(chain.call_as(ANN, ADDRESS, &call)).length, U256::from(257));
    let unknown = C::proposalCall { id: U256::from(1) };
    assert_eq!(reverted::<C::UnknownProposal>(chain.call(ADDRESS, &unknown)).id, U256::from(1));
    assert_eq!(chain, before, "what is refused changes nothing");
}

/// Only a proposal changes the committee.
#[test]
fn members_alone_change_nothing() {
    let mut chain = chain();
    let before = chain.clone();
    for caller in [ANN, OPERATOR, STRANGER, configuration::ADDRESS] {
        let set = C::setMemberCall { account: STRANGER, institution: "bank".to_owned(), weight: 1 };
        assert_eq!(reverted::<C::NotAuthorized>(chain.call_as(caller, ADDRESS, &set)).caller, caller);
        let remove = C::removeMemberCall { account: BEN };
        assert_eq!(reverted::<C::NotAuthorized>(chain.call_as(caller, ADDRESS, &remove)).caller, caller);
        let thresholds = C::setThresholdsCall { participation: 1, approval: 51 };
        assert_eq!(reverted::<C::NotAuthorized>(chain.call_as(caller, ADDRESS, &thresholds)).caller, caller);
    }
    assert_eq!(chain, before);
}

#[test]
fn one_member_decides_alone_at_once() {
    let mut chain = Chain::new(4, ConsensusParameters::default());
    establish(&mut chain, vec![member(ANN, 1)], 100, 100).unwrap();
    let before = chain.clone();
    let error: C::ActionFailed =
        reverted(propose(&mut chain, ANN, vec![add_institution("new"), add_institution("new")]));
    assert_eq!(error.action, U256::from(1));
    assert_eq!(chain, before);
    let id = propose(&mut chain, ANN, vec![add_institution("new")]).unwrap();
    assert_eq!((state(&mut chain, id), institutions(&mut chain).len()), (State::Executed as u8, 2));
    // Another proposal that would be possible once more.
    let listed = chain.call(ADDRESS, &C::proposalsCall { from: U256::MAX, limit: U256::from(9) }).unwrap();
    assert_eq!(listed.iter().map(|one| one.id).collect::<Vec<_>>(), [id]);
    assert_eq!(chain.call(ADDRESS, &C::countCall {}).unwrap(), id);
}

#[test]
fn without_gas_or_in_a_static_call_nothing_happens() {
    let mut chain = chain();
    let id = propose(&mut chain, CAT, vec![add_institution("new")]).unwrap();
    let before = chain.clone();
    // From too little for the vote up to too little for its last event: what halts within the actions halts the vote.
    let mut outcomes = [0; 2];
    for gas in (1_000..200_000).step_by(500) {
        let mut tried = before.clone();
        tried.gas = gas;
        match vote(&mut tried, ANN, id, true) {
            Ok(()) => {
                tried.gas = before.gas;
                assert_eq!(state(&mut tried, id), State::Executed as u8);
                outcomes[0] += 1;
            }
            Err(error) => {
                assert_eq!(error, Failure::Halt(Halt::OutOfGas));
                tried.gas = before.gas;
                assert_eq!(tried, before);
                outcomes[1] += 1;
            }
        }
    }
    assert!(outcomes.iter().all(|count| *count > 20), "{outcomes:?}");
    let call = C::settleCall { id };
    chain.time += 1_000;
    assert_eq!(chain.static_call(ADDRESS, &call), Err(Failure::Halt(Halt::Static)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// What is decided early is what any further votes would have led to.
    #[test]
    fn early_decisions_hold(
        weights in prop::collection::vec(1..6_u64, 1..5),
        participation in 1..=100_u8,
        approval in 51..=100_u8,
    ) {
        let thresholds = Thresholds { participation, approval };
        prop_assert!(thresholds.are_valid());
        let total: u64 = weights.iter().sum();
        // Each member has not voted, approves or rejects.
        let mut all: Vec<Vec<Option<bool>>> = vec![vec![]];
        for _ in &weights {
            let longer = |votes: &Vec<_>| [None, Some(true), Some(false)].map(|vote| [votes.as_slice(), &[vote]].concat());
            all = all.iter().flat_map(longer).collect();
        }
        let count = |votes: &[Option<bool>], approves| {
            let cast = votes.iter().zip(&weights).filter(|(vote, _)| **vote == Some(approves));
            cast.map(|(_, weight)| weight).sum()
        };
        let tally = |votes: &[_]| Tally { approving: count(votes, true), rejecting: count(votes, false), total };
        let goes_on = |first: &[Option<bool>], second: &[Option<bool>]| {
            first.iter().zip(second).all(|(first, second)| first.is_none() || first == second)
        };
        for first in &all {
            let early = thresholds.decide(&tally(first), false);
            prop_assert!(first.contains(&None) || early != Verdict::Undecided);
            if early == Verdict::Undecided {
                continue;
            }
            for second in all.iter().filter(|second| goes_on(first, second)) {
                prop_assert_eq!(thresholds.decide(&tally(second), true), early);
                prop_assert_eq!(thresholds.decide(&tally(second), false), early);
            }
        }
        let unanimous = Tally { approving: total, rejecting: 0, total };
        prop_assert_eq!(thresholds.decide(&unanimous, false), Verdict::Accepted);
        // Of two that contradict each other, the votes of one accept only one.
        for votes in &all {
            let Tally { approving, rejecting, .. } = tally(votes);
            let against = Tally { approving: rejecting, rejecting: approving, total };
            let both = [tally(votes), against].map(|tally| thresholds.decide(&tally, true) == Verdict::Accepted);
            prop_assert!(both != [true; 2]);
        }
    }
}
