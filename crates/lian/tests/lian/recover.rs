//! `lian recover` on the folders of real nodes: what it refuses and why, and a network of processes that goes on after it.

use crate::program::{free_offset, lian, refused, succeed, text};
use alloy_primitives::B256;
use lian_crypto::{ConsensusSecretKey, KeyFile};
use lian_group::{
    core::DurableRecord,
    encode_record,
    recovery::{Evidence, EvidenceFiles, Kind, KnownResult},
    start_of,
};
use lian_ledger::{FileStorage, Ledger, LedgerConfig, Storage, VoteLog};
use lian_pbft::{Record, ResultLock};
use lian_types::{
    BlockNumber, ChainContext, Epoch, Genesis, MemberIndex, Millis, Phase, ProposalDigest, SignedVote, View, Vote,
};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

/// The proposal on which the members of these tests disagree.
const PROPOSAL: ProposalDigest = ProposalDigest(B256::repeat_byte(0xd0));

/// A network of four nodes, none of which has run.
struct Network {
    _folder: tempfile::TempDir,
    dir: PathBuf,
    offset: String,
}

impl Network {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("net");
        let offset = free_offset().to_string();
        succeed(&["init", "--dir", text(&dir), "--host", "127.0.0.1:4", "--port-offset", &offset]);
        Self { _folder: folder, dir, offset }
    }

    fn node(&self, node: usize) -> PathBuf {
        self.dir.join(format!("node{node}"))
    }

    fn config(&self, node: usize) -> String {
        text(&self.node(node).join("config.toml")).to_owned()
    }

    fn genesis(&self) -> Genesis {
        Genesis::from_json(&fs::read_to_string(self.dir.join("genesis.json")).unwrap()).unwrap()
    }

    fn group_folder(&self, node: usize) -> PathBuf {
        self.node(node).join("data/group0")
    }

    fn file(&self, name: &str) -> String {
        text(&self.dir.join(name)).to_owned()
    }

    /// What a node leaves that has committed the proposal at height 1 with a result and stopped then.
    fn stop(&self, node: usize, result: u8, kind: Kind, certificate: bool) {
        let genesis = self.genesis();
        let group = &genesis.groups[0];
        let folder = self.group_folder(node);
        let storage: Arc<dyn Storage> = Arc::new(FileStorage);
        let suite = genesis.suite.parse().unwrap();
        let config = LedgerConfig::new(&folder);
        let (ledger, _) = Ledger::open(config, Arc::clone(&storage), suite, &genesis, group).unwrap();
        let head = start_of(&ledger).head;
        let (log, _, _) = VoteLog::open(Arc::clone(&storage), &folder, true).unwrap();
        fs::remove_file(self.node(node).join("data/group0.never-voted")).unwrap();
        let hash = B256::repeat_byte(result);
        let vote = Vote {
            epoch: Epoch(0),
            view: View(0),
            height: BlockNumber(1),
            phase: Phase::Commit,
            digest: PROPOSAL,
            result: Some(hash),
        };
        let context =
            ChainContext { genesis: suite.genesis_digest(&genesis), group: group.group, chain_id: group.chain_id };
        let signature = self.key(node).sign(&vote.signing_bytes(&context));
        let signer = MemberIndex(u16::try_from(node).unwrap());
        let lock = ResultLock { height: BlockNumber(1), digest: PROPOSAL, parent: head.hash, hash };
        let records = [Record::ResultLock(lock), Record::Vote(SignedVote { vote, signer, signature })];
        for record in records {
            let (height, bytes) = encode_record(&DurableRecord { record: record.into(), bodies: vec![] });
            log.append(&[(height, &bytes)]).unwrap();
        }
        let known = |hash, own| KnownResult { hash, voters: vec![], own, voted: own };
        let certified = B256::repeat_byte(0xcc);
        let certificate = certificate.then(|| lian_group::recovery::CertificateText {
            epoch: Epoch(0),
            view: None,
            proposal: PROPOSAL,
            hash: certified,
            signatures: [0, 1, 2].map(|member| (member, String::new())).into(),
        });
        let evidence = Evidence {
            version: Evidence::VERSION,
            kind,
            time: Millis(1),
            chain_id: group.chain_id,
            node: format!("node{node}"),
            height: BlockNumber(1),
            proposal: PROPOSAL,
            other_proposal: None,
            results: vec![known(hash, true), known(certified, false)],
            certificate,
            own: None,
            certified_header: None,
            difference: None,
        };
        EvidenceFiles::new(storage, &folder).write(&evidence).unwrap();
    }

    fn key(&self, node: usize) -> ConsensusSecretKey {
        KeyFile::at(self.node(node).join("keys/consensus.json")).load(None).unwrap().1
    }

    /// The last line of a node that does not start.
    fn start_refused(&self, node: usize) -> String {
        let run: crate::program::Run = lian(&["node", "--config", &self.config(node)]).output().unwrap().into();
        assert_eq!(run.status, Some(3), "{}", run.err);
        run.err.lines().last().and_then(|line| line.strip_prefix("lian: ")).unwrap().to_owned()
    }

    /// A step that must be refused; its reason.
    fn refused(&self, arguments: &[&str]) -> String {
        refused(&mut lian(&[&["recover"], arguments].concat()))
    }

    fn report(&self, node: usize, out: &str) -> String {
        succeed(&["recover", "report", "--config", &self.config(node), "--out", &self.file(out)])
    }

    /// Makes a plan from reports.
    fn plan(&self, reports: &[&str], out: &str) -> Result<String, String> {
        let files: Vec<_> = reports.iter().map(|report| self.file(report)).collect();
        let (genesis, out) = (self.file("genesis.json"), self.file(out));
        let mut arguments = vec!["recover", "plan", "--genesis", &genesis, "--out", &out];
        arguments.extend(files.iter().map(String::as_str));
        let run: crate::program::Run = lian(&arguments).output().unwrap().into();
        if run.status == Some(0) { Ok(run.out) } else { Err(run.err) }
    }

    fn change(&self, file: &str, to: &str, from: &str, with: &str) {
        let found = fs::read_to_string(self.file(file)).unwrap();
        assert!(found.contains(from), "{file} has no {from}: {found}");
        fs::write(self.file(to), found.replacen(from, with, 1)).unwrap();
    }
}

