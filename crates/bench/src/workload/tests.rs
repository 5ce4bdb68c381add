//! Every workload through the executor: accepted, conserved, and a tampered state is noticed.

use super::*;
use alloy_primitives::{B256, keccak256};
use lian_crypto::{Suite, VerifiedTransaction};
use lian_executor::{
    BlockEnvironment, CallResult, CallSite, MemoryState, Outcome, Overrides, Rules, StateReader, call,
    execute_transactions, genesis_block,
};
use lian_system_contracts::assets;
use lian_types::{
    ConsensusParameters, Genesis, GroupGenesis, GroupId, Institution, Millis, NodeEntry, PROTOCOL_VERSION_MAX,
    Transaction,
};
use std::sync::Arc;

const TERMS: Terms = Terms { chain_id: 20_200, pricing: Pricing::FREE };
const RULES: Rules = Rules::new(Suite::Standard, TERMS.chain_id).with_system_contracts();
const ACCOUNTS: usize = 20;
/// Ten rounds, so that everybody has sent and received.
const TURNS: usize = 10 * ACCOUNTS;

const ALL: [Workload; 8] = [
    Workload::Transfer,
    Workload::Hot,
    Workload::Smallbank(None),
    Workload::Smallbank(Some(Skew { hot_customers: 2, hot_percent: 90 })),
    Workload::Deploy,
    Workload::Value,
    Workload::Native,
    Workload::NativeHot,
];

fn environment() -> BlockEnvironment {
    BlockEnvironment::new(1, 1_700_000_000, Address::ZERO, u64::MAX)
}

/// A load that has run.
struct Ran {
    load: Load,
    state: MemoryState,
    before: Vec<Bytes>,
    done: Vec<Done>,
    /// The leaves that each transaction has changed, in all tries.
    leaves: usize,
}

impl Ran {
    fn new(workload: Workload) -> Self {
        let funder = Account::numbered(9, 0).unwrap();
        let mut load = Load::new(workload, 5, ACCOUNTS, funder.address.create(0)).unwrap();
        let mut state = genesis();
        if let Some(question) = load.preliminary() {
            load.learn(&ask(&state, &[question])[0]).unwrap();
        }
        let coins = load.coins(TURNS, 0).unwrap();
        let rich = |address| (address, 0, coins, Bytes::new(), []);
        for (address, nonce, balance, code, storage) in load.accounts().iter().map(|account| rich(account.address)) {
            state.insert(address, nonce, balance, code, storage);
        }
        let set_up = (0..).zip(load.set_up().unwrap());
        let signed = set_up.map(|(nonce, call)| funder.sign_call(&TERMS, nonce, call)).collect();
        let outcome = execute(&mut state, signed);
        assert!(outcome.receipts.iter().all(|receipt| receipt.success), "{workload:?}: the set-up failed");
        let before = ask(&state, &load.questions(&[]));

        let (mut done, mut leaves) = (Vec::new(), 0);
        for (turn, signed) in load.sign(&TERMS, 0..TURNS).unwrap().into_iter().enumerate() {
            let outcome = execute(&mut state, vec![signed]);
            let receipt = &outcome.receipts[0];
            let events = receipt.logs.iter().map(|log| log.data.data.clone()).collect();
            done.push(Done { turn, success: receipt.success, fee: U256::ZERO, events });
            leaves += own_leaves(&load, &outcome);
        }
        Self { load, state, before, done, leaves }
    }

    fn check(&self) -> Result<()> {
        let after = ask(&self.state, &self.load.questions(&self.done));
        self.load.check(&self.before, &after, &self.done)
    }
}

fn execute(state: &mut MemoryState, signed: Vec<Signed>) -> Outcome {
    let verified = |signed: Signed| {
        let transaction = Arc::new(Transaction::decode(signed.raw).unwrap());
        assert_eq!(transaction.hash(), signed.hash);
        Arc::new(Suite::Standard.recover_sender(transaction).unwrap())
    };
    let transactions: Vec<Arc<VerifiedTransaction>> = signed.into_iter().map(verified).collect();
    let outcome = execute_transactions(&RULES, &environment(), state, &transactions).unwrap();
    assert!(outcome.skipped.is_empty(), "{:?}", outcome.skipped);
    state.apply(&outcome.changes);
    outcome
}

