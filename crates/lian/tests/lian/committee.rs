//! Four real nodes whose operator hands over to a committee, by the program's own verbs.

use crate::{
    members::Network,
    program::{Run, lian, refused, succeed, text},
};
use serde_json::{Value, json};
use std::fs;

/// Three accounts with their keys, which own nothing: development accounts 1 to 3 of any Ethereum tool.
const ACCOUNTS: [[&str; 2]; 3] = [
    [
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    ],
    [
        "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
        "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    ],
    [
        "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
        "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    ],
];

/// `lian gov`, at one node or another.
struct Gov<'a>(&'a Network);

impl Gov<'_> {
    fn with<T>(&self, key: &str, verb: &[&str], run: impl FnOnce(&[&str]) -> T) -> T {
        run(&[&["gov"], verb, &["--private-key", key, "--rpc-url", &self.0.url(1)]].concat())
    }

    fn done(&self, key: &str, verb: &[&str]) -> String {
        self.with(key, verb, succeed)
    }

    fn refused(&self, key: &str, verb: &[&str]) -> String {
        self.with(key, verb, |arguments| refused(&mut lian(arguments)))
    }

    fn shown(&self, verb: &[&str]) -> Value {
        let said = succeed(&[&["gov"], verb, &["--json", "--rpc-url", &self.0.url(1)]].concat());
        serde_json::from_str(&said).unwrap()
    }

    fn state(&self, id: &str) -> Value {
        self.shown(&["proposal", id])["state"].clone()
    }
}

/// The value of a line that begins with a word.
fn value<'a>(said: &'a str, word: &str) -> &'a str {
    let line = said.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no `{word}` in:\n{said}")).trim()
}

