//! Transactions as `eth_getTransactionByHash` shows them.

use super::GAS_PRICE;
use alloy_consensus::transaction::Recovered;
use alloy_primitives::{Address, B256};
use lian_types::{Header, Transaction};

/// Where a final transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) block_hash: B256,
    pub(crate) block_number: u64,
    pub(crate) block_timestamp: u64,
    /// The position in the block, from 0.
    pub(crate) index: u64,
}

impl Place {
    pub(crate) const fn new(header: &Header, hash: B256, index: u64) -> Self {
        Self { block_hash: hash, block_number: header.number, block_timestamp: header.timestamp, index }
    }
}

/// The JSON form; without a place the transaction is pending.
pub(crate) fn rpc_transaction(
    transaction: &Transaction,
    sender: Address,
    place: Option<Place>,
) -> alloy_rpc_types_eth::Transaction {
    alloy_rpc_types_eth::Transaction {
        inner: Recovered::new_unchecked(transaction.as_ethereum().clone(), sender),
        block_hash: place.map(|place| place.block_hash),
        block_number: place.map(|place| place.block_number),
        transaction_index: place.map(|place| place.index),
        // Types 0 and 1 show the price that was signed; the others have no such field and show what was paid.
        effective_gas_price: Some(GAS_PRICE),
        block_timestamp: place.map(|place| place.block_timestamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope, TxLegacy};
    use alloy_primitives::{Signature, TxKind, U256};
    use expect_test::expect;

    fn shown(envelope: &TxEnvelope, place: Option<Place>) -> String {
        let transaction = Transaction::from_envelope(envelope).unwrap();
        let json = rpc_transaction(&transaction, Address::repeat_byte(1), place);
        serde_json::to_string_pretty(&serde_json::to_value(json).unwrap()).unwrap()
    }

    #[test]
    fn a_final_transaction_of_type_2() {
        let transaction =
            TxEip1559 { chain_id: 20_200, nonce: 1, gas_limit: 21_000, max_fee_per_gas: 9, ..Default::default() };
        let envelope = transaction.into_signed(Signature::new(U256::from(1), U256::from(2), true)).into();
        let place = Place { block_hash: B256::repeat_byte(3), block_number: 4, block_timestamp: 5, index: 6 };
        expect![[r#"
            {
              "accessList": [],
              "blockHash": "0x0303030303030303030303030303030303030303030303030303030303030303",
              "blockNumber": "0x4",
              "blockTimestamp": "0x5",
              "chainId": "0x4ee8",
              "from": "0x0101010101010101010101010101010101010101",
              "gas": "0x5208",
              "gasPrice": "0x0",
              "hash": "0xe00ac9bd4c8bb12a7181a7e3b1f2a35aa43201884c0de2b6e985e17b172e72a1",
              "input": "0x",
              "maxFeePerGas": "0x9",
              "maxPriorityFeePerGas": "0x0",
              "nonce": "0x1",
              "r": "0x1",
              "s": "0x2",
              "to": null,
              "transactionIndex": "0x6",
              "type": "0x2",
              "v": "0x1",
              "value": "0x0",
              "yParity": "0x1"
            }"#]]
        .assert_eq(&shown(&envelope, Some(place)));
    }

    #[test]
    fn a_pending_transaction_of_type_0() {
        let to = TxKind::Call(Address::repeat_byte(2));
        let transaction =
            TxLegacy { chain_id: Some(20_200), gas_price: 7, gas_limit: 21_000, to, ..Default::default() };
        let envelope = transaction.into_signed(Signature::new(U256::from(1), U256::from(2), true)).into();
        expect![[r#"
            {
              "blockHash": null,
              "blockNumber": null,
              "chainId": "0x4ee8",
              "from": "0x0101010101010101010101010101010101010101",
              "gas": "0x5208",
              "gasPrice": "0x7",
              "hash": "0xdaaf0b694c44d0a346ef5a8eeb1223956f4bcee066e0c51ca2eb86c4d59b0201",
              "input": "0x",
              "nonce": "0x0",
              "r": "0x1",
              "s": "0x2",
              "to": "0x0202020202020202020202020202020202020202",
              "transactionIndex": null,
              "type": "0x0",
              "v": "0x9df4",
              "value": "0x0"
            }"#]]
        .assert_eq(&shown(&envelope, None));
    }
}
