//! The asset ledger as transactions, contracts and calls meet it, and how a chain gets it.

use crate::calls::{answer, estimated};
use crate::support::{ALICE, BOB, CAROL, Chain, GAS_LIMIT, creation, rules, sent, transaction};
use crate::system::{CALL, CALLCODE, DELEGATECALL, STATICCALL, chain, chain_of, forwarder};
use alloy_consensus::{Header, TxEip1559};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use alloy_rpc_types_eth::simulate::SimulatePayload;
use alloy_rpc_types_trace::geth::GethDebugTracingOptions;
use alloy_sol_types::{SolCall, SolError, SolEvent, SolValue, sol};
use lian_executor::{
    AccountState, BlockTrace, MemoryState, SimulationSite, execute_transactions, execute_transactions_parallel,
    simulate, trace_transaction,
};
pub(crate) use lian_system_contracts::assets::ADDRESS;
use lian_system_contracts::{
    CREDIT_GAS, configuration,
    interfaces::{DelegateCall, IAssets as A, IConfiguration as C},
};
use lian_types::Receipt;
use serde_json::json;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

sol! {
    interface Escrow {
        error NotPaid(uint256 asset, uint256 paid, uint256 needed);
        error NotParty(address caller);
        error AlreadyPaid();
        error AlreadyClosed();
        error DeadlinePassed(uint256 deadline);
        function settle();
        function cancel();
    }
}

/// The first asset of a chain.
const FIRST: U256 = U256::ONE;

fn create() -> Vec<u8> {
    A::createCall { symbol: "USD".into(), name: "Dollar".into(), decimals: 2 }.abi_encode()
}

fn issue(to: Address, amount: U256) -> Vec<u8> {
    A::issueCall { id: FIRST, to, amount, referenceId: B256::ZERO }.abi_encode()
}

/// A payment of the first asset.
pub(crate) fn transfer(to: Address, amount: U256) -> Vec<u8> {
    A::transferCall { id: FIRST, to, amount, referenceId: B256::ZERO }.abi_encode()
}

/// Gives each of these so much of a new asset, whose issuer is Alice.
pub(crate) fn fund(chain: &mut Chain, accounts: &[Address], amount: U256) {
    assert!(chain.send(ALICE, Some(ADDRESS), create()).success);
    for account in accounts {
        assert!(chain.send(ALICE, Some(ADDRESS), issue(*account, amount)).success);
    }
}

fn balance(chain: &Chain, account: Address) -> U256 {
    let call = A::balanceOfCall { id: FIRST, account }.abi_encode();
    A::balanceOfCall::abi_decode_returns(&answer(chain, CAROL, ADDRESS, call).unwrap()).unwrap()
}

fn pay(chain: &mut Chain, from: Address, to: Address, amount: u64) -> Receipt {
    chain.send(from, Some(ADDRESS), transfer(to, U256::from(amount)))
}

#[test]
fn a_payment_is_a_transaction_with_an_event() {
    let mut chain = chain();
    fund(&mut chain, &[BOB], U256::from(100));
    let receipt = pay(&mut chain, BOB, CAROL, 30);
    assert!(receipt.success);
    let [log] = &receipt.logs[..] else { panic!("{:?}", receipt.logs) };
    let event = A::Transferred::decode_log_data(&log.data).unwrap();
    assert_eq!((log.address, event.from, event.to, event.amount), (ADDRESS, BOB, CAROL, U256::from(30)));
    assert_eq!([BOB, CAROL].map(|account| balance(&chain, account)), [70, 30].map(U256::from));
    let receipt = pay(&mut chain, BOB, CAROL, 71);
    assert!(!receipt.success && receipt.logs.is_empty());
    assert_eq!([BOB, CAROL].map(|account| balance(&chain, account)), [70, 30].map(U256::from));
    let refused = answer(&chain, BOB, ADDRESS, transfer(CAROL, U256::from(71))).unwrap_err();
    assert_eq!(A::InsufficientBalance::abi_decode(&refused).unwrap().available, U256::from(70));
    // What is free of a payer is all that a payment depends on, and it is told so.
    let gas = estimated(&chain, BOB, ADDRESS, transfer(CAROL, U256::from(70)));
    assert!(gas > 21_000 + CREDIT_GAS, "{gas}");
}

