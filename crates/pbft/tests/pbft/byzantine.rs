//! Members that lie: every message of theirs may be replaced by another that they can sign; and twins.

use crate::{
    network::{Faults, Network, Random, SUITE, key, rules},
    scenarios::Equivocation,
};
use alloy_primitives::B256;
use lian_pbft::{Message, SignedViewChange, Statement, ViewChange, ViewChangeMessage};
use lian_types::{BlockNumber, Phase, ProposalDigest, SignedVote, View, Vote};
use std::{collections::BTreeMap, sync::Arc};

/// Replaces the messages of faulty members, differently for each recipient.
struct Liar {
    random: Random,
    equivocation: BTreeMap<usize, Equivocation>,
    /// Digests seen at each height.
    seen: BTreeMap<BlockNumber, Vec<ProposalDigest>>,
}

impl Liar {
    fn lie(&mut self, from: usize, message: &Message) -> Vec<Message> {
        if let Message::Vote(signed) = message {
            let digests = self.seen.entry(signed.vote.height).or_default();
            if !digests.contains(&signed.vote.digest) {
                digests.push(signed.vote.digest);
            }
        }
        match (self.random.below(5), message) {
            (0, _) => vec![],
            (1, Message::Vote(signed)) => vec![Message::Vote(self.other_vote(from, signed.vote)), message.clone()],
            (2, Message::Vote(signed)) => vec![Message::Vote(self.other_vote(from, signed.vote))],
            (1 | 2, Message::PrePrepare(honest)) => {
                let other = self.equivocation.entry(from).or_default().other(from, honest);
                self.seen.entry(honest.proposal.height).or_default().push(SUITE.proposal_digest(&other.proposal));
                vec![Message::PrePrepare(other)]
            }
            (1..4, Message::ViewChange(honest)) => {
                // It denies what it prepared and knows, or jumps ahead.
                let view = if self.random.permille(200) { View(self.random.next()) } else { honest.signed.change.view };
                let change = ViewChange { epoch: honest.signed.change.epoch, view, base: None, prepared: vec![] };
                let signature = sign(from, &Statement::ViewChange(Box::new(change.clone())));
                let signed = Arc::new(SignedViewChange { change, signer: honest.signed.signer, signature });
                vec![Message::ViewChange(ViewChangeMessage { signed, proposals: vec![] })]
            }
            (1, Message::NewView(_)) => vec![],
            _ => vec![message.clone()],
        }
    }

    fn other_vote(&mut self, from: usize, honest: Vote) -> SignedVote {
        let digests = &self.seen[&honest.height];
        let digest = digests[self.random.below(digests.len() as u64) as usize];
        let result = match self.random.below(3) {
            0 => Some(B256::repeat_byte(1)),
            1 => None,
            _ => honest.result,
        };
        let mut vote = Vote { digest, result, ..honest };
        match vote.phase {
            Phase::Prepare => vote.result = None,
            Phase::Checkpoint => vote.result = vote.result.or(Some(B256::repeat_byte(2))),
            Phase::Commit | Phase::Replicated => {}
        }
        SignedVote { vote, signer: lian_types::MemberIndex(from as u16), signature: sign(from, &Statement::Vote(vote)) }
    }
}

fn sign(member: usize, statement: &Statement) -> lian_types::Signature {
    key(member).sign(&statement.signing_bytes(&rules(8, 4).context))
}

#[test]
fn liars_cannot_split_or_stop_the_others() {
    for seed in 0..16 {
        for (n, liars) in [(4, 1), (7, 2)] {
            let mut network = Network::with(n, n, seed, rules(8, [2, 1_000][seed as usize % 2]));
            let mut liar = Liar { random: Random::new(seed), equivocation: BTreeMap::new(), seen: BTreeMap::new() };
            network.faulty.extend(0..liars);
            network.tamper = Some(Box::new(move |from, _, message| (from < liars).then(|| liar.lie(from, message))));
            network.pace_ms = 20;
            network.faults = Faults { loss_permille: 20, crash_permille: 1, ..Faults::default() };
            network.connect();
            network.run_for(6_000);
            network.faults = Faults::default();
            network.run_for(1_000);
            let height = network.agreed.len() as u64;
            network.reach(liars..n, height + 5, 60_000);
            for node in &network.nodes[liars..] {
                assert_eq!(node.halted, None, "seed {seed}, n {n}, node {}", node.index);
            }
        }
    }
}

/// One key on two machines, on both sides of partitions that come and go; one of the two loses its memory.
#[test]
fn twins_on_both_sides_of_a_partition() {
    for seed in 0..16 {
        let mut network = Network::with(5, 4, seed, rules(8, [3, 1_000][seed as usize % 2]));
        network.nodes[4].key = key(0);
        network.faulty.extend([0, 4]);
        network.pace_ms = 20;
        network.connect();
        for round in 0..8 {
            // Nodes 1 to 3 fall into two sides, with a twin on each.
            let left = |node: usize| match node {
                0 => true,
                4 => false,
                _ => (seed + round) % 3 + 1 != node as u64,
            };
            network.faults.cut =
                (0..5).flat_map(|a| (0..5).filter(move |b| left(a) != left(*b)).map(move |b| (a, b))).collect();
            network.run_for(900);
            network.crash(4, None);
            network.nodes[4].disk.clear();
            network.start(4);
            network.connect();
            if round % 3 == 2 {
                network.faults.cut.clear();
                network.run_for(700);
            }
        }
        network.faults.cut.clear();
        let height = network.agreed.len() as u64;
        network.reach(1..4, height + 10, 60_000);
        for node in &network.nodes[1..4] {
            assert_eq!(node.halted, None, "seed {seed}, node {}", node.index);
        }
    }
}
