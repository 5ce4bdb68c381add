//! The small world that is explored: four members, their keys, and every message of a run by its meaning.

use alloy_primitives::{B256, keccak256};
use lian_crypto::{ConsensusSecretKey, Suite};
use lian_pbft::{
    Ancestry, Committee, Committees, Head, Message, NewView, PrePrepare, PrepareCertificate, Rules, SignedNewView,
    SignedViewChange, Statement, Timing, ViewChange, ViewChangeMessage, verify,
};
use lian_types::{
    BlockNumber, Certificate, CertificateKind, ChainContext, Epoch, GroupId, Member, MemberIndex, MemberSignature,
    Members, Millis, Phase, Proposal, ProposalDigest, SignedVote, View, Vote,
};
use std::{collections::BTreeMap, sync::Arc};

pub(crate) const SUITE: Suite = Suite::Standard;
pub(crate) const START: u64 = 1_700_000_000_000;
pub(crate) const MEMBERS: usize = 4;
/// ⌈(n+f+1)/2⌉ of four members, written down here so that a wrong count in the crates shows.
pub(crate) const QUORUM: usize = 3;

/// How far the exploration goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    /// The Byzantine member. Member v leads view v.
    pub(crate) byzantine: usize,
    /// Heights 1 to this one.
    pub(crate) heights: u64,
    /// Views 0 to one less.
    pub(crate) views: u64,
    /// How many crashes with a restart from the records there may be in a run, of all members together.
    pub(crate) crashes: u8,
    /// States to visit at most.
    pub(crate) states_max: usize,
}

/// The number of a message among all that were met.
pub(crate) type Id = u16;

/// What two messages must have in common to mean the same to whoever takes them. Which members signed a certificate, and
/// which view-changes of equal consequence stand in a new-view, makes no difference to a machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Meaning {
    PrePrepare(View, BlockNumber, ProposalDigest),
    Vote(MemberIndex, Vote),
    ViewChange(MemberIndex, View, Option<Block>, Vec<(BlockNumber, View, ProposalDigest)>),
    NewView(View, Option<Block>, Vec<ProposalDigest>),
    Certificate(Block),
    Ancestry(Block),
}

/// Height, proposal and result.
pub(crate) type Block = (BlockNumber, ProposalDigest, B256);

pub(crate) fn block(certificate: &Certificate) -> Block {
    (certificate.height, certificate.digest, certificate.block_hash)
}

/// What all members and all runs share.
pub(crate) struct World {
    pub(crate) scope: Scope,
    pub(crate) rules: Rules,
    pub(crate) committees: Committees,
    pub(crate) keys: Vec<ConsensusSecretKey>,
    pub(crate) messages: Vec<(Meaning, Message)>,
    ids: BTreeMap<Meaning, Id>,
    pub(crate) proposals: BTreeMap<ProposalDigest, Arc<Proposal>>,
}

/// Every timeout is one millisecond: time passes by one only where a timer is let fire, and then every timer that runs
/// is due. Reports are left out; whatever they lead to happens without them, too.
pub(crate) fn timing() -> Timing {
    Timing {
        timeout_ms_min: 1,
        timeout_ms_max: 1,
        censorship_ms: u64::MAX / 4,
        heartbeat_ms: u64::MAX / 4,
        report_ms: u64::MAX / 4,
        leader_silence_ms: 1,
        leader_lost_ms: 1,
        resend_ms_min: 1,
        commit_hold_ms_max: 1,
    }
}

pub(crate) fn result(parent: B256, digest: ProposalDigest) -> B256 {
    keccak256([parent.as_slice(), digest.0.as_slice()].concat())
}

fn member(index: usize) -> MemberIndex {
    MemberIndex(u16::try_from(index).unwrap())
}

