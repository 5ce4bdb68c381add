//! What a key signs, and what certificates are made of.

use super::Epochs;
use crate::{
    chain::{Chain, SUITE},
    event::NodeId,
    trace,
};
use alloy_primitives::B256;
use lian_pbft::{Message, Record, Statement, ViewChange};
use lian_types::{
    BlockNumber, Certificate, CertificateKind, Epoch, MemberIndex, Phase, ProposalDigest, Signature, View, Vote,
};
use std::collections::{BTreeMap, BTreeSet};

/// Every vote that was ever sent, and every promise that was ever made durable.
#[derive(Default)]
pub(crate) struct Votes {
    votes: BTreeMap<(BlockNumber, NodeId, Epoch, View, Phase), Vote>,
    proposals: BTreeMap<(BlockNumber, NodeId, Epoch, View), ProposalDigest>,
    /// A hash of the view-change that a node sent for a view, and of the new-view.
    changes: BTreeMap<(NodeId, Epoch, View), u64>,
    new_views: BTreeMap<(NodeId, Epoch, View), u64>,
    /// What each node has on its disk.
    durable: BTreeMap<NodeId, Durable>,
    /// Signatures that hold.
    held: BTreeMap<(BlockNumber, Vote, MemberIndex), Signature>,
}

/// What a node has on its disk.
#[derive(Default)]
struct Durable {
    promises: BTreeSet<Promise>,
    /// The view that it has left all others for.
    left_for: (Epoch, View),
}

impl Durable {
    fn note_view(&mut self, promise: Promise) {
        if let Promise::Change(epoch, view, _) | Promise::NewView(epoch, view, _) = promise {
            self.left_for = self.left_for.max((epoch, view));
        }
    }
}

/// Less than every other vote.
const LEAST_VOTE: Vote = Vote {
    epoch: Epoch::ZERO,
    view: View::ZERO,
    height: BlockNumber::ZERO,
    phase: Phase::Prepare,
    digest: ProposalDigest(B256::ZERO),
    result: None,
};

/// Something that a node has made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Promise {
    Vote(BlockNumber, Vote),
    Proposal(BlockNumber, Epoch, View, ProposalDigest),
    Prepared(BlockNumber, Epoch, View, ProposalDigest),
    Lock(BlockNumber, ProposalDigest, B256),
    Change(Epoch, View, u64),
    NewView(Epoch, View, u64),
    Abstains(bool),
    /// A report, a plan or a clearing: an operator's doing, which allows no vote by itself.
    Recovered(BlockNumber),
}

impl Promise {
    /// Greater than every vote.
    const AFTER_VOTES: Self = Self::Proposal(BlockNumber::ZERO, Epoch::ZERO, View::ZERO, ProposalDigest(B256::ZERO));

    const fn height(&self) -> Option<BlockNumber> {
        match self {
            Self::Vote(height, _)
            | Self::Proposal(height, ..)
            | Self::Prepared(height, ..)
            | Self::Lock(height, ..)
            | Self::Recovered(height) => Some(*height),
            Self::Change(..) | Self::NewView(..) | Self::Abstains(_) => None,
        }
    }

    fn of(record: &Record) -> Self {
        match record {
            Record::PrePrepare(made) => {
                let proposal = &made.proposal;
                Self::Proposal(proposal.height, proposal.epoch, made.view, SUITE.proposal_digest(proposal))
            }
            Record::Vote(signed) => Self::Vote(signed.vote.height, signed.vote),
            Record::Prepared { certificate, .. } => {
                Self::Prepared(certificate.height, certificate.epoch, certificate.view, certificate.digest)
            }
            Record::ResultLock(lock) => Self::Lock(lock.height, lock.digest, lock.hash),
            Record::ViewPromise(message) => {
                let change = &message.signed.change;
                Self::Change(change.epoch, change.view, content(&Statement::ViewChange(Box::new(change.clone()))))
            }
            Record::Abstains(abstains) => Self::Abstains(*abstains),
            Record::Reported { height, .. } | Record::Cleared { through: height } => Self::Recovered(*height),
            Record::Retry(retry) => Self::Recovered(retry.height),
            Record::NewView(signed) => {
                let new_view = &signed.new_view;
                let content = content(&Statement::NewView(Box::new(new_view.clone())));
                Self::NewView(new_view.epoch, new_view.view, content)
            }
        }
    }
}

