//! Calls, estimates and access lists.

use crate::support::{ALICE, BOB, CAROL, CHAIN_ID, Chain, creation, rules, sent, transaction};
use alloy_consensus::TxEip1559;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, U256, address, hex, keccak256};
use alloy_rpc_types_eth::state::{AccountOverride, StateOverride};
use alloy_rpc_types_eth::{BlockOverrides, TransactionInput, TransactionRequest};
use alloy_sol_types::{Revert, SolCall, SolError, SolValue, sol};
use lian_executor::{
    CallError, CallOutcome, CallResult, CallSite, EstimateError, HaltReason, Overrides, RequestError, SkipReason,
    access_list, call, estimate_gas, halt_message,
};
use lian_types::limits::TRANSACTION_GAS_LIMIT_MAX;
use std::cell::Cell;
use std::collections::BTreeMap;

sol! {
    function balanceOf(address account) returns (uint256);
    function transfer(address to, uint256 value) returns (bool);
    function set(string greeting);
    function get() returns (string);
    error GreetingTooLong(uint256 length, uint256 limit);
}

const GAS_CAP: u64 = 50_000_000;

fn with_site<T>(chain: &Chain, overrides: &Overrides, use_site: impl FnOnce(&CallSite<'_>) -> T) -> T {
    use_site(&CallSite {
        rules: &rules(),
        environment: &chain.environment(),
        state: &chain.state,
        overrides,
        gas_cap: GAS_CAP,
        cancelled: &|| false,
    })
}

fn request(from: Address, to: Address, input: impl Into<Bytes>) -> TransactionRequest {
    TransactionRequest::default().from(from).to(to).input(TransactionInput::new(input.into()))
}

fn run(chain: &Chain, request: &TransactionRequest) -> Result<CallOutcome, CallError> {
    with_site(chain, &Overrides::default(), |site| call(site, request))
}

/// The most gas that a transaction would need, as a client is told.
pub(crate) fn estimated(chain: &Chain, from: Address, to: Address, input: impl Into<Bytes>) -> u64 {
    estimate(chain, &request(from, to, input)).unwrap()
}

fn run_with(chain: &Chain, overrides: &Overrides, request: &TransactionRequest) -> Result<CallOutcome, CallError> {
    with_site(chain, overrides, |site| call(site, request))
}

/// What a call returns, or the data that it reverts with.
pub(crate) fn answer(chain: &Chain, from: Address, to: Address, input: impl Into<Bytes>) -> Result<Bytes, Bytes> {
    match run(chain, &request(from, to, input)).unwrap().result {
        CallResult::Success { output, .. } => Ok(output),
        CallResult::Revert { output, .. } => Err(output),
        CallResult::Halt { .. } => Err(Bytes::new()),
    }
}

fn estimate(chain: &Chain, request: &TransactionRequest) -> Result<u64, EstimateError> {
    with_site(chain, &Overrides::default(), |site| estimate_gas(site, request))
}

fn output(outcome: CallOutcome) -> Bytes {
    match outcome.result {
        CallResult::Success { output, .. } => output,
        other => panic!("{other:?}"),
    }
}

fn code(chain: &mut Chain, address: Address, code: &[u8]) {
    chain.state.insert(address, 1, U256::ZERO, Bytes::copy_from_slice(code), BTreeMap::new());
}

#[test]
fn a_call_answers_and_changes_nothing() {
    let mut chain = Chain::default();
    let token = chain.deploy_token(ALICE);
    let before = chain.state.clone();
    let moved =
        run(&chain, &request(ALICE, token, transferCall { to: BOB, value: U256::from(5) }.abi_encode())).unwrap();
    assert_eq!(moved.logs.len(), 1);
    assert_eq!(output(moved), Bytes::from(true.abi_encode()));
    let balance = run(&chain, &request(CAROL, token, balanceOfCall { account: ALICE }.abi_encode())).unwrap();
    assert_eq!(output(balance), Bytes::from(U256::from(1_000_000).abi_encode()));
    assert_eq!(chain.state, before);
}

#[test]
fn reverts_carry_their_data_and_halts_their_reason() {
    let mut chain = Chain::default();
    let hello = chain.deploy(ALICE, creation("HelloWorld", &[]));
    let set = |greeting: &str| request(BOB, hello, setCall { greeting: greeting.to_owned() }.abi_encode());
    let empty: Bytes = Revert::from("HelloWorld: empty greeting").abi_encode().into();
    let long: Bytes = GreetingTooLong { length: U256::from(300), limit: U256::from(256) }.abi_encode().into();
    for (greeting, expected) in [(String::new(), empty), ("x".repeat(300), long)] {
        let outcome = run(&chain, &set(&greeting)).unwrap();
        assert_eq!(outcome.result, CallResult::Revert { output: expected.clone() });
        let Err(EstimateError::Reverted { output }) = estimate(&chain, &set(&greeting)) else { panic!() };
        assert_eq!(output, expected);
    }
    // INVALID, a jump to nowhere, an unknown opcode, an empty stack.
    let halts: [(&[u8], HaltReason, &str); 4] = [
        (&hex!("fe"), HaltReason::InvalidFEOpcode, "invalid opcode: INVALID"),
        (&hex!("5f56"), HaltReason::InvalidJump, "invalid jump destination"),
        (&hex!("0c"), HaltReason::OpcodeNotFound, "invalid opcode"),
        (&hex!("01"), HaltReason::StackUnderflow, "stack underflow"),
    ];
    for (program, reason, message) in halts {
        code(&mut chain, CAROL, program);
        let outcome = run(&chain, &request(ALICE, CAROL, vec![])).unwrap();
        assert_eq!(outcome.result, CallResult::Halt { reason: reason.clone() });
        assert_eq!((halt_message(&reason).as_str(), outcome.gas_used), (message, GAS_CAP));
        let error = estimate(&chain, &request(ALICE, CAROL, vec![])).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn requests_that_contradict_themselves_are_refused() {
    let mut chain = Chain::default();
    chain.give(ALICE, 10);
    let plain = request(ALICE, BOB, vec![]);
    let differing = TransactionRequest {
        input: TransactionInput { input: Some(vec![1].into()), data: Some(vec![2].into()) },
        ..plain.clone()
    };
    let equal = TransactionRequest { input: TransactionInput::both(vec![1].into()), ..plain.clone() };
    assert!(run(&chain, &equal).is_ok());
    let other_chain = TransactionRequest { chain_id: Some(1), ..plain.clone() };
    let blobs = TransactionRequest { blob_versioned_hashes: Some(vec![B256::ZERO]), ..plain.clone() };
    let cases = [
        (differing, RequestError::InputAndDataDiffer),
        (other_chain, RequestError::ChainId { request: 1, chain: CHAIN_ID }),
        (blobs, RequestError::Blobs),
    ];
    for (request, expected) in cases {
        let Err(CallError::Request(error)) = run(&chain, &request) else { panic!("{request:?}") };
        assert_eq!(error, expected);
    }
    let rich = TransactionRequest { value: Some(U256::from(11)), ..plain.clone() };
    let Err(CallError::Invalid(reason)) = run(&chain, &rich) else { panic!() };
    assert_eq!(reason, SkipReason::InsufficientFunds { balance: U256::from(10), needed: U256::from(11) });
    // Prices are nothing, so they need no balance; a nonce of a call is not checked.
    let priced = TransactionRequest { gas_price: Some(u128::MAX), nonce: Some(77), from: Some(CAROL), ..plain };
    assert!(run(&chain, &priced).is_ok());
}

#[test]
fn a_call_ends_when_it_is_told_to() {
    let mut chain = Chain::default();
    // JUMPDEST, PUSH0, JUMP: for ever.
    code(&mut chain, BOB, &hex!("5b5f56"));
    let asked = Cell::new(0);
    let cancelled = || {
        asked.set(asked.get() + 1);
        asked.get() == 3
    };
    let (rules, environment, overrides) = (rules(), chain.environment(), Overrides::default());
    let site = CallSite {
        rules: &rules,
        environment: &environment,
        state: &chain.state,
        overrides: &overrides,
        gas_cap: u64::MAX,
        cancelled: &cancelled,
    };
    let Err(CallError::Cancelled) = call(&site, &request(ALICE, BOB, vec![])) else { panic!() };
    assert_eq!(asked.get(), 3);
}

#[test]
fn gas_is_capped() {
    let mut chain = Chain::default();
    // GAS, PUSH0, MSTORE, PUSH1 32, PUSH0, RETURN.
    code(&mut chain, BOB, &hex!("5a5f5260205ff3"));
    for (asked, given) in [(None, GAS_CAP), (Some(GAS_CAP * 2), GAS_CAP), (Some(100_000), 100_000)] {
        let request = TransactionRequest { gas: asked, ..request(ALICE, BOB, vec![]) };
        let seen = output(run(&chain, &request).unwrap());
        assert_eq!(U256::from_be_slice(&seen), U256::from(given - 21_000 - 2));
    }
}

#[test]
fn state_overrides() {
    let mut chain = Chain::default();
    let token = chain.deploy_token(ALICE);
    let slot = |account: Address| keccak256((account, U256::ZERO).abi_encode());
    let word = |value: u64| B256::from(U256::from(value));
    let of = |account| request(ALICE, token, balanceOfCall { account }.abi_encode());
    let with = |address, account: AccountOverride| Overrides {
        state: Some(StateOverride::from_iter([(address, account)])),
        block: None,
    };
    let balances = |overrides: &Overrides| {
        [ALICE, BOB].map(|account| U256::from_be_slice(&output(run_with(&chain, overrides, &of(account)).unwrap())))
    };
    let diff = with(token, AccountOverride::default().with_state_diff([(slot(BOB), word(9))]));
    assert_eq!(balances(&diff), [U256::from(1_000_000), U256::from(9)]);
    let whole = with(token, AccountOverride::default().with_state([(slot(BOB), word(9))]));
    assert_eq!(balances(&whole), [U256::ZERO, U256::from(9)]);
    // SELFBALANCE, PUSH0, MSTORE, PUSH1 32, PUSH0, RETURN at an account that does not exist.
    let fresh = AccountOverride {
        code: Some(Bytes::from_static(&hex!("475f5260205ff3"))),
        balance: Some(U256::from(77)),
        ..AccountOverride::default()
    };
    let seen = output(run_with(&chain, &with(CAROL, fresh), &request(ALICE, CAROL, vec![])).unwrap());
    assert_eq!(U256::from_be_slice(&seen), U256::from(77));
    let both = AccountOverride::default().with_state([(B256::ZERO, word(1))]).with_state_diff([(B256::ZERO, word(1))]);
    let error = run_with(&chain, &with(token, both), &of(BOB)).unwrap_err();
    assert_eq!(error.to_string(), format!("account {token} has both 'state' and 'stateDiff'"));
}

/// The identity function moves from address 4, where nothing remains.
#[test]
fn precompiled_contracts_can_be_moved() {
    let chain = Chain::default();
    let identity = address!("0000000000000000000000000000000000000004");
    let ask = |overrides: &Overrides, to| output(run_with(&chain, overrides, &request(ALICE, to, vec![1, 2])).unwrap());
    let moved = |from, to| Overrides {
        state: Some(StateOverride::from_iter([(
            from,
            AccountOverride { move_precompile_to: Some(to), ..AccountOverride::default() },
        )])),
        block: None,
    };
    assert_eq!(ask(&Overrides::default(), identity), Bytes::from_static(&[1, 2]));
    assert_eq!(ask(&moved(identity, BOB), BOB), Bytes::from_static(&[1, 2]));
    assert_eq!(ask(&moved(identity, BOB), identity), Bytes::new());
    let error = run_with(&chain, &moved(CAROL, BOB), &request(ALICE, BOB, vec![])).unwrap_err();
    assert_eq!(error.to_string(), format!("account {CAROL} is not a precompile"));
}

#[test]
fn block_overrides() {
    let mut chain = Chain { number: 5, ..Chain::default() };
    let overrides = Overrides {
        state: None,
        block: Some(BlockOverrides {
            number: Some(U256::from(1_000)),
            time: Some(2_000),
            gas_limit: Some(3_000_000),
            coinbase: Some(CAROL),
            random: Some(B256::repeat_byte(4)),
            base_fee: Some(U256::from(5)),
            block_hash: Some(BTreeMap::from([(999, B256::repeat_byte(6))])),
            ..BlockOverrides::default()
        }),
    };
    let expected = [
        ("43", U256::from(1_000)),
        ("42", U256::from(2_000)),
        ("45", U256::from(3_000_000)),
        ("41", U256::from_be_bytes(CAROL.into_word().0)),
        ("44", U256::from_be_bytes([4; 32])),
        ("48", U256::from(5)),
        ("6103e740", U256::from_be_bytes([6; 32])),
        // GASPRICE stays nothing.
        ("3a", U256::ZERO),
    ];
    for (program, value) in expected {
        let program = hex::decode(format!("{program}5f5260205ff3")).unwrap();
        code(&mut chain, BOB, &program);
        let seen = output(run_with(&chain, &overrides, &request(ALICE, BOB, vec![])).unwrap());
        assert_eq!(U256::from_be_slice(&seen), value, "{}", hex::encode(program));
    }
}

#[test]
fn a_plain_transfer_is_estimated_exactly() {
    let mut chain = Chain::default();
    chain.give(ALICE, 10);
    let value = Some(U256::from(10));
    assert_eq!(estimate(&chain, &TransactionRequest { value, ..request(ALICE, BOB, vec![]) }).unwrap(), 21_000);
    let error = estimate(&chain, &TransactionRequest { value, ..request(BOB, ALICE, vec![]) }).unwrap_err();
    assert_eq!(error.to_string(), "insufficient funds for gas * price + value: balance 0, tx cost 10");
}

/// What is estimated suffices, and is a quarter more than the least that does, within the search's tolerance, and what the
/// slots may cost that are written and were not empty.
#[test]
fn estimates_are_a_quarter_above_what_is_needed() {
    let mut chain = Chain::default();
    let token = chain.deploy_token(ALICE);
    // Ends well only if more than 50,000 gas are left at the start: what it uses says nothing about what it needs.
    code(&mut chain, CAROL, &hex!("61c3505a10600957005bfe"));
    let requests = [
        // The sender's balance is there already.
        (request(ALICE, token, transferCall { to: BOB, value: U256::from(5) }.abi_encode()), 1),
        (TransactionRequest { to: None, ..request(BOB, BOB, creation("HelloWorld", &[])) }, 0),
        (request(BOB, BOB, vec![1; 1_000]), 0),
        (request(BOB, CAROL, vec![]), 0),
    ];
    for (request, slots) in requests {
        let estimated = estimate(&chain, &request).unwrap() - 20_000 * slots;
        let suffices = |gas: u64| {
            let outcome = run(&chain, &TransactionRequest { gas: Some(gas), ..request.clone() });
            matches!(outcome, Ok(CallOutcome { result: CallResult::Success { .. }, .. }))
        };
        assert!(suffices(estimated) && suffices(estimated * 4 / 5));
        assert!(!suffices(estimated * 4 / 5 * 96 / 100), "{request:?}: {estimated}");
    }
}

/// Others may empty what a transaction is to write, after it was estimated: writing costs more then, and it succeeds all the
/// same.
#[test]
fn estimates_suffice_where_a_slot_has_become_empty() {
    let mut chain = Chain::default();
    // PUSH0, CALLDATALOAD, PUSH0, SSTORE: writes what it is given.
    let program = hex!("5f355f55");
    let store = |value: u64| request(ALICE, BOB, B256::from(U256::from(value)).to_vec());
    // What is there, and what is to be written: something else, nothing, and what is there already.
    for (before, value) in [(1, 2), (1, 0), (1, 1), (0, 0), (0, 1)] {
        chain.state.insert(BOB, 1, U256::ZERO, program.into(), [(U256::ZERO, U256::from(before))]);
        let gas = estimate(&chain, &store(value)).unwrap();
        for by_then in [0, 1, 2, 3] {
            chain.state.insert(BOB, 1, U256::ZERO, program.into(), [(U256::ZERO, U256::from(by_then))]);
            let outcome = run(&chain, &TransactionRequest { gas: Some(gas), ..store(value) }).unwrap();
            let result = outcome.result;
            assert!(matches!(result, CallResult::Success { .. }), "{before}, {value}, {by_then}: {result:?}");
        }
    }
}

#[test]
fn estimates_stay_within_what_a_transaction_may_have() {
    let mut chain = Chain::default();
    // Ends well only if more than 15,000,000 gas are left at the start: a quarter more is above the cap.
    code(&mut chain, BOB, &hex!("62e4e1c05a10600a57005bfe"));
    let estimated = estimate(&chain, &request(ALICE, BOB, vec![])).unwrap();
    assert_eq!(estimated, TRANSACTION_GAS_LIMIT_MAX);
    // For ever.
    code(&mut chain, BOB, &hex!("5b5f56"));
    let error = estimate(&chain, &request(ALICE, BOB, vec![])).unwrap_err();
    assert_eq!(error.to_string(), "gas required exceeds allowance (16777216)");
    let asked = TransactionRequest { gas: Some(30_000), ..request(ALICE, BOB, vec![]) };
    assert_eq!(estimate(&chain, &asked).unwrap_err().to_string(), "gas required exceeds allowance (30000)");
}

/// The list names what a token transfer touches; with it the transaction runs in a block and uses the gas it says.
#[test]
fn access_lists() {
    let mut chain = Chain::default();
    // SLOAD of slot 1, BALANCE of CAROL, SLOAD of what slot 1 holds (2).
    let program = [&hex!("60015480545073")[..], CAROL.as_slice(), &hex!("315000")].concat();
    chain.state.insert(BOB, 1, U256::ZERO, program.into(), [(U256::from(1), U256::from(2))]);
    let request = request(ALICE, BOB, vec![]);
    let found = with_site(&chain, &Overrides::default(), |site| access_list(site, &request)).unwrap();
    let word = |value: u64| B256::from(U256::from(value));
    let mut expected = AccessList(vec![
        AccessListItem { address: BOB, storage_keys: vec![word(1), word(2)] },
        AccessListItem { address: CAROL, storage_keys: vec![] },
    ]);
    expected.sort();
    assert_eq!((found.access_list, found.error), (expected.clone(), None));
    let sent = sent(ALICE, TxEip1559 { access_list: expected, ..transaction(Some(BOB), vec![]) });
    assert_eq!(U256::from(chain.block(&[sent]).receipts[0].gas_used), found.gas_used);
}

#[test]
fn access_list_of_a_failure_says_why() {
    let mut chain = Chain::default();
    code(&mut chain, BOB, &hex!("5f545f5ffd"));
    let found =
        with_site(&chain, &Overrides::default(), |site| access_list(site, &request(ALICE, BOB, vec![]))).unwrap();
    assert_eq!(found.error.as_deref(), Some("execution reverted"));
    assert_eq!(found.access_list.0.len(), 1);
}
