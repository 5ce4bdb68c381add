//! `eth_subscribe`: news of the chain and of the pool, over WebSocket.
//!
//! News come from a bounded channel. Blocks that a slow moment let slip out of it are read from the ledger again, so
//! that heads and logs have no gaps; a client that does not read for too long loses its subscription.

use super::{eth_chain::syncing, eth_logs::matching};
use crate::{
    chain::Chain,
    convert::{rpc_header, rpc_transaction},
    criteria::Criteria,
    error::CallError,
    parameters::Parameters,
    registry::{Registry, to_json},
    workers::Work,
};
use alloy_rpc_types_eth::Filter;
use jsonrpsee::{
    core::{RegisterMethodError, SubscriptionError},
    server::{SendTimeoutError, SubscriptionSink},
    types::ErrorObjectOwned,
};
use lian_crypto::VerifiedTransaction;
use lian_group::GroupEvent;
use lian_ledger::StoredBlock;
use serde::Serialize;
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};
use tokio::sync::broadcast::{Receiver, error::RecvError};

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    let names = ("eth_subscribe", "eth_subscription", "eth_unsubscribe");
    registry.module.register_subscription(names.0, names.1, names.2, |params, pending, chain, _| async move {
        let subject = match Subject::parse(params.as_str()) {
            Ok(subject) => subject,
            Err(error) => {
                pending.reject(ErrorObjectOwned::from(error)).await;
                return Ok(());
            }
        };
        // News are collected before the client hears that it is subscribed: nothing falls between the two.
        let events = chain.group().subscribe();
        let next = chain.height().saturating_add(1);
        // Where the client has gone already there is nobody to serve.
        let Ok(sink) = pending.accept().await else { return Ok(()) };
        Feed { chain, sink, subject, next, catching_up: None }.run(events).await
    })?;
    Ok(())
}

/// What a client subscribes to.
#[derive(Clone, Debug)]
enum Subject {
    Heads,
    Logs(Arc<Criteria>),
    Pending { full: bool },
    Syncing,
}

impl Subject {
    fn parse(params: Option<&str>) -> Result<Self, CallError> {
        let mut parameters = Parameters::parse(params, 2)?;
        let name: String = parameters.required("subscription")?;
        match name.as_str() {
            "newHeads" => Ok(Self::Heads),
            "logs" => {
                let filter: Filter = parameters.optional("filter")?.unwrap_or_default();
                Criteria::new(&filter).map(|criteria| Self::Logs(Arc::new(criteria)))
            }
            "newPendingTransactions" => {
                Ok(Self::Pending { full: parameters.optional("fullTransactions")?.unwrap_or(false) })
            }
            "syncing" => Ok(Self::Syncing),
            _ => {
                let name = crate::error::excerpt(&name);
                let message = format!(
                    "no \"{name}\" subscription in eth namespace (known: newHeads, logs, newPendingTransactions, syncing)"
                );
                Err(CallError::InvalidParams(message))
            }
        }
    }
}

/// One subscription at work.
struct Feed {
    chain: Arc<Chain>,
    sink: SubscriptionSink,
    subject: Subject,
    /// The height of the next block to tell of.
    next: u64,
    /// What the client heard last about catching up.
    catching_up: Option<bool>,
}

/// Why a feed ends.
enum End {
    /// The client unsubscribed or went away.
    Gone,
    /// The client must be told.
    Told(String),
}

