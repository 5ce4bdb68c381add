//! The committee as transactions meet it: what one system contract does in another.

use crate::support::{ALICE, BOB, Chain};
use crate::system::{chain, chain_of, make_sealer};
use alloy_primitives::{Address, U256};
use alloy_sol_types::{SolCall, SolError, SolEvent};
use lian_executor::schedule;
use lian_system_contracts::interfaces::ICommittee::{self as C, Action, Member};
use lian_system_contracts::interfaces::{IConfiguration, IMembers as M};
use lian_system_contracts::{committee, configuration, members};
use lian_types::{COMMITTEE_PROTOCOL, Receipt};

fn member(account: Address) -> Member {
    Member { account, institution: "bank".into(), weight: 1 }
}

/// Alice, the operator, hands over to Alice and Bob, who must agree.
fn established() -> Chain {
    let mut chain = chain();
    let members = vec![member(ALICE), member(BOB)];
    let call = C::establishCall { members, participation: 50, approval: 51, reason: String::new() };
    assert!(chain.send(ALICE, Some(committee::ADDRESS), call.abi_encode()).success);
    chain
}

fn propose(chain: &mut Chain, actions: Vec<Action>) -> Receipt {
    let call = C::proposeCall { actions, deadline: 1_710_000_000, reason: String::new() };
    chain.send(ALICE, Some(committee::ADDRESS), call.abi_encode())
}

fn vote(chain: &mut Chain, caller: Address, id: u64) -> Receipt {
    let call = C::voteCall { id: U256::from(id), approves: true, reason: String::new() };
    chain.send(caller, Some(committee::ADDRESS), call.abi_encode())
}

fn set(value: u64) -> Action {
    let call = IConfiguration::setCall { name: "block_transactions_max".into(), value: U256::from(value) };
    Action { target: configuration::ADDRESS, data: call.abi_encode().into() }
}

fn in_members(data: Vec<u8>) -> Action {
    Action { target: members::ADDRESS, data: data.into() }
}

fn events(receipt: &Receipt) -> Vec<(Address, alloy_primitives::B256)> {
    receipt.logs.iter().map(|log| (log.address, log.topics()[0])).collect()
}

#[test]
fn the_vote_that_decides_changes_other_contracts() {
    let mut chain = established();
    assert!(!chain.send(ALICE, Some(members::ADDRESS), make_sealer()).success, "operators have handed over");
    let receipt = propose(&mut chain, vec![in_members(make_sealer()), set(77)]);
    assert!(receipt.success);
    let committee = |hash| (committee::ADDRESS, hash);
    assert_eq!(
        events(&receipt),
        [C::ProposalCreated::SIGNATURE_HASH, C::VoteCast::SIGNATURE_HASH].map(committee),
        "what was only tried leaves no event"
    );
    assert_eq!(schedule(&chain.state).unwrap().next.keys.len(), 1);
    let receipt = vote(&mut chain, BOB, 1);
    assert!(receipt.success);
    let expected = [
        committee(C::VoteCast::SIGNATURE_HASH),
        (members::ADDRESS, M::NodeSet::SIGNATURE_HASH),
        (members::ADDRESS, M::EpochScheduled::SIGNATURE_HASH),
        (configuration::ADDRESS, IConfiguration::ParameterSet::SIGNATURE_HASH),
        committee(C::ProposalExecuted::SIGNATURE_HASH),
    ];
    assert_eq!(events(&receipt), expected);
    let found = schedule(&chain.state).unwrap();
    assert_eq!((found.next.first.0, found.next.keys.len()), (chain.number + 8, 2));
}

/// The vote is kept, whatever its changes come to; of them nothing is left, not even a refund.
#[test]
fn changes_that_are_refused_leave_nothing() {
    let mut chain = established();
    let add = |name: &str| in_members(M::addInstitutionCall { name: name.into() }.abi_encode());
    assert!(propose(&mut chain, vec![in_members(make_sealer()), set(77), add("new")]).success);
    assert!(propose(&mut chain, vec![add("new")]).success);
    assert!(vote(&mut chain, BOB, 2).success);
    let before = chain.state.clone();
    let receipt = vote(&mut chain, BOB, 1);
    assert!(receipt.success);
    let committee = [C::VoteCast::SIGNATURE_HASH, C::ProposalFailed::SIGNATURE_HASH];
    assert_eq!(events(&receipt), committee.map(|hash| (committee::ADDRESS, hash)));
    let failed = C::ProposalFailed::decode_log(receipt.logs.last().unwrap()).unwrap();
    assert_eq!((failed.id, failed.action), (U256::ONE, U256::from(2)));
    assert_eq!(M::InstitutionExists::abi_decode(&failed.revertData).unwrap().name, "new");
    for contract in [members::ADDRESS, configuration::ADDRESS] {
        assert_eq!(chain.state.accounts.get(&contract), before.accounts.get(&contract));
    }
    assert!(!vote(&mut chain, ALICE, 1).success, "it is decided");
}

/// A chain of an older protocol takes a call of the address as of any account without code, and operators keep their rights.
#[test]
fn an_older_chain_has_no_committee() {
    let mut chain = chain_of(COMMITTEE_PROTOCOL - 1);
    let call =
        C::establishCall { members: vec![member(ALICE)], participation: 50, approval: 51, reason: String::new() };
    let receipt = chain.send(ALICE, Some(committee::ADDRESS), call.abi_encode());
    assert!(receipt.success && receipt.logs.is_empty());
    assert!(chain.send(ALICE, Some(members::ADDRESS), make_sealer()).success);
}
