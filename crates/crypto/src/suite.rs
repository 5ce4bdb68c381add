//! The algorithms of a chain.

use crate::{KnownKeys, VerifiedTransaction};
use alloy_primitives::{Address, B256, TxHash, U256, keccak256, uint};
use ed25519_dalek::VerifyingKey;
use lian_types::{ConsensusKey, Extension, Genesis, Header, Members, Proposal, ProposalDigest, Signature, Transaction};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use std::{fmt, str::FromStr, sync::Arc};

/// Half the order of secp256k1: a larger `s` is the malleable twin of a smaller one (EIP-2).
pub(crate) const SECP256K1_HALF_ORDER: U256 =
    uint!(0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0_U256);

/// A cryptographic suite: every choice of hash, signature, address and key format of a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Suite {
    /// Keccak-256, secp256k1 for transactions (Ethereum's formats), Ed25519 (RFC 8032) for consensus.
    #[default]
    Standard,
}

/// The name is not a suite's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown cryptographic suite `{0}` (known: standard)")]
pub struct UnknownSuite(pub String);

/// A consensus signature that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The key is not one of this suite's.
    #[error("{0} is not a consensus key of this chain's suite")]
    BadKey(ConsensusKey),
    /// The signature is not the key's over these bytes.
    #[error("signature does not match key {0}")]
    Mismatch(ConsensusKey),
}

/// Why no sender could be recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SenderError {
    /// `s` is above half the group's order: the malleable form (EIP-2).
    #[error("invalid sender: signature's s {0} is above half the curve order (EIP-2)")]
    HighS(U256),
    /// r, s and the parity name no public key.
    #[error("invalid sender: signature recovers no public key")]
    Unrecoverable,
}

impl Suite {
    /// The name in configuration files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
        }
    }

    /// The hash of the chain: of headers, tries, digests.
    #[must_use]
    pub fn hash(self, bytes: &[u8]) -> B256 {
        match self {
            Self::Standard => keccak256(bytes),
        }
    }

    /// A block's hash. On a standard chain it is Ethereum's.
    #[must_use]
    pub fn header_hash(self, header: &Header) -> B256 {
        self.hash(&alloy_rlp::encode(header))
    }

    /// The digest of a proposal (pbft §1).
    #[must_use]
    pub fn proposal_digest(self, proposal: &Proposal) -> ProposalDigest {
        ProposalDigest(self.hash(&proposal.digest_bytes()))
    }

    /// The digest of a block's extension, which is the header's `extraData`.
    #[must_use]
    pub fn extension_digest(self, extension: &Extension) -> B256 {
        self.hash(&extension.digest_bytes())
    }

    /// The digest that identifies a network.
    #[must_use]
    pub fn genesis_digest(self, genesis: &Genesis) -> B256 {
        self.hash(&genesis.digest_bytes())
    }

    /// The digest of a set of members, as a block's extension names it.
    #[must_use]
    pub fn members_digest(self, members: &Members) -> B256 {
        let mut bytes = b"lian/members/1".to_vec();
        for (_, member) in members.iter() {
            bytes.extend_from_slice(&member.key.0);
            bytes.extend_from_slice(member.address.as_slice());
        }
        self.hash(&bytes)
    }

    /// The address that a member's blocks name as `miner`: the last 20 bytes of the hash of its key.
    #[must_use]
    pub fn consensus_address(self, key: &ConsensusKey) -> Address {
        Address::from_word(self.hash(&key.0))
    }

    /// Checks that bytes are a consensus key of this suite with which signatures can be checked.
    ///
    /// # Errors
    /// [`SignatureError::BadKey`].
    pub fn check_key(self, key: &ConsensusKey) -> Result<(), SignatureError> {
        let is_weak = self.verifying_key(key)?.is_weak();
        if is_weak { Err(SignatureError::BadKey(*key)) } else { Ok(()) }
    }

    fn verifying_key(self, key: &ConsensusKey) -> Result<VerifyingKey, SignatureError> {
        let bad = || SignatureError::BadKey(*key);
        match (self, key.algorithm(), key.body().try_into()) {
            (Self::Standard, ConsensusKey::ED25519, Ok(bytes)) => VerifyingKey::from_bytes(bytes).map_err(|_| bad()),
            _ => Err(bad()),
        }
    }

    /// Checks a consensus signature. Ed25519 keys and signatures of small order are refused, so that all nodes agree.
    ///
    /// # Errors
    /// [`SignatureError`] names the key.
    pub fn verify(self, key: &ConsensusKey, message: &[u8], signature: &Signature) -> Result<(), SignatureError> {
        match self {
            Self::Standard => {
                let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
                self.verifying_key(key)?.verify_strict(message, &signature).map_err(|_| SignatureError::Mismatch(*key))
            }
        }
    }

    /// Recovers the sender of a transaction: the one expensive check of its life (about 57 µs), done once per node.
    ///
    /// # Errors
    /// [`SenderError`] for malleable and for impossible signatures.
    pub fn recover_sender(self, transaction: Arc<Transaction>) -> Result<VerifiedTransaction, SenderError> {
        match self {
            Self::Standard => {
                let envelope = transaction.as_ethereum();
                let sender = recover_address(envelope.signature_hash(), envelope.signature())?;
                Ok(VerifiedTransaction::new(transaction, sender))
            }
        }
    }

    /// Recovers the senders of transactions with what is known of keys. With each comes who a peer says the sender is.
    ///
    /// The outcome for each is that of [`Self::recover_sender`], whatever the hints. A hint at the right sender, whose key
    /// returned, saves more than half of the time; batches of 16 and more are the quickest.
    pub fn recover_senders(
        self,
        known: &KnownKeys,
        batch: Vec<(Arc<Transaction>, Option<Address>)>,
    ) -> Vec<Result<VerifiedTransaction, (TxHash, SenderError)>> {
        match self {
            Self::Standard => known.recover_senders(batch),
        }
    }

    /// Recovers the account whose key made a signature over a digest, by the same rules.
    ///
    /// # Errors
    /// [`SenderError`] for malleable and for impossible signatures.
    pub fn recover_signer(self, digest: B256, signature: &alloy_primitives::Signature) -> Result<Address, SenderError> {
        match self {
            Self::Standard => recover_address(digest, signature),
        }
    }
}

