//! What a quorum's view-changes force a new view to propose (§5). The new leader computes it, and so does everyone else.

use crate::{PrepareCertificate, Rules, SignedViewChange};
use lian_types::{BlockNumber, Certificate, Proposal, ProposalDigest};
use std::{collections::BTreeMap, sync::Arc};

/// What follows from a set of view-changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The certificate of the greatest height among them; none where nobody has more than the genesis block.
    pub base: Option<Certificate>,
    /// The proposals of the heights above the base, in order, without gap, each the child of the one before.
    pub forced: Vec<(ProposalDigest, Arc<Proposal>)>,
    /// The proposal of the height above those, where it was cut because its parent does not match.
    pub cut: Option<Arc<Proposal>>,
}

/// Why nothing can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChoiceError {
    /// The proposal that a prepare certificate names is not at hand.
    #[error("the proposal {digest} of height {height} is missing")]
    Missing { height: BlockNumber, digest: ProposalDigest },
    /// Two certificates finalise different blocks at one height: more than f members are faulty.
    #[error("two certificates contradict each other at height {height}")]
    Contradiction { height: BlockNumber },
}

impl Choice {
    /// The height of the base.
    pub(crate) fn base_height(&self) -> BlockNumber {
        self.base.as_ref().map_or(BlockNumber::ZERO, |certificate| certificate.height)
    }

    /// The proposals that a new-view carries: the forced ones and the proof of a cut.
    pub(crate) fn proposals(&self) -> Vec<Arc<Proposal>> {
        self.forced.iter().map(|(_, proposal)| Arc::clone(proposal)).chain(self.cut.clone()).collect()
    }
}

/// Takes the highest certificate as base, then for each height the proposal with the prepare certificate of the highest
/// view, up to the first gap or to a parent that does not match (§5). `find` gives proposals by digest.
pub(crate) fn choose(
    rules: &Rules,
    changes: &[Arc<SignedViewChange>],
    find: impl Fn(&ProposalDigest) -> Option<Arc<Proposal>>,
) -> Result<Choice, ChoiceError> {
    let base = highest_base(changes)?;
    let mut parent = base.as_ref().map_or(rules.genesis, |certificate| certificate.digest);
    let mut height = base.as_ref().map_or(BlockNumber::ZERO, |certificate| certificate.height).next();
    let best = highest_prepared(changes);
    let mut forced = Vec::new();
    while let Some(certificate) = best.get(&height) {
        let digest = certificate.digest;
        let proposal = find(&digest)
            .filter(|proposal| proposal.height == height)
            .ok_or(ChoiceError::Missing { height, digest })?;
        if proposal.parent != parent {
            return Ok(Choice { base, forced, cut: Some(proposal) });
        }
        forced.push((digest, proposal));
        parent = digest;
        height = height.next();
    }
    Ok(Choice { base, forced, cut: None })
}

/// The certificate of the greatest height.
fn highest_base(changes: &[Arc<SignedViewChange>]) -> Result<Option<Certificate>, ChoiceError> {
    let mut base: Option<&Certificate> = None;
    for certificate in changes.iter().filter_map(|signed| signed.change.base.as_ref()) {
        match base {
            Some(best) if best.height > certificate.height => {}
            Some(best) if best.height == certificate.height => {
                if (best.digest, best.block_hash) != (certificate.digest, certificate.block_hash) {
                    return Err(ChoiceError::Contradiction { height: best.height });
                }
            }
            _ => base = Some(certificate),
        }
    }
    Ok(base.cloned())
}

