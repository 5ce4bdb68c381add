//! Dependencies between Lian's crates only point up one list.

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Every crate and its layer, lowest first. A crate may depend on those of lower layers.
const LAYERS: [(&str, u8); 19] = [
    ("lian-types", 0),
    ("lian-crypto", 0),
    ("lian-pbft", 1),
    ("lian-raft", 1),
    ("lian-txpool", 1),
    ("lian-sync", 1),
    ("lian-trie", 1),
    ("lian-system-contracts", 1),
    ("lian-executor", 1),
    ("lian-ledger", 2),
    ("lian-network", 2),
    ("lian-group", 2),
    ("lian-rpc", 3),
    ("lian-client", 3),
    ("lian-hooks", 3),
    ("lian-bench", 4),
    ("lian-sim", 4),
    ("lian-fuzz", 4),
    ("lian", 4),
];

/// Dependencies within a layer, each for its reason. Protocol crates of layer 1 never know each other.
const WITHIN_A_LAYER: [(&str, &str); 7] = [
    // A suite hashes and signs types.
    ("lian-crypto", "lian-types"),
    // Executing a block ends with its state root.
    ("lian-executor", "lian-trie"),
    // System contracts run among the precompiled ones.
    ("lian-executor", "lian-system-contracts"),
    // A group joins a chain's parts and drives them.
    ("lian-group", "lian-ledger"),
    ("lian-group", "lian-network"),
    // The program has verbs that run the simulator and the load generator.
    ("lian", "lian-sim"),
    ("lian", "lian-bench"),
];

/// What the client may know of Lian: a program that talks to nodes is none itself.
const CLIENT_MAY_USE: [&str; 2] = ["lian-types", "lian-crypto"];

fn layer(name: &str) -> u8 {
    let found = LAYERS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("{name} has no layer; add it to the table and to ARCHITECTURE.md")).1
}

fn allowed(from: &str, to: &str) -> bool {
    if from == "lian-client" {
        return CLIENT_MAY_USE.contains(&to);
    }
    layer(to) < layer(from) || WITHIN_A_LAYER.contains(&(from, to))
}

#[test]
fn dependencies_point_up_the_list() {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .unwrap();
    let names: Vec<_> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        for dependency in package.dependencies.iter().filter(|one| one.kind != DependencyKind::Development) {
            if names.contains(&dependency.name) && !allowed(&package.name, &dependency.name) {
                wrong.push(format!("{} depends on {}", package.name, dependency.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(names.iter().all(|name| layer(name) <= 4));
}

/// The rule itself, on cases whose answer is known.
#[test]
fn the_rule_tells_up_from_down() {
    for (from, to, expected) in [
        ("lian-group", "lian-pbft", true),
        ("lian-executor", "lian-trie", true),
        ("lian-trie", "lian-executor", false),
        ("lian-pbft", "lian-txpool", false),
        ("lian-ledger", "lian-group", false),
        ("lian-types", "lian-crypto", false),
        ("lian-client", "lian-group", false),
        ("lian-client", "lian-crypto", true),
        ("lian-rpc", "lian-client", false),
    ] {
        assert_eq!(allowed(from, to), expected, "{from} → {to}");
    }
}
