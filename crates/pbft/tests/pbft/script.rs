//! One machine, driven by lines of text, its effects printed as lines of text.
//!
//! A proposal is named by its height and a letter, then its parent unless that is the same letter one height lower:
//! `2a`, `2b<1a`. The letter stands for its only transaction.

use crate::network::{START, SUITE, genesis_head, key, members, result, rules};
use alloy_primitives::{B256, keccak256};
use lian_pbft::{
    Ancestry, BodiesVerdict, Committee, Committees, Config, Divergence, Effect, Head, Heartbeat, Input, LogCondition,
    Machine, Message, PrePrepare, PrepareCertificate, Recipient, Record, Rules, SignedViewChange, Statement, Timing,
    ViewChange, ViewChangeMessage, verify,
};
use lian_types::{
    BlockNumber, Certificate, CertificateKind, Epoch, MemberIndex, MemberSignature, Millis, Phase, Proposal,
    ProposalDigest, SignedVote, View, Vote,
};
use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

/// A machine of one of four members, and names for what it deals with.
pub(crate) struct Script {
    rules: Rules,
    me: usize,
    now: u64,
    machine: Machine,
    proposals: BTreeMap<String, Arc<Proposal>>,
    names: BTreeMap<ProposalDigest, String>,
    /// Everything persisted, for a restart.
    pub(crate) disk: Vec<Record>,
    /// Heartbeats are left out of the output.
    pub(crate) quiet: bool,
}

/// Runs lines on a fresh machine and returns what the last line led to.
pub(crate) fn last(me: usize, lines: &[&str]) -> String {
    Script::new(me).lines(lines)
}

impl Script {
    pub(crate) fn new(me: usize) -> Self {
        let rules = rules(4, 100);
        let machine = Self::machine(&rules, me, genesis_head(&rules), vec![], LogCondition::Whole);
        let mut script = Self {
            rules,
            me,
            now: START,
            machine,
            proposals: BTreeMap::new(),
            names: BTreeMap::from([(rules.genesis, "genesis".to_owned())]),
            disk: Vec::new(),
            quiet: true,
        };
        script.line("tick 0");
        for peer in (0..4).filter(|peer| *peer != me) {
            script.step(Input::Peer { key: key(peer).public(), connected: true });
        }
        script
    }

    fn machine(rules: &Rules, me: usize, head: Head, records: Vec<Record>, log: LogCondition) -> Machine {
        let timing = Timing { timeout_ms_min: 1_000, ..Timing::default() };
        let config = Config { rules: *rules, timing, key: Some(key(me).public()) };
        let committees = Committees::new([Committee::new(Epoch(0), BlockNumber(0), members(0..4))]);
        Machine::new(config, committees, head, records, log)
    }

    /// Starts again from what was persisted.
    pub(crate) fn restart(&mut self, log: LogCondition) -> String {
        let records = self.disk.clone();
        self.machine = Self::machine(&self.rules, self.me, genesis_head(&self.rules), records, log);
        let me = self.me;
        let shown = self.step(Input::Tick);
        for peer in (0..4).filter(|peer| *peer != me) {
            self.step(Input::Peer { key: key(peer).public(), connected: true });
        }
        shown
    }

    pub(crate) fn machine_ref(&self) -> &Machine {
        &self.machine
    }

    /// The proposal of a name.
    pub(crate) fn proposal(&mut self, name: &str) -> Arc<Proposal> {
        if let Some(proposal) = self.proposals.get(name) {
            return Arc::clone(proposal);
        }
        let (own, parent) = name.split_once('<').unwrap_or((name, ""));
        let (height, letter) = own.split_at(own.len() - 1);
        let height: u64 = height.parse().unwrap();
        let parent = match (height, parent) {
            (1, _) => self.rules.genesis,
            (_, "") => self.digest(&format!("{}{letter}", height - 1)),
            (_, parent) => self.digest(parent),
        };
        let view = u64::from(letter.as_bytes()[0] - b'a') / 3;
        let proposal = Arc::new(Proposal {
            chain_id: self.rules.context.chain_id,
            group: self.rules.context.group,
            epoch: Epoch(0),
            height: BlockNumber(height),
            parent,
            time: Millis(START + height),
            proposer: key(view as usize % 4).public(),
            transactions: vec![keccak256(letter)],
        });
        self.proposals.insert(name.to_owned(), Arc::clone(&proposal));
        self.proposals.insert(own.to_owned(), Arc::clone(&proposal));
        self.names.insert(SUITE.proposal_digest(&proposal), own.to_owned());
        proposal
    }

