//! View-changes and new-views that an honest member does not send.

use super::{Traitor, flipped};
use crate::{
    chain::{Chain, SUITE},
    scenario::Trick,
};
use lian_group::core::GroupMessage;
use lian_pbft::{
    Message, NewView, PrepareCertificate, SignedNewView, SignedViewChange, Statement, ViewChange, ViewChangeMessage,
};
use lian_types::{BlockNumber, Epoch, Proposal, ProposalDigest, View};
use std::{collections::BTreeMap, sync::Arc};

impl Traitor {
    pub(super) fn other_view_change(
        &self,
        chain: &Chain,
        trick: Trick,
        message: &ViewChangeMessage,
    ) -> Option<GroupMessage> {
        self.is_own(message.signed.signer).then_some(())?;
        let mut change = message.signed.change.clone();
        let mut proposals = message.proposals.clone();
        match trick {
            Trick::OmitPrepared => {
                change.prepared.clear();
                proposals.clear();
            }
            Trick::OldBase => self.take_old_base(chain, &mut change, &mut proposals),
            Trick::StripSigners => change.prepared.iter_mut().for_each(|prepared| {
                prepared.signatures.pop();
            }),
            Trick::DuplicateSigners => change.prepared.iter_mut().for_each(|prepared| {
                let first = prepared.signatures.first().copied();
                prepared.signatures.pop();
                prepared.signatures.extend(first);
                prepared.signatures.sort_by_key(|signature| signature.signer);
            }),
            Trick::WrongEpoch => change.prepared.iter_mut().for_each(|prepared| prepared.epoch = Epoch(1)),
            Trick::ClaimPrepared => claim(&mut change, &mut proposals),
            Trick::HugeView => change.view = View(u64::MAX - 1),
            _ => return None,
        }
        let signed = Arc::new(self.sign_change(chain, change));
        Some(GroupMessage::Consensus(Message::ViewChange(ViewChangeMessage { signed, proposals })))
    }

    fn sign_change(&self, chain: &Chain, change: ViewChange) -> SignedViewChange {
        let signature = self.sign(chain, &Statement::ViewChange(Box::new(change.clone())));
        SignedViewChange { change, signer: self.signer(), signature }
    }

    fn signer(&self) -> lian_types::MemberIndex {
        lian_types::MemberIndex(u16::try_from(self.seat).unwrap_or(0))
    }

    /// The oldest certificate that it knows becomes the base; what lies outside the window above it is dropped.
    fn take_old_base(&self, chain: &Chain, change: &mut ViewChange, proposals: &mut Vec<Arc<Proposal>>) {
        let window = chain.rules.window;
        let least = change.base_height().0.saturating_sub(window.saturating_mul(2));
        let old = self.certificates.iter().filter(|certificate| certificate.height.0 >= least);
        change.base = old.min_by_key(|certificate| certificate.height).cloned();
        let highest = change.base_height().0.saturating_add(window);
        change.prepared.retain(|prepared| prepared.height.0 <= highest);
        proposals.truncate(change.prepared.len());
    }

    /// A new-view that is not the one its machine made.
    pub(super) fn other_new_view(
        &mut self,
        chain: &Chain,
        trick: Trick,
        signed: &SignedNewView,
    ) -> Option<GroupMessage> {
        self.is_own(signed.signer).then_some(())?;
        let made = &signed.new_view;
        let new_view = match trick {
            Trick::OmitForced => {
                let proposals = made.proposals.iter().skip(1).cloned().collect();
                NewView { proposals, ..made.clone() }
            }
            Trick::OtherNewView => self.new_view_of_others(chain, made)?,
            _ => return None,
        };
        let signature = self.sign(chain, &Statement::NewView(Box::new(new_view.clone())));
        let signed = SignedNewView { new_view, signer: self.signer(), signature };
        Some(GroupMessage::Consensus(Message::NewView(Arc::new(signed))))
    }

    /// From all view-changes that it has, with its own one telling nothing, and one of the others left out where that
    /// leaves enough.
    fn new_view_of_others(&mut self, chain: &Chain, made: &NewView) -> Option<NewView> {
        let known = self.changes.get(&made.view)?;
        let mut by_digest: BTreeMap<ProposalDigest, Arc<Proposal>> = BTreeMap::new();
        for proposal in made.proposals.iter().chain(known.values().flat_map(|message| &message.proposals)) {
            by_digest.insert(SUITE.proposal_digest(proposal), Arc::clone(proposal));
        }
        let mut changes: BTreeMap<_, _> =
            known.iter().map(|(signer, message)| (*signer, Arc::clone(&message.signed))).collect();
        let base = changes.get(&self.signer()).and_then(|own| own.change.base.clone());
        let own = ViewChange { epoch: made.epoch, view: made.view, base, prepared: Vec::new() };
        changes.insert(self.signer(), Arc::new(self.sign_change(chain, own)));
        if changes.len() > chain.quorum {
            let others: Vec<_> = changes.keys().copied().filter(|signer| !self.is_own(*signer)).collect();
            changes.remove(&self.random.pick(&others)?);
        }
        let changes: Vec<_> = changes.into_values().collect();
        let proposals = forced(chain, &changes, &by_digest)?;
        Some(NewView { epoch: made.epoch, view: made.view, changes, proposals })
    }
}

/// Claims the next height for a proposal that nobody made, with the signatures of another one.
fn claim(change: &mut ViewChange, proposals: &mut Vec<Arc<Proposal>>) {
    let (Some(prepared), Some(proposal)) = (change.prepared.last().cloned(), proposals.last()) else { return };
    let digest = SUITE.proposal_digest(proposal);
    let height = prepared.height.next();
    let other = Proposal { height, parent: digest, transactions: Vec::new(), ..proposal.as_ref().clone() };
    let other_digest = SUITE.proposal_digest(&other);
    let other_digest = if height.0.is_multiple_of(2) { other_digest } else { ProposalDigest(flipped(other_digest.0)) };
    change.prepared.push(PrepareCertificate { height, digest: other_digest, ..prepared });
    proposals.push(Arc::new(other));
}

/// What a set of view-changes forces (pbft §5), worked out here and not by the code under test.
fn forced(
    chain: &Chain,
    changes: &[Arc<SignedViewChange>],
    proposals: &BTreeMap<ProposalDigest, Arc<Proposal>>,
) -> Option<Vec<Arc<Proposal>>> {
    let base = changes.iter().filter_map(|signed| signed.change.base.as_ref()).max_by_key(|base| base.height);
    let (mut height, mut parent) =
        base.map_or((BlockNumber::ZERO, chain.rules.genesis), |base| (base.height, base.digest));
    let mut chosen = Vec::new();
    loop {
        height = height.next();
        let prepared = changes.iter().flat_map(|signed| &signed.change.prepared);
        let Some(best) = prepared.filter(|prepared| prepared.height == height).max_by_key(|prepared| prepared.view)
        else {
            return Some(chosen);
        };
        let proposal = proposals.get(&best.digest)?;
        chosen.push(Arc::clone(proposal));
        if proposal.parent != parent {
            return Some(chosen);
        }
        parent = best.digest;
    }
}
