//! The transaction that a simulated call stands for. Nobody signed it: its signature is zero.

use super::SimulateError;
use crate::{CallError, RequestError, Rules};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxEnvelope, TxLegacy};
use alloy_primitives::{Signature, U256};
use alloy_rpc_types_eth::TransactionRequest;
use revm::context::TxEnv;

/// Type 4 where there are authorizations; else what the request's prices and lists make it, type 2 if they say nothing.
pub(super) fn envelope(
    rules: &Rules,
    request: &TransactionRequest,
    transaction: &TxEnv,
) -> Result<TxEnvelope, SimulateError> {
    let unsigned = Signature::new(U256::ZERO, U256::ZERO, false);
    let chain_id = rules.chain_id;
    let TxEnv { gas_limit, kind: to, value, nonce, .. } = *transaction;
    let input = transaction.data.clone();
    let access_list = transaction.access_list.clone();
    let max_fee_per_gas = request.max_fee_per_gas.unwrap_or_default();
    let max_priority_fee_per_gas = request.max_priority_fee_per_gas.unwrap_or_default();
    let authorization_list = request.authorization_list.clone().unwrap_or_default();
    if !authorization_list.is_empty() {
        let target = to.to().copied();
        let to = target.ok_or(CallError::Request(RequestError::AuthorizationsWithoutTarget))?;
        let typed = TxEip7702 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to,
            value,
            access_list,
            authorization_list,
            input,
        };
        return Ok(typed.into_signed(unsigned).into());
    }
    Ok(match (request.gas_price, request.access_list.is_some()) {
        (Some(gas_price), false) => {
            TxLegacy { chain_id: Some(chain_id), nonce, gas_price, gas_limit, to, value, input }
                .into_signed(unsigned)
                .into()
        }
        (Some(gas_price), true) => TxEip2930 { chain_id, nonce, gas_price, gas_limit, to, value, access_list, input }
            .into_signed(unsigned)
            .into(),
        (None, _) => TxEip1559 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to,
            value,
            access_list,
            input,
        }
        .into_signed(unsigned)
        .into(),
    })
}
