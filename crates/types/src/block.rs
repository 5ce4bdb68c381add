//! Blocks: Ethereum's header, the extension beside it, and the transactions.

use crate::{Epoch, Header, Millis, Transaction};
use alloy_primitives::{B256, TxHash};
use alloy_rlp::{Decodable, Encodable};
use borsh::{BorshDeserialize, BorshSerialize};
use std::sync::Arc;

/// A proposed transaction that turned out invalid at execution and is absent from the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Skipped {
    /// Its position in the proposal, from 0.
    pub position: u32,
    /// Its hash.
    pub hash: TxHash,
}

/// What Lian says about a block beyond Ethereum's header. The header's `extraData` is the extension's digest.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Extension {
    /// The format of what follows; 1.
    pub version: u8,
    /// The proposal's time, in milliseconds since 1970. The header has it in seconds, rounded down.
    pub time: Millis,
    /// The epoch whose members made the block.
    pub epoch: Epoch,
    /// The digest of the members that the state after this block names for the future.
    pub members: B256,
    /// Proposed transactions that are not in the block, by rising position.
    pub skipped: Vec<Skipped>,
}

impl Extension {
    /// The current format.
    pub const VERSION: u8 = 1;

    /// The bytes whose hash is the header's `extraData`.
    #[must_use]
    pub fn digest_bytes(&self) -> Vec<u8> {
        crate::consensus::tagged(b"lian/extension/1", self)
    }
}

/// A block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Ethereum's header.
    pub header: Header,
    /// Lian's extension of it.
    pub extension: Extension,
    /// The transactions, in order.
    pub transactions: Vec<Arc<Transaction>>,
}

impl Block {
    /// The full hashes of its proposal, in order: the block's transactions with the skipped ones put back.
    #[must_use]
    pub fn proposed_hashes(&self) -> Vec<TxHash> {
        let mut skipped = self.extension.skipped.iter().peekable();
        let mut included = self.transactions.iter();
        let mut hashes = Vec::with_capacity(self.transactions.len().saturating_add(self.extension.skipped.len()));
        loop {
            let here = u32::try_from(hashes.len()).unwrap_or(u32::MAX);
            if let Some(next) = skipped.next_if(|next| next.position == here) {
                hashes.push(next.hash);
            } else if let Some(transaction) = included.next() {
                hashes.push(transaction.hash());
            } else {
                return hashes;
            }
        }
    }
}

impl BorshSerialize for Block {
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        let mut header = Vec::with_capacity(640);
        self.header.encode(&mut header);
        header.serialize(writer)?;
        self.extension.serialize(writer)?;
        self.transactions.iter().map(AsRef::as_ref).collect::<Vec<&Transaction>>().serialize(writer)
    }
}

impl BorshDeserialize for Block {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        // A header is about 600 bytes; its extraData is 32.
        let bytes = crate::codec::read_bytes(reader, "header", 1_024)?;
        let mut rest = bytes.as_slice();
        let invalid = |reason: String| std::io::Error::new(std::io::ErrorKind::InvalidData, reason);
        let header = Header::decode(&mut rest).map_err(|error| invalid(error.to_string()))?;
        if !rest.is_empty() {
            return Err(invalid(format!("{} bytes follow the header", rest.len())));
        }
        let extension = Extension::deserialize_reader(reader)?;
        let transactions = Vec::<Transaction>::deserialize_reader(reader)?;
        Ok(Self { header, extension, transactions: transactions.into_iter().map(Arc::new).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
    use alloy_primitives::{Signature, U256};

    fn transaction(nonce: u64) -> Arc<Transaction> {
        let signature = Signature::new(U256::from(1), U256::from(2), false);
        let envelope: TxEnvelope = TxEip1559 { nonce, ..Default::default() }.into_signed(signature).into();
        Arc::new(Transaction::from_envelope(&envelope).unwrap())
    }

    #[test]
    fn proposal_is_rebuilt_with_the_skipped_in_place() {
        let hash = |i| B256::repeat_byte(i);
        let skipped = vec![Skipped { position: 0, hash: hash(1) }, Skipped { position: 3, hash: hash(2) }];
        let extension = Extension { version: 1, time: Millis(1), epoch: Epoch(0), members: B256::ZERO, skipped };
        let transactions = vec![transaction(0), transaction(1)];
        let expected = vec![hash(1), transactions[0].hash(), transactions[1].hash(), hash(2)];
        let block = Block { header: Header::default(), extension, transactions };
        assert_eq!(block.proposed_hashes(), expected);
        assert_eq!(borsh::from_slice::<Block>(&borsh::to_vec(&block).unwrap()).unwrap(), block);
    }
}
