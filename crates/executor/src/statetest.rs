//! Ethereum's JSON tests, run through this crate's own executor and Lian's own trie.
//!
//! The kind of a test is seen from its content, its fork and fee rules are the test's own. What Lian cannot run (blob
//! transactions, forks that revm does not know) is skipped by that rule, with the reason.

mod fork;
mod rlp;
mod state;
mod transaction;
mod trie;

use rayon::prelude::*;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What became of one case of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It gave what the test says.
    Passed,
    /// It gave something else, or the test cannot be read.
    Failed(String),
    /// It cannot apply, by the rule given.
    Skipped(String),
}

/// One case: a test may have many, by fork and index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    /// The file that it is in.
    pub file: PathBuf,
    /// The test's name in the file.
    pub test: String,
    /// The fork whose rules apply; empty where there is none.
    pub fork: String,
    /// Its position among the test's cases for that fork, from 0.
    pub index: usize,
    /// Why it failed or was skipped.
    pub reason: String,
}

/// What became of many cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many gave what the test says.
    pub passed: usize,
    /// Those that did not.
    pub failed: Vec<Case>,
    /// Those that cannot apply.
    pub skipped: Vec<Case>,
}

impl Report {
    /// Both reports as one.
    #[must_use]
    pub fn merge(mut self, mut other: Self) -> Self {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed.append(&mut other.failed);
        self.skipped.append(&mut other.skipped);
        self
    }

    fn of(file: &Path, results: Vec<CaseResult>) -> Self {
        let mut report = Self::default();
        for CaseResult { test, fork, index, verdict } in results {
            let case = |reason| Case { file: file.to_owned(), test, fork, index, reason };
            match verdict {
                Verdict::Passed => report.passed = report.passed.saturating_add(1),
                Verdict::Failed(reason) => report.failed.push(case(reason)),
                Verdict::Skipped(reason) => report.skipped.push(case(reason)),
            }
        }
        report
    }
}

/// One case with its verdict, before it is known which file it comes from.
struct CaseResult {
    test: String,
    fork: String,
    index: usize,
    verdict: Verdict,
}

impl CaseResult {
    fn new(test: &str, fork: &str, index: usize, outcome: Result<(), Mismatch>) -> Self {
        let verdict = match outcome {
            Ok(()) => Verdict::Passed,
            Err(Mismatch::Wrong(reason)) => Verdict::Failed(reason),
            Err(Mismatch::Inapplicable(reason)) => Verdict::Skipped(reason),
        };
        Self { test: test.to_owned(), fork: fork.to_owned(), index, verdict }
    }
}

/// Why a case did not pass.
#[derive(Debug, PartialEq, Eq)]
enum Mismatch {
    /// The result is another than the test says, or the test cannot be read.
    Wrong(String),
    /// A rule says that the case cannot apply to Lian.
    Inapplicable(String),
}

impl Mismatch {
    fn wrong(reason: impl ToString) -> Self {
        Self::Wrong(reason.to_string())
    }
}

/// Says where `actual` differs from what the test expects.
fn expect_equal<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, actual: &T) -> Result<(), Mismatch> {
    if expected == actual {
        return Ok(());
    }
    Err(Mismatch::Wrong(format!("{what} is {actual:?}, expected {expected:?}")))
}

/// Runs the tests of a file, or of all `.json` files in a folder and the folders in it, on all cores.
///
/// The order of the report depends on the names of the files alone.
#[must_use]
pub fn run(path: &Path) -> Report {
    let mut files = Vec::new();
    if let Err((place, error)) = list(path, &mut files) {
        let reason = format!("cannot be read: {error}");
        let case = Case { file: place, test: String::new(), fork: String::new(), index: 0, reason };
        return Report { failed: vec![case], ..Report::default() };
    }
    files.sort_unstable();
    let reports: Vec<_> = files.par_iter().with_max_len(1).map(|file| run_file(file)).collect();
    reports.into_iter().fold(Report::default(), Report::merge)
}

fn list(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), (PathBuf, std::io::Error)> {
    let locate = |error| (path.to_owned(), error);
    if !std::fs::metadata(path).map_err(locate)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(locate)? {
        let entry = entry.map_err(locate)?.path();
        if entry.is_dir() || entry.extension().is_some_and(|extension| extension == "json") {
            list(&entry, files)?;
        }
    }
    Ok(())
}

fn run_file(file: &Path) -> Report {
    let read = std::fs::read(file).map_err(|error| format!("cannot be read: {error}"));
    let parsed = read.and_then(|bytes| {
        serde_json::from_slice::<serde_json::Map<String, Value>>(&bytes)
            .map_err(|error| format!("is not a JSON object: {error}"))
    });
    let tests = match parsed {
        Ok(tests) => tests,
        Err(reason) => {
            let result = CaseResult::new("", "", 0, Err(Mismatch::Wrong(reason)));
            return Report::of(file, vec![result]);
        }
    };
    let results = tests.into_iter().flat_map(|(name, test)| run_test(&name, test)).collect();
    Report::of(file, results)
}

/// Sees the kind of a test from the fields that it has, and runs it.
fn run_test(name: &str, test: Value) -> Vec<CaseResult> {
    let has = |fields: &[&str]| fields.iter().all(|field| test.get(field).is_some());
    let one = |outcome| vec![CaseResult::new(name, "", 0, outcome)];
    if has(&["pre", "env", "transaction", "post"]) {
        state::run(name, test)
    } else if has(&["txbytes", "result"]) {
        transaction::run(name, test)
    } else if has(&["in", "root"]) {
        one(trie::run_root(&test))
    } else if has(&["in", "tests"]) {
        one(trie::run_neighbours(&test))
    } else if has(&["in", "out"]) {
        one(rlp::run(&test))
    } else {
        one(Err(Mismatch::Inapplicable("neither a state, a transaction, a trie nor an RLP test".to_owned())))
    }
}
