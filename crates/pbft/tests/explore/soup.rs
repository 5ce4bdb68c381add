//! What may arrive: everything that was ever sent, for ever, and everything that the Byzantine member can make of it.

use crate::local::Event;
use crate::world::{Block, Id, Meaning, QUORUM, World, block};
use lian_pbft::PrepareCertificate;
use lian_types::{BlockNumber, Certificate, MemberIndex, Phase, ProposalDigest, View, Vote};
use std::collections::{BTreeMap, BTreeSet};

/// What votes must have in common to count together for anything.
type Key = (Phase, View, BlockNumber, ProposalDigest);

/// Votes that may count together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Group {
    /// Prepares mean nothing before the proposal is there, and may come after it.
    pub(crate) prepares: bool,
    pub(crate) votes: Vec<(MemberIndex, Id)>,
}

/// What may arrive at a member, given what the honest members have sent.
#[derive(Debug, Default)]
pub(crate) struct Soup {
    pub(crate) singles: Vec<Event>,
    pub(crate) groups: Vec<Group>,
    /// What is wrong with the votes that exist, whoever has seen them.
    pub(crate) wrong: Option<String>,
}

impl Soup {
    pub(crate) fn new(world: &mut World, sent: &BTreeSet<Id>) -> Self {
        let mut soup = Self::default();
        let mut votes: BTreeMap<Key, Vec<(MemberIndex, Vote, Id)>> = BTreeMap::new();
        let mut changes: Vec<(View, Id)> = Vec::new();
        let mut first: BTreeSet<ProposalDigest> = BTreeSet::new();
        for id in sent {
            match &world.messages[usize::from(*id)].0 {
                Meaning::Vote(signer, vote) => {
                    let key = (vote.phase, vote.view, vote.height, vote.digest);
                    votes.entry(key).or_default().push((*signer, *vote, *id));
                    continue;
                }
                Meaning::ViewChange(_, view, ..) => changes.push((*view, *id)),
                Meaning::PrePrepare(_, height, digest) if height.0 == 1 => {
                    first.insert(*digest);
                }
                _ => {}
            }
            soup.singles.push(Event::Deliver(vec![*id]));
        }
        soup.propose(world, first);
        let (prepared, certificates) = soup.vote(world, votes);
        for certificate in certificates.values() {
            let ids = world.certificate_messages(certificate);
            soup.singles.push(Event::CatchUp(ids[0]));
            soup.singles.extend(ids.into_iter().map(|id| Event::Deliver(vec![id])));
        }
        if !changes.is_empty() {
            soup.change_views(world, &changes, &prepared, &certificates);
        }
        soup
    }

    /// Two proposals of the Byzantine member for each height and parent, in the view that it leads.
    fn propose(&mut self, world: &mut World, mut first: BTreeSet<ProposalDigest>) {
        if world.scope.byzantine as u64 >= world.scope.views {
            return;
        }
        let mut add = |world: &mut World, height, parent, letter| {
            let id = world.byzantine_proposal(height, parent, letter);
            self.singles.push(Event::Deliver(vec![id]));
            let Meaning::PrePrepare(.., digest) = world.messages[usize::from(id)].0 else { unreachable!() };
            digest
        };
        for letter in *b"ab" {
            first.insert(add(world, 1, world.rules.genesis, letter));
        }
        if world.scope.heights > 1 {
            for parent in first {
                for letter in *b"ab" {
                    add(world, 2, parent, letter);
                }
            }
        }
    }

