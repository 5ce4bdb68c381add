//! What peers send of transactions, and what they ask for.

use super::{Command, Inbound};
use crate::{
    core::{GroupMessage, Input},
    flow::note,
    workers::Line,
};
use alloy_primitives::TxHash;
use bytes::Bytes;
use lian_crypto::{SenderError, VerifiedTransaction};
use lian_network::Class;
use lian_txpool::{Body, PoolMessage};
use lian_types::{ConsensusKey, Millis};
use std::sync::{Arc, mpsc};

/// Transactions whose senders one thread recovers together: what they share is divided among them.
const SENDERS_AT_ONCE: usize = 32;

/// A message with bodies, of which those are left that are neither known nor being checked.
struct Parcel {
    from: ConsensusKey,
    bodies: Vec<Body>,
    unknown: Vec<TxHash>,
}

impl Inbound {
    /// Messages of peers, in the order in which they came. The senders of all their transactions are recovered together, on
    /// all cores, each once: on a busy machine a thread waits longer for its turn than a message takes, so that one after
    /// the other they would be as slow as the turns. They stay in their order: the pool would refuse most of one account's
    /// transactions behind a gap of nonces.
    pub(crate) fn bodies(&self, messages: Vec<(ConsensusKey, Bytes)>) {
        let received = crate::clock::now();
        let mut parcels: Vec<_> = messages.into_iter().filter_map(|(from, bytes)| self.open(from, &bytes)).collect();
        let counts: Vec<_> = parcels.iter().map(|parcel| parcel.bodies.len()).collect();
        let bodies = parcels.iter_mut().flat_map(|parcel| std::mem::take(&mut parcel.bodies)).collect();
        let mut recovered = self.recover(bodies).into_iter();
        metrics::counter!("lian_group_sender_hints_held_total").absolute(self.known_keys.hints_held());
        metrics::counter!("lian_group_sender_hints_missed_total").absolute(self.known_keys.hints_missed());
        for (Parcel { from, unknown, .. }, count) in parcels.into_iter().zip(counts) {
            let transactions = self.accept(from, recovered.by_ref().take(count), received);
            self.tell(Command::Transactions { from, transactions, unknown });
        }
    }

    /// Reads a message. What needs no check is handed on at once.
    fn open(&self, from: ConsensusKey, bytes: &[u8]) -> Option<Parcel> {
        let (bodies, unknown) = match GroupMessage::decode(Class::Body, bytes) {
            Ok(GroupMessage::Pool(PoolMessage::Transactions(bodies))) => (bodies, Vec::new()),
            Ok(GroupMessage::Pool(PoolMessage::Bodies { transactions, unknown })) => (transactions, unknown),
            Ok(GroupMessage::Pool(PoolMessage::Request(hashes))) => {
                self.tell(Command::Input(Box::new(Input::BodiesWanted { from, hashes })));
                return None;
            }
            Ok(_) => {
                self.blame(from, "a message in another class");
                return None;
            }
            Err(error) => {
                self.blame(from, &error.to_string());
                return None;
            }
        };
        let mut pool = self.pool.lock();
        let bodies = bodies.into_iter().filter(|body| pool.arrives(&body.transaction)).collect();
        Some(Parcel { from, bodies, unknown })
    }

    /// In the order of the bodies.
    fn recover(&self, bodies: Vec<Body>) -> Vec<Result<VerifiedTransaction, (TxHash, SenderError)>> {
        let (done, outcomes) = mpsc::channel();
        let mut hinted = bodies.into_iter().map(|Body { transaction, sender }| (transaction, sender));
        for place in 0_usize.. {
            let batch: Vec<_> = hinted.by_ref().take(SENDERS_AT_ONCE).collect();
            if batch.is_empty() {
                break;
            }
            let (suite, known_keys, done) = (self.info.suite, Arc::clone(&self.known_keys), done.clone());
            let amount = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            self.workers.senders.hand(Line::Peers, amount, move || {
                // Who waits for it below waits for all.
                let _ = done.send((place, suite.recover_senders(&known_keys, batch)));
            });
        }
        drop(done);
        let mut outcomes: Vec<_> = outcomes.iter().collect();
        outcomes.sort_unstable_by_key(|(place, _)| *place);
        outcomes.into_iter().flat_map(|(_, batch)| batch).collect()
    }

    /// Those of a message that have a sender; the message is blamed for others.
    fn accept(
        &self,
        from: ConsensusKey,
        recovered: impl Iterator<Item = Result<VerifiedTransaction, (TxHash, SenderError)>>,
        received: Millis,
    ) -> Vec<Arc<VerifiedTransaction>> {
        let now = crate::clock::now();
        let mut verified = Vec::new();
        let mut flows = self.flows.lock();
        for outcome in recovered {
            match outcome {
                Ok(transaction) => {
                    let flow = flows.transaction_mut(transaction.hash());
                    note(&mut flow.received, received);
                    note(&mut flow.verified, now);
                    verified.push(Arc::new(transaction));
                }
                Err((hash, error)) => {
                    self.pool.lock().arrived(&hash);
                    self.blame(from, &error.to_string());
                }
            }
        }
        verified
    }
}
