//! Four real nodes whose authorities change under load, and one of which is revoked.

use crate::{
    members::{Load, Network},
    program::{lian, refused, succeed, text},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// `lian ca` by the operator, at one node of a network.
struct Ca<'a> {
    network: &'a Network,
    key: String,
}

impl<'a> Ca<'a> {
    fn new(network: &'a Network) -> Self {
        let key = fs::read_to_string(network.dir.join("ca/operator.key")).unwrap().trim().to_owned();
        Self { network, key }
    }

    fn with<T>(&self, verb: &[&str], run: impl FnOnce(&[&str]) -> T) -> T {
        run(&[&["ca"], verb, &["--private-key", &self.key, "--rpc-url", &self.network.url(0)]].concat())
    }

    fn done(&self, verb: &[&str]) -> String {
        self.with(verb, succeed)
    }

    fn refused(&self, verb: &[&str]) -> String {
        self.with(verb, |arguments| refused(&mut lian(arguments)))
    }

    fn shown(&self, verb: &str) -> Value {
        let said = succeed(&["ca", verb, "--json", "--rpc-url", &self.network.url(0)]);
        serde_json::from_str(&said).unwrap()
    }

    /// The file of a certificate or key made here, by what it is called.
    fn made(&self, name: &str) -> PathBuf {
        self.network.dir.join("ca").join(name)
    }

    fn issue(&self, kind: &str, name: &str, by: Option<&str>, out: &str, key_type: &str) {
        let out = self.made(out);
        let by = by.map(|by| self.made(by));
        let by: Vec<_> = by.iter().flat_map(|by| ["--by", text(by)]).collect();
        let rest = ["--out", text(&out), "--key-type", key_type];
        succeed(&[&["ca", "issue", kind, name], &rest[..], &by].concat());
    }

    /// Gives a node a certificate of an authority, while it runs.
    fn renew(&self, node: usize, authority: &str, key_type: &str) {
        let (name, folder) = (format!("node{node}"), self.folder(node));
        let made = format!("{name}-{authority}");
        self.issue("node", &name, Some(authority), &made, key_type);
        fs::copy(self.made(&format!("{made}.pem")), folder.join("certs/node.pem")).unwrap();
        fs::copy(self.made(&format!("{made}.key")), folder.join("keys/node.pem")).unwrap();
        let said = succeed(&["ca", "reload", "--dir", text(&folder)]);
        assert!(said.contains(&format!("CN={name}")), "{said}");
    }

    fn folder(&self, node: usize) -> PathBuf {
        self.network.dir.join(format!("node{node}"))
    }

    /// The authority of a node's certificate, as the first node sees it.
    fn authority_of(&self, node: usize) -> Value {
        let identities = self.shown("identities");
        let is_it = |identity: &&Value| identity["name"] == json!(format!("node{node}"));
        identities["nodes"].as_array().unwrap().iter().find(is_it).unwrap()["certificate"]["authority"].clone()
    }
}

async fn wait_for_sessions(network: &Network, nodes: &[usize], peers: usize) {
    for node in nodes {
        let is = |status: &Value| status["peers"] == peers && status["certificateRefused"].is_null();
        network.wait_for(*node, "connected", is).await;
    }
}

