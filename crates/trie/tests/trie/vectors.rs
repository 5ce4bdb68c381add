//! Ethereum's trie tests (ethereum/tests, TrieTests).

use std::path::PathBuf;

use alloy_primitives::keccak256;
use lian_trie::{Direction, Hasher, MemoryNodes, Nibbles, Trie, root_of};
use serde_json::Value;

/// The folder of the tests, if it is there.
fn folder() -> Option<PathBuf> {
    let root = std::env::var_os("LIAN_VECTORS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors")), PathBuf::from);
    let folder = root.join("ethereum/TrieTests");
    if !folder.is_dir() {
        println!("skipped: no trie vectors at {} (set LIAN_VECTORS)", folder.display());
        return None;
    }
    Some(folder)
}

fn cases(file: &str) -> Vec<(String, Value)> {
    let Some(folder) = folder() else { return Vec::new() };
    let text = std::fs::read_to_string(folder.join(file)).expect(file);
    let Value::Object(cases) = serde_json::from_str(&text).expect(file) else { panic!("{file} holds no object") };
    assert!(!cases.is_empty(), "{file} holds no case");
    cases.into_iter().collect()
}

/// Text, or bytes in hexadecimal after `0x`.
fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("a string");
    match text.strip_prefix("0x") {
        Some(digits) => hex::decode(digits).expect("hexadecimal digits"),
        None => text.as_bytes().to_vec(),
    }
}

/// The steps of a test: keys with new values or deletions.
fn steps(case: &Value, secure: bool) -> Vec<(Nibbles, Option<Vec<u8>>)> {
    let key = |key: &Value| match bytes(key) {
        key if secure => keccak256(key).into(),
        key => Nibbles::from_bytes(&key).expect("a key of up to 32 bytes"),
    };
    let value = |value: &Value| (!value.is_null()).then(|| bytes(value));
    match &case["in"] {
        Value::Object(entries) => {
            entries.iter().map(|(name, content)| (key(&Value::from(name.as_str())), value(content))).collect()
        }
        Value::Array(entries) => entries.iter().map(|entry| (key(&entry[0]), value(&entry[1]))).collect(),
        other => panic!("unknown input {other}"),
    }
}

/// Applies the steps one by one, each to a trie that has nothing in memory.
fn root_by_steps(steps: &[(Nibbles, Option<Vec<u8>>)]) -> String {
    let mut nodes = MemoryNodes::default();
    let mut trie = Trie::empty(Hasher::Keccak, None);
    for (generation, step) in (0..).zip(steps) {
        let (next, changes) = trie.update(&nodes, generation, [step.clone()]).expect("all nodes are there");
        nodes.apply(None, &changes);
        trie = Trie::at_root(Hasher::Keccak, None, next.root());
    }
    trie.root().to_string()
}

/// Applies what the steps lead to, all at once and by streaming.
fn roots_at_once(steps: &[(Nibbles, Option<Vec<u8>>)]) -> [String; 2] {
    let last: std::collections::BTreeMap<_, _> = steps.iter().cloned().collect();
    let empty = Trie::empty(Hasher::Keccak, None);
    let (trie, _) = empty.update(&MemoryNodes::default(), 0, last.clone()).expect("nothing to read");
    let present = last.into_iter().filter_map(|(key, value)| Some((key, value?)));
    [trie.root().to_string(), root_of(Hasher::Keccak, present).expect("sorted").to_string()]
}

fn check(file: &str, secure: bool) {
    for (name, case) in cases(file) {
        let mut steps = steps(&case, secure);
        let root = case["root"].as_str().expect("a root");
        assert_eq!(root_by_steps(&steps), root, "{file} {name}");
        assert_eq!(roots_at_once(&steps), [root, root], "{file} {name} at once");
        if case["in"].is_object() {
            steps.reverse();
            assert_eq!(root_by_steps(&steps), root, "{file} {name} in reverse");
        }
    }
}

#[test]
fn any_order() {
    check("trieanyorder.json", false);
    check("trieanyorder_secureTrie.json", true);
}

#[test]
fn in_order_with_deletions() {
    check("trietest.json", false);
    check("trietest_secureTrie.json", true);
}

#[test]
fn hexadecimal_secure() {
    check("hex_encoded_securetrie_test.json", true);
}

#[test]
fn neighbours() {
    for (name, case) in cases("trietestnextprev.json") {
        let keys = case["in"].as_array().expect("a list of keys");
        let entries: std::collections::BTreeMap<_, _> =
            keys.iter().map(|key| (Nibbles::from_bytes(&bytes(key)).expect("short"), Some(b"x".to_vec()))).collect();
        let nodes = MemoryNodes::default();
        let (trie, _) = Trie::empty(Hasher::Keccak, None).update(&nodes, 0, entries).expect("nothing to read");
        for test in case["tests"].as_array().expect("a list of tests") {
            let key = Nibbles::from_bytes(&bytes(&test[0])).expect("short");
            let found = [Direction::Down, Direction::Up].map(|direction| {
                let found = trie.neighbour(&nodes, &key, direction).expect("all in memory");
                found.map_or_else(Vec::new, |(key, _)| key.to_bytes().expect("whole bytes").to_vec())
            });
            assert_eq!(found, [bytes(&test[1]), bytes(&test[2])], "{name} {test}");
        }
    }
}
