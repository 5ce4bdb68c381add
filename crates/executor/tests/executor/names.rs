//! Names' aliases as transactions, contracts and calls meet them: every row of the table in docs/names.md.

use crate::calls::{answer, estimated};
use crate::support::{ALICE, BOB, CAROL, CHAIN_ID, Chain, rules, sent, transaction};
use crate::system::{CALL, CALLCODE, DELEGATECALL, STATICCALL, chain, chain_of, forwarder};
use crate::traces::trace;
use alloy_consensus::{TxEip1559, TxEip7702};
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{Address, B256, Bytes, Signature, U256, hex, keccak256};
use alloy_sol_types::{SolCall, SolError};
use lian_executor::execute_transactions;
use lian_system_contracts::interfaces::INames::{self as N, Kind, Publication};
use lian_system_contracts::interfaces::IPermissions;
use lian_system_contracts::names::{ADDRESS, Name, alias, alias_of};
use lian_system_contracts::permissions;
use lian_types::limits::NAME_RULE_GAS;
use lian_types::{NAMES_PROTOCOL, Receipt};
use serde_json::json;
use std::collections::BTreeMap;

/// Two versions, and a contract that decides.
pub(crate) const FIRST: Address = Address::repeat_byte(0xc1);
pub(crate) const SECOND: Address = Address::repeat_byte(0xc2);
const RULE: Address = Address::repeat_byte(0xc3);
/// Names of both kinds.
pub(crate) const KEEPS: &str = "keeps";
pub(crate) const PASSES: &str = "passes.on";

/// A version's code. With input it adds one to slot 0 and logs its mark; and it returns [`Seen`].
fn version_code(mark: u8) -> Vec<u8> {
    let count = [&hex!("3615601157" "5f54600101" "5f55")[..], &[0x60, mark], &hex!("5f5fa1")].concat();
    let tell = [
        &hex!("5b" "305f52" "33602052" "34604052" "47606052" "5f54608052")[..],
        &[0x60, mark],
        &hex!("60a052" "60c05ff3"),
    ];
    [count, tell.concat()].concat()
}

/// What a version's code sees.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    this: Address,
    caller: Address,
    value: u64,
    balance: u64,
    count: u64,
    mark: u64,
}

fn seen(output: &[u8]) -> Seen {
    let word = |index: usize| U256::from_be_slice(&output[32 * index..32 * (index + 1)]);
    let number = |index| word(index).to::<u64>();
    Seen {
        this: Address::from_word(word(0).into()),
        caller: Address::from_word(word(1).into()),
        value: number(2),
        balance: number(3),
        count: number(4),
        mark: number(5),
    }
}

pub(crate) fn alias_at(name: &str) -> Address {
    alias(Name::parse(name).unwrap().node())
}

fn code(chain: &mut Chain, address: Address, code: impl Into<Bytes>) {
    chain.state.insert(address, 1, U256::ZERO, code.into(), BTreeMap::new());
}

fn names(chain: &mut Chain, call: &impl SolCall) -> Receipt {
    chain.send(ALICE, Some(ADDRESS), call.abi_encode())
}

pub(crate) fn publication(version: &str, target: Address) -> Publication {
    let version = version.to_owned();
    Publication { version, target, contentType: U256::ZERO, abiData: Bytes::new(), metadata: String::new() }
}

/// Both names with the first version, which answers, and the second one.
pub(crate) fn register_both(chain: &mut Chain) {
    for (name, kind) in [(KEEPS, Kind::StateKeeping), (PASSES, Kind::Forwarding)] {
        let call = N::registerVersionCall { name: name.into(), kind, first: publication("1", FIRST) };
        assert!(names(chain, &call).success);
        let call = N::publishCall { name: name.into(), publication: publication("2", SECOND) };
        assert!(names(chain, &call).success);
    }
}

fn named() -> Chain {
    let mut chain = chain();
    code(&mut chain, FIRST, version_code(1));
    code(&mut chain, SECOND, version_code(2));
    register_both(&mut chain);
    chain
}

fn switch(chain: &mut Chain, name: &str, version: &str) {
    let call = N::switchToCall { name: name.into(), version: version.into(), reason: String::new() };
    assert!(names(chain, &call).success);
}

