//! The socket: one port for HTTP and WebSocket, a path for each group.

use crate::{
    RpcLimits, caller::NAMESPACES, error::RpcError, front::Front, origin::Origins, routes::Routes, workers::Workers,
};
use jsonrpsee::server::{ServerHandle, stop_channel};
use lian_group::GroupHandle;
use lian_types::limits::RPC_STOP_MS_MAX;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// How to serve JSON-RPC.
#[derive(Clone, Debug)]
pub struct RpcConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Which web pages may use the server.
    pub origins: Origins,
    /// Bearer tokens by namespace (`debug`, `lian`, …); a namespace without one is open to every caller.
    pub tokens: BTreeMap<String, String>,
    /// The bounds.
    pub limits: RpcLimits,
}

impl RpcConfig {
    /// The defaults: local pages, no tokens, the limits of [`lian_types::limits`].
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self { listen, origins: Origins::default(), tokens: BTreeMap::new(), limits: RpcLimits::default() }
    }
}

/// A running server. It stops when told to, or when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct RpcServerHandle {
    address: SocketAddr,
    server: ServerHandle,
}

impl RpcServerHandle {
    /// The address that the server listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops: no new connections, requests in progress are answered within [`RPC_STOP_MS_MAX`], subscriptions end.
    pub async fn stop(self) {
        // A server that has stopped already needs no telling.
        let _ = self.server.stop();
        let patience = Duration::from_millis(RPC_STOP_MS_MAX);
        if tokio::time::timeout(patience, self.server.stopped()).await.is_err() {
            tracing::info!("JSON-RPC requests were cut off: they were not done within {RPC_STOP_MS_MAX} ms");
        }
    }
}

/// Starts servers.
#[derive(Debug)]
pub struct RpcServer;

impl RpcServer {
    /// Listens and serves: path `/` is the first group, `/group<N>` each of them.
    ///
    /// # Errors
    /// [`RpcError`] where the address is taken or the configuration contradicts itself.
    pub async fn start(config: RpcConfig, groups: Vec<GroupHandle>) -> Result<RpcServerHandle, RpcError> {
        if let Some(unknown) = config.tokens.keys().find(|name| !NAMESPACES.contains(&name.as_str())) {
            return Err(RpcError::UnknownNamespace(unknown.clone()));
        }
        let listen = |source| RpcError::Listen { address: config.listen, source };
        let workers = Arc::new(Workers::new(&config.limits));
        let routes = Arc::new(Routes::new(&config, groups, &workers)?);
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (stop, server) = stop_channel();
        tokio::spawn(Arc::new(Front::new(config, routes)).accept(listener, stop));
        Ok(RpcServerHandle { address, server })
    }
}
