//! What a block of transactions does: gas, fees, and what is skipped.

use crate::support::{ALICE, BOB, CAROL, CHAIN_ID, Chain, GAS_LIMIT, PROPOSER, rules, sent, transaction};
use alloy_consensus::{TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE};
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex};
use lian_executor::{AccountState, Rules, SkipReason, SpecId, StateReader, execute_transactions};
use lian_types::limits::TRANSACTION_GAS_LIMIT_MAX;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Gas by the rules of the yellow paper and EIPs 2028, 2929, 3529, 3860 and 7623, computed by hand.
#[test]
fn gas_of_small_programs() {
    let calldata_floor = 21_000 + 4 * 10 * 2 + 10 * 3;
    let cases: [(&str, &[u8], &[u8], u64); 7] = [
        ("nothing", &[], &[], 21_000),
        ("STOP", &hex!("00"), &[], 21_000),
        // Two bytes that are not zero and three that are: 16 and 4 gas each, but at least 40 and 10.
        ("calldata", &[], &[1, 1, 0, 0, 0], calldata_floor),
        // PUSH1 1, PUSH1 0, SSTORE: a cold slot (2,100) from zero (20,000).
        ("SSTORE", &hex!("6001600055"), &[], 21_000 + 6 + 22_100),
        // The same slot set and cleared again: 100 for the second, and 19,900 of the first given back, at most a fifth.
        ("SSTORE back", &hex!("60016000556000600055"), &[], {
            let spent = 21_000 + 12 + 22_100 + 100;
            spent - spent / 5
        }),
        // PUSH1 0, SLOAD, POP, PUSH1 0, SLOAD: cold, then warm.
        ("SLOAD twice", &hex!("60005450600054"), &[], 21_000 + 3 + 2_100 + 2 + 3 + 100),
        // PUSH0 PUSH0 LOG0.
        ("LOG0", &hex!("5f5fa0"), &[], 21_000 + 4 + 375),
    ];
    for (name, code, input, expected) in cases {
        let mut chain = Chain::default();
        chain.state.insert(BOB, 1, U256::ZERO, Bytes::copy_from_slice(code), BTreeMap::new());
        let receipt = chain.send(ALICE, Some(BOB), input.to_vec());
        assert!(receipt.success, "{name}");
        assert_eq!(receipt.gas_used, expected, "{name}");
    }
}

#[test]
fn every_type_of_transaction_runs() {
    let mut chain = Chain::default();
    chain.give(ALICE, 1_000);
    let (to, value, gas_limit) = (TxKind::Call(CAROL), U256::from(1), 100_000);
    let access_list = AccessList(vec![AccessListItem { address: BOB, storage_keys: vec![B256::ZERO] }]);
    let authorization = Authorization { chain_id: U256::from(CHAIN_ID), address: BOB, nonce: 0 }
        .into_signed(Signature::new(U256::from(1), U256::from(2), false));
    let authority = authorization.recover_authority().unwrap();
    let legacy = TxLegacy { chain_id: Some(CHAIN_ID), nonce: 0, gas_limit, to, value, ..TxLegacy::default() };
    let listed = TxEip2930 { chain_id: CHAIN_ID, nonce: 1, gas_limit, to, value, access_list, ..TxEip2930::default() };
    let dynamic = TxEip1559 { nonce: 2, to, value, ..transaction(None, vec![]) };
    let delegating = TxEip7702 {
        chain_id: CHAIN_ID,
        nonce: 3,
        gas_limit,
        to: CAROL,
        value,
        authorization_list: vec![authorization],
        ..TxEip7702::default()
    };
    let outcome =
        chain.block(&[sent(ALICE, legacy), sent(ALICE, listed), sent(ALICE, dynamic), sent(ALICE, delegating)]);

    assert_eq!(outcome.skipped, vec![]);
    assert_eq!(outcome.included, vec![0, 1, 2, 3]);
    let receipts: Vec<_> =
        outcome.receipts.iter().map(|r| (r.transaction_type, r.success, r.gas_used, r.cumulative_gas_used)).collect();
    // An access list costs 2,400 an address and 1,900 a slot (EIP-2930), an authorization 25,000 (EIP-7702).
    let expected = vec![
        (0, true, 21_000, 21_000),
        (1, true, 25_300, 46_300),
        (2, true, 21_000, 67_300),
        (4, true, 46_000, 113_300),
    ];
    assert_eq!(receipts, expected);
    assert_eq!((outcome.gas_used, chain.nonce(ALICE)), (113_300, 4));
    assert_eq!((chain.balance(ALICE), chain.balance(CAROL)), (U256::from(996), U256::from(4)));
    // EIP-7702: the authority's code points to the account that it named, and its nonce has risen.
    let delegated = chain.state.account(authority).unwrap().unwrap();
    assert_eq!(delegated.nonce, 1);
    let code = [&hex!("ef0100")[..], BOB.as_slice()].concat();
    assert_eq!(chain.state.code(delegated.code_hash).unwrap(), Bytes::from(code));
}

