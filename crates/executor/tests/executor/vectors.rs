//! Ethereum's own tests, where they are at hand: `LIAN_VECTORS`, or `../shared/vectors` beside the project.

use lian_executor::statetest::{self, Case, Report};
use std::path::{Path, PathBuf};

fn folder(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("LIAN_VECTORS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"), PathBuf::from);
    let folder = root.join("ethereum").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("no vectors at {} (set LIAN_VECTORS): not run", folder.display());
    None
}

/// The report, after every failure was shown.
fn run(name: &str) -> Option<Report> {
    let report = statetest::run(&folder(name)?);
    for Case { file, test, fork, index, reason } in &report.failed {
        eprintln!("{} {test} {fork} {index}: {reason}", file.display());
    }
    let counts = (report.passed, report.failed.len(), report.skipped.len());
    eprintln!("{name}: {} passed, {} failed, {} skipped", counts.0, counts.1, counts.2);
    assert_eq!(report.failed.len(), 0, "{name}");
    assert!(report.passed > 0, "{name}: nothing was run");
    Some(report)
}

#[test]
fn state_tests() {
    let Some(report) = run("GeneralStateTests") else { return };
    for case in &report.skipped {
        assert_eq!(case.reason, "Lian has no blob transactions (type 3)", "{case:?}");
    }
}

#[test]
fn transaction_tests() {
    let Some(report) = run("TransactionTests") else { return };
    for case in &report.skipped {
        let by_rule = case.reason.contains("no blob transactions") || case.reason.contains("more than 128 bits");
        assert!(by_rule, "{case:?}");
    }
}

#[test]
fn trie_tests() {
    let Some(report) = run("TrieTests") else { return };
    assert_eq!(report.skipped, vec![]);
}

#[test]
fn rlp_tests() {
    let Some(report) = run("RLPTests") else { return };
    assert_eq!(report.skipped, vec![]);
}
