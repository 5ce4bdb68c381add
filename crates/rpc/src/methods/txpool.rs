//! `txpool_`: what waits.

use crate::{
    chain::Chain, convert::rpc_transaction, error::CallError, parameters::Parameters, quantity::Quantity,
    registry::Registry,
};
use alloy_consensus::Transaction as _;
use alloy_primitives::Address;
use alloy_rpc_types_eth::Transaction;
use jsonrpsee::core::RegisterMethodError;
use lian_crypto::VerifiedTransaction;
use lian_txpool::PoolContent;
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.light("txpool_status", 0, |chain, _| Ok(status(chain)))?;
    registry.read("txpool_content", 0, |chain, _| Ok(content(chain).map(shown)))?;
    registry.read("txpool_contentFrom", 1, content_from)?;
    registry.read("txpool_inspect", 0, |chain, _| Ok(content(chain).map(summary)))
}

/// Something about both parts of the pool: what can be proposed, and what waits for an earlier nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Parts<T> {
    pending: T,
    queued: T,
}

/// Transactions by decimal nonce: JSON's keys are text, and this is how geth writes them.
type ByNonce<T> = BTreeMap<u64, T>;
type BySender<T> = BTreeMap<Address, ByNonce<T>>;

impl Parts<BySender<Arc<VerifiedTransaction>>> {
    fn map<T>(self, show: fn(&VerifiedTransaction) -> T) -> Parts<BySender<T>> {
        let part = |part: BySender<Arc<VerifiedTransaction>>| {
            let account = |(address, slots): (Address, ByNonce<Arc<VerifiedTransaction>>)| {
                (address, slots.into_iter().map(|(nonce, transaction)| (nonce, show(&transaction))).collect())
            };
            part.into_iter().map(account).collect()
        };
        Parts { pending: part(self.pending), queued: part(self.queued) }
    }
}

fn status(chain: &Chain) -> Parts<Quantity> {
    let counts = chain.group().with_pool(lian_txpool::Pool::counts);
    let quantity = |count: usize| Quantity(u64::try_from(count).unwrap_or(u64::MAX));
    Parts { pending: quantity(counts.pending), queued: quantity(counts.queued) }
}

fn content(chain: &Chain) -> Parts<BySender<Arc<VerifiedTransaction>>> {
    let PoolContent { pending, queued } = chain.group().with_pool(lian_txpool::Pool::content);
    Parts { pending, queued }
}

fn content_from(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Parts<ByNonce<Transaction>>, CallError> {
    let address: Address = parameters.required("address")?;
    let PoolContent { pending, queued } = chain.group().with_pool(|pool| pool.content_of(address));
    let all = Parts { pending, queued }.map(shown);
    let of = |mut part: BySender<Transaction>| part.remove(&address).unwrap_or_default();
    Ok(Parts { pending: of(all.pending), queued: of(all.queued) })
}

fn shown(transaction: &VerifiedTransaction) -> Transaction {
    rpc_transaction(transaction.transaction(), transaction.sender(), None)
}

/// One line for a person, as geth writes it.
fn summary(transaction: &VerifiedTransaction) -> String {
    let envelope = transaction.transaction().as_ethereum();
    let target = match envelope.to() {
        Some(to) => to.to_string(),
        None => "contract creation".to_owned(),
    };
    let (value, gas, price) = (envelope.value(), envelope.gas_limit(), envelope.max_fee_per_gas());
    format!("{target}: {value} wei + {gas} gas × {price} wei")
}
