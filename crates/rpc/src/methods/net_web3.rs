//! `net_`, `web3_` and `rpc_`: what a client asks first.

use crate::{caller::NAMESPACES, parameters::Parameters, quantity::Quantity, registry::Registry};
use crate::{chain::Chain, error::CallError};
use alloy_primitives::{B256, Bytes, keccak256};
use jsonrpsee::core::RegisterMethodError;
use std::collections::BTreeMap;

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.light("net_version", 0, |chain, _| Ok(chain.group().info().chain_id.to_string()))?;
    registry.light("net_listening", 0, |_, _| Ok(true))?;
    registry.light("net_peerCount", 0, |chain, _| {
        Ok(Quantity(u64::try_from(chain.group().status().peers).unwrap_or(u64::MAX)))
    })?;
    registry.light("web3_clientVersion", 0, |_, _| Ok(client_version()))?;
    registry.light("web3_sha3", 1, sha3)?;
    registry.light("rpc_modules", 0, |_, _| {
        Ok(NAMESPACES.into_iter().map(|name| (name, "1.0")).collect::<BTreeMap<_, _>>())
    })
}

/// Keccak-256, whatever the chain's own hash is: the method's name is history.
fn sha3(_: &Chain, parameters: &mut Parameters<'_>) -> Result<B256, CallError> {
    Ok(keccak256(parameters.required::<Bytes>("data")?))
}

/// Name, version and platform, in the form that geth made common.
fn client_version() -> String {
    let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("Lian/v{}/{system}-{machine}", env!("CARGO_PKG_VERSION"))
}