/// Whether an account has something of the asset already makes no difference to who pays it.
#[test]
fn the_gas_of_a_payment_does_not_depend_on_its_receiver() {
    let mut chain = chain();
    let (new, old) = (Address::repeat_byte(0x11), Address::repeat_byte(0x22));
    fund(&mut chain, &[BOB, old], U256::from(100));
    let gas = [new, old, new, BOB].map(|to| pay(&mut chain, BOB, to, 1).gas_used);
    assert_eq!([gas[1], gas[2]], [gas[0]; 2], "{gas:?}");
    // Of the two that go to the account with nothing in it: signature, input, balance, frozen amount, record, event.
    assert!(gas[0] > 21_000 + CREDIT_GAS + 3 * 2_100 + 5 * 375 && gas[0] < 60_000, "{gas:?}");
    // Paying oneself is a write less: the balance ends as it was.
    assert_eq!(balance(&chain, BOB), U256::from(97));
}

#[test]
fn a_full_batch_fits_a_transaction() {
    let mut chain = chain();
    fund(&mut chain, &[BOB], U256::from(100_000));
    let payment = |number: u64| A::Payment {
        to: Address::from_word(B256::repeat_byte(u8::try_from(number % 251).unwrap() + 1)),
        amount: U256::from(number % 7),
        referenceId: B256::repeat_byte(0xee),
    };
    let input = A::batchTransferCall { id: FIRST, payments: (0..1_000).map(payment).collect() }.abi_encode();
    let gas = estimated(&chain, BOB, ADDRESS, input.clone());
    let nonce = chain.nonce(BOB);
    let batch = TxEip1559 { nonce, gas_limit: gas, ..transaction(Some(ADDRESS), input) };
    let outcome = chain.block(&[sent(BOB, batch)]);
    assert!(outcome.receipts[0].success, "{gas}");
    assert_eq!(outcome.receipts[0].logs.len(), 1_000);
    let paid: u64 = (0..1_000).map(|number| number % 7).sum();
    assert_eq!(balance(&chain, BOB), U256::from(100_000 - paid));
}

#[test]
fn contracts_pay_for_themselves_only() {
    let mut chain = chain();
    fund(&mut chain, &[ALICE, BOB], U256::from(100));
    let through = |chain: &Chain, call: u8, input: Vec<u8>| {
        let mut chain = Chain { state: chain.state.clone(), number: chain.number };
        chain.state.insert(BOB, 1, U256::ZERO, forwarder(ADDRESS, call).into(), BTreeMap::new());
        answer(&chain, ALICE, BOB, input)
    };
    // Bob has 100, and Alice's are not his.
    let refused = through(&chain, CALL, transfer(CAROL, U256::from(101))).unwrap_err();
    assert_eq!(A::InsufficientBalance::abi_decode(&refused).unwrap().account, BOB);
    assert!(through(&chain, CALL, transfer(CAROL, U256::from(100))).is_ok());
    for call in [DELEGATECALL, CALLCODE] {
        let refused = through(&chain, call, transfer(CAROL, U256::from(1))).unwrap_err();
        assert_eq!(DelegateCall::abi_decode(&refused).unwrap().contractAddress, ADDRESS);
    }
    assert_eq!(through(&chain, STATICCALL, transfer(CAROL, U256::from(1))).unwrap_err(), Bytes::new());
    let question = A::balanceOfCall { id: FIRST, account: ALICE }.abi_encode();
    assert_eq!(through(&chain, STATICCALL, question.clone()), answer(&chain, CAROL, ADDRESS, question));
}

#[test]
fn a_revert_above_undoes_a_payment() {
    let mut chain = chain();
    fund(&mut chain, &[BOB], U256::from(100));
    // CALLDATACOPY, CALL, REVERT(0, 0).
    let mut code = hex!("365f5f37 5f5f 36 5f 5f 73").to_vec();
    code.extend_from_slice(ADDRESS.as_slice());
    code.extend(hex!("5af1 5f5ffd"));
    chain.state.insert(BOB, 1, U256::ZERO, code.into(), BTreeMap::new());
    let before = chain.state.accounts.get(&ADDRESS).cloned();
    let receipt = chain.send(ALICE, Some(BOB), transfer(CAROL, U256::from(60)));
    assert!(!receipt.success && receipt.logs.is_empty());
    assert_eq!(chain.state.accounts.get(&ADDRESS), before.as_ref());
}

