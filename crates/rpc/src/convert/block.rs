//! Blocks and headers as `eth_getBlockByNumber` shows them.

use super::transaction::{Place, rpc_transaction};
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rlp::{EMPTY_LIST_CODE, Encodable, Header as RlpHeader};
use alloy_rpc_types_eth::BlockTransactions;
use lian_types::{Block, Header, Transaction};

/// The JSON form of a header. The size is the whole block's, where the caller has it.
pub(crate) fn rpc_header(header: &Header, hash: B256, size: Option<usize>) -> alloy_rpc_types_eth::Header {
    alloy_rpc_types_eth::Header { hash, inner: header.clone(), total_difficulty: None, size: size.map(U256::from) }
}

/// The JSON form of a block, with whole transactions or with their hashes. `senders` are those of the transactions.
pub(crate) fn rpc_block(block: &Block, hash: B256, senders: &[Address], full: bool) -> alloy_rpc_types_eth::Block {
    let header = rpc_header(&block.header, hash, Some(block_length(block)));
    let transactions = if full {
        let shown = (0u64..).zip(block.transactions.iter().zip(senders)).map(|(index, (transaction, sender))| {
            rpc_transaction(transaction, *sender, Some(Place::new(&block.header, hash, index)))
        });
        BlockTransactions::Full(shown.collect())
    } else {
        BlockTransactions::Hashes(block.transactions.iter().map(|transaction| transaction.hash()).collect())
    };
    alloy_rpc_types_eth::Block::new(header, transactions).with_withdrawals(Some(Withdrawals::default()))
}

/// The block in Ethereum's own encoding: RLP of header, transactions, uncles and withdrawals; the last two are empty.
pub(crate) fn block_bytes(block: &Block) -> Bytes {
    let mut bytes = Vec::with_capacity(block_length(block));
    RlpHeader { list: true, payload_length: payload_length(block) }.encode(&mut bytes);
    block.header.encode(&mut bytes);
    RlpHeader { list: true, payload_length: transactions_length(block) }.encode(&mut bytes);
    for transaction in &block.transactions {
        if is_list(transaction) {
            bytes.extend_from_slice(transaction.encoded());
        } else {
            transaction.encoded().encode(&mut bytes);
        }
    }
    bytes.extend_from_slice(&[EMPTY_LIST_CODE, EMPTY_LIST_CODE]);
    bytes.into()
}

/// A legacy transaction is an RLP list and stands in a block as it is; a typed one stands there as a string (EIP-2718).
fn is_list(transaction: &Transaction) -> bool {
    transaction.encoded().first().is_some_and(|byte| *byte >= EMPTY_LIST_CODE)
}

fn transactions_length(block: &Block) -> usize {
    let length = |transaction: &Transaction| match is_list(transaction) {
        true => transaction.encoded().len(),
        false => transaction.encoded().length(),
    };
    block.transactions.iter().map(|transaction| length(transaction)).sum()
}

fn payload_length(block: &Block) -> usize {
    let transactions = transactions_length(block);
    let list = RlpHeader { list: true, payload_length: transactions }.length().saturating_add(transactions);
    block.header.length().saturating_add(list).saturating_add(2)
}

fn block_length(block: &Block) -> usize {
    let payload = payload_length(block);
    RlpHeader { list: true, payload_length: payload }.length().saturating_add(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{BlockBody, SignableTransaction, TxEip1559, TxEnvelope, TxLegacy};
    use alloy_primitives::Signature;
    use lian_types::{Epoch, Extension, Millis};
    use std::sync::Arc;

    fn block(count: u64) -> (Block, Vec<TxEnvelope>) {
        let signature = Signature::new(U256::from(1), U256::from(2), false);
        let envelope = |nonce: u64| -> TxEnvelope {
            let input = Bytes::from(vec![7; 40 * usize::try_from(nonce).unwrap()]);
            if nonce.is_multiple_of(2) {
                TxLegacy { chain_id: Some(1), nonce, input, ..Default::default() }.into_signed(signature).into()
            } else {
                TxEip1559 { chain_id: 1, nonce, input, ..Default::default() }.into_signed(signature).into()
            }
        };
        let envelopes: Vec<_> = (0..count).map(envelope).collect();
        let transactions = envelopes.iter().map(|e| Arc::new(Transaction::from_envelope(e).unwrap())).collect();
        let header = Header {
            number: 9,
            timestamp: 77,
            base_fee_per_gas: Some(0),
            withdrawals_root: Some(B256::ZERO),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: Some(B256::ZERO),
            ..Default::default()
        };
        let extension =
            Extension { version: 1, time: Millis(77_000), epoch: Epoch(0), members: B256::ZERO, skipped: vec![] };
        (Block { header, extension, transactions }, envelopes)
    }

    /// The reference is alloy's own encoding of a whole block.
    #[test]
    fn encodes_as_ethereum_does() {
        for count in [0, 1, 2, 9] {
            let (block, transactions) = block(count);
            let body = BlockBody { transactions, ommers: vec![], withdrawals: Some(Withdrawals::default()) };
            let reference = alloy_rlp::encode(alloy_consensus::Block { header: block.header.clone(), body });
            assert_eq!(block_bytes(&block), reference, "{count} transactions");
            assert_eq!(block_length(&block), reference.len(), "{count} transactions");
        }
    }

    #[test]
    fn shows_hashes_or_whole_transactions() {
        let (block, _) = block(2);
        let hash = block.header.hash_slow();
        let senders = [Address::repeat_byte(1), Address::repeat_byte(2)];
        let short = serde_json::to_value(rpc_block(&block, hash, &senders, false)).unwrap();
        assert_eq!(short["transactions"][1], block.transactions[1].hash().to_string());
        assert_eq!(short["baseFeePerGas"], "0x0");
        assert_eq!(short["number"], "0x9");
        assert_eq!(short["hash"], hash.to_string());
        assert_eq!(short["size"], format!("{:#x}", block_length(&block)));
        assert_eq!(short["withdrawals"], serde_json::json!([]));
        assert_eq!(short["uncles"], serde_json::json!([]));
        assert!(short.get("totalDifficulty").is_none());
        let full = serde_json::to_value(rpc_block(&block, hash, &senders, true)).unwrap();
        let transaction = &full["transactions"][1];
        assert_eq!(transaction["from"], senders[1].to_string().to_lowercase());
        assert_eq!(transaction["transactionIndex"], "0x1");
        assert_eq!(transaction["blockHash"], hash.to_string());
        assert_eq!(transaction["gasPrice"], "0x0");
    }
}
