//! Sources that fail, lack nodes, or hold what no trie contains.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::Header;
use expect_test::{Expect, expect};
use lian_trie::{Direction, Hasher, MemoryNodes, Nibbles, NodeSource, Owner, SourceError, Trie};
use proptest::prelude::*;

/// What to do with the node at one path.
enum Fault {
    Lost,
    Replaced(&'static [u8]),
    Unreadable,
}

struct Faulty {
    nodes: MemoryNodes,
    at: Nibbles,
    fault: Fault,
}

impl NodeSource for Faulty {
    fn node(&self, owner: Owner, path: &Nibbles, hash: B256) -> Result<Option<Bytes>, SourceError> {
        match self.fault {
            _ if *path != self.at => self.nodes.node(owner, path, hash),
            Fault::Lost => Ok(None),
            Fault::Replaced(bytes) => Ok(Some(bytes.into())),
            Fault::Unreadable => Err(SourceError::new("disk on fire")),
        }
    }
}

fn path(nibbles: &[u8]) -> Nibbles {
    Nibbles::from_nibbles(nibbles).expect("nibbles")
}

fn key(number: u8) -> Nibbles {
    keccak256([number]).into()
}

/// A trie of 200 entries that has nothing in memory, with its nodes.
fn cold() -> (Trie, MemoryNodes) {
    let owner = Some(B256::repeat_byte(3));
    let entries: BTreeMap<_, _> = (0..200).map(|number| (key(number), Some(vec![number; 40]))).collect();
    let empty = Trie::empty(Hasher::Keccak, owner);
    let (trie, changes) = empty.update(&MemoryNodes::default(), 0, entries).expect("nothing to read");
    let mut nodes = MemoryNodes::default();
    nodes.apply(owner, &changes);
    (Trie::at_root(Hasher::Keccak, owner, trie.root()), nodes)
}

fn check(at: &[u8], fault: Fault, expected: &Expect) {
    let (trie, nodes) = cold();
    let good = trie.update(&nodes, 1, [(key(0), None)]).expect("all nodes are there").0.root();
    let faulty = Faulty { nodes: nodes.clone(), at: path(at), fault };
    let error = trie.update(&faulty, 1, [(key(0), None)]).expect_err("a fault on the way");
    expected.assert_eq(&error.to_string());
    assert_eq!(trie.get(&faulty, &key(0)).expect_err("a fault on the way").to_string(), error.to_string());
    assert_eq!(trie.prove(&faulty, &key(0)).expect_err("a fault on the way").to_string(), error.to_string());
    let visit = trie.visit(&faulty, &key(0), Direction::Up, &mut |_, _| ControlFlow::Break(()));
    assert_eq!(visit.expect_err("a fault on the way").to_string(), error.to_string());
    let after = trie.update(&nodes, 1, [(key(0), None)]).expect("the trie is as it was").0.root();
    assert_eq!(after, good);
}

#[test]
fn errors_name_the_node() {
    check(
        &[],
        Fault::Lost,
        &expect![[
            r#"node at path "" of the storage trie of hashed address 0x0303030303030303030303030303030303030303030303030303030303030303 is missing (its hash is 0x187939ca387ccf11d6a8162e499611fd4039743c5570f7c2058d89a835e641cc)"#
        ]],
    );
    check(
        &[11],
        Fault::Lost,
        &expect![[
            r#"node at path "b" of the storage trie of hashed address 0x0303030303030303030303030303030303030303030303030303030303030303 is missing (its hash is 0x8f66cbafa143b10bb535705525c30c2354f0634c71ea486695814ee1e9fb12df)"#
        ]],
    );
    check(
        &[11],
        Fault::Replaced(b"\xc0"),
        &expect![[
            r#"node at path "b" of the storage trie of hashed address 0x0303030303030303030303030303030303030303030303030303030303030303 has hash 0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347 where its parent says 0x8f66cbafa143b10bb535705525c30c2354f0634c71ea486695814ee1e9fb12df"#
        ]],
    );
    check(
        &[11],
        Fault::Unreadable,
        &expect![[
            r#"node at path "b" of the storage trie of hashed address 0x0303030303030303030303030303030303030303030303030303030303030303 could not be read: disk on fire"#
        ]],
    );
}

#[test]
fn a_malformed_node_with_the_right_hash_is_an_error() {
    let bytes: &[u8] = b"\xc3\x01\x02\x03";
    let trie = Trie::at_root(Hasher::Keccak, None, keccak256(bytes));
    let nodes = Faulty { nodes: MemoryNodes::default(), at: Nibbles::EMPTY, fault: Fault::Replaced(bytes) };
    let error = trie.get(&nodes, &key(0)).expect_err("no node");
    expect![[r#"node at path "" of the account trie is malformed: a node has 2 or 17 items, not 3"#]]
        .assert_eq(&error.to_string());
}

#[test]
fn unsorted_changes_are_refused() {
    let (trie, nodes) = cold();
    let keys = [path(&[2]), path(&[1, 5])];
    let error = trie.update(&nodes, 1, keys.map(|key| (key, None))).expect_err("unsorted");
    expect!["the key 15 follows a greater or equal one in a batch that must be sorted"].assert_eq(&error.to_string());
}

/// Nodes by hash, whatever the path.
struct ByHash(BTreeMap<B256, Bytes>);

impl NodeSource for ByHash {
    fn node(&self, _: Owner, _: &Nibbles, hash: B256) -> Result<Option<Bytes>, SourceError> {
        Ok(self.0.get(&hash).cloned())
    }
}

/// A node of a tree that no honest trie contains: extensions in a row, branches below the deepest key, short nodes by
/// hash.
#[derive(Clone, Debug)]
enum Strange {
    Leaf(Vec<u8>),
    Extension(Vec<u8>, prop::sample::Index),
    Branch(Vec<(u8, prop::sample::Index)>, bool),
}

fn strange() -> impl Strategy<Value = Strange> {
    let path = || prop::collection::vec(0u8..2, 0..40);
    prop_oneof![
        path().prop_map(Strange::Leaf),
        (path(), any::<prop::sample::Index>()).prop_map(|(path, child)| Strange::Extension(path, child)),
        (prop::collection::vec((0u8..2, any::<prop::sample::Index>()), 0..3), any::<bool>())
            .prop_map(|(children, value)| Strange::Branch(children, value)),
    ]
}

fn hex_prefix(nibbles: &[u8], leaf: u8) -> Vec<u8> {
    let mut padded = if nibbles.len() % 2 == 1 { vec![leaf + 1] } else { vec![leaf, 0] };
    padded.extend_from_slice(nibbles);
    padded.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Encodes a node whose children are among the nodes before it.
fn encode(node: &Strange, before: &[Bytes]) -> Bytes {
    let string = |bytes: &[u8]| alloy_rlp::encode(bytes);
    let child = |index: &prop::sample::Index| match before {
        [] => string(&[]),
        _ => match &before[index.index(before.len())] {
            short if short.len() < 32 => short.to_vec(),
            long => string(keccak256(long).as_slice()),
        },
    };
    let payload = match node {
        Strange::Leaf(path) => [string(&hex_prefix(path, 2)), string(&[7; 9])].concat(),
        Strange::Extension(path, index) => [string(&hex_prefix(path, 0)), child(index)].concat(),
        Strange::Branch(children, value) => {
            let mut items = vec![string(&[]); 17];
            children.iter().for_each(|(nibble, index)| items[usize::from(*nibble)] = child(index));
            items[16] = string(if *value { &[5] } else { &[] });
            items.concat()
        }
    };
    let mut out = Vec::new();
    Header { list: true, payload_length: payload.len() }.encode(&mut out);
    out.extend_from_slice(&payload);
    out.into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever a root commits to, operations end with a result or an error.
    #[test]
    fn strange_trees_do_no_harm(
        strange in prop::collection::vec(strange(), 1..12),
        changes in prop::collection::btree_map(prop::collection::vec(0u8..2, 0..64), any::<bool>(), 1..6),
        keep in 0usize..4,
    ) {
        let mut list: Vec<Bytes> = Vec::new();
        for node in &strange {
            let rlp = encode(node, &list);
            list.push(rlp);
        }
        let root = list.last().map(keccak256).expect("at least one node");
        let nodes = ByHash(list.into_iter().map(|rlp| (keccak256(&rlp), rlp)).collect());
        let mut trie = Trie::at_root(Hasher::Keccak, None, root);
        for (key, sets) in &changes {
            let _ = trie.get(&nodes, &path(key));
            let _ = trie.prove(&nodes, &path(key));
            let _ = trie.neighbour(&nodes, &path(key), Direction::Down);
            if let Ok((next, _)) = trie.update(&nodes, 1, [(path(key), sets.then(|| vec![1; 40]))]) {
                trie = next.evict(keep, 1);
            }
        }
        let all = changes.iter().map(|(key, sets)| (path(key), sets.then(|| vec![2; 3])));
        let _ = Trie::at_root(Hasher::Keccak, None, root).update(&nodes, 1, all);
    }
}