/// A chain of version 0 whose operator has switched version 1 on in block 1: it acts from block 9 on. Bob has sent some
/// coins to the address, and the next block is block 9.
fn before_the_switch() -> Chain {
    let mut chain = chain_of(0);
    chain.give(BOB, 10);
    let set = C::setCall { name: "protocol_version".into(), value: U256::ONE }.abi_encode();
    assert!(chain.send(ALICE, Some(configuration::ADDRESS), set).success);
    let coins = TxEip1559 { to: TxKind::Call(ADDRESS), value: U256::from(3), ..transaction(None, vec![]) };
    assert!(chain.block(&[sent(BOB, coins)]).receipts[0].success);
    for _ in 3..=8 {
        // An ordinary account without code: nothing happens.
        let receipt = chain.send(ALICE, Some(ADDRESS), create());
        assert!(receipt.success && receipt.logs.is_empty());
    }
    assert_eq!(chain.number, 8);
    let account = chain.state.accounts.get(&ADDRESS).unwrap();
    assert_eq!(account.state, AccountState { balance: U256::from(3), ..AccountState::default() });
    chain
}

#[test]
fn the_account_comes_with_the_first_block_of_its_version() {
    let mut chain = before_the_switch();
    assert_eq!(answer(&chain, ALICE, ADDRESS, A::countCall {}.abi_encode()), Ok(Bytes::new()));
    let outcome =
        chain.block(&[sent(ALICE, TxEip1559 { nonce: chain.nonce(ALICE), ..transaction(Some(ADDRESS), create()) })]);
    let [log] = &outcome.receipts[0].logs[..] else { panic!("{outcome:?}") };
    assert_eq!(A::AssetCreated::decode_log_data(&log.data).unwrap().asset, FIRST);
    let account = outcome.changes.accounts[&ADDRESS].account.unwrap();
    assert_eq!((account.nonce, account.balance, account.has_code()), (1, U256::from(3), true));
    assert_eq!(outcome.changes.codes.get(&account.code_hash), Some(&Bytes::from_static(&hex!("5f5ffd"))));
    // Like that of a chain which had it from the beginning, and only once.
    let begun = chain_of(1).state.accounts[&ADDRESS].state;
    assert_eq!((begun.nonce, begun.code_hash), (account.nonce, account.code_hash));
    let empty = chain.block(&[]);
    assert!(empty.changes.accounts.is_empty(), "{:?}", empty.changes);
    assert_eq!(answer(&chain, ALICE, ADDRESS, A::countCall {}.abi_encode()).unwrap(), Bytes::from(B256::from(FIRST)));
}

/// Even an empty block makes it, and the address is warm from that block on, not before.
#[test]
fn an_empty_block_makes_the_account() {
    // EXTCODESIZE of the address, stored at slot 0 as the gas that it took.
    let code = [&hex!("5a73")[..], ADDRESS.as_slice(), &hex!("3b505a90035f5500")].concat();
    let gas = |chain: &mut Chain| {
        let receipt = chain.send(ALICE, Some(CAROL), vec![]);
        assert!(receipt.success);
        chain.state.accounts[&CAROL].storage[&U256::ZERO].to::<u64>()
    };
    let mut chain = before_the_switch();
    chain.state.insert(CAROL, 1, U256::ZERO, code.into(), BTreeMap::new());
    let mut other = Chain { state: chain.state.clone(), number: 7 };
    assert!(gas(&mut other) > 2_600);
    let outcome = chain.block(&[]);
    assert_eq!(outcome.changes.accounts.keys().collect::<Vec<_>>(), [&ADDRESS]);
    assert!(gas(&mut chain) < 200);
}

