//! Sessions between nodes: mutual TLS 1.3, identities proved twice, messages by priority.
//!
//! A session exists between two nodes of the network only. Its TLS certificates name the node and lead to an authority that
//! vouches for its institution, nothing of which is revoked; then both sides sign the TLS channel, both certificates, both consensus keys and the genesis digest
//! with their consensus keys. So certificates can be renewed without touching consensus, and neither a stolen
//! certificate nor a stolen consensus key alone is enough.
//!
//! Invariants of this crate:
//! - no session whose certificates are not accepted by what is believed now ([`pki::Trust`]);
//! - at most one session per pair of nodes; which of two stays is decided by one side alone, the one with the smaller key;
//! - [`NetworkHandle::send`] never waits; what it could not take, it says;
//! - memory per peer is bounded in both directions: bounded queues out, a window of credit per [`Class`] in;
//! - a message waits for at most one fragment of a lower class, never for a whole message of it;
//! - nobody else's bytes are parsed beyond TLS and a 4 KiB handshake frame before both proofs hold;
//! - the content of messages is opaque here, this crate never decodes it.
//!
//! Main types: [`Network`], [`NetworkHandle`], [`NetworkEvents`], [`Class`]; [`pki`] makes and loads certificates.

#[cfg(test)]
extern crate self as lian_network;

mod assembly;
mod ban;
mod class;
mod config;
mod connect;
mod error;
mod events;
mod frame;
mod handshake;
mod listen;
mod measure;
mod network;
mod outbox;
mod own;
pub mod pki;
mod registry;
mod session;
mod throttle;

#[cfg(test)]
mod hostile;

pub use class::Class;
pub use config::{NetworkConfig, NetworkLimits, PeerConfig};
pub use error::{DisconnectReason, HandshakeError, NetworkError, RefusalCode};
pub use events::{BodyMessages, NetworkEvent, NetworkEvents, Received};
pub use frame::FrameError;
#[doc(hidden)]
pub use frame::rewrite_frames;
#[doc(hidden)]
pub use handshake::rewrite_hello;
pub use network::{Network, NetworkHandle};
pub use outbox::{BroadcastOutcome, SendOutcome};
pub use own::OwnCertificate;
pub use registry::{PeerCertificate, PeerStatus};
