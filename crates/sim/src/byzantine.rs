//! What Byzantine members do to the messages of their machines.

mod proposals;
mod view_changes;
mod votes;

use crate::{
    chain::{Chain, SUITE},
    event::NodeId,
    random::Random,
    scenario::{Kind, Rule, Trick},
    wallet::{self, Name},
};
use alloy_primitives::{B256, TxHash};
use lian_group::core::{GroupMessage, NodeReport};
use lian_pbft::{Heartbeat, Message, Statement, ViewChangeMessage};
use lian_sync::SyncMessage;
use lian_txpool::PoolMessage;
use lian_types::{
    BlockNumber, Certificate, Epoch, MemberIndex, Proposal, ProposalDigest, Signature, View, limits::SYNC_BLOCKS_MAX,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// The purpose of a traitor's random numbers; the machine's number is added.
const PURPOSE: u64 = 1_000;
/// Messages that are kept for a replay.
const MEMORY_MAX: usize = 400;
/// Views whose view-changes are kept.
const VIEWS_MAX: usize = 4;
/// Certificates, transactions and other proposals that are kept.
const KEPT_MAX: usize = 600;

/// A machine of a Byzantine member: what stands between it and the network.
pub(crate) struct Traitor {
    seat: NodeId,
    rules: Vec<Rule>,
    random: Random,
    /// Messages sent and received.
    memory: VecDeque<GroupMessage>,
    /// View-changes of all members.
    changes: BTreeMap<View, BTreeMap<MemberIndex, ViewChangeMessage>>,
    certificates: VecDeque<Certificate>,
    /// Transactions that were proposed.
    proposed: VecDeque<TxHash>,
    /// The greatest nonce seen of each account.
    newest: BTreeMap<usize, Name>,
    /// What a peer was given in place of a proposal.
    others: BTreeMap<(NodeId, ProposalDigest), Arc<Proposal>>,
    /// Where consensus stands.
    at: (Epoch, View, BlockNumber),
}

/// A message that leaves a Byzantine machine.
pub(crate) struct Outgoing {
    pub(crate) to: NodeId,
    pub(crate) after_ms: u64,
    pub(crate) message: GroupMessage,
}

impl Traitor {
    pub(crate) fn new(seed: u64, machine: NodeId, seat: NodeId, rules: Vec<Rule>) -> Self {
        Self {
            seat,
            rules,
            random: Random::new(seed, PURPOSE + machine as u64),
            memory: VecDeque::new(),
            changes: BTreeMap::new(),
            certificates: VecDeque::new(),
            proposed: VecDeque::new(),
            newest: BTreeMap::new(),
            others: BTreeMap::new(),
            at: (Epoch::ZERO, View::ZERO, BlockNumber(1)),
        }
    }

    /// Learns from a message that its machine receives or would send.
    pub(crate) fn observe(&mut self, message: &GroupMessage) {
        match message {
            GroupMessage::Consensus(message) => self.observe_consensus(message),
            GroupMessage::Pool(PoolMessage::Transactions(transactions) | PoolMessage::Bodies { transactions, .. }) => {
                for name in transactions.iter().filter_map(|body| wallet::name_of(body.transaction.hash())) {
                    let newest = self.newest.entry(name.account).or_insert(name);
                    *newest = (*newest).max(name);
                }
            }
            _ => {}
        }
        keep(&mut self.memory, message.clone(), MEMORY_MAX);
    }

    fn observe_consensus(&mut self, message: &Message) {
        match message {
            Message::PrePrepare(made) => {
                let proposal = &made.proposal;
                self.at = self.at.max((proposal.epoch, made.view, proposal.height));
                proposal.transactions.iter().for_each(|hash| keep(&mut self.proposed, *hash, KEPT_MAX));
            }
            Message::Vote(signed) if signed.vote.view.0 < u64::MAX / 2 => {
                self.at = self.at.max((signed.vote.epoch, signed.vote.view, signed.vote.height));
            }
            Message::ViewChange(message) => {
                let change = &message.signed.change;
                if let Some(base) = &change.base {
                    keep(&mut self.certificates, base.clone(), KEPT_MAX);
                }
                self.changes.entry(change.view).or_default().insert(message.signed.signer, message.clone());
                while self.changes.len() > VIEWS_MAX {
                    self.changes.pop_first();
                }
            }
            Message::Certificate(certificate) => keep(&mut self.certificates, certificate.clone(), KEPT_MAX),
            _ => {}
        }
    }

    /// What leaves in place of a message.
    pub(crate) fn turn(
        &mut self,
        chain: &Chain,
        now_ms: u64,
        receivers: &[NodeId],
        message: &GroupMessage,
    ) -> Vec<Outgoing> {
        self.observe(message);
        let mut fired = Vec::new();
        for rule in &self.rules {
            let is_time = (rule.from_ms..rule.until_ms).contains(&now_ms);
            if is_time && fits(rule.trick, message) && self.random.permille(rule.permille) {
                fired.push(rule.clone());
            }
        }
        let mut sent = Vec::new();
        for peer in receivers {
            let mut messages = vec![(0, self.follow(chain, *peer, message))];
            let meant = |rule: &&Rule| rule.peers.is_empty() || rule.peers.contains(&chain.seats[*peer]);
            for rule in fired.iter().filter(meant) {
                self.play(chain, *peer, rule, message, &mut messages);
            }
            sent.extend(messages.into_iter().map(|(after_ms, message)| Outgoing { to: *peer, after_ms, message }));
        }
        sent
    }

    fn play(
        &mut self,
        chain: &Chain,
        peer: NodeId,
        rule: &Rule,
        original: &GroupMessage,
        messages: &mut Vec<(u64, GroupMessage)>,
    ) {
        match rule.trick {
            Trick::Silence { .. } => messages.clear(),
            Trick::Delay { ms, .. } => {
                let extra = self.random.between(ms);
                messages.iter_mut().for_each(|(after, _)| *after += extra);
            }
            Trick::Replay => {
                let old = self.random.index(self.memory.len());
                messages.extend(self.memory.get(old).map(|old| (0, old.clone())));
            }
            Trick::Flood { count } => {
                let flood = (0..count).map(|number| (0, self.junk(chain, number)));
                messages.extend(flood.collect::<Vec<_>>());
            }
            trick => {
                let Some((after, first)) = messages.first().cloned() else { return };
                let Some(changed) = self.change(chain, peer, trick, original, &first) else { return };
                if rule.besides {
                    messages.push((after, changed));
                } else if let Some(first) = messages.first_mut() {
                    first.1 = changed;
                }
            }
        }
    }

    fn change(
        &mut self,
        chain: &Chain,
        peer: NodeId,
        trick: Trick,
        original: &GroupMessage,
        message: &GroupMessage,
    ) -> Option<GroupMessage> {
        match (message, original) {
            (
                GroupMessage::Consensus(Message::PrePrepare(made)),
                GroupMessage::Consensus(Message::PrePrepare(first)),
            ) => {
                let first = SUITE.proposal_digest(&first.proposal);
                self.other_proposal(chain, peer, trick, first, made)
            }
            (GroupMessage::Consensus(Message::Vote(signed)), _) => self.other_vote(chain, trick, signed),
            (GroupMessage::Consensus(Message::ViewChange(message)), _) => self.other_view_change(chain, trick, message),
            (GroupMessage::Consensus(Message::NewView(signed)), _) => self.other_new_view(chain, trick, signed),
            (GroupMessage::Consensus(Message::Heartbeat(beat)), _) if trick == Trick::HideLeaving => {
                let beat = Heartbeat { promised: beat.view, starving: false, ..*beat };
                Some(GroupMessage::Consensus(Message::Heartbeat(beat)))
            }
            (GroupMessage::Consensus(Message::Heartbeat(beat)), _) => {
                Some(GroupMessage::Consensus(Message::Heartbeat(self.other_heartbeat(beat))))
            }
            (GroupMessage::Sync(message), _) => self.other_answer(message).map(GroupMessage::Sync),
            (GroupMessage::Report(_), _) => {
                let random = &mut self.random;
                let report = NodeReport {
                    height: BlockNumber(random.choose([0, 1 << 40, u64::MAX])),
                    view: View(random.choose([0, 7, u64::MAX])),
                    peers: random.choose([0, u32::MAX]),
                    pending: random.choose([0, u32::MAX]),
                    rpc: "http://198.51.100.1:8545/".to_owned(),
                };
                Some(GroupMessage::Report(report))
            }
            (GroupMessage::Pool(PoolMessage::Bodies { transactions, unknown }), _) => {
                let hashes = transactions.iter().map(|body| body.transaction.hash());
                let unknown = hashes.chain(unknown.iter().copied()).collect();
                Some(GroupMessage::Pool(PoolMessage::Bodies { transactions: Vec::new(), unknown }))
            }
            _ => None,
        }
    }

    /// A lie about blocks.
    fn other_answer(&mut self, message: &SyncMessage) -> Option<SyncMessage> {
        let random = &mut self.random;
        match message {
            SyncMessage::Status(status) => {
                let mut status = *status;
                status.height = BlockNumber(match random.below(4) {
                    0 => u64::MAX,
                    1 => 0,
                    2 => status.height.0.saturating_add(random.choose([1, 5, 1_000])),
                    _ => status.height.0,
                });
                status.hash = if random.permille(500) { B256::repeat_byte(0x66) } else { status.hash };
                status.oldest = BlockNumber(random.choose([0, status.height.0, u64::MAX]));
                Some(SyncMessage::Status(status))
            }
            SyncMessage::Blocks { request, blocks } => {
                let (mut request, mut blocks) = (*request, blocks.clone());
                let place = random.index(blocks.len());
                let Some(chosen) = blocks.get_mut(place) else {
                    return Some(SyncMessage::Blocks { request: request ^ 1, blocks });
                };
                let block = Arc::make_mut(&mut chosen.block);
                match random.below(9) {
                    0 => block.header.state_root = B256::repeat_byte(0x67),
                    1 => block.header.number += 1,
                    2 => block.transactions.truncate(block.transactions.len() / 2),
                    3 => block.extension.time.0 += 1,
                    4 => chosen.certificate.signatures.truncate(1),
                    5 => {
                        let first = chosen.certificate.signatures.first().copied();
                        chosen.certificate.signatures.extend(first);
                    }
                    6 => chosen.certificate.block_hash = B256::repeat_byte(0x68),
                    7 => request += 1,
                    _ => {
                        let again = blocks.clone();
                        blocks.extend(again);
                        blocks.truncate(SYNC_BLOCKS_MAX);
                    }
                }
                Some(SyncMessage::Blocks { request, blocks })
            }
            SyncMessage::GetBlocks(_) => None,
        }
    }

    /// Its signature.
    fn sign(&self, chain: &Chain, statement: &Statement) -> Signature {
        chain.keys[self.seat].sign(&statement.signing_bytes(&chain.info.context))
    }

    fn is_own(&self, signer: MemberIndex) -> bool {
        usize::from(signer.0) == self.seat
    }
}

/// Whether a trick can be played with a message.
fn fits(trick: Trick, message: &GroupMessage) -> bool {
    match trick {
        Trick::OtherProposal
        | Trick::Censor { .. }
        | Trick::Duplicate
        | Trick::Stale
        | Trick::Early
        | Trick::Unknown
        | Trick::OtherParent
        | Trick::OtherTime { .. } => is(Kind::Proposals, message),
        Trick::OtherDigest
        | Trick::OtherResult
        | Trick::NoResult
        | Trick::OtherHeight { .. }
        | Trick::OtherView { .. }
        | Trick::OtherPhase
        | Trick::OtherSigner => is(Kind::Votes, message),
        Trick::OmitPrepared
        | Trick::OldBase
        | Trick::StripSigners
        | Trick::DuplicateSigners
        | Trick::WrongEpoch
        | Trick::ClaimPrepared
        | Trick::HugeView => matches!(message, GroupMessage::Consensus(Message::ViewChange(_))),
        Trick::OtherNewView | Trick::OmitForced => matches!(message, GroupMessage::Consensus(Message::NewView(_))),
        Trick::LieHeartbeat | Trick::HideLeaving => is(Kind::Heartbeats, message),
        Trick::LieStatus => matches!(message, GroupMessage::Sync(SyncMessage::Status(_))),
        Trick::LieBlocks => matches!(message, GroupMessage::Sync(SyncMessage::Blocks { .. })),
        Trick::LieReport => matches!(message, GroupMessage::Report(_)),
        Trick::Withhold => matches!(message, GroupMessage::Pool(PoolMessage::Bodies { .. })),
        Trick::Replay | Trick::Flood { .. } => matches!(message, GroupMessage::Consensus(_)),
        Trick::Silence { kind } | Trick::Delay { kind, .. } => is(kind, message),
    }
}

const fn is(kind: Kind, message: &GroupMessage) -> bool {
    match kind {
        Kind::Any => true,
        Kind::Proposals => matches!(message, GroupMessage::Consensus(Message::PrePrepare(_))),
        Kind::Votes => matches!(message, GroupMessage::Consensus(Message::Vote(_))),
        Kind::ViewChanges => matches!(message, GroupMessage::Consensus(Message::ViewChange(_) | Message::NewView(_))),
        Kind::Heartbeats => matches!(message, GroupMessage::Consensus(Message::Heartbeat(_))),
        Kind::Pool => matches!(message, GroupMessage::Pool(_)),
        Kind::CatchUp => matches!(message, GroupMessage::Sync(_)),
    }
}

/// Keeps the newest values.
fn keep<T>(kept: &mut VecDeque<T>, value: T, count_max: usize) {
    if kept.len() >= count_max {
        kept.pop_front();
    }
    kept.push_back(value);
}

/// Another value, the same for all who ask.
fn flipped(value: B256) -> B256 {
    let mut bytes = value.0;
    bytes.iter_mut().for_each(|byte| *byte ^= 0x5a);
    B256::from(bytes)
}