    pub(crate) fn digest(&mut self, name: &str) -> ProposalDigest {
        SUITE.proposal_digest(&self.proposal(name))
    }

    /// The honest result of a proposal, twisted for a letter.
    fn result(&mut self, name: &str) -> B256 {
        let proposal = self.proposal(name);
        let parent = self.parent_result(&proposal);
        result(parent, SUITE.proposal_digest(&proposal), 0)
    }

    fn parent_result(&mut self, proposal: &Proposal) -> B256 {
        let below = self.proposals.values().find(|other| SUITE.proposal_digest(other) == proposal.parent).cloned();
        match below {
            None => genesis_head(&self.rules).hash,
            Some(below) => {
                let parent = self.parent_result(&below);
                result(parent, SUITE.proposal_digest(&below), 0)
            }
        }
    }

    /// A vote by a member: `prepare 1a v0`, `commit 1a v0 result`, `commit 1a v0 bare`, `checkpoint 1a`.
    pub(crate) fn vote(&mut self, words: &[&str]) -> Vote {
        let phase = match words[0] {
            "prepare" => Phase::Prepare,
            "commit" => Phase::Commit,
            _ => Phase::Checkpoint,
        };
        let proposal = self.proposal(words[1]);
        let view = words.get(2).and_then(|word| word.strip_prefix('v')).map_or(0, |view| view.parse().unwrap());
        let result = match (phase, words.last().copied()) {
            (Phase::Prepare, _) | (_, Some("bare")) => None,
            (_, Some("wrong")) => Some(B256::repeat_byte(0xbb)),
            (_, Some("worse")) => Some(B256::repeat_byte(0xcc)),
            _ => Some(self.result(words[1])),
        };
        let digest = self.digest(words[1]);
        Vote { epoch: proposal.epoch, view: View(view), height: proposal.height, phase, digest, result }
    }

    pub(crate) fn signed(&self, vote: Vote, member: usize) -> SignedVote {
        let signature = key(member).sign(&vote.signing_bytes(&self.rules.context));
        SignedVote { vote, signer: MemberIndex(member as u16), signature }
    }

    fn signatures(&self, vote: &Vote, signers: impl IntoIterator<Item = usize>) -> Vec<MemberSignature> {
        let sign = |member| self.signed(*vote, member);
        let sign = signers.into_iter().map(sign);
        sign.map(|signed| MemberSignature { signer: signed.signer, signature: signed.signature }).collect()
    }

    pub(crate) fn certificate(&mut self, name: &str, kind: CertificateKind) -> Certificate {
        let view = match kind {
            CertificateKind::Commit { view } => format!("v{view}"),
            CertificateKind::Checkpoint | CertificateKind::Replicated => "v0".to_owned(),
        };
        let phase = if kind == CertificateKind::Checkpoint { "checkpoint" } else { "commit" };
        let vote = self.vote(&[phase, name, &view]);
        let signatures = self.signatures(&vote, 0..3);
        Certificate {
            epoch: vote.epoch,
            height: vote.height,
            digest: vote.digest,
            block_hash: vote.result.unwrap(),
            kind,
            signatures,
        }
    }

    pub(crate) fn ancestry(&mut self, names: &[&str]) -> Ancestry {
        let certificate = self.certificate(names[0], CertificateKind::Commit { view: View(0) });
        Ancestry { certificate, proposals: names.iter().map(|name| self.proposal(name)).collect() }
    }

    pub(crate) fn prepared(&mut self, name: &str, view: u64) -> PrepareCertificate {
        let vote = self.vote(&["prepare", name, &format!("v{view}")]);
        let signatures = self.signatures(&vote, 0..3);
        PrepareCertificate { epoch: vote.epoch, view: vote.view, height: vote.height, digest: vote.digest, signatures }
    }