fn start(chain: &mut Chain, name: &str, basis_points: u16) {
    let (name, version, reason) = (name.into(), "2".into(), String::new());
    assert!(names(chain, &N::startCanaryCall { name, version, basisPoints: basis_points, reason }).success);
}

fn slot(chain: &Chain, address: Address) -> u64 {
    let account = chain.state.accounts.get(&address);
    account.and_then(|account| account.storage.get(&U256::ZERO)).copied().unwrap_or_default().to()
}

fn mark(chain: &Chain, from: Address, to: Address) -> u64 {
    seen(&answer(chain, from, to, []).unwrap()).mark
}

/// A contract that passes its input on.
fn through(chain: &mut Chain, call: u8, to: Address) -> Address {
    let via = Address::repeat_byte(call);
    code(chain, via, forwarder(to, call));
    via
}

#[test]
fn a_state_keeping_alias_owns_storage_and_balance_whatever_answers() {
    let mut chain = named();
    chain.give(BOB, 10);
    let alias = alias_at(KEEPS);
    let paying = TxEip1559 { value: U256::from(3), ..transaction(Some(alias), [1]) };
    let receipt = chain.block(&[sent(BOB, paying)]).receipts.remove(0);
    assert!(receipt.success);
    assert_eq!((receipt.logs[0].address, receipt.logs[0].topics()[0]), (alias, B256::with_last_byte(1)));
    assert_eq!((slot(&chain, alias), slot(&chain, FIRST)), (1, 0));
    assert_eq!((chain.balance(alias), chain.balance(FIRST)), (U256::from(3), U256::ZERO));
    switch(&mut chain, KEEPS, "2");
    let expected = Seen { this: alias, caller: CAROL, value: 0, balance: 3, count: 1, mark: 2 };
    assert_eq!(seen(&answer(&chain, CAROL, alias, []).unwrap()), expected);
    let receipt = chain.send(BOB, Some(alias), [1]);
    assert_eq!((receipt.logs[0].address, receipt.logs[0].topics()[0]), (alias, B256::with_last_byte(2)));
    assert_eq!((slot(&chain, alias), slot(&chain, SECOND)), (2, 0));
}

#[test]
fn a_forwarding_alias_passes_calls_on_with_caller_and_coins() {
    let mut chain = named();
    chain.give(BOB, 10);
    let alias = alias_at(PASSES);
    let paying = TxEip1559 { value: U256::from(3), ..transaction(Some(alias), [1]) };
    let receipt = chain.block(&[sent(BOB, paying)]).receipts.remove(0);
    assert_eq!((receipt.logs[0].address, receipt.logs[0].topics()[0]), (FIRST, B256::with_last_byte(1)));
    assert_eq!((slot(&chain, alias), slot(&chain, FIRST)), (0, 1));
    assert_eq!((chain.balance(alias), chain.balance(FIRST)), (U256::ZERO, U256::from(3)));
    switch(&mut chain, PASSES, "2");
    let expected = Seen { this: SECOND, caller: CAROL, value: 0, balance: 0, count: 0, mark: 2 };
    assert_eq!(seen(&answer(&chain, CAROL, alias, []).unwrap()), expected);
}

#[test]
fn contracts_call_aliases_as_accounts_do() {
    let mut chain = named();
    for (name, this) in [(KEEPS, alias_at(KEEPS)), (PASSES, FIRST)] {
        for call in [CALL, STATICCALL] {
            let via = through(&mut chain, call, alias_at(name));
            let expected = Seen { this, caller: via, value: 0, balance: 0, count: 0, mark: 1 };
            assert_eq!(seen(&answer(&chain, BOB, via, []).unwrap()), expected);
            // What changes something does not go in a static call.
            assert_eq!(answer(&chain, BOB, via, [1]).is_ok(), call == CALL);
        }
    }
}

