//! A request as the EVM wants it.

use crate::{Fees, Rules};
use alloy_primitives::{Address, TxKind};
use alloy_rpc_types_eth::TransactionRequest;
use revm::context::TxEnv;
use revm::context_interface::either::Either;

/// A request that contradicts itself or asks for what Lian does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// `input` and `data` are both there and differ.
    #[error("both \"data\" and \"input\" are set and not equal. Please use \"input\" to pass transaction call data")]
    InputAndDataDiffer,
    /// Blob fields: Lian has no blob transactions.
    #[error("transaction type not supported: blob transactions (type 3) are not part of this chain")]
    Blobs,
    /// For another chain.
    #[error("chainId does not match node's (have={request}, want={chain})")]
    ChainId {
        /// The request's chain id.
        request: u64,
        /// The chain's.
        chain: u64,
    },
    /// Authorizations (EIP-7702) with a contract's creation.
    #[error("EIP-7702 transaction cannot create a contract")]
    AuthorizationsWithoutTarget,
}

/// A checked request that can run with several gas limits.
#[derive(Clone, Debug)]
pub(crate) struct CallTransaction(TxEnv);

impl CallTransaction {
    /// Checks a request. Its gas is what it asks for, at most `gas_cap`; all of that if it does not say.
    pub(crate) fn new(rules: &Rules, request: &TransactionRequest, gas_cap: u64) -> Result<Self, RequestError> {
        if let Some(id) = request.chain_id.filter(|id| *id != rules.chain_id) {
            return Err(RequestError::ChainId { request: id, chain: rules.chain_id });
        }
        let has_blobs = request.blob_versioned_hashes.is_some() || request.max_fee_per_blob_gas.is_some();
        if has_blobs || request.sidecar.is_some() || request.transaction_type == Some(3) {
            return Err(RequestError::Blobs);
        }
        let input = request.input.unique_input().map_err(|_| RequestError::InputAndDataDiffer)?;
        let kind = request.to.unwrap_or(TxKind::Create);
        let authorizations = request.authorization_list.as_deref().unwrap_or_default();
        if !authorizations.is_empty() && kind.is_create() {
            return Err(RequestError::AuthorizationsWithoutTarget);
        }
        let (gas_price, gas_priority_fee) = match rules.fees {
            Fees::Free => (0, None),
            Fees::Ethereum => {
                let price = request.gas_price.or(request.max_fee_per_gas).unwrap_or_default();
                (price, request.max_priority_fee_per_gas)
            }
        };
        let tx_type = if !authorizations.is_empty() {
            4
        } else if gas_priority_fee.is_some() {
            2
        } else {
            u8::from(request.access_list.is_some())
        };
        Ok(Self(TxEnv {
            tx_type,
            caller: request.from.unwrap_or_default(),
            gas_limit: request.gas.unwrap_or(gas_cap).min(gas_cap),
            gas_price,
            kind,
            value: request.value.unwrap_or_default(),
            data: input.cloned().unwrap_or_default(),
            nonce: request.nonce.unwrap_or_default(),
            chain_id: Some(rules.chain_id),
            access_list: request.access_list.clone().unwrap_or_default(),
            gas_priority_fee,
            blob_hashes: Vec::new(),
            max_fee_per_blob_gas: 0,
            authorization_list: authorizations.iter().cloned().map(Either::Left).collect(),
        }))
    }

    /// Whether it moves value to an account and nothing else; whether that account has code is not known here.
    pub(crate) fn is_plain(&self) -> Option<Address> {
        let nothing_else = self.0.data.is_empty() && self.0.tx_type == 0;
        self.0.kind.to().copied().filter(|_| nothing_else)
    }

    /// Its gas limit, in units of gas.
    pub(crate) const fn gas_limit(&self) -> u64 {
        self.0.gas_limit
    }

    /// The same with another gas limit.
    pub(crate) fn with_gas_limit(&self, gas_limit: u64) -> TxEnv {
        TxEnv { gas_limit, ..self.0.clone() }
    }

    /// The same with another access list.
    pub(crate) fn with_access_list(&self, access_list: alloy_eips::eip2930::AccessList) -> TxEnv {
        let mut transaction = self.0.clone();
        transaction.access_list = access_list;
        // A legacy transaction has none.
        transaction.tx_type = transaction.tx_type.max(1);
        transaction
    }

    pub(crate) fn into_env(self) -> TxEnv {
        self.0
    }
}
