//! Which ports a node listens on.

use anyhow::{Result, bail};
use std::net::{SocketAddr, TcpListener};

/// The first node's port for other nodes; node i has this plus i, as for the other listeners.
const P2P: u16 = 30_300;
/// The first node's port for JSON-RPC.
const RPC: u16 = 8_545;
/// The first node's port for metrics and health.
const METRICS: u16 = 9_545;

/// The ports of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    /// For other nodes.
    pub(crate) p2p: u16,
    /// JSON-RPC.
    pub(crate) rpc: u16,
    /// Metrics and health.
    pub(crate) metrics: u16,
}

impl Ports {
    /// The ports of the node with this index on its host.
    ///
    /// # Errors
    /// Where a port would be above 65535.
    pub(crate) fn of(index: usize, offset: u16) -> Result<Self> {
        let port = |base: u16| {
            let index = u16::try_from(index).ok()?;
            base.checked_add(index)?.checked_add(offset)
        };
        match (port(P2P), port(RPC), port(METRICS)) {
            (Some(p2p), Some(rpc), Some(metrics)) => Ok(Self { p2p, rpc, metrics }),
            _ => {
                bail!("a port offset of {offset} puts node {index}'s ports above 65535; choose a smaller --port-offset")
            }
        }
    }
}

/// A listener of a node, for messages to people.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    /// What it serves, as in `JSON-RPC of node0`.
    pub(crate) what: String,
    /// Where.
    pub(crate) address: SocketAddr,
}

impl Listener {
    /// Why the listener's port cannot be used now, if it cannot. The port is free again afterwards.
    pub(crate) fn obstacle(&self) -> Option<String> {
        // The standard library sets SO_REUSEADDR, so connections that linger after a restart are no obstacle.
        let error = TcpListener::bind(self.address).err()?;
        let Self { what, address } = self;
        Some(match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("port {} of {} ({what}) is in use by another program", address.port(), address.ip())
            }
            _ => format!("cannot listen on {address} ({what}): {error}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_follow_index_and_offset() {
        assert_eq!(Ports::of(3, 100).unwrap(), Ports { p2p: 30_403, rpc: 8_648, metrics: 9_648 });
        assert!(Ports::of(0, 35_236).is_err());
        assert!(Ports::of(70_000, 0).is_err());
    }

    #[test]
    fn a_busy_port_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = Listener { what: "JSON-RPC of node0".into(), address: taken.local_addr().unwrap() };
        let port = taken.local_addr().unwrap().port();
        let expected = format!("port {port} of 127.0.0.1 (JSON-RPC of node0) is in use by another program");
        assert_eq!(listener.obstacle(), Some(expected));
        drop(taken);
        assert_eq!(listener.obstacle(), None);
    }
}
