//! What can go wrong between nodes.

use crate::{
    frame::FrameError,
    pki::{Distrust, PkiError},
};
use alloy_primitives::B256;
use lian_crypto::SignatureError;
use lian_types::{ConsensusKey, limits};
use std::{fmt, io, net::SocketAddr};

/// Why a network could not be started or changed.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The address cannot be listened on.
    #[error("cannot listen for nodes on {address}: {source}; stop what uses the port, or configure another")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The certificates or the key are not usable.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A peer's name cannot stand in a certificate.
    #[error("node name `{name}` is not a valid DNS name, so no certificate can carry it")]
    PeerName {
        /// The name.
        name: String,
    },
    /// Two peers share a key.
    #[error("consensus key {key} stands for two nodes")]
    DuplicateKey {
        /// The key.
        key: ConsensusKey,
    },
    /// A text of the configuration is too long to be told to peers.
    #[error("{field} has {length} bytes, at most {} fit into a handshake", limits::HANDSHAKE_TEXT_BYTES_MAX)]
    TextTooLong {
        /// The field.
        field: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// A bound of the configuration makes no sense.
    #[error("network limit {field} must be {range}")]
    Limit {
        /// The field.
        field: &'static str,
        /// The values accepted.
        range: &'static str,
    },
}

/// Why a peer refuses a connection, as it tells on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RefusalCode {
    /// No protocol version in common.
    Version = 1,
    /// Another network: the genesis digests differ.
    Genesis = 2,
    /// The consensus key is not one of the network's.
    UnknownKey = 3,
    /// The certificate does not carry the node's name.
    CertificateName = 4,
    /// The signature does not hold.
    Signature = 5,
    /// The pair already has a live session.
    Duplicate = 6,
    /// The node misbehaved and must stay out for a while.
    Banned = 7,
    /// Bytes that are not a handshake.
    Malformed = 8,
    /// The node is stopping.
    Stopping = 9,
    /// The certificate has expired while the session was open.
    Expired = 10,
    /// The certificate is revoked, or the network believes no authority above it.
    Untrusted = 11,
}

impl RefusalCode {
    pub(crate) const fn from_wire(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Version,
            2 => Self::Genesis,
            3 => Self::UnknownKey,
            4 => Self::CertificateName,
            5 => Self::Signature,
            6 => Self::Duplicate,
            7 => Self::Banned,
            8 => Self::Malformed,
            9 => Self::Stopping,
            10 => Self::Expired,
            11 => Self::Untrusted,
            _ => return None,
        })
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "no protocol version in common",
            Self::Genesis => "genesis digests differ",
            Self::UnknownKey => "consensus key is not one of the network's",
            Self::CertificateName => "certificate does not carry the node's name",
            Self::Signature => "identity signature does not hold",
            Self::Duplicate => "a live session exists",
            Self::Banned => "banned for misbehaviour",
            Self::Malformed => "malformed handshake",
            Self::Stopping => "the node is stopping",
            Self::Expired => "the certificate has expired",
            Self::Untrusted => "the certificate is not accepted, or no longer",
        })
    }
}

