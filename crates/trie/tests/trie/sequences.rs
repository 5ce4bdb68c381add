//! Random sequences of batches: after each, the incremental trie must agree with a rebuilt one in root, stored nodes,
//! entries and proofs, whatever of it is in memory.

use alloy_primitives::{B256, keccak256};
use lian_trie::{Direction, Hasher, MemoryNodes, Nibbles, NodeChange, Trie, ordered_root, root_of, verify_proof};
use proptest::prelude::*;
use std::ops::ControlFlow;

use crate::reference::{Entries, alloy_root, check_before, definition_root, rebuilt};

/// What happens between two batches.
#[derive(Clone, Copy, Debug)]
enum Between {
    Nothing,
    Reload,
    Evict { keep: usize, flushed_ago: u64 },
}

type Batch = std::collections::BTreeMap<Vec<u8>, Option<Vec<u8>>>;

fn nibbles(key: &[u8]) -> Nibbles {
    Nibbles::from_bytes(key).expect("a key of up to 32 bytes")
}

/// Keys that share long and short beginnings, some of them prefixes of others.
fn short_keys() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0x00, 0x01, 0x10, 0x11, 0xf1]), 0..=4)
}

/// Keys of 32 bytes that differ in a few places only, so that branches are as deep as they can be.
fn long_keys() -> impl Strategy<Value = Vec<u8>> {
    let place = prop::sample::select(vec![0usize, 1, 2, 15, 16, 29, 30, 31]);
    prop::collection::vec((place, prop::sample::select(vec![0x00u8, 0x01, 0x10, 0x7f])), 0..4).prop_map(|changes| {
        let mut key = vec![0x77; 32];
        changes.into_iter().for_each(|(place, byte)| key[place] = byte);
        key
    })
}

/// Short values lie inside their parents, long ones do not.
fn values() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        3 => Just(None),
        3 => prop::collection::vec(any::<u8>(), 1..3).prop_map(Some),
        3 => prop::collection::vec(any::<u8>(), 30..60).prop_map(Some),
        1 => Just(Some(Vec::new())),
    ]
}

fn between() -> impl Strategy<Value = Between> {
    prop_oneof![
        2 => Just(Between::Nothing),
        1 => Just(Between::Reload),
        2 => (0usize..40, 0u64..3).prop_map(|(keep, flushed_ago)| Between::Evict { keep, flushed_ago }),
    ]
}

