//! What the permission contract decides, as transactions, contracts, calls and traces meet it.

use crate::calls::answer;
use crate::support::{ALICE, BOB, CAROL, CHAIN_ID, Chain, creation, rules, sent, transaction};
use crate::system::{CALL, CALLCODE, DELEGATECALL, STATICCALL, chain, chain_of, forwarder};
use alloy_consensus::{TxEip1559, TxEip7702};
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{Address, Bytes, FixedBytes, Signature, U256, address};
use alloy_rpc_types_eth::{TransactionInput, TransactionRequest};
use alloy_sol_types::{SolCall, SolError};
use lian_executor::{
    BlockTrace, CallSite, EstimateError, ExplainedVerdict, Overrides, Question, Verdict, estimate_gas,
    explain_permission, trace_transaction,
};
use lian_system_contracts::interfaces::IPermissions::{self as P, Policy};
use lian_system_contracts::permissions::{ADDRESS, Because, CallQuestion, Denial, Judgement, Listed};
use lian_types::{COMMITTEE_PROTOCOL, Receipt};
use std::collections::BTreeMap;

const SHOP: Address = address!("5409000000000000000000000000000000000004");
const BETWEEN: Address = address!("be70ee4000000000000000000000000000000002");
const ALL: FixedBytes<4> = FixedBytes([0xff; 4]);
/// Returns the word 42.
const SHOP_CODE: [u8; 8] = alloy_primitives::hex!("602a5f5260205ff3");

fn with_shop() -> Chain {
    let mut chain = chain();
    code(&mut chain, SHOP, SHOP_CODE.to_vec());
    chain
}

fn code(chain: &mut Chain, at: Address, code: Vec<u8>) {
    chain.state.insert(at, 1, U256::ZERO, code.into(), BTreeMap::new());
}

fn decide(chain: &mut Chain, call: &impl SolCall) {
    assert!(chain.send(ALICE, Some(ADDRESS), call.abi_encode()).success);
}

fn freeze(target: Address) -> P::freezeCall {
    P::freezeCall { target, reason: "court order 3".into() }
}

fn frozen(target: Address) -> Bytes {
    P::AddressFrozen { target }.abi_encode().into()
}

fn call_to(chain: &Chain, from: Address, to: Address) -> std::sync::Arc<lian_crypto::VerifiedTransaction> {
    sent(from, TxEip1559 { nonce: chain.nonce(from), ..transaction(Some(to), vec![]) })
}

fn successes(receipts: &[Receipt]) -> Vec<bool> {
    receipts.iter().map(|receipt| receipt.success).collect()
}

#[test]
fn a_decision_acts_from_the_next_block_on() {
    let mut chain = with_shop();
    let freezing =
        sent(ALICE, TxEip1559 { nonce: chain.nonce(ALICE), ..transaction(Some(ADDRESS), freeze(SHOP).abi_encode()) });
    let block = [call_to(&chain, BOB, SHOP), freezing, call_to(&chain, CAROL, SHOP)];
    assert_eq!(successes(&chain.block(&block).receipts), [true, true, true]);
    let block = [call_to(&chain, BOB, SHOP), call_to(&chain, CAROL, BOB)];
    assert_eq!(successes(&chain.block(&block).receipts), [false, true]);
    assert_eq!(answer(&chain, BOB, SHOP, vec![]), Err(frozen(SHOP)));

    let thawing = P::thawCall { target: SHOP, reason: String::new() }.abi_encode();
    let thawing = sent(ALICE, TxEip1559 { nonce: chain.nonce(ALICE), ..transaction(Some(ADDRESS), thawing) });
    let block = [thawing, call_to(&chain, BOB, SHOP)];
    assert_eq!(successes(&chain.block(&block).receipts), [true, false]);
    assert!(chain.send(BOB, Some(SHOP), vec![]).success);

    decide(&mut chain, &freeze(CAROL));
    assert!(!chain.send(CAROL, Some(BOB), vec![]).success, "nor does a frozen account send");
    assert!(!chain.send(BOB, Some(CAROL), vec![]).success);
}