#[test]
fn a_network_may_begin_with_a_committee() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    let [[ann, _], [ben, _], _] = ACCOUNTS;
    let init = |institution: &str, more: &[&str]| {
        let (one, other) = (format!("{ann}=bank0:2"), format!("{ben}={institution}:1"));
        lian(&[&["init", "--dir", text(&dir), "--host", "127.0.0.1:4", "--committee", &one, &other], more].concat())
    };
    let thresholds = ["--participation", "50", "--approval", "60"];
    let line = refused(&mut init("nobody", &thresholds));
    assert_eq!(line, "genesis: institution `nobody` is not defined");
    let line = refused(&mut init("bank1", &["--participation", "50", "--approval", "50"]));
    assert_eq!(line, "genesis: group 0: committee: approval is 50, must be 51 to 100");
    assert_eq!(init("bank1", &[]).output().unwrap().status.code(), Some(2), "without thresholds");
    assert_eq!(
        init("bank1", &[&thresholds[..], &["--operator", ann]].concat()).output().unwrap().status.code(),
        Some(2)
    );
    assert!(!dir.exists(), "what is refused leaves nothing");
    let run = Run::from(init("bank1", &thresholds).output().unwrap());
    assert_eq!(run.status, Some(0), "{}", run.err);
    assert!(run.out.contains("A committee of 2 decides") && !run.out.contains("operator"), "{}", run.out);
    assert!(!dir.join("ca/operator.key").exists());
    let genesis: Value = serde_json::from_str(&fs::read_to_string(dir.join("genesis.json")).unwrap()).unwrap();
    let group = &genesis["groups"][0];
    assert_eq!((&group["operators"], &group["committee"]["members"][1]["weight"]), (&Value::Null, &json!(1)));
    succeed(&["node", "--check", "--config", text(&dir.join("node0/config.toml"))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_hands_over_and_members_decide() {
    let mut network = Network::start("pbft");
    for node in 0..4 {
        network.wait_for(node, "connected", |status| status["peers"] == 3).await;
    }
    let operator = fs::read_to_string(network.dir.join("ca/operator.key")).unwrap();
    let operator = operator.trim();
    let [[ann, ann_key], [ben, ben_key], [cat, cat_key]] = ACCOUNTS;
    let gov = Gov(&network);
    let line = refused(&mut lian(&["gov", "committee", "--rpc-url", &network.url(0)]));
    assert!(line.contains("has no committee: operators decide"), "{line}");
    let line = gov.refused(ann_key, &["vote", "1", "yes"]);
    assert!(line.ends_with("has no committee: operators decide"), "{line}");

    let seats = [format!("{ann}=bank0:3"), format!("{ben}=bank1:2"), format!("{cat}=nobody:1")];
    let establish = |seats: &[String]| {
        let words = seats.iter().map(String::as_str);
        let rest = ["--participation", "50", "--approval", "60", "--reason", "minutes 1"];
        ["establish"].into_iter().chain(words).chain(rest).map(str::to_owned).collect::<Vec<_>>()
    };
    let words = |list: &[String]| list.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    let list = establish(&seats);
    let line = gov.refused(operator, &words(&list).split('\n').collect::<Vec<_>>());
    assert_eq!(line, "there is no institution `nobody`: add it first, by `lian gov add-institution nobody`");
    let seats = [seats[0].clone(), seats[1].clone(), format!("{cat}=bank2:1")];
    let list = establish(&seats);
    let list = words(&list);
    let establish: Vec<_> = list.split('\n').collect();
    let line = gov.refused(ann_key, &establish);
    assert_eq!(line, format!("{ann} may not decide this: operators do, or the committee where there is one"));
    gov.done(operator, &establish);
    assert_eq!(gov.refused(operator, &establish), "there is a committee already: `lian gov committee` shows it");
    let member =
        |account, institution, weight| json!({"account": account, "institution": institution, "weight": weight});
    let members = [member(ann, "bank0", 3), member(ben, "bank1", 2), member(cat, "bank2", 1)];
    let lower = |value: &Value| value.to_string().to_lowercase();
    let found = gov.shown(&["committee"]);
    assert_eq!(lower(&found), lower(&json!({"participation": 50, "approval": 60, "members": members})));

    // The verbs of operators make proposals now.
    let change = ["set-parameter", "block_transactions_max", "77"];
    let line = gov.refused(operator, &change);
    assert!(line.ends_with("is not a member of the committee"), "{line}");
    let said = gov.done(cat_key, &[&change[..], &["--reason", "smaller blocks"]].concat());
    assert_eq!((value(&said, "proposal"), value(&said, "votes")), ("1", "1 yes, 0 no, of 6"));
    assert_eq!(value(&said, "change"), "set-parameter block_transactions_max 77");
    assert_eq!(gov.state("1"), "active");
    let said = gov.done(ann_key, &["vote", "1", "yes", "--reason", "agreed"]);
    assert_eq!((value(&said, "state"), value(&said, "block_transactions_max")), ("executed", "77"));
    let parameters = gov.shown(&["parameters"]);
    let parameter = |parameter: &&Value| parameter["name"] == "block_transactions_max";
    assert_eq!(parameters.as_array().unwrap().iter().find(parameter).unwrap()["next"], "77");
    assert_eq!(gov.refused(ben_key, &["vote", "1", "no"]), "proposal 1 is decided: executed");

    // Several changes are one; what is not possible is not proposed.
    let line = gov.refused(ann_key, &["propose", "add-institution bank9", "set-parameter view_timeout_ms 49"]);
    let expected = "change 1 (from 0) would be refused: view_timeout_ms cannot be 49: it must be from 50 to 5000";
    assert_eq!(line, expected);
    let said = gov.done(ben_key, &["propose", "add-institution bank9", "set-thresholds 100 100"]);
    assert_eq!(value(&said, "proposal"), "2");
    let line = gov.refused(ann_key, &["settle", "2"]);
    assert!(line.starts_with("votes may come until 20"), "{line}");
    gov.done(cat_key, &["vote", "2", "yes"]);
    gov.done(cat_key, &["revoke-vote", "2"]);
    let said = gov.done(ann_key, &["vote", "2", "no"]);
    assert_eq!((value(&said, "votes"), value(&said, "state")), ("2 yes, 3 no, of 6", "defeated"));
    let said = gov.done(ann_key, &["remove-member", cat]);
    assert_eq!(value(&said, "proposal"), "3");
    assert!(gov.refused(ben_key, &["cancel", "3"]).ends_with("has not made proposal 3"));
    gov.done(ann_key, &["cancel", "3"]);

    let states: Vec<_> = gov.shown(&["proposals"]).as_array().unwrap().iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, ["canceled", "defeated", "executed"]);
    assert_eq!(gov.shown(&["proposals", "--active"]), json!([]));
    let table = succeed(&["gov", "proposals", "--limit", "2", "--rpc-url", &network.url(0)]);
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.contains("add-institution bank9 and 1 more"), "{table}");
    network.stop();
}