impl World {
    pub(crate) fn new(scope: Scope) -> Self {
        let key = |index: usize| ConsensusSecretKey::from_bytes(SUITE, &[u8::try_from(index + 1).unwrap(); 32]);
        let keys: Vec<_> = (0..MEMBERS).map(key).collect();
        let of =
            |key: &ConsensusSecretKey| Member { key: key.public(), address: SUITE.consensus_address(&key.public()) };
        let members = Members::new(keys.iter().map(of).collect()).unwrap();
        let committees = Committees::new([Committee::new(Epoch(0), BlockNumber(0), members)]);
        let context = ChainContext { genesis: B256::repeat_byte(9), group: GroupId(0), chain_id: 20_200 };
        let genesis = ProposalDigest(B256::repeat_byte(0xee));
        // One term holds all heights, so that the view alone says who leads.
        let rules = Rules { suite: SUITE, context, genesis, term: 1_000, window: 2 };
        Self { scope, rules, committees, keys, messages: Vec::new(), ids: BTreeMap::new(), proposals: BTreeMap::new() }
    }

    pub(crate) fn honest(&self) -> [usize; 3] {
        let mut all = (0..MEMBERS).filter(|index| *index != self.scope.byzantine);
        std::array::from_fn(|_| all.next().unwrap())
    }

    pub(crate) fn genesis_head(&self) -> Head {
        let digest = self.rules.genesis;
        Head { height: BlockNumber(0), digest, hash: digest.0, time: Millis(START), certificate: None }
    }

    /// The number of a message; a message of a meaning already met is as good as the first.
    pub(crate) fn intern(&mut self, message: &Message) -> Id {
        let meaning = self.meaning(message);
        if let Some(id) = self.ids.get(&meaning) {
            return *id;
        }
        let id = Id::try_from(self.messages.len()).unwrap();
        if let Message::PrePrepare(pre_prepare) = message {
            self.add(Arc::clone(&pre_prepare.proposal));
        }
        self.ids.insert(meaning.clone(), id);
        self.messages.push((meaning, message.clone()));
        id
    }

    pub(crate) fn find(&self, meaning: &Meaning) -> Option<Id> {
        self.ids.get(meaning).copied()
    }

    fn meaning(&self, message: &Message) -> Meaning {
        match message {
            Message::PrePrepare(p) => {
                Meaning::PrePrepare(p.view, p.proposal.height, SUITE.proposal_digest(&p.proposal))
            }
            Message::Vote(signed) => Meaning::Vote(signed.signer, signed.vote),
            Message::ViewChange(message) => {
                let change = &message.signed.change;
                let prepared = change.prepared.iter().map(|p| (p.height, p.view, p.digest)).collect();
                Meaning::ViewChange(message.signed.signer, change.view, change.base.as_ref().map(block), prepared)
            }
            Message::NewView(signed) => new_view_meaning(signed),
            Message::Certificate(certificate) => Meaning::Certificate(block(certificate)),
            Message::Ancestry(ancestry) => Meaning::Ancestry(block(&ancestry.certificate)),
            Message::Heartbeat(_) => unreachable!("heartbeats are left out"),
        }
    }

    /// Whether the others take a message.
    pub(crate) fn is_valid(&self, message: &Message) -> Result<(), String> {
        verify(&self.rules, &self.committees, message.clone()).map(|_| ()).map_err(|error| error.to_string())
    }

    fn add(&mut self, proposal: Arc<Proposal>) -> ProposalDigest {
        let digest = SUITE.proposal_digest(&proposal);
        self.proposals.entry(digest).or_insert(proposal);
        digest
    }

    /// The one honest result of a proposal.
    pub(crate) fn result(&self, digest: ProposalDigest) -> B256 {
        if digest == self.rules.genesis {
            return digest.0;
        }
        result(self.result(self.proposals[&digest].parent), digest)
    }

    /// A proposal of the Byzantine member in the view that it leads.
    pub(crate) fn byzantine_proposal(&mut self, height: u64, parent: ProposalDigest, letter: u8) -> Id {
        let proposal = Arc::new(Proposal {
            chain_id: self.rules.context.chain_id,
            group: self.rules.context.group,
            epoch: Epoch(0),
            height: BlockNumber(height),
            parent,
            time: Millis(START),
            proposer: self.keys[self.scope.byzantine].public(),
            transactions: vec![keccak256([letter])],
        });
        let digest = self.add(Arc::clone(&proposal));
        let view = View(self.scope.byzantine as u64);
        let meaning = Meaning::PrePrepare(view, BlockNumber(height), digest);
        if let Some(id) = self.find(&meaning) {
            return id;
        }
        let statement = Statement::PrePrepare { epoch: Epoch(0), view, height: BlockNumber(height), digest };
        let signature = self.sign(self.scope.byzantine, &statement);
        self.intern_valid(Message::PrePrepare(PrePrepare { view, proposal, signature }))
    }