#[test]
fn delegate_calls_run_what_answers_with_the_storage_of_who_delegates() {
    let mut chain = named();
    for name in [KEEPS, PASSES] {
        for (call, caller) in [(DELEGATECALL, BOB), (CALLCODE, Address::repeat_byte(CALLCODE))] {
            let via = through(&mut chain, call, alias_at(name));
            let receipt = chain.send(BOB, Some(via), [1]);
            assert_eq!((receipt.success, receipt.logs[0].address), (true, via));
            assert_eq!((slot(&chain, via), slot(&chain, alias_at(name)), slot(&chain, FIRST)), (1, 0, 0));
            let expected = Seen { this: via, caller, value: 0, balance: 0, count: 1, mark: 1 };
            assert_eq!(seen(&answer(&chain, BOB, via, []).unwrap()), expected);
        }
    }
}

#[test]
fn an_account_that_delegates_to_an_alias_runs_what_answers_with_its_own_storage() {
    for name in [KEEPS, PASSES] {
        let mut chain = named();
        let signature = Signature::new(U256::from(1), U256::from(2), false);
        let unsigned = Authorization { chain_id: U256::from(CHAIN_ID), address: alias_at(name), nonce: 0 };
        let authorization = unsigned.into_signed(signature);
        let account = authorization.recover_authority().unwrap();
        let authorization_list = vec![authorization];
        let call = TxEip7702 {
            chain_id: CHAIN_ID,
            gas_limit: 500_000,
            to: account,
            authorization_list,
            input: Bytes::from_static(&[1]),
            ..TxEip7702::default()
        };
        let receipt = chain.block(&[sent(BOB, call)]).receipts.remove(0);
        assert_eq!((receipt.success, receipt.logs[0].address), (true, account));
        assert_eq!((slot(&chain, account), slot(&chain, alias_at(name)), slot(&chain, FIRST)), (1, 0, 0));
        switch(&mut chain, name, "2");
        let via = through(&mut chain, CALL, account);
        let expected = Seen { this: account, caller: via, value: 0, balance: 0, count: 1, mark: 2 };
        assert_eq!(seen(&answer(&chain, BOB, via, []).unwrap()), expected);
    }
}

#[test]
fn code_is_the_marker_for_whoever_looks() {
    let mut chain = named();
    // EXTCODESIZE, EXTCODEHASH and the first 32 bytes of EXTCODECOPY, of the account in the input.
    code(&mut chain, CAROL, hex!("5f353b5f52" "5f353f602052" "60205f60405f353c" "60605ff3"));
    for name in [KEEPS, PASSES] {
        let alias = alias_at(name);
        let state = chain.state.accounts[&alias].state;
        assert_eq!(state.nonce, 1);
        let marker = chain.state.codes[&state.code_hash].clone();
        assert!(alias_of(&marker).is_some());
        let told = answer(&chain, BOB, CAROL, alias.into_word()).unwrap();
        let expected = [U256::from(35).to_be_bytes(), keccak256(&marker).0, marker[..32].try_into().unwrap()];
        assert_eq!(told, expected.concat());
    }
}

#[test]
fn a_name_without_a_version_reverts_and_takes_nothing() {
    let mut chain = named();
    chain.give(BOB, 10);
    let call = N::registerCall { name: "empty".into(), kind: Kind::StateKeeping };
    assert!(names(&mut chain, &call).success);
    let alias = alias_at("empty");
    let reverted = answer(&chain, BOB, alias, [1]).unwrap_err();
    assert_eq!(N::NoVersion::abi_decode(&reverted).unwrap().node, Name::parse("empty").unwrap().node());
    let paying = TxEip1559 { value: U256::from(3), ..transaction(Some(alias), []) };
    let receipt = chain.block(&[sent(BOB, paying)]).receipts.remove(0);
    assert!(!receipt.success);
    assert_eq!((receipt.gas_used, chain.balance(BOB)), (21_000 + 2_100, U256::from(10)));
}

/// A version that is destroyed in the transaction that published it is not there for anybody.
#[test]
fn a_version_without_code_reverts() {
    let mut chain = named();
    let receipt =
        names(&mut chain, &N::switchToCall { name: KEEPS.into(), version: "2".into(), reason: String::new() });
    assert!(receipt.success);
    code(&mut chain, SECOND, Bytes::new());
    let reverted = answer(&chain, BOB, alias_at(KEEPS), [1]).unwrap_err();
    assert_eq!(N::InvalidTarget::abi_decode(&reverted).unwrap().target, SECOND);
}

