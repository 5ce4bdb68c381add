//! Verbs without a node: exit codes and messages.

use crate::program::{lian, refused, run, succeed, text};
use std::{fs, process::Stdio};

const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const ADDRESS: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
/// Port 1 needs rights to listen on, so nobody answers there.
const NOBODY: &str = "http://127.0.0.1:1";

#[test]
fn help_and_version() {
    assert_eq!(succeed(&["--version"]), format!("lian {}\n", env!("CARGO_PKG_VERSION")));
    let help = succeed(&["--help"]);
    let verbs = "up node init status account send call deploy tx receipt block verify recover statetest sim bench";
    for verb in verbs.split(' ') {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb}: {help}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let cases: [&[&str]; 24] = [
        &[],
        &["dance"],
        &["block", "--colour"],
        &["tx", "0x12"],
        &["send", ADDRESS],
        &["send", ADDRESS, "--private-key", KEY, "--account", ADDRESS],
        &["send", "0x1234", "--private-key", KEY],
        &["send", ADDRESS, "--private-key", KEY, "--value", "1furlong"],
        &["up", "--nodes", "0"],
        &["up", "--consensus", "dice"],
        &["init", "--dir", "x", "--host", "10.0.0.1:"],
        &["init", "--host", "10.0.0.1:1"],
        &["init", "--join", "x", "--dir", "y", "--host", "10.0.0.1"],
        &["gov", "set-role", "node0=king", "--private-key", KEY],
        &["gov", "add-node", "node9", "bank9", "0x12", "--private-key", KEY],
        &["gov", "set-parameter", "view_timeout_ms", "-1", "--private-key", KEY],
        &["node"],
        &["verify"],
        &["bench", "run", "--rate", "0"],
        &["bench", "run", "--against", "http://a", "--rpc-url", "http://b"],
        &["bench", "run", "--workload", "dance"],
        &["bench", "run", "--workload", "smallbank", "--hot-share", "90"],
        &["bench", "plot", "run.json"],
        &["sim", "--seeds", "7..3"],
    ];
    for arguments in cases {
        let run = run(arguments);
        assert_eq!(run.status, Some(2), "{arguments:?}: {}", run.err);
        assert!(run.out.is_empty() && !run.err.is_empty(), "{arguments:?}");
    }
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let artifact = folder.path().join("interface.json");
    fs::write(&artifact, r#"{"abi": [], "bytecode": "0x"}"#).unwrap();
    let check = |arguments: &[&str], expected: &str| {
        let line = refused(&mut lian(arguments));
        assert!(line.contains(expected), "{arguments:?}: {line}");
    };
    check(&["send", ADDRESS, "--private-key", "0x1234", "--rpc-url", NOBODY], "--private-key is not a key");
    check(
        &["send", ADDRESS, "transfer(address", "--private-key", KEY],
        "`transfer(address` is not a function signature",
    );
    check(&["call", ADDRESS, "f(uint256)", "minus"], "argument 1: `minus` is not a uint256");
    check(&["call", ADDRESS, "f(uint256)"], "takes 1 arguments, 0 given");
    check(&["call", ADDRESS, "0x1234", "5"], "call data `0x1234` takes no arguments, 1 given");
    check(&["status", "--rpc-url", NOBODY], "no answer from http://127.0.0.1:1: Connection refused");
    // An account that is an argument is no sender's account.
    check(&["gov", "set-operator", ADDRESS, "--private-key", KEY, "--rpc-url", NOBODY], "no answer from");
    check(&["block", "--rpc-url", "ftp://x"], "`ftp://x` is not a URL of a node");
    check(&["deploy", text(&artifact), "--private-key", KEY], "its bytecode is empty");
    check(&["deploy", "absent.json", "--private-key", KEY], "absent.json: No such file");
    check(&["bench", "run", "--hot-accounts", "5", "--hot-share", "90"], "belong to --workload smallbank");
    check(&["bench", "plot", "--out", "x.svg", "absent.json"], "cannot read absent.json: No such file");
    check(&["node", "--config", "absent/config.toml"], "cannot read absent/config.toml: No such file");
}

#[test]
fn a_key_is_never_repeated() {
    let secret = &KEY[..60];
    let line = refused(&mut lian(&["send", ADDRESS, "--private-key", secret, "--rpc-url", NOBODY]));
    assert!(!line.contains(&secret[2..]), "{line}");
    let help = lian(&["send", "--help"]).env("LIAN_PRIVATE_KEY", KEY).output().unwrap();
    assert!(!String::from_utf8(help.stdout).unwrap().contains(&KEY[2..]));
}

#[test]
fn accounts() {
    let folder = tempfile::tempdir().unwrap();
    let dir = text(folder.path()).to_owned();
    let with_passphrase = |arguments: &[&str]| {
        let output = lian(arguments).env("LIAN_ACCOUNT_PASSPHRASE", "secret").output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let imported = with_passphrase(&["account", "import", "--private-key", KEY, "--dir", &dir]);
    assert_eq!(imported, "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n");
    let new = with_passphrase(&["account", "new", "--dir", &dir]);
    let list = succeed(&["account", "list", "--dir", &dir]);
    assert!(list.contains(&imported) && list.contains(&new) && list.lines().count() == 2, "{list}");
    let json: Vec<String> = serde_json::from_str(&succeed(&["account", "list", "--json", "--dir", &dir])).unwrap();
    assert_eq!(json.len(), 2);
    let again =
        refused(lian(&["account", "import", "--private-key", KEY, "--dir", &dir]).env("LIAN_ACCOUNT_PASSPHRASE", "x"));
    assert!(again.ends_with("is stored already"), "{again}");
    let silent = refused(lian(&["account", "new", "--dir", &dir]).stdin(Stdio::null()));
    assert_eq!(silent, "no passphrase was entered");
}

#[test]
fn statetest_counts_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    // From ethereum/tests, RLPTests/rlptest.json: the string "dog".
    let good = write("good.json", r#"{"shortstring": {"in": "dog", "out": "0x83646f67"}}"#);
    let bad = write("bad.json", r#"{"shortstring": {"in": "dog", "out": "0x83646f68"}}"#);
    let other = write("other.json", r#"{"what": {"is": "this"}}"#);
    let out = succeed(&["statetest", text(&good), text(&other)]);
    assert_eq!(out.lines().last(), Some("1 passed, 0 failed, 1 skipped"));
    assert!(out.lines().next().unwrap().contains("neither a state"), "{out}");
    let failing = run(&["statetest", text(&good), text(&bad)]);
    assert_eq!((failing.status, failing.out.lines().last()), (Some(1), Some("1 passed, 1 failed, 0 skipped")));
    let nowhere = run(&["statetest", "absent.json"]);
    assert_eq!((nowhere.status, nowhere.out.lines().last()), (Some(1), Some("0 passed, 1 failed, 0 skipped")));
}
