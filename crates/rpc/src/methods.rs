//! The methods, by namespace and subject.

mod audit;
mod debug;
mod debug_trace;
mod eth_blocks;
mod eth_call;
mod eth_chain;
mod eth_logs;
mod eth_simulate;
mod eth_state;
mod eth_transact;
mod filter_methods;
mod lian;
mod names;
mod net_web3;
mod permissions;
mod subscriptions;
mod txpool;

use crate::{chain::Chain, registry::Registry};
use jsonrpsee::{core::RegisterMethodError, server::Methods};
use std::sync::Arc;

/// Every method of one group.
///
/// # Errors
/// Where two methods have one name.
pub(crate) fn all(chain: Arc<Chain>) -> Result<Methods, RegisterMethodError> {
    let mut registry = Registry::new(chain);
    eth_chain::register(&mut registry)?;
    eth_blocks::register(&mut registry)?;
    eth_state::register(&mut registry)?;
    eth_call::register(&mut registry)?;
    eth_simulate::register(&mut registry)?;
    eth_transact::register(&mut registry)?;
    eth_logs::register(&mut registry)?;
    filter_methods::register(&mut registry)?;
    subscriptions::register(&mut registry)?;
    debug::register(&mut registry)?;
    debug_trace::register(&mut registry)?;
    txpool::register(&mut registry)?;
    net_web3::register(&mut registry)?;
    lian::register(&mut registry)?;
    names::register(&mut registry)?;
    permissions::register(&mut registry)?;
    audit::register(&mut registry)?;
    Ok(registry.module.into())
}
