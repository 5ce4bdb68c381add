//! The state trie against `alloy-trie` and against stores rebuilt from the flat state.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_trie::{TrieAccount, root};
use lian_trie::{
    AccountLeaf, AccountUpdate, Hasher, MemoryNodes, Nibbles, RootBuilder, StateTrie, TrieError, verify_proof,
};
use proptest::prelude::*;

use crate::reference::{Entries, check_before, rebuilt};

/// The flat state: accounts with their storage.
type Model = BTreeMap<Address, (AccountLeaf, BTreeMap<U256, U256>)>;

fn apply(model: &mut Model, update: &AccountUpdate) {
    let Some(leaf) = update.account else {
        model.remove(&update.address);
        return;
    };
    let (account, storage) = model.entry(update.address).or_insert_with(|| (leaf, BTreeMap::new()));
    *account = leaf;
    if update.storage_cleared {
        storage.clear();
    }
    storage.extend(update.storage.iter().copied());
    storage.retain(|_, value| !value.is_zero());
}

fn reference_root(model: &Model) -> B256 {
    root::state_root_unhashed(model.iter().map(|(address, (leaf, storage))| {
        let storage = storage.iter().map(|(slot, value)| (B256::from(*slot), *value));
        let account = TrieAccount {
            nonce: leaf.nonce,
            balance: leaf.balance,
            storage_root: root::storage_root_unhashed(storage),
            code_hash: leaf.code_hash,
        };
        (*address, account)
    }))
}

/// The nodes of all tries, rebuilt from the flat state.
fn all_nodes(model: &Model) -> MemoryNodes {
    let mut nodes = Vec::new();
    let mut accounts = Entries::new();
    for (address, (leaf, slots)) in model {
        let owner = keccak256(address);
        let slots =
            slots.iter().map(|(slot, value)| (keccak256(slot.to_be_bytes::<32>()).to_vec(), alloy_rlp::encode(value)));
        let (root, storage) = rebuilt(Some(owner), &slots.collect());
        nodes.extend(storage.iter().map(|(owner, path, node)| (owner, *path, node.clone())));
        accounts.insert(owner.to_vec(), leaf.rlp(root));
    }
    let (_, accounts) = rebuilt(None, &accounts);
    nodes.extend(accounts.iter().map(|(owner, path, node)| (owner, *path, node.clone())));
    nodes.into_iter().collect()
}

fn leaves() -> impl Strategy<Value = AccountLeaf> {
    let code = prop::sample::select(vec![Hasher::Keccak.empty_code_hash(), B256::repeat_byte(9)]);
    (0u64..3, any::<u32>(), code).prop_map(|(nonce, balance, code_hash)| AccountLeaf {
        nonce,
        balance: U256::from(balance),
        code_hash,
    })
}

fn updates() -> impl Strategy<Value = Vec<AccountUpdate>> {
    let slot = (0u64..30).prop_map(U256::from);
    let value = prop_oneof![Just(U256::ZERO), (1u64..200).prop_map(U256::from), Just(U256::MAX)];
    let change = (
        prop::option::weighted(0.85, leaves()),
        prop::bool::weighted(0.1),
        prop::collection::btree_map(slot, value, 0..12),
    );
    prop::collection::btree_map(0u8..12, change, 0..8).prop_map(|changes| {
        let update = |(number, (account, storage_cleared, storage)): (u8, (_, _, BTreeMap<_, _>))| AccountUpdate {
            address: Address::repeat_byte(number),
            account,
            storage_cleared,
            storage: storage.into_iter().rev().collect(),
        };
        changes.into_iter().rev().map(update).collect()
    })
}