/// Who offers a price pays nothing and need own nothing; the proposer earns nothing; contracts see a price of zero.
#[test]
fn fees_are_neither_charged_nor_checked() {
    // GASPRICE, PUSH0, SSTORE, BASEFEE, PUSH1 1, SSTORE: both stay zero, and so leave no trace.
    let code = Bytes::from_static(&hex!("3a5f554860015500"));
    let prices = [(0, 0), (1_000_000_000, 1_000_000_000), (u128::MAX, 1), (5, u128::MAX)];
    for (max_fee_per_gas, max_priority_fee_per_gas) in prices {
        let mut chain = Chain::default();
        chain.state.insert(BOB, 1, U256::ZERO, code.clone(), BTreeMap::new());
        let priced = TxEip1559 { max_fee_per_gas, max_priority_fee_per_gas, ..transaction(Some(BOB), vec![]) };
        let legacy = TxLegacy {
            chain_id: Some(CHAIN_ID),
            gas_price: max_fee_per_gas,
            gas_limit: TRANSACTION_GAS_LIMIT_MAX,
            to: TxKind::Call(BOB),
            nonce: 1,
            ..TxLegacy::default()
        };
        let outcome = chain.block(&[sent(ALICE, priced), sent(ALICE, legacy)]);
        assert_eq!(outcome.skipped, vec![]);
        assert!(outcome.receipts.iter().all(|receipt| receipt.success));
        // Only the sender's nonce changed.
        let changed: Vec<_> = outcome.changes.accounts.keys().copied().collect();
        assert_eq!(changed, vec![ALICE]);
        assert_eq!(chain.state.account(PROPOSER).unwrap(), None);
        assert_eq!(chain.nonce(ALICE), 2);
    }
}

/// One transaction of each kind that cannot run where it stands, between two that can.
#[test]
fn invalid_transactions_are_skipped_with_their_reason() {
    type Change = fn(&mut TxEip1559);
    let cases: [(Address, Change, SkipReason); 11] = [
        (ALICE, |t| t.nonce = 0, SkipReason::NonceTooLow { transaction: 0, state: 1 }),
        (ALICE, |t| t.nonce = 3, SkipReason::NonceTooHigh { transaction: 3, state: 1 }),
        (ALICE, |t| t.nonce = u64::MAX, SkipReason::NonceMax),
        (ALICE, |t| t.gas_limit = 20_999, SkipReason::IntrinsicGas { limit: 20_999, needed: 21_000 }),
        (
            ALICE,
            |t| (t.gas_limit, t.input) = (25_000, vec![1; 200].into()),
            SkipReason::FloorGas { limit: 25_000, needed: 29_000 },
        ),
        (
            ALICE,
            |t| t.gas_limit = TRANSACTION_GAS_LIMIT_MAX + 1,
            SkipReason::GasLimitAboveCap { limit: TRANSACTION_GAS_LIMIT_MAX + 1, cap: TRANSACTION_GAS_LIMIT_MAX },
        ),
        (ALICE, |t| t.gas_limit = GAS_LIMIT, SkipReason::BlockGasLimit { limit: GAS_LIMIT, left: GAS_LIMIT - 21_000 }),
        (
            ALICE,
            |t| t.value = U256::from(1_000),
            SkipReason::InsufficientFunds { balance: U256::from(999), needed: U256::from(1_000) },
        ),
        (CAROL, |_| {}, SkipReason::SenderHasCode),
        (ALICE, |t| (t.to, t.input) = (TxKind::Create, vec![0; 49_153].into()), SkipReason::InitCodeSize),
        (ALICE, |t| t.chain_id = 1, SkipReason::ChainId),
    ];
    for (sender, change, reason) in cases {
        let mut chain = Chain::default();
        chain.give(ALICE, 1_000);
        chain.state.insert(CAROL, 1, U256::ZERO, Bytes::from_static(&[0]), BTreeMap::new());
        let plain =
            |nonce| TxEip1559 { nonce, value: U256::from(1), gas_limit: 21_000, ..transaction(Some(BOB), vec![]) };
        let mut bad = TxEip1559 { value: U256::ZERO, ..plain(1) };
        change(&mut bad);
        let transactions = [sent(ALICE, plain(0)), sent(sender, bad), sent(ALICE, plain(1))];
        let outcome = chain.block(&transactions);
        let skipped: Vec<_> = outcome.skipped.iter().map(|(s, r)| (s.position, s.hash, r.clone())).collect();
        assert_eq!(skipped, vec![(1, transactions[1].hash(), reason)]);
        assert_eq!((outcome.included, outcome.gas_used), (vec![0, 2], 42_000));
        assert_eq!((chain.balance(BOB), chain.nonce(ALICE)), (U256::from(2), 2));
    }
}