fn height(status: &Value) -> u64 {
    status["height"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_change_under_load_and_a_revoked_node_is_out() {
    let mut network = Network::start("pbft");
    wait_for_sessions(&network, &[0, 1, 2, 3], 3).await;
    let ca = Ca::new(&network);
    let load = Load::start_with(&network, &[0, 1, 2, 3], 0x3000);
    load.wait_for_more(20).await;
    let genesis = ca.made("root.pem");
    let genesis_root = text(&genesis);
    let line = ca.refused(&["distrust", genesis_root]);
    assert!(line.starts_with("node0, node1, node2, node3 would be cut off"), "{line}");
    let line = ca.refused(&["distrust", genesis_root, "--force"]);
    assert!(line.starts_with("no root on chain would be left that vouches for the sealers of `bank0`"), "{line}");

    // An institution brings its own root, and one for everybody takes the place of that of genesis.
    ca.issue("root", "Root of bank3", None, "own", "ed25519");
    let own = ca.made("own.pem");
    ca.done(&["add", text(&own), "--institution", "bank3", "--reason", "minutes 1"]);
    let line = ca.refused(&["add", text(&own), "--institution", "bank3"]);
    assert!(line.ends_with("is on chain already"), "{line}");
    ca.issue("root", "Successor", None, "new", "p384");
    let new = ca.made("new.pem");
    ca.done(&["add", text(&new), "--every-institution"]);
    ca.renew(3, "own", "ed25519");
    for node in 0..3 {
        let institution = format!("bank{node}-new");
        ca.issue("intermediate", &format!("bank{node}"), Some("new"), &institution, "p256");
        ca.renew(node, &institution, "p256");
    }
    what_peers_would_refuse_is_not_used(&ca);
    load.wait_for_more(20).await;
    ca.done(&["distrust", genesis_root, "--reason", "its key is to be destroyed"]);
    wait_for_sessions(&network, &[0, 1, 2, 3], 3).await;
    for (node, authority) in [(0, "CN=Successor"), (1, "CN=Successor"), (2, "CN=Successor"), (3, "CN=Root of bank3")] {
        let found = ca.authority_of(node).as_str().unwrap().to_owned();
        assert!(found.starts_with(authority), "node{node}: {found}");
    }
    load.wait_for_more(40).await;
    assert!(load.stop().await.len() >= 80, "and none has failed");

    let believed = ca.shown("list");
    let state = |subject: &str| {
        let list = believed.as_array().unwrap();
        let is_it = |authority: &&Value| authority["subject"].as_str().unwrap().starts_with(subject);
        list.iter().find(is_it).unwrap()["distrusted"].clone()
    };
    assert_eq!([state("CN=Lian network"), state("CN=Successor"), state("CN=Root of bank3")], [true, false, false]);
    a_revoked_node_is_out(&mut network).await;
    network.stop();
    for node in 0..4 {
        succeed(&["verify", "--dir", text(&network.dir.join(format!("node{node}")))]);
    }
}

/// A running node keeps its certificate where the one in its folder is of no use.
fn what_peers_would_refuse_is_not_used(ca: &Ca<'_>) {
    let folder = ca.folder(0);
    let reload = |certificate: &str| {
        for (ending, place) in [("pem", "certs/node.pem"), ("key", "keys/node.pem")] {
            fs::copy(ca.made(&format!("{certificate}.{ending}")), folder.join(place)).unwrap();
        }
        lian(&["ca", "reload", "--dir", text(&folder)])
    };
    let line = refused(&mut reload("node1-bank1-new"));
    assert_eq!(line, "certificate carries the names [\"node1\"], not the node's name `node0`");
    ca.issue("node", "node0", Some("own"), "node0-own", "p256");
    let line = refused(&mut reload("node0-own"));
    assert!(line.contains("which vouches for the nodes of `bank3`, not of `bank0`"), "{line}");
    ca.issue("root", "Nobody", None, "nobody", "p256");
    ca.issue("node", "node0", Some("nobody"), "node0-nobody", "p256");
    let line = refused(&mut reload("node0-nobody"));
    assert!(line.contains("does not lead to an authority that the network accepts"), "{line}");
    assert!(reload("node0-bank0-new").status().unwrap().success());
}

async fn a_revoked_node_is_out(network: &mut Network) {
    let load = Load::start_with(network, &[0, 2, 3], 0x4000);
    load.wait_for_more(10).await;
    let certificate = network.dir.join("node1/certs/node.pem");
    revoke(network, &certificate);
    network.wait_for(1, "alone", |status| status["peers"] == 0 && !status["certificateRefused"].is_null()).await;
    wait_for_sessions(network, &[0, 2, 3], 2).await;
    load.wait_for_more(20).await;
    // A new start does not help: it believes what it believed last, but nobody believes it.
    let stays_at = height(&network.status(1).await);
    network.restart_after(1, |folder| assert!(folder.join("data/authorities.pem").exists()));
    network.wait_for(1, "refused again", |status| status["certificateRefused"].is_string()).await;
    load.wait_for_more(20).await;
    let status = network.status(1).await;
    assert_eq!((&status["peers"], height(&status)), (&json!(0), stays_at));
    wait_for_sessions(network, &[0, 2, 3], 2).await;

    // It was a mistake.
    let ca = Ca::new(network);
    let revocations = ca.shown("revocations");
    ca.done(&["unrevoke", revocations[0]["id"].as_str().unwrap()]);
    wait_for_sessions(network, &[0, 2, 3], 3).await;
    load.stop().await;
    let reached = height(&network.status(0).await);
    network.wait_for(1, "back", |status| status["peers"] == 3 && height(status) >= reached).await;
}

fn revoke(network: &Network, certificate: &Path) {
    let said = Ca::new(network).done(&["revoke", "--certificate", text(certificate), "--every-institution"]);
    assert!(said.contains("revoked"), "{said}");
}