/// Finding what answers costs the EVM's price of a cold slot and a cold account, then of warm ones, and no more.
#[test]
fn routing_costs_what_it_reads() {
    let mut chain = named();
    let direct = chain.send(BOB, Some(FIRST), [1]).gas_used;
    let again = chain.send(BOB, Some(FIRST), [1]).gas_used;
    assert_eq!(direct - again, 17_100, "the slot was new");
    let passed = chain.send(BOB, Some(alias_at(PASSES)), [1]).gas_used;
    assert_eq!(passed, again + 2_100 + 2_600);
    let kept = chain.send(BOB, Some(alias_at(KEEPS)), [1]).gas_used;
    assert_eq!(kept, direct + 2_100 + 2_600);
    // With a canary there is a second slot, and finding the share.
    start(&mut chain, PASSES, 0);
    assert_eq!(chain.send(BOB, Some(alias_at(PASSES)), [1]).gas_used, passed + 2_100 + 42);
    // Too little for it: all is gone, and nothing has happened.
    let little =
        TxEip1559 { nonce: chain.nonce(BOB), gas_limit: 21_016 + 2_099, ..transaction(Some(alias_at(KEEPS)), [1]) };
    let receipt = chain.block(&[sent(BOB, little)]).receipts.remove(0);
    assert_eq!((receipt.success, receipt.gas_used), (false, 21_016 + 2_099));
    // An estimate suffices.
    let gas_limit = estimated(&chain, BOB, alias_at(KEEPS), [1]);
    let enough = TxEip1559 { nonce: chain.nonce(BOB), gas_limit, ..transaction(Some(alias_at(KEEPS)), [1]) };
    assert!(chain.block(&[sent(BOB, enough)]).receipts[0].success);
}

#[test]
fn a_trace_shows_a_call_of_the_alias_with_the_gas_of_the_block() {
    let mut chain = named();
    start(&mut chain, PASSES, 0);
    set_rule(&mut chain, PASSES, &hex!("60015f5260205ff3"));
    for (name, log_address, mark) in [(KEEPS, alias_at(KEEPS), 1), (PASSES, SECOND, 2)] {
        let alias = alias_at(name);
        let via = through(&mut chain, CALL, alias);
        let call = sent(BOB, TxEip1559 { nonce: chain.nonce(BOB), ..transaction(Some(via), [1]) });
        let options = json!({"tracer": "callTracer", "tracerConfig": {"withLog": true}});
        let traced = trace(&chain, std::slice::from_ref(&call), 0, &options);
        let direct = sent(BOB, TxEip1559 { nonce: chain.nonce(BOB), ..transaction(Some(alias), [1]) });
        let receipts = [&call, &direct].map(|transaction| {
            let transactions = std::slice::from_ref(transaction);
            let outcome = execute_transactions(&rules(), &chain.environment(), &chain.state, transactions);
            outcome.unwrap().receipts.remove(0)
        });
        assert_eq!(traced["gasUsed"], format!("{:#x}", receipts[0].gas_used));
        assert_eq!(traced["calls"].as_array().unwrap().len(), 1);
        let inner = &traced["calls"][0];
        assert_eq!((&inner["to"], &inner["from"]), (&json!(alias), &json!(via)));
        assert_eq!(inner["gasUsed"], format!("{:#x}", receipts[1].gas_used - 21_016));
        assert_eq!(inner["logs"][0]["address"], json!(log_address));
        assert_eq!(receipts[0].logs[0].topics()[0], B256::with_last_byte(mark));
    }
}

#[test]
fn a_version_that_destroys_itself_empties_the_alias_and_no_more() {
    let mut chain = named();
    chain.give(BOB, 10);
    code(&mut chain, FIRST, hex!("33ff"));
    let alias = alias_at(KEEPS);
    let paying = TxEip1559 { value: U256::from(3), ..transaction(Some(alias), []) };
    assert!(chain.block(&[sent(BOB, paying)]).receipts[0].success);
    assert_eq!((chain.balance(alias), chain.balance(BOB)), (U256::ZERO, U256::from(10)));
    assert!(chain.state.accounts[&alias].state.has_code());
    switch(&mut chain, KEEPS, "2");
    assert_eq!(mark(&chain, BOB, alias), 2);
}