#[test]
fn what_is_refused_moves_no_value_and_uses_up_its_nonce() {
    let mut chain = with_shop();
    chain.give(BOB, 100);
    decide(&mut chain, &freeze(SHOP));
    let payment = TxEip1559 { nonce: 0, value: U256::from(7), ..transaction(Some(SHOP), vec![]) };
    let outcome = chain.block(&[sent(BOB, payment)]);
    assert!(!outcome.receipts[0].success);
    assert_eq!((chain.balance(BOB), chain.balance(SHOP), chain.nonce(BOB)), (U256::from(100), U256::ZERO, 1));
    assert_eq!(outcome.receipts[0].gas_used, 21_000, "the rest of the gas goes back");
}

/// However the code of a frozen contract would come to run, it does not.
#[test]
fn frozen_code_does_not_run() {
    let mut chain = with_shop();
    decide(&mut chain, &freeze(SHOP));
    for instruction in [CALL, CALLCODE, DELEGATECALL, STATICCALL] {
        code(&mut chain, BETWEEN, forwarder(SHOP, instruction));
        assert_eq!(answer(&chain, BOB, BETWEEN, vec![]), Err(frozen(SHOP)), "{instruction:#x}");
    }
    let authorization = Authorization { chain_id: U256::from(CHAIN_ID), address: SHOP, nonce: 0 };
    let authorization = authorization.into_signed(Signature::new(U256::from(1), U256::from(2), false));
    let delegating = authorization.recover_authority().unwrap();
    let transaction = TxEip7702 {
        chain_id: CHAIN_ID,
        gas_limit: 300_000,
        to: delegating,
        authorization_list: vec![authorization],
        ..TxEip7702::default()
    };
    let outcome = chain.block(&[sent(BOB, transaction)]);
    assert!(!outcome.receipts[0].success);
    assert_eq!(chain.nonce(delegating), 1, "it has delegated");
    assert_eq!(answer(&chain, BOB, delegating, vec![]), Err(frozen(SHOP)));
    decide(&mut chain, &P::thawCall { target: SHOP, reason: String::new() });
    assert_eq!(answer(&chain, BOB, delegating, vec![]).unwrap(), Bytes::from(U256::from(42).to_be_bytes::<32>()));
}

#[test]
fn a_contract_in_between_is_the_caller() {
    let mut chain = with_shop();
    decide(&mut chain, &P::setPolicyCall { target: SHOP, method: ALL, policy: Policy::AllowList });
    let list = |account| P::listAccountsCall { target: SHOP, method: ALL, accounts: vec![account], listed: true };
    decide(&mut chain, &list(BOB));
    code(&mut chain, BETWEEN, forwarder(SHOP, CALL));
    assert!(answer(&chain, BOB, SHOP, vec![]).is_ok());
    let denied = answer(&chain, BOB, BETWEEN, vec![]).unwrap_err();
    let error = P::CallDenied::abi_decode(&denied).unwrap();
    assert_eq!((error.caller, error.target, error.method), (BETWEEN, SHOP, FixedBytes([0; 4])));
    decide(&mut chain, &list(BETWEEN));
    for instruction in [CALL, CALLCODE, DELEGATECALL, STATICCALL] {
        code(&mut chain, BETWEEN, forwarder(SHOP, instruction));
        assert!(answer(&chain, CAROL, BETWEEN, vec![]).is_ok(), "{instruction:#x}");
    }
}

