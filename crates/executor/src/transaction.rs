//! A transaction as the EVM wants it.

use crate::Fees;
use alloy_consensus::{Transaction as _, TxEnvelope};
use alloy_primitives::Address;
use revm::context::TxEnv;
use revm::context_interface::either::Either;

/// The EVM's form of a transaction.
///
/// Without fees its prices are zero, whatever it offers: nothing is charged, nothing is checked, and `GASPRICE` shows
/// what is paid. The sender's balance is then checked against the value alone.
pub(crate) fn tx_env(fees: Fees, envelope: &TxEnvelope, sender: Address) -> TxEnv {
    let (gas_price, gas_priority_fee) = match fees {
        Fees::Free => (0, envelope.max_priority_fee_per_gas().map(|_| 0)),
        Fees::Ethereum => (envelope.max_fee_per_gas(), envelope.max_priority_fee_per_gas()),
    };
    TxEnv {
        tx_type: envelope.tx_type().into(),
        caller: sender,
        gas_limit: envelope.gas_limit(),
        gas_price,
        kind: envelope.kind(),
        value: envelope.value(),
        data: envelope.input().clone(),
        nonce: envelope.nonce(),
        chain_id: envelope.chain_id(),
        access_list: envelope.access_list().cloned().unwrap_or_default(),
        gas_priority_fee,
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
        authorization_list: envelope
            .authorization_list()
            .map(|list| list.iter().cloned().map(Either::Left).collect())
            .unwrap_or_default(),
    }
}
