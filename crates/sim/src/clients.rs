//! The clients: what they send, what they were told, and what must become of it.

use crate::{
    event::NodeId,
    random::Random,
    scenario::Load,
    time::Moment,
    trace::TraceHash,
    wallet::{self, ACCOUNTS, Name},
};
use alloy_primitives::TxHash;
use lian_txpool::Refusal;
use std::collections::{BTreeMap, BTreeSet};

/// The purpose of the clients' random numbers.
const PURPOSE: u64 = 3;
/// Transactions of one account that may be unfinished: far below what pools take.
const UNFINISHED_MAX: u64 = 24;

/// All clients.
pub(crate) struct Clients {
    random: Random,
    /// The next nonce of each account.
    next: [u64; ACCOUNTS],
    waiting: BTreeMap<(usize, u64), Waiting>,
    /// Which transaction used each nonce, and in which block.
    done: BTreeMap<(usize, u64), (Name, u64)>,
    pub(crate) answers: TraceHash,
}

/// A nonce for which a transaction was sent and none is final.
#[derive(Clone, Debug)]
struct Waiting {
    /// How many transactions compete for it.
    variants: u8,
    since: Moment,
    sent: Moment,
    /// Runs of nodes that have taken one of them into their pools.
    holders: BTreeSet<(NodeId, u64)>,
}

impl Clients {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed, PURPOSE),
            next: [0; ACCOUNTS],
            waiting: BTreeMap::new(),
            done: BTreeMap::new(),
            answers: TraceHash::default(),
        }
    }

    /// A burst of new transactions, each with the nodes that it is sent to.
    pub(crate) fn burst(&mut self, now: Moment, load: &Load, nodes: usize) -> Vec<(Name, NodeId)> {
        let mut sent = Vec::new();
        for _ in 0..load.burst {
            let account = self.random.index(ACCOUNTS);
            let unfinished = self.waiting.range((account, 0)..(account + 1, 0)).count() as u64;
            if unfinished >= UNFINISHED_MAX {
                continue;
            }
            let nonce = self.next[account];
            self.next[account] += 1;
            let variants = 1 + u8::from(self.random.permille(load.rivals_permille));
            let waiting = Waiting { variants, since: now, sent: now, holders: BTreeSet::new() };
            self.waiting.insert((account, nonce), waiting);
            for variant in 0..variants {
                let copies = 1 + u64::from(self.random.permille(load.copies_permille));
                for _ in 0..copies {
                    sent.push((Name { account, nonce, variant }, self.random.index(nodes)));
                }
            }
        }
        sent
    }

    /// A node has answered.
    pub(crate) fn answered(&mut self, node: NodeId, life: u64, name: Name, result: &Result<(), Refusal>) {
        self.answers.add(u64::from(result.is_ok()) << 32 | node as u64);
        // A node that already knows it promises nothing: it may have it from a peer that is gone by now.
        if result.is_ok()
            && let Some(waiting) = self.waiting.get_mut(&(name.account, name.nonce))
        {
            waiting.holders.insert((node, life));
        }
    }

    /// A transaction is in a final block, for the first time anywhere.
    pub(crate) fn included(&mut self, now: Moment, hash: TxHash, height: u64) -> Result<(), String> {
        let name = wallet::name_of(hash).ok_or("a transaction that no client made")?;
        let place = (name.account, name.nonce);
        if let Some((earlier, at)) = self.done.insert(place, (name, height)) {
            return Err(format!("{name:?} is in it, {earlier:?} was in block {at}"));
        }
        let waiting = self.waiting.remove(&place).ok_or_else(|| format!("nobody sent {name:?}"))?;
        self.answers.add(now.0 - waiting.since.0);
        Ok(())
    }

    /// What clients send again after their patience, and to which of `nodes`: what nobody who still runs has taken and, if
    /// they are impatient, whatever takes long.
    pub(crate) fn again(
        &mut self,
        now: Moment,
        nodes: &[NodeId],
        (patience_ms, impatient): (u64, bool),
        is_alive: impl Fn(NodeId, u64) -> bool,
    ) -> Vec<(Name, NodeId)> {
        let mut sent = Vec::new();
        for ((account, nonce), waiting) in &mut self.waiting {
            let held = waiting.holders.iter().any(|(node, life)| is_alive(*node, *life));
            if now < waiting.sent.after_ms(patience_ms) || (held && !impatient) {
                continue;
            }
            waiting.sent = now;
            let variant = u8::try_from(self.random.below(u64::from(waiting.variants))).unwrap_or(0);
            if let Some(node) = self.random.pick(nodes) {
                sent.push((Name { account: *account, nonce: *nonce, variant }, node));
            }
        }
        sent
    }

    /// Since when the oldest transaction waits.
    pub(crate) fn waiting_since(&self) -> Option<Moment> {
        self.waiting.values().map(|waiting| waiting.since).min()
    }

    /// How many nonces wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The transactions that wait, with those that hold them.
    pub(crate) fn waiting_text(&self) -> String {
        let texts = self.waiting.iter().take(8).map(|((account, nonce), waiting)| {
            let since = waiting.since;
            format!("account {account} nonce {nonce} since {since}, held by {:?}", waiting.holders)
        });
        texts.collect::<Vec<_>>().join("; ")
    }

    /// How many transactions are final.
    pub(crate) fn finished(&self) -> u64 {
        self.done.len() as u64
    }

    /// Every final transaction with its block.
    pub(crate) fn done(&self) -> impl Iterator<Item = (Name, u64)> {
        self.done.values().copied()
    }

    /// A number by which clients choose.
    pub(crate) fn random(&mut self) -> &mut Random {
        &mut self.random
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: Load = Load { interval_ms: 100, burst: 3, rivals_permille: 0, copies_permille: 0 };

    #[test]
    fn a_transaction_is_final_once() {
        let mut clients = Clients::new(1);
        let sent = clients.burst(Moment(0), &LOAD, 4);
        assert_eq!(sent.len(), 3);
        let hash = wallet::transaction(sent[0].0).hash();
        assert_eq!(clients.included(Moment(5), hash, 1), Ok(()));
        assert!(clients.included(Moment(6), hash, 2).unwrap_err().contains("was in block 1"));
    }

    #[test]
    fn what_a_live_node_holds_is_not_sent_again() {
        let mut clients = Clients::new(1);
        let (name, node) = clients.burst(Moment(0), &Load { burst: 1, ..LOAD }, 4)[0];
        clients.answered(node, 7, name, &Ok(()));
        let later = Moment::at_ms(4_000);
        assert!(clients.again(later, &[0, 1], (4_000, false), |_, life| life == 7).is_empty());
        assert_eq!(clients.again(later, &[0, 1], (4_000, false), |_, life| life == 8).len(), 1);
        assert!(clients.again(later, &[0, 1], (4_000, true), |_, _| true).is_empty(), "it was sent just now");
    }
}
