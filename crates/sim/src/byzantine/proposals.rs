//! Proposals that an honest leader does not make.

use super::{KEPT_MAX, Traitor, flipped};
use crate::{
    chain::{Chain, SUITE},
    event::NodeId,
    scenario::Trick,
    wallet,
};
use alloy_primitives::B256;
use lian_group::core::GroupMessage;
use lian_pbft::{Message, PrePrepare, Statement};
use lian_types::{BlockNumber, Millis, Proposal, ProposalDigest, SignedVote, View};
use std::sync::Arc;

impl Traitor {
    /// The message as this peer must see it: who was given another proposal gets votes and children of that one.
    pub(super) fn follow(&self, chain: &Chain, peer: NodeId, message: &GroupMessage) -> GroupMessage {
        match message {
            GroupMessage::Consensus(Message::PrePrepare(made)) if self.is_mine(chain, &made.proposal) => {
                let digest = SUITE.proposal_digest(&made.proposal);
                let known = self.others.get(&(peer, digest)).map(|other| self.signed(chain, made.view, other));
                let child = || {
                    let parent = self.others.get(&(peer, made.proposal.parent))?;
                    let parent = SUITE.proposal_digest(parent);
                    let proposal = Arc::new(Proposal { parent, ..made.proposal.as_ref().clone() });
                    Some(self.signed(chain, made.view, &proposal))
                };
                known.or_else(child).unwrap_or_else(|| message.clone())
            }
            GroupMessage::Consensus(Message::Vote(signed)) if self.is_own(signed.signer) => {
                let Some(other) = self.others.get(&(peer, signed.vote.digest)) else { return message.clone() };
                let mut vote = signed.vote;
                vote.digest = SUITE.proposal_digest(other);
                let signature = self.sign(chain, &Statement::Vote(vote));
                GroupMessage::Consensus(Message::Vote(SignedVote { vote, signer: signed.signer, signature }))
            }
            _ => message.clone(),
        }
    }

    fn is_mine(&self, chain: &Chain, proposal: &Proposal) -> bool {
        proposal.proposer == chain.publics[self.seat]
    }

    fn signed(&self, chain: &Chain, view: View, proposal: &Arc<Proposal>) -> GroupMessage {
        let digest = SUITE.proposal_digest(proposal);
        let statement = Statement::PrePrepare { epoch: proposal.epoch, view, height: proposal.height, digest };
        let signature = self.sign(chain, &statement);
        GroupMessage::Consensus(Message::PrePrepare(PrePrepare { view, proposal: Arc::clone(proposal), signature }))
    }

    /// Another proposal in place of the one that the machine made, whose digest is `first`.
    pub(super) fn other_proposal(
        &mut self,
        chain: &Chain,
        peer: NodeId,
        trick: Trick,
        first: ProposalDigest,
        made: &PrePrepare,
    ) -> Option<GroupMessage> {
        if !self.is_mine(chain, &made.proposal) {
            return None;
        }
        let mut proposal = made.proposal.as_ref().clone();
        let hashes = &mut proposal.transactions;
        match trick {
            Trick::OtherProposal => {
                hashes.pop();
                proposal.time = Millis(proposal.time.0 + 1);
            }
            Trick::Censor { accounts } => {
                hashes.retain(|hash| wallet::name_of(*hash).is_none_or(|name| name.account >= accounts));
            }
            Trick::Duplicate => {
                let again = hashes.first().copied();
                hashes.extend(again);
            }
            Trick::Stale => {
                let old = self.proposed.iter().rev().nth(40).or_else(|| self.proposed.front()).copied();
                hashes.extend(old.filter(|old| !hashes.contains(old)));
            }
            Trick::Early => {
                let newest = self.newest.values().max_by_key(|name| name.nonce)?;
                let hash = wallet::transaction(*newest).hash();
                if hashes.contains(&hash) {
                    // Its turn comes after those before it: now it comes first.
                    hashes.reverse();
                } else {
                    hashes.insert(0, hash);
                }
            }
            Trick::Unknown => hashes.push(flipped(SUITE.proposal_digest(&made.proposal).0)),
            Trick::OtherParent => proposal.parent = ProposalDigest(flipped(proposal.parent.0)),
            Trick::OtherTime { ms } => proposal.time = Millis(proposal.time.0.saturating_add_signed(ms)),
            _ => return None,
        }
        let proposal = Arc::new(proposal);
        self.others.insert((peer, first), Arc::clone(&proposal));
        while self.others.len() > KEPT_MAX {
            self.forget_oldest();
        }
        Some(self.signed(chain, made.view, &proposal))
    }

    fn forget_oldest(&mut self) {
        let oldest = self.others.iter().min_by_key(|(_, proposal)| proposal.height).map(|(place, _)| *place);
        oldest.map(|place| self.others.remove(&place));
    }

    /// A proposal that nobody can accept, for some height near the present one.
    pub(super) fn junk(&mut self, chain: &Chain, number: u64) -> GroupMessage {
        let (epoch, view, height) = self.at;
        let random = &mut self.random;
        let proposal = Proposal {
            chain_id: chain.info.chain_id.wrapping_add(u64::from(random.permille(100))),
            group: chain.info.group,
            epoch,
            height: BlockNumber(height.0.saturating_add(random.below(12)).saturating_sub(2)),
            parent: ProposalDigest(B256::left_padding_from(&number.to_be_bytes())),
            time: Millis(crate::time::BEGINNING + random.below(60_000)),
            proposer: chain.publics[self.seat],
            transactions: (0..random.below(20))
                .map(|_| B256::left_padding_from(&random.below(256).to_be_bytes()))
                .collect(),
        };
        let view = View(view.0.saturating_add(random.choose([0, 0, 1, 2, 1 << 40])));
        self.signed(chain, view, &Arc::new(proposal))
    }
}
