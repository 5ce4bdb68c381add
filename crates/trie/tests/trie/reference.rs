//! Other ways to the same answers: the yellow paper's definition read literally, and `alloy-trie`.

use std::collections::BTreeMap;

use alloy_primitives::{B256, keccak256};
use alloy_rlp::Header;
use lian_trie::{Hasher, MemoryNodes, Nibbles, NodeChanges, NodeSource, Owner, RootBuilder};

/// Entries by key.
pub(crate) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// The root by the definition in appendix D of the yellow paper, built from nothing.
pub(crate) fn definition_root(entries: &Entries) -> B256 {
    if entries.is_empty() {
        return keccak256([0x80]);
    }
    let nibbles: Vec<_> = entries.iter().map(|(key, value)| (unpack(key), value.as_slice())).collect();
    keccak256(node(&nibbles, 0))
}

fn unpack(key: &[u8]) -> Vec<u8> {
    key.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect()
}

/// c(J, i) of equation (D.3): the RLP of the node for the entries, which share their first `depth` nibbles.
fn node(entries: &[(Vec<u8>, &[u8])], depth: usize) -> Vec<u8> {
    if let [(key, value)] = entries {
        return list(&[string(&hex_prefix(&key[depth..], true)), string(value)]);
    }
    let (first, last) = (&entries[0].0, &entries[entries.len() - 1].0);
    let shared = first.iter().zip(last).take_while(|(a, b)| a == b).count();
    if shared > depth {
        return list(&[string(&hex_prefix(&first[depth..shared], false)), reference(entries, shared)]);
    }
    let mut items: Vec<_> = (0..16)
        .map(|nibble| {
            let below: Vec<_> = entries.iter().filter(|(key, _)| key.get(depth) == Some(&nibble)).cloned().collect();
            if below.is_empty() { string(&[]) } else { reference(&below, depth + 1) }
        })
        .collect();
    let value = entries.iter().find(|(key, _)| key.len() == depth).map_or(&[][..], |(_, value)| value);
    items.push(string(value));
    list(&items)
}

/// n(J, i) of equation (D.2).
fn reference(entries: &[(Vec<u8>, &[u8])], depth: usize) -> Vec<u8> {
    let rlp = node(entries, depth);
    if rlp.len() < 32 { rlp } else { string(keccak256(rlp).as_slice()) }
}

fn hex_prefix(nibbles: &[u8], leaf: bool) -> Vec<u8> {
    let flag = if leaf { 2 } else { 0 };
    let mut padded = if nibbles.len() % 2 == 1 { vec![flag + 1] } else { vec![flag, 0] };
    padded.extend_from_slice(nibbles);
    padded.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    alloy_rlp::encode(bytes)
}

fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let payload = items.concat();
    let mut out = Vec::new();
    Header { list: true, payload_length: payload.len() }.encode(&mut out);
    out.extend_from_slice(&payload);
    out
}

/// The root by `alloy-trie`, whose keys must all be equally long.
pub(crate) fn alloy_root(entries: &Entries) -> B256 {
    let mut builder = alloy_trie::HashBuilder::default();
    for (key, value) in entries {
        builder.add_leaf(alloy_trie::Nibbles::unpack(key), value);
    }
    builder.root()
}

/// All nodes that a store must have of a trie with these entries, and the root.
pub(crate) fn rebuilt(owner: Owner, entries: &Entries) -> (B256, MemoryNodes) {
    let mut nodes = Vec::new();
    let mut builder = RootBuilder::new(Hasher::Keccak, |path: &Nibbles, rlp: &[u8]| {
        nodes.push((owner, *path, rlp.to_vec().into()));
    });
    for (key, value) in entries {
        builder.push(Nibbles::from_bytes(key).expect("a short key"), value).expect("sorted");
    }
    let root = builder.finish();
    (root, nodes.into_iter().collect())
}

#[test]
fn definition_agrees_with_a_known_root() {
    let entries = [("do", "verb"), ("horse", "stallion"), ("doge", "coin"), ("dog", "puppy")];
    let entries = entries.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
    // ethereum/tests, TrieTests/trieanyorder.json, "puppy".
    let root = "0x5991bb8c6514148a29db676a14ac506cd2cd5775ace63c30a4fe457715e9ac84";
    assert_eq!(definition_root(&entries).to_string(), root);
}

/// What changes tell about the nodes before must be what a store without them has.
pub(crate) fn check_before(nodes: &MemoryNodes, owner: Owner, changes: &NodeChanges) {
    for change in changes {
        if change.before.is_some() {
            let stored = nodes.node(owner, &change.path, B256::ZERO).expect("nodes in memory");
            assert_eq!(change.before, stored, "the node before at {}", change.path);
        }
    }
}
