//! Fetching the bodies of proposals that this node lacks.

use alloy_primitives::TxHash;
use lian_crypto::VerifiedTransaction;
use lian_txpool::{Pool, Refusal};
use lian_types::{BlockNumber, ConsensusKey, Millis, Proposal, ProposalDigest};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// How long a proposal waits for gossip before its bodies are asked for: gossip leaves every few milliseconds, and
/// the body of a transaction may be on its way from another member.
const GOSSIP_GRACE_MS: u64 = 15;
/// Proposals whose bodies are asked for at the same time.
const FETCHES_AT_ONCE: usize = 2;
/// How long a peer has to answer before the next one is asked.
const ANSWER_MS: u64 = 250;

/// Proposals whose bodies are not all here.
#[derive(Debug, Default)]
pub(super) struct BodyFetches(BTreeMap<ProposalDigest, Fetch>);

#[derive(Debug)]
struct Fetch {
    proposal: Arc<Proposal>,
    missing: BTreeSet<TxHash>,
    /// When to ask (again).
    due: Millis,
    /// How often was asked; chooses the peer.
    attempts: usize,
    /// Whether every peer has been asked since the last wait.
    asked_all: bool,
    /// Whether it is to be executed as soon as it is complete, because the pool gave bodies up that were held before.
    executes: bool,
}

/// A proposal whose bodies are all here now.
pub(super) struct Complete {
    pub(super) digest: ProposalDigest,
    pub(super) proposal: Arc<Proposal>,
    /// Whether it is to be executed.
    pub(super) executes: bool,
}

/// A question to a peer.
pub(super) struct Question {
    pub(super) to: ConsensusKey,
    pub(super) hashes: Vec<TxHash>,
}

impl BodyFetches {
    /// Begins to fetch.
    pub(super) fn begin(&mut self, now: Millis, digest: ProposalDigest, proposal: Arc<Proposal>, missing: Vec<TxHash>) {
        let due = now.saturating_add(GOSSIP_GRACE_MS);
        let missing = missing.into_iter().collect();
        let fetch = Fetch { proposal, missing, due, attempts: 0, asked_all: false, executes: false };
        self.0.entry(digest).or_insert(fetch);
    }

    /// The proposal is to be executed when it is complete.
    pub(super) fn execute_when_complete(&mut self, digest: &ProposalDigest) {
        if let Some(fetch) = self.0.get_mut(digest) {
            fetch.executes = true;
        }
    }

    /// Nothing at this height and above is to be executed before it is asked for again.
    pub(super) fn discarded(&mut self, from: BlockNumber) {
        self.0.values_mut().filter(|fetch| fetch.proposal.height >= from).for_each(|fetch| fetch.executes = false);
    }

    /// Gives the pool a body that a proposal waits for. The pool may take that proposal for closed by now, after a view
    /// change that proposes it again, or hold another one of its height open: then it is opened anew.
    pub(super) fn add_body(
        &self,
        now: Millis,
        pool: &mut Pool,
        transaction: Arc<VerifiedTransaction>,
    ) -> Result<(), Refusal> {
        let hash = transaction.hash();
        let refused = match pool.add_body(now, Arc::clone(&transaction)) {
            Err(Refusal::NotWanted(refused)) => Refusal::NotWanted(refused),
            outcome => return outcome,
        };
        let mut waiting = self.0.iter().filter(|(_, fetch)| fetch.missing.contains(&hash));
        let Some((digest, fetch)) = waiting.next() else { return Err(refused) };
        pool.proposed(now, fetch.proposal.height, *digest, &fetch.proposal.transactions);
        pool.add_body(now, transaction)
    }

    /// No longer needed.
    pub(super) fn forget(&mut self, digest: &ProposalDigest) {
        self.0.remove(digest);
    }

    /// The pool has a body now.
    pub(super) fn arrived(&mut self, hash: &TxHash) {
        for fetch in self.0.values_mut() {
            fetch.missing.remove(hash);
        }
    }