fn ask(state: &MemoryState, questions: &[Question]) -> Vec<Bytes> {
    let answer = |question: &Question| match question {
        Question::Call(to, data) => {
            let request = serde_json::from_value(serde_json::json!({"to": to, "data": data})).unwrap();
            let site = CallSite {
                rules: &RULES,
                environment: &environment(),
                state,
                overrides: &Overrides::default(),
                gas_cap: 50_000_000,
                cancelled: &|| false,
            };
            match call(&site, &request).unwrap().result {
                CallResult::Success { output, .. } => output,
                other => panic!("{question:?}: {other:?}"),
            }
        }
        Question::Balance(address) => {
            let account = state.account(*address).unwrap().unwrap_or_default();
            account.balance.to_be_bytes::<32>().into()
        }
        Question::Code(address) => {
            let account = state.account(*address).unwrap().unwrap_or_default();
            state.code(account.code_hash).unwrap()
        }
    };
    questions.iter().map(answer).collect()
}

/// Changed leaves without those that all transactions share.
fn own_leaves(load: &Load, outcome: &Outcome) -> usize {
    let hot = [mapping_slot(load.merchant.into_word(), 0), asset_slot(load, load.merchant)];
    let of_account = |(address, change): (&Address, &lian_executor::AccountChange)| {
        let is_shared = [load.contract, assets::ADDRESS].contains(address);
        usize::from(!is_shared) + change.storage.keys().filter(|slot| !hot.contains(slot)).count()
    };
    outcome.changes.accounts.iter().map(of_account).sum()
}

/// Where Solidity keeps the value of a key of the mapping at a slot.
fn mapping_slot(key: B256, slot: u64) -> U256 {
    U256::from_be_bytes(keccak256([key, B256::from(U256::from(slot))].concat()).0)
}

/// Where the asset ledger keeps what an account has of the load's asset.
fn asset_slot(load: &Load, account: Address) -> U256 {
    let of_asset = keccak256([B256::from(load.asset), B256::from(U256::from(3))].concat());
    U256::from_be_bytes(keccak256([account.into_word(), of_asset].concat()).0)
}

/// A chain with system contracts.
fn genesis() -> MemoryState {
    let key = lian_crypto::ConsensusSecretKey::from_bytes(Suite::Standard, &[1; 32]).public();
    let group = GroupGenesis {
        group: GroupId(0),
        chain_id: TERMS.chain_id,
        time: Millis(0),
        block_gas_limit: 1_000_000_000,
        consensus: ConsensusParameters::default(),
        sealers: vec!["node0".into()],
        operators: vec![Address::repeat_byte(1)],
        committee: None,
        protocol_version: PROTOCOL_VERSION_MAX,
        accounts: std::collections::BTreeMap::new(),
    };
    let genesis = Genesis {
        version: 1,
        suite: "standard".into(),
        certificate_authorities: vec![],
        institutions: vec![Institution { name: "bank".into() }],
        nodes: vec![NodeEntry { name: "node0".into(), institution: "bank".into(), consensus_key: key }],
        groups: vec![group.clone()],
    };
    let mut state = MemoryState::default();
    state.apply(&genesis_block(Suite::Standard, &genesis, &group).unwrap().changes);
    state
}

#[test]
fn a_chain_without_the_asset_ledger_is_told() {
    let mut load = Load::new(Workload::Native, 5, ACCOUNTS, Address::ZERO).unwrap();
    let error = load.learn(&Bytes::new()).unwrap_err().to_string();
    assert!(error.contains("no asset ledger"), "{error}");
}

#[test]
fn every_workload_is_accepted_and_conserved() {
    for workload in ALL {
        let ran = Ran::new(workload);
        ran.check().unwrap_or_else(|error| panic!("{workload:?}: {error}"));
        let reverted = ran.done.iter().filter(|done| !done.success).count();
        let may_revert = matches!(workload, Workload::Smallbank(_));
        assert!(reverted == 0 || may_revert, "{workload:?}: {reverted} reverted");
        assert!(reverted < TURNS / 4, "{workload:?}: {reverted} reverted");
    }
}