fn says(found: &str, expected: &str) {
    assert!(found.contains(expected), "`{found}` does not say `{expected}`");
}

/// Two members stand for each of two results: the nodes do not start, the members report, the plan keeps nothing, and with
/// it installed four real processes go on from block 1.
#[test]
fn a_network_of_processes_goes_on_after_a_retry() {
    let network = Network::new();
    for (node, result) in [(0, 1), (1, 1), (2, 2), (3, 2)] {
        network.stop(node, result, Kind::NoQuorum, false);
    }
    let line = network.start_refused(0);
    says(&line, "divergence.json: no result of block 1 can be certified any more");
    says(&line, "run `lian recover report`, `plan` and `apply`");
    for node in 0..4 {
        let shown = network.report(node, &format!("report{node}.json"));
        says(&shown, "height    1");
    }
    // A report binds: without the plan the node does not start, whatever becomes of the evidence.
    let evidence = network.group_folder(3).join("divergence.json");
    fs::rename(&evidence, evidence.with_extension("away")).unwrap();
    let line = network.start_refused(3);
    says(&line, "this node has reported height 1 for attempt 1 of a retry: run `lian recover apply` with the plan");
    fs::rename(evidence.with_extension("away"), &evidence).unwrap();
    let shown = network.plan(&["report0.json", "report1.json", "report2.json", "report3.json"], "plan.json").unwrap();
    says(&shown, "kept result  none");
    for node in 0..4 {
        let (plan, config) = (network.file("plan.json"), network.config(node));
        let apply = ["recover", "apply", &plan, "--config", &config];
        says(&succeed(&apply), "installed: the node may start; attempt 1 at block 1");
        says(&succeed(&apply), "was installed before");
        assert!(!network.group_folder(node).join("divergence.json").exists());
        assert!(network.group_folder(node).join("divergence-1-resolved.json").exists());
    }
    let arguments = ["up", "--dir", text(&network.dir), "--port-offset", &network.offset];
    let mut up = lian(&arguments).stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(up.stdout.take().unwrap()).lines().map(Result::unwrap);
    let is_ready = lines.into_iter().any(|line| line == "ready");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(up.id()).unwrap()),
        nix::sys::signal::Signal::SIGINT,
    )
    .unwrap();
    up.wait().unwrap();
    assert!(is_ready, "the network is not ready after a retry");
}

/// Every bad input has its own reason, with the value.
#[test]
fn bad_input_is_named() {
    let network = Network::new();
    for (node, result) in [(0, 1), (1, 1), (2, 1)] {
        network.stop(node, result, Kind::NoQuorum, false);
    }
    let config = network.config(3);
    says(&network.refused(&["report", "--config", &config, "--out", &network.file("x")]), "has never run in group 0");
    let config = network.config(0);
    let out = network.file("x");
    let report = |more: &[&str]| network.refused(&[&["report", "--config", &config, "--out", &out][..], more].concat());
    says(&report(&["--height", "5"]), "this node has committed nothing at height 5");
    says(&report(&["--height", "0"]), "block 0 is final on this node, whose ledger ends at block 0");
    says(&report(&["--group", "7"]), "the genesis file has no group 7");
    says(&report(&["--attempt", "0"]), "attempt 0 is over: on this node the next one is attempt 1");
    says(&network.refused(&["clear", "--config", &config]), "no certificate of block 1 is known here");
    // What was refused left nothing behind.
    assert!(!Path::new(&out).exists());
    {
        let lock = File::create(network.node(0).join("data/.lock")).unwrap();
        lock.try_lock().unwrap();
        says(&report(&[]), "is in use by another lian process; stop that one first");
    }
    for node in 0..3 {
        network.report(node, &format!("report{node}.json"));
    }
    // A report is never written over.
    let taken = network.file("report0.json");
    says(&network.refused(&["report", "--config", &config, "--out", &taken]), "cannot make ");
}