#[test]
fn a_revert_above_undoes_a_registration() {
    let mut chain = named();
    // CALLDATACOPY, CALL; then it reverts if the last byte of the input is 1.
    let call = [&hex!("365f5f37" "5f5f365f5f73")[..], ADDRESS.as_slice(), &hex!("5af1")].concat();
    let revert = u8::try_from(call.len() + 12).unwrap();
    let end = [&hex!("600136033560f81c" "60")[..], &[revert], &hex!("57" "00" "5b5f5ffd")].concat();
    let program = [call, end].concat();
    code(&mut chain, CAROL, program);
    let alias = alias_at("new");
    let call = |last| {
        let mut input = N::registerCall { name: "new".into(), kind: Kind::Forwarding }.abi_encode();
        input.push(last);
        input
    };
    assert!(!chain.send(BOB, Some(CAROL), call(1)).success);
    assert!(!chain.state.accounts.contains_key(&alias));
    assert!(chain.send(BOB, Some(CAROL), call(0)).success);
    assert!(chain.state.accounts[&alias].state.has_code());
    let owner = N::ownerCall { node: Name::parse("new").unwrap().node() };
    let owner = answer(&chain, BOB, ADDRESS, owner.abi_encode()).unwrap();
    assert_eq!(N::ownerCall::abi_decode_returns(&owner).unwrap(), CAROL);
}

/// Coins may come before the name; code and transactions cannot.
#[test]
fn an_alias_takes_the_place_of_an_account_without_code_only() {
    let mut chain = named();
    let call = |name: &str| N::registerCall { name: name.into(), kind: Kind::StateKeeping };
    chain.give(alias_at("rich"), 7);
    assert!(names(&mut chain, &call("rich")).success);
    assert_eq!(chain.balance(alias_at("rich")), U256::from(7));
    chain.state.insert(alias_at("sender"), 1, U256::ZERO, Bytes::new(), BTreeMap::new());
    code(&mut chain, alias_at("contract"), hex!("00"));
    for name in ["sender", "contract"] {
        let reverted = answer(&chain, ALICE, ADDRESS, call(name).abi_encode()).unwrap_err();
        assert_eq!(N::AliasTaken::abi_decode(&reverted).unwrap().aliasAddress, alias_at(name));
    }
}

/// Nobody makes a marker but the contract, and one in another place is no alias.
#[test]
fn markers_elsewhere_are_none() {
    let mut chain = named();
    let state = chain.state.accounts[&alias_at(KEEPS)].state;
    let marker = chain.state.codes[&state.code_hash].clone();
    // PUSH the marker in two parts, and return it as the code.
    let rest = [&hex!("5f52" "62")[..], &marker[32..], &hex!("60e81b602052" "60235ff3")].concat();
    assert!(!chain.send(BOB, None, [&[0x7f], &marker[..32], &rest].concat()).success);
    let simple = hex!("60ef5f53" "60025f6001015360235ff3");
    assert!(!chain.send(BOB, None, simple).success);
    code(&mut chain, CAROL, marker);
    assert_eq!(answer(&chain, BOB, CAROL, []), Err(Bytes::new()));
}

fn set_rule(chain: &mut Chain, name: &str, program: &[u8]) {
    code(chain, RULE, Bytes::copy_from_slice(program));
    let call = N::setCanaryRuleCall { name: name.into(), rule: RULE, reason: String::new() };
    assert!(names(chain, &call).success);
}

