//! What a node's network needs to know.

use crate::pki::{TlsIdentity, Trust};
use alloy_primitives::B256;
use lian_crypto::{ConsensusSecretKey, Suite};
use lian_types::{ConsensusKey, limits};
use std::{net::SocketAddr, time::Duration};

/// A node that may open a session with this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// The key with which it proves its identity.
    pub key: ConsensusKey,
    /// Its name in the genesis file; its certificate must carry it as a DNS subject alternative name.
    pub name: String,
    /// The institution that runs it, whose authorities vouch for it; none where the chain does not know the node.
    pub institution: Option<String>,
    /// Where to dial it, `host:port`; the name is looked up at every attempt. Empty: it is never dialled, it dials.
    pub address: String,
}

/// Everything that a node's network needs.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Where to listen. Port 0 lets the system choose; [`crate::NetworkHandle::local_address`] tells.
    pub listen: SocketAddr,
    /// Where others reach this node, `host:port`, told to peers as a hint; empty if unknown.
    pub advertised: String,
    /// The nodes of the network. An entry with this node's own key says to which institution it belongs itself.
    pub peers: Vec<PeerConfig>,
    /// This node's certificate chain and its private key.
    pub identity: TlsIdentity,
    /// By what the certificates of peers are judged.
    pub trust: Trust,
    /// The key with which this node proves its identity.
    pub consensus_key: ConsensusSecretKey,
    /// The chain's algorithms.
    pub suite: Suite,
    /// The digest of the genesis file, which all nodes of a network share.
    pub genesis_digest: B256,
    /// Name and version of this program, told to peers; at most [`limits::HANDSHAKE_TEXT_BYTES_MAX`] bytes.
    pub software: String,
    /// Bounds and periods.
    pub limits: NetworkLimits,
}

/// Bounds and periods of a node's network. The default is right outside tests and very unusual links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkLimits {
    /// From connecting to a proved identity.
    pub handshake_timeout: Duration,
    /// Connections without a proved identity, in total.
    pub handshakes_max: usize,
    /// Connections without a proved identity, per address.
    pub handshakes_per_address_max: usize,
    /// How often a peer is pinged.
    pub ping_period: Duration,
    /// Silence after which a peer counts as dead; several times `ping_period`.
    pub silence_max: Duration,
    /// Longest time that a peer may take to accept one fragment.
    pub stall_max: Duration,
    /// First wait before dialling again.
    pub backoff_min: Duration,
    /// Longest wait before dialling again.
    pub backoff_max: Duration,
    /// Bytes per second read from one peer; at least one fragment.
    pub bytes_per_second_max: u64,
    /// How long a banned peer stays out.
    pub ban: Duration,
}

impl Default for NetworkLimits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_millis(limits::HANDSHAKE_MS_MAX),
            handshakes_max: limits::HANDSHAKES_MAX,
            handshakes_per_address_max: limits::HANDSHAKES_PER_ADDRESS_MAX,
            ping_period: Duration::from_millis(limits::PEER_PING_MS),
            silence_max: Duration::from_millis(limits::PEER_SILENCE_MS_MAX),
            stall_max: Duration::from_millis(limits::PEER_STALL_MS_MAX),
            backoff_min: Duration::from_millis(limits::DIAL_BACKOFF_MS_MIN),
            backoff_max: Duration::from_millis(limits::DIAL_BACKOFF_MS_MAX),
            bytes_per_second_max: limits::PEER_BYTES_PER_SECOND_MAX,
            ban: Duration::from_millis(limits::MISBEHAVIOUR_BAN_MS),
        }
    }
}