/// For each height the prepare certificate of the highest view. Two of one view cannot differ: their quorums share an
/// honest member, who prepares once in a view.
fn highest_prepared(changes: &[Arc<SignedViewChange>]) -> BTreeMap<BlockNumber, &PrepareCertificate> {
    let mut best: BTreeMap<BlockNumber, &PrepareCertificate> = BTreeMap::new();
    for certificate in changes.iter().flat_map(|signed| &signed.change.prepared) {
        let slot = best.entry(certificate.height).or_insert(certificate);
        if slot.view < certificate.view {
            *slot = certificate;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;
    use lian_crypto::Suite;
    use lian_types::{
        CertificateKind, ChainContext, ConsensusKey, Epoch, GroupId, MemberIndex, Millis, Signature, View,
    };

    const GENESIS: ProposalDigest = ProposalDigest(B256::ZERO);

    fn rules() -> Rules {
        let context = ChainContext { genesis: B256::ZERO, group: GroupId(0), chain_id: 1 };
        Rules { suite: Suite::Standard, context, genesis: GENESIS, term: 4, window: 8 }
    }

    fn proposal(height: u64, parent: ProposalDigest, time: u64) -> Arc<Proposal> {
        Arc::new(Proposal {
            chain_id: 1,
            group: GroupId(0),
            epoch: Epoch(0),
            height: BlockNumber(height),
            parent,
            time: Millis(time),
            proposer: ConsensusKey([1; 33]),
            transactions: vec![],
        })
    }

    fn digest(proposal: &Proposal) -> ProposalDigest {
        Suite::Standard.proposal_digest(proposal)
    }

    fn prepared(view: u64, proposal: &Proposal) -> PrepareCertificate {
        PrepareCertificate {
            epoch: Epoch(0),
            view: View(view),
            height: proposal.height,
            digest: digest(proposal),
            signatures: vec![],
        }
    }

    fn change(base: Option<(u64, ProposalDigest)>, prepared: Vec<PrepareCertificate>) -> Arc<SignedViewChange> {
        let base = base.map(|(height, digest)| Certificate {
            epoch: Epoch(0),
            height: BlockNumber(height),
            digest,
            block_hash: B256::ZERO,
            kind: CertificateKind::Checkpoint,
            signatures: vec![],
        });
        let change = crate::ViewChange { epoch: Epoch(0), view: View(9), base, prepared };
        Arc::new(SignedViewChange { change, signer: MemberIndex(0), signature: Signature([0; 64]) })
    }

    /// (name, view-changes, expected base, times of the forced proposals, time of the cut one)
    type Case = (&'static str, Vec<Arc<SignedViewChange>>, u64, Vec<u64>, Option<u64>);

    #[test]
    fn chooses_by_the_rule() {
        let one = proposal(1, GENESIS, 10);
        let two = proposal(2, digest(&one), 20);
        let three = proposal(3, digest(&two), 30);
        let other_one = proposal(1, GENESIS, 11);
        let other_two = proposal(2, digest(&other_one), 21);
        let all = [&one, &two, &three, &other_one, &other_two];
        let find = |wanted: &ProposalDigest| all.iter().find(|p| digest(p) == *wanted).map(|p| Arc::clone(p));
        let table: Vec<Case> = vec![
            ("nothing prepared", vec![change(None, vec![])], 0, vec![], None),
            (
                "a chain",
                vec![change(None, vec![prepared(0, &one), prepared(0, &two)]), change(None, vec![])],
                0,
                vec![10, 20],
                None,
            ),
            (
                "the highest view wins whoever reports it",
                vec![change(None, vec![prepared(3, &other_one)]), change(None, vec![prepared(2, &one)])],
                0,
                vec![11],
                None,
            ),
            (
                "cut at the first gap",
                vec![change(None, vec![prepared(0, &one), prepared(0, &three)])],
                0,
                vec![10],
                None,
            ),
            (
                "cut at a parent that does not match",
                vec![
                    change(None, vec![prepared(1, &other_one)]),
                    change(None, vec![prepared(0, &one), prepared(0, &two), prepared(0, &three)]),
                ],
                0,
                vec![11],
                Some(20),
            ),
            (
                "below the highest base nothing counts",
                vec![
                    change(Some((2, digest(&two))), vec![prepared(0, &three)]),
                    change(Some((1, digest(&one))), vec![prepared(0, &other_two)]),
                ],
                2,
                vec![30],
                None,
            ),
        ];
        for (name, changes, base, forced, cut) in table {
            let choice = choose(&rules(), &changes, find).unwrap();
            assert_eq!(choice.base_height(), BlockNumber(base), "{name}");
            assert_eq!(choice.forced.iter().map(|(_, p)| p.time.0).collect::<Vec<_>>(), forced, "{name}");
            assert_eq!(choice.cut.map(|p| p.time.0), cut, "{name}");
        }
    }

    #[test]
    fn names_what_is_missing_and_what_contradicts() {
        let one = proposal(1, GENESIS, 10);
        let changes = [change(None, vec![prepared(0, &one)])];
        let missing = ChoiceError::Missing { height: BlockNumber(1), digest: digest(&one) };
        assert_eq!(choose(&rules(), &changes, |_| None), Err(missing));
        let other = ProposalDigest(B256::repeat_byte(1));
        let changes = [change(Some((1, digest(&one))), vec![]), change(Some((1, other)), vec![])];
        assert_eq!(choose(&rules(), &changes, |_| None), Err(ChoiceError::Contradiction { height: BlockNumber(1) }));
    }
}
