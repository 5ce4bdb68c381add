//! A network of one node with one funded account.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use lian_crypto::{ConsensusSecretKey, Suite, VerifiedTransaction};
use lian_types::{
    ConsensusParameters, Genesis, GenesisAccount, GroupGenesis, GroupId, Institution, Millis, NodeEntry, Transaction,
    limits,
};
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};
use std::{collections::BTreeMap, sync::Arc};

pub(crate) const SUITE: Suite = Suite::Standard;
pub(crate) const CHAIN_ID: u64 = 20_200;

pub(crate) fn key() -> ConsensusSecretKey {
    ConsensusSecretKey::from_bytes(SUITE, &[7; 32])
}

fn secret() -> SecretKey {
    SecretKey::from_byte_array([9; 32]).unwrap()
}

pub(crate) fn account() -> Address {
    let public = PublicKey::from_secret_key(SECP256K1, &secret()).serialize_uncompressed();
    Address::from_raw_public_key(&public[1..])
}

pub(crate) fn genesis() -> Genesis {
    let account_state = GenesisAccount { balance: U256::from(1_000_000), ..GenesisAccount::default() };
    Genesis {
        version: 1,
        suite: SUITE.name().into(),
        certificate_authorities: vec![],
        institutions: vec![Institution { name: "bank0".into() }],
        nodes: vec![NodeEntry { name: "node0".into(), institution: "bank0".into(), consensus_key: key().public() }],
        groups: vec![GroupGenesis {
            group: GroupId(0),
            chain_id: CHAIN_ID,
            time: Millis(0),
            block_gas_limit: limits::BLOCK_GAS_LIMIT_DEFAULT,
            consensus: ConsensusParameters::default(),
            sealers: vec!["node0".into()],
            operators: vec![],
            committee: None,
            protocol_version: 0,
            accounts: BTreeMap::from([(account(), account_state)]),
        }],
    }
}

/// A signed transfer of one wei.
pub(crate) fn transfer(nonce: u64) -> Bytes {
    signed(TxEip1559 { nonce, gas_limit: 21_000, ..TxEip1559::default() })
}

/// A signed transfer of one wei with this nonce, gas limit and input.
pub(crate) fn signed(transaction: TxEip1559) -> Bytes {
    let to = TxKind::Call(Address::repeat_byte(5));
    sign(TxEip1559 { to, value: U256::from(1), ..transaction })
}

/// The same transaction, signed for the chain.
pub(crate) fn sign(transaction: TxEip1559) -> Bytes {
    let transaction = TxEip1559 { chain_id: CHAIN_ID, ..transaction };
    let message = Message::from_digest(transaction.signature_hash().0);
    let (id, bytes) = SECP256K1.sign_ecdsa_recoverable(message, &secret()).serialize_compact();
    let signature = Signature::from_bytes_and_parity(&bytes, i32::from(id) == 1);
    let envelope: TxEnvelope = transaction.into_signed(signature).into();
    Transaction::from_envelope(&envelope).unwrap().encoded().clone()
}

pub(crate) fn verified(raw: Bytes) -> Arc<VerifiedTransaction> {
    let transaction = Arc::new(Transaction::decode(raw).unwrap());
    Arc::new(SUITE.recover_sender(transaction).unwrap())
}