/// Each of 40 callers has the version of its share, in calls as in blocks, and keeps it while the share rises.
#[test]
fn a_share_of_callers_is_answered_by_the_canary() {
    let mut chain = named();
    let callers: Vec<_> = (1..=40_u8).map(Address::repeat_byte).collect();
    for name in [KEEPS, PASSES] {
        start(&mut chain, name, 0);
        let mut before = 0;
        for basis_points in [0, 3_000, 6_000, 10_000] {
            let (name, reason) = (name.to_owned(), String::new());
            let alias = alias_at(&name);
            assert!(names(&mut chain, &N::setCanaryWeightCall { name, basisPoints: basis_points, reason }).success);
            let marks: Vec<_> = callers.iter().map(|caller| mark(&chain, *caller, alias)).collect();
            for (caller, mark) in callers.iter().zip(&marks) {
                let receipt = chain.send(*caller, Some(alias), [1]);
                assert_eq!(receipt.logs[0].topics()[0], B256::from(U256::from(*mark)));
            }
            let moved = marks.iter().filter(|mark| **mark == 2).count();
            assert!(moved >= before && (basis_points != 3_000 || (1..40).contains(&moved)), "{moved}");
            before = moved;
        }
        assert_eq!(before, 40);
    }
}

#[test]
fn a_rule_decides_by_a_yes_and_by_nothing_else() {
    let mut chain = named();
    start(&mut chain, KEEPS, 10_000);
    let cases: [(&[u8], u64); 9] = [
        (&hex!("60015f5260205ff3"), 2),
        (&hex!("5f5f5260205ff3"), 1),
        // Two, a short yes, a long yes, nothing.
        (&hex!("60025f5260205ff3"), 1),
        (&hex!("60015f53601f5ff3"), 1),
        (&hex!("60015f5260405ff3"), 1),
        (&hex!("00"), 1),
        // Yes, but in a revert; a loop without an end; a change of the state before a yes.
        (&hex!("60015f5260205ffd"), 1),
        (&hex!("5b5f56"), 1),
        (&hex!("60015f5560015f5260205ff3"), 1),
    ];
    for (program, expected) in cases {
        set_rule(&mut chain, KEEPS, program);
        assert_eq!(mark(&chain, BOB, alias_at(KEEPS)), expected, "{program:02x?}");
        let via = through(&mut chain, CALL, alias_at(KEEPS));
        assert_eq!(mark(&chain, BOB, via), expected, "{program:02x?}");
        let receipt = chain.send(BOB, Some(alias_at(KEEPS)), [1]);
        assert_eq!(receipt.logs[0].topics()[0], B256::from(U256::from(expected)), "{program:02x?}");
        assert_eq!(slot(&chain, RULE), 0);
    }
}

/// It sees the name, the caller and the function; here the caller alone decides, by its last bit.
#[test]
fn a_rule_is_asked_about_the_call() {
    let mut chain = named();
    start(&mut chain, KEEPS, 0);
    // Yes where the third argument begins as the transaction's input does and the caller is odd.
    set_rule(&mut chain, KEEPS, &hex!("60243560011660443560e01c63deadbeef14165f5260205ff3"));
    let ask = |chain: &Chain, caller: u8, input: &[u8]| {
        seen(&answer(chain, Address::repeat_byte(caller), alias_at(KEEPS), input.to_vec()).unwrap()).mark
    };
    assert_eq!(ask(&chain, 0x51, &hex!("deadbeef")), 2);
    assert_eq!(ask(&chain, 0x52, &hex!("deadbeef")), 1);
    assert_eq!(ask(&chain, 0x51, &hex!("deadbeee")), 1);
    assert_eq!(ask(&chain, 0x51, &hex!("deadbe")), 1);
    // It is asked the same when a contract calls with its memory as the input.
    let via = through(&mut chain, CALL, alias_at(KEEPS));
    assert_eq!(via, Address::repeat_byte(0xf1));
    assert_eq!(seen(&answer(&chain, BOB, via, hex!("deadbeef0102")).unwrap()).mark, 2);
}