    /// Whether [`BodyFetches::complete`] may have something to give.
    pub(super) fn is_any_complete(&self) -> bool {
        self.0.values().any(|fetch| fetch.missing.is_empty())
    }

    /// Takes out the proposals that have become complete. `missing` gives what the pool lacks: of a proposal that lost
    /// the pool's attention in between, for another one of its height, bodies may have gone again.
    pub(super) fn complete(&mut self, missing: impl Fn(&[TxHash]) -> Vec<TxHash>) -> Vec<Complete> {
        let mut done = Vec::new();
        for (digest, fetch) in self.0.iter_mut().filter(|(_, fetch)| fetch.missing.is_empty()) {
            fetch.missing = missing(&fetch.proposal.transactions).into_iter().collect();
            if fetch.missing.is_empty() {
                done.push(*digest);
            }
        }
        let complete = |digest| {
            let Fetch { proposal, executes, .. } = self.0.remove(&digest)?;
            Some(Complete { digest, proposal, executes })
        };
        done.into_iter().filter_map(complete).collect()
    }

    /// What to ask now: first the proposer, then the other connected peers in turn. What has arrived and is being
    /// checked (`arriving`) is not asked for.
    pub(super) fn questions(
        &mut self,
        now: Millis,
        peers: &[ConsensusKey],
        arriving: impl Fn(&TxHash) -> bool,
    ) -> Vec<Question> {
        let mut questions = Vec::new();
        let mut fetches: Vec<_> = self.0.values_mut().collect();
        fetches.sort_by_key(|fetch| fetch.proposal.height);
        // The lowest first, and not many at once: where bodies come slowly, none would be complete in time.
        for fetch in fetches.into_iter().take(FETCHES_AT_ONCE).filter(|fetch| fetch.due <= now) {
            let hashes: Vec<_> = fetch.missing.iter().filter(|hash| !arriving(hash)).copied().collect();
            if hashes.is_empty() {
                fetch.due = now.saturating_add(GOSSIP_GRACE_MS);
                continue;
            }
            fetch.due = now.saturating_add(ANSWER_MS);
            let proposer = fetch.proposal.proposer;
            let mut order: Vec<_> = peers.iter().filter(|peer| **peer == proposer).collect();
            order.extend(peers.iter().filter(|peer| **peer != proposer));
            let Some(peer) = fetch.attempts.checked_rem(order.len()).and_then(|turn| order.get(turn)) else { continue };
            fetch.attempts = fetch.attempts.wrapping_add(1);
            fetch.asked_all = fetch.attempts.checked_rem(order.len()) == Some(0);
            questions.push(Question { to: **peer, hashes });
        }
        questions
    }

    /// A peer said that it has not what it was asked for, or only a part of it: ask on at once. Where all have been
    /// asked, their next chance comes after the wait: bodies of final proposals, for example, nobody has any more.
    pub(super) fn hurry(&mut self, now: Millis, hashes: &[TxHash]) {
        let waits = |fetch: &&mut Fetch| !fetch.asked_all && hashes.iter().any(|hash| fetch.missing.contains(hash));
        for fetch in self.0.values_mut().filter(waits) {
            fetch.due = now;
        }
    }