/// The address whose key made a secp256k1 signature over `hash`, with Ethereum's rule against malleability.
fn recover_address(hash: B256, signature: &alloy_primitives::Signature) -> Result<Address, SenderError> {
    recover_key(hash, signature).map(|key| key_address(&key))
}

/// The address of a secp256k1 key.
pub(crate) fn key_address(key: &[u8; 64]) -> Address {
    Address::from_raw_public_key(key)
}

/// The key that made a secp256k1 signature over `hash`, as x and y, with Ethereum's rule against malleability.
pub(crate) fn recover_key(hash: B256, signature: &alloy_primitives::Signature) -> Result<[u8; 64], SenderError> {
    if signature.s() > SECP256K1_HALF_ORDER {
        return Err(SenderError::HighS(signature.s()));
    }
    let mut bytes = [0u8; 64];
    let (left, right) = bytes.split_at_mut(32);
    left.copy_from_slice(&signature.r().to_be_bytes::<32>());
    right.copy_from_slice(&signature.s().to_be_bytes::<32>());
    let id = if signature.v() { RecoveryId::One } else { RecoveryId::Zero };
    let signature = RecoverableSignature::from_compact(&bytes, id).map_err(|_| SenderError::Unrecoverable)?;
    let message = secp256k1::Message::from_digest(hash.0);
    let key = secp256k1::SECP256K1.recover_ecdsa(message, &signature).map_err(|_| SenderError::Unrecoverable)?;
    let [_, key @ ..] = key.serialize_uncompressed();
    Ok(key)
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Suite {
    type Err = UnknownSuite;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "standard" => Ok(Self::Standard),
            _ => Err(UnknownSuite(name.chars().take(40).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConsensusSecretKey;
    use alloy_primitives::{Bytes, address, hex};

    /// The signed example transaction of EIP-155.
    #[test]
    fn recovers_the_sender_of_eip_155s_example() {
        let raw = Bytes::from_static(&hex!(
            "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
        ));
        let transaction = Arc::new(Transaction::decode(raw).unwrap());
        let verified = Suite::Standard.recover_sender(transaction).unwrap();
        assert_eq!(verified.sender(), address!("9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F"));
    }

    #[test]
    fn refuses_the_malleable_twin() {
        let order = SECP256K1_HALF_ORDER * U256::from(2) + U256::from(1);
        let recover = |r, s| recover_address(B256::repeat_byte(1), &alloy_primitives::Signature::new(r, s, false));
        let twin = order - U256::from(1);
        assert_eq!(recover(U256::from(1), twin), Err(SenderError::HighS(twin)));
        assert_eq!(recover(U256::ZERO, U256::from(1)), Err(SenderError::Unrecoverable));
    }

    /// RFC 8032 §7.1, test 2.
    #[test]
    fn verifies_rfc_8032() {
        let secret = hex!("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let expected = hex!(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
        let key = ConsensusSecretKey::from_bytes(Suite::Standard, &secret);
        let signature = key.sign(&[0x72]);
        assert_eq!(signature.0, expected);
        assert_eq!(Suite::Standard.verify(&key.public(), &[0x72], &signature), Ok(()));
        assert_eq!(
            Suite::Standard.verify(&key.public(), &[0x73], &signature),
            Err(SignatureError::Mismatch(key.public()))
        );
    }
}