#[test]
fn a_rule_of_a_method_is_about_the_first_four_bytes() {
    let mut chain = with_shop();
    let method = FixedBytes([1, 2, 3, 4]);
    decide(&mut chain, &P::setPolicyCall { target: SHOP, method, policy: Policy::AllowList });
    for (input, is_allowed) in
        [(&[1, 2, 3, 4][..], false), (&[1, 2, 3, 4, 5], false), (&[1, 2, 3], true), (&[], true), (&[1, 2, 3, 5], true)]
    {
        assert_eq!(answer(&chain, BOB, SHOP, input.to_vec()).is_ok(), is_allowed, "{input:?}");
        code(&mut chain, BETWEEN, forwarder(SHOP, CALL));
        assert_eq!(answer(&chain, BOB, BETWEEN, input.to_vec()).is_ok(), is_allowed, "{input:?} by a contract");
    }
    let send = |nonce, input: [u8; 4]| sent(BOB, TxEip1559 { nonce, ..transaction(Some(SHOP), input.to_vec()) });
    let block = [send(0, [1, 2, 3, 5]), send(1, [1, 2, 3, 4]), send(2, [1, 2, 3, 5])];
    assert_eq!(successes(&chain.block(&block).receipts), [true, false, true], "in one block as well");
    decide(&mut chain, &P::setPolicyCall { target: SHOP, method: FixedBytes([0; 4]), policy: Policy::AllowList });
    assert!(answer(&chain, BOB, SHOP, vec![1, 2, 3]).is_err());
}

#[test]
fn creations_are_for_deployers_where_that_is_decided() {
    let mut chain = chain();
    let token = || creation("HelloWorld", &alloy_sol_types::SolValue::abi_encode_params(&("hello".to_owned(),)));
    let factory: Vec<u8> = alloy_primitives::hex!("365f5f37365f34f03d5f5f3e3d5ffd").to_vec();
    code(&mut chain, BETWEEN, factory);
    decide(&mut chain, &P::restrictCreationCall { restricted: true, reason: "by vote 4".into() });
    let before = chain.state.accounts.len();
    let receipt = chain.send(BOB, None, token());
    assert!(!receipt.success);
    assert_eq!(chain.nonce(BOB), 1, "so that it cannot be sent for ever");
    assert_eq!(chain.state.accounts.len(), before + 1, "no contract, but Bob's nonce");
    let denied = answer(&chain, CAROL, BETWEEN, token()).unwrap_err();
    assert_eq!(denied, Bytes::from(P::CreationDenied { creator: BETWEEN }.abi_encode()));

    let grant = |account| P::grantRoleCall { role: "deployer".into(), account, reason: String::new() };
    decide(&mut chain, &grant(BOB));
    assert!(chain.send(BOB, None, token()).success);
    assert!(answer(&chain, BOB, BETWEEN, token()).unwrap_err().starts_with(&P::CreationDenied::SELECTOR));
    decide(&mut chain, &grant(BETWEEN));
    assert_eq!(answer(&chain, CAROL, BETWEEN, token()), Err(Bytes::new()), "the factory reverts with what came back");
    let next = BOB.create(chain.nonce(BOB));
    decide(&mut chain, &freeze(next));
    assert!(!chain.send(BOB, None, token()).success, "nor at an address that is frozen");
}

#[test]
fn before_its_version_nothing_is_judged() {
    let mut chain = chain_of(COMMITTEE_PROTOCOL);
    code(&mut chain, SHOP, SHOP_CODE.to_vec());
    assert!(chain.send(ALICE, Some(ADDRESS), freeze(SHOP).abi_encode()).success, "nobody is there to refuse it");
    assert!(chain.send(BOB, Some(SHOP), vec![]).success);
    assert_eq!(explained(&chain, BOB, SHOP, vec![]).1, []);
}