/// Why no session came of a connection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// No TCP connection.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// TLS failed: wrong authority, expired certificate, wrong name, not TLS 1.3 …
    #[error("TLS: {0}")]
    Tls(#[source] io::Error),
    /// The connection broke before the handshake was over.
    #[error("connection broke during the handshake: {0}")]
    Io(#[source] io::Error),
    /// It took too long.
    #[error("handshake took longer than {ms} ms")]
    Timeout {
        /// The time allowed, in milliseconds.
        ms: u128,
    },
    /// A frame longer than a handshake needs, or an empty one.
    #[error("handshake frame of {length} bytes, must be 1 to {}", limits::HANDSHAKE_FRAME_BYTES_MAX)]
    FrameLength {
        /// The announced length in bytes.
        length: u32,
    },
    /// Bytes that are not the expected frame.
    #[error("malformed handshake: {0}")]
    Malformed(String),
    /// No protocol version in common.
    #[error(
        "peer speaks protocol versions {min} to {max}, this node {} to {}",
        crate::handshake::VERSION_MIN,
        crate::handshake::VERSION_MAX
    )]
    Version {
        /// The peer's lowest.
        min: u16,
        /// The peer's highest.
        max: u16,
    },
    /// Another network.
    #[error("peer's genesis digest is {theirs}, this node's {ours}: it belongs to another network")]
    Genesis {
        /// This node's digest.
        ours: B256,
        /// The peer's digest.
        theirs: B256,
    },
    /// Not a node of the network, or not the one that was dialled.
    #[error("consensus key {0} is not the expected one of this network")]
    UnknownKey(ConsensusKey),
    /// The certificate belongs to another node.
    #[error("certificate carries the names {presented:?}, not `{expected}`")]
    CertificateName {
        /// The node's name.
        expected: String,
        /// The names in the certificate.
        presented: Vec<String>,
    },
    /// The certificate is valid but not accepted.
    #[error("certificate is not accepted: {0}")]
    Untrusted(#[source] Distrust),
    /// The proof does not hold.
    #[error("identity: {0}")]
    Signature(#[source] SignatureError),
    /// The pair has a session already.
    #[error("a live session with the peer exists")]
    Duplicate,
    /// The peer is banned.
    #[error("peer is banned for misbehaviour")]
    Banned,
    /// This node is stopping.
    #[error("this node is stopping")]
    Stopping,
    /// The peer refused.
    #[error("refused by the peer: {0}")]
    Refused(RefusalCode),
}

impl HandshakeError {
    /// What to tell the peer; nothing where the connection itself failed or the peer refused first.
    pub(crate) const fn refusal(&self) -> Option<RefusalCode> {
        Some(match self {
            Self::Connect(_) | Self::Tls(_) | Self::Io(_) | Self::Timeout { .. } | Self::Refused(_) => return None,
            Self::FrameLength { .. } | Self::Malformed(_) => RefusalCode::Malformed,
            Self::Version { .. } => RefusalCode::Version,
            Self::Genesis { .. } => RefusalCode::Genesis,
            Self::UnknownKey(_) => RefusalCode::UnknownKey,
            Self::CertificateName { .. } => RefusalCode::CertificateName,
            Self::Untrusted(_) => RefusalCode::Untrusted,
            Self::Signature(_) => RefusalCode::Signature,
            Self::Duplicate => RefusalCode::Duplicate,
            Self::Banned => RefusalCode::Banned,
            Self::Stopping => RefusalCode::Stopping,
        })
    }

    /// Whether it is part of normal operation: peers that are down, dial at the same time or stop.
    pub(crate) const fn is_ordinary(&self) -> bool {
        matches!(
            self,
            Self::Connect(_)
                | Self::Duplicate
                | Self::Stopping
                | Self::Refused(RefusalCode::Duplicate | RefusalCode::Stopping)
        )
    }
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DisconnectReason {
    /// The peer closed the connection.
    #[error("closed by the peer")]
    Closed,
    /// The peer said goodbye before it closed the connection.
    #[error("closed by the peer: {0}")]
    Goodbye(RefusalCode),
    /// The connection broke.
    #[error("connection broke: {0}")]
    Io(String),
    /// Nothing came for too long.
    #[error("silent for {ms} ms")]
    Silent {
        /// The time allowed, in milliseconds.
        ms: u128,
    },
    /// The peer did not read what was sent.
    #[error("did not accept a fragment for {ms} ms")]
    Stalled {
        /// The time allowed, in milliseconds.
        ms: u128,
    },
    /// The peer broke the protocol.
    #[error("broke the protocol: {0}")]
    Protocol(#[from] FrameError),
    /// A newer session with the same peer took its place.
    #[error("replaced by a newer session")]
    Replaced,
    /// The peer was banned for misbehaviour.
    #[error("banned for misbehaviour")]
    Banned,
    /// The peer is no longer one of the network's.
    #[error("no longer a peer")]
    Removed,
    /// A certificate of the peer's chain has expired.
    #[error("the peer's certificate has expired")]
    Expired,
    /// The peer's certificate is not accepted any more.
    #[error("the peer's certificate is no longer accepted: {0}")]
    Untrusted(#[from] Distrust),
    /// This node is stopping.
    #[error("this node is stopping")]
    Shutdown,
}

impl DisconnectReason {
    /// What to tell the peer, where there is something to tell and somebody to hear it.
    pub(crate) const fn farewell(&self) -> Option<RefusalCode> {
        match self {
            Self::Replaced => Some(RefusalCode::Duplicate),
            Self::Banned => Some(RefusalCode::Banned),
            Self::Removed => Some(RefusalCode::UnknownKey),
            Self::Expired => Some(RefusalCode::Expired),
            Self::Untrusted(_) => Some(RefusalCode::Untrusted),
            Self::Shutdown => Some(RefusalCode::Stopping),
            Self::Protocol(_) => Some(RefusalCode::Malformed),
            Self::Closed | Self::Goodbye(_) | Self::Io(_) | Self::Silent { .. } | Self::Stalled { .. } => None,
        }
    }
}