/// Whoever executes, traces or simulates the block finds the same.
#[test]
fn every_way_to_execute_a_block_knows_its_version() {
    let chain = before_the_switch();
    let next = Chain { state: chain.state.clone(), number: 9 };
    let environment = next.environment();
    let nonce = chain.nonce(ALICE);
    let block: Vec<_> = [create(), issue(BOB, U256::from(5))]
        .into_iter()
        .zip(nonce..)
        .map(|(input, nonce)| sent(ALICE, TxEip1559 { nonce, ..transaction(Some(ADDRESS), input) }))
        .chain([sent(BOB, TxEip1559 { nonce: 1, ..transaction(Some(ADDRESS), transfer(CAROL, U256::from(2))) })])
        .collect();
    let serial = execute_transactions(&rules(), &environment, &chain.state, &block).unwrap();
    assert!(serial.receipts.iter().all(|receipt| receipt.success && receipt.logs.len() == 1));
    let threads = NonZeroUsize::new(4).unwrap();
    let parallel = execute_transactions_parallel(&rules(), &environment, &chain.state, &block, threads).unwrap();
    assert_eq!(serial, parallel);

    let options: GethDebugTracingOptions = serde_json::from_value(json!({"tracer": "callTracer"})).unwrap();
    let trace = trace_transaction(
        &BlockTrace {
            rules: &rules(),
            environment: &environment,
            hash: B256::ZERO,
            state: &chain.state,
            transactions: &block,
            options: &options,
            cancelled: &|| false,
        },
        2,
    );
    let trace = serde_json::to_value(trace.unwrap()).unwrap();
    assert_eq!(trace["gasUsed"], format!("{:#x}", serial.receipts[2].gas_used));
    assert!(trace["error"].is_null(), "{trace}");
}

#[test]
fn a_simulation_crosses_the_switch() {
    let chain = before_the_switch();
    let header = Header { number: 7, timestamp: 1_700_000_007, gas_limit: GAS_LIMIT, ..Header::default() };
    let call = json!({"from": ALICE, "to": ADDRESS, "input": Bytes::from(create())});
    let block = json!({"calls": [call]});
    let payload: SimulatePayload = serde_json::from_value(json!({"blockStateCalls": [block, block]})).unwrap();
    let site = SimulationSite {
        rules: &rules(),
        header: &header,
        hash: header.hash_slow(),
        state: &chain.state,
        trie: None,
        gas_cap: 50_000_000,
        cancelled: &|| false,
    };
    let blocks = simulate(&site, &payload).unwrap();
    let seen: Vec<_> = blocks.iter().map(|block| (block.header.number, block.calls[0].logs.len())).collect();
    assert_eq!(seen, [(8, 0), (9, 1)]);
    assert_eq!(blocks[1].calls[0].return_data, Bytes::from(B256::from(FIRST)));
}

/// A chain without operators has no system contracts, whatever the address.
#[test]
fn a_chain_without_contracts_has_none_of_them() {
    let rules = lian_executor::Rules::new(rules().suite, rules().chain_id);
    let environment = Chain::default().environment();
    let call = sent(ALICE, transaction(Some(ADDRESS), create()));
    let outcome = execute_transactions(&rules, &environment, &MemoryState::default(), &[call]).unwrap();
    assert!(outcome.receipts[0].success && outcome.receipts[0].logs.is_empty());
    assert!(!outcome.changes.accounts.contains_key(&ADDRESS));
}

/// An escrow that Alice delivers 5 of asset 1 to for Bob's 50 of asset 2, of which both have 100, and its address.
fn escrow(deadline: u64) -> (Chain, Address) {
    let mut chain = chain();
    fund(&mut chain, &[ALICE], U256::from(100));
    let create = A::createCall { symbol: "BOND".into(), name: "Bond".into(), decimals: 0 }.abi_encode();
    assert!(chain.send(BOB, Some(ADDRESS), create).success);
    let issue = A::issueCall { id: U256::from(2), to: BOB, amount: U256::from(100), referenceId: B256::ZERO };
    assert!(chain.send(BOB, Some(ADDRESS), issue.abi_encode()).success);
    let deal = (
        (ALICE, FIRST, U256::from(5)),
        (BOB, U256::from(2), U256::from(50)),
        U256::from(deadline),
        B256::repeat_byte(0xd1),
    );
    let escrow = chain.deploy(CAROL, creation("Escrow", &deal.abi_encode_params()));
    (chain, escrow)
}

