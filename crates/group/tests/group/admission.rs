//! What the state says about a sender before the pool takes its transaction.

use crate::setup::{CHAIN_ID, SUITE, account, genesis, sign, transfer, verified};
use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, TxKind, U256};
use alloy_sol_types::SolCall;
use lian_executor::{BlockEnvironment, MemoryState, Rules, execute_transactions, genesis_block};
use lian_group::account_view;
use lian_system_contracts::{interfaces::IPermissions, permissions};
use lian_txpool::{AccountView, Origin};
use lian_types::PROTOCOL_VERSION_MAX;

/// A client is told at once that the account is frozen. What other members pass on is taken: they may not know it yet, or no
/// longer, and only the block's verdict binds.
#[test]
fn who_is_frozen_is_refused_by_its_own_node_alone() {
    let mut genesis = genesis();
    let group = &mut genesis.groups[0];
    (group.operators, group.protocol_version) = (vec![account()], PROTOCOL_VERSION_MAX);
    let group = genesis.groups[0].clone();
    let mut state = MemoryState::default();
    state.apply(&genesis_block(SUITE, &genesis, &group).unwrap().changes);
    let payment = verified(transfer(1));
    let views = |state: &MemoryState| [Origin::Local, Origin::Peer].map(|origin| account_view(state, &payment, origin));
    let funded = AccountView { balance: U256::from(1_000_000), ..AccountView::default() };
    for view in views(&state) {
        assert_eq!(view.unwrap(), funded);
    }
    let call = |nonce, input: Vec<u8>| {
        let to = TxKind::Call(permissions::ADDRESS);
        verified(sign(TxEip1559 { nonce, to, gas_limit: 1_000_000, input: input.into(), ..TxEip1559::default() }))
    };
    let freeze = IPermissions::freezeCall { target: account(), reason: String::new() };
    let environment = BlockEnvironment::new(1, 1, Address::ZERO, u64::MAX);
    let rules = Rules::new(SUITE, CHAIN_ID).with_system_contracts();
    let outcome = execute_transactions(&rules, &environment, &state, &[call(0, freeze.abi_encode())]).unwrap();
    assert!(outcome.receipts[0].success);
    state.apply(&outcome.changes);
    let [own, peers] = views(&state).map(Result::unwrap);
    assert_eq!(own, AccountView { nonce: 1, is_frozen: true, ..funded });
    assert_eq!(peers, AccountView { nonce: 1, ..funded });
    // By which it may be thawed.
    let governing = call(1, Vec::new());
    assert!(!account_view(&state, &governing, Origin::Local).unwrap().is_frozen);
}
