//! From a peer's bytes to the core's inputs: decoding and checking, on the worker pool.

use super::{Command, snapshots::Ask};
use crate::{
    core::{GroupMessage, Input},
    flow::FlowRecorder,
    flow::note,
    handle::ChainInfo,
};
use alloy_primitives::B256;
use bytes::Bytes;
use lian_crypto::VerifiedTransaction;
use lian_network::{Class, NetworkHandle};
use lian_pbft::{Committees, Message, Rules};
use lian_sync::{Anchor, BlockError, BlockWithCertificate, Checker, SyncError};
use lian_txpool::{Pool, PoolMessage};
use lian_types::{Block, BlockNumber, ConsensusKey, ProposalDigest, Transaction};
use parking_lot::{Condvar, Mutex};
use rayon::prelude::*;
use std::sync::{Arc, mpsc::SyncSender};

/// Consensus messages that may be in checking at a time: a few rounds of the largest group.
const CHECKS_MAX: usize = 1_024;
/// What a peer is charged for bytes that are no message, or that do not hold, in points of the network's ban.
const MALFORMED_WEIGHT: u32 = 20;

/// Takes a group's messages from the network.
#[derive(Clone)]
pub(crate) struct Inbound {
    info: Arc<ChainInfo>,
    rules: Rules,
    committees: Arc<Committees>,
    pool: Arc<Mutex<Pool>>,
    flows: Arc<Mutex<FlowRecorder>>,
    commands: SyncSender<Command>,
    network: Option<NetworkHandle>,
    snapshots: SyncSender<Ask>,
    checks: Arc<Checks>,
}

/// Counts the messages in checking, so that a flood waits at the network and not in memory.
#[derive(Default)]
struct Checks {
    running: Mutex<usize>,
    done: Condvar,
}

impl Inbound {
    #[allow(clippy::too_many_arguments)] // What it hands messages to is made once, in one place.
    pub(super) fn new(
        info: Arc<ChainInfo>,
        rules: Rules,
        committees: Arc<Committees>,
        pool: Arc<Mutex<Pool>>,
        flows: Arc<Mutex<FlowRecorder>>,
        commands: SyncSender<Command>,
        network: Option<NetworkHandle>,
        snapshots: SyncSender<Ask>,
    ) -> Self {
        Self { info, rules, committees, pool, flows, commands, network, snapshots, checks: Arc::default() }
    }

    /// A session to a peer came up or broke down.
    pub(crate) fn peer(&self, key: ConsensusKey, connected: bool) {
        self.tell(Command::Input(Box::new(Input::Peer { key, connected })));
    }

    /// A message arrived. Waits while too many are being checked; the network then stops reading.
    pub(crate) fn message(&self, from: ConsensusKey, class: Class, bytes: Bytes) {
        let outcome = match class {
            Class::Consensus => {
                self.consensus(from, bytes);
                Ok(())
            }
            Class::Body | Class::Sync => self.unsigned(from, class, &bytes),
        };
        if let Err(reason) = outcome {
            self.blame(from, &reason);
        }
    }

    fn consensus(&self, from: ConsensusKey, bytes: Bytes) {
        self.checks.enter();
        let this = self.clone();
        rayon::spawn(move || {
            let checked = Message::decode(&bytes).map_err(|error| error.to_string()).and_then(|message| {
                lian_pbft::verify(&this.rules, &this.committees, message).map_err(|error| error.to_string())
            });
            match checked {
                Ok(message) => this.tell(Command::Input(Box::new(Input::Consensus { from, message }))),
                Err(reason) => this.blame(from, &reason),
            }
            this.checks.leave();
        });
    }

    fn unsigned(&self, from: ConsensusKey, class: Class, bytes: &[u8]) -> Result<(), String> {
        let input = match GroupMessage::decode(class, bytes).map_err(|error| error.to_string())? {
            GroupMessage::Pool(PoolMessage::Request(hashes)) => Input::BodiesWanted { from, hashes },
            GroupMessage::Pool(PoolMessage::Transactions(transactions)) => {
                let transactions = self.recover(from, transactions);
                self.tell(Command::Transactions { from, transactions, unknown: Vec::new() });
                return Ok(());
            }
            GroupMessage::Pool(PoolMessage::Bodies { transactions, unknown }) => {
                let transactions = self.recover(from, transactions);
                self.tell(Command::Transactions { from, transactions, unknown });
                return Ok(());
            }
            GroupMessage::Sync(message) => Input::Sync { from, message },
            GroupMessage::Report(report) => Input::Report { from, report },
            GroupMessage::Snapshot(message) => {
                // Where too many wait, who asked asks again.
                let _ = self.snapshots.try_send((from, message));
                return Ok(());
            }
            GroupMessage::Consensus(_) => return Err("a consensus message in another class".to_owned()),
        };
        self.tell(Command::Input(Box::new(input)));
        Ok(())
    }

