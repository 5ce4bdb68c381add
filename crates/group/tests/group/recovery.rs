//! A node whose results diverge: what it writes down, that it does not start again, and what operators can do.

use crate::setup::{SUITE, account, genesis, key, transfer, verified};
use alloy_primitives::{Address, B256};
use lian_executor::Rules;
use lian_group::{
    NodeSetup, StartError,
    core::DurableRecord,
    encode_record,
    execution::{ProposalWithBodies, SpeculativeChain},
    recovery::{Applied, Chain, Evidence, EvidenceFiles, Kind, Own, RecoverError},
    start, start_of,
};
use lian_ledger::{FileStorage, Ledger, LedgerConfig, Storage, VoteLog};
use lian_pbft::{PrePrepare, PrepareCertificate, Record, ResultLock, Statement, ViewChange};
use lian_types::{BlockNumber, Epoch, GroupId, HistoryDepth, MemberIndex, MemberSignature, Millis, Proposal, View};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A lone node's folders.
struct Place {
    data: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { data: tempfile::tempdir().unwrap() }
    }

    fn folder(&self) -> PathBuf {
        self.data.path().join("group0")
    }

    fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(FileStorage)
    }

    fn ledger(&self) -> Arc<Ledger> {
        let genesis = genesis();
        let config = LedgerConfig::new(self.folder());
        Ledger::open(config, self.storage(), SUITE, &genesis, &genesis.groups[0]).unwrap().0
    }

    fn files(&self) -> EvidenceFiles {
        EvidenceFiles::new(self.storage(), &self.folder())
    }

    fn append(&self, records: Vec<DurableRecord>) {
        let (log, _, _) = VoteLog::open(self.storage(), &self.folder(), true).unwrap();
        for record in records {
            let (height, bytes) = encode_record(&record);
            log.append(&[(height, &bytes)]).unwrap();
        }
    }

    fn start(&self) -> Result<lian_group::Node, StartError> {
        start(NodeSetup {
            genesis: genesis(),
            name: "node0".into(),
            key: key(),
            data_dir: self.data.path().to_owned(),
            rpc: String::new(),
            history: HistoryDepth::Blocks(16),
            data: lian_group::DataPolicy::default(),
            execution_threads: std::num::NonZeroUsize::MIN,
            network: None,
        })
    }

    /// Works on the stopped node.
    fn operate<T>(&self, act: impl FnOnce(&lian_group::recovery::Operator<'_>) -> T) -> T {
        let (ledger, key, genesis) = (self.ledger(), key(), genesis());
        let chain = Chain::of(SUITE, &genesis, &genesis.groups[0], None).unwrap();
        let operator = chain.operator(self.storage(), &self.folder(), &key, &ledger).unwrap();
        act(&operator)
    }
}

/// The proposal of block 1.
fn proposal(ledger: &Ledger) -> ProposalWithBodies {
    let body = verified(transfer(0));
    let proposal = Proposal {
        chain_id: crate::setup::CHAIN_ID,
        group: GroupId(0),
        epoch: Epoch(0),
        height: BlockNumber(1),
        parent: ledger.head().digest,
        time: Millis(1_700_000_000_000),
        proposer: key().public(),
        transactions: vec![body.hash()],
    };
    let digest = SUITE.proposal_digest(&proposal);
    ProposalWithBodies { proposal: Arc::new(proposal), digest, bodies: Arc::new(vec![body]) }
}

/// A vote log that stands for a result of block 1 that nothing computes.
fn stand_for(place: &Place, wrong: B256) -> ProposalWithBodies {
    let ledger = place.ledger();
    let made = proposal(&ledger);
    let (height, digest, epoch, view) = (BlockNumber(1), made.digest, Epoch(0), View(0));
    let context = ledger.chain();
    let statement = Statement::PrePrepare { epoch, view, height, digest };
    let signature = key().sign(&statement.signing_bytes(context));
    let certificate = PrepareCertificate { epoch, view, height, digest, signatures: vec![] };
    let signed = key().sign(&certificate.vote().signing_bytes(context));
    let signatures = vec![MemberSignature { signer: MemberIndex(0), signature: signed }];
    let certificate = PrepareCertificate { signatures, ..certificate };
    let proposal = Arc::clone(&made.proposal);
    let lock = ResultLock { height, digest, parent: ledger.head().hash, hash: wrong };
    let plain = |record: Record| DurableRecord { record: record.into(), bodies: vec![] };
    let prepared = Record::Prepared { proposal: Arc::clone(&proposal), certificate };
    let proposed = Record::PrePrepare(PrePrepare { view, proposal, signature });
    let bodies = made.bodies.as_ref().clone();
    let prepared = DurableRecord { record: prepared.into(), bodies };
    place.append(vec![plain(proposed), prepared, plain(Record::ResultLock(lock))]);
    made
}

