//! Votes and heartbeats that an honest member does not send.

use super::{Traitor, flipped};
use crate::{chain::Chain, scenario::Trick};
use alloy_primitives::B256;
use lian_group::core::GroupMessage;
use lian_pbft::{Heartbeat, Message, Statement};
use lian_types::{BlockNumber, MemberIndex, Phase, ProposalDigest, SignedVote, View};

impl Traitor {
    pub(super) fn other_vote(&self, chain: &Chain, trick: Trick, signed: &SignedVote) -> Option<GroupMessage> {
        if !self.is_own(signed.signer) {
            return None;
        }
        let (mut vote, mut signer) = (signed.vote, signed.signer);
        match trick {
            Trick::OtherDigest => vote.digest = ProposalDigest(flipped(vote.digest.0)),
            Trick::OtherResult if vote.phase != Phase::Prepare => {
                vote.result = Some(vote.result.map_or(B256::repeat_byte(0x69), flipped));
            }
            Trick::NoResult => vote.result = None,
            Trick::OtherHeight { by } => vote.height = BlockNumber(vote.height.0.saturating_add_signed(by)),
            Trick::OtherView { by } => vote.view = View(vote.view.0.saturating_add(by)),
            Trick::OtherPhase => {
                vote.phase = match vote.phase {
                    Phase::Prepare => Phase::Commit,
                    Phase::Commit | Phase::Checkpoint | Phase::Replicated => Phase::Prepare,
                };
                vote.result = None;
            }
            Trick::OtherSigner => {
                signer = MemberIndex(u16::try_from((self.seat + 1) % chain.members.max(1)).unwrap_or(0));
            }
            _ => return None,
        }
        let signature = self.sign(chain, &Statement::Vote(vote));
        Some(GroupMessage::Consensus(Message::Vote(SignedVote { vote, signer, signature })))
    }

    pub(super) fn other_heartbeat(&mut self, beat: &Heartbeat) -> Heartbeat {
        let mut beat = *beat;
        let random = &mut self.random;
        match random.below(7) {
            0 => {
                beat.height = BlockNumber(random.choose([
                    0,
                    beat.height.0.saturating_add(3),
                    beat.height.0.saturating_add(5_000),
                    u64::MAX,
                ]))
            }
            1 => beat.view = View(random.choose([0, beat.view.0.saturating_add(1), u64::MAX])),
            2 => {
                beat.promised = View(random.choose([
                    0,
                    beat.promised.0.saturating_add(1),
                    beat.promised.0.saturating_add(9),
                    u64::MAX,
                ]))
            }
            3 => beat.starving = true,
            4 => {
                let until = random.choose([0, beat.height.0.saturating_add(4), u64::MAX]);
                beat.abstains_until = Some(BlockNumber(until));
            }
            5 => beat.epoch.0 = beat.epoch.0.saturating_add(random.choose([1, 1 << 40])),
            _ => beat.abstains_until = None,
        }
        beat
    }
}