fn check_proofs(state: &StateTrie, nodes: &MemoryNodes, model: &Model, updates: &[AccountUpdate]) {
    for update in updates {
        let slots: Vec<_> = update.storage.iter().map(|(slot, _)| *slot).chain([U256::from(99)]).collect();
        let proof = state.prove(nodes, update.address, &slots).expect("all nodes are there");
        let expected = model.get(&update.address);
        let account = proof.account;
        assert_eq!(account.map(|account| account.leaf), expected.map(|(leaf, _)| *leaf));
        assert_eq!(state.account(nodes, update.address).expect("all nodes are there"), account);
        let key = keccak256(update.address);
        let value = account.map(|account| account.leaf.rlp(account.storage_root));
        let proven = verify_proof(Hasher::Keccak, state.root(), &key.into(), &proof.proof).expect("our own proof");
        assert_eq!(proven.map(Vec::from), value);
        alloy_trie::proof::verify_proof(state.root(), alloy_trie::Nibbles::unpack(key), value, &proof.proof)
            .expect("a proof for others");
        let root = account.map_or(Hasher::Keccak.empty_root(), |account| account.storage_root);
        for slot in &proof.storage {
            let value = expected.and_then(|(_, storage)| storage.get(&slot.slot).copied()).unwrap_or_default();
            assert_eq!(slot.value, value);
            let value = (!value.is_zero()).then(|| alloy_rlp::encode(value));
            let path = alloy_trie::Nibbles::unpack(keccak256(slot.slot.to_be_bytes::<32>()));
            alloy_trie::proof::verify_proof(root, path, value, &slot.proof).expect("a proof for others");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn agrees_with_the_flat_state(
        blocks in prop::collection::vec((updates(), prop::option::of((0usize..60, 0u64..3)), any::<bool>()), 1..12),
    ) {
        let mut nodes = MemoryNodes::default();
        let mut state = StateTrie::empty(Hasher::Keccak);
        let mut model = Model::new();
        for (number, (updates, eviction, reload)) in (1u64..).zip(blocks) {
            let old = (state.clone(), nodes.clone(), model.clone());
            let (next, changes) = state.apply(&nodes, number, &updates).expect("all nodes are there");
            check_before(&nodes, None, &changes.accounts);
            changes.storage.iter().for_each(|(owner, changes)| check_before(&nodes, Some(*owner), changes));
            nodes.apply_state(&changes);
            updates.iter().for_each(|update| apply(&mut model, update));
            state = next;
            prop_assert_eq!(state.root(), reference_root(&model));
            prop_assert!(nodes == all_nodes(&model), "the store differs from a rebuilt one");
            prop_assert!(changes.storage.windows(2).all(|pair| pair[0].0 < pair[1].0));
            prop_assert_eq!(changes.iter().count(), changes.len());
            check_proofs(&state, &nodes, &model, &updates);
            check_proofs(&old.0, &old.1, &old.2, &updates);
            prop_assert_eq!(state.evict(0, 0).loaded_nodes(), state.loaded_nodes(), "the count of nodes is off");
            if let Some((keep, ago)) = eviction {
                state = state.evict(keep, number.saturating_sub(ago));
                prop_assert!(state.evict(keep, u64::MAX).loaded_nodes() <= keep);
            }
            if reload {
                state = StateTrie::at_root(Hasher::Keccak, state.root());
            }
        }
    }
}

fn funded(number: u64, storage: Vec<(U256, U256)>) -> AccountUpdate {
    let account = AccountLeaf { nonce: number, balance: U256::from(1), code_hash: Hasher::Keccak.empty_code_hash() };
    let address = Address::left_padding_from(&number.to_be_bytes());
    AccountUpdate { address, account: Some(account), storage_cleared: false, storage }
}

/// Many accounts and one large storage trie, worked on by several threads.
#[test]
fn a_large_block() {
    let mut nodes = MemoryNodes::default();
    let mut state = StateTrie::empty(Hasher::Keccak);
    let mut model = Model::new();
    for number in 1..4u64 {
        let slots = (0..2000).map(|slot| (U256::from(slot * number), U256::from(slot * (number % 3)))).collect();
        let mut updates: Vec<_> = (1..2000).map(|account| funded(account * number, Vec::new())).collect();
        updates.push(funded(0, slots));
        let (next, changes) = state.apply(&nodes, number, &updates).expect("all nodes are there");
        nodes.apply_state(&changes);
        updates.iter().for_each(|update| apply(&mut model, update));
        assert_eq!(next.root(), reference_root(&model));
        assert!(nodes == all_nodes(&model), "the store differs from a rebuilt one");
        state = next.evict(1000, number - 1);
    }
}

#[test]
fn an_address_or_slot_twice_is_refused() {
    let state = StateTrie::empty(Hasher::Keccak);
    let nodes = MemoryNodes::default();
    let slot = (U256::from(1), U256::from(2));
    for updates in [vec![funded(5, Vec::new()), funded(5, Vec::new())], vec![funded(5, vec![slot, slot])]] {
        let address = updates[0].address;
        match state.apply(&nodes, 1, &updates) {
            Err(TrieError::Duplicate { address: twice }) => assert_eq!(twice, address),
            other => panic!("{other:?}"),
        }
    }
}

/// Proofs of a state whose nodes have not reached the store yet.
#[test]
fn what_is_in_memory_needs_no_store() {
    let nodes = MemoryNodes::default();
    let slots: Vec<_> = (0..50).map(|slot| (U256::from(slot), U256::from(7))).collect();
    let updates = [funded(5, slots), funded(6, Vec::new())];
    let (state, _) = StateTrie::empty(Hasher::Keccak).apply(&nodes, 1, &updates).expect("nothing to read");
    let mut model = Model::new();
    updates.iter().for_each(|update| apply(&mut model, update));
    check_proofs(&state, &nodes, &model, &updates);
}

/// A source that misses only nodes of a storage trie: the error names whose.
#[test]
fn a_missing_storage_node_names_its_owner() {
    let slots = |value: u64| (0..50).map(|slot| (U256::from(slot), U256::from(value))).collect();
    let (state, changes) = StateTrie::empty(Hasher::Keccak)
        .apply(&MemoryNodes::default(), 1, &[funded(5, slots(1))])
        .expect("nothing to read");
    let mut nodes = MemoryNodes::default();
    nodes.apply(None, &changes.accounts);
    let cold = StateTrie::at_root(Hasher::Keccak, state.root());
    let update = funded(5, slots(2));
    let error = cold.apply(&nodes, 2, std::slice::from_ref(&update)).expect_err("the storage is missing");
    let TrieError::Missing { place, .. } = &error else { panic!("{error}") };
    assert_eq!((place.owner, place.path), (Some(keccak256(update.address)), Nibbles::EMPTY));
    assert_eq!(cold.root(), state.root());
    let complete = {
        nodes.apply_state(&changes);
        cold.apply(&nodes, 2, &[update]).expect("all nodes are there").0
    };
    assert_ne!(complete.root(), state.root());
}

#[test]
fn a_builder_gives_each_node_once() {
    let mut paths = Vec::new();
    let mut builder = RootBuilder::new(Hasher::Keccak, |path: &Nibbles, _: &[u8]| paths.push(*path));
    let keys: std::collections::BTreeSet<_> = (0..500u32).map(|number| keccak256(number.to_be_bytes())).collect();
    for key in keys {
        builder.push(key.into(), key.as_slice()).expect("sorted");
    }
    assert_ne!(builder.finish(), Hasher::Keccak.empty_root());
    let count = paths.len();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), count);
    assert!(count > 500);
}