/// Reports and plans that do not hold.
#[test]
fn reports_and_plans_that_do_not_hold_are_refused() {
    let network = Network::new();
    for (node, result) in [(0, 1), (1, 1), (2, 1)] {
        network.stop(node, result, Kind::NoQuorum, false);
        network.report(node, &format!("report{node}.json"));
    }
    let plan = |reports: &[&str]| network.plan(reports, "plan.json").unwrap_err();
    says(&plan(&["report0.json", "report1.json"]), "2 reports, a quorum is 3");
    says(&plan(&["report0.json", "report0.json", "report1.json"]), "2 reports, a quorum is 3");
    network.change("report2.json", "changed.json", "\"view\": 0", "\"view\": 1");
    says(
        &plan(&["report0.json", "report1.json", "changed.json"]),
        "the report of member 2 does not bear that member's signature",
    );
    network.change("report2.json", "chain.json", "\"chainId\": 20200", "\"chainId\": 20201");
    says(&plan(&["chain.json"]), "the report of member 2 is of chain 20201 group 0");
    network.change("report2.json", "cut.json", "\"view\": 0,", "");
    says(&plan(&["cut.json"]), "missing field `view`");
    says(&plan(&["nothing.json"]), "nothing.json: No such file");
    says(&plan(&["genesis.json"]), "genesis.json: not a file of this kind");
    // One member has reported for a later attempt.
    let config = network.config(2);
    let later = network.file("later.json");
    succeed(&["recover", "report", "--config", &config, "--attempt", "2", "--out", &later]);
    says(
        &plan(&["report0.json", "report1.json", "later.json"]),
        "the report of member 2 is for attempt 2, that of member 0 for 1",
    );
    let shown = network.plan(&["report2.json", "report0.json", "report1.json"], "plan.json").unwrap();
    says(&shown, &format!("kept result  {}", B256::repeat_byte(1)));
    says(&plan(&["plan.json"]), "it is a `lian recovery plan`, not a `lian recovery report`");

    let apply = |plan: &str, node: usize| {
        let (plan, config) = (network.file(plan), network.config(node));
        network.refused(&["apply", &plan, "--config", &config])
    };
    says(&apply("plan.json", 2), "attempt 1 is over: on this node the next one is attempt 2");
    network.change("plan.json", "view.json", "\"view\": 1", "\"view\": 7");
    says(&apply("view.json", 0), "the plan's view is not what its reports give");
    network.change("plan.json", "hash.json", &format!("\"hash\": \"{}\"", B256::repeat_byte(1)), "\"hash\": \"0x00\"");
    says(&apply("hash.json", 0), "hash.json: not a file of this kind");
    says(&apply("report0.json", 0), "it is a `lian recovery report`, not a `lian recovery plan`");
    assert!(network.group_folder(0).join("divergence.json").exists());
    // A member of another network with the same names.
    let other = Network::new();
    other.stop(0, 1, Kind::NoQuorum, false);
    let line = other.refused(&["apply", &network.file("plan.json"), "--config", &other.config(0)]);
    says(&line, "the report of member 0 is of chain 20200 group 0 (genesis ");
    // A node with a certificate of another result than the plan keeps.
    network.stop(3, 2, Kind::Result, true);
    says(&apply("plan.json", 3), "this node holds a certificate of block 1 with header 0xcccc");
}

/// A node that diverged alone, one that cannot be mended, and one that has not diverged.
#[test]
fn clear_and_what_cannot_be_cleared() {
    let network = Network::new();
    network.stop(0, 1, Kind::Result, true);
    network.stop(1, 1, Kind::Order, false);
    network.stop(2, 1, Kind::NoQuorum, false);
    let line = network.start_refused(0);
    says(&line, "block 1 is certified with header 0xcccc");
    says(&line, "remove the cause, then run `lian recover clear`");
    let out = network.file("x");
    says(
        &network.refused(&["report", "--config", &network.config(0), "--out", &out]),
        "block 1 is certified with header 0xcccc",
    );
    let clear =
        |node: usize| ["recover", "clear", "--config"].map(str::to_owned).into_iter().chain([network.config(node)]);
    let run = |node: usize, more: &[&str]| {
        let arguments: Vec<_> = clear(node).chain(more.iter().map(|word| (*word).to_owned())).collect();
        lian(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let done: crate::program::Run = run(0, &[]).output().unwrap().into();
    says(&done.out, "it follows the others and votes again above block 1");
    assert!(network.group_folder(0).join("divergence-1-resolved.json").exists());
    says(&refused(&mut run(0, &[])), "this node has not stopped for a divergence");
    says(&refused(&mut run(1, &[])), "more than f members have signed what honest ones never sign");
    let report = network.refused(&["report", "--config", &network.config(1), "--out", &out]);
    says(&report, "at height 1 two proofs order different proposals");
    says(&refused(&mut run(2, &[])), "no certificate of block 1 is known here");
    assert!(run(2, &["--others-went-on"]).output().unwrap().status.success());
    fs::write(network.group_folder(0).join("divergence.json"), "{").unwrap();
    says(&refused(&mut run(0, &[])), "divergence.json: EOF while parsing");
    says(&network.start_refused(0), "move it away once the cause is known");
}