    /// The votes, with the Byzantine member's wherever an honest one could count with them, and what they prove.
    fn vote(
        &mut self,
        world: &mut World,
        votes: BTreeMap<Key, Vec<(MemberIndex, Vote, Id)>>,
    ) -> (Vec<PrepareCertificate>, BTreeMap<Block, Certificate>) {
        let mut prepared = Vec::new();
        let mut certificates = BTreeMap::new();
        let mut ordered: BTreeMap<BlockNumber, ProposalDigest> = BTreeMap::new();
        for ((phase, view, height, digest), honest) in votes {
            let right = Some(world.result(digest));
            let results = match phase {
                Phase::Prepare => vec![None],
                Phase::Commit => vec![None, right],
                Phase::Checkpoint => vec![right],
                Phase::Replicated => continue,
            };
            let signers = |result| {
                let equal = honest.iter().filter(move |(_, vote, _)| vote.result == result);
                equal.map(|(signer, ..)| usize::from(signer.0)).collect::<Vec<_>>()
            };
            let mut group: Vec<_> = honest.iter().map(|(signer, _, id)| (*signer, *id)).collect();
            for result in results {
                let vote = Vote { result, ..honest[0].1 };
                let id = world.byzantine_vote(vote);
                group.push((MemberIndex(u16::try_from(world.scope.byzantine).unwrap()), id));
                let signers = signers(result);
                if signers.len() + 1 >= QUORUM && phase == Phase::Prepare {
                    prepared.push(world.prepare_certificate(vote, &signers[..QUORUM - 1]));
                } else if signers.len() + 1 >= QUORUM && result.is_some() {
                    let certificate = world.certificate(vote, &signers[..QUORUM - 1]);
                    certificates.entry(block(&certificate)).or_insert(certificate);
                }
            }
            if phase == Phase::Commit
                && honest.len() + 1 >= QUORUM
                && ordered.insert(height, digest).is_some_and(|earlier| earlier != digest)
            {
                self.wrong = Some(format!("quorums ordered two proposals at height {height}, one in view {view}"));
            }
            self.groups.push(Group { prepares: phase == Phase::Prepare, votes: group });
        }
        let heights: BTreeSet<BlockNumber> = certificates.keys().map(|(height, ..)| *height).collect();
        if heights.len() < certificates.len() {
            self.wrong = Some(format!("two certificates prove different blocks: {:?}", certificates.keys()));
        }
        (prepared, certificates)
    }

    /// What the Byzantine member can say in a view change, after an honest member has left a view.
    fn change_views(
        &mut self,
        world: &mut World,
        changes: &[(View, Id)],
        prepared: &[PrepareCertificate],
        certificates: &BTreeMap<Block, Certificate>,
    ) {
        for view in (1..world.scope.views).map(View) {
            let mut own = Vec::new();
            for base in std::iter::once(None).chain(certificates.values().map(Some)) {
                let above = base.map_or(0, |certificate| certificate.height.0) + 1;
                let mut sets: Vec<Vec<PrepareCertificate>> = vec![vec![]];
                for height in (above..=world.scope.heights).map(BlockNumber) {
                    let fits = |p: &&PrepareCertificate| p.height == height && p.view < view;
                    let more: Vec<_> = prepared.iter().filter(fits).collect();
                    let longer = sets.iter().flat_map(|set| {
                        more.iter().map(move |certificate| [set.as_slice(), &[(*certificate).clone()]].concat())
                    });
                    let longer: Vec<_> = longer.collect();
                    sets.extend(longer);
                }
                own.extend(sets.iter().map(|set| world.byzantine_view_change(view, base, set)));
            }
            self.singles.extend(own.iter().map(|id| Event::Deliver(vec![*id])));
            if view.0 == world.scope.byzantine as u64 {
                let honest: Vec<Id> = changes.iter().filter(|(v, _)| *v == view).map(|(_, id)| *id).collect();
                self.start_view(world, view, &honest, &own);
            }
        }
    }

    /// Every new-view that the Byzantine member can justify.
    fn start_view(&mut self, world: &mut World, view: View, honest: &[Id], own: &[Id]) {
        let mut sets: Vec<Vec<Id>> = Vec::new();
        if honest.len() >= QUORUM {
            sets.push(honest.to_vec());
        }
        for (position, one) in honest.iter().enumerate() {
            for two in &honest[position + 1..] {
                sets.extend(own.iter().map(|change| vec![*one, *two, *change]));
            }
        }
        let made: BTreeSet<Id> = sets.iter().map(|set| world.byzantine_new_view(view, set)).collect();
        let made = made.into_iter().filter(|id| *id != Id::MAX);
        self.singles.extend(made.map(|id| Event::Deliver(vec![id])));
    }
}