/// What it spends is the call's. Who sends too little for it is not answered by the version that it would not have chosen.
#[test]
fn a_rule_is_paid_for_by_the_call() {
    let mut chain = named();
    chain.send(BOB, Some(alias_at(KEEPS)), [1]);
    start(&mut chain, KEEPS, 0);
    let without = chain.send(BOB, Some(alias_at(KEEPS)), [1]).gas_used;
    set_rule(&mut chain, KEEPS, &hex!("60015f5260205ff3"));
    let rule = 3 + 2 + 3 + 3 + 3 + 2;
    // Its slot and its account, instead of finding a share.
    let with = chain.send(BOB, Some(alias_at(KEEPS)), [1]).gas_used;
    assert_eq!(with, without + 2_100 + 2_600 + rule - 42);
    set_rule(&mut chain, KEEPS, &hex!("5b5f56"));
    let all = chain.send(BOB, Some(alias_at(KEEPS)), [1]).gas_used;
    assert_eq!(all, without + 2_100 + 2_600 + NAME_RULE_GAS - 42);

    set_rule(&mut chain, KEEPS, &hex!("60015f5260205ff3"));
    let needed = 21_016 + 3 * 2_100 + 2_600 + NAME_RULE_GAS;
    for (gas_limit, is_enough) in [(needed - 1, false), (needed, true)] {
        let call = TxEip1559 { nonce: chain.nonce(BOB), gas_limit, ..transaction(Some(alias_at(KEEPS)), [1]) };
        let receipt = chain.block(&[sent(BOB, call)]).receipts.remove(0);
        assert_eq!(receipt.success, is_enough);
        assert_eq!(receipt.gas_used, if is_enough { with } else { gas_limit });
    }
    let gas_limit = estimated(&chain, BOB, alias_at(KEEPS), [1]);
    let call = TxEip1559 { nonce: chain.nonce(BOB), gas_limit, ..transaction(Some(alias_at(KEEPS)), [1]) };
    assert!(chain.block(&[sent(BOB, call)]).receipts[0].success);
}

/// A rule may call names, even its own; there a canary by a rule does not answer.
#[test]
fn rules_are_not_asked_by_rules() {
    let mut chain = named();
    start(&mut chain, KEEPS, 0);
    start(&mut chain, PASSES, 0);
    set_rule(&mut chain, PASSES, &hex!("60015f5260205ff3"));
    assert_eq!(mark(&chain, BOB, alias_at(PASSES)), 2);
    // It calls a name whose canary is by a rule too, and says yes if that version answers there (word 5).
    let mut asking = |name: &str, version: u8| {
        let call = [&hex!("60c05f5f5f73")[..], alias_at(name).as_slice(), &hex!("5afa" "5060a05160")].concat();
        set_rule(&mut chain, KEEPS, &[&call[..], &[version], &hex!("14" "5f5260205ff3")].concat());
        mark(&chain, BOB, alias_at(KEEPS))
    };
    assert_eq!(asking(PASSES, 2), 1);
    assert_eq!(asking(PASSES, 1), 2);
    assert_eq!(asking(KEEPS, 1), 2);
}

/// A version's contract that is frozen cannot be reached by its name.
#[test]
fn permissions_are_asked_about_the_version_too() {
    let mut chain = named();
    let freeze = IPermissions::freezeCall { target: FIRST, reason: "court order 3".into() };
    assert!(chain.send(ALICE, Some(permissions::ADDRESS), freeze.abi_encode()).success);
    for name in [KEEPS, PASSES] {
        let denied = answer(&chain, BOB, FIRST, [1]).unwrap_err();
        assert!(!denied.is_empty());
        let via_name = answer(&chain, BOB, alias_at(name), [1]).unwrap_err();
        assert_eq!(via_name[..4], denied[..4], "{name}");
        let receipt = chain.send(BOB, Some(alias_at(name)), [1]);
        assert_eq!((receipt.success, receipt.gas_used), (false, 21_016 + 2_100 + 2_600));
        switch(&mut chain, name, "2");
        assert_eq!(mark(&chain, BOB, alias_at(name)), 2);
    }
}

/// A chain of an older protocol takes a call of the address as of any account without code.
#[test]
fn an_older_chain_has_no_names() {
    let mut chain = chain_of(NAMES_PROTOCOL - 1);
    let call = N::registerCall { name: "new".into(), kind: Kind::StateKeeping };
    let receipt = names(&mut chain, &call);
    assert!(receipt.success && receipt.logs.is_empty());
    assert!(!chain.state.accounts.contains_key(&alias_at("new")));
}
