//! Random blocks: the same result however the state is put together, and a root that does not depend on the way.

use crate::support::{ALICE, BOB, CAROL, Chain, GAS_LIMIT, PROPOSER, rules, sent, transaction};
use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use lian_crypto::VerifiedTransaction;
use lian_executor::{
    BlockEnvironment, LayeredState, MemoryState, Outcome, StateChanges, StateReader, execute_transactions,
};
use lian_trie::{Hasher, MemoryNodes, StateTrie};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Writes its second word of input to the slot of the first.
const WRITER: Address = Address::repeat_byte(0x11);
/// Creates with its input as code and the salt 0, and passes its value on.
const FACTORY: Address = Address::repeat_byte(0x22);

/// What a transaction of a random block does.
#[derive(Clone, Debug)]
enum Action {
    Pay { to: u8, value: u64 },
    Write { slot: u8, value: u8 },
    Create { program: usize, value: u64 },
    Create2 { program: usize, value: u64 },
    TooLow,
}

/// Creation codes: storage and empty code; one byte of code; destroys itself; writes, then destroys itself; reverts.
const PROGRAMS: [&[u8]; 5] =
    [&hex!("60075f55"), &hex!("5f5f5360015ff3"), &hex!("33ff"), &hex!("60075f5533ff"), &hex!("60075f555f5ffd")];

fn actions() -> impl Strategy<Value = Vec<(u8, Action)>> {
    let action = prop_oneof![
        (0..5u8, 0..50u64).prop_map(|(to, value)| Action::Pay { to, value }),
        (0..4u8, 0..3u8).prop_map(|(slot, value)| Action::Write { slot, value }),
        (0..PROGRAMS.len(), 0..3u64).prop_map(|(program, value)| Action::Create { program, value }),
        (0..PROGRAMS.len(), 0..3u64).prop_map(|(program, value)| Action::Create2 { program, value }),
        Just(Action::TooLow),
    ];
    prop::collection::vec((0..3u8, action), 0..8)
}

fn account(index: u8) -> Address {
    [ALICE, BOB, CAROL].get(usize::from(index)).copied().unwrap_or(Address::repeat_byte(index))
}

fn build(chain: &Chain, actions: &[(u8, Action)]) -> Vec<Arc<VerifiedTransaction>> {
    let mut nonces: BTreeMap<Address, u64> = BTreeMap::new();
    let word = |value: u8| B256::with_last_byte(value);
    let one = |(sender, action): &(u8, Action)| {
        let sender = account(*sender);
        let next = nonces.entry(sender).or_insert_with(|| chain.nonce(sender));
        let nonce = *next;
        if !matches!(action, Action::TooLow) {
            *next += 1;
        }
        let built = match action {
            Action::Pay { to, value } => {
                TxEip1559 { value: U256::from(*value), ..transaction(Some(account(*to)), vec![]) }
            }
            Action::Write { slot, value } => {
                transaction(Some(WRITER), [word(*slot).as_slice(), word(*value).as_slice()].concat())
            }
            Action::Create { program, value } => {
                TxEip1559 { value: U256::from(*value), ..transaction(None, PROGRAMS[*program].to_vec()) }
            }
            Action::Create2 { program, value } => {
                TxEip1559 { value: U256::from(*value), ..transaction(Some(FACTORY), PROGRAMS[*program].to_vec()) }
            }
            Action::TooLow => TxEip1559 { gas_limit: 20_000, ..transaction(Some(BOB), vec![]) },
        };
        sent(sender, TxEip1559 { nonce, ..built })
    };
    actions.iter().map(one).collect()
}

fn genesis() -> Chain {
    let mut chain = Chain::default();
    for address in [ALICE, BOB, CAROL] {
        chain.give(address, 100);
    }
    chain.state.insert(WRITER, 1, U256::ZERO, Bytes::from_static(&hex!("6020355f355500")), BTreeMap::new());
    // calldatacopy(0, 0, calldatasize); create2(callvalue, 0, calldatasize, 0).
    chain.state.insert(FACTORY, 1, U256::ZERO, Bytes::from_static(&hex!("365f5f375f365f34f500")), BTreeMap::new());
    chain
}

fn execute(number: u64, state: &dyn StateReader, transactions: &[Arc<VerifiedTransaction>]) -> Outcome {
    let mut environment = BlockEnvironment::new(number, 1_000 + number, PROPOSER, GAS_LIMIT);
    environment.parent_hash = Some(B256::with_last_byte(7));
    execute_transactions(&rules(), &environment, state, transactions).unwrap()
}

fn trie_of(state: &MemoryState) -> StateTrie {
    let nodes = MemoryNodes::default();
    StateTrie::empty(Hasher::Keccak).apply(&nodes, 0, &state.as_changes().trie_updates()).unwrap().0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn layered_and_flattened_states_agree(blocks in prop::collection::vec(actions(), 1..5)) {
        let mut chain = genesis();
        let mut layered = LayeredState::new(Arc::new(chain.state.clone()));
        let mut trie = trie_of(&chain.state);
        let mut touched = chain.state.clone();
        for (number, actions) in (1..).zip(&blocks) {
            let transactions = build(&chain, actions);
            let flat = execute(number, &chain.state, &transactions);
            prop_assert_eq!(&flat, &execute(number, &layered, &transactions));
            prop_assert_eq!(flat.included.len() + flat.skipped.len(), transactions.len());
            let bytes = borsh::to_vec(&flat.changes).unwrap();
            prop_assert_eq!(&borsh::from_slice::<StateChanges>(&bytes).unwrap(), &flat.changes);

            chain.state.apply(&flat.changes);
            touched.accounts.extend(chain.state.accounts.clone());
            layered = layered.with_block(number, B256::ZERO, Arc::new(flat.changes.clone()));
            trie = trie.apply(&MemoryNodes::default(), number, &flat.changes.trie_updates()).unwrap().0;
            prop_assert_eq!(trie.root(), trie_of(&chain.state).root());
        }
        for (address, account) in &touched.accounts {
            prop_assert_eq!(layered.account(*address).unwrap(), chain.state.account(*address).unwrap());
            for slot in account.storage.keys().copied().chain([U256::ZERO]) {
                let expected = chain.state.storage(*address, slot).unwrap();
                prop_assert_eq!(layered.storage(*address, slot).unwrap(), expected);
            }
            if let Some(state) = chain.state.account(*address).unwrap() {
                prop_assert_eq!(layered.code(state.code_hash).unwrap(), chain.state.code(state.code_hash).unwrap());
            }
        }
        // Nobody pays and nobody earns: what there was is still there, but for what went down with a destroyed account.
        let sum: U256 = chain.state.accounts.values().map(|account| account.state.balance).sum();
        prop_assert!(sum <= U256::from(300));
    }
}
