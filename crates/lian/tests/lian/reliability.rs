//! Every test that docs/reliability.md and docs/spec/formats.md name is there.

use std::{collections::BTreeSet, fs, path::Path};

/// Names of tests in a text: between backticks, in small letters with underscores.
fn named(text: &str) -> BTreeSet<&str> {
    let spans = text.split('`').skip(1).step_by(2);
    let is_name = |span: &&str| {
        span.matches('_').count() >= 2 && span.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    spans.filter(is_name).collect()
}

/// Functions behind a test attribute, in all files below a folder.
fn tests_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut is_test = false;
            for line in text.lines().map(str::trim_start) {
                if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                    is_test = true;
                } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) {
                    is_test = false;
                    found.extend(rest.split('(').next().map(str::to_owned));
                }
            }
        }
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path| fs::read_to_string(root.join(path)).unwrap();
    let text = read("docs/reliability.md") + &read("docs/spec/formats.md");
    let mut found = BTreeSet::new();
    for folder in ["crates", "fuzz"] {
        tests_below(&root.join(folder), &mut found);
    }
    let named = named(&text);
    assert!(named.len() > 50, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|name| !found.contains(**name)).collect();
    assert!(missing.is_empty(), "the documents name tests that do not exist: {missing:?}");
}