    /// When [`BodyFetches::questions`] has something to ask.
    pub(super) fn deadline(&self) -> Option<Millis> {
        let mut dues: Vec<_> = self.0.values().map(|fetch| (fetch.proposal.height, fetch.due)).collect();
        dues.sort_unstable();
        dues.into_iter().take(FETCHES_AT_ONCE).map(|(_, due)| due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;
    use lian_types::{Epoch, GroupId};

    fn key(i: u8) -> ConsensusKey {
        ConsensusKey([i; 33])
    }

    fn proposal() -> Arc<Proposal> {
        Arc::new(Proposal {
            chain_id: 1,
            group: GroupId(0),
            epoch: Epoch(0),
            height: BlockNumber(1),
            parent: ProposalDigest::default(),
            time: Millis(0),
            proposer: key(2),
            transactions: vec![],
        })
    }

    #[test]
    fn asks_the_proposer_first_then_the_others_in_turn() {
        let mut fetches = BodyFetches::default();
        let hash = B256::repeat_byte(7);
        fetches.begin(Millis(0), ProposalDigest::default(), proposal(), vec![hash]);
        let peers = [key(1), key(2), key(3)];
        assert!(fetches.questions(Millis(GOSSIP_GRACE_MS - 1), &peers, |_| false).is_empty());
        let mut asked = Vec::new();
        while asked.len() < 4 {
            let now = fetches.deadline().unwrap();
            asked.extend(fetches.questions(now, &peers, |_| false).into_iter().map(|question| question.to));
        }
        assert_eq!(asked, [key(2), key(1), key(3), key(2)]);
        assert!(fetches.complete(|_| vec![]).is_empty(), "its body is not here yet");
        fetches.arrived(&hash);
        assert!(fetches.complete(|_| vec![hash]).is_empty(), "the body has gone again");
        fetches.arrived(&hash);
        assert_eq!(fetches.complete(|_| vec![]).len(), 1);
        assert_eq!(fetches.deadline(), None);
    }

    #[test]
    fn what_is_being_checked_is_not_asked_for() {
        let mut fetches = BodyFetches::default();
        let [here, lacking] = [B256::repeat_byte(7), B256::repeat_byte(8)];
        fetches.begin(Millis(0), ProposalDigest::default(), proposal(), vec![here, lacking]);
        let now = fetches.deadline().unwrap();
        let asked = fetches.questions(now, &[key(1)], |hash| *hash == here);
        assert_eq!(asked.into_iter().map(|question| question.hashes).collect::<Vec<_>>(), [vec![lacking]]);
        fetches.arrived(&lacking);
        let now = fetches.deadline().unwrap();
        assert!(fetches.questions(now, &[key(1)], |hash| *hash == here).is_empty());
        assert_eq!(fetches.deadline(), Some(now.saturating_add(GOSSIP_GRACE_MS)), "it is looked at again soon");
    }

    #[test]
    fn the_lowest_proposals_come_first() {
        let mut fetches = BodyFetches::default();
        for height in [4, 1, 3, 2] {
            let proposal = Proposal { height: BlockNumber(height), ..proposal().as_ref().clone() };
            let byte = u8::try_from(height).unwrap();
            let digest = ProposalDigest(B256::repeat_byte(0xff - byte));
            fetches.begin(Millis(0), digest, Arc::new(proposal), vec![B256::repeat_byte(byte)]);
        }
        let asked = |fetches: &mut BodyFetches| {
            let now = fetches.deadline().unwrap();
            let questions = fetches.questions(now, &[key(2)], |_| false);
            questions.into_iter().flat_map(|question| question.hashes).collect::<Vec<_>>()
        };
        assert_eq!(asked(&mut fetches), [B256::repeat_byte(1), B256::repeat_byte(2)]);
        fetches.arrived(&B256::repeat_byte(1));
        assert_eq!(fetches.complete(|_| vec![]).len(), 1);
        assert_eq!(asked(&mut fetches), [B256::repeat_byte(3)]);
    }

    #[test]
    fn what_nobody_has_is_not_asked_for_without_a_pause() {
        let mut fetches = BodyFetches::default();
        let hash = B256::repeat_byte(7);
        fetches.begin(Millis(0), ProposalDigest::default(), proposal(), vec![hash]);
        let peers = [key(1), key(2), key(3)];
        let now = fetches.deadline().unwrap();
        let mut asked = 0;
        for _ in 0..100 {
            asked += fetches.questions(now, &peers, |_| false).len();
            fetches.hurry(now, &[hash]);
        }
        assert_eq!(asked, peers.len());
        assert_eq!(fetches.deadline(), Some(now.saturating_add(ANSWER_MS)));
    }
}