fn site<T>(chain: &Chain, use_site: impl FnOnce(&CallSite<'_>) -> T) -> T {
    use_site(&CallSite {
        rules: &rules(),
        environment: &chain.environment(),
        state: &chain.state,
        overrides: &Overrides::default(),
        gas_cap: 5_000_000,
        cancelled: &|| false,
    })
}

fn request(from: Address, to: Address, input: Vec<u8>) -> TransactionRequest {
    TransactionRequest::default().from(from).to(to).input(TransactionInput::new(input.into()))
}

fn explained(chain: &Chain, from: Address, to: Address, input: Vec<u8>) -> (bool, Vec<ExplainedVerdict>) {
    let (outcome, verdicts) = site(chain, |site| explain_permission(site, &request(from, to, input))).unwrap();
    (matches!(outcome.result, lian_executor::CallResult::Success { .. }), verdicts)
}

#[test]
fn a_verdict_is_explained_wherever_it_falls() {
    let mut chain = with_shop();
    code(&mut chain, BETWEEN, forwarder(SHOP, CALL));
    let call = |caller, target| {
        let (method, depth) = (FixedBytes([0; 4]), usize::from(target == SHOP));
        (depth, Question::Call(CallQuestion { caller, target, method }))
    };
    let verdict = |(depth, question), denial, because, role: Option<&str>| ExplainedVerdict {
        verdict: Verdict { depth, question, judgement: Judgement { denial, because, lasting: true } },
        role: role.map(str::to_owned),
    };
    let outer = || verdict(call(BOB, BETWEEN), None, Because::NoRule, None);
    let (inner, question) =
        (call(BETWEEN, SHOP), CallQuestion { caller: BETWEEN, target: SHOP, method: [0; 4].into() });
    let expected = verdict(inner, None, Because::NoRule, None);
    assert_eq!(explained(&chain, BOB, BETWEEN, vec![]), (true, vec![outer(), expected]));

    decide(&mut chain, &P::setPolicyCall { target: SHOP, method: ALL, policy: Policy::AllowList });
    let allow = lian_system_contracts::permissions::Policy::AllowList;
    let rule = |listed| Because::Rule { method: None, policy: allow, listed };
    let expected = verdict(inner, Some(Denial::Call(question)), rule(None), None);
    assert_eq!(explained(&chain, BOB, BETWEEN, vec![]), (false, vec![outer(), expected]));

    decide(&mut chain, &P::addRoleCall { role: "shop".into() });
    decide(&mut chain, &P::grantRoleCall { role: "shop".into(), account: BETWEEN, reason: String::new() });
    decide(&mut chain, &P::listRoleCall { target: SHOP, method: ALL, role: "shop".into(), listed: true });
    let (success, verdicts) = explained(&chain, BOB, BETWEEN, vec![]);
    assert!(success);
    assert_eq!(verdicts[1].role.as_deref(), Some("shop"));
    assert!(matches!(verdicts[1].verdict.judgement.because, Because::Rule { listed: Some(Listed::Role(_)), .. }));

    decide(&mut chain, &freeze(BETWEEN));
    let expected = verdict(call(BOB, BETWEEN), Some(Denial::Frozen(BETWEEN)), Because::Standing, None);
    assert_eq!(explained(&chain, BOB, BETWEEN, vec![]), (false, vec![expected]));
}

#[test]
fn estimates_and_traces_show_the_refusal() {
    let mut chain = with_shop();
    decide(&mut chain, &freeze(SHOP));
    let Err(EstimateError::Reverted { output }) = site(&chain, |site| estimate_gas(site, &request(BOB, SHOP, vec![])))
    else {
        panic!("it reverts")
    };
    assert_eq!(output, frozen(SHOP));
    let options = serde_json::from_value(serde_json::json!({"tracer": "callTracer"})).unwrap();
    let trace = BlockTrace {
        rules: &rules(),
        environment: &chain.environment(),
        hash: alloy_primitives::B256::ZERO,
        state: &chain.state,
        transactions: &[call_to(&chain, BOB, SHOP)],
        options: &options,
        cancelled: &|| false,
    };
    let trace = serde_json::to_value(trace_transaction(&trace, 0).unwrap()).unwrap();
    assert_eq!(trace["error"], "execution reverted");
    assert_eq!(trace["output"], frozen(SHOP).to_string());
}