#[test]
fn authorizations_need_not_be_there_in_vain() {
    let empty = TxEip7702 { chain_id: CHAIN_ID, gas_limit: 100_000, to: BOB, ..TxEip7702::default() };
    let outcome = Chain::default().block(&[sent(ALICE, empty)]);
    assert_eq!(outcome.skipped[0].1, SkipReason::EmptyAuthorizations);
}

/// A transaction that fails is in the block: it uses gas and its nonce, and nothing else stays of it.
#[test]
fn failures_leave_nothing_but_nonce_and_gas() {
    // CALLVALUE, PUSH0, SSTORE, LOG0, then either REVERT or INVALID.
    for (ending, gas_used) in [("5f5ffd", None), ("fe", Some(100_000))] {
        let code = hex::decode(format!("345f555f5fa0{ending}")).unwrap();
        let mut chain = Chain::default();
        chain.give(ALICE, 10);
        chain.state.insert(BOB, 1, U256::ZERO, code.into(), BTreeMap::new());
        let outcome = chain.block(&[sent(
            ALICE,
            TxEip1559 { value: U256::from(7), gas_limit: 100_000, ..transaction(Some(BOB), vec![]) },
        )]);
        let receipt = &outcome.receipts[0];
        assert_eq!((receipt.success, receipt.logs.len()), (false, 0));
        assert_eq!(receipt.gas_used, gas_used.unwrap_or(21_000 + 2 + 2 + 22_100 + 4 + 375 + 4));
        assert_eq!(outcome.changes.accounts.keys().copied().collect::<Vec<_>>(), vec![ALICE]);
        assert_eq!((chain.balance(ALICE), chain.nonce(ALICE)), (U256::from(10), 1));
    }
}

/// EIP-161 and the rule that only what differs is a change.
#[test]
fn only_real_changes_are_reported() {
    // Sets slot 0 to 1 and back to what it was.
    let code = Bytes::from_static(&hex!("600160005560056000550000"));
    let mut chain = Chain::default();
    chain.give(ALICE, 10);
    chain.state.insert(BOB, 1, U256::ZERO, code, [(U256::ZERO, U256::from(5))]);
    // An empty account that exists, as no transaction can leave one.
    chain.state.insert(CAROL, 0, U256::ZERO, Bytes::new(), BTreeMap::new());
    let to = |to: Address, nonce| sent(ALICE, TxEip1559 { nonce, ..transaction(Some(to), vec![]) });
    let nobody = Address::repeat_byte(0x77);
    let outcome = chain.block(&[to(BOB, 0), to(CAROL, 1), to(nobody, 2)]);
    assert!(outcome.receipts.iter().all(|receipt| receipt.success));
    let accounts: Vec<_> = outcome.changes.accounts.iter().map(|(a, change)| (*a, change.account)).collect();
    let alice = AccountState { nonce: 3, balance: U256::from(10), ..AccountState::default() };
    assert_eq!(accounts, vec![(ALICE, Some(alice)), (CAROL, None)]);
    assert!(outcome.changes.codes.is_empty());
}

/// A contract that is created, pays out and destroys itself in one transaction leaves nothing; one that was there before
/// stays (EIP-6780).
#[test]
fn self_destruction() {
    // Creation code: PUSH20 CAROL, SELFDESTRUCT.
    let destroy = Bytes::from([&hex!("73")[..], CAROL.as_slice(), &hex!("ff")].concat());
    let mut chain = Chain::default();
    chain.give(ALICE, 10);
    chain.state.insert(BOB, 1, U256::from(4), destroy.clone(), BTreeMap::new());
    let create = TxEip1559 { value: U256::from(3), ..transaction(None, destroy) };
    let call = TxEip1559 { nonce: 1, ..transaction(Some(BOB), vec![]) };
    let outcome = chain.block(&[sent(ALICE, create), sent(ALICE, call)]);
    assert!(outcome.receipts.iter().all(|receipt| receipt.success));
    assert_eq!(outcome.changes.accounts.keys().copied().collect::<Vec<_>>(), vec![ALICE, BOB, CAROL]);
    assert_eq!(chain.balance(CAROL), U256::from(7));
    assert!(chain.state.account(BOB).unwrap().unwrap().has_code());
}

