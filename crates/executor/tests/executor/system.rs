//! System contracts as transactions, contracts and calls meet them.

use crate::support::{ALICE, BOB, Chain, rules, sent, transaction};
use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use alloy_sol_types::{SolCall, SolError, SolEvent};
use lian_executor::{genesis_block, schedule};
use lian_system_contracts::{
    configuration,
    interfaces::{DelegateCall, IConfiguration as C, IMembers as M, NotPayable},
    members,
};
use lian_types::{Genesis, GroupGenesis, GroupId, Institution, Millis, NodeEntry, PROTOCOL_VERSION_MAX};
use std::collections::BTreeMap;

/// A chain whose genesis has one sealer, `node0`, an observer, `node1`, and Alice as the operator.
pub(crate) fn chain() -> Chain {
    chain_of(PROTOCOL_VERSION_MAX)
}

/// The same of a version of the protocol.
pub(crate) fn chain_of(protocol_version: u64) -> Chain {
    let key = |number: u8| {
        lian_crypto::ConsensusSecretKey::from_bytes(lian_crypto::Suite::Standard, &[number + 1; 32]).public()
    };
    let node = |number: u8| NodeEntry {
        name: format!("node{number}"),
        institution: "bank".into(),
        consensus_key: key(number),
    };
    let group = GroupGenesis {
        group: GroupId(0),
        chain_id: rules().chain_id,
        time: Millis(0),
        block_gas_limit: 1_000_000_000,
        consensus: lian_types::ConsensusParameters::default(),
        sealers: vec!["node0".into()],
        operators: vec![ALICE],
        committee: None,
        protocol_version,
        accounts: BTreeMap::new(),
    };
    let genesis = Genesis {
        version: 1,
        suite: "standard".into(),
        certificate_authorities: vec![],
        institutions: vec![Institution { name: "bank".into() }],
        nodes: (0..2).map(node).collect(),
        groups: vec![group.clone()],
    };
    let mut chain = Chain::default();
    chain.state.apply(&genesis_block(rules().suite, &genesis, &group).unwrap().changes);
    chain
}

pub(crate) fn make_sealer() -> Vec<u8> {
    M::setRoleCall { name: "node1".into(), role: M::Role::Sealer }.abi_encode()
}

#[test]
fn a_transaction_changes_members() {
    let mut chain = chain();
    let receipt = chain.send(ALICE, Some(members::ADDRESS), make_sealer());
    assert!(receipt.success);
    assert!(receipt.gas_used > 21_000 + 3 * 22_100, "storage is paid for: {}", receipt.gas_used);
    let events: Vec<_> = receipt.logs.iter().map(|log| (log.address, log.topics()[0])).collect();
    assert_eq!(
        events,
        [(members::ADDRESS, M::NodeSet::SIGNATURE_HASH), (members::ADDRESS, M::EpochScheduled::SIGNATURE_HASH),]
    );
    let found = schedule(&chain.state).unwrap();
    assert_eq!((found.next.first.0, found.next.keys.len()), (chain.number + 8, 2));
    // Somebody else's is refused, and leaves no event and no change.
    let before = chain.state.clone();
    let receipt = chain.send(BOB, Some(members::ADDRESS), make_sealer());
    assert!(!receipt.success && receipt.logs.is_empty());
    assert_eq!(chain.state.accounts.get(&members::ADDRESS), before.accounts.get(&members::ADDRESS));
}

/// A contract that passes its input on by an instruction, and answers and reverts as the called one does.
pub(crate) fn forwarder(to: Address, call: u8) -> Vec<u8> {
    // CALLDATACOPY(0, 0, CALLDATASIZE), then the arguments of the call from the last to the first.
    let mut code = hex!("365f5f37 5f5f 36 5f").to_vec();
    if call == CALL || call == CALLCODE {
        code.push(0x5f);
    }
    code.push(0x73);
    code.extend_from_slice(to.as_slice());
    code.extend([0x5a, call]);
    // RETURNDATACOPY(0, 0, RETURNDATASIZE); success returns, failure reverts.
    code.extend(hex!("3d5f5f3e"));
    let jump = u8::try_from(code.len() + 7).unwrap();
    code.extend([0x60, jump, 0x57, 0x3d, 0x5f, 0xfd, 0xfe, 0x5b, 0x3d, 0x5f, 0xf3]);
    code
}

