//! Certificates: authority → institution → node.
//!
//! [`Authority`] makes them for `lian init` and `lian up`; in production institutions bring their own, from any accepted
//! authority, with RSA, ECDSA or Ed25519 keys. [`TlsIdentity`] is a node's chain and key, [`Trust`] what a node believes of
//! the certificates that others show: which authorities, for whose nodes, and what is revoked.

mod crl;
mod facts;
mod file;
mod identity;
mod issue;
mod tls;
mod trust;

pub use crl::RevocationList;
pub(crate) use facts::chain_expires;
pub use facts::{CertificateFacts, certificate_names, sha256};
pub use file::read_certificate;
pub use identity::TlsIdentity;
pub use issue::{Authority, KeyAlgorithm, NodeCredentials, Validity, pem};
pub(crate) use tls::TlsContext;
pub use trust::{Anchor, Distrust, Listing, Trust, TrustSource, TrustedAuthority, Unusable};

use std::{io, path::PathBuf};

/// Why certificates or keys could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// A file that must not be overwritten exists.
    #[error("{path} exists and is not overwritten; move it away first")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others than the owner may read a private key.
    #[error("private key {path} has mode {mode:04o}: others can read it; run `chmod 600 {path}`")]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not PEM, or not with the expected content.
    #[error("{what}: {reason}")]
    Pem {
        /// Where it was read from.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// The private key does not belong to the certificate.
    #[error("the private key does not belong to the certificate of `{name}`")]
    KeyMismatch {
        /// The names in the certificate.
        name: String,
    },
    /// The private key cannot be used for TLS.
    #[error("private key cannot be used: {reason}")]
    Key {
        /// What is wrong.
        reason: String,
    },
    /// A certificate of the chain has expired.
    #[error("certificate of `{name}`, or one above it, expired {seconds_ago} s ago; issue a new one")]
    Expired {
        /// The names in the node's certificate.
        name: String,
        /// How long ago, in seconds.
        seconds_ago: u64,
    },
    /// A certificate of the chain is not valid yet.
    #[error("certificate of `{name}`, or one above it, is not valid yet: check this machine's clock")]
    NotYetValid {
        /// The names in the node's certificate.
        name: String,
    },
    /// The chain leads to no accepted authority.
    #[error("certificate of `{name}` does not lead to an authority that the network accepts")]
    NotAccepted {
        /// The names in the node's certificate.
        name: String,
    },
    /// The certificate does not carry the node's name.
    #[error("certificate carries the names {presented:?}, not the node's name `{expected}`")]
    WrongName {
        /// The node's name.
        expected: String,
        /// The names in the certificate.
        presented: Vec<String>,
    },
    /// The chain is refused for another reason.
    #[error("certificate of `{name}` is refused: {reason}")]
    Refused {
        /// The names in the node's certificate.
        name: String,
        /// Why.
        reason: String,
    },
    /// The name cannot stand in a certificate.
    #[error("`{name}` cannot stand in a certificate: {reason}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        reason: String,
    },
    /// Making a certificate or key failed.
    #[error("cannot make a certificate: {0}")]
    Issue(#[from] rcgen::Error),
    /// TLS cannot be configured.
    #[error("cannot configure TLS: {0}")]
    Tls(String),
}
