//! What is revoked.

use alloy_primitives::B256;

/// A certificate or a key that must no longer be believed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// One certificate.
    Certificate {
        /// SHA-256 of the issuer's name as it stands in the certificate, DER.
        issuer: B256,
        /// The serial number, big-endian, without zeros before it.
        serial: Vec<u8>,
    },
    /// All certificates with the key whose SubjectPublicKeyInfo, DER, has this SHA-256.
    Key(B256),
}
