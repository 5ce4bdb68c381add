//! Receipts and logs as `eth_getTransactionReceipt` and `eth_getLogs` show them.

use super::GAS_PRICE;
use alloy_consensus::{
    Eip658Value, Receipt as EthereumReceipt, ReceiptEnvelope, ReceiptWithBloom, Transaction as _, TxType,
};
use alloy_primitives::{Address, B256, TxKind};
use alloy_rpc_types_eth::{Log, TransactionReceipt};
use lian_types::{Block, Receipt};

/// The JSON form of all receipts of a block.
pub(crate) fn block_receipts(
    block: &Block,
    hash: B256,
    senders: &[Address],
    receipts: &[Receipt],
) -> Vec<TransactionReceipt> {
    (0..receipts.len()).filter_map(|index| one_receipt(block, hash, senders, receipts, index)).collect()
}

/// The JSON form of the receipt at a position, from 0.
pub(crate) fn one_receipt(
    block: &Block,
    hash: B256,
    senders: &[Address],
    receipts: &[Receipt],
    index: usize,
) -> Option<TransactionReceipt> {
    let (transaction, sender, receipt) = (block.transactions.get(index)?, *senders.get(index)?, receipts.get(index)?);
    let first_log = receipts.iter().take(index).map(|receipt| receipt.logs.len()).sum();
    let logs = receipt_logs(block, hash, receipt, index, first_log).collect();
    let status = Eip658Value::Eip658(receipt.success);
    let body = EthereumReceipt { status, cumulative_gas_used: receipt.cumulative_gas_used, logs };
    let with_bloom = ReceiptWithBloom { receipt: body, logs_bloom: receipt.bloom() };
    let envelope = transaction.as_ethereum();
    let (to, contract_address) = match envelope.kind() {
        TxKind::Call(to) => (Some(to), None),
        TxKind::Create => (None, Some(sender.create(transaction.nonce()))),
    };
    Some(TransactionReceipt {
        inner: ReceiptEnvelope::from_typed(TxType::try_from(receipt.transaction_type).ok()?, with_bloom),
        transaction_hash: transaction.hash(),
        transaction_index: u64::try_from(index).ok(),
        block_hash: Some(hash),
        block_number: Some(block.header.number),
        gas_used: receipt.gas_used,
        effective_gas_price: GAS_PRICE,
        blob_gas_used: None,
        blob_gas_price: None,
        from: sender,
        to,
        contract_address,
    })
}

/// The JSON form of every log of a block, in order.
pub(crate) fn block_logs<'a>(block: &'a Block, hash: B256, receipts: &'a [Receipt]) -> impl Iterator<Item = Log> + 'a {
    let mut first_log = 0usize;
    receipts.iter().enumerate().flat_map(move |(index, receipt)| {
        let first = first_log;
        first_log = first.saturating_add(receipt.logs.len());
        receipt_logs(block, hash, receipt, index, first)
    })
}

/// The logs of one receipt; `first_log` is the number of logs before it in the block.
fn receipt_logs<'a>(
    block: &'a Block,
    hash: B256,
    receipt: &'a Receipt,
    index: usize,
    first_log: usize,
) -> impl Iterator<Item = Log> + 'a {
    let transaction_hash = block.transactions.get(index).map(|transaction| transaction.hash());
    receipt.logs.iter().enumerate().map(move |(position, log)| Log {
        inner: log.clone(),
        block_hash: Some(hash),
        block_number: Some(block.header.number),
        block_timestamp: Some(block.header.timestamp),
        transaction_hash,
        transaction_index: u64::try_from(index).ok(),
        log_index: u64::try_from(first_log.saturating_add(position)).ok(),
        removed: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
    use alloy_primitives::{LogData, Signature, U256};
    use expect_test::expect;
    use lian_types::{Epoch, Extension, Header, Millis, Transaction};
    use std::sync::Arc;

    fn block_of_two() -> (Block, Vec<Receipt>) {
        let signature = Signature::new(U256::from(1), U256::from(2), false);
        let transaction = |nonce, to| {
            let envelope: TxEnvelope =
                TxEip1559 { chain_id: 1, nonce, to, ..Default::default() }.into_signed(signature).into();
            Arc::new(Transaction::from_envelope(&envelope).unwrap())
        };
        let transactions = vec![transaction(0, TxKind::Create), transaction(1, TxKind::Call(Address::repeat_byte(9)))];
        let extension =
            Extension { version: 1, time: Millis(5_000), epoch: Epoch(0), members: B256::ZERO, skipped: vec![] };
        let header = Header { number: 3, timestamp: 5, ..Default::default() };
        let log = |byte| alloy_primitives::Log {
            address: Address::repeat_byte(byte),
            data: LogData::new_unchecked(vec![B256::repeat_byte(byte)], vec![byte].into()),
        };
        let receipt =
            |success, gas, logs| Receipt { transaction_type: 2, success, gas_used: 10, cumulative_gas_used: gas, logs };
        let receipts = vec![receipt(true, 10, vec![log(1), log(2)]), receipt(true, 20, vec![log(3)])];
        (Block { header, extension, transactions }, receipts)
    }

    #[test]
    fn receipts_number_their_logs_through_the_block() {
        let (block, receipts) = block_of_two();
        let senders = [Address::repeat_byte(7), Address::repeat_byte(7)];
        let hash = B256::repeat_byte(5);
        let all = block_receipts(&block, hash, &senders, &receipts);
        assert_eq!(all[0].contract_address, Some(senders[0].create(0)));
        assert_eq!(all[1].contract_address, None);
        let logs: Vec<_> = block_logs(&block, hash, &receipts).collect();
        assert_eq!(logs.iter().map(|log| log.log_index).collect::<Vec<_>>(), [Some(0), Some(1), Some(2)]);
        assert_eq!(logs[2].transaction_index, Some(1));
        assert_eq!(all[1].logs(), &logs[2..]);
        let json = serde_json::to_string_pretty(&serde_json::to_value(&all[1]).unwrap()).unwrap();
        expect![[r#"
            {
              "blockHash": "0x0505050505050505050505050505050505050505050505050505050505050505",
              "blockNumber": "0x3",
              "contractAddress": null,
              "cumulativeGasUsed": "0x14",
              "effectiveGasPrice": "0x0",
              "from": "0x0707070707070707070707070707070707070707",
              "gasUsed": "0xa",
              "logs": [
                {
                  "address": "0x0303030303030303030303030303030303030303",
                  "blockHash": "0x0505050505050505050505050505050505050505050505050505050505050505",
                  "blockNumber": "0x3",
                  "blockTimestamp": "0x5",
                  "data": "0x03",
                  "logIndex": "0x2",
                  "removed": false,
                  "topics": [
                    "0x0303030303030303030303030303030303030303030303030303030303030303"
                  ],
                  "transactionHash": "0x1d70fb6d5757e86f4ee03fb7cfafbb38fd43b36f2abdf49117b6b49873fc771b",
                  "transactionIndex": "0x1"
                }
              ],
              "logsBloom": "0x…00000000000000000000000000000000800800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000000000000000000000000000000000000000000000000000000000040000000000000000000000000000000000000000000004000000000000000004…0000000000000000000000000000000000000000000000000000000000",
              "status": "0x1",
              "to": "0x0909090909090909090909090909090909090909",
              "transactionHash": "0x1d70fb6d5757e86f4ee03fb7cfafbb38fd43b36f2abdf49117b6b49873fc771b",
              "transactionIndex": "0x1",
              "type": "0x2"
            }"#]].assert_eq(&json.replace(&"0".repeat(100), "…"));
    }
}
