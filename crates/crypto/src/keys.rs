//! Secret keys.

use crate::Suite;
use ed25519_dalek::{Signer, SigningKey};
use lian_types::{ConsensusKey, Signature};
use rand::{TryRng, rngs::SysRng};
use std::fmt;
use zeroize::Zeroizing;

/// The secret key with which a node signs votes and handshakes. Zeroised when dropped; its `Debug` shows the public key.
#[derive(Clone)]
pub struct ConsensusSecretKey(SigningKey);

impl ConsensusSecretKey {
    /// A new key from the operating system's random source.
    ///
    /// # Errors
    /// The operating system's error where it has no randomness to give.
    pub fn generate(suite: Suite) -> std::io::Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(bytes.as_mut()).map_err(std::io::Error::other)?;
        Ok(Self::from_bytes(suite, &bytes))
    }

    /// The key of 32 secret bytes (RFC 8032: the seed).
    #[must_use]
    pub fn from_bytes(suite: Suite, bytes: &[u8; 32]) -> Self {
        match suite {
            Suite::Standard => Self(SigningKey::from_bytes(bytes)),
        }
    }

    /// The 32 secret bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> ConsensusKey {
        let mut bytes = [ConsensusKey::ED25519; 33];
        bytes[1..].copy_from_slice(self.0.verifying_key().as_bytes());
        ConsensusKey(bytes)
    }

    /// Signs consensus bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for ConsensusSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConsensusSecretKey({})", self.public())
    }
}