#[test]
fn a_tampered_state_is_noticed() {
    for workload in ALL {
        let mut ran = Ran::new(workload);
        let someone = ran.load.accounts[3].address;
        let steal = |state: &mut MemoryState, key: B256| {
            let storage = &mut state.accounts.get_mut(&ran.load.contract).unwrap().storage;
            let balance = storage.entry(mapping_slot(key, 0)).or_default();
            *balance = balance.checked_add(U256::from(1)).unwrap();
        };
        match workload {
            Workload::Transfer | Workload::Hot => steal(&mut ran.state, someone.into_word()),
            Workload::Smallbank(_) => steal(&mut ran.state, B256::from(U256::from(3))),
            Workload::Deploy => {
                let code = ran.state.insert_code(Bytes::from_static(&[0x60]));
                ran.state.accounts.get_mut(&someone.create(1)).unwrap().state.code_hash = code;
            }
            Workload::Native | Workload::NativeHot => {
                let slot = asset_slot(&ran.load, someone);
                let storage = &mut ran.state.accounts.get_mut(&assets::ADDRESS).unwrap().storage;
                *storage.get_mut(&slot).unwrap() += U256::from(1);
            }
            Workload::Value => ran.state.accounts.get_mut(&someone).unwrap().state.balance -= U256::from(1),
        }
        let error = ran.check().unwrap_err().to_string();
        assert!(error.contains("make") || error.contains("1 bytes of code"), "{workload:?}: {error}");
    }
}

#[test]
fn a_transaction_that_ran_once_more_or_less_is_noticed() {
    let kept = |workload: &Workload| *workload != Workload::Deploy && !matches!(workload, Workload::Smallbank(Some(_)));
    for workload in ALL.into_iter().filter(kept) {
        let mut ran = Ran::new(workload);
        // A deposit or a payment: nothing that leaves the balances as they were.
        let counts = |done: &&Done| done.events.iter().any(|event| event.iter().any(|byte| *byte != 0));
        let turn = ran.done.iter().find(counts).map_or(0, |done| done.turn);
        let lost = ran.done.remove(turn);
        assert!(ran.check().is_err(), "{workload:?}: lost");
        ran.done.extend([lost.clone(), lost]);
        assert!(ran.check().is_err(), "{workload:?}: twice");
        ran.done.pop();
        ran.check().unwrap();
    }
    let mut ran = Ran::new(Workload::Deploy);
    let beyond = Done { turn: TURNS, ..ran.done[0].clone() };
    ran.done.push(beyond);
    assert!(ran.check().unwrap_err().to_string().contains("has 0 bytes of code"));
}

#[test]
fn a_program_of_smallbank_moves_only_what_it_may() {
    let mut ran = Ran::new(Workload::Smallbank(None));
    let deposit = ran.done.iter_mut().find(|done| done.events == [Bytes::from(B256::from(U256::from(130)).to_vec())]);
    deposit.unwrap().events = vec![Bytes::from(B256::from(U256::from(131)).to_vec())];
    let error = ran.check().unwrap_err().to_string();
    assert!(error.contains("moved 131, not one of"), "{error}");
}

#[test]
fn the_leaves_of_the_ideal_cost_are_those_that_change() {
    for workload in ALL {
        let ran = Ran::new(workload);
        let counted = ran.leaves as f64 / TURNS as f64;
        // Of Smallbank they are an average; an amalgamation of nothing changes nothing.
        let tolerance = if matches!(workload, Workload::Smallbank(_)) { 0.25 } else { 0.0 };
        let expected = workload.leaves();
        assert!((counted - expected).abs() <= tolerance * expected, "{workload:?}: {counted}, not {expected}");
    }
}

#[test]
fn coins_cover_value_and_fees() {
    let load = |workload| Load::new(workload, 1, 4, Address::ZERO).unwrap();
    assert_eq!(load(Workload::Transfer).coins(8, 0).unwrap(), U256::ZERO);
    assert_eq!(load(Workload::Value).coins(9, 0).unwrap(), U256::from(3));
    assert_eq!(load(Workload::Value).coins(8, 10).unwrap(), U256::from(2 * 21_000 * 10 + 2));
    assert!(Load::new(Workload::Value, 1, 1, Address::ZERO).is_err());
}

#[test]
fn fees_of_final_transactions_are_taken_from_their_senders() {
    let mut ran = Ran::new(Workload::Value);
    ran.done[0].fee = U256::from(5);
    assert!(ran.check().is_err());
    let payer = ran.load.accounts[0].address;
    ran.state.accounts.get_mut(&payer).unwrap().state.balance -= U256::from(5);
    ran.check().unwrap();
}
