//! Signatures that are known to hold.

use crate::{ConsensusSecretKey, SignatureError, Suite};
use alloy_primitives::{B256, keccak256};
use lian_types::{ConsensusKey, Signature};
use std::{
    collections::HashSet,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Remembers consensus signatures that were found to hold, or that were made here, so that each is checked once.
///
/// A view change is why: its certificates carry votes that each member has checked before, every view-change carries much
/// the same ones, and the new view carries all view-changes once more.
///
/// What is remembered is a collision-resistant hash over key, signature and message, so nothing passes that would not hold.
/// Threads may share it.
#[derive(Debug)]
pub struct CheckedSignatures {
    held: Mutex<Generations>,
}

/// The hashes of two generations. When the younger one is full the older one is forgotten: what is used at times stays.
#[derive(Debug, Default)]
struct Generations {
    young: HashSet<B256>,
    old: HashSet<B256>,
}

/// Hashes in one generation. A window of 64 heights of 128 members has 16,384 votes; two generations take 4 MiB.
const GENERATION_MAX: usize = 32_768;

impl Default for CheckedSignatures {
    fn default() -> Self {
        Self::new()
    }
}

impl CheckedSignatures {
    /// Knows none yet.
    #[must_use]
    pub fn new() -> Self {
        Self { held: Mutex::default() }
    }

    /// Checks a signature as [`Suite::verify`] does, unless it is known to hold.
    ///
    /// # Errors
    /// [`SignatureError`] names the key.
    pub fn verify(
        &self,
        suite: Suite,
        key: &ConsensusKey,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        let hash = hash(key, message, signature);
        if self.lock().knows(&hash) {
            return Ok(());
        }
        suite.verify(key, message, signature)?;
        self.lock().remember(hash);
        Ok(())
    }

    /// Signs, and knows from then on that the signature holds.
    #[must_use]
    pub fn sign(&self, key: &ConsensusSecretKey, message: &[u8]) -> Signature {
        let signature = key.sign(message);
        self.lock().remember(hash(&key.public(), message, &signature));
        signature
    }

    /// Nothing panics while it is locked; were it so, the sets would still be whole.
    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn knows(&mut self, hash: &B256) -> bool {
        if self.young.contains(hash) {
            return true;
        }
        let is_old = self.old.contains(hash);
        if is_old {
            self.remember(*hash);
        }
        is_old
    }

    fn remember(&mut self, hash: B256) {
        if self.young.len() >= GENERATION_MAX {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(hash);
    }
}

/// Key and signature have fixed lengths, so that no two triples have the same bytes.
fn hash(key: &ConsensusKey, message: &[u8], signature: &Signature) -> B256 {
    let mut bytes = Vec::with_capacity(message.len().saturating_add(key.0.len()).saturating_add(signature.0.len()));
    bytes.extend_from_slice(&key.0);
    bytes.extend_from_slice(&signature.0);
    bytes.extend_from_slice(message);
    keccak256(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUITE: Suite = Suite::Standard;

    fn key(i: u8) -> ConsensusSecretKey {
        ConsensusSecretKey::from_bytes(SUITE, &[i; 32])
    }

    #[test]
    fn only_the_very_same_signature_is_known() {
        let checked = CheckedSignatures::new();
        let (key, other) = (key(1), key(2));
        let signature = checked.sign(&key, b"vote");
        let verify = |key: &ConsensusSecretKey, message: &[u8], signature: &Signature| {
            checked.verify(SUITE, &key.public(), message, signature)
        };
        let mut changed = signature;
        changed.0[63] ^= 1;
        for _ in 0..2 {
            assert_eq!(verify(&key, b"vote", &signature), Ok(()));
            assert_eq!(verify(&key, b"vote!", &signature), Err(SignatureError::Mismatch(key.public())));
            assert_eq!(verify(&other, b"vote", &signature), Err(SignatureError::Mismatch(other.public())));
            assert_eq!(verify(&key, b"vote", &changed), Err(SignatureError::Mismatch(key.public())));
        }
        let theirs = other.sign(b"vote");
        assert_eq!(verify(&other, b"vote", &theirs), Ok(()));
        assert!(checked.lock().knows(&hash(&other.public(), b"vote", &theirs)), "what was checked is known");
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let mut held = Generations::default();
        let used = B256::repeat_byte(0xff);
        held.remember(used);
        for i in 0..5 * GENERATION_MAX {
            held.remember(B256::from(alloy_primitives::U256::from(i)));
            if i % (GENERATION_MAX / 2) == 0 {
                assert!(held.knows(&used), "after {i}");
            }
        }
        assert!(held.young.len() + held.old.len() <= 2 * GENERATION_MAX);
        assert!(!held.knows(&B256::ZERO), "what is not used is forgotten");
    }
}