    /// What the Byzantine member sends is well-formed: else it would be refused, as though it had not been sent.
    fn intern_valid(&mut self, message: Message) -> Id {
        assert_eq!(self.is_valid(&message), Ok(()), "{message:?}");
        self.intern(&message)
    }

    pub(crate) fn sign(&self, index: usize, statement: &Statement) -> lian_types::Signature {
        self.keys[index].sign(&statement.signing_bytes(&self.rules.context))
    }

    pub(crate) fn byzantine_vote(&mut self, vote: Vote) -> Id {
        let signer = member(self.scope.byzantine);
        if let Some(id) = self.find(&Meaning::Vote(signer, vote)) {
            return id;
        }
        let signature = self.sign(self.scope.byzantine, &Statement::Vote(vote));
        self.intern_valid(Message::Vote(SignedVote { vote, signer, signature }))
    }

    fn signatures(&self, vote: Vote, signers: &[usize]) -> Vec<MemberSignature> {
        let sign = |index: &usize| {
            let signature = self.sign(*index, &Statement::Vote(vote));
            MemberSignature { signer: member(*index), signature }
        };
        signers.iter().map(sign).collect()
    }

    /// A certificate of votes that exist: those of the honest `signers`, and the Byzantine member's where it is needed.
    pub(crate) fn certificate(&self, vote: Vote, signers: &[usize]) -> Certificate {
        let kind = match vote.phase {
            Phase::Checkpoint => CertificateKind::Checkpoint,
            _ => CertificateKind::Commit { view: vote.view },
        };
        let signatures = self.signatures(vote, &self.with_byzantine(signers));
        let (height, digest) = (vote.height, vote.digest);
        Certificate { epoch: Epoch(0), height, digest, block_hash: vote.result.unwrap(), kind, signatures }
    }

    pub(crate) fn prepare_certificate(&self, vote: Vote, signers: &[usize]) -> PrepareCertificate {
        let signatures = self.signatures(vote, &self.with_byzantine(signers));
        let Vote { view, height, digest, .. } = vote;
        PrepareCertificate { epoch: Epoch(0), view, height, digest, signatures }
    }

    fn with_byzantine(&self, signers: &[usize]) -> Vec<usize> {
        let mut all = [signers, &[self.scope.byzantine]].concat();
        all.sort_unstable();
        all
    }

    pub(crate) fn certificate_messages(&mut self, certificate: &Certificate) -> Vec<Id> {
        let mut ids = vec![self.intern_valid(Message::Certificate(certificate.clone()))];
        if certificate.height.0 > 1 {
            let proposals = self.path(certificate.digest);
            ids.push(self.intern_valid(Message::Ancestry(Ancestry { certificate: certificate.clone(), proposals })));
        }
        ids
    }

    fn path(&self, mut digest: ProposalDigest) -> Vec<Arc<Proposal>> {
        let mut path = Vec::new();
        while let Some(proposal) = self.proposals.get(&digest) {
            path.push(Arc::clone(proposal));
            digest = proposal.parent;
        }
        path
    }

    pub(crate) fn byzantine_view_change(
        &mut self,
        view: View,
        base: Option<&Certificate>,
        prepared: &[PrepareCertificate],
    ) -> Id {
        let signer = member(self.scope.byzantine);
        let names = prepared.iter().map(|p| (p.height, p.view, p.digest)).collect();
        if let Some(id) = self.find(&Meaning::ViewChange(signer, view, base.map(block), names)) {
            return id;
        }
        let change = ViewChange { epoch: Epoch(0), view, base: base.cloned(), prepared: prepared.to_vec() };
        let signature = self.sign(self.scope.byzantine, &Statement::ViewChange(Box::new(change.clone())));
        let proposals = prepared.iter().map(|p| Arc::clone(&self.proposals[&p.digest])).collect();
        let signed = Arc::new(SignedViewChange { change, signer, signature });
        self.intern_valid(Message::ViewChange(ViewChangeMessage { signed, proposals }))
    }

