//! `eth_`: filters, which a client installs and asks.

use super::eth_logs::{logs, search};
use crate::{
    chain::Chain,
    criteria::{Criteria, Span, span_of},
    error::CallError,
    filters::Watch,
    parameters::Parameters,
    registry::Registry,
};
use alloy_primitives::B256;
use alloy_rpc_types_eth::{Filter, Log};
use jsonrpsee::core::RegisterMethodError;
use lian_group::GroupEvent;
use serde::Serialize;
use std::{
    sync::{Arc, Weak},
    time::Instant,
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.light("eth_newFilter", 1, new_filter)?;
    registry.light("eth_newBlockFilter", 0, |chain, _| {
        chain.filters().install(Watch::Blocks { next: chain.height().saturating_add(1) }, Instant::now())
    })?;
    registry.module.register_async_method("eth_newPendingTransactionFilter", |params, chain, _| async move {
        // geth takes a flag for whole transactions here, which few clients know and none of the large ones sends.
        Parameters::parse(params.as_str(), 1)?;
        Ok::<_, jsonrpsee::types::ErrorObjectOwned>(new_pending_filter(&chain)?)
    })?;
    registry.light("eth_uninstallFilter", 1, |chain, parameters| {
        Ok(chain.filters().uninstall(&parameters.required::<String>("filterId")?))
    })?;
    registry.read("eth_getFilterChanges", 1, changes)?;
    registry.read("eth_getFilterLogs", 1, filter_logs)
}

fn new_filter(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<String, CallError> {
    let filter: Filter = parameters.required("filter")?;
    let criteria = Arc::new(Criteria::new(&filter)?);
    let next = match span_of(&filter) {
        Span::Block(_) => {
            return Err(CallError::InvalidParams("a filter cannot be installed for one block hash".into()));
        }
        // geth's rule: changes are what comes from now on, unless the filter begins later.
        Span::Range(from, _) => from.unwrap_or(0).max(chain.height().saturating_add(1)),
    };
    chain.filters().install(Watch::Logs { next, criteria, filter: Arc::new(filter) }, Instant::now())
}

fn new_pending_filter(chain: &Arc<Chain>) -> Result<String, CallError> {
    let events = chain.group().subscribe();
    let (id, listen) = chain.filters().install_pending(Instant::now())?;
    if listen {
        tokio::spawn(watch_pool(Arc::downgrade(chain), events));
    }
    Ok(id)
}

/// Notes what the pool admits, until nobody watches any more.
async fn watch_pool(chain: Weak<Chain>, mut events: Receiver<GroupEvent>) {
    loop {
        let event = events.recv().await;
        let Some(chain) = chain.upgrade() else { return };
        match event {
            Ok(GroupEvent::Pending(transaction)) => chain.filters().note_pending(transaction.hash()),
            // A block is as good a moment as any to see whether anybody still watches.
            Ok(GroupEvent::Final(_)) => {
                if !chain.filters().pending_is_watched(Instant::now()) {
                    return;
                }
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// What has changed, by the kind of filter.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Changes {
    Hashes(Vec<B256>),
    Logs(Vec<Log>),
}

fn changes(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Changes, CallError> {
    let id: String = parameters.required("filterId")?;
    match chain.filters().ask(&id, Instant::now())? {
        Watch::Pending { next } => {
            let (hashes, end) = chain.filters().pending_since(next);
            chain.filters().advance(&id, end);
            Ok(Changes::Hashes(hashes))
        }
        Watch::Blocks { next } => {
            let last = last_of(chain, next);
            let hashes = (next..=last).map(|number| chain.head(number).map(|head| head.hash));
            let hashes = hashes.collect::<Result<Vec<_>, _>>()?;
            chain.filters().advance(&id, last.saturating_add(1));
            Ok(Changes::Hashes(hashes))
        }
        Watch::Logs { next, criteria, filter } => {
            let end = match span_of(&filter) {
                Span::Range(_, Some(to)) => to,
                _ => u64::MAX,
            };
            let last = last_of(chain, next).min(end);
            let mut found = Vec::new();
            if next <= last {
                search(chain, &criteria, next..=last, &mut found)?;
                chain.filters().advance(&id, last.saturating_add(1));
            }
            Ok(Changes::Logs(found))
        }
    }
}

/// The last height to look at now. A filter that was left alone for long is served in several steps.
fn last_of(chain: &Chain, next: u64) -> u64 {
    chain.height().min(next.saturating_add(chain.limits().log_blocks_max).saturating_sub(1))
}

fn filter_logs(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Vec<Log>, CallError> {
    match chain.filters().ask(&parameters.required::<String>("filterId")?, Instant::now())? {
        Watch::Logs { filter, .. } => logs(chain, &filter),
        Watch::Blocks { .. } | Watch::Pending { .. } => Err(CallError::refused("filter not found: not a log filter")),
    }
}
