//! Workloads: accounts, contracts, and transactions signed beforehand.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxHash, TxKind, U256, keccak256};
use anyhow::{Context, Result};
use rayon::prelude::*;
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};

/// The OpenZeppelin ERC-20 that `contracts/` compiles.
const TOKEN_ARTIFACT: &str = include_str!("../../../contracts/artifacts/LianToken.json");
/// `transfer(address,uint256)`.
const TRANSFER: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];
/// `balanceOf(address)`.
const BALANCE_OF: [u8; 4] = [0x70, 0xa0, 0x82, 0x31];
/// Gas for one transfer of the token, in units of gas: 51,000 to a new holder, with room.
pub const TRANSFER_GAS: u64 = 80_000;
/// Gas for the deployment of the token, in units of gas.
pub const DEPLOY_GAS: u64 = 2_000_000;
/// The token's whole supply, in its smallest unit.
pub const SUPPLY: u128 = 1_000_000_000_000_000_000_000_000;

/// An account that signs transactions of the load.
#[derive(Clone)]
pub struct Account {
    secret: SecretKey,
    /// Its address.
    pub address: Address,
}

impl Account {
    /// The account of a private key in hexadecimal.
    ///
    /// # Errors
    /// Where the text is no key.
    pub fn from_hex(key: &str) -> Result<Self> {
        let bytes: [u8; 32] = B256::from_slice(&alloy_primitives::hex::decode(key).context("not a private key")?).0;
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
    ///
    /// # Errors
    /// Where the curve refuses the key, which cannot happen after [`Account::new`].
    pub fn sign(
        &self,
        chain_id: u64,
        nonce: u64,
        gas_limit: u64,
        to: TxKind,
        value: U256,
        input: Bytes,
    ) -> Result<Signed> {
        let transaction = TxEip1559 { chain_id, nonce, gas_limit, to, value, input, ..Default::default() };
        let message = Message::from_digest(transaction.signature_hash().0);
        let (id, bytes) = SECP256K1.sign_ecdsa_recoverable(message, &self.secret).serialize_compact();
        let signature = Signature::from_bytes_and_parity(&bytes, i32::from(id) == 1);
        let envelope: TxEnvelope = transaction.into_signed(signature).into();
        Ok(Signed { hash: *envelope.tx_hash(), raw: envelope.encoded_2718().into() })
    }
}

/// A signed transaction.
#[derive(Clone, Debug)]
pub struct Signed {
    /// Its hash.
    pub hash: TxHash,
    /// Its bytes.
    pub raw: Bytes,
}

/// The creation code of the token with its constructor's arguments.
///
/// # Errors
/// Where the artifact that was compiled in is damaged.
pub fn token_creation() -> Result<Bytes> {
    let artifact: serde_json::Value = serde_json::from_str(TOKEN_ARTIFACT)?;
    let code = artifact["bytecode"].as_str().context("LianToken.json has no bytecode")?;
    let mut bytes = alloy_primitives::hex::decode(code)?;
    // (string name, string symbol, uint256 supply): two offsets and a number, then two short strings.
    for word in [U256::from(96), U256::from(160), U256::from(SUPPLY)] {
        bytes.extend_from_slice(&word.to_be_bytes::<32>());
    }
    for text in [b"Bench", b"BENCH"] {
        bytes.extend_from_slice(&U256::from(text.len()).to_be_bytes::<32>());
        let mut word = [0; 32];
        word[..text.len()].copy_from_slice(text);
        bytes.extend_from_slice(&word);
    }
    Ok(bytes.into())
}

/// Call data of `transfer(to, amount)`.
#[must_use]
pub fn transfer(to: Address, amount: u128) -> Bytes {
    [&TRANSFER[..], to.into_word().as_slice(), &U256::from(amount).to_be_bytes::<32>()].concat().into()
}

/// Call data of `balanceOf(holder)`.
#[must_use]
pub fn balance_of(holder: Address) -> Bytes {
    [&BALANCE_OF[..], holder.into_word().as_slice()].concat().into()
}

/// Signs one transfer of one unit for each of `count` turns: account `i mod n` pays account `7 i + 1 mod n`, so that
/// senders come back after n turns and pairs do not repeat soon. `nonces` are the accounts' next ones and move on.
///
/// # Errors
/// As [`Account::sign`].
pub fn sign_transfers(
    accounts: &[Account],
    nonces: &mut [u64],
    chain_id: u64,
    token: Address,
    count: usize,
) -> Result<Vec<Signed>> {
    let n = accounts.len().max(1);
    let mut plan = Vec::with_capacity(count);
    for turn in 0..count {
        let from = turn % n;
        let to = turn.wrapping_mul(7).wrapping_add(turn / n).wrapping_add(1) % n;
        let (Some(payer), Some(payee), Some(nonce)) = (accounts.get(from), accounts.get(to), nonces.get_mut(from))
        else {
            continue;
        };
        plan.push((payer, payee.address, *nonce));
        *nonce += 1;
    }
    plan.into_par_iter()
        .map(|(payer, payee, nonce)| {
            payer.sign(chain_id, nonce, TRANSFER_GAS, TxKind::Call(token), U256::ZERO, transfer(payee, 1))
        })
        .collect()
}
