//! What clients of a group see: its ledger, its pool, its news.

use crate::{
    driver::Command,
    flow::{BlockFlow, FlowRecorder, TransactionFlow, note},
    identity::{self, Identity, KnownAuthority},
    known_members::{KnownMembers, SharedMembers},
    status::GroupStatus,
    workers::{Line, Workers},
};
use alloy_primitives::{Address, B256, Bytes, TxHash};
use lian_crypto::{EpochMembers, SenderError, Suite, VerifiedTransaction};
use lian_executor::Rules;
use lian_ledger::{FinalBlock, Ledger};
use lian_network::NetworkHandle;
use lian_system_contracts::members::NodeRecord;
use lian_txpool::{Limits, Pool, Refusal};
use lian_types::{BlockNumber, ChainContext, ConsensusKind, GroupId, Millis, Transaction, TransactionError};
use parking_lot::{Mutex, RwLock};
use std::sync::{
    Arc,
    mpsc::{SyncSender, TrySendError},
};
use tokio::sync::{broadcast, oneshot, watch};

/// The fixed facts of a group.
#[derive(Clone, Debug)]
pub struct ChainInfo {
    /// The group.
    pub group: GroupId,
    /// Its EIP-155 chain id.
    pub chain_id: u64,
    /// The hash of block 0.
    pub genesis_hash: B256,
    /// Its algorithms.
    pub suite: Suite,
    /// How it agrees.
    pub consensus: ConsensusKind,
    /// The rules of execution.
    pub rules: Rules,
    /// The gas limit of a block in genesis, in units of gas.
    pub block_gas_limit: u64,
    /// What consensus signatures are bound to.
    pub context: ChainContext,
    /// This node's name.
    pub node: String,
}

/// News of a group, in order.
#[derive(Clone)]
pub enum GroupEvent {
    /// A block is final and durable on this node.
    Final(Arc<FinalBlock>),
    /// The pool admitted a transaction. It may be final already when this is read.
    Pending(Arc<VerifiedTransaction>),
}

/// Why a transaction was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Its bytes are not a transaction.
    #[error(transparent)]
    Decode(#[from] TransactionError),
    /// Its signature names no sender.
    #[error(transparent)]
    Sender(#[from] SenderError),
    /// The pool refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// More transactions arrive than this node can look at.
    #[error("the node is busy: try again")]
    Busy,
    /// The group takes nothing any more.
    #[error("the node has stopped taking transactions: {0}")]
    Stopped(String),
}

/// A group, as its clients see it. Cheap to clone.
#[derive(Clone)]
pub struct GroupHandle {
    pub(crate) info: Arc<ChainInfo>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) commands: SyncSender<Command>,
    pub(crate) pool: Arc<Mutex<Pool>>,
    pub(crate) flows: Arc<Mutex<FlowRecorder>>,
    pub(crate) status: Arc<RwLock<GroupStatus>>,
    pub(crate) events: broadcast::Sender<GroupEvent>,
    pub(crate) members: Arc<SharedMembers>,
    pub(crate) admitted: watch::Sender<Arc<Vec<NodeRecord>>>,
    pub(crate) heads: watch::Sender<BlockNumber>,
    pub(crate) network: Option<NetworkHandle>,
    pub(crate) workers: Workers,
}

impl GroupHandle {
    /// The fixed facts.
    #[must_use]
    pub fn info(&self) -> &ChainInfo {
        &self.info
    }

    /// The ledger.
    #[must_use]
    pub const fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Reads the pool. Keep the closure short: consensus waits while it runs.
    pub fn with_pool<T>(&self, read: impl FnOnce(&Pool) -> T) -> T {
        read(&self.pool.lock())
    }

