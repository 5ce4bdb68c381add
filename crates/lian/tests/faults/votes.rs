//! Every statement that a member's key was seen to sign, and whether two of them contradict each other.

use alloy_primitives::B256;
use lian_crypto::Suite;
use lian_group::{core::VoteRecord, decode_record};
use lian_ledger::{Durability, FileStorage, Log, LogOptions};
use lian_pbft::{
    Ancestry, Committee, Committees, Message, PrePrepare, PrepareCertificate, Record, Rules, SignedNewView,
    SignedViewChange, Statement,
};
use lian_types::{
    BlockNumber, Certificate, ChainContext, Epoch, Genesis, GroupGenesis, GroupId, MemberSignature, Phase, SignedVote,
    View, Vote, limits,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    sync::Arc,
};

/// What a key may say one thing about only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Proposal(Epoch, View, BlockNumber),
    Vote(Epoch, View, BlockNumber, Phase),
    ViewChange(Epoch, View),
    NewView(Epoch, View),
}

/// All statements by signer and place; each as a hash of its signed bytes, with where it was seen first.
pub(crate) struct Votes {
    genesis: Genesis,
    context: ChainContext,
    said: BTreeMap<(u16, Place), BTreeMap<B256, String>>,
    heard: u64,
    refused: u64,
}

impl Votes {
    pub(crate) fn new(genesis: &Genesis) -> Self {
        let group = &genesis.groups[0];
        let context = ChainContext {
            genesis: Suite::Standard.genesis_digest(genesis),
            group: group.group,
            chain_id: group.chain_id,
        };
        Self { genesis: genesis.clone(), context, said: BTreeMap::new(), heard: 0, refused: 0 }
    }

    /// The chain that signatures are for.
    pub(crate) const fn context(&self) -> ChainContext {
        self.context
    }

    /// What checking a message takes; `genesis_hash` is the hash of block 0.
    pub(crate) fn checking(&self, genesis_hash: B256) -> (Rules, Committees) {
        let group = &self.genesis.groups[0];
        let rules = Rules {
            suite: Suite::Standard,
            context: self.context,
            genesis: GroupGenesis::proposal_digest(genesis_hash),
            term: group.consensus.leader_term,
            window: group.consensus.window,
        };
        let members = self.genesis.members(group, |key| Suite::Standard.consensus_address(key)).unwrap();
        let kind = group.consensus.kind;
        (rules, Committees::new([Committee::of(kind, Epoch::ZERO, BlockNumber::ZERO, members)]))
    }

    /// A checked message was heard.
    pub(crate) fn heard(&mut self, message: &Message) {
        self.heard += 1;
        self.message(message, "heard");
    }

    /// A checked signature on a header of a Raft group was heard.
    pub(crate) fn heard_signature(&mut self, signed: &SignedVote) {
        self.heard += 1;
        self.vote(signed.signer.0, signed.vote, "heard");
    }

    /// A message that does not hold was heard.
    pub(crate) const fn refused(&mut self) {
        self.refused += 1;
    }

    /// Takes in the vote log of a node whose process has ended. Whatever else is damaged, what can be read counts.
    pub(crate) fn read_log(&mut self, node_folder: &Path, signer: usize) {
        let folder = node_folder.join("data/group0/votes");
        if !folder.exists() {
            return;
        }
        let options = LogOptions {
            folder,
            purpose: *b"votes\0\0\0",
            segment_bytes: limits::VOTE_SEGMENT_BYTES,
            durability: Durability::EveryAppend,
        };
        let (log, _) = Log::open_read_only(Arc::new(FileStorage), options).unwrap();
        let mut cursor = Arc::new(log).cursor();
        while let Some((_, record)) = cursor.next().unwrap() {
            // The first record says that the log was begun.
            if record.kind == 0 {
                continue;
            }
            let source = format!("log of node{signer}");
            match decode_record(Suite::Standard, record.payload()).unwrap().record {
                VoteRecord::Pbft(record) => self.record(&record, &source),
                VoteRecord::Raft { record: lian_raft::Record::Vote(signed), .. } => {
                    self.vote(signed.signer.0, signed.vote, &source);
                }
                VoteRecord::Raft { .. } => {}
            }
        }
    }

    fn record(&mut self, record: &Record, source: &str) {
        match record {
            Record::PrePrepare(made) => self.pre_prepare(made, source),
            Record::Vote(signed) => self.vote(signed.signer.0, signed.vote, source),
            Record::Prepared { certificate, .. } => self.prepared(certificate, source),
            Record::ViewPromise(message) => self.view_change(&message.signed, source),
            Record::NewView(signed) => self.new_view(signed, source),
            Record::ResultLock(_)
            | Record::Abstains(_)
            | Record::Reported { .. }
            | Record::Retry(_)
            | Record::Cleared { .. } => {}
        }
    }

    fn message(&mut self, message: &Message, source: &str) {
        match message {
            Message::PrePrepare(made) => self.pre_prepare(made, source),
            Message::Vote(signed) => self.vote(signed.signer.0, signed.vote, source),
            Message::ViewChange(message) => self.view_change(&message.signed, source),
            Message::NewView(signed) => self.new_view(signed, source),
            Message::Certificate(certificate) | Message::Ancestry(Ancestry { certificate, .. }) => {
                self.certificate(certificate, source);
            }
            Message::Heartbeat(_) => {}
        }
    }

