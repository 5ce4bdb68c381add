//! The outbox: writes durable records, then does in order what stands behind them.

use super::{announce, execution_thread::Work, votes};
use crate::{
    core::{DurableRecord, GroupMessage, Offence, Recipient},
    execution::ProposalWithBodies,
    handle::GroupEvent,
    stop::{StopReason, StopSignal},
};
use alloy_primitives::B256;
use bytes::Bytes;
use lian_crypto::VerifiedTransaction;
use lian_ledger::VoteLog;
use lian_network::NetworkHandle;
use lian_pbft::Divergence;
use lian_txpool::Refusal;
use lian_types::{BlockNumber, Certificate, ConsensusKey, GroupId, UnknownProtocol};
use std::sync::{
    Arc,
    mpsc::{Receiver, Sender},
};
use tokio::sync::{broadcast, oneshot};

/// How a client is answered.
pub(super) type Reply = oneshot::Sender<Result<(), Refusal>>;

/// Items done with one fsync at most.
const BATCH_MAX: usize = 4_096;
/// What a peer is charged for breaking a rule of consensus or catch-up, in points of the network's ban.
const OFFENCE_WEIGHT: u32 = 10;
/// The version of a session from which on bodies of transactions name their senders.
const SENDERS_VERSION: u16 = 2;
/// What it is charged for a transaction that breaks a static rule.
const INVALID_TRANSACTION_WEIGHT: u32 = 1;

/// What the core wants done, in order.
pub(super) enum Item {
    Persist(Vec<DurableRecord>),
    Renew { live: Vec<DurableRecord>, below: BlockNumber },
    RestoreTrust,
    Send { to: Recipient, message: GroupMessage },
    Append { proposal: ProposalWithBodies, hash: B256, certificate: Arc<Certificate> },
    Reply(Reply, Result<(), Refusal>),
    Pooled(Arc<VerifiedTransaction>),
    Misbehaved { peer: ConsensusKey, what: Offence },
    Diverged(Box<Divergence>),
    Outdated(UnknownProtocol),
}

/// The outbox thread's parts.
pub(super) struct Outbox {
    pub(super) log: VoteLog,
    pub(super) network: Option<NetworkHandle>,
    pub(super) group: GroupId,
    pub(super) work: Sender<Work>,
    pub(super) events: broadcast::Sender<GroupEvent>,
    pub(super) stop: StopSignal,
}

impl Outbox {
    /// Runs until the core ends. Records that have gathered share one fsync; everything else waits for it.
    pub(super) fn run(mut self, items: &Receiver<Item>) {
        while let Ok(first) = items.recv() {
            let more = std::iter::from_fn(|| items.try_recv().ok()).take(BATCH_MAX);
            let batch: Vec<_> = std::iter::once(first).chain(more).collect();
            if let Err(reason) = self.persist(&batch) {
                self.stop.stop(reason);
                return;
            }
            batch.into_iter().for_each(|item| self.perform(item));
        }
    }

    fn persist(&mut self, batch: &[Item]) -> Result<(), String> {
        let mut records = Vec::new();
        for item in batch {
            match item {
                Item::Persist(durable) => records.extend(durable.iter().map(votes::encode)),
                Item::Renew { live, below } => records.extend(live.iter().map(|live| votes::encode_live(live, *below))),
                _ => {}
            }
        }
        if records.is_empty() {
            return Ok(());
        }
        let borrowed: Vec<_> = records.iter().map(|(height, bytes)| (*height, bytes.as_slice())).collect();
        self.log.append(&borrowed).map_err(|error| format!("votes cannot be made durable: {error}"))
    }

    fn perform(&mut self, item: Item) {
        match item {
            Item::Persist(_) => {}
            Item::Renew { below, .. } => {
                if let Err(error) = self.log.retire(below) {
                    self.stop.stop(format!("old votes cannot be removed: {error}"));
                }
            }
            Item::RestoreTrust => {
                if let Err(error) = self.log.restore_trust() {
                    self.stop.stop(format!("the end of abstaining cannot be noted: {error}"));
                }
            }
            Item::Send { to, message } => self.send(to, &message),
            Item::Append { proposal, hash, certificate } => {
                // The execution thread ends only when the node does.
                let _ = self.work.send(Work::Append { proposal, hash, certificate });
            }
            // A client that no longer waits is no error.
            Item::Reply(reply, result) => drop(reply.send(result)),
            // Who executes has what the evidence needs; the node stops when it is written.
            Item::Diverged(divergence) => drop(self.work.send(Work::Diverged(divergence))),
            Item::Outdated(unknown) => self.stop.stop(StopReason::for_operator(unknown.to_string())),
            Item::Pooled(transaction) => announce(&self.events, GroupEvent::Pending(transaction)),
            Item::Misbehaved { peer, what } => {
                tracing::warn!(%peer, ?what, "a peer broke a rule");
                let weight = match what {
                    Offence::InvalidTransaction(_) => INVALID_TRANSACTION_WEIGHT,
                    Offence::Consensus(_) | Offence::Raft(_) | Offence::Sync(_) => OFFENCE_WEIGHT,
                };
                if let Some(network) = &self.network {
                    network.report_misbehaviour(peer, weight);
                }
            }
        }
    }

    fn send(&self, to: Recipient, message: &GroupMessage) {
        if let Some(network) = &self.network {
            send(network, self.group, to, message);
        }
    }
}

/// Sends a message of a group. What is lost on a session is repeated by the protocol that it belongs to.
pub(super) fn send(network: &NetworkHandle, group: GroupId, to: Recipient, message: &GroupMessage) {
    let class = message.class();
    match to {
        Recipient::All => drop(network.broadcast(group, class, Bytes::from(message.encode()))),
        Recipient::One(peer) => {
            let bytes = match message {
                GroupMessage::Pool(pool) if network.session_version(peer) < Some(SENDERS_VERSION) => {
                    GroupMessage::Pool(pool.without_senders()).encode()
                }
                message => message.encode(),
            };
            let _ = network.send(peer, group, class, Bytes::from(bytes));
        }
    }
}