    /// The next nonce of an account, counting its executable transactions in the pool.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub fn pending_nonce(&self, address: Address) -> Result<u64, lian_executor::StateError> {
        let head = self.ledger.head();
        let nonce = head.parent.state.account(address)?.map_or(0, |account| account.nonce);
        Ok(self.with_pool(|pool| pool.pending_nonce(&address, nonce)))
    }

    /// Decodes a signed transaction, recovers its sender on the worker pool, and offers it to the pool.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing was changed then.
    pub async fn submit(&self, raw: Bytes) -> Result<TxHash, SubmitError> {
        let received = crate::clock::now();
        let transaction = Arc::new(Transaction::decode(raw)?);
        // Before the signature: what can be refused cheaply is.
        let limits = Limits { chain_id: self.info.chain_id, block_gas_limit: self.info.block_gas_limit };
        lian_txpool::check_static(&transaction, &limits)?;
        let hash = transaction.hash();
        let known = |pool: &Pool| match pool.contains(&hash) {
            true => Err(Refusal::AlreadyKnown(hash)),
            false => pool.check_room(received, transaction.encoded().len()),
        };
        self.with_pool(known)?;
        let suite = self.info.suite;
        let (recovered, outcome) = oneshot::channel();
        self.workers.senders.hand(Line::Clients, 1, move || {
            // The receiver is gone only when the client is; nobody waits for the result then.
            let _ = recovered.send(suite.recover_sender(transaction));
        });
        let verified = outcome.await.map_err(|_| self.stopped())??;
        self.note_arrival(hash, received);
        let (reply, answer) = oneshot::channel();
        let command = Command::Submit { transaction: Arc::new(verified), reply };
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => SubmitError::Busy,
            TrySendError::Disconnected(_) => self.stopped(),
        })?;
        answer.await.map_err(|_| self.stopped())??;
        Ok(hash)
    }

    /// News from now on. A receiver that lags behind the buffer misses the oldest and is told so.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<GroupEvent> {
        self.events.subscribe()
    }

    /// The group's state on this node.
    #[must_use]
    pub fn status(&self) -> GroupStatus {
        let mut status = self.status.read().clone();
        if let Some(network) = &self.network {
            identity::note_certificates(&mut status, network);
        }
        status
    }

    /// Who the nodes are by their certificates, as this node sees them in its sessions; nobody for a node that is alone.
    #[must_use]
    pub fn identities(&self) -> Vec<Identity> {
        let nodes = Arc::clone(&self.admitted.borrow());
        self.network.as_ref().map(|network| identity::of(&nodes, &self.info.node, network)).unwrap_or_default()
    }

    /// A transaction in the pool.
    #[must_use]
    pub fn pooled(&self, hash: &TxHash) -> Option<Arc<VerifiedTransaction>> {
        self.with_pool(|pool| pool.get(hash).cloned())
    }

    /// The members who decide a height up to the one above the head, in order; for checking certificates.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub fn members(&self, height: BlockNumber) -> Result<Option<EpochMembers>, lian_executor::StateError> {
        if self.info.rules.system_contracts {
            let state = &self.ledger.head().parent.state;
            let (suite, kind) = (self.info.suite, self.info.consensus);
            return lian_executor::members_at(suite, kind, state.as_ref(), height).map(Some);
        }
        Ok(self.members.get().committees.at(height).map(|committee| committee.members.as_ref().clone()))
    }

    /// The nodes that may connect, now and whenever that changes.
    #[must_use]
    pub fn admitted(&self) -> watch::Receiver<Arc<Vec<NodeRecord>>> {
        self.admitted.subscribe()
    }

    /// The newest final block, now and whenever there is another.
    #[must_use]
    pub fn heads(&self) -> watch::Receiver<BlockNumber> {
        self.heads.subscribe()
    }

    /// The authorities that this node knows, of genesis and of the chain; none for a node that is alone.
    #[must_use]
    pub fn authorities(&self) -> Vec<KnownAuthority> {
        self.network.as_ref().map(identity::authorities).unwrap_or_default()
    }

    /// How many members must agree on the next height.
    #[must_use]
    pub fn quorum(&self) -> usize {
        let KnownMembers { committees, head } = self.members.get();
        committees.at(head.next()).map_or(1, |committee| committee.members.quorum())
    }

    /// Where the time of a block went, for the newest blocks.
    #[must_use]
    pub fn block_flow(&self, height: BlockNumber) -> Option<BlockFlow> {
        self.flows.lock().block(height)
    }

    /// Where the time of a transaction went, for the newest transactions.
    #[must_use]
    pub fn transaction_flow(&self, hash: TxHash) -> Option<TransactionFlow> {
        self.flows.lock().transaction(hash)
    }

    fn note_arrival(&self, hash: TxHash, received: Millis) {
        let now = crate::clock::now();
        let mut flows = self.flows.lock();
        let flow = flows.transaction_mut(hash);
        note(&mut flow.received, received);
        note(&mut flow.verified, now);
    }

    fn stopped(&self) -> SubmitError {
        let reason = self.status.read().halted.clone();
        SubmitError::Stopped(reason.unwrap_or_else(|| "the node is shutting down".to_owned()))
    }
}