impl Feed {
    async fn run(mut self, mut events: Receiver<GroupEvent>) -> Result<(), SubscriptionError> {
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = self.sink.closed() => return Ok(()),
            };
            let sent = match event {
                Ok(GroupEvent::Pending(transaction)) => self.pending(&transaction).await,
                Ok(GroupEvent::Final(block)) => self.block(&StoredBlock::from(&*block)).await,
                Err(RecvError::Lagged(_)) => Ok(()),
                Err(RecvError::Closed) => Err(End::Told("the node is shutting down".to_owned())),
            };
            match sent {
                Ok(()) => {}
                Err(End::Gone) => return Ok(()),
                Err(End::Told(reason)) => return Err(reason.into()),
            }
        }
    }

    async fn pending(&mut self, pooled: &VerifiedTransaction) -> Result<(), End> {
        match self.subject {
            Subject::Pending { full: false } => self.send(&pooled.hash()).await,
            Subject::Pending { full: true } => {
                self.send(&rpc_transaction(pooled.transaction(), pooled.sender(), None)).await
            }
            _ => Ok(()),
        }
    }

    async fn block(&mut self, block: &StoredBlock) -> Result<(), End> {
        let number = block.block.header.number;
        while self.next < number {
            let Some(missed) = self.read(self.next).await? else { break };
            self.tell(&missed).await?;
        }
        if number < self.next { Ok(()) } else { self.tell(block).await }
    }

    /// Reads a block that slipped out of the channel.
    async fn read(&self, number: u64) -> Result<Option<Arc<StoredBlock>>, End> {
        if !matches!(self.subject, Subject::Heads | Subject::Logs(_)) {
            return Ok(None);
        }
        let chain = Arc::clone(&self.chain);
        let block = self.chain.workers().run(Work::Read, move || chain.block(number)).await;
        block.map_err(|error| End::Told(error.to_string()))
    }

    async fn tell(&mut self, block: &StoredBlock) -> Result<(), End> {
        self.next = block.block.header.number.saturating_add(1);
        match self.subject.clone() {
            Subject::Heads => self.send(&rpc_header(&block.block.header, block.hash, None)).await,
            Subject::Logs(criteria) => {
                if !criteria.may_match(&block.block.header.logs_bloom) {
                    return Ok(());
                }
                let logs: Vec<_> = matching(block, &criteria).collect();
                for log in logs {
                    self.send(&log).await?;
                }
                Ok(())
            }
            Subject::Syncing => self.tell_syncing().await,
            Subject::Pending { .. } => Ok(()),
        }
    }

    /// Tells that catching up has begun or ended; nothing while that stays as it was.
    async fn tell_syncing(&mut self) -> Result<(), End> {
        let state = syncing(&self.chain);
        let catching_up = !matches!(state, super::eth_chain::Syncing::No(_));
        if self.catching_up.replace(catching_up) == Some(catching_up) {
            return Ok(());
        }
        self.send(&state).await
    }

    async fn send<T: Serialize>(&self, message: &T) -> Result<(), End> {
        let json: Box<RawValue> =
            to_json(message, self.chain.limits().response_bytes_max).map_err(|error| End::Told(error.to_string()))?;
        let patience_ms = self.chain.limits().subscription_ms_max;
        let sent = self.sink.send_timeout(json, Duration::from_millis(patience_ms)).await;
        sent.map_err(|error| match error {
            SendTimeoutError::Closed(_) => End::Gone,
            SendTimeoutError::Timeout(_) => {
                End::Told(format!("the subscription ended: the client read nothing for {patience_ms} ms"))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects() {
        let parse = |params: &str| Subject::parse(Some(params));
        assert!(matches!(parse(r#"["newHeads"]"#), Ok(Subject::Heads)));
        assert!(matches!(parse(r#"["logs"]"#), Ok(Subject::Logs(_))));
        assert!(matches!(parse(r#"["logs",{"topics":[]}]"#), Ok(Subject::Logs(_))));
        assert!(matches!(parse(r#"["newPendingTransactions"]"#), Ok(Subject::Pending { full: false })));
        assert!(matches!(parse(r#"["newPendingTransactions",true]"#), Ok(Subject::Pending { full: true })));
        assert!(matches!(parse(r#"["syncing"]"#), Ok(Subject::Syncing)));
        for bad in ["[]", "[1]", r#"["newBlocks"]"#, r#"["logs",{"address":"0x1"}]"#, r#"["newHeads",1,2]"#] {
            assert!(matches!(parse(bad), Err(CallError::InvalidParams(_))), "{bad}");
        }
    }
}