    /// A view-change: `base` and what is `prepared` as `1a@0`.
    pub(crate) fn change(&mut self, view: u64, member: usize, words: &[&str]) -> ViewChangeMessage {
        let mut base = None;
        let (mut prepared, mut proposals) = (Vec::new(), Vec::new());
        for word in words {
            if let Some((name, view)) = word.split_once('@') {
                prepared.push(self.prepared(name, view.parse().unwrap()));
                proposals.push(self.proposal(name));
            } else {
                base = Some(self.certificate(word, CertificateKind::Checkpoint));
            }
        }
        let change = ViewChange { epoch: Epoch(0), view: View(view), base, prepared };
        let signature = self.sign(member, &Statement::ViewChange(Box::new(change.clone())));
        let signed = Arc::new(SignedViewChange { change, signer: MemberIndex(member as u16), signature });
        ViewChangeMessage { signed, proposals }
    }

    pub(crate) fn sign(&self, member: usize, statement: &Statement) -> lian_types::Signature {
        key(member).sign(&statement.signing_bytes(&self.rules.context))
    }

    pub(crate) fn pre_prepare(&mut self, name: &str, view: u64) -> PrePrepare {
        let proposal = self.proposal(name);
        let digest = self.digest(name);
        let statement =
            Statement::PrePrepare { epoch: proposal.epoch, view: View(view), height: proposal.height, digest };
        let signature = self.sign(view as usize % 4, &statement);
        PrePrepare { view: View(view), proposal, signature }
    }

    pub(crate) fn message(&mut self, from: usize, message: Message) -> String {
        let verified = verify(&self.rules, self.machine.committees(), message);
        match verified {
            Ok(message) => self.step(Input::Message { from: key(from).public(), message }),
            Err(error) => format!("refused: {error}\n"),
        }
    }

    /// Carries out lines and prints the effects of the last one.
    pub(crate) fn lines(&mut self, lines: &[&str]) -> String {
        lines.iter().fold(String::new(), |_, line| self.line(line))
    }

    /// Carries out a line and prints the effects.
    pub(crate) fn line(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[0] {
            "tick" => {
                self.now += words[1].parse::<u64>().unwrap();
                self.step(Input::Tick)
            }
            "pool" => self.step(Input::Pool { ready: words[1] == "ready", waiting_since: None }),
            "transactions" => {
                let height = BlockNumber(words[1].parse().unwrap());
                let transactions = words[2..].iter().map(keccak256).collect();
                let (view, time) = (self.machine.status().view, Millis(START + height.0));
                self.step(Input::Transactions { height, view, transactions, time })
            }
            "propose" => {
                let view = words[2].strip_prefix('v').unwrap().parse().unwrap();
                let pre_prepare = self.pre_prepare(words[1], view);
                self.message(view as usize % 4, Message::PrePrepare(pre_prepare))
            }
            "held" | "invalid" => {
                let verdict = if words[0] == "held" { BodiesVerdict::Held } else { BodiesVerdict::Invalid };
                let digest = self.digest(words[1]);
                self.step(Input::Bodies { digest, verdict })
            }
            "executed" => {
                let proposal = self.proposal(words[1]);
                let (height, digest) = (proposal.height, self.digest(words[1]));
                let parent = self.parent_result(&proposal);
                let hash = if words.len() > 2 { B256::repeat_byte(0xaa) } else { self.result(words[1]) };
                self.step(Input::Executed { height, digest, parent, hash })
            }
            "final" => {
                let certificate = self.certificate(words[1], CertificateKind::Checkpoint);
                let proposal = self.proposal(words[1]);
                let head = Head {
                    height: proposal.height,
                    digest: certificate.digest,
                    hash: certificate.block_hash,
                    time: proposal.time,
                    certificate: Some(certificate),
                };
                self.step(Input::Final(head))
            }
            // `ancestry 2a 1a from 3`: a certificate of the first, and the proposals.
            "ancestry" => {
                let ancestry = self.ancestry(&words[1..words.len() - 2]);
                self.message(words[words.len() - 1].parse().unwrap(), Message::Ancestry(ancestry))
            }
            "certificate" => {
                let certificate = self.certificate(words[1], CertificateKind::Checkpoint);
                self.message(words[2].parse().unwrap(), Message::Certificate(certificate))
            }
            "lost" => self.step(Input::Peer { key: key(words[1].parse().unwrap()).public(), connected: false }),
            "change" => {
                let (view, member) = (words[1].parse().unwrap(), words[2].parse().unwrap());
                let message = self.change(view, member, &words[3..]);
                self.message(member, Message::ViewChange(message))
            }
            "beat" => {
                let (member, height, view): (usize, u64, u64) =
                    (words[1].parse().unwrap(), words[2].parse().unwrap(), words[3].parse().unwrap());
                let (height, view) = (BlockNumber(height), View(view));
                let starving = words.get(4) == Some(&"starving");
                let epoch = Epoch(0);
                let beat = Heartbeat { epoch, height, view, promised: view, starving, abstains_until: None };
                self.message(member, Message::Heartbeat(beat))
            }
            // Votes: `commit 1a v0 result by 0 1 2`.
            _ => {
                let by = words.iter().position(|word| *word == "by").unwrap();
                let vote = self.vote(&words[..by]);
                let mut shown = String::new();
                for member in &words[by + 1..] {
                    let member = member.parse().unwrap();
                    let signed = self.signed(vote, member);
                    shown += &self.message(member, Message::Vote(signed));
                }
                shown
            }
        }
    }