    /// The new-view that view-changes force, by the Byzantine member in the view that it leads.
    pub(crate) fn byzantine_new_view(&mut self, view: View, changes: &[Id]) -> Id {
        let mut set: Vec<Arc<SignedViewChange>> = Vec::new();
        for id in changes {
            let Message::ViewChange(message) = &self.messages[usize::from(*id)].1 else { unreachable!() };
            set.push(Arc::clone(&message.signed));
        }
        set.sort_by_key(|signed| signed.signer);
        let proposals = self.forced(&set);
        let base = set.iter().filter_map(|signed| signed.change.base.as_ref().map(block)).max();
        let digests = proposals.iter().map(|p| SUITE.proposal_digest(p)).collect();
        if let Some(id) = self.find(&Meaning::NewView(view, base, digests)) {
            return id;
        }
        let new_view = NewView { epoch: Epoch(0), view, changes: set, proposals };
        let signature = self.sign(self.scope.byzantine, &Statement::NewView(Box::new(new_view.clone())));
        let signer = member(self.scope.byzantine);
        let message = Message::NewView(Arc::new(SignedNewView { new_view, signer, signature }));
        // A rule of choice that is wrong in the crate makes this one refused; honest members' new-views then tell.
        if self.is_valid(&message).is_err() { Id::MAX } else { self.intern(&message) }
    }

    /// A message in words.
    pub(crate) fn name(&self, id: Id) -> String {
        let proposal = |digest: &ProposalDigest| {
            let height = self.proposals.get(digest).map_or(0, |proposal| proposal.height.0);
            let same = self.proposals.iter().filter(|(_, proposal)| proposal.height.0 == height);
            let position = same.map(|(other, _)| other).position(|other| other == digest).unwrap_or(0);
            format!("{height}.{position}")
        };
        match &self.messages[usize::from(id)].0 {
            Meaning::PrePrepare(view, _, digest) => format!("proposal {} of view {view}", proposal(digest)),
            Meaning::Vote(signer, vote) => {
                let with = if vote.result.is_some() { " with its result" } else { "" };
                format!("{:?} of {} in view {} by {signer}{with}", vote.phase, proposal(&vote.digest), vote.view)
            }
            Meaning::ViewChange(signer, view, base, prepared) => {
                let prepared: Vec<_> =
                    prepared.iter().map(|(_, v, digest)| format!("{}@{v}", proposal(digest))).collect();
                let base = base.as_ref().map_or("genesis".to_owned(), |(_, digest, _)| proposal(digest));
                format!("view-change to {view} by {signer} on {base} with {prepared:?}")
            }
            Meaning::NewView(view, base, proposals) => {
                let proposals: Vec<_> = proposals.iter().map(proposal).collect();
                let base = base.as_ref().map_or("genesis".to_owned(), |(_, digest, _)| proposal(digest));
                format!("new-view {view} on {base} with {proposals:?}")
            }
            Meaning::Certificate((_, digest, _)) => format!("certificate of {}", proposal(digest)),
            Meaning::Ancestry((_, digest, _)) => format!("ancestry of {}", proposal(digest)),
        }
    }

    /// The choice of section 5, written again from the text.
    fn forced(&self, set: &[Arc<SignedViewChange>]) -> Vec<Arc<Proposal>> {
        let base = set.iter().filter_map(|signed| signed.change.base.as_ref().map(block)).max();
        let (mut height, mut parent) = base.map_or((0, self.rules.genesis), |(height, digest, _)| (height.0, digest));
        let mut proposals = Vec::new();
        loop {
            height += 1;
            let prepared = set.iter().flat_map(|signed| &signed.change.prepared);
            let Some(best) = prepared.filter(|p| p.height.0 == height).max_by_key(|p| p.view) else { break };
            let proposal = Arc::clone(&self.proposals[&best.digest]);
            let fits = proposal.parent == parent;
            proposals.push(proposal);
            if !fits {
                break;
            }
            parent = best.digest;
        }
        proposals
    }
}

pub(crate) fn new_view_meaning(signed: &SignedNewView) -> Meaning {
    let NewView { view, changes, proposals, .. } = &signed.new_view;
    let base = changes.iter().filter_map(|signed| signed.change.base.as_ref().map(block)).max();
    Meaning::NewView(*view, base, proposals.iter().map(|p| SUITE.proposal_digest(p)).collect())
}