/// A hash of what a statement says.
fn content(statement: &Statement) -> u64 {
    let context = lian_types::ChainContext { genesis: B256::ZERO, group: lian_types::GroupId(0), chain_id: 0 };
    trace::hash(&statement.signing_bytes(&context))
}

impl Votes {
    /// Records were found on a node's disk. A log that was written anew has them in another order.
    pub(crate) fn recovered<'a>(&mut self, node: NodeId, records: impl Iterator<Item = &'a Record>) {
        let durable = self.durable.entry(node).or_default();
        for promise in records.map(Promise::of) {
            durable.promises.insert(promise);
            durable.note_view(promise);
        }
    }

    /// Records are durable on a node's disk, in this order. After it has left a view, a node votes in none below (pbft §2).
    pub(crate) fn durable<'a>(
        &mut self,
        node: NodeId,
        epochs: &Epochs,
        records: impl Iterator<Item = &'a Record>,
    ) -> Result<(), String> {
        let durable = self.durable.entry(node).or_default();
        for record in records {
            let promise = Promise::of(record);
            if let Record::Prepared { certificate, .. } = record {
                let signers: BTreeSet<_> = certificate.signatures.iter().map(|signature| signature.signer).collect();
                if signers.len() < epochs.quorum(certificate.epoch) {
                    return Err(format!("takes {} prepares for a quorum: {certificate:?}", signers.len()));
                }
            }
            let is_new = durable.promises.insert(promise);
            durable.note_view(promise);
            if let Promise::Vote(_, vote) = promise
                && is_new
                && vote.phase != Phase::Checkpoint
                && (vote.epoch, vote.view) < durable.left_for
            {
                return Err(format!("casts {vote:?} after it has left for {:?}", durable.left_for));
            }
        }
        Ok(())
    }

    /// A node has crashed: what it made durable will be found again, or is gone.
    pub(crate) fn crashed(&mut self, node: NodeId) {
        self.durable.remove(&node);
    }

    /// A message leaves a node. One key makes no two different statements for one place, over all crashes, and none
    /// before it is durable (pbft §3).
    pub(crate) fn sent(
        &mut self,
        node: NodeId,
        chain: &Chain,
        epochs: &Epochs,
        message: &Message,
    ) -> Result<(), String> {
        let is_own = |epoch: Epoch, signer: MemberIndex| epochs.node(epoch, signer) == Some(node);
        match message {
            Message::Vote(signed) if is_own(signed.vote.epoch, signed.signer) => self.vote(node, signed.vote),
            Message::PrePrepare(made) if made.proposal.proposer == chain.publics[node] => {
                let (height, epoch) = (made.proposal.height, made.proposal.epoch);
                let digest = SUITE.proposal_digest(&made.proposal);
                let first = *self.proposals.entry((height, node, epoch, made.view)).or_insert(digest);
                if first != digest {
                    return Err(format!("proposes {digest} at height {height} in view {}, before {first}", made.view));
                }
                self.must_hold(node, Promise::Proposal(height, epoch, made.view, digest))
            }
            Message::ViewChange(sent) if is_own(sent.signed.change.epoch, sent.signed.signer) => {
                let change = &sent.signed.change;
                let content = content(&Statement::ViewChange(Box::new(change.clone())));
                let place = (node, change.epoch, change.view);
                if *self.changes.entry(place).or_insert(content) != content {
                    return Err(format!("sends two view-changes for view {}", change.view));
                }
                self.must_hold(node, Promise::Change(change.epoch, change.view, content))?;
                self.must_tell(node, change)
            }
            Message::NewView(signed) if is_own(signed.new_view.epoch, signed.signer) => {
                let new_view = &signed.new_view;
                let content = content(&Statement::NewView(Box::new(new_view.clone())));
                let place = (node, new_view.epoch, new_view.view);
                if *self.new_views.entry(place).or_insert(content) != content {
                    return Err(format!("starts view {} twice", new_view.view));
                }
                self.must_hold(node, Promise::NewView(new_view.epoch, new_view.view, content))
            }
            _ => Ok(()),
        }
    }

    fn vote(&mut self, node: NodeId, vote: Vote) -> Result<(), String> {
        let Vote { epoch, view, height, phase, digest, result } = vote;
        let place = (height, node, epoch, view, phase);
        match self.votes.get(&place) {
            Some(first) if *first == vote => {}
            Some(first) => return Err(format!("sends {vote:?}, before it sent {first:?}")),
            None => {
                self.votes.insert(place, vote);
            }
        }
        self.must_hold(node, Promise::Vote(height, vote))?;
        if phase == Phase::Commit {
            self.must_hold(node, Promise::Prepared(height, epoch, view, digest))?;
        }
        match result {
            Some(hash) => self.must_hold(node, Promise::Lock(height, digest, hash)),
            None => Ok(()),
        }
    }

    fn must_hold(&self, node: NodeId, promise: Promise) -> Result<(), String> {
        let holds = self.durable.get(&node).is_some_and(|durable| durable.promises.contains(&promise));
        if holds { Ok(()) } else { Err(format!("sends what rests on {promise:?}, which is not durable")) }
    }

    /// A view-change tells of everything that its sender has committed above its base (pbft §5): what may be final must
    /// not be forgotten.
    fn must_tell(&self, node: NodeId, change: &ViewChange) -> Result<(), String> {
        let Some(durable) = self.durable.get(&node) else { return Ok(()) };
        let above = Promise::Vote(change.base_height().next(), LEAST_VOTE)..Promise::AFTER_VOTES;
        for promise in durable.promises.range(above) {
            let Promise::Vote(height, vote) = promise else { continue };
            if vote.phase != Phase::Commit || vote.epoch != change.epoch || vote.view >= change.view {
                continue;
            }
            let told = change.prepared.iter().find(|prepared| prepared.height == *height);
            let is_told = told
                .is_some_and(|told| told.view > vote.view || (told.view == vote.view && told.digest == vote.digest));
            if !is_told {
                return Err(format!("leaves for view {} and hides that it has committed {vote:?}", change.view));
            }
        }
        Ok(())
    }

    /// A message was checked: its vote holds.
    pub(crate) fn verified(&mut self, message: &Message) {
        if let Message::Vote(signed) = message {
            self.held.insert((signed.vote.height, signed.vote, signed.signer), signed.signature);
        }
    }

    /// Checks a certificate by other means than the code under test. Returns its kind.
    pub(crate) fn certificate(
        &self,
        chain: &Chain,
        epochs: &Epochs,
        certificate: &Certificate,
    ) -> Result<&'static str, String> {
        let epoch = epochs.at(certificate.height);
        if certificate.epoch != epoch {
            return Err(format!("its height is epoch {epoch}'s: {certificate:?}"));
        }
        let vote = certificate.vote();
        let bytes = vote.signing_bytes(&chain.info.context);
        let mut signers = BTreeSet::new();
        for signature in &certificate.signatures {
            let signer = signature.signer;
            let node = epochs.node(epoch, signer).filter(|_| signers.insert(signer));
            let Some(node) = node else {
                return Err(format!("signer {signer} of {certificate:?} does not exist or stands twice"));
            };
            if self.held.get(&(vote.height, vote, signer)) == Some(&signature.signature) {
                continue;
            }
            let key = &chain.publics[node];
            SUITE.verify(key, &bytes, &signature.signature).map_err(|error| format!("signer {signer}: {error}"))?;
        }
        if certificate.kind.consensus() != chain.info.consensus {
            return Err(format!("made by the rules of another kind of consensus: {certificate:?}"));
        }
        let quorum = epochs.quorum(epoch);
        if signers.len() < quorum {
            return Err(format!("{} signers, {quorum} are needed: {certificate:?}", signers.len()));
        }
        Ok(match certificate.kind {
            CertificateKind::Commit { view } if view > View::ZERO => "commit certificates of later views",
            CertificateKind::Commit { .. } => "commit certificates",
            CertificateKind::Checkpoint => "checkpoint certificates",
            CertificateKind::Replicated => "certificates of what Raft committed",
        })
    }

    /// Forgets what concerns heights that all nodes have left far behind.
    pub(crate) fn forget_below(&mut self, height: u64) {
        let height = BlockNumber(height);
        self.votes.retain(|(at, ..), _| *at >= height);
        self.proposals.retain(|(at, ..), _| *at >= height);
        self.held.retain(|(at, ..), _| *at >= height);
        for durable in self.durable.values_mut() {
            durable.promises.retain(|promise| promise.height().is_none_or(|at| at >= height));
        }
    }
}