    /// The own proposal of a height: its digest, the result of executing it, and the parent's.
    pub(crate) fn proposed(&mut self, height: u64) -> (BlockNumber, ProposalDigest, B256, B256) {
        let made = self.disk.iter().rev().find_map(|record| match record {
            Record::PrePrepare(made) if made.proposal.height.0 == height => Some(Arc::clone(&made.proposal)),
            _ => None,
        });
        let made = made.unwrap();
        let (digest, parent) = (SUITE.proposal_digest(&made), self.parent_result(&made));
        (made.height, digest, result(parent, digest, 0), parent)
    }

    pub(crate) fn executed(&mut self, height: BlockNumber, digest: ProposalDigest, parent: B256, hash: B256) -> String {
        self.step(Input::Executed { height, digest, parent, hash })
    }

    /// Prepares of members on a proposal without a name.
    pub(crate) fn prepares(&mut self, height: u64, digest: ProposalDigest, view: u64, by: &[usize]) -> String {
        let (view, height) = (View(view), BlockNumber(height));
        let vote = Vote { epoch: Epoch(0), view, height, phase: Phase::Prepare, digest, result: None };
        by.iter().map(|member| self.message(*member, Message::Vote(self.signed(vote, *member)))).collect()
    }

    /// Steps the machine, signs whatever it wants signed, and prints the effects.
    pub(crate) fn step(&mut self, input: Input) -> String {
        let mut shown = String::new();
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut effects = Vec::new();
            self.machine.step(Millis(self.now), input, &mut effects);
            for effect in effects {
                match &effect {
                    Effect::Sign(statement) => {
                        let signature = self.sign(self.me, statement);
                        inputs.insert(0, Input::Signed { statement: statement.clone(), signature });
                        continue;
                    }
                    Effect::Persist(records) => self.disk.extend(records.clone()),
                    Effect::Reached { .. } => continue,
                    Effect::Send { message: Message::Heartbeat(_), .. } if self.quiet => continue,
                    _ => {}
                }
                writeln!(shown, "{}", self.show(&effect)).unwrap();
            }
        }
        shown
    }

    fn name(&self, digest: &ProposalDigest) -> String {
        self.names.get(digest).cloned().unwrap_or_else(|| "own".to_owned())
    }

    fn show_vote(&self, vote: &Vote) -> String {
        let phase = format!("{:?}", vote.phase).to_lowercase();
        let result = match vote.result {
            Some(_) => " with result",
            None if vote.phase == Phase::Commit => " bare",
            None => "",
        };
        let view = if vote.phase == Phase::Checkpoint { String::new() } else { format!(" v{}", vote.view) };
        format!("{phase} {}{view}{result}", self.name(&vote.digest))
    }

    fn show_change(&self, change: &ViewChange) -> String {
        let prepared = change.prepared.iter().map(|p| format!(" {}@{}", self.name(&p.digest), p.view));
        format!("view-change v{} base {}{}", change.view, change.base_height(), prepared.collect::<String>())
    }

    fn show_message(&self, message: &Message) -> String {
        match message {
            Message::PrePrepare(pre_prepare) => {
                let digest = SUITE.proposal_digest(&pre_prepare.proposal);
                format!("pre-prepare {} v{}", self.name(&digest), pre_prepare.view)
            }
            Message::Vote(signed) => self.show_vote(&signed.vote),
            Message::ViewChange(message) => self.show_change(&message.signed.change),
            Message::NewView(signed) => {
                let digests = signed.new_view.proposals.iter().map(|p| SUITE.proposal_digest(p));
                let names: String = digests.map(|digest| format!(" {}", self.name(&digest))).collect();
                format!("new-view v{} of {}{names}", signed.new_view.view, signed.new_view.changes.len())
            }
            Message::Heartbeat(beat) => format!("heartbeat height {} view {}", beat.height, beat.view),
            Message::Certificate(certificate) => format!("certificate {}", self.name(&certificate.digest)),
            Message::Ancestry(ancestry) => {
                format!("ancestry of {} with {}", self.name(&ancestry.certificate.digest), ancestry.proposals.len())
            }
        }
    }

    fn show_record(&self, record: &Record) -> String {
        match record {
            Record::PrePrepare(pre_prepare) => self.show_message(&Message::PrePrepare(pre_prepare.clone())),
            Record::Vote(signed) => self.show_vote(&signed.vote),
            Record::Prepared { certificate, .. } => {
                format!("prepared {}@{}", self.name(&certificate.digest), certificate.view)
            }
            Record::Abstains(now) => format!("abstains {now}"),
            Record::Reported { height, attempt } => format!("reported {height} for retry {attempt}"),
            Record::Retry(retry) => format!("retry {} of {} in v{}", retry.attempt, retry.height, retry.view),
            Record::Cleared { through } => format!("cleared through {through}"),
            Record::ResultLock(lock) => format!("lock {}", self.name(&lock.digest)),
            Record::ViewPromise(message) => self.show_change(&message.signed.change),
            Record::NewView(signed) => self.show_message(&Message::NewView(Arc::clone(signed))),
        }
    }

    fn show(&self, effect: &Effect) -> String {
        match effect {
            Effect::Persist(records) => {
                let records: Vec<_> = records.iter().map(|record| self.show_record(record)).collect();
                format!("persist {}", records.join(", "))
            }
            Effect::Send { to: Recipient::All, message } => format!("send {}", self.show_message(message)),
            Effect::Send { to: Recipient::One(to), message } => {
                let to = (0..4).find(|member| key(*member).public() == *to).unwrap();
                format!("send to {to} {}", self.show_message(message))
            }
            Effect::CheckBodies { digest, .. } => format!("check {}", self.name(digest)),
            Effect::Forget(digest) => format!("forget {}", self.name(digest)),
            Effect::Execute { digest, .. } => format!("execute {}", self.name(digest)),
            Effect::DiscardFrom(height) => format!("discard from {height}"),
            Effect::WantTransactions { height, view, parent, .. } => {
                format!("want transactions for {height} v{view} on {}", self.name(parent))
            }
            Effect::Certified { digest, certificate, .. } => {
                let kind = match certificate.kind {
                    CertificateKind::Commit { view } => format!("commits v{view}"),
                    CertificateKind::Checkpoint => "checkpoints".to_owned(),
                    CertificateKind::Replicated => "replications".to_owned(),
                };
                format!("certified {} by {kind} of {}", self.name(digest), certificate.height)
            }
            Effect::Behind { height, proven, .. } => {
                format!("behind {height}{}", if *proven { "" } else { " by word" })
            }
            Effect::ViewChanged { view, cause: None, .. } => format!("enter v{view}"),
            Effect::ViewChanged { view, cause: Some(cause), .. } => format!("leave for v{view}: {cause:?}"),
            Effect::Misbehaved { member, what } => format!("member {member} misbehaved: {what:?}"),
            Effect::Halt(divergence) => match divergence.as_ref() {
                Divergence::Result { height, .. } => format!("halt: result of {height} differs from a certificate"),
                Divergence::Execution { height, .. } => format!("halt: two results of {height}"),
                Divergence::NoQuorum { height, results, .. } => {
                    let results: Vec<_> = results.iter().map(|(_, members)| members.len()).collect();
                    format!("halt: no result of {height} can win {results:?}")
                }
                Divergence::Order { height, .. } => format!("halt: two orders of {height}"),
            },
            other => format!("{other:?}"),
        }
    }
}
