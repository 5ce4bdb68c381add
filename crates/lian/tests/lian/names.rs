//! Four real nodes whose contracts are named, replaced and called by the program's own verbs.

use crate::{
    members::Network,
    program::{lian, refused, succeed},
};
use serde_json::{Value, json};

/// Accounts with their keys, which own nothing: development accounts 1 and 2 of any Ethereum tool.
const ANN: [&str; 2] = [
    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
];
const BEN: [&str; 2] = [
    "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
    "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
];

/// Verbs at one node or another.
struct Program<'a>(&'a Network);

impl Program<'_> {
    fn with<T>(&self, [_, key]: [&str; 2], verb: &[&str], run: impl FnOnce(&[&str]) -> T) -> T {
        run(&[verb, &["--private-key", key, "--rpc-url", &self.0.url(1)]].concat())
    }

    fn done(&self, by: [&str; 2], verb: &[&str]) -> String {
        self.with(by, verb, succeed)
    }

    fn refused(&self, by: [&str; 2], verb: &[&str]) -> String {
        self.with(by, verb, |arguments| refused(&mut lian(arguments)))
    }

    fn said(&self, verb: &[&str]) -> String {
        succeed(&[verb, &["--rpc-url", &self.0.url(2)]].concat()).trim().to_owned()
    }

    fn shown(&self, verb: &[&str]) -> Value {
        serde_json::from_str(&self.said(&[&["cns"], verb, &["--json"]].concat())).unwrap()
    }

    /// The version of the box that answers an account.
    fn answering(&self, caller: &str) -> String {
        self.said(&["cns", "call", "pay.工行", "version", "--from", caller])
    }
}

fn artifact(name: &str) -> String {
    format!("{}/../../contracts/artifacts/{name}.json", env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test(flavor = "multi_thread")]
async fn contracts_are_named_replaced_and_called_by_name() {
    let network = Network::start("pbft");
    for node in 0..4 {
        network.wait_for(node, "connected", |status| status["peers"] == 3).await;
    }
    let program = Program(&network);
    let name = "pay.工行";
    let said = program.done(ANN, &["deploy", &artifact("BoxV1"), "--name", "Pay.工行", "--version", "1.0"]);
    assert!(said.lines().any(|line| line.starts_with("answers") && line.ends_with("1.0")), "{said}");
    program.done(BEN, &["send", name, "store(uint256)", "42"]);
    assert_eq!(program.said(&["call", name, "value()(uint256)"]), "42");
    let again = ["deploy", &artifact("BoxV2"), "--name", name, "--version", "1.0"];
    let line = program.refused(ANN, &again);
    assert_eq!(line, "there is a version `1.0` of `pay.工行` already; nothing was deployed");
    program.done(ANN, &["deploy", &artifact("BoxV2"), "--name", name, "--version", "2.0"]);
    let line = program.refused(BEN, &["cns", "switch", name, "2.0"]);
    assert!(line.starts_with(&format!("{} may not do this", BEN[0])), "{line}");

    program.done(ANN, &["cns", "delegate", name, BEN[0]]);
    program.done(BEN, &["cns", "canary", "start", name, "2.0", "0", "--reason", "release 12"]);
    program.done(BEN, &["cns", "canary", "callers", name, BEN[0]]);
    assert_eq!((program.answering(ANN[0]), program.answering(BEN[0])), ("1".to_owned(), "2".to_owned()));
    let line = program.refused(BEN, &["cns", "canary", "lower", name, "1"]);
    assert_eq!(line, format!("the share of `{name}`'s canary is 0 %: `raise` makes it larger"));
    program.done(BEN, &["cns", "canary", "raise", name, "99.5"]);
    program.done(BEN, &["cns", "canary", "hold", name]);
    assert_eq!(
        program.refused(BEN, &["cns", "canary", "raise", name, "100"]),
        "the canary is held: release or abort it first"
    );
    let shown = program.shown(&["show", name]);
    assert_eq!((&shown["canary"]["basis_points"], &shown["canary"]["held"]), (&json!(9_950), &json!(true)));
    program.done(BEN, &["cns", "canary", "release", name]);
    program.done(BEN, &["cns", "canary", "finish", name]);
    assert_eq!(program.answering(ANN[0]), "2");
    assert_eq!(program.said(&["call", name, "value()(uint256)"]), "42", "the data is the name's");
    program.done(BEN, &["cns", "rollback", name, "--reason", "incident 4"]);
    assert_eq!(program.answering(ANN[0]), "1");
    let history = program.shown(&["history", name]);
    let steps: Vec<_> = history.as_array().unwrap().iter().map(|step| [&step["from"], &step["to"]]).collect();
    assert_eq!(steps, [["", "1.0"], ["1.0", "2.0"], ["2.0", "1.0"]]);
    assert_eq!(history[2]["reason"], "incident 4");

    program.done(ANN, &["cns", "transfer", name, BEN[0]]);
    assert_eq!(program.shown(&["show", name])["owner"], json!(BEN[0].to_lowercase()));
    assert_eq!(program.shown(&["show", name])["delegates"], json!([]));
    let line = program.refused(ANN, &["cns", "register", "eu.pay.工行"]);
    assert_eq!(line, format!("`eu.pay.工行` lies under `{name}`, which {} does not own", ANN[0]));
    assert_eq!(program.shown(&["list"]).as_array().unwrap().len(), 1);
    let line = program.refused(ANN, &["send", "nobody"]);
    assert_eq!(line, "there is no name `nobody`; `lian cns list` shows all");
}