fn batches(keys: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<(Batch, Between)>> {
    prop::collection::vec((prop::collection::btree_map(keys, values(), 0..30), between()), 1..12)
}

fn apply(entries: &mut Entries, batch: &Batch) {
    for (key, value) in batch {
        match value.as_ref().filter(|value| !value.is_empty()) {
            Some(value) => entries.insert(key.clone(), value.clone()),
            None => entries.remove(key),
        };
    }
}

/// Runs a sequence, checking everything after each batch. `reference` is an independent root of the entries.
fn run(sequence: &[(Batch, Between)], reference: fn(&Entries) -> B256) {
    let owner = Some(B256::repeat_byte(7));
    let mut nodes = MemoryNodes::default();
    let mut trie = Trie::empty(Hasher::Keccak, owner);
    let mut entries = Entries::new();
    for (generation, (batch, between)) in (1u64..).zip(sequence) {
        let old = (trie.clone(), nodes.clone(), entries.clone());
        let changes = batch.iter().map(|(key, value)| (nibbles(key), value.clone()));
        let (next, changes) = trie.update(&nodes, generation, changes).expect("all nodes are there");
        let mut paths: Vec<_> = changes.iter().map(|change| change.path).collect();
        paths.sort_unstable();
        assert!(paths.windows(2).all(|pair| pair[0] != pair[1]), "a path is reported twice");
        check_before(&nodes, owner, &changes);
        nodes.apply(owner, &changes);
        apply(&mut entries, batch);
        trie = next;

        let (root, all_nodes) = rebuilt(owner, &entries);
        assert_eq!(trie.root(), reference(&entries));
        assert_eq!(trie.root(), root);
        assert!(
            nodes == all_nodes,
            "the store differs from a rebuilt one:\n{:?}\n{:?}",
            list(&nodes),
            list(&all_nodes)
        );
        assert_eq!(trie.root() == old.0.root(), changes.is_empty());
        assert_eq!(old.0.root(), reference(&old.2), "the old trie has changed");
        check_entries(&trie, &nodes, &entries);
        check_entries(&old.0, &old.1, &old.2);
        check_proofs(&trie, &nodes, &entries, batch.keys().chain(old.2.keys()));
        trie = match *between {
            Between::Nothing => trie,
            Between::Reload => Trie::at_root(Hasher::Keccak, owner, trie.root()),
            Between::Evict { keep, flushed_ago } => check_eviction(&trie, keep, generation.saturating_sub(flushed_ago)),
        };
    }
}

fn list(nodes: &MemoryNodes) -> Vec<String> {
    nodes.iter().map(|(_, path, node)| format!("{path}: {node}")).collect()
}

fn check_eviction(trie: &Trie, keep: usize, flushed: u64) -> Trie {
    assert_eq!(trie.evict(0, 0).loaded_nodes(), trie.loaded_nodes(), "the count of nodes is off");
    let less = trie.evict(keep, flushed);
    assert_eq!(less.root(), trie.root());
    assert!(less.loaded_nodes() <= trie.loaded_nodes());
    let all_flushed = trie.evict(keep, u64::MAX);
    assert!(all_flushed.loaded_nodes() <= keep, "{} nodes remain of {keep}", all_flushed.loaded_nodes());
    less
}

fn check_entries(trie: &Trie, nodes: &MemoryNodes, entries: &Entries) {
    for (direction, from) in [(Direction::Up, Nibbles::EMPTY), (Direction::Down, B256::repeat_byte(0xff).into())] {
        let mut found = Vec::new();
        let visit = &mut |key: Nibbles, value: &[u8]| {
            found.push((key.to_bytes().expect("whole bytes").to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        };
        trie.visit(nodes, &from, direction, visit).expect("all nodes are there");
        if direction == Direction::Down {
            found.reverse();
        }
        assert!(found.into_iter().eq(entries.clone()), "the entries differ");
    }
}

fn check_proofs<'a>(trie: &Trie, nodes: &MemoryNodes, entries: &Entries, keys: impl Iterator<Item = &'a Vec<u8>>) {
    for key in keys {
        let expected = entries.get(key).cloned();
        let path = nibbles(key);
        assert_eq!(trie.get(nodes, &path).expect("all nodes are there").map(Vec::from), expected);
        let proof = trie.prove(nodes, &path).expect("all nodes are there");
        let proven = verify_proof(Hasher::Keccak, trie.root(), &path, &proof).expect("our own proof");
        assert_eq!(proven.map(Vec::from), expected);
        // With 32-byte keys the root is never shorter than a hash, a case that this verifier does not know.
        if key.len() == 32 {
            let path = alloy_trie::Nibbles::unpack(key);
            alloy_trie::proof::verify_proof(trie.root(), path, expected, &proof).expect("a proof for others");
        }
    }
}

/// Keys without pattern, from a counter.
fn hashed(number: u32) -> Vec<u8> {
    keccak256(number.to_be_bytes()).to_vec()
}

/// Batches that are large enough for several threads.
#[test]
fn large_batches() {
    let value = |number: u32| Some(vec![number.to_be_bytes()[3]; 1 + number as usize % 70]);
    let fill: Batch = (0..3000).map(|number| (hashed(number), value(number))).collect();
    let mixed = (0..4000)
        .filter(|number| number % 3 != 0)
        .map(|number| (hashed(number), if number % 2 == 0 { None } else { value(number + 1) }));
    let most_go: Batch = (0..4000).filter(|number| number % 100 != 1).map(|number| (hashed(number), None)).collect();
    let all_go: Batch = (0..4000).map(|number| (hashed(number), None)).collect();
    let sequence = [
        (fill, Between::Evict { keep: 2000, flushed_ago: 0 }),
        (mixed.collect(), Between::Reload),
        (most_go, Between::Nothing),
        (all_go, Between::Nothing),
    ];
    run(&sequence, alloy_root);
}

/// The result is the same on one thread.
#[test]
fn threads_do_not_matter() {
    let changes = || (0..2000).map(|number| (hashed(number), vec![1; 40])).collect::<Entries>();
    let build = || {
        let changes = changes().into_iter().map(|(key, value)| (nibbles(&key), Some(value)));
        Trie::empty(Hasher::Keccak, None).update(&MemoryNodes::default(), 0, changes).expect("nothing to read").1
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    assert_eq!(pool.install(build), build());
}

/// Of nodes in memory it is told what they were, whether values change or entries go; of those that are not, nothing.
#[test]
fn what_stood_there_before_is_told_where_it_is_in_memory() {
    let entries = || (0..500).map(|number| nibbles(&hashed(number)));
    let mut keys: Vec<_> = entries().collect();
    keys.sort_unstable();
    let mut nodes = MemoryNodes::default();
    let fill = keys.iter().map(|key| (*key, Some(vec![1; 40])));
    let (trie, made) = Trie::empty(Hasher::Keccak, None).update(&nodes, 0, fill).expect("nothing to read");
    assert!(made.iter().all(|change| change.before.is_none()), "there was nothing");
    nodes.apply(None, &made);

    let change = || keys.iter().enumerate().map(|(at, key)| (*key, (at % 3 != 0).then(|| vec![2; 40])));
    let (_, changes) = trie.update(&nodes, 1, change()).expect("all in memory");
    check_before(&nodes, None, &changes);
    let stood = |change: &&NodeChange| nodes.iter().any(|(_, path, _)| *path == change.path);
    assert!(changes.iter().filter(stood).all(|change| change.before.is_some()));
    assert!(changes.len() > 500);

    let (_, changes) =
        Trie::at_root(Hasher::Keccak, None, trie.root()).update(&nodes, 1, change()).expect("all stored");
    // What is read on the way is at hand where branches are left with one child, or change themselves.
    check_before(&nodes, None, &changes);
    assert!(changes.iter().filter(stood).any(|change| change.before.is_none()));
}

/// A generation that goes back must not make new nodes look as old as flushed ones.
#[test]
fn a_lower_generation_counts_as_the_last_one() {
    let nodes = MemoryNodes::default();
    let update = |trie: &Trie, generation, number| {
        let change = (nibbles(&hashed(number)), Some(vec![1; 40]));
        trie.update(&nodes, generation, [change]).expect("all in memory").0
    };
    let trie = update(&update(&Trie::empty(Hasher::Keccak, None), 5, 1), 2, 2);
    assert_eq!(trie.evict(0, 4).loaded_nodes(), 3);
    assert_eq!(trie.evict(0, 5).loaded_nodes(), 0);
}

#[test]
fn ordered_roots() {
    for count in [0, 1, 2, 15, 16, 17, 127, 128, 129, 255, 256, 257, 1000] {
        let items: Vec<Vec<u8>> = (0..count).map(|index: u32| vec![0x7f; 1 + index as usize % 90]).collect();
        let entries: Entries =
            items.iter().enumerate().map(|(index, item)| (alloy_rlp::encode(index), item.clone())).collect();
        let root = ordered_root(Hasher::Keccak, &items);
        assert_eq!(root, definition_root(&entries), "{count} items");
        let alloy = alloy_trie::root::ordered_trie_root_with_encoder(&items, |item, out| out.extend_from_slice(item));
        assert_eq!(root, alloy, "{count} items");
    }
}

#[test]
fn unsorted_entries_are_refused() {
    let key = |byte| Nibbles::from(B256::repeat_byte(byte));
    for keys in [[2, 1], [1, 1]] {
        let message = root_of(Hasher::Keccak, keys.map(|byte| (key(byte), [1]))).expect_err("unsorted").to_string();
        assert!(message.contains("must be sorted"), "{message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The store is behind by some batches, and what it does not have yet is never dropped.
    #[test]
    fn eviction_waits_for_the_store(
        sequence in batches(prop_oneof![long_keys(), short_keys()]), lag in 0usize..4, keep in 0usize..20,
    ) {
        let mut nodes = MemoryNodes::default();
        let mut behind = std::collections::VecDeque::new();
        let mut trie = Trie::empty(Hasher::Keccak, None);
        let mut entries = Entries::new();
        for (generation, (batch, _)) in (1u64..).zip(&sequence) {
            let changes = batch.iter().map(|(key, value)| (nibbles(key), value.clone()));
            let (next, changes) = trie.update(&nodes, generation, changes).expect("what is not stored is in memory");
            apply(&mut entries, batch);
            prop_assert_eq!(next.root(), definition_root(&entries));
            behind.push_back(changes);
            let flushed = generation.saturating_sub(lag as u64);
            if behind.len() > lag && let Some(changes) = behind.pop_front() {
                nodes.apply(None, &changes);
            }
            trie = next.evict(keep, flushed);
        }
    }

    #[test]
    fn short_and_nested_keys(sequence in batches(short_keys())) {
        run(&sequence, definition_root);
    }

    #[test]
    fn long_keys_with_much_in_common(sequence in batches(long_keys())) {
        run(&sequence, alloy_root);
    }

    /// A proof with a changed bit, a node too many or one too few proves nothing.
    #[test]
    fn damaged_proofs_are_refused(
        entries in prop::collection::btree_map(long_keys(), prop::collection::vec(any::<u8>(), 1..40), 1..30),
        at in any::<prop::sample::Index>(), node in any::<prop::sample::Index>(), bit in 0u8..8,
        key in long_keys(),
    ) {
        let nodes = MemoryNodes::default();
        let changes = entries.iter().map(|(key, value)| (nibbles(key), Some(value.clone())));
        let (trie, _) = Trie::empty(Hasher::Keccak, None).update(&nodes, 0, changes).expect("nothing to read");
        let key = nibbles(&key);
        let proof = trie.prove(&nodes, &key).expect("all in memory");
        let verify = |proof: &[_]| verify_proof(Hasher::Keccak, trie.root(), &key, proof);
        prop_assert!(verify(&proof).is_ok());
        let node = node.index(proof.len());
        let mut damaged = proof.clone();
        let mut bytes = damaged[node].to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        damaged[node] = bytes.into();
        prop_assert!(verify(&damaged).is_err());
        prop_assert!(verify(&proof[..proof.len() - 1]).is_err());
        damaged = proof.clone();
        damaged.push(proof[node].clone());
        prop_assert!(verify(&damaged).is_err());
    }
}