    fn pre_prepare(&mut self, made: &PrePrepare, source: &str) {
        let proposal = &made.proposal;
        let (epoch, view, height) = (proposal.epoch, made.view, proposal.height);
        let digest = Suite::Standard.proposal_digest(proposal);
        let proposer = self.genesis.nodes.iter().position(|node| node.consensus_key == proposal.proposer).unwrap();
        let statement = Statement::PrePrepare { epoch, view, height, digest };
        self.note(proposer as u16, Place::Proposal(epoch, view, height), &statement, source);
    }

    fn vote(&mut self, signer: u16, vote: Vote, source: &str) {
        let place = Place::Vote(vote.epoch, vote.view, vote.height, vote.phase);
        self.note(signer, place, &Statement::Vote(vote), source);
    }

    fn votes(&mut self, vote: Vote, signatures: &[MemberSignature], source: &str) {
        signatures.iter().for_each(|signature| self.vote(signature.signer.0, vote, source));
    }

    fn prepared(&mut self, certificate: &PrepareCertificate, source: &str) {
        self.votes(certificate.vote(), &certificate.signatures, source);
    }

    fn certificate(&mut self, certificate: &Certificate, source: &str) {
        self.votes(certificate.vote(), &certificate.signatures, source);
    }

    fn view_change(&mut self, signed: &SignedViewChange, source: &str) {
        let change = &signed.change;
        if let Some(base) = &change.base {
            self.certificate(base, source);
        }
        change.prepared.iter().for_each(|prepared| self.prepared(prepared, source));
        let statement = Statement::ViewChange(Box::new(change.clone()));
        self.note(signed.signer.0, Place::ViewChange(change.epoch, change.view), &statement, source);
    }

    fn new_view(&mut self, signed: &SignedNewView, source: &str) {
        let new_view = &signed.new_view;
        new_view.changes.iter().for_each(|change| self.view_change(change, source));
        let statement = Statement::NewView(Box::new(new_view.clone()));
        self.note(signed.signer.0, Place::NewView(new_view.epoch, new_view.view), &statement, source);
    }

    fn note(&mut self, signer: u16, place: Place, statement: &Statement, source: &str) {
        let hash = Suite::Standard.hash(&statement.signing_bytes(&self.context));
        self.said.entry((signer, place)).or_default().entry(hash).or_insert_with(|| {
            let content = match statement {
                Statement::Vote(vote) => format!("{} {:?}", vote.digest, vote.result),
                Statement::PrePrepare { digest, .. } => digest.to_string(),
                Statement::ViewChange(_) | Statement::NewView(_) => hash.to_string(),
            };
            format!("{content} ({source})")
        });
    }

    /// The members whose keys have said two things about one place.
    pub(crate) fn contradicting(&self) -> BTreeSet<usize> {
        self.said.iter().filter(|(_, said)| said.len() > 1).map(|((signer, _), _)| usize::from(*signer)).collect()
    }

    /// Fails where a key outside `suspects` has said two things about one place.
    pub(crate) fn check(&self, suspects: &[usize]) {
        for ((signer, place), said) in self.said.iter().filter(|(_, said)| said.len() > 1) {
            let is_suspect = suspects.contains(&usize::from(*signer));
            assert!(is_suspect, "node{signer} said about {place:?}: {:?}", said.values().collect::<Vec<_>>());
        }
        let signers: BTreeSet<_> = self.said.keys().map(|(signer, _)| *signer).collect();
        assert_eq!(signers.len(), self.genesis.groups[0].sealers.len(), "some member was never heard");
        assert!(self.heard > 0, "the observer heard nothing");
    }
}

impl fmt::Display for Votes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let votes = self.said.keys().filter(|(_, place)| matches!(place, Place::Vote(..))).count();
        write!(
            f,
            "{votes} votes, {} statements in all; {} messages heard, {} of them refused",
            self.said.len(),
            self.heard + self.refused,
            self.refused
        )
    }
}

/// The check itself: it must see what it is there for, in a log as in a message.
#[test]
fn contradictions_are_seen() {
    use lian_types::{ConsensusKey, MemberIndex, Millis, ProposalDigest, Signature};
    let node = |i: u8| lian_types::NodeEntry {
        name: format!("node{i}"),
        institution: "bank".into(),
        consensus_key: ConsensusKey([i; 33]),
    };
    let genesis = Genesis {
        version: 1,
        suite: "standard".into(),
        certificate_authorities: vec![],
        institutions: vec![lian_types::Institution { name: "bank".into() }],
        nodes: (0..4).map(node).collect(),
        groups: vec![GroupGenesis {
            group: GroupId(0),
            chain_id: 1,
            time: Millis(0),
            block_gas_limit: limits::BLOCK_GAS_LIMIT_DEFAULT,
            consensus: lian_types::ConsensusParameters::default(),
            sealers: (0..4).map(|i| format!("node{i}")).collect(),
            operators: vec![],
            committee: None,
            protocol_version: 0,
            accounts: BTreeMap::new(),
        }],
    };
    let vote = |view, digest| SignedVote {
        vote: Vote {
            epoch: Epoch(0),
            view: View(view),
            height: BlockNumber(3),
            phase: Phase::Prepare,
            digest: ProposalDigest(B256::repeat_byte(digest)),
            result: None,
        },
        signer: MemberIndex(2),
        signature: Signature([0; 64]),
    };
    let mut votes = Votes::new(&genesis);
    votes.heard(&Message::Vote(vote(0, 1)));
    votes.heard(&Message::Vote(vote(1, 2)));
    votes.record(&Record::Vote(vote(0, 1)), "log");
    assert!(votes.contradicting().is_empty());
    votes.record(&Record::Vote(vote(1, 1)), "log");
    assert_eq!(votes.contradicting(), [2].into());
}