/// EIP-2935: the parent's hash is in the contract's storage and answers its calls, and `BLOCKHASH` agrees.
#[test]
fn history_contract_keeps_the_parents_hash() {
    // mstore(0, number - 1); sstore(0, blockhash(mload(0)))
    let mut code = hex!("600143035f525f51405f55").to_vec();
    // staticcall(gas, history, 0, 32, 32, 32); sstore(1, mload(32))
    code.extend(hex!("6020602060205f73"));
    code.extend_from_slice(HISTORY_STORAGE_ADDRESS.as_slice());
    code.extend(hex!("5afa50602051600155"));
    let mut chain = Chain::default();
    chain.state.insert(HISTORY_STORAGE_ADDRESS, 1, U256::ZERO, HISTORY_STORAGE_CODE.clone(), BTreeMap::new());
    chain.state.insert(BOB, 1, U256::ZERO, code.into(), BTreeMap::new());
    chain.number = 8_191 + 5;
    let parent = B256::repeat_byte(0xab);
    let mut environment = chain.environment();
    environment.parent_hash = Some(parent);
    let outcome =
        execute_transactions(&rules(), &environment, &chain.state, &[sent(ALICE, transaction(Some(BOB), vec![]))])
            .unwrap();
    assert!(outcome.receipts[0].success);
    let word = U256::from_be_bytes(parent.0);
    let history = &outcome.changes.accounts[&HISTORY_STORAGE_ADDRESS];
    assert_eq!(history.storage, BTreeMap::from([(U256::from(4), word)]));
    let seen = &outcome.changes.accounts[&BOB];
    assert_eq!(seen.storage, BTreeMap::from([(U256::ZERO, word), (U256::from(1), word)]));
}

/// A state that cannot be read is no reason to skip a transaction.
#[test]
fn unreadable_state_stops_the_block() {
    let mut chain = Chain::default();
    let code_hash = B256::repeat_byte(9);
    chain.state.accounts.entry(BOB).or_default().state = AccountState { nonce: 1, balance: U256::ZERO, code_hash };
    let transactions = [sent(ALICE, transaction(Some(BOB), vec![]))];
    let error = execute_transactions(&rules(), &chain.environment(), &chain.state, &transactions).unwrap_err();
    assert_eq!(error.to_string(), format!("state cannot be read: no code with hash {code_hash}"));
}

/// Before EIP-6780 a contract can be destroyed and made again in one block: nothing of its old storage may remain.
#[test]
fn a_contract_made_again_has_none_of_its_old_storage() {
    let factory = Address::repeat_byte(0x22);
    // Creation code: sstore(0, 7), then return the code `CALLER SELFDESTRUCT`.
    let program = hex!("60075f556133ff5f526002601ef3");
    let child = factory.create2(B256::ZERO, alloy_primitives::keccak256(program));
    let mut chain = Chain::default();
    // calldatacopy(0, 0, calldatasize); create2(0, 0, calldatasize, 0).
    chain.state.insert(factory, 1, U256::ZERO, Bytes::from_static(&hex!("365f5f375f365f5ff500")), BTreeMap::new());
    let old = [(U256::ZERO, U256::from(1)), (U256::from(5), U256::from(9))];
    chain.state.insert(child, 1, U256::ZERO, Bytes::from_static(&hex!("33ff")), old);
    let destroy = sent(ALICE, transaction(Some(child), vec![]));
    let make = sent(ALICE, TxEip1559 { nonce: 1, ..transaction(Some(factory), program.to_vec()) });
    let rules = Rules { spec: SpecId::SHANGHAI, ..rules() };
    let run =
        |transactions: &[_]| execute_transactions(&rules, &chain.environment(), &chain.state, transactions).unwrap();

    let gone = run(&[Arc::clone(&destroy)]);
    let change = &gone.changes.accounts[&child];
    assert_eq!((change.account, change.storage_cleared, change.storage.len()), (None, true, 0));

    let again = run(&[destroy, make]);
    assert!(again.receipts.iter().all(|receipt| receipt.success));
    let change = &again.changes.accounts[&child];
    assert!(change.storage_cleared);
    assert_eq!(change.storage, BTreeMap::from([(U256::ZERO, U256::from(7))]));
    // Its code is what it was, so that there is none to store.
    assert!(again.changes.codes.is_empty());
}
