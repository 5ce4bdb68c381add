//! Transactions: Ethereum's types 0, 1, 2 and 4, with room for further families.

use crate::limits::TRANSACTION_BYTES_MAX;
use alloy_consensus::{Transaction as _, TxEnvelope};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Bytes, TxHash};
use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;

/// The family of a transaction and its fields. A second family (FISCO BCOS 2's RLP form) becomes a second variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransactionKind {
    /// EIP-2718 types 0, 1, 2 and 4; never a blob transaction.
    Ethereum(TxEnvelope),
}

/// A well-formed, signed transaction with its encoding and hash. Its signature has not been checked.
#[derive(Clone)]
pub struct Transaction {
    kind: TransactionKind,
    hash: TxHash,
    encoded: Bytes,
}

/// Why the bytes of a transaction were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// Larger than [`TRANSACTION_BYTES_MAX`].
    #[error("oversized data: transaction of {actual} bytes exceeds the limit of {TRANSACTION_BYTES_MAX}")]
    TooLong {
        /// The length seen, in bytes.
        actual: usize,
    },
    /// Not a valid encoding.
    #[error("rlp: malformed transaction: {reason}")]
    Malformed {
        /// What the decoder said.
        reason: String,
    },
    /// A type that Lian does not run.
    #[error("transaction type not supported: {type_id} (supported: 0, 1, 2 and 4)")]
    UnsupportedType {
        /// EIP-2718's type byte.
        type_id: u8,
    },
    /// A legacy transaction without chain id (before EIP-155) could be replayed on another group.
    #[error("only replay-protected (EIP-155) transactions allowed: the signature names no chain id")]
    NotReplayProtected,
}

impl Transaction {
    /// Reads the canonical EIP-2718 bytes, as `eth_sendRawTransaction` takes them.
    ///
    /// # Errors
    /// [`TransactionError`] for oversized, malformed and trailing bytes, unsupported types and missing chain ids.
    pub fn decode(encoded: Bytes) -> Result<Self, TransactionError> {
        if encoded.len() > TRANSACTION_BYTES_MAX {
            return Err(TransactionError::TooLong { actual: encoded.len() });
        }
        match encoded.first() {
            Some(&type_id) if type_id <= 0x7f && !matches!(type_id, 1 | 2 | 4) => {
                return Err(TransactionError::UnsupportedType { type_id });
            }
            _ => {}
        }
        let mut rest = encoded.as_ref();
        let envelope = TxEnvelope::decode_2718(&mut rest)
            .map_err(|error| TransactionError::Malformed { reason: error.to_string() })?;
        if !rest.is_empty() {
            let reason = format!("{} bytes follow the transaction", rest.len());
            return Err(TransactionError::Malformed { reason });
        }
        if envelope.chain_id().is_none() {
            return Err(TransactionError::NotReplayProtected);
        }
        let hash = *envelope.tx_hash();
        Ok(Self { kind: TransactionKind::Ethereum(envelope), hash, encoded })
    }

    /// Wraps a signed Ethereum transaction made in this process.
    ///
    /// # Errors
    /// As [`Transaction::decode`].
    pub fn from_envelope(envelope: &TxEnvelope) -> Result<Self, TransactionError> {
        Self::decode(envelope.encoded_2718().into())
    }

    /// The family and fields.
    #[must_use]
    pub const fn kind(&self) -> &TransactionKind {
        &self.kind
    }

    /// The Ethereum transaction.
    #[must_use]
    pub const fn as_ethereum(&self) -> &TxEnvelope {
        let TransactionKind::Ethereum(envelope) = &self.kind;
        envelope
    }

    /// The hash that names it everywhere.
    #[must_use]
    pub const fn hash(&self) -> TxHash {
        self.hash
    }

    /// Its canonical bytes.
    #[must_use]
    pub const fn encoded(&self) -> &Bytes {
        &self.encoded
    }

    /// The sender's transaction count that it needs.
    #[must_use]
    pub fn nonce(&self) -> u64 {
        self.as_ethereum().nonce()
    }

    /// The most gas it may use, in units of gas.
    #[must_use]
    pub fn gas_limit(&self) -> u64 {
        self.as_ethereum().gas_limit()
    }

    /// The EIP-155 chain id that it names.
    #[must_use]
    pub fn chain_id(&self) -> u64 {
        self.as_ethereum().chain_id().unwrap_or(0)
    }
}

impl PartialEq for Transaction {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for Transaction {}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transaction({})", self.hash)
    }
}

impl BorshSerialize for Transaction {
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        self.encoded.as_ref().serialize(writer)
    }
}

impl BorshDeserialize for Transaction {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let bytes = crate::codec::read_bytes(reader, "transaction", TRANSACTION_BYTES_MAX)?;
        Self::decode(bytes.into()).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{SignableTransaction, TxEip1559, TxLegacy};
    use alloy_primitives::{Signature, U256};
    use proptest::prelude::*;

    fn signed(tx: TxEip1559) -> TxEnvelope {
        tx.into_signed(Signature::new(U256::from(1), U256::from(2), false)).into()
    }

    #[test]
    fn round_trips() {
        let envelope = signed(TxEip1559 { chain_id: 20_200, nonce: 3, gas_limit: 21_000, ..Default::default() });
        let transaction = Transaction::from_envelope(&envelope).unwrap();
        assert_eq!((transaction.nonce(), transaction.gas_limit(), transaction.chain_id()), (3, 21_000, 20_200));
        assert_eq!(transaction.hash(), *envelope.tx_hash());
        let back: Transaction = borsh::from_slice(&borsh::to_vec(&transaction).unwrap()).unwrap();
        assert_eq!(back.encoded(), transaction.encoded());
    }

    #[test]
    fn refuses_what_lian_does_not_run() {
        let legacy: TxEnvelope =
            TxLegacy::default().into_signed(Signature::new(U256::from(1), U256::from(2), false)).into();
        assert_eq!(Transaction::from_envelope(&legacy), Err(TransactionError::NotReplayProtected));
        assert_eq!(
            Transaction::decode(Bytes::from_static(&[3, 0xc0])),
            Err(TransactionError::UnsupportedType { type_id: 3 })
        );
        let mut trailing = signed(TxEip1559::default()).encoded_2718();
        trailing.push(0);
        let error = Transaction::decode(trailing.into()).unwrap_err();
        assert_eq!(error.to_string(), "rlp: malformed transaction: 1 bytes follow the transaction");
        let large = Bytes::from(vec![2; TRANSACTION_BYTES_MAX + 1]);
        assert_eq!(Transaction::decode(large), Err(TransactionError::TooLong { actual: TRANSACTION_BYTES_MAX + 1 }));
    }

    proptest! {
        #[test]
        fn decode_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Transaction::decode(bytes.into());
        }
    }
}