    /// Recovers the senders of what is not known yet, on all cores, each once.
    fn recover(&self, from: ConsensusKey, transactions: Vec<Arc<Transaction>>) -> Vec<Arc<VerifiedTransaction>> {
        let received = crate::clock::now();
        let new: Vec<_> = {
            let pool = self.pool.lock();
            transactions.into_iter().filter(|transaction| pool.get(&transaction.hash()).is_none()).collect()
        };
        let suite = self.info.suite;
        let recovered: Vec<_> = new.into_par_iter().map(|transaction| suite.recover_sender(transaction)).collect();
        let now = crate::clock::now();
        let mut verified = Vec::with_capacity(recovered.len());
        let mut flows = self.flows.lock();
        for outcome in recovered {
            match outcome {
                Ok(transaction) => {
                    let flow = flows.transaction_mut(transaction.hash());
                    note(&mut flow.received, received);
                    note(&mut flow.verified, now);
                    verified.push(Arc::new(transaction));
                }
                Err(error) => self.blame(from, &error.to_string()),
            }
        }
        verified
    }

    fn blame(&self, peer: ConsensusKey, reason: &str) {
        tracing::warn!(%peer, reason, "a message was refused");
        metrics::counter!("lian_group_messages_refused_total").increment(1);
        if let Some(network) = &self.network {
            network.report_misbehaviour(peer, MALFORMED_WEIGHT);
        }
    }

    fn tell(&self, command: Command) {
        // The core ends only when the node does.
        let _ = self.commands.send(command);
    }
}

impl Checks {
    fn enter(&self) {
        let mut running = self.running.lock();
        self.done.wait_while(&mut running, |running| *running >= CHECKS_MAX);
        *running = running.saturating_add(1);
    }

    fn leave(&self) {
        let mut running = self.running.lock();
        *running = running.saturating_sub(1);
        drop(running);
        self.done.notify_one();
    }
}

/// Checks a batch of a peer's blocks: roots, digests and every certificate.
///
/// # Errors
/// [`SyncError`] names the first block that does not hold.
pub fn check_blocks(
    info: &ChainInfo,
    committees: &Committees,
    parent: Anchor,
    blocks: &[BlockWithCertificate],
) -> Result<(), SyncError> {
    let height = parent.height.next();
    with_checker(info, committees, height, |checker| checker.check_batch(parent, blocks).map(drop))
        .unwrap_or(Err(SyncError { height, error: BlockError::UnknownMembers }))
}

/// The digest of the proposal that a block came from; `parent` is that of the block below.
///
/// # Errors
/// [`BlockError`] where the block does not tell a proposal.
pub fn digest_of(
    info: &ChainInfo,
    committees: &Committees,
    parent: ProposalDigest,
    block: &Block,
) -> Result<ProposalDigest, BlockError> {
    let height = BlockNumber(block.header.number);
    let anchor = Anchor { height: height.saturating_sub(1), hash: block.header.parent_hash, digest: parent };
    with_checker(info, committees, height, |checker| {
        checker.proposal(anchor, block).map(|proposal| info.suite.proposal_digest(&proposal))
    })
    .unwrap_or(Err(BlockError::UnknownMembers))
}

/// Runs a check with the members that decide a height, if they are known. A batch never crosses an epoch's end, so they
/// decide all of it.
fn with_checker<T>(
    info: &ChainInfo,
    committees: &Committees,
    height: BlockNumber,
    check: impl FnOnce(&Checker<'_>) -> T,
) -> Option<T> {
    let members = &committees.at(height)?.members;
    let root = |transactions: &[Arc<Transaction>]| -> B256 {
        let encoded: Vec<_> = transactions.iter().map(|transaction| transaction.encoded()).collect();
        lian_executor::transactions_root(info.suite, &encoded)
    };
    Some(check(&Checker { suite: info.suite, context: &info.context, members, transactions_root: &root }))
}
