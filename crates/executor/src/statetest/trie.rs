//! Trie tests: the root of some entries, and the neighbours of a key.

use super::{Mismatch, expect_equal};
use alloy_primitives::{B256, Bytes, hex, keccak256};
use lian_trie::{Direction, Hasher, MemoryNodes, Nibbles, Trie};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// An entry to set, or to delete where there is no value.
type Entry = (Vec<u8>, Option<Vec<u8>>);

/// The root after all entries were put, in this order.
///
/// Ethereum's format does not say in the test whether keys are hashed first ("secure" tries), only the file's name does.
/// A root fits at most one of the two, so both are computed and the test passes if either gives it.
pub(super) fn run_root(test: &Value) -> Result<(), Mismatch> {
    let expected = B256::deserialize(test.get("root").unwrap_or(&Value::Null)).map_err(Mismatch::wrong)?;
    let (entries, ordered) = entries(test.get("in").unwrap_or(&Value::Null))?;
    let plain = roots(&entries, ordered, false)?;
    let secure = roots(&entries, ordered, true)?;
    for roots in [&plain, &secure] {
        if let Some(other) = roots.iter().find(|root| Some(root) != roots.first().as_ref()) {
            return Err(Mismatch::Wrong(format!("the root depends on how entries are put: {other}")));
        }
    }
    if secure.first() == Some(&expected) {
        return Ok(());
    }
    expect_equal("the root", &Some(&expected), &plain.first())
}

/// The root from putting entries one by one, and, where their order does not matter, all at once.
fn roots(entries: &[Entry], ordered: bool, secure: bool) -> Result<Vec<B256>, Mismatch> {
    let key = |key: &[u8]| if secure { Ok(keccak256(key).into()) } else { nibbles(key) };
    let mut store = MemoryNodes::default();
    let mut one_by_one = Trie::empty(Hasher::Keccak, None);
    for (generation, (name, value)) in (1..).zip(entries) {
        // The trie as it is read back from the store, so that what was written is read again.
        let fresh = Trie::at_root(Hasher::Keccak, None, one_by_one.root());
        let (next, changes) =
            fresh.update(&store, generation, [(key(name)?, value.clone())]).map_err(Mismatch::wrong)?;
        store.apply(None, &changes);
        one_by_one = next;
    }
    let mut roots = vec![one_by_one.root()];
    if !ordered {
        let mut sorted = BTreeMap::new();
        for (name, value) in entries {
            sorted.insert(key(name)?, value.clone());
        }
        let (at_once, _) =
            Trie::empty(Hasher::Keccak, None).update(&MemoryNodes::default(), 1, sorted).map_err(Mismatch::wrong)?;
        roots.push(at_once.root());
    }
    Ok(roots)
}

/// Entries as a list of pairs, where the order matters, or as an object, where it does not.
fn entries(value: &Value) -> Result<(Vec<Entry>, bool), Mismatch> {
    let text = |value: &Value| value.as_str().map(bytes);
    match value {
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| (bytes(key), text(value));
            Ok((map.iter().map(entry).collect(), false))
        }
        Value::Array(list) => {
            let entry = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
                Some([key, value]) => text(key).map(|key| (key, text(value))),
                _ => None,
            };
            let entries: Option<_> = list.iter().map(entry).collect();
            Ok((entries.ok_or_else(|| Mismatch::wrong("an entry is not a pair of texts"))?, true))
        }
        _ => Err(Mismatch::wrong("`in` is neither a list nor an object")),
    }
}

/// Text stands for itself unless it begins with 0x.
fn bytes(text: &str) -> Vec<u8> {
    text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok()).unwrap_or_else(|| text.as_bytes().to_vec())
}

fn nibbles(key: &[u8]) -> Result<Nibbles, Mismatch> {
    Nibbles::from_bytes(key)
        .map_err(|_| Mismatch::Inapplicable(format!("Lian's trie has no keys of {} bytes", key.len())))
}

/// The keys before and after some keys, which need not be in the trie.
pub(super) fn run_neighbours(test: &Value) -> Result<(), Mismatch> {
    let read = |field| test.get(field).unwrap_or(&Value::Null);
    let keys = Vec::<String>::deserialize(read("in")).map_err(Mismatch::wrong)?;
    let questions = Vec::<[String; 3]>::deserialize(read("tests")).map_err(Mismatch::wrong)?;
    let mut sorted = BTreeMap::new();
    for key in &keys {
        sorted.insert(nibbles(key.as_bytes())?, Some(key.as_bytes().to_vec()));
    }
    let mut store = MemoryNodes::default();
    let (trie, changes) = Trie::empty(Hasher::Keccak, None).update(&store, 1, sorted).map_err(Mismatch::wrong)?;
    store.apply(None, &changes);
    for [key, before, after] in &questions {
        for (direction, expected) in [(Direction::Down, before), (Direction::Up, after)] {
            let found = trie.neighbour(&store, &nibbles(key.as_bytes())?, direction).map_err(Mismatch::wrong)?;
            let found = found.map_or_else(Bytes::new, |(_, value)| value);
            let what = format!("the neighbour of `{key}` ({direction:?})");
            expect_equal(&what, expected, &String::from_utf8_lossy(&found).into_owned())?;
        }
    }
    Ok(())
}
