//! What every call passes before its method: rights, transport, metrics; and how a batch is worked on.

use crate::{
    caller::{Caller, Transport, namespace_of},
    error::{CallError, excerpt},
};
use futures::{FutureExt, StreamExt, future::Either, stream::FuturesOrdered};
use jsonrpsee::server::{
    BatchResponseBuilder, MethodResponse,
    middleware::rpc::{Batch, BatchEntry, BatchEntryErr, Notification, Request, RpcServiceT},
};
use jsonrpsee::types::ErrorObjectOwned;
use lian_types::limits::RPC_BATCH_CONCURRENCY;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What the gate knows about the server.
#[derive(Debug)]
pub(crate) struct GateRules {
    /// Every method that exists.
    pub(crate) methods: BTreeSet<&'static str>,
    /// The bearer tokens, by namespace.
    pub(crate) tokens: BTreeMap<String, String>,
    /// Largest response, in bytes.
    pub(crate) response_bytes_max: usize,
}

impl GateRules {
    /// Whether a call may go to its method.
    fn check(&self, request: &Request<'_>) -> Result<(), CallError> {
        let method = request.method.as_ref();
        let Some(method) = self.methods.get(method) else {
            let message = format!("the method {} does not exist/is not available", excerpt(method));
            return Err(CallError::MethodNotFound(message));
        };
        // A request without caller does not come through the server's door; it gets no right.
        let caller = request.extensions.get::<Arc<Caller>>();
        if let Some(namespace) = namespace_of(method)
            && !caller.is_some_and(|caller| caller.may_use(namespace, &self.tokens))
        {
            return Err(CallError::Unauthorized(namespace));
        }
        let over_http = caller.is_none_or(|caller| caller.transport == Transport::Http);
        if over_http && matches!(*method, "eth_subscribe" | "eth_unsubscribe") {
            let message = format!("notifications not supported: {method} needs a WebSocket connection");
            return Err(CallError::MethodNotFound(message));
        }
        Ok(())
    }
}

/// The gate around jsonrpsee's dispatcher.
#[derive(Clone, Debug)]
pub(crate) struct Gate<S> {
    pub(crate) rules: Arc<GateRules>,
    pub(crate) service: S,
}

impl<S> Gate<S>
where
    Self: RpcServiceT<MethodResponse = MethodResponse>,
{
    /// The answer to one entry of a batch; a notification has none.
    async fn answer<'a>(self, entry: Result<BatchEntry<'a>, BatchEntryErr<'a>>) -> Option<MethodResponse> {
        match entry {
            Ok(BatchEntry::Call(request)) => Some(self.call(request).await),
            Ok(BatchEntry::Notification(_)) => None,
            Err(error) => {
                let (error, id) = error.into_parts();
                Some(MethodResponse::error(id, error))
            }
        }
    }
}

impl<S> RpcServiceT for Gate<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        metrics::counter!("lian_rpc_requests_total").increment(1);
        match self.rules.check(&request) {
            Ok(()) => Either::Left(self.service.call(request).inspect(|response| {
                if response.is_error() {
                    metrics::counter!("lian_rpc_errors_total").increment(1);
                }
            })),
            Err(error) => {
                metrics::counter!("lian_rpc_errors_total").increment(1);
                let response = MethodResponse::error(request.id, ErrorObjectOwned::from(error));
                Either::Right(std::future::ready(response.with_extensions(request.extensions)))
            }
        }
    }

    /// Works on several entries at once and answers in their order. Entries start in their order too, so that a batch
    /// of transactions of one account reaches the pool nearly sorted.
    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let gate = self.clone();
        async move {
            let mut responses = BatchResponseBuilder::new_with_limit(gate.rules.response_bytes_max);
            let mut only_notifications = !batch.is_empty();
            let mut entries = batch.into_iter();
            let mut running = FuturesOrdered::new();
            loop {
                while running.len() < RPC_BATCH_CONCURRENCY
                    && let Some(entry) = entries.next()
                {
                    running.push_back(gate.clone().answer(entry));
                }
                let Some(answer) = running.next().await else { break };
                let Some(answer) = answer else { continue };
                only_notifications = false;
                if let Err(too_large) = responses.append(answer) {
                    return too_large;
                }
            }
            if only_notifications {
                MethodResponse::notification()
            } else {
                MethodResponse::from_batch(responses.finish())
            }
        }
    }

    fn notification<'a>(&self, notification: Notification<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.service.notification(notification)
    }
}