fn deliver(chain: &mut Chain, from: Address, id: u64, to: Address, amount: u64) {
    let call = A::transferCall { id: U256::from(id), to, amount: U256::from(amount), referenceId: B256::ZERO };
    assert!(chain.send(from, Some(ADDRESS), call.abi_encode()).success);
}

fn holdings(chain: &Chain, id: u64, accounts: [Address; 3]) -> [u64; 3] {
    accounts.map(|account| {
        let call = A::balanceOfCall { id: U256::from(id), account }.abi_encode();
        A::balanceOfCall::abi_decode_returns(&answer(chain, CAROL, ADDRESS, call).unwrap()).unwrap().to()
    })
}

/// A contract of Solidity holds assets and gives both sides at once, or none.
#[test]
fn an_escrow_delivers_against_payment() {
    let (mut chain, escrow) = escrow(u64::MAX);
    let settle = Escrow::settleCall {}.abi_encode();
    let refused = |chain: &Chain, from: Address, input: Vec<u8>| answer(chain, from, escrow, input).unwrap_err();
    deliver(&mut chain, ALICE, 1, escrow, 5);
    deliver(&mut chain, BOB, 2, escrow, 49);
    let error = Escrow::NotPaid::abi_decode(&refused(&chain, CAROL, settle.clone())).unwrap();
    assert_eq!((error.asset, error.paid, error.needed), (U256::from(2), U256::from(49), U256::from(50)));
    assert!(!chain.send(CAROL, Some(escrow), settle.clone()).success);
    // What it had given before it failed is back.
    assert_eq!(holdings(&chain, 1, [ALICE, BOB, escrow]), [95, 0, 5]);
    deliver(&mut chain, BOB, 2, escrow, 3);
    let cancel = Escrow::cancelCall {}.abi_encode();
    assert!(Escrow::AlreadyPaid::abi_decode(&refused(&chain, ALICE, cancel.clone())).is_ok());
    assert!(Escrow::NotParty::abi_decode(&refused(&chain, CAROL, cancel)).is_ok());
    let receipt = chain.send(CAROL, Some(escrow), settle.clone());
    assert!(receipt.success);
    let paid = receipt.logs.iter().filter_map(|log| A::Transferred::decode_log_data(&log.data).ok());
    assert_eq!(paid.map(|paid| paid.referenceId).collect::<Vec<_>>(), [B256::repeat_byte(0xd1); 3]);
    assert_eq!(holdings(&chain, 1, [ALICE, BOB, escrow]), [95, 5, 0]);
    assert_eq!(holdings(&chain, 2, [ALICE, BOB, escrow]), [50, 50, 0]);
    assert!(Escrow::AlreadyClosed::abi_decode(&refused(&chain, CAROL, settle)).is_ok());
}

#[test]
fn an_escrow_gives_back_what_was_not_settled() {
    let cancel = Escrow::cancelCall {}.abi_encode();
    let (mut chain, escrow) = escrow(u64::MAX);
    deliver(&mut chain, ALICE, 1, escrow, 5);
    assert!(chain.send(BOB, Some(escrow), cancel.clone()).success);
    assert_eq!(holdings(&chain, 1, [ALICE, BOB, escrow]), [100, 0, 0]);
    // What arrives too late goes back as well.
    deliver(&mut chain, BOB, 2, escrow, 50);
    assert!(chain.send(CAROL, Some(escrow), cancel.clone()).success);
    assert_eq!(holdings(&chain, 2, [ALICE, BOB, escrow]), [0, 100, 0]);

    // From the deadline on anyone may give both sides back, and nobody settles.
    let (mut chain, escrow) = self::escrow(1_700_000_000);
    deliver(&mut chain, ALICE, 1, escrow, 5);
    deliver(&mut chain, BOB, 2, escrow, 50);
    let settle = answer(&chain, CAROL, escrow, Escrow::settleCall {}.abi_encode()).unwrap_err();
    assert!(Escrow::DeadlinePassed::abi_decode(&settle).is_ok());
    assert!(chain.send(CAROL, Some(escrow), cancel).success);
    assert_eq!(holdings(&chain, 1, [ALICE, BOB, escrow]), [100, 0, 0]);
    assert_eq!(holdings(&chain, 2, [ALICE, BOB, escrow]), [0, 100, 0]);
}