pub(crate) const CALL: u8 = 0xf1;
pub(crate) const CALLCODE: u8 = 0xf2;
pub(crate) const DELEGATECALL: u8 = 0xf4;
pub(crate) const STATICCALL: u8 = 0xfa;

/// What a forwarder answers to a call from Alice.
fn through(chain: &Chain, call: u8, input: Vec<u8>) -> Result<Bytes, Bytes> {
    let mut chain = Chain { state: chain.state.clone(), number: chain.number };
    let code: Bytes = forwarder(members::ADDRESS, call).into();
    chain.state.insert(BOB, 1, U256::ZERO, code, BTreeMap::new());
    crate::calls::answer(&chain, ALICE, BOB, input)
}

/// Rights are the caller's: a contract in between has none of the operator's, however it calls.
#[test]
fn nobody_acts_in_an_operator_s_name() {
    let mut chain = chain();
    let refused = through(&chain, CALL, make_sealer()).unwrap_err();
    assert_eq!(M::NotAuthorized::abi_decode(&refused).unwrap().caller, BOB);
    for call in [DELEGATECALL, CALLCODE] {
        let refused = through(&chain, call, make_sealer()).unwrap_err();
        assert_eq!(DelegateCall::abi_decode(&refused).unwrap().contractAddress, members::ADDRESS);
    }
    // A static call cannot change anything, not even for an operator, and a view works by it.
    let set = C::setOperatorCall { account: BOB, isOperator: true }.abi_encode();
    assert!(chain.send(ALICE, Some(configuration::ADDRESS), set).success);
    assert!(through(&chain, CALL, make_sealer()).is_ok());
    assert_eq!(through(&chain, STATICCALL, make_sealer()).unwrap_err(), Bytes::new());
    let answer = through(&chain, STATICCALL, M::institutionsCall {}.abi_encode()).unwrap();
    assert_eq!(M::institutionsCall::abi_decode_returns(&answer).unwrap(), ["bank"]);
    assert_eq!(through(&chain, CALL, M::institutionsCall {}.abi_encode()).unwrap(), answer);
}

/// What a contract did before it reverted is undone in the system contract, too.
#[test]
fn a_revert_above_undoes_what_was_done() {
    let mut chain = chain();
    let set = C::setOperatorCall { account: BOB, isOperator: true }.abi_encode();
    assert!(chain.send(ALICE, Some(configuration::ADDRESS), set).success);
    // CALLDATACOPY, CALL, REVERT(0, 0).
    let mut code = hex!("365f5f37 5f5f 36 5f 5f 73").to_vec();
    code.extend_from_slice(members::ADDRESS.as_slice());
    code.extend(hex!("5af1 5f5ffd"));
    chain.state.insert(BOB, 1, U256::ZERO, code.into(), BTreeMap::new());
    let before = chain.state.accounts.get(&members::ADDRESS).cloned();
    let receipt = chain.send(ALICE, Some(BOB), make_sealer());
    assert!(!receipt.success && receipt.logs.is_empty());
    assert_eq!(chain.state.accounts.get(&members::ADDRESS), before.as_ref());
}

#[test]
fn coins_are_not_taken() {
    let mut chain = chain();
    chain.give(BOB, 10);
    let paying = TxEip1559 {
        value: U256::from(3),
        nonce: 0,
        to: TxKind::Call(members::ADDRESS),
        ..transaction(Some(members::ADDRESS), M::institutionsCall {}.abi_encode())
    };
    let outcome = chain.block(&[sent(BOB, paying)]);
    assert!(!outcome.receipts[0].success);
    assert_eq!((chain.balance(BOB), chain.balance(members::ADDRESS)), (U256::from(10), U256::ZERO));
    let error = NotPayable { value: U256::from(3) };
    assert_eq!(NotPayable::abi_decode(&error.abi_encode()).unwrap(), error);
}

/// They look like contracts: with code and a nonce, and never empty.
#[test]
fn they_have_code() {
    let chain = chain();
    for contract in lian_system_contracts::addresses(PROTOCOL_VERSION_MAX) {
        let account = &chain.state.accounts[&contract];
        assert!(account.state.has_code());
        assert_eq!(account.state.nonce, 1);
    }
}
