//! Receipts: what a transaction did.

use alloy_consensus::{Eip658Value, Receipt as EthereumReceipt, ReceiptEnvelope, ReceiptWithBloom, TxType};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, Bloom, Bytes, Log, LogData};
use borsh::{BorshDeserialize, BorshSerialize};

/// The result of one transaction in its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// EIP-2718's type of the transaction: 0, 1, 2 or 4.
    pub transaction_type: u8,
    /// Whether the outermost call succeeded.
    pub success: bool,
    /// Gas used by this transaction, in units of gas.
    pub gas_used: u64,
    /// Gas used by the block up to and with this transaction, in units of gas.
    pub cumulative_gas_used: u64,
    /// The events, in order.
    pub logs: Vec<Log>,
}

impl Receipt {
    /// The bloom filter over addresses and topics of the logs (yellow paper §4.3.1).
    #[must_use]
    pub fn bloom(&self) -> Bloom {
        alloy_primitives::logs_bloom(&self.logs)
    }

    /// The canonical bytes that the receipts root is computed over (EIP-2718, EIP-658).
    #[must_use]
    pub fn encoded_2718(&self, bloom: Bloom) -> Vec<u8> {
        let receipt = EthereumReceipt {
            status: Eip658Value::Eip658(self.success),
            cumulative_gas_used: self.cumulative_gas_used,
            logs: self.logs.clone(),
        };
        let with_bloom = ReceiptWithBloom { receipt, logs_bloom: bloom };
        // A `Transaction` has one of these types by construction.
        let kind = TxType::try_from(self.transaction_type).unwrap_or(TxType::Legacy);
        ReceiptEnvelope::from_typed(kind, with_bloom).encoded_2718()
    }
}

impl BorshSerialize for Receipt {
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        self.transaction_type.serialize(writer)?;
        self.success.serialize(writer)?;
        self.gas_used.serialize(writer)?;
        self.cumulative_gas_used.serialize(writer)?;
        u32::try_from(self.logs.len()).map_err(std::io::Error::other)?.serialize(writer)?;
        for log in &self.logs {
            log.address.serialize(writer)?;
            log.data.topics().serialize(writer)?;
            log.data.data.as_ref().serialize(writer)?;
        }
        Ok(())
    }
}

impl BorshDeserialize for Receipt {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let transaction_type = u8::deserialize_reader(reader)?;
        let success = bool::deserialize_reader(reader)?;
        let gas_used = u64::deserialize_reader(reader)?;
        let cumulative_gas_used = u64::deserialize_reader(reader)?;
        let count = u32::deserialize_reader(reader)?;
        let mut logs = Vec::new();
        for _ in 0..count {
            let address = BorshDeserialize::deserialize_reader(reader)?;
            let topics = Vec::<B256>::deserialize_reader(reader)?;
            let data = Bytes::from(crate::read_bytes(reader, "log data", crate::limits::FRAME_BYTES_MAX)?);
            let data = LogData::new(topics, data)
                .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "a log has over 4 topics"))?;
            logs.push(Log { address, data });
        }
        Ok(Self { transaction_type, success, gas_used, cumulative_gas_used, logs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Address;

    #[test]
    fn round_trips() {
        let data = LogData::new_unchecked(vec![B256::repeat_byte(2)], Bytes::from_static(b"data"));
        let receipt = Receipt {
            transaction_type: 2,
            success: true,
            gas_used: 5,
            cumulative_gas_used: 7,
            logs: vec![Log { address: Address::repeat_byte(1), data }],
        };
        assert_eq!(borsh::from_slice::<Receipt>(&borsh::to_vec(&receipt).unwrap()).unwrap(), receipt);
        assert_eq!(receipt.encoded_2718(receipt.bloom()).first(), Some(&2));
    }
}
