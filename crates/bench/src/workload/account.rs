//! Accounts that sign the transactions of a load.

use super::Call;
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxHash, TxKind, U256, hex, keccak256};
use anyhow::{Context, Result};
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};

/// An account that signs transactions of the load.
#[derive(Clone)]
pub struct Account {
    secret: SecretKey,
    /// Its address.
    pub address: Address,
}

/// A signed transaction.
#[derive(Clone, Debug)]
pub struct Signed {
    /// Its hash.
    pub hash: TxHash,
    /// Its bytes.
    pub raw: Bytes,
}

/// The chain that transactions are signed for, and what it wants to be paid for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Its chain id.
    pub chain_id: u64,
    /// How its transactions are priced.
    pub pricing: Pricing,
}

/// How transactions are priced, in wei for a unit of gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pricing {
    /// Type 0, for chains without a base fee.
    Legacy {
        /// The price.
        gas_price: u128,
    },
    /// Type 2 (EIP-1559).
    Dynamic {
        /// The most that may be paid, base fee and all.
        max_fee: u128,
        /// What the block's proposer gets of it.
        priority_fee: u128,
    },
}

impl Pricing {
    /// What costs nothing, as on Lian.
    pub const FREE: Self = Self::Dynamic { max_fee: 0, priority_fee: 0 };

    /// The most that a unit of gas may cost, in wei.
    #[must_use]
    pub const fn max_price(&self) -> u128 {
        match self {
            Self::Legacy { gas_price } => *gas_price,
            Self::Dynamic { max_fee, .. } => *max_fee,
        }
    }
}

impl Account {
    /// The account of a private key in hexadecimal.
    ///
    /// # Errors
    /// Where the text is no key.
    pub fn from_hex(key: &str) -> Result<Self> {
        let bytes: [u8; 32] =
            hex::decode(key).ok().and_then(|bytes| bytes.try_into().ok()).context("not a private key")?;
        Self::new(bytes)
    }

    fn new(bytes: [u8; 32]) -> Result<Self> {
        let secret = SecretKey::from_byte_array(bytes).context("not a private key")?;
        let public = PublicKey::from_secret_key(SECP256K1, &secret).serialize_uncompressed();
        let address = Address::from_raw_public_key(public.get(1..).unwrap_or_default());
        Ok(Self { secret, address })
    }

    /// Account `index` of a load with a seed: the same in every run, so that a network can be loaded again.
    ///
    /// # Errors
    /// Never in practice: a hash is a key but for one in 2^128.
    pub fn numbered(seed: u64, index: u64) -> Result<Self> {
        Self::new(keccak256([seed.to_be_bytes(), index.to_be_bytes()].concat()).0)
    }

    /// Signs a transaction that moves so many wei and costs nothing.
    #[must_use]
    pub fn sign(&self, chain_id: u64, nonce: u64, gas_limit: u64, to: TxKind, value: U256, input: Bytes) -> Signed {
        let terms = Terms { chain_id, pricing: Pricing::FREE };
        self.sign_call(&terms, nonce, Call { to, value, input, gas_limit })
    }

    /// Signs what a transaction is to do, on a chain's terms.
    #[must_use]
    pub fn sign_call(&self, terms: &Terms, nonce: u64, call: Call) -> Signed {
        let Call { to, value, input, gas_limit } = call;
        let chain_id = terms.chain_id;
        let envelope: TxEnvelope = match terms.pricing {
            Pricing::Legacy { gas_price } => {
                let chain_id = Some(chain_id);
                let transaction = TxLegacy { chain_id, nonce, gas_price, gas_limit, to, value, input };
                let signature = self.signature(transaction.signature_hash());
                transaction.into_signed(signature).into()
            }
            Pricing::Dynamic { max_fee, priority_fee } => {
                let transaction = TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    to,
                    value,
                    input,
                    max_fee_per_gas: max_fee,
                    max_priority_fee_per_gas: priority_fee,
                    ..Default::default()
                };
                let signature = self.signature(transaction.signature_hash());
                transaction.into_signed(signature).into()
            }
        };
        Signed { hash: *envelope.tx_hash(), raw: envelope.encoded_2718().into() }
    }

    fn signature(&self, digest: B256) -> Signature {
        let message = Message::from_digest(digest.0);
        let (id, bytes) = SECP256K1.sign_ecdsa_recoverable(message, &self.secret).serialize_compact();
        Signature::from_bytes_and_parity(&bytes, i32::from(id) == 1)
    }
}