fn evidence_at(path: &Path) -> Evidence {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The evidence is on the disk before the node stops; the node does not start with it; a plan that keeps what the lone
/// member stood for, which is its own quorum, lets it start, and it stops again.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stands_for_another_result_stops_with_evidence() {
    let place = Place::new();
    let wrong = B256::repeat_byte(0xbb);
    let made = stand_for(&place, wrong);
    for round in 0..2 {
        let node = place.start().unwrap();
        let reason = tokio::time::timeout(PATIENCE, node.stopped()).await.unwrap();
        assert!(reason.needs_operator, "it would stop again");
        let reason = reason.text;
        assert!(reason.starts_with("results diverge: executing block 1 gives 0x"), "{reason}");
        assert!(reason.contains("divergence.json; remove the cause, then run `lian recover clear`"), "{reason}");
        node.shutdown();
        let evidence = evidence_at(&place.files().path());
        assert_eq!((evidence.kind, evidence.height, evidence.proposal), (Kind::Execution, BlockNumber(1), made.digest));
        let own = evidence.own.as_ref().unwrap();
        assert_eq!(own.transactions.iter().map(|ran| ran.hash).collect::<Vec<_>>(), made.proposal.transactions);
        assert!(own.writes.iter().any(|written| written.address == account() && written.value.starts_with("nonce 1 ")));
        assert!(evidence.results.iter().any(|result| result.hash == wrong && result.voted && !result.own));
        assert!(evidence.results.iter().any(|result| result.hash == own.hash && result.own && !result.voted));
        assert!(evidence.difference.is_none());
        let refused = place.start().err().unwrap();
        assert!(matches!(&refused, StartError::Diverged { .. }), "{refused}");
        if round == 1 {
            break;
        }
        let cleared = place.operate(|operator| operator.clear(false)).unwrap_err();
        assert!(matches!(cleared, RecoverError::NotCertified(BlockNumber(1))), "{cleared}");
        let report = place.operate(|operator| operator.report(None, None)).unwrap();
        // The same again, to the byte: nothing was signed since.
        assert_eq!(place.operate(|operator| operator.report(None, None)).unwrap(), report);
        let genesis = genesis();
        let plan = Chain::of(SUITE, &genesis, &genesis.groups[0], None).unwrap().plan(vec![report]).unwrap();
        assert_eq!(plan.retry.kept.iter().map(|lock| lock.hash).collect::<Vec<_>>(), [wrong]);
        assert_eq!(place.operate(|operator| operator.apply(&plan)).unwrap(), Applied::Installed);
        assert_eq!(place.operate(|operator| operator.apply(&plan)).unwrap(), Applied::Again);
    }
    // Both pieces of evidence are there.
    assert!(place.folder().join("divergence-1-resolved.json").exists());
}

/// A node that has moved to the plan's view by itself votes there for its own result; the plan comes too late for it.
#[test]
fn a_plan_comes_too_late_for_a_node_in_its_view() {
    let place = Place::new();
    let made = stand_for(&place, B256::repeat_byte(0xbb));
    let report = place.operate(|operator| operator.report(Some(BlockNumber(1)), None)).unwrap();
    let genesis = genesis();
    let plan = Chain::of(SUITE, &genesis, &genesis.groups[0], None).unwrap().plan(vec![report]).unwrap();
    assert_eq!((plan.retry.view, plan.digest, plan.retry.until), (View(1), made.digest, BlockNumber(8)));
    let change = ViewChange { epoch: Epoch(0), view: View(1), base: None, prepared: vec![] };
    let signed = lian_pbft::SignedViewChange {
        signature: key().sign(&Statement::ViewChange(Box::new(change.clone())).signing_bytes(place.ledger().chain())),
        change,
        signer: MemberIndex(0),
    };
    let message = lian_pbft::ViewChangeMessage { signed: Arc::new(signed), proposals: vec![] };
    place.append(vec![DurableRecord { record: Record::ViewPromise(message).into(), bodies: vec![] }]);
    let late = place.operate(|operator| operator.apply(&plan)).unwrap_err();
    let passed = RecoverError::ViewPassed { plan: View(1), promised: View(1) };
    assert_eq!(late.to_string(), passed.to_string());
    let report = place.operate(|operator| operator.report(Some(BlockNumber(1)), None)).unwrap();
    assert_eq!(report.report.view, View(1));
}

/// A wrong program skips what the right one runs: the first transaction and the accounts that differ are named.
#[test]
fn the_difference_names_the_first_transaction_and_the_state() {
    let place = Place::new();
    let ledger = place.ledger();
    let made = proposal(&ledger);
    let execute = |chain_id| {
        let rules = Rules::new(SUITE, chain_id);
        let mut chain = SpeculativeChain::new(rules, 30_000_000, Arc::clone(&ledger));
        Own::of(&chain.execute(made.clone()).unwrap().pop().unwrap())
    };
    let (right, wrong) = (execute(crate::setup::CHAIN_ID), execute(1));
    assert_eq!(wrong.skipped, made.proposal.transactions);
    let difference = wrong.difference(&right);
    assert_eq!(difference.hash, right.hash);
    let first = difference.first_transaction.unwrap();
    assert_eq!((first.position, first.stopped), (0, None));
    assert_eq!(first.final_block.unwrap().hash, made.proposal.transactions[0]);
    let changed: Vec<_> = difference.state.iter().map(|entry| (entry.address, entry.stopped.is_some())).collect();
    assert!(
        changed.contains(&(account(), false)) && changed.contains(&(Address::repeat_byte(5), false)),
        "{changed:?}"
    );
    assert_eq!(difference.state_count, difference.state.len());
    assert!(difference.header.contains(&"stateRoot".to_owned()), "{:?}", difference.header);
    assert!(!difference.header.contains(&"number".to_owned()));
    let same = right.difference(&right);
    assert!(same.first_transaction.is_none() && same.state.is_empty() && same.header.is_empty());
    // The ledger is as it was.
    assert_eq!(start_of(&ledger).head.height, BlockNumber(0));
}
